"""Figures as blocks of text: the same panels as in print, drawn by plotext."""

from __future__ import annotations

import math

from vitlab.plot.chart import draw
from vitlab.plot.figures import Curve, Panel, Picture
from vitlab.plot.series import Series, fit

_CLOUD = 400
"""Most points of a cloud that a terminal can show."""


def draw_panels(
    picture: Picture,
    width: int,
    height: int,
    *,
    color: bool = True,
    ascii: bool = False,  # noqa: A002 - as in chart.draw
) -> str:
    """The panels one below the other, each `height` lines of `width` cells."""
    parts = [fit(picture.title, width).rstrip()] if picture.title else []
    for panel in picture.panels:
        series = _on_side(panel) if panel.names else [_series(c, panel) for c in panel.curves]
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
                y_range=_range(panel),
                color=color,
                ascii=ascii,
            )
        )
    return "\n".join(parts)


def _x_label(panel: Panel) -> str:
    return f"log10 {panel.x_label}" if panel.log_x else panel.x_label


def _series(curve: Curve, panel: Panel) -> Series:
    """Points that are not joined have gaps between them."""
    step = 1 if curve.joined else max(1, -(-len(curve.x) // _CLOUD))
    points = list(zip(curve.x, curve.y, strict=True))[::step]
    x: list[float | None] = []
    y: list[float | None] = []
    for at, value in points:
        place = math.log10(at) if panel.log_x and at > 0 else at
        x += [place] if curve.joined else [place, place]
        y += [value] if curve.joined else [value, None]
    if not curve.joined:  # the legend shows the last value
        x, y = x[:-1], y[:-1]
    return Series(curve.name, tuple(x), tuple(y))


def _on_side(panel: Panel) -> list[Series]:
    """One series for each name, so that the legend says which is which."""
    series = []
    for curve in panel.curves:
        for at, value in zip(curve.x, curve.y, strict=True):
            series.append(Series(panel.names[round(at)], (at,), (value,)))
    return series


def _diagonal(panel: Panel) -> list[Series]:
    if not panel.diagonal:
        return []
    xs = [x for curve in panel.curves for x in curve.x]
    ends = (min(xs), max(xs))
    return [Series("y = x", ends, ends)]


def _range(panel: Panel) -> tuple[float, float] | None:
    if not panel.diagonal:
        return None
    xs = [x for curve in panel.curves for x in curve.x]
    return min(xs), max(xs)
