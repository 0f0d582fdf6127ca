"""What a supervisor notices while its job runs: its health, its memory, the size of its log."""

from __future__ import annotations

import contextlib
import json
import math
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from vitlab.contract.events import read_events
from vitlab.contract.paths import JobPaths
from vitlab.jobs.files import BEAT, beat, open_appending, read_json, read_own
from vitlab.jobs.process.health import (
    Facts,
    Health,
    History,
    Limits,
    Reach,
    add_events,
    health,
    reach_of,
)
from vitlab.jobs.process.metrics_process import MetricsProcess
from vitlab.jobs.process.speed import slowed_by
from vitlab.jobs.processes import process

LIMIT = 1 << 30
"""Bytes a log may have."""
KEPT = 16 << 20
"""Bytes of its end that survive a cut, in `out.1.log`."""


def cut_log(log: Path, limit: int = LIMIT, kept: int = KEPT) -> bool:
    """Cut `log` when it is larger than `limit`; True when it was cut.

    Its writers append, so they continue at the new end; what they write while the end is copied is
    lost. An earlier `out.1.log` is replaced. A link is the log of an adopted run, and not cut.
    """
    if log.is_symlink():
        return False
    kept_in, begins = JobPaths(log.parent).old_log, 0
    try:
        size = log.stat().st_size
        if size <= limit:
            return False
        kept_in.unlink(missing_ok=True)
        with log.open("rb") as source, kept_in.open("xb") as target:
            source.seek(size - kept)
            source.readline()
            begins = source.tell()
            while block := source.read(1 << 20):
                target.write(block)
    except FileNotFoundError:
        return False
    except OSError:  # the disk is full: free some space first
        with contextlib.suppress(OSError):
            kept_in.unlink(missing_ok=True)
    os.truncate(log, 0)
    end = f"its end is in {kept_in.name}, from byte {begins} on"
    notice = f"[vitlab] the log had {size} bytes and was cut; {end}\n"
    with contextlib.suppress(OSError), log.open("ab") as file:
        file.write(notice.encode())
    return True


CHECK_INTERVAL = 2.0
"""Seconds between two checks."""
MEMORY_INTERVAL = 60.0
"""Seconds between two samples of its memory, and two comparisons of its values."""


LONGEST = 1500
"""Letters of evidence: the last line of `health.jsonl` is looked for in its last 8 kB."""
READING = 1.0
"""Seconds of reading events at a time, so that a stop is heard."""
BLOCK = 1 << 20
"""Bytes of events that are held at once."""


FRUITLESS = 5
"""Attempts without progress after which a job is not queued again at its time limit."""
EDGE = 1 << 16
"""Bytes at the beginning and end of earlier attempts' events that show how far they came."""


def read_reach(events: Path, end: int) -> Reach | None:
    """From where to where the attempts came whose events end at byte `end`."""
    first = reach_of(read_events(events, 0, min(EDGE, end))[0])
    start = max(end - EDGE, 0)
    last = reach_of(read_events(events, start, end - start)[0])
    return first.to(last) if first and last else first


def without_progress(events: Path) -> str:
    """What shows that further attempts of a job are in vain; empty where nothing does."""
    reached: list[tuple[float, float]] = []  # by each attempt: epoch, where they are counted; step
    block, offset = read_events(events)
    while block:
        for event in block:
            if event.kind == "start":
                reached.append((-1.0, -1.0))
            elif event.data.get("counted") and "epoch" not in event.data:
                return ""
            elif reached and event.kind in ("step", "eval"):
                here = (event.data.get("epoch", -1.0), event.step)
                reached[-1] = max(reached[-1], here)
        block, offset = read_events(events, offset)
    if len(reached) <= FRUITLESS or max(reached[-FRUITLESS:]) > max(reached[:-FRUITLESS]):
        return ""
    epoch, step = max(reached)
    place = f"epoch {epoch:g}" if epoch >= 0 else f"step {step:g}" if step >= 0 else "a first step"
    return f"its last {FRUITLESS} attempts came no further than those before ({place})"


def _reach_before(events: Path, offset: int) -> Reach | None:
    with contextlib.suppress(OSError):  # what cannot be read is told when it is read
        return read_reach(events, offset) if offset else None
    return None


