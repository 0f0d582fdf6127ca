"""The ways in which a number may be meant beside the most likely one, and what follows from others.

Drafts leave much open. A number is called wrong only where it is wrong in each of these ways.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

from vitlab.contract.value import IN_SIGMA, SIGMA
from vitlab.lab.paper.mention import TOP, Mention

_LEAST_SCORE = 0.3
"""An R² that is smaller may as well be a difference of two."""


def readings(one: Mention) -> Iterator[Mention]:
    """The other ways in which a number may be meant, by what its text leaves open."""
    others = one.others if one.is_loose else ()
    if one.kind in ("score", "share", "count", "rest", "gap"):
        yield from (replace(one, models=(name,)) for name in others)
        if one.is_loose and not others:
            yield replace(one, models=())
    if one.kind == "score":
        ways = [
            (label, metric)
            for label in (one.label, *one.labels)
            for metric in (one.metric, *one.metrics)
        ]
        for name in (one.models, *((name,) for name in others)):
            yield from (replace(one, models=name, label=x, metric=m) for x, m in ways[1:])
    if one.kind == "score" and one.in_units and not one.unit:
        for name in (one.models, *((name,) for name in others)):
            yield replace(one, models=name, unit=SIGMA)
    if one.kind == "score" and len(one.splits) > 1 and one.split_open:
        yield from (replace(one, split=split) for split in one.splits)
    if one.kind == "difference" and one.metric in IN_SIGMA:  # `off by 0.5 dex, those of B by 0.6`
        yield from (replace(one, kind="score", models=(name,)) for name in one.near)
    if one.kind == "score" and one.metric == "label_std":  # `relative to the spread of the labels`
        yield from (replace(one, metric=name, unit=SIGMA) for name in ("mae", "rmse"))
    is_score = one.kind == "score" and one.metric == "r2"
    if is_score and one.near_ceiling:
        yield replace(one, kind="ceiling")
    if is_score and one.of_rest and one.unit != "%":
        yield replace(one, kind="rest", value=100 * one.value, step=100 * one.step)
        yield replace(one, kind="ceiling", value=1 - one.value)
    if one.kind == "share" and one.of_rest:  # `what is left is 5% of the limit`
        yield replace(one, kind="gap")
    if one.kind == "rest":
        yield replace(one, kind="ceiling", value=1 - one.value / 100, step=one.step / 100)
    if one.kind == "difference" and one.is_bare:  # `rises by 0.1 (0.6 to 0.7)`
        yield from (replace(one, kind="score", models=(name,), is_bare=False) for name in one.near)
    if one.kind == "percent" and one.is_bare and one.metric == "r2":
        yield from (x for name in IN_SIGMA for x in _differences(replace(one, metric=name)))
    if one.kind in ("difference", "percent", "ratio"):
        yield from _differences(one)
    elif is_score and (one.is_bare or one.value < _LEAST_SCORE):  # `that of A (0.17)`
        yield from _differences(replace(one, kind="difference"))


def _differences(one: Mention) -> Iterator[Mention]:
    """The other two sides that a difference may have, one of them named in its own clause."""
    both = tuple(name for name in one.models if name != TOP)
    is_said = len(both) == len(one.models) == 2 and not one.inherited
    names = both if is_said else tuple(dict.fromkeys((*both, *one.others)))
    near = one.near or names
    for pair in combinations(names, 2):
        if set(pair) & set(near):
            yield replace(one, models=pair, between=None)
            yield replace(one, models=pair, between=None, size=None)
    if one.between or one.grows:
        yield from (replace(one, models=(name,)) for name in near)
    if one.grows and one.kind == "difference":
        yield from (replace(one, models=(name,), size=None, between=None) for name in near)
    if one.kind == "difference" and one.near_ceiling:
        yield from (replace(one, models=(name, TOP), between=None) for name in near)


def changes(one: Mention, numbers: Sequence[float]) -> list[float]:
    """What a difference of two numbers may be, in its own unit; the likeliest first."""
    found: list[float] = []
    for pair in combinations(numbers, 2):
        low, high = sorted(map(abs, pair))
        if one.kind == "difference":
            found.append(high - low)
        elif one.kind == "percent" and low:
            bases = (high, low) if one.is_less or one.metric in IN_SIGMA else (low, high)
            found += [100 * (high - low) / base for base in bases]
        elif one.kind == "share" and high:
            found.append(100 * low / high)
    return found


def follows(one: Mention, numbers: Sequence[float]) -> bool:
    """Whether a number is what two others give, or 1 less one, within a unit of its last digit."""
    found = changes(one, numbers)
    if one.kind == "percent":  # the base is said
        found = found[::2]
    if one.kind == "score" and one.is_bare:
        found += changes(replace(one, kind="difference"), numbers)
    if one.kind in ("score", "difference") and one.metric == "r2":
        found += [1 - other for other in numbers]
    return any(abs(abs(one.value) - x) <= one.step * (1 + 1e-6) for x in found)
