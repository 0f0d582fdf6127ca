"""Which Python a script is to be run with: one that has what the script imports."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.contract.reading import read_regular
from vitlab.jobs.experiment.script_files import UNREADABLE, tree_of

LIMIT = 10.0
"""Seconds for one Python to tell what it has."""
_MAX_MODULES = 40
_NEAR = (".venv", "venv", "env")
_BASES = ("miniconda3", "anaconda3", "miniforge3", "mambaforge", "micromamba")
_ASK = """\
import sys
sys.path[:] = [one for one in sys.path if one]  # nothing of the script is run by this
from importlib.util import find_spec
sys.path.insert(0, sys.argv[1])
def has(name):
    try: return find_spec(name) is not None
    except Exception: return True
print("has", *[name for name in sys.argv[2:] if has(name)])
"""


NAMED = 8
"""Modules that are named."""


def imports_of(script: Path) -> dict[str, str]:
    """What must be there for it to start -> where: `torch` -> `light.py:3`.

    Its imports outside functions and conditions, and those of the modules beside it; none from
    where a file changes `sys.path` on. Empty where it cannot be read.
    """
    needed: dict[str, str] = {}
    todo, seen = [script], {script}
    while todo and len(seen) < _MAX_MODULES:
        module = todo.pop(0)
        for name, line in _top_imports(module):
            place = script.parent / name
            beside = [one for one in (place.with_suffix(".py"), place / "__init__.py") if
                      one.is_file()]  # fmt: skip
            todo += [one for one in beside if one not in seen]
            seen.update(beside)
            if not beside:
                needed.setdefault(name, f"{module.name}:{line}")
    return needed


def _top_imports(module: Path) -> Iterator[tuple[str, int]]:
    try:
        body = tree_of(module).body
    except UNREADABLE:
        return
    for node in body:
        if isinstance(node, ast.Import):
            yield from ((one.name.split(".")[0], node.lineno) for one in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).split(".")[0], node.lineno
        elif re.search(r"sys\.path|addsitedir", _written(node)):
            return


def _written(node: ast.stmt) -> str:
    with contextlib.suppress(RecursionError):  # of generated code
        return ast.unparse(node)
    return ""


def check_python(python: str, script: Path) -> str:
    """The path of the Python the user names; `UsageError` where it cannot run the script."""
    path = _executable(python)
    lacking = lacks(path, script)
    if not lacking:
        return path
    better = next((one for one in _pythons(script) if not _lacks_quietly(one, script)), "")
    hint = f"; {better} has all it imports" if better else ""
    raise UsageError(f"--python {python}: has no {in_words(lacking)}{hint}")


def note_on(python: str, script: Path) -> str:
    """What the Python that was taken for want of a better one lacks; empty where it has all."""
    try:
        lacking = lacks(python, script)
    except UsageError as error:
        return str(error)
    text = f"{python} has no {in_words(lacking)}: give another with --python, or install it there"
    return text if lacking else ""


def in_words(lacking: Mapping[str, str]) -> str:
    """`torch (light.py:3), h5py (data.py:1)`; of many the first and how many more."""
    named = [f"{name} ({where})" for name, where in lacking.items()]
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return ", ".join(named[:NAMED]) + more


def _executable(python: str) -> str:
    path = os.path.abspath(os.path.expanduser(python))  # noqa: PTH100, PTH111 - a link stays one
    found = shutil.which(path if os.sep in python else python)
    if found is None:
        is_there = os.sep in python and Path(path).exists()
        why = "is not an executable program" if is_there else "no such program"
        raise UsageError(f"--python {python}: {why}")
    return os.path.abspath(found)  # noqa: PTH100


def lacks(python: str, script: Path) -> dict[str, str]:
    """What a script imports and this Python has not -> where; `UsageError` if it is no Python."""
    needed = imports_of(script)
    environment = Path(python).parent.parent
    if environment in _near(script):
        names = _installed(environment)
        return {name: where for name, where in needed.items() if names and name not in names}
    try:
        run = subprocess.run(
            [python, "-c", _ASK, str(script.parent), *needed],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=LIMIT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UsageError(f"--python {python}: no answer within {LIMIT:.0f} s") from error
    except OSError as error:
        raise UsageError(f"--python {python}: {error.strerror}") from error
    answer = run.stdout.rstrip().rpartition("\n")[2].split()
    if run.returncode or answer[:1] != ["has"]:
        raise UsageError(f"--python {python}: is not a working Python 3")
    return {name: where for name, where in needed.items() if name not in answer[1:]}


def _lacks_quietly(python: str, script: Path) -> bool:
    try:
        return bool(lacks(python, script))
    except UsageError:
        return True


def find_python(script: Path) -> str:
    """The Python nearest to the script that has all it imports; the nearest where none has."""
    pythons: Sequence[str] = list(dict.fromkeys(_pythons(script)))
    return next((one for one in pythons if not _lacks_quietly(one, script)), pythons[0])


def _pythons(script: Path) -> Iterator[str]:
    """Of the environments near the script, the active ones, vitlab's own, of the PATH."""
    home = Path.home() if os.environ.get("HOME") else Path("/")
    for environment in _near(script):
        yield from _in(environment)
    for folder in _folders(script):
        for file in ("environment.yml", "environment.yaml"):
            if (folder / file).is_file():
                yield from _conda(folder / file, home)
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        if where := os.environ.get(variable):
            yield from _in(Path(where))
    if sys.executable:
        yield sys.executable
    yield from filter(None, map(shutil.which, ("python3", "python")))


def _folders(script: Path) -> list[Path]:
    return [script.parent, *script.parent.parents][:4]


def _near(script: Path) -> list[Path]:
    """Where environments of the script are looked for: the nearest first."""
    return [folder / name for folder in _folders(script) for name in _NEAR]


def _installed(environment: Path) -> set[str]:
    """The modules an environment near the script has; empty where its folders cannot tell.

    By its folders alone: it came with the script, perhaps from somebody else, and its Python runs
    whatever its `.pth` files say as soon as it starts.
    """
    if re.search(
        r"(?im)^include-system-site-packages\s*=\s*true", _text(environment / "pyvenv.cfg")
    ):
        return set()
    names = set(sys.stdlib_module_names)
    for site in environment.glob("lib/python3*/site-packages"):
        for entry in site.iterdir():
            names.add(entry.name.partition(".")[0])
            if entry.suffix == ".dist-info":
                names.update(_text(entry / "top_level.txt").split())
            elif entry.suffix == ".pth":
                lines = (line.strip() for line in _text(entry).splitlines())
                folders = [site / line for line in lines if line and not line.startswith("import")]
                names.update(p.name.partition(".")[0] for f in folders if f.is_dir()
                             for p in f.iterdir())  # fmt: skip
    return names


def _text(file: Path) -> str:
    """A small file of an environment; empty where it cannot be read."""
    with contextlib.suppress(OSError):
        return read_regular(file, 1 << 20).decode("utf-8", "replace")
    return ""


def _in(environment: Path) -> Iterator[str]:
    python = environment / "bin" / "python"
    if os.access(python, os.X_OK):
        yield str(python)


def _conda(file: Path, home: Path) -> Iterator[str]:
    for match in re.findall(r"(?m)^name:\s*([\w.-]+)", _text(file))[:1]:
        for base in _BASES:
            yield from _in(home / base / "envs" / match)
