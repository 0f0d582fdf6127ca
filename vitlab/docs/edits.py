"""Writing documents: whole or not at all, only over what was read, and never without a way back."""

from __future__ import annotations

import contextlib
import glob
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from vitlab.contract.paths import UsageError, sync_folder
from vitlab.docs import journal
from vitlab.docs.journal import KEPT, Entry, FileChange, locked
from vitlab.docs.source import Document, Span, read
from vitlab.docs.splice import (
    Conflict,
    Edit,
    apply,
    differences,
    rebase,
    reverse,
    unified,
)

__all__ = [
    "Conflict", "Edit", "FileChange", "apply", "between", "change", "create", "open_elsewhere",
    "rebase", "redo", "repair", "reverse", "save", "undo", "unified",
]  # fmt: skip

Step = Callable[[str], None]
"""Called with a name before each step that touches the disk, so that a test can stop it there."""


def _go_on(name: str) -> None:
    del name


def change(document: Document, edits: Sequence[Edit]) -> FileChange:
    """The change that edits make to a document that was read from a file."""
    if document.path is None:
        raise ValueError("a document without a path cannot be written")
    return FileChange(document.path, document.text, apply(document.text, edits), tuple(edits))


def create(path: Path, text: str) -> FileChange:
    """The change that makes a new file."""
    return FileChange(path, None, text, (Edit(Span(0, 0), "", text),))


def between(path: Path, old_text: str, new_text: str) -> FileChange:
    """The change that leads from one text to another, where only the two are known."""
    return FileChange(path, old_text, new_text, differences(old_text, new_text))


def save(
    changes: Sequence[FileChange],
    journal_folder: Path,
    step: Step = _go_on,
    *,
    undoable: bool = True,
) -> tuple[FileChange, ...]:
    """Write changes, all or none: the journal first, then every file by rename.

    Not `undoable`: the journal guards the write and then forgets it, for what is written often
    and by itself, so that undo keeps meaning what a person did.

    A file that moved on since it was read keeps what others wrote: the edits are found again in
    it. Conflict, with nothing written, where one of them cannot be. Returns what was written.
    """
    with locked(journal_folder):
        _repair(journal_folder, step)
        now = tuple(c for c in map(_onto_disk, changes) if c.old_text != c.new_text)
        if not now:
            return ()
        past = journal.states(journal_folder)
        number = past[-1][0] + 1 if past else 1
        for old, state in past if undoable else ():
            if state == "undone" or old <= number - KEPT:
                journal.drop(journal_folder, old, state)
        _carry_out(journal_folder, Entry(number, "done", True, now), step)
        if not undoable:
            journal.drop(journal_folder, number, "done")
        return now


def undo(journal_folder: Path, step: Step = _go_on) -> tuple[FileChange, ...]:
    """Take the last save back; edits by others since then stay. Empty when there is none."""
    return _turn(journal_folder, "done", "undone", step)


def redo(journal_folder: Path, step: Step = _go_on) -> tuple[FileChange, ...]:
    """Make again what the last undo took back. Empty when there is nothing."""
    return _turn(journal_folder, "undone", "done", step)


def repair(journal_folder: Path) -> tuple[Path, ...]:
    """Finish or forget a save that was cut short; the files that were brought forward."""
    if not journal_folder.is_dir():
        return ()
    with locked(journal_folder):
        return _repair(journal_folder, _go_on)


def open_elsewhere(path: Path) -> str | None:
    """The name of an editor's swap or lock file beside a document; None when there is none."""
    path = path.resolve()
    signs = (f".{path.name}.swp", f".{path.name}.swo", f".#{path.name}", f".~lock.{path.name}#")
    return next((sign for sign in signs if os.path.lexists(path.with_name(sign))), None)


def _turn(folder: Path, at: str, to: str, step: Step) -> tuple[FileChange, ...]:
    with locked(folder):
        _repair(folder, step)
        numbers = [number for number, state in journal.states(folder) if state == at]
        if not numbers:
            return ()
        # Undo takes the newest that is done; redo the oldest that was undone.
        number = numbers[-1] if to == "undone" else numbers[0]
        entry = journal.entry(folder, number, at)
        if entry is None:
            return ()
        now = tuple(_onto_disk(done.reversed) for done in entry.changes)
        _carry_out(folder, Entry(number, to, False, now), step)
        return now


def _carry_out(folder: Path, entry: Entry, step: Step) -> None:
    step("journal")
    journal.begin(folder, entry)
    written: list[FileChange] = []
    try:
        for planned in entry.changes:
            _write(planned, step)
            written.append(planned)
    except (Conflict, OSError) as error:
        for done in reversed(written):
            _write(done.reversed, _go_on)
        journal.forget(folder)
        if isinstance(error, Conflict):
            raise
        where = entry.changes[len(written)].path
        raise UsageError(f"{where}: cannot be written ({error.strerror or error})") from error
    step("journal done")
    journal.finish(folder, entry)


def _repair(folder: Path, step: Step) -> tuple[Path, ...]:
    """A cut-short save of which a file is written is finished; one of which none is, forgotten."""
    entry = journal.unfinished(folder)
    if entry is None:
        return ()
    forward: list[Path] = []
    for planned in entry.changes:
        for left in planned.path.parent.glob(f".{glob.escape(planned.path.name)}.tmp-*"):
            left.unlink(missing_ok=True)
    if any(_text_at(planned.path) == planned.after for planned in entry.changes):
        for planned in entry.changes:
            if _text_at(planned.path) == planned.old_text:
                _write(planned, step)
                forward.append(planned.path)
        journal.finish(folder, entry)
    else:
        journal.forget(folder)
    return tuple(forward)


def _text_at(path: Path) -> str | None:
    try:
        return read(path).text
    except UsageError:
        return None


def _onto_disk(planned: FileChange) -> FileChange:
    """A change as it is to be made to the file that is there now."""
    path = planned.path.resolve()
    if planned.old_text is None:
        if os.path.lexists(path):
            raise Conflict(f"{planned.path}: exists already; nothing written")
        return replace(planned, path=path)
    text = read(path).text
    if planned.removed:
        if text != planned.old_text:
            raise Conflict(f"{planned.path}: changed since it was made; it stays")
        return replace(planned, path=path)
    known = planned.edits or differences(planned.old_text, planned.new_text)
    edits = rebase(planned.old_text, text, known, str(planned.path))
    return FileChange(path, text, apply(text, edits), edits)


def _write(planned: FileChange, step: Step) -> None:
    """Put one file into its new state, durable; mode and owner stay those of the old file."""
    path = planned.path
    if planned.removed:
        step(f"remove {path.name}")
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
        return
    old = path.stat() if planned.old_text is not None else None
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    step(f"open {temporary.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if old is not None:
                _like(file.fileno(), old)
            data = planned.new_text.encode()
            file.write(data[: len(data) // 2])
            file.flush()
            step(f"half of {path.name}")
            file.write(data[len(data) // 2 :])
            file.flush()
            step(f"fsync {path.name}")
            os.fsync(file.fileno())
        if old is not None and _text_at(path) != planned.old_text:
            raise Conflict(f"{path}: changed while it was being written; it stays as it is now")
        step(f"rename {path.name}")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    step(f"fsync folder of {path.name}")
    sync_folder(path.parent)


def _like(descriptor: int, old: os.stat_result) -> None:
    """Give a new file the mode of the old one, and its owner as far as this user may."""
    own = os.fstat(descriptor)
    if (own.st_uid, own.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(PermissionError):  # only root gives files away
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
