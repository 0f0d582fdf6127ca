"""`vitlab auto` over real jobs: the plan first, then to the end, whoever is killed on the way."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import kill_all, wait_for
from vitlab.cli import main
from vitlab.contract.paths import LabPaths
from vitlab.jobs.store import all_jobs
from vitlab.lab.autopilot.record import read_autopilot

ROADMAP = """\
# Plan

**Project:** `VIT`

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
| 1.0 | One | 1 | - | ⏳ | - | - |
| 2.0 | Two | 1 | - | ⏳ | - | - |
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "roadmaps").mkdir()
    (tmp_path / "roadmaps" / "roadmap.md").write_text(ROADMAP)
    (tmp_path / "vitlab.yaml").write_text("profile: full\ngrace: 1\ncpu_slots: 2\n")
    for mvp in ("1.0", "2.0"):
        argv = json.dumps([sys.executable, "-S", "-c", f"print({mvp})", "{x}"])
        text = f'mvp: "{mvp}"\nroadmap: roadmaps/roadmap.md\nrecipe: command\n'
        text += f"config: {{argv: {argv}}}\n"
        text += "runs: [{name: a, set: {x: 0}}, {name: b, set: {x: 1}}]\n"
        (tmp_path / f"experiments/m{mvp[0]}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    kill_all(tmp_path)


def runs(root: Path) -> Counter[tuple[str, str]]:
    return Counter((job.spec.mvp, job.spec.run) for job in all_jobs(LabPaths(root)))


def told(root: Path) -> bool:
    pilot = read_autopilot(LabPaths(root))
    return pilot is not None and pilot.told


ALL = {(mvp, run): 1 for mvp in ("1.0", "2.0") for run in ("a", "b")}


def test_the_plan_is_printed_and_nothing_starts(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["auto", "--budget", "8h", "--dry-run"]) == 0
    assert "2 to launch, of 2 no earlier run tells; budget 8.0 h" in capsys.readouterr().out
    assert main(["auto", "--budget", "90m", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["state"] == "planned"
    assert [(one["mvp"], one["jobs"], one["hours"]) for one in plan["left"]] == [
        ("1.0", 2, None),
        ("2.0", 2, None),
    ]
    assert not runs(root)
    for words, line in (
        (["auto"], "no autopilot in this lab"),
        (["auto", "--budget", "soon"], "expected hours, such as 8h"),
        (["auto", "--dry-run"], "needs --budget"),
        (["auto", "--end"], "no autopilot in this lab"),
    ):
        assert main(words) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert line in said


def test_the_supervisors_carry_it_on_and_a_second_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["auto", "--budget", "1h", "--detach"]) == 0
    assert main(["auto", "--budget", "1h", "--detach"]) == 2 or told(root)
    wait_for(lambda: told(root), tell=lambda: runs(root))  # nobody looks on
    assert runs(root) == ALL
    capsys.readouterr()
    assert main(["auto", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["state"], said["why"]) == ("ended", "nothing is left")
    assert [one["ends"] for one in said["done"]] == [{"ok": 2}, {"ok": 2}]
    assert (root / said["page"]).read_text().count("| MVP-") == 2


def test_killed_again_and_again_it_launches_each_once(root: Path) -> None:
    draw = random.Random(1)
    step = [sys.executable, "-m", "vitlab.lab.autopilot.step", str(root)]
    assert main(["auto", "--budget", "1h", "--detach"]) == 0
    for _ in range(5):
        process = subprocess.Popen(step)
        time.sleep(draw.uniform(0.1, 0.8))  # a moment to be killed at, none that must suffice
        process.kill()
        process.wait()

    def ended() -> bool:
        subprocess.run(step, check=False)
        return told(root)

    wait_for(ended, tell=lambda: runs(root))
    assert runs(root) == ALL
    assert len(list((root / "roadmaps").glob("auto_*.md"))) == 1
