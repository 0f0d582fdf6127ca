"""Every figure drawn from job folders alone, linked from its report, or refused in one line."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm

from tests.lab.conftest import Ended, error_of_mean
from vitlab.cli import main as vitlab
from vitlab.contract.events import EventWriter
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.value import measured
from vitlab.docs.judge.comparison import Gap
from vitlab.docs.judge.errors import SeedMean, SeedScatter, Spread
from vitlab.jobs.store import all_jobs
from vitlab.lab.figures import figure_specs, star_figures, training_figures
from vitlab.lab.figures.curves import curves
from vitlab.lab.lab import Lab
from vitlab.lab.live.snapshot import read_snapshot
from vitlab.lab.results.job_results import lookup_results
from vitlab.lab.results.ranking import residuals_gap
from vitlab.lab.writeback.edits import accept
from vitlab.lab.writeback.writeback import pending
from vitlab.ml.residual_file import load_residuals, save_residuals
from vitlab.ml.scoring import DensityScores, Residuals, overall
from vitlab.tui.watch.reader import LabReader

NAME = "test/r2/log_g"
Figure = Callable[..., dict[str, Any]]


def enriched(job: JobPaths, n: int, spread: float, seed: int | None = None) -> None:
    """Residuals of 200 stars, a size of the training set, and a curve of the validation."""
    generator = np.random.default_rng(seed or 0)
    true = generator.uniform(1, 5, size=(200, 1))
    snr = generator.uniform(5, 40, 200)
    guess = true + spread * generator.normal(size=(200, 1)) * (20 / snr)[:, None]
    kept = Residuals(("log_g",), np.arange(200), true, guess, 23 - snr / 20, snr, "same")
    save_residuals(job.residuals, kept)
    values, errors = overall(kept, 0).named("test")
    result = read_result(job.result)
    assert result is not None
    values |= {"val/r2/log_g": values[NAME]}
    write_result(job.result, replace(result, values=values, errors=errors, n={"train": n}))
    with EventWriter(job.events) as events:
        events.write("start", host="x")
        for step in (10, 20, 30):
            said = {"val/r2/log_g": values[NAME] * step / 30, "val/loss": 1 / step}
            events.write("eval", step=step, epoch=0, split="val", n=9, values=said)
    if seed is not None:
        spec = json.loads(job.spec.read_bytes())
        job.spec.write_text(json.dumps({**spec, "config": {"train": {"seed": seed}}}))


def bounded(ended: Ended) -> JobPaths:
    """A job that computed ceilings, whole and at two magnitudes."""
    job = ended("main", 0.0, mvp="8.0", model="Ceiling")
    spec = json.loads(job.spec.read_bytes())
    config = {"data": {"source": "grid", "mag": [20.5, 22.5]}, "bayes": 4000, "bayes_each": 50}
    job.spec.write_text(json.dumps({**spec, "recipe": "ceiling", "config": config}))
    result = read_result(job.result)
    assert result is not None
    values = {"ceiling/r2_bayes/log_g": 0.97, "ceiling/r2_linear/log_g": 0.5}
    for mag, snr, r2 in ((20.5, 40.0, 0.99), (22.5, 6.0, 0.8)):
        values |= {f"ceiling@{mag:g}/snr/median": snr, f"ceiling@{mag:g}/r2_bayes/log_g": r2}
    write_result(job.result, replace(result, values=values, headline="ceiling/r2_bayes/log_g"))
    return job


@pytest.fixture
def ceiling(ended: Ended) -> JobPaths:
    return bounded(ended)


@pytest.fixture
def figure(lab: Lab, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Figure:
    monkeypatch.chdir(lab.paths.root)

    def draw(*args: str) -> dict[str, Any]:
        assert vitlab(["figure", *args, "--json"]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    return draw


@pytest.mark.usefixtures("ceiling")
def test_each_figure_shows_what_the_folders_hold(lab: Lab, ended: Ended) -> None:
    for n, model, spread in ((100, "ViT", 1.0), (1000, "ViT", 0.5), (1000, "Ridge", 0.9)):
        enriched(ended(f"{model} {n}", model=model), n, spread)
    made = figure_specs.figure_data(lab, lookup_results(lab.paths, ["1.0"]))
    assert len(made.results) == 3
    (panel,) = figure_specs.scaling(made).panels
    assert [(c.name, c.x) for c in panel.curves] == [
        ("Ridge", (1000.0,)),
        ("ViT", (100.0, 1000.0)),
    ]
    assert (panel.x_label, panel.y_label) == ("N: distinct training stars", "test R² of log g")
    assert all(error > 0 for curve in panel.curves for error in curve.errors)
    assert [line.label for line in panel.lines] == ["Bayes ceiling 0.970", "linear ceiling 0.500"]
    (panel,) = figure_specs.ablation(made).panels
    assert panel.names[0] == "ViT 1000"
    points = sorted((x, y) for curve in panel.curves for x, y in zip(curve.x, curve.y, strict=True))
    assert [y for _, y in points] == sorted((y for _, y in points), reverse=True)
    live, loss = training_figures.training(made).panels
    assert live.curves[0].x == loss.curves[0].x == (10.0, 20.0, 30.0)
    ridge = next(one.job for one in made.results if one.result.model_name == "Ridge")
    spec = json.loads(ridge.paths.spec.read_bytes())
    ridge.paths.spec.write_text(json.dumps({**spec, "recipe": "ridge"}))
    swept = figure_specs.figure_data(lab, lookup_results(lab.paths, ["1.0"]))
    live, _ = training_figures.training(swept).panels
    assert [c.name for c in live.curves] == ["ViT 100", "ViT 1000"]
    assert "Ridge 1000, best penalty" in live.lines[-1].label
    (panel,) = star_figures.snr(made).panels
    assert [c.name for c in panel.curves if c.reference] == ["Bayes ceiling"]
    assert list(panel.curves[0].y) == sorted(panel.curves[0].y)
    assert [p.title.split("  ")[0] for p in star_figures.parity(made).panels] == [
        one.result.run
        for one in made.results  # that begins with the model's name
    ]
    along_label, along_snr = star_figures.residuals(made).panels
    widths = [high - low for low, high in along_snr.curves[0].ends]
    assert widths[0] > 2 * widths[-1]
    assert len(along_label.curves) == 3
    assert star_figures.residuals(made).keys[-1].endswith("of their stars; runs stand side by side")


def test_residuals_reach_from_16_to_84_percent_as_they_are(lab: Lab, ended: Ended) -> None:
    job = ended("one")
    enriched(job, 100, 0.5)
    stars = load_residuals(job.residuals)
    skew = stars.true + np.random.default_rng(1).exponential(1.0, (200, 1))
    save_residuals(job.residuals, skewed := replace(stars, predicted=skew))
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, values=overall(skewed, 0).named("test")[0]))
    made = figure_specs.figure_data(lab, lookup_results(lab.paths, ["1.0"]))
    along_label, _ = star_figures.residuals(made).panels
    (curve,) = along_label.curves
    order = np.argsort(stars.true[:, 0])
    off = np.array_split((skew - stars.true)[order, 0], star_figures.STEPS)
    for end, median, own in zip(curve.ends, curve.y, off, strict=True):
        assert (end[0], median, end[1]) == pytest.approx(np.quantile(own, [0.1587, 0.5, 0.8413]))
    assert "points: medians of bins; bars: from 16% to 84% of their stars" in (
        star_figures.residuals(made).keys
    )


SINGLE = "error bars of single runs: bootstrap over the test stars, no scatter over seeds"
COSTS = (
    *(
        f"{what} training stars, noise draws unknown, core-hours unknown"
        for what in ("ViT: 100", "Ridge: 1k")
    ),
    "unequal by more than 3 times: 100 and 1k training stars",
)
ROOM = ("Bayes ceiling 0.970: +0.348", "linear ceiling 0.500: -0.122")
CEILINGS = "errors of ceilings: Monte Carlo over simulated stars and their noise"


def test_a_figure_tells_what_it_does_not_show(lab: Lab, ended: Ended, ceiling: JobPaths) -> None:
    """Bounds at or below 0, stars without S/N, runs without numbers: counted, never left out."""
    bound = read_result(ceiling.result)
    assert bound is not None
    values = dict(bound.values)
    values["ceiling/r2_crlb_mean/log_g"] = -0.4
    for mag, snr, r2 in (
        (20.5, 40.0, 0.9),
        (21.5, 15.0, 0.0),
        (22.0, 9.0, -3.0),
        (22.5, 6.0, None),
    ):
        values |= {f"ceiling@{mag:g}/snr/median": snr, f"ceiling@{mag:g}/r2_crlb_mean/log_g": r2}
    errors = {"ceiling@20.5/r2_bayes/log_g": 0.01}
    write_result(ceiling.result, replace(bound, values=values, errors=errors))
    job = ended("kept", model="ViT")
    enriched(job, 100, 0.5)
    stars = load_residuals(job.residuals)
    unplaced = np.where(np.arange(200) < 5, np.nan, np.where(np.arange(200) < 8, -1.0, stars.snr))
    save_residuals(job.residuals, replace(stars, snr=unplaced))
    enriched(ended("lost", model="Ridge"), 1000, 0.9)
    made = figure_specs.figure_data(lab, lookup_results(lab.paths, ["1.0"]))
    (lost,) = [one for one in made.results if one.result.run == "lost"]
    lost.job.paths.residuals.unlink()
    crlb = "CRLB (unbiased)"
    assert star_figures.snr(made).keys == (
        SINGLE,
        CEILINGS,
        "points: R² of a bin; ceilings: of one magnitude, joined linearly between 4",
        "ceilings: of the same stars at each magnitude: 50 (Bayes)",
        "grey: every second bin",
    )
    assert star_figures.snr(made).notes == (
        *COSTS,
        f"{crlb}: 1 of 4 magnitudes not finite, not shown",
        f"{crlb}: 2 of 4 magnitudes with R² ≤ 0, not shown",
        f"{crlb}: R² = 0.900 at S/N 40 alone, no curve",
        "ViT: 8 of 200 stars without a positive S/N, not shown",
        "1 of 2 runs without residuals with S/N: not shown",
    )
    below = f"{crlb}: -0.4 ≤ 0, not shown"
    alone = "1 of 1 differences of independent test stars"
    assert figure_specs.ablation(made).notes == (alone, *ROOM, *COSTS, below)
    assert star_figures.residuals(made).notes == (
        *COSTS,
        "ViT: 8 of 200 stars without a positive S/N or a finite residual, not shown",
        "1 of 2 runs without residuals: not shown",
    )
    assert star_figures.parity(made).notes == (*COSTS, "1 of 2 runs without residuals: not shown")
    lost.job.paths.residuals.write_bytes(b"PAR1")
    made_by = "(`vitlab evaluate JOB` makes them anew): not shown"
    assert star_figures.parity(made).notes == (
        *COSTS,
        f"1 of 2 runs without residuals as they were written {made_by}",
    )
    assert training_figures.training(made).notes == (*COSTS, below)


def paid(job: JobPaths, draws: int, hours: float | None, **values: float | None) -> None:
    """What its training took; a value of None is removed."""
    result = read_result(job.result)
    assert result is not None
    data = {**result.data, "draws": draws, **({} if hours is None else {"core_hours": hours})}
    kept = {k: v for k, v in {**result.values, **values}.items() if v is not None}
    write_result(job.result, replace(result, data=data, values=kept))


def test_two_models_are_shown_with_what_each_was_trained_on(lab: Lab, ended: Ended) -> None:
    for model, n, draws, hours in (
        ("ViT", 2_000, 60_000, 0.004),
        ("ViT", 50_000, 1_500_000, 0.085),
        ("LightGBM", 2_000, 2_000, 0.004),
        ("LightGBM", 50_000, 50_000, None),
    ):
        job = ended(f"{model} {n}", model=model)
        enriched(job, n, 0.5)
        paid(job, draws, hours)
    made = figure_specs.figure_data(lab, lookup_results(lab.paths, ["1.0"]))
    assert figure_specs.scaling(made).notes == (
        "LightGBM: 2k to 50k noise draws, core-hours unknown",
        "ViT: 60k to 1.5M noise draws, 0.089 core-hours",
        "unequal by more than 3 times at every N, as at N = 2k: 2k and 60k noise draws",
    )
    vit = "ViT: 2k to 50k training stars, 60k to 1.5M noise draws, 0.089 core-hours"
    each = "60k, 1.5M, 2k and 50k noise draws"
    unequal = f"unequal by more than 3 times: 2k and 50k training stars; {each}"
    for maker in (figure_specs.ablation, star_figures.parity, star_figures.residuals):
        assert {vit, unequal} <= {*maker(made).notes}
    large = [one for one in made.results if one.result.n["train"] == 50_000]
    for seen, is_unequal in ((150_000, False), (160_000, True)):  # of 50k: 3 times may be
        data = {**large[0].result.data, "draws": seen}
        first = replace(large[0], result=replace(large[0].result, data=data))
        notes = figure_specs.ablation(replace(made, results=(first, *large[1:]))).notes
        assert any("unequal" in note for note in notes) == is_unequal


def test_without_validation_scores_no_run_is_chosen_and_all_are_shown(
    lab: Lab, ended: Ended
) -> None:
    for run, n, spread in (("a", 100, 0.9), ("b", 1000, 0.5), ("c", 1000, 0.8)):
        job = ended(run, mvp="1.0")
        enriched(job, n, spread)
        paid(job, n, 0.01, **({"val/r2/log_g": None} if n == 1000 else {}))
    results = lookup_results(lab.paths, ["1.0"])
    picture = figure_specs.scaling(figure_specs.figure_data(lab, results))
    known, loose = picture.panels[0].curves
    assert known.x == (100.0,)
    assert loose.name == "ViT, each run"
    assert not loose.joined
    tested = [one.result.values[NAME] for one in results[1:]]
    assert (loose.x, list(loose.y)) == ((1000.0, 1000.0), tested)
    why = "ViT: 1 training sizes with several runs, no validation scores: all shown"
    assert why in picture.notes


def test_a_curve_is_of_one_number_of_parameters_where_sizes_have_several(
    lab: Lab, ended: Ended
) -> None:
    def shown(*sizes: tuple[int, int]) -> tuple[str, tuple[float, ...], tuple[str, ...]]:
        for n, params in sizes:
            enriched(job := ended(f"N={n} P={params}"), n, 0.5)
            result = read_result(job.result)
            assert result is not None
            model = {"name": "ViT", "params": params}
            write_result(job.result, replace(result, model=model))
        made = figure_specs.figure_data(lab, lookup_results(lab.paths, ["1.0"]))
        picture = figure_specs.scaling(made)
        (curve,) = picture.panels[0].curves
        return curve.name, curve.x, picture.notes

    name, xs, notes = shown((100, 10), (1000, 20), (1000, 30))
    assert (name, xs) == ("ViT", (100.0, 1000.0))  # none has two sizes
    assert "ViT: 1 training sizes with several configurations: the best on validation" in notes
    name, xs, notes = shown((100, 20))
    assert (name, xs) == ("ViT, P 20", (100.0, 1000.0))
    assert "ViT: runs of other P not shown (10 and 30)" in notes


def test_repeats_over_seeds_are_one_point_with_the_error_of_their_mean(
    lab: Lab, ended: Ended
) -> None:
    for seed in (42, 43, 44):
        enriched(ended(f"one seed={seed}"), 100, 0.8, seed)
    enriched(ended("two"), 1000, 0.5)
    made = figure_specs.figure_data(lab, lookup_results(lab.paths, ["1.0"]))
    (panel,) = figure_specs.scaling(made).panels
    values = [one.result.values[NAME] or 0.0 for one in made.results[:3]]
    assert panel.curves[0].x == (100.0, 1000.0)
    assert panel.curves[0].y[0] == pytest.approx(np.mean(values))
    stars = [one.result.errors[NAME] for one in made.results[:3]]
    assert panel.curves[0].errors[0] == pytest.approx(error_of_mean(values, stars), rel=1e-3)
    repeats = "error bars of repeats: of the mean of 3 seeds, over stars and seeds"
    assert figure_specs.scaling(made).keys == (SINGLE, repeats)


def test_seeds_are_shown_as_one_and_in_their_order(lab: Lab, ended: Ended) -> None:
    for seed in (44, 42, 43):  # as they ended
        job = ended(f"one seed={seed}", model="ViT")
        enriched(job, 100, 0.8, 1)  # the same stars
        spec = json.loads(job.spec.read_bytes())
        job.spec.write_text(json.dumps({**spec, "config": {"train": {"seed": seed}}}))
    job = ended("two", model="Ridge")
    enriched(job, 100, 0.5, 1)
    job.spec.write_text(json.dumps({**json.loads(job.spec.read_bytes()), "recipe": "ridge"}))
    made = figure_specs.figure_data(lab, ())
    (panel,) = star_figures.snr(made).panels
    assert [curve.name for curve in panel.curves] == ["ViT (3 seeds)", "Ridge"]
    assert [one.result.run for one in made.results][:3] == [f"one seed={n}" for n in (42, 43, 44)]
    along, _ = star_figures.residuals(made).panels
    assert [curve.name for curve in along.curves] == ["ViT one seed=42", "Ridge two"]
    assert "of each run the first seed, 2 more not shown" in star_figures.residuals(made).notes
    seeds = [star_figures.snr(replace(made, results=(one,))) for one in made.results[:3]]
    each = [picture.panels[0].curves[0] for picture in seeds]
    for point in range(len(panel.curves[0].y)):
        numbers, stars = ([getattr(one, key)[point] for one in each] for key in ("y", "errors"))
        shown = panel.curves[0].errors[point]
        assert shown == pytest.approx(error_of_mean(numbers, stars), rel=1e-3, abs=1e-6)
    learned = training_figures.learning(made).panels[0]
    assert learned.title == "ViT one (3 seeds)"
    assert not any(curve.marked for curve in learned.curves)


def test_ceilings_and_validation_are_shown_with_their_errors(
    lab: Lab, ended: Ended, ceiling: JobPaths
) -> None:
    bound = read_result(ceiling.result)
    assert bound is not None
    errors = {"ceiling/r2_bayes/log_g": 0.012}
    write_result(ceiling.result, replace(bound, errors=errors))
    for run, spread in (("one", 0.5), ("two", 0.9)):
        enriched(job := ended(run), 100, spread)
        result = read_result(job.result)
        assert result is not None
        write_result(job.result, replace(result, n={"train": 100, "val": 1000, "test": 4000}))
    made = figure_specs.figure_data(lab, ())
    levels = [line.label for line in made.levels(NAME)]
    assert levels == ["Bayes ceiling 0.970 ± 0.012", "linear ceiling 0.500"]
    first, second = (one.result for one in made.results)
    gap, error = 0.97 - (first.values[NAME] or 0), math.hypot(0.012, first.errors[NAME])
    notes = figure_specs.ablation(made).notes
    assert f"Bayes ceiling 0.970 ± 0.012: {measured(gap, error, signed=True)}" in notes
    # A test set of four times the stars: twice the error on validation, of either run.
    stars = first.errors[NAME] + second.errors[NAME]
    key = f"R² of 1,000 validation stars: ± {stars:.2g} against a ceiling, less between runs"
    for maker in (training_figures.training, training_figures.learning):
        assert key in maker(made).keys


def test_the_key_of_differences_says_what_their_errors_are_of() -> None:
    known = SeedMean(SeedScatter(0.02, 2), 3)
    stars, seeds = Spread(0.01, (replace(known, is_assumed=True),)), Spread(0.01, (known,))
    one, more = Gap(0.1, 0.01, spread=stars), Gap(0.1, 0.02, spread=seeds)
    keys = [figure_specs._gap_key(gaps) for gaps in ([one], [more], [one, more])]
    assert [key.partition("test stars")[2] for key in keys] == [
        ", no scatter over seeds", " and seeds", ", and over seeds where their scatter is known"
    ]  # fmt: skip


def test_a_figure_goes_beside_the_roadmap_and_into_its_report(
    lab: Lab, roadmap: Path, ended: Ended, figure: Figure
) -> None:
    enriched(ended("one", profile="demo"), 100, 0.5)
    early = figure("parity", "1.0")
    assert early["files"] == [f"roadmaps/img/mvp_1.0_parity_demo.{kind}" for kind in ("pdf", "png")]
    assert early["linked"] == []  # there is no report yet
    accept(lab, pending(lab, roadmap))
    (report,) = roadmap.parent.glob("exp_*.md")
    link = "(<./img/mvp_1.0_{}_demo.png>)"
    assert link.format("parity") in report.read_text(encoding="utf-8")
    later = figure("residuals", "MVP-1.0")
    assert later["linked"] == [lab.paths.relative(report)]
    text = report.read_text(encoding="utf-8")
    assert text.index(link.format("parity")) < text.index(link.format("residuals"))
    assert text.index(link.format("residuals")) < text.index("## Reproduce")
    assert figure("residuals", "1.0")["linked"] == []
    assert vitlab(["undo"]) == 0
    assert link.format("residuals") not in report.read_text(encoding="utf-8")


def test_what_cannot_be_drawn_is_one_line(
    lab: Lab, ended: Ended, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab.paths.root)
    said = {"scaling": "nothing to draw"}
    for name, text in said.items():
        assert vitlab(["figure", name]) == 2
        assert text in capsys.readouterr().err
    ended("one")
    said = {
        "scaling": "at two training sizes or more (there are: ViT at 1000)",
        "ablation": "of two runs or more (there are: 1)",
        "parity": "no residuals in VIT-20260102-the-run-01/",
        "residuals": "`vitlab evaluate JOB` makes them",
        "snr": "no residuals in",
        "training": "no job has a curve of val/r2/log_g",
    }
    for name, text in said.items():
        assert vitlab(["figure", name, "1.0"]) == 2
        err = capsys.readouterr().err
        assert text in err
        assert err.count("\n") == 1


def test_a_gate_s_levels_are_of_what_its_own_runs_are_judged_by(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", headline="test/r2/log_g")
    for run in ("a", "b"):  # more of them, of another plan and of another MVP
        ended(run, roadmap="roadmaps/other.md", exp_id="VIT-9", headline="test/r2/T_eff")
        ended(run, mvp="2.0", exp_id="VIT-20260101-another-01", headline="test/r2/T_eff")
    expected = [(0.65, "Gate-1 (test) at 0.65"), (0.7, "Gate-1 (test) at 0.7")]
    reader = LabReader(lab)
    view = read_snapshot(lab, roadmap)
    levels = reader.levels(view, "val/r2/log_g")
    assert [(line.value, line.label) for line in levels] == expected
    assert reader.levels(view, "val/r2/T_eff") == ()
    on_test = [line.label for line in reader.levels(view, "test/r2/log_g")]
    assert on_test == ["Gate-1 at 0.65", "Gate-1 at 0.7"]
    folders = [job.paths.folder for job in all_jobs(lab.paths)]
    drawn = curves(lab, folders, "val/r2/log_g").thresholds
    assert [(line.value, line.label) for line in drawn] == expected


@pytest.mark.parametrize(
    ("start", "times", "epochs", "axis", "x"),
    [
        (True, [1.0, 2.0, 3.0], [0, 1, 2], "epoch", [0, 1, 2]),
        (False, [1.0, 2.0, 3.0], [0, 1, 2], "epoch", [0, 1, 2]),
        (False, [1.0, 2.0, 3.0], [None] * 3, "step", [10, 20, 30]),
        (True, [5.0, 5.0, 5.0], [0, 1, 2], "epoch", [0, 1, 2]),
        (True, [5.0, 5.0, 5.0], [0, 0, 0], "step", [10, 20, 30]),
    ],
)
def test_curves_stand_where_each_point_has_a_place(
    lab: Lab, ended: Ended, start: bool, times: list[float], epochs: list[float | None],
    axis: str, x: list[float],
) -> None:  # fmt: skip
    job = ended("one")
    lines: list[dict[str, Any]] = [{"kind": "start", "t": 100.0, "host": "x"}] if start else []
    for step, t, epoch in zip((10, 20, 30), times, epochs, strict=True):
        event = {"kind": "eval", "t": 100.0 + t, "step": step, "split": "val"}
        at = {} if epoch is None else {"epoch": epoch}
        lines.append({**event, **at, "values": {"val/r2/log_g": step / 100}})
    text = "".join(json.dumps({"v": 1, **line}) + "\n" for line in lines)
    job.events.write_text(text, encoding="utf-8")
    drawn = curves(lab, [job.folder])
    assert (drawn.axis, list(drawn.series[0].x)) == (axis, x)


def test_launches_of_one_run_are_told_apart(lab: Lab, ended: Ended) -> None:
    jobs = [ended("one"), ended("one"), ended("two")]
    event = {"v": 1, "t": 1.0, "kind": "eval", "step": 1, "values": {"val/r2/log_g": 0.5}}
    for job in jobs:
        job.events.write_text(json.dumps(event) + "\n", encoding="utf-8")

    def names() -> list[str]:
        drawn = curves(lab, sorted(lab.paths.experiments.glob("*/*"))).series
        return sorted(one.name for one in drawn)

    times = [job.folder.name[9:15] for job in jobs[:2]]
    assert names() == [*(f"1.0 one {time}" for time in times), "1.0 two"]
    for job, day in zip(jobs, ("02", "03"), strict=False):
        job.folder.rename(job.folder.with_name(f"202601{day}-101112-one"))
    again = [f"1.0 one 202601{day}-101112-one" for day in ("02", "03")]
    assert names() == [*again, "1.0 two"]


def test_calibration_shows_too_small_a_sigma(lab: Lab, ended: Ended, tmp_path: Path) -> None:
    job = ended("Run 1")
    enriched(job, 100, 1.0)
    made = figure_specs.figure_data(lab, lookup_results(lab.paths, ["1.0"]))
    with pytest.raises(UsageError, match="calibration: no job predicts a density of log_g"):
        star_figures.calibration(made)
    truth = np.random.default_rng(0).normal(size=(200, 1))
    narrow = DensityScores(norm.logpdf(truth, scale=0.5), truth[:, 0], norm.cdf(truth / 0.5))
    right = DensityScores(norm.logpdf(truth), truth[:, 0], norm.cdf(truth))
    kept = load_residuals(job.residuals)
    save_residuals(job.residuals, replace(kept, density=narrow))
    pit, levels, along = star_figures.calibration(made).panels
    assert np.mean(pit.curves[0].y) == pytest.approx(1.0)
    ends, middle = pit.curves[0].y[0] + pit.curves[0].y[-1], sum(pit.curves[0].y[3:7])
    assert ends > 2 * (1 + 2 * max(pit.curves[0].errors)) > middle
    assert levels.diagonal
    assert [y < x - 0.1 for x, y in zip(levels.curves[0].x, levels.curves[0].y, strict=True)] == [
        True
    ] * 4
    assert len(along.curves[0].y) == 4
    save_residuals(tmp_path / "right.parquet", replace(kept, density=right))
    paths = [tmp_path / "right.parquet", job.residuals]
    gap = residuals_gap(paths, ({}, {}), "log_score", "log_g")
    assert gap is not None
    expected = norm.logpdf(truth) - norm.logpdf(truth, scale=0.5)
    assert gap.value == pytest.approx(float(expected.mean()))
    assert gap.error == pytest.approx(float(expected.std(ddof=1)) / math.sqrt(200))
    save_residuals(paths[0], kept)
    assert residuals_gap(paths, ({}, {}), "log_score", "log_g") is None


def test_a_stranger_s_result_writes_no_figure_out_of_its_lab(
    lab: Lab, ended: Ended, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    """By the names in its results, by its roadmap's folder, or by links that wait for us."""
    monkeypatch.chdir(lab.paths.root)
    outside = tmp_path_factory.mktemp("outside")
    (outside / "mine.png").write_text("mine")
    up = f"../../../../../../..{outside}/x"
    for n, run in enumerate(("one", "two")):
        job = ended(run, 0.5 + n / 10, mvp=f"1.0/{up}", exp_id="VIT-20260103-a-01")
        about = json.loads(job.result.read_bytes())
        job.result.write_text(json.dumps({**about, "profile": f"demo/{up}"}))
    vitlab(["figure", "ablation", "--no-link"])
    capsys.readouterr()
    img = lab.paths.root / "roadmaps/img"
    for path in img.iterdir() if img.is_dir() else ():
        path.unlink()
    for run in ("one", "two"):
        ended(run, 0.7)
    for pid in {os.getpid(), os.getppid()}:
        for kind in ("pdf", "png"):
            img.mkdir(exist_ok=True)
            (img / f".mvp_1.0_ablation.{kind}.tmp-{pid}").symlink_to(outside / "mine.png")
    assert vitlab(["figure", "ablation", "1.0", "--no-link"]) == 0
    assert (img / "mvp_1.0_ablation.png").is_file()
    for path in img.iterdir():
        path.unlink()
    img.rmdir()
    img.symlink_to(outside)
    capsys.readouterr()
    assert vitlab(["figure", "ablation", "1.0"]) == 2
    assert "roadmaps/img: outside the lab" in capsys.readouterr().err
    assert (outside / "mine.png").read_text() == "mine"
    assert [path.name for path in outside.iterdir()] == ["mine.png"]
