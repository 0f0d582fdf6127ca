"""Has a job's autopilot carried on when its budget may be spent, though nobody looks on."""

from __future__ import annotations

import contextlib
import math
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs.files import read_json
from vitlab.jobs.processes import AUTOPILOT, PYTHON, boot

LOOK = 10.0
"""Seconds between two looks at the autopilot's file, which may name another moment by then."""
AGAIN = 60.0
"""Seconds until it is carried on once more, if it has named no later moment."""


class AutopilotDue:
    """The moment that the autopilot of a job has named.

    What is to be done then is decided by the program that is started, which also looks whether the
    file is this user's: nothing is believed of it here but that moment.
    """

    def __init__(self, job: JobPaths, extra: Mapping[str, Any], by_slurm: bool) -> None:
        """`by_slurm`: what is started would end with the batch step, so nothing is."""
        self._root = job.root
        self._mark = "" if by_slurm else str(extra.get(AUTOPILOT, ""))
        self._boot = boot()
        self._next = 0.0
        self._pid = 0

    def look(self) -> None:
        """Start what carries it on if the moment has come."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if not self._mark or now < self._next:
            return
        self._collect()
        due = self._due(now)
        if due > now:
            self._next = min(due, now + LOOK)
            return
        self._next = now + AGAIN
        argv = [*PYTHON, "-m", "vitlab.jobs.queue.scheduler", str(self._root)]
        quiet = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in range(3)]
        with contextlib.suppress(OSError):  # no memory for another process: the next time
            # In a session of its own: it is no process of the job, which it may end.
            self._pid = os.posix_spawn(
                sys.executable, argv, os.environ, file_actions=quiet, setsid=True
            )

    def _due(self, now: float) -> float:
        """Seconds since the machine's start; infinite where the job's autopilot has ended."""
        record = read_json(LabPaths(self._root).private.autopilot)
        if not record.get("active") or not self._mark.startswith(f"{record.get('id')}/"):
            return math.inf
        due = record.get("due")
        known = record.get("boot") == self._boot and isinstance(due, int | float)
        return float(due or 0.0) if known else now  # another machine has written it

    def _collect(self) -> None:
        """The exit status of what was started, so that nothing of it is left."""
        if self._pid:
            with contextlib.suppress(OSError):
                if os.waitpid(self._pid, os.WNOHANG)[0]:
                    self._pid = 0
