"""The bootstrap over stars: standard errors of scores, and of the difference of two models.

Efron & Tibshirani (1993), chapters 6 and 10: the stars are drawn again with replacement; two
models seen by the same stars are scored on the same draws, so that what both find hard cancels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
METRICS = ("r2", "mae", "rmse", "bias", "scatter")
RESAMPLES = 200
PAIRED_RESAMPLES = 1000
"""More than for a single error: a verdict hangs on this one."""
_ONE_SIGMA = (0.1586552539314570, 0.8413447460685430)
"""The shares of a normal distribution below -1 and below +1 sigma."""


@dataclass(frozen=True)
class Difference:
    """One model's score minus another's on the same stars."""

    value: float
    error: float
    """Bootstrap standard error."""
    n: int
    """Stars."""


def resampled(n: int, seed: int, times: int = RESAMPLES) -> Array:
    """(times, n) how often each star is drawn."""
    generator = np.random.default_rng(seed)
    return np.stack(
        [np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(times)]
    ).astype(np.float64)


def metrics(
    counts: Array, true: Array, predicted: Array, wanted: Sequence[str] = METRICS
) -> dict[str, Array]:
    """Each of `METRICS` for each row of `counts` (m, n); the scatter only when `wanted`.

    `scatter` is half the width of the central 68.3% of predicted - true: sigma for Gaussian
    residuals, unmoved by a few far ones.
    """
    residual = predicted - true
    y = true - true.mean()  # R2 does not depend on the origin; the sums keep their digits
    columns = np.stack([residual**2, np.abs(residual), residual, y, y**2], axis=1)
    squared, absolute, bias, first, second = (counts @ columns).T / counts.sum(axis=1)
    variance = second - first**2
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1 - squared / variance
    found = {"r2": r2, "mae": absolute, "rmse": np.sqrt(squared), "bias": bias}
    return found | ({"scatter": _scatter(counts, residual)} if "scatter" in wanted else {})


def paired(true: Array, left: Array, right: Array, metric: str, seed: int) -> Difference:
    """`metric` of `left` minus that of `right`, both (n,) predictions of the same (n,) `true`."""

    def gap(counts: Array) -> Array:
        ours, theirs = (metrics(counts, true, side, (metric,))[metric] for side in (left, right))
        return ours - theirs

    value = float(gap(np.ones((1, len(true))))[0])
    # In parts: the counts of 200 draws of 10,000 stars are 16 MB.
    parts = range(PAIRED_RESAMPLES // RESAMPLES)
    drawn = np.concatenate([gap(resampled(len(true), seed * 1000 + part)) for part in parts])
    drawn = drawn[np.isfinite(drawn)]  # draws of a single star have no R2
    error = float(drawn.std(ddof=1)) if len(drawn) > 1 else math.nan
    return Difference(value, error, len(true))


def _scatter(counts: Array, residual: Array) -> Array:
    """(m,) from weighted quantiles: every row of `counts` shares one sorting."""
    if not np.isfinite(residual).all():
        return np.full(len(counts), np.nan)
    order = np.argsort(residual, kind="stable")
    values = residual[order]
    below = np.cumsum(counts[:, order], axis=1)
    low, high = (values[np.minimum(_first(below, share), len(values) - 1)] for share in _ONE_SIGMA)
    scatter: Array = (high - low) / 2
    return scatter


def _first(below: Array, share: float) -> NDArray[np.intp]:
    """(m,) the first place at which a row of cumulated counts holds `share` of its total."""
    wanted = share * below[:, -1:]
    return np.asarray((below < wanted).sum(axis=1))
