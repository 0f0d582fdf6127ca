"""The most any model can reach, from the lab's ceiling jobs, and checks on results."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from vitlab.contract.checks import CEILING, Reason, judged, unknown
from vitlab.contract.config import GRID_SOURCES
from vitlab.contract.contradictions import find_contradictions
from vitlab.contract.excluded import excluded_text
from vitlab.contract.job import Result
from vitlab.contract.paths import JobPaths, NoLab, find_lab
from vitlab.contract.user_key import own_record
from vitlab.contract.validation import misfit
from vitlab.contract.value import Value
from vitlab.contract.world import FLUX, FLUX_AND_ERROR, World, read_world
from vitlab.docs.judge.ceiling import LEAK, Ceiling
from vitlab.docs.judge.checks import check_lines, control_fails
from vitlab.docs.judge.conclusion import value_text
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.text.inline import code
from vitlab.jobs.files import read_json
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.results.job_results import Finished, finished
from vitlab.lab.results.run_settings import seed_of, settings_of

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
            yield stars, at, bound.label, Ceiling(value, error or 0.0, trial)


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
    if not _is_tested(result):
        return result
    try:
        known = ceilings(all_jobs(find_lab(job.root)))
    except NoLab:
        known = {}
    return with_ceiling(result, known)


def sanity_checks(results: Sequence[Finished], everything: Sequence[Finished]) -> list[Phrase]:
    """The checks of an experiment's runs; what failed is marked."""
    disagreeing = [
        phrase("sanity_contradiction", one.result.run, found)
        for one in results
        for found in find_contradictions(one.result.values)
    ]
    scored = [one for one in results if _is_tested(one.result)]
    if not scored:
        return disagreeing
    controls = [one for one in scored if one.result.data.get("permuted")]
    models = [one for one in scored if not one.result.data.get("permuted")]
    return [
        *disagreeing,
        *check_lines([one.result for one in models]),
        *(_control(one.result) for one in controls),
        *_ceiling(models, ceilings(one.job for one in everything)),
        *_excluded([one.result for one in scored]),
    ]


def _excluded(results: Sequence[Result]) -> list[Phrase]:
    """What runs left out of their files; nothing for simulated stars."""
    of_files = [one for one in results if one.data.get("source", "grid") not in GRID_SOURCES]
    counted = [(one, excluded_text(one.data.get("excluded"), one.n)) for one in of_files]
    if any(text is None for _, text in counted):
        return [phrase("sanity_excluded_unknown")]
    some = [phrase("sanity_excluded_some", one.run, text) for one, text in counted if text]
    return some or [phrase("sanity_excluded") for _ in counted[:1]]


def provenance(results: Sequence[Finished]) -> list[Phrase]:
    """Commit, configuration and seed of each run."""
    phrases = []
    for one in results:
        started = read_json(one.job.paths.started)
        commit = str(started.get("commit") or "-")[:12] + ("+" if started.get("dirty") else "")
        seed = seed_of(settings_of(one.job.spec))
        phrases.append(
            phrase(
                "made_by",
                one.result.run,
                code(commit),
                code(one.job.spec.hash),
                "-" if seed is None else seed,
            )
        )
    return phrases


def _is_tested(result: Result) -> bool:
    return any(Value.parse(name).split == "test" for name in result.values)


def _control(result: Result) -> Phrase:
    """A model trained on the labels of other stars must know nothing of the test set."""
    key = "sanity_control_bad" if control_fails(result) else "sanity_control"
    return phrase(key, result.run, value_text(result, result.headline))


def _ceiling(models: Sequence[Finished], known: Bounds) -> list[Phrase]:
    below: dict[Ceiling, list[Result]] = {}
    for one in models:
        ceiling = ceiling_of(one.result, known, one.result.headline)
        if ceiling is not None:
            below.setdefault(ceiling, []).append(one.result)
    phrases = []
    for ceiling, results in below.items():
        over = [result.run for result in results if ceiling.leaks(result, result.headline)]
        highest = max(result.values.get(result.headline) or 0.0 for result in results)
        if over:
            phrases.append(phrase("sanity_ceiling_bad", str(ceiling), ", ".join(over)))
        else:
            phrases.append(phrase("sanity_ceiling", str(ceiling), f"{highest:.3f}"))
    phrases += dict.fromkeys(
        phrase("sanity_trial_ceiling", str(bound), bound.trial)
        for one in models
        if (bound := ceiling_in(read_world(one.result.world), known, one.result.headline))
        and not ceiling_of(one.result, known, one.result.headline)
    )
    if any(read_world(one.result.world) is None for one in models):
        phrases.append(phrase("sanity_no_world"))
    return phrases or ([phrase("sanity_no_ceiling")] if models else [])
