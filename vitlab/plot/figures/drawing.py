"""Figures drawn with matplotlib: their size, their axes and legend."""

from __future__ import annotations

import math
import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import IO, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.textpath import TextPath

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import LATEST
from vitlab.plot.figures.marks import (
    CROWDED,
    GREY,
    MARK,
    ROOM_FOR_BAR,
    bound_color,
    bound_names,
    draw_panel,
    level_dash,
    levels_in_legend,
    plain,
    thin_numbers,
)
from vitlab.plot.figures.picture import Curve, Panel, Picture, styles
from vitlab.plot.figures.places import Label, write_on_lines
from vitlab.plot.figures.styles import Style
from vitlab.plot.series import cells, fit

STYLE: Any = {
    "pdf.fonttype": 42,  # whole TrueType fonts: journals refuse Type 3
    "ps.fonttype": 42,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "mathtext.fontset": "dejavusans",
    "axes.unicode_minus": True,
    "font.size": 7.5,
    "axes.labelsize": 7.5,
    "axes.titlesize": 7.5,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "axes.linewidth": 0.6,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "lines.linewidth": 1.1,
    "svg.hashsalt": "vitlab",
}
WIDTHS = {1: 88 / 25.4, 2: 180 / 25.4}
"""Inches of a figure that takes so many columns."""
_PAGE = 8.6
"""Inches that all panels may be high, so that legend and notes fit on a page too."""
_NOTE, _NOTE_LETTERS, _TWO_COLUMNS = 6.0, 82, 170
"""Points of the letters of notes, and how many of them one column and two hold."""
_SURE = 0.8
"""Of these letters so many find room whatever they are."""
_BAR = 0.5
"""Inches beside a density for the bar of its colours."""
_LINE = 0.105
"""Inches of a line of notes."""


@dataclass(frozen=True)
class Drawn:
    """A figure ready to be saved."""

    figure: Figure
    legend: Legend | None
    labels: tuple[Label, ...]
    """What is written on lines."""

    def save(self, file: IO[bytes], kind: str, about: dict[str, str | None]) -> None:
        """Write it as `pdf` or `png`; `UsageError` for a time of the environment that is none."""
        date = os.environ.get("SOURCE_DATE_EPOCH") or "0"
        if not (date.isdecimal() and int(date) < LATEST):
            raise UsageError(f"SOURCE_DATE_EPOCH={date}, of the environment: not a unix time")
        with mpl.rc_context(STYLE):
            self.figure.savefig(file, format=kind, dpi=300, metadata=about)


def build(picture: Picture, columns: int | None, notes: Sequence[str] = ()) -> Drawn:
    """Draw a picture `drawable`, with `notes` below it; `columns`: None: as fits.

    A name that finds no place on its line stands in the legend.
    """
    wide = len(picture.panels) > 1 if picture.wide is None else picture.wide
    wanted = columns or (2 if wide else 1)
    in_legend: frozenset[str] = frozenset()
    with mpl.rc_context(STYLE):
        while True:
            drawn, homeless = _draw(picture, wanted, notes, in_legend)
            if homeless <= in_legend:
                return drawn
            in_legend |= homeless


def _draw(
    picture: Picture, columns: int, notes: Sequence[str], in_legend: frozenset[str]
) -> tuple[Drawn, frozenset[str]]:
    across = max(min(picture.across[columns - 1], len(picture.panels)), 1)
    below = any(panel.below for panel in picture.panels)
    rows = math.ceil(len(picture.panels) / across)
    tall = min(sum(_heights(picture.panels, across, WIDTHS[columns] / across)), _PAGE)
    square = any(panel.square or panel.diagonal for panel in picture.panels)
    layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.04, compress=square)
    figure = Figure((WIDTHS[columns], tall), layout=layout)
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows * (1 + below), across, squeeze=False)
    known = styles(picture)
    labels, used, numbered = list[Label](), set[Axes](), list[Axes]()
    for number, whole in enumerate(picture.panels):
        row, column = number // across * (1 + below), number % across
        for step, panel in enumerate((whole, whole.below)):
            if panel is not None:
                ax = axes[row + step, column]
                used.add(ax)
                numbered += [ax] * bool(panel.names)
                found = draw_panel(panel, ax, known, in_legend)
                labels += found if not (picture.shared and number) else []
        letter = f"({ascii_lowercase[number % 26]}) " * (len(picture.panels) > 1)
        if letter or whole.title:
            size = 7.5 if across < 4 else 6.5
            room = int(72 * WIDTHS[columns] / across / (0.6 * size)) - 4
            title = letter + fit(whole.title, min(cells(whole.title), room)).rstrip()
            axes[row, column].set_title(plain(title), loc="left", pad=3, fontsize=size)
        if picture.shared:
            _outer(axes[row, column], column, number + across < len(picture.panels))
    for ax in axes.ravel():
        if ax not in used:
            ax.remove()
    letters = _NOTE_LETTERS if columns == 1 else _TWO_COLUMNS
    wide = 72 * WIDTHS[columns] * 0.98
    lines = [line for note in (*picture.keys, *notes) for line in _wrapped(note, letters, wide)]
    if lines:
        text = "\n".join(map(plain, lines))
        figure.supxlabel(text, x=0.01, ha="left", fontsize=_NOTE, color=GREY)
    legend = _legend(figure, _entries(picture, known, in_legend))
    rows_of_legend = legend.get_window_extent().height / figure.dpi if legend else 0.0
    figure.set_figheight(tall + _LINE * len(lines) + rows_of_legend)
    figure.draw_without_rendering()
    for ax in numbered:
        thin_numbers(ax)
    figure.set_layout_engine("none")  # what is written on lines does not move them
    return Drawn(figure, legend, tuple(labels)), frozenset(write_on_lines(labels))


