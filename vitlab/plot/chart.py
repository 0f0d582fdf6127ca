"""A chart of curves and thresholds as a block of text, for any terminal."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vitlab.plot.labels import GREY, Cell, End, Written, annotate, margin, marks_key
from vitlab.plot.series import (
    Line,
    Point,
    Range,
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
"""One letter a curve, to tell them apart without colour."""

_MARK_EVERY = 14
"""Columns between marks on a curve."""
_ASCII = str.maketrans("─│┌┐└┘├┤┬┴┼", "-|++++++++-")
_FILL = "\uffff"
"""Stands for the second cell of a wide character, as plotext counts characters."""
_PLOTEXT = threading.Lock()
"""plotext has one global terminal, but charts may be drawn in several threads."""


@dataclass(frozen=True)
class _Curve:
    name: str
    value: str
    """Its last one."""
    mark: str
    color: Rgb
    runs: Segments
    """Empty for a level, and where there are no values."""
    end: Point | None
    best: Point | None
    test: Point | None
    level: bool


@dataclass(frozen=True)
class _Frame:
    """How values become cells between the axes."""

    x: Range
    y: Range
    rows: int
    columns: int
    """Those of the curves, without the margin for names."""

    def cell(self, point: Point) -> Cell:
        across = (point[0] - self.x[0]) / (self.x[1] - self.x[0])
        down = (self.y[1] - point[1]) / (self.y[1] - self.y[0])
        return _nearest(down, self.rows), _nearest(across, self.columns)

    def visible(self, point: Point | None) -> Cell | None:
        """The cell of a point; None where it is outside the range of y."""
        if point is None or not self.y[0] <= point[1] <= self.y[1]:
            return None
        return self.cell(point)


def _nearest(share: float, count: int) -> int:
    return math.floor(min(max(share, 0.0), 1.0) * (count - 1) + 0.5)


def draw(
    series: Sequence[Series],
    lines: Sequence[Line],
    width: int,
    height: int,
    *,
    title: str = "",
    x_label: str = "",
    y_label: str = "",
    x_range: Range | None = None,
    y_range: Range | None = None,
    legend: bool = False,
    color: bool = True,
    ascii: bool = False,  # noqa: A002 - the usual name of the mode
) -> str:
    """`height` lines of `width` cells: title and plot; with ANSI colours when `color`.

    Curves are named at their ends; with `legend`, for points without an order, below the plot, and
    letters along each tell them apart. Missing and non-finite values are gaps, any series may be
    empty, and it never raises. Without `y_range` outliers are cut, and the title says how many
    points.
    """
    if width < 1 or height < 1:
        return ""
    wholes = [[] if one.level else segments(one) for one in series]
    drawn = [decimate(whole, max(width - 8, 1)) for whole in wholes]
    curves = [_curve(i, one, drawn[i]) for i, one in enumerate(series)]
    values = [y for runs in drawn for run in runs for _, y in run]
    values += [one.test[1] for one in curves if one.test is not None]
    levels = [one.end[1] for one in curves if one.level and one.end is not None]
    limits = y_range or robust_range(values, [*levels, *(line.value for line in lines)])
    cut = sum(outside(whole, *limits) for whole in wholes)
    below = _legend(curves, lines, width, max(1, height // 4), color) if legend else []
    rows = height - len(below) - 1
    notes = _notes(cut, limits, marks_key(curves, ascii=ascii), x_label)
    head = _title(title, y_label, notes, width)
    if rows < 5 or width < 24:
        body = [head, *below]
    elif not any(curve.end for curve in curves):
        body = [head, *_empty(width, rows), *below]
    else:
        area = x_range or _x_range(curves), limits
        plot = _plot(curves, lines, area, width, rows, _Look(legend, color, ascii))
        body = [head, *plot, *below]
    body = (body + [" " * width] * height)[:height]
    text = "\n".join(body)
    return text.translate(_ASCII).replace("…", "~") if ascii else text


def _curve(place: int, one: Series, runs: Segments) -> _Curve:
    last = last_value(one)
    end: Point | None = runs[-1][-1] if runs else one.test
    if one.level:
        end = None if last is None else (math.inf, last)
    shown = last if runs or end is None or one.level else end[1]
    return _Curve(
        one.name,
        number(shown),
        MARKS[place % len(MARKS)],
        one.color or PALETTE[place % len(PALETTE)],
        runs,
        end,
        one.best,
        one.test,
        one.level,
    )


def _x_range(curves: Sequence[_Curve]) -> Range:
    xs = [x for curve in curves for run in curve.runs for x, _ in run]
    xs += [curve.test[0] for curve in curves if curve.test is not None]
    left, right = min(xs, default=0.0), max(xs, default=1.0)
    wide = right - left > 1e-9 * max(abs(left), abs(right), 1e-9)
    return (left, right) if wide else (left - 0.5, right + 0.5)


@dataclass(frozen=True)
class _Look:
    legend: bool
    color: bool
    ascii: bool


def _plot(
    curves: Sequence[_Curve],
    lines: Sequence[Line],
    area: tuple[Range, Range],
    width: int,
    height: int,
    look: _Look,
) -> list[str]:
    x, y = area
    rows = height - 2
    levels = ticks(*y, max(3, height * 2 // 5), rows)
    marks = tick_labels(levels)
    left = max(map(len, marks), default=0) + 1
    named = [] if look.legend else [one for one in curves if one.end is not None]
    names = [f"{one.name} {one.value}" for one in named]
    frame = _Frame(
        x, y, rows, max(width - left - margin(names, width - left, letters=not look.color), 2)
    )
    # The margin for names is beyond the last value of x.
    end = x[0] + (x[1] - x[0]) * (width - left - 1) / (frame.columns - 1)
    across = ticks(*x, max(2, frame.columns // 12))
    with _PLOTEXT:
        figure = _figure(width, height)
        figure.ruler("x", "lower").lim(x[0], end).ticks(across, tick_labels(across))
        figure.ruler("y", "left").lim(*y).ticks(levels, marks)
        for value, ink in [
            *((line.value, GREY) for line in lines),
            *((one.end[1], one.color) for one in curves if one.level and one.end is not None),
        ]:
            _draw_run(figure, [(x[0], value), (x[1], value)], "-", ink)
        for curve in curves:
            for run in clip(curve.runs, *y):
                _draw_run(figure, run, "." if look.ascii else "braille", curve.color)
        if look.legend:
            step = (x[1] - x[0]) * _MARK_EVERY / max(width - left, 1)
            for i, curve in enumerate(curves):
                points = _marked(curve.runs, x[0] + step * i / max(len(curves), 1), step, y)
                _draw_points(figure, points, curve.mark, curve.color)
        matrix = figure.build()
        if not look.legend:
            for at in _texts(curves, lines, frame, matrix.string(True).split("\n"), left, look):
                _write(matrix, left, at)
        text: str = matrix.string(not look.color)
    return text.replace(_FILL, "").rstrip("\n").split("\n")


def _figure(width: int, height: int) -> Any:
    import plotext

    plotext.terminal.limit(False, False)
    figure = type(plotext.figure)(plotext.terminal)
    figure.plot_size(width, height)
    figure.theme("colorless")
    figure.legend(False)
    figure.axes(False, axis="x", side="upper")
    figure.axes(False, axis="y", side="right")
    return figure


def _texts(
    curves: Sequence[_Curve],
    lines: Sequence[Line],
    frame: _Frame,
    drawn: Sequence[str],
    left: int,
    look: _Look,
) -> list[Written]:
    """What is written into the plot; `drawn`: its rows, with `left` columns of labels of y."""
    ends = [
        End(
            frame.cell(curve.end),
            curve.name,
            curve.color,
            "" if look.color else curve.mark,
            frame.visible(curve.best),
            frame.visible(curve.test),
            curve.value,
        )
        for curve in sorted(curves, key=lambda one: -one.end[1] if one.end else 0.0)
        if curve.end is not None
    ]
    return annotate(
        frame.rows,
        len(drawn[0]) - left,
        frame.columns,
        lambda row, column: drawn[row][left + column] not in " -",
        ends,
        [(frame.cell((0, line.value))[0], line.label) for line in lines],
        ascii=look.ascii,
    )


def _write(matrix: Any, left: int, at: Written) -> None:
    """Write into the cells of a built chart."""
    import plotext

    column, pixel = left + at.column, plotext.pixel(at.color)
    for piece in [at.text] if at.text.isascii() else at.text:
        wide = cells(piece)
        if wide:
            matrix.insert(column, at.row, plotext.colorize(piece, pixel))
        if wide > len(piece):
            matrix.insert(column + 1, at.row, _FILL)
        column += wide


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


def _notes(cut: int, limits: Range, marks: Sequence[str], x_label: str) -> str:
    notes: list[str] = []
    if cut:
        # The curve shows which side is cut.
        points = "point" if cut == 1 else "points"
        notes.append(f"{cut} {points} outside {limits[0]:.3g}..{limits[1]:.3g}")
    return ", ".join([*notes, *marks, *[f"x: {x_label}"] * bool(x_label)])


def _title(title: str, y_label: str, right: str, width: int) -> str:
    left = "  ".join(part for part in (title, y_label) if part)
    room = width - cells(right) - 1
    return fit(left, room) + " " + right if room >= 8 else fit(left, width)


def _legend(
    curves: Sequence[_Curve], lines: Sequence[Line], width: int, rows: int, color: bool
) -> list[str]:
    """Entries `mark name value` in at most `rows` rows."""
    entries = [(f"{c.mark} {c.name} {c.value}", c.color) for c in curves]
    entries += [(f"-- {line.label}", GREY) for line in lines]
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
        last.append((f"and {hidden} more", GREY))
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
