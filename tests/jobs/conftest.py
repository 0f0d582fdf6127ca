"""A lab in a temporary folder, jobs of a few lines, and a check that nothing is left running."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from vitlab.contract.job import Done, JobState, Lost, Spec
from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs.processes import MARKER
from vitlab.jobs.store import state, submit


def wait_for(condition: Callable[[], Any], seconds: float = 30.0) -> Any:
    """The first true value of `condition`; fails when there is none in time."""
    until = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)
    return value


def ended(job: JobPaths) -> Done:
    """Wait for the job's end."""

    def look() -> JobState | None:
        now = state(job)
        return now if isinstance(now, Done | Lost) else None

    now = wait_for(look)
    assert isinstance(now, Done), now
    return now


def processes_of(root: Path) -> list[int]:
    """The pids of every process that a job or supervisor of this lab is."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes() + b"\0" + (entry / "environ").read_bytes()
            zombie = ") Z " in (entry / "stat").read_text()
        except OSError:
            continue
        if not zombie and (str(root).encode() in words):
            found.append(int(entry.name))
    return found


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
    wait_for(lambda: not processes_of(root))