class Monitor:
    """Appends to `health.jsonl` whenever the verdict changes."""

    def __init__(
        self,
        job: JobPaths,
        pid: int,
        offset: int,
        limits: Limits,
        metrics: MetricsProcess | None,
    ) -> None:
        """`offset`: where this attempt's events begin; earlier ones are not judged."""
        self._job = job
        self._pid = pid
        self._metrics = metrics
        self._offset = offset
        self.history = History(before=_reach_before(job.events, offset))
        self._limits = limits
        self._verdict: Health | None = None
        self._reported: tuple[str, ...] = ()
        self._fault = ""
        self._found = Found()
        self._is_command = read_json(job.spec).get("recipe") == "command"
        self._contradicting: tuple[str, ...] = ()
        self._slowed_by, self._looked = "", -math.inf
        self._start = self._last_event = self._next = time.monotonic()
        self._beat = -math.inf
        self._memory: tuple[int, ...] = ()
        self._sample = self._compare = self._start + MEMORY_INTERVAL

    def check(self, alive: bool, last: bool = False, whole: bool = True) -> Health | None:
        """The verdict, renewed every `CHECK_INTERVAL` seconds and at the end.

        `whole`: at the end all events are read, however many; else for `READING` seconds.
        None before the first, and while a fault of ours allows none: the run goes on.
        """
        now = time.monotonic()
        if now < self._next and not last:
            return self._verdict
        self._next = now + CHECK_INTERVAL
        if now >= self._beat:
            beat(self._job.lock)
            self._beat = now + BEAT
        try:
            self._verdict = self._renewed(now, alive, last, last and whole)
        except Exception as error:
            fault = f"watching failed: {type(error).__name__}: {error}"[:300]
            if fault != self._fault:
                write_health(self._job, Health("warn", "not watched", fault))
            self._fault, self._verdict, self._reported = fault, None, ()
        return self._verdict

    def _renewed(self, now: float, alive: bool, last: bool, whole: bool) -> Health | None:
        if self._metrics is not None and not last:
            self._metrics.check()
        unread = ""
        try:
            fresh = self._read_events(now, whole)
        except OSError as error:  # it is a pipe now, or a folder
            fresh, unread = False, f"events.jsonl: {error.strerror}"
        if last and not fresh and self._verdict is None and self._metrics is None:
            return None
        with contextlib.suppress(OSError):  # a log that is no file any more
            cut_log(self._job.log)
        running = process(self._pid)
        if running is not None and now >= self._sample:
            self._memory = (*self._memory[-19:], running.resident)
            self._sample = now + MEMORY_INTERVAL
        found = self._read_found()
        facts = Facts(
            running=now - self._start,
            silent=now - self._last_event,
            alive=alive,
            stopped=running is not None and running.state == "T",
            memory=self._memory,
            metrics=found.text,
            problems=(*([unread] if unread else []), *found.problems),
            contradictions=self._contradictions(now, last),
            slowed_by=self._around(now),
        )
        verdict = health(self.history, facts, self._limits)
        reported = (verdict.status, verdict.what, unread, *found.key, *facts.contradictions)
        if reported != self._reported:
            write_health(self._job, verdict)
            self._reported = reported
        return verdict

    def _read_events(self, now: float, whole: bool) -> bool:
        """Take in what is new; whether there was anything. A job may write faster than we read."""
        fresh = False
        while whole or time.monotonic() < now + READING:
            before = self._offset
            events, self._offset = read_events(self._job.events, before, BLOCK)
            if events:
                self._last_event, fresh = now, True
                self.history = add_events(self.history, events, self._limits.slow)
            if self._offset == before:
                break
        return fresh

    def _around(self, now: float) -> str:
        """What may slow it down, looked for once it is slow."""
        if not self.history.speed.is_low:
            self._slowed_by = ""
        elif now - self._looked >= MEMORY_INTERVAL:
            self._slowed_by, self._looked = slowed_by(self._job), now
        return self._slowed_by

    def _contradictions(self, now: float, last: bool) -> tuple[str, ...]:
        """Those between the numbers of a user's own program, looked for now and then."""
        due = last or now >= self._compare
        if self._is_command and due and len(self.history.values) > 1:
            from vitlab.contract.contradictions import (
                contradictions,
            )  # others need no memory for it

            self._compare = now + MEMORY_INTERVAL
            self._contradicting = tuple(contradictions(self.history.values))
        return self._contradicting

    def _read_found(self) -> Found:
        """What was found of the program's own metrics."""
        if self._metrics is None:
            return self._found
        with contextlib.suppress(FileNotFoundError):
            changed = self._job.metrics.stat().st_mtime_ns
            if changed != self._found.changed:
                self._found = read_found(self._job, changed)
        if self._metrics.fault and self._metrics.fault not in self._found.problems:
            problems = (f"its metrics are not read: {self._metrics.fault}", *self._found.problems)
            return replace(self._found, problems=problems)
        return self._found


@dataclass(frozen=True)
class Found:
    """What the process that reads a program's metrics says it found."""

    changed: int = 0
    """When it said so."""
    text: str = ""
    """`metrics.csv: val_r2, train_loss; 12 rows`."""
    names: tuple[str, ...] = ()
    """Files and columns."""
    problems: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """What is worth a new line; more rows are not."""
        return (*self.names, *self.problems)


def read_found(job: JobPaths, changed: int = 0) -> Found:
    """What `metrics.json` says."""
    record = read_own(job, job.metrics)
    texts, names = [], []
    for source in record.get("sources") or ():
        columns = ", ".join(source.get("names") or ())
        names.append(f"{source.get('file')}: {columns}")
        texts.append(f"{names[-1]}; {source.get('rows', 0)} rows")
    problems = tuple(str(line) for line in record.get("problems") or ())
    return Found(changed, ", ".join(texts), tuple(names), problems)


def write_health(job: JobPaths, verdict: Health) -> None:
    """Append one verdict to `health.jsonl`."""
    evidence = verdict.evidence
    if len(evidence) > LONGEST:
        evidence = f"{evidence[:LONGEST]}..."
    line = json.dumps(
        {
            "v": 1,
            "t": round(time.time(), 3),
            "status": verdict.status,
            "what": verdict.what,
            "evidence": evidence,
        },
        ensure_ascii=False,
    )
    # A full disk, a deleted folder or a pipe in its place must not end the supervisor.
    with contextlib.suppress(OSError), os.fdopen(open_appending(job.health), "wb", 0) as file:
        file.write(line.encode("utf-8", "replace") + b"\n")
