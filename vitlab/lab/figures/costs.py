"""What the models of a figure were trained on: distinct stars, noise draws and hours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations

from vitlab.docs.judge.budget import UNEQUAL, Budget, budget_of, count, is_unequal
from vitlab.lab.results.repeats import Group

_MOST = 4
"""Amounts that are listed one by one."""


def draws_and_hours(groups: Sequence[Group]) -> str:
    """`60k to 1.5M noise draws, 0.16 core-hours`; hours are those of all groups together."""
    budgets = [budget_of(group.repeats.members) for group in groups]
    return ", ".join([_range([one.draws for one in budgets], "noise draws"), *_hours(budgets)])


def cost_notes(groups: Sequence[Group]) -> list[str]:
    """One line a model where there are several, so that nobody takes them for equals, and one
    where they are too unequal for a gate."""
    models: dict[str, list[Group]] = {}
    for group in groups:
        if group.first.recipe != "ceiling":
            models.setdefault(group.first.model_name, []).append(group)
    if len(models) < 2:
        return []
    costs = [f"{name}: {_stars(mine)}, {draws_and_hours(mine)}" for name, mine in models.items()]
    costs += start_notes(groups)
    return costs + unequal_notes([group for mine in models.values() for group in mine])


def start_notes(groups: Sequence[Group]) -> list[str]:
    """Which models start from noise-free spectra, which are no draws."""
    budgets = {one.first.model_name: budget_of(one.repeats.members) for one in groups}
    names = [name for name, one in budgets.items() if one.noise_free]
    return [f"{listed(names)}: starts from noise-free spectra of training stars"] * bool(names)


def unequal_notes(groups: Sequence[Group], at: str = "") -> list[str]:
    """`unequal: 512k, 175k and 20k training stars` where a gate would call any two so.

    `at`: where they stand, ` at one N`.
    """
    budgets = [budget_of(group.repeats.members) for group in groups]
    if not any(is_unequal(one, other) for one, other in permutations(budgets, 2)):
        return []
    stars, draws = ([getattr(one, key) for one in budgets] for key in ("stars", "draws"))
    amounts = [f"{_each(stars)} training stars"] * (len({*stars}) > 1)
    amounts += [f"{_each(draws)} noise draws"] * (len({*draws}) > 1 and draws != stars)
    return [f"unequal by more than {UNEQUAL:g} times{at}: {'; '.join(amounts)}"]


def _each(amounts: Sequence[float | None]) -> str:
    """`512k, 175k and 20k`; of many the least and the most."""
    known = list(dict.fromkeys(count(amount) for amount in amounts if amount is not None))
    if len(known) > _MOST:
        ends = [amount for amount in amounts if amount is not None]
        return f"{count(min(ends))} to {count(max(ends))}"
    return listed(known)


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([*([", ".join(parts[:-1])] if parts[:-1] else []), *parts[-1:]])


def _stars(groups: Sequence[Group]) -> str:
    budgets = [budget_of(group.repeats.members) for group in groups]
    return _range([one.stars for one in budgets], "training stars")


def _hours(budgets: Sequence[Budget]) -> list[str]:
    cores = [one.core_hours for one in budgets]
    known = [hours for hours in cores if hours is not None]
    text = f"{math.fsum(known):.2g} core-hours" if len(known) == len(cores) else ""
    gpus = math.fsum(one.gpu_hours or 0.0 for one in budgets)
    return [text or "core-hours unknown", *([f"{gpus:.2g} GPU-hours"] if gpus else [])]


def _range(amounts: Sequence[float | None], what: str) -> str:
    known = [amount for amount in amounts if amount is not None]
    if len(known) < len(amounts):
        return f"{what} unknown"
    low, high = count(min(known)), count(max(known))
    return f"{low} {what}" if low == high else f"{low} to {high} {what}"
