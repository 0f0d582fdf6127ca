"""Whose a metrics file is: `claim` decides, the rest reads `/proc` and the lab for its evidence.

A file is never read because it is the newest. Most loggers open, write and close, so that nobody
is seen to hold the file; then it counts when nobody else can have written it.
"""

from __future__ import annotations

import fnmatch
import math
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Literal, NamedTuple

from vitlab.contract.paths import JobPaths, LabPaths, real
from vitlab.jobs.experiment.placeholders import METRICS, filled, is_glob, place_of, values_of
from vitlab.jobs.files import is_locked, read_json
from vitlab.jobs.metrics.scripts import (
    CLOSED,
    Script,
    command_of,
    is_program,
    may_log,
    name_of,
    on_disk,
    places_named,
    script_run,
)
from vitlab.jobs.processes import (
    ADOPTED,
    Process,
    all_processes,
    ancestors,
    began,
    descriptors,
    identity,
    is_alive,
    job_of,
    proc_file,
    tree,
)

_SERVERS = re.compile(rb"(?i:tmux|byobu|screen)|zellij|dtach|abduco|systemd|sshd")
"""Processes that start what a command gives them."""
WORKERS_GO = 6.0
"""Seconds in which workers notice that their program has ended: those of PyTorch look each 5 s."""
HARD = 0.05
"""Of one core: what a training uses at least, also on a busy machine."""
RECHECK = 20.0
"""Seconds between two looks at who else writes a file."""
QUIET = 3.0
"""Seconds from the start of a run in which it writes no number yet."""
TOLERANCE = 0.1
"""Seconds two clocks may differ: that of a file system, and that of process starts."""


@dataclass(frozen=True)
class Rival:
    """Another job or process that could have written the file."""

    name: str
    """For people: `job E/run-2`, `process 123 (train.py)`."""
    since: float
    """Unix seconds."""
    until: float = math.inf
    """When it ended; infinite while it runs."""
    exact: bool = False
    """Whether it writes this very path, not one of several that a pattern matches."""


@dataclass(frozen=True)
class Evidence:
    """What is known of one file that the declared pattern matches."""

    named: bool = False
    """Whether its path has a placeholder, so that only a job of the same path is a rival."""
    held: bool = False
    """Whether one of the job's processes has it, or a file beside it, open for writing."""
    holders: tuple[str, ...] = ()
    """Others that have it open for writing."""
    born: float | None = None
    """Unix seconds; None where the file system does not say."""
    existed: bool = False
    """Before this attempt began."""
    changed: bool = True
    """Since this attempt began."""
    foreign: bool = False
    """Whether another user made it."""
    rivals: tuple[Rival, ...] = ()


class Claim(NamedTuple):
    """Whose a file is."""

    owner: Literal["ours", "theirs", "unused", "unclear"]
    """`unused`: nobody has written it since this attempt began."""
    why: str = ""
    """Who else it may be, for people."""


def claim(evidence: Evidence) -> Claim:
    """Whose the file is, by the strongest evidence there is."""
    possible = [one.name for one in evidence.rivals if _could_write(one, evidence)]
    unclear = Claim("unclear", f"{', '.join(possible[:3])} may have written it")
    if evidence.existed and not evidence.changed:
        return Claim("unused")
    if evidence.named:
        return unclear if possible else Claim("ours")
    if evidence.holders:
        names = ", ".join(evidence.holders[:3])
        if evidence.held:
            return Claim("unclear", f"{names} writes it too")
        return Claim("theirs", f"{names} writes it")
    if evidence.held:
        return Claim("ours")
    if evidence.foreign:
        return Claim("unclear", "it is another user's")
    return unclear if possible else Claim("ours")


def _could_write(rival: Rival, evidence: Evidence) -> bool:
    """An old file may be written by anyone; a new one was made by one that ran then.

    Who writes this very path may have begun it anew since.
    """
    if evidence.existed or evidence.born is None:
        return True
    ran_then = rival.exact or rival.since <= evidence.born + TOLERANCE
    return ran_then and rival.until >= evidence.born - TOLERANCE


