"""DESI's coadded and frame-by-frame spectra: arms B, R, Z of many targets in one file.

https://desidatamodel.readthedocs.io, files coadd and spectra. Wavelengths are in vacuum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import Unit
from vitlab.ml.survey.hdus import (
    FWHM,
    MOST_SPECTRA,
    Arm,
    by_name,
    hdu,
    join,
    sigma_of_ivar,
    text,
    value,
)
from vitlab.ml.survey.spectrum import FLAGGED, Array, Kind, Raw

ARMS = ("B", "R", "Z")
EXTENDED = ("REX", "EXP", "DEV", "SER", "COMP")
"""Forms of the Legacy Surveys' images that are no point source."""


def is_desi(units: Sequence[Unit]) -> bool:
    """Arrays named by arm."""
    names = by_name(units)
    return any(f"{a}_WAVELENGTH" in names and f"{a}_FLUX" in names for a in ARMS)


def read_desi(units: Sequence[Unit], file: str) -> list[Raw]:
    """One spectrum for each row of the flux arrays."""
    names = by_name(units)
    found = [a for a in ARMS if f"{a}_WAVELENGTH" in names and f"{a}_FLUX" in names]
    arrays = [_arm(names, arm, file) for arm in found]
    first = hdu(units, names[f"{found[0]}_FLUX"])
    n = len(arrays[0]["FLUX"])
    if n > MOST_SPECTRA or any(len(one["FLUX"]) != n for one in arrays):
        raise UsageError(f"{file}: {first}: arms of different numbers of spectra, or too many")
    targets = names.get("FIBERMAP")
    table = {c.name.lower(): c.values for c in targets.columns} if targets else {}
    ids = targets.integers("TARGETID") if targets else None
    rows = {len(values) for values in table.values()}
    if rows - {n}:
        table, ids = {}, None
    spectra = [_spectrum(arrays, table, row, first, n, file) for row in range(n)]
    for raw, target in zip(spectra, () if ids is None else ids, strict=False):
        raw.object = f"TARGETID {target}"
    for raw in spectra if rows - {n} else ():
        raw.notes.append(f"what it is, is not known: FIBERMAP has not {n} rows")
    return spectra


def _arm(names: Mapping[str, Unit], arm: str, file: str) -> dict[str, Array]:
    """Arrays of an arm: WAVELENGTH (L,), FLUX and IVAR (n, L), RESOLUTION (n, K, L)."""
    arrays = {}
    for name in ("WAVELENGTH", "FLUX", "IVAR", "MASK", "RESOLUTION"):
        unit = names.get(f"{arm}_{name}")
        if unit is not None and unit.image is not None:
            arrays[name] = unit.image
    wave, flux = arrays.get("WAVELENGTH"), arrays.get("FLUX")
    if wave is None or flux is None or "IVAR" not in arrays or wave.ndim != 1 or not wave.size:
        raise UsageError(f"{file}: arm {arm}: no WAVELENGTH, FLUX or IVAR")
    for name in ("FLUX", "IVAR", "MASK"):
        if name in arrays and arrays[name].shape != (len(flux), len(wave)):
            raise UsageError(f"{file}: {arm}_{name}: shape does not fit the wavelengths")
    matrix = arrays.get("RESOLUTION")
    if matrix is not None and (matrix.ndim != 3 or matrix.shape[::2] != (len(flux), len(wave))):
        raise UsageError(f"{file}: {arm}_RESOLUTION: shape does not fit the wavelengths")
    return arrays


def _spectrum(
    arrays: Sequence[Mapping[str, Array]],
    table: Mapping[str, NDArray[Any]],
    row: int,
    first: str,
    n: int,
    file: str,
) -> Raw:
    arms = []
    for one in arrays:
        bad = one["MASK"][row] != 0 if "MASK" in one else np.zeros(len(one["WAVELENGTH"]), bool)
        width = (
            _resolution(one["RESOLUTION"][row], one["WAVELENGTH"]) if "RESOLUTION" in one else None
        )
        sigma = sigma_of_ivar(one["IVAR"][row])
        arms.append(Arm(one["WAVELENGTH"], one["FLUX"][row], sigma, bad, width))
    where = f"{first}, row {row}" if n > 1 else first
    arm, notes = join(arms, f"{file}: {where}")
    raw = Raw(where, "DESI", arm.wave, "Angstrom", "vacuum", arm.flux, "", arm.sigma)
    raw.bad, raw.resolution = {FLAGGED: arm.bad}, arm.resolution
    raw.kind, why = _kind(table, row)
    raw.notes = [*notes, *([why] if why else [])]
    return raw


def _kind(table: Mapping[str, NDArray[Any]], row: int) -> tuple[Kind, str]:
    """By what the fibre was placed on, and why."""
    if text(table, "objtype", row) == "SKY":
        return "sky", ""
    form = text(table, "morphtype", row)
    if form in EXTENDED:
        return "galaxy", f"extended in images (MORPHTYPE {form}): no star"
    if any(value(table, name, row) for name in table if name.endswith("mws_target")):
        return "star", ""
    return "not stated", ""


def _resolution(matrix: Array, wave: Array) -> Array:
    """(K, L) rows of the resolution matrix -> (L,) R, from its second moments in pixels."""
    weight = np.where(np.isfinite(matrix) & (matrix > 0), matrix, 0.0)
    at = np.arange(len(matrix))[:, None] - len(matrix) // 2
    total = weight.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (at * weight).sum(axis=0) / total
        variance = (at**2 * weight).sum(axis=0) / total - mean**2
        sigma = np.sqrt(variance) * np.gradient(wave)
        return np.asarray(wave / (FWHM * sigma))
