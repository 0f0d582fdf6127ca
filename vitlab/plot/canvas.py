"""A chart drawn cell by cell: windows, log axes and a cursor over many long curves, in a blink.

plotext takes 100 ms for ten curves; whoever moves a cursor by the keyboard waits for each frame.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from vitlab.plot.dots import GAP, GREY, Columns, DotGrid, Range, Run
from vitlab.plot.series import Line, Rgb, robust_range, tick_labels, ticks

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
