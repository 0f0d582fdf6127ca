"""A stretch of a spectrum, cell by cell: curves over a noise band, with the lines by name."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from vitlab.plot.canvas import (
    GREY,
    LEFT,
    Columns,
    Curve,
    DotGrid,
    Folds,
    Look,
    Range,
    Run,
    fold,
    whole,
    x_labels,
    y_labels,
)
from vitlab.plot.series import Rgb

NAMED = 1500.0
"""Angstrom shown up to which all lines are named; beyond, the strong ones alone."""
TAIL = 0.03
"""Share of the observed pixels beyond either end of the range shown."""


@dataclass(frozen=True)
class Named:
    """A place on the x axis with a name."""

    x: float
    name: str
    rank: int = 0
    """The lower come first where there is no room for all; 1 only when near."""


@dataclass(frozen=True)
class Panel:
    """One chart of the stack."""

    curves: Sequence[Curve]
    band: tuple[Curve, Curve] | None = None
    """Lower and upper edge of an error band."""
    names: Sequence[Named] = ()
    signed: bool = False
    """The range reaches as far below 0 as above, and 0 is a line."""


def curve(name: str, x: Sequence[float], y: Sequence[float], color: Rgb) -> Curve:
    """A curve of the finite values; the others are gaps."""
    known = [i for i, value in enumerate(y) if math.isfinite(value)]
    missing = [x[i] for i, value in enumerate(y) if not math.isfinite(value)]
    return Curve(name, [x[i] for i in known], [y[i] for i in known], color, missing)


def paint_panel(
    panel: Panel, look: Look, width: int, height: int, folds: Folds, *, axis: bool
) -> list[Run]:
    """`height` rows of `width` cells; the last says the wavelengths where `axis` is set.

    `folds`: what was folded before, kept by whoever draws the same curves again.
    """
    columns, rows = width - LEFT, height - axis
    if columns < 8 or rows < 2:
        return [[(" " * width, None)]] * height
    window = look.window or whole(panel.curves)
    folded = [_folded(one, window, columns, folds) for one in panel.curves]
    limits = _mirrored(folded) if panel.signed else _limits(panel.curves, window)
    grid = DotGrid(columns, rows, limits, look.plain)
    if panel.signed:
        grid.level(0.0)
    for number, (one, column) in enumerate(zip(panel.curves, folded, strict=True)):
        grid.curve(column, number, one.color, over=number > 0)
    if panel.band is not None:
        low, high = (_folded(edge, window, columns, folds) for edge in panel.band)
        grid.shade([_span(low, high, at) for at in range(columns)])
    if look.cursor is not None and window[0] <= look.cursor <= window[1]:
        grid.cursor(_column(look.cursor, window, columns))
    _name(grid, panel.names, window, columns)
    body = grid.rows()
    labels = y_labels(limits, rows, log=False)
    edge = "|" if look.plain else "│"
    for row, pieces in enumerate(body):
        pieces.insert(0, (f"{labels.get(row, ''):>{LEFT - 2}} {edge}", GREY))
    return [*body, [(x_labels(window, columns, width), GREY)]] if axis else body


def _folded(one: Curve, window: Range, columns: int, folds: Folds) -> Columns:
    key = (id(one), window, 2 * columns, False)
    if key not in folds:
        folds[key] = fold(one, window, 2 * columns, log=False)
    return folds[key]


def _mirrored(folded: Sequence[Columns]) -> Range:
    """As far below 0 as above."""
    values = [
        abs(value)
        for columns in folded
        for column in columns
        if column is not None and not math.isnan(column[0])
        for value in column[1:3]
    ]
    most = max(values, default=0.0) or 1.0
    return -1.05 * most, 1.05 * most


def _limits(curves: Sequence[Curve], window: Range) -> Range:
    """All of the curves but the first, which is noisy: of it what lies between two quantiles.

    A few pixels under bright sky lines are ten times noisier than the rest.
    """
    low, high = math.inf, -math.inf
    for number, one in enumerate(curves):
        ys = sorted(one.y[visible(one.x, window)])
        cut = len(ys) * TAIL if number == 0 and len(ys) > 2 else 0
        if ys:
            low, high = min(low, ys[int(cut)]), max(high, ys[-1 - int(cut)])
    if low > high:
        return 0.0, 1.0
    margin = (high - low) * 0.08 or 0.05
    return low - margin, high + margin


def _span(low: Columns, high: Columns, at: int) -> Range | None:
    """Where the band lies in a column of cells: from its lowest to its highest place."""
    under = [part[1] for part in low[2 * at : 2 * at + 2] if part is not None]
    over = [part[2] for part in high[2 * at : 2 * at + 2] if part is not None]
    known = [value for value in (*under, *over) if math.isfinite(value)]
    return (min(known), max(known)) if under and over and known else None


def _column(x: float, window: Range, columns: int) -> int:
    share = (x - window[0]) / (window[1] - window[0])
    return min(max(int(share * columns), 0), columns - 1)


def _name(grid: DotGrid, names: Sequence[Named], window: Range, columns: int) -> None:
    """As many names as there is room for, the strong ones first."""
    near = window[1] - window[0] <= NAMED
    inside = [one for one in names if window[0] <= one.x <= window[1]]
    for one in sorted(inside, key=lambda one: one.rank):
        if one.rank != 1 or near:
            grid.name(_column(one.x, window, columns), one.name)


def nearest_pixel(wave: Sequence[float], x: float) -> int:
    """The pixel whose wavelength is nearest; `wave` rises."""
    after = min(bisect_left(wave, x), len(wave) - 1)
    before = max(after - 1, 0)
    return before if x - wave[before] < wave[after] - x else after


def visible(wave: Sequence[float], window: Range) -> slice:
    """The pixels inside a window."""
    return slice(bisect_left(wave, window[0]), bisect_right(wave, window[1]))
