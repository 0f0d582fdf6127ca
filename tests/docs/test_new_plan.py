"""What is added to a plan is read as one MVP or gate more, in every place, and taken back."""

from __future__ import annotations

import re
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.docs.documents import CORPUS, HERE, document_path
from tests.docs.plans import glyphs_say, places, plan
from vitlab.docs.lint.document import lint, lint_document
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text.edit import Edit, apply, reverse
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.new_files import plan_texts
from vitlab.docs.write.new_gate import (
    GateEdits,
    added_gate,
    is_as_given,
    next_gate_id,
    opposite,
    written_condition,
)
from vitlab.docs.write.new_mvp import MvpEdits, added_mvp, checked_mvp_id, next_mvp_id

DATE = "2026-01-02"
OWN = sorted(
    path.name
    for path in (HERE / "roadmaps").glob("*.md")
    if path.name not in ("survey_hub.md", "board.md")
)
REAL = sorted(path.name for path in CORPUS.glob("*roadmap*.md"))
CONDITION = "log_g test R² ≥ 0.6"
NAMES = (
    "更深的 ViT", "Deeper ViT", "a|b `c", "✅ 完成", "MVP-1.0 again", "x (🚀 运行中)", "R² > 0.7",
)  # fmt: skip


def findings(roadmap: Roadmap) -> Counter[tuple[str, str]]:
    """What lint finds, without the lines."""
    found = lint(roadmap, None)
    return Counter((one.kind, re.sub(r"line \d+", "", one.message)) for one in found)


def written(roadmap: Roadmap, edits: list[Edit]) -> Roadmap:
    """The roadmap after some edits, which can be taken back."""
    text = apply(roadmap.document.text, edits)
    assert apply(text, reverse(edits)) == roadmap.document.text
    return parse_roadmap(Document(text))


def check_mvp(text: str, name: str, with_gate: bool) -> None:
    roadmap = parse_roadmap(Document(text))
    mvp_id = next_mvp_id(roadmap)
    assert checked_mvp_id(roadmap, mvp_id) == mvp_id
    gate = roadmap.gates[0] if with_gate and roadmap.gates else None
    add = MvpEdits(roadmap, mvp_id, name, gate, "H1: x", "[exp](./exp.md)", DATE)
    new = written(roadmap, add.all())
    mvp = added_mvp(roadmap, new, mvp_id)
    assert mvp.status == "planned"
    if roadmap.rows("overview"):
        assert mvp.in_overview
    if roadmap.specs:
        assert [spec.mvp for spec in new.specs].count(mvp_id) == 1
    for before, after in zip(roadmap.boards, new.boards, strict=True):
        statuses = {c.status for band in before.bands for c in band.columns}
        cards = [card for card in after.cards if card.mvp == mvp_id]
        assert len(cards) == bool(statuses & {"planned", "ready"})
        assert len(after.cards) == len(before.cards) + len(cards)
    assert len(new.gates) == len(roadmap.gates)
    said = [(text, glyphs_say(new, text)) for _, text in places(new, mvp_id)]
    if name in NAMES[:2]:
        assert said
        assert all(says <= {"planned"} for _, says in said), said
        assert findings(new) <= findings(roadmap), findings(new) - findings(roadmap)


def check_gate(text: str, name: str, with_mvp: bool) -> Gate:
    roadmap = parse_roadmap(Document(text))
    gate_id = next_gate_id(roadmap)
    rows = [mvp for mvp in roadmap.mvps if mvp.in_overview]
    mine = rows[-1] if with_mvp and rows else None
    add = GateEdits(roadmap, gate_id, name, CONDITION, mine, "scale up", "stop", DATE)
    new = written(roadmap, add.all())
    gate = added_gate(roadmap, new, gate_id)
    assert gate.status == "planned"
    assert is_as_given(gate, CONDITION)
    assert Counter(m.id for m in new.mvps) == Counter(m.id for m in roadmap.mvps)
    if name in NAMES[:2]:
        assert findings(new) <= findings(roadmap), findings(new) - findings(roadmap)
    return gate


@given(st.integers(0, 10_000), st.sampled_from(NAMES), st.booleans())
@settings(max_examples=80, deadline=None)
def test_an_mvp_is_one_more_that_waits_in_every_place(
    number: int, name: str, with_gate: bool
) -> None:
    check_mvp(plan(number), name, with_gate)


@given(st.integers(0, 10_000), st.sampled_from(NAMES), st.booleans())
@settings(max_examples=40, deadline=None)
def test_a_gate_is_one_more_with_the_rule_it_was_given(number: int, name: str, mvp: bool) -> None:
    check_gate(plan(number), name, mvp)


