"""How far a number may be from the truth: seeds, stars, and the best of several.

Standard library only; the formulas are in docs/gates.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import NormalDist

from vitlab.contract.job import Result
from vitlab.contract.value import Value

_NORMAL = NormalDist()
_TWO_SIGMA = _NORMAL.cdf(2.0)
"""0.97725: what lies below +2 standard errors."""
_STEPS = 4000
ALPHA = 0.01
"""Chance that a gate whose true difference is 0 ever closes, however often it is looked at."""
_MIXTURE = 0.005
"""Where the sequence is narrowest: 1 / variance of the effects it is mixed over, in errors."""
ASSUMED = 1.5
"""A scatter over seeds that is not known, in errors over the stars."""
POWER = 0.8
"""Chance to close that a budget is made for."""


def sequential(count: int, freedom: float = math.inf) -> float:
    """Errors by which the mean of `count` numbers may be off, at every `count` at once.

    Left at any count with a chance of `ALPHA` at most: the normal mixture (Robbins 1970; Howard et
    al. 2021, eq. 14), or for a scatter estimated with `freedom` degrees the mixture of Student's t
    (Lai 1976; Wang & Ramdas 2025). inf where so few numbers bound nothing.
    """
    ratio = _MIXTURE / (count + _MIXTURE)
    if math.isinf(freedom):
        return math.sqrt(-math.log(ALPHA**2 * ratio) / (1 - ratio))
    power = (ALPHA**2 * ratio) ** (-1 / (freedom + 1))
    if freedom < 1 or power * ratio >= 1:
        return math.inf
    return math.sqrt(freedom * (power - 1) / (1 - power * ratio))


@dataclass(frozen=True)
class SeedScatter:
    """Standard deviation of a value over seeds, as known of a family of models."""

    value: float
    freedom: float = math.inf
    """Degrees of freedom of its estimate; infinite where it is stated."""

    def error(self, seeds: int) -> float:
        """Standard error of a mean over `seeds`, widened for an estimate from few runs."""
        return few_runs(self.freedom) * self.value / math.sqrt(seeds)


@dataclass(frozen=True)
class SeedMean:
    """What another choice of seeds would change of a mean."""

    scatter: SeedScatter
    count: int
    is_assumed: bool = False
    """Whether the scatter is not known, and taken as `ASSUMED`."""

    @property
    def error(self) -> float:
        """Standard error, as far as it is known."""
        return 0.0 if self.is_assumed else self.scatter.error(self.count)

    def plain(self, more: int = 0) -> float:
        """Standard error with `more` seeds, not widened for an estimate from few runs."""
        return self.scatter.value / math.sqrt(self.count + more)

    def reach(self, more: int = 0) -> float:
        """By how much the mean may be off, with `more` seeds, at any look."""
        freedom = self.scatter.freedom
        if more:
            freedom = more + (0.0 if self.is_assumed else freedom)
        plain = self.plain(more)
        return sequential(self.count + more, freedom) * plain if plain else 0.0


@dataclass(frozen=True)
class Spread:
    """The standard error of a number, by its sources."""

    stars: float
    seeds: tuple[SeedMean, ...] = ()
    """One for each side of a comparison that has seeds."""

    @property
    def error(self) -> float:
        """Twice this holds 95.4%, at a single look."""
        return math.hypot(self.stars, *(one.error for one in self.seeds))

    def reach(self, more: int = 0, growth: float = 1.0) -> float:
        """By how much the number may be off at any look; inf where that is not bounded.

        With `more` seeds on each side, and `growth` times the stars.
        """
        looks = max((one.count for one in self.seeds), default=1) + more
        stars = sequential(looks) * self.stars / math.sqrt(growth)
        return math.hypot(stars, *(one.reach(more) for one in self.seeds))

    def plain(self, more: int = 0, growth: float = 1.0) -> float:
        """Standard error as `reach`, without a margin."""
        return math.hypot(self.stars / math.sqrt(growth), *(one.plain(more) for one in self.seeds))

    def scaled(self, by: float, and_stars: float = 0.0) -> Spread:
        """Of the number times `by`, with another error added that does not depend on seeds."""
        seeds = tuple(
            replace(one, scatter=replace(one.scatter, value=one.scatter.value * abs(by)))
            for one in self.seeds
        )
        return Spread(math.hypot(self.stars * by, and_stars), seeds)


def few_runs(freedom: float) -> float:
    """By how much 2 errors grow where the scatter is estimated: t(0.977, freedom) / 2.

    7.0 for 1 degree of freedom, 2.3 for 2, 1.4 for 4, 1 without end (Student 1908).
    """
    return 1.0 if math.isinf(freedom) else student_t(_TWO_SIGMA, round(freedom)) / 2


@lru_cache(256)
def student_t(p: float, freedom: int) -> float:
    """The quantile `p` >= 0.5 of Student's t, by bisection of its closed form."""
    low, high = 0.0, 1.0
    while _student_cdf(high, freedom) < p:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_cdf(middle, freedom) < p else (low, middle)
    return (low + high) / 2


