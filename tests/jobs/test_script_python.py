"""Which Python a script is run with: what it imports is looked for there, nothing is run."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from vitlab.contract.paths import UsageError
from vitlab.jobs.experiment import script_python
from vitlab.jobs.experiment.script_python import (
    check_python,
    find_python,
    imports_of,
    in_words,
    note_on,
)

SCRIPT = """\
from __future__ import annotations
import json, numpy.linalg
from net import Net
from .near import this
try:
    import absent_guarded
except ImportError:
    pass
if "x" == "y":
    import absent_conditional
def late():
    import absent_late
sys.path.append("elsewhere")
import absent_after
"""


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script and a module beside it; no environment is active."""
    for variable in ("VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH"):
        monkeypatch.delenv(variable, raising=False)
    path = tmp_path / "own" / "light.py"
    path.parent.mkdir()
    path.write_text(SCRIPT)
    (path.parent / "net.py").write_text("import csv\nraise SystemExit('it was run')\n")
    return path


def stub(path: Path, answer: str) -> Path:
    """A Python that says it has only what is named."""
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\necho noise\necho {answer}\n")
    path.chmod(0o755)
    return path


def environment(folder: Path, *names: str) -> Path:
    """An environment beside the script that has what is named, and must not be started."""
    python = folder / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\ntouch started\n")
    python.chmod(0o755)
    for name in names:
        (folder / "lib" / "python3.11" / "site-packages" / name).mkdir(parents=True)
    return python


def test_only_what_must_be_there_to_begin_counts(script: Path) -> None:
    assert imports_of(script) == {
        "__future__": "light.py:1",
        "json": "light.py:2",
        "numpy": "light.py:2",
        "csv": "net.py:1",
    }
    assert check_python(sys.executable, script) == sys.executable


def test_what_a_python_lacks_is_named_with_its_place_and_a_better_one(script: Path) -> None:
    bare = stub(script.parent.parent / "bare" / "python", "has __future__ json csv")
    with pytest.raises(UsageError) as caught:
        check_python(str(bare), script)
    text = f"--python {bare}: has no numpy (light.py:2); {sys.executable} has all it imports"
    assert str(caught.value) == text


def test_the_nearest_that_has_all_is_offered_and_none_near_is_started(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(script.parent)
    environment(script.parent / ".venv")
    assert find_python(script) == sys.executable
    near = environment(script.parent / "env", "numpy")
    assert find_python(script) == str(near)
    other = environment(script.parent / "venv", "numpy-2.0.dist-info")
    assert find_python(script) == str(near)
    (script.parent / "venv/lib/python3.11/site-packages/own.pth").write_text(
        f"import os; os.system('touch started')\n{script.parent}/src\n"
    )
    (script.parent / "src" / "numpy").mkdir(parents=True)
    assert find_python(script) == str(other)
    assert note_on(str(other), script) == ""
    assert not Path("started").exists()


def test_where_none_has_all_the_nearest_is_taken_and_told(script: Path) -> None:
    script.write_text("import absent_everywhere\n")
    near = environment(script.parent / ".venv", "numpy")
    assert find_python(script) == str(near)
    assert note_on(str(near), script).startswith(
        f"{near} has no absent_everywhere (light.py:1): give another"
    )
    (script.parent / ".venv" / "pyvenv.cfg").write_text("include-system-site-packages = true\n")
    assert note_on(str(near), script) == ""  # its folders cannot tell


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("none", "no such program"),
        ("./none", "no such program"),
        ("./words", "is not an executable program"),
        ("./true", "is not a working Python 3"),
        ("./slow", "no answer within 0 s"),
    ],
)
def test_what_is_no_python_is_refused(
    script: Path, monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.chdir(script.parent)
    for made, body in (("words", ""), ("true", "true"), ("slow", "sleep 60")):
        Path(made).write_text(f"#!/bin/sh\nexec {body}\n")
        Path(made).chmod(0o644 if made == "words" else 0o755)
    if name == "./slow":
        monkeypatch.setattr(script_python, "LIMIT", 0.3)
    with pytest.raises(UsageError, match=text):
        check_python(name, script)


def test_a_relative_python_is_kept_from_the_root_and_links_stay(
    script: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(script.parent)
    os.symlink(sys.executable, "python")  # noqa: PTH211 - the link itself
    script.write_text("import json\n")
    assert check_python("./python", script) == str(script.parent / "python")


@pytest.mark.parametrize("line", [f"x = 0x{'f' * 5000}", "print(f'" + "{a}=" * 30_000 + "')"])
def test_what_takes_python_for_ever_is_no_script(tmp_path: Path, line: str) -> None:
    script = tmp_path / "train.py"
    script.write_text(f"import torch\n{line}\n")
    began = time.process_time()
    assert imports_of(script) == {}
    assert time.process_time() - began < 2


def test_of_many_modules_the_first_are_named() -> None:
    assert in_words({"torch": "a.py:1", "h5py": "b.py:2"}) == "torch (a.py:1), h5py (b.py:2)"
    assert in_words({f"m{i}": "a.py:1" for i in range(5000)}).endswith("m7 (a.py:1) and 4992 more")
