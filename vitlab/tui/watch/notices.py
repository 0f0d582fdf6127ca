"""Which jobs have ended while the screen was open, each told once."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from vitlab.contract.job import Done, Killed, Lost, Succeeded
from vitlab.tui.text import duration
from vitlab.tui.widgets.jobs_pane import job_label
from vitlab.tui.widgets.plan_pane import last_r2

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView

End = tuple[str, float]


class Notices:
    """Compares each look at the jobs with the one before."""

    def __init__(self) -> None:
        self._opened = time.time()
        self._known: dict[str, End | None] | None = None
        """Job -> its end; None for one that has not ended. None before the first look."""

    def see(self, jobs: Sequence[JobView]) -> list[JobView]:
        """The jobs that have ended, or were lost, since the last look."""
        before, self._known = self._known, {job.paths.name: _end(job) for job in jobs}
        if before is None:
            return []
        return [job for job in jobs if self._is_news(job, before)]

    def _is_news(self, job: JobView, before: dict[str, End | None]) -> bool:
        name, end = job.paths.name, _end(job)
        if end is None:
            return False
        if name in before:
            return before[name] != end
        # Launched and ended between two looks, not an old folder that was brought here.
        return end[1] >= self._opened


def _end(job: JobView) -> End | None:
    match job.state:
        case Done(ended=when):
            return "done", when
        case Lost(started=when):
            return "lost", when
        case _:
            return None


def is_bad(job: JobView) -> bool:
    """Whether it ended as nobody wanted it to."""
    return not (isinstance(job.state, Done) and isinstance(job.state.end, Succeeded | Killed))


def asked_for(job: JobView) -> bool:
    """Whether a person ended it, who need not be told."""
    return isinstance(job.state, Done) and job.state.end == Killed(asked=True)


def in_a_line(job: JobView) -> str:
    """`1.0 Run 1 (demo): ok after 2h05m, R2 0.7132`."""
    value = last_r2(job)
    said = "" if value is None else f", R² {value:.4f}"
    if not isinstance(job.state, Done):
        return f"{job_label(job)}: lost, its supervisor was killed"
    outcome = job.state.outcome.replace("_", " ")
    detail = f": {job.state.detail}" if is_bad(job) and job.state.detail else ""
    took = duration(job.seconds or None)
    after = f" after {took}" if took else ""
    return f"{job_label(job)}: {outcome}{after}{said}{detail}"


def summary(jobs: Sequence[JobView]) -> str:
    """One line for however many."""
    if len(jobs) == 1:
        return in_a_line(jobs[0])
    bad = sum(is_bad(job) for job in jobs)
    return f"{len(jobs)} jobs ended, {bad} of them badly" if bad else f"{len(jobs)} jobs ended"
