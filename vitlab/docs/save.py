"""Saving documents: all files or none, only over what was read, with a journal for undo."""

from __future__ import annotations

import base64
import contextlib
import glob
import json
import os
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vitlab.contract.paths import (
    UsageError,
    cause,
    real,
    sync_folder,
    write_atomic,
)
from vitlab.docs.journal import MAX_ENTRY, STATES, Journal, Outcome, digest
from vitlab.docs.text import in_place
from vitlab.docs.text.edit import Conflict, Edit, apply, differences, rebase, reverse
from vitlab.docs.text.source import Document, Span, decode, read

VERSION = 2
KEPT = 200
"""Entries that are kept; older ones cannot be undone any more."""

Hook = Callable[[str], None]
"""Called with a name before each step that touches the disk, so that a test can stop it there."""


def _no_hook(name: str) -> None:
    del name


# What is saved


@dataclass(frozen=True)
class FileChange:
    """A change of one file, planned or made."""

    path: Path
    old_text: str | None
    """None: the file is to be made."""
    new_text: str
    """Empty when the file is to be removed."""
    edits: tuple[Edit, ...]
    removed: bool = False
    """The file is to be removed: only in the undo of a change that made it."""

    @property
    def final_text(self) -> str | None:
        """The text afterwards; None for no file."""
        return None if self.removed else self.new_text

    @property
    def reversed(self) -> FileChange:
        """The change that undoes this one."""
        back = reverse(self.edits)
        made = self.old_text is None
        return FileChange(self.path, self.final_text, self.old_text or "", back, made)


def change(document: Document, edits: Sequence[Edit]) -> FileChange:
    """The change of a document that was read from a file."""
    if document.path is None:
        raise ValueError("a document without a path cannot be written")
    return FileChange(document.path, document.text, apply(document.text, edits), tuple(edits))


def create(path: Path, text: str) -> FileChange:
    """The change that makes a new file."""
    return FileChange(path, None, text, (Edit(Span(0, 0), "", text),))


def between(path: Path, old_text: str, new_text: str) -> FileChange:
    """The change from one text to another, where the edits are not known."""
    return FileChange(path, old_text, new_text, differences(old_text, new_text))


def open_elsewhere(path: Path) -> str | None:
    """The name of an editor's swap or lock file beside a document; None when there is none."""
    path = real(path)
    names = (f".{path.name}.swp", f".{path.name}.swo", f".#{path.name}", f".~lock.{path.name}#")
    return next((name for name in names if os.path.lexists(path.with_name(name))), None)


# Saving, undoing, redoing


def save(
    changes: Sequence[FileChange],
    journal: Journal,
    hook: Hook = _no_hook,
    *,
    what: str = "",
    undoable: bool = True,
    exact: bool = False,
    note: Mapping[str, Any] | None = None,
) -> tuple[FileChange, ...]:
    """Write changes, all or none: the journal first, then every file by rename.

    `what` they are of, as `MVP-1.0`, is kept with them, and a `note` for `Journal.settle`.

    Where a file changed since it was read, the edits are moved to where their text is now;
    Conflict, with nothing written, where one of them cannot be. `undoable` is False for what is
    written often and automatically, so that undo means what a person did. `exact`: what is written
    has the next number of a file, so that none may have changed. Returns what was written.
    """
    with journal.locked():
        _repair(journal, hook)
        rebased = tuple(_rebased(journal, change) for change in changes)
        for was, now in zip(changes, rebased, strict=True):
            if exact and now.old_text != was.old_text:
                raise Conflict(f"{was.path}: changed meanwhile; nothing written, try again")
        rebased = tuple(c for c in rebased if c.old_text != c.new_text)
        if not rebased:
            return ()
        names = journal.names()
        if names and names[-1][0] >= 10**8:  # so many saves nobody has made
            _set_foreign_aside(journal)
            names = journal.names()
        number = names[-1][0] + 1 if names else 1
        kept = {key for key in journal.entries()[1 - KEPT :] if key[1] != "undone"}
        for key in names if undoable else ():
            if key not in kept:
                journal.remove(journal.path_of(*key))
        entry = Entry(number, "done", True, rebased, what, time.time(), note or {}, _left(rebased))
        _write_entry(journal, entry, hook)
        if not undoable:
            journal.path_of(number, "done").unlink(missing_ok=True)
        return rebased


