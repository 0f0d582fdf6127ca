"""A job's own process: what is run, how it is started, why it ended and what it left."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vitlab.contract.events import Outcome
from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs.files import read_json
from vitlab.jobs.logs.tail import last_json_line
from vitlab.jobs.process.health import History
from vitlab.jobs.processes import MARKER

if TYPE_CHECKING:
    from vitlab.jobs.logs.metrics import FileFollower, LogFollower


def command(job: JobPaths, resumed: bool, across: Sequence[str] = ()) -> tuple[list[str], Path]:
    """What is run, and where: the declared argv of `recipe: command`, or the recipe runner.

    `across` starts on every node of a cluster what can share its work: a network's training.
    """
    root = job.folder.parents[2]
    spec = read_json(job.spec)
    config = spec.get("config", {})
    if spec.get("recipe") == "command":
        cwd = (root / (config.get("cwd") or ".")).resolve()
        return [str(part) for part in config.get("argv") or ["nothing"]], cwd
    argv = [sys.executable, "-P", "-m", "vitlab.recipes.run", str(job.folder)]
    if spec.get("recipe") in ("vit", "mlp"):
        argv = [*across, *argv]
    return [*argv, "--resume"] if resumed else argv, root


@dataclass(frozen=True)
class Child:
    """A process that was started, and will say so if it could not become its program."""

    pid: int
    report: int = -1
    """Descriptor of what it says; none for one that was started by hand."""

    def failure(self) -> str:
        """Why its program could not be started; empty when it was. Asked once, after its end."""
        if self.report < 0:
            return ""
        said = os.read(self.report, 16)
        os.close(self.report)
        return os.strerror(int(said)) if said else ""


def start(job: JobPaths, argv: list[str], cwd: Path, told: Mapping[str, str]) -> Child:
    """Start the job's process in its own group; both outputs go to the end of `out.log`.

    `told` is added to its environment. By fork, not posix_spawn: that one returns only when the
    child has become its program, and one that is stopped before that would stop us for ever.
    """
    environment = {**os.environ, **told, MARKER: str(job.folder)}
    report, reports = os.pipe2(os.O_CLOEXEC)
    # A signal that comes while the child still has our handlers must find its own.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid = os.fork()
        if pid == 0:
            _become(argv, cwd, environment, job.log, reports)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(reports)
    return Child(pid, report)


def _become(
    argv: list[str], cwd: Path, environment: dict[str, str], log: Path, reports: int
) -> NoReturn:
    """In the child: be the program, or report why not and end."""
    try:
        os.setpgid(0, 0)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCONT, signal.SIGUSR2):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.chdir(cwd)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666), 1)
        os.dup2(1, 2)
        os.execvpe(argv[0], argv, environment)
    except OSError as error:
        os.write(reports, str(error.errno).encode())
    finally:
        os._exit(127)


def follow(
    job: JobPaths, extra: Mapping[str, Any], folder: Path, log_from: int, whole: bool
) -> FileFollower | LogFollower | None:
    """What takes over the numbers of somebody else's program; None where nothing is declared.

    `whole`: from the beginning of its file or log, not only what this run adds.
    """
    if "metrics" not in extra:
        return None
    # CSV costs memory; few jobs need it.
    from vitlab.jobs.logs.metrics import FileFollower, LogFollower, read_source

    source = read_source(extra)
    if source is None:
        return None
    if source.pattern:
        return LogFollower(source, job.log, job.events, 0 if whole else log_from)
    return FileFollower(source, folder, job.events, whole)


NAN_CODE = 3
"""The exit code by which a recipe says that its loss was no number any more."""

_ASKED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_LITTLE = 1 << 16

_OOM = re.compile(
    r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED"
    r"|^MemoryError\b|Cannot allocate memory|Unable to allocate .*for an array|std::bad_alloc",
    re.MULTILINE,
)
_DISK = re.compile(r"No space left on device|\[Errno 28\]|Disk quota exceeded|\[Errno 122\]")
_IMPORT = re.compile(
    r"^(ModuleNotFoundError|ImportError): .*|.*: cannot open shared object.*", re.M
)


@dataclass(frozen=True)
class End:
    """How the job's process ended, and what it left."""

    code: int | None
    """None when a signal ended it."""
    signal: int | None
    last_words: str = ""
    """The end of its log."""
    error: str = ""
    """The `error` of its last `end` event."""
    disk_free: int | None = None
    """Bytes left where it writes; a full disk has no room for last words either."""
    oom_kills: int = 0
    """Processes of its memory cgroup the kernel killed while it ran."""


