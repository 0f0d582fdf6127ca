"""A shell completes commands, options, and the names of a lab's MVPs, gates and jobs."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import argcomplete
import pytest
from argcomplete.finders import CompletionFinder

from vitlab.cli import COMMANDS, build_parser
from vitlab.completion import _Completer
from vitlab.contract.job import Spec
from vitlab.contract.paths import LabPaths
from vitlab.jobs.store import submit

ROADMAP = """# A

| MVP | Name | Status |
|---|---|---|
| 1.0 | first | ✅ done |
| 2.0 | \x1b[2Jsecond | ⏳ planned |

## Gate-1: enough?

If R² > 0.7, go on.
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LabPaths:
    (tmp_path / "roadmaps").mkdir()
    (tmp_path / "experiments").mkdir()
    (tmp_path / "vitlab.yaml").touch()
    (tmp_path / "roadmaps/a_roadmap.md").write_text(ROADMAP, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return LabPaths(tmp_path)


def completed(line: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is offered for a command line with the cursor at its end."""
    # It would take file 9 for its own, whatever has it here.
    monkeypatch.setattr(CompletionFinder, "_init_debug_stream", lambda _: None)
    monkeypatch.setenv("_ARGCOMPLETE", "1")
    monkeypatch.setenv("_ARGCOMPLETE_IFS", "\n")
    monkeypatch.setenv("_ARGCOMPLETE_SUPPRESS_SPACE", "1")
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    modules = {name: module for name, (module, _) in COMMANDS.items()}
    offered = io.StringIO()
    argcomplete.autocomplete(
        build_parser(line),
        always_complete_options="long",
        default_completer=_Completer(modules),
        output_stream=offered,
        exit_method=lambda _: None,
    )
    return [one for one in offered.getvalue().split("\n") if not one.startswith("--")]


def test_each_argument_is_offered_what_it_may_name(
    lab: LabPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = Spec("1.0", "run 1", "full", "ridge", {}, "A-01", "roadmaps/a_roadmap.md")
    job = submit(lab, spec).name
    (lab.root / "broken_roadmap.md").write_bytes(b"\xff\x00\xff")
    for line, names in {
        "vitlab re": ["redo", "resume", "release"],
        "vitlab run ": ["1.0", "2.0"],
        "vitlab run 2": ["2.0"],
        "vitlab run 2.0 --profile ": ["smoke", "demo", "hour", "full"],
        "vitlab logs A": [job],
        "vitlab stop ": [job],
        "vitlab compare ": ["1.0", "2.0", job],
        "vitlab new ": ["plan", "mvp", "gate", "1.0", "2.0"],
        "vitlab new mvp --gate ": ["1"],
        "vitlab set roadmaps/": ["roadmaps/a_roadmap.md"],
        "vitlab set roadmaps/a_roadmap.md --mvp 1": ["1.0"],
        "vitlab completion f": ["fish"],
    }.items():
        assert completed(line, monkeypatch) == names, line


def test_outside_a_lab_nothing_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert completed("vitlab run ", monkeypatch) == []


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")
def test_bash_asks_the_program(lab: LabPaths) -> None:
    assert lab.root.is_dir()
    script = """
    eval "$(vitlab completion bash)"
    COMP_LINE="vitlab run 2" COMP_POINT=12 COMP_TYPE=9
    _python_argcomplete vitlab
    echo "offered: ${COMPREPLY[*]}"
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    assert done.stdout.rstrip() == "offered: 2.0", done.stderr
