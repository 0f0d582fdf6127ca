"""Whether the last row is the newest of this run, or of another thing, run or time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from vitlab.contract.reading import is_finite
from vitlab.jobs.metrics.formats.decoder import MOST_WORDS, THING, WORD, Chunk, Column
from vitlab.jobs.metrics.formats.named_rows import TIMES, says_model
from vitlab.jobs.metrics.order import FALLS, Orders
from vitlab.jobs.metrics.source import Source

MOST_ROWS = 1000
"""Rows of a table that is held against what it was before the run."""
_FEW, _ENOUGH = 16, 10_000
"""Words of a column that tells trainings apart at most, where some come more than once, and rows
that are looked at."""
_TURNS = 2
"""Rows from which on words take turns."""


class Course:
    """Whether the words of a column tell apart rows of several trainings, or of several models.

    Trainings go on side by side, each with its row of an epoch. Of models each has one row, at its
    best epoch. What comes and goes within one training, as a stage, a note or the host, follows
    what was before, or stands twice in an epoch as often.
    """

    def __init__(self, of_models: bool) -> None:
        self._of_models = of_models
        self._words: set[float] = set()
        self._last: tuple[float, float | None] = 0.0, None
        """Word and step or epoch of the last row."""
        self._rows = self._blank = self._numbered = 0
        """Rows with a word, without one, and with one that has their own step or epoch in it."""
        self._other = self._same = 0
        """Rows beside the one before with another word; with its word, there or next to a pair."""
        self._returns = 0
        """Rows with another word than the one before, which was there earlier."""
        self._paired = False
        """Whether the last two rows are at one place."""
        self._goes_on, self._falls, self._by_one = False, False, True
        """Whether a row is not at the place of the one before; one is before that; all next to it.
        """

    def add(self, number: float | None, place: float) -> None:
        """The next row: the number of its word, None without one, and its step or epoch."""
        if number is None:
            self._blank += 1
            return
        word, (before, since) = abs(number), self._last
        self._same += word == before and (place == since or self._paired)
        self._other += word != before and place == since
        self._returns += word != before and word in self._words
        self._paired = place == since
        self._goes_on |= since is not None and place != since
        self._falls |= since is not None and place < since
        self._by_one &= since is None or place == since + 1
        self._words.add(word)
        self._last, self._rows = (word, place), self._rows + 1
        self._numbered += number < 0

    @property
    def is_over(self) -> bool:
        """Whether more rows say no more."""
        words = len(self._words)
        return self._rows > _ENOUGH or words > (MOST_WORDS if words == self._rows else _FEW)

    @property
    def is_several(self) -> bool:
        """Whether they do, by the rows so far."""
        words = len(self._words)
        if 2 <= words == self._rows and not self._blank and self._goes_on:
            of_models = self._falls or (self._of_models and not self._by_one)
            return of_models and 2 * self._numbered <= words
        if not 2 <= words <= _FEW or 2 * self._blank > self._rows:
            return False
        in_turn = not self._goes_on or min(self._other, self._returns) >= _TURNS
        return in_turn and self._other >= self._same

    @property
    def state(self) -> dict[str, Any]:
        """As JSON."""
        own = {name.lstrip("_"): content for name, content in vars(self).items()}
        return {**own, "words": [*self._words]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        vars(self).update({f"_{name}": content for name, content in state.items()})
        self._words, self._last = set(state["words"]), tuple(state["last"])


class Things:
    """What the rows of one file are of, as it is now."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.orders = Orders(source)
        self.forget()

    def forget(self) -> None:
        """It is read again from its start."""
        self.orders.begin_again()
        self._last: dict[str, tuple[float, float | None]] = {}
        """By name: of what its last row was, and its step or epoch."""
        self._several: set[str] = set()
        """Names whose rows are of several things, by columns of known names."""
        self._courses: dict[str, dict[str, Course]] = {}
        """By name and column of words."""

    def look_at(self, part: Chunk, columns: Collection[str]) -> None:
        """Note names with rows of several things where time does not go on between them.

        `columns`: of the file.
        """
        ours = self._source.columns[0]
        results = [name for name in ours if name in part.columns
                   and ours[name].partition("/")[0] in ("val", "test")]  # fmt: skip
        self.orders.look_at(part)
        words = {column.removeprefix(WORD): numbers for column, numbers in part.columns.items()
                 if column.startswith(WORD)}  # fmt: skip
        things = part.columns.get(THING, ())
        names = {name.lower() for name in columns}
        own = {self._source.step.lower(), self._source.epoch.lower()}
        if not names.isdisjoint(TIMES) and names.isdisjoint(own):
            return  # in time by a column that is not read
        courses = self._courses_of(results, words)
        if not (things or courses):
            return
        steps, epochs = ([at if is_finite(at) else None for at in part.columns[axis]]
                         if axis in part.columns else [None] * part.rows
                         for axis in (self._source.step, self._source.epoch))  # fmt: skip
        places = [epoch if step is None else step
                  for step, epoch in zip(steps, epochs, strict=True)]  # fmt: skip
        for name in results:
            self._look_at_things(name, part.columns[name], things, places)
        for name, column, course in courses:
            for value, number, place in zip(part.columns[name], words[column], places, strict=True):
                if value is not None and place is not None:
                    course.add(number, place)

    def _courses_of(
        self, results: Sequence[str], columns: Iterable[str]
    ) -> list[tuple[str, str, Course]]:
        """Those that more rows may say more of, by name and column."""
        found = []
        for name in results:
            courses = self._courses.setdefault(name, {})
            for column in columns:
                course = courses.setdefault(column, Course(says_model(column)))
                found += [] if course.is_over else [(name, column, course)]
        return found

    def _look_at_things(self, name: str, values: Column, things: Column, places: Column) -> None:
        for thing, value, place in zip(things, values, places, strict=False):
            if thing is None or value is None:
                continue
            before, since = self._last.get(name, (thing, place))
            goes_on = place is not None and since is not None and place > since
            if before != thing and not goes_on:
                self._several.add(name)
            self._last[name] = thing, place

    @property
    def of_several(self) -> set[str]:
        """Names whose rows are of several things, so that the last is no result."""
        return self._several | {name for name in self._courses if self._differing(name)}

    def notes(self, known: Sequence[str]) -> list[str]:
        """That they are; `known`: columns of such names as say of what rows are."""
        by_columns: dict[str, list[str]] = {}
        for name in sorted(self.of_several):
            columns = known if name in self._several else self._differing(name)
            by_columns.setdefault(", ".join(columns), []).append(name)
        return [f"{', '.join(names)}: rows differ in {told}: the last one is no result"
                for told, names in by_columns.items()]  # fmt: skip

    def _differing(self, name: str) -> list[str]:
        courses = self._courses.get(name, {})
        return [column for column, course in courses.items() if course.is_several]

    @property
    def state(self) -> dict[str, Any]:
        """As JSON."""
        courses = {name: {column: course.state for column, course in courses.items()}
                   for name, courses in self._courses.items()}  # fmt: skip
        return {"last": self._last, "several": sorted(self._several), "courses": courses,
                "orders": self.orders.state}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        self._last = {name: (x, y) for name, (x, y) in state.get("last", {}).items()}
        self._several = set(state.get("several", ()))
        for name, courses in state.get("courses", {}).items():
            self._courses[name] = {column: Course(False) for column in courses}
            for column, course in self._courses[name].items():
                course.restore(courses[column])
        self.orders.restore(state.get("orders", {}))


