"""Read and write ga_pfsspec's HDF5 files: spectra on one wavelength grid, and parameters."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.excluded import UNREAD, USABLE
from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.reading import read_regular
from vitlab.ml.spectra.formats.frames import Columns, read_frame, write_frame
from vitlab.ml.spectra.formats.wavelengths import Axis, read_axis
from vitlab.ml.spectra.hdf5 import (
    RawRows,
    find,
    find_data,
    locate,
    new_hdf5,
    open_hdf5,
    read_array,
    read_attributes,
    unset_values,
)
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.simulate import Simulator

WAVE = "spectrumdataset/wave"
FLUX = "dataset/arrays/flux/value"
ERROR = "dataset/arrays/error/value"
MASK = "dataset/arrays/mask/value"
PARAMS = "dataset/params"
SHARDS = "shard_index.txt"
MOST_PIXELS = 1 << 20
"""Of a spectrum."""
PIECE = 32
"""Spectra read at once (three arrays of 1 MB)."""

Rows = NDArray[np.float32]

SENTINELS = (-999.0, -9999.0)
"""Written by many programs for "no datum"."""
ABSURD_FLUX = 1e6
"""No datum: a flux beyond this many times the spectrum's median, as 1e20 is."""
ABSURD_ERROR = 100.0
"""No datum: an error beyond this many times the spectrum's median error, as 999 or 1e10 are. The
brightest sky line makes it 14."""
HELD = (1e-30, 1e30)
"""Median fluxes that float32 holds well."""
FEW = 8
"""Spectra that show the size of a file's numbers."""
MIN_DATA = 0.5
"""Smallest share of pixels with data in a spectrum."""


@dataclass(frozen=True)
class PfsspecFile:
    """A file whose layout has been checked."""

    path: Path
    axis: Axis
    n: int
    """Spectra in the file."""
    params: Columns  # (n,) for each column; row k belongs to spectrum k
    scales: Rows
    """(n,) cached medians of the flux: computing one takes twice as long as reading the row."""
    codes: NDArray[np.uint8]
    """(n,) what is known of each spectrum: a character of `excluded` as its ASCII code."""
    unset: dict[str, tuple[float, ...]]
    """Data set -> what stands where there is no datum, if it is known of any."""
    locations: dict[str, RawRows | None]
    """Where flux, error and mask (if any) are in the file."""
    seen: dict[tuple[int, int], bytes]
    """Bytes and mtime (ns) with which it was read -> `_sample_digest`, the same for all of them."""
    factor: float = 1.0
    """Applied before the numbers become float32, which holds none below 1e-38."""

    @property
    def wave(self) -> NDArray[np.float64]:
        """(W,) Angstrom, ascending."""
        return self.axis.wave


@dataclass(frozen=True)
class SpectraFiles:
    """One or more files with the same pixels, as one sequence of spectra."""

    path: Path
    files: tuple[PfsspecFile, ...]

    @property
    def n(self) -> int:
        return sum(file.n for file in self.files)

    @property
    def wave(self) -> NDArray[np.float64]:
        return self.files[0].wave

    @property
    def medium(self) -> str:
        """`air` or `vacuum`, as a file says; empty when none does."""
        return next((file.axis.medium for file in self.files if file.axis.medium), "")

    @property
    def codes(self) -> str:
        """What is known of each spectrum: `vitlab.contract.excluded`."""
        return b"".join(file.codes.tobytes() for file in self.files).decode("ascii")

    def usable(self, start: int, stop: int) -> NDArray[np.bool_]:
        """Which spectra that have been read are usable."""
        part = np.concatenate([file.codes for file in self.files])[start:stop]
        known: NDArray[np.bool_] = part == ord(USABLE)
        return known

    @property
    def params(self) -> Columns:
        """The columns that all files have."""
        shared = set.intersection(*(set(file.params) for file in self.files))
        names = [name for name in self.files[0].params if name in shared]
        return {name: np.concatenate([file.params[name] for file in self.files]) for name in names}

    def read(self, start: int, stop: int) -> tuple[Rows, Rows]:
        """(rows, W) flux and error of spectra `start` to `stop`, as from `read_rows`."""
        parts = []
        first = 0
        for file in self.files:
            low, high = max(start - first, 0), min(stop - first, file.n)
            if low < high:
                parts.append(read_rows(file, low, high))
            first += file.n
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    def read_between(self, rows: NDArray[np.int64]) -> tuple[Rows, Rows]:
        """Ascending rows, and what lies between them, read at once."""
        if not len(rows):
            return (np.empty((0, len(self.wave)), np.float32),) * 2
        flux, error = self.read(int(rows[0]), int(rows[-1]) + 1)
        if len(flux) == len(rows):
            return flux, error
        return flux[rows - rows[0]], error[rows - rows[0]]


