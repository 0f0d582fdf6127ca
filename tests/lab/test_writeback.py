"""What ended jobs add to the documents, and that an edit made elsewhere survives it."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import EXP_ID, EXPERIMENT, HUB, ROADMAP, Ended
from tests.lab.test_results_table import configured
from vitlab.contract.events import EventWriter
from vitlab.contract.job import read_result, write_result
from vitlab.contract.paths import UsageError
from vitlab.contract.reading import read_document
from vitlab.docs.text.edit import Conflict
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.launch import Request, default_profile, plan_launch
from vitlab.lab.live.snapshot import read_snapshot
from vitlab.lab.writeback import sync_ledger
from vitlab.lab.writeback.contradictions import lint_file
from vitlab.lab.writeback.edits import (
    accept,
    accept_automatically,
    pending_results,
    redo,
    undo,
)
from vitlab.lab.writeback.writeback import end_summary, pending, plan_mvp


def status(lab: Lab, roadmap: Path, mvp: str = "1.0") -> str | None:
    return lab.read_roadmap(roadmap).mvp(mvp).status


def hub_text(lab: Lab) -> str:
    return (lab.paths.roadmaps / "plan_hub.md").read_text(encoding="utf-8")


def test_nothing_ended_nothing_to_write(lab: Lab, roadmap: Path) -> None:
    assert pending(lab, roadmap).changes == ()


@pytest.mark.parametrize(
    ("jobs", "said"),
    [
        ([("one", "full", "ok")], "done"),
        ([("one", "full", "ok"), ("two", "full", "failed")], "partial"),
        ([("one", "full", "failed"), ("two", "full", "oom")], "failed"),
        ([("one", "full", "killed"), ("two", "full", "killed")], "paused"),
        ([("one", "demo", "ok"), ("two", "demo", "ok")], "analysing"),
        ([("one", "full", "failed"), ("one", "full", "ok")], "done"),
    ],
)
def test_the_status_tells_how_the_last_launch_ended(
    lab: Lab, roadmap: Path, ended: Ended, jobs: list[tuple[str, str, str]], said: str
) -> None:
    for run, profile, outcome in jobs:
        ended(run, profile=profile, outcome=outcome)
    accept(lab, pending(lab, roadmap))
    assert status(lab, roadmap) == said
    assert pending(lab, roadmap).changes == ()


def test_a_full_result_closes_its_gate_and_reaches_hub_and_report(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75)
    touched = accept(lab, pending(lab, roadmap))
    text = roadmap.read_text(encoding="utf-8")
    assert {path.name for path in touched} == {
        "plan_roadmap.md",
        "plan_hub.md",
        "exp_the_run_20260101.md",
    }
    assert "PASS" in text
    assert "0.750 ± 0.004" in text
    assert "| ViT R² (test) | 0.750 ± 0.004 | 1k/100, MVP-1.0 |" in hub_text(lab)


def test_a_key_number_is_replaced_by_a_better_one_alone(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    def write(mvp: str, r2: float, profile: str = "full") -> str:
        ended("main", r2, mvp=mvp, profile=profile)
        accept(lab, pending(lab, roadmap, mvp))
        return hub_text(lab)

    assert "| ViT R² (test) | 0.601 ± 0.004 | 1k/100, MVP-1.0 |" in write("1.0", 0.601)
    text = write("2.0", 0.019)  # the last one, and not the best
    assert "| ViT R² (test) | 0.601 ± 0.004 | 1k/100, MVP-1.0 |" in text
    assert "0.019" not in text
    text = write("2.0", 0.9, "smoke")
    assert "| ViT R² (test) | 0.601 ± 0.004 | 1k/100, MVP-1.0 |" in text
    assert "| ViT R² (test) (smoke) | 0.900 ± 0.004 | 1k/100, MVP-2.0 |" in text
    assert "| ViT R² (test) | 0.701 ± 0.004 | 1k/100, MVP-2.0 |" in write("2.0", 0.701)
    # Its own run, launched again, is what its number is.
    assert "| ViT R² (test) | 0.688 ± 0.004 | 1k/100, MVP-2.0 |" in write("2.0", 0.688)


def test_one_seed_does_not_replace_the_mean_over_several(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    for seed, r2 in ((42, 0.6), (43, 0.61), (44, 0.605)):
        configured(ended(f"main seed={seed}", r2), train={"seed": seed})
    accept(lab, pending(lab, roadmap))
    [row] = [line for line in hub_text(lab).splitlines() if "ViT R² (test)" in line][:1]
    assert "| 0.605 ± " in row
    assert "| 1k/100, mean of 3 seeds, MVP-1.0 |" in row
    ended("best of many", 0.62, mvp="2.0")
    accept(lab, pending(lab, roadmap, "2.0"))
    assert row in hub_text(lab)


def test_a_person_s_conclusion_that_a_result_replaces_is_quoted_in_the_change_log(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    def write(r2: float) -> str:
        ended("one", r2)
        accept(lab, pending(lab, roadmap))
        return roadmap.read_text(encoding="utf-8")

    first = write(0.75)
    assert "before:" not in first  # it was empty
    assert "before:" not in write(0.76)  # it was vitlab's
    (row,) = re.findall(r"^\| MVP-1\.0 \|[^|\n]*R²_test=0\.760[^|\n]*\|.*$", write(0.76), re.M)
    cells = row.split("|")
    own = "|".join([*cells[:2], " Only above S/N 20, see notebook 7 ", *cells[3:]])
    text = roadmap.read_text(encoding="utf-8")
    roadmap.write_text(text.replace(row, own), encoding="utf-8")
    after = write(0.77)
    assert own not in after
    assert "; before: conclusions “Only above S/N 20, see notebook 7” |" in after
    assert after.count("before:") == 1
    shutil.rmtree(lab.paths.private.journal)  # as of a copied lab
    assert write(0.78).count("before:") == 1


@pytest.mark.parametrize("run", ["main", "seed=42"])
def test_runs_without_a_name_are_named_by_their_mvp_in_the_hub(
    lab: Lab, roadmap: Path, ended: Ended, run: str
) -> None:
    for mvp, r2 in (("1.0", 0.75), ("2.0", 0.5)):
        job = ended(run, r2, mvp=mvp, model=run)
        result = read_result(job.result)
        assert result is not None
        write_result(job.result, replace(result, recipe="command"))
        accept(lab, pending(lab, roadmap, mvp))
    names = {mvp.id: mvp.name for mvp in lab.read_roadmap(roadmap).mvps}
    for mvp, text in (("1.0", "0.750"), ("2.0", "0.500")):
        assert f"| {names[mvp]} R² (test) | {text} ± 0.004 | 1k/100, MVP-{mvp} |" in hub_text(lab)


def test_a_report_tells_what_ran_from_the_job_itself(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """The profile's 10 epochs, ended after 70 of 100 steps, not what the experiment file plans."""
    job = ended("one", 0.75, profile="demo")
    spec = json.loads(job.spec.read_bytes())
    config = {"data": {"source": "grid-infinite", "train_size": 51_200}, "train": {"epochs": 10}}
    job.spec.write_text(json.dumps({**spec, "recipe": "vit", "config": config}))
    with EventWriter(job.events) as events:
        events.write("start", host="x")
        events.write("step", step=70, of=100, epoch=6, values={})
        events.write("eval", step=50, epoch=4, split="test", n=9, values={})
    accept(lab, pending(lab, roadmap))
    text = (lab.paths.roadmaps / "exp_the_run_20260101.md").read_text(encoding="utf-8")
    (training,) = re.findall(r"(?m)^\| Training settings \| (.*) \|$", text)
    assert {"epochs=10", "batch=512", "lr=0.001", "seed=42", "steps=70 of 100"} <= {
        *training.split(", ")
    }
    assert re.search(r"(?m)^\| Data settings \| .*train_size=51200", text)


