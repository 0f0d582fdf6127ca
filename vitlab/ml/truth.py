"""What is known of a test star beyond what was observed: its labels, its flux before noise."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.ml.files.filespectra import FileSpectra
from vitlab.ml.grid import Grid, OutOfGrid
from vitlab.ml.gridimport import air
from vitlab.ml.labels import LABELS
from vitlab.ml.permuted import as_they_are
from vitlab.ml.spectra import GridSpectra, Spectra

Array = NDArray[np.float64]
COMPARED = 8
"""Stars by which it is told whether a file's wavelengths are in vacuum."""


def grid_labels(spectra: Spectra, number: int) -> Array | None:
    """(3,) true labels of a test star in the order of `LABELS`; None where a file lacks one."""
    spectra = as_they_are(spectra)
    if isinstance(spectra, GridSpectra):
        found: Array = spectra.simulator.stars("test", number, number + 1).labels[0]
        return found
    if not isinstance(spectra, FileSpectra):
        return None
    params = spectra.files.params
    if any(name not in params or params[name].dtype.kind not in "fiu" for name in LABELS):
        return None
    row = spectra.files.n - spectra.sizes["test"] + number
    return np.array([float(params[name][row]) for name in LABELS])


def clean_flux(spectra: Spectra, number: int) -> Array | None:
    """(L,) flux of a test star before noise, NaN without datum; None where it came with noise."""
    spectra = as_they_are(spectra)
    if isinstance(spectra, GridSpectra):
        stars = spectra.simulator.stars("test", number, number + 1)
        return np.asarray(spectra.simulator.flux(stars)[0].double().cpu().numpy())
    if isinstance(spectra, FileSpectra) and spectra.level:
        flux, error = _rows(spectra, number, number + 1)
        return np.where(np.isfinite(error[0]), flux[0], np.nan)
    return None


def in_vacuum(spectra: Spectra, grid: Grid) -> bool:
    """Whether the wavelengths are in vacuum: the grid's are in air, a file's spectra show it.

    Of both readings it is the one by which the first test stars look like the grid at their
    labels; in air where these are not known. Lines are 2.3 A, five pixels, apart.
    """
    spectra = as_they_are(spectra)
    n = min(COMPARED, spectra.sizes["test"])
    labels = [grid_labels(spectra, i) for i in range(n)]
    known = [one for one in labels if one is not None]
    if not isinstance(spectra, FileSpectra) or not n or len(known) < n:
        return False
    flux, _ = _rows(spectra, 0, n)
    exact = grid.to("cpu", torch.float64)
    try:
        expected = exact.flux(torch.from_numpy(np.stack(known))).numpy()
    except OutOfGrid:
        return False
    wave = np.asarray(spectra.wave)
    return _likeness(air(wave), flux, grid.wave, expected) > _likeness(
        wave, flux, grid.wave, expected
    )


def _likeness(wave: Array, flux: Array, known: Array, expected: Array) -> float:
    """Mean correlation of the slopes of some (n, L) spectra with those expected."""
    inside = (wave > known[0]) & (wave < known[-1])
    if inside.sum() < 3:
        return -1.0
    found = [
        np.corrcoef(np.diff(np.interp(wave[inside], known, should)), np.diff(is_[inside]))[0, 1]
        for should, is_ in zip(expected, flux, strict=True)
    ]
    return float(np.nan_to_num(np.mean(found), nan=-1.0))


def _rows(spectra: FileSpectra, start: int, stop: int) -> tuple[Array, Array]:
    """Flux and errors of test stars as the file has them."""
    first = spectra.files.n - spectra.sizes["test"]
    flux, error = spectra.files.read(first + start, first + stop)
    return flux.astype(np.float64), error.astype(np.float64)
