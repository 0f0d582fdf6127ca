"""Which lines changed between two texts: exact, and in bounded time."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vitlab.contract.paths import UsageError
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text import edit
from vitlab.docs.text.edit import apply, differences, rebase
from vitlab.docs.text.source import Document, decode
from vitlab.docs.write.gate_decisions import set_gate
from vitlab.docs.write.status import set_status
from vitlab.lab import documents
from vitlab.lab.documents import boards_named, hubs_named

LINES = st.lists(st.sampled_from(["", "a", "b", "c", "d", "e", "| x |", "f"]), max_size=30)


@settings(max_examples=300)
@given(before=LINES, after=LINES, small=st.sampled_from([0, 4, 250_000]))
def test_differences_lead_from_one_text_to_the_other(
    before: list[str], after: list[str], small: int
) -> None:
    old, new = "\n".join(before), "\n".join(after)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edit, "_SMALL", small)
        edits = differences(old, new)
        assert apply(old, edits) == new
        assert not edits if old == new else edits
        assert rebase(old, old, edits, "r") == edits
        assert patched(old, edit.unified(old, new, "r")) == new


UNENDED = "\\ No newline at end of file\n"


def patched(text: str, diff: str) -> str:
    """A text after a unified diff, each line of which must fit."""
    before, after, at = edit.split_lines(text), list[str](), 0
    lines = [*edit.split_lines(diff)[2:]]
    for n, line in enumerate(lines):
        kept = (
            line[1:-1] if lines[n + 1 : n + 2] == ["\\ No newline at end of file\n"] else line[1:]
        )
        if hunk := re.fullmatch(r"@@ -(\d+)(,0)?(?:,\d+)? \+(\d+)(,0)?(?:,\d+)? @@\n", line):
            start = int(hunk[1]) - (not hunk[2])
            after += before[at:start]
            at = start
            assert len(after) == int(hunk[3]) - (not hunk[4])
        elif line[0] == "+":
            after.append(kept)
        elif line != UNENDED:
            assert kept == before[at]
            after += before[at : at + 1] if line[0] == " " else []
            at += 1
    return "".join([*after, *before[at:]])


def test_tens_of_thousands_of_equal_lines_take_no_longer_than_they_must() -> None:
    before = [f"{'same' if number % 2 else ''}\n" for number in range(40_000)]
    after = [*before[:100], "new\n", *before[150:30_000], "other\n", *before[30_000:]]
    began = time.process_time()
    edits = differences("".join(before), "".join(after))
    assert apply("".join(before), edits) == "".join(after)
    again = [f"{number % 120}\n" for number in range(100_000)]
    assert edit.unified("".join(again), "".join([*again, "new\n"]), "r").count("\n") == 7
    assert time.process_time() - began < 5  # it took minutes


def test_a_line_and_a_plan_beyond_all_measure_are_refused_with_their_number() -> None:
    with pytest.raises(UsageError, match=r"r\.md:2: a line of 100,001 characters, more than 100"):
        decode(b"# x\n" + b"x" * 100_001, Path("r.md"))
    assert decode(b"x" * 100_000 + b"\n" + b"x" * 100_000, Path("r.md")).lines[1].start == 100_001
    with pytest.raises(UsageError, match=r"r\.md: 2,000,001 cells of tables, more than 2,000,000"):
        decode((b"|" * 99_999 + b"\n") * 20 + b"|" * 21, Path("r.md"))
    rows = "".join(f"| {number}.0 | a | - |\n" for number in range(10_001))
    with pytest.raises(UsageError, match=r"10,001 MVPs, more than 10,000"):
        parse_roadmap(Document(f"| MVP | Name | Status |\n|---|---|---|\n{rows}"))


def test_names_of_files_are_found_in_linear_time() -> None:
    words = " ".join(["todo_" * 200, "hub" * 333] * 500)  # each took the cube of its length
    assert boards_named(f"{words} a/b/kanban.md.") == ["a/b/kanban.md"]
    assert hubs_named(f"{words} see (../my_hub.md)") == ["../my_hub.md"]


def test_only_words_that_may_be_files_are_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[str] = []

    def path_in(word: str, *patterns: object) -> str:
        taken.append(word)
        return word

    monkeypatch.setattr(documents, "_path_in", path_in)
    assert hubs_named("| 1.0 | hub | 0.714 |\n" * 1000 + "a/x_hub.MD") == ["a/x_hub.MD"]
    assert taken == ["a/x_hub.MD"]


def test_rules_titles_and_cells_of_anything_are_read_in_bounded_time() -> None:
    head = "| MVP | Name | Status |\n|---|---|---|\n"
    for line in (
        f"## {'1' * 99_000}",
        f"### MVP-1.0 {'—' * 99_000}.",
        f"## Gate-1: a\n\n- 若 R² > 0.7{' ' * 99_000}a → done",
    ):
        began = time.process_time()
        roadmap = parse_roadmap(Document(f"{head}| 1.0 | a | {'[x]-->' * 800} |\n\n{line}\n"))
        assert [mvp.id for mvp in roadmap.mvps] == ["1.0"]
        assert time.process_time() - began < 10, line[:20]  # some took many minutes


def test_long_lines_of_anything_are_read_in_bounded_time() -> None:
    for piece in ("a", "`", "<!-- ", "kanban.", "-", "1.", "|", "hub", "]("):
        line = (piece * 100_000)[:99_900]
        head = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | a | - |\n"
        began = time.process_time()
        roadmap = parse_roadmap(Document(f"{head}| 2.0 | {line} | - |\n\n{line}\n"))
        boards_named(roadmap.document.text), hubs_named(roadmap.document.text)
        assert roadmap.mvps
        assert time.process_time() - began < 10, piece  # some took hours


def test_sections_of_many_mvps_are_read_in_linear_time() -> None:
    plan = "| MVP | Name | Status |\n|---|---|---|\n| MVP-1.0 | a | x |\n\n"
    document = Document(plan + "# MVP-1.0\n" * 12_000)
    began = time.process_time()
    roadmap = parse_roadmap(document)
    parsed = time.process_time()
    assert len(roadmap.specs) == 12_000
    assert time.process_time() - parsed < parsed - began  # it took several times as long


def _plan_of(size: int) -> Roadmap:
    """Gates with sections and rows, half of them of one MVP, and as many rows of numbers."""
    gate = "### Gate-{}: a\n\n| Item | Content |\n|---|---|\n| MVP | MVP-{} |\n| Status | {} |\n\n"
    marks = [("⏳", "🚀")[k % 4 == 2] for k in range(size)]
    text = "".join(gate.format(k, "12"[k % 2] + ".0", mark) for k, mark in enumerate(marks))
    text += "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | a | ⏳ |\n| 2.0 | b | ⏳ |\n\n"
    text += "| Gate | MVP | Status | Result |\n|---|---|---|---|\n"
    text += "".join(f"| Gate-{k} | MVP-{k % 2 + 1}.0 | {m} | - |\n" for k, m in enumerate(marks))
    text += "\n| MVP | Config | R² | Status |\n|---|---|---|---|\n"
    text += "".join(f"| {k % 2 + 1}.0 | c{k} | 0.7 | ✅ |\n" for k in range(size))
    return parse_roadmap(Document(f"# Plan\n\n{text}"))


def _board_of(size: int) -> Roadmap:
    """A plan whose board has so many cards, one of them of an MVP."""
    cards = "".join(f"MVP-2.{k}\n" for k in range(size))
    table = "| MVP | Name | Status |\n|---|---|---|\n| 1.0 | x | ⏳ |\n"
    return parse_roadmap(Document(f"{table}\n```\n⏳计划      🚀运行\nMVP-1.0\n{cards}```\n"))


def _calls(
    work: Callable[[Roadmap], object], size: int, plan_of: Callable[[int], Roadmap] = _plan_of
) -> int:
    """How many functions some work on a plan of a size calls."""
    roadmap = plan_of(size)
    calls = 0

    def count(_frame: object, event: str, _what: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        work(roadmap)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.parametrize(
    "work",
    [
        lambda roadmap: set_status(roadmap, "1.0", "running"),
        lambda roadmap: set_gate(roadmap, "3", "done"),
    ],
    ids=["mvp", "gate"],
)
def test_twice_the_gates_and_rows_are_twice_the_work(work: Callable[[Roadmap], object]) -> None:
    assert _calls(work, 200) < 2.5 * _calls(work, 100)


def test_a_card_moves_on_twice_the_board_with_twice_the_work() -> None:
    _, short, long = (  # the first loads what is loaded once
        _calls(lambda roadmap: set_status(roadmap, "1.0", "running"), size, _board_of)
        for size in (10, 200, 400)
    )
    assert long < 2.5 * short
