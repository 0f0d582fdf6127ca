"""Numbers that are those of the best of several runs of one spec, where these differ in seeds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from vitlab.contract.value import Value
from vitlab.docs.lint.numbers import Place
from vitlab.docs.text.numbers import Digits, NumberPlace
from vitlab.lab.results.provenance import Source, best_source
from vitlab.lab.results.repeats import Group

OF_SEEDS = re.compile(
    r"\bseeds?\b|\b(?:between|ranges?|from|up to|at (?:best|most)|repeats?)\b"
    r"|种子|范围|之间|至多|最多|重复",
    re.I,
)
"""In a line whose number may be that of one seed, or of the best."""
TELLING = 2
"""Decimals from which on a number tells of another seed, or of the mean."""


@dataclass(frozen=True)
class Picked:
    """A run that is the best of several of one spec."""

    group: Group
    of: Source

    @property
    def message(self) -> str:
        """What is wrong with its number alone."""
        name = self.of.value
        mean = replace(self.of, number=self.group.value(name), error=self.group.error(name))
        return (
            f"the best of {len(self.group.members)} runs of one spec ({self.of.of_jobs}); "
            f"their mean, {mean.shown}, is not told"
        )

    def is_told_by(self, one: NumberPlace) -> bool:
        """Whether a number of the document is that of another run of the spec, or their mean."""
        others = [
            member.result.values.get(self.of.value)
            for member in self.group.members
            if member.job.name not in self.of.jobs
        ]
        if one.is_limit or one.number.decimals < TELLING:
            return False
        return any(one.number.is_rounded(x) for x in [*others, self.group.value(self.of.value)])


def picked_runs(place: Place, known: Iterable[Source], groups: Sequence[Group]) -> list[Picked]:
    """The runs that a number may be of, the likeliest first, each the best of its spec.

    None where it may be of another run, or a mean. `known`: the numbers of results that it may be
    one of; `groups`: runs of one spec each.
    """
    number, found = place.number, list[Picked]()
    digits = Digits("", number.value, number.decimals)
    may_be = [one for one in known if digits.is_rounded(one.number)]
    likeliest = best_source(digits, may_be, number, " ".join((*place.own, *number.words)))
    of_job = {member.job.name: group for group in groups for member in group.members}
    for one in sorted(may_be, key=lambda one: one is not likeliest):
        group = of_job.get(one.jobs[0]) if len(one.jobs) == 1 else None
        if group is None or not _is_best(group, one, digits):
            return []
        found.append(Picked(group, one))
    return found


def _is_best(group: Group, of: Source, digits: Digits) -> bool:
    """Whether a number is that of one run of a group alone, and better than that of all others."""
    better = Value.parse(of.value).better
    numbers = [one.result.values.get(of.value) for one in group.members]
    known = [x for x in numbers if x is not None]
    others = [x for x in known if not digits.is_rounded(x)]
    if better is None or of.number is None or len(others) != len(known) - 1:
        return False
    return all(better.gain(of.number, other) > 0 for other in others)
