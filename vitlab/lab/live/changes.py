"""What happened in a lab that somebody may wait for, as a log that every look adds to.

Jobs that ended or need a person, and gates whose verdict changed, each told once: a cursor is a
place in the log, so that nothing is missed or told twice, whoever looked in between.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from vitlab.contract.job import (
    Done,
    JobEnd,
    Killed,
    Lost,
    Queued,
    Succeeded,
    Unknown,
    Unreadable,
    bare_id,
    state_word,
)
from vitlab.contract.paths import UsageError, cause, real, write_atomic
from vitlab.contract.reading import MAX_BYTES, parse, read_regular
from vitlab.contract.user_key import is_sealed, seal
from vitlab.contract.validation import from_document
from vitlab.contract.value import Value
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.model.gates.gates import Gate
from vitlab.jobs.files import open_appending, take_lock
from vitlab.jobs.store import Job, all_jobs, find_job
from vitlab.lab.lab import Lab
from vitlab.lab.launch import advance_queue
from vitlab.lab.results.job_results import finished, latest, of_roadmap
from vitlab.lab.results.launches import last_launch
from vitlab.lab.results.ranking import verdicts_of

VERSION = 1
PATIENCE = 10.0
"""Seconds to wait for another look that adds to the log."""
SHOWN = 40
"""Letters of a cursor that are repeated to whoever gave it."""
_NOTHING: tuple[object, ...] = (None, (), {})
"""Values that a line leaves out."""
SUPERSEDED = 200
"""Changes beyond this and twice the jobs and gates: of each the last alone is kept then."""


@dataclass(frozen=True)
class Change:
    """One thing that happened."""

    number: int
    """Its place in the log, from 1."""
    key: str
    """The job, or `ROADMAP#GATE`."""
    mark: str
    """Tells two happenings of one job or gate apart."""
    job: str | None
    mvp: str | None
    """Of a gate that rests on one MVP, that one."""
    kind: str
    """`ended`, `failed`, `judged`, or `person`: it needs one to go on."""
    state: str
    """Of a job as `vitlab jobs` has it, also `held` and `foreign`; of a gate its verdict."""
    outcome: str | None = None
    """Of a job that ended."""
    values: Mapping[str, float | None] = field(default_factory=dict)
    """Of a job those of its headline's kind, for each label; of a gate what was compared."""
    gate: str | None = None
    mvps: tuple[str, ...] = ()
    """Those a gate rests on."""
    roadmap: str = ""
    why: str | None = None

    @property
    def record(self) -> dict[str, object]:
        """As commands print it."""
        shown = {
            name: getattr(self, name)
            for name in ("job", "mvp", "kind", "state", "outcome", "values")
        }
        more = {"gate": self.gate, "roadmap": self.gate and self.roadmap, "why": self.why}
        return {**shown, **{name: value for name, value in more.items() if value}}


@dataclass(frozen=True)
class Awaited:
    """What somebody waits for."""

    since: int | None
    """A place in the log; None: from now on, and of named jobs their ends so far."""
    jobs: frozenset[str] = frozenset()
    """None of them: anything in the lab."""
    mvps: frozenset[str] = frozenset()
    """MVPs that were named, whose gates count too."""
    first: bool = False
    """The first of the jobs is enough; else all must have ended, or need a person."""

    def concerns(self, change: Change) -> bool:
        """Whether a change is of a job that was named, or of a gate of an MVP that was."""
        named = change.job in self.jobs or bool(self.mvps & {*change.mvps})
        return named or not self.jobs


