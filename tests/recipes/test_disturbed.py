"""Runs on disturbed spectra: what they report, and with what they are not compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.recipes.test_run import DATA, VIT, RunHere, a_job, run_here
from vitlab.contract.config import VitConfig, read_config
from vitlab.contract.job import read_result
from vitlab.contract.networks import Disturb
from vitlab.contract.value import Value
from vitlab.contract.world import read_world, same_spectra
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.lab.inspector.server import open_inspector
from vitlab.lab.new_experiment import template_text
from vitlab.lab.results.worlds import grid_world
from vitlab.ml.residual_file import load_residuals
from vitlab.recipes.evaluate import rescore

__all__ = ["run_here"]
DISTURB = {"velocity": {}, "masked": {"window": 0.5}, "sky": {}}
TEXT = "velocity within 300.0, masked share 0.1 length 50 window 0.5, sky amplitude 0.01"
CONFIGS: dict[str, dict[str, Any]] = {
    "vit": {
        "model": {**VIT, "input": "flux+error"},
        "train": {"epochs": 1, "batch": 32, "threads": 1},
        "loss": "mixture",
        "components": 2,
        "exact": 2,
    },
    "ridge": {"model": {"alphas": [100, 1000]}},
}


@pytest.mark.parametrize("recipe", list(CONFIGS))
def test_a_run_is_scored_on_disturbed_and_on_clean_spectra(
    tmp_path: Path, run_here: RunHere, recipe: str
) -> None:
    data = {**DATA, "disturb": DISTURB, "running_continuum": 300}
    job = a_job(tmp_path, recipe, {**CONFIGS[recipe], "data": data})
    ended = run_here(job)
    assert ended.code == 0, ended.err
    assert f"test and validation spectra are disturbed as those of training: {TEXT}" in ended.out
    assert "exact posteriors" not in ended.out
    result = read_result(job.result)
    assert result is not None
    scores = {Value.parse(name).on("") for name in result.values if name.startswith("test/")}
    clean = {Value.parse(name).on("") for name in result.values if name.startswith("clean/")}
    assert clean == scores
    assert result.values["clean/r2/log_g"] != result.values["test/r2/log_g"]
    assert "clean/r2/log_g" in result.errors
    # Both are of the best step: a job's last one is no number of stars.
    events = map(json.loads, job.events.read_text(encoding="utf-8").splitlines())
    steps = {one["split"]: one["step"] for one in events if one["kind"] == "eval"}
    assert steps["clean"] == steps["test"]
    # In a world of its own: no ceiling of clean spectra, no difference to a clean run.
    config = read_config(recipe, {"data": DATA})
    assert isinstance(config, VitConfig) or recipe != "vit"
    ideal = grid_world(config.data, 1.0)  # type: ignore[union-attr]
    world = read_world(result.world)
    assert world is not None
    assert world.disturbed == TEXT
    assert not same_spectra(result.world, ideal.record())
    # Scored again: the same stars, or what is asked for.
    again = rescore(job)
    assert again.residuals.hash == load_residuals(job.residuals).hash
    assert again.named()[0]["test/r2/log_g"] == pytest.approx(result.values["test/r2/log_g"])
    calm = rescore(job, disturb=Disturb())
    assert calm.world == ideal
    assert calm.named()[0]["test/r2/log_g"] == pytest.approx(result.values["clean/r2/log_g"])
    star = open_inspector(job, lambda _: None).star(0, "log_g")
    assert star.bound is None  # that of a spectrum as the grid has it
    assert star.notes == ("no information: its spectrum is not as the grid has it (data.disturb)",)
    assert [one.kind for one in star.densities] == (["model"] if recipe == "vit" else [])


def test_the_template_survey_runs(tmp_path: Path, run_here: RunHere) -> None:
    path = tmp_path / "experiments" / "survey.yaml"
    path.parent.mkdir()
    path.write_text(template_text("survey", "1.0", "stars", "roadmaps/r.md"), encoding="utf-8")
    experiment = load_experiment(path)
    assert experiment.profiles == ("smoke", "demo", "hour", "full")
    (spec,) = experiment.specs("smoke", "VIT-20260101-survey-01")
    config: dict[str, Any] = dict(spec.config)
    config["data"] = {**config["data"], "train_size": 64, "val_size": 20, "test_size": 40}
    config["train"] = {**config["train"], "epochs": 1, "batch": 32, "threads": 1}
    job = a_job(tmp_path / "job", spec.recipe, config)
    ended = run_here(job)
    assert ended.code == 0, ended.err
    result = read_result(job.result)
    assert result is not None
    # A density of all labels, on disturbed and on clean spectra.
    for split in ("test", "clean"):
        for label in ("T_eff", "log_g", "M_H"):
            assert f"{split}/log_score/{label}" in result.values
            assert f"{split}/within1/{label}" in result.values
    read = read_world(result.world)
    assert read is not None
    assert [part.split()[0] for part in read.disturbed.split(", ")] == [
        "velocity", "resolution", "continuum", "extinction", "masked", "sky", "lines",
    ]  # fmt: skip


def test_a_world_without_the_key_is_clean() -> None:
    config = read_config("vit", {"data": {"disturb": {"sky": {}}}})
    assert isinstance(config, VitConfig)
    world = grid_world(config.data, 1.0)
    assert read_world(world.record()) == world
    older = {key: value for key, value in world.record().items() if key != "disturbed"}
    found = read_world(older)
    assert found is not None
    assert found.disturbed == ""
    assert read_world({**older, "disturbed": 3}) is None