def is_foreign(path: Path, user: int, own: Path) -> bool:
    """Whether another than `user` made the file; `own`: a file of ours.

    Some disks of other machines give all files to one user. It is true of those that give us ours,
    and where a script of that user runs in a folder that is closed to us.
    """
    try:
        found, known = path.stat(), own.stat()
    except OSError:
        return False
    if found.st_uid == user or (found.st_dev == known.st_dev and known.st_uid == os.getuid()):
        return found.st_uid != user
    scripts = (script_run(one.pid) for one in all_processes() if user_of(one.pid) == found.st_uid)
    return any(script is not None and script[0] == CLOSED for script in scripts)


def user_of(pid: int) -> int:
    """Its number; -1 of a process that has ended."""
    try:
        return os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116 - of every process
    except OSError:
        return -1


class Opened(NamedTuple):
    """A file a process has open for writing."""

    pid: int
    appends: bool
    """Whether it keeps what was there before."""


def writers(folders: Iterable[Path]) -> dict[str, list[Opened]]:
    """The files at or below `folders` that any readable process has open for writing."""
    below = tuple(f"{str(folder).rstrip(os.sep)}{os.sep}" for folder in folders)
    found: dict[str, list[Opened]] = {}
    for one in all_processes():
        for number, path in descriptors(one.pid):
            if path.startswith(below) and (flags := _flags(one.pid, number)) & os.O_ACCMODE:
                found.setdefault(path, []).append(Opened(one.pid, bool(flags & os.O_APPEND)))
    return found


def _flags(pid: int, number: str) -> int:
    """The flags of an open file; those of reading once it is closed."""
    try:
        text = Path(f"/proc/{pid}/fdinfo/{number}").read_text()
    except OSError:
        return os.O_RDONLY
    for line in text.split("\n"):
        name, _, value = line.partition(":")
        if name == "flags":
            return int(value, 8)
    return os.O_RDONLY


def left_running(
    members: Callable[[], list[Process]], history: Callable[[], Any], files: Iterable[str]
) -> tuple[str, int]:
    """A script that runs on though its job's own program has returned, as one behind `&`.

    With it whether it trains: surely (2) where it has reported numbers, or works and holds one of
    the metrics `files`; perhaps (1) where it works and had begun before the last number. Workers of
    a program that has ended go by themselves, or wait for nothing. `history`: of the job's events,
    with those of now.
    """
    paths, begun, used = set(files), time.monotonic(), dict[int, int]()
    while True:
        now, taken = history(), time.monotonic() - begun
        times = filter(None, (_modified(Path(path)) for path in paths))
        written = max(times, default=now.last - QUIET)
        scripts = list[tuple[int, int, str]]()
        for one in members():
            if (script := script_run(one.pid)) and is_program(one.pid):
                work = one.cpu_ticks - used.setdefault(one.pid, one.cpu_ticks)
                holds = not paths.isdisjoint(path for _, path in descriptors(one.pid))
                may_train = 2 if holds else int(began(one.ticks) < written - 1.0)
                works = work > HARD * taken * os.sysconf("SC_CLK_TCK") or taken < 1.0
                trained = 2 if one.pid in now.writers else may_train * works
                scripts.append((trained, work, f"{PurePath(script[1]).name} (pid {one.pid})"))
        trained, _, name = max(scripts, default=(0, 0, ""))
        if taken > (WORKERS_GO if trained else 1.0) or not name:
            return name, trained
        time.sleep(0.25)


def begun_elsewhere(text: str, folder: str, since: int) -> str:
    """A training that a job's script had another program start, as a `tmux` that ran before.

    One of this user and no job, begun at `since` (ticks) or later, that works in the job's `folder`
    or is named with its own in the `text`; empty where none is found in a while.
    """
    begun, seen = time.monotonic(), dict[int, tuple[float, int]]()
    while (now := time.monotonic()) < begun + WORKERS_GO:
        everyone = {one.pid: one for one in all_processes()}
        for one in everyone.values():
            is_new = one.ticks >= since and user_of(one.pid) == os.getuid() and not job_of(one.pid)
            is_given = is_new and is_program(one.pid) and _is_of_server(one, everyone, since)
            if not is_given or not (script := script_run(one.pid)):
                continue
            name, place = PurePath(script[1]).name, PurePath(script[0]).name
            is_named = script[0] == folder or (name in text and place in text)
            since_then, used = seen.setdefault(one.pid, (now, one.cpu_ticks))
            works = one.cpu_ticks - used > HARD * (now - since_then) * os.sysconf("SC_CLK_TCK")
            if is_named and works and now - since_then > 1.0:
                return f"{name} (pid {one.pid})"
        time.sleep(0.5)
    return ""