def _student_cdf(t: float, freedom: int) -> float:
    """Abramowitz & Stegun 26.7.3 and 26.7.4, for t >= 0."""
    angle = math.atan(t / math.sqrt(freedom))
    cos2 = math.cos(angle) ** 2
    term, total = 1.0, 1.0 if freedom > 1 else 0.0
    first = 1 if freedom % 2 == 0 else 2
    for k in range(first, freedom - 2, 2):
        term *= cos2 * k / (k + 1)
        total += term
    if freedom % 2 == 0:
        inside = math.sin(angle) * total
    else:
        inside = 2 / math.pi * (angle + math.sin(angle) * math.cos(angle) * total)
    return 0.5 + inside / 2


@lru_cache(256)
def expected_maximum(n: int) -> float:
    """Expected maximum of n independent standard normal numbers: 0, 0.564, 0.846, 1.029, ...

    The integral over u from 0 to 1 of the normal quantile of u^(1/n), by the midpoint rule.
    """
    if n < 2:
        return 0.0
    points = ((k + 0.5) / _STEPS for k in range(_STEPS))
    return math.fsum(_NORMAL.inv_cdf(min(u ** (1 / n), 1 - 1e-16)) for u in points) / _STEPS


def stars_error(result: Result, name: str) -> float | None:
    """Standard error of a value over the stars it was scored on; None where it cannot be known.

    The result's own; else that on the test set, scaled by the number of stars; else what a set of
    that many stars can resolve at best, with a factor of 2 for residuals that are not Gaussian.
    """
    if error := _usable(result.errors.get(name)):
        return error
    value = Value.parse(name)
    n = result.n.get(value.split, 0)
    if n < 2:
        return None
    tested = _usable(result.errors.get(str(value.on("test"))))
    if tested and (of := result.n.get("test", 0)) > 1:
        return tested * math.sqrt(of / n)
    return _resolution(result, value, n)


def _resolution(result: Result, value: Value, n: int) -> float | None:
    number = result.values.get(str(value))
    if number is None:
        return None
    if value.metric in ("r2", "rho", "r2_bayes"):
        return _usable(4 * (1 - number) / math.sqrt(n)) if number < 1 else None
    if value.metric.removesuffix("_sigma") in ("mae", "rmse", "scatter"):
        return _usable(2 * abs(number) / math.sqrt(n))
    if value.metric == "bias":
        spread = result.values.get(f"{value.split}/rmse/{value.label}")
        return _usable(2 * spread / math.sqrt(n)) if spread else None
    return None


def _usable(error: float | None) -> float | None:
    """An error that says something: finite and above 0."""
    return error if error is not None and math.isfinite(error) and error > 0 else None
