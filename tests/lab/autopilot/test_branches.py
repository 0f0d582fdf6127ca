"""What gates open and stop."""

from __future__ import annotations

import pytest

from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text.source import Document
from vitlab.lab.autopilot.branches import gate_facts, order, stopped, to_start

PLAN = """\
# Plan

### Gate-1: Is it good

| Item | Content |
|------|---------|
| MVP | MVP-1.0 |
| If R² > 0.70 | ✅ go on with MVP-2.0 |
| If R² < 0.65 | 🔴 another architecture: MVP-3.0 |
| Status | ⏳ planned |

### Gate-2: Is it better

| Item | Content |
|------|---------|
| MVP | MVP-4.0 |
| If R² > 0.70 | ✅ write the paper |
| Status | ⏳ planned |

## Overview

| MVP | Name | Gate | Status |
|-----|------|------|--------|
| 1.0 | First | Gate-1 | ⏳ |
| 2.0 | If good | - | ⏳ |
| 3.0 | If bad | - | ⏳ |
| 4.0 | Another branch | Gate-2 | ⏳ |
| 5.0 | More of it | Gate-2 | ⏳ |
| 6.0 | Behind | - | ⏳ blocked by Gate-2 |
| 7.0 | By hand | - | ⏳ blocked by the weather |
"""

DONE = frozenset({"1.0", "4.0"})


def _plan() -> Roadmap:
    return parse_roadmap(Document(PLAN))


def _stand(one: str, two: str, full: frozenset[str] = DONE) -> tuple[dict[str, str], list[str]]:
    """MVPs that are stopped, each with the reason, and the order of the rest."""
    roadmap = _plan()
    verdicts = {
        "1": Verdict("1", one, "because"),  # type: ignore[arg-type]
        "2": Verdict("2", two, "because"),  # type: ignore[arg-type]
    }
    facts = gate_facts(roadmap, "plan.md", verdicts, full)
    held = stopped(roadmap, facts, verdicts)
    waiting, _ = order(roadmap, facts)
    return {mvp: gate.line for mvp, gate in sorted(held.items())}, waiting


def test_before_a_gate_is_decided_what_it_gates_waits() -> None:
    held, waiting = _stand("open", "open", frozenset())
    assert held == {"2.0": "Gate-1 is not decided yet", "3.0": "Gate-1 is not decided yet"}
    assert waiting == ["1.0", "2.0", "3.0", "4.0", "5.0"]


def test_a_gate_that_passes_opens_what_it_gates_and_not_the_other_way() -> None:
    held, waiting = _stand("pass", "pass")
    assert held == {"3.0": "Gate-1 passed"}
    assert waiting == ["1.0", "2.0", "3.0", "4.0", "5.0", "6.0"]


def test_a_gate_that_fails_stops_its_branch_and_opens_the_other_way() -> None:
    held, waiting = _stand("fail", "fail")
    assert held == {
        "1.0": "Gate-1 failed",
        "2.0": "Gate-1 failed",
        "4.0": "Gate-2 failed",
        "5.0": "Gate-2 failed",
    }
    assert "6.0" not in waiting


def test_a_gate_open_within_its_errors_or_left_to_a_person_stops_its_branch() -> None:
    held, _ = _stand("open", "manual")
    assert held == {
        "2.0": "Gate-1 is open: it needs you",
        "3.0": "Gate-1 is open: it needs you",
        "5.0": "Gate-2 needs you",
    }


def test_what_waits_for_no_gate_is_passed_over_with_its_reason() -> None:
    roadmap = _plan()
    verdicts = {key: Verdict(key, "pass", "because") for key in ("1", "2")}
    _, over = order(roadmap, gate_facts(roadmap, "plan.md", verdicts, DONE))
    assert list(over) == ["7.0"]
    assert "blocked by the weather" in over["7.0"]


@pytest.mark.parametrize(
    ("then", "started"),
    [
        ("✅ go on with MVP-2.0", "2.0"),
        ("✅ 进入 MVP-2.0 和 MVP-3.0", "2.0 3.0"),
        ("✅ write the paper, then start MVP-2.0 (If good)", "2.0"),
        ("✅ 写论文 + 启动 MVP-2.0", "2.0"),
        ("🔴 stop → MVP-2.0, MVP-3.0", "2.0 3.0"),
        ("🔴 another architecture: MVP-3.0", "3.0"),
        ("✅ ~~MVP-2.0~~ MVP-3.0", "3.0"),
        ("✅ 跳过 MVP-2.0，直接 MVP-3.0", "3.0"),
        ("🔴 do not start MVP-2.0", ""),
        ("🔴 取消 MVP-2.0, MVP-3.0", ""),
        ("🔴 放弃：MVP-2.0", ""),
        ("✅ MVP-3.0 instead of MVP-2.0", ""),
        ("✅ either MVP-2.0 or MVP-3.0", ""),
        ("✅ paper (MVP-2.0 optional)", ""),
        ("✅ MVP-2.0 can wait", ""),
        ("✅ MVP-2.0 推迟", ""),
        ("🔴 skip MVP-3.0 → MVP-2.0", ""),
        ("🔴 do not start, MVP-3.0", ""),
        ("🔴 取消以下，MVP-3.0", ""),
        ("🔴 never → MVP-3.0", ""),
        ("🔴 MVP-3.0 ====> MVP-2.0", "2.0"),
    ],
)
def test_a_rule_starts_what_it_says_to_start_and_nothing_that_it_only_names(
    then: str, started: str
) -> None:
    assert " ".join(sorted(to_start(_plan(), then))) == started


def test_what_a_rule_names_without_saying_to_start_it_is_held_with_its_words() -> None:
    roadmap = parse_roadmap(Document(PLAN.replace("another architecture: ", "skip ")))
    verdicts = {key: Verdict(key, "fail", "because") for key in ("1", "2")}
    held = stopped(roadmap, gate_facts(roadmap, "plan.md", verdicts, DONE), verdicts)
    assert held["3.0"].line == "Gate-1 failed: '🔴 skip MVP-3.0' does not say to start it"
