"""Figures made of panels: for papers with matplotlib, for terminals with plotext."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.reading import open_regular
from vitlab.plot.chart import PALETTE, draw
from vitlab.plot.series import Line, Series, cells, fit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURES = ("scaling", "snr", "parity", "residuals", "calibration", "ablation", "training")
"""Names of all figures."""


@dataclass(frozen=True)
class Curve:
    """A curve, or a cloud of points."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    errors: tuple[float, ...] = ()
    """Standard errors of `y`, or ()."""
    joined: bool = True
    """False: points only."""
    reference: bool = False
    """A bound, not a measurement: drawn in grey without marks, its errors as a band."""


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    title: str = ""
    lines: tuple[Line, ...] = ()
    """Horizontal levels."""
    log_x: bool = False
    names: tuple[str, ...] = ()
    """Names of x = 0, 1, 2, ...; if set, the axes are swapped."""
    diagonal: bool = False
    """Draw y = x, with equal axes."""


@dataclass(frozen=True)
class Picture:
    """A figure."""

    title: str
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = ()
    """What its errors are, and what is not shown; drawn below it."""


LARGEST = 1e30
"""Numbers beyond it are not drawn, as axes have no room for their sums."""
MOST = 60
"""Names of a panel, and its curves."""
LETTERS, NOTES = 120, 40
"""Letters of a name or title, and notes."""


def drawable(picture: Picture) -> Picture:
    """The picture without the points that its axes cannot show, each counted in a note.

    Its texts are those of files: of one line, and cut.
    """
    picture = _with_texts(picture, _short)
    notes, panels = list(picture.notes), []
    for whole in picture.panels:
        panel, curves = whole, []
        if len(panel.names) > MOST:
            notes.append(f"{len(panel.names) - MOST} of {len(panel.names)} names not shown")
            panel = replace(panel, names=panel.names[:MOST])
        if len(panel.curves) > MOST:
            notes.append(f"{len(panel.curves) - MOST} of {len(panel.curves)} curves not shown")
            panel = replace(panel, curves=panel.curves[:MOST])
        lines = tuple(line for line in panel.lines if _has(panel, (1, line.value)))
        notes += [f"{line.label}: not shown" for line in panel.lines if line not in lines]
        panel = replace(panel, lines=lines)
        for curve in panel.curves:
            if whole.names:  # those past the last name are counted already
                curve = _first(curve)
            kept = [i for i, at in enumerate(zip(curve.x, curve.y, strict=True)) if _has(panel, at)]
            lost = len(curve.x) - len(kept)
            if lost:
                huge = any(LARGEST < abs(v) < math.inf for v in (*curve.x, *curve.y))
                why = " or ".join(
                    ["not finite", *["too large"] * huge, *[f"{panel.x_label} ≤ 0"] * panel.log_x]
                )
                notes.append(f"{curve.name or panel.y_label}: {_of(lost, curve)} not shown ({why})")
            x, y, errors = (
                tuple(v[i] for i in kept if v) for v in (curve.x, curve.y, curve.errors)
            )
            errors = tuple(e if abs(e) <= LARGEST else math.nan for e in errors)
            curves.append(replace(curve, x=x, y=y, errors=errors))
        panels.append(replace(panel, curves=tuple(curves)))
        if panel.diagonal:
            low, high = _diagonal_range(panels[-1])
            for curve in curves:
                if out := sum(not low <= y <= high for y in curve.y):
                    notes.append(f"{curve.name}: {_of(out, curve)} above or below the axes")
    notes = list(dict.fromkeys(notes))
    notes[NOTES:] = [f"{len(notes) - NOTES} more notes"] if len(notes) > NOTES else []
    return replace(picture, panels=tuple(panels), notes=tuple(notes))


def _first(curve: Curve) -> Curve:
    """A curve's points at the first names."""
    at = [i for i, x in enumerate(curve.x) if x < MOST]
    x, y, errors = (tuple(v[i] for i in at if v) for v in (curve.x, curve.y, curve.errors))
    return replace(curve, x=x, y=y, errors=errors)


