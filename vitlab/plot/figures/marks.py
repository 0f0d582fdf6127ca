"""What stands inside a pair of axes: curves, bars, densities, levels, bins."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.ticker import (
    EngFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    StrMethodFormatter,
)
from matplotlib.transforms import ScaledTranslation

from vitlab.plot.figures.picture import Curve, Panel, x_range, y_range
from vitlab.plot.figures.places import Color, Label
from vitlab.plot.figures.styles import DASHES, Style
from vitlab.plot.series import Line, Range, cells, fit

GREY, BLACK = (0.35, 0.35, 0.35), (0.1, 0.1, 0.1)
ROOM_FOR_BAR = 2.5
"""Inches of a panel that has room for a bar of colours beside it."""
_BAR = 6.0
"""Points of the letters beside a bar of colours."""
_BIN, _BELOW = "0.94", 0
"""Grey of every second bin, and what is under everything."""
_DODGE = 2.4
"""Points between marks that would stand on each other."""
_FURTHEST = 4.8
"""Points that a mark may be moved: many curves stand closer, or a point would seem to lie at
another place, as above a ceiling that it is below."""
_NESTED = (1.3, 0.75)
"""Sizes of the first and the last of marks that stand on each other, so that each is seen."""
CROWDED = 40
"""Points of a curve above which it has no marks."""
_NAME = 36
"""Letters of a run's name beside a figure of one column."""
_APART = 5
"""Points between two numbers at an axis."""
_MANY = 1500
"""Points above which they are drawn small and as a picture, or a PDF would be huge."""
MARK = 3.6
"""Points of a mark's size."""


def plain(text: str) -> str:
    """Not read as a formula, but for the index of T_eff."""
    return text.replace("$", r"\$").replace("T_eff", r"$T_\mathrm{eff}$")


def draw_panel(
    panel: Panel, ax: Axes, known: Mapping[str, Style], in_legend: Collection[str]
) -> list[Label]:
    """Draw one panel; what is to be written on its lines."""
    _shade_bins(panel, ax)
    shift, size = dodges(panel), nested(panel)
    labels = []
    bounds = bound_names(panel)
    for number, curve in enumerate(panel.curves):
        style = curve.style or known.get(curve.name, Style())
        if curve.reference:
            dash = level_dash(bounds.index(curve.name))
            color = bound_color(curve, panel)
            labels += _draw_bound(curve, ax, dash, color, in_legend)
        elif panel.names:
            _draw_on_side(curve, ax, style, bars=panel.bars)
        elif panel.density and not curve.joined:
            _draw_density(curve, ax, style, panel)
        else:
            _draw_curve(curve, ax, style, shift.get(number, 0.0), size.get(number, 1.0))
    labels += _levels(panel, ax, len(bounds), in_legend)
    _axes(panel, ax)
    _named_places(panel, ax)
    return labels


def _shade_bins(panel: Panel, ax: Axes) -> None:
    for number, (low, high) in enumerate(pairwise(panel.bins)):
        if number % 2 == 0:
            ax.axvspan(low, high, color=_BIN, linewidth=0, zorder=_BELOW)


def dodges(panel: Panel) -> dict[int, float]:
    """Curve -> points to the right, where error bars of several may stand beside each other."""
    measured = _overlapping(panel) if panel.beside else []
    middle = (len(measured) - 1) / 2
    step = min(_DODGE, _FURTHEST / max(middle, 1.0))
    return {i: step * (place - middle) for place, i in enumerate(measured)}


def nested(panel: Panel) -> dict[int, float]:
    """Curve -> size of its marks and caps, where those of several stand on each other."""
    measured = [] if panel.beside else _overlapping(panel)
    return dict(zip(measured, np.linspace(*_NESTED, len(measured)).tolist(), strict=True))


def _overlapping(panel: Panel) -> list[int]:
    """The curves with error bars, where those of any two stand on each other."""
    measured = [i for i, c in enumerate(panel.curves) if not c.reference and c.reach]
    pairs = combinations(measured if not panel.names else (), 2)
    return (
        measured if any(_overlap(panel.curves[i], panel.curves[j], panel) for i, j in pairs) else []
    )


def _overlap(one: Curve, other: Curve, panel: Panel) -> bool:
    xs = [x for curve in (one, other) for x in curve.x]
    if not xs:
        return False
    scale = np.log10 if panel.log_x else np.asarray
    a, b = (np.asarray(scale(np.asarray(curve.x, float))) for curve in (one, other))
    near = np.abs(a[:, None] - b[None]) <= 0.01 * max(float(np.ptp(scale(np.asarray(xs)))), 1e-9)
    (low, high), (bottom, top) = (np.asarray(curve.reach).T for curve in (one, other))
    return bool((near & (low[:, None] <= top[None]) & (bottom[None] <= high[:, None])).any())


