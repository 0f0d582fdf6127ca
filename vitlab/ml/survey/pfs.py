"""Subaru PFS: pfsObject, pfsStar and pfsGAObject (one target), pfsArm (the fibres of one arm).

https://github.com/Subaru-PFS/datamodel (datamodel.txt) and, for the Galactic archaeology products,
https://github.com/Subaru-PFS-GA. Wavelengths in nm, in vacuum; fluxes in nJy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import Unit
from vitlab.ml.survey.hdus import (
    MOST_SPECTRA,
    by_name,
    cells,
    floats,
    has_bits,
    hdu,
    number,
    sigma_of_variance,
    text,
    units_of,
    value,
)
from vitlab.ml.survey.spectrum import FLAGGED, Array, Bools, Kind, Raw

TABLES = ("FLUX_TABLE", "FLUXTBL", "FLUXTABLE")
BAD_PLANES = ("BAD", "BAD_FLAT", "BAD_FIBERTRACE", "BAD_SKY", "CR", "NO_DATA", "SAT", "UNMASKEDNAN")
"""Mask planes (header cards MP_...) that make a pixel unusable."""
ARMS = (("b", 380.0, 650.0, 2300.0), ("m", 710.0, 885.0, 5000.0), ("r", 630.0, 970.0, 3000.0))
NEAR_INFRARED = 4300.0
"""Arm, range in nm, and R of the instrument (https://pfs.ipmu.jp); the files do not have it."""
NOMINAL = "R is the instrument's nominal value, the file has none"
SKY, STANDARD = ("2", "SKY"), ("3", "FLUXSTD")
"""Values of TARGETTYPE."""
PARAMETERS = {"T_eff": "T_eff", "log_g": "log_g", "M_H": "M_H", "Fe_H": "M_H"}
"""Rows of STPARAM -> labels."""


def is_pfs(units: Sequence[Unit]) -> bool:
    """FLUX, COVAR and MASK with wavelengths, in an array or a table."""
    names = by_name(units)
    return {"FLUX", "COVAR", "MASK"} <= names.keys() and (
        "WAVELENGTH" in names or any(name in names for name in TABLES)
    )


def read_pfs(units: Sequence[Unit], file: str) -> list[Raw]:
    """The target of a pfsObject; every fibre of a pfsArm."""
    names = by_name(units)
    table = next((names[name] for name in TABLES if name in names), None)
    flux = names["FLUX"].image
    if table is not None and table.columns:
        return [_target(units, _from_table(units, table, file))]
    if flux is None or flux.ndim > 2:
        raise UsageError(f"{file}: {hdu(units, names['FLUX'])}: no array of fluxes")
    if flux.ndim == 1:
        return [_target(units, _row(units, None, file))]
    if len(flux) > MOST_SPECTRA:
        raise UsageError(f"{file}: {hdu(units, names['FLUX'])}: {len(flux):,} spectra")
    return [_row(units, row, file) for row in range(len(flux))]


def _from_table(units: Sequence[Unit], unit: Unit, file: str) -> Raw:
    table, where = cells(unit), hdu(units, unit)
    place = f"{file}: {where}"
    name = next((one for one in ("wavelength", "lambda") if one in table), None)
    if name is None or "flux" not in table:
        raise UsageError(f"{place}: no columns wavelength and flux")
    raw = Raw(where, "", floats(table[name], name, place), units_of(unit)[name] or "nm", "vacuum",
              floats(table["flux"], "flux", place))  # fmt: skip
    raw.flux_unit = units_of(unit)["flux"]
    if "error" in table:
        raw.sigma = floats(table["error"], "error", place)
    elif "fluxvariance" in table:
        raw.sigma = sigma_of_variance(floats(table["fluxvariance"], "fluxVariance", place))
    if "mask" in table:
        raw.bad = {FLAGGED: _flagged(floats(table["mask"], "mask", place), unit.header)}
    return raw


def _row(units: Sequence[Unit], row: int | None, file: str) -> Raw:
    """From the arrays FLUX, COVAR, MASK, WAVELENGTH: one target, or a fibre."""
    names = by_name(units)
    where = hdu(units, names["FLUX"]) + ("" if row is None else f", fibre {row}")
    arrays: dict[str, Array] = {}
    for name in ("WAVELENGTH", "FLUX", "COVAR", "MASK"):
        image = names[name].image if name in names else None
        shape = {"COVAR": 2}.get(name, 1) + (row is not None)
        if image is None or image.ndim != shape or (row is not None and row >= len(image)):
            raise UsageError(f"{file}: {where}: {name} is missing or does not fit FLUX")
        arrays[name] = image if row is None else image[row]
    unit = names["WAVELENGTH"].header.get("BUNIT", "") or "nm"
    raw = Raw(where, "PFS pfsArm", arrays["WAVELENGTH"], unit, "vacuum", arrays["FLUX"])
    raw.sigma = sigma_of_variance(arrays["COVAR"][0])
    raw.bad = {FLAGGED: _flagged(arrays["MASK"], names["MASK"].header)}
    raw.flux_unit = names["FLUX"].header.get("BUNIT", "")
    raw.resolution = _arm_resolution(arrays["WAVELENGTH"])
    raw.notes.append(NOMINAL)
    return raw


def _target(units: Sequence[Unit], raw: Raw) -> Raw:
    """What is told of a target: its name, kind and parameters."""
    names = by_name(units)
    raw.survey = "PFS pfsGAObject" if "STPARAM" in names else "PFS pfsObject"
    header = {**units[0].header, **(names["TARGET"].header if "TARGET" in names else {})}
    ids = [header.get(name) for name in ("CATID", "OBJID")]
    raw.object = " ".join(f"{n} {v}" for n, v in zip(("catId", "objId"), ids, strict=True) if v)
    raw.kind = _kind(header.get("TARGETTYPE", header.get("TARGTYPE", "")))
    raw.resolution = _resolution(raw.wave, _visited_arms(names))
    if NOMINAL not in raw.notes:
        raw.notes.append(NOMINAL)
    raw.notes.append("the flux is per frequency (nJy): it differs from one per wavelength smoothly")
    if "STPARAM" in names:
        _parameters(names["STPARAM"], raw)
    return raw


def _kind(word: str) -> Kind:
    if word.upper() in SKY:
        return "sky"
    return "star" if word.upper() in STANDARD else "not stated"


def _parameters(unit: Unit, raw: Raw) -> None:
    """Velocity and labels of STPARAM; a row whose error is not above 0 has not been measured."""
    table = {column.name.lower(): column.values for column in unit.columns}
    for row in range(len(table.get("param", ()))):
        name = text(table, "param", row)
        one, error = value(table, "value", row), value(table, "valueerr", row)
        if one is None or error is None or not error > 0:
            continue
        if name in ("v_los", "rv"):
            raw.velocity, raw.velocity_error = one, error
        elif name in PARAMETERS:
            raw.labels[PARAMETERS[name]] = (one, error)
            raw.label_source = "table STPARAM"
    if raw.labels:
        raw.kind = "star"


def _visited_arms(names: Mapping[str, Unit]) -> str:
    """Letters of the arms that were observed; `bmn` where the file does not say."""
    unit = names.get("OBSERVATIONS")
    table = {c.name.lower(): c.values for c in unit.columns} if unit else {}
    letters = "".join(text(table, "arm", row) for row in range(len(table.get("arm", ()))))
    return letters or "bmn"


def _resolution(wave: Array, arms: str) -> Array:
    """Nominal R at wavelengths in nm."""
    found = np.full(wave.shape, NEAR_INFRARED)
    for name, _, high, r in sorted(ARMS, key=lambda arm: -arm[2]):
        if name in arms or name == "b":
            found = np.where(wave <= high, r, found)
    return found


def _arm_resolution(wave: Array) -> float:
    """Of the arm whose ends are nearest; `wave` in nm."""
    if not np.isfinite(wave).any():
        return NEAR_INFRARED
    low, high = float(np.nanmin(wave)), float(np.nanmax(wave))
    near = min(ARMS, key=lambda arm: abs(arm[1] - low) + abs(arm[2] - high))
    return NEAR_INFRARED if low > 900 else near[3]


def _flagged(mask: Array, header: Mapping[str, str]) -> Bools:
    """By the planes that the header names; every flag where it names none."""
    planes = [number(header, f"MP_{name}") for name in BAD_PLANES]
    known = [int(one) for one in planes if one is not None and 0 <= one < 62]
    return has_bits(mask, known or range(62))
