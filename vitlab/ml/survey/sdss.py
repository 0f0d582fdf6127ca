"""Spectra of SDSS (spec files, lite and full, SEGUE and BOSS) and of LAMOST, which took its form.

SDSS: a table COADD with `loglam`, `flux`, `ivar`, `and_mask`, `wdisp`, and a table of one row with
CLASS, Z and the parameters (https://data.sdss.org/datamodel, file spec). LAMOST: until DR8 an image
of five rows, later a table COADD of one row (https://www.lamost.org/dr9/v1.0/doc/lr-data-production
-description); medium resolution: tables COADD_B and COADD_R.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.contract.validation import FASTEST
from vitlab.ml.spectra.formats.fits import Unit
from vitlab.ml.spectra.formats.scale import read_scale
from vitlab.ml.survey.hdus import (
    FWHM,
    Arm,
    by_name,
    cells,
    floats,
    has_bits,
    hdu,
    join,
    marked,
    number,
    sigma_of_ivar,
    text,
    value,
)
from vitlab.ml.survey.spectrum import FLAGGED, LIGHT, Kind, Raw, check_pixels

LRS, MRS = 1800.0, 7500.0
"""R of LAMOST's spectra, as its documents have it: the files do not."""
SDSS_BITS = (22, 23, 24, 28)
"""Of `and_mask`: NOSKY, BRIGHTSKY, NODATA, REDMONSTER."""


def is_sdss(units: Sequence[Unit]) -> bool:
    """A table with the columns of a spec file."""
    return len(units) > 1 and {"flux", "loglam", "ivar", "and_mask"} <= _columns(units[1])


def read_sdss(units: Sequence[Unit], file: str) -> list[Raw]:
    """The coadded spectrum; exposures are not read."""
    unit = units[1]
    place = f"{file}: {hdu(units, unit)}"
    table = cells(unit)
    loglam, flux, ivar = (floats(table[name], name, place) for name in ("loglam", "flux", "ivar"))
    about = next((cells(u) for u in units[2:] if "class" in _columns(u)), {})
    source = {name: _first(values) for name, values in about.items()}
    kind, what = kind_of(text(source, "class"), text(source, "subclass"))
    raw = Raw(hdu(units, unit), "SDSS spec", loglam, "log10(Angstrom)", "vacuum", flux)
    if units[0].header.get("VACUUM", "T") == "F":
        raw.medium = "air"
    raw.sigma = sigma_of_ivar(ivar)
    raw.bad = {FLAGGED: has_bits(table["and_mask"], SDSS_BITS)}
    raw.flux_unit = unit.header.get("BUNIT", units[0].header.get("BUNIT", ""))
    if "wdisp" in table:
        with np.errstate(divide="ignore", invalid="ignore"):
            # Of float32, so that neighbours differ by more or less.
            step = round(float(loglam[-1] - loglam[0]) / max(len(loglam) - 1, 1), 7)
            width = FWHM * floats(table["wdisp"], "wdisp", place) * step * math.log(10)
            raw.resolution = np.asarray(1 / width)
    plate, mjd, fiber = (value(source, name) for name in ("plate", "mjd", "fiberid"))
    name = "" if None in (plate, mjd, fiber) else f"{plate:.0f}-{mjd:.0f}-{fiber:.0f}"
    raw.object, raw.kind = f"{name} {what}".strip(), kind
    if kind == "star":
        raw.velocity, raw.velocity_error = _velocity(value(source, "z"), value(source, "z_err"))
        if warning := value(source, "zwarning"):
            raw.notes.append(f"ZWARNING = {warning:.0f}: the survey is not sure of its velocity")
        raw.labels = _elodie(source)
        raw.label_source = "columns ELODIE_*: the nearest of a library, without errors"
    return [raw]


def is_lamost(units: Sequence[Unit]) -> bool:
    """LAMOST's name as the telescope."""
    return units[0].header.get("TELESCOP", "").upper() == "LAMOST"


def read_lamost(units: Sequence[Unit], file: str) -> list[Raw]:
    """Low resolution, old and new layout; medium resolution: the coadded arms."""
    named, header = by_name(units), units[0].header
    arms = [named[name] for name in ("COADD_B", "COADD_R") if name in named]
    if arms:
        raw = _medium_resolution(units, arms, file)
    elif "COADD" in named:
        raw = _table(units, named["COADD"], file)
    else:
        raw = _image(units, file)
    raw.medium = "air" if header.get("VACUUM") == "F" else "vacuum"
    word = header.get("CLASS") or header.get("OBJTYPE", "")
    raw.kind, what = kind_of(word, header.get("SUBCLASS", ""))
    if header.get("FIBERTYP", "").lower() == "sky":
        raw.kind = "sky"
    raw.object = f"{header.get('DESIG', '').removeprefix('LAMOST ')} {what}".strip()
    if raw.kind == "star":
        raw.velocity, raw.velocity_error = _velocity(number(header, "Z"), number(header, "Z_ERR"))
    return [raw]


