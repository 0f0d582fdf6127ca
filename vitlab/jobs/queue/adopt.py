"""Adopting a run that was started by hand: it is watched to its end like any other job."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitlab.contract.job import Queued, Running, Spec
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.jobs import processes
from vitlab.jobs.experiment.settings import load_settings
from vitlab.jobs.files import take_lock, write_owner
from vitlab.jobs.gpus import Device, devices
from vitlab.jobs.queue.scheduler import start_supervisor
from vitlab.jobs.queue.trainings import Training, training
from vitlab.jobs.store import ADOPTED, all_jobs, submit


def adopt(lab: LabPaths, spec: Spec, pid: int, log: Path | None = None) -> JobPaths:
    """Make the running process `pid` a job; its supervisor starts immediately.

    `spec` says what the run is for (mvp, run, exp_id, ..., and `metrics` in its `extra`); recipe
    and configuration become the process's own command. `log` is shown as its `out.log`. The run
    itself is not touched; it is not our child, so its exit code stays unknown.
    """
    if log is not None and not log.is_file():
        raise UsageError(f"{log}: no such log")
    lab.private.make()
    one_at_a_time = take_lock(lab.private.adopting)
    if one_at_a_time is None:
        raise UsageError("another `vitlab adopt` is at work in this lab; try again")
    try:
        found = training(pid)
        if watcher := watched_by(lab, found):
            raise UsageError(f"process {pid}: is already a job: {watcher}")
        spec = replace(
            spec,
            recipe="command",
            config={**spec.config, "argv": list(found.argv), "cwd": str(found.folder)},
            extra={**spec.extra, ADOPTED: {"pid": pid, "ticks": found.ticks}},
        )
        job = submit(lab, spec)
        if log is not None:
            job.log.symlink_to(log.resolve())
        _start(lab, job, pid)
        return job
    finally:
        os.close(one_at_a_time)


def watched_by(lab: LabPaths, found: Training) -> str:
    """The job that has this process, its parent or its child already; empty where none has."""
    if found.job:
        folder = Path(found.job)
        return f"{folder.parent.name}/{folder.name}"
    for job in all_jobs(lab):
        adopted = job.spec.extra.get(ADOPTED)
        if adopted and isinstance(job.state, Queued | Running) and _share(adopted, found):
            return job.name
    return ""


def _share(adopted: Mapping[str, int], found: Training) -> bool:
    """Whether one of the two processes is the other, or descends from it."""
    watched = processes.tree(adopted["pid"], adopted["ticks"])
    ours = processes.tree(found.pid, found.ticks)
    return found.pid in [one.pid for one in watched] or adopted["pid"] in [one.pid for one in ours]


def _start(lab: LabPaths, job: JobPaths, pid: int) -> None:
    lock = take_lock(job.lock)
    if lock is None:
        raise UsageError(f"{job.name}: another process holds its lock")
    lab.private.make()
    on = [device for device in devices() if pid in device.pids]
    try:
        write_owner(
            lock,
            {
                "v": 1,
                "started": round(time.time(), 3),
                "boot": processes.boot(),
                "device": ",".join(device.label for device in on) or "cpu",
                "devices": [_record(device, pid) for device in on],
                "grace": load_settings(lab).grace,
            },
        )
        start_supervisor(lab, job, lock)
    finally:
        os.close(lock)


def _record(device: Device, pid: int) -> dict[str, Any]:
    """The GPU as it was without the run, as far as is known."""
    return {**device.record, "pids": [one for one in device.pids if one != pid]}
