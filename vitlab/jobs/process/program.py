"""A user's program as a job's process: its command, what is made for it, and what is kept of it.

A supervisor loads it: standard library only, and little of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vitlab.contract.paths import JobPaths
from vitlab.jobs.environment import submitted_environment, this_environment
from vitlab.jobs.experiment.placeholders import (
    Filled,
    filled,
    settings_text,
    values_of,
    words_in,
)
from vitlab.jobs.files import read_json

COMMAND = "command"
RESERVE = 200 * 10**6
"""Bytes left free on the lab's disk when outputs are copied."""


def filled_command(job: JobPaths, spec: Mapping[str, Any], resumed: bool) -> Filled:
    """The command of a job whose lock its supervisor holds, for this attempt."""
    return filled(spec, job.folder.parents[2], _values(job, spec), resumed)


def _values(job: JobPaths, spec: Mapping[str, Any]) -> dict[str, str]:
    return values_of(spec, job.folder, str(read_json(job.lock).get("device", "cpu")))


def environment(job: JobPaths, given: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """What its process starts with, and the names of secrets it lacks.

    The submitter's variables (in Slurm, which had them at submission, those of the batch step),
    then those vitlab gives, then those of its own `config.env`.
    """
    spec = read_json(job.spec)
    if (spec.get("extra") or {}).get("backend") == "slurm":
        variables, missing = this_environment(), list[str]()
    else:
        variables, missing = submitted_environment(job, this_environment())
    own = filled_command(job, spec, False).env if spec.get("recipe") == COMMAND else {}
    return {**variables, **given, **own}, [name for name in missing if name not in own]


def prepare(job: JobPaths) -> None:
    """Make the folders and the file of settings that a command's placeholders ask for."""
    spec = read_json(job.spec)
    if spec.get("recipe") != COMMAND or "adopt" in (spec.get("extra") or {}):
        return
    command = filled_command(job, spec, False)
    if command.makes_cwd:
        command.cwd.mkdir(parents=True, exist_ok=True)
    metrics = ((spec.get("extra") or {}).get("metrics") or {}).get("file") or ""
    if words_in(metrics) and ".." not in Path(command.metrics).parts:
        folder = command.cwd
        for part in Path(command.metrics).parent.parts:
            if any(letter in part for letter in "*?["):
                break
            folder /= part
        folder.mkdir(parents=True, exist_ok=True)
    if (spec.get("config") or {}).get("args") or words_in(str(spec.get("config"))) & {"config"}:
        job.config.write_text(settings_text(spec["config"], _values(job, spec)), encoding="utf-8")


def lacking_secrets(job: JobPaths) -> str:
    """What its process will lack of the environment it was submitted with; empty for nothing."""
    _, missing = environment(job, {})
    if not missing:
        return ""
    return (
        f"submitted with {', '.join(missing)}, which look like secrets and are not stored; "
        "the process that starts it has none"
    )


def keep_outputs(job: JobPaths) -> list[str]:
    """Copy what a command's `outputs` name into its folder; a line on each that is not there.

    Only files changed since the job first started: others are an earlier run's.
    """
    told: list[str] = []
    try:
        told.extend(_keep_outputs(job))
    except Exception as error:  # a strange file must not end the supervisor
        told.append(f"config.outputs: {type(error).__name__}: {error}")
    return told


def _keep_outputs(job: JobPaths) -> Iterator[str]:
    spec = read_json(job.spec)
    if spec.get("recipe") != COMMAND:
        return
    command = filled_command(job, spec, False)
    began = min(
        (float(read_json(path).get("started", 0)) for path in job.folder.glob("started*.json")),
        default=0.0,
    )
    for glob in command.outputs:
        files = [path for path in sorted(command.cwd.glob(glob)) for path in _files(path)]
        fresh = [path for path in files if path.stat().st_mtime >= began - 1]
        if not fresh:
            older = f" new ({len(files)} older)" if files else ""
            yield f"config.outputs: {glob}: no{older} file in {command.cwd}"
        for path in fresh:
            if why := _copy(path, job.outputs / path.relative_to(command.cwd)):
                yield f"config.outputs: {path.relative_to(command.cwd)}: not kept ({why})"


def _files(path: Path) -> list[Path]:
    """The file, or those below a folder."""
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def _copy(source: Path, target: Path) -> str:
    """Why it could not be copied; empty when it was."""
    import shutil  # its compressors would cost a supervisor memory all the time

    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(target.parent).free - source.stat().st_size < RESERVE:
            return "the lab's disk is nearly full"
        shutil.copy2(source, target)
    except OSError as error:
        return error.strerror or str(error)
    return ""
