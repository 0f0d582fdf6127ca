"""What this machine has room for: CPU slots by the settings, GPUs by NVML."""

from __future__ import annotations

import os
from pathlib import Path

from vitlab.contract.paths import LabPaths
from vitlab.jobs.gpus import Device, devices
from vitlab.jobs.processes import MARKER, boot, process
from vitlab.jobs.room import Gpu, Slots
from vitlab.jobs.settings import Settings, load_settings


def read_slots(lab: LabPaths) -> Slots:
    """The room of this machine, now; a lab without settings has one CPU slot."""
    return Slots(
        cpu=load_settings(lab).cpu_slots,
        gpus=tuple(_gpu(lab, device) for device in devices()),
        boot=boot(),
    )


def threads(settings: Settings) -> int:
    """CPU threads of one job, so that all slots together use every core once."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return settings.cpu_threads or max(1, (cores or 1) // settings.cpu_slots)


def _gpu(lab: LabPaths, device: Device) -> Gpu:
    """With the processes on it that no job of this lab started; an unknown pid is one of them."""
    ours = f"{MARKER}={lab.experiments.resolve()}/".encode()
    foreign = tuple(pid for pid in device.pids if not _has(pid, ours))
    return Gpu(device, foreign, tuple(pid for pid in foreign if process(pid) is None))


def _has(pid: int, prefix: bytes) -> bool:
    try:
        environment = Path("/proc", str(pid), "environ").read_bytes()
    except OSError:
        return False
    return any(entry.startswith(prefix) for entry in environment.split(b"\0"))
