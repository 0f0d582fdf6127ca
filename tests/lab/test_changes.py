"""The log of what happened in a lab: with a cursor nothing is missed and nothing told twice."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from vitlab.contract.job import Spec
from vitlab.contract.paths import UsageError
from vitlab.jobs.files import read_json, take_lock, write_json
from vitlab.jobs.store import submit
from vitlab.lab.lab import Lab
from vitlab.lab.live import changes
from vitlab.lab.live.changes import Change, ChangeLog


def look(lab: Lab) -> ChangeLog:
    log = ChangeLog(lab)
    log.look()
    return log


def told(log: ChangeLog, cursor: str, *names: str) -> list[Change]:
    return log.answer(log.awaited(names, cursor)) or []


def test_every_end_is_told_once_whoever_looks(lab: Lab, ended: Ended) -> None:
    """Ends at random between looks of two who wait, each of whom starts anew now and then."""
    drawn = random.Random(3)
    ended("before")
    cursors = [look(lab).cursor] * 2
    logs = [look(lab), look(lab)]
    seen: list[list[str | None]] = [[], []]
    names = []
    for number in range(40):
        if drawn.random() < 0.5:
            names.append(ended(f"run {number}", outcome=drawn.choice(["ok", "oom"])).name)
        who = drawn.randrange(2)
        if drawn.random() < 0.5:
            logs[who] = ChangeLog(lab)  # a restart
        if drawn.random() < 0.7:
            logs[who].look()
            found = told(logs[who], cursors[who])
            seen[who] += [one.job for one in found if one.job]
            cursors[who] = logs[who].cursor
    for who in range(2):
        last = look(lab)
        seen[who] += [one.job for one in told(last, cursors[who]) if one.job]
        assert seen[who] == names
        assert not told(last, last.cursor)


def test_clocks_that_are_set_and_lost_races_hide_no_end(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, real, names = look(lab), time.time, list[str]()
    cursor = log.cursor
    monkeypatch.setattr(changes, "PATIENCE", 0.0)
    for number, jump in enumerate((1e7, -1e7, 0.0)):
        monkeypatch.setattr(time, "time", lambda jump=jump: real() + jump)
        names.append(ended(f"run {number}").name)
        held = take_lock(lab.paths.private.changes_lock)
        assert held is not None
        with pytest.raises(UsageError, match="another process writes it; try again"):
            log.look()
        os.close(held)
        log.look()
    assert [one.job for one in told(log, cursor) if one.job] == names
    assert [one.job for one in told(look(lab), cursor) if one.job] == names


def test_what_is_told_of_an_end(lab: Lab, ended: Ended) -> None:
    cursor = look(lab).cursor
    good, bad = ended("one", 0.75), ended("two", None, outcome="oom")
    judged, first, second = sorted(told(look(lab), cursor), key=lambda one: one.job or "")
    assert first.record == {
        "job": good.name,
        "mvp": "1.0",
        "kind": "ended",
        "state": "done",
        "outcome": "ok",
        "values": {"test/r2/log_g": 0.75},
    }
    assert (second.job, second.kind, second.outcome) == (bad.name, "failed", "oom")
    assert (judged.gate, judged.kind, judged.state, judged.mvp) == ("1", "judged", "pass", "1.0")
    assert judged.record["roadmap"] == "roadmaps/plan_roadmap.md"


def test_a_job_that_needs_a_person_is_told_each_time(lab: Lab) -> None:
    spec = Spec("1.0", "one", "full", "command", {"argv": ["true"]}, "VIT-1", "roadmaps/x.md")
    job = submit(lab.paths, spec)
    write_json(job.queue, {**read_json(job.queue), "hold": True})
    cursor = look(lab).cursor
    assert not told(look(lab), cursor)
    job.started.write_text(json.dumps({"v": 1, "started": 5.0, "pid": 1, "boot": "another"}))
    [lost] = told(look(lab), cursor)
    assert (lost.kind, lost.state) == ("person", "lost")


def test_named_jobs_are_waited_for_until_all_are_over(lab: Lab, ended: Ended) -> None:
    first = ended("one")
    waiting = submit(lab.paths, Spec("2.0", "a", "full", "mlp", {}, "VIT-2", "roadmaps/x.md"))
    write_json(waiting.queue, {**read_json(waiting.queue), "boot": "another"})
    log = look(lab)
    both = (first.name, "MVP-2.0")
    assert log.answer(log.awaited(both)) is None
    [only] = log.answer(log.awaited(both, first=True)) or []
    assert only.job == first.name
    [mvp] = log.answer(log.awaited(["1.0"])) or []
    assert mvp.job == first.name
    assert log.answer(log.awaited()) is None  # from now on
    with pytest.raises(UsageError, match="no job 'nothing'"):
        log.awaited(["nothing"])


def test_a_half_line_is_cut_and_a_foreign_log_set_aside(lab: Lab, ended: Ended) -> None:
    cursor = look(lab).cursor
    path = lab.paths.private.changes
    with path.open("a") as file:
        file.write('{"number": 7, "key"')  # killed while it wrote
    job = ended("one")
    assert [one.job for one in told(look(lab), cursor) if one.job] == [job.name]
    assert all(json.loads(line[line.index("{") :]) for line in path.read_text().splitlines())
    head, *lines = path.read_text().splitlines()
    path.write_text("\n".join([head.replace('"seal": "', '"seal": "0'), *lines, ""]))
    log = look(lab)
    assert "set aside" in lab.notes[0]
    # Whoever asks by a cursor of the old log is told all that is known, and why.
    assert job.name in [one.job for one in told(log, cursor)]
    assert f"the log of cursor {cursor} is gone" in lab.notes[1]
    with pytest.raises(UsageError, match=r"cursor '\.\./x': is none"):
        log.awaited((), "../x")
    told(log, f"{'x' * 100_000}-1")
    assert "is gone" in lab.notes[-1]
    assert len(lab.notes[-1]) < 200


def test_a_line_that_somebody_has_changed_tells_nothing(lab: Lab, ended: Ended) -> None:
    cursor = look(lab).cursor
    job = ended("one", 0.75)
    assert told(look(lab), cursor)
    path = lab.paths.private.changes
    path.write_text(path.read_text().replace("0.75", "0.95"))
    log = look(lab)
    assert "set aside" in lab.notes[0]
    [again] = [one for one in told(log, cursor) if one.job == job.name]
    assert set(again.values.values()) == {0.75}


def test_a_long_log_keeps_the_last_of_each(
    lab: Lab, ended: Ended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "SUPERSEDED", 2)
    job = ended("one")
    cursors = [look(lab).cursor]
    for number in range(12):
        record = read_json(job.exit)
        write_json(job.exit, {**record, "ended": 1_767_400_000.0 + number})
        job.exit.parent.touch()
        log = look(lab)
        assert [one.job for one in told(log, cursors[-1])] == [job.name]
        cursors.append(log.cursor)
    assert len(Path(lab.paths.private.changes).read_text().splitlines()) < 12
    assert [one.job for one in told(log, cursors[0])][-1] == job.name
    assert not told(log, cursors[-1])
