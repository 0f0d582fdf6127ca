"""The most any model can reach, from the lab's ceiling jobs, and checks on results."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vitlab.contract.config import GRID_SOURCES
from vitlab.contract.contradictions import find_contradictions
from vitlab.contract.job import Result, Spec
from vitlab.contract.value import Value
from vitlab.docs.judge.conclusion import value_text
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.text.inline import code
from vitlab.jobs.files import read_json
from vitlab.jobs.store import Job
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


CHANCE = 3.0
"""Predictions whose permuted R2 is above this many times 1 / (n - 1) know other stars' labels: the
mean over 50 permutations scatters by a fifth of 1 / (n - 1)."""


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
    chances = [chance for one in models if (chance := _chance(one.result)) is not None]
    bad = [one for one in chances if one.key.endswith("_bad")]
    return [
        *disagreeing,
        *(bad or chances[:1]),
        *(_control(one.result) for one in controls),
        *_ceiling(models, ceilings(one.job for one in everything)),
        _overlap([one.result for one in models]),
    ]


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


def _chance(result: Result) -> Phrase | None:
    """The R2 of predictions on the labels of other stars; None where not computed."""
    n = result.n.get("test", 0)
    values = [
        value
        for name, value in result.values.items()
        if Value.parse(name).metric == "r2_permuted" and value is not None
    ]
    if n < 3 or not values:
        return None
    chance = 1 / (n - 1)
    key = "sanity_chance_bad" if max(values) > CHANCE * chance else "sanity_chance"
    return phrase(key, f"{max(values):.2g}", f"{chance:.2g}")


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


def _overlap(results: Sequence[Result]) -> Phrase:
    counts = [result.data.get("overlap") for result in results]
    known = [count for count in counts if isinstance(count, int)]
    if any(known):
        return phrase("sanity_overlap_bad", max(known))
    return phrase(
        "sanity_overlap" if known and len(known) == len(counts) else "sanity_overlap_unknown"
    )
