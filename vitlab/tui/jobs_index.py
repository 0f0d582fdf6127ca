"""What is asked of all jobs at every key, gathered once for each reading of the lab."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from vitlab.contract.job import Done, Queued, Running

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView, LabSnapshot


def in_order(jobs: Iterable[JobView]) -> list[JobView]:
    """Running jobs first, then the queue in its order, then ended ones, newest first."""
    return sorted(jobs, key=_place)


def _place(job: JobView) -> tuple[float, ...]:
    match job.state:
        case Running():
            return (0, 0, -job.spec.submitted)
        case Queued():
            return (1, -job.priority, job.order or job.spec.submitted)
        case _:
            return (2, 0, -job.spec.submitted)


class JobsIndex(NamedTuple):
    """The jobs of one reading."""

    by_name: Mapping[str, JobView]
    of_mvp: Mapping[str, Sequence[JobView]]
    """MVP id -> its jobs, of the roadmap on the screen alone."""
    ordered: Sequence[JobView]
    """All of that roadmap, as `in_order`; of the lab where no roadmap is shown."""
    first: Mapping[str, JobView]
    """MVP id -> the first of its jobs in that order."""
    unfinished: Sequence[JobView]
    """Those that have not ended: few, where thousands have."""


def index_of(view: LabSnapshot) -> JobsIndex:
    """The jobs of this reading, in their order."""
    if not (_last and _last[0][0] is view.jobs and _last[0][1] == view.names):
        of_mvp: dict[str, list[JobView]] = {}
        for job in view.jobs:
            if job.spec.roadmap in view.names:
                of_mvp.setdefault(job.spec.mvp, []).append(job)
        by_name = {job.paths.name: job for job in view.jobs}
        unfinished = [job for job in view.jobs if not isinstance(job.state, Done)]
        mine = (job for job in view.jobs if view.roadmap is None or job.spec.roadmap in view.names)
        ordered = in_order(mine)
        first = {job.spec.mvp: job for job in reversed(ordered)}
        index = JobsIndex(by_name, of_mvp, ordered, first, unfinished)
        _last[:] = [(view.jobs, view.names, index)]
    return _last[0][2]


_last: list[tuple[Sequence[JobView], frozenset[str], JobsIndex]] = []
"""The jobs last asked of, the names of their roadmap, and what was gathered."""
