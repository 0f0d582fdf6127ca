"""Contradictions are found where they are; what is mended is what the overview says."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.docs.documents import document_path, here
from tests.docs.plans import plan
from vitlab.docs.journal import Journal
from vitlab.docs.lint import across, document
from vitlab.docs.lint.across import Neighbours, contradictions
from vitlab.docs.lint.document import fix_all, fix_linked, linked_findings, lint
from vitlab.docs.lint.finding import Finding
from vitlab.docs.lint.stated import number_of, numbers_in
from vitlab.docs.lint.told_verdicts import verdicts_in
from vitlab.docs.model.linked import read_linked
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.model.vocabulary import default_vocabulary
from vitlab.docs.save import change, save
from vitlab.docs.text.edit import Edit, apply
from vitlab.docs.text.numbers import numbers_of
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.boards import left_cards
from vitlab.docs.write.status import set_status
from vitlab.lab.linked_files import earlier_state

ANY_PLAN = st.integers(0, 9999)

HEAD = "| MVP | Name | Gate | Status | exp_id | Report |\n|---|---|---|---|---|---|\n"


def kinds(text: str, root: Path | None = None, path: Path | None = None) -> list[tuple[int, str]]:
    return [(f.line, f.kind) for f in lint(parse_roadmap(Document(text, path)), root)]


def test_links_are_followed_inside_the_lab_only(tmp_path: Path) -> None:
    folder = tmp_path / "roadmaps"
    folder.mkdir()
    (folder / "a b.md").touch()
    rows = ["./a%20b.md", "gone.md", "../../etc/passwd.md", "https://x.org/y.md", "a\x00b.md"]
    text = HEAD + "".join(f"| {i} | x | - | ✅ | - | [r]({t}) |\n" for i, t in enumerate(rows))
    assert kinds(text, tmp_path, folder / "r.md") == [(line, "dead-link") for line in (4, 5, 7)]


@pytest.mark.parametrize("name", here("letters.md", "fisher_roadmap_20251225.md"))
def test_the_journal_remembers_how_a_status_was_spelled(tmp_path: Path, name: str) -> None:
    mvp = "C-V1" if name == "letters.md" else "F-V1"
    path, journal = tmp_path / "r.md", Journal(tmp_path / "journal", tmp_path)
    path.write_bytes(read(document_path(name)).text.encode())
    first = path.read_bytes()
    assert earlier_state(journal, parse_roadmap(read(path)), mvp, "done") is None
    for status in ("running", "done", "cancelled"):
        roadmap = parse_roadmap(read(path))
        before = earlier_state(journal, roadmap, mvp, status)
        save([change(roadmap.document, set_status(roadmap, mvp, status, before))], journal)
    assert path.read_bytes() == first


def test_a_fix_is_a_plan_of_edits(english: Roadmap) -> None:
    fixes = [f for f in lint(english, None) if f.fix]
    assert [f.message for f in fixes] == ["6 cells where the header has 7"]
    assert fixes[0].fix is not None
    assert "| later, maybe |  |\n" in apply(english.document.text, fixes[0].fix)


@example(399, 6826)  # a mark that is a word was added for ever
@example(132, 1024)  # a status put right leaves a card unlike it
@given(ANY_PLAN, ANY_PLAN)
@settings(max_examples=30)
def test_a_file_is_fixed_once_and_only_where_a_finding_is(number: int, other: int) -> None:
    roadmap = parse_roadmap(Document(plan(number)))
    file = read_linked(Document(plan(other)), roadmap, default_vocabulary())
    found = list(linked_findings(file))
    new = fix_linked(file)
    again = file.reread(Document(new))
    assert fix_linked(again) == new
    assert not [one for one in linked_findings(again) if one.fix]
    assert changed_lines(file.document.text, new) <= named_lines(file, found)


@given(ANY_PLAN)
@settings(max_examples=30)
def test_a_roadmap_is_fixed_only_where_a_finding_is(number: int) -> None:
    roadmap = parse_roadmap(Document(plan(number)))
    found = lint(roadmap, None)
    new = fix_all(roadmap, None)
    again = parse_roadmap(Document(new))
    assert fix_all(again, None) == new
    assert changed_lines(roadmap.document.text, new) <= named_lines(roadmap, found)
    assert contradictions(again, Neighbours()) == []


def changed_lines(old: str, new: str) -> set[str]:
    """The lines of the old text that the new one lacks."""
    return set(old.splitlines()) - set(new.splitlines())


def named_lines(roadmap: Roadmap, found: list[Finding]) -> set[str]:
    """The lines in which something is found that can be fixed; for a card, those of its board.

    A status that is put right in one place may leave a card unlike it.
    """
    fixed = [one for one in found if one.fix]
    lines = {one.line - 1 for one in fixed}
    if any(one.kind in ("card-column", "status-conflict") for one in fixed):
        lines |= {i for board in roadmap.boards for i in board.lines}
    return {roadmap.document.line_text(index) for index in lines}


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("R²_val=0.713 (ep112), later", [("r2", "val", {"ep112"}, 0.713)]),
        ("ViT test R² = 71.1%, R² > 0.7", [("r2", "test", {"vit"}, 0.711)]),
        ("Global R²=0.46 vs R²_max=0.8@21.5", [("r2", None, {"global"}, 0.46),
                                               ("r2_max", None, {"21.5"}, 0.8)]),
        ("$R^2$: 0.5, ΔR²=+0.05, MAE 0.38 dex", [("r2", None, set(), 0.5),
                                                 ("delta_r2", None, set(), 0.05),
                                                 ("mae", None, {"dex"}, 0.38)]),
        ("R²≈0.5, R² ~0.6, R² 0.65–0.70, R² = 0,70, R20 = 0.3", []),
    ],
)  # fmt: skip
def test_numbers_are_read_with_what_they_are_of(
    text: str, stated: list[tuple[str, str | None, set[str], float]]
) -> None:
    found = [(one.metric, one.split, set(one.words), one.value) for one in numbers_in(text)]
    assert found == stated


def test_numbers_differ_by_more_than_rounding() -> None:
    fine, coarse = number_of("R²", "0.7512"), number_of("R²", "0.75")
    other = number_of("R²", "0.76 ± 0.01")
    assert fine is not None
    assert coarse is not None
    assert other is not None
    assert fine.same_as(coarse)
    assert not fine.same_as(other)
    assert not coarse.same_as(other)
    assert number_of("R²", "0.4-0.5") is number_of("R²", "-") is number_of("R²", "~0.5") is None


def test_a_line_of_anything_takes_linear_time() -> None:
    named = across._plans_named("see ./VIT_roadmap.md, x-hub.markdown, 路线图.md.bak and notes.md")
    assert named == ["VIT_roadmap", "x-hub", "路线图"]
    began = time.process_time()
    assert across._plans_named("hub" * 30_000 + " " + "a-" * 30_000) == []
    assert not across._ITEM.match("─" * 90_000)
    assert not list(numbers_in("R² of log_g" + " " * 90_000 + "x 0.7"))
    assert number_of("test R²", "(" + " " * 4000 + "x)") is None
    assert time.process_time() - began < 1


def test_wide_rows_and_many_gates_take_linear_time() -> None:
    began = time.process_time()
    assert list(verdicts_in("2026-11-30" + "Gate-1" * 15_000)) == []
    assert [*verdicts_in("x " * 40_000 + "passed Gate-2")] == [("2", "done")]
    row = "|0.5" * 20_000
    table = Document(f"| MVP {'| R² ' * 19_000}|\n|{'---|' * 19_001}\n| 3.0 {row[:76_000]}|\n")
    found = list(numbers_of(table))
    assert len(found) == 19_001
    assert time.process_time() - began < 8


def test_long_gaps_are_read_as_one_space() -> None:
    gap = " " * 2000
    table = "### Gate-1: is it{0}good\n\n| Item | Content |\n|---|---|\n| MVP | MVP-1.0 |\n"
    table += "| If R²{0}> 0.70 | ✅ write |\n| If{0}y | do |\n| outcome{0}x | z{0}y |\n"
    table += "| Status | ⏳ planned{0}x |\n\n| MVP | Name | Status | test R² |\n|---|---|---|---|\n"
    table += "| MVP-1.0 | a | ⏳ | ({0}x) |\n"
    began = time.process_time()
    read_with = [
        [gate.rules for gate in parse_roadmap(Document(table.replace("{0}", one))).gates]
        for one in (" ", gap)
    ]
    lint(parse_roadmap(Document(table.replace("{0}", gap))), None)
    assert time.process_time() - began < 3
    assert len(read_with[0]) == 1
    assert [len(rules) for rules in read_with[0]] == [len(rules) for rules in read_with[1]]


def test_lines_that_are_mended_alone_are_mended_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read the document anew for each takes minutes."""
    passes: list[Sequence[Edit]] = []

    def counted(text: str, edits: Sequence[Edit]) -> str:
        passes.append(edits)
        return apply(text, edits)

    monkeypatch.setattr(document, "apply", counted)
    rows = "".join(f"| {i}.0 | x | - | ✅ | - | - |\n" for i in range(40))
    items = "".join(f"- 🚀 MVP-{i}.0: x\n" for i in range(40))
    table = "\n| A | B |\n|---|---|\n" + "| a |\n" * 40
    new = fix_all(parse_roadmap(Document(f"{HEAD}{rows}\n{items}{table}")), None)
    assert (new.count("| a |  |\n"), new.count("🚀"), len(passes)) == (40, 0, 1)


