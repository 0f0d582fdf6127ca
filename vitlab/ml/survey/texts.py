"""Spectra in text: columns with or without names, and the Gaia archive's CSV of RVS spectra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.columns import SHOWN, is_spectrum, read_text_columns
from vitlab.ml.survey.hdus import MOST_SPECTRA
from vitlab.ml.survey.plain import from_columns
from vitlab.ml.survey.spectrum import Raw

_SOURCE = "source_id"
"""Read as a text: as a number it would lose digits."""
RVS = 11_500.0
"""R of Gaia's Radial Velocity Spectrometer (Cropper et al. 2018, A&A 616, A5)."""
RVS_RANGE = 840.0, 880.0
"""nm; its spectra are of 846 to 870."""


def read_text(data: bytes, path: Path) -> list[Raw]:
    """One spectrum, or one for each source of a Gaia file."""
    text = read_text_columns(data, path, as_text=(_SOURCE,))
    table, notes = {column.name.lower(): column.values for column in text.columns}, text.notes
    file = str(path)
    if {_SOURCE, "wavelength", "flux", "flux_error"} <= table.keys():
        return _gaia(table, path)
    for name in [n for n, v in table.items() if v.dtype.kind == "f" and np.isnan(v).all()]:
        del table[name]
        notes.append(f"column {name[:SHOWN]} is not used: no number in it")
    if not is_spectrum(table):
        raise UsageError(f"{file}: no columns of wavelengths and fluxes")
    units = {column.name.lower(): column.unit for column in text.columns}
    raw = from_columns(table, units, "", file)
    raw.survey, raw.medium = "text", raw.medium or text.medium
    raw.notes = [*notes, *raw.notes]
    return [raw]


def _gaia(table: dict[str, NDArray[Any]], path: Path) -> list[Raw]:
    """The archive's DataLink CSV: nm in vacuum, normalised, in the star's rest frame."""
    names = table[_SOURCE]
    if not len(names):
        raise UsageError(f"{path}: no row with all columns")
    starts = [0, *(k for k in range(1, len(names)) if names[k] != names[k - 1])]
    if len(starts) > MOST_SPECTRA:
        raise UsageError(f"{path}: {len(starts):,} spectra")
    spectra = []
    for start, stop in zip(starts, [*starts[1:], len(names)], strict=True):
        rows = slice(start, stop)
        where = f"rows {start + 1} to {stop}" if len(starts) > 1 else ""
        wave = table["wavelength"][rows]
        raw = Raw(where, "Gaia", wave, "nm", "vacuum", table["flux"][rows])
        raw.sigma, raw.object = table["flux_error"][rows], f"Gaia {names[start][:30]}"
        known = wave[np.isfinite(wave)]
        if len(known) and RVS_RANGE[0] <= known.min() and known.max() <= RVS_RANGE[1]:
            raw.survey, raw.resolution, raw.kind, raw.velocity = "Gaia RVS", RVS, "star", 0.0
            raw.notes = [
                f"R = {RVS:g} is the instrument's own value, the file has none",
                "in the star's rest frame, as the archive gives it: velocity 0",
            ]
        else:  # XP spectra have the same columns
            raw.notes = ["not of the range of RVS: its resolution and velocity are not known"]
        spectra.append(raw)
    return spectra
