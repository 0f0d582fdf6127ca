"""Edits a person asks for by name: an MVP's status, wherever it stands."""

from __future__ import annotations

from pathlib import Path

from vitlab.docs.edits import FileChange, change
from vitlab.docs.roadmap import parse_roadmap
from vitlab.docs.source import read
from vitlab.docs.vocabulary import status_argument
from vitlab.docs.writeback import set_status
from vitlab.records.lab import Lab


def status_change(lab: Lab | None, path: Path, mvp_id: str, word: str) -> FileChange | None:
    """The change that sets `mvp_id` to `word`; None when it stands so already."""
    status = status_argument(word)
    document = read(path)
    roadmap = parse_roadmap(document, lab.vocabulary if lab else None)
    edits = set_status(roadmap, roadmap.mvp(mvp_id).id, status)
    return change(document, edits) if edits else None
