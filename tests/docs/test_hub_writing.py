"""What is set in a hub or of a gate is read back, and undoing or setting it back restores it."""

import random
from pathlib import Path

import pytest

from tests.docs.documents import CORPUS
from vitlab.contract.job import STATUSES
from vitlab.docs.model.gate_sites import MAIN, places_of
from vitlab.docs.model.hub import Hub, parse_hub
from vitlab.docs.model.hub_sites import statements_of
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text.edit import apply, reverse
from vitlab.docs.text.source import Document, read
from vitlab.docs.write import gate_decisions as gate_writing
from vitlab.docs.write import hub as hub_writing
from vitlab.docs.write.gate_decisions import set_gate
from vitlab.docs.write.hub import find_statement, set_statement, states

WORDS = {
    "zh": (
        "✅ 成立",
        "⏳ 待验证",
        "❌ 已否定",
        "🔆",
        "✅",
        "待定",
        "**✅ 已验证**",
        "⏳ 待定 (等卡)",
        "",
    ),
    "en": ("✅ Confirmed", "open", "❌ **REJECTED**", "🚀", "⏳ open (later)", "partial", "", "-"),
}
TREES = {
    "zh": (" ✅ 已验证", " → ⏳ 十二层 待验证", " → 🔆 在跑 (exp_q)", "", "（✅）"),
    "en": (" ✅", " → ⏳ twelve layers", " ❌ rejected: no gain", "", " → open"),
}
LEGENDS = {
    "zh": ("", "Legend: ✅ 已验证 | ❌ 已否定 | 🔆 进行中 | ⏳ 待验证 | 🗑️ 已关闭"),
    "en": ("", "Legend: ✅ confirmed | ❌ rejected | 🔆 running | ⏳ open"),
}

PROJECT = Path(__file__).resolve().parents[2] / "roadmaps"
REAL = sorted(path.name for path in CORPUS.glob("*roadmap*.md"))


def hub_text(number: int) -> str:
    """A hub with hypotheses in a table, a tree and a list, in any style."""
    dice = random.Random(number)
    language = dice.choice(["zh", "en"])
    headers = {"zh": "| # | 假设 | 状态 | 证据 |", "en": "| ID | Hypothesis | Verdict | Evidence |"}
    name = {"zh": "更深", "en": "deeper"}[language]
    pad = dice.choice([0, 0, 14])
    rows = [
        f"| H{n} | {name} {n} | {dice.choice(WORDS[language]):<{pad}} | {dice.choice('-a')} |"
        for n in range(1, 4)
    ]
    nodes = [
        f"{branch} {key}: {name}?{dice.choice(TREES[language])}"
        for branch, key in (("├──", "H1"), ("│   ├──", "Q1"), ("└──", "Q2.1"))
    ]
    items = [f"- **H{n}**: {name}{dice.choice(TREES[language])}" for n in (4, 5)]
    title = {"zh": "## 假设树", "en": "## Hypotheses"}[language]
    parts = [headers[language], "|---|---|---|---|", *rows, "", title, "", "```", *nodes, ""]
    parts += [dice.choice(LEGENDS[language]), "```", "", title, "", *items, ""]
    return dice.choice(["\n", "\r\n"]).join(["# Hub", "", *parts])


def said_and_restored(hub: Hub, wanted: str, status: str) -> None:
    text = hub.document.text
    first = find_statement(hub, wanted)
    edits = set_statement(hub, wanted, status)
    new = parse_hub(Document(apply(text, edits)))
    after = find_statement(new, wanted)
    said = [status if one.site or one.kind != "answers" else None for one in first]
    assert [one.status for one in after] == said
    assert other_statuses(new, wanted) == other_statuses(hub, wanted)
    assert apply(new.document.text, reverse(edits)) == text
    if any(one.status is None for one in first) or len({one.status for one in first}) > 1:
        return
    earlier = str(first[0].status)
    assert states(hub, wanted, earlier)
    assert apply(new.document.text, set_statement(new, wanted, earlier, before=hub)) == text
    back = apply(new.document.text, set_statement(new, wanted, earlier))
    assert (back == text) == (not hub_writing.not_restored(hub, wanted, edits))


def other_statuses(hub: Hub, but: str) -> list[tuple[str, str | None]]:
    return [(one.id, one.status) for one in statements_of(hub) if one.id != but]


def test_a_statement_says_what_was_set_everywhere() -> None:
    for number in range(400):
        dice = random.Random(number)
        hub = parse_hub(Document(hub_text(number)))
        ids = list(dict.fromkeys(one.id for one in statements_of(hub)))
        assert ids == ["H1", "H2", "H3", "Q1", "Q2.1", "H4", "H5"]
        said_and_restored(hub, dice.choice(ids), dice.choice(STATUSES))


