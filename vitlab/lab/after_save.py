"""What follows from a save of documents in the lab's own records, and from its undo and redo.

It is done before the journal's entry is finished, by whoever finishes it: killed in between, the
next command does both. So no decision stands whose document was never written, or was undone.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vitlab.contract.paths import (
    JobPaths,
    LabPaths,
    UsageError,
    is_closed,
    real,
    shared_rights,
    write_atomic,
)
from vitlab.contract.reading import read_document
from vitlab.contract.user_key import own_record, write_own
from vitlab.docs.journal import Journal, Outcome, digest
from vitlab.docs.save import FileChange, read_entry, repair, undo
from vitlab.jobs.files import held_by, take_lock
from vitlab.jobs.submissions import Staged, publish

VERSION = 1
"""Of the file of decisions."""
PATIENCE = 30.0
"""Seconds to wait for another writer, which takes milliseconds, or a second where it prunes."""
DECISION, PROPOSAL, WRITTEN, LAUNCH = "decision", "proposal", "written", "launch"
"""What is noted with a save: the decision it writes, the number of the proposal it carries out, the
jobs whose results it writes, with the ends it covers, and the staged jobs whose launch it tells."""


def settle(lab: LabPaths, outcome: Outcome) -> None:
    """Keep the decision or results that a save writes, and take its proposal out of the tray.

    The jobs of a launch are put in their places. Of an undo or redo, mark what was recorded of the
    save. `UsageError` and `OSError` as of files.
    """
    if not outcome.fresh:
        _mark(lab, set(outcome.left), outcome.undone)
        return
    if isinstance(given := outcome.note.get(DECISION), dict):
        path = real(lab.root / str(given["roadmap"]))
        digests = [digest(text) for one, text in outcome.texts.items() if real(one) == path]
        with locked(lab):
            new, kept = {**given, "text": digests[0] if digests else ""}, raw_decisions(lab)
            if new not in kept:  # as it is once it was killed behind this
                write_decisions(lab, [*kept, new])
    if isinstance(ends := outcome.note.get(WRITTEN), dict):
        with locked(lab):
            one = {"jobs": ends, "texts": list(outcome.left), "undone": False}
            if one not in (written := _raw_ledger(lab)):
                _write_ledger(lab, [*written, one])
    if isinstance(number := outcome.note.get(PROPOSAL), int):
        tray = lab.private.tray
        with contextlib.suppress(FileNotFoundError):  # it is accepted already
            proposal_path(tray, number, "open").rename(proposal_path(tray, number, "accepted"))
    if isinstance(places := outcome.note.get(LAUNCH), dict):
        pairs = ((lab.root / old, JobPaths(lab.root / new)) for old, new in places.items())
        with contextlib.suppress(OSError):  # whoever launches tries again, and tells why
            publish([Staged(*pair) for pair in pairs if pair[0].exists()])


def launch_note(lab: LabPaths, staged: Sequence[Staged]) -> dict[str, Any]:
    """The note of a save that tells the launch of staged jobs."""
    places = {lab.relative(one.temporary): lab.relative(one.job.folder) for one in staged}
    return {LAUNCH: places}


def take_back(journal: Journal, written: Sequence[FileChange], staged: Sequence[Staged]) -> None:
    """Undo the save of a launch of which nothing came, unless another save has followed.

    It cannot be redone. One that ctrl+c interrupted is finished or forgotten, with its jobs.
    """
    with contextlib.suppress(UsageError, OSError):
        repair(journal)
        if any(one.job.folder.exists() for one in staged):
            return
        last = journal.to_reverse("done")[:1]
        entry = read_entry(journal, last[0], "done") if last and written else None
        if entry and [one.new_text for one in entry.changes] == [one.new_text for one in written]:
            undo(journal)
            journal.path_of(entry.number, "undone").unlink(missing_ok=True)


def _mark(lab: LabPaths, left: set[str], undone: bool) -> None:
    """Mark what was recorded of a save that left these texts."""
    with locked(lab):
        decisions = raw_decisions(lab)
        now = [{**one, "undone": undone} if one.get("text") in left else one for one in decisions]
        if now != decisions:
            write_decisions(lab, now)
        written = _raw_ledger(lab)
        then = [{**one, "undone": undone} if left & set(one["texts"]) else one for one in written]
        if then != written:
            _write_ledger(lab, then)


def _write_ledger(lab: LabPaths, entries: Sequence[dict[str, Any]]) -> None:
    path = lab.private.sync_ledger
    if not is_closed(path):  # nobody knows what it says: its reader tells
        data = json.dumps(list(entries), indent=0).encode()
        write_atomic(path, data, shared_rights(path))


def raw_decisions(lab: LabPaths) -> list[dict[str, Any]]:
    """All decisions as they are kept, oldest first; none where the file is not this user's."""
    record = own_record(lab.private.decisions)
    return list(record["decisions"]) if record.get("v") == VERSION else []


def write_decisions(lab: LabPaths, decisions: Sequence[dict[str, Any]]) -> None:
    """Replace the file of decisions, sealed; with the lock held."""
    write_own(lab.private.decisions, {"v": VERSION, "decisions": list(decisions)})


def _raw_ledger(lab: LabPaths) -> list[dict[str, Any]]:
    """What was written of results; none where that is not read, which its reader tells."""
    try:
        records = read_document(lab.private.sync_ledger)
        is_known = all(isinstance(text, str) for one in records for text in one["texts"])
    except (OSError, ValueError, TypeError, KeyError):
        return []
    return list(records) if is_known else []


def proposal_path(tray: Path, number: int, state: str) -> Path:
    """The file of a proposal in a state."""
    return tray / f"{number:08d}.{state}.json"


@contextmanager
def locked(lab: LabPaths) -> Iterator[None]:
    """Hold the records of what was written against other writers; `UsageError` in vain."""
    lab.private.make()
    path = lab.private.written_lock
    lock = take_lock(path, PATIENCE)
    if lock is None:
        why = f"another process records what it has written{held_by(path)}; try again"
        raise UsageError(f"{path}: {why}")
    try:
        yield
    finally:
        os.close(lock)
