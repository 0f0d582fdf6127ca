"""What a FITS or text file of spectra holds; a run cannot learn from one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.columns import (
    LINEAR,
    is_number,
    read_text_columns,
    wave_columns,
)
from vitlab.ml.spectra.formats.fits import (
    MOST_OF_SPECTRA,
    Column,
    Unit,
    is_fits,
    read_bytes,
    read_units,
)
from vitlab.ml.spectra.formats.scale import has_scale, read_scale, with_primary
from vitlab.ml.spectra.formats.wavelengths import Axis, read_axis
from vitlab.ml.spectra.pfsspec import SENTINELS

Array = NDArray[np.float64]

HDF5 = b"\x89HDF\r\n\x1a\n"
WHY = "runs train on HDF5 in ga_pfsspec's layout, with labels (`vitlab data make` writes one)"
ERRORS = ("ivar", "err", "sigma", "var", "weight")
"""Parts of the names of arrays that are above 0 wherever there are data."""
SHOWN = 8
"""Names of columns that are listed."""


class Part(TypedDict):
    """One header and data unit, or a text table."""

    name: str
    shape: list[int]
    columns: list[str]
    wave: list[float]
    """Minimum and maximum, Angstrom; empty where there are none or they cannot be read."""
    medium: str
    notes: list[str]


class SingleFile(TypedDict):
    """What `vitlab data inspect` shows of a FITS or text file."""

    format: str
    parts: list[Part]
    why: str
    """Why no run can learn from it."""


def is_single_file(path: Path) -> bool:
    """Whether `path` is a FITS or text file of spectra, and no HDF5 or list of shards."""
    if not path.is_file() or path.suffix in (".h5", ".hdf5"):
        return False
    with path.open("rb") as file:
        start = file.read(4096)
    if path.suffix == ".txt":  # an index of shards has names
        rows = [line.split() for line in start.decode("utf-8", "replace").splitlines()[:-1]]
        return any(row and is_number(row[0].rstrip(",")) for row in rows)
    return not start.startswith(HDF5)


def describe_single(path: Path) -> SingleFile:
    """The parts of the file, their wavelengths, and what of them is not usable."""
    data = read_bytes(path, 8 * MOST_OF_SPECTRA)
    if is_fits(data):
        units = read_units(data, path, MOST_OF_SPECTRA)
        parts = [_fits_part(k, unit, units) for k, unit in enumerate(units)]
        return {"format": "FITS", "parts": [p for p in parts if p["shape"]], "why": WHY}
    return {"format": "text", "parts": [_text_part(data, path)], "why": WHY}


def _fits_part(number: int, unit: Unit, units: list[Unit]) -> Part:
    header = with_primary(units, unit) if unit.is_table else unit.header
    name = unit.name or f"HDU {number}"
    if unit.is_table:
        rows = unit.columns
        shape = [len(rows[0].values)] if rows else []
        axis, notes = _table_axis(rows, header)
        arrays = {c.name: c.values for c in rows if axis and len(c.values) == len(axis.wave)}
        return _part(name, shape, rows, axis, [*notes, *_problems(arrays)])
    image = unit.image
    if image is None:
        return _part(name, [], [], None, [])
    axis, notes = _image_axis(unit, name, image)
    return _part(name, list(image.shape), [], axis, [*notes, *_problems({name: image})])


def _part(
    name: str, shape: list[int], columns: list[Column], axis: Axis | None, notes: list[str]
) -> Part:
    return {
        "name": name,
        "shape": shape,
        "columns": [column.name for column in columns],
        "wave": [float(axis.wave[0]), float(axis.wave[-1])] if axis else [],
        "medium": axis.medium if axis else "",
        "notes": [*(axis.notes if axis else ()), *notes],
    }


def _table_axis(columns: list[Column], header: Mapping[str, str]) -> tuple[Axis | None, list[str]]:
    found = {c.name.lower(): c for c in columns if c.values.dtype.kind == "f"}
    waves = wave_columns({name: column.unit for name, column in found.items()})
    if not waves:
        return None, []
    wave = waves[0]
    stated = {**header, "MEDIUM": wave.medium} if wave.medium else header
    column = found[wave.name]
    return _axis(column.values, wave.unit, stated, column.name)


def _image_axis(unit: Unit, name: str, image: Array) -> tuple[Axis | None, list[str]]:
    """From a WAVELENGTH array, or the header's linear or logarithmic scale of the last axis."""
    header = unit.header
    if name.lower().rpartition("_")[2] in LINEAR:
        row: Array = image.reshape(-1, image.shape[-1])[0]
        return _axis(row, header.get("BUNIT", ""), header, name)
    if header.get("CTYPE1", "").startswith("MULTISPE"):
        return None, ["wavelengths of several orders (multispec): not read"]
    if not has_scale(header) or image.ndim > 2:
        return None, []
    try:
        scale = read_scale(header, image.shape[-1], name)
    except UsageError as error:
        return None, [str(error)]
    axis, notes = _axis(scale.wave, scale.unit, header, name)
    return axis, [*scale.notes, *notes]


