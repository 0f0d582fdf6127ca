"""Results of one configuration over seeds as one score, and the choice among configurations."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from vitlab.contract.job import SEEDLESS, Result, base_name
from vitlab.contract.value import Better, Value, for_choosing
from vitlab.docs.judge.errors import (
    ASSUMED,
    SeedMean,
    SeedScatter,
    Spread,
    expected_maximum,
    stars_error,
)
from vitlab.docs.judge.phrases import Phrase, phrase


def seed_name(run: str, seed: int) -> str:
    """`Run 1` -> `Run 1 seed=43`; `seed=43` for `main`; another seed takes the place of its own."""
    base = base_name(run)
    if base == "main":
        return f"seed={seed}"
    return f"{base}{',' if '=' in base else ' '}seed={seed}"


@dataclass(frozen=True)
class Repeats:
    """The results of one configuration, which differ in their seed alone; often a single one."""

    members: tuple[Result, ...]

    @property
    def first(self) -> Result:
        return self.members[0]

    @property
    def model_name(self) -> str:
        return self.first.model_name

    def mean(self, name: str) -> float | None:
        """The mean over the seeds; None unless each has a finite number."""
        numbers = self.numbers(name)
        return statistics.fmean(numbers) if numbers else None

    def scatter(self, name: str) -> SeedScatter | None:
        """Standard deviation over its own seeds; None for a single one."""
        numbers = self.numbers(name)
        if len(numbers) < 2:
            return None
        return SeedScatter(statistics.stdev(numbers), len(numbers) - 1)

    def numbers(self, name: str) -> list[float]:
        """One a seed; empty unless each is finite."""
        known = [one.values.get(name) for one in self.members]
        numbers = [x for x in known if x is not None and math.isfinite(x)]
        return numbers if len(numbers) == len(known) else []

    def stars(self, name: str) -> float | None:
        """Standard error over the stars: all seeds share them, so a mean does not lessen it."""
        errors = [stars_error(one, name) for one in self.members]
        known = [error for error in errors if error is not None]
        return statistics.fmean(known) if len(known) == len(errors) else None

    def seed_mean(self, name: str, known: SeedScatter | None) -> SeedMean | None:
        """What other seeds would change of its mean; None where their scatter is not known.

        `known`: the scatter of models of its family. Of several seeds the larger of the two counts.
        """
        count = len(self.members)
        if self.first.recipe in SEEDLESS:
            return SeedMean(SeedScatter(0.0), count)
        own = self.scatter(name)
        if own is None or known is None:
            either = own or known
            return SeedMean(either, count) if either else None
        freedom = max(own.freedom, known.freedom)
        return SeedMean(SeedScatter(max(own.value, known.value), freedom), count)

    def spread(self, name: str, known: SeedScatter | None) -> Spread | None:
        """The error of its mean; None where that over the stars is not known.

        The scatter of a single seed of which nothing is known is taken as `ASSUMED` such errors.
        """
        stars = self.stars(name)
        if stars is None:
            return None
        assumed = SeedMean(SeedScatter(ASSUMED * stars), 1, is_assumed=True)
        mean = self.seed_mean(name, known) or assumed
        return Spread(stars, (mean,))

    def seeds_phrase(self, known: SeedScatter | None) -> Phrase | None:
        """`one seed`, `mean of 3 seeds`; None for a recipe that has none."""
        if self.first.recipe in SEEDLESS:
            return None
        if len(self.members) > 1:
            return phrase("seeds", len(self.members))
        return phrase("one_seed" if known else "one_seed_unknown")


def pooled(groups: Iterable[Repeats], name: str) -> SeedScatter | None:
    """The scatter of a value over seeds, from all configurations with repeats; None without any."""
    scatters = [scatter for group in groups if (scatter := group.scatter(name))]
    freedom = sum(scatter.freedom for scatter in scatters)
    if not freedom:
        return None
    squares = sum(scatter.freedom * scatter.value**2 for scatter in scatters)
    return SeedScatter(math.sqrt(squares / freedom), freedom)


def by_configuration(
    results: Iterable[Result], configuration: Callable[[Result], str]
) -> list[Repeats]:
    """The results grouped by what they compute but for the seed, in the order of their first."""
    groups: dict[str, list[Result]] = {}
    for one in results:
        groups.setdefault(configuration(one), []).append(one)
    return [Repeats(tuple(members)) for members in groups.values()]


@dataclass(frozen=True)
class Chosen:
    """The configuration that is best on validation."""

    group: Repeats | None
    """None where a choice is due and a validation score is missing."""
    cells: int
    """Configurations it was chosen from."""


def choose(groups: Sequence[Repeats], name: str) -> Chosen:
    """The best on validation, so that the test set selects nothing; of one there is no choice."""
    if len(groups) == 1:
        return Chosen(groups[0], 1)
    better = Value.parse(name).better
    scores = [validated(group, name) for group in groups]
    if better is None or any(score is None for score in scores):
        return Chosen(None, len(groups))
    far = [better.distance(score) for score in scores]
    return Chosen(groups[far.index(min(far))], len(groups))


def validated(group: Repeats, name: str) -> float | None:
    """The mean validation score of a configuration; None unless each seed has one."""
    scores = [for_choosing(name, one.values) for one in group.members]
    known = [x for x in scores if x is not None and math.isfinite(x)]
    return statistics.fmean(known) if known and len(known) == len(scores) else None


@dataclass(frozen=True)
class Score:
    """A number with what it may be off by."""

    value: float
    spread: Spread | None
    """Its error over stars and seeds; None where it is not known."""
    cells: int = 1
    """Configurations of which it is the best on validation."""
    rivals: int = 1
    """Of a difference: the configurations that the other side is the best of."""

    @property
    def error(self) -> float | None:
        """Standard error; None where it is not known."""
        return self.spread.error if self.spread else None

    def optimism(self, cells: int) -> float:
        """By how much the best of several may be above its own mean: their expected maximum."""
        return expected_maximum(cells) * (self.error or 0.0)

    def ends(self, better: Better | None, *, stands: bool = False) -> tuple[float, float]:
        """The lowest and the highest number it stands for, the choice's optimism included.

        At any look; of a verdict that `stands` 2 errors are enough to keep it.
        """
        assert self.spread is not None
        way = better.way if better else "nearest"
        good, bad = self.optimism(self.cells), self.optimism(self.rivals)
        below, above = {"larger": (good, bad), "smaller": (bad, good)}.get(
            way, (max(good, bad),) * 2
        )
        reach = 2 * self.spread.error if stands else self.spread.reach()
        return self.value - reach - below, self.value + reach + above


def score_of(chosen: Chosen, name: str, known: SeedScatter | None) -> Score | None:
    """The mean over the seeds of the chosen configuration; None without a number."""
    group = chosen.group
    value = group.mean(name) if group else None
    if group is None or value is None:
        return None
    return Score(value, group.spread(name, known), chosen.cells)
