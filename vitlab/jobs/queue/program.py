"""A user's program before it starts: what may go wrong with it, and the code that it runs."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice, pairwise
from pathlib import Path

from vitlab.contract.config import COMMAND_KEYS
from vitlab.contract.job import Done, Lost, Spec
from vitlab.contract.paths import LabPaths, real, write_atomic
from vitlab.contract.reading import read_regular
from vitlab.jobs.environment import secrets_of
from vitlab.jobs.experiment.command import literal_head, may_meet, metrics_place, words_of
from vitlab.jobs.experiment.placeholders import (
    METRICS,
    Filled,
    filled,
    own_settings,
    values_of,
    words_in,
)
from vitlab.jobs.experiment.value_names import match_names
from vitlab.jobs.files import read_json
from vitlab.jobs.git import Code, in_repository, is_secret_file, is_tracked, leads_out, read_code
from vitlab.jobs.gpus import VISIBLE
from vitlab.jobs.metrics.source import stored_value
from vitlab.jobs.processes import SCRIPTS
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
    own = {name: str(value) for name, value in (spec.config.get("env") or {}).items()}
    if names := secrets_of(spec.config):
        where = "spec.json, which only you can read; a variable of your shell is not stored"
        yield "warn", f"config: {', '.join(names)}: look like secrets; stand in {where}"
    in_argv = any(part.startswith(f"{VISIBLE}=") for part in command.argv)
    if VISIBLE in own or in_argv:
        text = "takes the place of the GPU the job is given; `device` or --gpu chooses one"
        yield "warn", f"config.{'argv' if in_argv else 'env'}: {VISIBLE}: {text}"
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
    own = tuple(own_settings(spec.config))
    for name in own:
        if not {name, "config"} & used:
            known = {*own, *COMMAND_KEYS} - {name}
            close = get_close_matches(name, sorted(known), n=1)
            hint = f"; did you mean {close[0]}?" if close else ""
            use = f"put {{{name}}} or {{config}} into argv, env or cwd"
            yield "bad", f"config.args.{name}: nothing uses it{hint}; {use}"
    if spec.config.get("seed") is None or {"seed", "config"} & given:
        return
    script = script_of(command)
    if script is None or not _reads_seed(script):
        text = "put {seed} into argv or env, or have it read VITLAB_SEED"
        yield "warn", f"config.seed: nothing gives the program its seed; {text}"


def _reads_seed(script: Path) -> bool:
    with contextlib.suppress(OSError):
        return b"VITLAB_SEED" in read_regular(script, MAX_BYTES, follow=True)
    return False


def _headline(spec: Spec) -> Findings:
    """The headline among the values read, and names that are not as ours are written."""
    names = (spec.extra.get(METRICS) or {}).get("names") or {}
    ours = sorted({str(stored_value(meaning)) for meaning in names.values()})
    if ours and spec.headline not in ours:
        what = f"metrics.names has no such value (only {', '.join(ours)})"
        yield "warn", f"headline: {spec.headline}: {what}"
    for name in dict.fromkeys([*ours, spec.headline]):
        near = match_names([name], "")
        known = near.sure.get(name) or near.unit.get(name, name)
        if known != name:
            text = f"is a value of its own, not {known}, which gates and tables know"
            where = "metrics.names" if name in ours else "headline"
            yield "warn", f"{where}: {name}: {text}"


def _code(command: Filled, code: CodeReader) -> Findings:
    script = script_of(command)
    if not code.of(code_folder(command)).commit:
        what = script.name if script else f"the folder of {command.argv[0]}"
        where = "is in no git repository"
        if in_repository(code_folder(command)):
            where = "is not committed, its git repository has no commit yet"
        elif leads_out(code_folder(command)):
            where = "is in a git repository that leads out of its folder"
        yield "note", f"code: {what} {where}: its version is not recorded"
    elif script is not None and not code.tracks(script):
        yield "note", f"code: {script.name} is not committed: a copy is kept with the job"


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


CONFIGS = (".yaml", ".yml", ".json", ".toml", ".ini", ".cfg", ".conf")
MAX_BYTES = 1 << 20
"""Bytes of a file that is kept with the job."""


def in_folder(folder: Path, path: str) -> Path:
    """`path` from `folder`, which may still have to be made."""
    return folder / path if folder.is_dir() else Path(os.path.normpath(folder / path))


def script_of(command: Filled) -> Path | None:
    """The file the program is in: after its interpreter, as a module, or itself; None: unknown."""
    argv = command.argv
    for before, part in pairwise(argv):
        name = f"{part.replace('.', '/')}.py" if before == "-m" else part
        path = in_folder(command.cwd, name)
        if path.suffix.lower() in SCRIPTS and _is_file(path):
            return path
    path = in_folder(command.cwd, argv[0])
    # A program without a suffix in a folder bin is an installed one.
    if "/" not in argv[0] or not _is_file(path) or (path.parent.name == "bin" and not path.suffix):
        return None
    return path if path.suffix.lower() in SCRIPTS or _has_shebang(path) else None


def code_folder(command: Filled) -> Path:
    """A folder of the repository that counts: of the script, else the program's own."""
    script = script_of(command)
    folder = script.resolve().parent if script else command.cwd
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return folder


