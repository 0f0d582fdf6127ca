"""Processes by identity: which are alive, which belong to a job, and how all of them are ended.

Standard library only: the supervisor stays small. A pid alone is never trusted: with the start
time in clock ticks since boot it names one process for as long as the machine runs, whatever the
wall clock does.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any, Self

MARKER = "VITLAB_JOB"
"""Environment variable that names the job's folder in every process of the job."""

ADOPTED = "adopt"
"""Key of `Spec.extra`, with pid and start, in a job that was started by hand: the queue never
starts it."""

SLURM_NUMBER = r"[0-9]+(_[0-9]+)?"
"""A job's number in Slurm."""
AUTOPILOT = "autopilot"
"""Key of `Spec.extra`: which launch of which autopilot made the job, `ID/NUMBER`."""
ASSISTANTS = "assistants"
"""The same of the account of a lab's assistants."""

INCOMPLETE = 3
"""Exit code of the reader of metrics (`jobs.metrics.follow`) that could not read everything."""

SCRIPTS = (".py", ".sh", ".bash", ".zsh", ".jl", ".r", ".pl", ".lua", ".m")
"""Endings of the programs that an interpreter runs."""

PYTHON = (sys.executable, "-P", "-X", "utf8")
"""What starts vitlab's own programs: no modules of the folder they start in, and files named in
UTF-8 whatever the locale."""

SUPERVISOR = "vitlab.jobs.process.supervisor"
"""The module that runs one job, whose folder is its first argument."""

STOPPED = "T"
"""State of a process that ctrl+z has stopped."""
PATIENCE = 30.0
"""Seconds to wait for room for another process."""
_PROC = Path("/proc")
_POLL_INTERVAL = 0.5
"""Seconds between two checks of a process whose end does not wake us."""


def in_thread(work: Callable[[], object]) -> Thread | None:
    """Do it beside; None, and it is not done, where a limit lets no more threads start."""
    thread = Thread(target=work, daemon=True)
    try:
        thread.start()
    except RuntimeError:
        return None
    return thread


def when_possible(start: Callable[[], int]) -> int:
    """Start a process; where a limit lets none start, as soon as one of others has ended."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return start()
        except BlockingIOError:
            if time.monotonic() > until:
                raise
        time.sleep(0.2)


@dataclass(frozen=True)
class Process:
    """One live process, from `/proc/<pid>/stat`."""

    pid: int
    state: str
    """`R`, `S`, `D`, `T` (stopped), ..."""
    parent: int
    session: int
    ticks: int
    """Start time in clock ticks since boot."""
    cpu_ticks: int
    resident: int
    """Resident memory in bytes."""


def process(pid: int) -> Process | None:
    """The process `pid`; None when there is none or only its zombie is left."""
    try:
        text = proc_file(pid, "stat")
    except (OSError, ValueError):
        return None
    # The name is in parentheses and may hold spaces and parentheses itself.
    fields = text[text.rfind(b")") + 2 :].split()
    if fields[0] in b"ZX":
        return None
    return Process(
        pid=pid,
        state=fields[0].decode(),
        parent=int(fields[1]),
        session=int(fields[3]),
        ticks=int(fields[19]),
        cpu_ticks=int(fields[11]) + int(fields[12]),
        resident=int(fields[21]) * os.sysconf("SC_PAGE_SIZE"),
    )


def lock_holder(path: Path) -> Process | None:
    """Who holds the lock on a file, as this machine's kernel says; None for nobody it names."""
    with contextlib.suppress(OSError, ValueError):
        number = path.stat().st_ino
        for line in (_PROC / "locks").read_text().splitlines():
            _, kind, _, _, pid, place, *_ = line.split()
            if kind == "FLOCK" and place.endswith(f":{number}"):
                opened = list((_PROC / pid / "fd").iterdir())
                return process(int(pid)) if any(map(path.samefile, opened)) else None
    return None


