"""What the grid can make of an observed spectrum: its velocity, the nearest star, how unlike it is.

Spectra are compared over their running mean, so that neither extinction nor a calibration counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from scipy.stats import gamma
from torch import Tensor

from vitlab.contract.validation import RESOLUTION
from vitlab.ml.spectra.disturb.light import make_optics
from vitlab.ml.spectra.disturb.running import make_running_mean
from vitlab.ml.spectra.grid import Grid
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.survey.pixels import OnPixels
from vitlab.ml.survey.spectrum import LIGHT, Array

CONTINUUM = 200.0
"""Angstrom of the running mean."""
ORDER = 4
"""Of the polynomial that is divided out first."""
FLOOR = 0.03
"""Of the continuum, added to errors: the syntheses (LTE, one line list) are not better, see
docs/survey.md."""
LEAST_ERROR = 0.01
"""The same where a velocity is found: lines are where they are even if their depths are not."""
REFINE = 2
"""Grid steps between compared spectra: one half."""
VISIBLE = 25.0
"""Fall of chi-square by lines (5 sigma) from which on they are seen."""
NODES = 60
"""Spectra that velocities are found with, about."""
KEPT_RESOLUTIONS = 12
"""Of which these spectra are kept."""
STEP = 12.0
"""km/s of the pixels on which velocities are found."""
FASTEST = 800.0
"""km/s: no velocity beyond is looked for."""
PART = 128
"""Spectra that are prepared at once: larger arrays would be new memory each time."""
LAGS = np.arange(-round(FASTEST / STEP), round(FASTEST / STEP) + 1)
SIMULATED = 400
"""Spectra that the alarm is calibrated on, for each observed one."""
KEPT = 0.99
"""Of the pixels: a few far away are a fault of their own."""
RATE = 0.01
"""Of the grid's own spectra, with these errors and masks, that raise the alarm."""
EACH = RATE / 3
"""By each of its statistics: chi-square, lines, and a network's features."""
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Found:
    """A velocity from cross-correlation."""

    velocity: float
    """km/s."""
    error: float
    """km/s, 1 sigma: of the noise, times the scatter of the fit if that is larger."""
    gain: float
    """Fall of chi-square by the lines of the best spectrum, against none."""

    @property
    def visible(self) -> bool:
        return self.gain > VISIBLE


@dataclass(frozen=True)
class Match:
    """The nearest spectrum of the grid, and how it compares with the grid's own."""

    labels: Array  # (3,)
    chi2: float
    """Of a pixel, with `FLOOR` added to the errors."""
    highest: float
    """Chi-square of a pixel that `EACH` of the grid's own spectra exceed."""
    gain: float
    """Fall of chi-square by its lines, against none."""
    misfit: float
    """Rms by which the nearest spectrum misses, over the continuum and beyond the errors."""
    least: float
    """Gain that `EACH` of the grid's own spectra do not reach."""

    def named(self) -> dict[str, float]:
        """Its labels."""
        return dict(zip(LABELS, self.labels.tolist(), strict=True))

    @property
    def tells(self) -> bool:
        """Whether such data could show a star's lines at all, or do."""
        return max(self.least, self.gain) > VISIBLE

    @property
    def unlikeness(self) -> float:
        """The larger of both statistics over their limits: above 1 the alarm is raised."""
        lines = self.least / self.gain if self.gain > 0 and self.least > 0 else self.least > 0
        return max(self.chi2 / self.highest, float(lines))

    @property
    def why(self) -> str:
        """Why it is unlike the grid's spectra; empty if it is not."""
        parts = []
        if self.chi2 > self.highest:
            parts.append(
                f"no spectrum of the grid fits: chi2 {self.chi2:.2f} a pixel, above "
                f"{self.highest:.2f}"
            )
        if self.gain < self.least:
            parts.append(
                f"its lines are not those of a star: chi2 falls by {self.gain:.0f} with them, "
                f"of stars by at least {self.least:.0f}"
            )
        return "; ".join(parts)


