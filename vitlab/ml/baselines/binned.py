"""Training spectra in LightGBM's bins: a byte a pixel, never held as floats, kept on disk."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np

from vitlab.ml.baselines.rows import PIECE, Matrix, Rows
from vitlab.ml.batch import content_hash

BIN_SAMPLE = 5
"""Pieces of rows the borders of the bins are found on, spread over the set."""
ROOM = 16 * 10**9
"""Most bytes the cached sets of a lab may take together; the oldest go first."""
SUFFIX = ".lgb"


@dataclass(frozen=True)
class Binned:
    """A training set ready for trees."""

    data: lgb.Dataset
    text: str
    """Where it came from, for people."""


class _Sequence(lgb.Sequence):
    """Rows made when LightGBM asks for them, a piece at a time."""

    batch_size = PIECE

    def __init__(self, rows: Rows) -> None:
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> Matrix:
        """(rows, L), or (L,) for a number."""
        if isinstance(index, slice):
            start, stop, _ = index.indices(len(self))
            return np.ascontiguousarray(self.rows.piece(start, stop)[0])
        row: Matrix = self.rows.piece(int(index), int(index) + 1)[0][0]
        return row


def dataset_parameters(bins: int, threads: int) -> dict[str, Any]:
    """What LightGBM's sets and trees must agree on."""
    return {
        "max_bin": bins,
        # The borders come from `sample`, so all of its rows count.
        "bin_construct_sample_cnt": BIN_SAMPLE * PIECE,
        # The sample is smaller than the set: what a leaf may split says nothing about it.
        "feature_pre_filter": False,
        "force_col_wise": True,
        "num_threads": threads,
        "verbosity": -1,
    }


def binned(rows: Rows, parameters: Mapping[str, Any], cache: Path | None) -> Binned:
    """The rows in bins, from the folder `cache` where they are known; `None`: nothing is kept."""
    begun = time.perf_counter()
    path = None if cache is None else cache / f"{_key(rows, parameters)}{SUFFIX}"
    if path is not None and (found := _load(path, rows, parameters)) is not None:
        return Binned(found, f"{len(rows)} spectra in bins from {path.name}")
    data = _make(rows, dict(parameters))
    text = f"binned {len(rows)} spectra in {time.perf_counter() - begun:.1f} s"
    if path is not None:
        text += _keep(data, path, len(rows) * rows.spectra.pixels)
    return Binned(data, text)


def sample(rows: Rows) -> Matrix:
    """Pieces of rows spread over the set: single rows would make LightGBM simulate all of it."""
    starts = np.linspace(0, len(rows) - PIECE, BIN_SAMPLE).astype(int)
    return np.concatenate([rows.piece(start, start + PIECE)[0] for start in starts.tolist()])


def _make(rows: Rows, parameters: dict[str, Any]) -> lgb.Dataset:
    # The labels stay outside the set, which would hold only one of them.
    none = np.zeros(len(rows), dtype=np.float32)
    if len(rows) <= BIN_SAMPLE * PIECE:
        x = rows.piece(0, len(rows))[0]
        return lgb.Dataset(x, label=none, params=parameters).construct()
    few = sample(rows)
    borders = lgb.Dataset(few, label=none[: len(few)], params=parameters).construct()
    del few
    data = lgb.Dataset(_Sequence(rows), label=none, reference=borders, params=parameters)
    return data.construct()


def _key(rows: Rows, parameters: Mapping[str, Any]) -> str:
    parts = [
        "bins-1",
        lgb.__version__,
        rows.spectra.hash,
        len(rows),
        rows.copies,
        rows.inputs.kind,
        parameters["max_bin"],
        BIN_SAMPLE,
    ]
    first = rows.piece(0, 1)[0].tobytes()  # the same spectra, seen through the same input
    return content_hash([str(part) for part in parts], first)


def _load(path: Path, rows: Rows, parameters: Mapping[str, Any]) -> lgb.Dataset | None:
    """The set in `path`; a file that is damaged is removed."""
    if not path.is_file():
        return None
    mark = path.with_suffix(".sum")
    if not mark.is_file() or mark.read_text("ascii", "replace") != _checksum(path):
        path.unlink(missing_ok=True)
        return None
    data = lgb.Dataset(path, params=dict(parameters)).construct()
    if data.num_data() != len(rows):
        return None
    os.utime(path)  # the oldest go first
    return data


def _checksum(path: Path) -> str:
    """LightGBM trusts what it loads, so a file cut short or changed must not get there."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _keep(data: lgb.Dataset, path: Path, size: int) -> str:
    """Save a set of about `size` bytes, whole or not at all; what a note adds about it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if size > ROOM or size > shutil.disk_usage(path.parent).free / 2:
        return f"; {size / 1e9:.1f} GB are too many to keep"
    _make_room(path.parent, size)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        data.save_binary(temporary)
        mark = path.with_suffix(".sum")
        mark.write_text(_checksum(temporary), "ascii")
        temporary.replace(path)
    except (OSError, lgb.basic.LightGBMError) as error:
        return f"; not kept for another time: {error}"
    finally:
        temporary.unlink(missing_ok=True)
    return ""


def _make_room(folder: Path, size: int) -> None:
    known = sorted(folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
    taken = sum(path.stat().st_size for path in known)
    for path in known:
        if taken + size <= ROOM:
            return
        taken -= path.stat().st_size
        path.unlink(missing_ok=True)
        path.with_suffix(".sum").unlink(missing_ok=True)
