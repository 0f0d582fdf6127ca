"""The best linear predictor's ceiling: what a ridge reaches with infinitely many spectra."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.ml.labels import LABELS
from vitlab.ml.simulate import Simulator

Array = NDArray[np.float64]
SAMPLE = 40_000
"""Stars the moments are taken over; the halves of them give the error."""


def linear_r2(simulator: Simulator, label: str, n: int = SAMPLE) -> tuple[float, float]:
    """(R2, standard error) of the best linear predictor of `label` from the flux.

    R2 = c^T (S + D)^-1 c / Var(y), c the covariance of flux and label, S that of the noise-free
    flux, D the mean noise variance of each pixel. Flux is w @ nodes, so S = N^T C N has the rank
    of the weights' covariance C and is never made: with G = N D^-1 N^T and b = Cov(w, y) it is
    Woodbury's identity in the space of the weights.
    """
    halves = [_r2(simulator, label, start, start + n // 2) for start in (0, n // 2)]
    return float(np.mean(halves)), float(abs(halves[0] - halves[1]) / 2)


def _r2(simulator: Simulator, label: str, start: int, stop: int) -> float:
    stars = simulator.stars("train", start, stop)
    y = stars.labels[:, LABELS.index(label)]
    grid, noise = simulator.grid.to("cpu", torch.float64), simulator.noise.to("cpu", torch.float64)
    weights = grid.weights(torch.from_numpy(stars.labels))  # (n, N)
    star, sky = noise.coefficients(torch.from_numpy(stars.mag))
    # The variance is linear in the flux, so its mean needs one spectrum only.
    variance = grid.mixed(star @ weights / len(y)) + sky.mean() * noise.sky
    away = (weights - weights.mean(dim=0)).numpy()
    y = y - y.mean()
    covariance, b = away.T @ away / len(y), away.T @ y / len(y)
    nodes = grid.nodes.numpy() if grid.mixing is None else (grid.mixing @ grid.nodes).numpy()
    gram = (nodes / variance.numpy()) @ nodes.T
    return float(_explained(covariance, gram, b) / y.var())


def _explained(covariance: Array, gram: Array, b: Array) -> float:
    """b^T (gram - gram C^1/2 (1 + C^1/2 gram C^1/2)^-1 C^1/2 gram) b, C the covariance.

    Written with the root of C, which need not have an inverse.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    inner = np.eye(len(b)) + root.T @ gram @ root
    right = gram @ b
    left = root.T @ right
    return float(b @ right - left @ np.linalg.solve(inner, left))
