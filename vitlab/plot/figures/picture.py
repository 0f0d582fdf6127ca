"""What a figure shows, before it is drawn on paper or in a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from vitlab.plot.figures.styles import Style
from vitlab.plot.series import Line, Range, cells, fit

FIGURES = (
    *("scaling", "snr", "parity", "residuals", "calibration"),
    *("ablation", "training", "learning"),
)
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
    """A bound or a law, not a measurement: without marks, its errors as a band."""
    style: Style | None = None
    """Of its model; None: grey where it is a reference, else by its place in the figure."""
    marked: bool = True
    """With a mark at each point, unless they are too many."""
    on_line: bool = False
    """Its name is written on it, not in the legend."""
    ends: tuple[Range, ...] = ()
    """Instead of `errors`: from where to where each bar or band reaches, as wide as it is."""

    @property
    def reach(self) -> tuple[Range, ...]:
        """From where to where the bar or band of each point reaches; () without any."""
        if self.ends or not self.errors:
            return self.ends
        return tuple((y - e, y + e) for y, e in zip(self.y, self.errors, strict=True))


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    x_label: str
    y_label: str
    curves: tuple[Curve, ...]
    title: str = ""
    """What it shows that other panels of the figure do not, written above it."""
    lines: tuple[Line, ...] = ()
    """Horizontal levels, named on them."""
    log_x: bool = False
    names: tuple[str, ...] = ()
    """Names of x = 0, 1, 2, ...; if set, the axes are swapped."""
    bars: bool = False
    """With `names`: bars from zero."""
    diagonal: bool = False
    """Draw y = x, with equal axes."""
    density: bool = False
    """Clouds of points are shown as the density of their points."""
    square: bool = False
    below: Panel | None = None
    """A panel that stands right below this one."""
    x_range: Range | None = None
    y_range: Range | None = None
    """What the axis shows; points beyond it are counted in a note."""
    bins: tuple[float, ...] = ()
    """Edges of the bins its points stand for."""
    beside: bool = False
    """Bars that would overlap stand beside each other. Not where the place of a point is held
    against a line that is not level."""
    top: tuple[tuple[float, str], ...] = ()
    """Places of x in another quantity."""
    top_label: str = ""
    marks: tuple[tuple[float, str], ...] = ()
    """Places of x with a name, the most important first: spectral lines."""


@dataclass(frozen=True)
class Picture:
    """A figure."""

    title: str
    """Of the file, not drawn on paper."""
    panels: tuple[Panel, ...]
    notes: tuple[str, ...] = ()
    """For its caption: what it was made of, and what is not shown."""
    keys: tuple[str, ...] = ()
    """What its signs mean and that it shows a trial: drawn in the figure itself."""
    across: tuple[int, int] = (1, 2)
    """Panels beside each other in a figure of one column, and of two."""
    wide: bool | None = None
    """Whether it takes two columns; None: with several panels."""
    shared: bool = False
    """All panels have the same axes, labelled at the outer ones alone."""


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
    picture = with_texts(picture, _short)
    notes = list(picture.notes)
    panels = tuple(_drawable(panel, notes) for panel in picture.panels)
    notes = list(dict.fromkeys(notes))
    notes[NOTES:] = [f"{len(notes) - NOTES} more notes"] if len(notes) > NOTES else []
    return replace(picture, panels=panels, notes=tuple(notes))


def _drawable(whole: Panel, notes: list[str]) -> Panel:
    panel = whole
    if len(panel.names) > MOST:
        notes.append(f"{len(panel.names) - MOST} of {len(panel.names)} names not shown")
        panel = replace(panel, names=panel.names[:MOST])
    if len(panel.curves) > MOST:
        notes.append(f"{len(panel.curves) - MOST} of {len(panel.curves)} curves not shown")
        panel = replace(panel, curves=panel.curves[:MOST])
    lines = tuple(line for line in panel.lines if _has(panel, (1, line.value)))
    notes += [f"{line.label}: not shown" for line in panel.lines if line not in lines]
    panel = replace(
        panel,
        lines=lines,
        top=tuple(one for one in panel.top if _has(panel, (one[0], 0))),
        marks=tuple(one for one in panel.marks if _has(panel, (one[0], 0))),
        bins=panel.bins if all(_has(panel, (x, 0)) for x in panel.bins) else (),
        x_range=_ends(panel.x_range, log=panel.log_x),
        y_range=_ends(panel.y_range),
    )
    curves = tuple(_shown(curve, panel, notes) for curve in panel.curves)
    # Without a point there is nothing whose logarithm an axis could show.
    has_points = bool(panel.x_range) or any(len(curve.x) for curve in curves)
    panel = replace(panel, curves=curves, log_x=panel.log_x and has_points)
    notes += _outside(panel)
    below = None if panel.below is None else _drawable(panel.below, notes)
    return replace(panel, below=below)


def _ends(ends: Range | None, *, log: bool = False) -> Range | None:
    """The ends of an axis, where it has room for them."""
    drawn = ends is not None and all(
        abs(x) <= LARGEST and (x > 1 / LARGEST or not log) for x in ends
    )
    return ends if drawn else None


def _outside(panel: Panel) -> list[str]:
    """A note on each curve with points above or below the axes."""
    ends = y_range(panel)
    if ends is None:
        return []
    of = "" if panel.diagonal else f" of {panel.y_label}"
    out = [(sum(not ends[0] <= y <= ends[1] for y in curve.y), curve) for curve in panel.curves]
    return [
        f"{curve.name}: {_of(count, curve)} above or below the axes{of}"
        for count, curve in out
        if count
    ]


def _shown(curve: Curve, panel: Panel, notes: list[str]) -> Curve:
    """Its points that are numbers the axes can show."""
    if panel.names:  # those past the last name are counted already
        curve = _taken(curve, [i for i, x in enumerate(curve.x) if x < MOST])
    kept = [i for i, at in enumerate(zip(curve.x, curve.y, strict=True)) if _has(panel, at)]
    if lost := len(curve.x) - len(kept):
        huge = any(LARGEST < abs(v) < math.inf for v in (*curve.x, *curve.y))
        why = " or ".join(
            ["not finite", *["too large"] * huge, *[f"{panel.x_label} ≤ 0"] * panel.log_x]
        )
        notes.append(f"{curve.name or panel.y_label}: {_of(lost, curve)} not shown ({why})")
    curve = _taken(curve, kept)
    errors = tuple(e if abs(e) <= LARGEST else math.nan for e in curve.errors)
    ends = tuple(
        end if all(abs(x) <= LARGEST for x in end) else (math.nan, math.nan) for end in curve.ends
    )
    return replace(curve, errors=errors, ends=ends)


def _taken(curve: Curve, at: list[int]) -> Curve:
    x, y, errors = (tuple(v[i] for i in at if v) for v in (curve.x, curve.y, curve.errors))
    ends = tuple(curve.ends[i] for i in at if curve.ends)
    return replace(curve, x=x, y=y, errors=errors, ends=ends)


def with_texts(picture: Picture, change: Callable[[str], str]) -> Picture:
    """The picture with every text of it changed."""
    return replace(
        picture,
        title=change(picture.title),
        panels=tuple(_texts(panel, change) for panel in picture.panels),
        notes=tuple(map(change, picture.notes)),
        keys=tuple(map(change, picture.keys)),
    )


def _texts(panel: Panel, change: Callable[[str], str]) -> Panel:
    return replace(
        panel,
        x_label=change(panel.x_label),
        y_label=change(panel.y_label),
        title=change(panel.title),
        curves=tuple(replace(curve, name=change(curve.name)) for curve in panel.curves),
        lines=tuple(replace(line, label=change(line.label)) for line in panel.lines),
        names=tuple(map(change, panel.names)),
        below=None if panel.below is None else _texts(panel.below, change),
        top=tuple((x, change(text)) for x, text in panel.top),
        top_label=change(panel.top_label),
        marks=tuple((x, change(text)) for x, text in panel.marks),
    )


def _short(text: str) -> str:
    text = text[: 10 * LETTERS]
    return fit(text, min(cells(text), LETTERS))


def _has(panel: Panel, at: tuple[float, float]) -> bool:
    return all(abs(x) <= LARGEST for x in at) and (at[0] > 1 / LARGEST or not panel.log_x)


def _of(count: int, curve: Curve) -> str:
    return f"{count:,} of {len(curve.x):,} points"


def y_range(panel: Panel) -> Range | None:
    """What the y axis shows; None where it is as the points are.

    With a diagonal it is that of x: the range of x, and of curves, with a margin.
    """
    if panel.y_range is not None or not panel.diagonal:
        return panel.y_range
    values = [x for curve in panel.curves for x in (*curve.x, *(curve.y * curve.joined))]
    low, high = min(values, default=0.0), max(values, default=1.0)
    margin = 0.05 * (high - low or 1.0)
    return low - margin, high + margin


def x_range(panel: Panel) -> Range | None:
    """What the x axis shows; None where it is as the points are."""
    return panel.x_range or (y_range(panel) if panel.diagonal else None)


def styles(picture: Picture) -> dict[str, Style]:
    """Curve name -> style, so that a curve has the same in all panels."""
    found: dict[str, Style] = {}
    for panel in picture.panels:
        for one in (panel, panel.below):
            for curve in one.curves if one else ():
                if not curve.reference:
                    found.setdefault(curve.name, curve.style or Style(len(found)))
    return found
