"""A status that is set is said by every place of its MVP, and going back restores the bytes."""

import random
import re
import time

import pytest

from tests.docs.documents import CORPUS
from tests.docs.plans import beside, glyphs_say, head_values, places, plan
from vitlab.contract.job import STATUSES
from vitlab.docs.lint.document import lint
from vitlab.docs.model.gate_sites import DECIDED, places_of
from vitlab.docs.model.linked import LinkedDocument, read_linked
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.model.status_marks import past_lines
from vitlab.docs.model.status_sites import FREE_KINDS, StatusSites
from vitlab.docs.model.vocabulary import default_vocabulary
from vitlab.docs.text.edit import apply, lost_lines
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.linked import linked_edits, linked_not_restored
from vitlab.docs.write.status import not_restored, set_end, set_status

REAL = sorted(path.name for path in CORPUS.glob("*roadmap*.md"))

DATE = "2026-01-02"
WORDS = default_vocabulary()


def said_and_restored(roadmap: Roadmap, mvp_id: str, status: str) -> None:
    mvp = roadmap.mvp(mvp_id)
    text = roadmap.document.text
    edits = set_status(roadmap, mvp.id, status, date=DATE)
    new = apply(text, edits)
    after = parse_roadmap(Document(new))
    assert after.mvp(mvp.id).status == status
    assert statuses(after, mvp.id) == statuses(roadmap, mvp.id)
    says_only(after, mvp.id, status)
    assert decided(after) == decided(roadmap)
    if mvp.status is None or not edits:
        return
    assert apply(new, set_status(after, mvp.id, mvp.status, roadmap, date=DATE)) == text
    back = apply(new, set_status(after, mvp.id, mvp.status, date=DATE))
    if back != text:
        assert lost_lines(text, back)  # what is told, found without parsing once more
        again = parse_roadmap(Document(back))
        assert again.mvp(mvp.id).status == mvp.status
        assert statuses(again, mvp.id) == statuses(roadmap, mvp.id)


def says_only(after: Roadmap, mvp: str, status: str) -> None:
    """Every place of an MVP says a status, by the program's own reading and by another one."""
    sites = StatusSites(after)
    for site in sites:
        if site.mvp == mvp and site.kind not in FREE_KINDS:
            assert sites.agrees(site, status), (site.kind, site.text)
    for line, place in places(after, mvp):
        assert glyphs_say(after, place) <= {status}, (line + 1, place)


def said_beside(linked: LinkedDocument, mvp: str, status: str) -> None:
    """As `said_and_restored`, of a file beside the roadmap."""
    text, earlier = linked.document.text, linked.of.mvp(mvp).status
    edits = linked_edits(linked, mvp, status, date=DATE)
    new = apply(text, edits)
    after = linked.reread(Document(new)) if edits else linked
    says_only(after, mvp, status)
    if linked.report_of == mvp:
        assert {after.vocabulary.status(value) for value in head_values(new)} <= {status}
    assert statuses(after, mvp) == statuses(linked, mvp)
    verdicts = [line for line in text.splitlines() if line.startswith("| H")]
    assert [line for line in new.splitlines() if line.startswith("| H")] == verdicts
    if earlier is None or not edits:
        return
    if linked.mvp(mvp).status == earlier:
        assert apply(new, linked_edits(after, mvp, earlier, linked, date=DATE)) == text
    back = apply(new, linked_edits(after, mvp, earlier, date=DATE))
    assert back == text or lost_lines(text, back)


