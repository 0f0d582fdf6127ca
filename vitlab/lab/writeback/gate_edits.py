"""The changes that a person makes who decides a gate, or opens it again."""

from __future__ import annotations

from pathlib import Path

from vitlab.docs.model.roadmap import NoMvpTable, Roadmap, parse_roadmap
from vitlab.docs.model.vocabulary import default_vocabulary
from vitlab.docs.save import FileChange, change
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.gate_decisions import (
    find_gate,
    gate_status,
    not_restored,
    set_gate,
    states,
)
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import earlier_texts, linked_gate_changes
from vitlab.lab.writeback.edits import journal_of


def gate_changes(
    lab: Lab | None, path: Path, gate_id: str, word: str, because: str
) -> list[tuple[FileChange, list[str]]]:
    """The changes that give a gate a status in a roadmap, its hub, and boards and check lists.

    With each the lines that only the journal restores.
    """
    status = gate_status(word)
    words = lab.vocabulary_of(path) if lab else default_vocabulary()
    roadmap = parse_roadmap(read(path), words)
    gate = find_gate(roadmap, gate_id)
    before = _earlier(lab, roadmap, gate.id, status)
    edits = set_gate(roadmap, gate.id, status, because, before)
    changes = []
    if edits:
        lost = not_restored(roadmap, gate.id, edits)
        changes.append((change(roadmap.document, edits), lost))
    if lab:
        changes += [(one, []) for one in linked_gate_changes(lab, roadmap, gate, status)]
    return changes


def _earlier(lab: Lab | None, roadmap: Roadmap, gate_id: str, status: str) -> Roadmap | None:
    """The last state of a roadmap in which a gate had a status; None for none."""
    path = roadmap.document.path
    for text in earlier_texts(journal_of(lab), path) if path else ():
        try:
            earlier = parse_roadmap(Document(text, path), roadmap.vocabulary)
        except NoMvpTable:
            continue
        if states(earlier, gate_id, status):
            return earlier
    return None