def descriptors(pid: int) -> Iterator[tuple[str, str]]:
    """Number and path of every file the process has open; none of another user's process.

    Not what has another path here, or none, as of a process in a container.
    """
    folder = f"/proc/{pid}/fd"
    try:
        numbers = os.listdir(folder)  # noqa: PTH208 - of every process of the machine
    except OSError:
        return
    is_elsewhere = _mounts(pid) != _mounts("self")
    for number in numbers:
        try:
            path = os.readlink(f"{folder}/{number}")  # noqa: PTH115 - as above
        except OSError:
            continue
        is_file = path.startswith("/") and not path.startswith(("/dev/", "/proc/"))
        if is_file and (not is_elsewhere or is_same(path, f"{folder}/{number}")):
            yield number, path


def _mounts(pid: int | str) -> str:
    """Which mounts the process sees: those of a container are others than ours."""
    with contextlib.suppress(OSError):  # of old systems, or it has ended
        return os.readlink(f"/proc/{pid}/ns/mnt")  # noqa: PTH115 - of every process
    return ""


def is_same(path: str | Path, other: str | Path) -> bool:
    """Whether two paths lead to one file or folder."""
    try:
        return os.path.samefile(path, other)  # noqa: PTH121 - of every process
    except OSError:
        return False


def proc_file(pid: int, name: str) -> bytes:
    """What `/proc/<pid>/<name>` holds; at a third of a `Path`'s cost, as many are looked at."""
    with open(f"/proc/{pid}/{name}", "rb", 0) as file:  # noqa: PTH123
        return file.read()


def is_alive(pid: int, ticks: int) -> bool:
    """Whether the process that had `pid` and began at `ticks` still runs."""
    running = process(pid)
    return running is not None and running.ticks == ticks


def identity(record: Mapping[str, Any]) -> tuple[int, int]:
    """Pid and start of the process that a record names; 0 for what is no whole number there."""
    pid, ticks = record.get("pid"), record.get("ticks")
    return pid if type(pid) is int else 0, ticks if type(ticks) is int else 0


def began(ticks: int) -> float:
    """When a process that started `ticks` after the machine did, in unix seconds."""
    return time.time() - (uptime() - ticks / os.sysconf("SC_CLK_TCK"))


def uptime() -> float:
    """Seconds since the machine's start, those in which it slept counted."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot() -> str:
    """This run of this machine (or container): `host:boot id:start of pid 1`."""
    try:
        boot_id = (_PROC / "sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        boot_id = ""
    first = process(1)
    return f"{os.uname().nodename}:{boot_id}:{first.ticks if first else 0}"


def is_same_boot(one: object, other: str) -> bool:
    """Whether two of these are one run of one machine, whose name a network may change."""
    if not isinstance(one, str):
        return False
    parts = [name.partition(":") for name in (one, other)]
    is_known = all(rest.partition(":")[0] for _, _, rest in parts)
    return one == other or (is_known and parts[0][2] == parts[1][2])


def is_elsewhere(record: Mapping[str, Any]) -> bool:
    """Whether the `boot` of a record is another machine's, neither an earlier run of this one."""
    host, _, rest = str(record.get("boot") or "").partition(":")
    boot_id, ours = rest.partition(":")[0], boot().split(":")
    return host not in ("", ours[0]) and boot_id not in ("", ours[1])


def is_here(record: Mapping[str, Any]) -> bool:
    """Whether the `boot` of a record is this run of this machine: its pids mean something here."""
    return is_same_boot(record.get("boot"), boot())


def members(session: int, since: int, folder: Path) -> list[Process]:
    """The live processes of a job: those of its session, and those that carry its marker.

    `since` is the start (ticks) of the job's supervisor: nothing older belongs to it.
    """
    marker = f"{MARKER}={folder}".encode()
    return [
        one
        for one in all_processes()
        if one.ticks >= since
        and one.pid not in (session, os.getpid())
        and (one.session == session or marker in environment(one.pid))
    ]


