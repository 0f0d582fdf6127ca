"""The nearest spectrum of a grid over an observed one, and where both differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vitlab.ml.spectra.lines import Line, own_lines
from vitlab.ml.survey.comparison import CONTINUUM, FLOOR, Match, Reference, level
from vitlab.ml.survey.pixels import OnPixels
from vitlab.ml.survey.spectrum import Array

COVERED = 0.5
"""Share of a line's pixels that must have data."""
CLEAR = 3.0, 0.01
"""Errors, and share of the continuum, by which a line must differ to be named."""


@dataclass(frozen=True)
class Overlay:
    """Both on the pixels (L,) of a model."""

    nearest: Array
    """The grid's, with the observed continuum, over the observed median; NaN far from data."""
    residual: Array
    """Observed minus nearest, over the continuum; NaN without data."""
    sigma: Array
    """1-sigma error of it."""
    independent: float
    """As `OnPixels.independent`."""

    @property
    def pulls(self) -> Array:
        """(L,) `residual` in errors with `FLOOR` added, as the chi-square of `Match` counts it."""
        return np.asarray(self.residual / np.hypot(self.sigma, FLOOR))


def overlay(observed: OnPixels, wave: Array, nearest: Match, reference: Reference) -> Overlay:
    """`nearest` (of `match`) over a spectrum on pixels `wave` (L,), Angstrom in air, at rest."""
    star = reference.nearest(nearest, observed.resolution, wave)
    good = torch.from_numpy(observed.good)
    both = level(torch.from_numpy(np.stack([observed.flux, star])), good, wave).numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        continuum = observed.flux / both[0]
        known = observed.good & np.isfinite(continuum) & (continuum > 0)
        residual = np.where(known, both[0] - both[1], np.nan)
        sigma = np.where(known, observed.sigma / continuum, np.nan)
    if not known.any():
        return Overlay(np.full(len(wave), np.nan), residual, sigma, observed.independent)
    continuum = np.interp(wave, wave[known], continuum[known])
    after = np.searchsorted(wave[known], wave).clip(1, known.sum() - 1)
    away = np.minimum(abs(wave - wave[known][after - 1]), abs(wave - wave[known][after]))
    drawn = np.where(away <= CONTINUUM / 2, both[1] * continuum, np.nan)
    return Overlay(drawn, residual, sigma, observed.independent)


def misfits(found: Overlay, wave: Array, lines: Sequence[Line]) -> list[tuple[str, float, float]]:
    """Name, mean residual (of the continuum) and its error of lines that differ, largest first.

    The error is of the noise alone.
    """
    known = np.isfinite(found.residual)
    measured: list[tuple[str, float, float]] = []
    for line in own_lines(lines):
        low, high = line.reach
        inside = (wave >= low) & (wave <= high)
        use = inside & known
        if not use.any() or use.sum() < COVERED * inside.sum():
            continue
        mean = float(found.residual[use].mean())
        error = float(np.sqrt((found.sigma[use] ** 2).sum() / found.independent) / use.sum())
        if abs(mean) > max(CLEAR[0] * error, CLEAR[1]):
            measured.append((line.name, mean, error))
    return sorted(measured, key=lambda one: -abs(one[1]))
