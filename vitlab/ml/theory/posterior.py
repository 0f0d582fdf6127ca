"""Posteriors of the labels of simulated stars, by adaptive integration of the exact likelihood.

For a spectrum d of a star with labels theta and magnitude m, noise-free flux t and variance v
(`vitlab.ml.spectra.observation`), ln L = -1/2 sum [(d - t)^2 / v + ln v]; v depends on the star
too. Labels are mapped to the unit cube, where their prior is uniform. First a coarse pass: ln L of
every star in every cell, by matrix products. Then importance sampling for each star, from its
likely cells and a Student t at the maximum, then from Student t's fitted to the samples until the
effective sample size is `ENOUGH`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from scipy.special import gammaln, logsumexp
from torch import Tensor

from vitlab.ml.spectra.grid import Grid
from vitlab.ml.spectra.observation import NoiseModel
from vitlab.ml.spectra.simulate import Stars

Array = NDArray[np.float64]

FREEDOM = 5.0
"""Degrees of freedom of Student's t; its heavy tails keep the weights bounded."""
TEMPER = 0.5
"""Power of the coarse likelihoods, so that less likely cells are sampled too."""


@dataclass
class Cells:
    """A proposal uniform in each cell of the cube, and normal in the magnitude.

    Like `Student` it draws (n, 4) points, the magnitude last, and gives their log density.
    """

    probabilities: Array  # (cells,)
    shape: tuple[int, ...]
    mag: float
    mag_sigma: float
    """0: the magnitude is known."""
    drawn: int = 0
    """Points drawn so far."""

    @classmethod
    def around(
        cls, log_likelihood: Array, shape: tuple[int, ...], mag: float, mag_sigma: float
    ) -> Cells:
        """Each cell gets the maximum over its neighbours: a peak may lie between centres."""
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
    """A proposal of Student's t in all columns, except the magnitude when it is known."""

    mean: Array  # (4,)
    covariance: Array  # (4, 4) scale
    mag_known: bool
    drawn: int = 0

    @classmethod
    def fitted(cls, points: Array, weights: Array, least: Array, mag_known: bool) -> Student:
        """Fitted to weighted samples; regularised with `least` when the effective size is small."""
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


Proposal = Cells | Student


def mixture_log_density(proposals: Sequence[Proposal], points: Array) -> Array:
    """(n,) log density of all proposals, weighted by their draws (the balance heuristic)."""
    drawn = np.array([p.drawn for p in proposals])
    logs = np.stack([p.log_density(points) for p in proposals])
    density: Array = logsumexp(logs + np.log(drawn / drawn.sum())[:, None], axis=0)
    return density


CELLS = (32, 16, 24)
"""Cells of the coarse pass in T_eff, log_g, M_H."""
MAG_STEP = 0.25
"""Stars closer in magnitude share a coarse pass, which only proposes: accuracy is not affected."""
POINTS = 256
"""Likelihoods evaluated at once: a 4 MB array of spectra stays in the cache."""
ENOUGH = 150.0
"""Effective sample size at which refinement stops."""
ROUNDS = 8
MAGNITUDE = 3
"""The column of the magnitude, after the three labels."""


class Prior(Protocol):
    """A distribution of independent labels, as a map from the unit cube."""

    def labels(self, unit: Array) -> Array: ...
    def slopes(self, unit: Array) -> Array: ...


@dataclass(frozen=True)
class Model:
    """The generative model of spectra."""

    grid: Grid
    noise: NoiseModel
    prior: Prior
    mag_known: bool = False
    """False: a flat prior; the noise level constrains the magnitude to about 0.02."""


@dataclass(frozen=True)
class Posterior:
    """The posterior of a star's labels given its spectrum."""

    mean: Array  # (3,) the best estimate under squared error
    variance: Array  # (3,)
    pit: Array
    """(3,) posterior probability of a label below the true one: uniform if calibrated."""
    effective: float
    """Effective sample size; below `ENOUGH` the integration did not converge."""


def posteriors(model: Model, stars: Stars, flux: Tensor, seed: int) -> Iterator[Posterior]:
    """(n, L) observed flux of `stars` -> the posterior of each, in order."""
    bins = np.round(stars.mag / MAG_STEP)
    order = np.argsort(bins, kind="stable")
    done: dict[int, Posterior] = {}
    following = 0
    for mag in np.unique(bins):
        rows = order[bins[order] == mag]
        likely = _coarse(model, flux[torch.from_numpy(rows)], mag * MAG_STEP)
        for row, cells in zip(rows, likely, strict=True):
            star = _Star(model, stars.labels[row], float(stars.mag[row]), flux[int(row)])
            done[int(row)] = star.posterior(cells, np.random.default_rng([seed, int(row)]))
            while following in done:
                yield done.pop(following)
                following += 1


def log_likelihood(flux: Tensor, model: Tensor, variance: Tensor) -> Tensor:
    """(L,) or (n, L) data, (n, L) noise-free flux and variance -> (n,), up to a constant."""
    terms = (flux - model).square_().div_(variance).add_(variance.log())
    total: Tensor = terms.sum(dim=1, dtype=torch.float64).mul_(-0.5)
    return total


