"""Has a job's budget looked at when it may be spent, though nobody looks on."""

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
from vitlab.jobs.processes import ASSISTANTS, AUTOPILOT, PYTHON, boot, is_same_boot

LOOK = 10.0
"""Seconds between two looks at the budget's file, which may name another moment by then."""
AGAIN = 60.0
"""Seconds until it is looked at once more, if it has named no later moment."""
PROGRAMS = {AUTOPILOT: "vitlab.jobs.queue.scheduler", ASSISTANTS: "vitlab.lab.tray.account"}
"""What looks at the budget of which jobs, by the key of `Spec.extra` that they have."""


class BudgetDue:
    """The moment that the budget of a job has named: an autopilot's, or that of assistants.

    What is to be done then is decided by the program that is started, which also looks whether the
    file is this user's: nothing is believed of it here but that moment.
    """

    def __init__(self, job: JobPaths, extra: Mapping[str, Any], by_slurm: bool) -> None:
        """`by_slurm`: what is started would end with the batch step, so nothing is."""
        self._root = job.root
        key = next((one for one in PROGRAMS if one in extra and not by_slurm), "")
        private = LabPaths(job.root).private
        self._path = private.agents if key == ASSISTANTS else private.autopilot
        self._program = PROGRAMS.get(key, "")
        self._mark = str(extra.get(key, ""))
        self._boot = boot()
        self._next = 0.0
        self._started = math.inf
        """The moment at which it was started last."""
        self._again = 0.0
        self._pid = 0

    def look(self) -> None:
        """Start what looks at the budget if the moment has come."""
        now = time.clock_gettime(time.CLOCK_BOOTTIME)
        if not self._program or now < self._next:
            return
        self._collect()
        due = self._due()
        if due > now:
            self._next = min(due, now + LOOK)
            return
        if due != self._started or now >= self._again:
            self._started, self._again = due, now + AGAIN
            self._start()
        self._next = min(now + LOOK, self._again)

    def _start(self) -> None:
        argv = [*PYTHON, "-m", self._program, str(self._root)]
        quiet = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in range(3)]
        with contextlib.suppress(OSError):  # no memory for another process: the next time
            # In a session of its own: it is no process of the job, which it may end.
            self._pid = os.posix_spawn(
                sys.executable, argv, os.environ, file_actions=quiet, setsid=True
            )

    def _due(self) -> float:
        """Seconds since the machine's start; infinite where nothing is left to be kept."""
        record = read_json(self._path)
        if not record.get("active") or not self._mark.startswith(f"{record.get('id')}/"):
            return math.inf
        due = record.get("due")
        known = is_same_boot(record.get("boot"), self._boot) and isinstance(due, int | float)
        return float(due or 0.0) if known else 0.0  # another machine has written it

    def _collect(self) -> None:
        """The exit status of what was started, so that nothing of it is left."""
        if self._pid:
            with contextlib.suppress(OSError):
                if os.waitpid(self._pid, os.WNOHANG)[0]:
                    self._pid = 0
