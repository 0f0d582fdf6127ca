"""The supervisor's eye on its job: reads new events, judges, notes what changed, caps the log."""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

from vitlab.contract.events import read_events
from vitlab.contract.paths import JobPaths
from vitlab.jobs.health import Facts, Health, History, Limits, health, remember
from vitlab.jobs.logcap import cap
from vitlab.jobs.processes import process

if TYPE_CHECKING:
    from vitlab.jobs.metrics import Follower, LogFollower

EVERY = 2.0
"""Seconds between two looks."""
SAMPLE = 60.0
"""Seconds between two samples of its memory."""


class Monitor:
    """Appends to `health.jsonl` whenever the verdict changes."""

    def __init__(
        self,
        job: JobPaths,
        pid: int,
        offset: int,
        limits: Limits,
        follower: Follower | LogFollower | None,
    ) -> None:
        """`offset`: where this run's events begin; a resumed job is judged by these alone."""
        self._job = job
        self._pid = pid
        self._follower = follower
        self._offset = offset
        self.history = History()
        self._limits = limits
        self._verdict: Health | None = None
        self._began = self._heard = self._next = time.monotonic()
        self._memory: tuple[int, ...] = ()
        self._sample = self._began + SAMPLE

    def look(self, alive: bool, last: bool = False) -> Health | None:
        """The verdict, anew every two seconds and at the end."""
        now = time.monotonic()
        if now < self._next and not last:
            return self._verdict
        self._next = now + EVERY
        if self._follower is not None:
            # A file that is being replaced, or a full disk: the next look finds what is new.
            with contextlib.suppress(OSError):
                self._follower.poll()
        events, self._offset = read_events(self._job.events, self._offset)
        if events:
            self._heard = now
            self.history = remember(self.history, events)
        if last and not events and self._verdict is None:
            return None
        cap(self._job.log)
        found = process(self._pid)
        if found is not None and now >= self._sample:
            self._memory = (*self._memory[-19:], found.resident)
            self._sample = now + SAMPLE
        facts = Facts(
            running=now - self._began,
            silent=now - self._heard,
            alive=alive,
            stopped=found is not None and found.state == "T",
            memory=self._memory,
        )
        verdict = health(self.history, facts, self._limits)
        before = self._verdict
        if before is None or (before.status, before.what) != (verdict.status, verdict.what):
            note(self._job, verdict)
        self._verdict = verdict
        return verdict


def note(job: JobPaths, verdict: Health) -> None:
    """Append one verdict to `health.jsonl`."""
    line = json.dumps(
        {
            "v": 1,
            "t": round(time.time(), 3),
            "status": verdict.status,
            "what": verdict.what,
            "evidence": verdict.evidence,
        },
        ensure_ascii=False,
    )
    # On a full disk, or when the folder is gone, the supervisor must live on.
    with contextlib.suppress(OSError), job.health.open("ab", buffering=0) as file:
        file.write(line.encode() + b"\n")
