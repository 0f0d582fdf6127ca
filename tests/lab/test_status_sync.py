"""What the plan is told by itself: ends once, progress of full runs, never against a person."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.conftest import EXP_ID, ROADMAP, Ended
from vitlab.contract.events import EventWriter
from vitlab.contract.paths import JobPaths
from vitlab.docs.save import change, save
from vitlab.docs.write.status import record_launch
from vitlab.jobs import submissions
from vitlab.jobs.files import take_lock
from vitlab.jobs.queue.scheduler import hold
from vitlab.jobs.store import read_job
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.writeback import status_sync
from vitlab.lab.writeback.edits import accept, undo
from vitlab.lab.writeback.status_sync import sync_status
from vitlab.lab.writeback.writeback import pending

RUNNING = ROADMAP.replace("| Gate-1 | ⏳ |", "| Gate-1 | 🚀 |").replace(
    "| Status | ⏳ planned |", "| Status | 🚀 running |"
)


@pytest.fixture
def running(roadmap: Path) -> str:
    """The roadmap after a launch."""
    roadmap.write_text(RUNNING, encoding="utf-8")
    return RUNNING


@contextmanager
def held(job: JobPaths) -> Iterator[None]:
    """The job runs: its lock is held, and it has not ended."""
    job.exit.unlink()
    job.result.unlink(missing_ok=True)
    lock = take_lock(job.lock)
    assert lock is not None
    try:
        yield
    finally:
        os.close(lock)


def status(lab: Lab, roadmap: Path) -> str | None:
    return lab.read_roadmap(roadmap).mvp("1.0").status


@pytest.mark.usefixtures("running")
def test_an_end_is_told_once(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", outcome="failed")
    assert sync_status(lab, roadmap) == [roadmap]
    assert status(lab, roadmap) == "failed"
    assert sync_status(lab, roadmap) == []


@pytest.mark.usefixtures("running")
def test_an_mvp_that_is_not_in_the_plan_stops_no_other(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", mvp="7.7", exp_id="VIT-20260101-another-01")
    ended("two", outcome="failed")
    assert sync_status(lab, roadmap) == [roadmap]
    assert status(lab, roadmap) == "failed"
    assert "MVP-7.7: its status is not written: " in str(lab.notes)
    assert "no MVP '7.7'" in str(lab.notes)


@pytest.mark.usefixtures("running")
def test_two_that_see_the_same_end_write_it_once(
    lab: Lab, roadmap: Path, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A screen and `vitlab run --wait`, at the same moment."""
    ended("one", outcome="failed")

    def too_late(*changes: Any, what: str) -> object:
        monkeypatch.setattr(status_sync, "save", save)
        assert sync_status(open_lab(lab.paths.root), roadmap) == [roadmap]
        return save(*changes, what=what)

    monkeypatch.setattr(status_sync, "save", too_late)
    assert sync_status(lab, roadmap) == []
    assert status(lab, roadmap) == "failed"


def test_a_person_who_undoes_it_is_not_corrected(
    lab: Lab, roadmap: Path, ended: Ended, running: str
) -> None:
    ended("one", outcome="failed")
    sync_status(lab, roadmap)
    assert undo(lab).what == "MVP-1.0: status failed"
    assert sync_status(lab, roadmap) == []
    assert roadmap.read_text(encoding="utf-8") == running


