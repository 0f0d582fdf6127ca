"""A clock that is set while a job runs changes nothing of what it took."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.jobs.conftest import Workshop
from vitlab.contract.job import Result, write_result
from vitlab.jobs import files
from vitlab.jobs.files import ReservedFile, read_json, write_json
from vitlab.jobs.process import supervisor as supervisors
from vitlab.jobs.process.ending import End
from vitlab.jobs.process.supervisor import Supervisor
from vitlab.jobs.store import all_jobs, find_job, job_folders, read_job
from vitlab.lab.autopilot.budget import spent
from vitlab.lab.results.job_results import finished, latest

DAYS = 172_800.0


@pytest.mark.parametrize("shift", [DAYS, -DAYS])
def test_a_job_took_what_it_took(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, shift: float
) -> None:
    monkeypatch.setattr(supervisors, "_own_session", lambda: -1)
    job = shop.submit("pass")
    write_json(job.lock, {"device": "gpu 0"})
    run = Supervisor(job, 0)
    write_json(job.started, {"started": round(run.began, 3), "device": "gpu 0"})
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + shift)
    end = ReservedFile(job.exit)
    run._write_exit(end, End(0, None), 0)
    record = read_json(job.exit)
    assert record["ended"] == pytest.approx(real() + shift, abs=100)
    assert 0 <= record["ended"] - record["started"] < 100
    found = read_job(find_job(shop.lab, job.name))
    assert found is not None
    cost = spent([found])
    assert 0 <= cost.wall_hours == cost.gpu_hours < 100 / 3600


def test_the_newest_is_the_one_submitted_last(shop: Workshop) -> None:
    """The clock was days and years ahead as others ended."""
    jobs = []
    for ahead, value in ((1000 * DAYS, 0.1), (DAYS, 0.7), (0.0, 0.5)):
        job = shop.submit("pass", run="main")
        jobs.append(job)
        write_result(job.result, Result("1.0", "main", "full", "command", {"test/r2/log_g": value}))
        ended = time.time() + ahead
        write_json(job.started, {"started": ended - 1, "device": "cpu"})
        write_json(job.exit, {"started": ended - 1, "ended": ended, "code": 0, "reason": "ok"})
        os.utime(job.folder, (ended, ended))
    assert [job.name for job in job_folders(shop.lab)] == [job.name for job in jobs]
    ran = finished(all_jobs(shop.lab))
    first, second, third = (one.job.spec.submitted for one in ran)
    assert 0 < second - ran[0].ended < third - ran[0].ended < 0.01
    assert first < second
    assert [one.result.values for one in latest(ran)] == [{"test/r2/log_g": 0.5}]


@pytest.mark.parametrize("shift", [0.0, 600.0, -600.0])
def test_a_sign_of_life_is_by_the_clock_of_its_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shift: float
) -> None:
    """Two hosts may be minutes apart."""
    lock, before = tmp_path / "lock", time.time
    lock.touch()
    monkeypatch.setattr(files, "_ahead", {})
    monkeypatch.setattr(time, "time", lambda: before() + shift)
    files.beat(lock)
    assert files.beats(lock)
    os.utime(lock, (0, before() - 2 * files.SILENT - abs(shift)))
    assert not files.beats(lock)
    assert [*tmp_path.iterdir()] == [lock]