def test_a_trial_closes_no_gate_and_does_not_undo_what_is_done(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75, profile="demo")
    ended("one", 0.75, mvp="2.0", profile="demo")
    accept(lab, pending(lab, roadmap))
    text = roadmap.read_text(encoding="utf-8")
    assert "PASS" not in text
    assert "(demo)" in text
    assert status(lab, roadmap) == "analysing"
    assert status(lab, roadmap, "2.0") == "done"


def to_write(lab: Lab, roadmap: Path) -> int:
    return read_snapshot(lab, roadmap).pending


@pytest.mark.parametrize("trial", [0.6, None, "failed"])
def test_a_trial_hides_no_full_result_that_waits(
    lab: Lab, roadmap: Path, ended: Ended, trial: float | str | None
) -> None:
    for run in ("one", "two"):
        ended(run, 0.75)
    ended("one", outcome="failed", profile="smoke")
    assert to_write(lab, roadmap) == 2
    if trial == "failed":
        ended("one", outcome="failed", profile="smoke")
    else:
        ended("one", trial, profile="smoke")
    assert to_write(lab, roadmap) == 2
    plan = pending(lab, roadmap)
    assert plan.mvps == ("1.0",)
    assert "R²_test=0.750" in plan.summary[0]
    if trial == 0.6:  # what its own launch reports is its own number
        assert "R²_test=0.600 ± 0.004 (smoke)" in end_summary(lab, roadmap, "1.0")
    accept(lab, plan)
    assert status(lab, roadmap) == "done"
    assert "0.750 ± 0.004" in roadmap.read_text(encoding="utf-8")
    # The last trial; one without numbers changes nothing, and `w` would show nothing.
    assert to_write(lab, roadmap) == (1 if trial == 0.6 else 0)
    accept(lab, pending(lab, roadmap))
    assert status(lab, roadmap) == "done"
    assert to_write(lab, roadmap) == 0


