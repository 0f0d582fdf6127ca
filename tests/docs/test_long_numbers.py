"""Numbers of 5,000 digits in ids, heads and lists: they are read and count nothing."""

from __future__ import annotations

import re
import time

import pytest

from vitlab.contract.reading import whole_number
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.ids import by_numbers, own_id, several_ids
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.text.edit import apply
from vitlab.docs.text.source import Document
from vitlab.docs.write.hub_rows import add_statement
from vitlab.docs.write.new_gate import GateEdits, next_gate_id
from vitlab.docs.write.new_mvp import MvpEdits, next_mvp_id
from vitlab.docs.write.status import set_status

LONG = "9" * 5000
HUB = """\
# Hub

## Consensus

| # | Consensus | Evidence |
|---|---|---|
| K1 | one | - |
| K2 | two | - |

| # | Hypothesis | Status |
|---|---|---|
| H1 | data | ⏳ |
| H1.2 | depth | ⏳ |

## Next steps

1. one
2. two
"""
PLAN = """\
# Plan

| MVP | Name | Status |
|---|---|---|
| 1.0 | one | ⏳ |
| 1.2 | two | ⏳ |

## 3.4 MVP-1.0: one

| Item | Content |
|---|---|
| Status | ⏳ |

## 3.5 Gate-2: is it good

| Item | Content |
|---|---|
| MVP | MVP-1.0 |
| If R² > 0.70 | write |
"""

BOARDS = {
    "lists": "## ⏳ Planned (2)\n\n- MVP-1.0\n- MVP-1.2\n\n## ✅ Done (COUNT)\n\n- MVP-0.1\n",
    "rows": """\
## ⏳ Planned (2)

| MVP | Name |
|---|---|
| 1.0 | one |
| 1.2 | two |

## ✅ Done (COUNT)

| MVP | Name |
|---|---|
| 0.1 | zero |
""",
    "table": """\
| ⏳ Todo (2) | 🚀 Doing | ✅ Done (COUNT) |
|---|---|---|
| MVP-1.0 | | MVP-0.1 |
| MVP-1.2 | | |
""",
}


@pytest.mark.parametrize("kind", BOARDS)
def test_those_at_the_heads_of_a_board(kind: str) -> None:
    for count, then in (("1", "(2)"), (LONG, f"({LONG})")):
        text = "# Plan\n\n" + BOARDS[kind].replace("COUNT", count)
        roadmap = parse_roadmap(Document(text))
        new = apply(text, set_status(roadmap, "1.0", "done", None, "2026-01-02"))
        assert "(1)" in new, "of the column it left"
        assert then in new


@pytest.mark.parametrize("old", ["K2", "2. two", "1. one", "H1 ", "H1.2"])
def test_those_of_a_hub(old: str) -> None:
    hub = parse_hub(Document(HUB.replace(old, with_long(old))))
    for kind in ("K", "H", "next"):
        assert "more" in apply(hub.document.text, add_statement(hub, kind, "more"))


@pytest.mark.parametrize("old", ["1.2", "3.4 ", "3.5 ", "Gate-2", "1.0"])
def test_those_of_a_plan(old: str) -> None:
    roadmap = parse_roadmap(Document(PLAN.replace(old, with_long(old))))
    mvp, gate = next_mvp_id(roadmap), next_gate_id(roadmap)
    assert len(mvp) < 20
    assert len(gate) < 20
    add = MvpEdits(roadmap, mvp, "new", None, "", "", "2026-01-02")
    assert mvp in apply(roadmap.document.text, add.all())
    condition = "log_g test R² ≥ 0.6"
    new = GateEdits(roadmap, gate, "g", condition, roadmap.mvps[0], "a", "b", "2026-01-02")
    assert condition in apply(roadmap.document.text, new.all())


def with_long(old: str) -> str:
    number = list(re.finditer(r"\d+", old))[-1]
    return old[: number.start()] + LONG + old[number.end() :]


def test_ids_are_ordered_and_read_in_linear_time() -> None:
    assert sorted([f"1.{LONG}", "1.10", "1.2", "1.2b"], key=by_numbers) == [
        "1.2",
        "1.2b",
        "1.10",
        f"1.{LONG}",
    ]
    began = time.process_time()
    assert own_id("1." + "9" * 100_000)
    assert several_ids("1." + "9" * 100_000 + ", 2.0/" + "9" * 100_000) == ()
    assert time.process_time() - began < 2


@pytest.mark.parametrize("text", ["", None, "x", "-1", "²", "1" * 19, LONG, "1_0", " 1"])
def test_what_is_no_whole_number(text: str | None) -> None:
    assert whole_number(text) is None
    assert whole_number("1" * 18) == int("1" * 18)
