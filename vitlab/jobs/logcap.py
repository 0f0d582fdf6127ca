"""A log that would fill the disk is cut: its end is kept beside it, and a line says so."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

LIMIT = 1 << 30
"""Bytes a log may have."""
KEPT = 16 << 20
"""Bytes of its end that survive a cut, in `out.1.log`."""


def cap(log: Path, limit: int = LIMIT, kept: int = KEPT) -> bool:
    """Cut `log` when it is larger than `limit`; True when it was cut.

    Its writers append, so they go on at the new end; what they write while the end is copied is
    lost. A former `out.1.log` is replaced. The log of a run started by hand is a link: not ours.
    """
    if log.is_symlink():
        return False
    kept_in = log.with_name(f"{log.stem}.1{log.suffix}")
    try:
        size = log.stat().st_size
        if size <= limit:
            return False
        with log.open("rb") as source, kept_in.open("wb") as target:
            source.seek(size - kept)
            source.readline()
            while block := source.read(1 << 20):
                target.write(block)
    except FileNotFoundError:
        return False
    except OSError:
        kept_in.unlink(missing_ok=True)  # the disk is full already: room first
    os.truncate(log, 0)
    notice = f"[vitlab] the log had {size} bytes and was cut; its end is in {kept_in.name}\n"
    with contextlib.suppress(OSError), log.open("ab") as file:
        file.write(notice.encode())
    return True
