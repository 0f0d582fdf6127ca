"""HDF5 files, which anybody may have made: opened, and read from themselves alone, within bounds.

Reads rows without the GIL; reads and writes pandas tables without pandas. Refused by name: links,
virtual and external data, filters from other places, and shapes far beyond what is stored.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError, new_file
from vitlab.contract.reading import Unreadable, open_regular

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

while h5py.h5pl.size():  # else HDF5 loads programs from HDF5_PLUGIN_PATH when a file names a filter
    h5py.h5pl.remove(0)

MOST = 4 << 30
"""Bytes that are read at once; a file may declare any shape."""
SMALL, PACKED = 64 << 20, 1100
"""Above the first, in bytes, at most the second times what is stored: deflate makes it 1032."""
CHUNK = 256 << 20
"""Bytes of a chunk with a filter: for one row of it HDF5 unpacks the whole."""
BROKEN = (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, OverflowError)
"""What h5py raises at a place that is broken, or of a kind that it does not know."""
TEXTS = 1 << 20
"""Bytes of an attribute, of the names of columns, and of a record or text."""


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """`path` opened for reading; `UsageError` when it is missing, not HDF5, or broken inside."""
    try:
        os.close(open_regular(path, follow=True))
        with h5py.File(path, "r") as file:
            yield file
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except Unreadable as error:
        raise UsageError(f"{path}: {error.why}") from None
    except BROKEN as error:
        fits = os.access(path, os.R_OK) and path.open("rb").read(9) == b"SIMPLE  ="
        what = "a FITS file, not HDF5" if fits else f"not a readable HDF5 file ({error})"
        raise UsageError(f"{path}: {what}") from None


class _Disk(io.FileIO):
    """A file whose first failed write is kept, and not told HDF5, which would not survive it."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self.failure: OSError | None = None

    def write(self, data: ReadableBuffer) -> int:
        left = memoryview(data)
        while len(left) and self.failure is None:
            try:
                left = left[super().write(left) or 0 :]
            except OSError as error:
                self.failure = error
        return memoryview(data).nbytes

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
        return size or 0


@contextlib.contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """A new HDF5 file, which replaces `path` once it is whole.

    `UsageError` where the disk does not take it.
    """
    with new_file(path) as new, _Disk(new) as disk:
        try:
            with h5py.File(disk, "w") as file:
                yield file
            os.fsync(disk.fileno())
        except BROKEN:
            if disk.failure is None:
                raise
        if disk.failure is not None:
            raise UsageError(f"{path}: {disk.failure.strerror}")


def find(file: h5py.Group, inside: str) -> h5py.Group | h5py.Dataset | None:
    """The group or data set at the path `inside`; None when there is none.

    `UsageError` for a link on the way, as it may lead to another file, and for a data set whose
    numbers are elsewhere, or of a kind that cannot be bounded.
    """
    place, item = PurePosixPath((file.name or "").lstrip("/")), file
    for name in PurePosixPath(inside).parts:
        place /= name
        where = f"{file.file.filename}: {place}"
        if not isinstance(item, h5py.Group) or not item.id.links.exists(name.encode()):
            return None
        kind = item.id.links.get_info(name.encode()).type
        if kind != h5py.h5l.TYPE_HARD:
            word = {h5py.h5l.TYPE_SOFT: "soft", h5py.h5l.TYPE_EXTERNAL: "external"}.get(kind, "own")
            raise UsageError(f"{where}: a link ({word}) is not followed; copy the data there")
        try:
            item = item[name]
            if isinstance(item, h5py.Dataset):
                _check(item, where)
        except BROKEN as error:
            raise UsageError(f"{where}: cannot be opened ({error})") from None
    return item if isinstance(item, h5py.Group | h5py.Dataset) else None


def find_data(file: h5py.Group, inside: str) -> h5py.Dataset | None:
    """As `find`, for a data set."""
    item = find(file, inside)
    return item if isinstance(item, h5py.Dataset) else None


