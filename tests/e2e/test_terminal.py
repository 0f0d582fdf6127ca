"""The real screen in a real terminal: launch, curve, write."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.waiting import DEADLINE, wait_for

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(180),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

ROADMAP = "roadmaps/survey_roadmap.md"


class Terminal:
    """One tmux session of its own server, and what a person does with it."""

    def __init__(self, folder: Path, width: int, height: int) -> None:
        self.socket = f"vitlab-{uuid.uuid4().hex[:8]}"
        program = f"env -u COLUMNS -u LINES OMP_NUM_THREADS=1 {sys.executable} -m vitlab"
        size = ("-x", str(width), "-y", str(height))
        self._tmux("-f", os.devnull, "new-session", "-d", *size, "-c", str(folder), program)

    def _tmux(self, *words: str) -> str:
        command = ["tmux", "-L", self.socket, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=DEADLINE)
        return done.stdout

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", *keys)

    def screen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def wait(self, shown: Callable[[str], bool], what: str) -> None:
        """Wait until `shown` holds of the screen."""
        wait_for(
            lambda: shown(self.screen()),
            tell=lambda: f"no {what} on the screen:\n{self.screen()}",
            pause=0.1,
        )

    def alive(self) -> bool:
        command = ["tmux", "-L", self.socket, "has-session"]
        return subprocess.run(command, capture_output=True, timeout=DEADLINE).returncode == 0

    def close(self) -> None:
        subprocess.run(
            ["tmux", "-L", self.socket, "kill-server"], capture_output=True, timeout=DEADLINE
        )


@pytest.fixture(params=[(160, 45), (80, 24)], ids=["160x45", "80x24"])
def terminal(lab: Path, request: pytest.FixtureRequest) -> Iterator[Terminal]:
    opened = Terminal(lab, *request.param)
    yield opened
    opened.close()


def score(lab: Path) -> str:
    """The job's test R2 as the documents write it."""
    (result,) = lab.glob("experiments/*/*/result.json")
    return f"{json.loads(result.read_bytes())['values']['test/r2/log_g']:.3f}"


def test_launch_curve_write_undo_quit(lab: Path, terminal: Terminal) -> None:
    path = lab / ROADMAP
    before = path.read_bytes()
    terminal.wait(lambda text: "Tree Baseline" in text, "roadmap table")

    terminal.press("n")
    terminal.wait(lambda text: "MVP-2.0" in text and "smoke" in text, "launch dialog")
    terminal.press("Enter")
    row = "Tree Baseline | 1 | Gate-2 | "
    wait_for(lambda: f"{row}🚀" in path.read_text(encoding="utf-8"), tell=terminal.screen)
    terminal.press("3")
    terminal.wait(lambda text: "R² log_g (val)" in text and "1 of 1 runs shown" in text, "curve")
    terminal.press("1")
    terminal.wait(lambda text: "result to write: w" in text, "end of the job")
    wait_for(lambda: f"{row}🔆" in path.read_text(encoding="utf-8"))  # follows by itself
    launched = path.read_bytes()

    terminal.press("w")
    terminal.wait(lambda text: "+++" in text or "+|" in text or "+ |" in text, "diff")
    assert path.read_bytes() == launched
    terminal.press("y")
    terminal.wait(lambda text: "written:" in text, "word that it is written")
    written = path.read_text(encoding="utf-8")
    assert "(smoke)" in written
    assert list((lab / "roadmaps").glob("exp_*.md"))

    assert score(lab) in written

    terminal.press("u")
    terminal.wait(lambda text: "undone:" in text, "word that it is undone")
    assert path.read_bytes() == launched != before
    assert not list((lab / "roadmaps").glob("exp_*.md"))
    terminal.press("q")
    wait_for(lambda: not terminal.alive())
