"""The cells of a chart: curves in braille dots or in ASCII, levels, a cursor, names, a band."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vitlab.plot.cells import cells, fit
from vitlab.plot.chart import MARKS
from vitlab.plot.series import Rgb

Run = list[tuple[str, Rgb | None]]
"""One row of cells, in pieces of one colour."""
Range = tuple[float, float]


Columns = list[tuple[float, float, float, float] | None]
"""For each dot column first, lowest, highest and last value; None where there is none."""
GAP = (math.nan, math.nan, math.nan, math.nan)

_MARK_EVERY = 18
_COVERED = "covered"
"""The second cell of a wide character."""
GREY: Rgb = (140, 140, 140)
DIM: Rgb = (90, 100, 110)
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of a braille cell: by its dot column, then its dot row."""
_FREE = ("", "-", "░", ":", "┊", "|")
"""What may be written over by a name."""
_BARS = tuple(
    tuple(tuple(sum(dots[begin : end + 1]) for end in range(4)) for begin in range(4))
    for dots in _DOTS
)
"""Bits of a vertical bar in one cell: by dot column, first and last dot row."""


class DotGrid:
    """The cells between the axes."""

    def __init__(self, columns: int, rows: int, limits: Range, plain: bool) -> None:
        self._columns, self._rows = columns, rows
        self._low, self._high = limits
        self._per = (4 * rows - 1) / (limits[1] - limits[0])
        self._beyond = 4 * rows + 2
        self._plain = plain
        self._bits = [[0] * columns for _ in range(rows)]
        self._own: set[tuple[int, int]] | None = None
        """The cells of a curve that stands alone in its own; None for one that joins the others."""
        self._text: list[list[str]] = [[""] * columns for _ in range(rows)]
        self._color: list[list[Rgb | None]] = [[None] * columns for _ in range(rows)]

    def _dot(self, value: float) -> int:
        """The dot row of a value, from the top; outside values just beyond the edge."""
        dot = int((self._high - value) * self._per + 0.5)
        return -2 if dot < 0 else self._beyond if dot > self._beyond else dot

    def level(self, value: float) -> None:
        """A horizontal line."""
        row = self._dot(value) // 4
        if 0 <= row < self._rows:
            self._text[row] = ["-"] * self._columns
            self._color[row] = [GREY] * self._columns

    def shade(self, spans: Sequence[tuple[float, float] | None]) -> None:
        """Fill the empty cells between two values, by column: an error band."""
        for column, span in enumerate(spans):
            if span is None:
                continue
            top, bottom = self._dot(span[1]) // 4, self._dot(span[0]) // 4
            for row in range(max(top, 0), min(bottom, self._rows - 1) + 1):
                if not self._bits[row][column] and self._text[row][column] in ("", "-"):
                    self._text[row][column] = ":" if self._plain else "░"
                    self._color[row][column] = DIM

    def name(self, column: int, said: str) -> bool:
        """Words in the first row about a column, and a tick below; False where they hit others."""
        wide = cells(said)
        start = min(max(column - wide // 2, 0), self._columns - wide)
        around = self._text[0][max(start - 1, 0) : start + wide + 1]
        if start < 0 or any(part not in _FREE for part in around):
            return False
        for at, character in enumerate(said):
            self._text[0][start + at], self._color[0][start + at] = character, GREY
        if self._rows > 2 and not self._bits[1][column]:
            self._text[1][column], self._color[1][column] = "'", GREY
        return True

    def label(self, value: float, label: str) -> None:
        """A level's words at its right end, over whatever is there."""
        row = self._dot(value) // 4
        if not 0 <= row < self._rows:
            return
        said = fit(label, min(cells(label), self._columns // 2)).replace("…", "~")
        column = self._columns - cells(said)
        for character in said:
            wide = max(cells(character), 1)
            self._text[row][column : column + wide] = [character, _COVERED][:wide]
            self._color[row][column : column + wide] = [GREY] * wide
            column += wide

    def cursor(self, column: int) -> None:
        for row in range(self._rows):
            if not self._bits[row][column]:
                self._text[row][column] = "|" if self._plain else "┊"
                self._color[row][column] = None

    def curve(self, columns: Columns, number: int, color: Rgb, *, over: bool = False) -> None:
        """Join the columns' values by vertical strokes; a NaN column parts them.

        `over`: its cells show it alone, whatever was drawn there before.
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
            marked = self._plain or (at // 2 - number * 3) % _MARK_EVERY == 0
            if marked and 0 <= row < rows:
                self._text[row][at // 2] = mark
                self._color[row][at // 2] = color

    def _join(self, start: tuple[int, int], end: tuple[int, int], color: Rgb) -> None:
        (x0, y0), (x1, y1) = start, end
        wide = x1 - x0
        if wide == 1 and abs(y1 - y0) <= 1:
            return  # the dots touch by themselves
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
