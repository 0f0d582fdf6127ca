"""Trees at scale: the same bins without the floats, kept on disk, and a growth cut short."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import lightgbm as lgb
import numpy as np
import pytest
import torch
from numpy.lib import format as npy
from sklearn import metrics

from tests.ml.test_baselines import LABEL_NAMES, some_rows
from vitlab.contract.config import BoostModel, BoostTrain, DataConfig
from vitlab.contract.paths import TREES, UsageError
from vitlab.ml.baselines import trees as module
from vitlab.ml.baselines.model_file import load_model, save_model
from vitlab.ml.baselines.trees import (
    Boost,
    Files,
    binned,
    dataset_parameters,
    fit,
    load,
    sample,
)
from vitlab.ml.progress import Best, Checkpoint, Evaluation, Note
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.inputs import Rows, make_inputs, predict_rows
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.pfsspec import make_file
from vitlab.ml.spectra.simulate import Simulator

PARAMETERS = dataset_parameters(63, 1)
MODEL = BoostModel(leaves=6, bins=63, feature_fraction=0.5)
TRAIN = BoostTrain(rounds=20, lr=0.2, save_every=4, threads=1)


def bins_of(data: lgb.Dataset, file: Path) -> bytes:
    data.save_binary(file)
    return file.read_bytes()


def grown(rows: dict[str, Rows], **more: Any) -> tuple[Boost, list[Any]]:
    boost = Boost(job=more.pop("job", ""))
    config = more.pop("config", TRAIN)
    said = list(fit(boost, rows["train"], rows["val"], MODEL, config, LABEL_NAMES, **more))
    return boost, said


def test_streamed_rows_get_the_bins_of_the_whole_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 40)
    rows = some_rows(700)["train"]
    few, (x, _) = sample(rows), rows.piece(0, 700)
    assert len(few) == 200
    label = np.zeros(700, dtype=np.float32)
    borders = lgb.Dataset(few, label=label[:200], params=PARAMETERS).construct()
    whole = lgb.Dataset(x, label=label, reference=borders, params=PARAMETERS).construct()
    streamed = binned(rows, {**PARAMETERS, "bin_construct_sample_cnt": 5120}, None).data
    assert bins_of(streamed, tmp_path / "a") == bins_of(whole, tmp_path / "b")


def test_bins_are_kept_within_limits_and_only_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = some_rows(80)["train"]
    cache = tmp_path / "cache"
    first = binned(rows, PARAMETERS, cache)
    assert len(list(cache.iterdir())) == 2  # nothing half written
    [kept] = cache.glob("*.lgb")
    content = kept.read_bytes()
    again = binned(rows, PARAMETERS, cache)
    assert (first.text.split()[0], again.text.split()[-1]) == ("binned", kept.name)
    assert bins_of(again.data, tmp_path / "again") == bins_of(first.data, tmp_path / "first")
    kept.write_bytes(content[:-100])
    assert binned(rows, PARAMETERS, cache).text.startswith("binned")
    assert kept.read_bytes() == content
    binned(rows, dataset_parameters(31, 1), cache)
    [other] = {*cache.glob("*.lgb")} - {kept}
    for suffix in (".lgb", ".sum"):  # under the name of another set
        other.with_suffix(suffix).rename(kept.with_suffix(suffix))
    assert binned(rows, PARAMETERS, cache).text.startswith("binned")
    assert kept.read_bytes() == content
    binned(replace(rows, copies=2), PARAMETERS, cache)
    assert len(list(cache.glob("*.lgb"))) == 2
    monkeypatch.setattr(module, "ROOM", 3 * len(content) // 2)
    binned(rows, dataset_parameters(31, 1), cache)
    assert len(list(cache.glob("*"))) == 2  # the newest, and its checksum
    monkeypatch.setattr(module, "ROOM", 10)
    assert binned(rows, dataset_parameters(15, 1), cache).text.endswith("do not fit into the cache")


def test_a_file_that_was_written_into_is_binned_anew(tmp_path: Path) -> None:
    path = tmp_path / "spectra.h5"
    list(make_file(Simulator(load_grid(), load_noise()), 0, 120, path))
    config = DataConfig(source=str(path), train_size=100, val_size=10, test_size=10)

    def text() -> str:
        spectra = open_spectra(config, 1.0, ("log_g",), torch.device("cpu"))
        rows = Rows(spectra, make_inputs("flux", spectra), "train")
        return binned(rows, PARAMETERS, tmp_path / "cache").text.split(" ")[0]

    assert [text(), text()] == ["binned", "100"]
    with h5py.File(path, "r+") as file:
        file["dataset/arrays/flux/value"][57] *= 2.0
    assert [text(), text()] == ["binned", "100"]


def test_copies_are_the_same_stars_under_other_noise() -> None:
    rows = replace(some_rows(60)["train"], copies=3)
    assert len(rows) == 180
    x, y = rows.piece(0, 180)
    np.testing.assert_array_equal(y, rows.labels())
    np.testing.assert_array_equal(y[:60], y[120:])
    part, labels = rows.piece(50, 130)
    np.testing.assert_allclose(part, x[50:130], atol=1e-4)
    np.testing.assert_array_equal(labels, y[50:130])
    one, two = x[:60].std(axis=0), (x[:60] - x[60:120]).std(axis=0)
    assert np.median(two / one) == pytest.approx(np.sqrt(2), rel=0.2)


def test_a_growth_cut_short_goes_on_with_its_trees(tmp_path: Path) -> None:
    rows = some_rows(300)
    whole, said = grown(rows)
    scored = [e.values["val/r2/M_H"] for e in said if isinstance(e, Evaluation)]
    assert len(scored) == 20  # one for each round
    files = Files(checkpoints=tmp_path)
    rounds = iter(range(100))
    _, said = grown(rows, stopped=lambda: next(rounds) >= 10, files=files)
    assert [e.step for e in said if isinstance(e, Checkpoint)] == [4, 8, 10]
    assert load(tmp_path / TREES).grown == 10
    resumed, said = grown(rows, files=replace(files, resume=True))
    assert any(isinstance(e, Note) and "later trees differ" in e.text for e in said)
    later = [e for e in said if isinstance(e, Evaluation)]
    assert [e.step for e in later] == list(range(11, 21))
    # The first ten trees are the very same; with all of them the growth is as good.
    x, _ = rows["test"].piece(0, 100)
    first, again = (
        b.predict(x, num_iteration=10) for b in (whole.boosters[0], resumed.boosters[0])
    )
    np.testing.assert_array_equal(first, again)
    true, guess = predict_rows(rows["val"], resumed.predict)
    reached = metrics.r2_score(true[:, 1], guess[:, 1])
    assert reached == pytest.approx(resumed_r2(later, resumed.rounds), abs=1e-9)
    assert reached > scored[9]
    assert reached == pytest.approx(max(scored), abs=0.05)


def test_a_resume_after_the_last_round_changes_nothing(tmp_path: Path) -> None:
    rows, files = some_rows(300), Files(checkpoints=tmp_path)
    whole, _ = grown(rows, files=files)
    before = (tmp_path / TREES).read_bytes()
    resumed, said = grown(rows, files=replace(files, resume=True))
    assert (tmp_path / TREES).read_bytes() == before
    assert resumed.boosters[0].model_to_string() == whole.boosters[0].model_to_string()
    assert resumed.rounds == whole.rounds
    assert [type(one) for one in said] == [Note, Best]
    record = json.loads(before)
    for name in ("mean", "rounds", "best_r2", "grown", "job"):  # a flipped bit
        (tmp_path / TREES).write_text(json.dumps({**record, name: 2}), encoding="utf-8")
        with pytest.raises(UsageError, match="changed since: not loaded"):
            grown(rows, files=replace(files, resume=True))
    del record["seal"]  # as an older vitlab wrote it
    (tmp_path / TREES).write_text(json.dumps({**record, "data": "another's"}), encoding="utf-8")
    with pytest.raises(UsageError, match="its data have changed since, cannot be resumed"):
        grown(rows, files=replace(files, resume=True))
    (tmp_path / TREES).write_text(json.dumps({**record, "job": "another"}), encoding="utf-8")
    with pytest.raises(UsageError, match="of another job, cannot be resumed"):
        grown(rows, files=replace(files, resume=True), job="this")


def resumed_r2(said: list[Evaluation], step: int) -> float:
    return next(e.values["val/r2/M_H"] for e in said if e.step == step)


def test_a_broken_file_of_trees_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / TREES
    for content in (b"", b"{}", b'{"format": 1, "trees": ["x"]}', b'{"format": 2}', b"[" * 9999):
        path.write_bytes(content)
        with pytest.raises(UsageError, match=r"trees\.json: not "):
            load(path)


def test_lightgbm_parses_only_what_a_job_of_this_user_wrote(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = some_rows(300)
    boost, _ = grown(rows, files=Files(checkpoints=tmp_path))
    save_model(tmp_path, boost, rows["test"].inputs, LABEL_NAMES)
    trees, text, wave = tmp_path / TREES, tmp_path / "label-0.txt", rows["test"].spectra.wave
    assert load(trees).grown == boost.grown
    assert isinstance(load_model(tmp_path, LABEL_NAMES, wave)[0], Boost)
    parsed: list[object] = []
    monkeypatch.setattr(lgb, "Booster", lambda **given: parsed.append(given))
    document = json.loads(trees.read_bytes())
    del document["seal"]
    document["trees"][0] = document["trees"][0].replace("num_leaves=", "num_leaves=9", 1)
    trees.write_text(json.dumps(document))
    text.write_text(text.read_text().replace("num_leaves=", "num_leaves=9", 1))
    for read, path in (
        (load, trees),
        (partial(load_model, labels=LABEL_NAMES, wave=wave), tmp_path),
    ):
        with pytest.raises(UsageError, match="changed since: not loaded"):
            read(path)
    assert parsed == []


@pytest.mark.parametrize("kind", ["<f8", "<U0"])
def test_arrays_that_say_to_be_huge_are_not_allocated(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "best.npz"
    with zipfile.ZipFile(path, "w") as archive, archive.open("sigma.npy", "w") as file:
        npy.write_array_header_1_0(
            file, {"descr": kind, "fortran_order": False, "shape": (10**12,)}
        )
    with pytest.raises(UsageError, match=r"sigma\.npy claims to be larger than it is"):
        load_model(tmp_path, ["log_g"], np.zeros(1))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sigma.npy", bytes(1 << 29))
    with pytest.raises(UsageError, match="its arrays have more than 256 MiB"):
        load_model(tmp_path, ["log_g"], np.zeros(1))
