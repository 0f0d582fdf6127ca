"""FITS without a survey's layout: one spectrum in an image or a table, and orders (multispec)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.columns import (
    FLUXES,
    IVARS,
    SIGMAS,
    VARIANCES,
    is_spectrum,
    refuse_twice,
    wave_columns,
)
from vitlab.ml.spectra.formats.fits import Unit, real
from vitlab.ml.spectra.formats.scale import has_scale, read_scale, with_primary
from vitlab.ml.spectra.formats.units import is_power_of
from vitlab.ml.spectra.formats.wavelengths import stated_medium, to_angstrom
from vitlab.ml.survey.hdus import (
    Arm,
    by_name,
    cells,
    floats,
    hdu,
    join,
    marked,
    number,
    sigma_of_ivar,
    sigma_of_variance,
    units_of,
)
from vitlab.ml.survey.spectrum import FLAGGED, Array, Raw, check_pixels

MOST_TERMS = 50
"""Of the polynomial of an order's wavelengths."""
ERRORS = {
    **dict.fromkeys(IVARS, -2),
    **dict.fromkeys(SIGMAS, 1),
    **dict.fromkeys(VARIANCES, 2),
}
"""Name -> the power of the flux that it is of; the first that a file has is used."""
GOOD = ("good", "goodpix", "good_pixels", "is_good")
MASKS = (
    *("mask", "and_mask", "flags", "dq", "quality", "qual", "flag", "bpm", "bad", "badpix"),
    *("bad_pixels", "andmask", "pixel_flags", "bitmask", "dq_flag", "dq_flags", "mask_bits"),
    *("bad_mask", "badmask", "pixmask", "pixel_mask", *GOOD),
)
"""0 where a pixel is good, as ESO's QUAL; of `GOOD` where it is bad."""
_MAY_BE_ERRORS = re.compile(r"(^|_)(err\w*|sig(?:ma\w*)?|std\w*|unc\w*|i?var)(_|$)")
_MAY_MASK = re.compile(r"mask|(^|_)(flags?|dq|bits?|bad|good|qual|quality)(_|$)")
"""Names of arrays that may be one, in lower case."""
FLUX_WORDS = {*FLUXES, "fl", "flx"}
"""Words of the names of HDUs that are a flux."""
OTHERS = {
    *("err", "error", "errors", "sigma", "std", "stdev", "rms", "noise", "unc", "uncertainty"),
    *("ivar", "invvar", "var", "variance", "stat", "cov", "covar", "weight", "weights", "wht"),
    *("mask", "masks", "dq", "flag", "flags", "quality", "qual", "bpm", "badpix", "goodpix", "sky"),
    *("background", "bkg", "snr"),
    *("cont", "continuum", "model", "fit", "template", "residual", "residuals", "arc", "lamp"),
    *("flat", "telluric", "tellurics", "teluric", "transmission", "throughput", "response"),
    *("sensitivity", "wave", "wavelength", "lambda", "specres", "resolution", "disp"),
    *("dispersion", "lsf", "psf", "fwhm", "lines", "linelist"),
}
"""Of those that are none, whatever else they are called (`FLUX_ERR`)."""
SHOWN = 5
"""HDUs that are named."""
MASTAR = "MaStar"
MIKE_RED, MIKE_BLUE = 22_000.0, 28_000.0
"""R of MIKE with a slit of 1 arcsec (Bernstein et al. 2003, SPIE 4841, 1694)."""
MIKE_ARMS = 5000.0
"""Angstrom: the red arm begins here; a file of the blue one may hold both, joined."""
MUSE = (5.866e-8, -9.187e-4, 6.040)
"""FWHM of MUSE in Angstrom: coefficients of wavelength squared, wavelength, 1 (Bacon et al. 2017,
A&A 608, A1, eq. 8)."""
MOST_ORDERS = 500


def is_plain(units: Sequence[Unit]) -> bool:
    """An image with a scale of wavelengths, or a table with wavelengths and fluxes."""
    return bool(_candidates(units))


