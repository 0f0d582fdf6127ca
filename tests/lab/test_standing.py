"""How an MVP stands: nothing reads as running while nothing runs, no number as a job's own."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.lab.conftest import ROADMAP, Ended
from vitlab.contract.events import EventWriter
from vitlab.contract.job import Result, Spec
from vitlab.contract.paths import JobPaths
from vitlab.jobs import submissions
from vitlab.jobs.files import take_lock, write_owner
from vitlab.jobs.queue.scheduler import hold
from vitlab.jobs.store import all_jobs, read_job, submit
from vitlab.lab.lab import Lab
from vitlab.lab.live.snapshot import job_views
from vitlab.lab.live.standing import BY_HAND, Best, best_of, standings
from vitlab.lab.results.job_results import finished
from vitlab.lab.writeback.status_sync import sync_status

RUNNING = ROADMAP.replace("| Gate-1 | ⏳ |", "| Gate-1 | 🚀 |")
NUMBERS = (
    "\n## Numbers\n\n| MVP | Config | R² (val) | R² (test) | MAE |\n|---|---|---|---|---|\n"
    "| 1.0 Run1 | a | 0.70 | **0.713** | 0.38 |\n| 1.0 Run2 | b | 0.75 | 0.690 | - |\n"
    "| 2.0 | c | 0.662 (ep10) | - | 0.4 |\n"
)


def shown(lab: Lab) -> dict[str, str]:
    best = best_of(finished(all_jobs(lab.paths)), {}, print)
    return {mvp: one.shown for mvp, one in best.items()}


def standing(lab: Lab, roadmap: Path) -> str | None:
    document = lab.read_roadmap(roadmap)
    return standings(lab, document, all_jobs(lab.paths))["1.0"].word


def waiting(job: JobPaths) -> JobPaths:
    for path in (job.started, job.exit, job.result):
        path.unlink(missing_ok=True)
    return job


@pytest.mark.parametrize("document", ["🚀", "⏳", "✅"])
def test_an_mvp_runs_only_while_a_job_of_it_does(
    lab: Lab, roadmap: Path, ended: Ended, document: str
) -> None:
    roadmap.write_text(ROADMAP.replace("| Gate-1 | ⏳ |", f"| Gate-1 | {document} |"))
    says_so = document == "🚀"
    assert standing(lab, roadmap) == (BY_HAND if says_so else None)
    job = ended("one", profile="smoke")
    assert standing(lab, roadmap) == ("ended" if says_so else None)
    submissions.record(job.folder)  # its specification was changed
    job.exit.unlink()
    assert standing(lab, roadmap) == ("lost" if says_so else None)
    lock = take_lock(job.lock)
    assert lock is not None
    assert standing(lab, roadmap) == {"🚀": None, "⏳": "running", "✅": None}[document]
    os.close(lock)
    waiting(job)
    assert standing(lab, roadmap) == ("queued" if says_so else None)
    record = read_job(job)
    assert record is not None
    hold(record)
    assert standing(lab, roadmap) == ("held" if says_so else None)


def test_after_its_end_is_written_it_is_a_person_who_says_that_it_runs(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    roadmap.write_text(RUNNING, encoding="utf-8")
    ended("one", outcome="failed")
    sync_status(lab, roadmap)
    assert standing(lab, roadmap) is None
    roadmap.write_text(RUNNING, encoding="utf-8")
    assert standing(lab, roadmap) == BY_HAND


def test_a_number_of_the_roadmap_is_told_from_one_of_a_job(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    roadmap.write_text(ROADMAP + NUMBERS, encoding="utf-8")
    document = lab.read_roadmap(roadmap)
    stated = standings(None, document, [])
    assert {name: one.stated_text for name, one in stated.items()} == {
        "1.0": "0.713 (document)",  # the test set's, of the best run
        "2.0": "0.662 (document)",
    }
    ended("one", 0.6, profile="smoke")
    assert shown(lab) == {"1.0": "0.600 (smoke)"}
    ended("one", 0.5)
    assert shown(lab) == {"1.0": "0.500"}
    ended("two seed=1", 0.5)
    ended("two seed=2", 0.7)  # the mean of its seeds, as the documents have it
    assert shown(lab) == {"1.0": "0.600"}
    ended("three", 0.8, model="MLP")  # a row named after another model would seem to be its
    assert shown(lab) == {"1.0": "0.800 (MLP)"}
    ended("four", 0.6, mvp="2.0", profile="smoke")
    ended("five", 0.9, mvp="2.0", profile="smoke", model="MLP")
    assert shown(lab)["2.0"] == "0.900 (smoke, MLP)"


@pytest.mark.parametrize(
    "sentence", ["R²=0.71 against R²=0.61", "R² > 0.7", "R²≈0.7-0.8", "MAE=0.3", "-"]
)
def test_a_number_that_is_not_certain_is_none(lab: Lab, roadmap: Path, sentence: str) -> None:
    row = f"|-----|------------|------------|\n| 1.0 | said | {sentence} |\n"
    text = ROADMAP.replace("|-----|------------|------------|\n", row)
    roadmap.write_text(text, encoding="utf-8")
    assert standings(None, lab.read_roadmap(roadmap), [])["1.0"].stated is None


def test_an_mvp_that_a_table_repeats_is_looked_at_once(
    lab: Lab, roadmap: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6,000 rows of one, 200 kB, kept `status` busy for minutes."""
    looked = []
    monkeypatch.setattr("vitlab.docs.lint.numbers.stated_r2", lambda _, mvp: looked.append(mvp.id))
    row = "| 1.0 | The run | 1 | Gate-1 | ⏳ | - | - |\n"
    text = roadmap.read_text(encoding="utf-8")
    assert row in text
    roadmap.write_text(text.replace(row, row * 20), encoding="utf-8")
    standing(lab, roadmap)
    assert sorted(looked) == ["1.0", "2.0"]