def test_a_newer_full_launch_takes_the_place_of_the_older(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.71)
    ended("one", 0.65, profile="demo")
    ended("one", 0.75)
    assert to_write(lab, roadmap) == 1
    accept(lab, pending(lab, roadmap))
    assert "0.710" not in roadmap.read_text(encoding="utf-8")
    assert pending(lab, roadmap).mvps == ()


def test_a_trial_tells_nothing_of_gates_and_its_failure_changes_nothing(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75)
    accept(lab, pending(lab, roadmap))
    ended("one", 0.731, profile="smoke")
    plan = pending(lab, roadmap)
    assert plan.summary == ("MVP-1.0: ViT on 1k stars: R²_test=0.731 ± 0.004 (smoke)",)
    reports = [c.new_text for c in plan.changes if c.path.stem.startswith("exp_")]
    assert "Gate-1" not in str(reports[0]).rpartition("---")[2]
    accept(lab, plan)
    ended("one", outcome="failed", profile="smoke")
    told = "MVP-1.0: one failed: it failed; the MVP stays done"
    assert end_summary(lab, roadmap, "1.0") == told
    assert pending(lab, roadmap).summary == (told,)


def test_several_mvps_are_shown_as_they_will_be_written(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75)
    ended("one", 0.61, mvp="2.0")
    plan = pending(lab, roadmap)
    assert plan.mvps == ("1.0", "2.0")
    accept(lab, plan)
    for change in plan.changes:
        assert change.path.read_text(encoding="utf-8") == change.new_text


def test_an_edit_made_elsewhere_meanwhile_survives(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.75)
    plan = pending(lab, roadmap)
    edited = ROADMAP.replace("| Made |", "| Made by hand |").replace("# Plan\n", "# Our plan\n")
    roadmap.write_text(edited, encoding="utf-8")
    accept(lab, plan)
    text = roadmap.read_text(encoding="utf-8")
    assert "Made by hand" in text
    assert "# Our plan" in text
    assert "0.750" in text


def test_results_are_written_unasked_only_where_the_settings_say_so(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75)
    assert accept_automatically(lab, roadmap) == []
    assert roadmap.read_text(encoding="utf-8") == ROADMAP
    lab.paths.settings.write_text("write_results: auto\n", encoding="utf-8")
    assert roadmap in accept_automatically(open_lab(lab.paths.root), roadmap)
    assert status(lab, roadmap) == "done"


@pytest.mark.parametrize("how", ["moved away", "a link to nothing", "of a folder of its own"])
def test_what_was_superseded_is_no_news_once_what_followed_is_gone(
    lab: Lab, roadmap: Path, ended: Ended, how: str
) -> None:
    own = "-02" if how == "of a folder of its own" else "-01"  # as in a plan without exp_id
    older, newer = ended("one", 0.5), ended("one", 0.75, exp_id=EXP_ID.replace("-01", own))
    for job in (older, newer):
        spec = json.loads(job.spec.read_bytes())
        job.spec.write_text(json.dumps({**spec, "experiment": "experiments/the_run.yaml"}))
    accept(lab, pending(lab, roadmap))
    shutil.rmtree(newer.folder)
    if how == "a link to nothing":
        newer.folder.symlink_to(newer.root / "archive")
    lab.paths.settings.write_text("write_results: auto\n", encoding="utf-8")
    text = roadmap.read_text(encoding="utf-8")
    assert accept_automatically(open_lab(lab.paths.root), roadmap) == []
    waits = pending_results(lab, roadmap)
    assert waits.steps == ()
    if how != "a link to nothing":  # of which it is told that it cannot be read
        told = "an older launch is not written, as a later one was, whose folder is gone"
        assert waits.left == (f"MVP-1.0: {told}; `vitlab sync 1.0` writes it",)
    assert roadmap.read_text(encoding="utf-8") == text
    named = pending_results(lab, roadmap, "1.0")  # a person may
    assert named.steps == (() if how == "a link to nothing" else ("MVP-1.0",))
    ended("one", 0.6)
    assert pending_results(lab, roadmap).steps == ("MVP-1.0",)


