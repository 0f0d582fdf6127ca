"""What will or may go wrong with a user's program, before it is queued."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from vitlab.contract.job import Done, Lost, Spec
from vitlab.contract.paths import LabPaths
from vitlab.jobs.experiment.command import (
    literal_head,
    may_meet,
    metrics_place,
    words_of,
)
from vitlab.jobs.experiment.placeholders import (
    METRICS,
    Filled,
    filled,
    own_settings,
    values_of,
    words_in,
)
from vitlab.jobs.gpus import VISIBLE
from vitlab.jobs.metrics.source import stored_value
from vitlab.jobs.queue.program_code import SCRIPTS, CodeReader, code_folder, in_folder, script_of
from vitlab.jobs.queue.queue import OWN_FILE
from vitlab.jobs.store import Job

Findings = Iterator[tuple[str, str]]
"""Status (`bad`, `warn`, `note`) and text of each finding."""
_PYTHON = re.compile(r"python[\d.]*")


def check_command(root: Path, spec: Spec, code: CodeReader) -> Findings:
    """All findings on one run of `recipe: command`, whose configuration is sound."""
    document = {"run": spec.run, "config": spec.config, "extra": spec.extra}
    command = filled(document, root, values_of(document))
    yield from _places(spec, command)
    yield from _settings(spec, command)
    yield from _headline(spec)
    if VISIBLE in (spec.config.get("env") or {}):
        yield (
            "warn",
            f"config.env.{VISIBLE}: takes the place of the GPU the job is given; "
            "`device` or --gpu chooses one",
        )
    yield from _code(command, code)


def _places(spec: Spec, command: Filled) -> Findings:
    """Its folder, its program and its script."""
    cwd = spec.config.get("cwd")
    if not command.cwd.is_dir() and not command.makes_cwd:
        yield "bad", f"config.cwd: {cwd}: no such folder"
        return
    program = command.argv[0]
    # A program with a slash is searched from that folder, others in PATH.
    where = str(in_folder(command.cwd, program)) if "/" in program else program
    if shutil.which(where, path=command.env.get("PATH")) is None:
        yield "bad", f"config.argv: {program}: no such program"
    script = command.argv[1] if len(command.argv) > 1 else ""
    runs_script = _PYTHON.fullmatch(Path(program).name) and script.endswith(SCRIPTS)
    if runs_script and not in_folder(command.cwd, script).is_file():
        made = " (made at the start)" if command.makes_cwd else ""
        yield "bad", f"config.argv: {script}: no such file from the folder {cwd or '.'}{made}"
    if ".." in Path(command.metrics).parts or Path(command.metrics).is_absolute():
        yield "bad", f"metrics.file: {command.metrics}: must be a path below the program's folder"


def _settings(spec: Spec, command: Filled) -> Findings:
    """Its own settings and its seed must reach it, or its runs are all the same."""
    given = words_of(spec.config, "argv", "env")
    used = given | words_of(spec.config, "cwd", "resume_argv")
    for name in own_settings(spec.config):
        if not {name, "config"} & used:
            use = f"put {{{name}}} or {{config}} into argv, env or cwd"
            yield "bad", f"config.args.{name}: nothing uses it; {use}"
    if spec.config.get("seed") is None or {"seed", "config"} & given:
        return
    script = script_of(command)
    if script is None or b"VITLAB_SEED" not in script.read_bytes():
        text = "put {seed} into argv or env, or have it read VITLAB_SEED"
        yield "warn", f"config.seed: nothing gives the program its seed; {text}"


def _headline(spec: Spec) -> Findings:
    names = (spec.extra.get(METRICS) or {}).get("names") or {}
    ours = sorted({str(stored_value(meaning)) for meaning in names.values()})
    if ours and spec.headline not in ours:
        what = f"metrics.names has no such value (only {', '.join(ours)})"
        yield "warn", f"headline: {spec.headline}: {what}"


def _code(command: Filled, code: CodeReader) -> Findings:
    script = script_of(command)
    if not code.of(code_folder(command)).commit:
        what = script.name if script else f"the folder of {command.argv[0]}"
        yield "note", f"code: {what} is in no git repository: its version is not recorded"
    elif script is not None and not code.tracks(script):
        yield "note", f"code: {script.name} is not tracked by git: a copy is kept with the job"


class SharedFiles:
    """Which runs would write one metrics file, so that they cannot run at once."""

    def __init__(self, lab: LabPaths, specs: Sequence[Spec], jobs: Iterable[Job]) -> None:
        self._root = lab.root
        launched = [(self._place(spec), spec.run) for spec in specs]
        queued = [
            (metrics_place(job.spec, lab.root, job.paths.folder), job.name)
            for job in jobs
            if not isinstance(job.state, Done | Lost)
        ]
        names: dict[str, list[str]] = {}
        for place, name in [*launched, *queued]:
            if place:
                names.setdefault(place, []).append(name)
        self._names = {place: list(own) for place, own in names.items()}
        """Whose file each place may be."""
        heads = sorted((literal_head(place), place) for place in names)
        for i, (head, place) in enumerate(heads):
            for further, other in islice(heads, i + 1, None):
                if not further.startswith(head):
                    break  # so do not those behind it
                if may_meet(place, other):
                    self._names[place] += names[other]
                    self._names[other] += names[place]

    def of(self, spec: Spec) -> Findings:
        """A warning, where it has to wait for another."""
        place = self._place(spec)
        names = self._names.get(place, [])
        if len(names) > 1:
            few = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            shown = os.path.relpath(place, os.path.realpath(self._root))
            text = f"metrics.file: {few} write one file ({shown}), so they run one after the other"
            yield "warn", f"{text}; {OWN_FILE}"

    def _place(self, spec: Spec) -> str:
        """Empty where each job has its own, or none."""
        file = str((spec.extra.get(METRICS) or {}).get("file") or "")
        if "job" in words_in(f"{spec.config.get('cwd') or ''} {file}"):
            return ""
        return metrics_place(spec, self._root)