def _image(units: Sequence[Unit], file: str) -> Raw:
    """Rows flux, inverse variance, and, not used, wavelength or subcontinuum, two masks."""
    place = f"{file}: HDU 0"
    image, header = units[0].image, units[0].header
    if image is None or image.ndim != 2 or len(image) < 4 or "COEFF0" not in header:
        raise UsageError(f"{place}: no image of LAMOST's rows, or no COEFF0 and COEFF1")
    check_pixels(image.shape[1], place)
    scale = read_scale(header, image.shape[1], place)
    raw = Raw("HDU 0", "LAMOST LRS", scale.wave, scale.unit, "vacuum", image[0])
    raw.sigma, raw.bad = sigma_of_ivar(image[1]), {FLAGGED: marked(image[3], "row 4", place)}
    raw.resolution = LRS
    raw.notes = [f"R = {LRS:g} is the survey's own value, the file has none"]
    return raw


def _table(units: Sequence[Unit], unit: Unit, file: str) -> Raw:
    table, where = cells(unit), hdu(units, unit)
    place = f"{file}: {where}"
    if not {"flux", "ivar", "wavelength"} <= table.keys():
        raise UsageError(f"{place}: no columns FLUX, IVAR and WAVELENGTH")
    wave, flux, ivar = (floats(table[n], n, place) for n in ("wavelength", "flux", "ivar"))
    raw = Raw(where, "LAMOST LRS", wave, "Angstrom", "vacuum", flux)
    raw.sigma, raw.resolution = sigma_of_ivar(ivar), LRS
    if "andmask" in table:
        raw.bad = {FLAGGED: marked(table["andmask"], "ANDMASK", place)}
    raw.notes = [f"R = {LRS:g} is the survey's own value, the file has none"]
    return raw


def _medium_resolution(units: Sequence[Unit], found: Sequence[Unit], file: str) -> Raw:
    arms = []
    where = " and ".join(hdu(units, unit) for unit in found)
    place = f"{file}: {where}"
    for unit in found:
        table = cells(unit)
        if not {"flux", "ivar", "loglam"} <= table.keys():
            raise UsageError(f"{file}: {hdu(units, unit)}: no columns FLUX, IVAR and LOGLAM")
        loglam, flux, ivar = (floats(table[n], n, place) for n in ("loglam", "flux", "ivar"))
        flags = table.get("andmask", np.zeros(len(flux)))
        arms.append(Arm(loglam, flux, sigma_of_ivar(ivar), marked(flags, "ANDMASK", place)))
    if any(len({*map(len, (a.wave, a.flux, a.bad))}) > 1 or len(a.wave) < 2 for a in arms):
        raise UsageError(f"{place}: columns of different lengths")
    arm, notes = join(arms, place)
    raw = Raw(where, "LAMOST MRS", arm.wave, "log10(Angstrom)", "vacuum", arm.flux)
    raw.sigma, raw.bad, raw.resolution = arm.sigma, {FLAGGED: arm.bad}, MRS
    raw.notes = [*notes, f"R = {MRS:g} is the survey's own value, the file has none"]
    return raw


def kind_of(word: str, subclass: str) -> tuple[Kind, str]:
    """CLASS and SUBCLASS of both surveys, and both as written."""
    what = f"{word} {subclass}".strip()
    match word.upper():
        case "STAR":
            is_dwarf = subclass.upper().startswith("WD")
            return "white dwarf" if is_dwarf else "star", what
        case "GALAXY":
            return "galaxy", what
        case "QSO":
            return "quasar", what
        case "SKY":
            return "sky", what
    return "not stated", what


def _velocity(z: float | None, error: float | None) -> tuple[float | None, float | None]:
    """km/s of a redshift and of its error, which is only one above 0."""
    if z is None or abs(z) * LIGHT > FASTEST:
        return None, None
    return z * LIGHT, error * LIGHT if error is not None and error > 0 else None


def _elodie(source: Mapping[str, NDArray[Any]]) -> dict[str, tuple[float, float | None]]:
    columns = {"T_eff": "elodie_teff", "log_g": "elodie_logg", "M_H": "elodie_feh"}
    found = {name: value(source, column) for name, column in columns.items()}
    if not found["T_eff"]:  # 0 where no star of the library fits
        return {}
    return {name: (one, None) for name, one in found.items() if one is not None}


def _columns(unit: Unit) -> set[str]:
    return {column.name.lower() for column in unit.columns} if unit.is_table else set()


def _first(values: NDArray[Any]) -> NDArray[Any]:
    """A column, so that cells of arrays are not taken for rows."""
    return values if values.ndim == 1 else values.reshape(len(values), -1)[:, 0]
