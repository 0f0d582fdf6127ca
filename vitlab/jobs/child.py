"""A job's own process: what is run, how it is started, and where its numbers come from."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

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


def spawn(job: JobPaths, argv: list[str], cwd: Path, told: Mapping[str, str]) -> int:
    """Start the job's process in its own group; both outputs go to the end of `out.log`.

    `told` is added to its environment. Its pid; `OSError` when there is no such program.
    """
    environment = {**os.environ, **told, MARKER: str(job.folder)}
    append = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    here = Path.cwd()
    os.chdir(cwd)
    try:
        return os.posix_spawnp(
            argv[0],
            argv,
            environment,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(job.log), append, 0o666),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setpgroup=0,
            setsigdef=[signal.SIGPIPE],
        )
    finally:
        os.chdir(here)


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
