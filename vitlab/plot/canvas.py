"""Interactive charts, drawn cell by cell: curves or a spectrum with a window and a cursor.

Needed for speed: plotext takes 100 ms for ten curves, too slow for moving a cursor.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vitlab.plot.chart import MARKS
from vitlab.plot.grid import GAP, Columns, DotGrid, Run
from vitlab.plot.labels import GREY, Cell, End, annotate, margin
from vitlab.plot.series import (
    Line,
    Point,
    Range,
    Rgb,
    robust_range,
    tick_labels,
    ticks,
)

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
    best: Point | None = None
    test: Point | None = None
    level: bool = False
    """As in `series.Series`."""


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
    x_range: Range | None = None
    """What is shown without a window; None: all curves."""
    named: bool = False
    """Names stand at the ends of curves, and letters only there."""


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
    letters: bool = False
    """Letters tell curves apart where there is no colour."""


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
    rows = height - axis
    window = look.window or panel.x_range or whole(panel.curves)
    layout = _layout(panel, look, width, rows, window, {} if folds is None else folds)
    if layout is None:
        return [[(" " * width, None)]] * height
    left, columns, limits = width - layout.columns, layout.curves, layout.limits
    marked = look.letters and not panel.named
    grid = DotGrid(layout.columns, rows, limits, look.plain, marked=marked)
    for level in [level for level, _ in layout.levels] + [0.0] * (panel.scale == "signed"):
        grid.level(level, columns)
    for number, (one, column) in enumerate(zip(panel.curves, layout.folded, strict=True)):
        if not one.level:
            grid.curve(column, number, one.color, over=number > 0 and panel.scale != "robust")
        elif one.y and (at := _scaled(one.y[-1], look.log)) is not None:
            grid.level(at, columns, one.color)
    if layout.band is not None:
        grid.shade([_span(*layout.band, at) for at in range(columns)])
    if look.cursor is not None and window[0] <= look.cursor <= window[1]:
        grid.cursor(_column(look.cursor, window, columns))
    levels = [(row, name) for y, name in layout.levels if 0 <= (row := grid.row(y)) < rows]
    ends = _ends(panel, look, grid, window, columns) if panel.named else []
    grid.write(
        annotate(rows, layout.columns, columns, grid.is_drawn, ends, levels, ascii=look.plain)
    )
    _write_names(grid, panel.names, window, columns)
    body = grid.rows()
    edge = "|" if look.plain else "│"
    for row, pieces in enumerate(body):
        pieces.insert(0, (f"{layout.labels.get(row, ''):>{left - 2}} {edge}", GREY))
    return [*body, [(x_labels(window, columns, left, width), GREY)]] if axis else body


@dataclass(frozen=True)
class _Layout:
    columns: int
    """Between the axis of y and the right edge."""
    curves: int
    """Those of them that curves may use."""
    folded: Sequence[Columns]
    band: tuple[Columns, Columns] | None
    levels: Sequence[tuple[float, str]]
    limits: Range
    labels: dict[int, str]


def _layout(
    panel: Panel, look: Look, width: int, rows: int, window: Range, folds: Folds
) -> _Layout | None:
    """Where things are; None where there is no room."""
    scaled = [(_scaled(line.value, look.log), line.label) for line in panel.lines]
    levels = [(level, label) for level, label in scaled if level is not None]
    left = LEFT
    while width - left >= 8 and rows >= 2:
        columns = curve_columns(panel, look, width - left)
        folded = [_folded(one, window, columns, look.log, folds) for one in panel.curves]
        limits = _limits(panel, folded, [level for level, _ in levels], window)
        labels = y_labels(limits, rows, look.log)
        longest = max(map(len, labels.values()), default=0) + 2
        if longest <= left:
            band = panel.band and (
                _folded(panel.band[0], window, columns, look.log, folds),
                _folded(panel.band[1], window, columns, look.log, folds),
            )
            return _Layout(width - left, columns, folded, band, levels, limits, labels)
        left = longest
    return None


def curve_columns(panel: Panel, look: Look, columns: int) -> int:
    """Those of the columns that curves may use; the names at their ends have the others."""
    names = [one.name for one in panel.curves if panel.named]
    return columns - margin(names, columns, letters=look.letters)


def _ends(panel: Panel, look: Look, grid: DotGrid, window: Range, columns: int) -> list[End]:
    """What stands at the ends of the curves that are in the window."""

    def cell(point: Point | None) -> Cell | None:
        y = None if point is None else _scaled(point[1], look.log)
        if point is None or y is None or not window[0] <= point[0] <= window[1]:
            return None
        row = grid.row(y)
        return (row, _column(point[0], window, columns)) if 0 <= row < grid.height else None

    ends: list[tuple[float, End]] = []
    for number, one in enumerate(panel.curves):
        last = bisect_right(one.x, window[1]) - 1
        point = (one.x[last], one.y[last]) if last >= 0 else one.test
        if one.level:
            point = (window[1], one.y[-1]) if one.y else None
        end = cell(point)
        if end is not None and point is not None:
            letter = MARKS[number % len(MARKS)] if look.letters else ""
            written = End(end, one.name, one.color, letter, cell(one.best), cell(one.test))
            ends.append((point[1], written))
    return [end for _, end in sorted(ends, key=lambda pair: -pair[0])]


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
    positions = ticks(low, high, max(3, rows // 4), rows)
    names = tick_labels(positions)
    if log:
        values, names = _log_ticks(low, high, rows)
        positions = [math.log10(value) for value in values]
    per = (4 * rows - 1) / (high - low)  # as `DotGrid` has it, or a label would be a row off
    return {
        int((high - position) * per + 0.5) // 4: name
        for position, name in zip(positions, names, strict=True)
    }


def _log_ticks(low: float, high: float, rows: int) -> tuple[list[float], list[str]]:
    """Values between two powers of ten: powers, also 2 and 5 times them, or steps; with labels."""
    for factors in ((1,), (1, 2, 5)):
        powers = range(math.floor(low), math.ceil(high) + 1)
        values = [factor * 10.0**power for power in powers for factor in factors]
        inside = [value for value in values if low <= math.log10(value) <= high]
        if len(inside) > 2:
            return inside, [f"{value:g}" for value in inside]
    steps = ticks(10**low, 10**high, max(5, rows // 4), rows)
    return steps, tick_labels(steps)


def x_labels(window: Range, columns: int, left: int, width: int) -> str:
    low, high = window
    positions = ticks(low, high, max(2, columns // 12))
    text = " " * width
    for position, name in zip(positions, tick_labels(positions), strict=True):
        at = left + round((position - low) / (high - low) * (columns - 1))
        at = min(max(at - len(name) // 2, 0), width - len(name))
        if not text[max(at - 1, 0) : at + len(name) + 1].strip():
            text = text[:at] + name + text[at + len(name) :]
    return text
