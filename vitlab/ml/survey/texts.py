"""Spectra in text: columns with or without names, and the Gaia archive's CSV of RVS spectra."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.columns import read_text_columns
from vitlab.ml.survey.hdus import MOST_SPECTRA, floats
from vitlab.ml.survey.plain import FLUXES, LINEAR, LOGARITHMIC, from_columns
from vitlab.ml.survey.spectrum import Raw

RVS = 11_500.0
"""R of Gaia's Radial Velocity Spectrometer (Cropper et al. 2018, A&A 616, A5)."""


def read_text(data: bytes, path: Path) -> list[Raw]:
    """One spectrum, or one for each source of a Gaia file."""
    table = {c.name.lower(): c.values for c in read_text_columns(data, path)}
    file = str(path)
    if {"source_id", "wavelength", "flux", "flux_error"} <= table.keys():
        return _gaia({name: floats(v, name, file) for name, v in table.items()}, data, path)
    if not ({*LINEAR, *LOGARITHMIC} & table.keys() and {*FLUXES} & table.keys()):
        raise UsageError(f"{file}: no columns of wavelengths and fluxes")
    raw = from_columns(table, {}, "", file)
    raw.survey = "text"
    return [raw]


def _gaia(table: dict[str, np.ndarray], data: bytes, path: Path) -> list[Raw]:
    """The archive's DataLink CSV: nm in vacuum, normalised, in the star's rest frame."""
    names = _sources(data)
    if len(names) != len(table["flux"]):
        raise UsageError(f"{path}: {len(names)} sources in {len(table['flux'])} rows")
    starts = [0, *(k for k in range(1, len(names)) if names[k] != names[k - 1])]
    if len(starts) > MOST_SPECTRA:
        raise UsageError(f"{path}: {len(starts):,} spectra")
    spectra = []
    for start, stop in zip(starts, [*starts[1:], len(names)], strict=True):
        rows = slice(start, stop)
        where = f"rows {start + 1} to {stop}" if len(starts) > 1 else ""
        raw = Raw(where, "Gaia RVS", table["wavelength"][rows], "nm", "vacuum", table["flux"][rows])
        raw.sigma, raw.resolution = table["flux_error"][rows], RVS
        raw.object, raw.kind, raw.velocity = f"Gaia {names[start]}", "star", 0.0
        raw.notes = [
            f"R = {RVS:g} is the instrument's own value, the file has none",
            "in the star's rest frame, as the archive gives it: velocity 0",
        ]
        spectra.append(raw)
    return spectra


def _sources(data: bytes) -> list[str]:
    """The identifiers as text: as numbers they would lose digits."""
    lines = data.decode("utf-8-sig", "replace").splitlines()
    rows = [line.split(",") for line in lines if line.strip() and not line.startswith("#")]
    at = [cell.strip().lower() for cell in rows[0]].index("source_id")
    return [row[at].strip()[:30] for row in rows[1:] if len(row) > at]
