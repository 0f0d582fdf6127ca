"""Edits of hubs that a person asks for: statuses and evidence of statements, new rows."""

from __future__ import annotations

import contextlib
from pathlib import Path

from vitlab.contract.paths import UsageError, real
from vitlab.docs.model.hub import Hub, parse_hub
from vitlab.docs.save import FileChange, change
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.hub import (
    NoPlace,
    find_statement,
    no_statement,
    not_restored,
    set_statement,
    states,
    status_word,
)
from vitlab.docs.write.hub_rows import add_statement
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import earlier_texts, find_hub
from vitlab.lab.writeback.edits import journal_of


def statement_changes(
    lab: Lab | None, path: Path | None, wanted: str, word: str | None, evidence: str
) -> list[tuple[FileChange, list[str]]]:
    """The changes that give a statement a status and evidence in a hub and its roadmaps.

    With each change the lines that only the journal restores. `path`: the hub or a roadmap; None:
    the one that has the statement. `word`: None leaves the status.
    """
    status = None if word is None else status_word(word)
    groups = [[_hub(lab, one) for one in paths] for paths in _groups(lab, path)]
    having = [group for group in groups if any(find_statement(hub, wanted) for hub in group)]
    if not having:
        raise no_statement(wanted, [hub for group in groups for hub in group])
    if len(having) > 1:
        names = ", ".join(_name(lab, group[0].document.path) for group in having)
        raise UsageError(f"{wanted} is in {names}: name one, as in `vitlab hub set HUB {wanted}`")
    edits: dict[int, list[Edit]] = {number: [] for number in range(len(having[0]))}
    for given, more in ((status, ""), (None, evidence)):
        without: list[NoPlace] = []
        for number, hub in enumerate(having[0]) if given or more else ():
            before = _earlier(lab, hub, wanted, given) if given else None
            try:
                edits[number] += set_statement(hub, wanted, given, word or "", more, before)
            except NoPlace as error:
                without.append(error)
        if without and len(without) == sum(bool(find_statement(h, wanted)) for h in having[0]):
            raise without[0]
    return [
        (change(hub.document, edits[number]), not_restored(hub, wanted, edits[number]))
        for number, hub in enumerate(having[0])
        if edits[number]
    ]


def new_statement(
    lab: Lab | None, path: Path | None, kind: str, text: str, evidence: str
) -> FileChange:
    """The change that adds a row or an item to a hub; None for `path`: to the lab's only one."""
    if path is None:
        hubs = [paths[0] for paths in _groups(lab, None)]
        if len(hubs) > 1:
            names = ", ".join(_name(lab, hub) for hub in hubs)
            raise UsageError(f"there are {names}: name one, as in `vitlab hub add HUB {kind} TEXT`")
        path = hubs[0]
    hub = _hub(lab, path)
    return change(hub.document, add_statement(hub, kind, text, evidence))


def _groups(lab: Lab | None, path: Path | None) -> list[list[Path]]:
    """Each hub of a lab with the roadmaps that name it, and each roadmap that names none.

    With a `path` only the group it is in.
    """
    groups: dict[Path, list[Path]] = {}
    for roadmap in lab.roadmaps() if lab else ():
        with contextlib.suppress(UsageError, OSError):  # one that cannot be read is told by status
            hub = find_hub(lab, lab.cached_roadmap(roadmap)) if lab else None
            groups.setdefault(real(hub or roadmap), [hub] if hub else []).append(roadmap)
    if path is None:
        if not groups:
            raise UsageError(lab.no_roadmap if lab else "no lab here; name a hub")
        return list(groups.values())
    mine = [g for g in groups.values() if real(path) in [real(one) for one in g]]
    return mine or [[path]]


def _name(lab: Lab | None, path: Path | None) -> str:
    return lab.paths.relative(path) if lab and path else str(path)


def _hub(lab: Lab | None, path: Path) -> Hub:
    return parse_hub(read(path), lab.vocabulary_of(path) if lab else None)


def _earlier(lab: Lab | None, hub: Hub, wanted: str, status: str) -> Hub | None:
    """The last state of a document in which a statement had a status; None for none."""
    path = hub.document.path
    for text in earlier_texts(journal_of(lab), path) if path else ():
        earlier = parse_hub(Document(text, path), hub.vocabulary)
        if states(earlier, wanted, status):
            return earlier
    return None