def shard_paths(path: Path) -> tuple[Path, ...]:
    """The files of a file, a folder of shards, or its index. `UsageError` names what is wrong."""
    index = path / SHARDS if path.is_dir() else path
    if index.suffix != ".txt":
        return (path,)
    try:
        text = read_regular(index, follow=True).decode()
        if "\0" in text:
            raise ValueError("it holds NUL characters")
    except (OSError, ValueError) as error:
        raise UsageError(f"{index}: not a readable list of shards ({error})") from None
    lines = text.splitlines()
    names = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    if not names:
        raise UsageError(f"{index}: lists no shards")
    if twice := next((name for name, n in Counter(names).items() if n > 1), None):
        raise UsageError(f"{index}: lists {twice} twice")
    return tuple(index.parent / name for name in names)


def open_spectra_files(path: Path) -> SpectraFiles:
    """A file, a folder of shards, or its index. `UsageError` names the file and the location."""
    found = SpectraFiles(path, tuple(map(open_pfsspec, shard_paths(path))))
    for file in found.files[1:]:
        if not np.array_equal(file.wave, found.wave):
            raise UsageError(f"{file.path}: {WAVE}: pixels differ from {found.files[0].path.name}")
        if file.axis.medium not in ("", found.medium):
            media = f"in {file.axis.medium}, others in {found.medium}"
            raise UsageError(f"{file.path}: {WAVE}: {media}")
    return found


def open_pfsspec(path: Path) -> PfsspecFile:
    """Open `path` and check its layout. `UsageError` names the file and the problem."""
    with open_hdf5(path) as file:
        written = _written(path.stat())
        arrays = {x: data for x in (FLUX, ERROR, MASK, WAVE) if (data := find_data(file, x))}
        for inside in (FLUX, ERROR, WAVE):
            if inside not in arrays:
                raise UsageError(f"{path}: no data set {inside}{_layout_hint(file)}")
        flux, wave = arrays[FLUX], arrays[WAVE]
        if flux.ndim != 2 or not flux.shape[0]:
            raise UsageError(f"{path}: {FLUX}: shape {flux.shape}, not (spectra, pixels)")
        n, pixels = flux.shape
        if pixels > MOST_PIXELS:
            raise UsageError(f"{path}: {FLUX}: {pixels:,} pixels, more than {MOST_PIXELS:,}")
        for inside, data in arrays.items():
            shape = (pixels,) if inside == WAVE else (n, pixels)
            if data.shape != shape:
                raise UsageError(f"{path}: {inside}: shape {data.shape}, not {shape}")
            if data.dtype.kind not in _kinds(inside):
                raise UsageError(f"{path}: {inside}: {data.dtype} instead of numbers")
        # First of all, as a table has all its rows in the file, and `n` is only declared.
        params = _aligned(read_frame(file, PARAMS, path, n), n, path)
        where = f"{path}: {WAVE}"
        axis = read_axis(read_array(file, WAVE), read_attributes(wave, where), where)
        del arrays[WAVE]
        read = {x: arrays[x] for x in (FLUX, ERROR)}
        unset = {x: values for x, data in read.items() if (values := unset_values(data))}
        locations = {x: locate(data) for x, data in arrays.items()}
        factor, digest = _factor(flux[:FEW]), _sample_digest(arrays)
    unknown = np.full(n, ord(UNREAD), dtype=np.uint8)
    scales = np.empty(n, np.float32)
    seen = {written: digest}
    return PfsspecFile(path, axis, n, params, scales, unknown, unset, locations, seen, factor)