@pytest.mark.parametrize("number", range(0, 2000, 40))
def test_what_is_told_is_what_does_not_come_back(number: int) -> None:
    roadmap = parse_roadmap(Document(plan(number)))
    mvp = roadmap.mvps[0]
    status = "paused" if mvp.status != "paused" else "done"
    if mvp.status is None:
        return
    edits = set_status(roadmap, mvp.id, status)
    after = parse_roadmap(Document(apply(roadmap.document.text, edits)))
    back = apply(after.document.text, set_status(after, mvp.id, mvp.status))
    assert not_restored(roadmap, mvp.id, edits) == lost_lines(roadmap.document.text, back)
    text = beside(number, roadmap, mvp.id)["report"]
    report = read_linked(Document(text), roadmap, WORDS, (), mvp.id)
    new = apply(text, linked_edits(report, mvp.id, status))
    then = apply(new, linked_edits(report.reread(Document(new)), mvp.id, mvp.status))
    assert linked_not_restored(report, mvp.id, new, mvp.status) == lost_lines(text, then)


def decided(roadmap: Roadmap) -> list[tuple[str, str, str]]:
    """Each place where a gate is passed, failed or closed, and what it says."""
    sites = [(place.gate, place.site) for place in places_of(roadmap)]
    return [(gate, s.kind, s.text) for gate, s in sites if s and s.parsed.status in DECIDED]


def statuses(roadmap: Roadmap, but: str) -> dict[str, str | None]:
    return {mvp.id: mvp.status for mvp in reversed(roadmap.mvps) if mvp.id != but}


@pytest.mark.parametrize("part", range(4))
def test_every_place_of_a_plan_and_of_a_file_beside_it_says_what_was_set(part: int) -> None:
    for number in range(500 * part, 500 * (part + 1)):
        dice = random.Random(number)
        roadmap = parse_roadmap(Document(plan(number)))
        mvp, status = dice.choice(roadmap.mvps), dice.choice(STATUSES)
        if mvp.status != status and (mvp.status or not mvp.status_text):
            said_and_restored(roadmap, mvp.id, status)
            files = beside(number, roadmap, mvp.id)
            name = tuple(files)[number % len(files)]
            of = mvp.id if name == "report" else None
            document = Document(files[name])
            said_beside(read_linked(document, roadmap, WORDS, (), of), mvp.id, status)


@pytest.mark.parametrize("name", REAL or [None])
def test_every_place_of_a_real_document_says_what_was_set(name: str | None) -> None:
    if name is None:
        pytest.skip("no real documents in this checkout")
    roadmap = parse_roadmap(read(CORPUS / name))
    for mvp in roadmap.mvps:
        for status in STATUSES:
            if mvp.status != status and (mvp.status or not mvp.status_text):
                said_and_restored(roadmap, mvp.id, status)


LEGENDS = (
    "**状态**: ⏳计划 | 🔴就绪 | 🚀运行 | ✅完成 | ❌取消",
    "**Status:** ⏳ planned | 🚀 running | ✅ done",
    "Legend: ⏳ Planned, 🚀 Running, ✅ Done",
    "> 图例：⏳ 计划 / 🚀 运行 / ✅ 完成",
    "图例：⏳计划  🚀运行  ✅完成",
    "**状态: ⏳计划 | 🚀运行 | ✅完成**  ",
    "状态: **⏳ 计划** | **🚀 运行** | **✅ 完成**",
    "- Status: `⏳` planned | `🚀` running | `✅` done",
    "状态：⏳|🚀|✅",
    "状态: ⏳ 待启动（未开始） | 🚀 运行中（GPU） | ✅ 完成（有结果）",
)


@pytest.mark.parametrize("legend", LEGENDS)
def test_a_status_that_vitlab_writes_is_in_the_legend(legend: str) -> None:
    table = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | a | 🚀 |\n| 1.1 | b | 🚀 |\n"
    text = f"# P\n\n{legend}\n\n{table}\n## MVP-1.0: a (🚀)\n\n## MVP-1.1: b (🚀)\n"
    for mvp, status, glyph in (("1.0", "paused", "⏸️"), ("1.1", "analysing", "🔆")):
        before = parse_roadmap(Document(text))
        text = apply(text, set_end(before, mvp, status, numbers=False))
        after = parse_roadmap(Document(text))
        assert after.vocabulary.legend[status][0] == glyph
        assert before.vocabulary.legend.items() <= after.vocabulary.legend.items()
        assert after.document.text.split("\n")[2].count(glyph) == 1
        assert lint(after, None) == []
    assert text.split("\n")[2].rstrip("* ").startswith(legend.rstrip("* "))
    once = parse_roadmap(Document(text.replace("⏸️ |", "🚀 |").replace("(⏸️", "(🚀")))
    assert len(set_end(once, "1.0", "paused", numbers=False)) == 2


