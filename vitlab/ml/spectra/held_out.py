"""The test stars: brightness, true labels, noise-free flux, overlap with the training set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.ml.spectra.dataset import GridSpectra, Spectra, unpermuted
from vitlab.ml.spectra.file_spectra import FileSpectra
from vitlab.ml.spectra.grid import Grid, OutOfGrid
from vitlab.ml.spectra.hdf5 import Columns
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.lines import air

Array = NDArray[np.float64]
PIECE = 1024
NOT_A_STAR = ("id", "index", "snr", "random_seed")
"""Columns of a file that do not identify a star."""
GRID_COLUMNS = (*LABELS, "mag")
"""Columns that identify a simulated star."""
DRAWN = 1_000_000
"""Training stars drawn at once (64 MB)."""


def conditions(spectra: Spectra) -> tuple[Array, Array]:
    """(n,) magnitudes and (n,) S/N of the test stars, before noise; NaN where not known.

    S/N is the median over the pixels of flux over its 1-sigma error.
    """
    spectra = unpermuted(spectra)
    n = spectra.sizes["test"]
    parts = [_snr(spectra, i, min(i + PIECE, n)) for i in range(0, n, PIECE)]
    snr = np.concatenate(parts) if parts else np.empty(0)
    return _magnitudes(spectra, n), snr


def overlap(spectra: Spectra, trained: Spectra | None = None, shown: int | None = None) -> int:
    """Number of test stars that are also in the training set: above 0 the scores are meaningless.

    `trained`: the data set trained on (None: `spectra`); `shown`: how many of its stars the model
    saw (None: all). Stars are identical when all labels and the magnitude are; for rows of files
    the flux must agree too.
    """
    spectra, trained = unpermuted(spectra), unpermuted(trained or spectra)
    if isinstance(trained, FileSpectra) and isinstance(spectra, FileSpectra):
        return _file_overlap(trained, spectra)
    n_train = trained.sizes["train"] if shown is None else shown
    names = [name for name in GRID_COLUMNS if name in _columns(spectra, 0)]
    if len(names) < len(GRID_COLUMNS) or isinstance(trained, FileSpectra):
        return 0  # without these columns a file cannot identify a simulated star
    n_test = spectra.sizes["test"]
    columns = _columns(spectra, n_test, split="test")
    tested = _keys(_table(columns, names)[-n_test:])
    shared = np.zeros(len(tested), dtype=bool)
    for start in range(0, n_train, DRAWN):
        stop = min(start + DRAWN, n_train)
        shared |= np.isin(tested, _keys(_table(_columns(trained, stop, start), names)))
    return int(shared.sum())


def _file_overlap(trained: FileSpectra, tested: FileSpectra) -> int:
    ours, theirs = trained.files, tested.files
    names = sorted(set(_numbers(ours.params)) & set(_numbers(theirs.params)))
    if not names or len(ours.wave) != len(theirs.wave):
        return 0
    n_train, n_test = trained.sizes["train"], tested.sizes["test"]
    first = theirs.n - n_test
    train = _keys(_table(ours.params, names))[:n_train]
    test = _keys(_table(theirs.params, names))[first:]
    order = np.argsort(train, kind="stable")
    low = np.searchsorted(train, test, "left", sorter=order)
    high = np.searchsorted(train, test, "right", sorter=order)
    shared = 0
    for k in np.flatnonzero(high > low):
        flux = theirs.read(first + int(k), first + int(k) + 1)[0]
        twins = order[low[k] : high[k]]
        shared += any(np.allclose(ours.read(int(t), int(t) + 1)[0], flux) for t in twins)
    return shared


def _numbers(params: Columns) -> list[str]:
    return [k for k, v in params.items() if v.dtype.kind in "fiu" and k not in NOT_A_STAR]


def _columns(
    spectra: GridSpectra | FileSpectra, stop: int, start: int = 0, split: str = "train"
) -> Columns:
    """The columns of simulated stars `start` to `stop`, or of all rows of a file."""
    if isinstance(spectra, FileSpectra):
        return spectra.files.params
    stars = spectra.simulator.stars(split, start, stop)
    return {**dict(zip(LABELS, stars.labels.T, strict=True)), "mag": stars.mag}


def _table(columns: Columns, names: Sequence[str]) -> Array:
    return np.column_stack([columns[name].astype(np.float64) for name in names])


def _keys(table: Array) -> NDArray[np.uint64]:
    """A 64-bit hash of each row."""
    bits = np.ascontiguousarray(table).view(np.uint64)
    generator = np.random.default_rng(0)
    keys = np.zeros(len(bits), dtype=np.uint64)
    for column in bits.T:
        odd = generator.integers(2**63, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        keys = (keys ^ (keys >> np.uint64(29))) * odd + column
    return keys


def _magnitudes(spectra: GridSpectra | FileSpectra, n: int) -> Array:
    if isinstance(spectra, GridSpectra):
        return spectra.simulator.stars("test", 0, n).mag
    if "mag" in spectra.files.params:
        mag = spectra.files.params["mag"][spectra.files.n - n :]
        if mag.dtype.kind in "fiu":
            return mag.astype(np.float64)
    return np.full(n, np.nan)


def _snr(spectra: GridSpectra | FileSpectra, start: int, stop: int) -> Array:
    if isinstance(spectra, GridSpectra):
        flux, error = spectra.simulator.observe(spectra.simulator.stars("test", start, stop), None)
    else:
        first = spectra.files.n - spectra.sizes["test"]
        rows = spectra.files.read(first + start, first + stop)
        flux, error = (torch.from_numpy(part) for part in rows)
        error = error * (spectra.level or 1.0)
    ratio = torch.where(error.isfinite() & (error > 0), flux / error, torch.nan)
    snr: Array = ratio.nanmedian(dim=1).values.double().cpu().numpy()
    return snr


COMPARED = 8
"""Stars that decide whether a file's wavelengths are in vacuum."""


def grid_labels(spectra: Spectra, number: int) -> Array | None:
    """(3,) true labels of a test star in the order of `LABELS`; None where a file lacks one."""
    spectra = unpermuted(spectra)
    if isinstance(spectra, GridSpectra):
        labels: Array = spectra.simulator.stars("test", number, number + 1).labels[0]
        return labels
    params = spectra.files.params
    if any(name not in params or params[name].dtype.kind not in "fiu" for name in LABELS):
        return None
    row = spectra.files.n - spectra.sizes["test"] + number
    return np.array([float(params[name][row]) for name in LABELS])


def clean_flux(spectra: Spectra, number: int) -> Array | None:
    """(L,) flux of a test star before noise, NaN without datum; None where it came with noise."""
    spectra = unpermuted(spectra)
    if isinstance(spectra, GridSpectra):
        stars = spectra.simulator.stars("test", number, number + 1)
        return np.asarray(spectra.simulator.flux(stars)[0].double().cpu().numpy())
    if spectra.level:
        flux, error = _rows(spectra, number, number + 1)
        return np.where(np.isfinite(error[0]), flux[0], np.nan)
    return None


def in_vacuum(spectra: Spectra, grid: Grid) -> bool:
    """Whether the wavelengths are in vacuum; the grid's are in air.

    A file's are where the first test stars then look more like the grid at their labels; in air
    where these are not known. The difference is 2.3 A, five pixels.
    """
    spectra = unpermuted(spectra)
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
    first = spectra.files.n - spectra.sizes["test"]
    flux, error = spectra.files.read(first + start, first + stop)
    return flux.astype(np.float64), error.astype(np.float64)