def _with_texts(picture: Picture, change: Callable[[str], str]) -> Picture:
    """The picture with every text of it changed."""
    panels = tuple(
        replace(
            panel,
            x_label=change(panel.x_label),
            y_label=change(panel.y_label),
            title=change(panel.title),
            curves=tuple(replace(curve, name=change(curve.name)) for curve in panel.curves),
            lines=tuple(replace(line, label=change(line.label)) for line in panel.lines),
            names=tuple(map(change, panel.names)),
        )
        for panel in picture.panels
    )
    notes = tuple(map(change, picture.notes))
    return replace(picture, title=change(picture.title), panels=panels, notes=notes)


def _short(text: str) -> str:
    text = text[: 10 * LETTERS]
    return fit(text, min(cells(text), LETTERS))


def _has(panel: Panel, at: tuple[float, float]) -> bool:
    return all(abs(x) <= LARGEST for x in at) and (at[0] > 1 / LARGEST or not panel.log_x)


def _of(count: int, curve: Curve) -> str:
    return f"{count:,} of {len(curve.x):,} points"


_STYLE: Any = {
    "pdf.fonttype": 42,  # whole TrueType fonts: journals refuse Type 3
    "ps.fonttype": 42,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
    "font.size": 8,
    "axes.titlesize": 8,
    "legend.fontsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "svg.hashsalt": "vitlab",
}
PAPER = tuple(PALETTE[i] for i in (6, 1, 2, 3, 5, 0))
"""The palette without yellow and grey, which are hard to see on white paper."""
_MARKERS = "os^DvPX*"
_DASHES = (
    *((0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))),
    *((0, (9, 3)), (0, (1, 4)), (0, (4, 1.5, 1, 1.5, 1, 1.5))),
)
_GREY = (0.4, 0.4, 0.4)
_WIDTH, _HEIGHT = 3.5, 2.7
"""Inches of one panel: a journal column."""
_LEGEND_LINE = 0.14
"""Inches of a line of a legend above its panel."""
_INSIDE = 5
"""A legend of more names would cover the curves: it stands above."""
_NOTE_LETTERS = 82
"""Letters of a note across one panel."""
_JOBS = "Jobs"
"""The text chunk of a PNG that names what it shows."""
_HEAD = 1 << 17
"""Bytes of a PNG in which that chunk stands, before the picture itself."""
_MANY = 1500
"""Number of points above which they are drawn small."""


def write(picture: Picture, stem: Path, jobs: Sequence[str] = ()) -> tuple[Path, Path]:
    """Write `stem`.pdf and `stem`.png atomically, without a date so that they are reproducible.

    `jobs`: names of the jobs it shows, kept in the PNG for `shown_jobs`.
    """
    try:
        with contextlib.chdir("/"):  # it would take the settings in a lab before the user's own
            import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise UsageError(f"figures need matplotlib: {error} (install vitlab again)") from None

    # Not read as formulas: a name is shown as it is.
    picture = _with_texts(drawable(picture), lambda text: text.replace("$", r"\$"))
    columns = min(len(picture.panels), 2)
    rows = math.ceil(len(picture.panels) / columns)
    with mpl.rc_context(_STYLE):
        tall = max([_HEIGHT, *(0.28 * len(p.names) + 0.9 for p in picture.panels if p.names)])
        tall += _LEGEND_LINE * max(map(_lines_above, picture.panels))
        figure = Figure(figsize=(_WIDTH * columns, tall * rows), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        models = _numbers(picture, reference=False)
        bounds = _numbers(picture, reference=True)
        for panel, ax in zip(picture.panels, axes, strict=False):
            _draw(panel, ax, models, bounds)
        for ax in axes[len(picture.panels) :]:
            ax.remove()
        if picture.title:
            figure.suptitle(picture.title, fontsize=9)
        if picture.notes:
            wide = round(_NOTE_LETTERS * columns)
            lines = [line for note in picture.notes for line in textwrap.wrap(note, wide)]
            figure.supxlabel("\n".join(lines), fontsize=6, color=_GREY)
        stem.parent.mkdir(parents=True, exist_ok=True)
        paths = []
        png_text = {"Software": None, _JOBS: json.dumps(list(jobs))}
        for kind, about in (("pdf", {"CreationDate": None}), ("png", png_text)):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=300, metadata=about)
            paths.append(stem.with_name(f"{stem.name}.{kind}"))
            write_atomic(paths[-1], buffer.getvalue())
    return paths[0], paths[1]


