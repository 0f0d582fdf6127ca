"""One arm of GALAH's spectrograph HERMES: an image of fluxes, and others of what belongs to it.

https://www.galah-survey.org (DR2 to DR4: five and eight images). Wavelengths are in air, in the
frame of the solar system's centre.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import Unit
from vitlab.ml.spectra.formats.scale import has_scale, read_scale
from vitlab.ml.survey.hdus import by_name, number
from vitlab.ml.survey.spectrum import Raw, check_pixels

NOMINAL = 28_000.0
"""R of HERMES."""
ABSORBED = "telluric, by the file's own transmission"
TRANSMISSION = 0.97
"""Of the air; pixels below it are masked."""
ERRORS = ("RELATIVE_ERROR", "INPUT_SIGMA")
"""Images of sigma over flux."""


def is_galah(units: Sequence[Unit]) -> bool:
    """The spectrograph's name."""
    return units[0].header.get("INSTRUME", "").upper().startswith("HERMES")


def read_galah(units: Sequence[Unit], file: str) -> list[Raw]:
    """The flux before normalisation, in counts."""
    header, flux = units[0].header, units[0].image
    if flux is None or flux.ndim != 1 or not has_scale(header):
        raise UsageError(f"{file}: HDU 0: no flux, or no CRVAL1 and CDELT1")
    check_pixels(len(flux), f"{file}: HDU 0")
    scale = read_scale(header, len(flux), f"{file}: HDU 0")
    wave = scale.wave
    raw = Raw("HDU 0", "GALAH", wave, scale.unit or "Angstrom", "air", flux)
    raw.notes += scale.notes
    raw.object = header.get("OBJ_NAME") or header.get("OBJECT", "").split(",")[0]
    raw.kind = "sky" if "sky" in raw.object.lower() else "star"
    raw.flux_unit = header.get("BUNIT", "")
    images = {name: unit.image for name, unit in by_name(units).items()}
    error = next((images[name] for name in ERRORS if images.get(name) is not None), None)
    if error is not None and error.shape == flux.shape:
        raw.sigma = error * abs(flux)
    through = images.get("TELURIC")
    if through is not None and through.shape == flux.shape:
        raw.bad[ABSORBED] = ~(through >= TRANSMISSION)
    width = images.get("RESOLUTION_PROFILE")
    if width is not None and width.shape == flux.shape:
        with np.errstate(divide="ignore", invalid="ignore"):
            raw.resolution = np.asarray(wave / width)
    else:
        raw.resolution = NOMINAL
        raw.notes.append(f"R = {NOMINAL:g} is the survey's own value, the file has none")
    names = (("RVCOM", "E_RVCOM"), ("RV", "E_RV"))
    name, error_name = next(((n, e) for n, e in names if n in header), names[0])
    raw.velocity, raw.velocity_error = number(header, name), number(header, error_name)
    labels = {"T_eff": "TEFF_R", "log_g": "LOGG_R", "M_H": "FE_H_R"}
    found = {label: number(header, card) for label, card in labels.items()}
    if header.get("PAR_OK", "1") == "1":
        raw.labels = {label: (one, None) for label, one in found.items() if one is not None}
        raw.label_source = "header cards TEFF_R, LOGG_R, FE_H_R, without errors"
    return [raw]
