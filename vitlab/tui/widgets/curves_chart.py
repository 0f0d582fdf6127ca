"""Charts of curves: the live chart at home, and any runs with a window, smoothing and a cursor."""

from __future__ import annotations

import asyncio
import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from rich.color import Color
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import Static

from vitlab.lab.progress import Sample
from vitlab.plot.canvas import Curve, Folds, Look, paint, whole
from vitlab.plot.chart import draw
from vitlab.plot.series import Line, Rgb, Series
from vitlab.tui.themes import legible
from vitlab.tui.watch.messages import RunCurve
from vitlab.tui.widgets.stable_table import Table

LIVE_REDRAW = 0.35
"""Seconds between two drawings."""


@dataclass(frozen=True)
class Picture:
    """What the chart shows."""

    series: Sequence[Series] = ()
    lines: Sequence[Line] = ()
    title: str = ""
    x_label: str = ""
    empty: str = ""
    """What is said while there is no curve."""


class MetricChart(Static, can_focus=True):
    """Curves of one value over the jobs, with thresholds."""

    plain = False

    def __init__(self) -> None:
        super().__init__(id="curve", markup=False)
        self._picture = Picture()
        self._due = True
        self._drawing = False
        self._theme = ""

    def on_mount(self) -> None:
        self.set_interval(LIVE_REDRAW, self._tick)

    def show(self, picture: Picture) -> None:
        self._picture = picture
        self._due = True

    def whole(self) -> Table:
        """All points of all curves, with the jobs' names."""
        picture = self._picture
        rows: list[tuple[str, ...]] = [
            (series.name, *("" if part is None else f"{part:.10g}" for part in point))
            for series in picture.series
            for point in zip(series.x, series.y, strict=True)
        ]
        return Table(("run", picture.x_label or "x", picture.title or "value"), rows)

    @property
    def picture(self) -> Picture:
        """What is drawn, in colours that are read on the theme's ground."""
        ground = self.app.current_theme.background or ""
        if self.app.current_theme.dark or len(ground) != 7:
            return self._picture  # no light ground, or one the terminal names
        series = tuple(
            replace(one, color=legible(one.color, ground)) if one.color else one
            for one in self._picture.series
        )
        return replace(self._picture, series=series)

    def on_resize(self, _: events.Resize) -> None:
        self._due = True
        self._tick()

    def _tick(self) -> None:
        if self.app.theme != self._theme:
            self._theme, self._due = self.app.theme, True
        visible = self.is_on_screen and self.screen.is_current and self.size.height > 0
        if self._due and visible and not self._drawing:
            self._due, self._drawing = False, True
            self.run_worker(self._redraw(), group="chart")

    async def _redraw(self) -> None:
        width, height = self.content_size
        picture = self.picture
        try:
            text = await asyncio.to_thread(render_live, picture, width, height, self.plain)
        finally:
            self._drawing = False
        self.update(text)


def render_live(picture: Picture, width: int, height: int, plain: bool) -> Text:
    """The picture as Rich text."""
    if not picture.series:
        return Text(picture.empty)
    block = draw(
        picture.series,
        picture.lines,
        width,
        height,
        title=picture.title,
        x_label=picture.x_label,
        ascii=plain,
    )
    text = Text.from_ansi(block, no_wrap=True)
    text.end = ""
    return text


AXES = ("step", "epoch", "spectra", "seconds")
"""What x can be."""
SMOOTH = (0.0, 0.6, 0.9, 0.97)
"""Weights of what was before, in the running mean."""
REDRAW = 0.3
"""Seconds between two drawings of curves that grow; a key is answered at once."""


@dataclass(frozen=True)
class Sight:
    """Everything a drawing depends on besides its size."""

    runs: tuple[RunCurve, ...] = ()
    lines: tuple[Line, ...] = ()
    axis: str = "step"
    smooth: float = 0.0
    look: Look = field(default_factory=Look)


