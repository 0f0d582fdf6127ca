"""Scores of predictions in the labels' own units, with bootstrap standard errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitlab.ml.bootstrap import metrics, resampled

Array = NDArray[np.float64]


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
    """R2, MAE, RMSE, bias (mean of predicted - true) and 68% scatter of (n, K) predictions.

    `seed` is that of the bootstrap over the stars; None leaves the errors out.
    """
    ones = np.ones((1, len(true)))
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    for k, label in enumerate(labels):
        found = metrics(ones, true[:, k], predicted[:, k])
        values.update({f"{name}/{label}": float(x[0]) for name, x in found.items()})
        if seed is not None:
            spread = metrics(resampled(len(true), seed), true[:, k], predicted[:, k])
            errors.update({f"{name}/{label}": float(x.std(ddof=1)) for name, x in spread.items()})
    return Scores(values, errors)
