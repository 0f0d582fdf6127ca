"""An observed spectrum on a model's pixels: at rest, at the model's resolution, over its median.

Wavelengths are divided by 1 + v / c. A spectrum of higher resolution is convolved down with a
Gaussian, never up. Fluxes are resampled through a cubic spline of their integral, which conserves
them whatever the pixels. With data pixels of width d and a kernel of width W (of the Gaussian, 2
sqrt(pi) sigma, and the new pixel in quadrature), an error becomes sigma sqrt(d / W), and neighbours
share noise over W: `OnPixels.independent` says how much of a chi-square counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import CubicSpline

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.observation import dark_sky
from vitlab.ml.survey.spectrum import LIGHT, Array, Bools, Spectrum

TELLURIC = ((7160.0, 7345.0), (7585.0, 7705.0), (8115.0, 8345.0))
"""Angstrom in air, as observed: bands of water, oxygen, water."""
FWHM = 2 * math.sqrt(2 * math.log(2))
TOLERANCE = 0.97
"""R over a model's lowest, from which on a spectrum is taken as it is."""
SHARE = 0.7
"""Of what falls into a new pixel that must be data."""
LEAST_SHARE = 0.03
"""Of a model's pixels that must have data."""
MOST_PIXELS = 400_000
"""Of a spectrum, in the band."""
GAP = 5.0
"""Median steps: a pixel as far from the next one lies beside a gap."""
MOST_APART = 32
"""Pixels between those of which the scatter tells the noise."""
SAME_NOISE = 0.7
"""Scatter of neighbours over that of pixels apart, below which neighbours share their noise."""
MOST_TAPS = 4000
"""Pixels on each side of a convolution."""
AIRGLOW = 3.0
"""Of the dark sky's median: pixels above it hold an emission line of the sky."""
SPIKE, SPIKE_SIGMAS = 0.15, 6.0
"""Of the continuum, and errors, by which what stands above it on such a pixel is no star's."""


@dataclass(frozen=True)
class OnPixels:
    """A spectrum on (L,) pixels of a model."""

    flux: Array
    """Over the median; 1 where not `good`."""
    sigma: Array
    """1-sigma errors in the same unit; infinite where not `good`."""
    good: Bools
    independent: float
    """Independent data in a pixel, at most 1."""
    resolution: float
    """Wavelength over FWHM, in the middle of what is covered."""
    left_out: Mapping[str, float]
    """Reason -> share of the model's pixels without data."""
    notes: tuple[str, ...]

    @property
    def share(self) -> float:
        """Of the model's pixels that have data."""
        return float(self.good.mean())

    @property
    def snr(self) -> float:
        """Median of flux over error."""
        return float(np.median(self.flux[self.good] / self.sigma[self.good]))


def on_pixels(
    spectrum: Spectrum, wave: Array, velocity: float, lowest: float, highest: float
) -> OnPixels:
    """The spectrum on pixels `wave` (L,), Angstrom in air, of a model for R in `lowest..highest`.

    `UsageError` where R is not known or below `lowest`, or too little lies on the pixels.
    """
    rest = spectrum.wave / (1 + velocity / LIGHT)
    edges = _edges(wave)
    near = (rest > edges[0] - 30) & (rest < edges[-1] + 30)
    inside = near & (rest > edges[0]) & (rest < edges[-1])
    what = f"{spectrum.place}: {spectrum.object}".rstrip(": ")
    if int((inside & ~spectrum.mask).sum()) < 20:
        raise UsageError(f"{what}: no data from {edges[0]:.0f} to {edges[-1]:.0f} A")
    band = spectrum.wave[inside][[0, -1]]
    middle_r, r = _resolution(spectrum, band, lowest, what)
    if near.sum() > MOST_PIXELS:
        raise UsageError(f"{what}: more than {MOST_PIXELS:,} pixels in the model's band")
    bad = (spectrum.mask | _telluric(spectrum) | _at_gaps(spectrum.wave))[near]
    x, flux = np.log(rest[near]), spectrum.flux[near]
    if not (~bad).any():
        raise UsageError(f"{what}: no data outside of the bands of the Earth's air")
    flux = np.interp(x, x[~bad], flux[~bad])
    sigma, notes = _sigma(spectrum, near, flux, bad)
    added = np.sqrt(np.maximum(1 / highest**2 - 1 / r[near] ** 2, 0.0)) / FWHM
    smooth, known = _convolved(x, flux, (~bad).astype(float), added)
    new = _conserving(rest[near], smooth, edges)
    covered = _conserving(rest[near], known, edges, smooth=False)
    step, data = np.diff(edges), np.interp(wave, rest[near], np.gradient(rest[near]))
    width = np.hypot(2 * math.sqrt(math.pi) * np.interp(wave, rest[near], added) * wave, step)
    variance = np.interp(wave, rest[near], sigma**2) * np.minimum(data / width, 1.0)
    good = np.isfinite(new) & (covered >= SHARE) & (variance > 0)
    if good.mean() < LEAST_SHARE:
        raise UsageError(f"{what}: data on {good.mean():.1%} of the model's pixels alone")
    middle = float(np.median(new[good]))
    if not middle > 0:
        raise UsageError(f"{what}: its median flux is not above 0")
    found = OnPixels(
        new / middle,
        np.sqrt(variance) / middle,
        good,
        float(np.median(np.minimum(step / np.maximum(width, data), 1.0)[good])),
        min(middle_r, highest),
        _left_out(spectrum, wave, rest, velocity, good),
        tuple(notes),
    )
    return _without_sky(found, _airglow(wave * (1 + velocity / LIGHT)))


