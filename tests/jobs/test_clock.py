"""A clock that is set while a job runs changes nothing of what it took."""

from __future__ import annotations

import time

import pytest

from tests.jobs.conftest import Workshop
from vitlab.jobs.files import ReservedFile, read_json, write_json
from vitlab.jobs.process import supervisor as supervisors
from vitlab.jobs.process.ending import End
from vitlab.jobs.process.supervisor import Supervisor
from vitlab.jobs.store import find_job, read_job
from vitlab.lab.autopilot.budget import spent

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
