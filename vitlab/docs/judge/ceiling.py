"""The Bayes ceiling of a score, and the part of it that a result reaches."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vitlab.contract.job import Result

LEAK = 3.0
"""A result more errors than this above the ceiling is a leak, not chance."""


@dataclass(frozen=True)
class Share:
    """A score as a part of its ceiling."""

    value: float
    error: float | None
    """Standard error of score and ceiling together; None where the score has none."""

    def __str__(self) -> str:
        return f"{self.value:.3f}" + (f" ± {self.error:.3f}" if self.error else "")


@dataclass(frozen=True)
class Ceiling:
    """The Bayes ceiling of one label: the R2 of the posterior mean under the simulator."""

    r2: float
    error: float
    """Monte Carlo standard error."""
    trial: str = ""
    """The profile of a trial that computed it from few stars: not for full results."""
    linear: tuple[float, float] | None = None
    """R2 and its error of the best linear model; None where it is not known."""

    def __str__(self) -> str:
        return f"{self.r2:.3f}" + (f" ± {self.error:.3f}" if self.error else "")

    def share(self, result: Result, name: str) -> Share | None:
        """The part of the ceiling a result has reached; None without a number."""
        return self.part(result.values.get(name), result.errors.get(name))

    def part(self, value: float | None, error: float | None) -> Share | None:
        """The part of the ceiling a score with its error is; None without a number.

        The errors of both, to first order and as independent ones.
        """
        if value is None or self.r2 <= 0:
            return None
        share = value / self.r2
        return Share(share, error and math.hypot(error, share * self.error) / self.r2)

    def leaks(self, result: Result, name: str) -> bool:
        """Whether a result lies above the ceiling by more than both errors allow."""
        value = result.values.get(name)
        error = math.hypot(self.error, result.errors.get(name, 0.0))
        return value is not None and value > self.r2 + LEAK * error
