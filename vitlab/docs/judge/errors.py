"""How far a number may be from the truth: seeds, stars, and the best of several.

Standard library only; the formulas are in docs/gates.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

from vitlab.contract.job import Result
from vitlab.contract.value import Value

_NORMAL = NormalDist()
_TWO_SIGMA = _NORMAL.cdf(2.0)
"""0.97725: what lies below +2 standard errors."""
_STEPS = 4000


@dataclass(frozen=True)
class SeedScatter:
    """Standard deviation of a value over seeds, as known of a family of models."""

    value: float
    freedom: float = math.inf
    """Degrees of freedom of its estimate; infinite where it is stated."""

    def error(self, seeds: int) -> float:
        """Standard error of a mean over `seeds`, widened for an estimate from few runs."""
        return few_runs(self.freedom) * self.value / math.sqrt(seeds)


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