def _candidates(units: Sequence[Unit]) -> list[Unit]:
    """Tables, then images."""
    tables = [unit for unit in units if unit.is_table and _has_spectrum(unit)]
    return [*tables, *(unit for unit in units if not unit.is_table and _is_scaled(unit))]


def _has_spectrum(unit: Unit) -> bool:
    return is_spectrum(column.name for column in unit.columns)


def _is_scaled(unit: Unit) -> bool:
    return len(unit.shape) in (1, 2) and has_scale(unit.header)


def read_plain(units: Sequence[Unit], file: str) -> list[Raw]:
    """The table or image that is called a flux, else the first that is not called otherwise."""
    found = _candidates(units)
    words = {id(unit): set(re.findall("[a-z]+", unit.name.lower())) for unit in found}
    possible = [unit for unit in found if not words[id(unit)] & OTHERS]
    if not possible:
        names = ", ".join(f"{hdu(units, unit)}, {unit.name}" for unit in found)
        raise UsageError(f"{file}: no flux with wavelengths ({names})")
    called = [unit for unit in possible if words[id(unit)] & FLUX_WORDS]
    unit = (called or possible)[0]
    raw = (_table if unit.is_table else _image)(units, unit, file)
    if rest := [one for one in possible if one is not unit]:
        names = ", ".join(f"{hdu(units, one)} {one.name}".strip() for one in rest[:SHOWN])
        more = f" and {len(rest) - SHOWN} more" * (len(rest) > SHOWN)
        raw.notes.append(f"not read, with wavelengths too: {names}{more}")
    return [raw]


def _image(units: Sequence[Unit], unit: Unit, file: str) -> Raw:
    """An image with a scale; errors, mask and R from others of its shape."""
    where, header = hdu(units, unit), with_primary(units, unit)
    place = f"{file}: {where}"
    check_pixels(max(unit.shape, default=0), place)
    flux = unit.image
    if flux is None:
        raise UsageError(f"{place}: an empty image")
    if flux.ndim == 2 and len(flux) > 1:
        raise UsageError(f"{place}: an image of {len(flux)} rows: which is the flux is not known")
    flux = flux.reshape(-1)
    scale = read_scale(header, len(flux), place)
    raw = Raw(where, "FITS image", scale.wave, scale.unit, stated_medium(header), flux)
    raw.flux_unit, raw.object = header.get("BUNIT", ""), header.get("OBJECT", "")
    raw.notes += scale.notes
    others, unit_of = dict[str, NDArray[Any]](), dict[str, str]()
    for name, other in by_name(units).items():
        if other is not unit and name and other.image is not None:
            others[name.lower()] = other.image.ravel()
            unit_of[name.lower()] = other.header.get("BUNIT", "")
    for name in [n for n, values in others.items() if values.shape != flux.shape]:
        if name in (*ERRORS, *MASKS):
            raw.notes.append(f"{name} is not used: {others[name].size:,} pixels, not {flux.size:,}")
        del others[name]
    _use_errors(others, unit_of, unit.name.lower(), raw)
    _use_mask(others, raw, place)
    if "specres" in others:
        raw.resolution, raw.survey, raw.kind = others["specres"], MASTAR, "star"
        raw.medium = raw.medium or "vacuum"
        raw.notes.append("taken for vacuum, as MaNGA's spectra are (the file does not say)")
    _instrument(raw, header, place)
    return raw


