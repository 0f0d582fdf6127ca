"""Observed spectra made from the grid, or of lines that are known exactly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.ml.spectra.disturb.light import make_optics
from vitlab.ml.spectra.grid import Grid
from vitlab.ml.survey.spectrum import LIGHT, Spectrum

Array = NDArray[np.float64]


def spectrum(wave: Array, flux: Array, sigma: Array | None, **others: Any) -> Spectrum:
    """A star without faults; `others` replace its fields."""
    plain = Spectrum(
        file="star.fits",
        where="HDU 0",
        survey="test",
        object="star",
        kind="star",
        wave=wave,
        flux=flux,
        sigma=sigma,
        mask=np.zeros(len(wave), bool),
        masked={},
        resolution=np.full(len(wave), 5000.0),
        velocity=None,
        velocity_error=None,
        labels={},
        label_source="",
        notes=(),
    )
    return replace(plain, **others)


def observed(
    grid: Grid,
    labels: tuple[float, float, float],
    snr: float,
    velocity: float = 0.0,
    seed: int = 0,
    resolution: float = 5000.0,
    **others: Any,
) -> Spectrum:
    """A star of the grid on its own pixels, with noise, moving."""
    flux = grid.flux(torch.tensor([labels], dtype=torch.float64)).float()
    if resolution < 5000:
        r = torch.tensor([resolution])
        flux = make_optics(grid.wave, 0.0, resolution, torch.device("cpu"))(flux, None, r)
    wave = grid.wave * (1 + velocity / LIGHT)
    clean = flux[0].double().numpy()
    noise = np.random.default_rng(seed).standard_normal(len(wave)) / snr
    sigma = np.full(len(wave), 1 / snr)
    others = {"resolution": np.full(len(wave), resolution), **others}
    return spectrum(wave, clean + noise, sigma, **others)
