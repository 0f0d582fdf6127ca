"""A number whose run fails a check is quoted nowhere: not in status, documents, figures, drafts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from vitlab.contract.events import EventWriter
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.docs.text.source import Document
from vitlab.jobs import submissions
from vitlab.jobs.store import all_jobs, read_job
from vitlab.lab.figures.figure_specs import ablation, figure_data, scaling
from vitlab.lab.lab import Lab
from vitlab.lab.live.snapshot import read_snapshot
from vitlab.lab.live.standing import best_scores
from vitlab.lab.paper.check import check
from vitlab.lab.paper.draft import draft_of
from vitlab.lab.paper.facts import facts_of
from vitlab.lab.results.ceilings import ceilings
from vitlab.lab.results.job_results import all_results, finished
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.results.scaling import scalings
from vitlab.lab.results.sound import faults
from vitlab.lab.writeback.edits import accept
from vitlab.lab.writeback.writeback import pending
from vitlab.tui.text import best_jobs

FAULT = "Test spectra in the training set, by content: 50 of 100"


def leaking(job: JobPaths, train: int) -> JobPaths:
    """Half of its test spectra were trained on; of its own size of the training set."""
    sized(job, train)
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, data={"hash": "same", "overlap": 50}))
    return job


def sized(job: JobPaths, train: int) -> JobPaths:
    result = read_result(job.result)
    assert result is not None
    write_result(job.result, replace(result, n={"train": train, "test": 100}))
    spec = json.loads(job.spec.read_bytes())
    job.spec.write_text(json.dumps({**spec, "config": {"data": {"train_size": train}}}))
    submissions.record(job.folder)
    with EventWriter(job.events) as events:
        events.write("eval", step=1, epoch=0, split="test", n=100, values=dict(result.values))
    return job


@pytest.fixture
def leak(lab: Lab, ended: Ended) -> JobPaths:
    """The best of three sizes, by a leak."""
    sized(ended("small", 0.3), 1000)
    sized(ended("middle", 0.5), 3000)
    return leaking(ended("large", 0.99), 9000)


def test_the_best_run_of_an_mvp_is_none_that_fails_a_check(
    lab: Lab, roadmap: Path, leak: JobPaths
) -> None:
    said: list[str] = []
    best = best_scores(lab, all_jobs(lab.paths), said.append)
    assert (best["1.0"].shown, said) == ("0.500", [f"MVP-1.0 large: {FAULT}: not a result"])
    view = read_snapshot(lab, roadmap)
    assert best_jobs(view)["1.0"].spec.run == "middle"
    assert view.faults == {leak.name: FAULT}


def test_documents_have_no_number_that_is_none(
    lab: Lab, roadmap: Path, leak: JobPaths, ended: Ended
) -> None:
    accept(lab, pending(lab, roadmap))
    text = roadmap.read_text(encoding="utf-8")
    assert "R²_test=0.500 ± 0.004" in text
    assert "0.99" not in text
    assert f"large: {FAULT}: not a result" in text
    (report,) = roadmap.parent.glob("*the_run*.md")
    told = report.read_text(encoding="utf-8")
    assert "| large ❌ |" in told
    assert "| small |" in told
    assert "0.99" not in roadmap.with_name("plan_hub.md").read_text(encoding="utf-8")


def test_where_no_number_is_a_result_none_is_written(lab: Lab, roadmap: Path, ended: Ended) -> None:
    leaking(ended("one", 0.99), 9000)
    accept(lab, pending(lab, roadmap))
    text = roadmap.read_text(encoding="utf-8")
    assert f"{FAULT}: not a result" in text
    assert "MVP-1.0 done |" in text
    assert text.count("0.99") == 1  # the conclusion, which says that it is none
    assert best_scores(lab, all_jobs(lab.paths), print) == {}


def test_a_ceiling_of_another_roadmap_counts_and_many_are_told_in_one_line(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    jobs = [ended(f"run {i}", 0.75) for i in range(5)]
    bound = ended("bound", 0.0, mvp="8.0", roadmap="roadmaps/other_roadmap.md", model="Ceiling")
    spec = json.loads(bound.spec.read_bytes())
    config = {"bayes": 4000}
    bound.spec.write_text(json.dumps({**spec, "recipe": "ceiling", "config": config}))
    result = read_result(bound.result)
    assert result is not None
    values = {"ceiling/r2_bayes/log_g": 0.6}
    write_result(bound.result, replace(result, recipe="ceiling", values=values, errors={}))
    fault = "Above the Bayes ceiling by: 0.15 (limit: 0.012)"
    said: list[str] = []
    assert best_scores(lab, all_jobs(lab.paths), said.append) == {}
    named = ", ".join(f"MVP-1.0 run {i}" for i in range(3))
    assert said == [f"{named} and 2 more: {fault}: not a result"]
    assert {*read_snapshot(lab, roadmap).faults} == {job.name for job in jobs}
    accept(lab, pending(lab, roadmap))
    assert "✅ | 0.75" not in roadmap.read_text(encoding="utf-8")
    (verdict,) = verdicts_of(lab, lab.read_roadmap(roadmap), all_results(lab))
    assert verdict.verdict == "open"


def test_figures_and_the_law_leave_it_out(lab: Lab, leak: JobPaths, ended: Ended) -> None:
    for figure in (scaling, ablation):
        picture = figure(figure_data(lab, ()))
        assert f"large: left out: {FAULT}" in picture.notes
    known = ceilings(all_jobs(lab.paths))
    (law,) = scalings(all_results(lab), known)
    assert [run.stars for run in law.runs] == [1000, 3000]
    for job in all_jobs(lab.paths):
        leaking(job.paths, 1000)
    with pytest.raises(UsageError, match=r"no run may be shown: .*: left out: Test spectra"):
        ablation(figure_data(lab, ()))


def test_a_draft_that_quotes_it_is_told(lab: Lab, leak: JobPaths) -> None:
    facts = facts_of(all_results(lab)).without_faulty()
    (one,) = check(draft_of(Document("The ViT reaches R² = 0.990 on the test set.")), facts)
    assert (one.verdict, one.value) == ("not backed", 0.5)
    assert one.why == f"it is of {leak.name}, which is no result: {FAULT}"
    (good,) = check(draft_of(Document("The ViT reaches R² = 0.500 on the test set.")), facts)
    assert good.verdict == "right"


def test_a_configuration_falls_with_one_of_its_seeds_and_an_mvp_with_its_control(
    lab: Lab, ended: Ended
) -> None:
    other = ended("other", 0.4, mvp="2.0")
    seeds = [ended(f"seed={seed}", 0.7) for seed in (1, 2)]
    assert faults(all_results(lab), {}) == {}
    leaking(seeds[0], 1000)
    sized(seeds[1], 1000)
    assert {*faults(all_results(lab), {})} == {seeds[0].name, seeds[1].name}
    control = ended("control", 0.6, mvp="2.0")
    result = read_result(control.result)
    assert result is not None
    write_result(control.result, replace(result, data={**result.data, "permuted": True}))
    told = faults(all_results(lab), {})[other.name].text("en")
    assert told == "a control on permuted labels fails: control"
    link = lab.paths.root / "roadmaps/old_roadmap.md"  # launched by the plan's other name
    link.symlink_to("plan_roadmap.md")
    spec = json.loads(control.spec.read_bytes())
    control.spec.write_text(json.dumps({**spec, "roadmap": "roadmaps/old_roadmap.md"}))
    submissions.record(control.folder)
    assert other.name in faults(
        finished([one for job in (control, other) if (one := read_job(job))]), {}
    )
