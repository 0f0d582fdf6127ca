"""What several runs of a launch show together: the trend of a sweep, effects, room."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.lab.conftest import Ended
from tests.lab.test_pairs import scored
from tests.lab.test_ranking import concluded
from tests.lab.test_results_table import configured
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import JobPaths
from vitlab.docs.judge.comparison import Gap
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.findings import slope_of
from vitlab.lab.results.job_results import finished
from vitlab.lab.results.ranking import pairs_of
from vitlab.lab.results.repeats import grouped
from vitlab.ml.residual_file import load_residuals, save_residuals

SPREADS = {1_000: 0.9, 4_000: 0.6, 16_000: 0.3}


def sweep(ended: Ended, model: str = "ViT", **settings: object) -> list[JobPaths]:
    """Three sizes of one model; the larger its training set, the better."""
    jobs = []
    for size, spread in SPREADS.items():
        job = ended(f"{model} n={size}", model=model)
        configured(job, data={"train_size": size}, **settings)
        scored(job, spread + 0.2 * (model != "ViT"), size)
        result = read_result(job.result)
        assert result is not None
        write_result(job.result, replace(result, n={**result.n, "train": size}))
        jobs.append(job)
    return jobs


def r2(true: np.ndarray, predicted: np.ndarray) -> float:
    return float(1 - ((predicted - true) ** 2).mean() / true.var())


def test_the_error_of_a_slope_is_that_of_drawing_the_stars_again(lab: Lab, ended: Ended) -> None:
    jobs = sweep(ended)
    results = finished(all_jobs(lab.paths))
    series = sorted(grouped(results), key=lambda one: one.first.n["train"])
    slope, error, one_seed = slope_of(series, "test/r2/log_g", pairs_of(lab, results))
    scores = [one.value("test/r2/log_g") for one in series]
    x = np.log10(list(SPREADS))
    assert slope == pytest.approx(np.polyfit(x, np.array(scores, float), 1)[0], rel=1e-9)
    stars = [load_residuals(job.residuals) for job in jobs]
    draw = np.random.default_rng(3)
    slopes = []
    for _ in range(400):
        again = draw.integers(0, len(stars[0].star), len(stars[0].star))
        ys = [r2(one.true[again, 0], one.predicted[again, 0]) for one in stars]
        slopes.append(np.polyfit(x, ys, 1)[0])
    assert error == pytest.approx(np.std(slopes), rel=0.2)
    assert one_seed


def test_a_sweep_tells_its_trend_and_that_of_the_other_models(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    sweep(ended)
    sweep(ended, "LightGBM")
    said = concluded(lab, roadmap)
    assert "; ViT: R² 0." in said
    assert " at 1k, 4k, 16k training stars, on average +0." in said
    assert " per decade; LightGBM: on average +0." in said
    assert said.count("training stars") == 1  # the scores of the best model alone


def test_runs_that_differ_in_more_than_their_size_have_no_trend(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    for job, loss in zip(sweep(ended), ("mse", "l1", "mse"), strict=True):
        spec = json.loads(job.spec.read_bytes())
        configured(job, **{**spec["config"], "loss": loss})
    assert "per decade" not in concluded(lab, roadmap)


def test_an_ablation_tells_what_each_change_does(lab: Lab, roadmap: Path, ended: Ended) -> None:
    spreads = {"plain": 0.5, "better": 0.1, "worse": 0.9, "same": 0.5}
    scores = {}
    for seed, (run, spread) in enumerate(spreads.items()):
        scores[run] = scored(configured(ended(run), loss=run), spread, seed)
    said = concluded(lab, roadmap)
    plain = scores["plain"]
    better, worse = (scores[run] - plain for run in ("better", "worse"))
    assert f"compared with plain ({plain:.3f}): better {better:+.2g} ± " in said
    assert f", worse {worse:+.2g} ± " in said
    assert "within 2σ of it: same; one seed" in said


def test_a_run_that_predicts_the_same_is_told_as_the_same(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    for run, loss in (("plain", "mse"), ("better", "l1"), ("twin", "huber")):
        job = configured(ended(run), loss=loss)
        scored(job, 0.1 if run == "better" else 0.5, 1)
        if run == "twin":
            stars = load_residuals(job.residuals)
            save_residuals(job.residuals, replace(stars, predicted=stars.predicted + 1e-9))
    said = concluded(lab, roadmap)
    assert "the same predictions: twin" in said
    assert "e-0" not in said
    gap = Gap(6e-9, 3.7e-9, 400, is_one_seed=True, is_same=True)
    told = [one.text("en") for one in (gap.phrase(), gap.verdict())]
    assert told == ["0 (on the same 400 stars)", ": the same predictions"]


def test_a_ceiling_tells_where_the_room_is(lab: Lab, roadmap: Path, ended: Ended) -> None:
    model = ended("model", mvp="2.0")
    score = scored(model, 0.3, 1)
    stars = load_residuals(model.residuals)
    mags = np.linspace(2.5, 3.5, len(stars.star))
    mags[0] = np.nan
    save_residuals(model.residuals, replace(stars, mag=mags))
    job = configured(ended("main", 0.0, model="Ceiling"), bayes=4000, bayes_each=4000)
    spec = json.loads(job.spec.read_bytes())
    job.spec.write_text(json.dumps({**spec, "recipe": "ceiling"}), encoding="utf-8")
    result = read_result(job.result)
    assert result is not None
    values = {f"ceiling@{mag}/r2_bayes/log_g": 0.8 for mag in ("3", "3.45", "9")}
    values["ceiling/r2_bayes/log_g"] = 0.9
    headline = "ceiling/r2_bayes/log_g"
    write_result(
        job.result,
        replace(result, values=values, errors={}, headline=headline, recipe="ceiling"),
    )
    said = concluded(lab, roadmap)
    assert f"above ViT (MVP-2.0), R² {score:.3f}: {0.9 - score:+.3f} ± " in said
    assert "at magnitude 3 " in said
    assert "at magnitude 3.45" not in said  # its stars are on one side
    assert "at magnitude 9" not in said  # no star was scored there
