"""Ridge regression by streamed normal equations; the penalty is chosen on the validation set.

One eigendecomposition serves all penalties: with X_c^T X_c = V diag(l) V^T the weights are
V (V^T X_c^T y_c / (l + alpha)) (Hastie, Tibshirani & Friedman 2009, eq. 3.47).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

from vitlab.contract.config import RidgeModel
from vitlab.contract.value import Value
from vitlab.ml.progress import Best, Evaluation, Note, Progress, Step
from vitlab.ml.scoring import score
from vitlab.ml.spectra.inputs import PIECE, Array, Matrix, Rows, predict_rows


@dataclass
class Ridge:
    """Minimises |y - X w - c|^2 + alpha |w|^2; the intercept c is not penalised."""

    weights: Array  # (L, K)
    intercept: Array  # (K,)
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
    """Sums over the training rows, float64, relative to an origin near their mean."""

    origin: Array  # (L,) mean of the first rows, subtracted to avoid cancellation
    y: Array
    xy: Array
    xx: NDArray[np.float64] | None
    """(L, L), upper triangle only; None if there are fewer rows than pixels, then see `rows`."""
    n: int = 0
    x: Array = field(default_factory=lambda: np.zeros(1))
    rows: list[Array] = field(default_factory=list)

    def add(self, x: Array, y: Array) -> None:
        """Add some rows; dsyrk needs half the work of a general product for x^T x."""
        x = x - self.origin
        if self.xx is None:
            self.rows.append(x)
        else:
            self.xx = linalg.blas.dsyrk(1.0, x.T, beta=1.0, c=self.xx, overwrite_c=True)
        self.xy += x.T @ y
        self.x = self.x + x.sum(axis=0)
        self.y += y.sum(axis=0)
        self.n += len(x)


@dataclass(frozen=True)
class _Axes:
    """The training rows' principal axes, from which the weights for any penalty follow."""

    values: Array  # (r,) eigenvalues of X_c^T X_c
    vectors: Array  # (L, r)
    right: Array  # (r, K) V^T X_c^T y_c
    mean_x: Array
    mean_y: Array

    def project(self, x: Matrix) -> Array:
        """(rows, L) inputs -> (rows, r)."""
        out: Array = (x - self.mean_x) @ self.vectors
        return out

    def shrunk(self, alpha: float) -> Array:
        """(r, K) weights along the axes."""
        return self.right / (self.values + alpha)[:, None]


def fit(
    ridge: Ridge,
    train: Rows,
    val: Rows,
    model: RidgeModel,
    labels: tuple[str, ...],
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Fit `ridge` with the best of `model.alphas`, in one pass over the training rows.

    A step is one piece of rows, or one penalty tried. Memory is a few times 8 L^2 bytes (134 MB
    for 4096 pixels), whatever the number of rows.
    """
    pieces = math.ceil(len(train) / PIECE)
    steps = pieces + len(model.alphas)
    sums = None
    for step, (x, y) in enumerate(train.pieces(), start=1):
        begun = time.perf_counter()
        sums = sums or _no_sums(x, y, len(train))
        sums.add(x.astype(np.float64), y)
        rate = len(x) / (time.perf_counter() - begun)
        yield Step(step, steps, 0, math.nan, math.nan, rate)
        if stopped():
            yield Note(f"stopped after {step} of {pieces} pieces: no model")
            return
    assert sums is not None
    axes = _decompose(sums)
    true, along = predict_rows(val, axes.project)
    best_r2, best_step = -math.inf, 0
    for k, alpha in enumerate(model.alphas, start=1):
        scores = score(true, axes.mean_y + along @ axes.shrunk(alpha), labels)
        yield Note(f"alpha = {alpha:g}")
        yield Evaluation(pieces + k, 0, "val", len(val), scores.named("val")[0])
        r2 = float(np.mean([scores.values[Value("", "r2", label)] for label in labels]))
        if r2 > best_r2:
            best_r2, best_step, ridge.alpha = r2, pieces + k, alpha
    ridge.weights = axes.vectors @ axes.shrunk(ridge.alpha)
    ridge.intercept = axes.mean_y - axes.mean_x @ ridge.weights
    if len(model.alphas) > 2 and ridge.alpha in (min(model.alphas), max(model.alphas)):
        yield Note(f"best alpha = {ridge.alpha:g} is at the end of model.alphas: extend them")
    yield Best(best_step, 0)


def empty_ridge(pixels: int, outputs: int) -> Ridge:
    """A ridge to be filled by `fit`."""
    return Ridge(np.zeros((pixels, outputs)), np.zeros(outputs))


def _no_sums(x: Matrix, y: Array, n: int) -> _Sums:
    pixels, outputs = x.shape[1], y.shape[1]
    return _Sums(
        origin=x.mean(axis=0, dtype=np.float64),
        y=np.zeros(outputs),
        xy=np.zeros((pixels, outputs)),
        xx=np.zeros((pixels, pixels), order="F") if n > pixels else None,
    )


def _decompose(sums: _Sums) -> _Axes:
    """The principal axes; from x x^T when there are fewer rows than pixels."""
    mean_x, mean_y = sums.x / sums.n, sums.y / sums.n
    right = sums.xy - sums.n * np.outer(mean_x, mean_y)
    if sums.xx is None:
        x = np.concatenate(sums.rows) - mean_x
        values, vectors = linalg.eigh(x @ x.T, driver="evd", check_finite=False)
        known = values > values[-1] * len(x) * np.finfo(np.float64).eps
        values, vectors = values[known], vectors[:, known]
        vectors = (x.T @ vectors) / np.sqrt(values)
    else:
        centred = linalg.blas.dsyrk(-sums.n, mean_x[:, None], beta=1.0, c=sums.xx, overwrite_c=True)
        values, vectors = linalg.eigh(
            centred, lower=False, driver="evd", overwrite_a=True, check_finite=False
        )
    return _Axes(values, vectors, vectors.T @ right, sums.origin + mean_x, mean_y)
