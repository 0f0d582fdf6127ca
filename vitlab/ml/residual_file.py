"""The residuals of each test star on disk, with a digest of their numbers."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.job import read_spec
from vitlab.contract.paths import SPEC, UsageError, write_atomic
from vitlab.contract.reading import LARGEST, Unreadable, parse, read_regular
from vitlab.contract.terminal import muted_panics
from vitlab.contract.value import Value
from vitlab.ml.scoring import DensityScores, Residuals, is_same_r2, metrics

if TYPE_CHECKING:
    import polars as pl

Array = NDArray[np.float64]
VERSION = 1
KEY = "vitlab"
"""Key of the file's metadata: {v, hash, labels, source, job, digest}."""
MOST_STARS = 5_000_000
"""A file of residuals may say that it has more."""
MOST_NUMBERS = 50_000_000
"""Of all columns: 400 MB."""
MOST_BYTES = 1 << 29
"""Of a file of residuals."""
_DENSITY = ("log_score", "pit")


def save_residuals(path: Path, residuals: Residuals) -> None:
    """Write `path` atomically; about 250 kB for 10,000 stars and one label."""
    import polars as pl  # deferred: a GPU without it trains too

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
    for prefix, found in (("", residuals.density), ("exact/", residuals.exact)):
        if found is not None:
            numbers = _density_columns(prefix, found, residuals.labels, len(residuals.star))
            for name, values in numbers.items():
                columns[name] = pl.Series(values, dtype=pl.Float64, nan_to_null=True)
    about = {
        "v": VERSION,
        "hash": residuals.hash,
        "labels": list(residuals.labels),
        "source": residuals.source,
        "job": residuals.job,
    }
    frame, buffer = pl.DataFrame(columns), io.BytesIO()
    about["digest"] = _digest(parse(json.dumps(about)), frame)  # as it will be read
    frame.write_parquet(buffer, metadata={KEY: json.dumps(about)})
    write_atomic(path, buffer.getvalue())


def load_residuals(path: Path, values: Mapping[str, float | None] | None = None) -> Residuals:
    """The residuals in `path`. `UsageError` when it is missing, broken or not from vitlab.

    `values`: of the job's result, by their names; residuals that do not score so, or are not of the
    job whose specification is beside them, are another's.
    """
    residuals = _load(path)
    spec = read_spec(path.with_name(SPEC)) if values is not None and residuals.job else None
    if spec is not None and spec.mark != residuals.job:
        raise UsageError(f"{path}: the residuals of another job")
    for k, label in enumerate(residuals.labels):
        stated = (values or {}).get(str(Value("test", "r2", label)))
        pair = residuals.true[:, k], residuals.predicted[:, k]
        r2 = float(metrics(np.ones((1, len(pair[0]))), *pair, ("r2",))["r2"][0])
        if stated is not None and not is_same_r2(stated, r2):
            raise UsageError(f"{path}: not the residuals of its job's result")
    return residuals


def _load(path: Path) -> Residuals:
    try:
        data = _bytes(path)
        about = _about(data)
        labels = tuple(map(str, list(about["labels"])))
        if about["v"] != VERSION or not labels:
            raise UsageError(f"{path}: not residuals of version {VERSION}")
        frame = _frame(data, labels)
        if about.get("digest", digest := _digest(about, frame)) != digest:
            raise ValueError("its numbers are not those that were written")
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
            density=_density(frame, "", labels),
            exact=_density(frame, "exact/", labels),
            job=str(about.get("job", "")),
        )
    except FileNotFoundError:
        raise UsageError(f"{path}: no residuals here (`vitlab evaluate` makes them)") from None
    except bad_parquet() as bad:
        reason = bad.why if isinstance(bad, Unreadable) else str(bad).split("\n", 1)[0]
        raise UsageError(f"{path}: not readable residuals ({reason})") from None


def bad_parquet() -> tuple[type[BaseException], ...]:
    """What reading a file that anybody may have made can raise."""
    from polars.exceptions import PanicException, PolarsError

    return (OSError, KeyError, ValueError, IndexError, TypeError, PolarsError, PanicException)