def _without_sky(found: OnPixels, on_line: Bools) -> OnPixels:
    """Without what is left of the sky's lines, and with errors there as large as the scatter."""
    left_out, notes, error = dict(found.left_out), list(found.notes), found.sigma
    spikes = _spikes(found.flux, error, found.good, on_line)
    if spikes.any():
        left_out["left of the sky's lines"] = float(spikes.mean())
    good = found.good & ~spikes
    if (factor := _sky_factor(found.flux, error, good, on_line, found.independent)) > 1:
        error = np.where(on_line, error * factor, error)
        notes.append(f"on lines of the sky errors are times {factor:.1f}, as the scatter there is")
    return replace(
        found,
        flux=np.where(good, found.flux, 1.0),
        sigma=np.where(good, error, np.inf),
        good=good,
        left_out=left_out,
        notes=tuple(notes),
    )


def _edges(wave: Array) -> Array:
    """(L + 1,) edges of pixels between their neighbours."""
    middle = (wave[1:] + wave[:-1]) / 2
    return np.concatenate([[2 * wave[0] - middle[0]], middle, [2 * wave[-1] - middle[-1]]])


def _resolution(spectrum: Spectrum, band: Array, lowest: float, what: str) -> tuple[float, Array]:
    """Median R in the model's band, as observed, and R of each data pixel.

    `UsageError` where the model knows no lines as broad.
    """
    middle = spectrum.resolution_between(float(band[0]), float(band[-1]))
    if spectrum.resolution is None or middle is None:
        raise UsageError(f"{what}: its resolution is not known: give it with --resolution")
    if middle < TOLERANCE * lowest:
        raise UsageError(
            f"{what}: R = {middle:.0f} in the model's band is below the R = {lowest:.0f} that the "
            "model was trained for, and no spectrum is sharpened: train one with "
            "data.disturb.resolution"
        )
    return middle, spectrum.resolution


def _at_gaps(wave: Array) -> Bools:
    """Pixels beside a gap, of which no width is known."""
    steps = np.diff(wave)
    wide = steps > GAP * np.median(steps)
    return np.asarray(np.concatenate([wide, [False]]) | np.concatenate([[False], wide]))


def _telluric(spectrum: Spectrum) -> Bools:
    """Pixels in the bands of the Earth's air, where the file is not corrected for them."""
    found = np.zeros(len(spectrum.wave), bool)
    if not spectrum.corrects_tellurics:
        for low, high in TELLURIC:
            found |= (spectrum.wave > low) & (spectrum.wave < high)
    return found


