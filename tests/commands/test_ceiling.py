"""`vitlab ceiling`: of simulated stars and of a file's own, and mistakes as one line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from vitlab.cli import main
from vitlab.contract.config import DataConfig
from vitlab.contract.world import FLUX_AND_ERROR, World, read_world
from vitlab.lab.results.worlds import grid_world
from vitlab.ml.spectra.formats.frames import read_frame, write_frame
from vitlab.ml.spectra.pfsspec import ERROR, PARAMS, WAVE, open_spectra_files
from vitlab.ml.spectra.pfsspec import FLUX as FLUX_PATH
from vitlab.recipes.scores import file_hash

KEYS = ["mag", "snr", "r2_crlb_median", "r2_crlb_mean", "r2_bayes", "r2_bayes_err", "sigma_crlb"]


def test_ceiling_has_its_keys_and_keeps_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "vitlab.yaml").touch()
    monkeypatch.chdir(tmp_path)
    line = ["ceiling", "--mag", "20.5,22.5", "--stars", "12", "--dims"]
    assert main([*line, "3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [list(row) for row in rows] == [KEYS, KEYS]
    assert [row["mag"] for row in rows] == [20.5, 22.5]
    for name in ("snr", "r2_crlb_median", "r2_crlb_mean", "r2_bayes"):
        assert rows[0][name] > rows[1][name]
    cached = list((tmp_path / ".vitlab" / "ceilings").iterdir())
    assert len(cached) == 2
    for record in (json.loads(file.read_bytes()) for file in cached):
        world = read_world(record["world"])
        assert world is not None
        (row,) = [row for row in rows if world == grid_world(DataConfig(), 1.0).at(row["mag"])]
        assert record["n"] == 12
        assert record["r2"]["log_g"] == pytest.approx([row["r2_bayes"], row["r2_bayes_err"]])
    assert main([*line, "5", "--json"]) == 0
    more = json.loads(capsys.readouterr().out)
    for three, five in zip(rows, more, strict=True):
        # Two more unknowns can only cost; the Bayes ceiling knows three labels either way.
        assert five["sigma_crlb"] > three["sigma_crlb"]
        assert five["r2_bayes"] == pytest.approx(three["r2_bayes"], abs=1e-5)
    assert main([*line, "3"]) == 0
    assert capsys.readouterr().out.split("\n")[0].split() == [key.upper() for key in KEYS]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 50 stars."""
    out = tmp_path_factory.mktemp("data") / "a.h5"
    assert main(["data", "make", "--n", "50", "--out", str(out), "--seed", "3", "--json"]) == 0
    return out


@pytest.fixture
def edited(made: Path, tmp_path: Path) -> Callable[[Callable[[h5py.File], None]], Path]:
    """Makes a copy of the file with a change."""

    def edit(change: Callable[[h5py.File], None]) -> Path:
        path = tmp_path / "b.h5"
        shutil.copy(made, path)
        with h5py.File(path, "r+") as file:
            change(file)
        return path

    return edit


