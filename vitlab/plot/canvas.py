"""A chart drawn cell by cell: windows, log axes and a cursor over many long curves.

plotext takes 100 ms for ten curves; whoever moves a cursor by the keyboard waits for each frame.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vitlab.plot.chart import MARKS
from vitlab.plot.series import Line, Rgb, cells, fit, robust_range, tick_labels, ticks

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


LEFT = 8
"""Cells of the y labels."""


@dataclass(frozen=True)
class Curve:
    """One curve; x ascending, y finite."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: Rgb
    gaps: Sequence[float] = ()
    """x of missing values: the curve is not joined across them."""


@dataclass(frozen=True)
class Look:
    """How the curves are looked at."""

    window: Range | None = None
    """The part of x shown; None shows all."""
    log: bool = False
    """y by powers of ten; what is not positive is a gap."""
    cursor: float | None = None
    """Where a vertical line stands, in x."""
    plain: bool = False
    """ASCII only."""


Folds = dict[tuple[int, Range, int, bool], Columns]


def whole(curves: Sequence[Curve]) -> Range:
    """The x range of all curves."""
    ends = [(curve.x[0], curve.x[-1]) for curve in curves if len(curve.x)]
    low, high = min((a for a, _ in ends), default=0.0), max((b for _, b in ends), default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def paint(
    curves: Sequence[Curve],
    lines: Sequence[Line],
    look: Look,
    width: int,
    height: int,
    folds: Folds | None = None,
) -> list[Run]:
    """`height` rows of `width` cells: curves, levels, cursor, both axes.

    `folds`: what was folded before, kept by whoever draws the same curves again.
    """
    columns, rows = width - LEFT, height - 1
    if columns < 8 or rows < 3:
        return [[(" " * width, None)]] * height
    window = look.window or whole(curves)
    folds = {} if folds is None else folds
    folded = []
    for curve in curves:
        key = (id(curve), window, 2 * columns, look.log)
        if key not in folds:
            folds[key] = fold(curve, window, 2 * columns, look.log)
        folded.append(folds[key])
    levels = [(_scaled(line.value, look.log), line.label) for line in lines]
    known = [(level, label) for level, label in levels if level is not None]
    limits = _limits(folded, [level for level, _ in known])
    grid = DotGrid(columns, rows, limits, look.plain)
    for level, _ in known:
        grid.level(level)
    for number, (curve, column) in enumerate(zip(curves, folded, strict=True)):
        grid.curve(column, number, curve.color)
    if look.cursor is not None and window[0] <= look.cursor <= window[1]:
        share = (look.cursor - window[0]) / (window[1] - window[0])
        grid.cursor(min(round(share * columns), columns - 1))
    for level, label in known:
        grid.label(level, label)
    body = grid.rows()
    labels = y_labels(limits, rows, look.log)
    edge = "|" if look.plain else "│"
    for row, pieces in enumerate(body):
        pieces.insert(0, (f"{labels.get(row, ''):>{LEFT - 2}} {edge}", GREY))
    return [*body, [(x_labels(window, columns, width), GREY)]]


def _scaled(value: float, log: bool) -> float | None:
    if not math.isfinite(value) or (log and value <= 0):
        return None
    return math.log10(value) if log else max(min(value, 1e12), -1e12)


def fold(curve: Curve, window: Range, count: int, log: bool) -> Columns:
    """The curve's values by dot column: no more than four of them each, however many there are."""
    low, high = window
    wide = (high - low) / count
    folded: Columns = [None] * count
    xs, ys = curve.x, curve.y
    end = bisect_left(xs, low)
    last = bisect_right(xs, high)
    while end < last:
        column = min(int((xs[end] - low) / wide), count - 1)
        begin, end = end, last
        if column < count - 1:
            end = max(bisect_left(xs, low + (column + 1) * wide, begin, last), begin + 1)
        part = ys[begin:end]
        if log:
            part = [math.log10(y) for y in part if y > 0]
            if not part:
                continue
        folded[column] = (part[0], min(part), max(part), part[-1])
    for x in curve.gaps:
        if low <= x <= high:
            column = min(int((x - low) / wide), count - 1)
            folded[column] = folded[column] or GAP
    return folded


def _limits(folded: Sequence[Columns], levels: Sequence[float]) -> Range:
    values = [
        value
        for columns in folded
        for column in columns
        if column is not None and not math.isnan(column[0])
        for value in column[1:3]
    ]
    return robust_range(values, levels)


def y_labels(limits: Range, rows: int, log: bool) -> dict[int, str]:
    """Row -> label, where a tick stands."""
    low, high = limits
    positions = ticks(low, high, max(2, rows // 4))
    if log:
        whole_powers = [float(p) for p in range(math.ceil(low), math.floor(high) + 1)]
        positions = whole_powers if len(whole_powers) > 1 else positions
        names = [f"{10**position:.2g}" for position in positions]
    else:
        names = tick_labels(positions)
    span = high - low
    return {
        round((high - position) / span * (rows - 1)): name[: LEFT - 2]
        for position, name in zip(positions, names, strict=True)
    }


def x_labels(window: Range, columns: int, width: int) -> str:
    low, high = window
    positions = ticks(low, high, max(2, columns // 12))
    text = " " * width
    for position, name in zip(positions, tick_labels(positions), strict=True):
        at = LEFT + round((position - low) / (high - low) * (columns - 1))
        at = min(max(at - len(name) // 2, 0), width - len(name))
        if not text[max(at - 1, 0) : at + len(name) + 1].strip():
            text = text[:at] + name + text[at + len(name) :]
    return text