def test_a_document_without_a_legend_gets_none() -> None:
    table = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | a | 🚀 |\n"
    before = parse_roadmap(Document(f"# P\n\n<!-- 状态: ⏳计划 | 🚀运行 -->\n\n{table}"))
    assert len(set_end(before, "1.0", "paused", numbers=False)) == 1


def test_a_status_before_a_long_gap_is_read_in_linear_time() -> None:
    gap = " " * 100_000  # took a minute and more
    text = (
        f"# Plan\n\n## MVP-1.0: One\n\n- **Status:** ✅ done\n- status: a{gap}b|\n[status: {gap}]\n"
    )
    assert parse_roadmap(Document(text)).mvp("1.0").status == "done"


def test_the_places_of_a_thousand_gates_are_found_in_linear_time() -> None:
    facts = "| Item | Content |\n|---|---|\n| MVP | MVP-1.0 |\n" + "| x | y |\n" * 60
    section = f"\n### Gate-{{}}: g\n\n{facts}| Status | ⏳ planned |\n"
    head = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | a | ⏳ |\n"
    roadmap = parse_roadmap(Document(head + "".join(map(section.format, range(1000)))))
    began = time.process_time()
    assert len([*StatusSites(roadmap)]) >= 1000
    assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("title", "is_past"),
    [
        ("2.1 📋 实验总览", False),
        ("4.2 🚀 Phase 1", False),
        ("3.1: Results", False),
        ("3.1 (ViT)", False),
        ("2.1 — Overview", False),
        ("1-2 Baselines", False),
        ("1.1", False),
        ("2026-01-03", True),
        ("2026-01-03 MVP-1.0", True),
        ("11-30", True),
        ("周报 2026-01-02", True),
        ("1月3日", True),
        ("3. Log", True),
    ],
)
def test_a_heading_with_a_number_is_no_day(title: str, is_past: bool) -> None:
    document = Document(f"# Plan\n\n## {title}\n\n- MVP-1.0 ⏳\n")
    assert (4 in past_lines(document)) == is_past


@pytest.mark.parametrize("lead", ["### ", "- ", "- [ ] "])
@pytest.mark.parametrize(
    "words",
    [
        "done, 5 seeds", "done, R²=0.71", "done 12/01", "done: 5 of 5", "running, gpu 2",
        "in progress: 40%", "failed in 2 h", "failed: NaN loss at epoch 3", "planned: 200 epochs",
        "cancelled: replaced by MVP-1.2", "paused: waiting for data", "partial, R²=0.3",
        "✅ done, R²=0.71", "已完成，3 个种子", "运行中，gpu 2", "失败：显存不足",
    ],
)  # fmt: skip
def test_a_remark_in_brackets_is_read_beside_every_status_and_never_lost(
    lead: str, words: str
) -> None:
    other = "" if "[" in lead else " (done)"
    log = "## Changelog\n\n| Date | Change |\n|---|---|\n| 2026-01-01 | x |\n"
    text = f"# P\n{lead}MVP-1.0: a ({words})\n\n{lead}MVP-1.9: z{other}\n\n{log}"
    roadmap = parse_roadmap(Document(text))
    for status in STATUSES:
        new = apply(text, set_status(roadmap, "1.0", status, date=DATE))
        assert parse_roadmap(Document(new)).mvp("1.0").status == status
        assert all(number in new for number in re.findall(r"\d+(?:\.\d+)?", words))
