"""The results of a roadmap's jobs: what its gates are judged by and its tables are filled from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.result import Result, read_result
from vitlab.contract.state import Done
from vitlab.jobs.store import Job, all_jobs
from vitlab.records.lab import Lab


@dataclass(frozen=True)
class Finished:
    """One job that ended well, and what it left."""

    job: Job
    result: Result

    @property
    def ended(self) -> float:
        """Unix seconds."""
        return self.job.state.ended if isinstance(self.job.state, Done) else 0.0


def belongs(lab: Lab, job: Job, roadmap: Path) -> bool:
    """True when the job was launched from `roadmap`."""
    return (lab.paths.root / job.spec.roadmap).resolve() == roadmap.resolve()


def of_roadmap(lab: Lab, jobs: Sequence[Job], roadmap: Path) -> list[Job]:
    """The jobs launched from `roadmap`; each name of one is resolved once."""
    known: dict[str, bool] = {}
    for job in jobs:
        if job.spec.roadmap not in known:
            known[job.spec.roadmap] = belongs(lab, job, roadmap)
    return [job for job in jobs if known[job.spec.roadmap]]


def finished(jobs: Iterable[Job]) -> list[Finished]:
    """The jobs with a result, oldest first; a job that failed has none that counts."""
    found = []
    for job in jobs:
        if isinstance(job.state, Done) and job.state.outcome == "ok":
            result = read_result(job.paths.result)
            if result is not None:
                found.append(Finished(job, result))
    return sorted(found, key=lambda one: one.ended)


def latest(found: Iterable[Finished]) -> list[Finished]:
    """The newest of each run of each MVP at each profile."""
    newest = {(one.result.mvp, one.result.run, one.result.profile): one for one in found}
    return list(newest.values())


def found_of(lab: Lab, roadmap: Path) -> list[Finished]:
    """The newest finished job of each run launched from `roadmap`."""
    jobs = [job for job in all_jobs(lab.paths) if belongs(lab, job, roadmap)]
    return latest(finished(jobs))
