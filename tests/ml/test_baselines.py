"""Scores, ridge and trees against scikit-learn; the bound against a linear-Gaussian truth."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import linear_model, metrics

from vitlab.contract.config import BoostModel, BoostTrain, DataConfig, RidgeModel
from vitlab.contract.value import Value
from vitlab.ml.baselines import ridge, trees
from vitlab.ml.baselines.template import make_templates
from vitlab.ml.progress import Evaluation, Note
from vitlab.ml.scoring import score
from vitlab.ml.spectra.dataset import GridSpectra, open_spectra
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.inputs import Rows, make_inputs, predict_rows
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.simulate import Simulator
from vitlab.ml.theory.fisher import bounds, information, marginal_variance

R2 = Value("", "r2", "log_g")

LABEL_NAMES = ("log_g", "M_H")
STEP = 16


def some_rows(n_train: int = 300, kind: str = "whitened") -> dict[str, Rows]:
    """Spectra of every 16th pixel, so that the reference is quick."""
    grid, noise = load_grid(), load_noise()
    thin_grid = type(grid)(
        grid.wave[::STEP], grid.axes, grid.nodes[:, ::STEP], grid.cardinals, grid.breaks
    )
    thin_noise = type(noise)(noise.sky[::STEP])
    sizes = {"train": n_train, "val": 100, "test": 100}
    simulator = Simulator(thin_grid, thin_noise)
    columns = tuple(LABELS.index(name) for name in LABEL_NAMES)
    spectra = GridSpectra(simulator, sizes, columns, infinite=False)
    inputs = make_inputs(kind, spectra)
    return {split: Rows(spectra, inputs, split) for split in sizes}


@settings(deadline=None, max_examples=30)
@given(st.integers(2, 300), st.integers(0, 2**31), st.floats(-1e4, 1e4))
def test_scores_are_sklearns(n: int, seed: int, origin: float) -> None:
    generator = np.random.default_rng(seed)
    true = generator.normal(origin, 3, size=(n, 2))
    guess = true + generator.normal(1, 2, size=(n, 2))
    scores, _ = score(true, guess, LABEL_NAMES).named("test")
    for k, label in enumerate(LABEL_NAMES):
        pair = true[:, k], guess[:, k]
        assert scores[f"test/r2/{label}"] == pytest.approx(
            metrics.r2_score(*pair), rel=1e-6, abs=1e-6
        )
        assert scores[f"test/mae/{label}"] == pytest.approx(metrics.mean_absolute_error(*pair))
        assert scores[f"test/rmse/{label}"] == pytest.approx(metrics.root_mean_squared_error(*pair))
        assert scores[f"test/bias/{label}"] == pytest.approx((pair[1] - pair[0]).mean(), abs=1e-9)


def test_bootstrap_errors_are_the_spread_over_samples() -> None:
    generator = np.random.default_rng(0)
    n, r2, errors = 400, [], []
    for seed in range(200):
        true = generator.normal(size=(n, 1))
        guess = true + generator.normal(scale=0.7, size=(n, 1))
        scores = score(true, guess, ("log_g",), seed=seed if seed < 20 else None)
        r2.append(scores.values[R2])
        if seed < 20:
            errors.append(scores.errors[R2])
    assert np.mean(errors) == pytest.approx(np.std(r2), rel=0.2)


@pytest.mark.parametrize("kind", ["flux", "flux/error", "whitened"])
@pytest.mark.parametrize("n", [150, 1500])
def test_ridge_is_sklearns(kind: str, n: int) -> None:
    rows = some_rows(n, kind)
    alphas = (0.3, 30.0, 3000.0)
    model = ridge.empty_ridge(256, 2)
    config = RidgeModel(alphas=alphas)
    said = list(ridge.fit(model, rows["train"], rows["val"], config, LABEL_NAMES))
    x, y = (np.concatenate(part) for part in zip(*rows["train"].pieces(), strict=True))
    x = x.astype(np.float64)
    val_x, val_y = rows["val"].piece(0, 100)
    references = [linear_model.Ridge(alpha=alpha).fit(x, y) for alpha in alphas]
    r2 = [metrics.r2_score(val_y, m.predict(val_x)) for m in references]  # the labels' mean
    reference = references[int(np.argmax(r2))]
    assert model.alpha == alphas[int(np.argmax(r2))]
    np.testing.assert_allclose(model.weights, reference.coef_.T, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(model.predict(val_x), reference.predict(val_x), rtol=1e-6, atol=1e-6)
    scored = [e.values["val/r2/log_g"] for e in said if isinstance(e, Evaluation)]
    wanted = [metrics.r2_score(val_y[:, 0], m.predict(val_x)[:, 0]) for m in references]
    assert scored == pytest.approx(wanted, abs=1e-6)


def test_trees_grow_stop_early_and_predict_with_the_best_round() -> None:
    rows = some_rows(400)
    model = trees.Boost()
    config = BoostTrain(rounds=400, lr=0.3, patience=20, eval_every=5, threads=1)
    said = list(trees.fit(model, rows["train"], rows["val"], BoostModel(), config, LABEL_NAMES))
    scored = {e.step: e.values for e in said if isinstance(e, Evaluation)}
    assert max(scored) < 400
    assert Note(f"no more trees after round {max(scored)}") in said
    true, guess = predict_rows(rows["val"], model.predict)
    for k, label in enumerate(LABEL_NAMES):
        r2 = metrics.r2_score(true[:, k], guess[:, k])
        assert r2 == pytest.approx(scored[model.rounds][f"val/r2/{label}"], abs=1e-9)
    assert scored[model.rounds]["val/r2/M_H"] > 0.3
    assert model.params > model.rounds


def test_templates_are_compared_by_chi_square() -> None:
    spectra = some_rows()["test"].spectra
    assert isinstance(spectra, GridSpectra)
    templates = make_templates(spectra.simulator.grid, 2)
    assert len(templates.labels) == 19 * 9 * 13
    batch = spectra.fixed("test", 0, 20)
    pull = (batch.flux[:, None] - 1 - templates.residual) / batch.shown_error[:, None]
    chi2 = pull.double().square().sum(dim=2).numpy()  # (20, N)
    found = templates.nearest(batch)
    rows = [np.flatnonzero((templates.labels == one).all(axis=1))[0] for one in found]
    assert (chi2[np.arange(20), rows] <= chi2.min(axis=1) + 0.05).all()


def test_the_bound_is_the_least_squares_variance_of_a_linear_model() -> None:
    generator = torch.Generator().manual_seed(0)
    slopes = torch.randn(4, 3, 50, generator=generator, dtype=torch.float64)
    sigma = torch.rand(4, 50, generator=generator, dtype=torch.float64) + 0.5
    fisher = information(slopes, sigma)
    for k in range(3):
        wanted = torch.linalg.inv(slopes @ (sigma**-2).diag_embed() @ slopes.mT)[:, k, k]
        torch.testing.assert_close(marginal_variance(fisher, k), wanted)


def test_bounds_fall_with_the_signal_and_scale_with_the_noise() -> None:
    grid = load_grid()
    stars = Simulator(grid, load_noise()).stars("test", 0, 20)
    mags = np.tile([18.0, 21.5], (20, 1))
    (one,) = bounds(grid, load_noise(), stars.labels, mags)
    (two,) = bounds(grid, load_noise(2.0), stars.labels, mags)
    assert (one.variance[:, 0] < one.variance[:, 1]).all()
    np.testing.assert_allclose(two.variance, 4 * one.variance, rtol=1e-6)
    assert np.median(one.snr, axis=0) == pytest.approx([87.4, 7.1], rel=0.05)
    assert (one.condition >= 1).all()


def test_data_hash_is_that_of_the_test_set() -> None:
    def of(level: float = 1.0, **changes: object) -> str:
        data = DataConfig(**changes)  # type: ignore[arg-type]
        return open_spectra(data, level, ("log_g",), torch.device("cpu")).hash

    assert of() == of(train_size=7, source="grid-infinite", val_size=3)
    assert len({of(), of(seed=1), of(test_size=9), of(mag=(20.0, 22.5)), of(level=2.0)}) == 5
