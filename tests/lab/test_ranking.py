"""A sweep's conclusion: best, runner-up, their difference, its error, and when that is noise."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.lab.conftest import Ended, error_of_mean
from tests.lab.test_figures import bounded
from tests.lab.test_pairs import scored
from tests.lab.test_results_table import configured
from vitlab.cli import main as vitlab
from vitlab.commands.common import judge_gates
from vitlab.contract.job import Spec, read_result, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.docs.judge.budget import Budget
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import (
    all_results,
    finished,
    latest,
    lookup_job,
    lookup_results,
    newest_results,
    starts_principal,
)
from vitlab.lab.results.launches import unread
from vitlab.lab.results.repeats import grouped
from vitlab.lab.writeback.decisions import is_unsupported
from vitlab.lab.writeback.edits import accept
from vitlab.lab.writeback.sync_ledger import launch_to_write
from vitlab.lab.writeback.writeback import pending, plan_mvp


def scores(jobs: Sequence[JobPaths]) -> tuple[list[float], list[float]]:
    """The headline of each and its error."""
    results = [read_result(job.result) for job in jobs]
    known = [result for result in results if result is not None]
    numbers = [result.values["test/r2/log_g"] or 0.0 for result in known]
    return numbers, [result.errors["test/r2/log_g"] for result in known]


def concluded(lab: Lab, roadmap: Path) -> str:
    step = plan_mvp(lab, roadmap, "1.0")
    assert step is not None
    return step.summary


def test_a_clear_lead_is_told_with_its_error(lab: Lab, roadmap: Path, ended: Ended) -> None:
    r2 = [scored(ended(run), spread, 1) for run, spread in (("a", 0.1), ("b", 0.5), ("c", 0.9))]
    ended("d", outcome="failed")
    said = concluded(lab, roadmap)
    assert f"ViT [a] on 1k stars: R²_test={r2[0]:.3f} ± " in said
    assert f"best of 3 runs on validation, runner-up b, Δ = {r2[0] - r2[1]:+.3f} ± " in said
    assert "(on the same 800 stars)" in said
    assert "within 2 errors" not in said
    assert "without a result: d" in said


def test_a_lead_within_two_errors_is_marked(lab: Lab, roadmap: Path, ended: Ended) -> None:
    scored(ended("a"), 0.2, 1)
    scored(ended("b"), 0.2, 2)
    assert "stars): within 2σ of 0" in concluded(lab, roadmap)


def test_seeds_are_one_run_with_their_mean(lab: Lab, roadmap: Path, ended: Ended) -> None:
    r2, jobs = [], []
    for loss, spread in (("mse", 0.2), ("l1", 0.25)):
        for seed in (42, 43, 44):
            job = configured(ended(f"loss={loss},seed={seed}"), loss=loss, train={"seed": seed})
            r2.append(scored(job, spread, seed))
            jobs.append(job)
    said = concluded(lab, roadmap)
    mean, error = np.mean(r2[:3]), error_of_mean(*scores(jobs[:3]))
    number = f"R²_test={mean:.3f} ± {error:.3f}; mean of 3 seeds, ± over test stars and seeds"
    assert said.startswith(f"MVP-1.0: ViT [loss=mse] on 1k stars: {number}; best of 2 runs")
    accept(lab, pending(lab, roadmap))
    hub = (roadmap.parent / "plan_hub.md").read_text(encoding="utf-8")
    assert f"| {mean:.3f} ± {error:.3f} |" in hub  # not the luckiest seed's
    assert "best of 2 runs on validation, runner-up loss=l1" in said


def test_an_error_over_seeds_alone_is_told_as_that(
    lab: Lab,
    roadmap: Path,
    ended: Ended,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(lab.paths.root)
    for seed in (42, 43, 44):
        job = configured(ended(f"seed={seed}"), train={"seed": seed})
        scored(job, 0.2, seed)
        job.residuals.unlink()
        result = read_result(job.result)
        assert result
        write_result(job.result, replace(result, errors={}))
    assert "mean of 3 seeds, ± over seeds alone" in concluded(lab, roadmap)
    assert vitlab(["compare"]) == 0
    assert "± of several seeds: standard error of their mean, over seeds alone" in (
        capsys.readouterr().err
    )


def test_one_seed_run_under_two_names_counts_once(lab: Lab, roadmap: Path, ended: Ended) -> None:
    r2, jobs = [], []
    for run, seed in (("main", 42), ("seed=42", 42), ("seed=43", 43)):
        jobs.append(configured(ended(run), train={"seed": seed}))
        r2.append(scored(jobs[-1], 0.2, seed + len(run)))
    mean, error = np.mean(r2[1:]), error_of_mean(*scores(jobs[1:]))
    number = f"R²_test={mean:.3f} ± {error:.3f}; mean of 2 seeds, ± over test stars and seeds"
    assert number in concluded(lab, roadmap)  # of one computed twice the newer


def test_the_baseline_and_the_ceiling_are_named(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ceiling = configured(
        ended("main", 0.0, mvp="8.0", model="Ceiling"),
        data={"source": "grid", "mag": [20.5, 22.5]},
        bayes=4000,
    )
    spec = json.loads(ceiling.spec.read_bytes())
    ceiling.spec.write_text(json.dumps({**spec, "recipe": "ceiling"}), encoding="utf-8")
    result = read_result(ceiling.result)
    assert result is not None
    write_result(ceiling.result, replace(result, values={"ceiling/r2_bayes/log_g": 0.9}))
    scored(ended("trees", mvp="2.0", model="LightGBM"), 0.5, 2)
    ours = scored(ended("main"), 0.1, 1)
    said = concluded(lab, roadmap)
    assert "against LightGBM (MVP-2.0): Δ = +0.1" in said
    assert f"{ours / 0.9:.3f} ± " in said
    assert " of the Bayes ceiling 0.900" in said
    roadmap.write_text(
        roadmap.read_text(encoding="utf-8") + "\n# 结论在此说明以后的计划与目标\n" * 30,
        encoding="utf-8",
    )
    chinese = concluded(lab, roadmap)
    assert "相对 LightGBM (MVP-2.0)：Δ = +0.1" in chinese
    assert "达到 Bayes 上限 0.900 的" in chinese


@pytest.mark.parametrize("leak", ["ceiling", "overlap"])
def test_what_leaks_is_no_result(lab: Lab, roadmap: Path, ended: Ended, leak: str) -> None:
    job = ended("main")
    result = read_result(job.result)
    assert result is not None
    if leak == "overlap":
        write_result(job.result, replace(result, data={"hash": "x", "overlap": 12}))
        wanted = "Test spectra in the training set, by content: 12 of 100: not a result"
    else:
        ceiling = configured(ended("main", 0.0, mvp="8.0", model="Ceiling"), bayes=4000)
        spec = json.loads(ceiling.spec.read_bytes())
        ceiling.spec.write_text(json.dumps({**spec, "recipe": "ceiling"}), encoding="utf-8")
        write_result(
            ceiling.result, replace(result, mvp="8.0", values={"ceiling/r2_bayes/log_g": 0.6})
        )
        wanted = "above the Bayes ceiling 0.600: a leak, not a result"
    assert wanted in concluded(lab, roadmap)


@pytest.mark.parametrize("torn", ["result", "exit", "spec", "ceiling"])
def test_a_gate_is_open_while_what_may_forbid_its_pass_cannot_be_read(
    lab: Lab, roadmap: Path, ended: Ended, torn: str
) -> None:
    ended("main")
    other = ended("control", 0.5) if torn != "ceiling" else ended("bound", 0.0, mvp="8.0")
    if torn == "ceiling":
        spec = json.loads(other.spec.read_bytes())
        other.spec.write_text(json.dumps({**spec, "recipe": "ceiling"}), encoding="utf-8")
    assert judge_gates(lab, roadmap)[1][0].verdict == "pass"
    path = {"exit": other.exit, "spec": other.spec}.get(torn, other.result)
    path.write_text('{"mvp', encoding="utf-8")
    found = judge_gates(lab, roadmap)[1][0]
    assert found.verdict == "open"
    assert f"{other.name}: {path.name} is not JSON" in found.because


def test_no_older_result_stands_for_the_newest_of_its_run_that_cannot_be_read(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    first, other = ended("main", 0.5), ended("other", 0.6)
    newer, trial = ended("main", 0.7), ended("other", 0.1, profile="demo")
    failed = ended("other", 0.1, outcome="failed")
    for job in (newer, trial, failed):
        job.result.write_text('{"mvp', encoding="utf-8")
    for found in (newest_results(lab, roadmap), latest(all_results(lab)),
                  lookup_results(lab.paths, ["1.0"])):  # fmt: skip
        assert [one.job.name for one in found] == [other.name]
    assert not is_unsupported(lab, roadmap, "1.0", "done")
    assert {one.job.name for one in all_results(lab)} == {first.name, other.name}
    shutil.rmtree(other.folder)
    for look in (lambda: lookup_results(lab.paths, ["1.0"]), lambda: lookup_job(lab.paths, "1.0")):
        with pytest.raises(UsageError, match=f"newest result cannot be read: {newer.name}: result"):
            look()
    shutil.rmtree(newer.folder)
    assert lookup_job(lab.paths, "1.0") == first
    ended("main", 0.7).exit.write_text("{", encoding="utf-8")
    assert newest_results(lab, roadmap) == []
    ended("main", 0.8)
    assert [one.result.values["test/r2/log_g"] for one in newest_results(lab, roadmap)] == [0.8]


def test_no_older_result_stands_for_a_newer_job_whose_spec_is_lost(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    first, other = ended("main", 0.5), ended("other", 0.6)
    newer, trial = ended("main", 0.7), ended("other", 0.1, profile="demo")
    failed = ended("other", 0.1, outcome="failed")
    for job in (newer, trial, failed):
        job.spec.write_text('{"mvp', encoding="utf-8")
    for write in (newer.spec.unlink, lambda: newer.result.write_text("{"), newer.exit.unlink):
        for found in (newest_results(lab, roadmap), latest(all_results(lab)),
                      lookup_results(lab.paths, ["1.0"])):  # fmt: skip
            assert [one.job.name for one in found] == [other.name]
        with pytest.raises(UsageError, match=f"newest result cannot be read: {newer.name}: spec"):
            lookup_job(lab.paths, "1.0/main")
        write()
    assert {one.job.name for one in newest_results(lab, roadmap)} == {first.name, other.name}


@pytest.mark.parametrize(
    "how", ["a torn spec", "neither spec nor result", "a link to nothing", "all are"]
)
def test_nor_where_each_launch_has_a_folder_of_its_own(
    lab: Lab, roadmap: Path, ended: Ended, how: str
) -> None:
    """As where a plan names no experiment; another MVP has one of the same topic."""
    jobs = [
        ended("main", r2, mvp=mvp, exp_id=f"VIT-{day}-the-run-01")
        for r2, mvp, day in ((0.5, "1.0", 20260101), (0.6, "2.0", 20260102), (0.7, "1.0", 20260103))
    ]
    for job, file in zip(jobs, ("the_run", "other", "the_run"), strict=True):
        spec = {**json.loads(job.spec.read_bytes()), "experiment": f"experiments/{file}.yaml"}
        job.spec.write_text(json.dumps(spec))
    _, other, newer = jobs
    if how == "a link to nothing":
        shutil.rmtree(newer.folder)
        newer.folder.symlink_to(newer.root / "archive")
    else:
        newer.spec.write_text("{")
    if how == "all are":
        shutil.rmtree(newer.folder.parent)
        newer.folder.parent.symlink_to(newer.root / "archive")
    if how == "neither spec nor result":
        newer.result.write_text("{")
    found = [one.job.name for one in newest_results(lab, roadmap)]
    assert found == [one.job.name for one in latest(all_results(lab))] == [other.name]
    first = next(job for job in all_jobs(lab.paths) if job.spec.mvp == "1.0")
    assert launch_to_write(lab, [first]) == []
    assert "spec.json" in unread(lab, [first])


@pytest.mark.parametrize("how", ["torn", "a link to nothing"])
def test_an_old_job_whose_spec_is_lost_keeps_no_gate_open(
    lab: Lab, roadmap: Path, ended: Ended, how: str
) -> None:
    old = ended("main", 0.5)
    ended("main")
    old.spec.write_text("{")
    if how == "a link to nothing":
        shutil.rmtree(old.folder)
        old.folder.symlink_to(old.root / "archive")
    assert judge_gates(lab, roadmap)[1][0].verdict == "pass"


def test_a_run_whose_name_ends_in_a_number_stands_before_no_other(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    seed, other = ended("seed"), ended("seed-1")
    other.spec.write_text("{")
    other.result.write_text("{")
    assert [one.job.name for one in newest_results(lab, roadmap)] == [seed.name]


def sized(job: JobPaths, n: int) -> JobPaths:
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, n={"train": n, "test": 800}))
    return job


def test_a_scaling_sweep_is_told_against_another_model_of_its_size(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    r2 = {}
    for model, spreads in (("ViT", (0.4, 0.1)), ("LightGBM", (0.8, 0.5))):
        for n, spread in zip((1000, 9000), spreads, strict=True):
            job = ended(f"{model} train_size={n}", model=model)
            r2[model, n] = scored(job, spread, n)
            sized(job, n)
    other = ended("mlp", mvp="2.0", model="MLP")
    scored(sized(other, 50_000), 0.2, 5)
    said = concluded(lab, roadmap)
    assert "ViT [ViT train_size=9000] on 9k stars" in said
    lead = r2["ViT", 9000] - r2["LightGBM", 9000]
    assert f"against LightGBM (MVP-1.0): Δ = {lead:+.3f} ± " in said


def test_a_ceiling_says_what_it_is_and_how_it_falls(lab: Lab, roadmap: Path, ended: Ended) -> None:
    job = bounded(ended)
    for path in (job.spec, job.result):
        document = json.loads(path.read_bytes())
        path.write_text(json.dumps({**document, "mvp": "1.0"}), encoding="utf-8")
    said = concluded(lab, roadmap)
    assert "Ceiling on 1k stars: R²_Bayes=0.970; by magnitude 20.5: 0.99, 22.5: 0.80" in said
    accept(lab, pending(lab, roadmap))
    (report,) = roadmap.parent.glob("exp_*.md")
    assert "| 22.5 | 6.0 | 0.8000 | - | - |" in report.read_text(encoding="utf-8")
    hub = (roadmap.parent / "plan_hub.md").read_text(encoding="utf-8")
    assert "| Ceiling R²_Bayes | 0.970 | MVP-1.0 |" in hub  # no sizes: a bound has other stars


def test_a_sweep_without_validation_scores_names_no_best(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    for run, r2 in (("a", 0.60), ("b", 0.71)):
        job = ended(run, r2)
        result = read_result(job.result)
        assert result is not None
        write_result(job.result, replace(result, values={"test/r2/log_g": r2}))
    said = concluded(lab, roadmap)
    assert "2 runs, R²_test=0.600..0.710; not chosen: no validation score" in said
    assert "best of" not in said


def test_a_conclusion_names_what_both_sides_cost(lab: Lab, roadmap: Path, ended: Ended) -> None:
    for job, spread, draws in (
        (ended("main"), 0.1, 50_000),
        (ended("trees", mvp="2.0", model="LightGBM"), 0.6, 1000),
    ):
        scored(job, spread, draws)
        result = read_result(job.result)
        assert result is not None
        write_result(job.result, replace(result, data={**result.data, "draws": draws}))
    scatter = {model: {"test/r2/log_g": 0.001} for model in ("ViT", "LightGBM")}
    stated = replace(lab, settings=replace(lab.settings, seed_scatter=scatter))
    said = concluded(stated, roadmap)
    assert "stars): unequal: more than 3 times the stars or noise draws; " in said
    assert "ViT: 1k stars, 50k noise draws, core-hours unknown" in said
    assert "LightGBM: 1k stars, 1k noise draws, core-hours unknown" in said
    assert "one seed, the seed scatter is unknown" in concluded(lab, roadmap)


def test_a_program_s_default_seed_is_one_of_its_seeds(lab: Lab, ended: Ended) -> None:
    """Named by its own where the run was launched again; the mean has no seed's name."""
    for seed in (None, 43):
        job = ended("main", 0.7 if seed else 0.8, model="main")
        spec = json.loads(job.spec.read_bytes())
        config = {"argv": ["./train", "{seed}"], **({"seed": seed} if seed else {})}
        job.spec.write_text(json.dumps({**spec, "recipe": "command", "config": config}))
    newest = latest(finished(all_jobs(lab.paths)))
    assert sorted(one.result.run for one in newest) == ["main", "seed=42"]
    (group,) = grouped(newest)
    assert group.as_one().values["test/r2/log_g"] == pytest.approx(0.75)
    assert group.as_one().model_name == "main"


def test_weights_that_start_from_noise_free_spectra_are_told() -> None:
    spec = Spec("1.0", "one", "full", "vit", {}, exp_id="A-1", roadmap="r.md")
    assert starts_principal(spec)
    for model in ({"start": "random"}, {"tokenizer": "C1D"}, {"chunk_norm": "zscore"}):
        assert not starts_principal(replace(spec, config={"model": model}))
    assert not starts_principal(replace(spec, recipe="mlp"))
    budget = Budget(1e6, 1e6, None, noise_free=True).phrase("ViT").text("en")
    assert budget.endswith("unknown (starts from noise-free spectra)")
