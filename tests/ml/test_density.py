"""Predicted densities: the mixture, what is scored of it, and where it is exact."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor, nn
from torch.distributions import Categorical, MixtureSameFamily, MultivariateNormal, Normal

from vitlab.contract.config import MlpConfig, read_config
from vitlab.contract.networks import output_count
from vitlab.contract.validation import ConfigError
from vitlab.contract.value import Value
from vitlab.lab.inspector.posterior import Kernel, Marginal, densities
from vitlab.ml.network.density import mixture
from vitlab.ml.residual_file import load_residuals, save_residuals
from vitlab.ml.scoring import DensityScores, Residuals, against_exact, binned, blend, overall
from vitlab.ml.spectra.dataset import COMPONENTS
from vitlab.ml.spectra.grid import compress, load_grid
from vitlab.ml.spectra.inputs import Inputs
from vitlab.ml.spectra.labels import RANGES, LabelPrior, LabelScaling, fit_scaling
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.simulate import Simulator
from vitlab.ml.theory.log_scores import Star, exact_scores
from vitlab.ml.theory.posterior import Model, posteriors
from vitlab.ml.training.checkpoint import Saved, load, save
from vitlab.ml.training.task import make_loss

WIDE = torch.float64


def some_outputs(labels: int, components: int, n: int = 5) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    size = output_count("mixture", labels, components)
    return torch.randn(n, size, generator=generator, dtype=WIDE)


@pytest.mark.parametrize("labels", [1, 3])
def test_the_density_is_torchs(labels: int) -> None:
    found = mixture(some_outputs(labels, 4), labels)
    points = torch.randn(5, labels, dtype=WIDE)
    precision = found.factor.mT @ found.factor
    weights = Categorical(logits=found.log_weights)
    parts = MultivariateNormal(found.mean, precision_matrix=precision)
    theirs = MixtureSameFamily(weights, parts)
    torch.testing.assert_close(found.log_density(points), theirs.log_prob(points))  # type: ignore[no-untyped-call]
    mean, sigma = found.moments(lambda scaled: scaled)
    torch.testing.assert_close(mean, theirs.mean)
    torch.testing.assert_close(sigma, theirs.variance.sqrt())
    for k in range(labels):
        each = Normal(found.mean[..., k], found.sigma[..., k])
        one = MixtureSameFamily(weights, each)
        torch.testing.assert_close(found.log_marginals(points)[:, k], one.log_prob(points[:, k]))  # type: ignore[no-untyped-call]
        torch.testing.assert_close(found.below(points)[:, k], one.cdf(points[:, k]))  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("raw", [-1e30, -200.0, 200.0, 1e30])
def test_the_loss_stays_finite(raw: float) -> None:
    outputs = torch.full((1, output_count("mixture", 3, 2)), 0.5)
    outputs[0, 4] = raw
    loss = make_loss("mixture")(outputs.requires_grad_(), torch.tensor([[-3.0, 0.0, 3.0]]))
    (gradient,) = torch.autograd.grad(loss, outputs)
    assert loss.isfinite()
    assert gradient.isfinite().all()


def test_a_trained_mixture_reaches_the_exact_posterior() -> None:
    """x = y + noise with y in two peaks: the posterior is a mixture, known in closed form."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Linear(1, 32), nn.GELU(), nn.Linear(32, output_count("mixture", 1, 3))
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    loss = make_loss("mixture")
    for step in range(120):
        y, x = two_peaks(256)
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 120)
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = network(x)
        torch.autograd.backward(loss(outputs.float(), y))
        optimizer.step()
    y, x = two_peaks(10_000)
    with torch.no_grad():
        found = mixture(network(x).double(), 1)
    lost = (exact_peaks(y, x) - found.log_density(y.double())).mean()
    assert -0.002 < float(lost) < 0.02
    below = found.below(y.double()).numpy()
    assert stats.kstest(below[:, 0], "uniform").statistic < 0.02


def two_peaks(n: int) -> tuple[Tensor, Tensor]:
    y = torch.where(torch.rand(n, 1) < 0.3, -1.0, 1.0) + 0.3 * torch.randn(n, 1)
    return y, y + 0.8 * torch.randn(n, 1)


def exact_peaks(y: Tensor, x: Tensor) -> Tensor:
    y, x = y.double(), x.double()
    total = 0.3**2 + 0.8**2
    logits = torch.cat(
        [math.log(p) - (x - m) ** 2 / (2 * total) for p, m in ((0.3, -1.0), (0.7, 1.0))], dim=1
    )
    mean = torch.cat([m + (x - m) * 0.3**2 / total for m in (-1.0, 1.0)], dim=1)
    sigma = 0.3 * 0.8 / math.sqrt(total)
    each = -0.5 * ((y - mean) / sigma) ** 2 - math.log(sigma * math.sqrt(2 * math.pi))
    return (logits.log_softmax(dim=1) + each).logsumexp(dim=1)


