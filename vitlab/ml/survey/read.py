"""Reads the spectra of a file, recognised by its content: the one entry of this package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.formats.fits import MOST_OF_SPECTRA, Unit, is_fits, read_bytes, read_units
from vitlab.ml.survey import desi, galah, pfs, plain, sdss, texts
from vitlab.ml.survey.spectrum import Raw, Spectrum, finish

Test = Callable[[Sequence[Unit]], bool]
Reader = Callable[[Sequence[Unit], str], list[Raw]]

READERS: tuple[tuple[Test, Reader], ...] = (
    (desi.is_desi, desi.read_desi),
    (pfs.is_pfs, pfs.read_pfs),
    (sdss.is_lamost, sdss.read_lamost),
    (sdss.is_sdss, sdss.read_sdss),
    (galah.is_galah, galah.read_galah),
    (plain.is_multispec, plain.read_multispec),
    (plain.is_plain, plain.read_plain),
)
"""The first whose layout a FITS file has reads it."""


SHOWN = 5
"""HDUs that are told to be broken."""


def read_spectra(path: Path) -> list[Spectrum]:
    """The spectra of a FITS file (`.gz` or not) or a text, in the order of the file.

    `UsageError` is one line naming file and HDU: no spectrum, no or unknown wavelengths, a flux in
    magnitudes, a broken file.
    """
    data = read_bytes(path, 8 * MOST_OF_SPECTRA)
    with np.errstate(all="ignore"):  # numbers of a broken file; `finish` masks what they make
        try:
            raws = _of_fits(data, path) if is_fits(data) else texts.read_text(data, path)
            return [finish(raw, str(path)) for raw in raws]
        except (ValueError, TypeError, IndexError, OverflowError) as error:  # as of numpy
            raise UsageError(f"{path}: its arrays do not fit each other ({error})") from None


def _of_fits(data: bytes, path: Path) -> list[Raw]:
    units = read_units(data, path, MOST_OF_SPECTRA)
    broken = [
        f"HDU {k}: {unit.broken}: the file was broken on its way, or changed since"
        for k, unit in enumerate(units)
        if unit.broken
    ][:SHOWN]
    for has_layout, read in READERS:
        if has_layout(units):
            raws = read(units, str(path))
            for raw in raws:
                raw.notes += broken
            return raws
    found = ", ".join(unit.name or f"HDU {k}" for k, unit in enumerate(units) if unit.shape)
    raise UsageError(f"{path}: no wavelengths with a flux in any HDU ({found or 'no data'})")
