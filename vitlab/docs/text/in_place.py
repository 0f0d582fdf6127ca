"""Puts files in the place of those that another program may be writing: no edit of it is lost."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Callable
from pathlib import Path

from vitlab.contract.paths import UsageError, remove_leftovers
from vitlab.contract.reading import EDIT, OWN, PAUSE, hold, mark_of, read_opened, whole

CHANGED = "changed while it was being written; it is kept as it is now"


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
    OWN[str(path)] = mark_of(path.stat())
    remove_leftovers(path)


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