def _draw_bound(
    curve: Curve, ax: Axes, dash: Any, color: Color, in_legend: Collection[str]
) -> list[Label]:
    ax.plot(curve.x, curve.y, color=color, linestyle=dash, linewidth=0.9, zorder=2)
    if curve.reach:
        ax.fill_between(curve.x, *np.asarray(curve.reach).T, color=color, alpha=0.13, linewidth=0)
    if not curve.on_line or curve.name in in_legend or not curve.x:
        return []
    return [Label(ax, plain(curve.name), curve.x, curve.y, color)]


def _draw_curve(curve: Curve, ax: Axes, style: Style, shift: float, size: float) -> None:
    many, crowded = len(curve.x) > _MANY, len(curve.x) > CROWDED
    transform = ax.transData + ScaledTranslation(shift / 72, 0, ax.figure.dpi_scale_trans)
    crowded = crowded or not curve.marked
    marker = "." if not curve.joined and crowded else "" if crowded else style.marker
    ax.errorbar(
        curve.x,
        curve.y,
        yerr=_bars(curve),
        color=style.color,
        marker=marker,
        markersize=1.5 if many else size * MARK,
        markerfacecolor=style.color if style.filled else "white",
        markeredgewidth=0.8,
        alpha=0.35 if many else 1.0,
        linestyle=style.dash if curve.joined else "",
        capsize=1.5 * size**2,
        elinewidth=0.7,
        capthick=0.7,
        zorder=3,
        transform=transform if shift else ax.transData,
        rasterized=many,
    )


def _bars(curve: Curve) -> Any:
    """(2, points) by how much its bars reach below and above; None without any."""
    if not curve.reach:
        return None
    (low, high), y = np.asarray(curve.reach).T, np.asarray(curve.y)
    return np.maximum([y - low, high - y], 0.0)  # not -1e-17, where one of them is the point


def _draw_on_side(curve: Curve, ax: Axes, style: Style, *, bars: bool) -> None:
    if bars:
        ax.barh(curve.x, curve.y, height=0.6, color=style.color, alpha=0.45, linewidth=0)
    ax.errorbar(
        curve.y,
        curve.x,
        xerr=curve.errors or None,
        color=style.color,
        marker=style.marker,
        markersize=MARK,
        markeredgewidth=0.8,
        linestyle="",
        capsize=1.5,
        elinewidth=0.9,
        capthick=0.9,
    )


def _draw_density(curve: Curve, ax: Axes, style: Style, panel: Panel) -> None:
    """Stars a cell in the model's colour; a bar tells them, where there is room."""
    if not curve.x:
        return
    ends_x, ends_y = x_range(panel), y_range(panel)
    cells = int(np.clip(1.3 * len(curve.x) ** 0.5, 12, 60))
    found, xs, ys = np.histogram2d(
        curve.x, curve.y, bins=cells,
        range=[ends_x or (min(curve.x), max(curve.x)), ends_y or (min(curve.y), max(curve.y))],
    )  # fmt: skip
    ink = np.array(style.color)
    colors = LinearSegmentedColormap.from_list("", [1 - 0.2 * (1 - ink), ink])
    cells_drawn = ax.pcolormesh(
        xs, ys, np.where(found > 0, found, np.nan).T, cmap=colors,
        norm=LogNorm(1, max(float(found.max()), 2.0)), rasterized=True, zorder=1,
    )  # fmt: skip
    grid = ax.get_gridspec()
    if _inches(ax) / (grid.ncols if grid else 1) < ROOM_FOR_BAR:
        return
    bar = ax.figure.colorbar(cells_drawn, ax=ax, fraction=0.05, pad=0.02, aspect=30)
    bar.set_label("stars per cell", fontsize=_BAR)
    bar.ax.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    bar.ax.tick_params(labelsize=_BAR, which="both", width=0.4)
    bar.outline.set_linewidth(0.4)


def _levels(panel: Panel, ax: Axes, used: int, in_legend: Collection[str]) -> list[Label]:
    labels = []
    for number, line in enumerate(panel.lines):
        draw = ax.axvline if panel.names else ax.axhline
        dash = level_dash(used + number) if line.label else "-"
        draw(line.value, color=GREY, linewidth=0.8, linestyle=dash, zorder=1)
        if line.label and not panel.names and line.label not in in_legend:
            labels.append(Label(ax, plain(line.label), (), (line.value,), GREY))
    return labels


def bound_color(curve: Curve, panel: Panel) -> Color:
    """Of a law its model's; on a density black, to be seen."""
    return curve.style.color if curve.style else BLACK if panel.density else GREY


def bound_names(panel: Panel) -> list[str]:
    """The names of its bounds and laws, each once."""
    return [*dict.fromkeys(curve.name for curve in panel.curves if curve.reference)]


def level_dash(number: int) -> Any:
    """Of the levels and bounds of a panel, in their order."""
    return DASHES[1 + number % (len(DASHES) - 1)]


def levels_in_legend(panel: Panel, in_legend: Collection[str]) -> list[tuple[Line, Any]]:
    """The levels that found no place on their line, with their dash."""
    used = len(bound_names(panel))
    return [
        (line, level_dash(used + number))
        for number, line in enumerate(panel.lines)
        if line.label and (line.label in in_legend or panel.names)
    ]