@pytest.fixture
def ceiling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """What `vitlab ceiling --data` tells of a file as JSON, in a lab."""
    (tmp_path / "vitlab.yaml").touch()
    monkeypatch.chdir(tmp_path)

    def run(path: Path, *options: str) -> dict[str, Any]:
        capsys.readouterr()
        assert main(["ceiling", "--data", str(path), "--stars", "6", *options, "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return run


def replaced(file: h5py.File, **columns: object) -> None:
    """Change columns of the parameters."""
    known = read_frame(file, PARAMS, Path(file.filename))
    n = len(known["id"])
    known = {name: values for name, values in known.items() if name != "index"}
    del file[PARAMS]
    full = {name: np.broadcast_to(np.asarray(x), n).copy() for name, x in columns.items()}
    write_frame(file, PARAMS, {**known, **full})


def test_a_file_s_own_ceiling_is_kept_and_counts_for_its_world(
    made: Path, ceiling: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    told = ceiling(made)
    assert told["notes"] == [
        "label density: that of simulated stars (the file was made by `vitlab data make`)"
    ]
    whole, *bins = told["parts"]
    assert (whole["by"], whole["n"], whole["of"]) == ("", 6, 50)
    assert {part["by"] for part in bins} == {"mag", "snr"}
    best = whole["labels"]["log_g"]
    assert 0.3 < best["r2"] < 1
    assert 0 < best["mae"] < best["rmse"] < 2
    name = file_hash(open_spectra_files(made))
    assert read_world(told["world"]) == World("", "", None, 1.0, FLUX_AND_ERROR, name)
    again = ceiling(made)
    assert again == told
    unknown = ceiling(made, "--continuum", "2", "--mask", "8400:8700")
    assert unknown["world"] is None
    assert unknown["parts"][0]["labels"]["log_g"]["r2"] < best["r2"]
    assert main(["ceiling", "--data", str(made), "--stars", "6"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "R2 LOG_G" in lines[0]
    assert lines[1].split()[:3] == ["all", "6", "50"]


def test_windows_of_a_file_are_a_table_and_a_figure(
    made: Path, ceiling: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    told = ceiling(made, "--windows", "7100:8480,8480:8680,8680:8851")
    assert [one["low"] for one in told["windows"]] == [7100, 8480, 8680]
    assert sum(one["share"] for one in told["windows"]) == pytest.approx(1)
    assert all(one["sigma_ratio"] > 1 and one["r2_cost"] > 0 for one in told["windows"])
    line = ["ceiling", "--data", str(made), "--stars", "6", "--windows", "500", "--out", "img/w"]
    assert main(line) == 0
    out = capsys.readouterr().out.splitlines()
    assert out[-2:] == ["img/w.pdf", "img/w.png"]
    assert Path("img/w.png").is_file()
    assert main(line) == 2  # before anything is computed
    assert "--out img/w.pdf: exists already" in capsys.readouterr().err
    assert sum(text.startswith(("7", "8")) for text in out) == 4


def test_what_a_file_is_changes_its_ceiling(
    edited: Callable[..., Path], ceiling: Callable[..., dict[str, Any]]
) -> None:
    def alter(file: h5py.File) -> None:
        replaced(file, random_seed=9, redshift=1e-4)
        file[ERROR][:] *= 3

    told = ceiling(edited(alter))
    notes = "\n".join(told["notes"])
    assert "from 50 stars, each label's quantiles" in notes
    # The flux is at rest: with a velocity the grid's spectra are not those of the file.
    assert "its spectra are not the grid's at their labels (chi-square" in notes
    assert "known velocities" in notes
    assert told["world"] is None


def test_noisy_flux_is_taken_as_it_is(
    edited: Callable[..., Path], ceiling: Callable[..., dict[str, Any]]
) -> None:
    def noisy(file: h5py.File) -> None:
        shape = file[FLUX_PATH].shape
        file[FLUX_PATH][:] += file[ERROR][:] * np.random.default_rng(0).normal(size=shape)

    told = ceiling(edited(noisy))
    assert told["noise"] == 0
    assert told["nuisances"]["continuum"] == 0
    assert any(note.startswith("its flux has noise") for note in told["notes"])
    assert read_world(told["world"]) is not None


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (["--mag", "bright"], "--mag bright: must be magnitudes between"),
        (["--mag", "nan"], "--mag nan: must be magnitudes between"),
        (["--stars", "1"], "--stars 1: must be at least 2"),
        (["--velocity", "50"], "--velocity: needs --data"),
        (["--windows"], "--windows: needs --data"),
        (["--mask", "8000:8100"], "--mask: needs --data"),
        (["--data", "no.h5"], "--data no.h5: no such file"),
        (["--data", "{made}", "--mag", "21"], "--mag: for simulated stars, not for --data"),
        (["--data", "{made}", "--velocity", "-5"], "--velocity -5: must be above 0"),
        (["--data", "{made}", "--extinction", "nan"], "--extinction nan: must be above 0"),
        (["--data", "{made}", "--continuum", "x"], "--continuum x: must be an order, 0 to 8"),
        (["--data", "{made}", "--continuum", "9"], "--continuum 9: must be an order, 0 to 8"),
        (["--data", "{made}", "--resolution", "4000:9000"], "must be 500 to 5000"),
        (["--data", "{made}", "--mask", "8100"], "--mask 8100: must be two numbers"),
        (["--data", "{made}", "--mask", "7000:9000"], "a spectrum has no pixel left"),
        (["--data", "{made}", "--noise", "0"], "--noise 0: without noise the labels"),
        (["--data", "{made}", "--density", "flat"], "--density flat: must be grid or file"),
        (["--data", "{made}", "--windows", "0.1"], "--windows 0.1: must be a width in Angstrom"),
        (["--data", "{made}", "--out", "x"], "--out: needs --windows"),
    ],
)
def test_mistakes_are_one_line(
    made: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    line: list[str],
    text: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["ceiling", *(part.format(made=made) for part in line)]) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert len(captured.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def wider(file: h5py.File) -> None:
    file[WAVE][:] = np.linspace(6900, 8850, len(file[WAVE]))


def hotter(file: h5py.File) -> None:
    replaced(file, T_eff=7000.0)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (wider, "6898.1 to 8847.6 A in air; the grid covers 7100.0 to 8850.0 A in air"),
        (hotter, "fewer than two stars inside the grid"),
    ],
)
def test_a_file_the_grid_does_not_cover_has_no_ceiling(
    edited: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
    change: Callable[[h5py.File], None],
    text: str,
) -> None:
    assert main(["ceiling", "--data", str(edited(change))]) == 2
    err = capsys.readouterr().err
    assert text in err
    assert len(err.splitlines()) == 1