def _instrument(raw: Raw, header: Mapping[str, str], place: str) -> None:
    """R where the header names an instrument that has one."""
    if not header.get("INSTRUME", "").upper().startswith(("MUSE", "MIKE")):
        return
    wave, _ = to_angstrom(raw.wave, raw.unit, place)
    name = header.get("INSTRUME", "").upper()
    if name == "MUSE" and raw.resolution is None:
        raw.survey = "MUSE"
        raw.resolution = wave / (MUSE[0] * wave**2 + MUSE[1] * wave + MUSE[2])
        raw.notes.append("R by the formula of Bacon et al. 2017 (eq. 8), the file has none")
    elif name.startswith("MIKE"):
        raw.survey = "MIKE"
        match = re.match(r"\d+(\.\d+)?", header.get("SLITSIZE", ""))
        if match and 0.1 < (slit := float(match[0])) < 10:
            arms = {MIKE_BLUE / slit: wave <= MIKE_ARMS, MIKE_RED / slit: wave > MIKE_ARMS}
            if "RED" in name:
                arms = {MIKE_RED / slit: wave > 0}
            raw.resolution = np.select(list(arms.values()), list(arms))
            of = " and ".join(f"{r:.0f}" for r, own in arms.items() if own.any())
            raw.notes.append(f"R = {of} from the slit of {slit:g} arcsec")
        if not raw.medium:
            raw.medium = "air"
            raw.notes.append("taken for air, as MIKE's pipeline writes (the file does not say)")


def _use_errors(
    arrays: Mapping[str, NDArray[Any]], unit_of: Mapping[str, str], flux: str, raw: Raw
) -> None:
    """The first of `ERRORS` that are the flux's own, by name and unit; others are told."""
    several = len({*FLUXES} & arrays.keys()) > 1
    powers = _names_of_errors(flux, several)
    for name, power in powers.items():
        if name not in arrays:
            continue
        unit, values = unit_of.get(name, ""), arrays[name]
        if values.dtype.kind != "f":
            raw.notes.append(f"{name} is not used: not numbers")
        elif unit and not is_power_of(unit, raw.flux_unit, power):
            own = f"the flux's ({raw.flux_unit})" if raw.flux_unit else "stated of the flux"
            raw.notes.append(f"{name} is not used: its unit ({unit}) is not {own}")
        else:
            raw.sigma = _CONVERT[power](np.asarray(values, np.float64))
            return
    if several and (others := [n for n in _names_of_errors("", False) if n in arrays]):
        raw.notes.append(f"{others[0]} is not used: of which flux it is the error is not stated")
    elif unknown := [n for n in arrays if n not in powers and _MAY_BE_ERRORS.search(n)]:
        raw.notes.append(f"not used, perhaps errors: {', '.join(n[:20] for n in unknown[:SHOWN])}")


_CONVERT: dict[int, Callable[[Array], Array]] = {
    -2: sigma_of_ivar,
    1: lambda sigma: sigma,
    2: sigma_of_variance,
}


def _names_of_errors(flux: str, several: bool) -> dict[str, int]:
    """Name -> power; where there are several fluxes those with its name alone."""
    own = {
        f"{a}{b}{c}": power
        for one in dict.fromkeys([flux] if several else [flux, "flux"])
        for word, power in [*ERRORS.items(), ("e", 1)]
        for b in ("_", "")
        for a, c in ((one, word), (word, one))
        if one
    }
    return own if several and flux != "flux" else {**own, **ERRORS}


def _use_mask(
    arrays: Mapping[str, NDArray[Any]], raw: Raw, place: str, good: Sequence[str] = GOOD
) -> None:
    """The first of `MASKS`; one of another kind than numbers, logicals and bits is told.

    `good`: names of those that mark good pixels.
    """
    name, *others = [n for n in MASKS if n in arrays] or [""]
    if unknown := [n for n in arrays if n not in MASKS and _MAY_MASK.search(n)]:
        raw.notes.append(f"not used, perhaps a mask: {', '.join(n[:20] for n in unknown[:SHOWN])}")
    if not name:
        return
    if others:
        raw.notes.append(f"the mask is {name}; not used: {', '.join(others)}")
    try:
        raw.bad = {FLAGGED: marked(arrays[name], name, place, good=name in good)}
    except UsageError as error:
        raw.notes.append(f"no mask is used: {str(error).removeprefix(f'{place}: ')}")
        return
    if (share := raw.bad[FLAGGED].mean()) > 0.5:
        least = "at most 0" if name in good else "not 0"
        raw.notes.append(
            f"{name} is {least}, which is bad, in {share:.0%} of the pixels: inverted?"
        )