def _check(data: h5py.Dataset, where: str) -> None:
    if data.is_virtual:
        raise UsageError(f"{where}: a virtual data set, of other files; copy the data there")
    if data.external:
        raise UsageError(f"{where}: stored in another file; copy the data there")
    if data.shape is None:
        raise UsageError(f"{where}: has no values")
    fields = data.dtype.fields or {}
    if any(kind[0].base.kind in "OV" for kind in fields.values()) or data.dtype.subdtype:
        raise UsageError(f"{where}: records that hold references, records or varying lengths")
    if (size := data.dtype.itemsize) > TEXTS:
        raise UsageError(f"{where}: records of {size / 1e6:,.1f} MB, more than {TEXTS >> 20} MiB")
    for name, nothing in (("scale_factor", 1), ("add_offset", 0)):
        if any(value != nothing for value in _numbers(data, name)):
            raise UsageError(f"{where}: has a {name}, which is not applied: store the values")
    check_filters(data, where)
    size *= math.prod(data.chunks or ())
    if data.id.get_create_plist().get_nfilters() and size > CHUNK:
        text = f"filtered in chunks of {size / 1e6:,.0f} MB, more than {CHUNK >> 20} MiB"
        raise UsageError(f"{where}: {text}; rewrite it with smaller ones (`h5repack -l CHUNK=...`)")


def _numbers(data: h5py.Dataset, name: str) -> list[float]:
    """Those of an attribute; none where there is no such, or it is no number."""
    if name not in data.attrs or data.attrs.get_id(name).dtype.kind not in "fiu":
        return []
    if data.attrs.get_id(name).shape is None:  # h5py.Empty
        return []
    if data.attrs.get_id(name).get_storage_size() > TEXTS:
        return [math.nan]
    return [float(x) for x in np.ravel(data.attrs[name])]


def read_array(file: h5py.File, inside: str) -> NDArray[np.generic]:
    """The whole numeric data set at the path `inside`; `UsageError` when there is none."""
    data = find_data(file, inside)
    if data is None or data.dtype.kind not in "fiu":
        raise UsageError(f"{file.filename}: no data set {inside} of numbers")
    values: NDArray[np.generic] = whole(data, f"{file.filename}: {inside}")
    return values


def read_attributes(item: h5py.HLObject, where: str) -> dict[str, Any]:
    """The attributes that are one text or some numbers; references and the like are passed over.

    `UsageError` for one of more than `TEXTS` bytes.
    """
    found = {}
    for name in item.attrs:
        try:
            about = item.attrs.get_id(name)
            plain = about.dtype.kind in "biufS" or h5py.check_string_dtype(about.dtype) is not None
            one = about.shape in ((), (1,))
            if not plain or (about.dtype.kind == "O" and not one):
                continue
            if about.get_storage_size() > TEXTS:
                raise UsageError(f"{where}: its attribute {name} is too large")
            found[name] = item.attrs[name]
        except BROKEN:
            continue  # a type that numpy has not
    return found


PLUGINS = "hdf5plugin"
"""The package with the filters of other HDF5 users; loaded only when a file needs one."""
BUILT_IN = (1, 2, 3, 4, 5, 6, 32000)
"""Deflate, shuffle, checksum, szip, n-bit, scale-offset, LZF: h5py's own."""
IN_PLUGINS = (307, 32001, 32004, 32008, 32013, 32015, 32017, 32018, 32026)
"""Its filters: bzip2, Blosc, LZ4, Bitshuffle, ZFP, Zstandard, SZ, FCIDECOMP, Blosc2."""


