"""Repeats of one configuration over seeds as one: their mean and its error."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace

from vitlab.contract.job import Result, base_name
from vitlab.contract.world import read_world
from vitlab.docs.judge.seeds import Repeats
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import Finished, all_results, latest, plans_of


@dataclass(frozen=True)
class Group:
    """The finished jobs that differ in their seed alone; often a single one."""

    name: str
    """The run's name without its seed."""
    members: tuple[Finished, ...]

    @property
    def first(self) -> Result:
        return self.members[0].result

    @property
    def repeats(self) -> Repeats:
        """Its results alone."""
        return Repeats(tuple(one.result for one in self.members))

    def value(self, name: str) -> float | None:
        """The mean over the seeds; None where a member has no such number."""
        values = self._values(name)
        return statistics.fmean(values) if values else None

    def error(self, name: str) -> float | None:
        """Standard error of the mean, over stars and seeds as gates take it.

        Of a single job its own; over seeds alone where none is known over stars; None without any.
        """
        own = self.repeats.scatter(name)
        if own is None:
            return self.first.errors.get(name)
        seeds = own.error(len(self.members))
        stars = self.repeats.stars(name) if self.error_of(name) == "seeds" else None
        return math.hypot(seeds, stars or 0.0)

    def error_of(self, name: str) -> str:
        """What an error is over: stars, draws (of a ceiling), seeds (and stars), seeds alone."""
        if len(self.members) == 1:
            return self.first.error_kind
        known = all(name in one.result.errors for one in self.members)
        return "seeds" if known else "seeds alone"

    def as_one(self) -> Result:
        """Mean over the seeds and its error as a single result; a single one as it is."""
        if len(self.members) == 1:
            return self.first
        names = list(self.first.values)
        errors = {name: x for name in names if (x := self.error(name)) is not None}
        worlds = {read_world(one.result.world) for one in self.members}
        return replace(
            self.first,
            run=self.name,
            model={**self.first.model, "seeds": len(self.members)},
            values={name: self.value(name) for name in names},
            errors=errors,
            seconds=sum(one.result.seconds for one in self.members),
            world=self.first.world if len(worlds) == 1 else {},
        )

    def _values(self, name: str) -> list[float]:
        values = [one.result.values.get(name) for one in self.members]
        return [x for x in values if x is not None] if None not in values else []


def grouped(results: Iterable[Finished]) -> list[Group]:
    """The jobs by what they compute but for the seed, in the order of their first."""
    every, groups = list(results), dict[tuple[str, str], list[Finished]]()
    plans = plans_of(every)
    for one in every:
        key = plans[one.job.spec.roadmap], one.configuration
        groups.setdefault(key, []).append(one)
    return [Group(base_name(members[0].result.run), tuple(members)) for members in groups.values()]


def groups_beside(lab: Lab, mvp: str, own: Iterable[Finished]) -> list[Group]:
    """The lab's groups that are of another MVP, or of another roadmap's of the same id.

    `own`: the newest results of the MVP's roadmap.
    """
    names = {one.job.name for one in own if one.result.mvp == mvp}
    return grouped(one for one in latest(all_results(lab)) if one.job.name not in names)
