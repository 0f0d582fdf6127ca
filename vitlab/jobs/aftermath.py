"""What a run left: the end of its log, its last error, and the result of a program of one's own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs.health import History
from vitlab.jobs.jsonfiles import read_json
from vitlab.jobs.tail import last_json_line

TAIL = 8192
"""Bytes of the log in which the reason of an end is looked for."""


def size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def free(folder: Path) -> int | None:
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def last_error(events: Path, start: int) -> str:
    """The `error` of the last line, if this run wrote one."""
    return str(last_json_line(events).get("error") or "") if size(events) > start else ""


def tail(log: Path, start: int) -> str:
    """The last words of this run in its log; an earlier run's do not count."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, start if start <= size else 0))
            return file.read(TAIL).decode("utf-8", "replace")
    except OSError:
        return ""


def gpu_memory(orders: Mapping[str, Any], patience: float) -> str:
    """What the job's GPUs have not got back `patience` seconds after its end; empty: nothing."""
    records = orders.get("devices")
    if not records:
        return ""
    # NVML costs more memory than the supervisor may have: only where there is a GPU.
    from vitlab.jobs.gpus import not_returned

    return not_returned(records, patience)


def write_command_result(job: JobPaths, history: History, seconds: float) -> None:
    """For `recipe: command` that wrote no `result.json`: the last value of each of its names."""
    spec = read_json(job.spec)
    values = {name: series[-1] for name, series in history.series.items() if series}
    if spec.get("recipe") != "command" or job.result.exists() or not values:
        return
    from vitlab.contract.result import Result, write_result

    result = Result(
        mvp=str(spec.get("mvp", "")),
        run=str(spec.get("run", "")),
        profile=str(spec.get("profile", "")),
        recipe="command",
        values=values,
        headline=str(spec.get("headline", "")),
        model={"name": str(spec.get("run", ""))},
        best={"step": history.step},
        seconds=round(seconds, 3),
    )
    with contextlib.suppress(OSError):  # a full disk: `exit.json` says so
        write_result(job.result, result)


def announce(job: JobPaths, wait: bool) -> None:
    """Have a process of its own tell the lab's webhook of the end, where there seems to be one.

    `wait` for it where all processes end with this one.
    """
    if not job.exit.exists():
        return  # it goes on in its next time
    try:
        told = b"webhook" in LabPaths(job.folder.parents[2]).settings.read_bytes()
    except OSError:
        return
    if not told:
        return
    argv = [sys.executable, "-P", "-m", "vitlab.jobs.notice", str(job.folder)]
    quiet = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in range(3)]
    with contextlib.suppress(OSError):  # no room for another process
        pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=quiet)
        if wait:
            os.waitpid(pid, 0)
