"""Whatever the headline, the screens show the best of an MVP and sort the best first."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from tests.tui.conftest import Open
from tests.tui.fakes import FakeLab, job, usual_view
from vitlab.contract.job import Done, Running
from vitlab.lab.live.snapshot import JobView
from vitlab.lab.results.rows import ResultRow
from vitlab.tui.screens.results import ResultsScreen
from vitlab.tui.text import best_jobs, best_line, best_score, last_r2, score_cell, score_words

ROW = ResultRow("job", "1.0", "run", "full", "ViT", "", None, None, None, None, 1.0, 1.0)


def best_values(view: Any) -> dict[str, float | None]:
    return {mvp: last_r2(job) for mvp, job in best_jobs(view).items()}


def judged(name: str, metric: str, number: float, state: Any = None) -> Any:
    values = {f"val/{metric}/log_g": number}
    one = job(name, name, state or Done(0, 1, "ok", 0), values=values)
    one.spec = replace(one.spec, headline=f"test/{metric}/log_g")
    return one


@pytest.mark.parametrize(
    ("metric", "best", "worst"),
    [("r2", 0.9, 0.1), ("mae", 0.1, 0.9), ("scatter", 0.1, 0.9), ("bias", 0.0, 0.3)],
)
def test_the_plan_shows_the_best_of_an_mvp(metric: str, best: float, worst: float) -> None:
    jobs = (judged("a", metric, worst), judged("b", metric, best))
    assert best_values(usual_view(jobs=jobs)) == {"1.0": best}
    alive = judged("c", metric, worst, Running(0, 7, "cpu"))
    assert best_values(usual_view(jobs=(*jobs, alive))) == {"1.0": worst}


def test_a_full_number_stands_while_a_trial_runs_and_a_trial_s_is_marked() -> None:
    full, trial = judged("a", "r2", 0.7), judged("b", "r2", 0.9, Running(0, 7, "cpu"))
    full.spec = replace(full.spec, profile="full")
    trial.spec = replace(trial.spec, profile="smoke")
    for jobs, score in (((full, trial), "0.700 val"), ((trial,), "0.900*")):
        assert best_score(best_jobs(usual_view(jobs=jobs))["1.0"]) == score
    anew = judged("c", "r2", 0.8, Running(0, 7, "cpu"))
    anew.spec, anew.values = full.spec, {}
    assert best_values(usual_view(jobs=(full, anew))) == {"1.0": 0.7}


def test_a_ceiling_takes_no_more_room_than_a_score() -> None:
    bound = judged("a", "r2", 0.0)
    values = {"ceiling/r2_bayes/log_g": 0.8301}
    bound.spec, bound.values = replace(bound.spec, headline="ceiling/r2_bayes/log_g"), values
    assert best_score(best_jobs(usual_view(jobs=(bound,)))["1.0"]) == "≤0.830*"
    assert score_words(bound) == "R²_Bayes 0.830"


def test_of_a_run_that_was_launched_again_the_newest_counts() -> None:
    old, new, other = (judged(name, "r2", x) for name, x in (("a", 0.9), ("b", 0.7), ("c", 0.8)))
    old.spec = replace(old.spec, run="Run 1", submitted=1.0)
    new.spec = replace(new.spec, run="Run 1", submitted=2.0)
    assert best_values(usual_view(jobs=(old, new))) == {"1.0": 0.7}
    assert best_values(usual_view(jobs=(new, old, other))) == {"1.0": 0.8}


def test_of_an_unknown_metric_the_plan_shows_none_as_best() -> None:
    jobs = (judged("a", "dice", 0.1), judged("b", "dice", 0.9))
    assert best_values(usual_view(jobs=jobs)) == {}
    assert best_values(usual_view(jobs=jobs[:1])) == {"1.0": 0.1}


@pytest.mark.parametrize(
    ("name", "scores"),
    [
        ("test/r2/log_g", [0.9, 0.1, None]),
        ("test/mae/log_g", [0.1, 0.9, None]),
        ("test/bias/log_g", [0.0, -0.1, 0.3]),
    ],
)
async def test_the_results_by_score_begin_with_the_best(
    stage: Open, name: str, scores: list[float | None]
) -> None:
    async with stage() as it:
        rows = [
            replace(ROW, job=f"job-{i}", headline=name, score=score)
            for i, score in enumerate(scores)
        ]
        it.lab.results = lambda: tuple(rows[::-1])  # type: ignore[method-assign]
        await it.press("6")
        screen = it.app.screen
        assert isinstance(screen, ResultsScreen)
        await it.until(lambda: "3 of 3, by newest" in it.text())
        await it.press("s")
        await it.until(lambda: "by score" in it.text())
        assert list(screen.table._shown) == ["job-0", "job-1", "job-2"]


def test_the_test_set_chooses_no_run() -> None:
    jobs = [judged("a", "r2", 0.8), judged("b", "r2", 0.7)]
    for one, number in zip(jobs, (0.70, 0.75), strict=True):
        one.values = {**one.values, "test/r2/log_g": number}
    assert best_values(usual_view(jobs=jobs)) == {"1.0": 0.70}


def test_seeds_of_a_run_are_one_with_their_mean() -> None:
    jobs = []
    for run, number in (("Run 1 seed=1", 0.9), ("Run 1 seed=2", 0.5), ("Run 2", 0.6)):
        one = judged(run, "r2", number)
        jobs.append(JobView(**{key.name: getattr(one, key.name) for key in fields(JobView)}))
    view = usual_view(jobs=jobs)
    assert best_values(view) == {"1.0": pytest.approx(0.7)}
    assert best_jobs(view)["1.0"].spec.run == "Run 1"
    scored = replace(jobs[0], values={**jobs[0].values, "test/r2/log_g": 0.8})
    for seeds in ((scored, jobs[1]), (jobs[1], scored)):  # the other ended before its score
        assert best_values(usual_view(jobs=seeds)) == {"1.0": 0.8}
    running = replace(jobs[1], state=Running(0, 7, "cpu"))
    assert best_values(usual_view(jobs=(jobs[0], running))) == {"1.0": 0.5}


@pytest.mark.parametrize(
    ("metric", "words", "cell"),
    [
        ("r2", "R² 0.370 val", "0.370 val"),
        ("mae", "MAE 0.370 val", "MAE 0.370 val"),
        ("mae_sigma", "MAE 0.370 σ val", "MAE 0.370 σ val"),
        ("bias", "bias -0.370 val", "bias -0.370 val"),
    ],
)
def test_only_a_number_of_r2_stands_alone(metric: str, words: str, cell: str) -> None:
    one = judged("a", metric, -0.37 if metric == "bias" else 0.37)
    assert score_words(one) == words
    assert score_cell(one) == cell
    one.state = Running(0, 7, "cpu")  # it has no test score yet
    assert score_cell(one) == cell.removesuffix(" val")


def test_of_unlike_headlines_the_usual_one_is_compared() -> None:
    jobs = (judged("a", "mae", 0.4), judged("b", "mae", 0.3), judged("c", "mae_sigma", 0.1))
    assert best_values(usual_view(jobs=jobs)) == {"1.0": 0.3}


async def test_a_trial_s_number_is_marked_and_the_full_run_s_goes_before_it(stage: Open) -> None:
    full, trial = judged("a", "r2", 0.7), judged("b", "r2", 0.9)
    full.spec = replace(full.spec, profile="full")
    full.spec = replace(full.spec, profile="full")
    trial.spec = replace(trial.spec, profile="smoke")
    ridge = judged("c", "r2", 0.2)
    ridge.spec = replace(ridge.spec, profile="smoke", recipe="ridge")
    for jobs, words in (
        ((full, trial), "R² 0.7000 val"),
        ((trial,), "R² 0.9000 val (smoke)"),
        ((trial, ridge), "R² 0.9000 val (smoke) of b"),
    ):
        view = usual_view(jobs=jobs)
        assert best_line(best_jobs(view)["1.0"], view) == words
    lab = FakeLab()
    lab.view = view
    async with stage(lab=lab) as it:
        await it.until(lambda: "[b]" in it.text() and "(smoke) of b" in it.text())
        await it.press("7")
        await it.until(lambda: "R² 0.9000 val (smoke) of b" in it.text())


async def test_a_narrow_jobs_screen_has_room_for_the_mark_of_validation(stage: Open) -> None:
    lab = FakeLab()
    lab.view = usual_view(jobs=(judged("a", "r2", 0.7),))
    async with stage(size=(80, 24), lab=lab) as it:
        await it.press("2")
        await it.until(lambda: "0.700 val" in it.text())
