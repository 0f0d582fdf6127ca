"""The Cramer-Rao bound of a star's labels, and where in the spectrum the information is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.spectra.grid import Grid
from vitlab.ml.spectra.labels import LABELS, RANGES, prior_variance
from vitlab.ml.spectra.lines import air
from vitlab.ml.spectra.observation import NoiseModel

Array = NDArray[np.float64]
CHUNK = 128
WORST_CONDITION = 1e12
"""Above this the labels are degenerate in float64, and the bound counts as infinite."""


@dataclass(frozen=True)
class Bounds:
    """Bounds of stars at several magnitudes."""

    variance: Array
    """(stars, magnitudes, 3) lowest variance of each of `LABELS`, in its unit squared; infinite
    where the labels are degenerate."""
    condition: Array  # (stars, magnitudes) condition number of F, labels in units of their ranges
    snr: Array  # (stars, magnitudes) median S/N per pixel


def information(derivatives: Tensor, sigma: Tensor) -> Tensor:
    """(B, K, L) derivatives, (B, L) 1-sigma errors -> (B, K, K) Fisher information."""
    weighted = derivatives / sigma[:, None]
    fisher: Tensor = weighted @ weighted.transpose(1, 2)
    return fisher


def marginal_variance(fisher: Tensor, k: int) -> Tensor:
    """(B, K, K) -> (B,) bound on the variance of label `k`, all others unknown.

    1 / (F_kk - F_kn F_nn^-1 F_nk), with n the other labels.
    """
    others = [i for i in range(fisher.shape[-1]) if i != k]
    own, cross = fisher[:, k, k], fisher[:, others, k]  # (B,), (B, K - 1)
    inner = fisher[:, others][:, :, others]
    lost = (cross * torch.linalg.solve(inner, cross)).sum(dim=1)
    bound: Tensor = 1 / (own - lost)
    return bound


def bounds(
    grid: Grid, noise: NoiseModel, labels: Array, mags: Array, nuisances: Sequence[Grid] = ()
) -> Iterator[Bounds]:
    """(n, 3) labels, (n, M) magnitudes -> the bounds, some stars at a time.

    `nuisances`: derivative grids of further labels (`vitlab.ml.spectra.grid.load_derivatives`).
    """
    exact, dark = grid.to("cpu", torch.float64), noise.to("cpu", torch.float64)
    more = [other.to("cpu", torch.float64) for other in nuisances]
    ranges = [RANGES[name][1] - RANGES[name][0] for name in LABELS]
    unit = torch.tensor(ranges).double()
    for start in range(0, len(labels), CHUNK):
        some = torch.from_numpy(labels[start : start + CHUNK])
        flux = exact.flux(some)  # (B, L)
        slopes = exact.derivatives(some) * unit[:, None]  # (B, 3, L), labels over their ranges
        slopes = torch.cat([slopes, *(other.flux(some)[:, None] for other in more)], dim=1)
        parts = []
        for mag in torch.from_numpy(mags[start : start + CHUNK]).T:
            sigma = dark.sigma(flux, mag)
            fisher = information(slopes, sigma)
            condition = torch.linalg.cond(fisher)
            known = condition < WORST_CONDITION
            # Replace singular matrices before solving, and their bounds afterwards.
            fisher = torch.where(known[:, None, None], fisher, torch.eye(fisher.shape[-1]).double())
            variance = torch.stack([marginal_variance(fisher, k) for k in range(3)], dim=1)
            variance = variance.where(known[:, None], torch.inf) * unit**2
            parts.append((variance, condition, (flux / sigma).median(dim=1).values))
        yield Bounds(*(torch.stack(part, dim=1).numpy() for part in zip(*parts, strict=True)))


def r2_median(variance: Array, prior: float) -> float:
    """Median over the stars of 1 - bound / prior variance, at least 0, as usually plotted."""
    return max(float(np.median(1 - variance / prior)), 0.0)


def r2_mean(variance: Array, prior: float) -> float:
    """1 - mean bound / prior variance: the score of unbiased estimates of a population.

    Stars with infinite bounds are excluded; the caller counts them.
    """
    known = np.isfinite(variance)
    return float(1 - np.mean(variance[known]) / prior) if known.any() else float("nan")


def crlb_numbers(variance: Array, label: str) -> dict[str, float]:
    """Metrics of one label from its (n,) bounds."""
    prior = prior_variance(label)
    return {
        "r2_crlb_median": r2_median(variance, prior),
        "r2_crlb_mean": r2_mean(variance, prior),
        "sigma_crlb": float(np.median(variance)) ** 0.5,
    }


@dataclass(frozen=True)
class Efficient:
    """The efficient estimator of one label of one star, the other labels being unknown too."""

    response: Array
    """(L,) change of its estimate per sigma of each pixel, in the label's unit. The squares sum to
    the Cramer-Rao bound."""
    information: Array
    """(L,) information per pixel, one over the label's unit squared; sums to 1 / bound^2."""
    bound: float
    """Smallest standard deviation of an unbiased estimate (`vitlab.ml.theory.fisher`)."""


def efficient(derivatives: Array, sigma: Array, label: str) -> Efficient | None:
    """(3, L) exact d flux / d label, (L,) 1-sigma errors -> the efficient estimator of `label`.

    With J the derivatives over sigma and F = J J^T, the estimate moves by F^-1 J per sigma of noise
    (Gauss-Markov). A pixel without data (infinite sigma or NaN derivative) gives 0. None when the
    labels are degenerate or there is no noise.
    """
    unit = np.array([RANGES[name][1] - RANGES[name][0] for name in LABELS])
    known = np.isfinite(sigma) & (sigma > 0) & np.isfinite(derivatives).all(axis=0)
    weighted = np.zeros_like(derivatives)
    weighted[:, known] = derivatives[:, known] * unit[:, None] / sigma[known]
    fisher = weighted @ weighted.T
    if not np.linalg.cond(fisher) < WORST_CONDITION:
        return None
    k = LABELS.index(label)
    response = np.linalg.solve(fisher, weighted)[k] * unit[k]
    variance = float(response @ response)
    return Efficient(response, response**2 / variance**2, variance**0.5)


def derivatives_at(grid: Grid, labels: Array, wave: Array, *, in_vacuum: bool) -> Array:
    """(3,) labels -> (3, L) derivatives of the spline at the pixels `wave`; NaN outside its range.

    Raises `vitlab.ml.spectra.grid.OutOfGrid`.
    """
    exact = grid.to("cpu", torch.float64)
    slopes = exact.derivatives(torch.from_numpy(labels[None]))[0].numpy()
    wave = air(wave) if in_vacuum else wave
    if len(wave) == len(grid.wave) and np.array_equal(wave, grid.wave):
        return np.asarray(slopes)
    beyond = {"left": np.nan, "right": np.nan}
    return np.stack([np.interp(wave, grid.wave, slope, **beyond) for slope in slopes])


def agreement(response: Array, best: Array) -> float:
    """Cosine between a model's (L,) response and the efficient one, -1 to 1.

    For a locally unbiased model its square is the efficiency, bound / variance.
    """
    known = np.isfinite(response) & np.isfinite(best)
    a, b = response[known], best[known]
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else float("nan")
