"""Observed spectra: batches of a data set, and the noise model.

With f = 10^(-0.4 (mag - 18)), x the flux over its median and s the sky over its median, a pixel
counts a f x from the star and has the variance a f x + b s. a and b are fitted to the median S/N
of 12 x 900 s exposures of the medium-resolution arm: 87.4, 7.1, 1.9 at mag 18, 21.5, 23.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.spectra.grid import packaged
from vitlab.ml.spectra.hdf5 import open_hdf5, read_array

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """A batch of observed spectra."""

    flux: Tensor  # (B, L) over the median
    error: Tensor  # (B, L) 1-sigma of the noise; infinite where there is no data
    labels: NDArray[np.float64]  # (B, K) in their own units
    estimate: Callable[[], Tensor] | None = None
    """Makes `shown_error`; None where `error` itself was estimated from the noisy flux."""

    @property
    def shown_error(self) -> Tensor:
        """(B, L) 1-sigma errors as an observer knows them, the only ones a model may see.

        `error` may come from the noise-free spectrum, which a model could then solve for.
        """
        return self.error if self.estimate is None else self.estimate()


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """The array as a tensor; pinned for a GPU, so that the host does not wait."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def content_hash(parts: list[object], *data: bytes) -> str:
    """A hash (16 hexadecimal digits) of everything a data set depends on."""
    digest = hashlib.sha256(json.dumps(parts).encode())
    for block in data:
        digest.update(block)
    return digest.hexdigest()[:16]


STAR = 9590.0
"""a: counts of a star of magnitude `MAG_ZERO` in its median pixel."""
BACKGROUND = 2450.0
"""b: variance of sky and detector in the median pixel, counts."""
MAG_ZERO = 18.0


@dataclass(frozen=True)
class NoiseModel:
    """The 1-sigma errors of observed spectra, in units of the median flux."""

    sky: Tensor  # (L,) sky over its median
    level: float = 1.0
    """Factor on sigma."""

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> NoiseModel:
        return replace(self, sky=self.sky.to(device, dtype))

    def sigma(self, flux: Tensor, mag: Tensor) -> Tensor:
        """(B, L) flux over median, (B,) magnitudes -> (B, L) 1-sigma errors, in the same unit."""
        return self.variance(flux, mag).sqrt_()

    def estimated_sigma(self, observed: Tensor, mag: Tensor) -> Tensor:
        """(B, L) noisy flux, (B,) magnitudes -> (B, L) 1-sigma errors from the counts themselves.

        A pixel's variance is its count, sky included; one below the sky counts as the sky.
        """
        return self.sigma(observed.clamp(min=0), mag)

    def variance(self, flux: Tensor, mag: Tensor) -> Tensor:
        """(B, L), (B,) -> (B, L) sigma squared."""
        star, sky = (x.to(flux.dtype)[:, None] for x in self.coefficients(mag))
        return torch.addcmul(star * flux, sky, self.sky)

    def coefficients(self, mag: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) -> float64 (B,) a, (B,) b: the variance is a x flux + b x sky."""
        counts = STAR * 10 ** (-0.4 * (mag.double() - MAG_ZERO))
        return self.level**2 / counts, self.level**2 * BACKGROUND / counts**2

    def snr(self, flux: Tensor, mag: Tensor) -> Tensor:
        """(B,) median over the pixels of flux over sigma."""
        return (flux / self.sigma(flux, mag)).quantile(0.5, dim=1)


def load_noise(level: float = 1.0) -> NoiseModel:
    """The noise with the packaged dark sky (Paranal, no moon)."""
    return NoiseModel(torch.from_numpy(dark_sky()[1].astype(np.float32)), level)


@cache
def dark_sky() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(L,) Angstrom in air, and the packaged sky there, over its median: read once, read-only."""
    with resources.as_file(packaged("sky.h5")) as inside, open_hdf5(inside) as file:
        wave, radiance = (read_array(file, name).astype(float) for name in ("wave", "radiance"))
    radiance = radiance / np.median(radiance)
    wave.flags.writeable = radiance.flags.writeable = False
    return wave, radiance