def config_files(command: Filled) -> Iterator[Path]:
    """The small configuration files that argv names, also as `--config=FILE`."""
    for part in command.argv[1:]:
        path = in_folder(command.cwd, part.rpartition("=")[2])
        if path.suffix.lower() in CONFIGS and _is_file(path) and _may_be_kept(path, command):
            yield path


class CodeReader:
    """Reads the code of jobs that start together, each repository once."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[Path, Code] = {}
        self._tracked: dict[Path, bool] = {}

    def of(self, folder: Path) -> Code:
        """The code of the repository that holds `folder`."""
        if folder not in self._known:
            self._known[folder] = read_code(folder)
        return self._known[folder]

    def tracks(self, script: Path) -> bool:
        """Whether git knows the script, so that commit and diff say what it is."""
        if script not in self._tracked:
            self._tracked[script] = is_tracked(script.resolve())
        return self._tracked[script]

    def record(self, job: Job) -> Code:
        """The code of a job that starts now; its diff and its program's files are kept with it."""
        spec = read_json(job.paths.spec)
        kept: list[Path] = []
        folder = self._root
        if job.spec.recipe == "command":
            command = filled(spec, self._root, values_of(spec, job.paths.folder))
            folder, script = code_folder(command), script_of(command)
            kept = list(config_files(command))
            if script is not None and _may_be_kept(script, command) and not self.tracks(script):
                kept.append(script)
        code = self.of(folder)
        with contextlib.suppress(OSError):  # a full disk ends the job with a better reason
            if code.dirty:
                write_atomic(job.paths.code_diff, code.diff, mode=0o600)
            _keep(kept, job.paths.program)
        return code


def _keep(files: Sequence[Path], folder: Path) -> None:
    """Copy files into `folder`, in place of those of an earlier attempt."""
    shutil.rmtree(folder, ignore_errors=True)
    for number, path in enumerate(files):
        folder.mkdir(exist_ok=True)
        taken = (folder / path.name).exists()
        shutil.copy2(path, folder / (f"{number + 1}-{path.name}" if taken else path.name))


def _is_file(path: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):  # a part of argv that no file can be called
        return path.is_file()
    return False


def _may_be_kept(path: Path, command: Filled) -> bool:
    """Whether a file is small, and neither it nor what it leads to usually holds secrets.

    Those of hidden folders, such as `~/.config`, may: programs keep their tokens there.
    """
    actual, here = real(path), real(command.cwd).parts
    hidden = any(part[0] == "." and part not in here for part in actual.parts[:-1])
    secret = is_secret_file(path.name) or is_secret_file(str(actual))
    return not (hidden or secret) and path.stat().st_size <= MAX_BYTES


def _has_shebang(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False
