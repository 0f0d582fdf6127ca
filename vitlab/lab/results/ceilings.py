"""The most any model can reach, from the lab's ceiling jobs, and checks on results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from vitlab.contract.checks import CEILING, judged, unknown
from vitlab.contract.config import GRID_SOURCES
from vitlab.contract.contradictions import find_contradictions
from vitlab.contract.excluded import excluded_text
from vitlab.contract.job import Result, Spec
from vitlab.contract.paths import JobPaths, NoLab, find_lab
from vitlab.contract.value import Value
from vitlab.docs.judge.checks import check_lines
from vitlab.docs.judge.conclusion import value_text
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.text.inline import code
from vitlab.jobs.files import read_json
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.results.job_results import Finished, finished
from vitlab.lab.results.repeats import seed_of, settings_of

LEAK = 3.0
"""A result more errors than this above the ceiling is a leak, not chance."""

Population = tuple[str, tuple[float, ...], float, str]
"""What a ceiling depends on: grid, range of magnitudes, noise level, label."""


@dataclass(frozen=True)
class Ceiling:
    """The Bayes ceiling of one label: the R2 of the posterior mean under the simulator."""

    r2: float
    error: float
    """Monte-Carlo standard error."""

    def share(self, result: Result, name: str) -> float | None:
        """The part of the ceiling a result has reached; None without a number."""
        value = result.values.get(name)
        return None if value is None or self.r2 <= 0 else value / self.r2

    def leaks(self, result: Result, name: str) -> bool:
        """Whether a result lies above the ceiling by more than both errors allow."""
        value = result.values.get(name)
        error = math.hypot(self.error, result.errors.get(name, 0.0))
        return value is not None and value > self.r2 + LEAK * error


def ceilings(jobs: Iterable[Job]) -> dict[Population, Ceiling]:
    """The lab's ceilings, each from the run with the most stars."""
    largest: dict[Population, tuple[int, Ceiling]] = {}
    for one in finished(job for job in jobs if job.spec.recipe == "ceiling"):
        for name, value in one.result.values.items():
            bound = Value.parse(name)
            if (bound.split, bound.metric) != ("ceiling", "r2_bayes") or value is None:
                continue
            population = population_of(one.job.spec.config, bound.label)
            stars = int(one.job.spec.config.get("bayes", 0))
            if population is not None and stars >= largest.get(population, (0, None))[0]:
                largest[population] = (stars, Ceiling(value, one.result.errors.get(name, 0.0)))
    return {population: ceiling for population, (_, ceiling) in largest.items()}


def ceiling_of(spec: Spec, known: Mapping[Population, Ceiling], name: str) -> Ceiling | None:
    """The ceiling of a job's value; only an R2 on a grid has one."""
    value = Value.parse(name)
    if value.metric != "r2" or not value.label or spec.recipe == "ceiling":
        return None
    population = population_of(spec.config, value.label)
    return known.get(population) if population is not None else None


def population_of(config: Mapping[str, Any], label: str) -> Population | None:
    """What the stars of a job are drawn from; None for those of a file."""
    data = config.get("data", {})
    if data.get("source", "grid") not in GRID_SOURCES:
        return None
    mag = tuple(float(edge) for edge in data.get("mag", (20.5, 22.5)))
    return str(data.get("grid") or ""), mag, float(config.get("noise", {}).get("level", 1.0)), label


def with_ceiling(result: Result, spec: Spec, known: Mapping[Population, Ceiling]) -> Result:
    """The result with the check against the ceilings that are known now.

    Of its test R2s the one furthest above its ceiling decides; the limit is `LEAK` errors, the
    ceiling's included.
    """
    found = []
    for name, value in result.values.items():
        ceiling = ceiling_of(spec, known, name) if spec.recipe != "evaluate" else None
        if ceiling is not None and value is not None and Value.parse(name).split == "test":
            error = math.hypot(ceiling.error, result.errors.get(name, 0.0))
            found.append(judged(value - ceiling.r2, LEAK * error))
    worst = max(found, key=lambda one: (one.number or 0) - (one.limit or 0), default=None)
    check = worst or unknown("no_ceiling")
    return replace(result, checks={**result.checks, CEILING: check.record()})


def checked_against_ceiling(job: JobPaths, spec: Spec, result: Result) -> Result:
    """The result of a job that ends, with the check against its lab's ceilings."""
    if not _is_tested(result):
        return result
    try:
        known = ceilings(all_jobs(find_lab(job.folder)))
    except NoLab:
        known = {}
    return with_ceiling(result, spec, known)


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
    name = result.headline
    value, error = result.values.get(name), result.errors.get(name, 0.0)
    bad = value is not None and value > LEAK * max(error, 1 / max(result.n.get("test", 1), 1))
    key = "sanity_control_bad" if bad else "sanity_control"
    return phrase(key, result.run, value_text(result, name))


def _ceiling(models: Sequence[Finished], known: Mapping[Population, Ceiling]) -> list[Phrase]:
    below: dict[Ceiling, list[Result]] = {}
    for one in models:
        ceiling = ceiling_of(one.job.spec, known, one.result.headline)
        if ceiling is not None:
            below.setdefault(ceiling, []).append(one.result)
    phrases = []
    for ceiling, results in below.items():
        over = [result.run for result in results if ceiling.leaks(result, result.headline)]
        highest = max(result.values.get(result.headline) or 0.0 for result in results)
        if over:
            phrases.append(phrase("sanity_ceiling_bad", f"{ceiling.r2:.3f}", ", ".join(over)))
        else:
            phrases.append(phrase("sanity_ceiling", f"{ceiling.r2:.3f}", f"{highest:.3f}"))
    return phrases or ([phrase("sanity_no_ceiling")] if models else [])
