"""Numbers that drafts compute from results: differences, ratios, gains, parts of the ceiling."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from vitlab.contract.value import Value
from vitlab.lab.paper.claims import Kind
from vitlab.lab.paper.facts import Fact, Facts

_SAME_SIZE = 0.02
"""Sizes of training sets that differ by less are one: some spectra may be left out."""
Derived = list[tuple[float, Fact]]
"""Each number with the fact it is told as being of."""


def same_size(one: float | None, other: float | None) -> bool:
    """Whether two numbers of spectra are one."""
    if one is None or other is None:
        return False
    return abs(one - other) <= _SAME_SIZE * max(one, other)


def limits_of(facts: Facts, label: str) -> dict[str, Fact]:
    """The ceiling of each job's stars."""
    return {
        fact.job: fact
        for fact in facts.numbers
        if fact.value == Value("ceiling", "r2_bayes", label) and fact.number > 0
    }


def parts_of_ceiling(mine: Iterable[Fact], facts: Facts, label: str, *, share: bool) -> Derived:
    """What percent of its ceiling each R2 reaches, or how far below it stays."""
    limits = limits_of(facts, label)
    pairs = [(fact, limits[fact.job].number) for fact in mine if fact.job in limits]
    return [(100 * f.number / top if share else top - f.number, f) for f, top in pairs]


def gains(mine: Sequence[Fact], between: tuple[float, float]) -> Derived:
    """What the results at one training size gain to those at another."""
    low, high = ([fact for fact in mine if same_size(fact.size, size)] for size in between)
    return [(abs(b.number - a.number), b) for a in low for b in high]


def of_two(
    kind: Kind,
    first: Sequence[Fact],
    second: Sequence[Fact],
    *,
    is_less: bool = False,
    sizes: Sequence[float] = (),
) -> Derived:
    """Difference, ratio or difference in percent of two models, at equal sizes if there are any.

    `is_less`: in percent of the larger number. `sizes`: of each, where a draft says so.
    """
    pairs = [(a, b) for a in first for b in second if same_size(a.size, b.size)]
    pairs = list(dict.fromkeys([*pairs, *_apart(first, second), *_at(sizes, first, second)]))
    derived: Derived = []
    for a, b in pairs or [(a, b) for a in first for b in second]:
        low, high = sorted((a.number, b.number))
        if kind == "difference":
            derived.append((high - low, a))
        elif kind == "ratio" and low > 0:
            derived += [(high / low, a), (low / high, a)]
        elif low > 0:
            base = high if is_less else low
            derived.append((100 * (high - low) / base, a))
            if a.value.metric == "r2":  # in points
                derived.append((100 * (high - low), a))
    return derived


def _at(
    sizes: Sequence[float], first: Sequence[Fact], second: Sequence[Fact]
) -> Iterator[tuple[Fact, Fact]]:
    if sizes:
        here = [fact for fact in first if same_size(fact.size, sizes[0])]
        yield from ((a, b) for a in here for b in second if same_size(b.size, sizes[1]))


def _apart(first: Sequence[Fact], second: Sequence[Fact]) -> Iterator[tuple[Fact, Fact]]:
    """The largest of two models' runs in experiments that have one of them only."""
    here, there = ({_experiment(fact) for fact in of} for of in (first, second))
    own = [fact for fact in first if _experiment(fact) not in there]
    other = [fact for fact in second if _experiment(fact) not in here]
    top, bottom = (max((fact.size or 0 for fact in of), default=0) for of in (own, other))
    for a in own:
        yield from ((a, b) for b in other if (a.size or 0, b.size or 0) == (top, bottom))


def largest(facts: Sequence[Fact]) -> list[Fact]:
    """Those of the largest training set of each model in each experiment."""
    top: dict[tuple[str, str], int] = {}
    for one in facts:
        key = one.model, _experiment(one)
        top[key] = max(top.get(key, 0), one.size or 0)
    return [one for one in facts if (one.size or 0) == top[one.model, _experiment(one)]]


def _experiment(fact: Fact) -> str:
    return fact.job.partition("/")[0]
