"""What an open gate still needs: further seeds, or further test stars."""

from __future__ import annotations

import math
import shlex
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import TypeVar

from vitlab.contract.job import SEEDLESS, base_name
from vitlab.docs.judge.budget import budget_of, count
from vitlab.docs.judge.errors import ASSUMED, POWER, SeedMean, SeedScatter, Spread
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.judge.seeds import Repeats

MOST_SEEDS = 100
MOST_GROWTH = 100.0
"""More further seeds, or more times the test stars, are not asked for."""
_GROWTHS = tuple(MOST_GROWTH ** (k / 100) for k in range(1, 101))
_Number = TypeVar("_Number", int, float)
_MARGIN = NormalDist().inv_cdf(POWER)


@dataclass(frozen=True)
class Needs:
    """What closes a gate with a chance of `POWER` if the number is as it is now.

    Seeds are those of each side of a comparison, stars those that each seed is scored on.
    """

    seeds: int | None
    """Enough alone; None where no number is, or there are no seeds."""
    stars: int | None
    """Enough alone; None as for seeds."""
    both: tuple[int, int] | None = None
    """Seeds and stars together, where neither is enough alone."""
    core_hours: float | None = None
    """CPU time of the seeds, by that of the past ones; None where it is not known."""
    launch: tuple[str, ...] = ()
    """The commands that run the seeds."""
    scored: int = 0
    """Stars that each seed is scored on now; 0 where no others can be simulated."""

    def ways(self, gate: str) -> tuple[str, ...]:
        """What a person does for it, a line each."""
        stars = self.both[1] if self.both else self.stars
        if not stars or not self.scored:
            return self.launch
        more = f"gate_stars: {self.scored + stars} in vitlab.yaml, then vitlab gates --open {gate}"
        return (*self.launch, more)

    def phrase(self) -> Phrase:
        """`needs 3 more seeds (about 4 core-hours) or 20k more test stars`."""
        if self.both:
            seeds, stars = self.both
            return phrase("needs_both", self._seeds(seeds), phrase("more_stars", count(stars)))
        ways = [self._seeds(self.seeds)] if self.seeds else []
        ways += [phrase("more_stars", count(self.stars))] if self.stars else []
        return phrase("needs", phrase("either", *ways)) if ways else phrase("needs_too_much")

    def _seeds(self, number: int) -> Phrase:
        seeds = phrase("more_seeds", number)
        if self.core_hours is None:
            return seeds
        return phrase("remarked", seeds, phrase("about_hours", f"{self.core_hours:.2g}"))


def needs_of(
    spread: Spread, distance: float, sides: Sequence[Repeats], optimism: float = 0.0
) -> Needs:
    """What a number at `distance` from its limit needs to be told from it.

    `sides`: the one configuration, or both that are compared; `optimism`: of the choice, in errors.
    """

    def closes(more: int, growth: float) -> bool:
        margin = (_MARGIN + optimism) * spread.plain(more, growth)
        return spread.reach(more, growth) + margin <= distance

    stars = min((side.first.n.get("test", 0) for side in sides), default=0)
    seeded = [side for side in sides if side.first.recipe not in SEEDLESS]
    counts = range(1, MOST_SEEDS + 1) if seeded else range(0)
    seeds = _first(counts, lambda more: closes(more, 1.0))
    growth = _first(_GROWTHS if stars else (), lambda growth: closes(0, growth))
    both = None
    if seeded and stars and seeds is None and growth is None:
        most = max(len(side.members) for side in seeded)
        grown = _first(_GROWTHS, lambda growth: closes(_further(most, growth), growth))
        if grown and (more := _further(most, grown)) <= MOST_SEEDS:
            both = more, _rounded((grown - 1) * stars)
    more = seeds or (both[0] if both else 0)
    return Needs(
        seeds,
        _rounded((growth - 1) * stars) if growth else None,
        both,
        _hours(seeded, more) if more else None,
        tuple(_launch(side, more) for side in seeded) if more else (),
        0 if any(not side.first.world.get("simulator") for side in sides) else stars,
    )


def with_unknown(spread: Spread, unknown: int) -> Spread:
    """With an assumed scatter over seeds of `unknown` sides, which closes nothing by itself."""
    assumed = SeedMean(SeedScatter(ASSUMED * spread.stars, 0), 1, is_assumed=True)
    return replace(spread, seeds=(*spread.seeds, *[assumed] * unknown))


def _first(numbers: Sequence[_Number], enough: Callable[[_Number], bool]) -> _Number | None:
    """The first of increasing numbers that is enough, as all after it; None where none is."""
    place = bisect_left(numbers, True, key=enough)
    return numbers[place] if place < len(numbers) else None


def _further(seeds: int, growth: float) -> int:
    return math.ceil((growth - 1) * seeds)


def _rounded(number: float) -> int:
    """Upwards, to two digits."""
    unit = int(10 ** max(math.floor(math.log10(max(number, 1))) - 1, 0))
    return math.ceil(number / unit) * unit


def _hours(sides: Sequence[Repeats], more: int) -> float | None:
    each = []
    for side in sides:
        hours = budget_of(side.members).core_hours
        if hours is None:
            return None
        each.append(more * hours / len(side.members))
    return math.fsum(each)


def _launch(side: Repeats, more: int) -> str:
    name = base_name(side.first.run)
    run = "" if name == "main" else f" --run {shlex.quote(name)}"
    return f"vitlab run {side.first.mvp} --profile {side.first.profile}{run} --seeds {more}"
