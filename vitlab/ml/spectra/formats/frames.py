"""Tables of pandas in HDF5, in its layouts `table` and `fixed`, without pandas."""

from __future__ import annotations

import math
import pickle
import pickletools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.hdf5 import (
    SMALL,
    TEXTS,
    find,
    find_data,
    read_attributes,
    whole,
)

MOST_BLOCKS = 1000
"""Of a frame."""
DENSE = 100
"""A frame above `SMALL` takes at most so many times the bytes of its file, which is of spectra."""
_TIMES = (b"datetime", b"timedelta")
"""Types that pandas writes as integers."""
Columns = dict[str, NDArray[Any]]


def read_frame(file: h5py.File, inside: str, path: Path, n: int | None = None) -> Columns:
    """The columns of the frame in the group `inside`, and its index as `index`; `n`: its rows.

    Reads pandas' layouts `table`, and `fixed` without strings. A missing string is empty, a
    missing number NaN; categories are what they stand for, and times are left out. `UsageError`
    names the file and the problem.
    """
    group = find(file, inside)
    if isinstance(group, h5py.Group):
        where = f"{path}: {inside}"
        attributes = read_attributes(group, where)
        most = max(SMALL, DENSE * file.id.get_filesize())
        if (table := find_data(group, "table")) is not None:
            _left(table, f"{where}/table", n, most)
            return _read_table(group, table, f"{where}/table", _missing_text(attributes))
        if "nblocks" in attributes:
            return _read_fixed(group, attributes["nblocks"], where, n, most)
    raise UsageError(f"{path}: no pandas table in {inside}")


def _left(data: h5py.Dataset, where: str, n: int | None, most: int) -> int:
    """What is left of `most` bytes beside the rows; `UsageError` before they are read.

    A small file may hold, packed, more or wider rows than memory does.
    """
    if n is not None and data.shape[:1] != (n,):
        raise UsageError(f"{where}: shape {data.shape}, and there are {n} spectra")
    left: int = most - math.prod(data.shape) * data.dtype.itemsize
    if left < 0:
        raise UsageError(f"{where}: its frame takes more than {DENSE} times its file")
    return left


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


def _read_table(group: h5py.Group, table: h5py.Dataset, where: str, missing: bytes) -> Columns:
    """Read a `table`: each field is a block of columns of one type, named in `<field>_kind`."""
    fields = table.dtype.names or ()
    if "index" not in fields or table.ndim != 1:
        raise UsageError(f"{where}: no field index")
    attributes = read_attributes(table, where)
    rows = whole(table, where)
    columns: Columns = {"index": rows["index"]}
    for block in fields:
        if block == "index" or f"{block}_kind" not in table.attrs:
            continue
        names = _names(attributes.get(f"{block}_kind"), where)
        values = rows[block].reshape(len(rows), math.prod(rows[block].shape[1:]))
        if len(names) != values.shape[1]:
            raise UsageError(f"{where}: {block}_kind does not name its {values.shape[1]} columns")
        kind = attributes.get(f"{block}_dtype", b"")
        if kind == b"bool":
            values = values.astype(bool)
        elif attributes.get(f"{block}_meta") == b"category":
            values = _of_categories(group, block, values, where)
        elif isinstance(kind, bytes) and kind.startswith(_TIMES):
            continue
        for i, name in enumerate(names):
            column = values[:, i]
            columns[name] = _texts(column, missing) if column.dtype.kind == "S" else column
    return columns


def _of_categories(group: h5py.Group, block: str, codes: NDArray[Any], where: str) -> NDArray[Any]:
    """What the codes of a block stand for; NaN, or an empty text, for -1."""
    inside = f"meta/{block}/meta/table"
    table = find_data(group, inside)
    if table is None or "values" not in (table.dtype.names or ()) or codes.dtype.kind not in "iu":
        raise UsageError(f"{where}: no categories of {block}")
    known = whole(table, f"{where.removesuffix('/table')}/{inside}")["values"].ravel()
    if codes.size and not -1 <= codes.min() <= codes.max() < len(known):
        raise UsageError(f"{where}: {block}: codes without a category")
    known = known.astype(np.float64) if known.dtype.kind in "iu" else known
    none = np.array([b"" if known.dtype.kind == "S" else np.nan]).astype(known.dtype)
    values: NDArray[Any] = np.concatenate([known, none])[codes]
    return values


def _texts(column: NDArray[Any], missing: bytes) -> NDArray[Any]:
    return np.array(["" if x == missing else x.decode("utf-8", "replace") for x in column])


def _read_fixed(group: h5py.Group, blocks: object, where: str, n: int | None, most: int) -> Columns:
    """`most`: bytes of all blocks together, as several may be one data set under other names."""
    if not isinstance(blocks, np.integer | int) or not 0 <= blocks <= MOST_BLOCKS:
        raise UsageError(f"{where}: nblocks is not a number of blocks")
    axis = find_data(group, "axis1")
    columns: Columns = {}
    if axis is not None and axis.dtype.kind != "O":
        columns["index"] = whole(axis, f"{where}/axis1")
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
        most = _left(values, f"{where}/block{k}_values", n, most)
        kind = read_attributes(values, where).get("value_type", b"")
        if isinstance(kind, bytes) and kind.startswith(_TIMES):
            continue
        cells = whole(values, f"{where}/block{k}_values")
        columns |= {name: cells[:, i] for i, name in enumerate(names)}
    return columns


def _item_names(items: h5py.Dataset, where: str) -> list[str]:
    """The names of a block's columns."""
    if items.ndim != 1 or items.dtype.kind not in "OSiu":
        raise UsageError(f"{where}: is not a list of names")
    if items.dtype.kind != "O":
        return [_name(x) for x in whole(items, where)]
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
