"""Which wavelengths tell a label, and what hiding some of them costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.theory.own_stars import Observed, Problem

Array = NDArray[np.float64]
STARS = 1000
"""Stars that are enough for medians and means of these numbers: R2 lost to 4 % of itself."""
STEP = 1e-3
"""Of derivatives, relative to the range of a label or nuisance."""


@dataclass(frozen=True)
class Window:
    """A range of wavelengths, and what it tells of one label."""

    low: float
    high: float
    """Angstrom, as in the file."""
    share: float
    """Of the information of all pixels; mean over the stars."""
    sigma_ratio: float
    """Cramer-Rao bound without the window over that with it; median over the stars. Infinite where
    the rest leaves the label degenerate for half of them or more."""
    r2_cost: float
    """By how much the R2 falls without it: posteriors and labels taken as Gaussian."""
    r2_cost_err: float


@dataclass(frozen=True)
class Information:
    """Fisher information of stars by window, and of their distribution."""

    parts: Array  # (stars, windows, D, D), labels first, in units of their ranges in the grid
    total: Array  # (stars, D, D) of all pixels
    prior: Array  # (D, D)
    bounded: Array
    """(D, D) the same of nuisances alone; with it a Cramer-Rao bound of the labels is found."""

    def variance(self, k: int, hidden: int | None = None) -> tuple[Array, Array]:
        """(stars,) Gaussian posterior variance and Cramer-Rao bound of label `k`, scaled."""
        total = self.total if hidden is None else self.total - self.parts[:, hidden]
        posterior = np.linalg.inv(total + self.prior)[:, k, k]
        bare = total + self.bounded
        known = np.linalg.cond(bare) < 1e12
        bare[~known] = np.eye(bare.shape[-1])
        bound = np.where(known, np.linalg.inv(bare)[:, k, k], np.inf)
        return np.asarray(posterior, float), np.asarray(bound, float)


def information(
    problem: Problem, observed: Observed, edges: Sequence[tuple[float, float]], wave: Array,
    spread: Array,
) -> Information:  # fmt: skip
    """Of `STARS` stars, spread evenly; windows are `edges` on the pixels `wave`; `spread`: (3, 3)
    covariance of the labels.

    Nuisances are at the middle of their ranges, and count as Gaussian with the same variance.
    """
    grid = problem.forward.grids[0]
    ranges = [(axis[0], axis[-1]) for axis in grid.axes] + list(problem.nuisances.ranges)
    low, high = np.array(ranges).T
    n, k = len(LABELS), len(problem.polynomials)
    count = len(observed.labels)
    some = np.linspace(0, count - 1, min(STARS, count)).astype(int)
    labels = observed.labels[some]
    middle = np.tile((low[n:] + high[n:]) / 2, (len(labels), 1))
    points = np.column_stack([labels, middle])
    weight = observed.weight[torch.from_numpy(some)].double().numpy()
    size = len(low) + k
    parts = np.empty((len(points), len(edges), size, size))
    total = np.empty((len(points), size, size))
    inside = [np.flatnonzero((wave >= a) & (wave < b)) for a, b in edges]
    with torch.inference_mode():
        for star, point in enumerate(points):
            j = _derivatives(problem, point, low, high)
            total[star] = (j * weight[star]) @ j.T
            for number, pixels in enumerate(inside):
                part = j[:, pixels]
                parts[star, number] = (part * weight[star, pixels]) @ part.T
    bounded = np.zeros((size, size))
    bounded[range(n, size), range(n, size)] = [12.0] * (len(low) - n) + [1.0] * k
    prior = bounded.copy()
    scale = (high - low)[:n]
    # What all stars share, or what follows from the other labels, is known almost exactly.
    prior[:n, :n] = np.linalg.inv(spread / np.outer(scale, scale) + 1e-9 * np.eye(n))
    return Information(parts, total, prior, bounded)


def _derivatives(problem: Problem, point: Array, low: Array, high: Array) -> Array:
    """(D, L) with labels and nuisances in units of their ranges, then the continuum."""
    away = STEP * np.diag(high - low)
    above, below = np.minimum(point + away, high), np.maximum(point - away, low)
    spectra = problem.forward.spectra(np.concatenate([point[None], above, below])).double().numpy()
    steps = np.diag(above - below) / (high - low)
    n = len(low)
    slopes = (spectra[1 : n + 1] - spectra[n + 1 :]) / steps[:, None]
    return np.concatenate([slopes, problem.polynomials.double().numpy() * spectra[0]])


def windows(
    found: Information, edges: Sequence[tuple[float, float]], label: str, variance: float,
    scale: float,
) -> list[Window]:  # fmt: skip
    """One for each of `edges`; `variance` of the label, `scale` its range in the grid."""
    k = LABELS.index(label)
    posterior, bound = found.variance(k)
    covariance = np.linalg.inv(found.total + found.prior)
    row = covariance[:, k]  # the efficient estimate's response to each derivative
    told = np.einsum("si,swij,sj->sw", row, found.parts, row)
    whole = np.einsum("si,sij,sj->s", row, found.total, row)
    shares = (told / whole[:, None]).mean(axis=0)
    out = []
    for number, (low, high) in enumerate(edges):
        less, bare = found.variance(k, number)
        cost = (less - posterior) * scale**2 / variance
        both = np.isfinite(bound)
        ratio = float(np.median(np.sqrt(bare[both] / bound[both]))) if both.any() else np.inf
        error = float(cost.std(ddof=1) / len(cost) ** 0.5) if len(cost) > 1 else np.inf
        out.append(Window(low, high, float(shares[number]), ratio, float(cost.mean()), error))
    return out
