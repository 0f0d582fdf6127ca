"""The Bayes ceiling: closed form on a linear toy, calibration, cache, and its neighbours."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from vitlab.ml.spectra.grid import Grid, compress, load_grid, make_grid
from vitlab.ml.spectra.labels import LABELS, RANGES, LabelPrior, prior_variance
from vitlab.ml.spectra.observation import NoiseModel, load_noise
from vitlab.ml.spectra.simulate import Simulator, Stars
from vitlab.ml.theory import ceilings
from vitlab.ml.theory.ceilings import Posteriors, bayes_r2, gather, linear_r2, posteriors_of_test
from vitlab.ml.theory.posterior import ENOUGH, Model, posteriors

Array = NDArray[np.float64]
FAINT = 32.0
"""Here the noise is all sky, the same for every star: the model is linear and Gaussian."""
SPREAD = 8.0
"""The toy's Gaussian prior reaches this many sigma to either side in the range of a label."""
PIXELS = 256


class GaussianPrior:
    """Independent normal labels, centred in their ranges."""

    middle = np.array([sum(RANGES[name]) / 2 for name in LABELS])
    sigma = np.array([(RANGES[name][1] - RANGES[name][0]) / 2 / SPREAD for name in LABELS])

    def labels(self, unit: Array) -> Array:
        labels: Array = self.middle + self.sigma * stats.norm.ppf(unit)
        reach = SPREAD * self.sigma
        return np.clip(labels, self.middle - reach, self.middle + reach)

    def slopes(self, unit: Array) -> Array:
        return np.asarray(self.sigma / stats.norm.pdf(stats.norm.ppf(unit)))


def linear_toy(level: float) -> tuple[Model, Array]:
    """A grid linear in the labels, and (3, L) its derivatives."""
    generator = np.random.default_rng(0)
    prior = GaussianPrior()
    slopes = generator.normal(0, 0.02, (3, PIXELS)) / prior.sigma[:, None]
    axes = tuple(np.linspace(*RANGES[name], 5) for name in LABELS)
    labels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    nodes = (1 + (labels - prior.middle) @ slopes).astype(np.float32)
    grid = make_grid(np.linspace(7100, 8850, PIXELS), axes, nodes)
    sky = torch.from_numpy(generator.uniform(0.5, 2, PIXELS).astype(np.float32))
    noise = NoiseModel(sky)
    now = float(noise.sigma(torch.ones(1, PIXELS), torch.tensor([FAINT])).median())
    return Model(grid, NoiseModel(sky, level / now), prior), slopes


def observed(model: Model, n: int, seed: int) -> tuple[Stars, torch.Tensor]:
    generator = np.random.default_rng(seed)
    labels = model.prior.labels(generator.random((n, 3)))
    stars = Stars(labels, np.full(n, FAINT))
    clean = model.grid.flux(torch.from_numpy(labels))
    sigma = model.noise.sigma(clean, torch.from_numpy(stars.mag))
    noise = torch.from_numpy(generator.standard_normal(clean.shape).astype(np.float32))
    return stars, clean + sigma * noise


@pytest.mark.parametrize("level", [0.03, 0.3, 3.0])
def test_a_linear_gaussian_toy_has_its_closed_form(level: float) -> None:
    model, slopes = linear_toy(level)
    stars, flux = observed(model, 25, 1)
    found = gather(list(posteriors(model, stars, flux, 5)), stars.mag)
    sigma = model.noise.sigma(torch.ones(1, PIXELS), torch.tensor([FAINT]))[0].double().numpy()
    prior = GaussianPrior()
    information = (slopes / sigma**2) @ slopes.T + np.diag(prior.sigma**-2)
    covariance = np.linalg.inv(information)
    excess = (flux.double().numpy() - 1) / sigma**2
    means = prior.middle + (excess @ slopes.T) @ covariance
    spread = np.sqrt(np.diag(covariance))
    # Each posterior is worth at least ENOUGH samples: its mean is good to spread / sqrt(ENOUGH).
    away = (found.mean - means) / spread
    assert float(np.sqrt((away**2).mean())) < 1.5 / ENOUGH**0.5
    np.testing.assert_allclose(found.variance.mean(axis=0) / spread**2, 1, atol=0.06)
    assert found.unsettled == 0