@pytest.mark.parametrize("name", [*OWN, *REAL])
@pytest.mark.parametrize("title", NAMES[:2])
def test_in_whole_documents(name: str, title: str) -> None:
    text = read(document_path(name)).text
    check_mvp(text, title, True)
    check_gate(text, title, True)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_a_plan_is_empty_and_clean_and_takes_mvps_and_gates(language: str) -> None:
    (_, roadmap), (_, hub) = plan_texts("Deep ViT", language, DATE, "A", "VIT")
    assert not re.search(r"TODO|TBD|\[[^\]`]+\](?!\()|\{\w+\}|X\.X", roadmap + hub)
    first = parse_roadmap(Document(roadmap))
    assert not first.mvps
    assert not lint(first, None)
    assert not lint_document(parse_hub(Document(hub)))
    assert first.language == language
    kinds = {view.kind for view in first.views}
    assert {"overview", "gate_progress", "checklist", "numbers", "conclusions"} <= kinds
    assert len(first.legend) > 4
    assert first.boards
    kinds = {view.kind for view in parse_hub(Document(hub)).views}
    wanted = {"consensus", "hypotheses", "answers", "gaps", "principles", "next_steps"}
    assert wanted | {"closed", "key_numbers", "changelog"} <= kinds
    text = roadmap
    for number in range(1, 4):
        check_mvp(text, "Deeper", True)
        check_gate(text, "Depth", True)
        now = parse_roadmap(Document(text))
        add = MvpEdits(now, next_mvp_id(now), f"n {number}", None, "", "", DATE)
        text = apply(text, add.all())
        now = parse_roadmap(Document(text))
        gate = GateEdits(now, next_gate_id(now), "g", CONDITION, now.mvps[-1], "a", "b", DATE)
        text = apply(text, gate.all())
    last = parse_roadmap(Document(text))
    assert [mvp.id for mvp in last.mvps] == ["1.0", "1.1", "1.2"]
    assert [(gate.id, gate.mvps) for gate in last.gates] == [
        ("1", ("1.0",)), ("2", ("1.1",)), ("3", ("1.2",)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given_text", "text"),
    [
        ("test R2 log_g >= 0.6", "test R² log_g ≥ 0.6"),
        ("log_g test R2 >= 0.6", "log_g test R² ≥ 0.6"),
        ("R^2 > 0.7", "R² > 0.7"),
        ("MAE T_eff < 60 K", "MAE T_eff < 60 K"),
        ("R2 SNR > 20", "R2 SNR > 20"),
        ("the curve bends", "the curve bends"),
        ("R2 >= 0,6", "R2 >= 0,6"),
        ("ViT > LGBM", "ViT > LGBM"),
        ("If R2 > 0.9", "R² > 0.9"),  # its row has the word already
        ("IF: R2 > 0.9", "R² > 0.9"),
        ("若R² > 0.9", "R² > 0.9"),
        ("if the curve bends", "the curve bends"),
        ("若干模型 R² > 0.6", "若干模型 R² > 0.6"),
        ("if-else R2 > 0.9", "if-else R² > 0.9"),
        ("iforest R2 > 0.9", "iforest R² > 0.9"),
    ],
)
def test_a_condition_is_written_so_that_it_can_be_read(given_text: str, text: str) -> None:
    assert written_condition(given_text) == text


def test_the_opposite_of_a_condition_leaves_no_gap() -> None:
    assert opposite("R² ≥ 0.6") == "R² < 0.6"
    assert opposite("T_eff MAE < 60 K") == "T_eff MAE ≥ 60 K"
    assert opposite("0.6 ≤ R² ≤ 0.7") == ""
    assert opposite("it looks good") == ""


def test_ids_without_end_are_counted_at_once_and_ids_of_any_length_left_out() -> None:
    table = "| MVP | Name | Status |\n|---|---|---|\n| MVP-1.0 | a | - |\n"
    named = " ".join(f"MVP-{n}.0 Gate-{n}" for n in range(1, 12_000))
    began = time.process_time()
    roadmap = parse_roadmap(Document(f"# R\n\n{table}\n" + named.replace(" MVP", "\nMVP")))
    assert next_mvp_id(roadmap) == "12000.0"
    assert next_gate_id(roadmap) == "12000"
    assert time.process_time() - began < 10
    long = parse_roadmap(Document("# R\n\n" + table.replace("1.0", "1." + "9" * 4500)))
    assert next_mvp_id(long)
