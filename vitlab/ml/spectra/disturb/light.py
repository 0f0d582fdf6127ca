"""What changes a star's light before noise: its lines, velocity, resolution, dust, a smooth curve.

Velocity and resolution are one product in Fourier space on pixels even in ln(wavelength), where a
shift is a phase and every line has the same width at a given resolution. Spectra go there and back
by polynomials through the nearest pixels; beyond its ends a spectrum keeps its last pixel's flux.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import next_fast_len
from torch import Tensor

from vitlab.contract.validation import RESOLUTION

Array = NDArray[np.float64]
LIGHT = 299_792.458
"""km/s."""
FWHM = 2 * math.sqrt(2 * math.log(2))
"""FWHM of a Gaussian over its standard deviation."""
R_V = 3.1
"""A_V over E(B-V)."""
LAW_RANGE = (3030.0, 9090.0)
"""Angstrom in which `extinction_law` holds."""
TAPS = 6
"""Pixels that an interpolation uses."""
WIDTHS = 5.0
"""Standard deviations of a line beyond which it is nothing."""
CONTINUUM_STEP = 100.0
"""Angstrom between the points of the continuum that lines are measured from."""
LINE_STEP = 10.0
"""Angstrom between points with errors of depth of their own: a strong line."""


def extinction_law(wave: Array) -> Array:
    """(L,) Angstrom, 3030 to 9090 -> A(wave) / A_V for R_V = 3.1 (Cardelli et al. 1989)."""
    y = 1e4 / wave - 1.82
    a = np.polyval([0.32999, -0.77530, 0.01979, 0.72085, -0.02427, -0.50447, 0.17699, 1], y)
    b = np.polyval([-2.09002, 5.30260, -0.62251, -5.38434, 1.07233, 2.28305, 1.41338, 0], y)
    return np.asarray(a + b / R_V)


def added_width(resolution: Array) -> Array:
    """(n,) resolutions -> FWHM squared over wavelength squared to add to the grid's."""
    return np.asarray(1 / resolution**2 - 1 / RESOLUTION**2)


def reddening(wave: Array) -> Array:
    """(L,) ln of the share of the light that is left, for a magnitude of E(B-V)."""
    return np.asarray(-0.4 * math.log(10) * R_V * extinction_law(wave))


def legendre(wave: Array, orders: range) -> Array:
    """(orders, L) Legendre polynomials over the band."""
    x = 2 * (wave - wave[0]) / (wave[-1] - wave[0]) - 1
    return np.stack([np.polynomial.Legendre.basis(order)(x) for order in orders])


@dataclass(frozen=True)
class Taps:
    """A fixed linear map of pixels: each new one is a weighted sum of a few old ones."""

    pixel: Tensor  # (T, M) of the old ones
    weight: Tensor  # (T, M)

    def __call__(self, flux: Tensor) -> Tensor:
        """(B, L) -> (B, M)."""
        out = flux.index_select(1, self.pixel[0]).mul_(self.weight[0])
        for pixel, weight in zip(self.pixel[1:], self.weight[1:], strict=True):
            out.addcmul_(flux.index_select(1, pixel), weight)
        return out