class Reference:
    """Spectra of a grid to compare with, kept for each resolution."""

    def __init__(self, grid: Grid) -> None:
        self.grid = grid
        axes = [
            np.interp(np.arange((len(a) - 1) * REFINE + 1) / REFINE, np.arange(len(a)), a)
            for a in grid.axes
        ]
        mesh = np.meshgrid(*axes, indexing="ij")
        self.labels: Array = np.stack(mesh, axis=-1).reshape(-1, len(axes))
        """(T, 3) of the spectra that are compared."""
        self._compared: dict[float, Tensor] = {}
        self._even: dict[float, Array] = {}

    def compared(self, resolution: float) -> Tensor:
        """(T, L) spectra of `labels` on the grid's pixels."""
        r = round(resolution, -2)
        if r not in self._compared:
            flux = self.grid.flux(torch.from_numpy(self.labels)).float()
            self._compared = {r: _blurred(flux, self.grid, r)}
        return self._compared[r]

    def nearest(self, near: Match, resolution: float, wave: Array) -> Array:
        """(L,) the spectrum that `match` found, on pixels `wave`, Angstrom in air."""
        number = int(abs(self.labels - near.labels).sum(axis=1).argmin())
        star = self.compared(resolution)[number].double().numpy()
        return np.asarray(np.interp(wave, self.grid.wave, star))

    def even(self, resolution: float) -> Array:
        """(T, M) spectra of some nodes over their running mean, on `even_pixels`."""
        r = round(resolution, -2)
        if r not in self._even:
            wave, some = even_pixels(self.grid), max(len(self.grid.nodes) // NODES, 1)
            nodes = _blurred(self.grid.nodes[::some].float(), self.grid, r).double().numpy()
            flux = torch.from_numpy(np.stack([np.interp(wave, self.grid.wave, x) for x in nodes]))
            if len(self._even) >= KEPT_RESOLUTIONS:
                self._even.clear()
            self._even[r] = level(flux, torch.ones(len(wave), dtype=torch.bool), wave).numpy()
        return self._even[r]


def even_pixels(grid: Grid) -> Array:
    """Wavelengths even in velocity (`STEP`), over the grid."""
    log = np.log(grid.wave[[0, -1]])
    return np.exp(np.arange(log[0], log[1], STEP / LIGHT))


@dataclass(frozen=True)
class Seen:
    """An observed spectrum on `even_pixels`, unshifted, ready to be correlated with lines."""

    wave: Array
    resolution: float
    total: float
    """Chi-square without lines; it counts independent data once."""
    count: float
    """Independent data."""
    data: NDArray[np.complex128]  # Fourier transforms, of flux times weight and of weight
    weights: NDArray[np.complex128]

    def gains(self, templates: Array) -> Array:
        """(T, M) spectra -> (T, lags) fall of chi-square with their lines, of free amplitude."""
        n, lines = 2 * (len(self.data) - 1), templates - 1
        shifted = np.fft.irfft(self.data * np.fft.rfft(lines, n).conj(), n)
        power = np.fft.irfft(self.weights * np.fft.rfft(lines**2, n).conj(), n)
        shifted, power = shifted[:, LAGS], power[:, LAGS].clip(min=1e-9)
        return np.where(shifted > 0, shifted**2 / power, 0.0)


def seen(observed: OnPixels, grid: Grid) -> Seen:
    """Flux over its continuum, weighted by its errors with `LEAST_ERROR` added."""
    wave = even_pixels(grid)
    flux, sigma = _levelled(observed, wave)
    weight = np.where(observed.good, 1 / (sigma**2 + LEAST_ERROR**2), 0.0) * observed.independent
    lines = np.where(observed.good, flux - 1, 0.0)
    n = 1 << (2 * len(wave) - 1).bit_length()
    return Seen(
        wave,
        observed.resolution,
        float((lines**2 * weight).sum()),
        float(observed.good.sum() * observed.independent),
        np.fft.rfft(lines * weight, n),
        np.fft.rfft(weight, n),
    )


def find_velocity(
    observed: OnPixels | Seen, reference: Reference, resolution: float | None = None
) -> Found:
    """By weighted correlation with spectra of the grid; `observed` is on `even_pixels`, unshifted.

    `resolution`: of the spectra compared with; None: the observed one's.
    """
    one = observed if isinstance(observed, Seen) else seen(observed, reference.grid)
    gains = one.gains(reference.even(one.resolution if resolution is None else resolution))
    curve = gains[int(gains.max(axis=1).argmax())]
    peak = int(curve.argmax().clip(1, len(curve) - 2))
    left, middle, right = curve[peak - 1 : peak + 2]
    bend = left - 2 * middle + right
    offset = 0.5 * (left - right) / bend if bend < 0 else 0.0
    velocity = LIGHT * math.expm1((LAGS[peak] + offset) * STEP / LIGHT)
    error = STEP * math.sqrt(2 / -bend) if bend < 0 else FASTEST
    scatter = max((one.total - middle) / max(one.count - 4, 1), 1.0)
    return Found(velocity, float(error * math.sqrt(scatter)), float(middle))


def stretched_gain(one: Seen, reference: Reference, stretch: float, every: int) -> float:
    """Fall of chi-square by lines whose wavelengths are longer by `stretch`, from their middle on.

    Of the spectra of `find_velocity` one in `every`.
    """
    templates, wave = reference.even(one.resolution)[::every], one.wave
    at = wave.mean() + (wave - wave.mean()) / (1 + stretch)
    moved = np.stack([np.interp(at, wave, line, left=1.0, right=1.0) for line in templates])
    return float(one.gains(moved).max())


def _blurred(nodes: Tensor, grid: Grid, resolution: float) -> Tensor:
    """Spectra of the grid at a lower resolution."""
    if resolution >= RESOLUTION:
        return nodes
    optics = make_optics(grid.wave, 0.0, resolution, CPU)
    return optics(nodes, None, torch.full((len(nodes),), float(resolution)))


def level(flux: Tensor, good: Tensor, wave: Array) -> Tensor:
    """(n, L) flux over its continuum: a polynomial, then the running mean of what is left.

    The polynomial (least squares over the pixels `good`, (L,)) takes slopes away, which a running
    mean does not follow at an end.
    """
    curve = smooth(flux, good, wave)
    middle = curve[:, good].median(dim=1, keepdim=True).values
    flat = flux / torch.maximum(curve, 0.1 * middle.abs())
    mean = make_running_mean(wave, CONTINUUM, CPU)
    return flat / mean(flat, good.expand_as(flat))


def smooth(flux: Tensor, good: Tensor, wave: Array) -> Tensor:
    """(n, L) polynomials of order `ORDER` through the pixels `good`, (L,), by least squares."""
    ends = wave[good.numpy()][[0, -1]]
    x = torch.from_numpy(2 * (wave - ends[0]) / (ends[1] - ends[0]) - 1).clamp(-1, 1)
    powers = torch.stack([x**k for k in range(ORDER + 1)])  # (k, L)
    fit = torch.linalg.pinv(powers[:, good].T)  # (k, good)
    curve: Tensor = ((flux[:, good].double() @ fit.T) @ powers).to(flux.dtype)
    return curve


def with_continuum(observed: OnPixels, star: Array, wave: Array) -> OnPixels:
    """An observed spectrum with the smooth shape of a star's, (L,), both on pixels `wave`.

    What an instrument leaves on it, as the blaze of an echelle's order, is steeper than what any
    star or dust does, and in a narrow window a running mean does not follow it.
    """
    good = torch.from_numpy(observed.good)
    curves = smooth(torch.from_numpy(np.stack([star, observed.flux])), good, wave).numpy()
    middle = np.median(curves[:, observed.good], axis=1, keepdims=True)
    theirs, own = np.maximum(curves, 0.1 * abs(middle))
    ratio = theirs / own
    level = float(np.median((observed.flux * ratio)[observed.good]))
    ratio = np.where(observed.good, ratio / level, 1.0)
    return replace(observed, flux=observed.flux * ratio, sigma=observed.sigma * ratio)


def _levelled(observed: OnPixels, wave: Array) -> tuple[Array, Array]:
    """Flux and error over the continuum."""
    good = torch.from_numpy(observed.good)
    flux = level(torch.from_numpy(observed.flux)[None], good, wave)[0].numpy()
    with np.errstate(invalid="ignore"):
        scale = np.where(observed.good, observed.flux / flux, 1.0)
    return np.where(observed.good, flux, 1.0), observed.sigma / scale


def match(observed: OnPixels, reference: Reference, seed: int = 0) -> Match:
    """The nearest spectrum of the grid (on its pixels, at rest), and the alarm's two limits.

    The limits are of `SIMULATED` spectra of the grid with the same errors, masks, resolution and
    correlation of neighbours.
    """
    random = np.random.default_rng(seed)
    grid, compared = reference.grid, reference.compared(observed.resolution)
    good = torch.from_numpy(observed.good)
    parts = [compared[k : k + PART] for k in range(0, len(compared), PART)]
    lines = torch.cat([level(part, good, grid.wave)[:, good] - 1 for part in parts])
    flux, sigma = _levelled(observed, grid.wave)
    error = np.sqrt(sigma**2 + FLOOR**2)[observed.good]
    weight = torch.from_numpy(1 / error**2).float()
    data = torch.from_numpy(flux[observed.good] - 1).float()[None]
    drawn = torch.from_numpy(random.integers(len(lines), size=SIMULATED))
    noise = _noise(random, (SIMULATED, len(grid.wave)), observed.independent)[:, observed.good]
    own = lines[drawn] + torch.from_numpy(noise * error).float()
    chi2, gain, best = _nearest(torch.cat([data, own]), lines, weight)
    n = int(observed.good.sum())
    away = (data[0] - lines[best[0]]).double().numpy() ** 2
    beyond = away[away <= np.quantile(away, KEPT)].mean() - (sigma[observed.good] ** 2).mean()
    chi2, gain = chi2 / n, gain * observed.independent
    return Match(
        reference.labels[best[0]],
        float(chi2[0]),
        float(_upper(chi2[1:])),
        float(gain[0]),
        float(math.sqrt(max(beyond, 0.0))),
        float(np.quantile(gain[1:], EACH)),
    )


def _nearest(data: Tensor, lines: Tensor, weight: Tensor) -> tuple[Array, Array, NDArray[np.int64]]:
    """(n, L) spectra less 1: chi-square of the nearest of (T, L) lines, its gain, and which."""
    none = (data.square() * weight).sum(1, dtype=torch.float64)
    product = (data * weight) @ lines.T  # (n, T)
    power = (lines.square() * weight).sum(1)
    gains, best = (2 * product - power).max(dim=1)
    return (none - gains.double()).numpy(), gains.double().numpy(), best.numpy()


def _noise(random: np.random.Generator, shape: tuple[int, int], independent: float) -> Array:
    """Unit normal noise whose neighbours are correlated over 1 / `independent` pixels."""
    noise = random.standard_normal(shape)
    if independent > 0.8:
        return noise
    noise = gaussian_filter1d(noise, 1 / (2 * math.sqrt(math.pi) * independent), axis=1)
    return np.asarray(noise / noise.std())


def _upper(values: Array) -> float:
    """What `EACH` exceed, by a gamma distribution of the same mean and variance."""
    middle, variance = float(values.mean()), float(values.var())
    return float(gamma.isf(EACH, middle**2 / variance, scale=variance / middle))
