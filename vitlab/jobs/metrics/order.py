"""Whether rows go on in time: else the last of them is no result, as rows of several runs are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vitlab.contract.reading import is_finite
from vitlab.jobs.metrics.formats.decoder import Chunk
from vitlab.jobs.metrics.source import Source

FALLS = 3
"""Rows from which on their order tells something."""
_COURSES = 3
"""Of steps or epochs that are known at once: a run that begins anew may meet each one once."""
_SAID = 100
"""Rows that a later one may name again, besides the best."""
_Row = tuple[float | None, float | None, float]
"""Epoch, step and value."""


@dataclass
class Courses:
    """Steps or epochs of rows, which may go on in several courses by turns."""

    ends: list[tuple[float, float]] = field(default_factory=list)
    """The last one of each, and how far from the one before, 0 of a single one; that of the last
    row at the end."""
    turns: int = 0
    """Rows since the last course began that go on with another course than the one before."""
    jumps: bool = False
    """Whether one of them goes forward: a run that is resumed again and again only falls back."""
    by_turns: bool = False
    moves: bool = False
    """Whether they are not all one."""
    last_two: list[float] = field(default_factory=list)
    zigzag: int = 0
    """Rows in which two courses took turns one by one, each with the same distance."""
    far: float = 0.0
    """That distance."""

    def add(self, place: float | None) -> None:
        """That of the next row."""
        if place is None:
            return
        self._look_at_zigzag(place)
        if not self.ends:
            self.ends.append((place, 0.0))
            return
        last, far = self.ends[-1]
        self.moves |= place != last
        steps = [far] if far else [one for _, one in self.ends]  # a new course goes on like others
        is_own = place == last or any(_is_next(place, last, one) for one in steps)
        on = None if is_own else self._other(place)
        if on is not None:
            self.ends.remove(on)
            self.turns += 1
            self.jumps |= place > last
            self.by_turns |= self.jumps and self.turns >= _COURSES
            self.ends.append((place, place - on[0]))
        elif place >= last:
            self.ends[-1] = place, place - last or far
        else:
            self.ends, self.turns = [*self.ends[1 - _COURSES :], (place, 0.0)], 0
            self.jumps = False

    def _look_at_zigzag(self, place: float) -> None:
        """Two runs whose rows began one after the other: 0, 3, 1, 4, 2."""
        if len(self.last_two) == 2:
            first, second = self.last_two
            far = place - first
            turns = far > 0 and (second - first) * (place - second) < 0
            goes_on = self.zigzag > 0 and _is_next(place, first, self.far)
            self.zigzag = (self.zigzag + 1 if goes_on else 1) if turns else 0
            self.far = far
            self.by_turns |= self.zigzag >= _COURSES
        self.last_two = [*self.last_two[-1:], place]

    def _other(self, place: float) -> tuple[float, float] | None:
        """The course before the last row's that goes on here, the nearest one."""
        last, known = self.ends[-1][0], [far for _, far in self.ends if far]
        found = []
        for end, far in self.ends[:-1]:
            is_next = any(_is_next(place, end, one) for one in ([far] if far else known))
            is_first = not far and (place < last or not known)
            found += [(end, far)] if end < place and (is_next or is_first) else []
        return max(found, default=None)


def _is_next(place: float, last: float, far: float) -> bool:
    return far > 0 and math.isclose(place - last, far, rel_tol=1e-6)