class ChangeLog:
    """The log of a lab; made at the first look, which tells nothing that was before it."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._path = lab.paths.private.changes
        self._stamp: tuple[int, int] | None = None
        self._torn = False
        """Whether its last line is half written."""
        self._name = ""
        self._last = 0
        self._told: dict[str, Change] = {}
        """The last change of each job and gate."""
        self._entries: list[Change] = []
        self._judged: frozenset[tuple[str, str]] | None = None
        """The ends by which the gates were judged last."""
        self._verdicts: list[Change] = []
        self._now: dict[str, str] = {}
        """The mark of every job and gate that has ended, was judged or needs a person."""
        self._jobs: frozenset[str] = frozenset()

    @property
    def cursor(self) -> str:
        """The end of the log."""
        return f"{self._name}-{self._last}"

    def cursor_at(self, change: Change) -> str:
        """The place of a change of the log: a look from there tells what came after it."""
        return f"{self._name}-{change.number}"

    def awaited(
        self, names: Sequence[str] = (), cursor: str | None = None, first: bool = False
    ) -> Awaited:
        """What is waited for by the names of jobs and MVPs, of an MVP those of its last launch.

        After a look, as the log may be new. `UsageError` for what names nothing.
        """
        jobs, mvps = self._named(names)
        since = None if names else self._last
        return Awaited(since if cursor is None else self._place(cursor), jobs, mvps, first)

    def _place(self, cursor: str) -> int:
        """The place a cursor names; the beginning, which is told, where its log is gone."""
        name, _, number = cursor.rpartition("-")
        if not name or not number.isdecimal() or len(number) > 18:
            raise UsageError(
                f"cursor {cursor[:SHOWN]!r}: is none that `vitlab wait --json` printed"
            )
        if name != self._name or int(number) > self._last:
            said = cursor if len(cursor) <= SHOWN else f"{cursor[:SHOWN]}..."
            self._lab.tell(f"the log of cursor {said} is gone: all that is known is told")
            return 0
        return int(number)

    def look(self) -> None:
        """Carry the queue on as every look does, and add what is new to the log."""
        advance_queue(self._lab)
        found = self._found()
        self._read()
        if self._name and not self._new(found):
            return
        self._lab.paths.private.make()
        lock = take_lock(self._lab.paths.private.changes_lock, PATIENCE)
        if lock is None:
            raise UsageError(f"{self._path}: another process writes it; try again")
        try:
            self._read()  # others may have been first
            self._append(self._new(found))
        finally:
            os.close(lock)

    def _named(self, names: Sequence[str]) -> tuple[frozenset[str], frozenset[str]]:
        jobs = [job for job in all_jobs(self._lab.paths) if job.spec.mvp]
        chosen: set[str] = set()
        mvps: set[str] = set()
        for name in names:
            if of_mvp := [job for job in jobs if job.spec.mvp == bare_id(name)]:
                mvps.add(bare_id(name))
                chosen |= {job.name for job in last_launch(of_mvp)}
            else:
                chosen.add(find_job(self._lab.paths, name).name)
        return frozenset(chosen), frozenset(mvps)

    def answer(self, awaited: Awaited) -> list[Change] | None:
        """What there is to tell, in the order it happened; None: it has to be waited for."""
        now = [one for one in self._told.values() if self._now.get(one.key) == one.mark]
        over = {one.key: one for one in now if one.job in awaited.jobs}
        changes = list(over.values())
        if awaited.since is not None:
            later = (one for one in self._entries if one.number > awaited.since)
            changes = [one for one in later if awaited.concerns(one)]
        changes.sort(key=lambda one: one.number)
        left = (awaited.jobs & self._jobs) - over.keys()  # a folder may be gone
        if not awaited.jobs or (awaited.first and left):
            return changes or None
        return None if left and not awaited.first else changes

    def _new(self, found: Sequence[Change]) -> list[Change]:
        told = {key: one.mark for key, one in self._told.items()}
        return [one for one in found if told.get(one.key) != one.mark]

    def _found(self) -> list[Change]:
        """What has happened to every job and gate last."""
        jobs = all_jobs(self._lab.paths)
        self._jobs = frozenset(job.name for job in jobs)
        found = [one for job in sorted(jobs, key=_ended) if (one := _of_job(job)) is not None]
        ends = frozenset((one.key, one.mark) for one in found)
        if ends != self._judged:
            self._judged, self._verdicts = ends, list(_verdicts(self._lab, jobs))
        found += self._verdicts
        self._now = {one.key: one.mark for one in found}
        return found

    # the file

    def _read(self) -> None:
        """Read the log if it is another than it was."""
        try:
            stat = self._path.lstat()
            stamp = (stat.st_ino, stat.st_size)
            if stamp == self._stamp:
                return
            head, *lines, rest = read_regular(self._path, MAX_BYTES).split(b"\n")
            first = parse(head)
            if not is_sealed(first["seal"], *self._parts(first["log"])):
                raise ValueError("it is not of this user and lab")
            entries = [self._entry(line, first["log"]) for line in lines]
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            if not isinstance(error, FileNotFoundError):
                self._lab.set_aside(self._path, error)
            self._stamp, self._name, self._last, self._entries, self._told = None, "", 0, [], {}
            return
        self._stamp, self._torn = stamp, bool(rest)
        self._name, self._entries = first["log"], entries
        self._told = {one.key: one for one in entries}
        self._last = max((one.number for one in entries), default=0)

    def _append(self, new: Sequence[Change]) -> None:
        """Add to the log, with its lock held; a half line that a killed process left is cut."""
        if self._name and not new:
            return
        numbered = [replace(one, number=self._last + k) for k, one in enumerate(new, 1)]
        name = self._name or secrets.token_hex(4)
        lines = b"".join(self._line(one, name) for one in numbered)
        superseded = len(self._entries) > 2 * len(self._told) + SUPERSEDED
        if not self._name or self._torn or superseded:
            # Numbers stay, so that cursors hold.
            last = (one for one in self._entries if self._told[one.key] is one)
            kept = b"".join(self._line(one, name) for one in last)
            head = {"v": VERSION, "log": name, "seal": seal(*self._parts(name))}
            write_atomic(self._path, json.dumps(head).encode() + b"\n" + kept + lines)
        else:
            descriptor = open_appending(self._path)
            try:
                os.write(descriptor, lines)
            finally:
                os.close(descriptor)
        self._read()

    def _parts(self, name: str, body: bytes = b"") -> tuple[bytes, ...]:
        """Of the head, or of a line: each has a seal, as its numbers are told as they stand."""
        return b"changes", os.fsencode(real(self._path.parent)), name.encode(), body

    def _line(self, change: Change, log: str) -> bytes:
        record = {key: value for key, value in asdict(change).items() if value not in _NOTHING}
        body = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
        return seal(*self._parts(log, body)).encode() + b" " + body + b"\n"

    def _entry(self, line: bytes, log: str) -> Change:
        mark, _, body = line.partition(b" ")
        if not is_sealed(mark.decode("latin-1"), *self._parts(log, body)):
            raise ValueError("it has a line that vitlab has not written so")
        record = {"v": VERSION, "job": None, "mvp": None, **parse(body)}
        change = from_document(record, Change, VERSION)
        if change is None:
            raise ValueError("it has a line of another version")
        return change


def _ended(job: Job) -> float:
    return job.state.ended if isinstance(job.state, Done) else math.inf


def _of_job(job: Job) -> Change | None:
    """What happened to a job last; None while it waits or runs."""
    state, why, outcome = job.state, job.problem, None
    kind, word = "person", state_word(state)
    match state:
        case Done():
            kind, mark, outcome = _kind(state.end), str(state.ended), state.outcome
            why = state.detail or why
        case Lost():
            mark = f"lost {state.started}"
        case Unreadable():
            mark = why = state.why
        case Queued() if job.foreign:
            mark = word = "foreign"
        case Queued() if job.held:
            word, mark = "held", f"held {_changed(job.paths.queue)}"
        case _:
            return None
    mvp, values = job.spec.mvp or None, _values(job)
    return Change(0, job.name, mark, job.name, mvp, kind, word, outcome, values, why=why or None)


def _kind(end: JobEnd) -> str:
    match end:
        case Succeeded() | Killed(asked=True) | Unknown():
            return "ended"
        case _:
            return "failed"


def _changed(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime_ns
    return 0


def _values(job: Job) -> dict[str, float | None]:
    """The result's values of its headline's kind, for each label."""
    wanted = Value.parse(job.spec.headline)
    return {
        name: number
        for one in finished([job])
        for name, number in one.result.values.items()
        if replace(Value.parse(name), label=wanted.label) == wanted
    }


def _verdicts(lab: Lab, jobs: Sequence[Job]) -> Iterator[Change]:
    """The verdicts of the gates that results bear on."""
    for path in lab.roadmaps():
        try:
            roadmap = lab.cached_roadmap(path)
            newest = latest(finished(of_roadmap(lab, jobs, path)))
            verdicts = verdicts_of(lab, roadmap, newest) if roadmap.gates else []
        except (UsageError, OSError) as error:  # one that cannot be read hides no other
            lab.tell(cause(error))
            continue
        ran = {one.result.mvp for one in newest if one.result.profile == "full"}
        for gate, one in zip(roadmap.gates, verdicts, strict=True):
            if one.values or one.verdict in ("pass", "fail") or (gate.mvps and ran >= {*gate.mvps}):
                yield _of_gate(lab.paths.relative(path), gate, one)


def _of_gate(roadmap: str, gate: Gate, verdict: Verdict) -> Change:
    return Change(
        number=0,
        key=f"{roadmap}#{gate.id}",
        mark=f"{verdict.verdict} {verdict.because}",
        job=None,
        mvp=gate.mvps[0] if len(gate.mvps) == 1 else None,
        kind="person" if verdict.verdict == "manual" else "judged",
        state=verdict.verdict,
        values=dict(verdict.values),
        gate=gate.id,
        mvps=gate.mvps,
        roadmap=roadmap,
        why=verdict.because,
    )