def shown_jobs(png: Path) -> tuple[str, ...]:
    """The names of the jobs a figure shows; empty where it is missing or does not say."""
    try:
        with os.fdopen(open_regular(png), "rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return ()
    _, _, text = head.partition(f"tEXt{_JOBS}\0".encode())
    try:
        names, _ = json.JSONDecoder().raw_decode(text.decode("latin-1"))
    except ValueError:
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _label_few(ax: Axes, xs: Sequence[float]) -> None:
    """Plain numbers (`500`, `2k`) at 1, 2, 5 if the axis spans less than two decades."""
    from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, StrMethodFormatter

    if xs and max(xs) < 100 * min(xs):
        ax.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        large = EngFormatter(sep="") if min(xs) >= 1 else StrMethodFormatter("{x:g}")
        ax.xaxis.set_major_formatter(large)
        ax.xaxis.set_minor_formatter(NullFormatter())


def _numbers(picture: Picture, *, reference: bool) -> dict[str, int]:
    """Curve name -> index, so that a curve has the same style in all panels."""
    names = (c.name for p in picture.panels for c in p.curves if c.reference == reference)
    return {name: i for i, name in enumerate(dict.fromkeys(names))}


def _draw(panel: Panel, ax: Axes, models: Mapping[str, int], bounds: Mapping[str, int]) -> None:
    for curve in panel.curves:
        if curve.reference:
            _draw_bound(curve, ax, bounds[curve.name])
        elif panel.names:
            _draw_on_side(curve, ax, _color(models[curve.name]))
        else:
            _draw_curve(curve, ax, models[curve.name])
    for i, line in enumerate(panel.lines):
        dash = _DASHES[(len(bounds) + i) % len(_DASHES)]
        draw = ax.axvline if panel.names else ax.axhline
        draw(line.value, color=_GREY, linewidth=0.9, linestyle=dash, label=line.label, zorder=1)
    if panel.diagonal:
        ax.axline((0, 0), slope=1, color=_GREY, linewidth=0.8, zorder=3)
        ends = _diagonal_range(panel)
        ax.set_xlim(ends)
        ax.set_ylim(ends)
        ax.set_aspect("equal")
    if panel.log_x:
        ax.set_xscale("log")
        _label_few(ax, [x for c in panel.curves for x in c.x])
    if panel.names:
        ax.set_yticks(range(len(panel.names)), panel.names)
        ax.invert_yaxis()
        ax.set_xlabel(panel.y_label)
        ax.set_ylabel(panel.x_label)
    else:
        ax.set_xlabel(panel.x_label)
        ax.set_ylabel(panel.y_label)
    above = _lines_above(panel)
    if panel.title:
        ax.set_title(panel.title, pad=6 + 72 * _LEGEND_LINE * above)
    if above:
        place: Any = {"loc": "lower left", "bbox_to_anchor": (-0.2, 1), "labelspacing": 0.2}
        ax.legend(frameon=False, handlelength=2.4, **place)
    elif _legend_lines(panel):
        ax.legend(frameon=False)


def _legend_lines(panel: Panel) -> int:
    named = len(panel.curves) > 1 and not panel.names and not panel.diagonal
    return len(panel.lines) + (len(panel.curves) if named else 0)


def _lines_above(panel: Panel) -> int:
    """Lines of its legend, where that stands above the axes; else 0."""
    lines = _legend_lines(panel)
    return lines if lines > _INSIDE else 0


def _draw_bound(curve: Curve, ax: Axes, number: int) -> None:
    dash = _DASHES[number % len(_DASHES)]
    ax.plot(curve.x, curve.y, color=_GREY, linestyle=dash, linewidth=1.0, label=curve.name)
    if curve.errors:
        low, high = zip(
            *((y - e, y + e) for y, e in zip(curve.y, curve.errors, strict=True)), strict=True
        )
        ax.fill_between(curve.x, low, high, color=_GREY, alpha=0.15, linewidth=0)


def _draw_curve(curve: Curve, ax: Axes, number: int) -> None:
    marker = _MARKERS[number % len(_MARKERS)]
    many = len(curve.x) > _MANY
    crowded = len(curve.x) > 40
    ax.errorbar(
        curve.x,
        curve.y,
        yerr=curve.errors or None,
        color=_color(number),
        marker="." if not curve.joined and crowded else "" if crowded else marker,
        markersize=1.5 if many else 4 if not crowded else 3,
        markeredgewidth=0,
        alpha=0.35 if many else 1.0,
        linestyle="-" if curve.joined else "",
        capsize=2,
        elinewidth=0.8,
        label=curve.name,
        rasterized=many,  # a cloud of points would make the PDF huge
    )


def _draw_on_side(curve: Curve, ax: Axes, color: tuple[float, ...]) -> None:
    ax.errorbar(
        curve.y,
        curve.x,
        xerr=curve.errors or None,
        color=color,
        marker="o",
        markersize=4,
        linestyle="",
        capsize=2,
        elinewidth=0.8,
        label=curve.name,
    )


def _color(number: int) -> tuple[float, ...]:
    return tuple(part / 255 for part in PAPER[number % len(PAPER)])


def _diagonal_range(panel: Panel) -> tuple[float, float]:
    """Both axes of a panel with a diagonal: the range of x, and of curves, with a margin."""
    values = [x for curve in panel.curves for x in (*curve.x, *(curve.y * curve.joined))]
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low or 1.0)
    return low - margin, high + margin


