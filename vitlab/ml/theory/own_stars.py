"""Posteriors of stars whose errors are known pixel by pixel, with nuisances marginalised.

d = t (1 + sum_k c_k P_k) + noise of the given sigma, with t the noise-free flux of the labels and
nuisances (`vitlab.ml.theory.forward`), P_k the Legendre polynomials over the band and
c_k ~ N(0, s^2). Given t this is Gaussian, with the covariance C = diag(sigma^2) + A A^T and
A_k = s t P_k, so the continuum is integrated in closed form (Woodbury's identity and the
determinant lemma): with W = 1 / sigma^2, r = d - t, M = 1 + A^T W A and u = A^T W r,
-2 ln L = r^T W r - u^T M^-1 u + ln det M. Labels and the other nuisances are integrated as in
`vitlab.ml.theory.posterior`: a coarse pass over cells by matrix products, then adaptive importance
sampling for each star.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.polynomial import legendre
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.theory.forward import Forward, Nuisances
from vitlab.ml.theory.label_density import Density
from vitlab.ml.theory.posterior import (
    POINTS,
    Cells,
    Proposal,
    Student,
    mixture_log_density,
    normalised,
)

Array = NDArray[np.float64]
CELLS = (32, 16, 24)
"""Cells of the coarse pass in T_eff, log_g, M_H."""
CELLS_WITH = (16, 8, 12)
"""The same where a nuisance is integrated numerically too."""
ENOUGH = 400.0
"""Effective sample size at which refinement stops; a variance is then good to about 7%."""
ROUNDS = 16
BATCH = 64
"""Stars of a coarse pass: they share its spectra."""
STEP = 1e-3
"""Of numerical derivatives, in the unit cube."""


@dataclass(frozen=True)
class Observed:
    """Spectra and what is known of them."""

    labels: Array  # (n, 3) true labels
    flux: Tensor  # (n, L) float32, noisy, over its median
    weight: Tensor  # (n, L) float32, one over sigma squared; 0 without data


@dataclass(frozen=True)
class Marginal:
    """The posterior of a star's labels alone."""

    mean: Array  # (3,)
    variance: Array  # (3,)
    absolute: Array
    """(3,) mean distance from the posterior median: the least mean absolute error."""
    pit: Array  # (3,) posterior probability of a label below the true one
    effective: float
    """Effective sample size; below `ENOUGH` the integration did not converge."""


