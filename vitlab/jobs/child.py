"""A job's own process: what is run, how it is started, and where its numbers come from."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from vitlab.contract.paths import JobPaths
from vitlab.jobs.jsonfiles import read_json
from vitlab.jobs.processes import MARKER

if TYPE_CHECKING:
    from vitlab.jobs.metrics import Follower, LogFollower


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


def spawn(job: JobPaths, argv: list[str], cwd: Path, told: Mapping[str, str]) -> Child:
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
) -> Follower | LogFollower | None:
    """What takes over the numbers of somebody else's program; None where nothing is declared.

    `whole`: from the beginning of its file or log, not only what this run adds.
    """
    if "metrics" not in extra:
        return None
    # CSV costs memory; few jobs need it.
    from vitlab.jobs.metrics import Follower, LogFollower, read_source

    source = read_source(extra)
    if source is None:
        return None
    if source.pattern:
        return LogFollower(source, job.log, job.events, 0 if whole else log_from)
    return Follower(source, folder, job.events, whole)
