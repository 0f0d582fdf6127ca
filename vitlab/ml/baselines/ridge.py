"""Ridge regression by streamed normal equations; the penalty is chosen on the validation set."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from vitlab.contract.config import RidgeModel
from vitlab.ml.baselines.rows import PIECE, Array, Matrix, Rows, predicted
from vitlab.ml.progress import Best, Evaluation, Note, Progress, Step
from vitlab.ml.scores import score


@dataclass
class Ridge:
    """Minimises |y - X w - c|^2 + alpha |w|^2; the intercept c is not penalised."""

    weights: Array
    """(L, K)"""
    intercept: Array
    """(K,)"""
    alpha: float = math.nan

    def predict(self, x: Matrix) -> Array:
        """(rows, L) inputs -> (rows, K) labels."""
        out: Array = x.astype(np.float64) @ self.weights + self.intercept
        return out

    @property
    def params(self) -> int:
        return self.weights.size + self.intercept.size


@dataclass
class _Sums:
    """Sums over the training rows, float64."""

    n: int
    x: Array
    y: Array
    xx: NDArray[np.float64]
    """(L, L), upper triangle only."""
    xy: Array


def fit(
    ridge: Ridge,
    train: Rows,
    val: Rows,
    model: RidgeModel,
    labels: tuple[str, ...],
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Fill `ridge` with the best of `model.alphas`; one pass over the training rows.

    A step is one piece of rows, or one penalty tried. Memory is 8 L^2 bytes (134 MB for 4096
    pixels) a few times.
    """
    pieces = math.ceil(len(train) / PIECE)
    steps = pieces + len(model.alphas)
    sums = None
    for step, (x, y) in enumerate(train.pieces(), start=1):
        begun = time.perf_counter()
        sums = _add(sums, x.astype(np.float64), y)
        rate = len(x) / (time.perf_counter() - begun)
        yield Step(step, steps, 0, math.nan, math.nan, rate)
        if stopped():
            yield Note(f"stopped after {step} of {pieces} pieces: no model")
            return
    assert sums is not None
    best_r2, best_step = -math.inf, 0
    for k, alpha in enumerate(model.alphas, start=1):
        found = _solve(sums, alpha)
        true, guess = predicted(val, found.predict)
        scores = score(true, guess, labels)
        yield Note(f"alpha = {alpha:g}")
        yield Evaluation(pieces + k, 0, "val", len(val), scores.named("val")[0])
        r2 = float(np.mean([scores.values[f"r2/{label}"] for label in labels]))
        if r2 > best_r2:
            best_r2, best_step = r2, pieces + k
            ridge.weights, ridge.intercept, ridge.alpha = found.weights, found.intercept, alpha
    yield Best(best_step, 0)


def empty_ridge(pixels: int, outputs: int) -> Ridge:
    """A ridge to be filled by `fit`."""
    return Ridge(np.zeros((pixels, outputs)), np.zeros(outputs))


def _add(sums: _Sums | None, x: Array, y: Array) -> _Sums:
    """Add some rows; x^T x by the symmetric product, half the work of the general one."""
    if sums is None:
        pixels = x.shape[1]
        xx = np.zeros((pixels, pixels), order="F")
        sums = _Sums(0, np.zeros(pixels), np.zeros(y.shape[1]), xx, np.zeros((pixels, y.shape[1])))
    sums.xx = linalg.blas.dsyrk(1.0, x.T, beta=1.0, c=sums.xx, overwrite_c=True)
    sums.xy += x.T @ y
    sums.x += x.sum(axis=0)
    sums.y += y.sum(axis=0)
    sums.n += len(x)
    return sums


def _solve(sums: _Sums, alpha: float) -> Ridge:
    """The closed form on centred sums: (C + alpha 1) w = X_c^T y_c, by Cholesky."""
    mean_x, mean_y = sums.x / sums.n, sums.y / sums.n
    centred = linalg.blas.dsyrk(-sums.n, mean_x[:, None], beta=1.0, c=sums.xx)
    centred[np.diag_indices_from(centred)] += alpha
    right = sums.xy - sums.n * np.outer(mean_x, mean_y)
    factor = linalg.cho_factor(centred, lower=False, overwrite_a=True, check_finite=False)
    weights = linalg.cho_solve(factor, right, check_finite=False)
    return Ridge(weights, mean_y - mean_x @ weights, alpha)
