"""Saving documents: all files or none, only over what was read, with a journal for undo."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import glob
import json
import os
import re
import stat
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from vitlab.contract.paths import UNFINISHED, UsageError, sync_folder, write_atomic
from vitlab.docs.text.edit import Conflict, Edit, apply, differences, rebase, reverse
from vitlab.docs.text.source import Document, Span, read

VERSION = 1
LOCK_TIMEOUT = 5.0
"""Seconds to wait for another writer; a save takes a fraction of one."""
KEPT = 200
"""Entries that are kept; older ones cannot be undone any more."""
_STATES = ("done", "undone")
_ENTRY_NAME = re.compile(r"(\d{8})\.(done|undone)\.json")

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
    path = path.resolve()
    names = (f".{path.name}.swp", f".{path.name}.swo", f".#{path.name}", f".~lock.{path.name}#")
    return next((name for name in names if os.path.lexists(path.with_name(name))), None)


# Saving, undoing, redoing


def save(
    changes: Sequence[FileChange],
    journal_folder: Path,
    hook: Hook = _no_hook,
    *,
    undoable: bool = True,
) -> tuple[FileChange, ...]:
    """Write changes, all or none: the journal first, then every file by rename.

    Where a file changed since it was read, the edits are moved to where their text is now;
    Conflict, with nothing written, where one of them cannot be. `undoable` is False for what is
    written often and automatically, so that undo means what a person did. Returns what was written.
    """
    with locked(journal_folder):
        _repair(journal_folder, hook)
        rebased = tuple(c for c in map(_rebased, changes) if c.old_text != c.new_text)
        if not rebased:
            return ()
        entries = entry_states(journal_folder)
        number = entries[-1][0] + 1 if entries else 1
        for old, state in entries if undoable else ():
            if state == "undone" or old <= number - KEPT:
                _entry_path(journal_folder, old, state).unlink(missing_ok=True)
        _write_entry(journal_folder, Entry(number, "done", True, rebased), hook)
        if not undoable:
            _entry_path(journal_folder, number, "done").unlink(missing_ok=True)
        return rebased


def undo(journal_folder: Path, hook: Hook = _no_hook) -> tuple[FileChange, ...]:
    """Undo the last save; edits by others since then stay. Empty when there is none."""
    return _reverse_entry(journal_folder, "done", "undone", hook)


def redo(journal_folder: Path, hook: Hook = _no_hook) -> tuple[FileChange, ...]:
    """Redo what the last undo reverted. Empty when there is nothing."""
    return _reverse_entry(journal_folder, "undone", "done", hook)


def repair(journal_folder: Path) -> tuple[Path, ...]:
    """Finish or forget a save that was interrupted; returns the files that were written."""
    if not journal_folder.is_dir():
        return ()
    with locked(journal_folder):
        return _repair(journal_folder, _no_hook)


def _reverse_entry(folder: Path, state: str, new_state: str, hook: Hook) -> tuple[FileChange, ...]:
    with locked(folder):
        _repair(folder, hook)
        numbers = [number for number, each in entry_states(folder) if each == state]
        if not numbers:
            return ()
        # Undo takes the newest that is done, redo the oldest that was undone.
        number = numbers[-1] if new_state == "undone" else numbers[0]
        entry = read_entry(folder, number, state)
        if entry is None:
            return ()
        rebased = tuple(_rebased(done.reversed) for done in entry.changes)
        _write_entry(folder, Entry(number, new_state, False, rebased), hook)
        return rebased


def _rebased(planned: FileChange) -> FileChange:
    """A change as it applies to the file that is on disk now."""
    path = planned.path.resolve()
    if planned.old_text is None:
        if os.path.lexists(path):
            raise Conflict(f"{planned.path}: exists already; nothing written")
        return replace(planned, path=path)
    text = read(path).text
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


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the journal against other writers; UsageError when one of them keeps it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + LOCK_TIMEOUT
        while not _try_lock(descriptor):
            if time.monotonic() > deadline:
                raise UsageError(f"{folder}: another vitlab is writing documents now; try again")
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def entry_states(folder: Path) -> list[tuple[int, str]]:
    """(number, state) of every entry, oldest first, from the file names alone."""
    matches = (_ENTRY_NAME.fullmatch(path.name) for path in folder.glob("*.json"))
    return sorted((int(match[1]), match[2]) for match in matches if match)


def read_entry(folder: Path, number: int, state: str) -> Entry | None:
    """One entry; None where there is none, or one of another version."""
    return _read(_entry_path(folder, number, state))


def _entry_path(folder: Path, number: int, state: str) -> Path:
    return folder / f"{number:08d}.{state}.json"


def _unfinished(folder: Path) -> Path:
    """The entry that is being written, or whose save was interrupted."""
    return folder / UNFINISHED


def _write_entry(folder: Path, entry: Entry, hook: Hook) -> None:
    """Write an entry and its files; on an error the files already written are reverted."""
    hook("journal")
    write_atomic(_unfinished(folder), _packed_entry(entry))
    written: list[FileChange] = []
    try:
        for planned in entry.changes:
            _write_file(planned, hook)
            written.append(planned)
    except (Conflict, OSError) as error:
        for done in reversed(written):
            _write_file(done.reversed, _no_hook)
        _forget(folder)
        if isinstance(error, Conflict):
            raise
        path = entry.changes[len(written)].path
        raise UsageError(f"{path}: cannot be written ({error.strerror or error})") from error
    hook("journal done")
    _finish(folder, entry)


def _repair(folder: Path, hook: Hook) -> tuple[Path, ...]:
    """Finish an interrupted save if one of its files is written, else forget it."""
    entry = _read(_unfinished(folder))
    if entry is None:
        return ()
    for planned in entry.changes:
        for temporary in planned.path.parent.glob(f".{glob.escape(planned.path.name)}.tmp-*"):
            temporary.unlink(missing_ok=True)
    if not any(_text_of(planned.path) == planned.final_text for planned in entry.changes):
        _forget(folder)
        return ()
    left = [planned for planned in entry.changes if _text_of(planned.path) == planned.old_text]
    for planned in left:
        _write_file(planned, hook)
    _finish(folder, entry)
    return tuple(planned.path for planned in left)


def _finish(folder: Path, entry: Entry) -> None:
    """The files are written: the entry replaces the one of its former state."""
    for state in _STATES:
        if state != entry.state:
            _entry_path(folder, entry.number, state).unlink(missing_ok=True)
    _unfinished(folder).rename(_entry_path(folder, entry.number, entry.state))
    sync_folder(folder)


def _forget(folder: Path) -> None:
    """No file is written: the entry of the former state stays."""
    _unfinished(folder).unlink(missing_ok=True)
    sync_folder(folder)


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
    return json.dumps({**record, "files": files}, ensure_ascii=False).encode()


def _packed_text(text: str | None) -> str | None:
    return None if text is None else base64.b64encode(zlib.compress(text.encode(), 1)).decode()


def _read(path: Path) -> Entry | None:
    try:
        record = json.loads(path.read_bytes())
        if record["v"] != VERSION:
            return None
        changes = tuple(map(_read_change, record["files"]))
        return Entry(int(record["number"]), str(record["state"]), bool(record["fresh"]), changes)
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None


def _read_change(record: dict[str, object]) -> FileChange:
    packed, listed = record["new"], record["edits"]
    new = zlib.decompress(base64.b64decode(str(packed))).decode() if packed is not None else None
    if not isinstance(listed, list):
        raise TypeError("edits")
    edits = tuple(Edit(Span(start, start + len(old)), old, text) for start, old, text in listed)
    # The one edit of a file that was removed still holds its text.
    removed_text = edits[0].old if edits else ""
    old_text = removed_text if new is None else apply(new, reverse(edits))
    path = Path(str(record["path"]))
    return FileChange(path, None if record["made"] else old_text, new or "", edits, new is None)


# Files


def _text_of(path: Path) -> str | None:
    try:
        return read(path).text
    except UsageError:
        return None


def _write_file(planned: FileChange, hook: Hook) -> None:
    """Write or remove one file, durable; its mode and owner are kept."""
    path = planned.path
    if planned.removed:
        hook(f"remove {path.name}")
        path.unlink(missing_ok=True)
        sync_folder(path.parent)
        return
    old = path.stat() if planned.old_text is not None else None
    encoding = "utf-8" if old is None else read(path).encoding
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    hook(f"open {temporary.name}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if old is not None:
                _copy_mode_and_owner(old, file.fileno())
            data = planned.new_text.encode(encoding)
            file.write(data[: len(data) // 2])
            file.flush()
            hook(f"half of {path.name}")
            file.write(data[len(data) // 2 :])
            file.flush()
            hook(f"fsync {path.name}")
            os.fsync(file.fileno())
        if old is not None and _text_of(path) != planned.old_text:
            raise Conflict(f"{path}: changed while it was being written; it is kept as it is now")
        hook(f"rename {path.name}")
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    hook(f"fsync folder of {path.name}")
    sync_folder(path.parent)


def _copy_mode_and_owner(old: os.stat_result, descriptor: int) -> None:
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with contextlib.suppress(PermissionError):  # only root may give files away
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))
