"""Verdicts of gates that hub, reports and conclusions tell in words, against the roadmap's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.lab.conftest import Ended
from tests.lab.test_numbers import hand_edit
from vitlab.docs.lint.finding import Finding
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.contradictions import lint_file
from vitlab.lab.writeback.edits import write

PASSED = [
    "- Gate-1 passed: the ViT is good",
    "- Gate-1 has passed.",
    "- We passed Gate-1, so go on",
    "- Gate-1 (the run) is met",
    "- Gate-1 已通过",
    "- Gate-1：通过",
    "- 已关闭 Gate-1：主结果就绪",
    "| Gate | Verdict |\n|---|---|\n| Gate-1 | ✅ |",
    "| Gate | 结论 |\n|---|---|\n| Gate-1 | 通过 |",
]
FAILED = ["- Gate-1 failed", "- Gate-1 失败", "| Gate | Result |\n|---|---|\n| Gate-1 | ❌ |"]
OPEN = [
    "- Gate-1 has not passed",
    "- Gate-1 is open",
    "- Gate-1 passes if R² > 0.7",
    "- If Gate-1 passes, scale",
    "- Gate-1 passes above 0.70 and fails below 0.65",
    "- Gate-1 passes at R² > 0.70",
    "- R² > 0.70 时 Gate-1 通过",
    "- Gate-1 通过后再启动 MVP-2.0",
    "- Gate-1 should pass",
    "- has Gate-1 passed?",
    "- Gate-1 尚未通过",
    "- Gate-1 未通过",
    "- 需要通过 Gate-1",
    "- Gate-1 通过后才扩大",
    "- 若 Gate-1 通过则扩大",
    "| Gate | Verdict |\n|---|---|\n| Gate-1 | open |",
    "| Gate | Verdict |\n|---|---|\n| Gate-1 | not passed yet |",
]


def conflicts(lab: Lab, roadmap: Path) -> list[Finding]:
    return [one for one in lint_file(lab, roadmap) if one.kind == "gate-conflict"]


def add(path: Path, text: str) -> None:
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{text}\n", encoding="utf-8")


def give(roadmap: Path, status: str) -> None:
    """Give the gate a status by hand."""
    text = roadmap.read_text(encoding="utf-8")
    text = re.sub(r"^\| Status \|.*\|$", f"| Status | {status} |", text, flags=re.M)
    roadmap.write_text(text, encoding="utf-8")


@pytest.mark.parametrize("word", ["passed", "failed"])
def test_a_verdict_that_the_roadmap_does_not_have_is_found(
    lab: Lab, roadmap: Path, ended: Ended, word: str
) -> None:
    ended("one", 0.68)
    report = next(one for one in write(lab, roadmap, "1.0") if one.name.startswith("exp_"))
    give(roadmap, "⏳ planned")
    hub, texts = roadmap.with_name("plan_hub.md"), FAILED if word == "failed" else PASSED
    for path in (hub, report):
        add(path, "\n\n".join(texts))
    sentences = [one for one in texts if one.startswith("- ")]
    told = "\n".join(sentences)
    hand_edit(roadmap, "\n## Conclusions\n", f"\n{told}\n\n## Conclusions\n")
    hits = conflicts(lab, roadmap)
    for path in (hub, report):
        mine = [one for one in hits if one.path == path]
        said = f"Gate-1 is {word} here and planned on line "
        assert all(one.message.startswith(said) for one in mine)
        lines = path.read_text(encoding="utf-8").splitlines()
        where = [lines[one.line - 1] for one in mine]
        assert sorted(where) == sorted(one.splitlines()[-1] for one in texts)
    lines = roadmap.read_text(encoding="utf-8").splitlines()
    assert sorted(lines[one.line - 1] for one in hits if one.path is None) == sorted(sentences)
    assert len(hits) == 2 * len(texts) + len(sentences)
    give(roadmap, "❌" if word == "failed" else "✅")
    assert conflicts(lab, roadmap) == []


def test_what_is_no_verdict_yet_is_left_alone(lab: Lab, roadmap: Path) -> None:
    add(roadmap.with_name("plan_hub.md"), "\n\n".join(OPEN))
    assert conflicts(lab, roadmap) == []


def test_a_conclusion_that_tells_a_verdict(lab: Lab, roadmap: Path) -> None:
    head = "|-----|------------|------------|\n"
    hand_edit(roadmap, head, f"{head}| MVP-1.0 | Gate-1 通过 | - |\n")
    assert [one.path for one in conflicts(lab, roadmap)] == [None]


def test_the_mvps_of_a_gate_changed_after_its_results_are_found(
    lab: Lab, roadmap: Path, ended: Ended
) -> None:
    ended("one", 0.6)
    write(lab, roadmap, "1.0")
    before = roadmap.read_text(encoding="utf-8")
    changed = [("| MVP | MVP-1.0 |", "| MVP | MVP-2.0 |"), ("| MVP-1.0 |\n", "| MVP-1.0, 2.0 |\n")]
    for old, new in changed:
        hand_edit(roadmap, old, new)
        (hit,) = (x for x in lint_file(lab, roadmap) if x.kind == "gate-rule-changed")
        assert hit.message.startswith("Gate-1: it was judged by MVP-1.0 when results were written")
        assert "MVP-2.0 now" in hit.message
        roadmap.write_text(before, encoding="utf-8")
    assert "gate-rule-changed" not in {one.kind for one in lint_file(lab, roadmap)}
