"""Edits a person asks for by name: an MVP's status wherever it stands, and what lint mends."""

from __future__ import annotations

from pathlib import Path

from vitlab.docs.edits import FileChange, change
from vitlab.docs.findings import Finding
from vitlab.docs.hub import parse_hub
from vitlab.docs.lint import lint, lint_document, mend
from vitlab.docs.memory import remembered
from vitlab.docs.roadmap import NoMvpTable, Roadmap, parse_roadmap
from vitlab.docs.source import Document, read
from vitlab.docs.splice import differences
from vitlab.docs.vocabulary import Vocabulary, default_vocabulary, status_argument
from vitlab.docs.writeback import set_status
from vitlab.records.lab import Lab


def status_change(lab: Lab | None, path: Path, mvp_id: str, word: str) -> FileChange | None:
    """The change that sets `mvp_id` to `word`; None when it stands so already.

    A status it had before this program changed it is spelled as it was then.
    """
    status = status_argument(word)
    roadmap = parse_roadmap(read(path), _words(lab))
    mvp = roadmap.mvp(mvp_id)
    before = None
    if mvp.status != status:
        before = remembered(journal_of(lab), roadmap, mvp.id, status, _words(lab))
    edits = set_status(roadmap, mvp.id, status, before)
    return change(roadmap.document, edits) if edits else None


def journal_of(lab: Lab | None) -> Path:
    """Where edits are journalled: in the lab, or for lone documents in the user's own state."""
    if lab is not None:
        return lab.journal
    from platformdirs import user_state_path

    return user_state_path("vitlab") / "journal"


def findings(lab: Lab | None, path: Path) -> list[Finding]:
    """What contradicts itself or is broken in a roadmap, a hub or a board."""
    document = read(path)
    roadmap = _roadmap(document, lab)
    if roadmap is None:
        return lint_document(parse_hub(document, _words(lab)))
    return lint(roadmap, lab.paths.root if lab else None)


def mended(lab: Lab | None, path: Path) -> FileChange | None:
    """The change that makes every safe fix; None when there is none to make."""
    roadmap = _roadmap(read(path), lab)
    if roadmap is None:
        return None
    old = roadmap.document.text
    new = mend(roadmap, lab.paths.root if lab else None)
    return FileChange(path, old, new, differences(old, new)) if new != old else None


def _roadmap(document: Document, lab: Lab | None) -> Roadmap | None:
    try:
        return parse_roadmap(document, _words(lab))
    except NoMvpTable:
        return None


def _words(lab: Lab | None) -> Vocabulary:
    return lab.vocabulary if lab else default_vocabulary()
