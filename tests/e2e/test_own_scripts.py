"""Training scripts of other frameworks, followed from `vitlab new` to the roadmap.

The scripts in `scripts/` are real trainings (Lightning, Hugging Face, LightGBM, W&B). Each writes
the numbers it reached into a file of its own, against which every number of ours is held.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.e2e.conftest import Vitlab
from tests.waiting import ended, kill_all, nothing_runs, wait_for
from vitlab.contract.events import Event, read_events
from vitlab.contract.paths import LabPaths
from vitlab.jobs.store import Job, all_jobs

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(180)]

SCRIPTS = Path(__file__).parent / "scripts"
SIGMA = 1.302
"""Of the labels in `light.py`."""
MINUTES = 150.0
"""Seconds that a training may take on a busy machine."""
ROADMAP = """\
# Plan

**Project:** `VIT`

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|---|---|---|---|---|---|---|
| 1.0 | Own script | 1 | - | ⏳ | - | - |

### MVP-1.0: Own script

**Runs**:
| Run | Status | R²_test | MAE_test | WandB |
|-----|--------|---------|----------|-------|
"""


def roadmap_with(lab: Path, *runs: str) -> None:
    rows = "".join(f"| {run} | ⏳ | - | - | - |\n" for run in runs)
    (lab / "roadmaps" / "plan_roadmap.md").write_text(ROADMAP + rows, encoding="utf-8")


def rows_of_runs(lab: Path) -> list[list[str]]:
    """The table of runs, cell by cell, without its heads."""
    table = (lab / "roadmaps" / "plan_roadmap.md").read_text(encoding="utf-8").split("**Runs**")[1]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()[3:]]


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    root = tmp_path / "lab"
    (root / "roadmaps").mkdir(parents=True)
    (root / "experiments").mkdir()
    settings = "profile: full\ncpu_slots: 4\ngrace: 20\nwandb: {mode: 'off'}\n"
    (root / "vitlab.yaml").write_text(settings, encoding="utf-8")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    yield root
    kill_all(root)


def jobs_of(lab: Path) -> dict[str, Job]:
    return {job.spec.run: job for job in all_jobs(LabPaths(lab))}


def events_of(job: Job) -> list[Event]:
    return [event for event in read_events(job.paths.events)[0] if event.values]


def curve(job: Job, name: str) -> dict[float, float]:
    """Epoch -> value, the later ones of a resumed run."""
    return {
        event.data["epoch"]: value
        for event in events_of(job)
        if (value := event.values.get(name)) is not None
    }


def result_of(job: Job) -> dict[str, float]:
    values: dict[str, float] = json.loads(job.paths.result.read_bytes())["values"]
    return values


def truth(lab: Path, job: Job, name: str = "truth.jsonl") -> list[dict[str, Any]]:
    """What the script itself wrote of its numbers."""
    path = lab / "runs" / "1.0" / job.paths.folder.name / name
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def told(vitlab: Vitlab) -> dict[str, dict[str, Any]]:
    """What `vitlab jobs` says of each run."""
    return {one["run"]: one for one in json.loads(vitlab("jobs", "--json").stdout)}


def new(vitlab: Vitlab, script: str, *words: str) -> None:
    made = vitlab("new", "1.0", "--script", str(SCRIPTS / script), "--python", sys.executable,
                  *words)  # fmt: skip
    assert made.stdout.startswith("made experiments/own_script.yaml\n")
    assert "left out" not in made.stderr


def test_four_lightning_runs_at_once_from_a_file_of_fifteen_lines(
    lab: Path, vitlab: Vitlab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One is stopped in the middle, with exit status 0, and resumed by its last checkpoint."""
    seeds = [f"seed={seed}" for seed in range(4)]
    roadmap_with(lab, *seeds)
    new(vitlab, "light.py", "--repeats", "4")
    text = (lab / "experiments" / "own_script.yaml").read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.lstrip()[:1] not in ("", "#")]) <= 15
    hold = lab / "hold"
    hold.touch()
    monkeypatch.setenv("HOLD", str(hold))
    vitlab("run", "1.0")
    jobs = jobs_of(lab)
    assert sorted(jobs) == seeds

    def in_the_middle() -> bool:
        return all(list(curve(job, "val/r2/log_g")) == [0, 1, 2] for job in jobs.values())

    wait_for(in_the_middle, MINUTES, lambda: vitlab("jobs").stdout, pause=0.2)
    now = told(vitlab).values()
    assert {one["state"] for one in now} == {"running"}
    assert all("no column" not in (one["health"] or "") for one in now)
    stopped = jobs["seed=2"]
    vitlab("stop", stopped.name)
    ended(stopped.paths, MINUTES)
    one = told(vitlab)["seed=2"]
    assert (one["state"], one["outcome"]) == ("done", "killed")
    assert not stopped.paths.result.exists()
    hold.unlink()
    vitlab("resume", stopped.name)
    wait_for(lambda: all(job.paths.result.exists() for job in jobs.values()), MINUTES, pause=0.2)
    nothing_runs(lab)

    for job in jobs.values():
        *epochs, tested = truth(lab, job)
        assert curve(job, "val/r2/log_g") == {row["epoch"]: row["val_r2"] for row in epochs}
        errors = {row["epoch"]: SIGMA * row["val_mae"] for row in epochs}
        assert curve(job, "val/mae/log_g") == pytest.approx(errors, rel=1e-12)
        result = result_of(job)
        assert result["test/r2/log_g"] == tested["test_r2"]
        assert result["test/mae/log_g"] == pytest.approx(SIGMA * tested["test_mae"], rel=1e-12)
        assert (len(curve(job, "val/r2/log_g")), epochs[-1]["epoch"]) == (5, 4)
    curves = [tuple(curve(job, "val/r2/log_g").values()) for job in jobs.values()]
    assert len(set(curves)) == 4
    resumed = json.loads(stopped.paths.spec.read_bytes())["config"]["resume_argv"]
    assert resumed[-2:] == ["--ckpt", "last"]
    for one in told(vitlab).values():
        assert (one["outcome"], one["step"], one["of"]) == ("ok", 19, 20)
        assert "no column" not in (one["health"] or "")

    vitlab("sync", "--yes")
    for run, status, r2, mae, link in rows_of_runs(lab):
        tested = truth(lab, jobs[run])[-1]
        assert (status, r2) == ("✅", f"{tested['test_r2']:.3f}")
        assert mae == f"{SIGMA * tested['test_mae']:.3f}"
        folder = re.fullmatch(r"\[(\w+)\]\(\.\./(.*/offline-run-\d+_\d+-\1)\)", link)
        assert folder is not None, link
        assert (lab / folder[2]).is_dir()
        assert jobs[run].paths.folder.name in folder[2]
    assert len(rows_of_runs(lab)) == 4


