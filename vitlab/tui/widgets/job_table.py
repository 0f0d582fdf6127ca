"""The jobs: state, progress, time and last R2, newest first."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from vitlab.contract.state import Done, Queued, Running
from vitlab.tui.widgets.mvp_table import last_r2
from vitlab.tui.widgets.steady import Row, SteadyTable
from vitlab.tui.words import cell, clean, duration, ink, state_words

if TYPE_CHECKING:
    from vitlab.records.view import JobView


BARS = "▁▂▃▄▅▆▇█"
TREND = 6
"""Values of a trend."""


class JobTable(SteadyTable):
    """Every job of the roadmap."""

    COLUMNS: ClassVar = {"State": 11, "On": 4, "Progress": 11, "Time": 10, "R²": 12, "Job": 16}
    NARROW: ClassVar = {"State": 10, "On": 4, "Progress": 9, "Time": 9, "R²": 6, "Job": 12}

    def show(self, jobs: tuple[JobView, ...]) -> None:
        self.show_rows({job.paths.name: self._row(job) for job in in_order(jobs)})

    def _row(self, job: JobView) -> Row:
        words, tone = state_words(job.state, self.plain)
        alive = isinstance(job.state, Running)
        value = last_r2(job)
        health = job.health.partition(":")[0]
        if alive and health in ("warn", "bad"):
            words, tone = f"> {health}", "warning" if health == "warn" else "error"
        trend = "" if self.narrow else f" {trend_of(job, self.plain)}"
        return (
            cell(words, ink(self, tone)),
            cell(device_of(job), "" if alive else ink(self, "muted")),
            cell(steps_of(job), "" if alive else ink(self, "muted")),
            cell(time_of(job), "" if alive else ink(self, "muted")),
            cell("" if value is None else f"{value:.3f}{trend}"),
            cell(job_label(job)),
        )


def in_order(jobs: Iterable[JobView]) -> list[JobView]:
    """Running ones first, then the queue in its order, then the ended, newest first."""
    return sorted(jobs, key=_place)


def _place(job: JobView) -> tuple[float, ...]:
    match job.state:
        case Running():
            return (0, 0, -job.spec.submitted)
        case Queued():
            return (1, -job.priority, job.order or job.spec.submitted)
        case _:
            return (2, 0, -job.spec.submitted)


def device_of(job: JobView) -> str:
    """Where it runs: `cpu`, `gpu0`; `slurm` for a job sent there."""
    if job.spec.extra.get("backend") == "slurm":
        return "slrm"
    return clean(job.state.device) if isinstance(job.state, Running) else ""


def steps_of(job: JobView) -> str:
    """`112k/200k`, or the steps alone while their end is not known."""
    if not job.of:
        return short(job.step) if job.step else ""
    return f"{short(job.step)}/{short(job.of)}"


def trend_of(job: JobView, plain: bool = False) -> str:
    """The last values of its headline on the validation set, as a small picture or a word."""
    name = "val/" + job.spec.headline.partition("/")[2]
    values = [point.values.get(name) for point in job.progress.points[-TREND:]]
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < 2:
        return ""
    low, span = min(known), max(known) - min(known)
    if plain:
        move = known[-1] - known[-2]
        return "up" if move > 0 else "down" if move < 0 else "flat"
    if not span:
        return BARS[0] * len(known)
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in known)


def time_of(job: JobView) -> str:
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
