"""A screen where nothing happens does next to nothing, and wakes at once."""

from __future__ import annotations

import os
import shutil
import threading
from typing import Any

import pytest

from tests.tui.real import RealLab
from tests.waiting import wait_for
from vitlab.contract.events import EventWriter
from vitlab.contract.job import Spec
from vitlab.contract.paths import JobPaths
from vitlab.jobs.files import exit_record, write_json
from vitlab.jobs.store import all_jobs, submit
from vitlab.lab.live import judged as judging
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.writeback.sync_ledger import record_written
from vitlab.tui.terminal.terminal_io import QUIET, _End
from vitlab.tui.watch import reader as reading
from vitlab.tui.watch.pace import IDLE, LOOK, POLL, REST, Pace
from vitlab.tui.watch.reader import LabReader

ROADMAP = "roadmaps/sleep_roadmap.md"


def test_pauses_grow_while_nothing_happens_and_a_key_ends_them() -> None:
    time = [0.0]
    pace = Pace(lambda: time[0])

    def pass_by(seconds: float) -> tuple[int, int]:
        looks = reads = 0
        end = time[0] + seconds
        while time[0] < end:
            looks += 1
            if pace.begin():
                reads += 1
                pace.end(0.02)
            time[0] += pace.rest()
        return looks, reads

    busy = pass_by(60)
    assert busy[1] >= 45  # something runs
    pace.busy = False
    pace.happened()
    pass_by(300)
    assert (pace.rest(), pace.rests) == (IDLE, True)
    looks, reads = pass_by(3600)
    assert looks <= 3600 / IDLE + 1
    assert reads <= 3600 / REST + 1
    assert pace.attend()
    assert pace.begin()  # everything is read for who comes back
    pace.end(0.02)
    assert pace.rest() == POLL
    assert not pace.attend()
    assert not pace.begin()
    time[0] += LOOK
    assert pace.begin()


def ended(lab: RealLab, number: int) -> JobPaths:
    exp = "A-20260101-x-01"
    job = submit(lab.paths, Spec("1.0", f"run {number}", "demo", "ridge", {}, exp, ROADMAP))
    with EventWriter(job.events) as writer:
        for step in range(50):
            writer.write("eval", step=step, split="val", values={"val/r2/log_g": step / 50})
    write_json(job.exit, exit_record("ok", "", 1.0))
    os.utime(job.folder, (1e9 + number, 1e9 + number))  # long ago
    return job


def test_an_ended_job_is_read_once_and_looked_at_in_turn(
    real_lab: RealLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [ended(real_lab, number) for number in range(7)]
    monkeypatch.setattr(reading, "TURN", 2)
    lab, stats = real_lab.lab, list[str]()
    reader = LabReader(lab)
    for _ in range(3):
        view = reader.read(real_lab.roadmap)
    reader.forget_all_but(view, {jobs[0].name})
    assert list(lab._readers) == [jobs[0].folder]
    kept = reader.read(real_lab.roadmap).jobs
    assert all(a is b for a, b in zip(kept, view.jobs, strict=True))
    assert list(lab._readers) == [jobs[0].folder]  # no events were read again
    assert {len(job.progress.curve("val/r2/log_g")) for job in kept} == {5}
    stamp = reading._stamp_of

    def noted(path: str) -> tuple[int, int] | None:
        stats.append(path)
        return stamp(path)

    monkeypatch.setattr(reading, "_stamp_of", noted)
    assert not reader.changed(view, everything=False)
    assert not {str(job.folder) for job in jobs} & set(stats)
    looks = []
    for _ in range(4):
        stats.clear()
        assert not reader.changed(view, everything=True)
        looks.append({str(job.folder) for job in jobs} & set(stats))
    assert [len(look) for look in looks] == [2, 2, 2, 1]
    assert set().union(*looks) == {str(job.folder) for job in jobs}
    jobs[3].resume.touch()
    assert any(reader.changed(view, everything=True) for _ in range(4))
    real_lab.add_mvp("a row from vim")
    assert reader.changed(view, everything=False)


def test_results_are_judged_again_only_where_something_has_changed(
    real_lab: RealLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    with real_lab.paths.settings.open("a") as settings:
        settings.write("write_status: ask\n")
    jobs = [ended(real_lab, number) for number in range(3)]
    lab, judged = real_lab.lab, list[Any]()

    def counted(*of: Any) -> Any:
        judged.append(of)
        return verdicts_of(*of)

    monkeypatch.setattr(judging, "verdicts_of", counted)
    reader = LabReader(lab)

    def read() -> tuple[int, int]:
        """How often results were judged, and how many wait to be written."""
        judged.clear()
        view = reader.read(real_lab.roadmap)
        return len(judged), view.pending

    for _ in range(3):
        read()
    assert read() == (0, 3)
    write_json(jobs[1].health, {})  # a new name in its folder: anything may have changed
    os.utime(jobs[1].folder, (2e9, 1e9))
    assert [read(), read()] == [(1, 3), (0, 3)]
    shutil.rmtree(jobs[2].folder)
    assert [read(), read()] == [(1, 2), (0, 2)]
    ended(real_lab, 3)
    assert [read(), read()] == [(1, 3), (0, 3)]
    real_lab.add_mvp("a row from vim")
    assert [read(), read()] == [(1, 3), (0, 3)]
    lab.paths.openings.touch()
    assert [read(), read()] == [(1, 3), (0, 3)]
    record_written(lab, all_jobs(lab.paths), ["a text"])
    assert [read(), read()] == [(1, 0), (0, 0)]


def test_the_reader_of_keys_waits_for_a_key_and_for_the_end() -> None:
    keys, press = os.pipe()
    end, answers = _End(keys), list[Any]()

    def ask() -> None:
        while not end.is_set():
            answers.append(None)
            if end._waits(0.0):
                os.read(keys, 1)

    thread = threading.Thread(target=ask)
    thread.start()
    wait_for(lambda: len(answers) == QUIET)
    for presses in (2, 3):
        os.write(press, b"\x1b")
        # After a key it is asked again and again: an escape alone is known by what does not follow.
        wait_for(lambda count=presses: len(answers) >= count * QUIET)  # type: ignore[misc]
    assert len(answers) <= 3 * QUIET + 2
    end.set()
    thread.join()
    assert end.is_set()
    end.clear()
    assert not end.is_set()
