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
import pickle
import pickletools
from collections.abc import Iterator, Mapping
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
BROKEN = (OSError, RuntimeError, ValueError, TypeError, KeyError, IndexError, OverflowError)
"""What h5py raises at a place that is broken, or of a kind that it does not know."""
TEXTS = 1 << 20
"""Bytes of an attribute, and of the names of columns."""
MOST_BLOCKS = 1000
"""Of a pandas frame."""


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
    check_filters(data, where)


def read_array(file: h5py.File, inside: str) -> NDArray[np.generic]:
    """The whole numeric data set at the path `inside`; `UsageError` when there is none."""
    data = find_data(file, inside)
    if data is None or data.dtype.kind not in "fiu":
        raise UsageError(f"{file.filename}: no data set {inside} of numbers")
    values: NDArray[np.generic] = _whole(data, f"{file.filename}: {inside}")
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


def unset_value(data: h5py.Dataset) -> float | None:
    """What HDF5 returns where nothing was ever written.

    None when all was written, or the value is not finite, which is never a datum.
    """
    if data.chunks is None or not data.size:
        return None
    chunks = _chunks(data)
    value = float(data.fillvalue)
    if data.id.get_num_chunks() == chunks or not np.isfinite(value):
        return None
    return value


def _chunks(data: h5py.Dataset) -> int:
    """How many chunks there are when all was written."""
    return math.prod(-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True))


def _whole(data: h5py.Dataset, where: str) -> NDArray[Any]:
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


Columns = dict[str, NDArray[Any]]


def read_frame(file: h5py.File, inside: str, path: Path) -> Columns:
    """The columns of the frame in the group `inside`, and its index as `index`.

    Reads pandas' layouts `table`, and `fixed` without strings. A missing string is empty, a
    missing number NaN. `UsageError` names the file and the problem.
    """
    group = find(file, inside)
    if isinstance(group, h5py.Group):
        where = f"{path}: {inside}"
        attributes = read_attributes(group, where)
        if (table := find_data(group, "table")) is not None:
            return _read_table(table, f"{where}/table", _missing_text(attributes))
        if "nblocks" in attributes:
            return _read_fixed(group, attributes["nblocks"], where)
    raise UsageError(f"{path}: no pandas table in {inside}")