@pytest.mark.parametrize("lost", ["gone", "torn", "a digit"])
def test_a_person_s_words_stay_where_it_is_lost_what_was_written(
    lab: Lab, roadmap: Path, ended: Ended, lost: str
) -> None:
    ended("one", 0.75)
    accept(lab, pending(lab, roadmap))
    text = roadmap.read_text(encoding="utf-8")
    [conclusion] = {one for one in text.splitlines() if one.startswith("| MVP-1.0 | ViT")}
    own = text.replace(conclusion.split(" | ")[1], "close enough, 2.0 first")
    roadmap.write_text(own, encoding="utf-8")
    ledger = lab.paths.private.sync_ledger
    record = ledger.read_text()
    ledger.unlink()
    if lost != "gone":
        other_end = re.sub(r"(: )(\d+\.\d)", r"\g<1>1\2", record)
        ledger.write_text(record[:-9] if lost == "torn" else other_end)
    lab.paths.settings.write_text("write_results: auto\n", encoding="utf-8")
    opened = open_lab(lab.paths.root)
    assert accept_automatically(opened, roadmap) == []
    assert roadmap.read_text(encoding="utf-8") == own
    assert "MVP-1.0: its results stand in its report" in opened.notes[-1]
    assert pending(opened, roadmap).mvps == ("1.0",)  # a person may
    ended("one", 0.76)
    assert roadmap in accept_automatically(opened, roadmap)


def test_undo_brings_back_every_byte_and_the_proposal(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75)
    plan = pending(lab, roadmap)
    assert plan.steps == ("MVP-1.0",)
    accept(lab, plan)
    undone = undo(lab)
    assert (undone.what, len(undone.changes)) == ("MVP-1.0: results", 3)
    assert roadmap.read_text(encoding="utf-8") == ROADMAP
    assert hub_text(lab) == HUB
    assert not list(lab.paths.roadmaps.glob("exp_*"))
    assert pending(lab, roadmap).mvps == ("1.0",)
    assert undo(lab).changes == ()
    assert len(redo(lab).changes) == 3
    assert pending(lab, roadmap).changes == ()


def report_text(lab: Lab) -> str:
    (report,) = lab.paths.roadmaps.glob("exp_*")
    return report.read_text(encoding="utf-8")


def test_a_second_launch_takes_the_place_of_the_first_in_the_report(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75)
    accept(lab, pending(lab, roadmap))
    first = report_text(lab)
    ended("one", 0.76)
    accept(lab, pending(lab, roadmap))
    second = report_text(lab)
    assert "0.7600" in second
    assert "0.7500" not in second
    titles = [line for line in second.splitlines() if line.startswith("#")]
    assert titles == [line for line in first.splitlines() if line.startswith("#")]
    assert "0.760" in roadmap.read_text(encoding="utf-8")


def test_what_a_person_wrote_in_a_report_stays_beside_new_numbers(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75)
    accept(lab, pending(lab, roadmap))
    (report,) = lab.paths.roadmaps.glob("exp_*")
    own = report_text(lab).replace("## Results\n", "## Results\n\nSeen with my own eyes.\n")
    report.write_text(own + "\n## Thoughts\n\nMine.\n", encoding="utf-8")
    ended("one", 0.76)
    accept(lab, pending(lab, roadmap))
    text = report_text(lab)
    assert "Seen with my own eyes.\n" in text
    assert "0.7500" in text  # in the part that is hers now
    assert "## Thoughts\n\nMine.\n" in text
    assert text.count("## Results\n") == 2
    assert text.count("## Conclusion\n") == 1
    assert "0.760" in text[: text.index("## Results")]


def test_a_trial_takes_the_place_of_a_trial_alone_in_a_report(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75)
    accept(lab, pending(lab, roadmap))
    full = report_text(lab)
    for score in (0.31, 0.32):
        ended("one", score, profile="demo")
        accept(lab, pending(lab, roadmap))
        assert report_text(lab).startswith(full)
    assert "0.3200" in report_text(lab)
    assert "0.3100" not in report_text(lab)
    ended("one", 0.76)
    accept(lab, pending(lab, roadmap))
    text = report_text(lab)
    assert "0.7600" in text
    assert "0.7500" not in text
    assert "0.3200" in text


