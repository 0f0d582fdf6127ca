"""From data pixels to a model's: lines, fluxes, errors and masks, against exact values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.ml.survey.stars import spectrum
from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.observation import dark_sky
from vitlab.ml.survey.pixels import FWHM, on_pixels
from vitlab.ml.survey.spectrum import LIGHT

Array = NDArray[np.float64]
MODEL = np.linspace(7400.0, 7580.0, 420)
LINES = ((7450.0, 0.5), (7510.0, 0.3))
"""Wavelength at rest, and depth at infinite resolution of a line 0.2 A wide (sigma)."""


def lines(wave: Array, resolution: float, velocity: float = 0.0) -> Array:
    """Gaussian lines at a resolution: their areas stay."""
    flux = np.ones(len(wave))
    for rest, depth in LINES:
        at = rest * (1 + velocity / LIGHT)
        width = np.hypot(0.2, at / resolution / FWHM)
        flux -= depth * 0.2 / width * np.exp(-0.5 * ((wave - at) / width) ** 2)
    return flux


@pytest.mark.parametrize("velocity", [0.0, 250.0, -80.0])
def test_a_spectrum_comes_to_rest_at_the_models_resolution(velocity: float) -> None:
    fine = np.arange(7380.0, 7600.0, 0.05)
    sharp = np.full(len(fine), 28000.0)
    flux, sigma = 1e-14 * lines(fine, 28000, velocity), np.full(len(fine), 1e-16)
    star = spectrum(fine, flux, sigma, resolution=sharp)
    found = on_pixels(star, MODEL, velocity, 5000, 5000)
    inside = found.good & (MODEL < 7570)
    np.testing.assert_allclose(found.flux[inside], lines(MODEL, 5000)[inside], atol=3e-3)
    assert found.resolution == 5000


@pytest.mark.parametrize("step", [0.05, 0.31, 1.7])
def test_resampling_conserves_the_flux(step: float) -> None:
    data = np.arange(7380.0, 7600.0, step)
    edges = np.concatenate([data - step / 2, data[-1:] + step / 2])
    fine = np.linspace(edges[0], edges[-1], 40 * len(data) + 1)
    integral = np.concatenate([[0], np.cumsum(lines((fine[1:] + fine[:-1]) / 2, 2000))])
    means = np.diff(integral[::40]) / 40
    star = spectrum(data, means, np.full(len(data), 0.01), resolution=np.full(len(data), 2000.0))
    found = on_pixels(star, MODEL, 0.0, 1800, 5000)
    near = (MODEL > 7430) & (MODEL < 7530)
    step_ = MODEL[1] - MODEL[0]
    area = (1 - found.flux[near]).sum() * step_
    expected = sum(depth * 0.2 * np.sqrt(2 * np.pi) for _, depth in LINES)
    assert area == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("step", "resolution"), [(0.05, 28000.0), (0.3, 5000.0), (1.7, 2000.0)])
def test_errors_are_those_of_the_new_pixels(step: float, resolution: float) -> None:
    wave = np.arange(7345.0, 8120.0, step)
    model = np.arange(7710.0, 8110.0, 0.43)
    away = []
    for seed in range(4):
        noise = 0.02 * np.random.default_rng(seed).standard_normal(len(wave))
        sigma, r = np.full(len(wave), 0.02), np.full(len(wave), resolution)
        star = spectrum(wave, 1 + noise, sigma, resolution=r)
        found = on_pixels(star, model, 0.0, 1800, 5000)
        away.append(((found.flux - 1) / found.sigma)[found.good])
    assert np.std(np.concatenate(away)) == pytest.approx(1, abs=0.12)
    # Neighbours share noise: the mean of many scatters more than independent ones would.
    blocks = np.concatenate([a[: len(a) // 40 * 40].reshape(-1, 40).mean(axis=1) for a in away])
    assert np.std(blocks) == pytest.approx(1 / np.sqrt(40 * found.independent), rel=0.35)


def test_tellurics_are_masked_where_they_are_observed() -> None:
    wave = np.arange(7000.0, 8900.0, 0.4)
    model = np.arange(7100.0, 8850.0, 0.43)
    star = spectrum(wave, np.ones(len(wave)), np.full(len(wave), 0.01))
    found = on_pixels(star, model, 300.0, 5000, 5000)
    band = model * (1 + 300 / LIGHT)
    assert not found.good[(band > 7586) & (band < 7704)].any()
    assert found.good[(band > 7706) & (band < 8114)].all()
    assert found.left_out["bands of the Earth's air"] == pytest.approx(0.306, abs=0.01)
    corrected = replace(star, corrects_tellurics=True)
    assert on_pixels(corrected, model, 0.0, 5000, 5000).share == 1


def test_a_gap_has_no_data() -> None:
    wave = np.arange(7380.0, 7600.0, 0.4)
    there = (wave < 7440) | (wave > 7500)
    star = spectrum(wave[there], np.ones(there.sum()), np.full(there.sum(), 0.01))
    found = on_pixels(star, MODEL, 0.0, 5000, 5000)
    inside = (MODEL > 7440.5) & (MODEL < 7499.5)
    assert not found.good[inside].any()
    assert found.good[(MODEL < 7438) | (MODEL > 7502)].all()


def test_too_many_pixels_and_equal_wavelengths_are_refused() -> None:
    wave = np.linspace(7380.0, 7600.0, 400_100)
    star = spectrum(wave, np.ones(len(wave)), np.full(len(wave), 0.01))
    with pytest.raises(UsageError, match="more than 400,000 pixels"):
        on_pixels(star, MODEL, 0.0, 5000, 5000)
    wave = np.arange(7380.0, 7600.0, 0.4)
    for k in range(31, 35):
        wave[k] = np.nextafter(wave[k - 1], 8000)
    star = spectrum(wave, np.ones(len(wave)), np.full(len(wave), 0.01))
    with pytest.raises(UsageError, match="nearly equal"):
        on_pixels(star, MODEL, 0.0, 5000, 5000)


def test_what_is_left_of_the_sky_is_masked_or_has_larger_errors() -> None:
    wave = np.arange(7000.0, 8900.0, 0.43)
    model = np.arange(7100.0, 8850.0, 0.43)
    random = np.random.default_rng(0)
    on_line = np.interp(wave, *dark_sky()) > 3
    flux = 1 + random.standard_normal(len(wave)) * np.where(on_line, 0.05, 0.01)
    strong = int(np.flatnonzero(on_line & (wave > 8400))[5])
    flux[strong] = 3
    found = on_pixels(spectrum(wave, flux, np.full(len(wave), 0.01)), model, 0.0, 5000, 5000)
    assert not found.good[np.searchsorted(model, wave[strong])]
    on_model = np.interp(model, *dark_sky()) > 3
    inside = found.good & (model > 8400)
    ratio = np.median(found.sigma[inside & on_model]) / np.median(found.sigma[inside & ~on_model])
    assert 3 < ratio < 7
    assert any("lines of the sky" in note for note in found.notes)


def test_errors_of_a_file_without_them_come_from_neighbours() -> None:
    wave = np.arange(7380.0, 7600.0, 0.1)
    flux = lines(wave, 20000) + 0.01 * np.random.default_rng(0).standard_normal(len(wave))
    star = spectrum(wave, flux, None, resolution=np.full(len(wave), 20000.0))
    found = on_pixels(star, MODEL, 0.0, 5000, 5000)
    # 0.1 A pixels under a Gaussian of 0.61 A (sigma) and a pixel of 0.43 A.
    width = np.hypot(2 * np.sqrt(np.pi) * 7490 * np.sqrt(5000.0**-2 - 20000.0**-2) / FWHM, 0.43)
    assert np.median(found.sigma) == pytest.approx(0.01 * np.sqrt(0.1 / width), rel=0.15)
    assert any("no errors in the file" in note for note in found.notes)


def test_nothing_is_sharpened_and_nothing_is_guessed() -> None:
    wave = np.arange(7380.0, 7600.0, 0.4)
    flux, sigma = np.ones(len(wave)), np.full(len(wave), 0.01)
    low = spectrum(wave, flux, sigma, resolution=np.full(len(wave), 1800.0))
    with pytest.raises(UsageError, match=r"R = 1800 in the model.s band is below the R = 5000"):
        on_pixels(low, MODEL, 0.0, 5000, 5000)
    kept = on_pixels(low, MODEL, 0.0, 1800, 5000)
    assert kept.resolution == 1800
    with pytest.raises(UsageError, match="give it with --resolution"):
        on_pixels(spectrum(wave, flux, sigma, resolution=None), MODEL, 0.0, 5000, 5000)
    with pytest.raises(UsageError, match=r"star\.fits: HDU 0: star: no data from 8000 to 8850 A"):
        on_pixels(low, np.arange(8000.2, 8850, 0.43), 0.0, 1800, 5000)
    faint = spectrum(wave, -flux, sigma)
    with pytest.raises(UsageError, match="median flux is not above 0"):
        on_pixels(faint, MODEL, 0.0, 5000, 5000)


def test_noise_that_neighbours_share_is_no_smaller_for_it() -> None:
    """A file in pixels an eighth of an element of resolution, interpolated from those it had."""
    random = np.random.default_rng(4)
    coarse = np.arange(7380.0, 7600.0, 0.26)
    fine = np.arange(7381.0, 7599.0, 0.26 / 8)
    noisy = np.interp(fine, coarse, 1 + 0.01 * random.normal(size=len(coarse)))
    star = spectrum(fine, noisy, None, resolution=np.full(len(fine), 28000.0))
    found = on_pixels(star, MODEL, 0.0, 5000, 5000)
    truth = np.std(found.flux[found.good])
    assert 0.5 * truth < np.median(found.sigma[found.good]) < 2 * truth  # adjacent ones: 1 / 300
    assert any("no errors in the file" in note for note in found.notes)