@dataclass(frozen=True)
class Reverted:
    """A save that was undone or redone; of no file where there was none."""

    what: str = ""
    """What the save is of; empty where nobody told."""
    changes: tuple[FileChange, ...] = ()
    """Those that undid or redid it."""


def undo(journal: Journal, hook: Hook = _no_hook) -> Reverted:
    """Undo the last save; edits by others since then stay."""
    return _reverse_entry(journal, "done", "undone", hook)


def redo(journal: Journal, hook: Hook = _no_hook) -> Reverted:
    """Redo what the last undo reverted."""
    return _reverse_entry(journal, "undone", "done", hook)


def repair(journal: Journal) -> tuple[Path, ...]:
    """Finish or forget a save that was interrupted; returns the files that were written."""
    if not os.path.lexists(journal.unfinished):
        return ()
    with journal.locked():
        return _repair(journal, _no_hook)


def _reverse_entry(journal: Journal, state: str, new_state: str, hook: Hook) -> Reverted:
    with journal.locked():
        _repair(journal, hook)
        first = journal.to_reverse(state)[:1]
        _set_foreign_aside(journal)
        ordered = journal.to_reverse(state)
        entries = (read_entry(journal, number, state) for number in ordered)
        entry = next((entry for entry in entries if entry), None)
        if entry is None:
            return Reverted()
        if first != ordered[:1]:  # another write than the one that was meant
            word, place = ("undo", "before") if state == "done" else ("redo", "after")
            raise UsageError(
                f"nothing was {word}ne: the entry of that write was set aside; "
                f"{word} again is of the write {place} it"
            )
        backs = [done.reversed for done in entry.changes]
        # A file that the save had made, and that somebody has deleted since, is gone already.
        there = [x for x in backs if not x.removed or os.path.lexists(journal.target(x.path))]
        rebased = tuple(_rebased(journal, back, again=True) for back in there)
        by_save = entry.changes if state == "done" else [one.reversed for one in entry.changes]
        left = entry.left or _left(by_save)  # an older version kept none
        again = replace(entry, state=new_state, fresh=False, changes=rebased, left=left)
        _write_entry(journal, again, hook)
        return Reverted(entry.what, rebased)


def _rebased(journal: Journal, planned: FileChange, *, again: bool = False) -> FileChange:
    """A change as it applies to the file that is on disk now.

    `again`: the change was made once, in the file itself, so that no link may lead to it now.
    """
    path = journal.target(planned.path)
    if again and path != planned.path:
        raise Conflict(f"{planned.path}: is a link to {path} now; nothing written")
    if planned.old_text is None:
        if os.path.lexists(path):
            raise Conflict(f"{planned.path}: exists already; nothing written")
        return replace(planned, path=path)
    text = read(path, edit=True).text
    if not os.access(path, os.W_OK):  # a rename would not mind
        raise Conflict(f"{planned.path}: is read-only; nothing written")
    if planned.removed:
        if text != planned.old_text:
            raise Conflict(f"{planned.path}: changed since it was made; it is kept")
        return replace(planned, path=path)
    edits = planned.edits or differences(planned.old_text, planned.new_text)
    edits = rebase(planned.old_text, text, edits, str(planned.path))
    return FileChange(path, text, apply(text, edits), edits)


# The journal: one file for each save, and one for the save that is being written


@dataclass(frozen=True)
class Entry:
    """One save of one or more files, with the changes made last: by it, its undo or its redo."""

    number: int
    state: str
    """`done` or `undone`; while it is being written, what it becomes."""
    fresh: bool
    """Whether it is the save itself, not an undo or redo of it."""
    changes: tuple[FileChange, ...]
    what: str = ""
    """What it is of, as `MVP-1.0`; empty where nobody told."""
    at: float = 0.0
    """When it was saved, in seconds since 1970; 0 in entries of older versions."""
    note: Mapping[str, Any] = field(default_factory=dict)
    left: tuple[str, ...] = ()
    """Digests of the texts that the save left."""


def _left(changes: Iterable[FileChange]) -> tuple[str, ...]:
    return tuple(digest(one.new_text) for one in changes if not one.removed)


def read_entry(journal: Journal, number: int, state: str) -> Entry | None:
    """One entry; None where there is none, or one that is not of this user."""
    return _read(journal, journal.path_of(number, state), (number, state))


