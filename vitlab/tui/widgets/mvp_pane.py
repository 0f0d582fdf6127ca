"""The selected MVP: its section, runs, conclusion and report; what would be written of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from rich.text import Text
from textual.binding import Binding, BindingType

from vitlab.contract.job import Running, ended_well
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.value import Value
from vitlab.plot.series import cells, fit
from vitlab.tui.jobs_index import in_order, index_of
from vitlab.tui.standing import document_score, mvp_words
from vitlab.tui.text import (
    best_jobs,
    clean,
    job_label,
    job_words,
    score_words,
    steps_of,
    time_of,
    tone_style,
)
from vitlab.tui.widgets.diff import diff_text
from vitlab.tui.widgets.text_view import TextView

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

T = TypeVar("T")
Reader = Callable[[str, Sequence[JobPaths]], T]
"""MVP and its jobs that ended well -> what is known of it; blocking."""


class FollowingPane(TextView, Generic[T]):
    """Shows what is read of the selected MVP, in a thread, and only the last one asked for."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("g", "scroll_home", "Top", show=False),
        Binding("G", "scroll_end", "End", show=False),
    ]

    def __init__(self, id: str, read: Reader[T], *, plain: bool, wait: float = 0.0) -> None:  # noqa: A002
        """`wait`: seconds from now before which nothing is read."""
        super().__init__(id)
        self.plain = plain
        self._read = read
        self._wanted: tuple[Mvp, LabSnapshot] | None = None
        self._found: tuple[str, T] | None = None
        """The MVP that was read, and what was."""
        self._key: object = None
        self._read_at = 0.0
        self._from = time.monotonic() + wait
        self._busy = False
        self._trouble = ""

    def on_resize(self) -> None:
        self._draw()

    @property
    def found(self) -> T | None:
        """What was read of the MVP that is to be shown; None before."""
        if self._found is None or self._wanted is None or self._found[0] != self._wanted[0].id:
            return None
        return self._found[1]

    def show(self, view: LabSnapshot, mvp: Mvp | None) -> None:
        """Show this MVP; what is known of it follows from a thread."""
        other = self._wanted is not None and mvp is not None and self._wanted[0].id != mvp.id
        self._wanted = (mvp, view) if mvp else None
        if mvp is None:
            self.show_text(Text("no MVP is selected", tone_style(self, "muted")))
            return
        if other:
            self.scroll_home(animate=False)
        jobs = index_of(view).of_mvp.get(mvp.id, ())
        key = (mvp.id, id(view.roadmap), tuple((job.paths.name, job.state) for job in jobs))
        self._draw()
        if time.monotonic() < self._from:
            return
        if self._busy or (key == self._key and time.monotonic() - self._read_at < AGAIN):
            return
        self._key, self._busy = key, True
        ended = [j.paths for j in jobs if ended_well(j.state)]
        self.run_worker(self._read_now(mvp.id, ended), group="brief")

    async def _read_now(self, mvp_id: str, ended: Sequence[JobPaths]) -> None:
        before = self._found, self._trouble
        try:
            self._found = mvp_id, await asyncio.to_thread(self._read, mvp_id, ended)
            self._trouble = ""
        except (UsageError, OSError) as error:
            self._found, self._trouble = None, str(error)
        finally:
            self._busy, self._read_at = False, time.monotonic()
        if not self.is_attached:
            return  # the screen was left meanwhile
        if self._wanted is not None and self._wanted[0].id != mvp_id:
            self.show(self._wanted[1], self._wanted[0])  # another was chosen meanwhile
        elif (self._found, self._trouble) != before:
            self._draw()

    def _draw(self) -> None:
        if self._wanted is None or not self.is_mounted:
            return
        text = self.written(*self._wanted, max(self.scrollable_content_region.width, 20))
        if self._trouble:
            text.append(f"! {clean(self._trouble)}\n", tone_style(self, "error"))
        text.rstrip()
        self.show_text(text)

    def written(self, mvp: Mvp, view: LabSnapshot, width: int) -> Text:
        """What is shown of an MVP."""
        raise NotImplementedError


class DiffPane(FollowingPane[list[str]]):
    """What would be written of the selected MVP."""

    def written(self, mvp: Mvp, view: LabSnapshot, width: int) -> Text:  # noqa: ARG002
        if self.found:
            return diff_text(self, self.found)
        waiting = f"; {view.pending} elsewhere in this roadmap" if view.pending else ""
        words = f"nothing to write for MVP {clean(mvp.id)}{waiting}"
        return Text(words if self.found is not None else "", tone_style(self, "muted"))


class MvpPane(FollowingPane["MvpSummary"]):
    """The selected MVP: its section in the roadmap, its experiment, its runs, what they say."""

    def written(self, mvp: Mvp, view: LabSnapshot, width: int) -> Text:
        text = Text()
        text.append(f"MVP {clean(mvp.id)}  {clean(mvp.name)}\n", "bold")
        self._facts(text, mvp, view, width)
        self._runs(text, mvp, view, self.found, width)
        if self.found is not None:
            self._outcome(text, self.found, width)
        return text

    def _facts(self, text: Text, mvp: Mvp, view: LabSnapshot, width: int) -> None:
        summary = self.found
        gate = f", {clean(mvp.gate)}" if mvp.gate else ""
        status, tone = mvp_words(mvp, view.standings, self.plain)
        self._row(text, "status", f"{status}{gate}", width, tone)
        if mvp.id not in best_jobs(view) and (number := document_score(mvp, view)):
            self._row(text, "R²", number, width, "muted")
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
        mine = index_of(view).of_mvp.get(mvp.id, ())
        jobs = in_order(mine)
        for number, job in enumerate(jobs[:RUNS]):
            text.append(fit("runs" if not number else "", LABEL), tone_style(self, "muted"))
            fault = view.faults.get(job.paths.name, "")
            self._run(text, job, summary, fault and f"not a result: {fault}", width - LABEL)
        if len(jobs) > RUNS:
            self._row(text, "", f"and {len(jobs) - RUNS} more", width)
        if not jobs:
            named = ", ".join(run for run in summary.runs if run) if summary else ""
            waits = clean(f"none yet{': ' + named if named else ''}")
            self._row(text, "runs", f"{waits} (L launches)", width)

    def _run(
        self, text: Text, job: JobView, summary: MvpSummary | None, fault: str, width: int
    ) -> None:
        words, tone = job_words(job, self.plain)
        score = summary.scores.get(job.paths.name) if summary else None
        if score is not None:
            error = f" ± {score.error:.3f}" if score.error is not None else ""
            one = Value.parse(job.spec.headline)
            number = f"{score.value:.3f}{error}{one.mark}"
            result = f"{one.symbol} {number}".replace("±", "+-" if self.plain else "±")
        else:
            result = score_words(job)
            result += " so far" * (result != "" and isinstance(job.state, Running))
        more = f"{steps_of(job)} {time_of(job)}" if isinstance(job.state, Running) else fault
        name = job_label(job).removeprefix(f"{clean(job.spec.mvp)} ")
        text.append(fit(words, min(11, max(width, 0))), tone_style(self, tone))
        # The score first: a run's name may be as long as it likes.
        rest = fit(result, 18) + f"{name}  {more}".rstrip()
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