def test_a_large_board_is_mended_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each move draws the whole board."""
    monkeypatch.setattr("vitlab.docs.model.boards.moves.WORK", 500)
    rows = "".join(f"MVP-{i}.0  -\n" for i in range(100))
    text = HEAD + "".join(f"| {i}.0 | x | - | 🚀 | - | - |\n" for i in range(100))
    text += f"\n```\n⏳计划  🚀运行\n{rows}```\n"
    wrong = [f for f in lint(parse_roadmap(Document(text)), None) if f.kind == "card-column"]
    assert len(wrong) == 100
    assert [bool(f.fix) for f in wrong] == [True] * 5 + [False] * 95
    assert wrong[-1].message.endswith("; --fix moves some at a time")


def test_cards_of_many_boards_are_moved_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one after the other: of each board the first, until all are in their place."""
    rows = "".join(f"| {i}.0 | x | - | {'🚀' if i % 2 else '⏳'} | - | - |\n" for i in (1, 2, 3))
    board = "\n```\n⏳计划         🚀运行\nMVP-1.0        MVP-2.0\nMVP-3.0        -\n```\n"
    text, passes = f"{HEAD}{rows}{board * 20}", list[Sequence[Edit]]()
    slow = Document(text)
    while fix := next((f.fix for f in lint(parse_roadmap(slow), None) if f.fix), None):
        slow = Document(apply(slow.text, fix))

    def counted(now: str, edits: Sequence[Edit]) -> str:
        passes.append(edits)
        return apply(now, edits)

    monkeypatch.setattr(document, "apply", counted)
    assert fix_all(parse_roadmap(Document(text)), None) == slow.text
    assert len(passes) <= 5


@pytest.mark.parametrize("board", ["MVP-1.0\n" * 100, "MVP-1.0        MVP-2.0\n" * 50], ids=len)
def test_of_many_cards_of_one_mvp_a_large_board_moves_some(
    monkeypatch: pytest.MonkeyPatch, board: str
) -> None:
    """Lint moves the others, to where they would all have been moved at once."""
    rows = "| 1.0 | x | - | ⏳ | - | - |\n| 2.0 | x | - | 🚀 | - | - |\n"
    roadmap = parse_roadmap(Document(f"{HEAD}{rows}\n```\n⏳计划         🚀运行\n{board}```\n"))
    whole = apply(roadmap.document.text, set_status(roadmap, "1.0", "running"))
    assert left_cards(roadmap, frozenset({"1.0"})) == []
    monkeypatch.setattr("vitlab.docs.model.boards.moves.WORK", 1_000)
    some = apply(roadmap.document.text, set_status(roadmap, "1.0", "running"))
    assert some != whole
    (told,) = left_cards(roadmap, frozenset({"1.0"}))
    assert told.endswith("cards some stay: `vitlab lint --fix` moves more")
    for _ in range(10):
        some = fix_all(parse_roadmap(Document(some)), None)
    assert some == whole
