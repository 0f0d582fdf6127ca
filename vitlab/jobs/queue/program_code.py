"""What a job runs: its script, the repository that holds it, and its configuration files."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from vitlab.jobs.experiment.placeholders import Filled, filled, values_of
from vitlab.jobs.files import read_json
from vitlab.jobs.git import Code, is_tracked, read_code
from vitlab.jobs.store import Job

SCRIPTS = (".py", ".sh", ".bash", ".zsh", ".jl", ".r", ".pl", ".lua", ".m")
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
        if path.suffix.lower() in CONFIGS and _is_file(path) and _is_small(path):
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
            if script is not None and _is_small(script) and not self.tracks(script):
                kept.append(script)
        code = self.of(folder)
        with contextlib.suppress(OSError):  # a full disk ends the job with a better reason
            if code.dirty:
                job.paths.code_diff.write_bytes(code.diff)
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


def _is_small(path: Path) -> bool:
    return path.stat().st_size <= MAX_BYTES


def _has_shebang(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False
