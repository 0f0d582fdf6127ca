"""Charts of curves: the live chart at home, and any runs with a window, smoothing and a cursor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from rich.text import Text

from vitlab.lab.figures.axes import Run, series, x_range
from vitlab.plot.canvas import (
    Curve,
    Folds,
    Look,
    Panel,
    curve_columns,
    hidden_by_log,
    nearest,
    paint,
    whole,
)
from vitlab.plot.chart import draw
from vitlab.plot.labels import GREY
from vitlab.plot.series import Line, Range, Series
from vitlab.tui.themes import legible
from vitlab.tui.widgets.chart import Chart, CursorChart, Draw, colored
from vitlab.tui.widgets.table import Table


@dataclass(frozen=True)
class LiveCurves:
    """What the live chart shows."""

    series: Sequence[Series] = ()
    lines: Sequence[Line] = ()
    title: str = ""
    x_label: str = ""
    empty: str = ""
    """Shown while there is no curve."""
    x_range: Range | None = None
    """From 0 to the end as planned; None shows the whole curves."""


class LiveChart(Chart):
    """Curves of one value over the jobs, with thresholds.

    plotext draws it, as it does `vitlab plot`; `CurvesChart` needs the canvas, which is fast enough
    to follow a cursor over many long curves.
    """

    INTERVAL: ClassVar[float] = 0.35
    plain = False

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id)
        self._content = LiveCurves()

    def show(self, content: LiveCurves) -> None:
        before, self._content = self._content, content
        grows = [one.name for one in before.series] == [one.name for one in content.series]
        self.redraw(now=False, grows=grows and before.title == content.title)

    def table(self) -> Table:
        """All points of all curves, with the jobs' names."""
        content = self._content
        rows: list[tuple[str, ...]] = [
            (series.name, *("" if part is None else f"{part:.10g}" for part in point))
            for series in content.series
            for point in zip(series.x, series.y, strict=True)
        ]
        return Table(("run", content.x_label or "x", content.title or "value"), rows)

    @property
    def content_for_theme(self) -> LiveCurves:
        """What is drawn, in colours that can be read on the theme's background."""
        ground = self.app.current_theme.background or ""
        if self.app.current_theme.dark or len(ground) != 7:
            return self._content  # no light background, or one the terminal names
        series = tuple(
            replace(one, color=legible(one.color, ground)) if one.color else one
            for one in self._content.series
        )
        return replace(self._content, series=series)

    def drawing(self) -> Draw:
        content, plain, color = self.content_for_theme, self.plain, not self.app.no_color
        return lambda width, height: render_live(content, width, height, plain, color=color)

    def on_mount(self) -> None:
        self.app.theme_changed_signal.subscribe(self, lambda _: self.redraw())


def render_live(
    content: LiveCurves, width: int, height: int, plain: bool, *, color: bool = True
) -> Text:
    """The chart as Rich text."""
    if not content.series:
        return Text(content.empty)
    block = draw(
        content.series,
        content.lines,
        width,
        height,
        title=content.title,
        x_label=content.x_label,
        x_range=content.x_range,
        color=color,
        ascii=plain,
    )
    text = Text.from_ansi(block, no_wrap=True)
    text.end = ""
    return text


SMOOTH = (0.0, 0.6, 0.9, 0.97)
"""Weights of earlier values in the running mean."""
FOLDED = 64
"""Reduced curves kept: those of some windows."""


@dataclass(frozen=True)
class CurvesState:
    """Everything a drawing depends on besides its size."""

    runs: tuple[Run, ...] = ()
    metric: str = ""
    lines: tuple[Line, ...] = ()
    axis: str = "step"
    smooth: float = 0.0
    look: Look = field(default_factory=Look)


class CurvesChart(CursorChart):
    """Any runs, redrawn as they grow."""

    def __init__(self, moved: Callable[[], object]) -> None:
        super().__init__("chart", moved)
        self.state = CurvesState()
        self._curves: dict[tuple[int, str, float], tuple[Run, Curve]] = {}
        self._folds: Folds = {}

    def show(self, state: CurvesState, *, now: bool = False) -> None:
        """Draw this; `now` for what a key asked for."""
        self.state = state
        self.redraw(now=now)

    @property
    def look(self) -> Look:
        return self.state.look

    def set_look(self, look: Look) -> None:
        self.state = replace(self.state, look=look)

    def panel(self) -> Panel:
        """What is drawn."""
        curves, state = self.curves(), self.state
        x = x_range(state.runs, curves, state.axis)
        return Panel(curves, state.lines, x_range=x, named=True)

    def full_range(self) -> tuple[float, float]:
        panel = self.panel()
        return panel.x_range or whole(panel.curves)

    def curve_columns(self) -> int:
        return curve_columns(self.panel(), self.look, super().curve_columns())

    def curves(self) -> list[Curve]:
        """The runs on the chosen axis, smoothed; each made once as long as it does not grow."""
        made: dict[tuple[int, str, float], tuple[Run, Curve]] = {}
        for run in self.state.runs:
            key = (id(run), self.state.axis, self.state.smooth)
            made[key] = self._curves.get(key) or (run, curve(run, *key[1:], self.state.metric))
        if made.keys() != self._curves.keys():
            self._folds.clear()
        self._curves = made
        return [one for _, one in made.values()]

    def readings(self) -> list[float | None]:
        """Each run's value at the cursor, in their order; its last value without a cursor."""
        return [reading(one, self.look.cursor) for one in self.curves()]

    def drawing(self) -> Draw:
        panel, look = self.panel(), self.look
        if len(self._folds) >= FOLDED:
            self._folds = {}
        folds = self._folds
        return lambda width, height: render(panel, look, width, height, folds)


def curve(run: Run, axis: str, smooth: float, metric: str) -> Curve:
    """The run's samples as a curve of finite values and gaps, smoothed by a running mean."""
    drawn = series(run, axis, metric)
    xs: list[float] = []
    ys: list[float] = []
    gaps: list[float] = []
    mean, weight = 0.0, 0.0
    for x, value in zip(drawn.x, drawn.y, strict=True):
        if x is None or (xs and x < xs[-1]):
            continue
        if value is None or not math.isfinite(value):
            gaps.append(x)
            continue
        if smooth:
            mean, weight = smooth * mean + (1 - smooth) * value, smooth * weight + 1 - smooth
            value = mean / weight
        xs.append(x)
        ys.append(value)
    color = run.color or GREY
    return Curve(run.label, xs, ys, color, gaps, drawn.best, drawn.test, drawn.level)


def reading(one: Curve, cursor: float | None) -> float | None:
    """The curve's value nearest to the cursor; its last one without a cursor."""
    if not len(one.y):
        return None
    return one.y[-1 if cursor is None else nearest(one.x, cursor)]


def render(panel: Panel, look: Look, width: int, height: int, folds: Folds) -> Text:
    """The drawing as Rich text."""
    if not any(len(one.x) or one.test for one in panel.curves):
        more = "" if panel.curves else ": n at home launches the next MVP"
        return Text(f"no values yet{more}")
    lost = hidden_by_log(panel.curves, look)
    rows = paint(panel, look, width, height - bool(lost), folds)
    if lost:
        sign = "<=" if look.plain else "≤"
        noun = "value" if lost == 1 else "values"
        rows.append([(f"{lost:,} {noun} {sign} 0 not shown on a log axis"[:width], GREY)])
    return colored(rows)
