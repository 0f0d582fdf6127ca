"""The selected MVP: its section, runs, conclusion and report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from vitlab.contract.job import Running, ended_well
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.value import Value
from vitlab.plot.series import cells, fit
from vitlab.tui.text import (
    belongs,
    clean,
    in_order,
    job_label,
    last_r2,
    state_words,
    status_word,
    steps_of,
    time_of,
    tone_style,
)

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.mvp_summary import MvpSummary
    from vitlab.lab.live.snapshot import JobView, LabSnapshot

FIRST = 0.5
"""Seconds to the first reading on home: its first picture does not wait for it."""
AGAIN = 1.0
"""Seconds after which it is read again even where nothing seems to have changed."""
LABEL = 12
"""Cells of a fact's name."""
RUNS = 12
"""How many runs are shown."""

Reader = Callable[[str, Sequence[JobPaths]], "MvpSummary"]
"""MVP and its jobs that ended well -> what is known of it; blocking."""


class MvpPane(VerticalScroll):
    """Reads in a thread, only what is looked at, and only the last MVP asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "End", show=False),
    ]

    def __init__(self, read: Reader, *, plain: bool, wait: float = 0.0) -> None:
        """`wait`: seconds from now before which nothing is read."""
        super().__init__(id="mvp")
        self._read = read
        self._plain = plain
        self._body = Static(markup=False)
        self._summary: MvpSummary | None = None
        self._wanted: tuple[Mvp, LabSnapshot] | None = None
        self._key: object = None
        self._read_at = 0.0
        self._from = time.monotonic() + wait
        self._busy = False
        self._trouble = ""
        self._text = Text()

    def compose(self) -> ComposeResult:
        yield self._body

    def on_resize(self) -> None:
        self._draw()

    def show(self, view: LabSnapshot, mvp: Mvp | None) -> None:
        """Show this MVP; what is known of it follows from a thread."""
        self._wanted = (mvp, view) if mvp else None
        if mvp is None:
            self._update(Text("no MVP is selected", tone_style(self, "muted")))
            return
        jobs = [job for job in view.jobs if job.spec.mvp == mvp.id and belongs(job, view)]
        key = (mvp.id, id(view.roadmap), tuple((job.paths.name, job.state) for job in jobs))
        if self._summary is not None and self._summary.mvp.id != mvp.id:
            self._summary = None
            self.scroll_home(animate=False)
        self._draw()
        if time.monotonic() < self._from:
            return
        if self._busy or (key == self._key and time.monotonic() - self._read_at < AGAIN):
            return
        self._key, self._busy = key, True
        ended = [j.paths for j in jobs if ended_well(j.state)]
        self.run_worker(self._read_summary(mvp.id, ended), group="brief")

    async def _read_summary(self, mvp_id: str, ended: Sequence[JobPaths]) -> None:
        try:
            self._summary = await asyncio.to_thread(self._read, mvp_id, ended)
            self._trouble = ""
        except (UsageError, OSError) as error:
            self._summary, self._trouble = None, str(error)
        finally:
            self._busy, self._read_at = False, time.monotonic()
        if self._wanted is not None and self._wanted[0].id != mvp_id:
            self.show(self._wanted[1], self._wanted[0])  # another was chosen meanwhile
        else:
            self._draw()

    def _draw(self) -> None:
        if self._wanted is None or not self.is_mounted:
            return
        mvp, view = self._wanted
        text = Text()
        width = max(self.scrollable_content_region.width, 20)
        head = f"MVP {clean(mvp.id)}  {clean(mvp.name)}"
        text.append(head + "\n", "bold")
        summary = (
            self._summary if self._summary is not None and self._summary.mvp.id == mvp.id else None
        )
        self._facts(text, mvp, summary, width)
        self._runs(text, mvp, view, summary, width)
        if summary is not None:
            self._outcome(text, summary, width)
        elif self._trouble:
            text.append(f"! {clean(self._trouble)}\n", tone_style(self, "error"))
        text.rstrip()
        self._update(text)

    def _update(self, text: Text) -> None:
        if text != self._text:
            self._text = text
            self._body.update(text)

    def _facts(self, text: Text, mvp: Mvp, summary: MvpSummary | None, width: int) -> None:
        gate = f", {clean(mvp.gate)}" if mvp.gate else ""
        self._row(text, "status", f"{status_word(mvp.status, self._plain)}{gate}", width)
        if summary is None:
            return
        if summary.facts:
            self._row(text, "plan", "as the roadmap says, not from runs", width, "muted")
        for name, value in summary.facts:
            self._row(text, clean(name), clean(value), width)
        if not summary.facts:
            self._row(text, "section", "none in the roadmap", width)
        if summary.trouble:
            self._row(text, "experiment", clean(summary.trouble), width, "error")
        elif summary.experiment:
            profiles = ", ".join(summary.profiles)
            self._row(text, "experiment", clean(f"{summary.experiment} ({profiles})"), width)
        else:
            self._row(text, "experiment", "none in experiments/", width, "warning")

    def _runs(
        self, text: Text, mvp: Mvp, view: LabSnapshot, summary: MvpSummary | None, width: int
    ) -> None:
        """Its jobs, the running and the newest ones first, each with its last R2."""
        mine = [job for job in view.jobs if job.spec.mvp == mvp.id and belongs(job, view)]
        jobs = in_order(mine)
        for number, job in enumerate(jobs[:RUNS]):
            text.append(fit("runs" if not number else "", LABEL), tone_style(self, "muted"))
            self._run(text, job, summary, width - LABEL)
        if len(jobs) > RUNS:
            self._row(text, "", f"and {len(jobs) - RUNS} more", width)
        if not jobs:
            named = ", ".join(run for run in summary.runs if run) if summary else ""
            waits = clean(f"none yet{': ' + named if named else ''}")
            self._row(text, "runs", f"{waits} (L launches)", width)

    def _run(self, text: Text, job: JobView, summary: MvpSummary | None, width: int) -> None:
        words, tone = state_words(job.state, self._plain)
        score = summary.scores.get(job.paths.name) if summary else None
        if score is not None:
            error = f" ± {score.error:.3f}" if score.error is not None else ""
            mark = Value.parse(job.spec.headline).mark
            result = f"{score.value:.3f}{error}{mark}".replace("±", "+-" if self._plain else "±")
        else:
            value = last_r2(job)
            mark = Value.parse(job.spec.headline).mark
            result = "" if value is None else f"{value:.3f}{mark} so far"
        more = f"{steps_of(job)} {time_of(job)}" if isinstance(job.state, Running) else ""
        name = job_label(job).removeprefix(f"{clean(job.spec.mvp)} ")
        text.append(fit(words, min(11, max(width, 0))), tone_style(self, tone))
        # The score first: a run's name may be as long as it likes.
        symbol = Value.parse(job.spec.headline).symbol
        rest = fit(f"{symbol} {result}" if result else "", 18) + f"{name}  {more}".rstrip()
        text.append(fit(rest, min(max(width - 11, 0), cells(rest))) + "\n")

    def _outcome(self, text: Text, summary: MvpSummary, width: int) -> None:
        value = clean(summary.conclusion) or "none yet"
        self._row(text, "conclusion", value, width, "" if summary.conclusion else "muted")
        if summary.report:
            missing = "" if summary.written else " (missing)"
            self._row(text, "report", clean(summary.report) + missing, width)
        else:
            self._row(text, "report", "none yet", width, "muted")

    def _row(self, text: Text, name: str, value: str, width: int, tone: str = "") -> None:
        """A fact: its name, and its value wrapped beside the name."""
        room = max(width - LABEL, 10)
        lines = Text(value).wrap(self.app.console, room)
        for number, line in enumerate(lines or [Text("")]):
            shown = fit(name, LABEL - 1) + " " if not number else " " * LABEL
            text.append(shown, tone_style(self, "muted"))
            text.append(line.plain.rstrip() + "\n", tone_style(self, tone))
