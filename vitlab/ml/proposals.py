"""Distributions that points of the labels' unit cube (and a magnitude) are proposed from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.special import gammaln, logsumexp

Array = NDArray[np.float64]

FREEDOM = 5.0
"""Of Student's t: tails heavier than a posterior's keep the weights bounded."""
TEMPER = 0.5
"""Power of the coarse likelihoods: cells a little less likely are tried too."""


class Proposal(Protocol):
    """(n, 4) points and their log density; the magnitude is the last column."""

    @property
    def drawn(self) -> int:
        """Points drawn so far."""
        ...

    def draw(self, n: int, generator: np.random.Generator) -> Array: ...
    def log_density(self, points: Array) -> Array: ...


@dataclass
class Cells:
    """Uniform in each cell of the cube; the magnitude normal around one value."""

    probabilities: Array
    """(cells,)"""
    shape: tuple[int, ...]
    mag: float
    mag_sigma: float
    """0: the magnitude is known."""
    drawn: int = 0

    @classmethod
    def around(
        cls, log_likelihood: Array, shape: tuple[int, ...], mag: float, mag_sigma: float
    ) -> Cells:
        """Cells as likely as the likeliest of their neighbours: a peak may lie between centres."""
        cube = maximum_filter(log_likelihood.reshape(shape), size=3, mode="nearest").ravel()
        weights = np.exp(TEMPER * (cube - cube.max()))
        return cls(weights / weights.sum(), shape, mag, mag_sigma)

    def draw(self, n: int, generator: np.random.Generator) -> Array:
        self.drawn += n
        cells = generator.choice(len(self.probabilities), size=n, p=self.probabilities)
        corner = np.stack(np.unravel_index(cells, self.shape), axis=1)
        unit = (corner + generator.random(corner.shape)) / self.shape
        mag = self.mag + self.mag_sigma * generator.standard_normal(n)
        return np.column_stack([unit, mag])

    def log_density(self, points: Array) -> Array:
        unit = points[:, :-1]
        inside = np.asarray(((unit >= 0) & (unit < 1)).all(axis=1))
        corner = np.where(inside[:, None], unit * self.shape, 0).astype(int)
        cells = np.ravel_multi_index(tuple(corner.T), self.shape)
        with np.errstate(divide="ignore"):
            density: Array = np.log(self.probabilities[cells] * len(self.probabilities))
        density[~inside] = -np.inf
        if self.mag_sigma:
            z = (points[:, -1] - self.mag) / self.mag_sigma
            density -= z**2 / 2 + np.log(self.mag_sigma * np.sqrt(2 * np.pi))
        return density


@dataclass
class Student:
    """Student's t in all columns; in all but the magnitude when that is known."""

    mean: Array
    """(4,)"""
    covariance: Array
    """(4, 4) scale."""
    mag_known: bool
    drawn: int = 0

    @classmethod
    def fitted(cls, points: Array, weights: Array, least: Array, mag_known: bool) -> Student:
        """To weighted samples; where they are worth too few, with a share of `least`."""
        worth = 1 / np.square(weights).sum()
        mean = weights @ points
        away = points - mean
        share = 1 / max(worth, 1.0)
        covariance = (away * weights[:, None]).T @ away * (1 + share) + share * least
        if mag_known:
            covariance[-1, :] = covariance[:, -1] = 0
        return cls(mean, covariance, mag_known)

    def draw(self, n: int, generator: np.random.Generator) -> Array:
        self.drawn += n
        k = self._columns
        factor = np.linalg.cholesky(self._scale)
        away = generator.standard_normal((n, k)) @ factor.T
        away /= np.sqrt(generator.chisquare(FREEDOM, n) / FREEDOM)[:, None]
        points = np.tile(self.mean, (n, 1))
        points[:, :k] += away
        return points

    def log_density(self, points: Array) -> Array:
        k = self._columns
        factor = np.linalg.cholesky(self._scale)
        z = np.linalg.solve(factor, (points[:, :k] - self.mean[:k]).T)
        constant = (
            gammaln((FREEDOM + k) / 2)
            - gammaln(FREEDOM / 2)
            - k / 2 * np.log(FREEDOM * np.pi)
            - np.log(np.diag(factor)).sum()
        )
        density: Array = constant - (FREEDOM + k) / 2 * np.log1p((z**2).sum(axis=0) / FREEDOM)
        return density

    @property
    def _columns(self) -> int:
        return len(self.mean) - self.mag_known

    @property
    def _scale(self) -> Array:
        k = self._columns
        return self.covariance[:k, :k] + 1e-14 * np.eye(k)


def mixture_log_density(proposals: Sequence[Proposal], points: Array) -> Array:
    """(n,) of all proposals together, each counting by its draws (the balance heuristic)."""
    drawn = np.array([p.drawn for p in proposals])
    logs = np.stack([p.log_density(points) for p in proposals])
    density: Array = logsumexp(logs + np.log(drawn / drawn.sum())[:, None], axis=0)
    return density