def test_a_hugging_face_trainer(lab: Path, vitlab: Vitlab) -> None:
    roadmap_with(lab)
    new(vitlab, "hugging_face.py")
    vitlab("run", "1.0", "--wait")
    [job] = jobs_of(lab).values()
    state = lab / "runs" / "1.0" / job.paths.folder.name / "out" / "trainer_state.json"
    history = json.loads(state.read_bytes())["log_history"]
    evaluated = {row["epoch"]: row["eval_r2"] for row in history if "eval_r2" in row}
    assert len(evaluated) == 4
    assert curve(job, "val/r2/log_g") == evaluated
    assert curve(job, "train/loss") == {r["epoch"]: r["loss"] for r in history if "loss" in r}
    assert result_of(job)["val/r2/log_g"] == truth(lab, job)[0]["eval_r2"]
    steps = [event.step for event in events_of(job) if "val/r2/log_g" in event.values]
    assert sorted(set(steps)) == [8, 16, 24, 32]  # each checkpoint repeats the rows before it
    assert len(steps) <= 5
    assert told(vitlab)["main"]["outcome"] == "ok"
    vitlab("sync", "--yes")
    text = (lab / "roadmaps" / "plan_roadmap.md").read_text(encoding="utf-8")
    assert "| 1.0 | Own script | 1 | - | ✅ |" in text
    [report] = (lab / "roadmaps").glob("exp_*.md")
    assert f"R²_val={evaluated[4.0]:.3f}" in report.read_text(encoding="utf-8")


TREES = {
    "mvp": "1.0",
    "roadmap": "roadmaps/plan_roadmap.md",
    "recipe": "command",
    "headline": "val/mse/log_g",
    "config": {"argv": [sys.executable, f"{SCRIPTS}/{{script}}"], "cwd": "runs/1.0/{job}"},
    "runs": [
        {
            "name": "callback",
            "set": {"script": "trees.py"},
            "metrics": {
                "pattern": r"^\[(?P<epoch>\d+)\].*\tval's l2: (?P<l2>\S+)\tval's l1: (?P<l1>\S+)",
                "names": {"l2": "val/mse/log_g", "l1": "val/mae/log_g"},
            },
        },
        {
            "name": "program",
            "set": {"script": "trees_cli.py"},
            "metrics": {
                "pattern": r"Iteration:(?P<epoch>\d+), valid_1 l2 : (?P<l2>\S+)",
                "names": {"l2": "val/mse/log_g"},
            },
        },
    ],
}
"""A regular expression for what LightGBM's callback prints, and one for its own program."""


