"""Each check of a result is seen to fire on a planted fault, and to stay silent without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pytest
import torch

from vitlab.contract.checks import Check, read_check
from vitlab.contract.config import DataConfig
from vitlab.ml.checks import check_alignment, check_input, quadratic_fit
from vitlab.ml.spectra.dataset import GridSpectra, Spectra, open_spectra
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.inputs import make_inputs
from vitlab.ml.spectra.observation import Batch, load_noise
from vitlab.ml.spectra.pfsspec import make_file
from vitlab.ml.spectra.simulate import Simulator

CPU = torch.device("cpu")
LABELS = ("log_g",)


@pytest.fixture(scope="module")
def grid() -> Spectra:
    return open_spectra(DataConfig(train_size=1000, val_size=1, test_size=100), 1.0, LABELS, CPU)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Spectra:
    """The same stars in a file, whose errors are noise-free as all are that vitlab makes."""
    path = tmp_path_factory.mktemp("data") / "some.h5"
    list(make_file(Simulator(load_grid(), load_noise()), 0, 1101, path))
    return open_spectra(DataConfig(str(path), 1000, 1, 100), 1.0, LABELS, CPU)


@dataclass(frozen=True)
class Leaky:
    """A data set that shows the errors of the noise-free spectra."""

    spectra: Spectra

    def __getattr__(self, name: str) -> Any:
        return getattr(self.spectra, name)

    def fixed(self, *where: Any) -> Batch:
        return replace(self.spectra.fixed(*where), estimate=None)


def r2_of_errors(spectra: Spectra, seen: Callable[[Batch], torch.Tensor]) -> float:
    """R2 of log g from the errors alone, by a quadratic fit."""
    train, test = spectra.fixed("train", 0, 1000), spectra.fixed("test", 0, 100)
    missed = test.labels - quadratic_fit(seen(train), train.labels)(seen(test))
    return 1 - float(np.square(missed).mean() / test.labels.var())


def test_noise_free_errors_give_the_label_away(grid: Spectra, file: Spectra) -> None:
    for spectra in (grid, file):
        assert r2_of_errors(spectra, lambda batch: batch.error) > 0.97


def test_the_errors_shown_know_what_noisy_counts_know(grid: Spectra, file: Spectra) -> None:
    assert r2_of_errors(grid, lambda batch: batch.shown_error) < 0.65
    assert r2_of_errors(file, lambda batch: batch.shown_error) < 0.1


@pytest.mark.parametrize("kind", ["flux/error", "flux+error"])
def test_inputs_are_made_of_the_errors_shown(grid: Spectra, kind: str) -> None:
    batch = grid.fixed("test", 0, 5)
    inputs = make_inputs(kind, grid)
    shown = inputs(Batch(batch.flux, batch.shown_error, batch.labels))
    torch.testing.assert_close(inputs(batch), shown)
    assert not torch.allclose(inputs(replace(batch, estimate=None)), shown)


def test_shown_errors_are_those_of_the_counts(grid: Spectra, file: Spectra) -> None:
    assert isinstance(grid, GridSpectra)
    batch, mag = grid.fixed("test", 0, 100), grid.simulator.stars("test", 0, 100).mag
    scale = torch.from_numpy(9590 * 10 ** (-0.4 * (mag - 18)))[:, None]
    counts = scale * batch.flux.double().clamp(min=0) + 2450 * grid.simulator.noise.sky.double()
    torch.testing.assert_close(batch.shown_error.double(), counts.sqrt() / scale, rtol=1e-5, atol=0)
    pull = (batch.shown_error - batch.error) / batch.error
    assert abs(float(pull.mean())) < 0.01
    assert 0.005 < float(pull.std()) < 0.1
    rows = file.fixed("test", 0, 20)
    ratio = rows.shown_error / rows.shown_error[:1]
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))
    torch.testing.assert_close(
        (rows.shown_error / rows.error).median(dim=1).values, torch.ones(20), rtol=0.05, atol=0
    )


def test_a_leak_through_an_input_is_seen(grid: Spectra, file: Spectra) -> None:
    for spectra in (grid, file):
        found = check_input(cast("Spectra", Leaky(spectra)), "flux+error")
        assert found.outcome == "fail"
        assert found.number is not None
        assert found.number > 0.6
        assert check_input(spectra, "flux+error").outcome == "pass"
        assert check_input(spectra, "whitened") == Check("pass", 0.0, 0.0)


def test_few_stars_tell_nothing_of_an_input() -> None:
    small = open_spectra(DataConfig(train_size=64, val_size=1, test_size=30), 1.0, LABELS, CPU)
    assert check_input(small, "flux/error") == Check("unknown", reason="few")


def _predictions(n: int, noise: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    true = generator.normal(size=(n, 2))
    return true, true + noise * generator.normal(size=(n, 2))


@pytest.mark.parametrize("shift", [-2, -1, 1, 2])
def test_labels_shifted_by_a_row_are_seen(shift: int) -> None:
    true, predicted = _predictions(1000)
    assert check_alignment(true, predicted).outcome == "pass"
    found = check_alignment(np.roll(true, shift, axis=0), predicted)
    assert found.outcome == "fail"
    assert found.number == pytest.approx(0.8, abs=0.05)
    one = np.column_stack([true[:, 0], np.roll(true[:, 1], shift)])
    assert check_alignment(one, predicted).outcome == "fail"


def test_a_perfect_or_useless_model_is_aligned() -> None:
    true, predicted = _predictions(1000, 0.0)
    assert check_alignment(true, predicted).outcome == "pass"
    useless = np.random.default_rng(2).normal(size=(1000, 2))
    assert check_alignment(true, useless) == Check("unknown", reason="weak")


def test_alignment_is_rarely_wrong() -> None:
    found = 0
    for seed in range(400):
        generator = np.random.default_rng(seed)
        true = generator.normal(size=(100, 1))
        found += check_alignment(true, true + generator.normal(size=(100, 1))).outcome != "pass"
    assert found <= 1


def test_repeated_visits_in_a_row_are_no_shift() -> None:
    generator = np.random.default_rng(3)
    true = np.repeat(generator.normal(size=(500, 1)), 2, axis=0)
    predicted = true + 0.5 * generator.normal(size=true.shape)
    assert check_alignment(true, predicted).outcome == "pass"


def test_what_cannot_be_told_is_unknown() -> None:
    true, predicted = _predictions(1000)
    order = np.argsort(true[:, 0])
    one = true[order, :1], predicted[order, :1]
    assert check_alignment(*one) == Check("unknown", reason="sorted")
    assert check_alignment(true[:10], predicted[:10]) == Check("unknown", reason="few")
    assert check_alignment(true, np.zeros_like(true)) == Check("unknown", reason="constant")


@pytest.mark.parametrize("checks", [{}, {"alignment": None}, {"alignment": {"outcome": "good"}}])
def test_a_result_without_the_check_is_unknown(checks: dict[str, object]) -> None:
    assert read_check(checks, "alignment") == Check("unknown", reason="old")


def test_a_check_is_read_as_it_was_written() -> None:
    check = Check("fail", 3, 0, 30)
    assert read_check({"x": check.record()}, "x") == check
