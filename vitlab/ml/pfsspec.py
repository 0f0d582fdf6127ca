"""Reads the HDF5 files of ga_pfsspec: spectra on one wavelength grid, and their parameters."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.ml.grid import open_hdf5

WAVE = "spectrumdataset/wave"
FLUX = "dataset/arrays/flux/value"
ERROR = "dataset/arrays/error/value"
MASK = "dataset/arrays/mask/value"
PARAMS = "dataset/params/table"


@dataclass(frozen=True)
class PfsspecFile:
    """A file whose layout has been checked; its rows are read by `read_rows`."""

    path: Path
    wave: NDArray[np.float64]
    """(W,) Angstrom."""
    n: int
    """Spectra in the file."""
    params: dict[str, NDArray[np.generic]]
    """(n,) for each column, row k belonging to spectrum k."""


def open_pfsspec(path: Path) -> PfsspecFile:
    """Check the layout of `path`. `UsageError` names the file and what is wrong inside."""
    with open_hdf5(path) as file:
        for inside in (FLUX, ERROR, WAVE, PARAMS):
            if not isinstance(file.get(inside), h5py.Dataset):
                raise UsageError(f"{path}: no data set {inside}{_layout_hint(file)}")
        n, pixels = file[FLUX].shape
        for inside, shape in ((ERROR, (n, pixels)), (WAVE, (pixels,)), (MASK, (n, pixels))):
            if inside in file and file[inside].shape != shape:
                raise UsageError(f"{path}: {inside}: shape {file[inside].shape}, not {shape}")
        params = _read_params(file[PARAMS], path)
        wave = file[WAVE][()].astype(np.float64)
    return PfsspecFile(path, wave, n, _aligned(params, n, path))


def read_rows(path: Path, start: int, stop: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(rows, W) flux over its median and 1-sigma error in the same unit.

    A masked, unset or non-finite pixel becomes flux 1 with an infinite error.
    """
    with open_hdf5(path) as file:
        flux = file[FLUX][start:stop].astype(np.float32)
        error = file[ERROR][start:stop].astype(np.float32)
        good = np.isfinite(flux) & np.isfinite(error) & (error > 0)
        if MASK in file:
            good &= file[MASK][start:stop] == 0
    scale = np.nanmedian(np.where(good, flux, np.nan), axis=1, keepdims=True)
    usable = good & (scale > 0)
    safe = np.where(scale > 0, scale, 1)
    return (
        np.where(usable, flux / safe, np.float32(1)).astype(np.float32),
        np.where(usable, error / safe, np.float32(np.inf)).astype(np.float32),
    )


def _layout_hint(file: h5py.File) -> str:
    if "dataset/arrays/wave/value" in file:
        return " (every spectrum has its own wavelength grid: not supported)"
    if "flux" in file and "params" in file:
        return " (the layout from before 2022, with flux at the root: not supported)"
    if "dataset/params/block0_items" in file:
        return " (params in pandas' fixed format from before 2020-11: not supported)"
    return ""


class _PlainUnpickler(pickle.Unpickler):
    """Lists, texts and numbers only: names of classes are never resolved."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"asks for {module}.{name}")


def _unpickled(value: object, path: Path) -> Any:
    data = value.encode("utf-8") if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
    try:
        return _PlainUnpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError) as error:
        raise UsageError(f"{path}: {PARAMS}: column names are no plain list ({error})") from None


def _read_params(table: h5py.Dataset, path: Path) -> dict[str, NDArray[np.generic]]:
    """The columns of a pandas table, numbers only, without pandas.

    Each field of the table is a block of columns of one type; the attribute `<field>_kind`
    holds their names, pickled.
    """
    rows = table[()]
    columns: dict[str, NDArray[np.generic]] = {"index": rows["index"]}
    for block in rows.dtype.names:
        kind = table.attrs.get(f"{block}_kind")
        if block == "index" or kind is None:
            continue
        names = _unpickled(kind, path)
        values = rows[block].reshape(len(rows), -1)
        if not isinstance(names, list) or len(names) != values.shape[1]:
            raise UsageError(f"{path}: {PARAMS}: {block}_kind does not name its columns")
        if values.dtype.kind in "fiu":
            columns.update({str(name): values[:, i] for i, name in enumerate(names)})
    return columns


def _aligned(
    columns: dict[str, NDArray[np.generic]], n: int, path: Path
) -> dict[str, NDArray[np.generic]]:
    """Row k of every column for spectrum k: by the column `id`, else by the frame's index."""
    identity = columns.get("id", columns["index"])
    if len(identity) != n or not np.array_equal(np.sort(identity), np.arange(n)):
        raise UsageError(
            f"{path}: {PARAMS}: {len(identity)} rows whose ids are not 0 to {n - 1}, "
            f"so they cannot be matched to the {n} spectra"
        )
    order = np.argsort(identity, kind="stable")
    return {name: values[order] for name, values in columns.items()}