def _coarse(model: Model, flux: Tensor, mag: float) -> Array:
    """(n, L) flux -> (n, cells) ln L at the cells' centres, up to a constant for each star.

    With e = d - t0 and x = t - t0, where t0 is a mean spectrum:
    sum (e - x)^2 / v = e^2 @ (1 / v) - 2 e @ (x / v) + sum x^2 / v.
    """
    labels = torch.from_numpy(model.prior.labels(_centres()))
    mean = model.grid.flux(labels).mean(dim=0)
    excess = flux - mean
    squared = excess.square()
    parts = []
    for some in torch.split(labels, POINTS):
        spectra = model.grid.flux(some)  # (points, L)
        variance = model.noise.variance(spectra, torch.full((len(some),), mag))
        own = variance.log()
        weight = variance.reciprocal_()
        spectra -= mean
        own.addcmul_(spectra.square(), weight)
        slope = spectra.mul_(weight)
        parts.append(squared @ weight.T - 2 * excess @ slope.T + own.sum(dim=1))
    return torch.cat(parts, dim=1).double().mul_(-0.5).numpy()


def _centres() -> Array:
    """(cells, 3) centres of the cells in the unit cube."""
    axes = [(np.arange(n) + 0.5) / n for n in CELLS]
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(CELLS))


@dataclass(frozen=True)
class _Star:
    """One observed star; points have four columns, unit cube and magnitude."""

    model: Model
    labels: Array
    mag: float
    flux: Tensor

    def posterior(self, cells: Array, generator: np.random.Generator) -> Posterior:
        start = _centres()[int(cells.argmax())]
        top, covariance = self._maximum(start)
        sigma = 0.0 if self.model.mag_known else float(np.sqrt(covariance[MAGNITUDE, MAGNITUDE]))
        proposals: list[Proposal] = [
            Cells.around(cells, CELLS, self.mag, 1.5 * sigma),
            Student(top, covariance, sigma == 0),
        ]
        points = np.concatenate([p.draw(POINTS // 2, generator) for p in proposals])
        values = self._log_posterior(points)
        for _ in range(ROUNDS):
            weights = normalised(values - mixture_log_density(proposals, points))
            if 1 / np.square(weights).sum() >= ENOUGH:
                break
            proposals.append(Student.fitted(points, weights, covariance, sigma == 0))
            fresh = proposals[-1].draw(POINTS // 2, generator)
            points = np.concatenate([points, fresh])
            values = np.concatenate([values, self._log_posterior(fresh)])
        return self._summary(points, values - mixture_log_density(proposals, points))

    def _summary(self, points: Array, log_weights: Array) -> Posterior:
        weights = normalised(log_weights)
        inside = weights > 0
        weights = weights[inside]
        labels = self.model.prior.labels(points[inside, :MAGNITUDE])
        mean = weights @ labels
        share = np.square(weights).sum()
        # Bessel's correction for weighted samples: 1 - share stands for (n - 1) / n.
        variance = weights @ np.square(labels - mean) / max(1 - share, 1e-12)
        return Posterior(mean, variance, weights @ (labels < self.labels), float(1 / share))

    def _log_posterior(self, points: Array) -> Array:
        """(n, 4) -> (n,) ln L, -inf outside the cube."""
        out = np.full(len(points), -np.inf)
        unit = points[:, :MAGNITUDE]
        inside = np.flatnonzero(((unit > 0) & (unit < 1)).all(axis=1))
        if len(inside):
            spectra = self.model.grid.flux(torch.from_numpy(self.model.prior.labels(unit[inside])))
            mags = torch.from_numpy(points[inside, MAGNITUDE])
            variance = self.model.noise.variance(spectra, mags)
            out[inside] = log_likelihood(self.flux, spectra, variance).numpy()
        return out

    def _maximum(self, unit: Array) -> tuple[Array, Array]:
        """Gauss-Newton from `unit`: (4,) the most likely point found, (4, 4) its covariance."""
        best, best_value, best_covariance = unit, -np.inf, np.eye(4)
        for _ in range(6):
            labels = torch.from_numpy(self.model.prior.labels(unit[None]))
            spectrum = self.model.grid.flux(labels)
            mags = torch.tensor([self.mag])
            variance = self.model.noise.variance(spectrum, mags)
            value = float(log_likelihood(self.flux, spectrum, variance))
            slopes = self.model.grid.derivatives(labels)[0].double().numpy()  # (3, L)
            slopes *= self.model.prior.slopes(unit[None]).T
            weight = 1 / variance[0].double().numpy()
            # The variance of the uniform prior, 1/12, bounds what the data do not constrain.
            information = (slopes * weight) @ slopes.T + 12 * np.eye(MAGNITUDE)
            if value > best_value:
                best, best_value = unit, value
                best_covariance = np.zeros((4, 4))
                best_covariance[:3, :3] = np.linalg.inv(information)
                best_covariance[3, 3] = self._mag_variance(spectrum)
            residual = (self.flux - spectrum[0]).double().numpy() * weight
            step = np.linalg.solve(information, slopes @ residual)
            cell = 2 / np.array(CELLS)
            unit = np.clip(unit + np.clip(step, -cell, cell), 1e-3, 1 - 1e-3)
        return np.append(best, self.mag), best_covariance

    def _mag_variance(self, spectrum: Tensor) -> float:
        """1 / (1/2 sum (d ln v / d m)^2), by finite difference."""
        width = 0.01
        mags = torch.tensor([self.mag - width, self.mag + width], dtype=torch.float64)
        low, high = self.model.noise.variance(spectrum.double().expand(2, -1), mags).log()
        return 2 / float(((high - low) / (2 * width)).square().sum())


def normalised(log_weights: Array) -> Array:
    """Normalised weights from their logarithms."""
    weights: Array = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    return weights
