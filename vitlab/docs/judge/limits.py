"""A number, or a difference, held against a limit; docs/gates.md has the rule."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitlab.contract.job import SEEDLESS
from vitlab.contract.value import LABEL, LARGER, Value
from vitlab.docs.judge.budget import budget_of, is_unequal
from vitlab.docs.judge.comparison import Gap, Pair
from vitlab.docs.judge.errors import expected_maximum
from vitlab.docs.judge.needs import Needs, needs_of, with_unknown
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.judge.seeds import Repeats, Score
from vitlab.docs.model.gates.conditions import Between, Threshold


@dataclass(frozen=True)
class Check:
    """Whether one condition holds; None: undecided."""

    holds: bool | None
    because: Phrase
    values: Mapping[str, float]
    readable: bool = True
    needs: Needs | None = None
    """What would decide it; None where that is not known."""
    void: bool = False
    """Whether there is a result that decides nothing: it is unsound, or not a number."""


def against_limit(
    condition: Threshold | Between,
    name: str,
    score: Score,
    number: Phrase,
    sides: Sequence[Repeats],
    stands: bool,
    *,
    share: bool = False,
) -> Check:
    """A score of `sides` against a condition's limits; `stands`: to keep a verdict.

    `share`: the score is a fraction of the ceiling, not in the value's unit.
    """
    label, value = value_label(name), Value.parse(name.removeprefix("Δ"))
    unit = f" {value.unit}" if value.unit and not share else ""
    absolute = isinstance(condition, Threshold) and condition.absolute
    shown = phrase("is", f"|{label}|" if absolute else label, number)
    values = {name: score.value}
    if score.spread is None:
        return Check(None, phrase("no_error", shown), values)
    ends = score.ends(value.better, stands=stands)
    reach = max(score.value - ends[0], ends[1] - score.value)
    if isinstance(condition, Between):
        limit = f"{condition.low:g}–{condition.high:g}{unit}"
        holding = condition.low <= ends[0] and ends[1] <= condition.high
        surely = holding or ends[1] < condition.low or ends[0] > condition.high
        because = phrase("in" if holding else "out", shown, limit)
    else:
        if absolute:
            least = 0.0 if ends[0] <= 0 <= ends[1] else min(map(abs, ends))
            ends = least, max(map(abs, ends))
        limit = f"{condition.value:g}{unit}"
        both = [holds(condition.op, end, condition.value) for end in ends]
        holding, surely = all(both), both[0] == both[1]
        because = phrase("holds" if holding else "fails", shown, condition.op, limit)
    asked = condition.seeds if isinstance(condition, Threshold) else 0
    seeds = [len(side.members) for side in sides if side.first.recipe not in SEEDLESS]
    if min(seeds, default=asked) < asked:
        return Check(None, phrase("asks_for_seeds", shown, asked), values)
    if surely:
        return Check(holding, because, values)
    optimism = expected_maximum(max(score.cells, score.rivals))
    needs = needs_of(score.spread, distance_to(condition, score.value), sides, optimism)
    why = phrase("few_seeds", shown, limit) if math.isinf(reach) else None
    return Check(None, why or phrase("near", shown, f"{reach:.2g}", limit), values, needs=needs)


def distance_to(condition: Threshold | Between, value: float) -> float:
    """How far a number is from the nearest limit."""
    if isinstance(condition, Between):
        return min(abs(value - condition.low), abs(value - condition.high))
    return abs((abs(value) if condition.absolute else value) - condition.value)


def why_open(pair: Pair, gap: Gap, gain: float, stands: bool) -> Phrase | None:
    """Why a difference tells nothing of the models; `gain`: by how much the left one is better."""
    if gap.is_same:
        return phrase("is_same")
    if gap.spread is None:
        return phrase("no_error_here")
    low, high = Score(gain, gap.spread, pair.left.cells, pair.right.cells).ends(
        LARGER, stands=stands
    )
    if gap.is_one_seed and not gap.is_noise:
        return gap.one_seed()
    if math.isinf(high):
        return phrase("few_seeds_here")
    if low <= 0 <= high:
        return phrase("within", f"{max(gain - low, high - gain):.2g}")
    if gap.is_one_seed:
        return gap.one_seed()
    return phrase("is_unequal") if leads_unequally(pair, gain > 0) else None


def pair_needs(pair: Pair, gap: Gap, distance: float) -> Needs | None:
    """What would tell a difference from its limit, `distance` away; None where it has no error.

    None also where there is no difference and that is the distance: nothing would tell it.
    """
    sides = [side.group for side in (pair.left, pair.right) if side.group]
    if gap.spread is None or (gap.is_same and distance <= abs(gap.value)):
        return None
    spread = with_unknown(gap.spread, len(sides) - len(gap.spread.seeds))
    cells = max(pair.left.cells, pair.right.cells)
    return needs_of(spread, distance, sides, expected_maximum(cells))


def leads_unequally(pair: Pair, left_leads: bool) -> bool:
    """Whether the side that leads was bought with too much more."""
    sides = [budget_of(side.group.members) for side in (pair.left, pair.right) if side.group]
    ahead, behind = sides if left_leads else sides[::-1]
    return is_unequal(ahead, behind)


def holds(op: str, value: float, limit: float) -> bool:
    return {">": value > limit, ">=": value >= limit, "<": value < limit, "<=": value <= limit}[op]


def value_label(name: str) -> str:
    """`R²_test`, `ΔMAE_test T_eff`."""
    delta, name = ("Δ", name[1:]) if name.startswith("Δ") else ("", name)
    value = Value.parse(name)
    label = "" if value.label in ("", LABEL) else f" {value.label}"
    return f"{delta}{value.symbol}_{value.split}{label}"
