"""What a data set of spectra holds, and what of it a run would leave out."""

from __future__ import annotations

import time
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.excluded import REASONS, UNREAD, USABLE, pack
from vitlab.ml.noise_free import LOOKED_AT, judge_errors
from vitlab.ml.spectra.labels import LABELS, POSSIBLE, RANGES, valid_labels
from vitlab.ml.spectra.pfsspec import SpectraFiles

NO_LABELS = ("index", "id", "snr")
PIECE = 1024
"""Spectra read at once."""


class Description(TypedDict):
    """What `vitlab data inspect` shows."""

    n: int
    pixels: int
    wave: list[float]
    """Minimum and maximum, Angstrom."""
    medium: str
    """`air` or `vacuum` as the file states; empty when it does not."""
    notes: list[str]
    """What is unusual about wavelengths and errors, and how they were read."""
    labels: dict[str, list[float]]
    """Minimum and maximum of every numeric column except `id` and `snr`, without empty ones."""
    snr: list[float]
    """Minimum and maximum median S/N; empty when not known."""
    columns: list[str]
    """All numeric columns: what a run can learn."""
    invalid: dict[str, int]
    """Column -> rows in which it is missing, or impossible for a label of that name."""
    possible: dict[str, tuple[float, float]]
    """Label -> the values it may have."""
    outside: dict[str, int]
    """Label -> valid rows outside the range of the embedded grid."""
    read: int
    """Spectra that have been read; the counts below are of these."""
    excluded: dict[str, int]
    """Reason -> spectra that no run can use."""
    no_data: float
    """Share of the pixels without data in the other spectra."""
    duplicates: int
    """Spectra whose flux, over its median, is that of an earlier one."""
    codes: str
    """One packed character a spectrum (`vitlab.contract.excluded`)."""
    invalid_rows: dict[str, str]
    """The same for each column in `invalid`."""


def describe(files: SpectraFiles, seconds: float = np.inf) -> Description:
    """Sizes, ranges and counts of a data set; reads its spectra, for about `seconds` at most.

    Those read are then spread over the whole set.
    """
    params = {k: v for k, v in files.params.items() if v.dtype.kind in "fiu"}
    valid = {name: valid_labels(name, values) for name, values in params.items()}
    wrong = {name: ~np.isfinite(values) for name, values in valid.items() if name != "index"}
    ranges = {name: _range(valid[name]) or _range(params[name]) for name in params}
    shown = {name: one for name, one in ranges.items() if name not in NO_LABELS and one}
    no_data, duplicates = _scan(files, seconds)
    codes = files.codes
    counts = {why: codes.count(code) for code, why in REASONS.items() if code in codes}
    axis = files.files[0].axis
    return {
        "n": files.n,
        "pixels": len(files.wave),
        "wave": _range(files.wave),
        "medium": files.medium,
        "notes": [*axis.notes, *judge_errors(*files.read(0, min(LOOKED_AT, files.n))).lines],
        "labels": shown,
        "snr": ranges.get("snr", []),
        "columns": [name for name in params if name != "index"],
        "invalid": {name: int(rows.sum()) for name, rows in wrong.items() if rows.any()},
        "possible": {name: POSSIBLE[name] for name in params if name in POSSIBLE},
        "outside": _outside(valid),
        "read": files.n - codes.count(UNREAD),
        "excluded": counts,
        "no_data": no_data,
        "duplicates": duplicates,
        "codes": pack(codes),
        "invalid_rows": {
            name: pack("".join("l" if bad else USABLE for bad in rows.tolist()))
            for name, rows in wrong.items()
            if rows.any()
        },
    }


def _range(values: NDArray[Any]) -> list[float]:
    """Minimum and maximum finite value; empty when there is none."""
    known = values[np.isfinite(values)]
    return [float(known.min()), float(known.max())] if len(known) else []


def _outside(valid: dict[str, NDArray[np.float64]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for name in LABELS:
        if name in valid:
            low, high = RANGES[name]
            number = int(((valid[name] < low) | (valid[name] > high)).sum())
            found |= {name: number} if number else {}
    return found


def _scan(files: SpectraFiles, seconds: float) -> tuple[float, int]:
    """Read spectra, which fills `files.codes`; the share of pixels without data, and duplicates."""
    until = time.monotonic() + seconds
    starts = np.arange(0, files.n, PIECE)
    if np.isfinite(seconds):
        starts = np.random.default_rng(0).permutation(starts)
    empty, rows, seen, repeated = 0, 0, set[int](), 0
    for start in starts.tolist():
        stop = min(start + PIECE, files.n)
        flux, error = files.read(start, stop)
        usable = files.usable(start, stop)
        empty += int(np.isinf(error[usable]).sum())
        rows += int(usable.sum())
        keys = [hash(one.tobytes()) for one in flux[usable]]
        before = len(seen)
        seen.update(keys)
        repeated += before + len(keys) - len(seen)
        if time.monotonic() > until:
            break
    return empty / max(rows * len(files.wave), 1), repeated
