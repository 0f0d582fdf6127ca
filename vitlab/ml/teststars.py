"""The test stars themselves: how bright they are, and whether the training set holds them too."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.ml.filespectra import FileSpectra
from vitlab.ml.spectra import GridSpectra, Spectra

Array = NDArray[np.float64]
PIECE = 1024
NOT_A_STAR = ("id", "index", "snr", "random_seed")
"""Columns of a file that say nothing of which star a row is."""


def conditions(spectra: Spectra) -> tuple[Array, Array]:
    """(n,) magnitudes and (n,) S/N of the test stars, before noise; NaN where not known.

    S/N is the median over the pixels of flux over its 1-sigma error.
    """
    n = spectra.sizes["test"]
    parts = [_snr(spectra, i, min(i + PIECE, n)) for i in range(0, n, PIECE)]
    snr = np.concatenate(parts) if parts else np.empty(0)
    return _magnitudes(spectra, n), snr


def overlap(spectra: Spectra) -> int:
    """How many test stars are in the training set too: 0, or no score means anything.

    Stars of a grid are the same when all labels and the magnitude are. Rows of files are
    candidates when all their parameters are, and the same when their flux is.
    """
    n_train, n_test = spectra.sizes["train"], spectra.sizes["test"]
    if isinstance(spectra, FileSpectra):
        return _file_overlap(spectra, n_train, n_test)
    if not isinstance(spectra, GridSpectra) or n_train == 0:
        return 0
    train, test = (spectra.simulator.stars(s, 0, n) for s, n in _both(n_train, n_test))
    rows = [np.column_stack([stars.labels, stars.mag]) for stars in (train, test)]
    return int(np.isin(_keys(rows[1]), _keys(rows[0])).sum())


def _both(n_train: int, n_test: int) -> tuple[tuple[str, int], tuple[str, int]]:
    return ("train", n_train), ("test", n_test)


def _file_overlap(spectra: FileSpectra, n_train: int, n_test: int) -> int:
    files = spectra.files
    names = [k for k, v in files.params.items() if v.dtype.kind in "fiu" and k not in NOT_A_STAR]
    table = np.column_stack([files.params[name].astype(np.float64) for name in sorted(names)])
    keys = _keys(table)
    first = files.n - n_test
    train, test = keys[:n_train], keys[first:]
    order = np.argsort(train, kind="stable")
    low = np.searchsorted(train, test, "left", sorter=order)
    high = np.searchsorted(train, test, "right", sorter=order)
    found = 0
    for k in np.flatnonzero(high > low):
        flux = files.read(first + int(k), first + int(k) + 1)[0]
        twins = order[low[k] : high[k]]
        found += any(np.allclose(files.read(int(t), int(t) + 1)[0], flux) for t in twins)
    return found


def _keys(table: Array) -> NDArray[np.uint64]:
    """Each row as one number: of a billion pairs of different rows, none are likely to share it."""
    bits = np.ascontiguousarray(table).view(np.uint64)
    generator = np.random.default_rng(0)
    keys = np.zeros(len(bits), dtype=np.uint64)
    for column in bits.T:
        odd = generator.integers(2**63, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
        keys = (keys ^ (keys >> np.uint64(29))) * odd + column
    return keys


def _magnitudes(spectra: Spectra, n: int) -> Array:
    if isinstance(spectra, GridSpectra):
        return spectra.simulator.stars("test", 0, n).mag
    if isinstance(spectra, FileSpectra) and "mag" in spectra.files.params:
        mag = spectra.files.params["mag"][spectra.files.n - n :]
        if mag.dtype.kind in "fiu":
            return mag.astype(np.float64)
    return np.full(n, np.nan)


def _snr(spectra: Spectra, start: int, stop: int) -> Array:
    if isinstance(spectra, GridSpectra):
        flux, error = spectra.simulator.observe(spectra.simulator.stars("test", start, stop), None)
    elif isinstance(spectra, FileSpectra):
        first = spectra.files.n - spectra.sizes["test"]
        rows = spectra.files.read(first + start, first + stop)
        flux, error = (torch.from_numpy(part) for part in rows)
        error = error * (spectra.level or 1.0)
    else:
        batch = spectra.fixed("test", start, stop)
        flux, error = batch.flux, batch.error
    ratio = torch.where(error.isfinite() & (error > 0), flux / error, torch.nan)
    snr: Array = ratio.nanmedian(dim=1).values.double().cpu().numpy()
    return snr
