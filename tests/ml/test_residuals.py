"""Residuals kept star by star, scores in bins, and a test set that leaks into training."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import pytest
import torch

from vitlab.contract.checks import CONTENT, LABELS
from vitlab.contract.config import DataConfig, RidgeConfig, read_config
from vitlab.contract.events import EventWriter, read_events
from vitlab.contract.job import Spec
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.value import Value
from vitlab.ml.overlap import find_overlap
from vitlab.ml.residual_file import KEY, load_residuals, save_residuals
from vitlab.ml.scoring import Residuals, binned, metrics, overall
from vitlab.ml.spectra.dataset import Spectra, open_spectra
from vitlab.ml.spectra.formats.frames import read_frame, write_frame
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.held_out import conditions
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.pfsspec import ERROR, FLUX, PARAMS, make_file
from vitlab.ml.spectra.simulate import Simulator
from vitlab.recipes.context import Context, Reporter
from vitlab.recipes.scores import check_test, describe_data, score_test

R2 = Value("", "r2", "log_g")

CPU = torch.device("cpu")
TRAIN, VAL, TEST = 30, 5, 20


def some(n: int = 400, sigma: bool = False) -> Residuals:
    generator = np.random.default_rng(0)
    true = generator.uniform(1, 5, size=(n, 2))
    mag = generator.uniform(20.5, 22.5, n)
    noise = 0.1 + 0.5 * (mag - 20.5)[:, None]
    predicted = true + noise * generator.normal(size=(n, 2))
    wide = np.broadcast_to(noise, (n, 2)) if sigma else None
    snr = 100 / (mag - 19)
    return Residuals(
        ("log_g", "M_H"), np.arange(n), true, predicted, mag, snr, "hash", "grid", wide
    )


@pytest.mark.parametrize("sigma", [False, True])
def test_residuals_come_back_as_they_were(tmp_path: Path, sigma: bool) -> None:
    kept = some(sigma=sigma)
    kept.snr[3] = np.nan
    save_residuals(tmp_path / "r.parquet", kept)
    found = load_residuals(tmp_path / "r.parquet")
    assert (found.labels, found.hash, found.source) == (kept.labels, "hash", "grid")
    np.testing.assert_array_equal(found.true, kept.true)
    np.testing.assert_array_equal(found.predicted, kept.predicted)
    np.testing.assert_allclose(found.snr, kept.snr, rtol=1e-6)
    assert (found.sigma is None) is not sigma


def test_the_source_may_have_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    """As of a folder of a cluster whose names are GBK."""
    source = os.fsdecode("/数据/a.h5".encode("gbk"))
    save_residuals(tmp_path / "r.parquet", replace(some(), source=source))
    assert load_residuals(tmp_path / "r.parquet").source.endswith("/a.h5")


@pytest.mark.parametrize("content", [None, b"", b"PAR1 not really PAR1"])
def test_a_broken_file_is_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "r.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=r"r\.parquet: (no|not readable) residuals") as caught:
        load_residuals(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("column", ["star", "snr", "true/M_H", "predicted/log_g", "sigma/log_g"])
def test_numbers_that_are_not_those_written_are_refused(tmp_path: Path, column: str) -> None:
    """As a flipped bit leaves them: one star's scatter, sigma or place is another, and R2 alike."""
    path = tmp_path / "r.parquet"
    save_residuals(path, some(sigma=True))
    metadata = pl.read_parquet_metadata(path)
    frame = pl.read_parquet(path)
    values = frame[column].to_list()
    values[3] += 1
    flipped = frame.with_columns(pl.Series(column, values, frame[column].dtype))
    flipped.write_parquet(path, metadata={KEY: metadata[KEY]})
    with pytest.raises(UsageError, match=r"r\.parquet: .*\(its numbers are not those that were"):
        load_residuals(path)
    about = json.loads(metadata[KEY])
    del about["digest"]  # of an older vitlab
    flipped.write_parquet(path, metadata={KEY: json.dumps(about)})
    assert len(load_residuals(path).star) == 400


def test_residuals_of_another_job_are_refused(tmp_path: Path) -> None:
    """As of another seed or launch, whose R2 is nearly the same."""
    path, written = tmp_path / "residuals.parquet", dict[str, bytes]()
    own = Spec("1.0", "main", "full", "ridge", {}, "VIT-1", "roadmap.md", submitted=1.5)
    other = replace(own, submitted=2.5)
    for mark in ("", own.mark, other.mark):
        save_residuals(path, replace(some(), job=mark))
        load_residuals(path, {})  # of a job without its specification
        written[mark] = path.read_bytes()
    renamed = replace(own, mvp="4.0", run="the first")  # in a plan that was numbered anew
    (tmp_path / "spec.json").write_bytes(renamed.to_json())
    for mark in ("", own.mark):
        path.write_bytes(written[mark])
        assert load_residuals(path, {}).job == mark
    path.write_bytes(written[other.mark])
    with pytest.raises(UsageError, match="the residuals of another job"):
        load_residuals(path, {})


