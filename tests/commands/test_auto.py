"""`vitlab auto` over real jobs: the plan first, then to the end, whoever is killed on the way."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.waiting import kill_all, wait_for
from vitlab.cli import main
from vitlab.contract.job import Done, Killed, Spec
from vitlab.contract.paths import LabPaths
from vitlab.jobs.processes import uptime
from vitlab.jobs.queue import scheduler
from vitlab.jobs.store import all_jobs
from vitlab.lab.autopilot import control
from vitlab.lab.autopilot.record import read_autopilot, write_autopilot
from vitlab.lab.autopilot.step import carry_on
from vitlab.lab.lab import open_lab

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
        experiment(tmp_path, mvp, f"print({mvp})")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    kill_all(tmp_path)


def runs(root: Path) -> Counter[tuple[str, str]]:
    return Counter((job.spec.mvp, job.spec.run) for job in all_jobs(LabPaths(root)))


def told(root: Path) -> bool:
    pilot = read_autopilot(LabPaths(root))
    return pilot is not None and pilot.told


UNTIL = "import os, sys, time\nwhile not os.path.exists(sys.argv[1]): time.sleep(0.02)"
"""A program that waits for a file."""
ALL = {(mvp, run): 1 for mvp in ("1.0", "2.0") for run in ("a", "b")}


def test_the_plan_is_printed_and_nothing_starts(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["auto", "--budget", "8h", "--dry-run"]) == 0
    assert (
        "2 to launch at full, of unknown length: the budget ends them (8.0 h)\n"
        in capsys.readouterr().out
    )
    assert main(["auto", "--budget", "90m", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["state"] == "planned"
    assert [(one["mvp"], one["jobs"], one["hours"]) for one in plan["left"]] == [
        ("1.0", 2, None),
        ("2.0", 2, None),
    ]
    assert not runs(root)
    roadmap = root / "roadmaps" / "roadmap.md"
    roadmap.write_text("### Gate-1: Good\n\n| Item | Content |\n|---|---|\n| MVP | MVP-1.0 |\n"
                       "| If R² > 0.7 | go on |\n\n" + roadmap.read_text())  # fmt: skip
    for profile, count in (("full", 0), ("smoke", 1)):
        words = ["auto", "--budget", "8h", "--until", "Gate-1", "--profile", profile, "--dry-run"]
        assert main(words) == 0
        assert capsys.readouterr().err.count("smoke runs decide no gate") == count
    for words, line in (
        (["auto"], "no autopilot in this lab"),
        (["auto", "--budget", "soon"], "expected hours, such as 8h"),
        (["auto", "--dry-run"], "needs --budget"),
        (["auto", "--end"], "no autopilot in this lab"),
    ):
        assert main(words) == 2
        (said,) = capsys.readouterr().err.splitlines()
        assert line in said


def test_the_plan_has_hours_by_earlier_runs_and_what_does_not_fit(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three runs of the recipe took 1, 2 and 6 hours; two jobs run at once."""
    for mvp, size in (("1.0", 10), ("2.0", 20)):
        text = f'mvp: "{mvp}"\nroadmap: roadmaps/roadmap.md\nrecipe: ridge\n'
        one, other = (f"set: {{data.train_size: {size + more}}}" for more in (0, 1))
        text += f"runs: [{{name: a, {one}}}, {{name: b, {other}}}]\n"
        (root / f"experiments/m{mvp[0]}.yaml").write_text(text)
    for hours in (1, 2, 6):
        folder = root / "experiments" / "E-1" / f"run-{hours}"
        folder.mkdir(parents=True)
        spec = Spec("9.0", "a", "full", "ridge", {"data": {"train_size": 9}}, "E-1", "other.md")
        (folder / "spec.json").write_bytes(spec.to_json())
        (folder / "started.json").write_text('{"started": 0, "device": "cpu"}')
        end = {"v": 1, "reason": "ok", "started": 0, "ended": hours * 3600, "code": 0}
        (folder / "exit.json").write_text(json.dumps(end))
    assert main(["auto", "--budget", "3h", "--dry-run", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    keys = ("mvp", "jobs", "starts", "hours", "low", "high", "gpu_hours", "why")
    assert [tuple(one[key] for key in keys) for one in plan["left"]] == [
        ("1.0", 2, 0.0, 2.0, 1.0, 6.0, 0.0, None),
        ("2.0", 2, None, 2.0, 1.0, 6.0, 0.0, "needs 2.0 h, 60 min are left"),
    ]
    assert main(["auto", "--budget", "3h", "--dry-run"]) == 0
    first, second, _, total = capsys.readouterr().out.splitlines()[1:]
    assert first.split("  ")[-1] == "3 runs of ridge at full"
    assert "2.0 h (60 min to 6.0 h)" in first
    assert second.endswith("not launched: needs 2.0 h, 60 min are left")
    assert total == "1 to launch at full, expected to take 2.0 h; budget 3.0 h"
    assert main(["auto", "--budget", "5h", "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "2 to launch at full, expected to take 4.0 h; budget 5.0 h"
    assert len(runs(root)) == 1  # those of before


def experiment(root: Path, mvp: str, script: str, *words: str) -> None:
    """The experiment of an MVP: a program, run twice."""
    argv = json.dumps([sys.executable, "-S", "-c", script, *words, "{x}"])
    text = f'mvp: "{mvp}"\nroadmap: roadmaps/roadmap.md\nrecipe: command\n'
    text += f"config: {{argv: {argv}}}\n"
    text += "runs: [{name: a, set: {x: 0}}, {name: b, set: {x: 1}}]\n"
    (root / f"experiments/m{mvp[0]}.yaml").write_text(text)


def test_the_supervisors_carry_it_on_and_a_second_is_refused(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go = root / "go"
    experiment(root, "1.0", UNTIL, str(go))
    assert main(["auto", "--budget", "1h", "--detach"]) == 0
    capsys.readouterr()
    assert main(["auto", "--budget", "1h", "--detach"]) == 2
    said = capsys.readouterr()
    assert not said.out  # before any plan
    assert said.err.endswith("`vitlab auto` shows it, `--end` ends it\n")
    go.touch()
    wait_for(lambda: told(root), tell=lambda: runs(root))  # nobody looks on
    assert runs(root) == ALL
    capsys.readouterr()
    assert main(["auto", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["state"], said["why"]) == ("ended", "nothing is left")
    assert [one["ends"] for one in said["done"]] == [{"ok": 2}, {"ok": 2}]
    assert (root / said["page"]).read_text().count("| MVP-") == 2


def test_a_budget_that_ends_while_nobody_looks_on_is_kept(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor of a job that runs has it carried on; nothing else looks at the lab."""
    paths = LabPaths(root)
    experiment(root, "1.0", UNTIL, "never")
    with monkeypatch.context() as patch:
        patch.setattr(scheduler, "advance", lambda *_: [])
        patch.setattr(control, "wake_autopilot", lambda *_, **__: None)
        control.start(open_lab(root), control.Wanted(budget=1.0))
        carry_on(open_lab(root))
    assert set(runs(root)) == {("1.0", "a"), ("1.0", "b")}
    now = read_autopilot(paths)
    assert now is not None
    started = 0
    while started < 2:  # on a machine that is busy the moment may pass before both have started
        write_autopilot(paths, replace(now, budget=0.0, due=uptime() + 2.0))
        started += len(scheduler.advance(paths))  # they wait for a file that never comes
    wait_for(lambda: told(root), tell=lambda: [job.state for job in all_jobs(paths)])
    pilot = read_autopilot(paths)
    assert pilot is not None
    assert (pilot.why, set(runs(root))) == ("budget spent", {("1.0", "a"), ("1.0", "b")})
    ends = [job.state for job in all_jobs(paths)]
    assert all(isinstance(end, Done) and end.end == Killed(asked=True) for end in ends), ends
    assert "| 2 stopped |" in (root / pilot.page).read_text()


def test_what_waits_does_not_start_once_the_budget_may_be_spent(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = LabPaths(root)
    with monkeypatch.context() as patch:
        patch.setattr(scheduler, "advance", lambda *_: [])
        patch.setattr(control, "wake_autopilot", lambda *_, **__: None)
        pilot = control.start(open_lab(root), control.Wanted(budget=1.0))
        carry_on(open_lab(root))
    now = read_autopilot(paths)
    assert now is not None
    write_autopilot(paths, replace(now, due=pilot.uptime))
    assert scheduler.advance(paths) == []
    carry_on(open_lab(root))  # it was not: they start
    wait_for(lambda: all(isinstance(job.state, Done) for job in all_jobs(paths)))
    assert set(runs(root)) >= {("1.0", "a"), ("1.0", "b")}


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
