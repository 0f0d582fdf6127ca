"""A lab in a temporary folder, jobs of a few lines, and a check that nothing is left running."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import nothing_runs
from vitlab.contract.job import Spec
from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs.processes import MARKER
from vitlab.jobs.store import submit


class Workshop:
    """Makes specs and jobs of one lab."""

    def __init__(self, root: Path) -> None:
        self.lab = LabPaths(root)
        self.lab.experiments.mkdir(parents=True)
        self.number = 0

    def spec(self, code: str, **changes: Any) -> Spec:
        self.number += 1
        values: dict[str, Any] = {
            "mvp": "1.0",
            "run": f"run {self.number}",
            "profile": "full",
            "recipe": "command",
            "config": {"argv": [sys.executable, "-S", "-c", code]},
            "exp_id": "VIT-20251226-test-01",
            "roadmap": "roadmaps/vit_roadmap.md",
        }
        return Spec(**{**values, **changes})

    def submit(self, code: str, **changes: Any) -> JobPaths:
        return submit(self.lab, self.spec(code, **changes))

    def settings(self, text: str) -> None:
        self.lab.settings.write_text(text)


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Workshop]:
    assert MARKER not in os.environ
    root = tmp_path / "lab"
    yield Workshop(root)
    nothing_runs(root)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("no mount program")
    if done.returncode:
        pytest.skip(f"no small file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
