"""Seeds scored as one model: what numpy says of the mean of their predictions."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.jobs.test_experiment import HEAD, write
from tests.recipes.test_evaluate import EXP_ID
from tests.recipes.test_run import DATA, VIT
from vitlab.contract.events import read_events
from vitlab.contract.job import Result, Spec, read_result
from vitlab.contract.paths import JobPaths, LabPaths, UsageError, find_lab, write_atomic
from vitlab.docs.judge.budget import Budget, budget_of
from vitlab.jobs.experiment.experiment import load_experiment
from vitlab.jobs.queue.queue import Dependencies
from vitlab.jobs.store import all_jobs
from vitlab.jobs.submissions import Staged, publish
from vitlab.lab.lab import open_lab
from vitlab.lab.launch import _stage
from vitlab.lab.results.job_results import all_results, lookup_job
from vitlab.lab.results.ranking import pairs_of
from vitlab.lab.results.repeats import grouped
from vitlab.lab.results.rows import compare
from vitlab.ml.residual_file import load_residuals
from vitlab.recipes import run
from vitlab.recipes.ensemble import mixture_sigma

TEXT = f"""{HEAD}
config:
  data: {json.dumps(DATA)}
  model: {json.dumps(VIT)}
  train: {{epochs: 1, batch: 32, threads: 1}}
  loss: nll
  labels: [log_g, M_H]
seeds: [5, 6, 8]
ensemble: true
"""


def run_job(paths: JobPaths) -> Result | None:
    code = run.main([str(paths.folder)])
    record = {"v": 1, "code": code, "reason": "ok" if not code else "failed"}
    paths.exit.write_text(json.dumps({**record, "started": 1.0, "ended": 2.0}))
    return read_result(paths.result)


@pytest.fixture(scope="module")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> tuple[JobPaths, ...]:
    """Three seeds and their ensemble, as a launch queues them; all have ended."""
    root = tmp_path_factory.mktemp("lab")
    (root / "vitlab.yaml").write_text("{}\n")
    (root / "roadmaps").mkdir()
    specs = load_experiment(write(root, TEXT)).specs("full", EXP_ID)
    specs = [replace(s, extra={**s.extra, "wandb": {"mode": "off"}}) for s in specs]
    staged: list[Staged] = []
    _stage(open_lab(root), specs, staged)
    paths = publish(staged)
    waiting = {job.name: job for job in all_jobs(LabPaths(root))}
    assert Dependencies(waiting.values()).unmet(waiting[paths[-1].name]).startswith("after ")
    assert all(map(run_job, paths))
    ended = all_jobs(LabPaths(root))
    (last,) = (job for job in ended if job.spec.recipe == "ensemble")
    assert Dependencies(ended).unmet(last) == ""
    return paths


def read(paths: JobPaths) -> Result:
    found = read_result(paths.result)
    assert found is not None
    return found


def r2(true: np.ndarray, predicted: np.ndarray) -> float:
    """As a textbook has it."""
    return float(1 - np.sum((true - predicted) ** 2) / np.sum((true - true.mean()) ** 2))


def test_its_score_is_that_of_the_mean_prediction(jobs: tuple[JobPaths, ...]) -> None:
    *members, ensemble = jobs
    parts = [load_residuals(one.residuals) for one in members]
    own, result = load_residuals(ensemble.residuals), read(ensemble)
    mean = np.mean([part.predicted for part in parts], axis=0)
    np.testing.assert_allclose(own.predicted, mean, rtol=1e-12)
    assert own.hash == parts[0].hash
    assert own.sigma is not None
    sigmas = [part.sigma for part in parts if part.sigma is not None]
    squares = zip(sigmas, parts, strict=True)
    second = sum(sigma**2 + part.predicted**2 for sigma, part in squares) / 3
    np.testing.assert_allclose(own.sigma**2, second - mean**2, rtol=1e-4)
    for k, label in enumerate(("log_g", "M_H")):
        expected = r2(parts[0].true[:, k], mean[:, k])
        assert result.values[f"test/r2/{label}"] == pytest.approx(expected, abs=1e-12)
        singles = [read(one).values[f"test/r2/{label}"] or 0.0 for one in members]
        assert expected != pytest.approx(np.mean(singles), abs=1e-6)
        assert result.errors[f"test/r2/{label}"] > 0
    assert result.checks["alignment"]


def test_validation_is_of_the_mean_prediction_too(jobs: tuple[JobPaths, ...]) -> None:
    """An R2 of a mean is not less than the mean of the R2s, by Jensen's inequality."""
    *members, ensemble = jobs
    singles = [read(one).values["val/r2/log_g"] or 0.0 for one in members]
    assert len(set(singles)) == 3
    live = [event for event in read_events(ensemble.events)[0] if event.kind == "eval"]
    of_members = [read_events(one.events)[0] for one in members]
    scores = [
        max(e.values.get("val/log_score/log_g") or -9.0 for e in each if e.kind == "eval")
        for each in of_members
    ]
    # The logarithm is concave: the mean density scores no less than the mean of the scores.
    assert (live[0].values["val/log_score/log_g"] or -9.0) >= np.mean(scores)
    together = read(ensemble).values["val/r2/log_g"]
    assert together is not None
    assert np.mean(singles) < together < max(singles) + 0.5


