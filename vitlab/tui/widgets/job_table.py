"""The jobs: state, progress, time and last R2, newest first."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from vitlab.contract.state import Done, Queued, Running
from vitlab.tui.widgets.mvp_table import last_r2
from vitlab.tui.widgets.steady import Row, SteadyTable
from vitlab.tui.words import cell, clean, duration, ink, progress, state_words

if TYPE_CHECKING:
    from vitlab.records.view import JobView


class JobTable(SteadyTable):
    """Every job of the roadmap."""

    COLUMNS: ClassVar = {"State": 13, "Progress": 17, "Time": 11, "R²": 7, "Job": 18}
    NARROW: ClassVar = {"State": 10, "Progress": 9, "Time": 9, "R²": 6, "Job": 12}

    def show(self, jobs: tuple[JobView, ...]) -> None:
        ordered = sorted(jobs, key=lambda job: (_rank(job), -job.spec.submitted))
        self.show_rows({job.paths.name: self._row(job) for job in ordered})

    def _row(self, job: JobView) -> Row:
        words, tone = state_words(job.state, self.plain)
        alive = isinstance(job.state, Running)
        value = last_r2(job)
        health = job.health.partition(":")[0]
        if alive and health in ("warn", "bad"):
            words, tone = f"> {health}", "warning" if health == "warn" else "error"
        return (
            cell(words, ink(self, tone)),
            cell(self._steps(job), "" if alive else ink(self, "muted")),
            cell(_time(job), "" if alive else ink(self, "muted")),
            cell("" if value is None else f"{value:.4f}"),
            cell(job_label(job)),
        )

    def _steps(self, job: JobView) -> str:
        if not job.of:
            return str(job.step) if job.step else ""
        if self.narrow:
            return f"{short(job.step)}/{short(job.of)}"
        bar = progress(job.step, job.of, 6, self.plain)
        return f"{bar} {short(job.step)}/{short(job.of)}"


def _time(job: JobView) -> str:
    """What is left of a running job, or what an ended one took."""
    match job.state:
        case Queued():
            return "waits"
        case Running():
            left = duration(job.eta)
            return f"{left} left" if left else duration(job.seconds)
        case _:
            return duration(job.seconds)


def job_label(job: JobView) -> str:
    """`1.0 Run 1 (demo)`."""
    profile = "" if job.spec.profile == "full" else f" ({job.spec.profile})"
    return clean(f"{job.spec.mvp} {job.spec.run}{profile}")


def job_detail(job: JobView) -> str:
    """What is to say of a job in a line: why it waits, what ails it, or its folder."""
    if isinstance(job.state, Queued) and job.why:
        return clean(f"waits: {job.why}")
    if isinstance(job.state, Running) and ":" in job.health:
        return clean(job.health)
    if isinstance(job.state, Done) and job.state.detail:
        return clean(job.state.detail)
    return clean(job.paths.name)


def short(count: int) -> str:
    """`950`, `12k`, `3.1M`."""
    if count < 10_000:
        return str(count)
    if count < 1_000_000:
        return f"{count // 1000}k"
    return f"{count / 1e6:.1f}M"


def _rank(job: JobView) -> int:
    match job.state:
        case Running():
            return 0
        case Queued():
            return 1
        case _:
            return 2