def _wrapped(note: str, letters: int, points: float) -> list[str]:
    """The lines of a note, none of them longer than a number of points."""
    while letters > 20:
        lines = textwrap.wrap(note, letters)
        if all(_points(line) <= points for line in lines if len(line) > _SURE * letters):
            return lines
        letters -= 4
    return textwrap.wrap(note, letters)


def _points(text: str) -> float:
    return float(TextPath((0, 0), plain(text), size=_NOTE).get_extents().width)


def _heights(panels: Sequence[Panel], across: int, width: float) -> Iterator[float]:
    """Inches of each row."""
    for start in range(0, len(panels), across):
        row = panels[start : start + across]
        yield max(_height(panel, width) for panel in row)
        yield max((_height(panel.below, width) for panel in row if panel.below), default=0.0)


def _height(panel: Panel, width: float) -> float:
    above = 0.16 * bool(panel.title) + 0.32 * bool(panel.top) + 0.55 * bool(panel.marks)
    if panel.names:
        return 0.2 * len(panel.names) + 0.5 + above
    if panel.square or panel.diagonal:
        return width - (_BAR if panel.density and width >= ROOM_FOR_BAR else 0.05) + above
    return min(max(0.7 * width, 1.3), 2.5) + above


def _outer(ax: Axes, column: int, has_below: bool) -> None:
    """Labels at the outer axes alone."""
    if has_below:
        ax.set_xlabel("")
    if column:
        ax.set_ylabel("")


Entry = tuple[str, Line2D]


def _entries(
    picture: Picture, known: Mapping[str, Style], in_legend: frozenset[str]
) -> list[Entry]:
    """The names of the legend with the signs they stand for, each once."""
    entries: dict[str, Line2D] = {}
    for whole in picture.panels:
        for panel in (whole, whole.below):
            if panel is None:
                continue
            for curve in panel.curves if not panel.names else ():
                sign = _sign(curve, panel, known, in_legend)
                if curve.name and sign is not None:
                    entries.setdefault(plain(curve.name), sign)
            for line, dash in levels_in_legend(panel, in_legend):
                entries.setdefault(plain(line.label), Line2D([], [], color=GREY, linestyle=dash))
    return sorted(entries.items(), key=lambda entry: entry[1].get_marker() in ("", "None"))


def _sign(
    curve: Curve, panel: Panel, known: Mapping[str, Style], in_legend: frozenset[str]
) -> Line2D | None:
    if curve.reference:
        if curve.on_line and curve.name not in in_legend:
            return None
        bounds = bound_names(panel)
        color = bound_color(curve, panel)
        return Line2D(
            [], [], color=color, linestyle=level_dash(bounds.index(curve.name)), linewidth=0.9
        )
    if panel.density and not curve.joined:
        return None  # named above its panel
    style = curve.style or known[curve.name]
    return Line2D(
        [],
        [],
        color=style.color,
        linestyle=style.dash if curve.joined else "",
        marker="" if curve.joined and _unmarked(curve) else style.marker,
        markersize=MARK,
        markerfacecolor=style.color if style.filled else "white",
        markeredgewidth=0.8,
    )


def _unmarked(curve: Curve) -> bool:
    return len(curve.x) > CROWDED or not curve.marked


def _legend(figure: Figure, entries: Sequence[Entry]) -> Legend | None:
    """Above the axes, in as many columns as there is room for."""
    for columns in range(len(entries), 0, -1):
        legend = figure.legend(
            [sign for _, sign in entries],
            [name for name, _ in entries],
            loc="outside upper left",
            ncols=columns,
            frameon=False,
            handlelength=2.6,
            columnspacing=1.2,
            labelspacing=0.25,
            borderpad=0.2,
        )
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return legend
        legend.remove()
    return None