def test_what_a_job_s_numbers_contradict_is_looked_for_once(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table of ten thousand jobs asks each of them whenever it is shown."""
    ended("one", 0.6)
    looked: list[object] = []

    def look(values: object) -> list[str]:
        looked.append(values)
        return []

    monkeypatch.setattr("vitlab.lab.live.snapshot.contradictions", look)
    (view,) = job_views(lab)
    assert view.warnings == view.warnings == ()
    assert len(looked) == 1


def test_a_score_of_another_label_is_named() -> None:
    values = {"test/r2/T_eff": 0.95, "test/mae/T_eff": 60.0}
    plain = Result(mvp="1.0", run="a", profile="full", recipe="x", values=values, errors={}, n={})
    for headline, profile, is_only, shown in (
        ("test/r2/T_eff", "full", True, "0.950 (T_eff)"),
        ("test/mae/T_eff", "demo", False, "MAE 60.000 (T_eff, demo, x)"),
    ):
        one = replace(plain, headline=headline, profile=profile, model={"name": "x"})
        assert Best(one, is_only).shown == shown


def test_who_holds_the_queue_is_told(lab: Lab) -> None:
    spec = Spec("1.0", "main", "demo", "ridge", {}, "A-20260101-x-01", "roadmaps/plan_roadmap.md")
    submit(lab.paths, spec)
    lab.paths.private.make()
    lease = take_lock(lab.paths.private.lease)
    assert lease is not None
    write_owner(lease, {"pid": os.getpid(), "t": time.time()})
    assert [view.why for view in job_views(lab)] == [""]
    write_owner(lease, {"pid": os.getpid(), "t": time.time() - 60})
    [view] = job_views(lab)
    assert view.why.startswith("the queue is held since ")
    assert f"by another vitlab, pid {os.getpid()}, which may be stopped" in view.why
    os.close(lease)
    assert [view.why for view in job_views(lab)] == [""]


def test_values_of_the_best_step_are_not_mixed_with_those_of_the_last(
    lab: Lab, ended: Ended
) -> None:
    job = ended("main", 0.7)
    last = {"val/r2/log_g": 0.0, "val/rmse/log_g": 1.29, "train/loss": 0.5}
    with EventWriter(job.events) as events:
        events.write("eval", step=9, epoch=1, split="val", n=9, values=last)
    (view,) = job_views(lab)
    assert view.values == {"train/loss": 0.5, "test/r2/log_g": 0.7, "val/r2/log_g": 0.7}
    assert view.warnings == ()  # R² of the best and RMSE of the last need not agree