def check_filters(data: h5py.Dataset, where: str) -> None:
    """`UsageError` names a filter that this installation cannot undo, and what to install."""
    made = data.id.get_create_plist()
    for k in range(made.get_nfilters()):
        code, _, _, name = made.get_filter(k)
        if code in BUILT_IN and h5py.h5z.filter_avail(code):
            continue
        if code in IN_PLUGINS and importlib.util.find_spec(PLUGINS):
            importlib.import_module(PLUGINS)  # registers its filters
            if h5py.h5z.filter_avail(code):
                continue
        shown = name.decode("utf-8", "replace").partition(";")[0] or "unnamed"
        install = f"`pip install {PLUGINS}`, or " if code in IN_PLUGINS else ""
        raise UsageError(
            f"{where}: compressed with {shown} (HDF5 filter {code}), which h5py cannot undo; "
            f"{install}rewrite the file with `h5repack -f NONE`"
        )


def unset_values(data: h5py.Dataset) -> tuple[float, ...]:
    """What stands where there is no datum: as netCDF says, and what HDF5 returns where nothing
    was ever written, if anything was not. Without those not finite, which are never a datum.
    """
    found = [x for name in ("_FillValue", "missing_value") for x in _numbers(data, name)]
    if data.chunks is not None and data.size and data.id.get_num_chunks() < _chunks(data):
        found.append(float(data.fillvalue))
    return tuple(dict.fromkeys(x for x in found if math.isfinite(x)))


def _chunks(data: h5py.Dataset) -> int:
    """How many chunks there are when all was written."""
    return math.prod(-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True))


def whole(data: h5py.Dataset, where: str) -> NDArray[Any]:
    """All values of a data set; `UsageError` when they cannot be read."""
    size, stored = math.prod(data.shape) * data.dtype.itemsize, data.id.get_storage_size()
    if size > MOST or size > max(SMALL, PACKED * stored):
        raise UsageError(
            f"{where}: shape {data.shape} takes {size / 1e6:,.0f} MB; {stored / 1e6:,.3g} MB are "
            "stored"
        )
    try:
        values: NDArray[Any] = data[()]
    except BROKEN as error:
        raise UsageError(f"{where}: cannot be read ({error})") from None
    return values


@dataclass(frozen=True)
class RawRows:
    """Where the rows of a data set are in its file."""

    dtype: np.dtype[Any]
    width: int
    """Items per row."""
    rows: int
    """Contiguous rows in a run."""
    offsets: tuple[int, ...]
    """File offset of each run, bytes."""

    def read(self, descriptor: int, start: int, out: NDArray[Any]) -> None:
        """Fill `out` (n, width) starting at row `start`. `OSError` also for a short file."""
        done = 0
        while done < len(out):
            run, inside = divmod(start + done, self.rows)
            part = out[done : done + self.rows - inside]
            offset = self.offsets[run] + inside * self.width * self.dtype.itemsize
            if os.preadv(descriptor, [part.data], offset) != part.nbytes:
                raise OSError("the file is truncated")
            done += len(part)


def locate(data: h5py.Dataset) -> RawRows | None:
    """The location of the rows of an (n, W) data set; None when only HDF5 can read them."""
    plain = data.compression is None and not data.shuffle and not data.fletcher32
    native = data.dtype.kind in "fiu" and data.dtype.isnative and data.dtype.itemsize <= 8
    if not plain or not native or data.scaleoffset is not None or data.external:
        return None
    if not data.id.get_type().equal(h5py.h5t.py_create(data.dtype)):
        return None  # numbers in some bits of the bytes, which HDF5 converts
    if data.chunks is None:
        offset = data.id.get_offset()
        runs = () if offset is None else (offset,)
        rows = data.shape[0]
    elif data.chunks[1] == data.shape[1]:
        rows = data.chunks[0]
        if data.id.get_num_chunks() < _chunks(data):
            return None
        locations = [data.id.get_chunk_info_by_coord((r, 0)) for r in range(0, data.shape[0], rows)]
        runs = tuple(chunk.byte_offset for chunk in locations)
    else:
        return None
    if not runs or None in runs:
        return None  # not written yet: HDF5 returns its fill value
    return RawRows(data.dtype, data.shape[1], rows, runs)