def _sigma(spectrum: Spectrum, near: Bools, flux: Array, bad: Bools) -> tuple[Array, list[str]]:
    """(n,) finite errors; from the scatter of neighbours where the file has none."""
    notes = ["errors of neighbouring pixels are correlated where pixels or resolution changed"]
    if spectrum.sigma is not None:
        sigma = spectrum.sigma[near]
        at = np.arange(len(sigma))
        return np.interp(at, at[~bad], sigma[~bad]), notes
    apart = min(_apart(spectrum, near), max((len(flux) - 1) // 2, 1))
    share, beside = _scatter(flux, bad, apart), _scatter(flux, bad, 1)
    if beside < SAME_NOISE * share:  # finer than the resolution, interpolated: one noise for all
        share *= math.sqrt(apart)
    notes.append(
        f"no errors in the file: {share:.2%} of the flux, by the scatter of pixels {apart} apart"
    )
    return np.maximum(share, 1e-4) * np.maximum(abs(flux), 1e-300), notes


def _scatter(flux: Array, bad: Bools, apart: int) -> float:
    """Of pixels so far from each other, over their flux."""
    inner = slice(apart, len(flux) - apart)
    second = flux[inner] - (flux[: -2 * apart] + flux[2 * apart :]) / 2  # noise: sigma sqrt(1.5)
    scale = np.maximum(abs(flux[inner]), 1e-3 * np.median(abs(flux)) + 1e-300)
    away = (abs(second) / scale)[~bad[inner]]
    return 1.4826 * float(np.median(away)) / math.sqrt(1.5) if len(away) else 0.01


def _apart(spectrum: Spectrum, near: Bools) -> int:
    """Pixels in one element of resolution (FWHM), at least 1; at most `MOST_APART`."""
    wave = spectrum.wave[near]
    if spectrum.resolution is None or len(wave) < 2:
        return 1
    width = wave / np.broadcast_to(spectrum.resolution, spectrum.wave.shape)[near]
    return min(max(round(float(np.median(width[1:] / np.diff(wave)))), 1), MOST_APART)


def _convolved(x: Array, flux: Array, known: Array, width: Array) -> tuple[Array, Array]:
    """Flux and the share of data under Gaussians of (n,) standard deviations in ln wavelength."""
    if not width.any():
        return flux, known
    step = np.gradient(x)
    reach = math.ceil(4 * float((width / step).max()))
    reach = min(reach, MOST_TAPS, len(x) - 1)
    total, light, share = (np.zeros_like(flux) for _ in range(3))
    narrow = np.maximum(width, 0.3 * step)  # a Gaussian within one pixel changes nothing
    for k in range(-reach, reach + 1):
        to, of = slice(max(-k, 0), len(x) - max(k, 0)), slice(max(k, 0), len(x) - max(-k, 0))
        weight = np.exp(-0.5 * ((x[of] - x[to]) / narrow[to]) ** 2) * step[of]
        total[to] += weight
        light[to] += weight * flux[of]
        share[to] += weight * known[of]
    return light / total, share / total


def _conserving(rest: Array, values: Array, edges: Array, smooth: bool = True) -> Array:
    """(L,) means of the values between new edges; NaN (or 0) where the data do not reach."""
    old = _edges(rest)
    if (np.diff(old) <= 0).any():  # wavelengths that differ by less than their midpoints can
        raise UsageError("two wavelengths are nearly equal")
    integral = np.concatenate([[0.0], np.cumsum(values * np.diff(old))])
    at = edges.clip(old[0], old[-1])
    total = CubicSpline(old, integral)(at) if smooth else np.interp(at, old, integral)
    mean = np.diff(total) / np.diff(edges)
    outside = (edges[1:] > old[-1]) | (edges[:-1] < old[0])
    return np.where(outside, np.nan if smooth else 0.0, mean)


def _left_out(
    spectrum: Spectrum, wave: Array, rest: Array, velocity: float, good: Bools
) -> dict[str, float]:
    """Reason -> share of the model's pixels without data, each counted once."""
    observed = wave * (1 + velocity / LIGHT)
    outside = ~good & ((wave < rest[0]) | (wave > rest[-1]))
    bands = np.zeros(len(wave), bool)
    for low, high in () if spectrum.corrects_tellurics else TELLURIC:
        bands |= (observed > low) & (observed < high)
    bands &= ~good & ~outside
    shares = {
        "outside of the file's range": outside.mean(),
        "bands of the Earth's air": bands.mean(),
        "masked in the file": (~good & ~outside & ~bands).mean(),
    }
    return {why: float(share) for why, share in shares.items() if share}


def _airglow(observed: Array) -> Bools:
    """Which observed wavelengths (L,) lie on emission lines of the sky."""
    return np.interp(observed, *dark_sky()) > AIRGLOW


def _sky_factor(
    flux: Array, sigma: Array, good: Bools, on_line: Bools, independent: float
) -> float:
    """By which errors on lines of the sky are too small: their scatter over that elsewhere."""
    k = max(round(1 / independent), 1)
    second = flux[k:-k] - (flux[: -2 * k] + flux[2 * k :]) / 2
    whole = good[k:-k] & good[: -2 * k] & good[2 * k :]
    away = abs(second) / np.where(good, sigma, 1.0)[k:-k]
    on, off = away[whole & on_line[k:-k]], away[whole & ~on_line[k:-k]]
    if min(len(on), len(off)) < 50:
        return 1.0
    scatter = 1.4826 / math.sqrt(1.5) * np.array([np.median(on), np.median(off)])
    return float(scatter[0] / max(scatter[1], 1.0)) if scatter[0] > 1.3 * scatter[1] else 1.0


def _spikes(flux: Array, sigma: Array, good: Bools, on_line: Bools) -> Bools:
    """Pixels on emission lines of the sky that stand above the continuum or below 0."""
    level = _running_median(flux, good)
    above = flux > level * (1 + SPIKE) + SPIKE_SIGMAS * sigma
    below = flux < -SPIKE_SIGMAS * sigma
    found = good & on_line & (above | below)
    near = found.copy()
    for k in (1, 2):
        near[k:] |= found[:-k]
        near[:-k] |= found[k:]
    return near & good


def _running_median(flux: Array, good: Bools, pieces: int = 24) -> Array:
    """The continuum, roughly: a high quantile of the flux in pieces, joined by lines."""
    at = np.array_split(np.flatnonzero(good), pieces)
    middle = np.array([part.mean() for part in at if len(part)])
    level = np.array([np.quantile(flux[part], 0.7) for part in at if len(part)])
    return np.asarray(np.interp(np.arange(len(flux)), middle, level))