def test_a_status_a_person_set_stays(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one")
    assert sync_status(lab, roadmap) == []
    assert roadmap.read_text(encoding="utf-8") == ROADMAP


@pytest.mark.usefixtures("running")
def test_numbers_still_wait_for_a_word(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.75)
    sync_status(lab, roadmap)
    assert status(lab, roadmap) == "done"
    assert "0.750" not in roadmap.read_text(encoding="utf-8")
    accept(lab, pending(lab, roadmap))
    assert "0.750" in roadmap.read_text(encoding="utf-8")


def test_nothing_is_told_where_the_settings_say_ask(
    lab: Lab, roadmap: Path, ended: Ended, running: str
) -> None:
    lab.paths.settings.write_text("write_status: ask\n", encoding="utf-8")
    ended("one")
    assert sync_status(open_lab(lab.paths.root), roadmap) == []
    assert roadmap.read_text(encoding="utf-8") == running


@pytest.mark.parametrize(("profile", "told"), [("full", True), ("demo", False)])
def test_progress_of_full_runs_is_written_and_is_not_what_undo_takes_back(
    lab: Lab, roadmap: Path, ended: Ended, running: str, profile: str, told: bool
) -> None:
    job = ended("one", profile=profile)
    with held(job), EventWriter(job.events) as events:
        events.write("start", host="here")
        events.write("eval", step=5, epoch=3, split="val", values={"val/r2/log_g": 0.5})
        assert sync_status(lab, roadmap) == ([roadmap] if told else [])
        text = roadmap.read_text(encoding="utf-8")
        assert ("🚀 running (ep3)" in text) is told
        events.write("eval", step=9, epoch=4, split="val", values={"val/r2/log_g": 0.6})
        assert sync_status(lab, roadmap) == []  # not every epoch: once a minute at most
        assert undo(lab).changes == ()
        assert roadmap.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("gate", ["🚀 running", "🔆 in analysis"])
@pytest.mark.parametrize(("value", "outcome"), [(None, "failed"), (0.7, "ok"), (0.75, "ok")])
def test_a_gate_shows_no_epoch_of_a_run_that_is_over(
    lab: Lab, roadmap: Path, ended: Ended, gate: str, value: float | None, outcome: str
) -> None:
    roadmap.write_text(RUNNING.replace("🚀 running", gate), encoding="utf-8")
    job = ended("one", value, outcome=outcome)
    files = {path: path.read_bytes() for path in (job.exit, job.result) if path.exists()}
    with held(job), EventWriter(job.events) as events:
        events.write("start", host="here")
        events.write("eval", step=5, epoch=3, split="val", values={"val/r2/log_g": 0.5})
        sync_status(lab, roadmap)
        assert f"| Status | {gate} (ep3) |" in roadmap.read_text(encoding="utf-8")
    for path, content in files.items():
        path.write_bytes(content)
    assert sync_status(lab, roadmap) == [roadmap]
    assert "ep3" not in roadmap.read_text(encoding="utf-8")
    accept(lab, pending(lab, roadmap))
    assert "ep3" not in roadmap.read_text(encoding="utf-8")


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("outcome", ["ok", "failed"])
def test_the_end_of_a_trial_is_no_end_of_a_full_run(
    lab: Lab, roadmap: Path, ended: Ended, outcome: str
) -> None:
    full = ended("one")
    ended("one", 0.6, profile="smoke", outcome=outcome)
    with held(full), EventWriter(full.events) as events:
        sync_status(lab, roadmap)
        assert status(lab, roadmap) == "running"
        assert pending(lab, roadmap).mvps == ()
        events.write("eval", step=5, epoch=3, split="val", values={"val/r2/log_g": 0.5})
        sync_status(lab, roadmap)
        assert "🚀 running (ep3)" in roadmap.read_text(encoding="utf-8")


@pytest.mark.usefixtures("running")
def test_a_trial_leaves_the_end_that_a_full_run_has(lab: Lab, roadmap: Path, ended: Ended) -> None:
    ended("one", 0.75)
    ended("one", profile="smoke", outcome="failed")
    sync_status(lab, roadmap)
    assert status(lab, roadmap) == "done"


@pytest.mark.usefixtures("running")
def test_a_failure_that_is_told_waits_for_nothing_more(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", outcome="failed")
    sync_status(lab, roadmap)
    assert pending(lab, roadmap).mvps == ()


def test_what_has_nothing_to_write_is_accepted_all_the_same(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    failed = ROADMAP.replace("| Gate-1 | ⏳ |", "| Gate-1 | ❌ failed |")
    roadmap.write_text(failed, encoding="utf-8")
    ended("one", outcome="failed")
    plan = pending(lab, roadmap)
    assert plan.mvps == ("1.0",)
    accept(lab, plan)
    assert pending(lab, roadmap).mvps == ()


@pytest.mark.parametrize("gate", ["⏳ planned", "🔆 in analysis"])
@pytest.mark.parametrize("outcome", ["failed", "killed"])
def test_after_a_run_without_numbers_a_gate_stands_as_before(
    lab: Lab, roadmap: Path, ended: Ended, gate: str, outcome: str
) -> None:
    roadmap.write_text(ROADMAP.replace("⏳ planned", gate), encoding="utf-8")
    before = lab.read_roadmap(roadmap)
    launched = record_launch(before, "1.0", EXP_ID, "2026-01-02")
    save([change(before.document, launched)], lab.journal)
    assert lab.read_roadmap(roadmap).gate("1").status == "running"
    ended("one", outcome=outcome)
    assert sync_status(lab, roadmap) == [roadmap]
    assert lab.read_roadmap(roadmap).gate("1").status == before.gate("1").status


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(("profile", "wanted"), [("smoke", "done"), ("full", "paused")])
def test_what_is_put_aside_keeps_a_full_run_from_its_end_only_as_a_part_of_it(
    lab: Lab, roadmap: Path, ended: Ended, profile: str, wanted: str
) -> None:
    lab.paths.experiments.joinpath("the_run.yaml").unlink()  # declares a second run
    ended("one", 0.75)
    aside = ended("two", profile=profile)
    for path in (aside.started, aside.exit, aside.result):
        path.unlink()
    submissions.record(aside.folder)
    record = read_job(aside)
    assert record is not None
    hold(record)
    assert sync_status(lab, roadmap) == [roadmap]
    assert status(lab, roadmap) == wanted
    assert sync_status(lab, roadmap) == []
