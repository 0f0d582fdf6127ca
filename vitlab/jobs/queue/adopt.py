"""Adopting a run that was started by hand: it is watched to its end like any other job."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from vitlab.contract.job import Spec
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.jobs import processes
from vitlab.jobs.experiment.settings import load_settings
from vitlab.jobs.files import take_lock, write_owner
from vitlab.jobs.gpus import Device, devices
from vitlab.jobs.queue.queue import ADOPTED
from vitlab.jobs.queue.scheduler import start_supervisor
from vitlab.jobs.store import submit


def adopt(lab: LabPaths, spec: Spec, pid: int, log: Path | None = None) -> JobPaths:
    """Make the running process `pid` a job; its supervisor starts immediately.

    `spec` says what the run is for (mvp, run, exp_id, ..., and `metrics` in its `extra`); recipe
    and configuration become the process's own command. `log` is shown as its `out.log`. The run
    itself is not touched; it is not our child, so its exit code stays unknown.
    """
    running = processes.process(pid)
    if running is None:
        raise UsageError(f"process {pid}: no such process")
    try:
        argv = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        folder = str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError as error:
        raise UsageError(f"process {pid}: not yours ({error.strerror})") from error
    if any(entry.startswith(f"{processes.MARKER}=".encode()) for entry in environment):
        raise UsageError(f"process {pid}: is already a job")
    if log is not None and not log.is_file():
        raise UsageError(f"{log}: no such log")
    spec = replace(
        spec,
        recipe="command",
        config={"argv": [part.decode("utf-8", "replace") for part in argv], "cwd": folder},
        extra={**spec.extra, ADOPTED: {"pid": pid, "ticks": running.ticks}},
    )
    job = submit(lab, spec)
    if log is not None:
        job.log.symlink_to(log.resolve())
    _start(lab, job, pid)
    return job


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
