"""The spectrum viewer: test or observed stars, models' predictions, and what they depend on."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from vitlab.contract.job import Done
from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value
from vitlab.lab.inspector.client import Client
from vitlab.lab.inspector.star import Sources, StarList, StarSheet
from vitlab.plot.canvas import Look
from vitlab.tui.keys import Key, bindings
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.dialogs import FileSuggester, LineScreen
from vitlab.tui.session import Session
from vitlab.tui.text import clean
from vitlab.tui.widgets.chart import ZOOM_KEYS, Zooming
from vitlab.tui.widgets.spectrum_chart import (
    SpectrumChart,
    SpectrumState,
    StarPane,
    chart_title,
    lower_kinds,
    pixel_words,
)

if TYPE_CHECKING:
    from vitlab.lab.inspector.client import Client
    from vitlab.lab.live.snapshot import JobView, LabSnapshot


OF_FILES = "FITS, text, or a CSV list of files; empty: the test stars"
"""What may be opened."""


@dataclass
class StarOrder:
    """The order in which a job's stars are shown, and the place in it."""

    label: str = ""
    worst: bool = True
    """Sorted by error, largest first; else by number."""
    numbers: list[int] = field(default_factory=list)
    at: int = 0

    @property
    def now(self) -> int:
        """The number of the star shown."""
        return self.numbers[self.at]

    def sort(self, stars: StarList, at: int) -> None:
        """Sort the stars, and begin at place `at`."""
        self.numbers = stars.order(self.label, worst=self.worst)
        self.go(at)

    def go(self, at: int) -> None:
        """To a place, or the nearest there is."""
        self.at = min(max(at, 0), max(len(self.numbers) - 1, 0))

    def reverse(self, stars: StarList) -> None:
        """The other order: worst first begins at the worst, by number stays at the star."""
        now = self.now if self.numbers else 0
        self.worst = not self.worst
        self.sort(stars, 0 if self.worst else now)

    def next_label(self, stars: StarList) -> None:
        """The next label, which has other errors; by number the star stays."""
        if self.label in stars.labels:
            at = stars.labels.index(self.label) + 1
            self.label = stars.labels[at % len(stars.labels)]
            self.sort(stars, 0 if self.worst else self.at)


def _is_scored(job: JobView) -> bool:
    return any(Value.parse(name).split == "test" for name in job.values)


def star_called(words: str, stars: StarList) -> int | None:
    """The star of this number, or else the first with this in its name."""
    if words.isdecimal() and int(words) < stars.n:
        return int(words)
    found = (k for k, name in enumerate(stars.names) if words.casefold() in name.casefold())
    return next(found, None) if words else None


def newest_scored(jobs: Sequence[JobView]) -> JobView | None:
    """The job that ended last, of those with values of test stars."""
    ended = [
        (job.state.ended, number, job)
        for number, job in enumerate(jobs)
        if isinstance(job.state, Done) and _is_scored(job)
    ]
    return max(ended)[2] if ended else None


@dataclass
class Progress(Message, bubble=False):
    """What the process that reads the stars is doing."""

    text: str