class RunChart(Static, can_focus=True):
    """Drawn in a thread, only when visible, and as often as somebody could see it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "move(-1)", "Cursor left", show=False),
        Binding("l,right", "move(1)", "Cursor right", show=False),
        Binding("H,shift+left", "move(-10)", "Far left", show=False),
        Binding("L,shift+right", "move(10)", "Far right", show=False),
    ]

    def __init__(self, moved: Callable[[], object]) -> None:
        """`moved()` is called when cursor or window has moved."""
        super().__init__(id="chart", markup=False)
        self.sight = Sight()
        self._moved = moved
        self._curves: dict[tuple[int, str, float], tuple[RunCurve, Curve]] = {}
        self._folds: Folds = {}
        self._due = self._drawing = False

    def on_mount(self) -> None:
        self.set_interval(REDRAW, self._tick)

    def show(self, sight: Sight, *, now: bool = False) -> None:
        """Draw this; `now` for what a key asked for."""
        self.sight = sight
        self._due = True
        if now:
            self._tick()

    def on_resize(self, _: events.Resize) -> None:
        self._due = True
        self._tick()

    def curves(self) -> list[Curve]:
        """The runs on the chosen axis, smoothed; each made once as long as it does not grow."""
        made: dict[tuple[int, str, float], tuple[RunCurve, Curve]] = {}
        for run in self.sight.runs:
            key = (id(run), self.sight.axis, self.sight.smooth)
            made[key] = self._curves.get(key) or (run, curve(run, *key[1:]))
        if made.keys() != self._curves.keys():
            self._folds.clear()
        self._curves = made
        return [one for _, one in made.values()]

    # what the keys do

    def action_move(self, columns: int) -> None:
        """Move the cursor; at the window's edge the window goes with it."""
        curves = self.curves()
        first, last = whole(curves)
        low, high = self.sight.look.window or (first, last)
        step = (high - low) / max(self.content_size.width - 8, 1)
        cursor = self.sight.look.cursor
        start = high if cursor is None else cursor
        cursor = min(max(start + columns * step, first), last)
        window = self.sight.look.window
        if window is not None:
            shift = min(cursor - low, 0.0) + max(cursor - high, 0.0)
            window = (low + shift, high + shift)
        self._set(replace(self.sight.look, cursor=cursor, window=window))

    def zoom(self, factor: float | None) -> None:
        """Narrow the window by `factor` about the cursor; None shows all."""
        look = self.sight.look
        first, last = whole(self.curves())
        if factor is None:
            self._set(replace(look, window=None))
            return
        low, high = look.window or (first, last)
        middle = (low + high) / 2 if look.cursor is None else look.cursor
        half = (high - low) * factor / 2
        if half > (last - first) / 2 or half <= 0:
            self._set(replace(look, window=None))
        elif half > (last - first) * 1e-6:
            middle = min(max(middle, first + half), last - half)
            self._set(replace(look, window=(middle - half, middle + half)))

    def _set(self, look: Look) -> None:
        self.show(replace(self.sight, look=look), now=True)
        self._moved()

    def readings(self) -> list[float | None]:
        """What each run says at the cursor, in their order; its last value where there is none."""
        cursor = self.sight.look.cursor
        return [reading(one, cursor) for one in self.curves()]

    # drawing

    def _tick(self) -> None:
        visible = self.is_on_screen and self.screen.is_current and self.size.height > 0
        if self._due and visible and not self._drawing:
            self._due, self._drawing = False, True
            self.run_worker(self._redraw(), group="chart")

    async def _redraw(self) -> None:
        size, sight, curves = self.content_size, self.sight, self.curves()
        folds = self._folds if len(self._folds) < 64 else {}
        self._folds = folds
        try:
            text = await asyncio.to_thread(render, curves, sight, size.width, size.height, folds)
        finally:
            self._drawing = False
        self.update(text)
        if self._due and sight.look != self.sight.look:
            self._tick()


def curve(run: RunCurve, axis: str, smooth: float) -> Curve:
    """The run's samples as a curve of finite values and gaps, smoothed by a running mean."""
    xs: list[float] = []
    ys: list[float] = []
    gaps: list[float] = []
    mean, weight = 0.0, 0.0
    for sample in run.samples:
        x = _x(sample, axis, run.batch)
        if x is None or (xs and x < xs[-1]):
            continue
        value = sample.value
        if value is None or not math.isfinite(value):
            gaps.append(x)
            continue
        if smooth:
            mean, weight = smooth * mean + (1 - smooth) * value, smooth * weight + 1 - smooth
            value = mean / weight
        xs.append(x)
        ys.append(value)
    return Curve(run.label, xs, ys, run.color, gaps)


def _x(sample: Sample, axis: str, batch: float | None) -> float | None:
    match axis:
        case "epoch":
            return sample.epoch
        case "spectra":
            return None if batch is None else sample.step * batch
        case "seconds":
            return sample.seconds
        case _:
            return sample.step


def reading(one: Curve, cursor: float | None) -> float | None:
    """The curve's value nearest to the cursor; its last one without a cursor."""
    if not len(one.y):
        return None
    if cursor is None:
        return one.y[-1]
    after = min(bisect_left(one.x, cursor), len(one.x) - 1)
    before = max(after - 1, 0)
    nearer = before if cursor - one.x[before] < one.x[after] - cursor else after
    return one.y[nearer]


def render(curves: Sequence[Curve], sight: Sight, width: int, height: int, folds: Folds) -> Text:
    """The drawing as Rich text; each colour's style is made once."""
    if not any(len(one.x) for one in curves):
        return Text("no values yet: n at home launches the next MVP")
    styles: dict[Rgb | None, Style] = {None: Style.null()}
    text = Text(no_wrap=True, end="")
    rows = paint(curves, sight.lines, sight.look, width, height, folds)
    for number, row in enumerate(rows):
        for piece, color in row:
            if color not in styles:
                styles[color] = Style(color=Color.from_rgb(*(color or (0, 0, 0))))
            text.append(piece, styles[color])
        if number < len(rows) - 1:
            text.append("\n")
    return text
