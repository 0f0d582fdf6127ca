"""What rows of timelines and change logs tell of gates, ends and numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_numbers import hand_edit
from vitlab.docs.lint.finding import Finding
from vitlab.lab.earlier import keep_earlier
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.contradictions import lint_file
from vitlab.lab.writeback.decisions import decide_gate
from vitlab.lab.writeback.edits import write
from vitlab.lab.writeback.gate_edits import gate_changes

KINDS = ("gate-conflict", "done-without-result", "number-without-result", "gate-without-evidence")
DAY = "2026-01-02"
LIES = [
    "Gate-1 passed, moving on",
    "Gate-1 通过",
    "Gate-1 ✅",
    "Gate-1 failed",
    "MVP-3.0 完成",
    "MVP-3.0 is done",
    "ViT R² = 0.951",
    "更新 ViT R² (test): 0.951 ± 0.004",
    "更新 ViT R² (test) (demo): 0.951 ± 0.004",
]
TRUE = [
    "Gate-1 若通过则启动 MVP-3.0",
    "Gate-1 not passed yet",
    "MVP-3.0 准备完成后启动",
    "MVP-3.0 尚未完成",
    "Start MVP-3.0, expected to be done in 30 h",
    "MVP-1.0 done",
    "更新 ViT R² (test) (demo): 0.671 ± 0.004",
]


@pytest.fixture
def trial(lab: Lab, roadmap: Path, ended: Ended) -> None:
    """MVP-1.0 has a trial, which leaves its gate open; MVP-3.0 waits."""
    hand_edit(roadmap, "| 2.0 | Another", "| 3.0 | Later | 1 | - | ⏳ | - | - |\n| 2.0 | Another")
    keep_earlier(lab, roadmap)
    ended("one", 0.6712, profile="demo")
    write(lab, roadmap, "1.0")


def tell(roadmap: Path, *texts: str, day: str = DAY) -> None:
    """Put rows into the roadmap's timeline and the hub's change log."""
    rows = "".join(f"| {day} | {text} |\n" for text in texts)
    hand_edit(roadmap, "| 2026-01-01 | Made |\n", f"| 2026-01-01 | Made |\n{rows}")
    hub = roadmap.with_name("plan_hub.md")
    head = "| Date | Change | Impact |\n|------|--------|--------|\n"
    hand_edit(hub, head, head + rows.replace(" |\n", " | - |\n"))


def found(lab: Lab, roadmap: Path) -> list[Finding]:
    return [one for one in lint_file(lab, roadmap) if one.kind in KINDS and not one.is_note]


@pytest.mark.usefixtures("trial")
def test_what_was_never_so_is_found_in_both_logs(lab: Lab, roadmap: Path) -> None:
    tell(roadmap, *LIES, *TRUE)
    lines = [
        (one.path or roadmap).read_text(encoding="utf-8").splitlines()[one.line - 1]
        for one in found(lab, roadmap)
    ]
    told = [line.removeprefix(f"| {DAY} | ").removesuffix(" | - |") for line in lines]
    assert sorted(one.removesuffix(" |") for one in told) == sorted([*LIES, *LIES])


@pytest.mark.usefixtures("trial")
def test_what_was_so_on_its_day_is_not(lab: Lab, roadmap: Path) -> None:
    changes = [one for one, _ in gate_changes(lab, roadmap, "1", "passed", "by eye")]
    decide_gate(lab, roadmap, "1", "passed", "by eye", changes)
    decide_gate(
        lab,
        roadmap,
        "1",
        "open",
        "",
        [one for one, _ in gate_changes(lab, roadmap, "1", "open", "")],
    )
    tell(roadmap, "Gate-1 passed")
    tell(roadmap, "Gate-1 failed", "MVP-3.0 done", day="2025-12-31")
    assert found(lab, roadmap) == []
