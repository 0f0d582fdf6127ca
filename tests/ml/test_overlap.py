"""Test stars in the training set are found, by content, by labels and by id."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vitlab.contract.checks import Check
from vitlab.contract.config import DataConfig
from vitlab.ml.noise_free import judge_errors
from vitlab.ml.overlap import find_overlap
from vitlab.ml.spectra.dataset import Spectra, open_spectra
from vitlab.ml.spectra.formats.frames import write_frame
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.pfsspec import ERROR, FLUX, PARAMS, WAVE, make_file
from vitlab.ml.spectra.simulate import Simulator

CPU = torch.device("cpu")
TRAIN, TEST, PIXELS = 200, 100, 40
Column = NDArray[Any]


def continuous(stars: int) -> dict[str, Column]:
    generator = np.random.default_rng(1)
    low, high = np.array([4000.0, 1.0, -2.0]), np.array([6000.0, 5.0, 0.5])
    values = generator.uniform(low, high, (stars, 3)).T
    return dict(zip(("T_eff", "log_g", "M_H"), values, strict=True))


def opened(
    path: Path, columns: Mapping[str, Column], same: Mapping[int, int] | None = None
) -> Spectra:
    """A file of noisy spectra; `same`: row -> the row whose flux it has too, in another unit."""
    n = len(columns["log_g"])
    flux = 1 + 0.1 * np.random.default_rng(2).normal(size=(n, PIXELS))
    for row, other in (same or {}).items():
        flux[row] = flux[other] * 3.7e-3
    with h5py.File(path, "w") as file:
        file[WAVE] = np.linspace(7100.0, 8850.0, PIXELS)
        file[FLUX], file[ERROR] = flux, 0.1 * flux.mean(axis=1, keepdims=True) + 0 * flux
        write_frame(file, PARAMS, {"id": np.arange(n), **columns})
    return open_spectra(DataConfig(str(path), n - TEST, 0, TEST), 0.0, ("log_g",), CPU)


def test_every_test_star_with_a_twin_in_training_is_counted(tmp_path: Path) -> None:
    """Visits of the same stars, with other noise and other magnitudes."""
    stars = {name: np.tile(values, 3) for name, values in continuous(TEST).items()}
    visits = {**stars, "mag": np.random.default_rng(3).uniform(20, 23, TRAIN + TEST)}
    found = find_overlap(opened(tmp_path / "visits.h5", visits))
    assert found.content == Check("pass", 0, 0, TEST)
    assert found.labels == Check("fail", TEST, 0, TEST)
    assert found.stars == TEST


def test_stars_of_their_own_are_silent(tmp_path: Path) -> None:
    found = find_overlap(opened(tmp_path / "sound.h5", continuous(TRAIN + TEST)))
    assert found.content == found.labels == Check("pass", 0, 0, TEST)
    assert found.stars == 0


def test_copied_spectra_are_found_whatever_their_labels(tmp_path: Path) -> None:
    same = {TRAIN + 3: 5, TRAIN + 50: 199, TRAIN + 51: 5}
    same |= {TRAIN + 60 + k: 100 + k for k in range(30)}
    found = find_overlap(opened(tmp_path / "copies.h5", continuous(TRAIN + TEST), same))
    assert found.content == Check("fail", 33, 0, TEST)
    assert found.labels.outcome == "pass"
    assert found.stars == 33


def test_stars_are_known_by_an_id(tmp_path: Path) -> None:
    """Labels measured anew at each visit are not the same, an id is; -1 is none."""
    ids = np.arange(TRAIN + TEST)
    ids[TRAIN : TRAIN + 4], ids[TRAIN + 4 : TRAIN + 20], ids[:20] = [30, 31, 32, 33], -1, -1
    columns = {**continuous(TRAIN + TEST), "targetId": ids.astype(np.int64)}
    columns = {("target_id" if k == "targetId" else k): v for k, v in columns.items()}
    found = find_overlap(opened(tmp_path / "ids.h5", columns))
    assert found.labels == Check("fail", 4, 0, TEST)


@pytest.mark.parametrize(
    "columns",
    [
        {"catid": np.full(TRAIN + TEST, 10092)},
        {"star": np.ones(TRAIN + TEST)},
        {"target": np.arange(TRAIN + TEST) % 4},
        {"source_id": 2.0**60 + np.arange(TRAIN + TEST)},
        {"catid": np.arange(TRAIN + TEST) // 70, "objid": np.arange(TRAIN + TEST)},
    ],
)
def test_a_column_that_many_stars_share_names_none(
    columns: dict[str, Column], tmp_path: Path
) -> None:
    shared = {name: x.astype(np.float64 if x.dtype.kind == "f" else np.int64)
              for name, x in columns.items()}  # fmt: skip
    found = find_overlap(opened(tmp_path / "a.h5", {**continuous(TRAIN + TEST), **shared}))
    assert found.labels.outcome == "pass"


def test_an_object_of_a_catalogue_is_named_by_both_numbers(tmp_path: Path) -> None:
    objects = 1 + np.arange(TRAIN + TEST) % TRAIN  # 0 names none
    catalogues = np.where(np.arange(TRAIN + TEST) < TRAIN + 10, 1, 2)
    ids = {"catid": catalogues.astype(np.int64), "objid": objects.astype(np.int64)}
    found = find_overlap(opened(tmp_path / "a.h5", {**continuous(TRAIN + TEST), **ids}))
    assert found.labels == Check("fail", 10, 0, TEST)


@pytest.mark.parametrize("single", [False, True])
def test_coarse_labels_identify_no_star(tmp_path: Path, single: bool) -> None:
    fine = continuous(TRAIN + TEST)
    coarse: dict[str, Column] = {name: np.round(values * 2) / 2 for name, values in fine.items()}
    coarse["T_eff"] = np.round(fine["T_eff"], -3)
    columns = {"log_g": coarse["log_g"]} if single else coarse
    found = find_overlap(opened(tmp_path / "coarse.h5", columns))
    assert found.labels == Check("unknown", reason="coarse")
    assert found.stars == 0  # by content


def test_rounded_labels_of_a_catalogue_agree_by_chance_only(tmp_path: Path) -> None:
    fine = continuous(TRAIN + TEST)
    rounded: dict[str, Column] = {name: np.round(values, 1) for name, values in fine.items()}
    rounded["T_eff"] = np.round(fine["T_eff"], -1)
    assert find_overlap(opened(tmp_path / "rounded.h5", rounded)).labels.outcome == "pass"
    for values in rounded.values():
        values[TRAIN : TRAIN + 30] = values[:30]
    found = find_overlap(opened(tmp_path / "visits.h5", rounded))
    assert found.labels.outcome == "fail"
    assert found.labels.number is not None
    assert 30 <= found.labels.number <= 32


def test_a_file_of_stars_that_were_drawn_in_training(tmp_path: Path) -> None:
    """Simulated stars 50 to 109, of which 14 were trained on; then at other magnitudes."""
    path = tmp_path / "drawn.h5"
    list(make_file(Simulator(load_grid(), load_noise()), 50, 110, path))
    data = DataConfig(train_size=64, val_size=1, test_size=30)
    trained = open_spectra(data, 1.0, ("log_g",), CPU)
    files = DataConfig(str(path), 0, 0, 60)
    found = find_overlap(open_spectra(files, 1.0, ("log_g",), CPU), trained)
    assert found.content == found.labels == Check("fail", 14, 0, 60)
    fewer = find_overlap(open_spectra(files, 1.0, ("log_g",), CPU), trained, shown=55)
    assert fewer.stars == 5
    other = open_spectra(DataConfig(train_size=64, val_size=1, mag=(18, 19)), 1.0, ("log_g",), CPU)
    moved = find_overlap(open_spectra(files, 1.0, ("log_g",), CPU), other)
    assert (moved.content.number, moved.labels.number) == (0, 14)
    own = find_overlap(trained)
    assert own.content == own.labels == Check("pass", 0, 0, 30)


@pytest.mark.parametrize("mag", [18.0, 20.5, 22.5])
def test_noise_free_errors_of_a_file_are_seen(mag: float) -> None:
    simulator = Simulator(load_grid(), load_noise(), (mag, mag + 0.5), seed=3)
    stars, flux, error = simulator.observe_fixed("test", 0, 16)
    clean, _ = simulator.observe(stars, None)
    counted = simulator.shown_error(stars, flux)
    kinds = {
        "counts": judge_errors(flux.numpy(), counted.numpy()),
        "noise-free": judge_errors(flux.numpy(), error.numpy()),
        "noise-free flux": judge_errors(clean.numpy(), error.numpy()),
    }
    for kind, found in kinds.items():
        assert found.kind == kind
        assert bool(found.lines) == (kind != "counts")
    assert judge_errors(flux.numpy()[:3], counted.numpy()[:3]).kind == "unknown"
    empty = np.full_like(error.numpy(), np.inf)
    assert judge_errors(flux.numpy(), empty).kind == "unknown"