class EarlierRows:
    """Rows that a table of several runs had before this one began, as a leaderboard has.

    The last row is no row of this run where it stood there before, as all others do, and there is
    a new one besides. Without steps and epochs one of the others may be filled in; where these rise
    from row to row it is one training, that was run again.
    """

    def __init__(self, source: Source) -> None:
        self._names, *self._axes = source.columns
        self._before: Counter[str] | None = None
        self.forget()

    def forget(self) -> None:
        """The file is read again from its start."""
        self._now: Counter[str] = Counter()
        self._last, self._is_in_time = "", False
        self._place, self._falls = -math.inf, False

    def keep(self) -> None:
        """What was read so far is an earlier run's."""
        self._before = self._now.copy() if self._now.total() <= MOST_ROWS else None

    def look_at(self, part: Chunk) -> None:
        """Take note of its rows."""
        if self._now.total() > MOST_ROWS:
            return
        values, axes = ([part.columns.get(name) or [None] * part.rows for name in names]
                        for names in (self._names, self._axes))  # fmt: skip
        self._is_in_time |= any(x is not None for axis in axes for x in axis)
        for step, epoch in zip(*axes, strict=True):
            place = epoch if step is None else step
            self._falls |= place is not None and place < self._place
            self._place = self._place if place is None else place
        rows = [repr((row, places))
                for row, *places in zip(zip(*values, strict=True), *axes, strict=True)
                if any(x is not None for x in row)]  # fmt: skip
        self._now.update(rows)
        self._last = rows[-1] if rows else self._last

    @property
    def is_last(self) -> bool:
        """Whether the last row is one of them."""
        before, now = self._before, self._now
        if not before or now.total() > MOST_ROWS or (self._is_in_time and not self._falls):
            return False
        gone, new = (before - now).total(), (now - before).total()
        grown = gone == 0 or (gone == 1 and before.total() >= FALLS and not self._is_in_time)
        return grown and new > 0 and 0 < now[self._last] <= before[self._last]

    @property
    def state(self) -> dict[str, Any]:
        """As JSON."""
        if not self._before:
            return {}
        return {"before": self._before, "now": self._now, "last": self._last,
                "in_time": self._is_in_time, "falls": self._falls,
                "place": self._place if self._is_in_time else None}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        before = state.get("before")
        self._before = None if before is None else Counter(before)
        self._now, self._last = Counter(state.get("now", {})), state.get("last", "")
        self._is_in_time, self._falls = bool(state.get("in_time")), bool(state.get("falls"))
        place = state.get("place")
        self._place = -math.inf if place is None else place