def test_bins_hold_every_star_once_and_are_scored_by_themselves() -> None:
    kept = some()
    for by, edges in (("mag", None), ("snr", None), ("mag", np.array([20.5, 21, 22.5]))):
        found = binned(kept, by, 0, edges)
        assert sum(one.n for one in found) == len(kept.star)
        first = found[0]
        values = kept.mag if by == "mag" else kept.snr
        inside = (values >= first.low) & (values < first.high)
        pair = kept.true[inside, 0], kept.predicted[inside, 0]
        wanted = metrics(np.ones((1, first.n)), *pair)["r2"][0]
        assert first.scores.values[R2] == pytest.approx(wanted)
        assert first.scores.errors[R2] > 0
    faint_first = [one.scores.values[R2] for one in binned(kept, "snr", 0)]
    assert faint_first == sorted(faint_first)
    assert overall(kept, 0).values[R2] > faint_first[0]


@pytest.fixture(scope="module")
def simulator() -> Simulator:
    return Simulator(load_grid(), load_noise())


def made(simulator: Simulator, path: Path, leaked: int) -> Path:
    """A file of TRAIN + VAL + TEST stars, the last of which stand among the first as well."""
    n = TRAIN + VAL + TEST
    list(make_file(simulator, 0, n, path))
    with h5py.File(path, "r+") as file:
        columns = read_frame(file, PARAMS, path)
        for row in range(leaked):
            twin = n - 1 - row
            for name in (FLUX, ERROR):
                file[name][row] = file[name][twin]
            for name in ("mag", "M_H", "T_eff", "log_g", "snr"):
                columns[name][row] = columns[name][twin]
        # The same labels and another spectrum: the same star on another visit.
        for name in ("mag", "M_H", "T_eff", "log_g"):
            columns[name][leaked] = columns[name][n - 1 - leaked]
        del file[PARAMS], columns["index"]
        write_frame(file, PARAMS, columns)
    return path


@contextmanager
def scoring(folder: Path, source: str) -> Iterator[tuple[Context, Spectra]]:
    """A job that has trained, about to be scored."""
    config = {"data": {"source": source, "train_size": TRAIN, "val_size": VAL, "test_size": TEST}}
    folder.mkdir(exist_ok=True)
    paths = JobPaths(folder)
    spec = Spec("1.0", "main", "smoke", "ridge", config, "VIT-20260101-x-01", "roadmaps/r.md")
    checked = read_config("ridge", config)
    assert isinstance(checked, RidgeConfig)
    with EventWriter(paths.events) as writer:
        context = Context(paths, spec, checked, "cpu", Reporter(writer), False, lambda: False)
        yield context, open_spectra(checked.data, 1.0, checked.labels, CPU)


def test_a_test_set_that_leaks_into_training_is_caught(
    tmp_path: Path, simulator: Simulator
) -> None:
    source = made(simulator, tmp_path / "leaky.h5", leaked=3)
    with scoring(tmp_path / "job", str(source)) as (context, spectra):
        true = spectra.labels("test", 0, TEST)
        checks = check_test(context, spectra, (true, true))
        assert describe_data(context, spectra, checks)["overlap"] == 4
    notes = [e.data["text"] for e in read_events(context.paths.events)[0] if e.kind == "note"]
    assert any("in the training set, by content: 3 of 20" in text for text in notes)
    clean = made(simulator, tmp_path / "clean.h5", leaked=0)
    with scoring(tmp_path / "other", str(clean)) as (context, spectra):
        checks = check_test(context, spectra, (true, true))
        assert describe_data(context, spectra, checks)["overlap"] == 1
        assert (checks[CONTENT].number, checks[LABELS].number) == (0, 1)


def test_a_job_keeps_its_residuals(tmp_path: Path) -> None:
    with scoring(tmp_path / "job", "grid") as (context, spectra):
        true = spectra.labels("test", 0, TEST)
        guess = true + np.linspace(-0.3, 0.4, TEST)[:, None]
        values, errors = score_test(context, spectra, (true, guess), {"step": 7, "epoch": 1})
    (said,) = [e for e in read_events(context.paths.events)[0] if e.kind == "eval"]
    assert said.step == 7
    assert said.values["test/r2/log_g"] == pytest.approx(values["test/r2/log_g"])
    kept = load_residuals(context.paths.residuals)
    assert kept.hash == spectra.hash
    again = overall(kept, 42).named("test")
    assert again[0] == pytest.approx({name: values[name] for name in again[0]})
    assert set(values) == set(again[0])
    assert again[1] == pytest.approx(errors)
    assert {name.split("/")[1] for name in errors} == {"r2", "mae", "rmse", "bias", "scatter"}


def test_magnitude_and_snr_of_the_test_stars(tmp_path: Path, simulator: Simulator) -> None:
    data = DataConfig(train_size=TRAIN, val_size=VAL, test_size=TEST)
    mag, snr = conditions(open_spectra(data, 1.0, ("log_g",), CPU))
    assert len(mag) == len(snr) == TEST
    assert np.corrcoef(mag, snr)[0, 1] < -0.9
    source = made(simulator, tmp_path / "some.h5", leaked=0)
    files = DataConfig(str(source), TRAIN, VAL, TEST)
    spectra = open_spectra(files, 2.0, ("log_g",), CPU)
    mag, snr = conditions(spectra)
    stars = simulator.stars("train", TRAIN + VAL, TRAIN + VAL + TEST)
    np.testing.assert_allclose(mag[:-1], stars.mag[:-1])
    wanted = simulator.noise.snr(simulator.flux(stars), torch.from_numpy(stars.mag)) / 2
    np.testing.assert_allclose(snr, wanted.numpy(), rtol=1e-2)
    assert find_overlap(open_spectra(data, 1.0, ("log_g",), CPU)).stars == 0