@dataclass(frozen=True)
class Problem:
    """What spectra are made from."""

    forward: Forward
    density: Density

    @property
    def nuisances(self) -> Nuisances:
        return self.forward.nuisances

    @cached_property
    def polynomials(self) -> Tensor:
        """(order + 1, L) Legendre polynomials over the band times their standard deviation."""
        pixels = len(self.forward.covered)
        x = np.linspace(-1, 1, pixels)
        table = legendre.legvander(x, max(self.nuisances.continuum, 0)).T
        table = table[: self.nuisances.continuum + 1] * self.nuisances.continuum_sigma
        return torch.from_numpy(table.reshape(-1, pixels)).float()

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Cells of the coarse pass in each dimension."""
        own = CELLS_WITH if self.nuisances.ranges else CELLS
        return (*own, *self.nuisances.cells)

    @cached_property
    def centres(self) -> Array:
        """(cells, dimensions) of the unit cube."""
        axes = [(np.arange(n) + 0.5) / n for n in self.shape]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
        return np.asarray(grid.reshape(-1, len(axes)))

    def points(self, unit: Array) -> Array:
        """(n, dimensions) of the unit cube -> labels and nuisances."""
        low, high = np.array([(0.0, 0.0), *self.nuisances.ranges]).T
        rest = low[1:] + (high - low)[1:] * unit[:, len(LABELS) :]
        return np.column_stack([self.density.labels(unit[:, : len(LABELS)]), rest])

    def spectra(self, unit: Array) -> Tensor:
        """(n, dimensions) of the unit cube -> (n, L) noise-free flux."""
        return self.forward.spectra(self.points(unit))


def simulated(
    problem: Problem, labels: Array, weight: Tensor, noise: Tensor, generator: np.random.Generator
) -> Observed:
    """Stars with the given (n, 3) labels and (n, L) weights; `noise` (n, L) is unit normal.

    The nuisances of each star are drawn from their distributions.
    """
    low, high = np.array([(0.0, 0.0), *problem.nuisances.ranges])[1:].reshape(-1, 2).T
    drawn = low + (high - low) * generator.random((len(labels), len(low)))
    flux = problem.forward.spectra(np.column_stack([labels, drawn]))
    table = problem.polynomials
    if len(table):
        factors = torch.from_numpy(generator.standard_normal((len(labels), len(table)))).float()
        flux = flux * (1 + factors @ table)
    sigma = torch.where(weight > 0, weight.clamp(min=1e-30).rsqrt(), torch.zeros(1))
    return Observed(labels, flux + sigma * noise, weight)


def marginals(
    problem: Problem,
    observed: Observed,
    seed: int,
    report: Callable[[int], object] = lambda _done: None,
) -> list[Marginal]:
    """The posterior of each star in order; `report` gets the number done and may raise to stop."""
    found: list[Marginal] = []
    with torch.inference_mode():
        for start in range(0, len(observed.labels), BATCH):
            rows = slice(start, start + BATCH)
            coarse = _coarse(problem, observed.flux[rows], observed.weight[rows])
            for k, likely in enumerate(coarse, start):
                one = _Star(problem, observed.labels[k], observed.flux[k], observed.weight[k])
                found.append(one.posterior(likely, np.random.default_rng([seed, k])))
                report(len(found))
    return found


def marginal_term(u: Tensor, m: Tensor) -> Tensor:
    """(..., K) u and (..., K, K) A^T W A -> u^T M^-1 u - ln det M, with M = 1 + A^T W A."""
    k = u.shape[-1]
    factor = torch.linalg.cholesky(m + torch.eye(k, dtype=m.dtype))
    half = torch.linalg.solve_triangular(factor, u[..., None], upper=False)[..., 0]
    logs = factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
    term: Tensor = half.square().sum(dim=-1) - 2 * logs
    return term


def _coarse(problem: Problem, flux: Tensor, weight: Tensor) -> Array:
    """(n, L) flux and weights -> (n, cells) ln of likelihood and density at the cells' centres.

    Sums over pixels are matrix products of t, its square, and the same less a mean spectrum:
    with that, chi-square loses fewer digits.
    """
    p = problem.polynomials
    k = len(p)
    pairs = (p[:, None] * p[None]).reshape(k * k, p.shape[1])
    parts = []
    centres = problem.centres
    mean = problem.spectra(centres[:: max(len(centres) // 64, 1)]).mean(dim=0)
    excess = flux - mean
    constant = (excess.square() * weight).sum(dim=1)
    n = len(flux)
    linear = (flux[:, None] * weight[:, None] * p).reshape(n * k, p.shape[1])
    square = (weight[:, None] * p).reshape(n * k, p.shape[1])
    quadratic = (weight[:, None] * pairs).reshape(n * k * k, p.shape[1])
    for start in range(0, len(centres), POINTS):
        t = problem.spectra(centres[start : start + POINTS])
        x = t - mean
        chi = constant[:, None] - 2 * (excess * weight) @ x.T + weight @ x.square().T
        if k:
            t2 = t.square().T
            u = (linear @ t.T - square @ t2).reshape(n, k, -1)
            m = (quadratic @ t2).reshape(n, k, k, -1)
            chi -= marginal_term(u.transpose(1, 2), m.permute(0, 3, 1, 2))
        parts.append(chi)
    like = torch.cat(parts, dim=1).double().mul_(-0.5).numpy()
    return np.asarray(like + problem.density.log_density(centres[:, : len(LABELS)], None))


@dataclass(frozen=True)
class _Star:
    """One star; its points have a column more than the unit cube, as `Cells` has them."""

    problem: Problem
    labels: Array
    flux: Tensor
    weight: Tensor

    @cached_property
    def _table(self) -> Tensor:
        """(K, L) polynomials times the weights."""
        return self.problem.polynomials * self.weight

    @cached_property
    def _pairs(self) -> Tensor:
        """(K K, L) products of two polynomials times the weights."""
        p = self.problem.polynomials
        return (self._table[:, None] * p[None]).reshape(len(p) ** 2, p.shape[1])

    def posterior(self, likely: Array, generator: np.random.Generator) -> Marginal:
        problem = self.problem
        top, covariance = self._maximum(problem.centres[int(likely.argmax())])
        proposals: list[Proposal] = [
            Cells.around(likely, problem.shape, 0.0, 0.0),
            Student(np.append(top, 0.0), covariance, True),
        ]
        points = np.concatenate([p.draw(POINTS // 2, generator) for p in proposals])
        values = self._log_posterior(points)
        for _ in range(ROUNDS):
            weights = normalised(values - mixture_log_density(proposals, points))
            if 1 / np.square(weights).sum() >= ENOUGH:
                break
            proposals.append(Student.fitted(points, weights, covariance, True))
            fresh = proposals[-1].draw(POINTS, generator)
            points = np.concatenate([points, fresh])
            values = np.concatenate([values, self._log_posterior(fresh)])
        return self._summary(points, values - mixture_log_density(proposals, points))

    def _summary(self, points: Array, log_weights: Array) -> Marginal:
        weights = normalised(log_weights)
        inside = weights > 0
        weights = weights[inside]
        labels = self.problem.density.labels(points[inside, : len(LABELS)])
        mean = weights @ labels
        share = np.square(weights).sum()
        # Bessel's correction for weighted samples: 1 - share stands for (n - 1) / n.
        variance = weights @ np.square(labels - mean) / max(1 - share, 1e-12)
        order = np.argsort(labels, axis=0)
        middle = np.array(
            [
                column[rows][np.searchsorted(np.cumsum(weights[rows]), 0.5).clip(max=len(rows) - 1)]
                for column, rows in zip(labels.T, order.T, strict=True)
            ]
        )
        absolute = weights @ np.abs(labels - middle)
        pit = weights @ (labels < self.labels)
        return Marginal(mean, variance, absolute, pit, float(1 / share))

    def _log_posterior(self, points: Array) -> Array:
        """(n, dimensions + 1) -> (n,) ln of likelihood and density, -inf outside the cube."""
        out = np.full(len(points), -np.inf)
        unit = points[:, :-1]
        inside = np.flatnonzero(((unit > 0) & (unit < 1)).all(axis=1))
        if len(inside):
            like = self._log_likelihood(self.problem.spectra(unit[inside]))
            labels = unit[inside, : len(LABELS)]
            out[inside] = like + self.problem.density.log_density(labels, self.labels)
        return out

    def _log_likelihood(self, t: Tensor) -> Array:
        """(n, L) noise-free flux -> (n,) ln L, the continuum integrated, up to a constant."""
        r = self.flux - t
        chi = (r.square() * self.weight).sum(dim=1, dtype=torch.float64)
        if k := len(self._table):
            u = ((r * t) @ self._table.T).double()
            m = (t.square() @ self._pairs.T).double().reshape(-1, k, k)
            chi -= marginal_term(u, m)
        return np.asarray(chi.mul_(-0.5).numpy())

    def _maximum(self, unit: Array) -> tuple[Array, Array]:
        """Gauss-Newton from `unit`: the most likely point found and its covariance (in all
        columns of a point)."""
        n = len(unit)
        best, best_value, best_covariance = unit, -np.inf, np.eye(n)
        cell = 2 / np.array(self.problem.shape)
        for _ in range(6):
            spectra = self.problem.spectra(self._around(unit))
            value = float(self._log_likelihood(spectra[:1])[0])
            slopes = (spectra[1 : n + 1] - spectra[n + 1 :]).double().numpy() / (2 * STEP)
            t, w = spectra[0].double().numpy(), self.weight.double().numpy()
            a = self.problem.polynomials.double().numpy() * t  # (K, L)
            lost = np.linalg.inv(np.eye(len(a)) + (a * w) @ a.T)
            cross = (slopes * w) @ a.T  # (n, K)
            # The variance of the uniform distribution, 1/12, bounds what the data do not.
            information = (slopes * w) @ slopes.T - cross @ lost @ cross.T + 12 * np.eye(n)
            if value > best_value:
                best, best_value = unit, value
                best_covariance = np.linalg.inv(information)
            r = (self.flux.double().numpy() - t) * w
            step = np.linalg.solve(information, slopes @ r - cross @ lost @ (a @ r))
            unit = np.clip(unit + np.clip(step, -cell, cell), 2 * STEP, 1 - 2 * STEP)
        covariance = np.zeros((n + 1, n + 1))
        covariance[:n, :n] = best_covariance
        return best, covariance

    @staticmethod
    def _around(unit: Array) -> Array:
        """The point, and those a step above and below it in each dimension."""
        away = STEP * np.eye(len(unit))
        return np.concatenate([unit[None], unit + away, unit - away])
