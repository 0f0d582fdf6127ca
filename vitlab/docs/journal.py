"""The record of what is written to documents, on disk before the documents are."""

from __future__ import annotations

import base64
import fcntl
import json
import os
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.paths import UsageError, sync_folder, write_atomic
from vitlab.docs.source import Span
from vitlab.docs.splice import Edit, apply, reverse, unified

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