def test_it_is_a_configuration_of_its_own_that_costs_what_its_members_cost(
    jobs: tuple[JobPaths, ...],
) -> None:
    lab = open_lab(find_lab(jobs[0].folder).root)
    results = all_results(lab)
    groups = sorted(grouped(results), key=lambda group: -len(group.members))
    assert [(group.name, len(group.members)) for group in groups] == [
        ("main", 3),
        ("ensemble=3", 1),
    ]
    single, ensemble = (group.repeats for group in groups)
    assert (single.model_name, ensemble.model_name) == ("ViT", "ViT ensemble")
    each = [budget_of([one]) for one in single.members]
    hours = [one.core_hours or 0.0 for one in each]
    together = budget_of(ensemble.members)
    assert replace(together, core_hours=None) == Budget(64, 3 * 64, None, fewest=3 * 64)
    assert together.core_hours == pytest.approx(sum(hours), abs=1e-5)
    assert ensemble.first.seconds > sum(one.seconds for one in single.members)
    rows = compare(lab, results)
    assert {(row["run"], row["seeds"]) for row in rows} == {("main", 3), ("ensemble=3", 1)}
    known = pairs_of(lab, results)
    name = "test/r2/log_g"
    assert known.seed_scatter(ensemble.first, name) == known.seed_scatter(single.first, name)
    assert known.gap(ensemble.first, single.first, name) is not None
    assert lookup_job(lab.paths, "1.0") == jobs[2]
    assert lookup_job(lab.paths, "1.0/ensemble=3") == jobs[3]


def test_a_seed_that_failed_is_named_and_nothing_is_scored(
    jobs: tuple[JobPaths, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    *_, lost, ensemble = jobs
    kept = lost.exit.read_text()
    try:
        write_atomic(lost.exit, kept.replace('"ok"', '"failed"').encode())
        assert run.main([str(ensemble.folder)]) == 2
        said = "main: 2 of 3 seeds have a result (seed=5, seed=6); resume the others"
        assert said in capfd.readouterr().err
    finally:
        write_atomic(lost.exit, kept.encode())


def test_errors_that_one_member_does_not_predict_are_none(jobs: tuple[JobPaths, ...]) -> None:
    parts = [load_residuals(one.residuals) for one in jobs[:2]]
    assert mixture_sigma([parts[0], replace(parts[1], sigma=None)]) is None


def specs(folder: Path, text: str, profile: str = "full") -> list[Spec]:
    return load_experiment(write(folder, text)).specs(profile, EXP_ID)


def test_one_line_adds_one_job_to_the_seeds_of_each_point(tmp_path: Path) -> None:
    text = (
        f"{HEAD}runs: [{{name: A}}, {{name: R, recipe: mlp}}]\n"
        "matrix: {data.train_size: [64]}\n"
        "profiles: {smoke: {train.epochs: 1}, demo: {repeats: 2, ensemble: true}}\n"
    )
    assert [spec.run for spec in specs(tmp_path, text, "smoke")] == [
        "A train_size=64",
        "R train_size=64",
    ]
    found = specs(tmp_path, text, "demo")
    assert [spec.run for spec in found if spec.recipe == "ensemble"] == [
        "A train_size=64,ensemble=2",
        "R train_size=64,ensemble=2",
    ]
    assert found[2].config == {"of": "A train_size=64", "members": 2}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("ensemble: true", "ensemble: must be true or false, beside repeats or seeds"),
        ("repeats: 2\nensemble: 8", "ensemble: must be true or false"),
        ("repeats: 2\nensemble: true\nrecipe: command\nconfig: {argv: [x]}", "no predictions"),
    ],
)
def test_what_cannot_be_averaged_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    head = HEAD.replace("recipe: vit\n", "") if "recipe" in lines else HEAD
    with pytest.raises(UsageError, match=said):
        specs(tmp_path, f"{head}{lines}\n")
