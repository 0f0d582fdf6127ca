"""`vitlab wait` over real jobs: it blocks, carries the queue on, and prints a cursor."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import SLEEP, ended, nothing_runs, running
from vitlab.cli import main
from vitlab.contract.paths import JobPaths, LabPaths
from vitlab.jobs.store import all_jobs

ROADMAP = """\
# Plan

**Project:** `VIT`

| MVP | Name | Phase | Gate | Status | exp_id | Report |
|-----|------|-------|------|--------|--------|--------|
| 1.0 | Quick | 1 | - | ⏳ | - | - |
| 2.0 | Sleep | 1 | - | ⏳ | - | - |
"""
QUICK = "from vitlab.events import log; log({'val/r2/log_g': 0.5}, 1)"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "roadmaps").mkdir()
    (tmp_path / "roadmaps" / "roadmap.md").write_text(ROADMAP)
    (tmp_path / "vitlab.yaml").write_text("profile: full\ngrace: 1\n")
    for mvp, script in (("1.0", QUICK), ("2.0", SLEEP)):
        text = f'mvp: "{mvp}"\nroadmap: roadmaps/roadmap.md\nrecipe: command\n'
        argv = json.dumps([sys.executable, "-c", script])
        text += f"config: {{argv: {argv}}}\nheadline: val/r2/log_g\n"
        (tmp_path / f"experiments/m{mvp[0]}.yaml").write_text(text)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for job in jobs(tmp_path):
        main(["stop", job.name])
    nothing_runs(tmp_path)


def jobs(root: Path) -> list[JobPaths]:
    return [job.paths for job in all_jobs(LabPaths(root))]


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    capsys.readouterr()
    status = main(["wait", *words, "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_one_call_pays_for_a_night(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, answer = said(capsys, "--timeout", "0")
    assert (status, answer["changes"]) == (124, [])
    cursor = answer["cursor"]
    assert main(["run", "2.0"]) == main(["run", "1.0"]) == 0
    sleeping, quick = sorted(jobs(root), key=lambda job: "m2" not in job.name)
    running(sleeping)
    # It blocks, in another process, while one runs and the other waits behind it.
    words = [sys.executable, "-m", "vitlab", "wait", "1.0", "--since", cursor, "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as waiting:
        main(["stop", sleeping.name])
        ended(sleeping)
        answer = json.loads(waiting.communicate(timeout=60)[0])
        assert waiting.returncode == 0
    assert answer["changes"] == [
        {
            "job": quick.name,
            "mvp": "1.0",
            "kind": "ended",
            "state": "done",
            "outcome": "ok",
            "values": {"val/r2/log_g": 0.5},
        }
    ]
    status, answer = said(capsys, "--since", cursor)
    assert (status, [one["job"] for one in answer["changes"]]) == (0, [sleeping.name, quick.name])
    assert said(capsys, "--since", answer["cursor"], "--timeout", "0.01")[0] == 124
    assert said(capsys, sleeping.name)[1]["changes"][0]["why"]


def test_a_killed_supervisor_does_not_stop_the_queue(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["run", "2.0"])
    [sleeping] = jobs(root)
    pid = running(sleeping).pid
    main(["run", "1.0"])
    subprocess.run(["kill", f"-{signal.SIGKILL:d}", str(pid)], check=True)
    answer = said(capsys, "1.0", "2.0")[1]
    assert sorted((one["mvp"], one["kind"]) for one in answer["changes"]) == [
        ("1.0", "ended"),
        ("2.0", "person"),
    ]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("3.0",), "vitlab: no job '3.0' (the latest: none yet)\n"),
        (("--since", "x"), "vitlab: cursor 'x': is none that `vitlab wait --json` printed\n"),
        (("--timeout", "-1"), "vitlab: --timeout -1: seconds, 0 or more\n"),
    ],
)
def test_mistakes_are_one_line(
    root: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], line: str
) -> None:
    assert main(["wait", *words]) == 2
    assert capsys.readouterr().err == line


def test_for_people(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["run", "1.0"])
    capsys.readouterr()
    assert main(["wait", "1.0"]) == 0
    out, err = capsys.readouterr()
    assert out == f"{jobs(root)[0].name}: ended: ok, val/r2/log_g 0.500\n"
    assert err.startswith("vitlab: note: go on with --since ")
