"""Stars as pure functions of (seed, split, i), and the noise against its published S/N."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, kstest

from vitlab.ml.spectra.dataset import COMPONENTS
from vitlab.ml.spectra.grid import compress, load_grid
from vitlab.ml.spectra.labels import BETA, LABELS, RANGES, fit_scaling, prior_variance
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.simulate import BLOCK, Simulator


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(load_grid(), load_noise())


@pytest.mark.parametrize(
    ("mag", "snr"),
    # The published table; the model's two constants were fitted to the first, third and last.
    [(18.0, 87.4), (20.0, 24.0), (21.5, 7.1), (22.0, 4.6), (22.5, 3.0), (23.0, 1.9)],
)
def test_median_snr_is_the_published_one(simulator: Simulator, mag: float, snr: float) -> None:
    flux = simulator.flux(simulator.stars("test", 0, 1000))
    found = simulator.noise.snr(flux, torch.full((len(flux),), mag)).median()
    assert float(found) == pytest.approx(snr, rel=0.03)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 5000), st.integers(1, 2500), st.integers(0, 2**31 - 1))
def test_stars_do_not_depend_on_the_range_asked_for(start: int, n: int, seed: int) -> None:
    simulator = Simulator(load_grid(), load_noise(), seed=seed)
    whole = simulator.stars("train", 0, start + n)
    part = simulator.stars("train", start, start + n)
    assert np.array_equal(part.labels, whole.labels[start:])
    assert np.array_equal(part.mag, whole.mag[start:])


def test_fixed_spectra_do_not_depend_on_the_batch(simulator: Simulator) -> None:
    first, last = BLOCK - 3, BLOCK + 4
    _, flux, error = simulator.observe_fixed("test", first, last)
    for i in range(first, last):
        stars, one, sigma = simulator.observe_fixed("test", i, i + 1)
        clean = simulator.flux(stars)
        noise, again = (one - clean) / sigma, (flux[i - first] - clean) / error[i - first]
        torch.testing.assert_close(one[0], flux[i - first], atol=2e-6, rtol=1e-5)
        torch.testing.assert_close(noise, again, atol=1e-4, rtol=1e-4)


def test_the_mixed_grid_is_the_grid_far_below_the_noise(simulator: Simulator) -> None:
    mixed = replace(simulator, grid=compress(simulator.grid, COMPONENTS))
    stars = simulator.stars("test", 0, 400)
    flux = simulator.flux(stars)
    sigma = simulator.noise.sigma(flux, torch.full((400,), 20.5))
    assert float(((mixed.flux(stars) - flux) / sigma).square().sum(dim=1).max()) < 0.02
    at = torch.from_numpy(stars.labels[:5])
    slopes, wanted = mixed.grid.derivatives(at), simulator.grid.derivatives(at)
    assert float((slopes - wanted).square().sum() / wanted.square().sum()) < 1e-3


def test_spectra_do_not_depend_on_the_threads(simulator: Simulator) -> None:
    threads = torch.get_num_threads()
    mixed = replace(simulator, grid=compress(simulator.grid, COMPONENTS))
    found = []
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            stars = simulator.stars("train", 0, 600)
            fresh = mixed.observe(stars, torch.Generator().manual_seed(5))
            found.append((*fresh, *mixed.observe_fixed("val", 100, 700)[1:]))
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=5e-6, rtol=1e-5)


def test_splits_and_seeds_are_different_stars(simulator: Simulator) -> None:
    other = Simulator(simulator.grid, simulator.noise, seed=43)
    sets = [simulator.stars(split, 0, 9).mag for split in ("train", "val", "test")]
    sets.append(other.stars("test", 0, 9).mag)
    assert len({tuple(mag) for mag in sets}) == 4


def test_labels_have_the_distribution_they_are_said_to_have(simulator: Simulator) -> None:
    stars = simulator.stars("train", 0, 20_000)
    for k, name in enumerate(LABELS):
        low, high = RANGES[name]
        assert kstest((stars.labels[:, k] - low) / (high - low), beta(BETA, BETA).cdf)[1] > 1e-3
        assert stars.labels[:, k].var() == pytest.approx(prior_variance(name), rel=0.03)
    assert kstest((stars.mag - 20.5) / 2, "uniform")[1] > 1e-3


def test_noise_has_the_size_of_its_error(simulator: Simulator) -> None:
    stars = simulator.stars("train", 0, 200)
    flux, error = simulator.observe(stars, torch.Generator().manual_seed(1))
    pull = (flux - simulator.flux(stars)) / error
    assert float(pull.mean()) == pytest.approx(0, abs=0.005)
    assert float(pull.std()) == pytest.approx(1, abs=0.005)
    fresh, _ = simulator.observe(stars, torch.Generator().manual_seed(2))
    assert not torch.equal(flux, fresh)
    same, _ = simulator.observe(stars, torch.Generator().manual_seed(1))
    assert torch.equal(flux, same)


def test_level_scales_sigma() -> None:
    flux = torch.ones(1, 4096)
    mag = torch.tensor([21.5])
    one, double = (load_noise(level).sigma(flux, mag) for level in (1.0, 2.0))
    torch.testing.assert_close(double, 2 * one)
    assert float(load_noise(0.0).sigma(flux, mag).max()) == 0


@pytest.mark.parametrize("kind", ["standard", "minmax", "none"])
def test_label_scaling_goes_back(simulator: Simulator, kind: str) -> None:
    labels = simulator.stars("train", 0, 500).labels
    scaling = fit_scaling(labels, kind)
    np.testing.assert_allclose(scaling.original(scaling.scaled(labels)), labels)
    scaled = torch.from_numpy(scaling.scaled(labels))
    np.testing.assert_allclose(scaling.original(scaled).numpy(), labels)
    if kind == "standard":
        np.testing.assert_allclose(scaled.mean(0), 0, atol=1e-9)
        np.testing.assert_allclose(scaled.std(0, correction=0), 1)
    if kind == "minmax":
        assert (float(scaled.min()), float(scaled.max())) == pytest.approx((-0.5, 0.5))
