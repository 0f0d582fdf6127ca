"""The change that a person makes when they decide a gate, or open it again."""

from __future__ import annotations

from pathlib import Path

from vitlab.docs.model.roadmap import NoMvpTable, Roadmap, parse_roadmap
from vitlab.docs.model.vocabulary import default_vocabulary
from vitlab.docs.save import FileChange, change
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.gates import gate_status, not_restored, set_gate, states
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import earlier_texts
from vitlab.lab.writeback.edits import journal_of


def gate_change(
    lab: Lab | None, path: Path, gate_id: str, word: str, because: str
) -> tuple[FileChange | None, list[str]]:
    """The change that gives a gate a status, and the lines that only the journal restores.

    None for no change.
    """
    status = gate_status(word)
    words = lab.vocabulary_of(path) if lab else default_vocabulary()
    roadmap = parse_roadmap(read(path), words)
    before = _earlier(lab, roadmap, roadmap.gate(gate_id).id, status)
    edits = set_gate(roadmap, gate_id, status, because, before)
    if not edits:
        return None, []
    return change(roadmap.document, edits), not_restored(roadmap, gate_id, edits)


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