def _set_foreign_aside(journal: Journal) -> None:
    """Set aside the entries that are no work of this user, but for those in files of others."""
    foreign = []
    for number, state in journal.entries():
        path = journal.path_of(number, state)
        own = os.path.lexists(path) and path.lstat().st_uid == os.geteuid()
        if own and _read(journal, path, (number, state)) is None:
            foreign.append(path)
    journal.set_aside(foreign)


def _write_entry(journal: Journal, entry: Entry, hook: Hook) -> None:
    """Write an entry and its files; on an error the files already written are reverted.

    All texts are on disk before the first file is replaced: a full disk changes none.
    """
    hook("journal")
    write_atomic(journal.unfinished, journal.sealed(_packed_entry(entry)))
    prepared: list[Path | None] = []
    written: list[FileChange] = []
    path = journal.unfinished
    try:
        for planned in entry.changes:
            path = planned.path
            prepared.append(None if planned.removed else _prepare(planned, hook))
        for planned, temporary in zip(entry.changes, prepared, strict=True):
            path = planned.path
            _replace(journal, planned, temporary, hook)
            written.append(planned)
        _make_durable(entry.changes, hook)
    except (UsageError, OSError) as error:
        kept = _take_back(journal, written)
        with contextlib.suppress(OSError):  # what could not be taken back is told first
            _forget(journal)
        if isinstance(error, OSError):
            why = f"{path}: cannot be written ({error.strerror or error})"
            raise UsageError(why + kept) from error
        raise type(error)(f"{error}{kept}") from error
    finally:
        for left in filter(None, prepared):
            left.unlink(missing_ok=True)
    hook("journal done")
    _finish(journal, entry)


def _take_back(journal: Journal, written: Sequence[FileChange]) -> str:
    """Revert files that are written already; names those in which others have written since."""
    kept = []
    for done in reversed(written):
        try:
            back = _rebased(journal, done.reversed)
            prepared = None if back.removed else _prepare(back, _no_hook)
            _replace(journal, back, prepared, _no_hook)
            _make_durable([back], _no_hook)
        except (UsageError, OSError) as error:
            kept.append(f"; {done.path} keeps what was written ({cause(error)})")
    return "".join(kept)


def _repair(journal: Journal, hook: Hook) -> tuple[Path, ...]:
    """Finish an interrupted save if one of its files is written, else forget it."""
    if not os.path.lexists(journal.unfinished):
        return ()
    entry = _read(journal, journal.unfinished)
    if entry is None:
        journal.set_aside([journal.unfinished])
        return ()
    here = [planned for planned in entry.changes if journal.is_in_place(planned.path)]
    for planned in here:
        for temporary in planned.path.parent.glob(f".{glob.escape(planned.path.name)}.tmp-*"):
            with contextlib.suppress(OSError):
                temporary.unlink()
    done = [planned for planned in here if _has_text(planned.path, planned.final_text)]
    if not done:
        _forget(journal)
        return ()
    left = [planned for planned in here if _has_text(planned.path, planned.old_text)]
    for planned in left:
        prepared = None if planned.removed else _prepare(planned, hook)
        _replace(journal, planned, prepared, hook)
    _make_durable(left, hook)
    for planned in entry.changes:
        if planned not in done and planned not in left:
            was = "was changed since a save was interrupted"
            journal.tell(f"journal: {planned.path} {was}; it is kept as it is")
    _finish(journal, entry)
    return tuple(planned.path for planned in left)


def _finish(journal: Journal, entry: Entry) -> None:
    """The files are written: the entry replaces the one of its former state."""
    texts = {one.path: one.new_text for one in entry.changes if not one.removed}
    undone = entry.state == "undone"
    journal.settle(Outcome(entry.fresh, undone, texts, entry.left, entry.note))
    for state in STATES:
        journal.remove(journal.path_of(entry.number, state))
    journal.unfinished.rename(journal.path_of(entry.number, entry.state))
    sync_folder(journal.folder)


def _forget(journal: Journal) -> None:
    """No file is written: the entry of the former state stays."""
    journal.unfinished.unlink(missing_ok=True)
    sync_folder(journal.folder)


def _packed_entry(entry: Entry) -> bytes:
    files = [
        {
            "path": str(change.path),
            "made": change.old_text is None,
            "new": _packed_text(change.final_text),
            "edits": [[e.span.start, e.old, e.new] for e in change.edits],
        }
        for change in entry.changes
    ]
    record = {"v": VERSION, "number": entry.number, "state": entry.state, "fresh": entry.fresh}
    record |= {"what": entry.what, "at": entry.at, "note": entry.note, "left": entry.left}
    text = json.dumps({**record, "files": files}, ensure_ascii=False)
    return text.encode("utf-8", "surrogateescape")


