"""Putting aside, releasing and moving jobs that wait."""

from __future__ import annotations

import pytest

from tests.jobs.conftest import Workshop
from tests.waiting import ended
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs.files import read_json, write_json
from vitlab.jobs.queue.machine import Machine
from vitlab.jobs.queue.queue import plan, waiting_in_order
from vitlab.jobs.queue.scheduler import advance, hold, move, release, resume
from vitlab.jobs.store import Job, all_jobs, read_job


def job_of(paths: JobPaths) -> Job:
    found = read_job(paths)
    assert found is not None
    return found


def line(shop: Workshop) -> str:
    return " ".join(job.spec.run for job in waiting_in_order(all_jobs(shop.lab)))


def test_held_until_released(shop: Workshop) -> None:
    paths = shop.submit("print('now')")
    hold(job_of(paths))
    assert advance(shop.lab) == []
    release(job_of(paths))
    assert advance(shop.lab) == [paths]
    ended(paths)
    with pytest.raises(UsageError, match="is not waiting, it is done"):
        hold(job_of(paths))


def test_moved_by_hand(shop: Workshop) -> None:
    for i, run in enumerate("abcd"):
        shop.submit("", run=run, submitted=1000.0 + i, priority=int(run == "a"))

    def shift(run: str, places: int) -> str:
        jobs = all_jobs(shop.lab)
        [job] = [job for job in jobs if job.spec.run == run]
        move(job, jobs, places)
        return line(shop)

    assert line(shop) == "a b c d"
    assert shift("d", -1) == "a b d c"
    assert shift("b", 1) == "a d b c"
    assert shift("c", -3) == "c a d b"  # past a higher priority: it has that one now
    assert shift("a", 99) == "c d b a"
    assert shift("d", 0) == "c d b a"


def test_what_waited_over_a_restart_goes_on_when_told_to(shop: Workshop) -> None:
    paths = shop.submit("print('now')")
    write_json(paths.queue, {"boot": "vm:before:1"})
    assert advance(shop.lab) == []
    [reason] = plan(all_jobs(shop.lab), Machine(boot="vm:after:1")).reasons.values()
    assert reason == "queued before this machine was restarted: release it to run"
    resume(shop.lab, paths)
    with pytest.raises(UsageError, match="is already waiting"):
        resume(shop.lab, paths)
    assert advance(shop.lab) == [paths]
    ended(paths)
    assert "boot" in read_json(paths.started)
