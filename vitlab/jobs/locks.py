"""File locks: who holds one, taken without waiting, handed over to a child, freed by any death."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_UNSUPPORTED = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


def take(path: Path, patience: float = 1.0) -> int | None:
    """The descriptor of the lock on `path`, now ours; None when another process has it.

    `patience` (seconds) outlasts readers, who touch the lock for microseconds to see whether it
    is held. The descriptor is not inherited unless it is passed on. Where the file system knows
    no locks, the descriptor comes without one.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _UNSUPPORTED:
                return descriptor
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(descriptor)
                raise
            if time.monotonic() < until:
                time.sleep(0.002)
                continue
            os.close(descriptor)
            return None
        return descriptor


def is_held(path: Path) -> bool | None:
    """Whether a live process holds the lock on `path`; None where locks are not supported."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return True
        if error.errno in _UNSUPPORTED:
            return None
        raise
    finally:
        os.close(descriptor)
    return False


def write_owner(descriptor: int, owner: Mapping[str, Any]) -> None:
    """Say in the lock file who holds it; only its holder may."""
    data = json.dumps(owner, ensure_ascii=False).encode() + b"\n"
    os.ftruncate(descriptor, os.pwrite(descriptor, data, 0))