@dataclass
class Order:
    """How the rows of one name go: on, backwards, or to and fro."""

    rows: int = 0
    is_rising: bool = False
    """Whether any row is not before the one before it."""
    said: list[_Row] = field(default_factory=list)
    """The last rows."""
    best: list[_Row] = field(default_factory=list)
    """Those of the highest and of the lowest value."""
    epochs: Courses = field(default_factory=Courses)
    steps: Courses = field(default_factory=Courses)

    def add(self, epoch: float | None, step: float | None, value: float) -> None:
        """The next row."""
        if epoch is None and step is None:
            return
        row = epoch, step, value
        is_on = bool(self.said) and not _is_before(row, self.said[-1])
        if self.said and not is_on and any(_says_again(row, one) for one in self.said + self.best):
            return  # the best so far, named again
        self.is_rising |= is_on
        self.rows += 1
        self.said.append(row)
        del self.said[:-_SAID]
        if not self.best or not self.best[1][2] <= value <= self.best[0][2]:
            high, low = self.best or (row, row)
            self.best = [row if value > high[2] else high, row if value < low[2] else low]
        self.epochs.add(epoch)
        if not self.epochs.moves:
            self.steps.add(step)

    @property
    def way(self) -> str:
        """How they go, where the last is no result; backwards are `FALLS` rows or more.

        A run that was resumed from an earlier one goes on from there. Steps may begin anew in each
        epoch.
        """
        if self.rows >= FALLS and not self.is_rising:
            return "from the last step or epoch back to the first"
        by_turns = self.epochs.by_turns or (self.steps.by_turns and not self.epochs.moves)
        return "to and fro in their steps or epochs, as those of several runs" if by_turns else ""

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Order:
        """The opposite of `asdict`."""
        epochs, steps = (Courses(**{**one, "ends": [(x, y) for x, y in one["ends"]]})
                         for one in (state["epochs"], state["steps"]))  # fmt: skip
        rows = {key: [(x, y, z) for x, y, z in state[key]] for key in ("said", "best")}
        return cls(**{**state, **rows, "epochs": epochs, "steps": steps})


def _is_before(row: _Row, last: _Row) -> bool:
    """By the epochs, or the steps where these are one or not known."""
    for now, then in ((row[0], last[0]), (row[1], last[1])):
        if now is not None and then is not None and now != then:
            return now < then
    return False


def _says_again(row: _Row, before: _Row) -> bool:
    """Whether it has the place of an earlier one, and its value, perhaps rounded."""
    decimals = len(repr(row[2]).partition(".")[2])
    return row[:2] == before[:2] and round(before[2], decimals) == row[2]


class Orders:
    """Those of the rows of each name of a source."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._orders: dict[str, Order] = {}
        self._before: _Row | None = None
        """The row of a file that had no other, as it was written before."""
        self.fell = False
        """Whether a file of one row was written anew with an earlier step or epoch."""

    def begin_again(self) -> None:
        """The file is read again from its start."""
        rows = [one.said[-1] for one in self._orders.values() if one.said]
        alone = all(one.rows == 1 for one in self._orders.values())
        self._before = rows[0] if rows and alone else None
        self._orders = {}

    def look_at(self, part: Chunk) -> None:
        """Take note of rows with results."""
        ours, *axes = self._source.columns
        cells = (part.columns.get(axis) or [None] * part.rows for axis in axes)
        step, epoch = ([at if is_finite(at) else None for at in column] for column in cells)
        for name in ours:
            if ours[name].partition("/")[0] in ("val", "test") and name in part.columns:
                order = self._orders.setdefault(name, Order())
                for value, at, then in zip(part.columns[name], epoch, step, strict=True):
                    if is_finite(value):
                        order.add(at, then, value)
                        if self._before and order.rows == 1:
                            self.fell |= _is_before(order.said[-1], self._before)

    @property
    def wrong(self) -> dict[str, str]:
        """Names whose last row is no result by their order, and how they go."""
        return {name: one.way for name, one in self._orders.items() if one.way}

    @property
    def notes(self) -> list[str]:
        """The same for people."""
        return [f"{name}: rows go {how}: the last one is no result"
                for name, how in sorted(self.wrong.items())]  # fmt: skip

    @property
    def state(self) -> dict[str, Any]:
        """As JSON."""
        orders = {name: asdict(one) for name, one in self._orders.items()}
        return {"of": orders, "before": self._before, "fell": self.fell}

    def restore(self, state: Mapping[str, Any]) -> None:
        """The opposite of `state`."""
        self._orders = {name: Order.of(one) for name, one in state.get("of", {}).items()}
        self._before = tuple(state["before"]) if state.get("before") else None
        self.fell = bool(state.get("fell"))
