"""The spectrum viewer: a job's test stars, what each model says of them and what one looks at."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value
from vitlab.lab.inspector.star import StarSheet
from vitlab.plot.canvas import Look
from vitlab.tui.keys import Key, bindings
from vitlab.tui.screens.base import Session, LabScreen
from vitlab.tui.stars import StarOrder, newest_scored
from vitlab.tui.text import clean, tone_style
from vitlab.tui.widgets.spectrum_chart import (
    LOWER,
    GuessTable,
    SpectrumState,
    SpectrumChart,
    pixel_words,
    star_words,
    where_words,
)

if TYPE_CHECKING:
    from vitlab.lab.inspector.client import Client
    from vitlab.lab.live.snapshot import JobView, LabSnapshot


@dataclass
class Progress(Message, bubble=False):
    """What the reader of the stars is doing."""

    text: str


class SpectrumScreen(LabScreen):
    """One test star at a time: charts, predictions, and where the information is."""

    NAME = "spectrum"
    HEADING = "Spectrum"
    KEYS = (
        Key("n", "turn_star(1)", "next star", "the next star; N the one before"),
        Key("N", "turn_star(-1)", "", "the star before", said=False),
        Key("s", "next_order", "sort", "the stars by error, worst first, or by number"),
        Key("t", "next_lower", "below", "below: shape, response in its unit, attention"),
        Key("m", "next_label", "label", "the next label the model predicts"),
        Key("e", "next_mark(1)", "line", "to the next line that has a name"),
        Key("E", "next_mark(-1)", "", "to the line before", said=False),
        Key("M", "pick_star", "", "a star by its number", said=False),
        Key("plus", "zoom_in", "zoom", "half the window, about the cursor"),
        Key("minus", "zoom_out", "", "twice the window", said=False),
        Key("0", "zoom_whole", "", "the whole spectrum", said=False),
    )
    MOVES = (
        ("h l, arrows", "move the cursor, which reads the pixel; H L ten columns"),
        ("j k, g G", "next and last star, the first, the last"),
        ("tab", "to the predictions and back"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(KEYS),
        Binding("j,down", "turn_star(1)", "Next star", show=False),
        Binding("k,up", "turn_star(-1)", "Star before", show=False),
        Binding("g,home", "end_star(0)", "First star", show=False),
        Binding("G,end", "end_star(-1)", "Last star", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.chart = SpectrumChart(self._read)
        self.chart.state = SpectrumState(look=Look(plain=session.plain))
        self.table = GuessTable("guesses")
        self._reading = Static(id="reading", markup=False)
        self._where = Static(markup=False)
        self._chart_pane = Vertical(self.chart, self._reading, id="spectrum-pane", classes="pane")
        self._star_pane = Vertical(
            self.table, VerticalScroll(self._where, id="where"), id="star-pane", classes="pane"
        )
        self._graph: Client | None = None
        self._job = ""
        self._turns = StarOrder()
        self._busy = False

    def body(self) -> tuple[Widget, ...]:
        return (self._chart_pane, self._star_pane)

    def on_mount(self) -> None:
        self.chart.focus()

    def on_screen_suspend(self) -> None:
        """Its process ends with it; what only lies beneath a dialog goes on."""
        if self not in self.app.screen_stack:
            self._close()

    def on_unmount(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._graph is not None:
            graph, self._graph, self._job = self._graph, None, ""
            # Off the event loop: it waits for the process.
            asyncio.get_running_loop().run_in_executor(None, graph.close)

    # which job

    def selected_job(self) -> JobView | None:
        jobs = self.view.jobs if self.view else ()
        return next((job for job in jobs if job.paths.name == self._job), None)

    def point_at(self, key: str) -> None:
        """Show the stars of the job `key`; of the newest with a result where there is none."""
        jobs = list(self.view.jobs) if self.view else []
        found = next((job for job in jobs if job.paths.name == key), None)
        if found is None and not key:
            found = newest_scored(jobs)
        if found is None:
            self._say("no job with test stars yet: n at home launches the next MVP")
        elif found.paths.name != self._job:
            self._close()
            self._job, self._turns = found.paths.name, StarOrder(worst=self._turns.worst)
            self._graph = self.session.desk.spectrograph(found.paths)
            self._say("opening ...")
            self._open(self._graph)

    @work(group="stars")
    async def _open(self, graph: Client) -> None:
        try:
            stars = await asyncio.to_thread(
                graph.open, lambda text: self.post_message(Progress(f"{text} ..."))
            )
        except (UsageError, OSError) as error:
            if graph is self._graph:
                self._say(str(error))
            return
        if graph is not self._graph:
            return
        job = self.selected_job()
        headline = "" if job is None else Value.parse(job.spec.headline).label
        self._turns.label = headline if headline in stars.labels else stars.labels[0]
        look = replace(self.chart.state.look, window=None, cursor=None)
        self.chart.state = SpectrumState(stars=stars, look=look, lower=self.chart.state.lower)
        self._turns.sort(stars, 0)
        self._look()

    def on_progress(self, progress: Progress) -> None:
        if not self._turns.order:
            self._say(progress.text)

    def _say(self, text: str) -> None:
        """One line instead of the charts."""
        self.chart.show(replace(self.chart.state, sheet=None, text=text))
        self._read()

    # which star

    def _look(self) -> None:
        """Ask for the star that is wanted now; while one is on its way, the last wish counts."""
        if not self._turns.order:
            self._say("this job has no test stars")
        elif not self._busy and self._graph is not None:
            self._busy = True
            self._fetch(self._graph)

    @work(group="stars")
    async def _fetch(self, graph: Client) -> None:
        shown: tuple[int, str] | None = None
        try:
            while graph is self._graph:
                wanted = self._turns.now, self._turns.label
                if wanted == shown:
                    return
                sheet = await asyncio.to_thread(graph.star, *wanted)
                shown = wanted
                if graph is self._graph:
                    self._show_star(sheet)
        except (UsageError, OSError) as error:
            if graph is self._graph:
                self._say(str(error))
        finally:
            self._busy = False
            if graph is not self._graph and self._turns.order:
                self._look()

    def _show_star(self, sheet: StarSheet) -> None:
        look, stars = self.chart.state.look, self.chart.state.stars
        traced = sheet.response or sheet.best
        if look.cursor is None and traced is not None and stars is not None:
            size = [abs(v) if math.isfinite(v) else 0.0 for v in traced.values]
            look = replace(look, cursor=stars.wave[size.index(max(size))])
        self.chart.show(replace(self.chart.state, sheet=sheet, look=look, text=""))
        self._read()

    def action_turn_star(self, by: int) -> None:
        if self._turns.order:
            self._turns.go(self._turns.at + by)
            self._look()

    def action_end_star(self, at: int) -> None:
        if self._turns.order:
            self._turns.go(at % len(self._turns.order))
            self._look()

    def action_next_order(self) -> None:
        if self.chart.state.stars is not None:
            self._turns.turn_order(self.chart.state.stars)
            self._look()

    def action_next_label(self) -> None:
        if self.chart.state.stars is not None:
            self._turns.next_label(self.chart.state.stars)
            self._look()

    @work(group="places")
    async def action_pick_star(self) -> None:
        from vitlab.tui.screens.dialogs import LineScreen

        order = self._turns.order
        hint = f"0 to {len(order) - 1}"
        words = await self.app.push_screen_wait(LineScreen("Star", hint=hint)) if order else None
        if not words:
            return
        if not words.strip().isdecimal() or int(words) not in order:
            self.app.notify(f"{clean(words)}: no star of this number", markup=False)
            return
        self._turns.go(order.index(int(words)))
        self._look()

    # how it is looked at

    def action_next_lower(self) -> None:
        state = self.chart.state
        kinds = [one for one in LOWER if one != "attention" or _has_attention(state.sheet)]
        at = kinds.index(state.lower) + 1 if state.lower in kinds else 0
        self.chart.show(replace(state, lower=kinds[at % len(kinds)]))
        self._read()

    def action_next_mark(self, by: int) -> None:
        """The cursor to the next line with a name, after or before it."""
        state = self.chart.state
        if state.stars is None:
            return
        at = state.look.cursor or self.chart.whole[0]
        waves = [mark.wave for mark in state.stars.marks]
        # A line lies between two pixels: the one the cursor is on is not the next.
        beyond = [wave for wave in waves if (wave - at) * by > 1.0]
        if beyond:
            self.chart.point_at(min(beyond) if by > 0 else max(beyond))

    def action_zoom_in(self) -> None:
        self.chart.zoom(0.5)

    def action_zoom_out(self) -> None:
        self.chart.zoom(2.0)

    def action_zoom_whole(self) -> None:
        self.chart.zoom(None)

    def show(self, view: LabSnapshot) -> None:  # noqa: ARG002 - a job's stars do not change
        if not self._job:
            self.point_at("")
        self._read()

    def _read(self) -> None:
        """All that is said in words."""
        state = self.chart.state
        stars, sheet, pixel = state.stars, state.sheet, self.chart.pixel
        if not self.is_mounted:
            return
        self.table.show(sheet)
        if stars is None or sheet is None:
            self._reading.update("")
            self._where.update("")
            self._star_pane.border_title = Text("no star")
            self._chart_pane.border_title = Text("")
            self.set_heading(self._job)
            return
        said = "" if pixel is None else pixel_words(stars, sheet, pixel, plain=self.session.plain)
        self._reading.update(clean(said))
        self._where.update(where_words(stars, sheet, tone_style(self, "muted")))
        self._star_pane.border_title = Text(clean(star_words(sheet)))
        below = {"shape": "each over its total", "response": "in its own unit"}
        kind = below.get(state.lower, state.lower)
        title = f"flux over median; below, what {sheet.label} hangs on: {kind}"
        self._chart_pane.border_title = Text(title)
        order = "worst first" if self._turns.worst else "by number"
        place = f"{self._turns.at + 1} of {len(self._turns.order)}, {order}"
        self.set_heading(f"{stars.model}: star {sheet.number} ({place})")


def _has_attention(sheet: StarSheet | None) -> bool:
    return sheet is not None and sheet.attention is not None
