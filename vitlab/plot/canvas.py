"""Interactive charts, drawn cell by cell: curves or a spectrum with a window and a cursor.

Needed for speed: plotext takes 100 ms for ten curves, too slow for moving a cursor.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from vitlab.plot.chart import MARKS
from vitlab.plot.series import Line, Rgb, cells, fit, robust_range, tick_labels, ticks

Run = list[tuple[str, Rgb | None]]
"""One row of cells, in pieces of one colour."""
Range = tuple[float, float]
Columns = list[tuple[float, float, float, float] | None]
"""For each dot column the first, lowest, highest and last value, or None."""
GAP = (math.nan, math.nan, math.nan, math.nan)

_MARK_EVERY = 18
_COVERED = "covered"
"""The second cell of a wide character."""
GREY: Rgb = (140, 140, 140)
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

    def __init__(self, columns: int, rows: int, limits: Range, plain: bool) -> None:
        self._columns, self._rows = columns, rows
        self._low, self._high = limits
        self._per = (4 * rows - 1) / (limits[1] - limits[0])
        self._beyond = 4 * rows + 2
        self._plain = plain
        self._bits = [[0] * columns for _ in range(rows)]
        self._own: set[tuple[int, int]] | None = None
        """Cells of the current curve if it covers earlier ones; None if it shares cells."""
        self._text: list[list[str]] = [[""] * columns for _ in range(rows)]
        self._color: list[list[Rgb | None]] = [[None] * columns for _ in range(rows)]

    def _dot(self, value: float) -> int:
        """The dot row of a value, from the top; values outside are just beyond the edge."""
        dot = int((self._high - value) * self._per + 0.5)
        return -2 if dot < 0 else self._beyond if dot > self._beyond else dot

    def level(self, value: float) -> None:
        """A horizontal line."""
        row = self._dot(value) // 4
        if 0 <= row < self._rows:
            self._text[row] = ["-"] * self._columns
            self._color[row] = [GREY] * self._columns

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

    def label(self, value: float, label: str) -> None:
        """A level's label at its right end, over other content."""
        row = self._dot(value) // 4
        if not 0 <= row < self._rows:
            return
        text = fit(label, min(cells(label), self._columns // 2)).replace("…", "~")
        column = self._columns - cells(text)
        for character in text:
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
            marked = self._plain or (at // 2 - number * 3) % _MARK_EVERY == 0
            if marked and 0 <= row < rows:
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


LEFT = 8
"""Width of the y labels."""
ALL_NAMED = 1500.0
"""Maximum window, in x, that shows all names; a wider one shows only ranks 0 and 2."""
TRIM = 0.03
"""Fraction of the noisy curve's values beyond either end of a `trimmed` range."""


@dataclass(frozen=True)
class Curve:
    """One curve; x ascending, y finite."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    color: Rgb
    gaps: Sequence[float] = ()
    """x of missing values: the curve is not joined across them."""


def curve(name: str, x: Sequence[float], y: Sequence[float], color: Rgb) -> Curve:
    """A curve of the finite values, with gaps for the others."""
    known = [i for i, value in enumerate(y) if math.isfinite(value)]
    missing = [x[i] for i, value in enumerate(y) if not math.isfinite(value)]
    return Curve(name, [x[i] for i in known], [y[i] for i in known], color, missing)


@dataclass(frozen=True)
class Named:
    """A position on the x axis with a name."""

    x: float
    name: str
    rank: int = 0
    """Lower ranks first if there is no room for all; 1 only in a narrow window."""


@dataclass(frozen=True)
class Panel:
    """One chart."""

    curves: Sequence[Curve]
    lines: Sequence[Line] = ()
    """Horizontal levels."""
    band: tuple[Curve, Curve] | None = None
    """Lower and upper edge of an error band."""
    names: Sequence[Named] = ()
    scale: Literal["robust", "trimmed", "signed"] = "robust"
    """The y range. robust: `series.robust_range`; trimmed: all curves, but without outliers of the
    first, noisy one; signed: symmetric about 0, with a line there. Except for `robust` each curve
    covers earlier ones."""


@dataclass(frozen=True)
class Look:
    """How the curves are shown."""

    window: Range | None = None
    """The x range shown; None shows all."""
    log: bool = False
    """Logarithmic y axis; values that are not positive are gaps."""
    cursor: float | None = None
    """x of a vertical line."""
    plain: bool = False
    """ASCII only."""


Folds = dict[tuple[int, Range, int, bool], Columns]
"""A cache of folded curves, kept by the caller between draws."""


def whole(curves: Sequence[Curve]) -> Range:
    """The x range of all curves."""
    ends = [(one.x[0], one.x[-1]) for one in curves if len(one.x)]
    low, high = min((a for a, _ in ends), default=0.0), max((b for _, b in ends), default=1.0)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def visible(x: Sequence[float], window: Range) -> slice:
    """The indices of the ascending `x` inside a window."""
    return slice(bisect_left(x, window[0]), bisect_right(x, window[1]))


def nearest(x: Sequence[float], position: float) -> int:
    """The index of the element of the ascending `x` nearest to a position."""
    after = min(bisect_left(x, position), len(x) - 1)
    before = max(after - 1, 0)
    return before if position - x[before] < x[after] - position else after


def paint(
    panel: Panel,
    look: Look,
    width: int,
    height: int,
    folds: Folds | None = None,
    *,
    axis: bool = True,
) -> list[Run]:
    """`height` rows of `width` cells; the last has the x labels where `axis` is set."""
    columns, rows = width - LEFT, height - axis
    if columns < 8 or rows < 2:
        return [[(" " * width, None)]] * height
    window = look.window or whole(panel.curves)
    folds = {} if folds is None else folds
    folded = [_folded(one, window, columns, look.log, folds) for one in panel.curves]
    lines = [(_scaled(line.value, look.log), line.label) for line in panel.lines]
    levels = [(level, label) for level, label in lines if level is not None]
    limits = _limits(panel, folded, [level for level, _ in levels], window)
    grid = DotGrid(columns, rows, limits, look.plain)
    for level in [level for level, _ in levels] + [0.0] * (panel.scale == "signed"):
        grid.level(level)
    for number, (one, column) in enumerate(zip(panel.curves, folded, strict=True)):
        grid.curve(column, number, one.color, over=number > 0 and panel.scale != "robust")
    if panel.band is not None:
        low, high = (_folded(edge, window, columns, look.log, folds) for edge in panel.band)
        grid.shade([_span(low, high, at) for at in range(columns)])
    if look.cursor is not None and window[0] <= look.cursor <= window[1]:
        grid.cursor(_column(look.cursor, window, columns))
    for level, label in levels:
        grid.label(level, label)
    _write_names(grid, panel.names, window, columns)
    body = grid.rows()
    labels = y_labels(limits, rows, look.log)
    edge = "|" if look.plain else "│"
    for row, pieces in enumerate(body):
        pieces.insert(0, (f"{labels.get(row, ''):>{LEFT - 2}} {edge}", GREY))
    return [*body, [(x_labels(window, columns, width), GREY)]] if axis else body


def hidden_by_log(curves: Sequence[Curve], look: Look) -> int:
    """How many values of the window a logarithmic y axis cannot show."""
    if not look.log:
        return 0
    window = look.window or whole(curves)
    return sum(sum(y <= 0 for y in one.y[visible(one.x, window)]) for one in curves)


def _column(x: float, window: Range, columns: int) -> int:
    share = (x - window[0]) / (window[1] - window[0])
    return min(max(int(share * columns), 0), columns - 1)


def _scaled(value: float, log: bool) -> float | None:
    if not math.isfinite(value) or (log and value <= 0):
        return None
    return math.log10(value) if log else max(min(value, 1e12), -1e12)


def _folded(one: Curve, window: Range, columns: int, log: bool, folds: Folds) -> Columns:
    key = (id(one), window, 2 * columns, log)
    if key not in folds:
        folds[key] = fold(one, window, 2 * columns, log)
    return folds[key]


def fold(one: Curve, window: Range, count: int, log: bool) -> Columns:
    """The curve's values reduced to at most four per dot column."""
    low, high = window
    wide = (high - low) / count
    folded: Columns = [None] * count
    xs, ys = one.x, one.y
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
    for x in one.gaps:
        if low <= x <= high:
            column = min(int((x - low) / wide), count - 1)
            folded[column] = folded[column] or GAP
    return folded


def _limits(
    panel: Panel, folded: Sequence[Columns], levels: Sequence[float], window: Range
) -> Range:
    if panel.scale == "trimmed":
        return _trimmed(panel.curves, window)
    values = [
        value
        for columns in folded
        for column in columns
        if column is not None and not math.isnan(column[0])
        for value in column[1:3]
    ]
    if panel.scale == "robust":
        return robust_range(values, levels)
    most = max(map(abs, values), default=0.0) or 1.0
    return -1.05 * most, 1.05 * most


def _trimmed(curves: Sequence[Curve], window: Range) -> Range:
    """The range of all curves; of the first, which is noisy, only what lies between two quantiles.

    A few pixels under bright sky lines are ten times noisier than the rest.
    """
    low, high = math.inf, -math.inf
    for number, one in enumerate(curves):
        ys = sorted(one.y[visible(one.x, window)])
        cut = len(ys) * TRIM if number == 0 and len(ys) > 2 else 0
        if ys:
            low, high = min(low, ys[int(cut)]), max(high, ys[-1 - int(cut)])
    if low > high:
        return 0.0, 1.0
    margin = (high - low) * 0.08 or 0.05
    return low - margin, high + margin


def _span(low: Columns, high: Columns, at: int) -> Range | None:
    """The lowest and highest value of a band in a column of cells."""
    under = [part[1] for part in low[2 * at : 2 * at + 2] if part is not None]
    over = [part[2] for part in high[2 * at : 2 * at + 2] if part is not None]
    known = [value for value in (*under, *over) if math.isfinite(value)]
    return (min(known), max(known)) if under and over and known else None


def _write_names(grid: DotGrid, names: Sequence[Named], window: Range, columns: int) -> None:
    """Write as many names as there is room for, lower ranks first."""
    narrow = window[1] - window[0] <= ALL_NAMED
    inside = [one for one in names if window[0] <= one.x <= window[1]]
    for one in sorted(inside, key=lambda one: one.rank):
        if one.rank != 1 or narrow:
            grid.name(_column(one.x, window, columns), one.name)


def y_labels(limits: Range, rows: int, log: bool) -> dict[int, str]:
    """Row -> tick label."""
    low, high = limits
    positions = ticks(low, high, max(2, rows // 4))
    if log:
        whole_powers = [float(p) for p in range(math.ceil(low), math.floor(high) + 1)]
        positions = whole_powers if len(whole_powers) > 1 else positions
        names = [f"{10**position:.2g}" for position in positions]
    else:
        names = tick_labels(positions)
    per = (4 * rows - 1) / (high - low)  # as `DotGrid` has it, or a label would be a row off
    return {
        int((high - position) * per + 0.5) // 4: name[: LEFT - 2]
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
