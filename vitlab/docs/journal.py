"""The folder of a journal: sealed files, one for each save, their lock, and what is set aside."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import socket
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitlab.contract.paths import NO_LOCKS, UNFINISHED, UsageError, real
from vitlab.contract.reading import read_regular
from vitlab.contract.user_key import is_sealed, seal

LOCK_TIMEOUT = 5.0
"""Seconds to wait for another writer; a save takes a fraction of one."""
MAX_ENTRY = 64 << 20
"""Bytes of an entry, and of a text in it; a larger change is not made."""
MAX_BYTES = 4 * MAX_ENTRY
"""Of all entries: to know whose one is, all of it is read; the oldest beyond are not looked at."""
STATES = ("done", "undone")
_ENTRY_NAME = re.compile(r"(\d{8,200})\.(done|undone)\.json")


def _keep_silent(line: object) -> None:
    del line


def digest(text: str) -> str:
    """Of a text that a save left, by which its undo is known."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True)
class Outcome:
    """What a save, its undo or its redo has come to, for records beside the documents."""

    fresh: bool
    """Whether it is the save itself."""
    undone: bool
    texts: Mapping[Path, str]
    """What it leaves in each file."""
    left: tuple[str, ...]
    """Digests of the texts that the save left."""
    note: Mapping[str, Any]
    """What was noted with the save."""


@dataclass(frozen=True)
class Journal:
    """Where saves are kept for undo: those of a lab's documents, or of documents in no lab.

    Every file has the seal of this user and of this folder: what somebody else put here, or copied
    here from another lab, is never applied.
    """

    folder: Path
    root: Path | None
    """The lab, outside which nothing is written; None: the user's own journal."""
    tell: Callable[[str], None] = field(default=_keep_silent, compare=False)
    """Called with what is set aside or not written, a line each."""
    settle: Callable[[Outcome], None] = field(default=_keep_silent, compare=False)
    """Called once files are written, before the entry is finished; again if that was prevented."""
    _foreign: set[tuple[object, ...]] = field(default_factory=set, compare=False)
    """Files that have not the seal, as they were when that was found."""

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the journal against other writers; UsageError when one of them keeps it."""
        if self.root is not None and not self.root.is_dir():  # it is not made again
            raise UsageError(f"{self.root}: the lab is gone; nothing written")
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "lock"
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            self.set_aside([path])
        with contextlib.ExitStack() as held:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(path, flags, 0o666)
            held.callback(os.close, descriptor)
            deadline = time.monotonic() + LOCK_TIMEOUT
            while not _try_lock(descriptor, path, held):
                if time.monotonic() > deadline:
                    raise UsageError(
                        f"{self.folder}: another vitlab is writing documents now; try again"
                    )
                time.sleep(0.02)
            yield

    def names(self) -> list[tuple[int, str]]:
        """(number, state) of every entry, oldest first, from the file names alone."""
        matches = (_ENTRY_NAME.fullmatch(path.name) for path in self.folder.glob("*.json"))
        return sorted((int(match[1]), match[2]) for match in matches if match)

    def entries(self) -> list[tuple[int, str]]:
        """Those that may be read, oldest first: the newest, of at most `MAX_BYTES` together."""
        newest, left = [], MAX_BYTES
        for key in reversed(self.names()):
            with contextlib.suppress(OSError):
                left -= self.path_of(*key).lstat().st_size
            if left < 0:
                break
            newest.append(key)
        return newest[::-1]

    def to_reverse(self, state: str) -> list[int]:
        """Numbers of a state in their order: undo takes the newest, redo the oldest undone."""
        numbers = [number for number, each in self.entries() if each == state]
        return numbers[::-1] if state == "done" else numbers

    def path_of(self, number: int, state: str) -> Path:
        """The file of an entry."""
        return self.folder / f"{number:08d}.{state}.json"

    @property
    def unfinished(self) -> Path:
        """The entry that is being written, or whose save was interrupted."""
        return self.folder / UNFINISHED

    def sealed(self, body: bytes) -> bytes:
        """An entry as in its file: a line with its seal, and the body."""
        if len(body) > MAX_ENTRY - 100:
            raise UsageError(f"the change is larger than {MAX_ENTRY >> 20} MiB; nothing written")
        return seal(*self._parts(body)).encode() + b"\n" + body

    def read(self, path: Path) -> bytes | None:
        """The body of an entry; None for a file that is none, or has not the seal."""
        try:
            found = path.lstat()
            known = path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
            if known in self._foreign:
                return None
            mark, _, body = read_regular(path, MAX_ENTRY).partition(b"\n")
        except OSError:
            return None
        if is_sealed(mark.decode("latin-1"), *self._parts(body)):
            return body
        self._foreign.add(known)
        return None

    def _parts(self, body: bytes) -> tuple[bytes, ...]:
        return b"journal", os.fsencode(real(self.folder)), body

    def set_aside(self, paths: Sequence[Path]) -> None:
        """Rename what is not of this user, so that nothing reads it again, and tell it."""
        if not paths:
            return
        for path in paths:
            number, aside = 1, path.with_name(f"{path.name}.aside")
            while os.path.lexists(aside):
                number, aside = number + 1, path.with_name(f"{path.name}.aside{number}")
            path.rename(aside)
        if len(paths) == 1:
            what = f"{paths[0].name} does not belong to this user, or was changed"
        else:
            what = f"{len(paths)} entries do not belong to this user, or were changed"
        self.tell(f"journal: {what}; set aside")

    def remove(self, path: Path) -> None:
        """Forget an entry; what is no file is set aside."""
        try:
            path.unlink(missing_ok=True)
        except (IsADirectoryError, PermissionError):
            self.set_aside([path])

    def target(self, path: Path) -> Path:
        """The file that `path` is or leads to; UsageError for one outside the lab."""
        target = real(path)
        if self.root is None or target.is_relative_to(real(self.root)):
            return target
        how = "is a link to" if path.is_symlink() else "is"
        raise UsageError(f"{path}: {how} {target}, outside the lab {self.root}; nothing written")

    def is_in_place(self, path: Path) -> bool:
        """Whether a file that was written is still itself, no link, and in the lab."""
        with contextlib.suppress(UsageError):
            return self.target(path) == path
        return False


def _try_lock(descriptor: int, path: Path, held: contextlib.ExitStack) -> bool:
    """Whether the lock is taken now; what keeps it beside the descriptor goes into `held`."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            error.filename = str(path)
            raise
        return _try_name(os.fstat(descriptor), held)
    return True


def _try_name(found: os.stat_result, held: contextlib.ExitStack) -> bool:
    """The same by a name that one process of this machine can have, on a disk without locks.

    Two machines can write at once there: no document is lost, as each is compared before it is
    replaced.
    """
    name = held.enter_context(socket.socket(socket.AF_UNIX))
    try:
        name.bind(f"\0vitlab journal {found.st_dev} {found.st_ino}")
    except OSError as error:
        name.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return False
    return True
