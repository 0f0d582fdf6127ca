"""The test stars: brightness, true labels, noise-free flux."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.config import GRID_SOURCES, DataConfig
from vitlab.contract.excluded import Counts
from vitlab.ml.spectra.dataset import GridSpectra, Spectra, unpermuted
from vitlab.ml.spectra.file_spectra import FileSpectra
from vitlab.ml.spectra.grid import Grid, OutOfGrid
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.lines import air

Array = NDArray[np.float64]
PIECE = 1024


def conditions(spectra: Spectra) -> tuple[Array, Array]:
    """(n,) magnitudes and (n,) S/N of the test stars, before noise; NaN where not known.

    S/N is the median over the pixels of flux over its 1-sigma error.
    """
    spectra = unpermuted(spectra)
    n = spectra.sizes["test"]
    parts = [_snr(spectra, i, min(i + PIECE, n)) for i in range(0, n, PIECE)]
    snr = np.concatenate(parts) if parts else np.empty(0)
    return _magnitudes(spectra, n), snr


def _magnitudes(spectra: GridSpectra | FileSpectra, n: int) -> Array:
    if isinstance(spectra, GridSpectra):
        return spectra.simulator.stars("test", 0, n).mag
    if "mag" in spectra.files.params:
        mag = spectra.files.params["mag"][spectra.rows("test")]
        if mag.dtype.kind in "fiu":
            return mag.astype(np.float64)
    return np.full(n, np.nan)


def _snr(spectra: GridSpectra | FileSpectra, start: int, stop: int) -> Array:
    if isinstance(spectra, GridSpectra):
        flux, error = spectra.simulator.observe(spectra.simulator.stars("test", start, stop), None)
    else:
        flux, error = (torch.from_numpy(part) for part in spectra.test_rows(start, stop))
        error = error * (spectra.level or 1.0)
    ratio = torch.where(error.isfinite() & (error > 0), flux / error, torch.nan)
    snr: Array = ratio.nanmedian(dim=1).values.double().cpu().numpy()
    return snr


COMPARED = 8
"""Stars that decide whether a file's wavelengths are in vacuum."""


def excluded(spectra: Spectra) -> dict[str, Counts] | None:
    """Split -> reason -> spectra of a file that were left out; None for simulated stars."""
    spectra = unpermuted(spectra)
    if not isinstance(spectra, FileSpectra):
        return None
    return {split: spectra.excluded(split) for split, n in spectra.wanted.items() if n}


def grid_labels(spectra: Spectra, number: int) -> Array | None:
    """(3,) true labels of a test star in the order of `LABELS`; None where a file lacks one."""
    spectra = unpermuted(spectra)
    if isinstance(spectra, GridSpectra):
        labels: Array = spectra.simulator.stars("test", number, number + 1).labels[0]
        return labels
    params = spectra.files.params
    if any(name not in params or params[name].dtype.kind not in "fiu" for name in LABELS):
        return None
    row = spectra.rows("test")[number]
    return np.array([float(params[name][row]) for name in LABELS])


def clean_flux(spectra: Spectra, number: int) -> Array | None:
    """(L,) flux of a test star before noise, NaN without datum; None where it came with noise."""
    spectra = unpermuted(spectra)
    if isinstance(spectra, GridSpectra):
        batch = spectra.clean(number, number + 1, "test")
        return np.asarray(batch.flux[0].double().cpu().numpy())
    if spectra.level and spectra.changes is None:
        flux, error = _rows(spectra, number, number + 1)
        return np.where(np.isfinite(error[0]), flux[0], np.nan)
    return None


def medium(spectra: Spectra) -> str:
    """`air`, as of a grid, or `vacuum`; empty where a file does not say it."""
    spectra = unpermuted(spectra)
    return spectra.files.medium if isinstance(spectra, FileSpectra) else "air"


def is_trained_on(known: Mapping[str, object], spectra: Spectra) -> bool:
    """Whether a result's `data` may be of these training spectra; not, if they are known others."""
    if isinstance(own := unpermuted(spectra), FileSpectra):
        return known.get("train_hash") in (None, own.train_hash)
    return known.get("hash") in (None, own.hash)


def is_changed(known: Mapping[str, object], spectra: Spectra) -> bool:
    """Whether spectra are known to be others than a result's `data` is of, training or test."""
    if len(str(known.get("hash", ""))) != len(spectra.hash):
        return False
    return known["hash"] != spectra.hash or not is_trained_on(known, spectra)


def medium_then(known: Mapping[str, object], spectra: Spectra) -> str:
    """The medium of the spectra that a result's `data` is of; empty where that is not known."""
    now = medium(spectra)
    same = is_trained_on(known, spectra) or not isinstance(unpermuted(spectra), FileSpectra)
    return str(known.get("medium") or (now if same else ""))


def changed_since(data: DataConfig) -> str:
    """That a model's training spectra `is_trained_on` are others now."""
    if data.source in GRID_SOURCES:
        of = f" ({data.grid})" if data.grid else ""
        return f"simulated stars{of} are not those it was trained on any more"
    return f"{data.source} is not the file it was trained on any more"


def other_medium(trained: str, here: Spectra) -> str:
    """That a model's wavelengths are in another medium than those of spectra; empty: they may not.

    The difference is 2.3 A, five pixels.
    """
    media = trained, medium(here)
    return "was trained in {}, not in {}".format(*media) if {*media} == {"air", "vacuum"} else ""


def in_vacuum(spectra: Spectra, grid: Grid) -> bool:
    """Whether the wavelengths are in vacuum; the grid's are in air.

    A file's are where it says so; else where the first test stars then look more like the grid at
    their labels; in air where these are not known. The difference is 2.3 A, five pixels.
    """
    spectra = unpermuted(spectra)
    if isinstance(spectra, FileSpectra) and (stated := spectra.files.medium):
        return stated == "vacuum"
    n = spectra.at_most("test", COMPARED)
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
    return _similarity(air(wave), flux, grid.wave, expected) > _similarity(
        wave, flux, grid.wave, expected
    )


def _similarity(wave: Array, flux: Array, known: Array, expected: Array) -> float:
    """Mean correlation of the slopes of some (n, L) spectra with those expected."""
    inside = (wave > known[0]) & (wave < known[-1])
    if inside.sum() < 3:
        return -1.0
    correlations = [
        np.corrcoef(np.diff(np.interp(wave[inside], known, ideal)), np.diff(real[inside]))[0, 1]
        for ideal, real in zip(expected, flux, strict=True)
    ]
    return float(np.nan_to_num(np.mean(correlations), nan=-1.0))


def _rows(spectra: FileSpectra, start: int, stop: int) -> tuple[Array, Array]:
    """Flux and errors of test stars as the file has them."""
    flux, error = spectra.test_rows(start, stop)
    return flux.astype(np.float64), error.astype(np.float64)
