"""The autopilot's file: what it may use, what it has launched, and how it stands."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from vitlab.contract.paths import LabPaths, real, write_atomic
from vitlab.contract.user_key import sealed
from vitlab.contract.validation import known_fields
from vitlab.jobs.files import is_locked, read_json, take_lock, touch, write_owner
from vitlab.jobs.processes import boot, is_alive, is_here, is_same_boot, process, uptime
from vitlab.jobs.queue.scheduler import autopilot_record

VERSION = 1
BY_YOU = "ended by you"
"""Why one has ended that a person ended."""
PATIENCE = 20.0
"""Seconds a person's word waits for the process that carries the autopilot on."""


@dataclass(frozen=True)
class Launch:
    """One launch, written down before it is made, so that none is made twice."""

    number: int
    roadmap: str
    """Path from the lab's root."""
    mvp: str
    profile: str
    at: float
    """When it was decided, in Unix seconds."""
    made: bool = False
    """False from the decision until its jobs are in the queue."""
    refused: str = ""
    """Why it could not be made."""
    gpu_hours: float | None = None
    """What it was expected to take; None where nothing told."""


@dataclass(frozen=True)
class Autopilot:
    """An autopilot of a lab, at one moment."""

    id: str
    lab: str
    """The real path of the lab: one that was copied has no autopilot."""
    roadmaps: tuple[str, ...]
    """Paths from the lab's root, in the order in which their MVPs are launched."""
    started: float
    """Unix seconds."""
    budget: float
    """Hours since its start."""
    boot: str = ""
    """Run of the machine in which `uptime` was read."""
    uptime: float = 0.0
    """Seconds from the machine's start to its own: a clock that is set changes no budget."""
    due: float = 0.0
    """Uptime at which the supervisors of its jobs have it carried on, though nobody looks on."""
    gpu_hours: float | None = None
    """Hours of GPUs its jobs may take; None: no limit."""
    at_once: int = 1
    """Launches while fewer of its jobs than this wait or run."""
    until: str = ""
    """`gate 2` or `mvp 3.0`; empty: until nothing is left."""
    profile: str = ""
    """Of its launches; empty: the lab's own."""
    backend: Literal["local", "slurm"] = "local"
    """Where its jobs run."""
    environment: str = ""
    """Digest of the environment it was started with."""
    state: Literal["running", "paused", "ended"] = "running"
    why: str = ""
    """Why it is paused or has ended."""
    ended: float = 0.0
    page: str = ""
    """Its report, from the lab's root; empty until it has ended."""
    told: bool = False
    """Whether its report is written and its end announced."""
    page_texts: tuple[str, ...] = ()
    """Digests of the report as written last, and before: any other text is a person's."""
    page_jobs: str = ""
    """Digest of how its jobs stand in the report."""
    at_end: Mapping[str, Any] = field(default_factory=dict)
    """What it is told of by, kept once its jobs have ended too; empty before."""
    launches: tuple[Launch, ...] = ()
    verdicts: Mapping[str, str] = field(default_factory=dict)
    """`ROADMAP#GATE` -> the verdict at the start."""
    rules: Mapping[str, str] = field(default_factory=dict)
    """The same -> its rules at the start."""

    @property
    def active(self) -> bool:
        """Whether somebody who looks on has to carry it forward."""
        return not (self.state == "ended" and self.told and self.at_end)

    def named(self, roadmap: str, one: str) -> str:
        """An MVP or gate, after its roadmap where there are several."""
        return f"{roadmap}: {one}" if len(self.roadmaps) > 1 else one

    def mark(self, launch: Launch) -> str:
        """What each job of a launch is known by."""
        return f"{self.id}/{launch.number}"


def anchored(pilot: Autopilot) -> Autopilot:
    """With its `uptime` of this run of the machine: after a restart, by the clock."""
    here = boot()
    if is_same_boot(pilot.boot, here):
        return pilot
    since = max(0.0, time.time() - pilot.started)
    return replace(pilot, boot=here, uptime=uptime() - since)


def clock(pilot: Autopilot) -> float:
    """The moment, in Unix seconds counted from its start, however the clock was set since."""
    pilot = anchored(pilot)
    return pilot.started + uptime() - pilot.uptime


def read_autopilot(lab: LabPaths) -> Autopilot | None:
    """The lab's autopilot; None where there is none of this user and this lab."""
    record = autopilot_record(lab)  # sealed: it is as it was written
    if record.get("v") != VERSION:
        return None
    launches = tuple(Launch(**known_fields(Launch, one)) for one in record["launches"])
    lists = {name: tuple(record.get(name, ())) for name in ("roadmaps", "page_texts")}
    return Autopilot(**{**known_fields(Autopilot, record), **lists, "launches": launches})


def write_autopilot(lab: LabPaths, pilot: Autopilot) -> None:
    """Replace the file, sealed; with the lock held."""
    lab.private.make()
    path = lab.private.autopilot
    plain = json.loads(json.dumps(asdict(pilot)))  # tuples as they are read again
    record = sealed({"v": VERSION, "active": pilot.active, **plain}, path)
    write_atomic(path, json.dumps(record, ensure_ascii=False, indent=1).encode() + b"\n")


def here(lab: LabPaths) -> str:
    """What `Autopilot.lab` is of this lab."""
    return str(real(lab.root))


@contextlib.contextmanager
def locked(lab: LabPaths, patience: float = PATIENCE) -> Iterator[bool]:
    """Hold the lock in which the autopilot is changed; False where another process has it."""
    lab.private.make()
    path = lab.private.autopilot_lock
    descriptor = take_lock(path, patience)
    if descriptor is None:
        yield False
        return
    try:
        # Where the disk has no locks, the process that the file names has it.
        if is_locked(path) is None and _owner_lives(lab):
            yield False
            return
        own = process(os.getpid())
        with contextlib.suppress(OSError):  # a full disk keeps nobody from ending
            ticks = own.ticks if own else 0
            write_owner(descriptor, {"pid": os.getpid(), "ticks": ticks, "boot": boot()})
            os.utime(path)
        yield True
    finally:
        os.close(descriptor)


def _owner_lives(lab: LabPaths) -> bool:
    owner = read_json(lab.private.autopilot_lock)
    pid, ticks = owner.get("pid"), owner.get("ticks")
    if not isinstance(pid, int) or not isinstance(ticks, int) or pid == os.getpid():
        return False
    return is_here(owner) and is_alive(pid, ticks)


def ask_again(lab: LabPaths) -> None:
    """Have the holder of the lock carry it on once more."""
    touch(lab.private.autopilot_again)
