"""Boards and check lists in files that a roadmap names: they follow its statuses."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.save import FileChange, change
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.status import set_status
from vitlab.lab.lab import Lab

_NAMED = re.compile(r"[\w./-]*(?:kanban|看板|checklist|清单|next_steps)[\w.-]*\.md", re.I)


def linked_changes(
    lab: Lab,
    roadmap: Roadmap,
    mvp_id: str,
    status: str,
    texts: Mapping[Path, str] | None = None,
) -> list[FileChange]:
    """The changes that give an MVP a status in every linked file that has it.

    None in a file that another roadmap with an MVP of this id names too: whose it is is not known.
    `texts`: what other changes, not yet written, make of files.
    """
    changes = []
    for path in _linked(lab, roadmap):
        try:
            text = (texts or {}).get(path)
            document = read(path) if text is None else Document(text, path)
            board = parse_roadmap(document, lab.vocabulary_of(path))
            edits = set_status(board, mvp_id, status)
        except UsageError:  # no such MVP there, or nothing that can be read
            continue
        if edits and not any(path in _linked(lab, o) for o in _others(lab, roadmap, mvp_id)):
            changes.append(change(board.document, edits))
    return changes


def _linked(lab: Lab, roadmap: Roadmap) -> list[Path]:
    """The files of boards that a roadmap names, from its folder or from the lab's."""
    own = roadmap.document.path
    if own is None:
        return []
    found = []
    for name in dict.fromkeys(_NAMED.findall(roadmap.document.text)):
        for folder in (own.parent, lab.paths.root):
            with contextlib.suppress(UsageError):  # one outside the lab is never written
                path = lab.paths.inside((folder / name).absolute())
                if path.is_file() and path != own.resolve() and path not in found:
                    found.append(path)
                    break
    return found


def _others(lab: Lab, roadmap: Roadmap, mvp_id: str) -> Iterator[Roadmap]:
    """The lab's other roadmaps with an MVP of this id."""
    own = roadmap.document.path
    for path in lab.roadmaps():
        with contextlib.suppress(UsageError, OSError):
            other = lab.cached_roadmap(path)
            same = own is not None and path.resolve() == own.resolve()
            if not same and any(mvp.id == mvp_id for mvp in other.mvps):
                yield other