def _is_of_server(one: Process, everyone: Mapping[int, Process], since: int) -> bool:
    """Whether a server started it, itself or by what has begun since; no shell of a person."""
    while (above := everyone.get(one.parent)) is not None:
        try:
            if _SERVERS.match(proc_file(above.pid, "comm")):
                return True
        except OSError:
            return False
        if above.ticks < since:
            return False
        one = above
    return False


def look_alikes(
    ours: Sequence[Process],
    known: Script | None = None,
    lab: LabPaths | None = None,
    beside: str = "",
    without: Collection[int] = (),
    anywhere: bool = False,
    named: tuple[Collection[str], Path] | None = None,
    writing: str = "",
) -> tuple[Rival, ...]:
    """Other processes that run a script of ours in a folder of ours: a second run, by hand.

    `known`: our script, also when no process of ours is left. `lab`: whose jobs with a metrics
    file are left out, as `other_jobs` holds them against a path by that. `beside`: a folder in
    which any program is a rival, as all number their runs alike. `without`: pids that are none.
    `anywhere`: in any folder, of this user. `named`: words of our command that lead to our file,
    and that file: whose own lead to another one is none. `writing`: `beside`, only what has a file
    of this name in its script, and writes one.
    """
    pids = {*without, *(one.pid for one in ours)}
    own = {script for one in ours if (script := script_run(one.pid))} | (
        {known} if known else set()
    )
    mine = {one[anywhere:] for each in own for one in (each, on_disk(each))
            if not anywhere or each[1].startswith("/")}  # fmt: skip
    if not mine and not beside:
        return ()
    found = [
        one
        for one in all_processes()
        if one.pid not in pids
        and not (anywhere and user_of(one.pid) != os.getuid())
        and (
            ((script := script_run(one.pid, any_program=True)) or ())[anywhere:] in mine
            or (script and on_disk(script)[anywhere:] in mine)
            or (beside and may_log(one.pid, beside, writing))
        )
    ]
    known_jobs = [*_declaring(lab)] if found and lab else []
    return tuple(
        Rival(name_of(one.pid), began(one.ticks))
        for one in found
        if (one.pid, one.ticks) not in known_jobs
        and not (named and _leads_elsewhere(one.pid, *named))
        and real(Path(job_of(one.pid) or "/")) not in known_jobs
        and is_alive(one.pid, one.ticks)  # one that has ended meanwhile tells nothing of its job
    )


def _leads_elsewhere(pid: int, words: Collection[str], path: Path) -> bool:
    """Whether a process was told another place by the same words that lead ours to `path`."""
    argv, folder = command_of(pid)
    theirs = places_named(argv, folder, path) if folder != CLOSED else {}
    return any(theirs.get(word) is False for word in words)


def _declaring(lab: LabPaths) -> Iterator[Path | tuple[int, int]]:
    """Folders of the running jobs that say which metrics file is theirs; of adopted ones the pid.

    What a lost one left running is a process like any other.
    """
    for started in lab.experiments.glob(f"*/*/{JobPaths(Path()).started}"):
        job = JobPaths(started.parent)
        extra = read_json(job.spec).get("extra") or {}
        if (extra.get(METRICS) or {}).get("file") and is_locked(job.lock) is not False:
            yield real(job.folder)
            if adopted := extra.get(ADOPTED):
                yield identity(adopted)


def _adopted(spec: Mapping[str, Any]) -> object:
    """The process that a job watches without having started it; None for another job."""
    return (spec.get("extra") or {}).get(ADOPTED)