def _table(units: Sequence[Unit], unit: Unit, file: str) -> Raw:
    """A table with wavelengths and fluxes: a row a pixel, or one row of arrays."""
    header = with_primary(units, unit)
    header = {k: v for k, v in header.items() if not k.startswith("CTYPE")}
    where = hdu(units, unit)
    refuse_twice([column.name for column in unit.columns], f"{file}: {where}")
    is_pypeit = header.get("DMODCLS") == "OneSpec"
    good = (*GOOD, "mask") if is_pypeit else GOOD
    raw = from_columns(cells(unit), units_of(unit), where, file, good)
    raw.survey, raw.object = "FITS table", header.get("OBJECT", "")
    raw.medium = raw.medium or stated_medium(header)
    if is_pypeit and not raw.medium:
        raw.medium = "vacuum"
        raw.notes.append("taken for vacuum, as PypeIt's spectra are (the file does not say)")
    return raw


def from_columns(
    table: Mapping[str, NDArray[Any]],
    unit_of: Mapping[str, str],
    where: str,
    file: str,
    good: Sequence[str] = GOOD,
) -> Raw:
    """The spectrum in columns named as usual (lower case); `UsageError` if these do not fit.

    `good`: names of masks of good pixels.
    """
    place = f"{file}: {where}" if where else file
    usable = [name for name, values in table.items() if _has_numbers(values)]
    waves = wave_columns({name: unit_of.get(name, "") for name in usable})
    if not waves:
        raise UsageError(f"{place}: no number in a column of wavelengths")
    column, *rest = waves
    flux, *others = (n for n in FLUXES if n in table)
    wave = floats(table[column.name], column.name, place)
    values = floats(table[flux], flux, place)
    check_pixels(wave.size, place)
    if not wave.size or wave.ndim != 1:
        raise UsageError(f"{place}: an empty table, or one of several spectra")
    raw = Raw(where, "table", wave, column.unit, column.medium, values, unit_of.get(flux, ""))
    if others:
        raw.notes.append(f"the flux is {flux}; not read: {', '.join(others)}")
    if rest:
        unread = ", ".join(one.name for one in rest)
        raw.notes.append(f"the wavelengths are {column.name}; not read: {unread}")
    _use_errors(table, unit_of, flux, raw)
    _use_mask(table, raw, place, good)
    return raw


def _has_numbers(values: NDArray[Any]) -> bool:
    return values.dtype.kind in "iu" or (
        values.dtype.kind == "f" and bool(np.isfinite(values).any())
    )


def is_multispec(units: Sequence[Unit]) -> bool:
    """IRAF's multispec: each row of the image has a scale of its own."""
    return units[0].header.get("CTYPE1", "").upper().startswith("MULTISPE")


def read_multispec(units: Sequence[Unit], file: str) -> list[Raw]:
    """The orders, joined; from bands by their names (BANDIDn)."""
    place, header = f"{file}: HDU 0", units[0].header
    check_pixels(max(units[0].shape, default=0), place)
    image = units[0].image
    if image is None or image.ndim not in (2, 3) or image.shape[-2] > MOST_ORDERS:
        raise UsageError(f"{place}: multispec without an image of orders")
    bands = image if image.ndim == 3 else image[None]
    flux, sigma, notes = _bands(bands, header)
    scales = _scales(header, flux.shape, place)
    arms = []
    for row, wave in scales.items():
        own = flux[row][: len(wave)]
        bad = ~np.isfinite(own)
        error = None if sigma is None else sigma[row][: len(wave)]
        turn = slice(None, None, -1 if wave[0] > wave[-1] else 1)
        if (np.diff(wave[turn]) <= 0).any():
            raise UsageError(f"{place}: order {row + 1}: wavelengths are not in order")
        arms.append(Arm(wave[turn], own[turn], error if error is None else error[turn], bad[turn]))
    arm, joined = join(arms, place, scaled=True)
    words = re.search(r"units=(\S+)", header.get("WAT1_001", ""))
    raw = Raw("HDU 0", "multispec", arm.wave, words[1] if words else "Angstrom", "", arm.flux)
    raw.sigma, raw.object = arm.sigma, header.get("OBJECT", "")
    raw.notes = [*notes, *joined]
    _instrument(raw, header, place)
    return [raw]


