"""What a process runs: its script by the file it is in, and what that is called for people."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Sequence
from pathlib import Path, PurePath

from vitlab.contract.paths import JobPaths, real
from vitlab.contract.reading import read_regular
from vitlab.jobs.processes import SCRIPTS, job_of, proc_file

_PROGRAMS = re.compile(r"(python|pypy|julia|r$|rscript|perl|lua|java|octave|matlab|ipython)[\w.-]*")
"""Interpreters, by the names of their executables in lower case."""
_INTERPRETERS = re.compile(rf"{_PROGRAMS.pattern}|(ba|da|k|z|fi)?sh")
_LAUNCHERS = re.compile(
    r"conda|mamba|micromamba|poetry|pipenv|uvx?|jupyter(-[\w-]+)?|papermill|accelerate|lightning"
    r"|torchrun|torch|deepspeed|ray|dvc|snakemake|kedro|mlflow|optuna|wandb"
)
"""Programs that run what stands behind them."""
_ONLOOKERS = re.compile(
    r"(^|[\s/])(-m )?(vitlab[\w.]*|tensorboard|http\.server|pytest|py\.test|pip|nvitop|gpustat"
    r"|glances|mlflow|streamlit)(?=\s|$)"
    r"|jupyter[- ]?(lab|notebook|server|hub)|(vscode|cursor|windsurf)[\w-]*/|language.?server"
    r"|\b(py)?lsp|jedi"
)
"""Command lines of what writes no metrics, as an editor's helpers."""
_WRITES = re.compile(
    rb"open\((?:[^()\n]|\([^()\n]*\))*[\"'][wax][bt]?\+?[\"']"
    rb"|\bdump\(|\.write_(?:text|bytes)\(|\.to_(?:csv|json)\(|\bsavetxt\("
)
"""Calls that write a file, in a script of Python; those that draw into a plot are none."""
Script = tuple[str, str]
"""A program's folder, and its script or module."""
CLOSED = "?"
"""The folder of another user's program, which is not told."""


def name_of(pid: int) -> str:
    """A process for people: its job, or its number and script."""
    if job := job_of(pid):
        return f"job {JobPaths(Path(job)).name}"
    script = script_run(pid)
    return f"process {pid} ({PurePath(script[1]).name})" if script else f"process {pid}"


def script_run(pid: int, any_program: bool = False) -> Script | None:
    """The script of a process; `any_program`: as of `script_of`."""
    argv, folder = command_of(pid)
    return script_of(argv, folder, any_program) if argv else None


def command_of(pid: int) -> tuple[list[str], str]:
    """The words and the folder of a process; no words of one that has ended."""
    argv = list[bytes]()
    try:
        argv = proc_file(pid, "cmdline").rstrip(b"\0").split(b"\0")
        folder = os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115 - of every process
    except PermissionError:
        folder = CLOSED
    except OSError:
        return [], ""
    return [part.decode("utf-8", "replace") for part in argv], folder


def places_named(argv: Sequence[str], folder: str, path: Path) -> dict[str, bool]:
    """The words of a command that may be paths, and whether each leads to the file at `path`.

    By the option before them, or else by their place among the words without one.
    """
    found, option, alone = dict[str, bool](), "", 0
    above = {path, *path.parents} - {real(Path(folder)), *Path(folder).parents}
    for word in argv[1:]:
        name, has_value, value = word.partition("=")
        if word.startswith("-") and not has_value:
            option = word
            continue
        name = name if word.startswith("-") else option or str(alone)
        alone += not (option or word.startswith("-"))
        found[name] = real(Path(folder, value if word.startswith("-") else word)) in above
        option = ""
    return found


def on_disk(script: Script) -> tuple[object, object]:
    """The same by numbers on their disk: behind another mount of it they have other names."""

    def number(path: str) -> object:
        with contextlib.suppress(OSError, ValueError):
            if path.startswith("/"):
                status = os.stat(path)  # noqa: PTH116 - of every process
                return status.st_dev, status.st_ino
        return path

    return number(script[0]), number(script[1])


def may_log(pid: int, folder: str, name: str = "") -> bool:
    """Whether a process in that folder may write metrics: an interpreter runs, no onlooker.

    `name`: of a file; then its script must also have that name in it, and write some file.
    """
    try:
        here = os.path.samefile(f"/proc/{pid}/cwd", folder)  # noqa: PTH121 - of every process
        if not (here and is_program(pid) and name):
            return here and is_program(pid)
        text = read_regular(Path((script_run(pid) or ("", ""))[1]), 1 << 20, follow=True)
    except (OSError, ValueError):
        return False
    return name.encode() in text and bool(_WRITES.search(text))


def is_program(pid: int) -> bool:
    """Whether an interpreter runs, no onlooker."""
    try:
        program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))  # noqa: PTH115, PTH119
        line = proc_file(pid, "cmdline").replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return False
    return bool(_PROGRAMS.fullmatch(program.lower())) and not _ONLOOKERS.search(line.lower())


def script_of(argv: Sequence[str], folder: str, any_program: bool = True) -> Script | None:
    """What Python, a shell or another interpreter runs, by its file; None where it is not known.

    A module, a link to it and a path from elsewhere are one file, and a program may have no ending.
    `any_program`: also one that no interpreter runs, if its path is given.
    """
    here = Path(folder)
    for place, word in enumerate(argv):
        if word == "-m" and place + 1 < len(argv):
            if _LAUNCHERS.fullmatch(argv[place + 1].partition(".")[0].lower()):
                continue
            module = argv[place + 1].replace(".", "/")
            files = (here / f"{module}.py", here / module / "__main__.py")
            found = next(filter(_is_file, files), None)
            return folder, str(real(found)) if found else argv[place + 1]
        if word.lower().endswith(SCRIPTS):
            return folder, str(real(here / word))
    is_run = bool(_INTERPRETERS.fullmatch(PurePath(*argv[:1]).name.lower()))
    names = [word for word in argv[is_run:] if not word.startswith("-")]
    if names and _LAUNCHERS.fullmatch(PurePath(names[0]).name.lower()):
        names = [word for word in names[1:] if _is_file(here / word)]
    path = here / next(iter(names), "")
    is_program = is_run or (any_program and "/" in "".join(argv[:1]))
    return (folder, str(real(path))) if folder != CLOSED and is_program and _is_file(path) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
