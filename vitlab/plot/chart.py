"""A chart of curves and thresholds as a block of text, for any terminal."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitlab.plot.series import (
    Line,
    Point,
    Rgb,
    Segments,
    Series,
    cells,
    clip,
    decimate,
    fit,
    last_value,
    number,
    outside,
    robust_range,
    segments,
    tick_labels,
    ticks,
)

PALETTE: tuple[Rgb, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (213, 94, 0),
    (0, 114, 178),
    (170, 170, 170),
)
"""Okabe and Ito's colour-blind safe palette."""

MARKS = "ox+*#%@&"
"""One mark per curve, so that the legend can be read without colour."""

_LINE_COLOR: Rgb = (150, 150, 150)
_MARK_EVERY = 14
"""Columns between marks on a curve."""
_ASCII = str.maketrans("─│┌┐└┘├┤┬┴┼", "-|++++++++-")
_PLOTEXT = threading.Lock()
"""plotext has one global terminal, but charts may be drawn in several threads."""


@dataclass(frozen=True)
class _Curve:
    name: str
    mark: str
    color: Rgb
    runs: Segments
    last: float | None


def draw(
    series: Sequence[Series],
    lines: Sequence[Line],
    width: int,
    height: int,
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    y_range: tuple[float, float] | None = None,
    color: bool = True,
    ascii: bool = False,  # noqa: A002 - the usual name of the mode
) -> str:
    """`height` lines of `width` cells: title, plot, legend; with ANSI colours when `color`.

    Missing and non-finite values are gaps, any series may be empty, and it never raises. Without
    `y_range` outliers are cut, and the title says how many points.
    """
    if width < 1 or height < 1:
        return ""
    wholes = [segments(one) for one in series]
    drawn = [decimate(whole, max(width - 8, 1)) for whole in wholes]
    low, high = y_range or robust_range(
        [y for runs in drawn for run in runs for _, y in run], [line.value for line in lines]
    )
    cut = sum(outside(whole, low, high) for whole in wholes)
    curves = [
        _Curve(
            one.name,
            MARKS[i % len(MARKS)],
            one.color or PALETTE[i % len(PALETTE)],
            clip(runs, low, high),
            last_value(one),
        )
        for i, (one, runs) in enumerate(zip(series, drawn, strict=True))
    ]
    legend = _legend(curves, lines, width, max(1, height // 4), color)
    rows = height - len(legend) - 1
    head = _title(title, y_label, x_label, cut, (low, high), width)
    if rows < 5 or width < 24:
        body = [head, *legend]
    elif not any(curve.runs for curve in curves):
        body = [head, *_empty(width, rows), *legend]
    else:
        plot = _plot(curves, lines, (low, high), width, rows, color, ascii)
        body = [head, *plot, *legend]
    body = (body + [" " * width] * height)[:height]
    text = "\n".join(body)
    return text.translate(_ASCII).replace("…", "~") if ascii else text


def _plot(
    curves: Sequence[_Curve],
    lines: Sequence[Line],
    limits: tuple[float, float],
    width: int,
    height: int,
    color: bool,
    plain: bool,
) -> list[str]:
    import plotext

    xs = [x for curve in curves for run in curve.runs for x, _ in run]
    left, right = min(xs), max(xs)
    if right - left <= 1e-9 * max(abs(left), abs(right), 1e-9):
        left, right = left - 0.5, right + 0.5
    with _PLOTEXT:
        plotext.terminal.limit(False, False)
        figure = type(plotext.figure)(plotext.terminal)
        figure.plot_size(width, height)
        figure.theme("colorless")
        figure.legend(False)
        figure.axes(False, axis="x", side="upper")
        figure.axes(False, axis="y", side="right")
        for axis, side, (low, high), count in (
            ("x", "lower", (left, right), max(2, width // 12)),
            ("y", "left", limits, max(2, height * 2 // 5)),
        ):
            positions = ticks(low, high, count)
            ruler = figure.ruler(axis, side)
            ruler.lim(low, high).ticks(positions, tick_labels(positions))
        for line in lines:
            ends = [(left, line.value), (right, line.value)]
            _draw_run(figure, ends, "-", _LINE_COLOR)
        for curve in curves:
            for run in curve.runs:
                _draw_run(figure, run, "." if plain else "braille", curve.color)
        step = (right - left) * _MARK_EVERY / max(width - 8, 1)
        for i, curve in enumerate(curves):
            points = _marked(curve.runs, left + step * i / max(len(curves), 1), step, limits)
            _draw_points(figure, points, curve.mark, curve.color)
        text: str = figure.build().string(not color)
    return text.rstrip("\n").split("\n")


def _draw_run(figure: Any, run: Sequence[Point], marker: str, color: Rgb) -> None:
    import plotext

    ink = plotext.marker(marker, pixel=plotext.pixel(color))
    figure.draw(figure.signal([x for x, _ in run], [y for _, y in run], marker=ink).lines())


def _draw_points(figure: Any, points: Sequence[Point], mark: str, color: Rgb) -> None:
    import plotext

    ink = plotext.marker(mark, pixel=plotext.pixel(color, None, "bold"))
    figure.draw(figure.signal([x for x, _ in points], [y for _, y in points], marker=ink))


def _marked(runs: Segments, start: float, step: float, limits: tuple[float, float]) -> list[Point]:
    """The points of a curve that get a mark: one every `step` in x, and the last."""
    marked: list[Point] = []
    due = start
    for run in runs:
        for x, y in run:
            if x >= due and limits[0] <= y <= limits[1]:
                marked.append((x, y))
                due = x + step
    if runs and limits[0] <= runs[-1][-1][1] <= limits[1]:
        marked.append(runs[-1][-1])
    return marked


def _title(
    title: str, y_label: str, x_label: str, cut: int, limits: tuple[float, float], width: int
) -> str:
    left = "  ".join(part for part in (title, y_label) if part)
    notes = []
    if cut:
        # The curve shows which side is cut.
        points = "point" if cut == 1 else "points"
        notes.append(f"{cut} {points} outside {limits[0]:.3g}..{limits[1]:.3g}")
    if x_label:
        notes.append(f"x: {x_label}")
    right = ", ".join(notes)
    room = width - cells(right) - 1
    return fit(left, room) + " " + right if room >= 8 else fit(left, width)


def _legend(
    curves: Sequence[_Curve], lines: Sequence[Line], width: int, rows: int, color: bool
) -> list[str]:
    """Entries `mark name value` in at most `rows` rows."""
    entries = [(f"{c.mark} {c.name} {number(c.last)}", c.color) for c in curves]
    entries += [(f"-- {line.label}", _LINE_COLOR) for line in lines]
    packed: list[list[tuple[str, Rgb]]] = [[]]
    used = 0
    for text, ink in entries:
        text = fit(text, min(width, cells(text)))
        if packed[-1] and used + cells(text) > width:
            packed.append([])
            used = 0
        packed[-1].append((text, ink))
        used += cells(text) + 3
    hidden = sum(len(row) for row in packed[rows:])
    if hidden:
        last = packed[rows - 1]
        while len(last) > 1 and sum(cells(t) + 3 for t, _ in last) + 10 > width:
            last.pop()
            hidden += 1
        last.append((f"and {hidden} more", _LINE_COLOR))
    return [_painted(row, width, color) for row in packed[:rows] if row]


def _painted(row: Sequence[tuple[str, Rgb]], width: int, color: bool) -> str:
    painted, used = "", 0
    for i, (text, ink) in enumerate(row):
        text = fit(text, max(0, min(cells(text), width - used - (3 if i else 0))))
        if i and text:
            painted, used = painted + "   ", used + 3
        used += cells(text)
        r, g, b = ink
        painted += f"\x1b[38;2;{r};{g};{b}m{text}\x1b[0m" if color and text else text
    return painted + " " * (width - used)


def _empty(width: int, rows: int) -> list[str]:
    blank = [" " * width] * rows
    blank[rows // 2] = "no values yet".center(width)
    return blank
