"""Where the texts in a chart go: names at the ends of curves, levels named on their lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from vitlab.plot.series import Point, Rgb, cells, fit, shortened


class Marked(Protocol):
    """A curve that may have marks."""

    @property
    def best(self) -> Point | None: ...

    @property
    def test(self) -> Point | None: ...


GREY: Rgb = (140, 140, 140)
BEST, TEST = ("●", "B"), ("◆", "T")
"""The marks of a best value and of a test value, and the same in ASCII."""


def marks_key(curves: Sequence[Marked], *, ascii: bool) -> list[str]:  # noqa: A002
    """What the marks of these curves mean: `● best`."""
    return [
        *[f"{BEST[ascii]} best"] * any(one.best for one in curves),
        *[f"{TEST[ascii]} test"] * any(one.test for one in curves),
    ]


Cell = tuple[int, int]
"""Row and column, from the top left."""


@dataclass(frozen=True)
class End:
    """What is written at the end of a curve."""

    cell: Cell
    name: str
    color: Rgb
    letter: str = ""
    """Drawn at the end itself; empty where colours tell curves apart."""
    best: Cell | None = None
    test: Cell | None = None
    """The end of the run, in the row of its test value."""
    value: str = ""
    """Written after the name, and whole where that is cut."""


@dataclass(frozen=True)
class Written:
    """A text in a chart."""

    row: int
    column: int
    text: str
    color: Rgb


def _gap(letters: bool) -> int:
    """Columns from the end of a curve to its name; its test value and letter stand between."""
    return 4 if letters else 3


def margin(names: Sequence[str], columns: int, *, letters: bool) -> int:
    """Columns to keep free beside the curves, for the names of those that end there."""
    longest = max(map(cells, names), default=0)
    return min(longest + _gap(letters) - 1, columns // 3) if longest else 0


def annotate(
    rows: int,
    columns: int,
    beside: int,
    is_drawn: Callable[[int, int], bool],
    ends: Sequence[End],
    levels: Sequence[tuple[int, str]],
    *,
    ascii: bool,  # noqa: A002 - as in chart.draw
) -> list[Written]:
    """All texts of a chart of this size.

    From the column `beside` on there are no curves. `is_drawn`: whether a row and column has a
    curve. `ends`: the highest first. `levels`: a row and a label for each.
    """
    labels = _Labels(rows, columns, beside, is_drawn, _gap(any(end.letter for end in ends)))
    for end in ends:
        labels.mark(end, ascii)
    for row, label in sorted(levels):
        labels.add_level(row, label)
    named = sum(labels.add_name(end) for end in ends[: rows - (len(ends) > rows)])
    if named < len(ends):
        more = f"and {len(ends) - named} more"
        labels.place(more, GREY, [(row, columns - len(more)) for row in reversed(range(rows))])
    return labels.written


class _Labels:
    """Texts that never cover each other, and curves only where there is no other place."""

    def __init__(
        self,
        rows: int,
        columns: int,
        beside: int,
        is_drawn: Callable[[int, int], bool],
        gap: int,
    ) -> None:
        self.written: list[Written] = []
        self._rows, self._columns, self._beside = rows, columns, beside
        self._is_drawn, self._gap = is_drawn, gap
        self._marks: set[Cell] = set()
        self._texts: set[Cell] = set()

    def mark(self, end: End, ascii: bool) -> None:  # noqa: A002
        if end.best is not None:
            self._put_mark(*end.best, BEST[ascii], end.color)
        if end.test is not None:
            self._put_mark(end.test[0], end.test[1] + 1, TEST[ascii], end.color)
        if end.letter:
            self._put_mark(end.cell[0], end.cell[1] + 1, end.letter, end.color)

    def add_level(self, row: int, label: str) -> None:
        """On its line; where there is no place, near it."""
        text = fit(label, min(cells(label), self._beside))
        right = self._beside - cells(text)
        starts = (min(1, right), right, right // 2, right // 4, 3 * right // 4)
        near = sorted(range(self._rows), key=lambda other: abs(other - row))
        places = [(one, start) for one in near for start in starts]
        self.place(text, GREY, places[: len(starts)], places)

    def add_name(self, end: End) -> bool:
        """Near the end, or beside the curves near its row; False where there is no place."""
        most = max(self._columns - self._beside - self._gap + 1, 1)
        value = f" {end.value}" * bool(end.value)
        room = most - cells(value)
        if room < 1:
            value, room = "", most
        name = shortened(fit(end.name, cells(end.name)).rstrip(), room) + value
        return self.place(name, end.color, [*self._spots(end, cells(name))])

    def _spots(self, end: End, size: int) -> Iterator[Cell]:
        row, column = end.cell
        for by in (0, 1, -1, 2, -2):
            yield row + by, column + self._gap
        for by in (1, -1, 2, -2):
            yield row + by, column - size
        for by in (0, 1, -1, 2, -2, 3, -3, 4, -4):
            yield row + by, self._beside + self._gap - 1

    def _put_mark(self, row: int, column: int, text: str, color: Rgb) -> None:
        """In the cell, or the first free one after it: curves may end together."""
        while (row, column) in self._marks:
            column += 1
        if column < self._columns:
            self._marks.add((row, column))
            self.written.append(Written(row, column, text, color))

    def place(self, text: str, color: Rgb, *choices: Sequence[Cell]) -> bool:
        """Write at the first free place, else over curves, but over no text; whether it was."""
        for places in choices:
            for covers in (False, True):
                for row, column in places:
                    if self._is_free(row, column, cells(text), covers):
                        self._texts.update((row, column + at) for at in range(cells(text)))
                        self.written.append(Written(row, column, text, color))
                        return True
        return False

    def _is_free(self, row: int, column: int, size: int, covers: bool) -> bool:
        if not (0 <= row < self._rows and 0 <= column <= self._columns - size):
            return False
        inside = [(row, one) for one in range(column, column + size)]
        around = [(row, column - 1), *inside, (row, column + size)]
        return (
            self._texts.isdisjoint(around)
            and self._marks.isdisjoint(inside)
            and (covers or not any(self._is_drawn(*cell) for cell in inside))
        )
