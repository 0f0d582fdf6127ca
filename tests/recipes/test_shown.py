"""What a model is shown of an observed spectrum: its errors as noise, averaged over draws.

And whether a network's features of it are those of spectra of the grid.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.recipes.test_run import DATA, VIT
from vitlab.contract.config import VitConfig, read_config
from vitlab.lab.inspector.model import CPU, NetworkModel
from vitlab.lab.inspector.shown import DRAWS, draws, shown
from vitlab.lab.inspector.unfamiliar import unfamiliar
from vitlab.ml.network.vit import build
from vitlab.ml.spectra.dataset import Spectra, open_spectra
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.observation import Batch
from vitlab.ml.survey import comparison
from vitlab.ml.survey.comparison import Reference, with_continuum
from vitlab.ml.survey.pixels import OnPixels
from vitlab.ml.training.task import make_task

Array = NDArray[np.float64]


def opened(**values: Any) -> tuple[VitConfig, Spectra]:
    data = {**DATA, "mag": [17, 20]}
    config = read_config("vit", {"labels": ["log_g", "M_H"], "data": data, "model": VIT} | values)
    assert isinstance(config, VitConfig)
    return config, open_spectra(config.data, 1.0, config.labels, CPU)


def seen(spectra: Spectra, sigma: float, independent: float) -> OnPixels:
    """A flat spectrum, of which every tenth pixel has no data."""
    good = np.arange(spectra.pixels) % 10 > 0
    error = np.where(good, sigma, np.inf)
    return OnPixels(np.ones(spectra.pixels), error, good, independent, 5000.0, {}, ())


def test_errors_admit_the_misfit_and_shared_noise_and_become_noise() -> None:
    config, spectra = opened()
    observed = seen(spectra, 0.03, 0.25)
    told = shown(observed, 0.04, spectra)
    good = observed.good
    np.testing.assert_allclose(told.error[good], 0.05 / 0.5)
    assert np.isinf(told.error[~good]).all()
    assert [note.split(",")[0] for note in told.notes[:2]] == [
        "errors are raised by 4.0% of the flux",
        "errors are times 2.0",
    ]
    assert "1.5 times" not in told.notes[2]
    batch = draws(told, config, np.asarray(spectra.wave))
    flux = batch.flux.double().numpy()
    assert flux.shape == (DRAWS, spectra.pixels)
    lacking = np.sqrt(0.1**2 - 0.03**2)  # the rest is in the data already
    assert flux[:, good].std() == pytest.approx(lacking, rel=0.01)
    assert (flux[:, ~good] == 1).all()


def test_no_error_is_below_that_of_the_brightest_stars() -> None:
    config, spectra = opened()
    told = shown(seen(spectra, 1e-5, 1.0), 0.0, spectra)
    least = told.error[np.isfinite(told.error)]
    assert 0.002 < np.median(least) < 0.02
    assert told.notes[0].startswith("shown to the model with the errors of its brightest stars")
    flux = draws(told, config, np.asarray(spectra.wave)).flux
    assert float(flux.std()) == pytest.approx(float(np.sqrt((least**2).mean())), rel=0.1)


def test_errors_beyond_the_faintest_stars_are_told() -> None:
    _, spectra = opened()
    assert "may state too small ones" in shown(seen(spectra, 0.5, 1.0), 0.0, spectra).notes[-1]


@pytest.mark.parametrize("loss", ["mixture", "nll", "mse"])
def test_an_answer_over_draws_is_their_mean_with_the_variance_of_all(loss: str) -> None:
    config, spectra = opened(loss=loss)
    task = make_task(config, spectra, CPU)
    torch.manual_seed(0)
    outputs = {"mixture": 8 * 6, "nll": 4, "mse": 2}[loss]
    model = NetworkModel(build(config.model, spectra, outputs), task)
    torch.nn.init.normal_(model.network.head.weight)  # type: ignore[union-attr, arg-type]
    batch = draws(shown(seen(spectra, 0.03, 1.0), 0.2, spectra), config, spectra.wave, count=5)
    together = model.explain(batch, 0)
    with torch.no_grad():
        each, errors = task.estimate(model.network(task.inputs(batch)))
    np.testing.assert_allclose(together.predicted, each.mean(dim=0), rtol=1e-5)
    assert float(each.std(dim=0).min()) > 1e-3
    if errors is None:
        assert together.sigma is None
        return
    variance = errors.square().mean(dim=0) + each.var(dim=0, correction=0)
    np.testing.assert_allclose(together.sigma, variance.sqrt(), rtol=1e-4)  # type: ignore[arg-type]
    assert together.response.shape == (spectra.pixels,)


def test_an_instruments_curve_gives_way_to_the_nearest_stars() -> None:
    grid = load_grid()
    labels = torch.tensor([[5000.0, 2.0, -0.5]], dtype=torch.float64)
    star = grid.flux(labels)[0].double().numpy()
    window = (grid.wave > 7590) & (grid.wave < 7880)
    x = (grid.wave - 7735) / 145
    blaze = np.where(window, 3 * (1 - 0.5 * x**2 + 0.2 * x), 1.0)
    error = np.where(window, 0.01 * blaze, np.inf)
    flux = np.where(window, star * blaze, 1.0)
    seen = with_continuum(OnPixels(flux, error, window, 1.0, 5000.0, {}, ()), star, grid.wave)
    ratio = seen.flux[window] / star[window]
    assert ratio.std() / ratio.mean() < 0.003  # 30 % before
    np.testing.assert_allclose(
        seen.sigma[window] / seen.flux[window], 0.01 / star[window], rtol=1e-6
    )
    assert np.median(seen.flux[window]) == pytest.approx(1)
    assert np.isinf(seen.sigma[~window]).all()


class Depths(NetworkModel):
    """Reads how deep the Ca II triplet is, and where it would be with wavelengths reversed."""

    def features(self, batch: Batch) -> Array:
        wave = load_grid().wave
        lines = np.array([8498.0, 8542.1, 8662.1])
        places = np.concatenate([lines, wave[0] + wave[-1] - lines])
        flux = batch.flux.double().numpy()
        each = [1 - flux[:, abs(wave - place) < 3].mean(axis=1) for place in places]
        return np.stack(each, axis=1)


def test_features_tell_spectra_that_no_star_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison, "REFINE", 1)
    monkeypatch.setattr("vitlab.lab.inspector.unfamiliar.COMPARED", 200)
    monkeypatch.setattr("vitlab.lab.inspector.unfamiliar.CALIBRATED", 300)
    config, spectra = opened(data={**DATA, "mag": [17, 20], "running_continuum": 200})
    network = build(config.model, spectra, 2)
    model = Depths(network, make_task(config, spectra, CPU))
    reference = Reference(load_grid())
    labels = torch.tensor([[4500.0, 3.0, 0.0]], dtype=torch.float64)
    clean = reference.grid.flux(labels)[0].double().numpy()
    wave, random = np.asarray(spectra.wave), np.random.default_rng(0)
    error, every = np.full(len(wave), 0.01), np.ones(len(wave), bool)
    found = []
    for flux in (clean, clean[::-1]):
        noisy = flux / np.median(flux) + 0.01 * random.standard_normal(len(flux))
        observed = OnPixels(noisy, error, every, 1.0, 5000.0, {}, ())
        found.append(unfamiliar(model, shown(observed, 0.0, spectra), config, wave, reference))
    right, turned = found
    assert right.why == ""
    assert turned.highest == right.highest
    assert turned.distance > 1.5 * turned.highest
    assert turned.why.startswith("the network reads it unlike spectra of the grid")
