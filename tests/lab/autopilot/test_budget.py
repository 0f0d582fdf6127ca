"""What jobs have cost, and what a launch is expected to cost."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from vitlab.contract.job import Done, Lost, Result, Running, Spec, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs.store import Job, read_job
from vitlab.lab.autopilot.budget import (
    Estimate,
    Spent,
    estimate,
    gpus_of,
    hours_of,
    hours_text,
    spent,
)
from vitlab.lab.lab import Lab
from vitlab.lab.launch import Plan, Request

SPEC = Spec("1.0", "one", "smoke", "ridge", {"data": {"train_size": 10}}, "E-1", "plan.md")


def _leg(folder: Path, began: float, ended: float | None, number: str = "", **more: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    started = {"started": began, **more}
    (folder / f"started{number}.json").write_text(json.dumps(started))
    if ended is not None:
        record = {"v": 1, "reason": "ok", "started": began, "ended": ended, "code": 0}
        (folder / f"exit{number}.json").write_text(json.dumps(record))


def _job(folder: Path, state: object, spec: Spec = SPEC) -> Job:
    return Job(JobPaths(folder), spec, state)  # type: ignore[arg-type]


def test_a_running_job_counts_up_to_now(tmp_path: Path) -> None:
    _leg(tmp_path, 1000.0, None, device="gpu0,gpu1")
    running = _job(tmp_path, Running(1000.0, 1, "gpu0,gpu1"))
    assert spent([running], now=1000.0 + 1800) == Spent(0.5, 0.5, 1.0)


def test_gpus_of_slurm_count_however_they_are_named() -> None:
    assert gpus_of({"device": "GPU-5a4b,GPU-6a4b"}) == 2
    assert gpus_of({"device": "MIG-1,MIG-2,gpu0:1"}) == 3
    assert gpus_of({"device": "NoDevFiles"}) == gpus_of({"device": "cpu"}) == 0
    assert gpus_of({"device": "gpu0,gpu1", "gpus": 4}) == 4
    assert gpus_of({"device": "gpu0", "gpus": True}) == gpus_of({"device": "gpu0", "gpus": -1}) == 1


def test_every_run_of_a_resumed_job_counts(tmp_path: Path) -> None:
    _leg(tmp_path, 0.0, 3600.0, ".1", device="cpu", environment={"OMP_NUM_THREADS": "4"})
    _leg(tmp_path, 7200.0, 7200.0 + 1800, device="cpu", environment={"OMP_NUM_THREADS": "2"})
    job = _job(tmp_path, Done(7200.0, 9000.0, "failed", 1))
    assert spent([job]) == Spent(1.5, 4 + 1, 0.0)


def test_core_hours_are_those_of_the_result(tmp_path: Path) -> None:
    _leg(tmp_path, 0.0, 3600.0, device="cpu", environment={"OMP_NUM_THREADS": "8"})
    result = Result("1.0", "one", "smoke", "ridge", {}, data={"core_hours": 2.5})
    write_result(tmp_path / "result.json", result)
    assert spent([_job(tmp_path, Done(0.0, 3600.0, "ok", 0))]) == Spent(1.0, 2.5, 0.0)


def test_a_lost_job_counts_to_its_last_sign(tmp_path: Path) -> None:
    _leg(tmp_path, 1000.0, None, device="cpu")
    (tmp_path / "out.log").write_text("x")
    os.utime(tmp_path / "out.log", (4600.0, 4600.0))
    assert spent([_job(tmp_path, Lost(1000.0))], now=1e6).wall_hours == pytest.approx(1.0)


def _past(lab: Lab, name: str, hours: Sequence[float], spec: Spec = SPEC) -> None:
    for number, each in enumerate(hours):
        folder = lab.paths.experiments / "E-1" / f"{name}-{number}"
        _leg(folder, 0.0, each * 3600, device="cpu")
        (folder / "spec.json").write_bytes(replace(spec, submitted=1.0 + number).to_json())
        job = read_job(JobPaths(folder))
        assert job is not None
        assert isinstance(job.state, Done)


def _estimate(lab: Lab, *specs: Spec) -> Estimate:
    request = Request(lab.roadmap_path(), "1.0", "smoke")
    return estimate(lab, Plan(request, specs, (), (), {}))


def test_an_estimate_is_the_median_of_the_same_settings_with_their_spread(lab: Lab) -> None:
    _past(lab, "same", [1.0, 2.0, 6.0])
    _past(lab, "other", [50.0], replace(SPEC, config={"data": {"train_size": 99}}, mvp="2.0"))
    seeded = replace(SPEC, config={**SPEC.config, "train": {}})
    found = _estimate(lab, seeded, seeded)
    assert (found.hours, found.low, found.high) == (4.0, 2.0, 12.0)  # one slot: one by one
    assert found.gpu_hours == 0.0
    assert found.source == "3 runs of the same settings"


def test_without_such_runs_the_recipe_at_this_profile_tells(lab: Lab) -> None:
    _past(lab, "other", [5.0], replace(SPEC, config={"data": {"train_size": 99}}, mvp="2.0"))
    found = _estimate(lab, SPEC)
    assert (found.hours, found.low, found.high) == (5.0, 5.0, 5.0)
    assert found.source == "1 run of ridge at smoke"


def test_what_was_never_run_has_no_estimate(lab: Lab) -> None:
    _past(lab, "same", [1.0])
    found = _estimate(lab, SPEC, replace(SPEC, profile="full"))
    assert found == Estimate(None, None, None, None, "no earlier run of ridge at full")
    program = replace(SPEC, recipe="command", config={"argv": ["a"]})
    _past(lab, "program", [1.0], replace(program, mvp="2.0", config={"argv": ["b"]}))
    assert _estimate(lab, program).hours is None  # two programs have nothing in common


def test_hours_are_written_as_people_write_them() -> None:
    assert [hours_of(text, "--budget") for text in ("8h", "90m", "1h30m", "1.5", "2.5h")] == [
        8.0,
        1.5,
        1.5,
        1.5,
        2.5,
    ]
    for text in ("", "h", "-1", "0", "nan", "8 days", "1e9"):
        with pytest.raises(UsageError, match="expected hours"):
            hours_of(text, "--budget")
    shown = [hours_text(hours) for hours in (None, 0.0001, 0.005, 0.5, 8.0)]
    assert shown == ["?", "<1 s", "18 s", "30 min", "8.0 h"]