def orphans(started: Mapping[str, Any], folder: Path) -> list[Process]:
    """What a supervisor that is gone has left running, by what it wrote when it began.

    The job's own process and those that carry the job's marker; and the session of one of these,
    whose number alone may be another's by now, as a program may overwrite its variables
    (`setproctitle`), and the folder may have been renamed since. By the marker alone while that
    supervisor lives: then the folder is a copy.
    """
    pid, since = identity(started)
    there = [x for x in all_processes() if x.ticks >= since and x.pid != os.getpid()]
    named = None if is_alive(pid, since) else started.get("child")
    child = identity(named if isinstance(named, dict) else {})
    own = {x.pid for x in there if (x.pid, x.ticks) == child or _is_of(job_of(x.pid), folder)}
    if not own:  # nearly always: every variable of every process is not read again
        return []
    sessions = {x.session for x in there if x.pid in own} & {started.get("session")}
    own |= {x.pid for x in there if x.session in sessions}
    names = {job_of(pid) for pid in own} - {""}
    own |= {x.pid for x in there if job_of(x.pid) in names}
    # A program that is just being replaced by another has no variables for a moment.
    while more := {x.pid for x in there if x.parent in own and not any(environment(x.pid))} - own:
        own |= more
    return [x for x in there if x.pid in own]


def _is_of(marker: str, folder: Path) -> bool:
    """Whether a marker names a job's folder, perhaps by another path to it."""
    if marker == str(folder) or Path(marker).parts[-2:] != folder.parts[-2:]:
        return marker == str(folder)
    with contextlib.suppress(OSError, ValueError):
        return Path(marker).samefile(folder)
    return False


def tree(pid: int, ticks: int) -> list[Process]:
    """The process that began at `ticks`, and all that descend from it."""
    if not is_alive(pid, ticks):
        return []
    processes = list(all_processes())
    pids = {pid}
    while more := {one.pid for one in processes if one.parent in pids} - pids:
        pids |= more
    return [one for one in processes if one.pid in pids]


def ancestors(pid: int, everyone: Mapping[int, Process] | None = None) -> Iterator[int]:
    """The process and its parents; `everyone`: all processes, where they are known already."""
    everyone = {one.pid: one for one in all_processes()} if everyone is None else everyone
    while pid in everyone:
        yield pid
        pid = everyone[pid].parent


def all_processes() -> Iterator[Process]:
    """Every live process of this machine, or of this container."""
    for name in os.listdir(_PROC):  # noqa: PTH208 - strings, not a Path for each process
        if name.isdecimal() and (one := process(int(name))) is not None:
            yield one


def supervisors() -> Iterator[tuple[int, Path]]:
    """Pid and job folder of every supervisor that runs on this machine, of any lab and user."""
    for one in all_processes():
        with contextlib.suppress(OSError, ValueError, IndexError):
            words = proc_file(one.pid, "cmdline").split(b"\0")
            at = words.index(SUPERVISOR.encode())
            yield one.pid, Path(os.fsdecode(words[at + 1]))


def environment(pid: int) -> list[bytes]:
    """The variables a process was started with, `NAME=value`; none of one that is gone."""
    try:
        return proc_file(pid, "environ").split(b"\0")
    except OSError:
        return []  # gone, or another user's


def job_of(pid: int) -> str:
    """The folder of the job whose process it is, as its environment says; empty for none."""
    marker = f"{MARKER}=".encode()
    given = (entry[len(marker) :] for entry in environment(pid) if entry.startswith(marker))
    return os.fsdecode(next(given, b""))


def end_all(
    find: Callable[[], list[Process]], grace: float, send: Callable[[int], None] | None = None
) -> bool:
    """End the processes `find` names: TERM, `grace` seconds, KILL; True when none is left.

    Also those that `find` named once and no longer knows, as what it knew them by has ended. A
    stopped process is continued, or it would never receive the TERM. `send` replaces our way of
    sending a signal to all of them.
    """
    seen: dict[tuple[int, int], Process] = {}

    def remaining() -> list[Process]:
        seen.update({(one.pid, one.ticks): one for one in find()})
        return [one for one in seen.values() if is_alive(one.pid, one.ticks)]

    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
        left = remaining()
        if not left:
            return True
        if send is not None:
            send(number)
        else:
            for one in left:
                _send(one, number)
                _send(one, signal.SIGCONT)
        if _all_gone(remaining, patience, number if send is None else 0):
            return True
    return not remaining()


