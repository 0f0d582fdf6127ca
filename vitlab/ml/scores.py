"""Scores of predictions in the labels' own units, with bootstrap standard errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
METRICS = ("r2", "mae", "rmse", "bias")
RESAMPLES = 200


@dataclass(frozen=True)
class Scores:
    """`metric/label` -> number, and the standard errors by the same names."""

    values: dict[str, float]
    errors: dict[str, float]

    def named(self, split: str) -> tuple[dict[str, float], dict[str, float]]:
        """Values and errors by `split/metric/label`."""
        return (
            {f"{split}/{name}": x for name, x in self.values.items()},
            {f"{split}/{name}": x for name, x in self.errors.items()},
        )


def score(
    true: Array, predicted: Array, labels: tuple[str, ...], seed: int | None = None
) -> Scores:
    """R2, MAE, RMSE and bias (mean of predicted - true) of (n, K) predictions.

    `seed` is that of the bootstrap over the stars; None leaves the errors out.
    """
    ones = np.ones((1, len(true)))
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    for k, label in enumerate(labels):
        found = _metrics(ones, true[:, k], predicted[:, k])
        values.update({f"{name}/{label}": float(x[0]) for name, x in found.items()})
        if seed is not None:
            spread = _metrics(_resampled(len(true), seed), true[:, k], predicted[:, k])
            errors.update({f"{name}/{label}": float(x.std(ddof=1)) for name, x in spread.items()})
    return Scores(values, errors)


def _resampled(n: int, seed: int) -> Array:
    """(RESAMPLES, n) how often each star is drawn."""
    generator = np.random.default_rng(seed)
    return np.stack(
        [np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(RESAMPLES)]
    ).astype(np.float64)


def _metrics(counts: Array, true: Array, predicted: Array) -> dict[str, Array]:
    """Each metric for each row of `counts` (m, n)."""
    residual = predicted - true
    y = true - true.mean()  # R2 does not depend on the origin; the sums keep their digits
    columns = np.stack([residual**2, np.abs(residual), residual, y, y**2], axis=1)
    squared, absolute, bias, first, second = (counts @ columns).T / counts.sum(axis=1)
    variance = second - first**2
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1 - squared / variance
    return {"r2": r2, "mae": absolute, "rmse": np.sqrt(squared), "bias": bias}
