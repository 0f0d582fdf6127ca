"""The live chart: drawn in a thread, a few times a second at most, and only when visible."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.text import Text
from textual import events
from textual.widgets import Static

from vitlab.plot.chart import draw
from vitlab.plot.series import Line, Series
from vitlab.tui.themes import legible
from vitlab.tui.widgets.steady import Table

REDRAW = 0.35
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
        self.set_interval(REDRAW, self._tick)

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
            text = await asyncio.to_thread(render, picture, width, height, self.plain)
        finally:
            self._drawing = False
        self.update(text)


def render(picture: Picture, width: int, height: int, plain: bool) -> Text:
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