def write_frame(file: h5py.File, inside: str, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write float64 and int64 columns in `table` format, readable by `pandas.read_hdf`."""
    n = len(next(iter(columns.values())))
    blocks = [
        (kind, [name for name, values in columns.items() if values.dtype == kind])
        for kind in (np.dtype(np.float64), np.dtype(np.int64))
    ]
    blocks = [(kind, names) for kind, names in blocks if names]
    fields: list[Any] = [("index", np.int64)]
    fields += [(f"values_block_{i}", k, (len(names),)) for i, (k, names) in enumerate(blocks)]
    rows = np.zeros(n, dtype=fields)
    rows["index"] = np.arange(n)
    for i, (_, names) in enumerate(blocks):
        rows[f"values_block_{i}"] = np.column_stack([columns[name] for name in names])
    group = file.require_group(inside)
    table = group.create_dataset("table", data=rows, maxshape=(None,), chunks=(min(n, 4096) or 1,))
    _write_attributes(group, _group_attributes(list(columns), len(blocks)))
    _write_attributes(table, _table_attributes(n, blocks))


def _group_attributes(names: list[str], blocks: int) -> dict[str, Any]:
    values = [f"values_block_{i}" for i in range(blocks)]
    info: dict[Any, Any] = {1: {"names": [None], "type": "Index"}, "index": {}}
    return {
        "CLASS": "GROUP",
        "VERSION": "1.0",
        "pandas_type": "frame_table",
        "pandas_version": "0.15.2",
        "table_type": "appendable_frame",
        "encoding": "UTF-8",
        "errors": "strict",
        "nan_rep": "nan",
        "levels": np.int64(1),
        "index_cols": [(0, "index")],
        "values_cols": values,
        "non_index_axes": [(1, names)],
        "data_columns": [],
        "info": {**info, **{name: {} for name in values}},
    }


def _table_attributes(n: int, blocks: list[tuple[np.dtype[Any], list[str]]]) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "CLASS": "TABLE",
        "VERSION": "2.7",
        "NROWS": np.int64(n),
        "FIELD_0_NAME": "index",
        "FIELD_0_FILL": np.int64(0),
        "index_kind": "integer",
    }
    for i, (kind, names) in enumerate(blocks):
        field = f"values_block_{i}"
        attributes |= {
            f"FIELD_{i + 1}_NAME": field,
            f"FIELD_{i + 1}_FILL": kind.type(0),
            f"{field}_kind": names,
            f"{field}_dtype": kind.name,
            f"{field}_meta": None,
        }
    return attributes


def _write_attributes(item: h5py.Group | h5py.Dataset, attributes: Mapping[str, Any]) -> None:
    """Strings and numbers as they are, anything else pickled, as PyTables does.

    PyTables tells a string (UTF-8) from a pickle (ASCII) by its character set.
    """
    for name, value in attributes.items():
        if isinstance(value, str):
            item.attrs.create(name, value, dtype=h5py.string_dtype("utf-8", len(value)))
        elif isinstance(value, np.generic):
            item.attrs[name] = value
        else:
            item.attrs[name] = np.bytes_(pickle.dumps(value, protocol=0))


def _names(value: object, where: str) -> list[str]:
    """A pickled list of column names, read by its codes: nothing in it is run."""
    try:
        if not isinstance(value, str | bytes):
            raise ValueError("no text")
        data = value.encode("utf-8") if isinstance(value, str) else value
        return [str(name) for name in _listed(data)]
    except (ValueError, KeyError) as error:
        raise UsageError(f"{where}: column names are not a plain list ({error})") from None


def _listed(data: bytes) -> Iterator[object]:
    """The texts and numbers of a pickled list of them; `ValueError` for anything else."""
    memo: dict[object, object] = {}
    last: object = None
    for code, value, _ in pickletools.genops(data):
        match code.name:
            case "PROTO" | "FRAME" | "MARK" | "LIST" | "EMPTY_LIST" | "APPEND" | "APPENDS" | "STOP":
                continue
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[value] = last
                continue
            case "MEMOIZE":
                memo[len(memo)] = last
                continue
            case "GET" | "BINGET" | "LONG_BINGET":
                last = memo[value]
            case "STRING" | "BINSTRING" | "SHORT_BINSTRING":
                last = value
            case name if "UNICODE" in name or name.removeprefix("BIN")[:3] in ("INT", "LON"):
                last = value
            case name:
                raise ValueError(f"it has {name}")
        yield last


def _missing_text(attributes: Mapping[str, Any]) -> bytes:
    """How a missing string is written; pandas 3 omits the attribute."""
    value = attributes.get("nan_rep", b"nan")
    return bytes(value) if isinstance(value, bytes) and value != b"N." else b"nan"


def _read_table(table: h5py.Dataset, where: str, missing: bytes) -> Columns:
    """Read a `table`: each field is a block of columns of one type, named in `<field>_kind`."""
    fields = table.dtype.names or ()
    if "index" not in fields or table.ndim != 1:
        raise UsageError(f"{where}: no field index")
    attributes = read_attributes(table, where)
    rows = _whole(table, where)
    columns: Columns = {"index": rows["index"]}
    for block in fields:
        if block == "index" or f"{block}_kind" not in table.attrs:
            continue
        names = _names(attributes.get(f"{block}_kind"), where)
        values = rows[block].reshape(len(rows), math.prod(rows[block].shape[1:]))
        if len(names) != values.shape[1]:
            raise UsageError(f"{where}: {block}_kind does not name its {values.shape[1]} columns")
        if attributes.get(f"{block}_dtype") == b"bool":
            values = values.astype(bool)
        for i, name in enumerate(names):
            column = values[:, i]
            columns[name] = _texts(column, missing) if column.dtype.kind == "S" else column
    return columns


def _texts(column: NDArray[Any], missing: bytes) -> NDArray[Any]:
    return np.array(["" if x == missing else x.decode("utf-8", "replace") for x in column])


def _read_fixed(group: h5py.Group, blocks: object, where: str) -> Columns:
    if not isinstance(blocks, np.integer | int) or not 0 <= blocks <= MOST_BLOCKS:
        raise UsageError(f"{where}: nblocks is not a number of blocks")
    axis = find_data(group, "axis1")
    columns: Columns = {}
    if axis is not None and axis.dtype.kind != "O":
        columns["index"] = _whole(axis, f"{where}/axis1")
    for k in range(int(blocks)):
        items, values = find_data(group, f"block{k}_items"), find_data(group, f"block{k}_values")
        if items is None or values is None:
            raise UsageError(f"{where}: no block{k}_items and block{k}_values")
        names = _item_names(items, f"{where}/block{k}_items")
        if values.dtype.kind not in "fiub":
            raise UsageError(
                f"{where}: block{k}_values ({', '.join(names)}) holds pickled objects, which are "
                "never read; write the frame with format='table'"
            )
        if values.ndim != 2 or values.shape[1] != len(names):
            raise UsageError(f"{where}: block{k}_items does not name its columns")
        cells = _whole(values, f"{where}/block{k}_values")
        columns |= {name: cells[:, i] for i, name in enumerate(names)}
    return columns


def _item_names(items: h5py.Dataset, where: str) -> list[str]:
    """The names of a block's columns."""
    if items.ndim != 1 or items.dtype.kind not in "OSiu":
        raise UsageError(f"{where}: is not a list of names")
    if items.dtype.kind != "O":
        return [_name(x) for x in _whole(items, where)]
    if h5py.check_string_dtype(items.dtype) is None:
        raise UsageError(
            f"{where} holds pickled names (not all columns are named by text), "
            "which are never read; write the frame with format='table'"
        )
    names, left = list[str](), TEXTS
    for k in range(items.shape[0]):  # one by one: many may be one long text
        names.append(_name(items[k]))
        left -= len(names[-1]) + 1
        if left < 0:
            raise UsageError(f"{where}: names of more than {TEXTS >> 20} MiB")
    return names


def _name(item: object) -> str:
    """A column's name; pandas also allows numbers."""
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