def test_a_full_run_takes_the_place_of_a_trial_and_its_mark(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.31, profile="demo")
    accept(lab, pending(lab, roadmap))
    assert "closes no gate" in report_text(lab)
    ended("one", 0.76)
    accept(lab, pending(lab, roadmap))
    text = report_text(lab)
    assert "closes no gate" not in text
    assert "0.3100" not in text
    assert text.count("# 📗") == 1


def test_a_file_where_the_report_should_go_is_not_overwritten(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.75)
    plan = pending(lab, roadmap)
    (report,) = [c.path for c in plan.changes if c.old_text is None]
    report.write_text("mine", encoding="utf-8")
    accept(lab, plan)
    assert report.read_text(encoding="utf-8").startswith("mine")


def test_a_hub_outside_the_lab_is_left_alone(lab: Lab, roadmap: Path, ended: Ended) -> None:
    outside = lab.paths.root.parent / "plan_hub.md"
    outside.write_text(HUB, encoding="utf-8")
    (lab.paths.roadmaps / "plan_hub.md").unlink()
    roadmap.write_text(ROADMAP.replace("./plan_hub.md", "../../plan_hub.md"), encoding="utf-8")
    ended("one", 0.75)
    accept(lab, pending(lab, roadmap))
    assert outside.read_text(encoding="utf-8") == HUB


def test_a_launch_is_checked_before_anything_is_written(lab: Lab, roadmap: Path) -> None:
    plan = plan_launch(lab, Request(roadmap, "1.0", "smoke"))
    assert [spec.run for spec in plan.specs] == ["one", "two"]
    assert plan.specs[0].exp_id.endswith("-the-run-01")
    assert plan.specs[0].exp_id.startswith("VIT-")
    (change,) = plan.changes
    assert plan.specs[0].exp_id in (change.new_text or "")
    assert roadmap.read_text(encoding="utf-8") == ROADMAP
    roadmap.write_text(
        ROADMAP.replace("| ⏳ | - | - |", "| ⏳ | `../../up` | - |"), encoding="utf-8"
    )
    assert plan_launch(lab, Request(roadmap, "1.0", "smoke")).specs[0].exp_id != "../../up"


def test_the_memory_asked_for_reaches_the_job(lab: Lab, roadmap: Path) -> None:
    plan = plan_launch(lab, Request(roadmap, "1.0", "smoke", memory="500MB"))
    assert {spec.config["data"]["memory"] for spec in plan.specs} == {"500MB"}
    with pytest.raises(UsageError, match="--memory: must be a size"):
        plan_launch(lab, Request(roadmap, "1.0", "smoke", memory="much"))


def test_a_trial_does_not_reopen_what_is_done(lab: Lab, roadmap: Path) -> None:
    text = (lab.paths.experiments / "the_run.yaml").read_text(encoding="utf-8")
    second = text.replace('"1.0"', '"2.0"')
    (lab.paths.experiments / "another.yaml").write_text(second, encoding="utf-8")
    assert plan_launch(lab, Request(roadmap, "2.0", "smoke")).changes == ()
    assert len(plan_launch(lab, Request(roadmap, "2.0", "full")).changes) == 1


@pytest.mark.parametrize(
    ("folder", "file", "word"),
    [
        ("lab", "my_vit_roadmap.md", "MYVIT"),
        ("lab", "Stellar-parameters_plan.md", "STELLARPARAM"),
        ("lab", "2026_planets_roadmap.md", "PLANETS"),
        ("deep-spec 2", "roadmap.md", "DEEPSPEC2"),
        ("deep-spec 2", "路线图.md", "DEEPSPEC2"),
        ("研究", "plan_roadmap.md", "EXP"),
    ],
)
def test_the_project_word_of_a_roadmap_without_one_is_a_name(
    tmp_path: Path, folder: str, file: str, word: str
) -> None:
    root = tmp_path / folder
    (root / "roadmaps").mkdir(parents=True)
    (root / "experiments").mkdir()
    lines = [line for line in ROADMAP.split("\n") if not line.startswith(">")]
    (root / "roadmaps" / file).write_text("\n".join(lines), encoding="utf-8")
    experiment = EXPERIMENT.replace("plan_roadmap.md", file)
    (root / "experiments/the_run.yaml").write_text(experiment, encoding="utf-8")
    plan = plan_launch(open_lab(root), Request(root / "roadmaps" / file, "1.0", "smoke"))
    assert re.fullmatch(rf"{word}-\d{{8}}-the-run-01", plan.specs[0].exp_id)