def _all_gone(find: Callable[[], list[Process]], patience: float, number: int) -> bool:
    until = time.monotonic() + patience
    pause = 0.01
    while left := find():
        if time.monotonic() > until:
            return False
        if number == signal.SIGKILL:
            for one in left:  # started since it was listed
                _send(one, number)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.2)
    return True


def _send(one: Process, number: int) -> None:
    if is_alive(one.pid, one.ticks):
        try:
            os.kill(one.pid, number)
        except (ProcessLookupError, PermissionError):
            return


def wake(started: Mapping[str, Any]) -> None:
    """Make the supervisor that wrote `started` check its job now, if it runs on this machine.

    By SIGCONT, which any other process ignores.
    """
    if is_here(started):
        pid, ticks = identity(started)
        if (running := process(pid)) is not None and running.ticks == ticks:
            _send(running, signal.SIGCONT)


class Waiter:
    """Waits for a process without polling: its end, or any signal to us, ends the wait.

    `ticks` is the start of a process that is not our child; None for a child. Only in the main
    thread, and for signals that have a handler.
    """

    def __init__(self, pid: int, ticks: int | None = None) -> None:
        self._pid = pid
        self._ticks = ticks
        self._poll = select.poll()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        self._poll.register(self._wake_reader, select.POLLIN)
        self._descriptor = _descriptor(pid)
        if self._descriptor >= 0:
            self._poll.register(self._descriptor, select.POLLIN)

    def wait(self, seconds: float) -> tuple[int | None, int] | None:
        """Exit code (or minus the signal) and peak bytes; None while it runs.

        The code of a process that is not our child is unknown: None.
        """
        known = self._descriptor >= 0
        ready = self._poll.poll(1000 * (seconds if known else min(seconds, _POLL_INTERVAL)))
        if any(descriptor == self._wake_reader for descriptor, _ in ready):
            os.read(self._wake_reader, 4096)
        if self._ticks is not None:
            return None if is_alive(self._pid, self._ticks) else (None, 0)
        done, status, usage = os.wait4(self._pid, os.WNOHANG)
        if not done:
            return None
        return os.waitstatus_to_exitcode(status), usage.ru_maxrss * 1024

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        signal.set_wakeup_fd(-1)
        for descriptor in (self._wake_reader, self._wake_writer, self._descriptor):
            if descriptor >= 0:
                os.close(descriptor)


def _descriptor(pid: int) -> int:
    """A descriptor that reports the process's end; -1 where there is none (before Linux 5.3)."""
    try:
        return os.pidfd_open(pid)
    except (AttributeError, OSError):
        return -1


def machine_memory() -> tuple[int, int]:
    """Bytes of memory in total, and available now; 0 if unknown."""
    try:
        lines = (_PROC / "meminfo").read_text().splitlines()
    except OSError:
        return 0, 0
    known = {line.partition(":")[0]: line.split()[1] for line in lines if ":" in line}
    total, free = (int(known.get(name, 0)) * 1024 for name in ("MemTotal", "MemAvailable"))
    return total, free


def oom_kills() -> int:
    """Processes of our memory cgroup killed by the kernel, out of memory; 0 if unknown."""
    for path in _oom_counters():
        try:
            lines = path.read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, value = line.partition(" ")
            if name == "oom_kill" and value.isdecimal():
                return int(value)
    return 0


def _oom_counters() -> list[Path]:
    try:
        lines = (_PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    paths = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        below = path.lstrip("/")
        if controllers == "":
            paths.append(Path("/sys/fs/cgroup", below, "memory.events"))
        elif "memory" in controllers.split(","):
            paths.append(Path("/sys/fs/cgroup/memory", below, "memory.oom_control"))
            paths.append(Path("/sys/fs/cgroup/memory/memory.oom_control"))
    return paths