def explain(end: End) -> tuple[Outcome, str]:
    """How the job ended, and a line for people."""
    if end.code == 0:
        return "ok", ""
    if end.code is None and end.signal is None:
        if "Traceback (most recent call last)" in end.last_words or end.error:
            return _from_words(end), end.error or _last_line(end.last_words)
        return "ok", "started by hand: its exit code is not known"
    if end.signal is not None:
        name = _signal_name(end.signal)
        if end.signal == signal.SIGKILL and end.oom_kills:
            return (
                "oom",
                "the kernel killed it: the machine (or its memory limit) ran out of memory",
            )
        if end.signal == signal.SIGKILL:
            return "killed", f"{name} from outside: by hand, or the kernel for want of memory"
        if end.signal in _ASKED:
            return "killed", f"{name} from outside"
        return "failed", f"{name}: {_last_line(end.last_words)}".rstrip(": ")
    if end.code is not None and end.code - 128 in _ASKED:
        return "killed", f"{_signal_name(end.code - 128)} from outside; it ended itself"
    last = end.error or _last_line(end.last_words) or f"exit code {end.code}"
    if end.code == NAN_CODE and (not end.error or "nan" in end.error.lower()):
        return "nan", "the loss is no finite number any more"
    outcome = _from_words(end)
    if outcome == "failed" and end.disk_free is not None and end.disk_free < _LITTLE:
        return "disk_full", f"no space left on the disk; {last}"
    return outcome, last


def _from_words(end: End) -> Outcome:
    words = f"{end.last_words}\n{end.error}"
    # The last exception decides: what came before it may have been caught.
    found: dict[Outcome, list[int]] = {
        "oom": [m.start() for m in _OOM.finditer(words)],
        "disk_full": [m.start() for m in _DISK.finditer(words)],
        "import_error": [m.start() for m in _IMPORT.finditer(words)],
    }
    last = max(found, key=lambda name: max(found[name], default=-1))
    return last if found[last] else "failed"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.replace("\r", "\n").split("\n")]
    said = [line for line in lines if line]
    return "".join(c if c.isprintable() else " " for c in said[-1])[:300] if said else ""


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


TAIL = 8192
"""Bytes of the log in which the reason of an end is looked for."""


def file_size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


def disk_free(folder: Path) -> int | None:
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return status.f_bavail * status.f_frsize


def last_error(events: Path, start: int) -> str:
    """The `error` of the last line, if this run wrote one."""
    return str(last_json_line(events).get("error") or "") if file_size(events) > start else ""


def last_words(log: Path, start: int) -> str:
    """The last words of this run in its log; an earlier run's do not count."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - TAIL, start if start <= size else 0))
            return file.read(TAIL).decode("utf-8", "replace")
    except OSError:
        return ""


def unreleased_gpu_memory(orders: Mapping[str, Any], patience: float) -> str:
    """What the job's GPUs have not got back `patience` seconds after its end; empty: nothing."""
    records = orders.get("devices")
    if not records:
        return ""
    # NVML costs more memory than the supervisor may have: only where there is a GPU.
    from vitlab.jobs.gpus import unreleased_memory

    return unreleased_memory(records, patience)


def write_command_result(job: JobPaths, history: History, seconds: float) -> None:
    """For `recipe: command` that wrote no `result.json`: the last value of each of its names."""
    spec = read_json(job.spec)
    values = {name: series[-1] for name, series in history.series.items() if series}
    if spec.get("recipe") != "command" or job.result.exists() or not values:
        return
    from vitlab.contract.job import Result, write_result

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


def start_notice(job: JobPaths, wait: bool) -> None:
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
    argv = [sys.executable, "-P", "-m", "vitlab.jobs.queue.notice", str(job.folder)]
    quiet = [(os.POSIX_SPAWN_OPEN, n, os.devnull, os.O_RDWR, 0) for n in range(3)]
    with contextlib.suppress(OSError):  # no room for another process
        pid = os.posix_spawn(sys.executable, argv, os.environ, file_actions=quiet)
        if wait:
            os.waitpid(pid, 0)