def _axis(
    values: Array, unit: str, header: Mapping[str, str], name: str
) -> tuple[Axis | None, list[str]]:
    words = {k: v for k, v in header.items() if k != "CTYPE1" or v.startswith(("AWAV", "WAVE"))}
    words |= {"unit": unit}
    try:
        return read_axis(values, {k: v for k, v in words.items() if k != "UNITS"}, name), []
    except UsageError as error:
        return None, [str(error)]


def _problems(arrays: Mapping[str, NDArray[np.generic]]) -> Iterator[str]:
    """What of the arrays is no datum, counted."""
    for name, values in arrays.items():
        if values.dtype.kind != "f" or not values.size:
            continue
        numbers = values.astype(np.float64, copy=False)
        finite = np.isfinite(numbers)
        if bad := int((~finite).sum()):
            yield f"{name}: {bad:,} of {values.size:,} values not finite"
        if sentinels := int(np.isin(numbers, SENTINELS).sum()):
            yield f"{name}: {sentinels:,} of {values.size:,} values are -999 or -9999: no data"
        if "covar" not in name.lower() and any(word in name.lower() for word in ERRORS):
            if zero := int(((numbers <= 0) & finite).sum()):
                yield f"{name}: {zero:,} of {values.size:,} values not above 0: no data"
        elif "mask" not in name.lower() and finite.any() and values.size > 1:
            low = numbers.min(where=finite, initial=np.inf)
            high = numbers.max(where=finite, initial=-np.inf)
            if low == high:
                yield f"{name}: every value is {low:g}"


def _text_part(data: bytes, path: Path) -> Part:
    table = read_text_columns(data, path)
    columns = table.columns
    axis, notes = _table_axis(columns, {"MEDIUM": table.medium})
    if axis is None and not notes:
        raise UsageError(f"{path}: neither HDF5 nor FITS, and no column of wavelengths in it")
    arrays = {c.name: c.values for c in columns if "flux" in c.name.lower()}
    shape = [len(columns[0].values)]
    return _part(path.name, shape, columns, axis, [*notes, *table.notes, *_problems(arrays)])


def lines(file: SingleFile) -> Iterator[str]:
    """What a person should know, one line each."""
    for part in file["parts"]:
        size = " x ".join(map(str, part["shape"]))
        text = f"{part['name']}: {size}"
        if part["columns"]:
            more = len(part["columns"]) - SHOWN
            text += f" rows: {', '.join(part['columns'][:SHOWN])}"
            text += f" and {more} more" if more > 0 else ""
        if part["wave"]:
            medium = part["medium"] or "air or vacuum: not stated"
            low, high = part["wave"]
            text += f"; {low:.1f} to {high:.1f} A ({medium})"
        yield text
        yield from (f"  {note}" for note in part["notes"])
    yield f"{file['format']}, not a data set: {file['why']}"
