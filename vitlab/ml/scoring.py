"""Scores of predictions with bootstrap errors, and the residuals of each test star on disk."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.value import SCORES, Value

Array = NDArray[np.float64]
RESAMPLES = 200
PAIRED_RESAMPLES = 1000
"""More than for a single score, since verdicts depend on it."""
_ONE_SIGMA = (0.1586552539314570, 0.8413447460685430)
"""The normal distribution below -1 and below +1 sigma."""


@dataclass(frozen=True)
class Difference:
    """One model's score minus another's on the same stars."""

    value: float
    error: float
    """Bootstrap standard error."""
    n: int
    """Number of stars."""


def resampled(n: int, seed: int, times: int = RESAMPLES) -> Array:
    """(times, n) bootstrap counts of each star."""
    generator = np.random.default_rng(seed)
    return np.stack(
        [np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(times)]
    ).astype(np.float64)


def metrics(
    counts: Array, true: Array, predicted: Array, names: Sequence[str] = SCORES
) -> dict[str, Array]:
    """Each of `SCORES` for each row of `counts` (m, n); the scatter only when in `names`.

    `scatter` is half the width of the central 68.3% of predicted - true: sigma for Gaussian
    residuals, robust against outliers.
    """
    residual = predicted - true
    y = true - true.mean()  # R2 does not depend on the origin; this avoids cancellation
    columns = np.stack([residual**2, np.abs(residual), residual, y, y**2], axis=1)
    squared, absolute, bias, first, second = (counts @ columns).T / counts.sum(axis=1)
    variance = second - first**2
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1 - squared / variance
    scores = {"r2": r2, "mae": absolute, "rmse": np.sqrt(squared), "bias": bias}
    return scores | ({"scatter": _scatter(counts, residual)} if "scatter" in names else {})


def paired(true: Array, left: Array, right: Array, metric: str, seed: int) -> Difference:
    """`metric` of `left` minus that of `right`, both (n,) predictions of the same (n,) `true`."""

    def gap(counts: Array) -> Array:
        ours, theirs = (metrics(counts, true, side, (metric,))[metric] for side in (left, right))
        return ours - theirs

    value = float(gap(np.ones((1, len(true))))[0])
    # In parts: the counts for 200 draws of 10,000 stars take 16 MB.
    parts = range(PAIRED_RESAMPLES // RESAMPLES)
    drawn = np.concatenate([gap(resampled(len(true), seed * 1000 + part)) for part in parts])
    drawn = drawn[np.isfinite(drawn)]  # a draw with only one distinct star has no R2
    error = float(drawn.std(ddof=1)) if len(drawn) > 1 else math.nan
    return Difference(value, error, len(true))


def _scatter(counts: Array, residual: Array) -> Array:
    """(m,) scatter from weighted quantiles; all rows of `counts` share one sort."""
    if not np.isfinite(residual).all():
        return np.full(len(counts), np.nan)
    order = np.argsort(residual, kind="stable")
    values = residual[order]
    below = np.cumsum(counts[:, order], axis=1)
    low, high = (values[np.minimum(_first(below, share), len(values) - 1)] for share in _ONE_SIGMA)
    scatter: Array = (high - low) / 2
    return scatter


def _first(below: Array, share: float) -> NDArray[np.intp]:
    """(m,) first index at which a row of cumulative counts reaches `share` of its total."""
    return np.asarray((below < share * below[:, -1:]).sum(axis=1))


@dataclass(frozen=True)
class Scores:
    """Scores and their standard errors, by values without a split."""

    values: dict[Value, float]
    errors: dict[Value, float]

    def named(self, split: str) -> tuple[dict[str, float], dict[str, float]]:
        """Values and errors by `split/metric/label`."""
        return named(self.values, split), named(self.errors, split)


def named(numbers: Mapping[Value, float], split: str) -> dict[str, float]:
    """Numbers by `split/metric/label`."""
    return {str(value.on(split)): number for value, number in numbers.items()}


def score(
    true: Array, predicted: Array, labels: tuple[str, ...], seed: int | None = None
) -> Scores:
    """R2, MAE, RMSE, bias (mean of predicted - true) and 68% scatter of (n, K) predictions.

    `seed` of the bootstrap over the stars; None: no errors.
    """
    ones = np.ones((1, len(true)))
    values: dict[Value, float] = {}
    errors: dict[Value, float] = {}
    for k, label in enumerate(labels):
        scores = metrics(ones, true[:, k], predicted[:, k])
        values.update({Value("", name, label): float(x[0]) for name, x in scores.items()})
        if seed is not None:
            spread = metrics(resampled(len(true), seed), true[:, k], predicted[:, k])
            stds = {Value("", name, label): float(x.std(ddof=1)) for name, x in spread.items()}
            errors.update(stds)
    return Scores(values, errors)


def calibration(
    true: Array, predicted: Array, sigma: Array, labels: Sequence[str]
) -> dict[Value, float]:
    """Calibration of predicted errors, by values without a split; arrays (n, K), in one unit.

    pull = (true - predicted) / sigma. For correct Gaussian errors its mean square `pull2` is 1,
    and the fractions `within1` and `within2` with |pull| <= 1 and 2 are 0.683 and 0.954.
    """
    pull = np.abs(true - predicted) / sigma
    numbers = {"pull2": pull**2, "within1": pull <= 1, "within2": pull <= 2}
    return {
        Value("", name, label): float(np.mean(of_label))
        for name, values in numbers.items()
        for label, of_label in zip(labels, values.T, strict=True)
    }


VERSION = 1
KEY = "vitlab"
"""Key of the file's metadata: {v, hash, labels, source}."""
SNR_BINS = 4


