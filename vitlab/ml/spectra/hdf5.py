"""HDF5 files: open them, read rows without the GIL, read and write pandas tables without pandas."""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError


def open_hdf5(path: Path) -> h5py.File:
    """`path` opened for reading; `UsageError` when it is missing or not an HDF5 file."""
    try:
        return h5py.File(path, "r")
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file") from None
    except OSError as error:
        fits = path.is_file() and path.open("rb").read(9) == b"SIMPLE  ="
        what = "a FITS file, not HDF5" if fits else f"not a readable HDF5 file ({error})"
        raise UsageError(f"{path}: {what}") from None


def read_array(file: h5py.File, inside: str) -> NDArray[np.generic]:
    """The whole data set at the path `inside`; `UsageError` when there is none."""
    data = file.get(inside)
    if not isinstance(data, h5py.Dataset):
        raise UsageError(f"{file.filename}: no data set {inside}")
    values: NDArray[np.generic] = _whole(data, f"{file.filename}: {inside}")
    return values


PLUGINS = "hdf5plugin"
"""The package with the filters of other HDF5 users; loaded only when a file needs one."""
IN_PLUGINS = (307, 32001, 32004, 32008, 32013, 32015, 32017, 32018, 32026)
"""Its filters: bzip2, Blosc, LZ4, Bitshuffle, ZFP, Zstandard, SZ, FCIDECOMP, Blosc2."""


def check_filters(data: h5py.Dataset, where: str) -> None:
    """`UsageError` names a filter that this installation cannot undo, and what to install."""
    made = data.id.get_create_plist()
    for k in range(made.get_nfilters()):
        code, _, _, name = made.get_filter(k)
        if h5py.h5z.filter_avail(code):
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
    chunks = np.prod([-(-n // c) for n, c in zip(data.shape, data.chunks, strict=True)])
    value = float(data.fillvalue)
    if data.id.get_num_chunks() == chunks or not np.isfinite(value):
        return None
    return value


def _whole(data: h5py.Dataset, where: str) -> NDArray[Any]:
    """All values of a data set; `UsageError` when they cannot be read."""
    check_filters(data, where)
    try:
        values: NDArray[Any] = data[()]
    except OSError as error:
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
    native = data.dtype.kind in "fiu" and data.dtype.isnative
    if not plain or not native or data.scaleoffset is not None or data.external:
        return None
    if data.chunks is None:
        offset = data.id.get_offset()
        runs = () if offset is None else (offset,)
        rows = data.shape[0]
    elif data.chunks[1] == data.shape[1]:
        rows = data.chunks[0]
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
    group = file.get(inside)
    if isinstance(group, h5py.Group) and isinstance(group.get("table"), h5py.Dataset):
        return _read_table(group["table"], f"{path}: {inside}/table", _missing_text(group))
    if isinstance(group, h5py.Group) and "nblocks" in group.attrs:
        return _read_fixed(group, f"{path}: {inside}")
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


class _PlainUnpickler(pickle.Unpickler):
    """Lists, strings and numbers only: classes are never loaded."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"contains {module}.{name}")


def _names(value: object, where: str) -> list[str]:
    """A pickled list of column names."""
    data = value.encode("utf-8") if isinstance(value, str) else bytes(value)  # type: ignore[call-overload]
    try:
        names = _PlainUnpickler(io.BytesIO(data)).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError) as error:
        raise UsageError(f"{where}: column names are not a plain list ({error})") from None
    if not isinstance(names, list):
        raise UsageError(f"{where}: column names are not a plain list")
    return [str(name) for name in names]


def _missing_text(group: h5py.Group) -> bytes:
    """How a missing string is written; pandas 3 omits the attribute."""
    value = group.attrs.get("nan_rep", b"nan")
    return bytes(value) if isinstance(value, bytes) and value != b"N." else b"nan"


def _read_table(table: h5py.Dataset, where: str, missing: bytes) -> Columns:
    """Read a `table`: each field is a block of columns of one type, named in `<field>_kind`."""
    rows = _whole(table, where)
    fields = rows.dtype.names or ()
    if "index" not in fields:
        raise UsageError(f"{where}: no field index")
    columns: Columns = {"index": rows["index"]}
    for block in fields:
        kind = table.attrs.get(f"{block}_kind")
        if block == "index" or kind is None:
            continue
        names = _names(kind, where)
        values = rows[block].reshape(len(rows), -1)
        if len(names) != values.shape[1]:
            raise UsageError(f"{where}: {block}_kind does not name its {values.shape[1]} columns")
        if table.attrs.get(f"{block}_dtype") == b"bool":
            values = values.astype(bool)
        for i, name in enumerate(names):
            column = values[:, i]
            columns[name] = _texts(column, missing) if column.dtype.kind == "S" else column
    return columns


def _texts(column: NDArray[Any], missing: bytes) -> NDArray[Any]:
    return np.array(["" if x == missing else x.decode("utf-8", "replace") for x in column])


def _read_fixed(group: h5py.Group, where: str) -> Columns:
    axis = group.get("axis1")
    columns: Columns = {}
    if isinstance(axis, h5py.Dataset):
        columns["index"] = _whole(axis, f"{where}/axis1")
    for k in range(int(group.attrs["nblocks"])):
        items, values = group.get(f"block{k}_items"), group.get(f"block{k}_values")
        if not isinstance(items, h5py.Dataset) or not isinstance(values, h5py.Dataset):
            raise UsageError(f"{where}: no block{k}_items and block{k}_values")
        found = _whole(items, f"{where}/block{k}_items")
        if found.dtype.kind == "O" and not all(isinstance(x, bytes | str) for x in found):
            raise UsageError(
                f"{where}: block{k}_items holds pickled names (not all columns are named by text), "
                "which are never read; write the frame with format='table'"
            )
        names = [_name(x) for x in found]
        if values.dtype.kind not in "fiub":
            raise UsageError(
                f"{where}: block{k}_values ({', '.join(names)}) holds pickled objects, which are "
                "never read; write the frame with format='table'"
            )
        cells = _whole(values, f"{where}/block{k}_values")
        for i, name in enumerate(names):
            columns[name] = cells[:, i]
    return columns


def _name(item: object) -> str:
    """A column's name; pandas also allows numbers."""
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
