"""Contradictions are found where they are; what is mended is what the overview says."""

from pathlib import Path

import pytest

from vitlab.docs.lint import lint, mend
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.model.vocabulary import default_vocabulary
from vitlab.docs.save import apply, change, save
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.status import set_status
from vitlab.lab.writeback.edits import remembered

from .conftest import real


def found(name: str) -> list[tuple[int, str]]:
    return [(f.line, f.kind) for f in lint(parse_roadmap(real(name)), None)]


def test_a_consistent_roadmap_has_no_finding(vit: Roadmap) -> None:
    assert lint(vit, None) == []


def test_the_contradictions_of_the_real_ones() -> None:
    assert found("fisher_roadmap_20251225.md") == [
        (70, "stale-gate"),
        (78, "status-conflict"),
        (281, "row-outside-table"),
        (376, "card-column"),
    ]
    assert found("moe_snr_roadmap.md") == [(157, "undefined-glyph"), (159, "undefined-glyph")]
    assert found("template_roadmap.md") == [
        (34, "unknown-mvp"),
        (44, "unknown-mvp"),
        (58, "unknown-mvp"),
        (59, "unknown-mvp"),
        (131, "card-column"),
        (131, "card-without-row"),
        (132, "card-without-row"),
        (140, "unknown-mvp"),
    ]


HEAD = "| MVP | Name | Gate | Status | exp_id | Report |\n|---|---|---|---|---|---|\n"


def kinds(text: str, root: Path | None = None, path: Path | None = None) -> list[tuple[int, str]]:
    return [(f.line, f.kind) for f in lint(parse_roadmap(Document(text, path)), root)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEAD + "| 1 | x | - | ✅ | - | - |\n| MVP-1 | y | - | ✅ | - | - |\n", "duplicate-id"),
        (
            HEAD + "| 1 | x | - | ✅ | `a-1` | - |\n| 2 | y | - | ✅ | `a-1` | - |\n",
            "duplicate-exp-id",
        ),
        (HEAD + "| 1 | x | - | ✅ | - |\n", "broken-row"),
        (HEAD + "| 1 | x | - | ✅ | - | - | - |\n", "broken-row"),
        (HEAD + "| 1 | x | - | ✅ | - | - |\n|---|---|---|---|---|---|\n", "broken-row"),
        (HEAD + "| 1 | x | - | soon | - | - |\n", "unknown-status"),
        (HEAD + "| 1 | x | - | ✅ | - | - |\n\n### MVP-2: y\n", "unknown-mvp"),
        (HEAD + "| 1 | x | - | ✅ | - | - |\n\n| a | b |\n", "row-outside-table"),
        (HEAD + "| 1 | x | Gate-7 | ✅ | - | - |\n\n### Gate-1: g\n", "unknown-gate"),
    ],
)
def test_each_kind_is_found_by_its_line(text: str, expected: str) -> None:
    assert [kind for _, kind in kinds(text)] == [expected]


def test_dates_out_of_order_are_found_in_either_direction() -> None:
    rows = HEAD + "| 1 | x | - | ✅ | - | - |\n\n| Date | Event |\n|---|---|\n"
    up = "| 2026-01-02 | a |\n| 2026-01-01 | b |\n| 2026-01-03 | c |\n"
    down = "| 2026-01-03 | c |\n| 2026-01-01 | b |\n| 2026-01-02 | a |\n"
    assert kinds(rows + up) == [(8, "date-order")]
    assert kinds(rows + down) == [(9, "date-order")]


def test_links_are_followed_inside_the_lab_only(tmp_path: Path) -> None:
    folder = tmp_path / "roadmaps"
    folder.mkdir()
    (folder / "a b.md").touch()
    rows = ["./a%20b.md", "gone.md", "../../etc/passwd.md", "https://x.org/y.md", "a\x00b.md"]
    text = HEAD + "".join(f"| {i} | x | - | ✅ | - | [r]({t}) |\n" for i, t in enumerate(rows))
    assert kinds(text, tmp_path, folder / "r.md") == [(line, "dead-link") for line in (4, 5, 7)]


def test_what_is_mended_is_mended_and_the_rest_stays() -> None:
    fisher = parse_roadmap(real("fisher_roadmap_20251225.md"))
    new = parse_roadmap(Document(mend(fisher, None)))
    assert [(f.line, f.kind) for f in lint(new, None)] == [
        (70, "stale-gate"),
        (281, "row-outside-table"),
    ]
    assert new.mvps[9].status == "ready"
    assert "| 🟡 P1 | MVP-F-EFF | Gate-1 | 🔴 就绪 |" in new.document.text


def test_the_journal_remembers_how_a_status_was_spelled(tmp_path: Path) -> None:
    path, journal = tmp_path / "r.md", tmp_path / "journal"
    words = default_vocabulary()
    path.write_bytes(real("fisher_roadmap_20251225.md").text.encode())
    first = path.read_bytes()
    assert remembered(journal, parse_roadmap(read(path)), "F-V1", "done", words) is None
    for status in ("running", "done", "cancelled"):
        roadmap = parse_roadmap(read(path))
        before = remembered(journal, roadmap, "F-V1", status, words)
        save([change(roadmap.document, set_status(roadmap, "F-V1", status, before))], journal)
    assert path.read_bytes() == first


def test_a_fix_is_a_plan_of_edits(english: Roadmap) -> None:
    fixes = [f for f in lint(english, None) if f.fix]
    assert [f.message for f in fixes] == ["6 cells where the header has 7"]
    assert fixes[0].fix is not None
    assert "| later, maybe |  |\n" in apply(english.document.text, fixes[0].fix)
