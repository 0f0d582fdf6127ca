"""Whatever the headline, tables and figures begin with the best."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.lab.conftest import Ended
from vitlab.contract.job import read_result, read_spec, write_result
from vitlab.contract.paths import JobPaths
from vitlab.jobs.store import all_jobs
from vitlab.lab.figures import figure_specs
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import finished
from vitlab.lab.results.rows import compare, results_table
from vitlab.lab.writeback.writeback import plan_mvp


def judged(job: JobPaths, metric: str, number: float) -> None:
    """Let the job have this headline, on validation and test."""
    name = f"test/{metric}/log_g"
    result, spec = read_result(job.result), read_spec(job.spec)
    assert result is not None
    assert spec is not None
    values = {name: number, f"val/{metric}/log_g": number}
    write_result(job.result, replace(result, values=values, errors={}, headline=name))
    job.spec.write_bytes(replace(spec, headline=name).to_json())


@pytest.mark.parametrize(
    ("metric", "best", "middle", "worst"),
    [("r2", 0.9, 0.5, 0.1), ("mae", 0.1, 0.5, 0.9), ("bias", 0.0, -0.2, 0.3)],
)
def test_the_best_comes_first(
    lab: Lab, ended: Ended, metric: str, best: float, middle: float, worst: float
) -> None:
    for run, number in (("b", middle), ("c", worst), ("a", best)):
        judged(ended(run), metric, number)
    found = finished(all_jobs(lab.paths))
    assert results_table(lab)["run"].to_list() == ["a", "b", "c"]
    assert [row["run"] for row in compare(lab, found)] == ["a", "b", "c"]
    made = figure_specs.figure_data(lab, found)
    (panel,) = figure_specs.ablation(made).panels
    differences = [number - middle for number in (best, middle, worst)]  # to the first launched
    assert panel.curves[0].y == pytest.approx(differences)
    step = plan_mvp(lab, lab.roadmap_path(), "1.0")
    assert step is not None
    assert "ViT [a]" in step.summary
    assert "best of 3 runs on validation, runner-up b" in step.summary


def test_results_of_two_metrics_are_not_mixed(lab: Lab, ended: Ended) -> None:
    for run, metric, number in (
        ("poor R2", "r2", 0.1),
        ("poor MAE", "mae", 0.9),
        ("good R2", "r2", 0.8),
        ("good MAE", "mae", 0.2),
    ):
        judged(ended(run), metric, number)
    runs = results_table(lab)["run"].to_list()
    assert runs == ["good MAE", "poor MAE", "good R2", "poor R2"]


def test_of_an_unknown_metric_no_run_is_called_best(lab: Lab, ended: Ended) -> None:
    for run, number in (("a", 0.2), ("b", 0.4)):
        judged(ended(run), "dice", number)
    step = plan_mvp(lab, lab.roadmap_path(), "1.0")
    assert step is not None
    assert "best of" not in step.summary
    assert "dice_test=0.200..0.400" in step.summary
