"""Puts files in the place of those that another program may be writing: no edit of it is lost."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from vitlab.contract.paths import UsageError, cause, remove_leftovers
from vitlab.contract.reading import EDIT, OWN, PAUSE, hold, mark_of, read_opened, whole

_HERE, _EXCHANGE = -100, 2
"""AT_FDCWD and RENAME_EXCHANGE of Linux."""
CHANGED = "changed while it was being written; it is kept as it is now"


def swap(path: Path, prepared: Path | None, same: Callable[[bytes], bool]) -> str:
    """Put another file in the place of one, or None, as long as its bytes are the `same`.

    `UsageError` where they are not, or another program writes it. What one has written into it all
    the same, in between, is kept beside it; where, for people, or why not, is returned.
    """
    try:
        with whole(path, edit=True) as (descriptor, is_whole):
            data, old = read_opened(descriptor, path), os.fstat(descriptor)
            if not (is_whole and os.path.samestat(path.stat(), old) and same(data)):
                raise UsageError(f"{path}: {CHANGED}")
            put(path, prepared, old)
            return _told(path, descriptor, data)
    except FileNotFoundError:
        raise UsageError(f"{path}: {CHANGED}") from None


def put(path: Path, prepared: Path | None, old: os.stat_result | None) -> None:
    """Put a file, or None, in the place of the one that is `old`, or of none.

    `UsageError` where another has come there in this moment: a program that saves by renaming.
    """
    new = prepared.stat() if prepared else None
    if old is None or new is None or prepared is None:
        _put_one(path, prepared, old)
    elif _exchange(prepared, path):
        if not os.path.samestat(prepared.lstat(), old):
            if not (_exchange(prepared, path) and os.path.samestat(prepared.lstat(), new)):
                _kept(path, prepared.read_bytes())
            raise UsageError(f"{path}: {CHANGED}")
        prepared.unlink()
    else:  # some disks cannot
        prepared.replace(path)
    if prepared is not None:
        OWN[str(path)] = mark_of(path.stat())
        remove_leftovers(path)


def _put_one(path: Path, prepared: Path | None, old: os.stat_result | None) -> None:
    """The same of a file that is made or removed."""
    if prepared is None:
        if old is not None:
            _remove(path, old)
        return
    try:
        os.link(prepared, path)
    except FileExistsError:
        raise UsageError(f"{path}: {CHANGED}") from None
    except OSError:  # some disks have no links
        prepared.replace(path)
    else:
        prepared.unlink()


def _remove(path: Path, old: os.stat_result) -> None:
    aside = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    path.rename(aside)
    is_old = os.path.samestat(aside.stat(), old)
    try:
        if not is_old:
            os.link(aside, path)
    except OSError:
        _kept(path, aside.read_bytes())
    aside.unlink()
    if not is_old:
        raise UsageError(f"{path}: {CHANGED}")


def _exchange(one: Path, other: Path) -> bool:
    """Let two files change their places at once; False where that cannot be."""
    import ctypes  # at a write alone

    change = getattr(ctypes.CDLL(None), "renameat2", None)
    return change is not None and not change(
        _HERE, os.fsencode(one), _HERE, os.fsencode(other), _EXCHANGE
    )


def _told(path: Path, descriptor: int, data: bytes) -> str:
    """What became of what another program has written since; the new file stands in any case."""
    late = None
    try:
        late = _written_since(descriptor, path, data)
        kept = _kept(path, late) if late is not None else None
    except (OSError, UsageError) as error:
        what = "wrote it meanwhile, which is lost" if late is not None else "may have written it"
        return f"another program {what} ({cause(error)})"
    return f"another program wrote it meanwhile; what it wrote is in {kept.name}" if kept else ""


def _written_since(descriptor: int, path: Path, data: bytes) -> bytes | None:
    """What another program has written into a file since it was replaced; None where nothing.

    `data`: what was in it. Who has it open now is waited for.
    """
    with contextlib.suppress(OSError):  # who waits to open it goes on
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    deadline = time.monotonic() + EDIT
    while hold(descriptor) is False and time.monotonic() < deadline:
        time.sleep(PAUSE)
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


def copy_rights(path: Path, copy: Path) -> None:
    """Give a copy the mode, access list and attributes of a file, where their disk has any."""
    try:
        shutil.copystat(path, copy)
    except PermissionError:
        if path.stat().st_mode != copy.stat().st_mode:
            raise