def residuals_about(path: Path) -> dict[str, Any]:
    """What a file says its residuals are; raises `bad_parquet`."""
    return _about(_bytes(path))


def _bytes(path: Path) -> bytes:
    """Of this one file: polars takes `[1]`, `*` and `~` in a path for those of others."""
    return read_regular(path, MOST_BYTES)


@muted_panics()
def _about(data: bytes) -> dict[str, Any]:
    import polars as pl

    about = parse(pl.read_parquet_metadata(data)[KEY])
    if not isinstance(about, dict):
        raise TypeError("its metadata are not an object")
    return about


@muted_panics()
def _frame(data: bytes, labels: Sequence[str]) -> pl.DataFrame:
    """The columns that are known, as numbers of at most `MOST_STARS` stars."""
    import polars as pl

    kinds = pl.read_parquet_schema(data)
    parts = ("true", "predicted", "sigma", *_DENSITY, *(f"exact/{one}" for one in _DENSITY))
    wanted = ["star", "mag", "snr", "log_score", "exact/log_score"]
    wanted += [f"{part}/{label}" for part in parts for label in labels]
    known = [name for name in dict.fromkeys(wanted) if name in kinds]
    if odd := next((name for name in known if not kinds[name].is_numeric()), None):
        raise ValueError(f"{odd} holds no numbers")
    if (stars := pl.scan_parquet(data).select(pl.len()).collect().item()) > MOST_STARS:
        raise ValueError(f"{stars:,} stars, more than {MOST_STARS:,}")
    if (numbers := stars * len(known)) > MOST_NUMBERS:  # a constant column takes no room in a file
        raise ValueError(f"{numbers:,} numbers, more than {MOST_NUMBERS:,}")
    frame = pl.read_parquet(data, columns=known)
    if frame["star"].null_count():
        raise ValueError("stars without a number")
    largest = frame.select(pl.col(pl.Float32, pl.Float64).fill_nan(None).abs().max())
    if any((x or 0.0) > LARGEST for row in largest.iter_rows() for x in row):
        raise ValueError(f"a number beyond {LARGEST:g}")
    return frame


def _digest(about: Mapping[str, Any], frame: pl.DataFrame) -> str:
    """Of all that a file says: a flipped bit may change a scatter and hardly an R2."""
    said = {key: value for key, value in about.items() if key != "digest"}
    found = hashlib.sha256(json.dumps(said, sort_keys=True).encode())
    for name in sorted(frame.columns):
        found.update(name.encode() + _column(frame, name).tobytes())
    return found.hexdigest()


def _density_columns(
    prefix: str, found: DensityScores, labels: Sequence[str], n: int
) -> dict[str, Array]:
    """The columns of a file of `n` stars; NaN for those without."""
    parts = {f"{prefix}log_score": found.joint}
    for k, label in enumerate(labels):
        parts[f"{prefix}log_score/{label}"] = found.log_score[:, k]
        parts[f"{prefix}pit/{label}"] = found.pit[:, k]
    missing = np.full(n - len(found.joint), np.nan)
    return {name: np.append(values, missing) for name, values in parts.items()}


def _density(frame: pl.DataFrame, prefix: str, labels: tuple[str, ...]) -> DensityScores | None:
    if f"{prefix}log_score" not in frame.columns:
        return None
    joint = _column(frame, f"{prefix}log_score")
    n = int(np.isfinite(joint).sum()) if prefix else len(joint)
    matrices = (_matrix(frame, f"{prefix}{kind}", labels)[:n] for kind in ("log_score", "pit"))
    log_score, pit = matrices
    return DensityScores(log_score, joint[:n], pit)


def _matrix(frame: pl.DataFrame, kind: str, labels: tuple[str, ...]) -> Array:
    return np.column_stack([_column(frame, f"{kind}/{label}") for label in labels])


def _column(frame: pl.DataFrame, name: str) -> Array:
    return frame[name].cast(float).fill_null(float("nan")).to_numpy()