class SpectrumScreen(Zooming, LabScreen):
    """One star at a time: charts, predictions, and where the information is."""

    chart: SpectrumChart

    NAME = "spectrum"
    HEADING = "Spectrum"
    KEYS = (
        Key("s", "next_order", "sort", "sort the stars by error, or by number"),
        Key("v", "next_view", "below", "lower chart: residual, normalised, in units, attention"),
        Key("m", "next_value", "label", "the next label the model predicts"),
        Key("full_stop", "next_place(1)", "line", "to the next spectral line"),
        Key("comma", "next_place(-1)", "", "to the previous line", in_line=False),
        Key("O", "open_file", "file", "open observed spectra: a file, or a list of files"),
        Key("P", "pick", "", "choose a star by its number or name", in_line=False),
        *ZOOM_KEYS,
    )
    MOVES = (
        ("h l, arrows", "move the cursor to read pixels; with shift ten columns"),
        ("j k, g G", "next and previous star, first, last"),
        ("tab", "switch between chart and predictions"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(KEYS),
        Binding("j,down", "next_star(1)", "Next star", show=False),
        Binding("k,up", "next_star(-1)", "Previous star", show=False),
        Binding("g,home", "end_star(0)", "First star", show=False),
        Binding("G,end", "end_star(-1)", "Last star", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.chart = SpectrumChart(self._read)
        self.chart.state = SpectrumState(look=Look(plain=session.plain))
        self._reading = Static(id="reading", markup=False)
        self._chart_pane = Vertical(self.chart, self._reading, id="spectrum-pane", classes="pane")
        self._star_pane = StarPane()
        self._client: Client | None = None
        self._job = ""
        self._path = ""
        """Of the observed spectra; empty where the job's test stars are shown."""
        self._order = StarOrder()
        self._busy = False

    def body(self) -> tuple[Widget, ...]:
        return (self._chart_pane, self._star_pane)

    def on_mount(self) -> None:
        self.chart.focus()

    def on_screen_suspend(self) -> None:
        """Its process ends with it, but not where a dialog is over it."""
        if self not in self.app.screen_stack:
            self._close()

    def on_unmount(self) -> None:
        self._close()

    def _close(self) -> None:
        if self._client is not None:
            client, self._client, self._job = self._client, None, ""
            # Off the event loop: it waits for the process.
            asyncio.get_running_loop().run_in_executor(None, client.close)

    # which job

    def selected_job(self) -> JobView | None:
        return self.job_called(self._job)

    def select(self, key: str) -> None:
        """Show the stars of the job `key`; of the newest with a result where it is empty."""
        job = self.job_called(key)
        if job is None and not key:
            job = newest_scored(self.view.jobs if self.view else ())
        if job is None:
            self._show_text("no job with test stars yet: n at home launches the next MVP")
        elif job.paths.name != self._job:
            self._open_stars(job, "")

    def _open_stars(self, job: JobView, path: str) -> None:
        """Of the job's test set, or of a file or list of observed spectra."""
        self._close()
        self._job, self._path = job.paths.name, path
        self._order = StarOrder(worst=self._order.worst)
        self._client = Client(job.paths, Sources(path) if path else None)
        self._show_text("opening ...")
        self._open(self._client)

    @work(group="actions")
    async def action_open_file(self) -> None:
        """Observed spectra, asked of the job's model; an empty line: its test stars again."""
        job = self.selected_job()
        if job is None:
            self.app.notify("no model to ask: n at home launches the next MVP")
            return
        dialog = LineScreen("Observed spectra", self._path, OF_FILES, suggester=FileSuggester())
        words = await self.app.push_screen_wait(dialog)
        if words is None:
            return
        path = Path(words.strip()).expanduser()
        if words.strip() and not await asyncio.to_thread(path.is_file):
            self.app.notify(f"{clean(words.strip())}: no such file", severity="error")
        elif self.selected_job() is job or words.strip():
            self._open_stars(job, str(path.absolute()) if words.strip() else "")

    @work(group="stars")
    async def _open(self, client: Client) -> None:
        try:
            stars = await asyncio.to_thread(client.open, self._tell)
        except (UsageError, OSError) as error:
            if client is self._client:
                self._show_text(str(error))
            return
        if client is not self._client:
            return
        job = self.selected_job()
        headline = "" if job is None else Value.parse(job.spec.headline).label
        self._order.label = headline if headline in stars.labels else stars.labels[0]
        look = replace(self.chart.state.look, window=None, cursor=None)
        lower = "residual" if stars.names else self.chart.state.lower
        self.chart.state = SpectrumState(stars=stars, look=look, lower=lower)
        self._order.sort(stars, 0)
        self._show_selected()

    def _tell(self, step: str) -> None:
        """From the thread that waits for the process."""
        self.post_message(Progress(f"{step} ..."))

    def on_progress(self, progress: Progress) -> None:
        if not self._order.numbers:
            self._show_text(progress.text)
        elif self._busy:
            self._reading.update(clean(progress.text))

    def _show_text(self, text: str) -> None:
        """A line in place of the charts."""
        self.chart.show(replace(self.chart.state, sheet=None, text=text))
        self._read()

    # which star

    def _show_selected(self) -> None:
        """Fetch the selected star; of those selected meanwhile only the last one."""
        if not self._order.numbers:
            self._show_text("this job has no test stars")
        elif not self._busy and self._client is not None:
            self._busy = True
            self._fetch(self._client)

    @work(group="stars")
    async def _fetch(self, client: Client) -> None:
        shown: tuple[int, str] | None = None
        try:
            while client is self._client:
                wanted = self._order.now, self._order.label
                if wanted == shown:
                    return
                sheet = await asyncio.to_thread(client.star, *wanted, self._tell)
                shown = wanted
                if client is self._client:
                    self._show_star(sheet)
        except (UsageError, OSError) as error:
            if client is self._client:
                self._show_text(str(error))
        finally:
            self._busy = False
            if client is not self._client and self._order.numbers:
                self._show_selected()

    def _show_star(self, sheet: StarSheet) -> None:
        look, stars = self.chart.state.look, self.chart.state.stars
        traced = sheet.response or sheet.best
        if look.cursor is None and traced is not None and stars is not None:
            size = [abs(v) if math.isfinite(v) else 0.0 for v in traced.values]
            look = replace(look, cursor=stars.wave[size.index(max(size))])
        self.chart.show(replace(self.chart.state, sheet=sheet, look=look, text=""))
        self._read()

    def action_next_star(self, by: int) -> None:
        if self._order.numbers:
            self._order.go(self._order.at + by)
            self._show_selected()

    def action_end_star(self, at: int) -> None:
        if self._order.numbers:
            self._order.go(at % len(self._order.numbers))
            self._show_selected()

    def action_next_order(self) -> None:
        if self.chart.state.stars is not None:
            self._order.reverse(self.chart.state.stars)
            self._show_selected()

    def action_next_value(self) -> None:
        if self.chart.state.stars is not None:
            self._order.next_label(self.chart.state.stars)
            self._show_selected()

    @work(group="actions")
    async def action_pick(self) -> None:
        order, stars = self._order.numbers, self.chart.state.stars
        if not order or stars is None:
            return
        hint = f"0 to {len(order) - 1}{', or part of its name' if stars.names else ''}"
        words = (await self.app.push_screen_wait(LineScreen("Star", hint=hint)) or "").strip()
        number = star_called(words, stars)
        if number is not None:
            self._order.go(order.index(number))
            self._show_selected()
        elif words:
            what = "number or name" if stars.names else "number"
            self.app.notify(f"{clean(words)}: no star has this {what}")

    # how it is shown

    def action_next_view(self) -> None:
        state = self.chart.state
        kinds = lower_kinds(state.sheet)
        at = kinds.index(state.lower) + 1 if state.lower in kinds else 0
        self.chart.show(replace(state, lower=kinds[at % len(kinds)]))
        self._read()

    def action_next_place(self, by: int) -> None:
        self.chart.to_line(by)

    def show(self, view: LabSnapshot) -> None:  # noqa: ARG002 - a job's stars do not change
        if not self._job:
            self.select("")
        self._read()

    def _read(self) -> None:
        """Update all texts."""
        state = self.chart.state
        stars, sheet, pixel = state.stars, state.sheet, self.chart.pixel
        if not self.is_mounted:
            return
        self._star_pane.show(stars, sheet, plain=self.session.plain)
        if stars is None or sheet is None:
            self._reading.update("")
            self._chart_pane.border_title = Text("")
            self.set_heading(self._job)
            return
        text = "" if pixel is None else pixel_words(stars, sheet, pixel, plain=self.session.plain)
        self._reading.update(clean(text))
        self._chart_pane.border_title = Text(clean(chart_title(sheet, state.lower)))
        place = f"{self._order.at + 1} of {len(self._order.numbers)}"
        if stars.predicted:
            place += ", worst first" if self._order.worst else ", by number"
        name = stars.names[sheet.number] if stars.names else f"star {sheet.number}"
        self.set_heading(f"{stars.model}: {name} ({place})")
