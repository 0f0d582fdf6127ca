"""Where a name on a line goes: over no curve, no mark and no other text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.path import Path
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

Array = NDArray[np.float64]
Color = tuple[float, float, float]
_SIZE = 6.5
"""Points of its letters."""
_STEP = 1.5
"""Display units between the points that stand for a line."""
_GAPS = (1.5, 3.0, 5.0, 8.0)
"""Points between a line and its name, the best first; further off it might be another's."""
_ALONG = np.linspace(1.0, 0.0, 41)
"""Places along a line, the end first."""


@dataclass(frozen=True)
class Label:
    """A name, and the line it stands on in data coordinates."""

    ax: Axes
    text: str
    x: Sequence[float]
    y: Sequence[float]
    """Empty `x`: a level over the whole axis."""
    color: Color


def drawn_points(ax: Axes) -> Array:
    """(n, 2) display coordinates of all curves, marks, levels and error bars of a pair of axes."""
    parts = [np.empty((0, 2))]
    for line in ax.lines:
        path = line.get_transform().transform_path(line.get_path())
        joined = line.get_linestyle() not in ("None", "", " ")
        points = np.asarray(path.vertices)
        parts.append(_along(points) if joined else points)
    for collection in ax.collections:
        if isinstance(collection, LineCollection):
            transform = collection.get_transform()
            parts += [_along(transform.transform(one)) for one in collection.get_segments()]
    return np.concatenate(parts)


def drawn_bands(ax: Axes) -> list[Path]:
    """The outlines of all bands around curves, in display coordinates."""
    bands = [one for one in ax.collections if isinstance(one, PolyCollection)]
    return [one.get_transform().transform_path(path) for one in bands for path in one.get_paths()]


def _along(vertices: Array) -> Array:
    """Points at most a step apart on the line through these."""
    vertices = np.asarray(vertices, float).reshape(-1, 2)
    vertices = vertices[np.isfinite(vertices).all(axis=1)]
    if len(vertices) < 2:
        return vertices
    lengths = np.hypot(*np.diff(vertices, axis=0).T)
    at = np.concatenate([[0.0], np.cumsum(lengths)])
    count = min(max(int(at[-1] / _STEP), 1), 20_000) + 1
    fine = np.linspace(0, at[-1], count)
    return np.column_stack([np.interp(fine, at, vertices[:, k]) for k in (0, 1)])


def write_on_lines(labels: Sequence[Label]) -> set[str]:
    """Write each where there is room; the names that found none."""
    homeless: set[str] = set()
    for ax in dict.fromkeys(label.ax for label in labels):
        canvas = ax.figure.canvas
        assert isinstance(canvas, FigureCanvasAgg)
        renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
        points, bands = drawn_points(ax), drawn_bands(ax)
        taken = [text.get_window_extent(renderer) for text in ax.texts]
        for label in (one for one in labels if one.ax is ax):
            text = ax.text(0, 0, label.text, fontsize=_SIZE, color=label.color, va="bottom")
            text.set_in_layout(False)
            found = text.get_window_extent(renderer)
            box = _place(label, found.width, found.height, points, bands, taken)
            if box is None:
                text.remove()
                homeless.add(label.text)
                continue
            taken.append(box)
            x, y = ax.transData.inverted().transform((box.x0, box.y0)).tolist()
            text.set_position((x, y))
    return homeless


def _place(
    label: Label,
    width: float,
    height: float,
    points: Array,
    bands: Sequence[Path],
    taken: Sequence[Bbox],
) -> Bbox | None:
    inside = label.ax.get_window_extent()
    for box in _boxes(label, inside, width, height):
        fits = inside.x0 <= box.x0 and box.x1 <= inside.x1 and box.y1 <= inside.y1
        if not fits or box.y0 < inside.y0 or any(box.overlaps(other) for other in taken):
            continue
        wide = box.padded(1.0)
        if wide.count_contains(points):
            continue
        if not any(band.intersects_bbox(wide, filled=True) for band in bands):
            return box
    return None


def _boxes(label: Label, inside: Bbox, width: float, height: float) -> Iterator[Bbox]:
    """Above and below the line, from its end to its start, then further away."""
    scale = label.ax.figure.dpi / 72
    if label.x:
        line = label.ax.transData.transform(np.column_stack([label.x, label.y]))
    else:
        y = label.ax.transData.transform((1.0, label.y[0]))[1]
        line = np.array([[inside.x0, y], [inside.x1, y]])
    order = np.argsort(line[:, 0])
    line = line[order]
    low, high = max(line[0, 0], inside.x0) + 2, min(line[-1, 0], inside.x1) - 2
    for gap in _GAPS:
        for share in _ALONG:
            x0 = max(low + share * (high - low) - width, inside.x0 + 2)
            y = np.interp(x0 + width / 2, line[:, 0], line[:, 1])
            for y0 in (y + gap * scale, y - gap * scale - height):
                yield Bbox.from_bounds(x0, y0, width, height)
