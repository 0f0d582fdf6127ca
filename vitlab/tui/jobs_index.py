"""What is asked of all jobs at every key, gathered once for each reading of the lab."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from vitlab.contract.job import Done, Queued, Running, base_name

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
    everything: Sequence[JobView]
    """All of the lab, as `in_order`."""
    ordered: Sequence[JobView]
    """All of that roadmap, in the same order; of the lab where no roadmap is shown."""
    first: Mapping[str, JobView]
    """MVP id -> the first of its jobs in that order."""
    unfinished: Sequence[JobView]
    """Those that have not ended: few, where thousands have."""


def belongs(job: JobView, view: LabSnapshot) -> bool:
    """Whether a job was launched from the roadmap on the screen."""
    return job.spec.roadmap in view.names and job.spec.exp_id not in view.elsewhere


def index_of(view: LabSnapshot) -> JobsIndex:
    """The jobs of this reading, in their order; those that moved on in place of themselves."""
    of = view.names, view.elsewhere
    if _last and _last[0][0] is view.jobs and _last[0][1] == of:
        return _last[0][2]
    moved = _moved(_last[0][0], view.jobs) if _last and _last[0][1] == of else None
    index = _gathered(view) if moved is None else _with(_last[0][2], moved)
    _last[:] = [(view.jobs, of, index)]
    return index


_Of = tuple[frozenset[str], frozenset[str]]
_last: list[tuple[Sequence[JobView], _Of, JobsIndex]] = []
"""The jobs last asked of, which are of their roadmap, and what was gathered."""


def _gathered(view: LabSnapshot) -> JobsIndex:
    of_mvp: dict[str, list[JobView]] = {}
    for job in view.jobs:
        if belongs(job, view):
            of_mvp.setdefault(job.spec.mvp, []).append(job)
    by_name = {job.paths.name: job for job in view.jobs}
    unfinished = [job for job in view.jobs if not isinstance(job.state, Done)]
    everything = in_order(view.jobs)
    ordered = [j for j in everything if view.roadmap is None or belongs(j, view)]
    first = {job.spec.mvp: job for job in reversed(ordered)}
    return JobsIndex(by_name, of_mvp, everything, ordered, first, unfinished)


def _moved(before: Sequence[JobView], now: Sequence[JobView]) -> dict[int, JobView] | None:
    """Id of a job as it was -> as it is; None where another is there, or one is in another place.

    Of ten thousand ten run, and what is gathered of the others stays as it is.
    """
    if len(before) != len(now):
        return None
    moved = {}
    for old, new in zip(before, now, strict=True):
        if old is not new:
            same = (old.paths, old.state, old.spec) == (new.paths, new.state, new.spec)
            if not same or _place(old) != _place(new):
                return None
            moved[id(old)] = new
    return moved


def _with(index: JobsIndex, moved: Mapping[int, JobView]) -> JobsIndex:
    def now(jobs: Iterable[JobView]) -> list[JobView]:
        return [moved.get(id(job), job) for job in jobs]

    mvps = {job.spec.mvp for job in moved.values()}
    return JobsIndex(
        {**index.by_name, **{job.paths.name: job for job in moved.values()}},
        {mvp: now(jobs) if mvp in mvps else jobs for mvp, jobs in index.of_mvp.items()},
        now(index.everything),
        now(index.ordered),
        dict(zip(index.first, now(index.first.values()), strict=True)),
        now(index.unfinished),
    )


def seeds_as_one(jobs: Iterable[JobView]) -> list[JobView]:
    """Jobs whose names differ in their seed alone as one, with their mean as documents have it."""
    groups: dict[tuple[str, ...], list[JobView]] = {}
    for job in jobs:
        spec = job.spec
        key = (base_name(spec.run), spec.profile, spec.recipe, spec.headline)
        groups.setdefault(key, []).append(job)
    return [_mean(name, mine) for (name, *_), mine in groups.items()]


def _mean(name: str, jobs: Sequence[JobView]) -> JobView:
    # A seed that ended before its score is no part of the mean of those that have one.
    jobs = [job for job in jobs if job.values.get(job.spec.headline) is not None] or jobs
    if len(jobs) == 1:
        return jobs[0]
    first = jobs[0]
    values = dict(first.values)
    for key in values:
        numbers = [number for job in jobs if (number := job.values.get(key)) is not None]
        values[key] = fmean(numbers) if len(numbers) == len(jobs) else None
    return replace(first, spec=replace(first.spec, run=name), values=values)
