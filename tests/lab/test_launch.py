"""The plan that was shown is the plan that runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import ROADMAP
from vitlab.contract.job import base_name, read_spec
from vitlab.contract.paths import UsageError
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.launch import Plan, Request, hold, launch, plan_launch


@pytest.fixture
def plan(lab: Lab, roadmap: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """As the launch dialog shows it; nothing is started."""
    monkeypatch.setattr("vitlab.jobs.queue.scheduler.advance", lambda _: None)
    return plan_launch(lab, Request(roadmap, "1.0", "smoke"))


def test_an_unchanged_plan_is_launched_byte_for_byte(
    lab: Lab, roadmap: Path, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitlab.lab.launch.plan_launch", lambda *_: pytest.fail("planned again"))
    launched = launch(lab, plan)
    assert (launched.changed, launched.notice(lab)) == ((), "")
    specs = [read_spec(job.spec) for job in launched.jobs]
    assert [spec.hash for spec in specs if spec] == [spec.hash for spec in plan.specs]
    assert [spec.exp_id for spec in specs if spec] == [spec.exp_id for spec in plan.specs]
    (change,) = plan.changes
    assert roadmap.read_text(encoding="utf-8") == change.new_text


def test_a_launch_is_made_also_where_nothing_can_be_started(lab: Lab, roadmap: Path) -> None:
    lab.paths.private.make()
    lab.paths.private.again.mkdir()
    launched = launch(lab, plan_launch(lab, Request(roadmap, "1.0", "smoke")))
    hold(lab, launched.jobs[0])
    jobs = {job.paths.name: job.held for job in all_jobs(lab.paths)}
    assert jobs == {job.name: job == launched.jobs[0] for job in launched.jobs}
    assert [line.partition(": ")[0] for line in lab.notes] == ["nothing is started"]


def test_a_new_experiment_has_no_id_of_another_roadmap(lab: Lab, roadmap: Path, plan: Plan) -> None:
    """Its report there would be taken for the new one's."""
    taken = plan.specs[0].exp_id
    other = roadmap.with_name("other_roadmap.md")
    row = "| 1.0 | The run | 1 | Gate-1 | ⏳ | - |"
    text = roadmap.read_text(encoding="utf-8")
    assert row in text
    other.write_text(text.replace(row, row.replace("| - |", f"| `{taken}` |")), encoding="utf-8")
    lab.roadmaps(anew=True)
    again = plan_launch(lab, Request(roadmap, "1.0", "smoke")).specs[0].exp_id
    assert (taken[-3:], again[-3:]) == ("-01", "-02")


def test_an_experiment_edited_after_it_was_shown_is_planned_again(lab: Lab, plan: Plan) -> None:
    path = lab.paths.experiments / "the_run.yaml"
    text = path.read_text(encoding="utf-8").replace("train_size: 10", "train_size: 20")
    path.write_text(text, encoding="utf-8")
    launched = launch(lab, plan)
    assert len(launched.jobs) == 2
    assert (
        launched.notice(lab)
        == "experiments/the_run.yaml changed since the plan was shown: planned again"
    )
    sizes = {job.spec.config["data"]["train_size"] for job in all_jobs(lab.paths)}
    assert sizes == {20}


def test_a_roadmap_edited_after_it_was_shown_keeps_the_edit(
    lab: Lab, roadmap: Path, plan: Plan
) -> None:
    roadmap.write_text(ROADMAP.replace("# Plan", "# Our plan"), encoding="utf-8")
    assert launch(lab, plan).changed == (roadmap,)
    text = roadmap.read_text(encoding="utf-8")
    assert "# Our plan" in text
    assert plan.specs[0].exp_id in text


def test_new_settings_count_for_the_plan_made_again(lab: Lab, plan: Plan) -> None:
    lab.paths.settings.write_text("wandb: {project: stars}\n", encoding="utf-8")
    assert launch(lab, plan).changed == (lab.paths.settings,)
    assert {job.spec.extra["wandb"]["project"] for job in all_jobs(lab.paths)} == {"stars"}


def test_a_plan_whose_experiment_is_gone_is_not_launched(lab: Lab, plan: Plan) -> None:
    (lab.paths.experiments / "the_run.yaml").unlink()
    with pytest.raises(UsageError, match=r"MVP '1\.0'"):
        launch(lab, plan)
    assert all_jobs(lab.paths) == []


def test_what_went_missing_after_the_plan_was_shown_refuses_the_launch(
    lab: Lab, roadmap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitlab.jobs.queue.scheduler.advance", lambda _: None)
    script = lab.paths.root / "train.sh"
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    script.chmod(0o755)
    (lab.paths.experiments / "the_run.yaml").write_text(
        f'mvp: "1.0"\nroadmap: {lab.paths.relative(roadmap)}\nrecipe: command\n'
        "config: {argv: [./train.sh]}\nheadline: test/r2/log_g\n",
        encoding="utf-8",
    )
    shown = plan_launch(lab, Request(roadmap, "1.0", "full"))
    assert [one for one in shown.findings if one.status == "bad"] == []
    before = roadmap.read_bytes()
    script.unlink()
    with pytest.raises(UsageError, match=r"train\.sh"):
        launch(lab, shown)
    assert all_jobs(lab.paths) == []
    assert roadmap.read_bytes() == before
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    script.chmod(0o755)
    assert len(launch(lab, shown).jobs) == 1


def test_further_seeds_are_above_those_that_the_jobs_have(
    lab: Lab, roadmap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vitlab.jobs.queue.scheduler.advance", lambda _: None)
    path = lab.paths.experiments / "the_run.yaml"
    text = path.read_text(encoding="utf-8").replace("recipe: ridge", "recipe: mlp")
    path.write_text(f"{text}\nrepeats: 2\n", encoding="utf-8")
    request = Request(roadmap, "1.0", "smoke", seeds=2)
    first = plan_launch(lab, request)
    names = [spec.run for spec in first.specs]
    assert [name for name in names if "seed=44" in name or "seed=45" in name] == names
    assert [spec.config["train"]["seed"] for spec in first.specs][:2] == [44, 45]
    launch(lab, first)
    again = plan_launch(lab, replace(request, runs=[base_name(names[0])], seeds=1))
    assert [spec.config["train"]["seed"] for spec in again.specs] == [46]
