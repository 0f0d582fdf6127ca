"""The ceiling of a file's own stars: closed forms, brute force, densities, nuisances, windows."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from tests.ml.test_ceilings import FAINT, GaussianPrior, linear_toy
from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.disturb.light import LIGHT, added_width, extinction_law
from vitlab.ml.spectra.grid import Grid, load_grid
from vitlab.ml.spectra.labels import LABELS, RANGES, LabelPrior, draw_labels
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.theory import own_file
from vitlab.ml.theory import windows as windows_of_stars
from vitlab.ml.theory.forward import Nuisances, blurred, make_forward
from vitlab.ml.theory.label_density import KnownDensity, estimate
from vitlab.ml.theory.own_stars import (
    ENOUGH,
    Marginal,
    Observed,
    Problem,
    marginal_term,
    marginals,
    simulated,
)
from vitlab.ml.theory.windows import information, windows

Array = NDArray[np.float64]


def toy(nuisances: Nuisances) -> tuple[Problem, Array, Array]:
    """A problem linear in its labels, (3, L) its derivatives and (L,) one over sigma squared."""
    model, slopes = linear_toy(0.3)
    sigma = model.noise.sigma(torch.ones(1, len(slopes[0])), torch.tensor([FAINT]))[0]
    forward = make_forward(model.grid, model.grid.wave, nuisances)
    return Problem(forward, KnownDensity(GaussianPrior())), slopes, 1 / sigma.double().numpy() ** 2


def integrated(problem: Problem, weight: Array, n: int, seed: int = 1) -> tuple[Observed, Array]:
    generator = np.random.default_rng(seed)
    labels = problem.density.labels(generator.random((n, 3)))
    noise = torch.from_numpy(generator.standard_normal((n, len(weight)))).float()
    weights = torch.from_numpy(np.tile(weight, (n, 1))).float()
    observed = simulated(problem, labels, weights, noise, generator)
    found = marginals(problem, observed, 5)
    assert all(one.effective >= ENOUGH for one in found)
    return observed, np.array([[one.mean, one.variance] for one in found])


@pytest.mark.parametrize(("order", "sigma"), [(-1, 0.1), (2, 0.003)])
def test_a_linear_gaussian_toy_has_its_closed_form(order: int, sigma: float) -> None:
    """With a weak continuum too: its product with the labels is then small."""
    problem, slopes, weight = toy(Nuisances(continuum=order, continuum_sigma=sigma))
    _, found = integrated(problem, weight, 20)
    rows = np.concatenate([slopes, problem.polynomials.double().numpy()])
    prior = np.append(GaussianPrior.sigma**-2, np.ones(order + 1))
    covariance = np.linalg.inv((rows * weight) @ rows.T + np.diag(prior))
    expected = np.diag(covariance)[:3]
    np.testing.assert_allclose(found[:, 1].mean(axis=0) / expected, 1, atol=0.06)


@given(seed=st.integers(0, 1000), k=st.integers(0, 4))
def test_the_continuum_s_marginal_is_that_of_the_full_covariance(seed: int, k: int) -> None:
    generator = np.random.default_rng(seed)
    pixels = 12
    a, r = generator.normal(size=(k, pixels)), generator.normal(size=pixels)
    w = generator.uniform(0.1, 3, pixels)
    u, m = (torch.from_numpy(x) for x in (a @ (w * r), (a * w) @ a.T))
    ours = -0.5 * (float(r @ (w * r)) - (float(marginal_term(u, m)) if k else 0.0))
    exact = stats.multivariate_normal(cov=np.diag(1 / w) + a.T @ a).logpdf(r)
    ours += -0.5 * (pixels * np.log(2 * np.pi) - np.log(w).sum())
    assert ours == pytest.approx(exact, abs=1e-8)


@given(seed=st.integers(0, 1000))
def test_the_continuum_s_marginal_is_its_integral(seed: int) -> None:
    """One coefficient, against the sum over a dense grid of it."""
    generator = np.random.default_rng(seed)
    a, r = generator.normal(size=(1, 9)), generator.normal(size=9)
    w = generator.uniform(0.1, 3, 9)
    c = np.linspace(-9, 9, 4001)
    chi = (w * (r - c[:, None] * a) ** 2).sum(axis=1) + c**2
    brute = np.log(np.exp(-0.5 * chi).sum() * (c[1] - c[0]) / np.sqrt(2 * np.pi))
    term = marginal_term(torch.from_numpy(a @ (w * r)), torch.from_numpy((a * w) @ a.T))
    assert -0.5 * (float(r @ (w * r)) - float(term)) == pytest.approx(brute, abs=1e-6)


@pytest.fixture(scope="module")
def small() -> Grid:
    """The packaged grid on every eighth pixel."""
    whole = load_grid()
    nodes = whole.nodes[:, ::8].clone()
    return Grid(whole.wave[::8], whole.axes, nodes, whole.cardinals, whole.breaks)


def real(grid: Grid, nuisances: Nuisances, n: int) -> tuple[Problem, Observed, list[Marginal]]:
    """Posteriors of stars of magnitude 21.5, on an eighth of the pixels."""
    problem = Problem(make_forward(grid, grid.wave, nuisances), KnownDensity(LabelPrior()))
    generator = np.random.default_rng(4)
    labels = draw_labels(generator, n)
    sky = load_noise().sky[::8]
    flux, mag = grid.flux(torch.from_numpy(labels)), torch.full((n,), 21.5)
    variance = torch.addcmul(*(1 / 384 * flux, torch.full((n, 1), 2450 / 384**2), sky))
    weight = 8 / variance * torch.from_numpy(problem.forward.covered)
    assert len(mag) == n
    noise = torch.from_numpy(generator.standard_normal(flux.shape)).float()
    observed = simulated(problem, labels, weight, noise, generator)
    return problem, observed, marginals(problem, observed, 3)


@pytest.mark.parametrize(
    "nuisances",
    [
        Nuisances(continuum=3),
        Nuisances(velocity=60.0),
        Nuisances(extinction=1.0, resolution=(2000.0, 5000.0)),
    ],
)
def test_posteriors_with_nuisances_are_calibrated(small: Grid, nuisances: Nuisances) -> None:
    _, observed, found = real(small, nuisances, n := 12)
    for k in range(len(LABELS)):
        pit = [one.pit[k] for one in found]
        assert stats.kstest(pit, "uniform").pvalue > 0.001
        pulls = [
            (one.mean[k] - y) ** 2 / one.variance[k]
            for one, y in zip(found, observed.labels[:, k], strict=True)
        ]
        assert np.mean(pulls) == pytest.approx(1, abs=4 * (2 / n) ** 0.5)


def test_one_label_is_that_of_a_dense_grid(small: Grid) -> None:
    """T_eff and [M/H] the same for all: the posterior of log g against a sum over 2000 values."""
    labels = np.column_stack([np.full(300, 4700.0), np.linspace(1.2, 4.8, 300), np.full(300, -1)])
    problem = Problem(make_forward(small, small.wave, Nuisances()), estimate(labels))
    some = labels[::60]
    weight = torch.full((len(some), len(small.wave)), 30.0)
    noise = torch.from_numpy(np.random.default_rng(1).standard_normal(weight.shape)).float()
    observed = simulated(problem, some, weight, noise, np.random.default_rng(0))
    found = marginals(problem, observed, 4)
    logg = np.linspace(1.2, 4.8, 2000)
    table = np.column_stack([np.full(2000, 4700.0), logg, np.full(2000, -1)])
    spectra = problem.forward.spectra(table).double().numpy()
    for one, flux in zip(found, observed.flux.double().numpy(), strict=True):
        chi = 30 * ((flux - spectra) ** 2).sum(axis=1)
        p = np.exp(-0.5 * (chi - chi.min()))
        p /= p.sum()
        mean = p @ logg
        spread = (p @ (logg - mean) ** 2) ** 0.5
        assert abs(one.mean[1] - mean) < 0.25 * spread
        assert one.variance[1] == pytest.approx(spread**2, rel=0.3)
        assert one.variance[[0, 2]].max() < 1e-20


def test_a_file_s_density_is_that_its_stars_are_drawn_from() -> None:
    """Quantiles of independent labels; dependent ones are seen; a star does not see itself."""
    labels = draw_labels(np.random.default_rng(5), 1000)
    density = estimate(labels)
    for k, (low, high) in enumerate(RANGES[name] for name in LABELS):
        unit = np.random.default_rng(1).random((4000, 3))
        drawn = (density.labels(unit)[:, k] - low) / (high - low)
        assert stats.kstest(drawn, stats.beta(0.7, 0.7).cdf).statistic < 0.06
    flat = density.log_density(np.random.default_rng(2).random((500, 3)), labels[0])
    assert flat.std() < 0.3
    tied = np.column_stack([labels[:, 0], labels[:, 0] / 1000, labels[:, 2]])
    along = estimate(tied)
    on, off = np.array([[0.3, 0.3, 0.5]]), np.array([[0.3, 0.7, 0.5]])
    assert along.log_density(on, None) > along.log_density(off, None) + 3
    # One star far from the others: without itself nothing is left where it is.
    far = np.concatenate([tied, [[3760.0, 5.9, 0.0]]])
    alone = estimate(far)
    place = np.array([[(tied[:, k] < far[-1, k]).mean() for k in range(3)]])
    drop = alone.log_density(place, None) - alone.log_density(place, far[-1])
    assert drop > 3
    visits = estimate(np.concatenate([far, np.tile(far[-1], (5, 1))]))
    assert visits.log_density(place, None) - visits.log_density(place, far[-1]) > 3


def test_spectra_move_blur_and_redden_as_they_should(small: Grid) -> None:
    grid = load_grid()
    point = np.array([[4700.0, 2.5, -1.0]])
    still = make_forward(grid, grid.wave, Nuisances()).spectra(point)[0].numpy()
    moving = make_forward(grid, grid.wave, Nuisances(velocity=100.0))
    there = moving.spectra(np.append(point, [[80.0]], axis=1))[0].numpy()
    inside = moving.covered
    expected = np.interp(grid.wave, grid.wave * (1 + 80 / LIGHT), still)
    assert 4060 < inside.sum() < 4096
    assert np.abs(there - expected)[inside].max() < 0.02  # of linear interpolation
    assert np.abs(there - still)[inside].max() > 0.1
    blur = make_forward(grid, grid.wave, Nuisances(resolution=(2000.0, 5000.0)))
    exact = blurred(grid.nodes, grid.wave, float(added_width(np.array([2700.0]))[0]))
    weights = grid.weights(torch.from_numpy(point)).float()
    ours = blur.spectra(np.append(point, [[2700.0]], axis=1))[0]
    assert torch.allclose(ours, (weights @ exact)[0], atol=2e-3)
    # Cardelli, Clayton & Mathis 1989, table 3: R and I of their bands.
    np.testing.assert_allclose(
        extinction_law(np.array([7000.0, 9000.0])), [0.751, 0.479], atol=0.01
    )
    red = make_forward(small, small.wave, Nuisances(extinction=2.0))
    dark = red.spectra(np.append(point, [[2.0]], axis=1)) / red.spectra(np.append(point, [[0]], 1))
    slope = -0.4 * 2 * (extinction_law(small.wave[:1]) - extinction_law(small.wave[-1:]))
    assert np.log10(float(dark[0, 0] / dark[0, -1])) == pytest.approx(float(slope[0]), abs=1e-3)


def test_windows_share_the_information_and_cost_what_they_tell() -> None:
    problem, slopes, weight = toy(Nuisances(continuum=1))
    observed, _ = integrated(problem, weight, 8)
    wave = problem.forward.grids[0].wave
    edges = [(7100.0, 7900.0), (7900.0, 8900.0)]
    spread = np.diag(GaussianPrior.sigma**2)
    found = information(problem, observed, edges, wave, spread)
    told = windows(found, edges, "log_g", float(spread[1, 1]), 4.0)
    assert sum(one.share for one in told) == pytest.approx(1)
    (alone,) = windows(
        information(problem, observed, edges[:1], wave, spread), edges[:1], "log_g", 1.0, 4.0
    )
    assert alone.share == pytest.approx(told[0].share)
    rows = np.concatenate([slopes, problem.polynomials.double().numpy()])
    prior = np.diag(np.append(GaussianPrior.sigma**-2, np.ones(2)))
    for one, hidden in zip(told, (wave < 7900, wave >= 7900), strict=True):
        variances = [
            np.linalg.inv((rows * w) @ rows.T + prior)[1, 1] / spread[1, 1]
            for w in (weight, np.where(hidden, 0, weight))
        ]
        assert one.r2_cost == pytest.approx(variances[1] - variances[0], rel=0.15)
        assert one.sigma_ratio > 1


def test_the_stars_of_windows_are_spread_over_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ones of a file sorted by magnitude would be its bright ones alone."""
    problem, _, weight = toy(Nuisances())
    weights = torch.arange(1, 9)[:, None] * torch.from_numpy(weight).float()  # fainter ones first
    labels = np.tile(GaussianPrior.middle, (8, 1))
    observed = Observed(labels, torch.ones(8, len(weight)), weights)
    wave = problem.forward.grids[0].wave
    spread = np.diag(GaussianPrior.sigma**2)
    every = information(problem, observed, [(7100.0, 8900.0)], wave, spread)
    monkeypatch.setattr(windows_of_stars, "STARS", 3)
    some = information(problem, observed, [(7100.0, 8900.0)], wave, spread)
    np.testing.assert_array_equal(some.total, every.total[[0, 3, 7]])


def test_wavelengths_read_as_of_vacuum_are_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ends as the grid's are beyond them once they are moved to air."""
    grid = load_grid()
    monkeypatch.setattr(own_file, "in_vacuum", lambda *_: True)
    spectra: Any = SimpleNamespace(wave=grid.wave, files=SimpleNamespace(path="a.h5"))
    with pytest.raises(
        UsageError, match=r"of vacuum by its lines: 7098\.0 to 8847\.6 A in air; the"
    ):
        own_file._wave(spectra, grid)
