"""The scale of wavelengths that a FITS header states for the pixels of its image."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import Unit, real

Array = NDArray[np.float64]

_OTHER = re.compile(r"(?:FREQ|ENER|WAVN|VRAD|VOPT|ZOPT|BETA|VELO|FELO)|(?:WAVE|AWAV)-(?!LOG\b)\w+")
"""CTYPE1 of what is neither linear nor logarithmic in wavelength (Greisen et al. 2006, A&A 446)."""
_OF_AN_ARRAY = re.compile(
    r"(?:CRVAL|CRPIX|CDELT|CUNIT|CTYPE|CROTA|COEFF|LT[MV])\d.*|(?:CD|PC)\d_\d|WAT\d_\d+|DC-FLAG"
)
LOGARITHMS = 3.3, 11.5
"""CRVAL1 of a scale -LOG that is a logarithm of Angstrom, as in PHOENIX's medium resolution; by the
standard it would be a wavelength."""


@dataclass(frozen=True)
class Scale:
    """The wavelengths of an image's last axis."""

    wave: Array
    """(n,) in `unit`."""
    unit: str
    """As stated; empty where it is not."""
    notes: tuple[str, ...]
    """What was assumed, one sentence each."""


def with_primary(units: Sequence[Unit], unit: Unit) -> dict[str, str]:
    """The header of `unit` over that of the file.

    The first one's scale is that of its own array, unless `INHERIT` says otherwise.
    """
    inherits = unit is units[0] or unit.header.get("INHERIT") == "T"
    first = units[0].header.items()
    return {k: v for k, v in first if inherits or not _OF_AN_ARRAY.fullmatch(k)} | {**unit.header}


def has_scale(header: Mapping[str, str]) -> bool:
    """Whether a header states one."""
    step = {"CDELT1", "CD1_1", "PC1_1"} & header.keys()
    return "COEFF0" in header or ("CRVAL1" in header and bool(step))


def read_scale(header: Mapping[str, str], n: int, place: str) -> Scale:
    """The wavelengths of `n` pixels. `UsageError` for no number, no step, or another kind of scale.

    Of several steps the matrix counts (Greisen & Calabretta 2002, A&A 395, 1061): CD1_1, else
    PC1_1 times CDELT1.
    """
    kind = header.get("CTYPE1", "").upper()
    if _OTHER.match(kind):
        raise UsageError(f"{place}: CTYPE1 = {kind}: only linear and logarithmic scales are read")
    notes = list[str]()
    if "COEFF0" in header:
        start, step, reference = (
            _card(header, "COEFF0", place),
            _card(header, "COEFF1", place),
            1.0,
        )
    else:
        start, step, reference = _card(header, "CRVAL1", place), _step(header, place, notes), 1.0
        if "CRPIX1" in header:
            reference = _card(header, "CRPIX1", place)
        else:
            notes.append("CRPIX1 is not stated: CRVAL1 is taken for the first pixel's wavelength")
    if not step:
        raise UsageError(f"{place}: its scale of wavelengths has no step")
    steps = step * (np.arange(1, n + 1, dtype=np.float64) - reference)
    words = re.search(r"units=(\S+)", header.get("WAT1_001", ""))
    unit = header.get("CUNIT1", "") or (words[1] if words else "")
    if kind.endswith("-LOG") and not LOGARITHMS[0] < start < LOGARITHMS[1]:  # x = r exp(s / r)
        return Scale(np.asarray(start * np.exp(steps / start)), unit, tuple(notes))
    logarithmic = "COEFF0" in header or header.get("DC-FLAG") == "1"
    return Scale(start + steps, "log10(Angstrom)" if logarithmic else unit, tuple(notes))


def _step(header: Mapping[str, str], place: str, notes: list[str]) -> float:
    stated = {name: _card(header, name, place) for name in ("CD1_1", "PC1_1", "CDELT1")
              if name in header}  # fmt: skip
    if "CD1_1" not in stated:
        return math.prod(stated.values())
    step = stated.pop("CD1_1")
    for name, value in stated.items():
        if name == "CDELT1" and value != step:
            notes.append(f"CDELT1 = {value:g} is not used: CD1_1 = {step:g} counts")
    return step


def _card(header: Mapping[str, str], name: str, place: str) -> float:
    try:
        value = real(header.get(name, ""))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        text = header.get(name, "")
        raise UsageError(f"{place}: its scale of wavelengths: {name} = {text!r} is not a number")
    return value
