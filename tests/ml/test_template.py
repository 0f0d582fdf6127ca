"""The minimum of chi-square against brute force, and its error against the chi-square itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from tests.ml.test_baselines import some_rows
from vitlab.ml.baselines.template import Fitted, Templates, concatenate, fit, make_templates
from vitlab.ml.spectra.dataset import GridSpectra
from vitlab.ml.spectra.observation import Batch

STARS = 100
OPTIONS = {"initial_simplex": [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]], "maxfev": 60}


@pytest.fixture(scope="module")
def fitted() -> tuple[Templates, Batch, Fitted]:
    spectra = some_rows()["test"].spectra
    assert isinstance(spectra, GridSpectra)
    templates = make_templates(spectra.simulator.grid, 2)
    found: list[Fitted] = []
    assert [event.step for event in fit(found, templates, spectra)] == [STARS]  # type: ignore[union-attr]
    return templates, spectra.fixed("test", 0, STARS), concatenate(found)


def chi2(templates: Templates, batch: Batch, star: int, labels: np.ndarray) -> np.ndarray:
    """(n,) of (n, 3) labels, as it is defined, in float64."""
    flux = templates.grid.flux(torch.from_numpy(labels)).double()
    pull = (batch.flux[star].double() - flux) / batch.shown_error[star].double()
    return np.asarray(pull.square().sum(dim=1))


def bright(fitted: tuple[Templates, Batch, Fitted]) -> tuple[Templates, Batch, np.ndarray]:
    """The same stars with a thirtieth of the noise, and their true labels."""
    templates, batch, _ = fitted
    spectra = some_rows()["test"].spectra
    assert isinstance(spectra, GridSpectra)
    true = spectra.simulator.stars("test", 0, STARS).labels
    clean = templates.grid.flux(torch.from_numpy(true))
    flux = clean + (batch.flux - clean) / 30
    return templates, Batch(flux, batch.error / 30, batch.labels), true


def test_no_point_nearby_or_far_is_better(fitted: tuple[Templates, Batch, Fitted]) -> None:
    templates, batch, found = fitted
    everywhere = templates.labels
    offsets = np.linspace(-2, 2, 9)
    near = np.stack(np.meshgrid(offsets, offsets, offsets), axis=-1).reshape(-1, 3)
    axes = templates.grid.axes
    low, high = (np.array([axis[i] for axis in axes]) for i in (0, -1))
    worse = 0
    for star in range(20):
        around = np.clip(found.labels[star] + near * found.sigma[star], low, high)
        own = chi2(templates, batch, star, found.labels[star][None])[0]
        assert own == pytest.approx(found.chi2[star], rel=1e-5)
        assert own <= chi2(templates, batch, star, around).min() + 0.01
        worse += own > chi2(templates, batch, star, everywhere).min() + 0.01
    assert worse == 0


def test_chi_square_is_one_higher_one_sigma_away(
    fitted: tuple[Templates, Batch, Fitted],
) -> None:
    templates, batch, true = bright(fitted)
    found = templates.fitted(batch)
    axes = templates.grid.axes
    low, high = (np.array([axis[i] for axis in axes]) for i in (0, -1))
    inside = ((found.labels - 2 * found.sigma > low) & (found.labels + 2 * found.sigma < high)).all(
        axis=1
    )
    pulls = (found.labels - true)[inside] / found.sigma[inside]
    assert np.sqrt(np.mean(np.square(pulls), axis=0)) == pytest.approx([1, 1, 1], abs=0.3)
    sure = np.flatnonzero(inside)[:2]
    rises = []
    for star in sure:
        for k in range(3):
            others = [i for i in range(3) if i != k]
            for sign in (-1, 1):
                fixed = found.labels[star, k] + sign * found.sigma[star, k]

                def profile(
                    x: np.ndarray,
                    star: int = int(star),
                    k: int = k,
                    fixed: float = fixed,
                    others: list[int] = others,
                ) -> float:
                    labels = found.labels[star].copy()
                    labels[others] += x * found.sigma[star, others]
                    labels[k] = fixed
                    return float(chi2(templates, batch, star, np.clip(labels, low, high)[None])[0])

                best = minimize(profile, np.zeros(2), method="Nelder-Mead", options=OPTIONS)
                rises.append(best.fun - found.chi2[star])
    assert len(sure) == 2
    assert rises == pytest.approx([1.0] * 12, abs=0.15)


def test_errors_are_honest_and_the_edge_holds(fitted: tuple[Templates, Batch, Fitted]) -> None:
    templates, batch, found = fitted
    axes = templates.grid.axes
    low, high = (np.array([axis[i] for axis in axes]) for i in (0, -1))
    assert ((found.labels >= low) & (found.labels <= high)).all()
    assert (found.sigma <= high - low).all()
    clear = templates.fitted(
        Batch(templates.grid.flux(torch.from_numpy(found.labels)), batch.error, batch.labels)
    )
    np.testing.assert_allclose(clear.chi2, 0, atol=0.01)
    away = np.abs(clear.labels - found.labels) / found.sigma
    assert np.quantile(away, 0.9) < 0.05
