"""Contradictions are found where they are; what is mended is what the overview says."""

from pathlib import Path

import pytest

from tests.docs.documents import document_path, here
from vitlab.docs.lint.document import lint
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.save import change, save
from vitlab.docs.text.edit import apply
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.status import set_status
from vitlab.lab.linked_files import earlier_state

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
    path, journal = tmp_path / "r.md", tmp_path / "journal"
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
