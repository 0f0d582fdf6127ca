"""What an assistant is refused to launch: a sweep run again until it passes."""

from __future__ import annotations

from collections.abc import Sequence

from vitlab.contract.job import Done, Failed, Spec
from vitlab.contract.paths import UsageError
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab

TRIES = 2
"""Jobs of one specification that may fail by themselves before a person has to look."""
_LONGEST_NAME = 60


def check_repeat(lab: Lab, specs: Sequence[Spec]) -> None:
    """`UsageError` for a run that was launched before with the same seed, unless it failed."""
    known: dict[tuple[str, ...], list[Job]] = {}
    for job in all_jobs(lab.paths):
        known.setdefault(_identity(job.spec), []).append(job)
    for spec in specs:
        same = known.get(_identity(spec), [])
        failed = [job for job in same if _failed(job)]
        run = repr(spec.run[:_LONGEST_NAME])  # a file's words, which are none of vitlab's
        if left := [job for job in same if job not in failed]:
            how = _how(left[-1])
            raise UsageError(f"{run}: was launched before ({left[-1].name}, {how}): {_MORE}")
        if len(failed) >= TRIES:
            raise UsageError(f"{run}: failed {len(failed)} times: a person has to look at it")


_MORE = "the same seed is not run again; further seeds can be proposed"


def _identity(spec: Spec) -> tuple[str, ...]:
    return spec.roadmap, spec.mvp, spec.profile, spec.hash


def _failed(job: Job) -> bool:
    return isinstance(job.state, Done) and isinstance(job.state.end, Failed)


def _how(job: Job) -> str:
    if isinstance(job.state, Done):
        return job.state.word
    return type(job.state).__name__.lower()