def test_labels_with_ranges_come_back_and_their_density_is_theirs() -> None:
    names = ("T_eff", "log_g", "M_H")
    labels = LabelPrior().labels(np.random.default_rng(0).random((4000, 3)))
    scaling = fit_scaling(labels, "standard", tuple(RANGES[name] for name in names))
    scaled = scaling.scaled(labels)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaling.original(scaled), labels, rtol=1e-9)
    ours = scaling.original(torch.from_numpy(scaled)).numpy()
    np.testing.assert_allclose(ours, labels, rtol=1e-9)
    step = 1e-6 * (labels + 1)
    middle = (np.abs(scaled) < 2).all(axis=1)
    slope = (scaling.scaled(labels + step) - scaling.scaled(labels - step)) / (2 * step)
    np.testing.assert_allclose(np.exp(scaling.log_slope(labels))[middle], slope[middle], rtol=1e-4)
    linear = LabelScaling((1.0,), (2.0,))
    np.testing.assert_allclose(linear.log_slope(labels[:, :1]), -np.log(2))


def test_ranges_are_saved_and_older_checkpoints_have_none(tmp_path: Path) -> None:
    path, cpu = tmp_path / "best.pt", torch.device("cpu")
    scaling = LabelScaling((0.5,), (2.0,), (RANGES["log_g"],))
    inputs = Inputs("flux", torch.ones(3))
    save(path, Saved(3, {}, ("log_g",), scaling, inputs, {}, loss="mixture"))
    assert load(path, cpu).scaling == scaling
    document = torch.load(path, weights_only=True)
    del document["scaling"]["ranges"]
    torch.save(document, path)
    assert load(path, cpu).scaling == LabelScaling((0.5,), (2.0,))


def gaussian_scores(n: int, factor: float, labels: int = 1) -> DensityScores:
    """Of truths at N(0, 1) and a density whose sigma is `factor` too large."""
    truth = np.random.default_rng(1).normal(size=(n, labels))
    score = stats.norm.logpdf(truth, scale=factor)
    return DensityScores(score, score.sum(axis=1), special.ndtr(truth / factor))


@pytest.mark.parametrize(("factor", "good"), [(1.0, True), (0.8, False), (1.2, False)])
def test_a_wrong_sigma_shows_in_the_coverage(factor: float, good: bool) -> None:
    found = gaussian_scores(10_000, factor).scores(("log_g",), seed=0)
    for share in (50, 68, 90, 95):
        value = Value("", f"coverage{share}", "log_g")
        expected = 2 * special.ndtr(factor * special.ndtri(0.5 + share / 200)) - 1
        assert found.values[value] == pytest.approx(expected, abs=0.015)
        assert found.errors[value] == pytest.approx(
            math.sqrt(expected * (1 - expected) / 1e4), rel=0.3
        )
        assert (abs(found.values[value] - share / 100) < 4 * found.errors[value]) is good
    assert (found.values[Value("", "pit_ks", "log_g")] < 0.02) is good


def test_the_mean_of_two_densities_is_scored_as_one() -> None:
    truth = np.array([[0.0], [1.5]])
    one, two = (stats.norm(at, 1) for at in (-1, 1))
    parts = [
        DensityScores(x.logpdf(truth), x.logpdf(truth)[:, 0], x.cdf(truth)) for x in (one, two)
    ]
    both = blend(parts)
    expected = np.log((one.pdf(truth) + two.pdf(truth)) / 2)
    np.testing.assert_allclose(both.log_score, expected)
    np.testing.assert_allclose(both.joint, expected[:, 0])
    np.testing.assert_allclose(both.pit, (one.cdf(truth) + two.cdf(truth)) / 2)


def some_residuals(n: int = 400) -> Residuals:
    model, exact = gaussian_scores(n, 1.3, 2), gaussian_scores(n, 1.0, 2)
    part = exact.take(np.arange(n) < 300)
    numbers = np.random.default_rng(0).normal(size=(n, 2))
    mag = np.linspace(20.5, 22.5, n)
    return Residuals(
        ("log_g", "M_H"), np.arange(n), numbers, numbers, mag, mag, "h", "grid", None, model, part
    )