def other_jobs(lab: LabPaths, job: JobPaths, path: Path, since: float) -> Iterator[Rival]:
    """The lab's other jobs that have run since then, and whose metrics may be in `path`.

    Not those that watched the same process, before `job` took it in again.
    """
    mine = _adopted(read_json(job.spec))
    for started_at in lab.experiments.glob(f"*/*/{JobPaths(Path()).started}"):
        other = JobPaths(started_at.parent)
        if other.folder == job.folder:
            continue
        until = _modified(other.exit)
        if until is None:
            if is_locked(other.lock) is False:
                continue  # lost; what it left running is a process like any other
            until = math.inf
        if until < since:
            continue
        spec, started = read_json(other.spec), read_json(other.started)
        if mine and _adopted(spec) == mine:
            continue
        device = str(started.get("device", ""))
        program = filled(spec, lab.root, values_of(spec, other.folder, device))
        if program.metrics and matches(path, *place_of(program)):
            began_at = started.get("started")
            since_then = float(began_at) if isinstance(began_at, int | float) else 0.0
            exact = not is_glob(program.metrics)
            yield Rival(f"job {other.name}", since_then, until, exact)


def _modified(path: Path) -> float | None:
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def matches(path: Path, folder: Path, pattern: str) -> bool:
    """Whether `pattern`, from `folder`, can name `path`; `**` stands for any folders."""
    try:
        parts = path.relative_to(folder).parts
    except ValueError:
        return False
    return str(PurePath(*parts)) == pattern or _fits(parts, PurePath(pattern).parts)


def _fits(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    used = {0}  # how many of the parts can stand for the patterns so far
    for pattern in patterns:
        if pattern == "**":
            used = set(range(min(used, default=len(parts) + 1), len(parts) + 1))
        else:
            used = {n + 1 for n in used if fnmatch.fnmatchcase("".join(parts[n : n + 1]), pattern)}
            used.discard(len(parts) + 1)
    return len(parts) in used


def evidence_of_holders(
    path: Path, open_files: Mapping[str, Sequence[Opened]], ours: frozenset[int], beside: bool
) -> tuple[bool, tuple[str, ...]]:
    """Whether we hold the file, and who else does; `beside`: a file of its folder counts too."""
    at = {one.pid for one in open_files.get(str(path), ())}
    if not at and beside:
        folder = f"{path.parent}{os.sep}"
        at = {one.pid for name, held in open_files.items() if name.startswith(folder)
              for one in held}  # fmt: skip
    return bool(at & ours), tuple(dict.fromkeys(name_of(pid) for pid in sorted(at - ours)))


class LogWriters:
    """Who else writes the log of a run that was started by hand."""

    def __init__(self, log: Path, pid: int, ticks: int) -> None:
        """`pid` and `ticks`: the run's process and its start."""
        self._log, self._run = log, (pid, ticks)
        self._file = _inode(log)
        self._above = set(ancestors(pid))
        self._is_ours = False
        """Whether the run has it open itself: behind a pipe, as that of `tee`, others do."""
        self._next = 0.0
        self._own = set[tuple[int, int]]()
        """Processes of the run at any look, which may outlive it, and their starts."""

    def others(self, last: bool) -> str:
        """Why it is not the run's alone, for people; empty where it was looked at just before.

        The shell that waits for the run is no other, nor the next run in the same log.
        """
        is_new = _inode(self._log) != self._file
        if time.monotonic() < self._next and not (last or is_new):
            return ""
        self._next = time.monotonic() + RECHECK
        path, own = self._log.resolve(), tree(*self._run)
        self._own |= {(one.pid, one.ticks) for one in own}
        ours = {one.pid for one in own}
        holders = {one.pid for one in writers([path.parent]).get(str(path), ())}
        if is_new and self._is_ours and not holders & ours:
            return "it was moved away or replaced"
        self._file, self._is_ours = _inode(self._log), self._is_ours or bool(holders & ours)
        beside = [one for one in all_processes() if one.pid in holders - self._above]
        found = [one for one in beside if (one.pid, one.ticks) not in self._own]
        before = time.time() - (0.0 if ours else QUIET)
        names = [name_of(one.pid) for one in found if began(one.ticks) < before]
        is_shared = len(names) > 1 or (names and self._is_ours)  # one may be the run's own `tee`
        return f"{', '.join(names[:3])} writes it too" if is_shared else ""


def _inode(path: Path) -> int:
    """0 where there is no such file."""
    try:
        return path.stat().st_ino
    except OSError:
        return 0
