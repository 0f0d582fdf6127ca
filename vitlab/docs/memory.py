"""How a document spelled a status before this program changed it, from the journal of its saves."""

from __future__ import annotations

from pathlib import Path

from vitlab.docs import journal
from vitlab.docs.roadmap import NoMvpTable, Roadmap, parse_roadmap
from vitlab.docs.source import Document
from vitlab.docs.vocabulary import Vocabulary

_LOOKED_AT = 20
"""Saves that are looked at, newest first; what is older is history."""


def remembered(
    journal_folder: Path, roadmap: Roadmap, mvp_id: str, status: str, vocabulary: Vocabulary
) -> Roadmap | None:
    """The newest earlier state of a roadmap in which an MVP had a status; None when there is none.

    Given to `set_status` as `before`, it brings back remarks of wording that the document itself
    no longer shows: `⏳ 待规划`, a card's place among others.
    """
    path = roadmap.document.path
    if path is None or not journal_folder.is_dir():
        return None
    wanted = roadmap.mvp(mvp_id).id
    looked_at = 0
    for number, state in reversed(journal.states(journal_folder)):
        entry = journal.entry(journal_folder, number, state)
        for change in entry.changes if entry else ():
            if change.path != path.resolve() or change.old_text is None:
                continue
            looked_at += 1
            try:
                earlier = parse_roadmap(Document(change.old_text, path), vocabulary)
            except NoMvpTable:
                continue
            if any(mvp.id == wanted and mvp.status == status for mvp in earlier.mvps):
                return earlier
        if looked_at >= _LOOKED_AT:
            return None
    return None
