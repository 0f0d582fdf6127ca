"""What only one process may do at a time, on a file system without locks as well."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

from vitlab.contract.paths import LabPaths, UsageError
from vitlab.contract.reading import LATEST, Unreadable, is_finite
from vitlab.contract.user_key import state_folder
from vitlab.jobs import processes
from vitlab.jobs.files import is_locked, read_json, take_lock

CLAIM = 120.0
"""Seconds after which a claim made on another machine is taken for one of a process that died."""


GIVING = 3.0
"""Seconds to wait for another lab that gives out GPUs; it may be stopped."""

HELD = 30.0
"""Seconds after which whoever holds the queue is named: nothing starts meanwhile."""


def queue_holder(lab: LabPaths) -> str:
    """Who holds the queue for so long, as a process that was stopped (ctrl+z); empty for nobody."""
    owner = read_json(lab.private.lease)
    since, (pid, _) = owner.get("t"), processes.identity(owner)
    if not is_finite(since) or not 0 < since < min(LATEST, time.time() - HELD):
        return ""
    if is_locked(lab.private.lease) is not True:
        return ""
    clock = time.strftime("%H:%M", time.localtime(since))
    who = f", pid {pid}," if processes.process(pid) else ""
    return f"the queue is held since {clock} by another vitlab{who} which may be stopped"


@contextlib.contextmanager
def giving_gpus() -> Iterator[None]:
    """Let one of this user's labs at a time see which GPUs are free, and start jobs on them."""
    lock = None
    with contextlib.suppress(OSError, UsageError, Unreadable):
        lock = take_lock(state_folder() / "gpus.lock", patience=GIVING)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


@contextlib.contextmanager
def claimed(lock: Path) -> Iterator[bool]:
    """Whether the holder of `lock` is the only one, on a file system without locks as well.

    There a file stands for it that only one process can make. It is for moments: the claim ends
    with the block.
    """
    if is_locked(lock) is not None:
        yield True
        return
    claim = lock.with_name(f"{lock.name}.claim")
    is_ours = _make_claim(claim)
    try:
        yield is_ours
    finally:
        if is_ours:
            claim.unlink(missing_ok=True)


def _make_claim(path: Path) -> bool:
    for _ in range(2):
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            if not _is_left(path):
                return False
            path.unlink(missing_ok=True)
            continue
        me = processes.process(os.getpid())
        owner = {"pid": os.getpid(), "ticks": me.ticks if me else 0, "boot": processes.boot()}
        # On a full disk it is one of a maker that is not known, until its time is up.
        with contextlib.suppress(OSError), os.fdopen(descriptor, "w") as file:
            json.dump(owner, file)
        return True
    return False


def _is_left(claim: Path) -> bool:
    """Whether its maker has died."""
    owner = read_json(claim)
    if processes.is_here(owner):
        return not processes.is_alive(*processes.identity(owner))
    try:
        return time.time() - claim.lstat().st_mtime > CLAIM
    except FileNotFoundError:
        return False