@pytest.mark.parametrize(
    ("default", "profiles", "taken"),
    [
        ("demo", "{smoke: {}}", "smoke"),
        ("demo", "{smoke: {}, demo: {}}", "demo"),
        ("hour", "{smoke: {}, demo: {}}", "demo"),
        ("smoke", "{demo: {}}", "demo"),
        ("demo", "{hour: {}}", "hour"),
        ("demo", "{}", "full"),
        ("full", "{}", "full"),
    ],
)
def test_without_the_lab_s_profile_the_largest_below_it_is_launched(
    lab: Lab, roadmap: Path, default: str, profiles: str, taken: str
) -> None:
    text = EXPERIMENT.replace("{smoke: {data: {train_size: 10}}}", profiles)
    (lab.paths.root / "experiments/the_run.yaml").write_text(text, encoding="utf-8")
    lab.paths.settings.write_text(f"profile: {default}\n", encoding="utf-8")
    assert default_profile(open_lab(lab.paths.root), roadmap, "1.0") == taken


def test_the_same_cell_edited_elsewhere_is_a_conflict_and_writes_nothing(
    lab: Lab, roadmap: Path, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended("one", 0.75)
    plan = pending(lab, roadmap)

    def overtaken(*words: object) -> object:
        step = plan_mvp(*words)  # type: ignore[arg-type]
        edited = ROADMAP.replace(
            "| 1.0 | The run | 1 | Gate-1 | ⏳ |", "| 1.0 | The run | 1 | Gate-1 | 🔴 |"
        )
        roadmap.write_text(edited, encoding="utf-8")
        return step

    monkeypatch.setattr("vitlab.lab.writeback.edits.plan_mvp", overtaken)
    with pytest.raises(Conflict, match="plan_roadmap"):
        accept(lab, plan)
    assert "0.750" not in roadmap.read_text(encoding="utf-8")
    assert hub_text(lab) == HUB
    assert EXP_ID not in hub_text(lab)


def test_one_run_of_a_sweep_can_be_launched_alone(lab: Lab, roadmap: Path) -> None:
    plan = plan_launch(lab, Request(roadmap, "1.0", "smoke", runs=["two"]))
    assert [spec.run for spec in plan.specs] == ["two"]
    assert len(plan_launch(lab, Request(roadmap, "1.0", "smoke", runs=["two", "one"])).specs) == 2
    with pytest.raises(UsageError, match=r"no run 'on' \(there are: 'one', 'two'\)"):
        plan_launch(lab, Request(roadmap, "1.0", "smoke", runs=["on"]))


BOARD = """\
# Kanban

| Gate | Status |
|------|--------|
| Gate-1 | ⏳ planned |
| Gate-2 | ⏳ planned |

- [ ] Gate-1: the score
- [ ] Gate-2: the other
"""


@pytest.mark.parametrize(
    ("r2", "mark", "box", "status"),
    [(0.75, "✅", "x", "done"), (0.60, "❌", " ", "failed"), (0.70, "⏳", " ", "analysing")],
)
def test_a_verdict_of_results_reaches_hub_and_board_and_is_undone_with_them(
    lab: Lab, roadmap: Path, ended: Ended, r2: float, mark: str, box: str, status: str
) -> None:
    folder = lab.paths.roadmaps
    board = folder / "plan_kanban.md"
    board.write_text(BOARD, encoding="utf-8")
    roadmap.write_text(ROADMAP + "\nSee the [board](./plan_kanban.md).\n", encoding="utf-8")
    marked = HUB + "\nThe route: ⏳ Gate-1, ⏳ Gate-2.\n"
    (folder / "plan_hub.md").write_text(marked, encoding="utf-8")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    ended("one", r2, profile="demo")
    accept(lab, pending(lab, roadmap))
    assert board.read_text(encoding="utf-8") == BOARD  # a trial closes nothing
    undo(lab)
    ended("one", r2)
    plan = pending(lab, roadmap)
    accept(lab, plan)
    assert lab.read_roadmap(roadmap).gates[0].status == status
    assert f"The route: {mark} Gate-1, ⏳ Gate-2." in hub_text(lab)
    text = board.read_text(encoding="utf-8")
    assert f"- [{box}] Gate-1" in text
    assert re.search(rf"\| Gate-1 \| {mark} .*\n\| Gate-2 \| ⏳ planned \|", text)
    assert (board in [one.path for one in plan.changes]) == (status != "analysing")
    assert not lint_file(lab, roadmap)
    undo(lab)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_gate_that_a_later_run_opens_again_is_open_in_the_hub_too(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    hub = lab.paths.roadmaps / "plan_hub.md"
    ended("one", 0.75)
    accept(lab, pending(lab, roadmap))
    told = "\nThe route is clear: ✅ Gate-1.\nUnrelated: ✅ Gate-2.\n"
    hub.write_text(hub.read_text(encoding="utf-8") + told, encoding="utf-8")
    ended("one", 0.60, profile="demo")
    accept(lab, pending(lab, roadmap))
    assert "✅ Gate-1" in hub_text(lab)  # a trial opens nothing
    ended("one", 0.60)
    accept(lab, pending(lab, roadmap))
    assert lab.read_roadmap(roadmap).gates[0].status == "analysing"
    assert "✅ Gate-1" not in hub_text(lab)
    assert "✅ Gate-2" in hub_text(lab)
    assert re.search(r"clear: (\S+) Gate-1\.", hub_text(lab))


def test_the_record_of_writes_is_read_once_for_one_look(
    lab: Lab, roadmap: Path, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of 5 MB, which anybody may have put there, took a second for each MVP, many times."""
    ended("one", 0.7512)
    accept(lab, pending(lab, roadmap))
    ended("two", 0.7612)
    read: list[Path] = []

    def counted(path: Path) -> object:
        read.append(path)
        return read_document(path)

    monkeypatch.setattr(sync_ledger, "read_document", counted)
    monkeypatch.setattr(sync_ledger, "_READ", {})
    assert pending(lab, roadmap).mvps == ("1.0",)
    assert read == [lab.paths.private.sync_ledger]
    accept(lab, pending(lab, roadmap))
    assert not pending(lab, roadmap).mvps


def test_a_report_lists_runs_as_they_were_launched(lab: Lab, roadmap: Path, ended: Ended) -> None:
    for at, job in enumerate([ended(f"run{at}") for at in range(9)]):
        exit_record = json.loads(job.exit.read_bytes())
        job.exit.write_text(
            json.dumps({**exit_record, "ended": exit_record["ended"] + 200 - 20 * at})
        )
        result = read_result(job.result)
        assert result is not None
        write_result(job.result, replace(result, best={"epoch": 20.0 + at}))
    accept(lab, pending(lab, roadmap, "1.0"))
    (report,) = lab.paths.roadmaps.glob("exp_*")
    text = report.read_text(encoding="utf-8")
    assert re.findall(r"^\| (run\d) \|", text, re.MULTILINE) == [f"run{at}" for at in range(9)]
    assert "Best epoch: 20 to 28 of 9 runs\n" in text


def test_a_gate_s_row_has_the_difference_that_it_asks_for(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    """Also of trials, which decide nothing."""
    text = roadmap.read_text(encoding="utf-8").replace("| If R² > 0.70 |", "| If ViT > LightGBM |")
    text += "\n## Gate progress\n\n| Gate | MVP | Status | Result |\n|---|---|---|---|\n"
    roadmap.write_text(text + "| Gate-1 | MVP-1.0 | ⏳ | - |\n", encoding="utf-8")
    ended("trees", 0.60, mvp="2.0", model="LightGBM", profile="smoke")
    ended("one", 0.75, profile="smoke")
    accept(lab, pending(lab, roadmap))
    row = "R²_test: ViT 0.75, LightGBM 0.6, Δ = +0.150 ± 0.006 (independent errors): one seed, "
    row += "the seed scatter is unknown; ViT: 1k stars, noise draws/core-hours unknown, "
    row += "one seed, scatter over seeds unknown, taken as 1.5 errors over stars; LightGBM: 1k "
    row += "stars, noise draws/core-hours unknown, one seed, scatter over seeds unknown, taken as "
    row += "1.5 errors over stars (smoke)"
    assert f"| Gate-1 | MVP-1.0 | 🔆 | {row} |" in roadmap.read_text(encoding="utf-8")


def test_a_report_of_another_experiment_is_not_written_into(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    text = roadmap.read_text(encoding="utf-8")
    second, third = EXP_ID.replace("run-01", "run-02"), EXP_ID.replace("run-01", "run-03")
    roadmap.write_text(text.replace("VIT-20260101-another-01", second), encoding="utf-8")
    other = roadmap.with_name("other_roadmap.md")
    other.write_text(text, encoding="utf-8")
    launches = (
        (roadmap, "1.0", EXP_ID, ""),
        (roadmap, "2.0", second, "_02"),
        (other, "1.0", third, "_03"),
    )
    for again in (0.0, 0.01):  # the second launch of each finds the report of its first
        for number, (path, mvp, exp_id, _) in enumerate(launches):
            where = lab.paths.relative(path)
            ended("one", 0.5 + 0.1 * number + again, mvp=mvp, exp_id=exp_id, roadmap=where)
            accept(lab, pending(lab, path))
    for number, (path, mvp, exp_id, mark) in enumerate(launches):
        report = path.parent / f"exp_the_run{mark}_20260101.md"
        own = report.read_text(encoding="utf-8")
        assert f"MVP-{mvp} | **exp_id:** `{exp_id}`" in own
        assert re.findall(r"R²_test=([\d.]+)", own) == [f"{0.51 + 0.1 * number:.3f}"]
        assert lab.read_roadmap(path).mvp(mvp).report == f"./{report.name}"
    assert len(list(roadmap.parent.glob("exp_*"))) == 3


def test_a_link_to_the_report_of_another_experiment_is_told_and_left(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    shared = roadmap.parent / "exp_the_run_20260101.md"
    head = f"# Of another\n> **MVP:** MVP-1.0 | **exp_id:** `{EXP_ID}9`\n\n## Results\n"
    shared.write_text(head, encoding="utf-8")
    text = roadmap.read_text(encoding="utf-8").replace(
        "| ⏳ | - | - |", f"| ⏳ | - | {shared.name} |"
    )
    other = roadmap.with_name("other_roadmap.md")
    for path in (roadmap, other):
        path.write_text(text.replace(shared.name, f"[it](./{shared.name})"), encoding="utf-8")
    lab.roadmaps(anew=True)
    ended("one", 0.75)
    plan = pending(lab, roadmap)
    assert any("links to exp_the_run_20260101.md, which another" in line for line in plan.summary)
    accept(lab, plan)
    assert shared.read_text(encoding="utf-8") == head
    assert "R²_test=0.750" in shared.with_name("exp_the_run_01_20260101.md").read_text("utf-8")


def test_the_overview_follows_a_later_launch_where_vitlab_wrote_it(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    text = roadmap.read_text(encoding="utf-8")
    head = (
        "| MVP | Name | Phase | Gate | Status | exp_id | Report |\n|-----|------|-------|------|-"
    )
    assert head in text
    text = text.replace("| Status | exp_id | Report |\n", "| Status | exp_id | R² | Report |\n")
    text = text.replace("|--------|--------|--------|\n| 1.0", "|---|---|---|---|\n| 1.0")
    text = text.replace("| ⏳ | - | - |", "| ⏳ | - | - | - |")
    roadmap.write_text(text.replace("another-01` | - |", "another-01` | 0.42 | - |"), "utf-8")
    expected = (
        ("demo", 0.5, "0.50 (demo)"),
        ("smoke", 0.9, "0.50 (demo)"),
        ("full", 0.7, "0.70"),
        ("demo", 0.9, "0.70"),
        ("full", 0.8, "0.80"),
    )
    for profile, r2, shown in expected:
        ended("one", r2, profile=profile)
        ended("one", r2, profile=profile, mvp="2.0", exp_id="VIT-20260101-another-01")
        accept(lab, pending(lab, roadmap))
        rows = re.findall(r"^\| [12]\.0 \|.*", roadmap.read_text(encoding="utf-8"), re.M)
        assert [row.split("|")[7].strip() for row in rows[:2]] == [shown, "0.42"]
    roadmap.write_text(roadmap.read_text("utf-8").replace("| 0.80 |", "| 0.81 |"), "utf-8")
    ended("one", 0.75)
    accept(lab, pending(lab, roadmap))
    assert "| 0.81 |" in roadmap.read_text(encoding="utf-8")  # a person's


def test_a_trial_leaves_a_gate_that_waits_for_its_verdict(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    roadmap.write_text(
        roadmap.read_text(encoding="utf-8")
        .replace("R² > 0.70", "R² > 0.99")
        .replace("< 0.65", "< 0.1")
        + "\n| Gate | MVP | Status | Result |\n|---|---|---|---|\n| Gate-1 | MVP-1.0 | ⏳ | - |\n",
        encoding="utf-8",
    )
    for profile in ("full", "demo"):
        ended("one", 0.5, profile=profile)
        accept(lab, pending(lab, roadmap))
        text = roadmap.read_text(encoding="utf-8")
        assert "| Gate-1 | MVP-1.0 | 🔆 | R²_test=0.500" in text
        assert "| Status | 🔆" in text
