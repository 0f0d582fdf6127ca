"""The cells of an interactive chart: braille dots of curves, levels, and texts over them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from vitlab.plot.chart import MARKS
from vitlab.plot.labels import GREY, Written
from vitlab.plot.series import Range, Rgb, cells

Run = list[tuple[str, Rgb | None]]
"""One row of cells, in pieces of one colour."""
Columns = list[tuple[float, float, float, float] | None]
"""For each dot column the first, lowest, highest and last value, or None."""
GAP = (math.nan, math.nan, math.nan, math.nan)

_MARK_EVERY = 18
_COVERED = "covered"
"""The second cell of a wide character."""
DIM: Rgb = (90, 100, 110)
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille cell, by dot column and dot row."""
_FREE = ("", "-", "░", ":", "┊", "|")
"""Cells that a name may overwrite."""
_BARS = tuple(
    tuple(tuple(sum(dots[begin : end + 1]) for end in range(4)) for begin in range(4))
    for dots in _DOTS
)
"""Bits of a vertical bar in one cell: by dot column, first and last dot row."""


class DotGrid:
    """The cells between the axes."""

    def __init__(
        self, columns: int, rows: int, limits: Range, plain: bool, *, marked: bool = False
    ) -> None:
        """`marked`: curves bear letters, which tell them apart without colour."""
        self._columns, self._rows = columns, rows
        _, self._high = limits
        self._per = (4 * rows - 1) / (limits[1] - limits[0])
        self._beyond = 4 * rows + 2
        self._plain, self._marked = plain, marked
        self._bits = [[0] * columns for _ in range(rows)]
        self._own: set[tuple[int, int]] | None = None
        """Cells of the current curve if it covers earlier ones; None if it shares cells."""
        self._text: list[list[str]] = [[""] * columns for _ in range(rows)]
        self._color: list[list[Rgb | None]] = [[None] * columns for _ in range(rows)]

    def _dot(self, value: float) -> int:
        """The dot row of a value, from the top; values outside are just beyond the edge."""
        dot = int((self._high - value) * self._per + 0.5)
        return -2 if dot < 0 else self._beyond if dot > self._beyond else dot

    def row(self, value: float) -> int:
        """The row of a value; outside of the grid for one outside of its limits."""
        return self._dot(value) // 4

    def level(self, value: float, columns: int | None = None, color: Rgb = GREY) -> None:
        """A horizontal line, over some of the columns."""
        row, columns = self.row(value), self._columns if columns is None else columns
        if 0 <= row < self._rows:
            self._text[row][:columns] = ["-"] * columns
            self._color[row][:columns] = [color] * columns

    @property
    def height(self) -> int:
        return self._rows

    def is_drawn(self, row: int, column: int) -> bool:
        return bool(self._bits[row][column]) or self._text[row][column] not in _FREE

    def shade(self, spans: Sequence[tuple[float, float] | None]) -> None:
        """Fill the empty cells between two values in each column: an error band."""
        for column, span in enumerate(spans):
            if span is None:
                continue
            top, bottom = self._dot(span[1]) // 4, self._dot(span[0]) // 4
            for row in range(max(top, 0), min(bottom, self._rows - 1) + 1):
                if not self._bits[row][column] and self._text[row][column] in ("", "-"):
                    self._text[row][column] = ":" if self._plain else "░"
                    self._color[row][column] = DIM

    def name(self, column: int, text: str) -> bool:
        """Write a name in the first row at a column, and a tick below; False if it does not fit."""
        wide = cells(text)
        start = min(max(column - wide // 2, 0), self._columns - wide)
        around = self._text[0][max(start - 1, 0) : start + wide + 1]
        if start < 0 or any(part not in _FREE for part in around):
            return False
        for at, character in enumerate(text):
            self._text[0][start + at], self._color[0][start + at] = character, GREY
        if self._rows > 2 and not self._bits[1][column]:
            self._text[1][column], self._color[1][column] = "'", GREY
        return True

    def write(self, texts: Iterable[Written]) -> None:
        """Texts over other content."""
        for at in texts:
            column = at.column
            for character in at.text.replace("…", "~") if self._plain else at.text:
                wide = cells(character)
                self._text[at.row][column : column + wide] = [character, _COVERED][:wide]
                self._color[at.row][column : column + wide] = [at.color] * wide
                column += wide

    def cursor(self, column: int) -> None:
        for row in range(self._rows):
            if not self._bits[row][column]:
                self._text[row][column] = "|" if self._plain else "┊"
                self._color[row][column] = None

    def curve(self, columns: Columns, number: int, color: Rgb, *, over: bool = False) -> None:
        """Draw a curve by vertical strokes; a NaN column is a gap.

        `over`: it covers earlier content of its cells.
        """
        self._own = set() if over else None
        mark = MARKS[number % len(MARKS)]
        before: tuple[int, int] | None = None  # dot column, dot row
        rows = self._rows
        for at, column in enumerate(columns):
            if column is None:
                continue
            first, least, most, last = column
            if math.isnan(first):
                before = None
                continue
            entry = self._dot(first)
            if before is not None:
                self._join(before, (at, entry), color)
            if least == most:
                self._stroke(at, entry, entry, color)
                before = (at, entry)
            else:
                self._stroke(at, self._dot(most), self._dot(least), color)
                before = (at, self._dot(last))
            row = before[1] // 4
            due = (at // 2 - number * 3) % _MARK_EVERY == 0
            if (self._plain or (self._marked and due)) and 0 <= row < rows:
                self._text[row][at // 2] = mark
                self._color[row][at // 2] = color

    def _join(self, start: tuple[int, int], end: tuple[int, int], color: Rgb) -> None:
        (x0, y0), (x1, y1) = start, end
        wide = x1 - x0
        if wide == 1 and abs(y1 - y0) <= 1:
            return  # the dots already touch
        for x in range(x0, x1):
            a, b = y0 + (y1 - y0) * (x - x0) // wide, y0 + (y1 - y0) * (x + 1 - x0) // wide
            self._stroke(x, min(a, b), max(a, b), color)

    def _stroke(self, at: int, top: int, bottom: int, color: Rgb) -> None:
        column, bars = at // 2, _BARS[at % 2]
        top, bottom = max(top, 0), min(bottom, 4 * self._rows - 1)
        begin = top % 4
        for row in range(top // 4, bottom // 4 + 1):
            if self._own is not None and (row, column) not in self._own:
                self._own.add((row, column))
                self._bits[row][column], self._text[row][column] = 0, ""
            self._bits[row][column] |= bars[begin][min(bottom - 4 * row, 3)]
            self._color[row][column] = color
            if self._text[row][column] == "-":
                self._text[row][column] = ""
            begin = 0

    def rows(self) -> list[Run]:
        return [list(self._row(number)) for number in range(self._rows)]

    def _row(self, number: int) -> Iterator[tuple[str, Rgb | None]]:
        piece, ink = "", self._color[number][0]
        cells_of = zip(self._bits[number], self._text[number], self._color[number], strict=True)
        for bits, text, color in cells_of:
            if text is _COVERED:
                continue
            if bits and not text:
                text = "." if self._plain else chr(0x2800 + bits)
            if color != ink:
                yield piece, ink
                piece, ink = "", color
            piece += text or " "
        yield piece, ink