@pytest.mark.parametrize(
    "path",
    [PROJECT / "vit_hub.md", *CORPUS.glob("vit_hub_20251227.md")],
    ids=lambda path: path.name,
)
def test_a_whole_hub_says_what_was_set(path: Path) -> None:
    hub = parse_hub(read(path))
    dice = random.Random(0)
    statements = [one for one in statements_of(hub) if one.kind in ("tree", "hypotheses")]
    assert statements
    for one in statements:
        if one.kind == "tree" or path.parent == PROJECT:
            said_and_restored(hub, one.id, dice.choice(STATUSES))


SECTIONS = (
    "✅ **PASS: R²=0.7**",
    "⏳ 待启动",
    "🚀 运行中 (ep3/9)",
    "❌ FAIL",
    "⏳",
    "open",
    "[ ]",
    "",
)
PROGRESS = ("✅", "⏳ 待启动", "🚀", "❌ FAIL", "Passed", "✅ 通过")


def plan_text(number: int) -> str:
    """A roadmap with three gates, their statuses in several places and styles."""
    dice = random.Random(number)
    lines = ["# 路线图" if dice.random() < 0.6 else "# Plan", ""]
    lines += [dice.choice(["", "**状态**: ⏳计划 | 🚀运行 | ✅完成 | ❌取消", ""]), ""]
    for gate in (1, 2, 3):
        lines += [f"### Gate-{gate}: 够好{dice.choice(['', '', ' ✅ PASS', ' (⏳)'])}", ""]
        said = dice.choice(SECTIONS)
        if dice.random() < 0.7:
            lines += ["| 项 | 内容 |", "|---|---|", f"| MVP | MVP-{gate}.0 |"]
            lines += [f"| 状态 | {said} |", ""] if said else [""]
        elif said:
            lines += [f"- **状态**: {said}", ""]
    lines += ["| Gate | MVP | 状态 | 结果 |", "|---|---|---|---|"]
    results = ("-", "R²=0.6", "")
    lines += [
        f"| Gate-{n} | MVP-{n}.0 | {dice.choice(PROGRESS)} | {dice.choice(results)} |"
        for n in (1, 2, 3)
    ]
    lines += ["", "| MVP | 名称 | Gate | 状态 |", "|---|---|---|---|"]
    lines += [f"| {n}.0 | 甲 | Gate-{n} | {dice.choice('⏳🚀✅')} |" for n in (1, 2, 3)]
    lines += ["", "```", f"├── Gate-1: 够好 {dice.choice('⏳🚀✅')}", "└── Gate-2", "```", ""]
    lines += [f"- **Gate-3 决策**: {dice.choice(PROGRESS)}", ""]
    return dice.choice(["\n", "\r\n"]).join(lines)


def decided_and_restored(roadmap: Roadmap, gate_id: str, status: str, because: str) -> None:
    text = roadmap.document.text
    edits = set_gate(roadmap, gate_id, status, because)
    new = parse_roadmap(Document(apply(text, edits)))
    places = [place for place in places_of(new) if place.gate == gate_id]
    assert [p.site and p.site.parsed.status for p in places] == [status] * len(places)
    assert new.gate(gate_id).status == status
    assert because in new.document.text
    assert [(g.id, g.status) for g in new.gates if g.id != gate_id] == [
        (g.id, g.status) for g in roadmap.gates if g.id != gate_id
    ]
    assert [mvp.status for mvp in new.mvps] == [mvp.status for mvp in roadmap.mvps]
    assert apply(new.document.text, reverse(edits)) == text
    said = {
        place.site.parsed.status if place.site else None
        for place in places_of(roadmap)
        if place.gate == gate_id
    }
    earlier = roadmap.gate(gate_id).status
    if earlier is None or len(said) != 1 or earlier == status:
        return
    kinds = {place.site.kind for place in places if place.site}
    if because and not kinds & set(MAIN):
        return  # what stands in the result alone may be a person's
    assert apply(new.document.text, set_gate(new, gate_id, earlier, before=roadmap)) == text
    back = apply(new.document.text, set_gate(new, gate_id, earlier))
    assert (back == text) == (not gate_writing.not_restored(roadmap, gate_id, edits))


def test_a_gate_says_what_was_decided_everywhere() -> None:
    for number in range(400):
        dice = random.Random(number)
        roadmap = parse_roadmap(Document(plan_text(number)))
        status = dice.choice(("done", "failed", "partial", "planned", "running"))
        decided_and_restored(
            roadmap, dice.choice("123"), status, dice.choice(("", "R²=0.71 > 0.70"))
        )


@pytest.mark.parametrize("name", ["project", *REAL])
def test_the_gates_of_a_real_document_say_what_was_decided(name: str) -> None:
    own = PROJECT / "vit_roadmap.md"
    roadmap = parse_roadmap(read(own if name == "project" else CORPUS / name))
    for gate in roadmap.gates:
        for status, because in (("done", "R²=0.71 > 0.70"), ("failed", ""), ("planned", "")):
            decided_and_restored(roadmap, gate.id, status, because)
