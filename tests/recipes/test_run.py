"""Jobs: what they say, and what they leave in their folder; some as real child processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.ml.test_spectra import write_file
from tests.waiting import wait_for
from vitlab.cli import main as vitlab
from vitlab.contract.config import DataConfig
from vitlab.contract.events import Event, read_events
from vitlab.contract.job import Result, Spec, read_result
from vitlab.contract.paths import JobPaths
from vitlab.contract.world import World
from vitlab.lab.results.worlds import grid_world
from vitlab.ml.residual_file import load_residuals
from vitlab.ml.spectra.grid import packaged
from vitlab.recipes import run
from vitlab.recipes.evaluate import rescore

DATA = {"train_size": 64, "val_size": 20, "test_size": 30}
VIT = {"patch": 256, "hidden": 16, "layers": 1, "heads": 2, "input": "whitened"}
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {
        "data": DATA,
        "model": VIT,
        "train": {"epochs": 2, "batch": 32, "threads": 1},
        "loss": "nll",
        "labels": ["log_g", "M_H"],
        "label_weights": [2, 1],
    },
    "mlp": {
        "data": DATA,
        "model": {"hidden": [8]},
        "train": {"epochs": 2, "batch": 32, "precision": "bf16"},
        "loss": "mixture",
        "components": 2,
        "exact": 2,
    },
    "lightgbm": {"data": DATA, "train": {"rounds": 4, "eval_every": 2, "threads": 1}},
    "ridge": {"data": DATA, "model": {"alphas": [100, 1000]}},
    "template": {"data": DATA, "refine": 1},
    "ceiling": {
        "data": {**DATA, "mag": [21.45, 21.55]},
        "mags": [21.5],
        "bayes": 10,
        "bayes_each": 4,
    },
}
NAMES = {
    "vit": "ViT",
    "mlp": "MLP",
    "lightgbm": "LightGBM",
    "ridge": "Ridge",
    "template": "TemplateFit",
    "ceiling": "Ceiling",
}


def a_job(folder: Path, recipe: str, config: dict[str, Any]) -> JobPaths:
    folder.mkdir(exist_ok=True)
    paths = JobPaths(folder)
    spec = Spec("1.0", "main", "smoke", recipe, config, "VIT-20251226-x-01", "roadmaps/r.md")
    paths.spec.write_bytes(spec.to_json())
    return paths


def start(paths: JobPaths, *options: str, path: Path | None = None) -> subprocess.Popen[str]:
    """A job's process; Python modules in `path` go before those that are installed."""
    more = {} if path is None else {"PYTHONPATH": str(path)}
    return subprocess.Popen(
        [sys.executable, "-m", "vitlab.recipes.run", str(paths.folder), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", **more},
    )


def events(paths: JobPaths) -> list[Event]:
    return read_events(paths.events)[0]


@dataclass(frozen=True)
class Ended:
    """What a job's process left besides its files."""

    code: int
    out: str
    err: str


RunHere = Callable[[JobPaths], Ended]


@pytest.fixture
def run_here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> RunHere:
    """Runs a job in this process: a child of its own takes seconds to load torch."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(run, "_listen_for_end", list)
    monkeypatch.setattr(run, "_set_threads", lambda _: None)

    def ended(paths: JobPaths) -> Ended:
        code = run.main([str(paths.folder)])
        return Ended(code, *capsys.readouterr())

    return ended


@pytest.mark.parametrize("recipe", ["ridge", "mlp"])
def test_a_file_with_unusable_spectra(tmp_path: Path, run_here: RunHere, recipe: str) -> None:
    file = tmp_path / "half.h5"
    write_file(file)
    with h5py.File(file, "r+") as opened:
        opened["dataset/arrays/error/value"][::2] = 0
    data = {"source": str(file), "train_size": 40, "val_size": 10, "test_size": 10}
    config = {**CONFIGS[recipe], "data": data}
    refused = a_job(tmp_path / "refused", recipe, config)
    ended = run_here(refused)
    assert ended.code == run.UNUSABLE
    assert ended.err == (
        f"{file}: train: 20 of 40 spectra left out (50%): 20 no positive finite error, and "
        "config.data.max_excluded is 0.05\n"
    )
    assert not refused.result.exists()
    job = a_job(tmp_path / "job", recipe, {**config, "data": {**data, "max_excluded": 0.5}})
    ended = run_here(job)
    assert ended.code == 0
    assert "test: 5 of 10 spectra left out (50%): 5 no positive finite error" in ended.out
    result = read_result(job.result)
    assert result is not None
    assert result.n == {"train": 20, "val": 5, "test": 5}
    reason = "no positive finite error"
    counts = {"train": {reason: 20}, "val": {reason: 5}, "test": {reason: 5}}
    assert result.data["excluded"] == counts


def said_by(paths: JobPaths, child: subprocess.Popen[str], kind: str, seen: int = 0) -> None:
    """Wait until the job says an event of this kind after the first `seen` ones."""

    def said() -> bool:
        assert child.poll() is None, child.communicate()[1]
        return any(event.kind == kind for event in events(paths)[seen:])

    wait_for(said, tell=lambda: events(paths))


@pytest.mark.parametrize("recipe", list(CONFIGS))
def test_a_job_says_what_it_does_and_leaves_its_result(
    tmp_path: Path, run_here: RunHere, recipe: str
) -> None:
    paths = a_job(tmp_path, recipe, CONFIGS[recipe])
    ended = run_here(paths)
    assert ended.code == 0, ended.err
    said = events(paths)
    assert said[0].kind == "start"
    keys = {"host", "device", "commit", "dirty", "spec_hash", "job", "seed"}
    assert set(said[0].data) == keys
    assert said[0].data["device"] == "cpu"
    assert said[-1].data == {"ok": True, "error": None}
    assert {e.kind for e in said} >= {"start", "step", "eval", "end"}
    result = read_result(paths.result)
    assert result is not None
    assert result.model_name == NAMES[recipe]
    if recipe == "ceiling":
        assert set(result.values) >= {
            f"{name}/{metric}/log_g"
            for name in ("ceiling", "ceiling@21.5")
            for metric in ("r2_crlb_median", "r2_crlb_mean", "sigma_crlb", "r2_bayes")
        }
        assert result.errors["ceiling/r2_bayes/log_g"] > 0
        assert "ceiling/r2_linear/log_g" in result.values
    else:
        split = "test" if recipe == "template" else "val"
        assert any(f"{split}/r2/log_g" in e.values for e in said if e.kind == "eval")
        assert {"test/r2/log_g", "test/mae/log_g"} <= set(result.values)
        assert result.errors["test/r2/log_g"] > 0
        assert result.data["overlap"] == 0
        assert paths.residuals.is_file()
        assert "test/r2/log_g" in ended.out
        assert isinstance(result.model["params"], int)
    assert result.n["test"] == 30
    if recipe == "mlp":
        _assert_density(result, said, paths)
    if recipe == "vit":
        assert {f"test/{n}/M_H" for n in ("r2", "pull2", "within1", "within2")} <= set(
            result.values
        )
        notes = [e.data["text"] for e in said if e.kind == "note"]
        assert "test/log_score/log_g" in result.errors
        assert notes[0].startswith("ViT p256_h16_L1_a2, 16 tokens: 68,")
        assert "GFLOP for a prediction" in notes[0]


def _assert_density(result: Result, said: list[Event], paths: JobPaths) -> None:
    lost, exact = "test/nats_lost/log_g", "test/log_score_exact/log_g"
    assert {lost, exact, "test/coverage68/log_g", "test/pit_ks/log_g"} <= set(result.values)
    assert {lost, exact, "test/coverage68/log_g"} <= set(result.errors)
    assert any("val/log_score/log_g" in e.values for e in said if e.kind == "eval")
    kept = load_residuals(paths.residuals)
    assert kept.density is not None
    assert kept.exact is not None
    assert (len(kept.density.joint), len(kept.exact.joint)) == (30, 2)
    first = kept.density.log_score[:2]
    assert result.values[lost] == pytest.approx(float((kept.exact.log_score - first).mean()))
    again = rescore(paths)
    assert again.residuals.density is not None
    np.testing.assert_allclose(again.residuals.density.pit, kept.density.pit)


@pytest.mark.parametrize("recipe", ["ridge", "ceiling"])
def test_a_result_is_of_the_grid_that_its_job_has_opened(
    tmp_path: Path, run_here: RunHere, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    """Not of one that lies in its place when the job ends."""
    grid = tmp_path / "grid.h5"
    grid.write_bytes(packaged("grid.h5").read_bytes())
    config = {**CONFIGS[recipe], "data": {**CONFIGS[recipe]["data"], "grid": str(grid)}}
    data = DataConfig(grid=str(grid))
    before = grid_world(data, 1.0).simulator

    def replaced(*args: Any, **kwargs: Any) -> World:
        with h5py.File(grid, "r+") as file:
            file.attrs["reduced"] = "again"
        return grid_world(*args, **kwargs)

    for module in ("scores", "ceiling"):
        monkeypatch.setattr(f"vitlab.recipes.{module}.grid_world", replaced)
    paths = a_job(tmp_path / "job", recipe, config)
    assert run_here(paths).code == 0
    result = read_result(paths.result)
    assert result is not None
    assert grid_world(data, 1.0).simulator != before == result.world["simulator"]


def test_a_job_learns_from_shards_in_little_memory(tmp_path: Path, run_here: RunHere) -> None:
    folder = str(tmp_path / "set")
    assert vitlab([*["data", "make", "--n", "114", "--shards", "3", "--out"], folder]) == 0
    data = {**DATA, "source": folder, "memory": "1MB"}
    paths = a_job(tmp_path / "job", "mlp", {**CONFIGS["mlp"], "data": data})
    ended = run_here(paths)
    assert ended.code == 0, ended.err
    result = read_result(paths.result)
    assert result is not None
    assert result.n == {"train": 64, "val": 20, "test": 30}


def test_a_job_ended_on_request_goes_on_where_it_was(tmp_path: Path) -> None:
    config = {**CONFIGS["vit"], "train": {"epochs": 2000, "batch": 32, "threads": 1}}
    paths = a_job(tmp_path, "vit", config)
    child = start(paths)
    said_by(paths, child, "eval")
    child.send_signal(signal.SIGTERM)
    child.communicate()
    assert child.returncode == 128 + signal.SIGTERM
    said = events(paths)
    assert said[-1].data == {"ok": False, "error": "stopped"}
    assert not paths.result.exists()
    saved = [e.step for e in said if e.kind == "checkpoint"][-1]
    assert 0 < saved < 4000

    child = start(paths, "--resume")
    seen = len(said)
    said_by(paths, child, "eval", seen)
    child.send_signal(signal.SIGTERM)
    child.communicate()
    resumed = events(paths)[seen:]
    assert resumed[0].data["resumed_from"] == saved
    assert min(e.step for e in resumed if e.kind == "step") > saved


def test_a_loss_that_is_no_number(tmp_path: Path, run_here: RunHere) -> None:
    config = {**CONFIGS["vit"], "train": {"epochs": 50, "lr": 1e15, "clip": 0, "warmup": 0}}
    paths = a_job(tmp_path, "vit", config)
    assert run_here(paths).code == 3
    assert events(paths)[-1].data == {"ok": False, "error": "nan"}
    assert not paths.result.exists()


@pytest.mark.parametrize(
    ("recipe", "config", "text"),
    [
        ("vit", {"model": {"pach": 16}}, "config.model.pach: unknown key; did you mean patch?"),
        ("vit", {"data": {"source": "nowhere.h5"}}, "nowhere.h5: no such file"),
        ("command", {"argv": ["true"]}, "recipe command is started by its supervisor"),
    ],
)
def test_a_users_mistake_is_one_line(
    tmp_path: Path, run_here: RunHere, recipe: str, config: dict[str, Any], text: str
) -> None:
    ended = run_here(a_job(tmp_path, recipe, config))
    assert ended.code == 2
    assert text in ended.err
    assert len(ended.err.splitlines()) == 1


def test_any_other_failure_is_told_and_traced(tmp_path: Path) -> None:
    paths = a_job(tmp_path / "job", "vit", CONFIGS["vit"])
    (tmp_path / "torch.py").write_text("raise OSError('libcudart.so: no such file')")
    child = start(paths, path=tmp_path)
    _, err = child.communicate()
    assert child.returncode == 1
    assert "Traceback" in err
    end = events(paths)[-1].data
    assert end["ok"] is False
    assert end["error"] == "OSError: libcudart.so: no such file"


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, run_here: RunHere) -> None:
    paths = a_job(tmp_path, "vit", CONFIGS["vit"])
    paths.checkpoints.write_text("in the way of the folder")
    with pytest.raises(FileExistsError):
        run_here(paths)
    end = events(paths)[-1].data
    assert end["ok"] is False
    assert str(end["error"]).startswith("FileExistsError")


def test_starting_needs_no_learner() -> None:
    code = (
        "import sys, vitlab.recipes.run, vitlab.contract.config; "
        "print(sorted({'torch', 'numpy', 'h5py', 'lightgbm', 'scipy'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
