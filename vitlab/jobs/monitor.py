"""The supervisor's eye on its job: reads new events, judges, notes what changed."""

from __future__ import annotations

import json
import os
import time

from vitlab.contract.events import read_events
from vitlab.contract.paths import JobPaths
from vitlab.jobs.health import Facts, Health, History, Limits, health, remember
from vitlab.jobs.processes import process

EVERY = 2.0
"""Seconds between two looks."""


class Monitor:
    """Appends to `health.jsonl` whenever the verdict changes."""

    def __init__(self, job: JobPaths, pid: int, offset: int) -> None:
        """`offset`: where this run's events begin; a resumed job is judged by these alone."""
        self._job = job
        self._pid = pid
        self._offset = offset
        self._history = History()
        self._limits = Limits()
        self._verdict: Health | None = None
        self._began = self._heard = self._next = time.monotonic()

    def look(self, alive: bool, last: bool = False) -> Health | None:
        """The verdict, anew every two seconds and at the end."""
        now = time.monotonic()
        if now < self._next and not last:
            return self._verdict
        self._next = now + EVERY
        events, self._offset = read_events(self._job.events, self._offset)
        if events:
            self._heard = now
            self._history = remember(self._history, events)
        if last and not events and self._verdict is None:
            return None
        found = process(self._pid)
        facts = Facts(
            running=now - self._began,
            silent=now - self._heard,
            alive=alive,
            stopped=found is not None and found.state == "T",
        )
        verdict = health(self._history, facts, self._limits)
        before = self._verdict
        if before is None or (before.status, before.what) != (verdict.status, verdict.what):
            self._note(verdict)
        self._verdict = verdict
        return verdict

    def _note(self, verdict: Health) -> None:
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
        try:
            descriptor = os.open(self._job.health, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
            try:
                os.write(descriptor, line.encode() + b"\n")
            finally:
                os.close(descriptor)
        except OSError:
            return  # a full disk, or the folder is gone: the supervisor must live on
