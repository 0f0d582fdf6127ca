"""What a model said of each test star: kept as a small Parquet file, scored in bins."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.ml.scores import Scores, score

Array = NDArray[np.float64]
VERSION = 1
KEY = "vitlab"
"""Of the file's metadata: {v, hash, labels, source}."""
SNR_BINS = 4
"""Bins of equally many stars."""


@dataclass(frozen=True)
class Residuals:
    """Predictions for one test set, star by star, labels in their own units."""

    labels: tuple[str, ...]
    star: NDArray[np.int64]
    """(n,) index in the test set."""
    true: Array
    """(n, K)"""
    predicted: Array
    """(n, K)"""
    mag: Array
    """(n,) i band (HSC); NaN where it is not known."""
    snr: Array
    """(n,) median over the pixels of flux over its 1-sigma error; NaN where there is none."""
    hash: str
    """Of the data set: two files with one hash are of the same stars with the same noise."""
    source: str = ""
    sigma: Array | None = None
    """(n, K) 1-sigma errors the model predicted; None when it predicts none."""


@dataclass(frozen=True)
class Bin:
    """The scores of the test stars in one interval of magnitude or S/N."""

    by: str
    """`mag` or `snr`."""
    low: float
    high: float
    n: int
    scores: Scores


def save(path: Path, residuals: Residuals) -> None:
    """Write `path`, whole or not at all; about 250 kB for 10,000 stars and one label."""
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


def load(path: Path) -> Residuals:
    """The residuals in `path`. `UsageError` when it is missing, broken or not one of ours."""
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
    """The scores per bin of `mag` (4 of equal width) or `snr` (4 of equally many stars).

    `edges` sets the bins. A bin with fewer than two stars is left out; none without values.
    """
    values = residuals.mag if by == "mag" else residuals.snr
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return []
    if edges is None:
        ends = np.linspace(known.min(), known.max(), SNR_BINS + 1)
        edges = ends if by == "mag" else np.quantile(known, np.linspace(0, 1, SNR_BINS + 1))
    found = []
    for low, high in pairwise(edges):
        last = high == edges[-1]
        inside = (values >= low) & ((values <= high) if last else (values < high))
        n = int(inside.sum())
        if n >= 2:
            pair = residuals.true[inside], residuals.predicted[inside]
            scores = score(*pair, residuals.labels, seed)
            found.append(Bin(by, float(low), float(high), n, scores))
    return found


def _matrix(frame: pl.DataFrame, kind: str, labels: tuple[str, ...]) -> Array:
    return np.column_stack([_column(frame, f"{kind}/{label}") for label in labels])


def _column(frame: pl.DataFrame, name: str) -> Array:
    return frame[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