def _packed_text(text: str | None) -> str | None:
    return None if text is None else base64.b64encode(zlib.compress(text.encode(), 1)).decode()


def _read(journal: Journal, path: Path, key: tuple[int, str] | None = None) -> Entry | None:
    """The entry in a file; None unless it has the seal, and is the one of a number and state."""
    body = journal.read(path)
    if body is None:
        return None
    try:
        record = json.loads(body.decode("utf-8", "surrogateescape"))
        if record["v"] != VERSION or key not in (None, (record["number"], record["state"])):
            return None
        changes = tuple(map(_read_change, record["files"]))
        return Entry(
            int(record["number"]),
            str(record["state"]),
            bool(record["fresh"]),
            changes,
            str(record.get("what", "")),
            float(record.get("at", 0.0)),
            dict(record.get("note", {})),
            tuple(map(str, record.get("left", ()))),
        )
    except (ValueError, KeyError, TypeError, zlib.error, Conflict):
        return None


def _read_change(record: dict[str, object]) -> FileChange:
    packed, listed = record["new"], record["edits"]
    new = _unpacked_text(str(packed)) if packed is not None else None
    if not isinstance(listed, list):
        raise TypeError("edits")
    edits = tuple(Edit(Span(start, start + len(old)), old, text) for start, old, text in listed)
    # The one edit of a file that was removed still holds its text.
    removed_text = edits[0].old if edits else ""
    old_text = removed_text if new is None else apply(new, reverse(edits))
    path = Path(str(record["path"]))
    return FileChange(path, None if record["made"] else old_text, new or "", edits, new is None)


def _unpacked_text(packed: str) -> str:
    unpacking = zlib.decompressobj()
    data = unpacking.decompress(base64.b64decode(packed), MAX_ENTRY)
    if not unpacking.eof:
        raise ValueError(f"a text of more than {MAX_ENTRY >> 20} MiB")
    return data.decode()


# Files


def _has_text(path: Path, text: str | None) -> bool:
    """Whether a file has this text; of None, whether there is no such file."""
    if text is None:
        return not os.path.lexists(path)
    try:
        return read(path).text == text
    except UsageError:
        return False


def _prepare(planned: FileChange, hook: Hook) -> Path:
    """Write a file's new text beside it, durable; its mode and owner are kept."""
    path = planned.path
    old = path.stat() if planned.old_text is not None else None
    encoding = "utf-8" if old is None else read(path).encoding
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    hook(f"open {temporary.name}")
    temporary.unlink(missing_ok=True)  # it may be another's, or a link
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if old is not None:
                _copy_owner(old, file.fileno())
                in_place.copy_rights(path, temporary)
            data = planned.new_text.encode(encoding)
            file.write(data[: len(data) // 2])
            file.flush()
            hook(f"half of {path.name}")
            file.write(data[len(data) // 2 :])
            file.flush()
            hook(f"fsync {path.name}")
            os.fsync(file.fileno())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _replace(journal: Journal, planned: FileChange, prepared: Path | None, hook: Hook) -> None:
    """Put the prepared file in the place of the one it was made from, or remove that one."""
    path = planned.path
    hook(f"{'remove' if prepared is None else 'rename'} {path.name}")
    if planned.old_text is None:
        if os.path.lexists(path):
            raise Conflict(f"{path}: {in_place.CHANGED}")
        try:
            in_place.put(path, prepared, None)
        except UsageError as error:
            raise Conflict(str(error)) from None
        return
    has_others = prepared is not None and os.path.lexists(path) and path.stat().st_nlink > 1
    try:
        told = in_place.swap(path, prepared, lambda data: decode(data).text == planned.old_text)
    except UsageError as error:
        raise Conflict(str(error)) from None
    if told:
        journal.tell(f"{path}: {told}")
    if has_others:
        journal.tell(f"{path}: has other names (hard links), which keep what it said before")


def _make_durable(changes: Sequence[FileChange], hook: Hook) -> None:
    """Make what was renamed or removed durable."""
    for folder in dict.fromkeys(planned.path.parent for planned in changes):
        hook(f"fsync folder {folder.name}")
        sync_folder(folder)


def _copy_owner(old: os.stat_result, descriptor: int) -> None:
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(PermissionError):  # only root may give files away
            os.fchown(descriptor, old.st_uid, old.st_gid)
