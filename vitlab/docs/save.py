"""Writing documents: atomically, only over what was read, journaled first for undo."""

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

from vitlab.contract.paths import UsageError, sync_folder, write_atomic
from vitlab.docs.text.edit import Conflict, Edit, apply, differences, rebase, reverse, unified
from vitlab.docs.text.source import Document, Span, read

VERSION = 1
PATIENCE = 5.0
"""Seconds to wait for another writer; a save takes a fraction of one."""
KEPT = 200
"""Entries that are kept; older ones cannot be undone any more."""


_UNFINISHED = "unfinished.json"
_STATES = ("done", "undone")
_NAME = re.compile(r"(\d{8})\.(done|undone)\.json")


@dataclass(frozen=True)
class FileChange:
    """A change of one file, planned or made."""

    path: Path
    old_text: str | None
    """None for a file that is to be made."""
    new_text: str
    """Empty for a file that is taken away."""
    edits: tuple[Edit, ...]
    removed: bool = False
    """The file is taken away: only in the undo of one that was made."""

    @property
    def after(self) -> str | None:
        """The text that is there afterwards; None for no file."""
        return None if self.removed else self.new_text

    @property
    def reversed(self) -> FileChange:
        """The change that takes this one back."""
        back = reverse(self.edits)
        return FileChange(self.path, self.after, self.old_text or "", back, self.old_text is None)

    @property
    def diff(self) -> str:
        """The unified diff."""
        return unified(self.old_text, self.after, self.path)


@dataclass(frozen=True)
class Entry:
    """One save, over one or more files; its changes are those made last, back or forth."""

    number: int
    state: str
    """`done` or `undone`; of the entry that is being written, what it is to become."""
    fresh: bool
    """Never completed before: a save, and no undo or redo of one."""
    changes: tuple[FileChange, ...]


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the journal against a second writer; UsageError when another keeps it."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _taken(descriptor):
            if time.monotonic() > deadline:
                raise UsageError(f"{folder}: another vitlab is writing documents now; try again")
            time.sleep(0.02)
        yield
    finally:
        os.close(descriptor)


def states(folder: Path) -> list[tuple[int, str]]:
    """(number, state) of every entry, oldest first; told by the names, no file is read."""
    found = (_NAME.fullmatch(path.name) for path in folder.glob("*.json"))
    return sorted((int(name[1]), name[2]) for name in found if name)


def entry(folder: Path, number: int, state: str) -> Entry | None:
    """One entry; None where it is not there, or of another version."""
    return _read(_path(folder, number, state))


def unfinished(folder: Path) -> Entry | None:
    """The entry that is being written, or that a crash cut short."""
    return _read(folder / _UNFINISHED)


def begin(folder: Path, new: Entry) -> None:
    """Write down what is about to be written, durable."""
    files = [
        {
            "path": str(change.path),
            "made": change.old_text is None,
            "new": _pack(change.after),
            "edits": [[e.span.start, e.old, e.new] for e in change.edits],
        }
        for change in new.changes
    ]
    document = {
        "v": VERSION,
        "number": new.number,
        "state": new.state,
        "fresh": new.fresh,
        "files": files,
    }
    text = json.dumps(document, ensure_ascii=False)
    write_atomic(folder / _UNFINISHED, text.encode())


def finish(folder: Path, done: Entry) -> None:
    """Its files are written: the entry takes its place, and that of its former state is gone."""
    for state in _STATES:
        if state != done.state:
            _path(folder, done.number, state).unlink(missing_ok=True)
    (folder / _UNFINISHED).rename(_path(folder, done.number, done.state))
    sync_folder(folder)


def forget(folder: Path) -> None:
    """None of its files is written: the entry never was; its former state still stands."""
    (folder / _UNFINISHED).unlink(missing_ok=True)
    sync_folder(folder)


def drop(folder: Path, number: int, state: str) -> None:
    """Take an entry away for good."""
    _path(folder, number, state).unlink(missing_ok=True)


def _path(folder: Path, number: int, state: str) -> Path:
    return folder / f"{number:08d}.{state}.json"


def _pack(text: str | None) -> str | None:
    return None if text is None else base64.b64encode(zlib.compress(text.encode(), 1)).decode()


def _read(path: Path) -> Entry | None:
    try:
        document = json.loads(path.read_bytes())
        if document["v"] != VERSION:
            return None
        return Entry(
            int(document["number"]),
            str(document["state"]),
            bool(document["fresh"]),
            tuple(map(_change, document["files"])),
        )
    except (OSError, ValueError, KeyError, TypeError, zlib.error):
        return None


def _change(record: dict[str, object]) -> FileChange:
    packed, listed = record["new"], record["edits"]
    new = zlib.decompress(base64.b64decode(str(packed))).decode() if packed is not None else None
    if not isinstance(listed, list):
        raise TypeError("edits")
    edits = tuple(Edit(Span(s, s + len(old)), old, text) for s, old, text in listed)
    made = bool(record["made"])
    # Of a file that was taken away its one edit still holds what it said.
    taken = edits[0].old if edits else ""
    old_text = taken if new is None else apply(new, reverse(edits))
    path = Path(str(record["path"]))
    return FileChange(path, None if made else old_text, new or "", edits, new is None)


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
        past = states(journal_folder)
        number = past[-1][0] + 1 if past else 1
        for old, state in past if undoable else ():
            if state == "undone" or old <= number - KEPT:
                drop(journal_folder, old, state)
        _carry_out(journal_folder, Entry(number, "done", True, now), step)
        if not undoable:
            drop(journal_folder, number, "done")
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
        numbers = [number for number, state in states(folder) if state == at]
        if not numbers:
            return ()
        # Undo takes the newest that is done; redo the oldest that was undone.
        number = numbers[-1] if to == "undone" else numbers[0]
        made = entry(folder, number, at)
        if made is None:
            return ()
        now = tuple(_onto_disk(done.reversed) for done in made.changes)
        _carry_out(folder, Entry(number, to, False, now), step)
        return now


def _carry_out(folder: Path, entry: Entry, step: Step) -> None:
    step("journal")
    begin(folder, entry)
    written: list[FileChange] = []
    try:
        for planned in entry.changes:
            _write(planned, step)
            written.append(planned)
    except (Conflict, OSError) as error:
        for done in reversed(written):
            _write(done.reversed, _go_on)
        forget(folder)
        if isinstance(error, Conflict):
            raise
        where = entry.changes[len(written)].path
        raise UsageError(f"{where}: cannot be written ({error.strerror or error})") from error
    step("journal done")
    finish(folder, entry)


def _repair(folder: Path, step: Step) -> tuple[Path, ...]:
    """A cut-short save of which a file is written is finished; one of which none is, forgotten."""
    entry = unfinished(folder)
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
        finish(folder, entry)
    else:
        forget(folder)
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