def test_lightgbm_by_its_callback_and_by_its_program(lab: Path, vitlab: Vitlab) -> None:
    roadmap_with(lab, "callback", "program")
    path = lab / "experiments" / "trees.yaml"
    path.write_text(yaml.safe_dump(TREES, allow_unicode=True), encoding="utf-8")
    vitlab("run", "1.0", "--wait")
    jobs = jobs_of(lab)
    [kept] = truth(lab, jobs["callback"], "truth.json")
    for ours, theirs in (("val/mse/log_g", "l2"), ("val/mae/log_g", "l1")):
        printed = {at: float(f"{kept[theirs][at - 1]:g}") for at in (10, 20, 30, 40)}
        assert curve(jobs["callback"], ours) == printed
        assert result_of(jobs["callback"])[ours] == printed[40]
    assert curve(jobs["program"], "val/mse/log_g") == {1: 0.987, 2: 0.671, 3: 0.423}
    assert result_of(jobs["program"]) == {"val/mse/log_g": 0.423}
    assert {one["outcome"] for one in told(vitlab).values()} == {"ok"}


@pytest.mark.skipif(
    shutil.which("lightgbm") is None,
    reason="no lightgbm program: PyPI and Debian have none, it is built from its source",
)
def test_lightgbm_s_own_program(lab: Path, vitlab: Vitlab) -> None:
    roadmap_with(lab, "main")
    draw = np.random.default_rng(1)
    for name, rows in (("train", 400), ("val", 100)):
        x = draw.normal(size=(rows, 4))
        np.savetxt(lab / f"{name}.csv", np.column_stack([x.sum(1), x]), "%.5f", ",")
    options = {"data": "train.csv", "valid": "val.csv", "metric": "l2,l1", "num_trees": "12"}
    options |= {"objective": "regression", "num_leaves": "7", "num_threads": "1"}
    text = "".join(f"{name} = {value}\n" for name, value in options.items())
    (lab / "train.conf").write_text(text, encoding="utf-8")
    argv = ["lightgbm", "config=train.conf"]
    pattern = r"Iteration:(?P<epoch>\d+), valid_1 (?:l2 : (?P<l2>\S+)|l1 : (?P<l1>\S+))"
    names = {"l2": "val/mse/log_g", "l1": "val/mae/log_g"}
    experiment = {
        **{key: TREES[key] for key in ("mvp", "roadmap", "recipe", "headline")},
        "config": {"argv": argv, "epochs": 12},
        "metrics": {"pattern": pattern, "names": names},
    }
    path = lab / "experiments" / "trees.yaml"
    path.write_text(yaml.safe_dump(experiment, allow_unicode=True), encoding="utf-8")
    vitlab("run", "1.0", "--wait")
    [job] = jobs_of(lab).values()
    printed = subprocess.run(argv, cwd=lab, capture_output=True, text=True, check=True).stdout
    for theirs, ours in names.items():
        found = re.findall(rf"Iteration:(\d+), valid_1 {theirs} : (\S+)", printed)
        assert curve(job, ours) == {int(at): float(value) for at, value in found}
        assert result_of(job)[ours] == float(found[-1][1])
    one = told(vitlab)["main"]
    assert (one["step"], one["of"]) == (12, 12)


def test_an_offline_wandb_run_whose_files_are_elsewhere(
    lab: Path, vitlab: Vitlab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("WANDB_DIR", str(tmp_path / "elsewhere"))
    roadmap_with(lab, "main")
    new(vitlab, "tracked.py")
    vitlab("run", "1.0", "--wait")
    [job] = jobs_of(lab).values()
    [known] = truth(lab, job, "truth.json")
    assert not list((lab / "runs" / "1.0" / job.paths.folder.name).glob("wandb*"))
    r2 = {epoch: 1 - 0.5 / (epoch + 1.3) for epoch in range(6)}
    assert curve(job, "val/r2/log_g") == r2
    assert math.isclose(result_of(job)["train/lr"], 0.1 / 6)
    assert result_of(job)["val/r2/log_g"] == known["val"]
    assert result_of(job)["test/r2/log_g"] == known["test"]  # of the summary alone
    one = told(vitlab)["main"]
    assert one["outcome"] == "ok"
    assert one["wandb"].endswith(f"-{known['id']}")
    vitlab("sync", "--yes")
    [[_, status, written, _, link]] = rows_of_runs(lab)
    assert (status, written, link) == ("✅", f"{known['test']:.3f}", known["id"])
