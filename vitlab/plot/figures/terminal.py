"""Figures in a terminal: the same panels, drawn with plotext."""

from __future__ import annotations

import math
import textwrap

from vitlab.contract.value import measured
from vitlab.plot.chart import draw
from vitlab.plot.figures.picture import Curve, Panel, Picture, drawable, styles, x_range, y_range
from vitlab.plot.figures.styles import Style
from vitlab.plot.series import Line, Range, Series, fit

_PLAIN = str.maketrans({"≤": "<=", "±": "+-", "²": "2", "−": "-", "Å": "A", "α": "a"})
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
    known = styles(picture)
    parts = [fit(picture.title, width).rstrip()] if picture.title else []
    notes = [*picture.keys, *picture.notes]
    for whole in picture.panels:
        for panel in (whole, whole.below):
            if panel is None:
                continue
            parts.append(
                draw(
                    _series(panel, known),
                    _levels(panel),
                    width,
                    height,
                    title=panel.title,
                    x_label="" if panel.names else _x_label(panel),
                    y_label=panel.y_label,
                    x_range=_on_axis(panel, x_range(panel)),
                    y_range=y_range(panel),
                    legend=True,
                    color=color,
                    ascii=ascii,
                )
            )
            notes += _said(panel)
    below = "\n".join(line for note in dict.fromkeys(notes) for line in textwrap.wrap(note, width))
    return "\n".join([*parts, *([below.translate(_PLAIN) if ascii else below] if below else [])])


def _series(panel: Panel, known: dict[str, Style]) -> list[Series]:
    if panel.names:
        return _on_side(panel, known)
    ends = y_range(panel) if panel.diagonal else None
    diagonal = [] if ends is None else [Series("y = x", ends, ends)]
    return [_terminal_series(curve, panel, known) for curve in panel.curves] + diagonal


def _levels(panel: Panel) -> list[Line]:
    levels = [*panel.lines, *([Line(0.0, "")] if panel.bars else [])]
    return [line if line.label else Line(line.value, f"{line.value:g}") for line in levels]


def _said(panel: Panel) -> list[str]:
    """What paper shows by marks along the axes, and by error bars."""
    said = [text for curve in panel.curves if (text := _errors(curve, panel))]
    if panel.bins:
        said.append(f"bins of {panel.x_label}: {', '.join(f'{x:.3g}' for x in panel.bins)}")
    if panel.top:
        places = ", ".join(f"{text} = {x:.3g}" for x, text in panel.top)
        said.append(f"{panel.top_label} = {panel.x_label}: {places}")
    if panel.marks:
        said.append("marked: " + ", ".join(text for _, text in panel.marks))
    return said


def _errors(curve: Curve, panel: Panel) -> str:
    """A curve's error bars in words; empty without any."""
    known = [error for error in curve.errors if error > 0]
    wide = [high - low for low, high in curve.ends if high > low]
    if not (known or wide) or curve.reference:
        return ""
    if panel.names:
        each = zip(curve.x, curve.y, curve.errors, strict=True)
        return ", ".join(
            f"{panel.names[round(x)]} {measured(y, e, signed=True)}" for x, y, e in each if e > 0
        )
    low, high = f"{min(known or wide):.2g}", f"{max(known or wide):.2g}"
    of = f"{curve.name}: " if curve.name else ""
    sizes = low + (f" to {high}" if high != low else "")
    return f"{of}± {sizes}" if known else f"{of}bars {sizes} long"


def _x_label(panel: Panel) -> str:
    return f"log10 {panel.x_label}" if panel.log_x else panel.x_label


def _on_axis(panel: Panel, ends: Range | None) -> Range | None:
    if ends is None or not panel.log_x:
        return ends
    return math.log10(ends[0]), math.log10(ends[1])


def _terminal_series(curve: Curve, panel: Panel, known: dict[str, Style]) -> Series:
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
    style = curve.style or (None if curve.reference else known[curve.name])
    return Series(curve.name, tuple(x), tuple(y), style.ink if style else None)


def _on_side(panel: Panel, known: dict[str, Style]) -> list[Series]:
    """One series per name, so that the legend identifies them."""
    points = [
        (at, value, (curve.style or known[curve.name]).ink)
        for curve in panel.curves
        for at, value in zip(curve.x, curve.y, strict=True)
    ]
    return [
        Series(panel.names[round(at)], (at,), (value,), ink) for at, value, ink in sorted(points)
    ]