@pytest.fixture(scope="module")
def real() -> Posteriors:
    """Posteriors of 100 stars of the real grid between magnitudes 20.5 and 22.5."""
    simulator = Simulator(load_grid(), load_noise(), seed=3)
    return posteriors_of_test(simulator, 100, None)


def test_posteriors_are_calibrated(real: Posteriors) -> None:
    """The true label's place in its posterior is uniform, and errors are as large as said."""
    labels = Simulator(load_grid(), load_noise(), seed=3).stars("test", 0, 100).labels
    for k in range(len(LABELS)):
        assert stats.kstest(real.pit[:, k], "uniform").pvalue > 0.005
        pull = (real.mean[:, k] - labels[:, k]) ** 2 / real.variance[:, k]
        assert float(pull.mean()) == pytest.approx(1, abs=4 * float(pull.std()) / 10)
    assert real.unsettled == 0


def test_the_ceiling_falls_with_magnitude_and_lies_above_every_linear_model(
    real: Posteriors,
) -> None:
    bright, faint = real.mag < 21.5, real.mag >= 21.5
    parts = [bayes_r2(real, "log_g", rows) for rows in (bright, faint)]
    assert parts[0].r2 > parts[1].r2
    whole = bayes_r2(real, "log_g")
    assert whole.n == sum(part.n for part in parts)
    linear, error = linear_r2(Simulator(load_grid(), load_noise(), seed=3), "log_g", 4000)
    assert error < 0.02
    assert whole.r2 > linear + 3 * whole.error


def test_a_known_magnitude_tells_little_more() -> None:
    grid = compress(load_grid(), 96)
    simulator = Simulator(grid, load_noise(), mag=(21.5, 21.5), seed=3)
    stars, flux, _ = simulator.observe_fixed("test", 0, 24)
    unknown = Model(grid, simulator.noise, LabelPrior())
    found = [
        gather(list(posteriors(model, stars, flux, 3)), stars.mag)
        for model in (unknown, replace(unknown, mag_known=True))
    ]
    share = [float(p.variance[:, 1].mean()) / prior_variance("log_g") for p in found]
    assert abs(share[0] - share[1]) < 0.02


def test_results_are_kept_by_what_they_depend_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulator = Simulator(load_grid(), load_noise(), mag=(21.5, 21.5))
    first = posteriors_of_test(simulator, 3, tmp_path)
    (kept,) = tmp_path.iterdir()

    def never(*_: object) -> None:
        raise AssertionError("integrated again")

    with monkeypatch.context() as patched:
        patched.setattr(ceilings, "posteriors", never)
        again = posteriors_of_test(simulator, 3, tmp_path)
        np.testing.assert_allclose(again.variance, first.variance, rtol=1e-3, atol=1e-5)
        fainter = replace(simulator, mag=(22.0, 22.0))
        with pytest.raises(AssertionError, match="integrated again"):
            posteriors_of_test(fainter, 3, tmp_path)
    kept.write_text("{")
    assert posteriors_of_test(simulator, 3, tmp_path).variance.shape == (3, 3)


def test_the_best_linear_predictor_is_that_of_a_large_regression() -> None:
    """Against ordinary least squares on many noisy spectra of a grid of few pixels."""
    whole = load_grid()
    some = slice(None, None, 256)
    grid = Grid(
        whole.wave[some], whole.axes, whole.nodes[:, some].clone(), whole.cardinals, whole.breaks
    )
    noise = replace(load_noise(), sky=load_noise().sky[some].clone())
    simulator = Simulator(grid, noise, seed=1)
    stars = simulator.stars("test", 0, 60_000)
    flux, _ = simulator.observe(stars, torch.Generator().manual_seed(0))
    x = np.column_stack([flux.double().numpy(), np.ones(len(flux))])
    y = stars.labels[:, 1]
    half = len(y) // 2
    weights = np.linalg.lstsq(x[:half], y[:half], rcond=None)[0]
    left = y[half:] - x[half:] @ weights
    assert linear_r2(simulator, "log_g", 40_000)[0] == pytest.approx(
        1 - (left**2).mean() / y[half:].var(), abs=0.015
    )