_PLAIN = str.maketrans({"≤": "<=", "±": "+-", "²": "2"})
_CLOUD = 400
"""Maximum points of a cloud in a terminal."""


def draw_panels(
    picture: Picture,
    width: int,
    height: int,
    *,
    color: bool = True,
    ascii: bool = False,  # noqa: A002 - as in chart.draw
) -> str:
    """The panels stacked vertically, each `height` lines of `width` cells."""
    picture = drawable(picture)
    parts = [fit(picture.title, width).rstrip()] if picture.title else []
    for panel in picture.panels:
        series = (
            _on_side(panel) if panel.names else [_terminal_series(c, panel) for c in panel.curves]
        )
        series += _diagonal(panel)
        parts.append(
            draw(
                series,
                panel.lines,
                width,
                height,
                title=panel.title,
                x_label="" if panel.names else _x_label(panel),
                y_label=panel.y_label,
                y_range=_terminal_range(panel),
                legend=True,
                color=color,
                ascii=ascii,
            )
        )
    notes = "\n".join(line for note in picture.notes for line in textwrap.wrap(note, width))
    return "\n".join([*parts, *([notes.translate(_PLAIN) if ascii else notes] if notes else [])])


def _x_label(panel: Panel) -> str:
    return f"log10 {panel.x_label}" if panel.log_x else panel.x_label


def _terminal_series(curve: Curve, panel: Panel) -> Series:
    """The curve as a series; points that are not joined get gaps between them."""
    step = 1 if curve.joined else max(1, -(-len(curve.x) // _CLOUD))
    points = list(zip(curve.x, curve.y, strict=True))[::step]
    x: list[float | None] = []
    y: list[float | None] = []
    for at, value in points:
        position = math.log10(at) if panel.log_x else at
        x += [position] if curve.joined else [position, position]
        y += [value] if curve.joined else [value, None]
    if not curve.joined:  # the legend shows the last value
        x, y = x[:-1], y[:-1]
    return Series(curve.name, tuple(x), tuple(y))


def _on_side(panel: Panel) -> list[Series]:
    """One series per name, so that the legend identifies them."""
    series = []
    for curve in panel.curves:
        for at, value in zip(curve.x, curve.y, strict=True):
            series.append(Series(panel.names[round(at)], (at,), (value,)))
    return series


def _diagonal(panel: Panel) -> list[Series]:
    ends = _terminal_range(panel)
    return [] if ends is None else [Series("y = x", ends, ends)]


def _terminal_range(panel: Panel) -> tuple[float, float] | None:
    return _diagonal_range(panel) if panel.diagonal else None