def test_densities_come_back_from_a_file_and_are_held_against_the_exact_ones(
    tmp_path: Path,
) -> None:
    kept = some_residuals()
    save_residuals(tmp_path / "r.parquet", kept)
    found = load_residuals(tmp_path / "r.parquet")
    assert found.density is not None
    assert found.exact is not None
    np.testing.assert_array_equal(found.density.log_score, kept.density.log_score)  # type: ignore[union-attr]
    assert found.exact.pit.shape == (300, 2)
    scores = against_exact(found)
    lost = Value("", "nats_lost", "log_g")
    # The divergence of N(0, 1) from N(0, 1.3).
    assert scores.values[lost] == pytest.approx(math.log(1.3) + 0.5 / 1.3**2 - 0.5, abs=0.05)
    assert 0 < scores.errors[lost] < 0.03
    together = scores.values[Value("", "nats_lost")]
    assert together == pytest.approx(
        sum(scores.values[Value("", "nats_lost", k)] for k in found.labels)
    )
    assert Value("", "log_score", "M_H") in overall(found, 0).values
    assert all(
        Value("", "coverage68", "M_H") in one.scores.values for one in binned(found, "mag", 0)
    )


def test_a_bounded_density_ends_where_its_label_does() -> None:
    ranges = (RANGES["T_eff"], RANGES["log_g"])
    scaling = LabelScaling((0.1, -0.2), (1.1, 0.9), ranges)
    found = mixture(some_outputs(2, 3, n=1), 2)
    found = replace(found, factor=4 * found.factor)
    marginal = Marginal(found, scaling, 1)
    values = 1 + 4 * special.ndtr(np.linspace(-5.9, 5.9, 8001))  # closer at the ends
    height, below = marginal.density(values), marginal.below(values)
    assert np.trapezoid(height, values) == pytest.approx(1, abs=1e-3)
    step = np.diff(values) * (height[1:] + height[:-1]) / 2
    np.testing.assert_allclose(np.cumsum(step), below[1:], atol=1e-3)
    mean, sigma = found.moments(scaling.original)
    assert np.trapezoid(height * values, values) == pytest.approx(float(mean[0, 1]), abs=2e-3)
    draws = 1 + np.random.default_rng(0).exponential(0.1, size=500)  # crowded at the lower bound
    kernel = Kernel(draws, np.full(500, 1 / 500), RANGES["log_g"])
    height, below = kernel.density(values), kernel.below(values)
    assert np.trapezoid(height, values) == pytest.approx(1, abs=1e-3)
    step = np.diff(values) * (height[1:] + height[:-1]) / 2
    np.testing.assert_allclose(np.cumsum(step), below[1:], atol=1e-3)
    assert height.max() < 2 / 0.1
    assert height[0] == pytest.approx(1 / 0.1, rel=0.3)
    model, exact = densities(marginal, kernel, "log_g", float(mean[0, 1]), float(sigma[0, 1]))
    assert 1 <= model.low < model.high <= 5
    assert 1 < exact.low < exact.high < 5
    assert np.trapezoid(exact.density, exact.values) == pytest.approx(1, abs=0.03)  # much narrower


def test_the_exact_posterior_is_calibrated_and_agrees_with_the_ceilings() -> None:
    """Two integrations of the same posteriors, by different proposals."""
    grid = compress(load_grid(), COMPONENTS)
    simulator = Simulator(grid, load_noise(), (21.5, 21.5), seed=3)
    model, n = Model(grid, simulator.noise, LabelPrior()), 2
    stars, flux, _ = simulator.observe_fixed("test", 0, n)
    scores = list(exact_scores(simulator, ("log_g", "M_H"), n))
    for one, other in zip(scores, posteriors(model, stars, flux, 1), strict=True):
        np.testing.assert_allclose(one.pit[0], other.pit[[1, 2]], atol=0.15)
        assert np.isfinite(one.joint).all()
    # The density of one label alone, against the same by a finer sum over its values.
    star = Star(model, flux[0], stars.labels[0], float(stars.mag[0]))
    drawn = [star.samples((), np.random.default_rng(seed)) for seed in range(3)]
    column = np.concatenate([one.labels[:, 1] for one in drawn])
    weights = np.concatenate([one.weights for one in drawn]) / len(drawn)
    kernel = Kernel(column, weights, RANGES["log_g"])
    smooth = float(np.log(kernel.density(stars.labels[0, [1]])[0]))
    assert scores[0].log_score[0, 0] == pytest.approx(smooth, abs=0.2)


def test_a_mixture_has_no_weights_and_counts_its_outputs() -> None:
    config = read_config("mlp", {"loss": "mixture", "train": {"monitor": "val/log_score/log_g"}})
    assert isinstance(config, MlpConfig)
    assert output_count("mixture", 3, 8) == 8 * 10
    with pytest.raises(ConfigError, match="label_weights: a mixture"):
        read_config("mlp", {"loss": "mixture", "label_weights": [1]})