def _kinds(inside: str) -> str:
    """Of numbers; of a mask also true and false."""
    return "fiub" if inside == MASK else "fiu"


def _written(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _sample_digest(arrays: Mapping[str, h5py.Dataset]) -> bytes:
    """A digest of `FEW` spectra all over the file, with errors and mask."""
    digest = hashlib.sha256()
    for data in arrays.values():
        for row in sorted({round(k * (len(data) - 1) / (FEW - 1)) for k in range(FEW)}):
            digest.update(data[row].tobytes())
    return digest.digest()


def _check_unchanged(
    source: PfsspecFile, arrays: Mapping[str, h5py.Dataset], written: tuple[int, int]
) -> None:
    """`UsageError` if there are other spectra: what was read before is not of these.

    One that was only touched or copied anew has the same.
    """
    if written not in source.seen:
        digest = _sample_digest(arrays)
        if digest not in source.seen.values():
            raise UsageError(f"{source.path}: holds other spectra than when it was opened")
        source.seen[written] = digest


def _factor(flux: NDArray[Any]) -> float:
    """1, or what brings some spectra near 1 whose unit makes them too small or large."""
    size = abs(flux.astype(np.float64))
    size = size[np.isfinite(size) & (size > 0)]
    middle = float(np.median(size)) if len(size) else 1.0
    return 1.0 if HELD[0] < middle < HELD[1] else 1 / middle


def read_rows(source: PfsspecFile, start: int, stop: int) -> tuple[Rows, Rows]:
    """(rows, W) flux over its median and 1-sigma error in the same unit, float32.

    A pixel has no data if its mask is not 0 (unset cells are -1; there may be no mask), its flux or
    error is not finite, never written, a sentinel or absurdly large, or its error is <= 0; it gets
    flux 1 and an infinite error. So does every pixel of an unusable spectrum; `source.codes` says
    why it is. `UsageError` if the file holds other spectra than when it was opened.
    """
    flux = np.empty((stop - start, len(source.wave)), dtype=np.float32)
    error = np.empty_like(flux)
    with open_hdf5(source.path) as file, source.path.open("rb", buffering=0) as raw:
        # Small pieces into the same buffers each time, which stay in the processor's cache.
        shape = (min(PIECE, stop - start), len(source.wave))
        arrays = {inside: _again(file, inside, source) for inside in source.locations}
        _check_unchanged(source, arrays, _written(os.fstat(raw.fileno())))
        buffers = {inside: np.empty(shape, dtype=data.dtype) for inside, data in arrays.items()}
        for first in range(start, stop, PIECE):
            last = min(first + PIECE, stop)
            parts = [buffer[: last - first] for buffer in buffers.values()]
            for (inside, location), part in zip(source.locations.items(), parts, strict=True):
                try:
                    if location is None:
                        arrays[inside].read_direct(part, np.s_[first:last])
                    else:
                        location.read(raw.fileno(), first, part)
                except OSError as error_:
                    raise UsageError(
                        f"{source.path}: {inside}: cannot be read ({error_})"
                    ) from None
            rows = slice(first - start, last - start)
            _normalise(source, slice(first, last), parts, flux[rows], error[rows])
    if source.axis.reversed:
        return flux[:, ::-1].copy(), error[:, ::-1].copy()
    return flux, error


def _again(file: h5py.File, inside: str, source: PfsspecFile) -> h5py.Dataset:
    """A data set that `open_pfsspec` has looked at."""
    data = file.get(inside)
    shape = (source.n, len(source.wave))
    if (
        not isinstance(data, h5py.Dataset)
        or data.shape != shape
        or data.dtype.kind not in _kinds(inside)
    ):
        raise UsageError(f"{source.path}: {inside}: has changed while it was read")
    return data


def _normalise(
    source: PfsspecFile, rows: slice, parts: list[NDArray[Any]], flux: Rows, error: Rows
) -> None:
    """Fill flux and error of `rows`, and what is known of them, from the file's arrays."""
    with np.errstate(
        over="ignore", invalid="ignore"
    ):  # what float32 cannot hold becomes infinite: no datum
        for out, part in zip((flux, error), parts, strict=False):
            out[:] = part if source.factor == 1 else part * source.factor
    mask = parts[2] if len(parts) == 3 else None
    scales, codes = source.scales[rows], source.codes[rows]
    # If sums and extremes are fine, pixels need not be checked individually.
    low = error.min(axis=1)
    if (
        (mask is None or not mask.any())
        and not source.unset
        and low.min() > 0
        and (error.max(axis=1) < ABSURD_ERROR * low).all()
        and np.isfinite(flux.sum())
    ):
        lowest, highest = flux.min(axis=1), flux.max(axis=1)
        if (codes == ord(UNREAD)).any():
            scales[:] = np.median(flux, axis=1)
        fine = (scales > 0) & (lowest < highest) & (lowest > max(SENTINELS))
        if (fine & (np.maximum(highest, -lowest) < ABSURD_FLUX * scales)).all():
            codes[:] = ord(USABLE)
            flux /= scales[:, None]
            error /= scales[:, None]
            return
    for k in range(len(flux)):
        good, hidden = _data(source, parts, k, flux[k], error[k])
        code = _code(flux[k], error[k], good, hidden)
        codes[k] = ord(code)
        if code == USABLE:
            scales[k] = np.median(flux[k, good])
            flux[k] /= scales[k]
            error[k] /= scales[k]
            flux[k, ~good], error[k, ~good] = 1, np.inf
        else:
            flux[k], error[k] = 1, np.inf


def _data(
    source: PfsspecFile, parts: list[NDArray[Any]], k: int, flux: Rows, error: Rows
) -> tuple[NDArray[np.bool_], bool]:
    """(W,) which pixels have data, and whether a mask hides all."""
    good = np.isfinite(flux) & np.isfinite(error) & (error > 0)
    for inside, values in source.unset.items():
        for value in values:
            good &= parts[0 if inside == FLUX else 1][k] != value
    for value in SENTINELS:
        good &= flux != value
    if len(parts) == 3:
        open_ = parts[2][k] == 0
        good &= open_
        if not open_.any():
            return good, True
    if good.any():
        middle, sigma = np.median(flux[good]), np.median(error[good])
        if middle:
            good &= abs(flux) < ABSURD_FLUX * abs(middle)
        good &= error < ABSURD_ERROR * sigma
    return good, False


def _code(flux: Rows, error: Rows, good: NDArray[np.bool_], hidden: bool) -> str:
    """What a spectrum is: `USABLE` or a key of `REASONS`."""
    if hidden:
        return "m"
    if not good.any():
        return "f" if (np.isfinite(error) & (error > 0)).any() else "e"
    if good.mean() < MIN_DATA:
        return "p"
    if flux[good].min() == flux[good].max():
        return "c"
    return USABLE if np.median(flux[good]) > 0 else "n"


def _layout_hint(file: h5py.File) -> str:
    for name in ("ivar", "variance", "var", "sigma", "flux_err"):
        if find(file, "dataset/arrays/flux") and find(file, f"dataset/arrays/{name}"):
            return f" (dataset/arrays/{name} is not read: write 1-sigma errors as {ERROR})"
    if find(file, "dataset/arrays/wave/value"):
        return " (every spectrum has its own wavelength grid: not supported)"
    if find(file, "flux") and find(file, "params"):
        return " (the pre-2022 layout, with flux at the root: not supported)"
    return ""


def _aligned(columns: Columns, n: int, path: Path) -> Columns:
    """The columns in the order of the spectra, by `id` if present, else by the index."""
    identity = columns.get("id", columns.get("index", np.empty(0)))
    numbers = identity.dtype.kind in "fiu"
    if len(identity) != n or not numbers or (np.sort(identity) != np.arange(n)).any():
        raise UsageError(
            f"{path}: {PARAMS}: {len(identity)} rows whose ids are not 0 to {n - 1}, "
            f"so they cannot be matched to the {n} spectra"
        )
    order = np.argsort(identity, kind="stable")
    return {name: values[order] for name, values in columns.items()}


WRITE_PIECE = 1024
"""Spectra written at once (33 MB per array)."""


def make_file(simulator: Simulator, start: int, stop: int, out: Path) -> Iterator[int]:
    """Write the training stars `start` to `stop`; yields the number done.

    The flux has no noise: it is added when the spectra are read. `out` appears only when it is
    complete; `UsageError` if it already exists.
    """
    if out.exists():
        raise UsageError(f"{out}: already exists; nothing was written")
    if not out.parent.is_dir():
        raise UsageError(f"{out}: no folder {out.parent}")
    n = stop - start
    snr = np.empty(n)
    with new_hdf5(out) as file:
        file[WAVE] = simulator.grid.wave
        shape = (n, len(simulator.grid.wave))
        chunks = chunk_shape(shape)
        flux = file.create_dataset(FLUX, shape, np.float64, chunks=chunks)
        error = file.create_dataset(ERROR, shape, np.float64, chunks=chunks)
        mask = file.create_dataset(MASK, shape, np.int64, chunks=chunks)
        for first in range(0, n, WRITE_PIECE):
            rows = slice(first, min(first + WRITE_PIECE, n))
            stars = simulator.stars("train", start + rows.start, start + rows.stop)
            clean, sigma = simulator.observe(stars, None)
            flux[rows], error[rows] = clean.double().numpy(), sigma.double().numpy()
            mask[rows] = 0
            snr[rows] = torch.median(clean / sigma, dim=1).values.numpy()
            yield rows.stop
        write_frame(file, PARAMS, _columns(simulator, start, stop, snr))


def make_shards(simulator: Simulator, n: int, shards: int, folder: Path) -> Iterator[int]:
    """Write `n` stars to `shards` files in a new folder, and their index; yields the number done.

    The index is written last: a folder with an index is complete.
    """
    if folder.exists():
        raise UsageError(f"{folder}: already exists; nothing was written")
    edges = np.linspace(0, n, shards + 1).astype(int)
    names = [f"shard_{k:03d}.h5" for k in range(shards)]
    folder.mkdir()
    for name, start, stop in zip(names, edges[:-1], edges[1:], strict=True):
        for done in make_file(simulator, int(start), int(stop), folder / name):
            yield int(start) + done
    write_atomic(folder / SHARDS, "".join(f"{name}\n" for name in names).encode())


def chunk_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """ga_pfsspec's chunk shape: None below 2^20 elements, else by the size of each dimension."""
    if np.prod(shape) < 2**20:
        return None
    return tuple(_chunk_length(length) for length in shape)


def _chunk_length(length: int) -> int:
    if length <= 128:
        return 1
    if length <= 1024:
        return 64
    return length if length <= 65536 else 4096


def _columns(
    simulator: Simulator, start: int, stop: int, snr: np.typing.NDArray[np.float64]
) -> dict[str, np.typing.NDArray[np.generic]]:
    stars = simulator.stars("train", start, stop)
    n = len(stars)
    columns: dict[str, np.typing.NDArray[np.generic]] = {
        "id": np.arange(n, dtype=np.int64),
        "redshift": np.zeros(n),
        "snr": snr,
        "mag": stars.mag,
        "random_seed": np.full(n, simulator.seed, dtype=np.int64),
        "M_H": stars.labels[:, LABELS.index("M_H")],
        "T_eff": stars.labels[:, LABELS.index("T_eff")],
        "log_g": stars.labels[:, LABELS.index("log_g")],
    }
    return columns
