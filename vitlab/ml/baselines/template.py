"""Template fitting: labels of minimum chi-square against the spline, with errors.

The nearest of a set of templates is only the start; Gauss-Newton steps with the spline's
derivatives lead from there to the minimum.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.contract.paths import UsageError
from vitlab.ml.progress import Note, Progress, Step
from vitlab.ml.spectra.dataset import Spectra
from vitlab.ml.spectra.grid import Grid
from vitlab.ml.spectra.observation import Batch

Array = NDArray[np.float64]
MOST_BYTES = 6e8
"""Of the templates; making them takes three times as much."""
PIECE = 256
ROUNDS = 20
"""Maximum steps to the minimum; usually a handful suffice."""
SETTLED = 1e-4
"""A star is done when chi-square falls by less than this in a step: a hundredth of sigma."""
FLAT = 1e-9
"""Fraction of the largest curvature added to each direction, so that none is flat."""


@dataclass(frozen=True)
class Fitted:
    """Chi-square minima of some stars."""

    labels: Array  # (n, 3)
    sigma: Array
    """(n, 3) marginal 1-sigma errors (delta chi-square = 1) from the curvature, at most the range
    of the axis."""
    chi2: Array  # (n,)

    def of(self, columns: list[int]) -> tuple[Array, Array]:
        """(n, K) labels and errors in `columns`."""
        return self.labels[:, columns], self.sigma[:, columns]


def concatenate(parts: list[Fitted]) -> Fitted:
    """Join pieces."""
    return Fitted(
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.sigma for part in parts]),
        np.concatenate([part.chi2 for part in parts]),
    )


@dataclass(frozen=True)
class Templates:
    """Spectra on a refined grid, ready to be compared."""

    labels: Array  # (N, 3)
    residual: Tensor
    """(N, L) flux - 1, for precision in float32."""
    grid: Grid

    def nearest(self, batch: Batch) -> Array:
        """(B, 3) labels of the template with the smallest chi-square.

        sum ((f - t) / sigma)^2 = const - 2 (f / sigma^2) t + (1 / sigma^2) t^2: two products.
        """
        weight = batch.shown_error**-2  # (B, L); 0 where there is no data
        chi2 = weight @ self.residual.square().T - 2 * ((batch.flux - 1) * weight) @ self.residual.T
        best: Array = self.labels[chi2.argmin(dim=1).cpu().numpy()]
        return best

    def fitted(self, batch: Batch) -> Fitted:
        """The minimum on the spline, starting from the nearest template, and its errors."""
        labels = torch.from_numpy(self.nearest(batch)).to(self.residual.device)
        low, high = (torch.stack([axis[i] for axis in self.grid.breaks]) for i in (0, -1))
        unit = high - low
        weight = batch.shown_error**-2
        chi2, slope, curvature = self._expand(labels, batch, weight, unit)
        damping = torch.full_like(chi2, 1e-3)
        active = torch.full_like(chi2, True, dtype=torch.bool)
        for _ in range(ROUNDS):
            if not active.any():
                break
            # Levenberg-Marquardt: if a step does not improve, try a shorter one.
            pinned = ((labels <= low) & (slope < 0)) | ((labels >= high) & (slope > 0))
            step = _damped_steps(curvature, slope, damping, ~pinned)
            tried = (labels + step * unit).clamp(low, high)
            after, its_slope, its_curvature = self._expand(tried, batch, weight, unit)
            better = active & (after < chi2)
            active &= ~((chi2 - after).abs() < SETTLED) & (damping < 1e6)
            labels = torch.where(better[:, None], tried, labels)
            slope = torch.where(better[:, None], its_slope, slope)
            curvature = torch.where(better[:, None, None], its_curvature, curvature)
            chi2 = torch.where(better, after, chi2)
            damping = torch.where(better, damping / 10, damping * 10)
        covariance = torch.linalg.inv(_never_flat(curvature))
        sigma = covariance.diagonal(dim1=1, dim2=2).sqrt().clamp(max=1) * unit
        return Fitted(labels.cpu().numpy(), sigma.cpu().numpy(), chi2.cpu().numpy())

    def _expand(
        self, labels: Tensor, batch: Batch, weight: Tensor, unit: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Chi-square (B,), minus half its slope (B, 3) and half its curvature (B, 3, 3), float64.

        Labels are in `unit`s; the curvature is the Gauss-Newton approximation.
        """
        excess = batch.flux - self.grid.flux(labels)
        slopes = self.grid.derivatives(labels) * unit[:, None].to(excess.dtype)  # (B, 3, L)
        weighted = slopes * weight[:, None]
        chi2 = (excess.square() * weight).sum(dim=1, dtype=torch.float64)
        slope = (weighted @ excess[:, :, None])[:, :, 0]
        return chi2, slope.double(), (weighted @ slopes.mT).double()


def make_templates(grid: Grid, refine: int) -> Templates:
    """Templates at the nodes, and `refine` - 1 more between neighbours on each axis.

    `UsageError` where they would take more than `MOST_BYTES`.
    """
    axes = [_refined(axis, refine) for axis in grid.axes]
    number = math.prod(map(len, axes))
    if (size := 4 * number * len(grid.wave)) > MOST_BYTES:
        text = f"{refine} makes {number} templates, {size / 1e9:.1f} GB, more than"
        raise UsageError(f"config.refine: {text} {MOST_BYTES / 1e9:g} GB")
    labels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    points = torch.from_numpy(labels).to(grid.nodes.device)
    residual = torch.cat([grid.flux(part) - 1 for part in torch.split(points, PIECE)])
    return Templates(labels, residual, grid)


def fit(
    results: list[Fitted],
    templates: Templates,
    spectra: Spectra,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Fit the test set and append the minima to `results`; a step is one spectrum."""
    n = spectra.sizes["test"]
    for start in range(0, n, PIECE):
        begun = time.perf_counter()
        stop = min(start + PIECE, n)
        results.append(templates.fitted(spectra.fixed("test", start, stop)))
        rate = (stop - start) / (time.perf_counter() - begun)
        yield Step(stop, n, 0, float("nan"), float("nan"), rate)
        if stopped():
            yield Note(f"stopped after {stop} of {n} spectra")
            return


def _refined(axis: Array, refine: int) -> Array:
    positions = np.arange((len(axis) - 1) * refine + 1) / refine
    return np.interp(positions, np.arange(len(axis)), axis)


def _damped_steps(curvature: Tensor, slope: Tensor, damping: Tensor, free: Tensor) -> Tensor:
    """(B, 3) steps, with the curvature's diagonal increased by the fraction `damping`.

    Labels that are not `free` are held fixed.
    """
    diagonal = torch.diag_embed(curvature.diagonal(dim1=1, dim2=2))
    damped = _never_flat(curvature) + damping[:, None, None] * diagonal
    eye = torch.eye(diagonal.shape[1]).to(diagonal)
    damped = torch.where(free[:, :, None] & free[:, None, :], damped, diagonal + FLAT * eye)
    step: Tensor = torch.linalg.solve(damped, slope * free)
    return step


def _never_flat(curvature: Tensor) -> Tensor:
    largest = curvature.diagonal(dim1=1, dim2=2).amax(dim=1).clamp(min=1e-30)
    return curvature + FLAT * torch.diag_embed(largest[:, None].expand(-1, curvature.shape[1]))