def interpolation(position: Array, pixels: int) -> tuple[NDArray[np.int64], Array]:
    """(M,) fractional pixels -> (TAPS, M) pixels and Lagrange weights; clamped at the ends."""
    position = position.clip(0, pixels - 1)
    first = (np.floor(position).astype(int) - (TAPS // 2 - 1)).clip(0, pixels - TAPS)
    t = position - first
    weights = np.ones((TAPS, len(position)))
    for tap in range(TAPS):
        for other in set(range(TAPS)) - {tap}:
            weights[tap] *= (t - other) / (tap - other)
    return first + np.arange(TAPS)[:, None], weights


@dataclass(frozen=True)
class Optics:
    """Shifts and blurs spectra on the pixels it was made for."""

    there: Taps
    """To pixels even in ln(wavelength), whose end goes over smoothly into the beginning."""
    back: Taps
    frequency: Tensor  # (M // 2 + 1,) radians per unit of ln(wavelength)
    count: int

    def __call__(self, flux: Tensor, velocity: Tensor | None, resolution: Tensor | None) -> Tensor:
        """(B, L), (B,) km/s, (B,) wavelength over FWHM, at most `RESOLUTION` -> (B, L)."""
        waves = torch.fft.rfft(self.there(flux))
        if resolution is not None:
            square = (resolution.square().reciprocal() - RESOLUTION**-2).clamp_(min=0) / FWHM**2
            waves *= torch.exp(-0.5 * square[:, None] * self.frequency.square())
        if velocity is not None:
            angle = torch.log1p(velocity / LIGHT)[:, None] * self.frequency
            waves *= torch.polar(torch.ones_like(angle), -angle)
        return self.back(torch.fft.irfft(waves, n=self.count))


@dataclass(frozen=True)
class Depths:
    """Makes lines deeper or shallower: ln of the flux over a broken line, times exp of an error."""

    mean: Tensor  # (L, N) flux -> its mean around each of N points
    broken: Tensor  # (N, L) the line through these
    errors: Tensor  # (1 + M, L) normal numbers -> an error of variance 1 at each pixel

    @property
    def numbers(self) -> int:
        return len(self.errors)

    def __call__(self, flux: Tensor, normal: Tensor, amplitude: float) -> Tensor:
        """(B, L) positive flux, (B, `numbers`) -> (B, L)."""
        level = (flux @ self.mean) @ self.broken
        return level * (flux / level) ** (normal @ self.errors * amplitude).exp()


def make_depths(wave: Array, device: torch.device) -> Depths:
    """For (L,) ascending Angstrom."""
    broad, narrow = hats(wave, CONTINUUM_STEP), hats(wave, LINE_STEP)
    own = narrow / np.sqrt((narrow**2).sum(axis=0))
    errors = np.concatenate([np.ones((1, len(wave))), own]) / math.sqrt(2)
    each = (broad.T / broad.sum(axis=1), broad, errors)
    return Depths(*(torch.from_numpy(np.ascontiguousarray(x)).float().to(device) for x in each))


def hats(wave: Array, step: float) -> Array:
    """(N, L) weights by which N even points, about `step` apart, make a broken line of L pixels."""
    count = max(round((wave[-1] - wave[0]) / step), 1) + 1
    at = np.linspace(wave[0], wave[-1], count)
    return np.stack([np.interp(wave, at, one) for one in np.eye(count)])


def make_optics(wave: Array, velocity: float, resolution: float, device: torch.device) -> Optics:
    """For (L,) ascending Angstrom, up to this |velocity| in km/s and down to this resolution."""
    log, pixels = np.log(wave), len(wave)
    step = float(np.diff(log).min())
    width = math.sqrt(max(float(added_width(np.array(resolution))), 0.0)) / FWHM
    reach = math.ceil((math.log1p(velocity / LIGHT) + WIDTHS * width) / step) + TAPS
    inside = math.ceil((log[-1] - log[0]) / step) + 1
    count = next_fast_len(inside + 4 * reach, real=True)
    at = log[0] + step * (np.arange(count) - reach)  # ln wavelength
    pixel, weight = interpolation(np.interp(at, log, np.arange(pixels)), pixels)
    # After the last pixel's flux has been kept for `reach`, over to that before the first.
    over = np.arange(inside + 2 * reach, count)
    share = 0.5 - 0.5 * np.cos(np.pi * (np.arange(len(over)) + 0.5) / len(over))
    pixel[:, over], weight[:, over] = 0, 0.0
    pixel[0, over], weight[0, over], weight[1, over] = pixels - 1, 1 - share, share
    frequency = 2 * math.pi * np.fft.rfftfreq(count, step)
    back = interpolation((log - log[0]) / step + reach, count)
    return Optics(
        _taps(pixel, weight, device),
        _taps(*back, device),
        torch.from_numpy(frequency).float().to(device),
        count,
    )


def _taps(pixel: NDArray[np.int64], weight: Array, device: torch.device) -> Taps:
    return Taps(torch.from_numpy(pixel).to(device), torch.from_numpy(weight).float().to(device))
