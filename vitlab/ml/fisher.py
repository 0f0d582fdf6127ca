"""The Cramer-Rao bound: how well an unbiased estimator can measure a label of one star.

F = J diag(1 / sigma^2) J^T with the exact derivatives of the spline; the other labels are
nuisances, taken out by the Schur complement: in 3 dimensions T_eff and M_H, in 5 also a_M and
C_M, whose derivatives are differences of the grid's offset spectra. The noise's own dependence on
the labels is left out. A regressor trained on squared error is biased towards the mean and may do
better (`vitlab.ml.bayes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.grid import Grid
from vitlab.ml.labels import LABELS, RANGES
from vitlab.ml.noise import NoiseModel

Array = NDArray[np.float64]
CHUNK = 128
WORST_CONDITION = 1e12
"""Above this float64 cannot tell the labels apart: the bound is infinite, and counted."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of some stars at some magnitudes."""

    variance: Array
    """(stars, magnitudes, 3) lowest variance of each of `LABELS`, in its unit squared; infinite
    where the spectrum cannot tell the labels apart."""
    condition: Array
    """(stars, magnitudes) condition number of F, labels in units of their ranges."""
    snr: Array
    """(stars, magnitudes) median S/N of a pixel."""


def information(derivatives: Tensor, sigma: Tensor) -> Tensor:
    """(B, K, L) derivatives, (B, L) 1-sigma errors -> (B, K, K) Fisher information."""
    weighted = derivatives / sigma[:, None]
    fisher: Tensor = weighted @ weighted.transpose(1, 2)
    return fisher


def marginal_variance(fisher: Tensor, k: int) -> Tensor:
    """(B, K, K) -> (B,) bound on the variance of label `k`, all others unknown.

    1 / (F_kk - F_kn F_nn^-1 F_nk), n the nuisances.
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

    `nuisances` are grids of derivatives by further labels (`vitlab.ml.grid.load_derivatives`).
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
            # A singular matrix is replaced before it is solved and its bound afterwards.
            fisher = torch.where(known[:, None, None], fisher, torch.eye(fisher.shape[-1]).double())
            variance = torch.stack([marginal_variance(fisher, k) for k in range(3)], dim=1)
            variance = variance.where(known[:, None], torch.inf) * unit**2
            parts.append((variance, condition, (flux / sigma).median(dim=1).values))
        yield Bounds(*(torch.stack(part, dim=1).numpy() for part in zip(*parts, strict=True)))


def r2_median(variance: Array, prior: float) -> float:
    """Median over the stars of 1 - bound / prior variance, at least 0: the usual curve."""
    return max(float(np.median(1 - variance / prior)), 0.0)


def r2_mean(variance: Array, prior: float) -> float:
    """1 - mean bound / prior variance: what a population of unbiased measurements scores.

    Stars that cannot be measured (infinite bounds) are left out; the caller counts them.
    """
    known = np.isfinite(variance)
    return float(1 - np.mean(variance[known]) / prior) if known.any() else float("nan")
