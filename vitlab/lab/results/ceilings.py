"""The most any model can reach, from the lab's ceiling jobs, and checks on results."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from vitlab.contract.checks import CEILING, Reason, judged, unknown
from vitlab.contract.job import Result
from vitlab.contract.paths import JobPaths, NoLab, find_lab
from vitlab.contract.user_key import own_record
from vitlab.contract.validation import misfit
from vitlab.contract.value import Value
from vitlab.contract.world import FLUX, FLUX_AND_ERROR, World, read_world
from vitlab.docs.judge.ceiling import LEAK, Ceiling
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.results.job_results import Finished, finished
from vitlab.lab.results.run_settings import settings_of

ENOUGH = 1000
"""Stars from which on a trial's ceiling serves full results, and one without an error counts."""
Bounds = Mapping[tuple[World, str], Ceiling]
"""The ceilings that are known, by world and label."""


def ceilings(jobs: Iterable[Job]) -> dict[tuple[World, str], Ceiling]:
    """The ceilings of the jobs' lab, each from the most stars: of its jobs, and `vitlab ceiling`'s.

    Jobs older than the key `world` have none: of which spectra they are is not known.
    """
    jobs = list(jobs)
    largest: dict[tuple[World, str], tuple[tuple[bool, int], Ceiling]] = {}
    for stars, world, label, ceiling in [*_of_jobs(jobs), *_of_cache(jobs)]:
        rank = not ceiling.trial, stars
        if (world, label) not in largest or rank >= largest[world, label][0]:
            largest[world, label] = rank, ceiling
    return {key: ceiling for key, (_, ceiling) in largest.items()}


_Known = tuple[int, World, str, Ceiling]


def _of_jobs(jobs: Sequence[Job]) -> Iterator[_Known]:
    for one in finished(job for job in jobs if job.spec.recipe == "ceiling"):
        world = read_world(one.result.world)
        for name, value in one.result.values.items():
            bound = Value.parse(name)
            if world is None or value is None or bound.metric != "r2_bayes":
                continue
            whole = bound.split == "ceiling"
            stars, error = stars_of(one, whole), one.result.errors.get(name)
            if (not whole and bound.mag is None) or (error is None and stars < ENOUGH):
                continue
            trial = trial_of(one, whole)
            at = world if bound.mag is None else world.at(bound.mag)
            linear = str(replace(bound, metric="r2_linear"))
            best = one.result.values.get(linear)
            of_linear = None if best is None else (best, one.result.errors.get(linear, 0.0))
            yield stars, at, bound.label, Ceiling(value, error or 0.0, trial, of_linear)


def stars_of(ceiling: Finished, whole: bool = True) -> int:
    """Stars of a ceiling job's posteriors, over all magnitudes or (not `whole`) at each."""
    stars = settings_of(ceiling.job.spec).get("bayes" if whole else "bayes_each")
    return stars if isinstance(stars, int) else 0


def trial_of(ceiling: Finished, whole: bool = True) -> str:
    """The profile of a ceiling job that is a trial of few stars; empty for one that is none."""
    profile = ceiling.result.profile
    return profile if profile != "full" and stars_of(ceiling, whole) < ENOUGH else ""


def _of_cache(jobs: Sequence[Job]) -> Iterator[_Known]:
    """What `vitlab ceiling` has computed in the lab of these jobs."""
    with contextlib.suppress(NoLab, OSError):
        folder = find_lab(jobs[0].paths.root).private.ceilings if jobs else None
        for path in sorted(folder.glob("*.json")) if folder else ():
            yield from _in_file(path, path.lstat().st_mtime_ns)


@lru_cache(256)
def _in_file(path: Path, stamp: int) -> tuple[_Known, ...]:  # noqa: ARG001 - read once unchanged
    record = own_record(path)
    world, n, known = read_world(record.get("world")), record.get("n"), record.get("r2")
    if world is None or not isinstance(n, int) or not isinstance(known, Mapping):
        return ()
    if misfit(known, "Mapping[str, tuple[float, ...]]"):
        return ()
    # Of a file its errors are taken as known: models that are shown less know no more.
    inputs = (FLUX, FLUX_AND_ERROR) if world.file else (world.inputs,)
    return tuple(
        (n, replace(world, inputs=shown), label, Ceiling(*numbers))
        for shown in inputs
        for label, numbers in known.items()
        if len(numbers) == 2
    )


def ceiling_of(result: Result, known: Bounds, name: str) -> Ceiling | None:
    """The ceiling of a result's value; only an R2 of a known world has one.

    None for a full result where only a trial's is known.
    """
    ceiling = ceiling_in(read_world(result.world), known, name)
    is_unfit = ceiling is not None and ceiling.trial and result.profile == "full"
    return None if is_unfit else ceiling


def ceiling_in(world: World | None, known: Bounds, name: str) -> Ceiling | None:
    """The ceiling of a value in a world; None where none is known."""
    value = Value.parse(name)
    if world is None or value.metric != "r2" or not value.label:
        return None
    return known.get((world, value.label))


def with_ceiling(result: Result, known: Bounds) -> Result:
    """The result with the check against the ceilings that are known now.

    Of its test R2s the one furthest above its ceiling decides; the limit is `LEAK` errors, the
    ceiling's included.
    """
    found = []
    for name, value in result.values.items():
        ceiling = ceiling_of(result, known, name)
        if ceiling is not None and value is not None and Value.parse(name).split == "test":
            error = math.hypot(ceiling.error, result.errors.get(name, 0.0))
            found.append(judged(value - ceiling.r2, LEAK * error))
    worst = max(found, key=lambda one: (one.number or 0) - (one.limit or 0), default=None)
    world, name = read_world(result.world), result.headline
    only_trial = ceiling_in(world, known, name) and not ceiling_of(result, known, name)
    reason: Reason = "trial_ceiling" if only_trial else "no_ceiling" if world else "no_world"
    check = worst or unknown(reason)
    return replace(result, checks={**result.checks, CEILING: check.record()})


def checked_against_ceiling(job: JobPaths, result: Result) -> Result:
    """The result of a job that ends, with the check against its lab's ceilings."""
    if not is_tested(result):
        return result
    try:
        known = ceilings(all_jobs(find_lab(job.root)))
    except NoLab:
        known = {}
    return with_ceiling(result, known)


def is_tested(result: Result) -> bool:
    """Whether a model was scored on test stars."""
    return any(Value.parse(name).split == "test" for name in result.values)
