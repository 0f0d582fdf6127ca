"""The example plan by `vitlab auto` alone: six MVPs, and what is in the documents afterwards."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.jobs.test_notice import Hook, hook
from tests.waiting import nothing_runs
from vitlab.cli import main
from vitlab.commands.agents import auto
from vitlab.contract.paths import LabPaths
from vitlab.jobs.store import all_jobs
from vitlab.lab.autopilot.record import read_autopilot
from vitlab.lab.example import make_example

__all__ = ["hook"]
QUICK = "from vitlab.events import log; log({{'val/r2/log_g': {0}}}, 1)"
SCORES = {"1.0": 0.614, "2.0": 0.582, "3.0": 0.633, "8.0": 0.641, "4.0": 0.652, "5.0": 0.667}
"""In the plan's own order; 6.0 has a program that fails, and 7.0 none."""
PLAN = "roadmaps/vit_roadmap.md"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hook: Hook) -> Iterator[Path]:
    """The example plan, each of its experiments a program of a fraction of a second."""
    make_example(tmp_path)
    for path in (tmp_path / "experiments").glob("*.yaml"):
        path.unlink()
    programs = {mvp: QUICK.format(score) for mvp, score in SCORES.items()}
    for mvp, script in {**programs, "6.0": "raise SystemExit(3)"}.items():
        text = f'mvp: "{mvp}"\nroadmap: {PLAN}\nrecipe: command\nheadline: val/r2/log_g\n'
        text += f"config: {{argv: {json.dumps([sys.executable, '-c', script])}}}\n"
        path = tmp_path / f"experiments/m{mvp.replace('.', '_')}.yaml"
        path.write_text(f"{text}profiles: {{smoke: {{}}}}\n")
    settings = f"profile: smoke\ngrace: 1\nwrite_results: auto\nnotify: {{webhook: {hook.address}}}"
    (tmp_path / "vitlab.yaml").write_text(settings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(auto, "POLL", 0.1)
    yield tmp_path
    nothing_runs(tmp_path)


def documents(root: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (root / "roadmaps").glob("*.md")}


def test_the_example_plan_runs_itself(
    root: Path,
    capsys: pytest.CaptureFixture[str],
    hook: Hook,
) -> None:
    before = documents(root)
    assert main(["auto", "--budget", "1h", "--json"]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    _it_has_launched_each_once_in_the_plan_s_order(root, said)
    _its_page_is_right(root, said)
    _its_end_was_told_once(root, hook)
    text = (root / PLAN).read_text()
    assert all(f"{score:.3f}" in text for score in SCORES.values())
    assert main(["lint", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == []
    for score in SCORES.values():
        assert main(["why", f"{score}", "--json"]) == 0
        places = json.loads(capsys.readouterr().out)
        assert places
        assert {one["verdict"] for one in places} <= {"result", "computed"}
    while main(["undo"]) == 0:
        pass
    assert documents(root) == before


def _it_has_launched_each_once_in_the_plan_s_order(root: Path, said: dict[str, Any]) -> None:
    assert (said["state"], said["why"]) == ("ended", "nothing is left")
    assert [one["mvp"] for one in said["done"]] == [*SCORES, "6.0"]
    assert [one["ends"] for one in said["done"]] == [{"ok": 1}] * 6 + [{"failed": 1}]
    assert sorted(job.spec.mvp for job in all_jobs(LabPaths(root))) == sorted([*SCORES, "6.0"])
    ends = [json.loads(path.read_bytes()) for path in root.glob("experiments/*/*/exit.json")]
    ran = sum(end["ended"] - end["started"] for end in ends) / 3600
    assert said["spent"]["job_hours"] == pytest.approx(ran, abs=1e-6)
    assert said["spent"]["job_hours"] == pytest.approx(sum(one["hours"] for one in said["done"]))
    assert 0 < said["spent"]["job_hours"] <= said["spent"]["hours"] < said["budget"]["hours"] == 1


def _its_page_is_right(root: Path, said: dict[str, Any]) -> None:
    """In the language of the roadmap."""
    page = (root / said["page"]).read_text()
    assert page.startswith("# 自动运行 ")
    assert "> **结束原因:** 计划中没有可启动的任务了" in page
    row = r"\| MVP-(\S+) \| smoke \| (\S+ \S+) \|(?: <?[\d.]+ (?:s|min|h) \|){2} 0 \| (.+) \|"
    rows = re.findall(rf"^{row}$", page, re.M)
    assert [(mvp, ends) for mvp, ends, _ in rows] == [
        *((mvp, "1 成功") for mvp in SCORES),
        ("6.0", "1 失败"),
    ]
    for (*_, found), score in zip(rows, SCORES.values(), strict=False):
        assert f"{score:.3f}" in found
    assert "| **合计** | 7 次启动 | 1 失败, 6 成功 |" in page
    assert "- MVP-7.0: " in page


def _its_end_was_told_once(root: Path, hook: Hook) -> None:
    [end] = [one for one in hook.got if one["job"] == "autopilot"]
    assert end["text"] == f"{root.name}: autopilot ended: nothing is left"
    pilot = read_autopilot(LabPaths(root))
    assert pilot is not None
    assert pilot.told
