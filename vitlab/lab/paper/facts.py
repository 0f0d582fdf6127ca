"""What a lab's results say, as the numbers of a draft are held against."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from vitlab.contract.job import PROFILES
from vitlab.contract.value import Value
from vitlab.lab.paper.names import models_in
from vitlab.lab.results.ceilings import Bounds, ceiling_of, ceilings
from vitlab.lab.results.job_results import Finished, latest
from vitlab.lab.results.repeats import Group, grouped
from vitlab.lab.results.sound import faults, faults_of

EPOCHS = ("train.epochs", "epochs", "args.epochs")


@dataclass(frozen=True)
class Fact:
    """One number of a result, or of the mean of its seeds."""

    value: Value
    number: float
    error: float | None
    model: str
    """As gates call it; the result's own name where they know none."""
    size: int | None
    """Training stars."""
    profile: str
    job: str
    newest: bool
    """False: a later run of the same experiment has replaced it."""
    seeds: int = 1
    member: int = 0
    """Of how many seeds it is one; 0 for a mean or a single run."""
    fault: str = ""
    """Why it is no result, in English."""


@dataclass(frozen=True)
class Facts:
    """All that a draft may quote."""

    numbers: tuple[Fact, ...]
    counts: tuple[Fact, ...]
    """Numbers of stars, epochs, parameters and seeds, by `Value("n", name)`."""
    faulty: tuple[Fact, ...] = ()
    """Numbers that are no results."""

    def without_faulty(self) -> Facts:
        """Those that may be quoted; the others are kept apart."""
        sound = tuple(one for one in self.numbers if not one.fault)
        return Facts(sound, self.counts, tuple(one for one in self.numbers if one.fault))

    def of(self, metric: str, label: str, split: str) -> list[Fact]:
        """The numbers of a value."""
        return list(self._by_value.get(Value(split, metric, label), ()))

    def beside(self, fact: Fact, label: str) -> dict[str, float]:
        """The numbers of a fact's own run, split and `label`, by metric."""
        return self._by_run.get((fact.job, fact.value.split, fact.member, label), {})

    @cached_property
    def _by_value(self) -> dict[Value, list[Fact]]:
        found: dict[Value, list[Fact]] = {}
        for one in self.numbers:
            found.setdefault(one.value, []).append(one)
        return found

    @cached_property
    def _by_run(self) -> dict[tuple[str, str, int, str], dict[str, float]]:
        found: dict[tuple[str, str, int, str], dict[str, float]] = {}
        for one in self.numbers:
            key = one.job, one.value.split, one.member, one.value.label
            found.setdefault(key, {})[one.value.metric] = one.number
        return found

    @cached_property
    def labels(self) -> list[str]:
        """The labels that any result has a score of."""
        return list(dict.fromkeys(one.value.label for one in self.numbers if one.value.label))


def facts_of(results: Sequence[Finished], known: Bounds | None = None) -> Facts:
    """The facts of results, oldest first; `known`: ceilings, by default those among the results."""
    if known is None:
        known = ceilings(one.job for one in results)
    newest = {one.job.name: one for one in latest(results)}
    current = grouped(newest.values())
    before = [Group(one.result.run, (one,)) for one in results if one.job.name not in newest]
    why = {job: fault.text("en") for job, fault in faults(newest.values(), known).items()}
    numbers: list[Fact] = []
    counts: list[Fact] = []
    for group, is_newest in [*((g, True) for g in current), *((g, False) for g in before)]:
        if group.first.recipe == "evaluate":
            continue
        job = group.members[0].job.name
        own = [] if is_newest else [one.text("en") for one in faults_of(group.first, known)]
        fault = why.get(job, "".join(own[:1]))
        numbers += (replace(one, fault=fault) for one in _numbers(group, is_newest))
        numbers += _ceilings(group, known, is_newest)
        if is_newest:
            counts += _counts(group)
    return Facts(tuple(numbers), tuple(counts))


def _numbers(group: Group, newest: bool) -> Iterator[Fact]:
    mean, seeds = group.as_one(), len(group.members)
    for name, number in mean.values.items():
        value = Value.parse(name)
        if number is None or not math.isfinite(number):
            continue
        yield _fact(group, value, number, mean.errors.get(name), newest, seeds)
        if seeds > 1:
            for one in group.members:
                own = one.result.values.get(name)
                if own is not None and math.isfinite(own):
                    error = one.result.errors.get(name)
                    yield _fact(group, value, own, error, newest, 1, seeds, one.job.name)


def _ceilings(group: Group, known: Bounds, newest: bool) -> Iterator[Fact]:
    """The ceiling of each R2 that has one, as `ceiling/r2_bayes/LABEL` of its model."""
    for name in group.first.values:
        if (ceiling := ceiling_of(group.first, known, name)) is not None:
            value = Value("ceiling", "r2_bayes", Value.parse(name).label)
            if Value.parse(name).split == "test":
                yield _fact(group, value, ceiling.r2, ceiling.error, newest, 1)


def _counts(group: Group) -> Iterator[Fact]:
    first = group.first
    found: list[tuple[str, object]] = [*first.n.items()]
    found.append(("params", first.model.get("params")))
    settings = group.members[0].job.spec.config
    train = settings.get("train")
    found.append(("epochs", train.get("epochs") if isinstance(train, dict) else None))
    found.append(("epochs", settings.get("epochs")))
    found.append(("seeds", len(group.members)))
    for name, number in found:
        if isinstance(number, int | float) and not isinstance(number, bool):
            yield _fact(group, Value("n", name), float(number), None, True, len(group.members))


def _fact(
    group: Group, value: Value, number: float, error: float | None, newest: bool, seeds: int,
    member: int = 0, job: str = "",
) -> Fact:  # fmt: skip
    first = group.first
    name = next((one.name for one in models_in(first.model_name)), None)
    name = name or next((one.name for one in models_in(first.recipe)), first.model_name.casefold())
    return Fact(
        value=value,
        number=number,
        error=error,
        model=name,
        size=first.n.get("train"),
        profile=first.profile,
        job=job or group.members[0].job.name,
        newest=newest,
        seeds=seeds,
        member=member,
    )


def of_highest_profile(facts: Iterable[Fact]) -> list[Fact]:
    """Those of the highest profile that each model has a result of."""
    facts = list(facts)
    rank = {one.model: -1 for one in facts}
    for one in facts:
        rank[one.model] = max(rank[one.model], PROFILES.index(one.profile))
    return [one for one in facts if PROFILES.index(one.profile) == rank[one.model]]