def _bands(bands: Array, header: Mapping[str, str]) -> tuple[Array, Array | None, list[str]]:
    """(orders, pixels) flux and 1-sigma errors of (bands, orders, pixels)."""
    names = [header.get(f"BANDID{k}", "").lower() for k in range(1, len(bands) + 1)]
    at = {word: k for k, word in reversed(list(enumerate(names)))}
    flat = next((k for name, k in at.items() if "object" in name and "divided by" in name), None)
    noise = next((k for name, k in at.items() if name.startswith(("noise", "sigma"))), None)
    plain = next((k for name, k in at.items() if name.startswith("object")), 0)
    sigma = None if noise is None else bands[noise]
    if flat is None:
        return bands[plain], sigma, []
    with np.errstate(divide="ignore", invalid="ignore"):
        sigma = None if sigma is None else sigma * abs(bands[flat] / bands[plain])
    return bands[flat], sigma, [f"flux: band {flat + 1} ({names[flat]})"]


def _scales(header: Mapping[str, str], shape: tuple[int, ...], place: str) -> dict[int, Array]:
    """Row -> its wavelengths, from the cards WAT2_nnn."""
    cards = sorted(name for name in header if re.fullmatch(r"WAT2_\d{3}", name))
    # Each card but the last has 68 letters, of which FITS drops blanks at the end.
    words = "".join(header[name].ljust(68) for name in cards)
    # A section of an image counts its pixels as the whole did.
    first, step = number(header, "LTV1") or 0.0, number(header, "LTM1_1") or 1.0
    pixel = (np.arange(1, shape[1] + 1, dtype=np.float64) - first) / step
    found: dict[int, Array] = {}
    for match in re.finditer(r'spec(\d+)\s*=\s*"([^"]*)"', words):
        row = int(match[1]) - 1
        if not 0 <= row < shape[0]:
            continue
        try:
            found[row] = _dispersion([real(x) for x in match[2].split()], pixel)
        except (ValueError, IndexError, OverflowError):
            raise UsageError(f"{place}: order {row + 1}: its wavelengths cannot be read") from None
    if not found:
        raise UsageError(f"{place}: multispec without wavelengths (WAT2_...)")
    return found


def _dispersion(cells: list[float], pixel: Array) -> Array:
    """Wavelengths of `ap beam dtype w1 dw nw z aplow aphigh [function]` at these pixels.

    Of a whole image only at the first nw: what is behind them fills the row.
    """
    _, _, kind, start, step, nw, z, _, _, *rest = cells
    if pixel[0] == 1 and nw >= 2:
        pixel = pixel[: int(nw)]
    if kind == 0:
        wave = start + step * (pixel - 1)
    elif kind == 1:
        wave = 10 ** (start + step * (pixel - 1))
    elif kind == 2:
        wave = _polynomial(rest, pixel)
    else:
        raise ValueError(kind)
    wave = wave / (1 + z)
    if not np.isfinite(wave).all():
        raise ValueError(wave)
    return np.asarray(wave)


def _polynomial(cells: list[float], pixel: Array) -> Array:
    """One Chebyshev (1) or Legendre (2) polynomial: weight, offset, type, order, ends, terms."""
    weight, offset, kind, order, low, high, *terms = cells
    if kind not in (1, 2) or len(terms) != order or len(terms) > MOST_TERMS or high <= low:
        raise ValueError(kind)
    x = (2 * pixel - (high + low)) / (high - low)
    function = chebyshev.chebval if kind == 1 else legendre.legval
    return np.asarray(weight * (offset + function(x, terms)))
