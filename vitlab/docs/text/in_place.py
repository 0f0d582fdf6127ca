"""Files that another program writes in place: what is read of one meanwhile may be half a text.

Editors, `scp` and `rsync --inplace` truncate a file and write it anew. The kernel tells whether
somebody has it open for writing (a lease), on disks of this machine and for the file's owner;
elsewhere only its age does.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from vitlab.contract.paths import UsageError, remove_leftovers
from vitlab.contract.reading import open_regular, read_opened

CHANGED = "changed while it was being written; it is kept as it is now"
YOUNG = 0.3
"""Seconds without a write after which a file is taken for whole, where no lease can be had."""
AT_WORK = 1.0
"""Seconds since the last write within which who has a file open is taken to be writing it."""
LOOK, EDIT = 0.5, 1.0
"""Seconds that a look, and an edit, wait for such a program."""
LOCAL = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs", "zfs"})
"""Kinds of disks, as Linux names them, on which a refused lease means that the file is open."""
_PAUSE = 0.02
_OWN: dict[str, tuple[int, ...]] = {}
"""What this process wrote itself, as it was then: nobody else is at work in it."""


def hold(descriptor: int) -> bool | None:
    """Let nobody open a file for writing until its descriptor is closed.

    False where somebody has it open so; None where that cannot be known.
    """
    try:
        # Who wants to write makes the kernel signal us: by one that does nothing, not by SIGIO.
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        known = error.errno == errno.EAGAIN and _is_local(os.fstat(descriptor).st_dev)
        return False if known else None
    return True


@cache
def _is_local(device: int) -> bool:
    """Whether files of this device are on a disk of this machine, as `st_dev` says it.

    NFS refuses a lease in the same way where nobody has the file open.
    """
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    fields = [line.split(" ") for line in mounts.splitlines()]
    kinds = {one[one.index("-") + 1] for one in fields if one[2] == number and "-" in one}
    return bool(kinds) and kinds <= LOCAL


@contextmanager
def whole(path: Path, *, edit: bool) -> Iterator[tuple[int, bool]]:
    """A descriptor of a file, held if it can be, and whether no other program writes it now.

    One that does is waited for; raises as `open_regular` does.
    """
    deadline, last = time.monotonic() + (EDIT if edit else LOOK), None
    while True:
        descriptor = open_regular(path, follow=True)
        try:
            found = os.fstat(descriptor)
            age, mark = time.time() - found.st_mtime, _mark(found)
            held = hold(descriptor)
            if edit and held is None:
                is_whole = age >= YOUNG or mark in (last, _OWN.get(str(path)))
            else:
                is_whole = held is not False
            late = time.monotonic() > deadline or (not edit and held is False and age > AT_WORK)
            if is_whole or late:
                yield descriptor, is_whole
                return
        finally:
            os.close(descriptor)
        last = mark
        time.sleep(YOUNG if held is None else _PAUSE)


def swap(path: Path, prepared: Path | None, same: Callable[[bytes], bool]) -> Path | None:
    """Put another file in the place of one, or None, as long as its bytes are the `same`.

    `UsageError` where they are not, or another program writes it. What one has written into it all
    the same, in between, is kept in the file returned.
    """
    try:
        with whole(path, edit=True) as (descriptor, is_whole):
            data = read_opened(descriptor, path)
            is_there = os.path.samestat(path.stat(), os.fstat(descriptor))
            if not (is_whole and is_there and same(data)):
                raise UsageError(f"{path}: {CHANGED}")
            put(path, prepared)
            late = _written_since(descriptor, path, data)
    except FileNotFoundError:
        raise UsageError(f"{path}: {CHANGED}") from None
    return None if late is None else _kept(path, late)


def put(path: Path, prepared: Path | None) -> None:
    """Put a file in the place of `path`, or None."""
    if prepared is None:
        path.unlink(missing_ok=True)
        return
    prepared.replace(path)
    _OWN[str(path)] = _mark(path.stat())
    remove_leftovers(path)


def _written_since(descriptor: int, path: Path, data: bytes) -> bytes | None:
    """What another program has written into a file since it was replaced; None where nothing.

    `data`: what was in it. Who has it open now is waited for.
    """
    with contextlib.suppress(OSError):  # who waits to open it goes on
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    deadline = time.monotonic() + EDIT
    while hold(descriptor) is False and time.monotonic() < deadline:
        time.sleep(_PAUSE)
    now = read_opened(descriptor, path)
    return now if now != data else None


def _kept(path: Path, data: bytes) -> Path:
    """Where this is written beside a document; the name is none of a document."""
    for number in itertools.count(1):
        kept = path.with_name(f"{path.name}.kept{number}")
        with contextlib.suppress(FileExistsError), kept.open("xb") as file:
            file.write(data)
            return kept
    raise AssertionError


def _mark(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
