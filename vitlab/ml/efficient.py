"""Where the information on a label lies: what the best unbiased estimator does with each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.ml.fisher import WORST_CONDITION
from vitlab.ml.grid import Grid
from vitlab.ml.gridimport import air
from vitlab.ml.labels import LABELS, RANGES

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Efficient:
    """The efficient estimator of one label of one star, the other labels being unknown too."""

    response: Array
    """(L,) change of its estimate by 1 sigma of each pixel, in the label's unit: the row of
    F^-1 J over sigma. Its squares sum to the Cramer-Rao bound."""
    information: Array
    """(L,) per pixel, one over the label's unit squared: they sum to one over the bound."""
    bound: float
    """Smallest standard deviation of an unbiased estimate (`vitlab.ml.fisher`)."""


def efficient(derivatives: Array, sigma: Array, label: str) -> Efficient | None:
    """(3, L) exact d flux / d label, (L,) 1-sigma errors -> the efficient estimator of `label`.

    With J the derivatives over sigma and F = J J^T, the estimate moves by F^-1 J under one sigma
    of noise (Gauss-Markov). A pixel without datum (sigma infinite, derivative not a number) gives
    0. None where the spectrum cannot tell the labels apart, or where there is no noise.
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
    """(3,) labels -> (3, L) derivatives of the spline on the pixels `wave`; NaN beyond the grid.

    Raises `vitlab.ml.grid.OutOfGrid`.
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

    For a locally unbiased model its square is the efficiency: bound over variance.
    """
    known = np.isfinite(response) & np.isfinite(best)
    a, b = response[known], best[known]
    size = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / size if size > 0 else float("nan")
