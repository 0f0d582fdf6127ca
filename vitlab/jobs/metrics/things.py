"""Whether the last row is the newest of this run, or of another thing, run or time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

from vitlab.jobs.metrics.formats.decoder import THING, Chunk, Column
from vitlab.jobs.metrics.formats.named_rows import TIMES
from vitlab.jobs.metrics.source import Source

FALLS = 3
"""Rows from which on their order tells something."""
MOST_ROWS = 1000
"""Rows of a table that is held against what it was before the run."""


class Things:
    """What the rows of one file are of, as it is now."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.forget()

    def forget(self) -> None:
        """It is read again from its start."""
        self._last: dict[str, tuple[float, float | None]] = {}
        """By name: of what its last row was, and its step or epoch."""
        self.of_several: set[str] = set()
        """Names whose rows are of several things, so that the last is no result."""
        self._falling: dict[str, tuple[float, int]] = {}
        """By name: the last step or epoch, and how many rows had one, where each was smaller."""
        self._rising: set[str] = set()
        """Names of which one was not."""

    def look_at(self, part: Chunk, columns: Collection[str]) -> None:
        """Note names with rows of several things where time does not go on between them.

        `columns`: of the file.
        """
        things = part.columns.get(THING, ())
        steps, epochs = (part.columns.get(axis) or [None] * part.rows
                         for axis in (self._source.step, self._source.epoch))  # fmt: skip
        self._look_at_order(part, steps, epochs)
        names = {name.lower() for name in columns}
        axes = {self._source.step.lower(), self._source.epoch.lower()}
        if not things or (not names.isdisjoint(TIMES) and names.isdisjoint(axes)):
            return  # in time by a column that is not read
        for name, ours in self._source.columns[0].items():
            if ours.partition("/")[0] not in ("val", "test") or name not in part.columns:
                continue
            for at, (thing, value) in enumerate(zip(things, part.columns[name], strict=True)):
                if thing is None or value is None:
                    continue
                place = epochs[at] if steps[at] is None else steps[at]
                before, since = self._last.get(name, (thing, place))
                goes_on = place is not None and since is not None and place > since
                if before != thing and not goes_on:
                    self.of_several.add(name)
                self._last[name] = thing, place

    def _look_at_order(self, part: Chunk, steps: Column, epochs: Column) -> None:
        for name, ours in self._source.columns[0].items():
            if ours.partition("/")[0] not in ("val", "test") or name in self._rising:
                continue
            for at, value in enumerate(part.columns.get(name, ())):
                place = epochs[at] if steps[at] is None else steps[at]
                if value is None or place is None:
                    continue
                before, rows = self._falling.get(name, (math.inf, 0))
                if place >= before:
                    self._rising.add(name)
                    break
                self._falling[name] = place, rows + 1

    @property
    def backwards(self) -> set[str]:
        """Names whose rows go from the last step or epoch to the first: the last is no result.

        Of `FALLS` rows or more: a run that was resumed from an earlier one goes on from there.
        """
        long = {name for name, (_, rows) in self._falling.items() if rows >= FALLS}
        return long - self._rising

    @property
    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"last": self._last, "several": sorted(self.of_several),
                "falling": self._falling, "rising": sorted(self._rising)}  # fmt: skip

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        self._last = {name: (x, y) for name, (x, y) in state.get("last", {}).items()}
        self.of_several = set(state.get("several", ()))
        self._falling = {name: (x, n) for name, (x, n) in state.get("falling", {}).items()}
        self._rising = set(state.get("rising", ()))


class EarlierRows:
    """Rows that a table of several runs had before this one began, as a leaderboard has.

    The last row of a file without steps and epochs is no row of this run where it stood there
    before, as all others do, or all but one that was filled in, and there is a new one besides.
    """

    def __init__(self, source: Source) -> None:
        self._names, *self._axes = source.columns
        self._before: Counter[str] | None = None
        self.forget()

    def forget(self) -> None:
        """The file is read again from its start."""
        self._now: Counter[str] = Counter()
        self._last, self._is_in_time = "", False

    def keep(self) -> None:
        """What was read so far is an earlier run's."""
        self._before = self._now.copy() if self._now.total() <= MOST_ROWS else None

    def look_at(self, part: Chunk) -> None:
        """Take note of its rows."""
        if self._is_in_time or self._now.total() > MOST_ROWS:
            return
        columns = [part.columns.get(name) or [None] * part.rows for name in self._names]
        self._is_in_time |= any(x is not None for axis in self._axes
                                for x in part.columns.get(axis) or ())  # fmt: skip
        rows = [repr(row) for row in zip(*columns, strict=True) if any(x is not None for x in row)]
        self._now.update(rows)
        self._last = rows[-1] if rows else self._last

    @property
    def is_last(self) -> bool:
        """Whether the last row is one of them."""
        before, now = self._before, self._now
        if not before or self._is_in_time or now.total() > MOST_ROWS:
            return False
        gone, new = (before - now).total(), (now - before).total()
        grown = gone == 0 or (gone == 1 and before.total() >= FALLS)
        return grown and new > 0 and 0 < now[self._last] <= before[self._last]

    @property
    def state(self) -> dict[str, Any]:
        """As JSON."""
        if self._is_in_time or not self._before:
            return {"in_time": self._is_in_time}
        return {"before": self._before, "now": self._now, "last": self._last}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        before = state.get("before")
        self._before = None if before is None else Counter(before)
        self._now, self._last = Counter(state.get("now", {})), state.get("last", "")
        self._is_in_time = bool(state.get("in_time"))