@dataclass(frozen=True)
class Residuals:
    """Predictions for one test set, star by star, labels in their own units."""

    labels: tuple[str, ...]
    star: NDArray[np.int64]  # (n,) index in the test set
    true: Array  # (n, K)
    predicted: Array  # (n, K)
    mag: Array  # (n,) i band (HSC); NaN where it is not known
    snr: Array
    """(n,) median over the pixels of flux over its 1-sigma error; NaN where not known."""
    hash: str
    """Hash of the data set: equal for the same stars with the same noise."""
    source: str = ""
    sigma: Array | None = None
    """(n, K) predicted 1-sigma errors, if the model predicts any."""


@dataclass(frozen=True)
class Bin:
    """The scores of the test stars in one interval of magnitude or S/N."""

    by: str
    """`mag` or `snr`."""
    low: float
    high: float
    n: int
    scores: Scores


def save_residuals(path: Path, residuals: Residuals) -> None:
    """Write `path` atomically; about 250 kB for 10,000 stars and one label."""
    columns: dict[str, pl.Series] = {
        "star": pl.Series(residuals.star, dtype=pl.Int32),
        "mag": pl.Series(residuals.mag, dtype=pl.Float32, nan_to_null=True),
        "snr": pl.Series(residuals.snr, dtype=pl.Float32, nan_to_null=True),
    }
    for k, label in enumerate(residuals.labels):
        columns[f"true/{label}"] = pl.Series(np.ascontiguousarray(residuals.true[:, k]))
        columns[f"predicted/{label}"] = pl.Series(np.ascontiguousarray(residuals.predicted[:, k]))
        if residuals.sigma is not None:
            sigma = np.ascontiguousarray(residuals.sigma[:, k])
            columns[f"sigma/{label}"] = pl.Series(sigma, dtype=pl.Float32)
    about = {
        "v": VERSION,
        "hash": residuals.hash,
        "labels": list(residuals.labels),
        "source": residuals.source,
    }
    buffer = io.BytesIO()
    pl.DataFrame(columns).write_parquet(buffer, metadata={KEY: json.dumps(about)})
    write_atomic(path, buffer.getvalue())


def load_residuals(path: Path) -> Residuals:
    """The residuals in `path`. `UsageError` when it is missing, broken or not from vitlab."""
    try:
        about = json.loads(pl.read_parquet_metadata(path)[KEY])
        frame = pl.read_parquet(path)
        labels = tuple(about["labels"])
        if about["v"] != VERSION:
            raise UsageError(f"{path}: not residuals of version {VERSION}")
        sigma = f"sigma/{labels[0]}" in frame.columns
        return Residuals(
            labels=labels,
            star=frame["star"].to_numpy().astype(np.int64),
            true=_matrix(frame, "true", labels),
            predicted=_matrix(frame, "predicted", labels),
            mag=_column(frame, "mag"),
            snr=_column(frame, "snr"),
            hash=str(about["hash"]),
            source=str(about.get("source", "")),
            sigma=_matrix(frame, "sigma", labels) if sigma else None,
        )
    except FileNotFoundError:
        raise UsageError(f"{path}: no residuals here (`vitlab evaluate` makes them)") from None
    except (OSError, KeyError, ValueError, IndexError, TypeError, pl.exceptions.PolarsError) as bad:
        reason = str(bad).split("\n", 1)[0]
        raise UsageError(f"{path}: not readable residuals ({reason})") from None


def overall(residuals: Residuals, seed: int) -> Scores:
    """The scores of all test stars, with bootstrap errors."""
    return score(residuals.true, residuals.predicted, residuals.labels, seed)


def binned(residuals: Residuals, by: str, seed: int, edges: Array | None = None) -> list[Bin]:
    """The scores in bins of `mag` (4 of equal width) or `snr` (4 with equal numbers of stars).

    `edges` overrides the bins. Bins with fewer than two stars are omitted.
    """
    values = residuals.mag if by == "mag" else residuals.snr
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return []
    if edges is None:
        ends = np.linspace(known.min(), known.max(), SNR_BINS + 1)
        edges = ends if by == "mag" else np.quantile(known, np.linspace(0, 1, SNR_BINS + 1))
    bins = []
    for low, high in pairwise(edges):
        last = high == edges[-1]
        inside = (values >= low) & ((values <= high) if last else (values < high))
        n = int(inside.sum())
        if n >= 2:
            pair = residuals.true[inside], residuals.predicted[inside]
            scores = score(*pair, residuals.labels, seed)
            bins.append(Bin(by, float(low), float(high), n, scores))
    return bins


def _matrix(frame: pl.DataFrame, kind: str, labels: tuple[str, ...]) -> Array:
    return np.column_stack([_column(frame, f"{kind}/{label}") for label in labels])


def _column(frame: pl.DataFrame, name: str) -> Array:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