def _axes(panel: Panel, ax: Axes) -> None:
    if panel.diagonal:
        ax.axline((0, 0), slope=1, color=GREY, linewidth=0.7, zorder=2)
    if panel.log_x:
        ax.set_xscale("log")
        _label_few(ax, panel)
    if panel.names:
        most = _NAME * max(round(_inches(ax) / 3.5), 1)
        names = [fit(name, min(cells(name), most)) for name in panel.names]
        ax.set_yticks(range(len(names)), [plain(name) for name in names])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(len(panel.names) - 0.4, -0.6)
        reached = [*_reached(panel), *(line.value for line in panel.lines), *[0.0] * panel.bars]
        if reached:
            ax.set_xlim(_with_margin(reached, 0.07))
        if panel.bars:
            ax.axvline(0, color=GREY, linewidth=0.7, zorder=2)
        ax.set_xlabel(plain(panel.y_label))
        ax.set_ylabel(plain(panel.x_label))
    else:
        ax.set_xlabel(plain(panel.x_label))
        ax.set_ylabel(plain(panel.y_label))
        _set_limits(panel, ax)
    if panel.square or panel.diagonal:
        ax.set_box_aspect(1)


def thin_numbers(ax: Axes) -> None:
    """As many numbers along x as do not touch, in the room that names beside it leave."""
    for most in (7, 5, 4, 3, 2):
        ax.xaxis.set_major_locator(MaxNLocator(most, steps=[1, 2, 2.5, 5, 10]))
        ax.figure.draw_without_rendering()  # type: ignore[union-attr]
        low, high = ax.get_xlim()
        inside = [
            tick.label1 for tick in ax.xaxis.get_major_ticks() if low <= tick.get_loc() <= high
        ]
        boxes = [label.get_window_extent() for label in inside]
        between = [right.x0 - left.x1 for left, right in pairwise(boxes)]
        if min(between, default=math.inf) > _APART * ax.figure.dpi / 72:
            return


def _inches(ax: Axes) -> float:
    """Width of the figure."""
    return float(ax.figure.bbox.width / ax.figure.dpi)


def _set_limits(panel: Panel, ax: Axes) -> None:
    """All points and their errors, with a margin; matplotlib leaves out what is dodged."""
    xs = [x for curve in panel.curves for x in curve.x]
    ends = x_range(panel)
    if ends is not None:
        ax.set_xlim(ends)
    elif xs and panel.log_x:
        low, high = _with_margin([math.log10(x) for x in xs], 0.05)
        ax.set_xlim(10.0**low, 10.0**high)
    elif xs:
        ax.set_xlim(_with_margin(xs, 0.05))
    ys = [line.value for line in panel.lines] + _reached(panel)
    ends = y_range(panel)
    if ends is not None:
        ax.set_ylim(ends)
    elif ys:
        ax.set_ylim(_with_margin(ys, 0.09))


def _reached(panel: Panel) -> list[float]:
    """The ends of all error bars."""
    ends = []
    for curve in panel.curves:
        ends += [end for reach in curve.reach for end in reach if not math.isnan(end)] + [*curve.y]
    return ends


def _with_margin(values: Sequence[float], share: float) -> Range:
    low, high = min(values), max(values)
    margin = share * ((high - low) or 1.0)
    return low - margin, high + margin


def _label_few(ax: Axes, panel: Panel) -> None:
    """Plain numbers (`500`, `2k`) at 1, 2, 5 if the axis spans less than two decades."""
    xs: Sequence[float] = panel.x_range or [x for c in panel.curves for x in c.x]
    if xs and max(xs) < 100 * min(xs):
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        large = EngFormatter(sep="") if min(xs) >= 1 else StrMethodFormatter("{x:g}")
        ax.xaxis.set_major_formatter(large)
        ax.xaxis.set_minor_formatter(NullFormatter())


def _named_places(panel: Panel, ax: Axes) -> None:
    """Another quantity along the top, or the names of places where they have room."""
    if panel.top:
        other = ax.secondary_xaxis("top")
        other.set_xticks([x for x, _ in panel.top], [plain(text) for _, text in panel.top])
        other.minorticks_off()
        other.set_xlabel(plain(panel.top_label))
    if panel.marks:
        ends = x_range(panel) or ax.get_xlim()
        width = 72 * _inches(ax)
        room, named = 7.5 * (ends[1] - ends[0]) / width, list[tuple[float, str]]()
        for x, text in panel.marks:
            inside = ends[0] <= x <= ends[1]
            if inside and all(abs(x - other) > 1.3 * room for other, _ in named):
                named.append((x, text))
                ax.axvline(x, color=GREY, linewidth=0.4, alpha=0.5, zorder=1)
        other = ax.secondary_xaxis("top")
        other.set_xticks([x for x, _ in named], [plain(text) for _, text in named], rotation=90)
        other.tick_params(labelsize=5.5, length=2)
