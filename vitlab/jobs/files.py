"""The small files of a job: JSON read with care and written whole, locks, and when one was made."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import stat
import struct
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from vitlab.contract.events import may_be_of
from vitlab.contract.paths import NO_LOCKS, JobPaths, archived, write_atomic
from vitlab.contract.reading import Unreadable, open_regular, parse, read_document
from vitlab.jobs.processes import STOPPED, lock_holder

_RESERVED_BYTES = 4096


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in `path`; empty when there is none, or it cannot be read."""
    try:
        document = read_document(path)
    except OSError:
        return {}
    return document if isinstance(document, dict) else {}


def read_own(job: JobPaths, path: Path, submitted: object = None) -> dict[str, Any]:
    """As `read_json`; empty where the record is not `is_own`."""
    record = read_json(path)
    return record if is_own(job, record, submitted) else {}


def is_own(job: JobPaths, record: Mapping[str, Any], submitted: object = None) -> bool:
    """Whether a record may be of this job: its key `job` names no other one.

    `submitted`: when the job was, where that is known.
    """
    mark = record.get("job")
    return not mark or may_be_of(submitted or read_json(job.spec).get("submitted"), mark)


BLOCK = 8192
"""Bytes at a file's end in which its last line is looked for."""


def last_json_line(path: Path) -> dict[str, Any]:
    """The last whole line of a JSON-lines file; empty when there is none."""
    try:
        descriptor = open_regular(path)
    except OSError:
        return {}
    with os.fdopen(descriptor, "rb", 0) as file:
        file.seek(max(0, os.fstat(descriptor).st_size - BLOCK))
        block = file.read(BLOCK) or b""
    for line in reversed(block[: block.rfind(b"\n") + 1].split(b"\n")):
        try:
            record = parse(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            return record
    return {}


def write_json(path: Path, document: Mapping[str, Any], indent: int | None = 1) -> None:
    """Replace `path`, whole or not at all; without `indent` on one line, which is much faster."""
    write_atomic(
        path,
        json.dumps(document, ensure_ascii=False, indent=indent).encode("utf-8", "replace") + b"\n",
    )


def exit_record(
    reason: str,
    detail: str,
    started: float,
    *,
    code: int | None = None,
    number: int | None = None,
    peak: int = 0,
) -> dict[str, Any]:
    """What `exit.json` holds of a job that ends now; `number` of a signal, `peak` in bytes."""
    return {
        "v": 1,
        "code": code,
        "signal": number,
        "reason": reason,
        "detail": detail,
        "started": started,
        "ended": round(time.time(), 3),
        "peak_memory_bytes": peak,
    }


class ReservedFile:
    """Disk space for one record, reserved before the job can fill the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._reserved = path.with_name(f".{path.name}.reserved")
        write_atomic(self._reserved, b" " * (_RESERVED_BYTES - 1) + b"\n")

    def write(self, data: bytes) -> None:
        """Write the record over the reserved blocks and put it in its place."""
        if self.path.is_dir() and not self.path.is_symlink():  # the job has put it there
            self.path.rename(self.path.with_name(f"{self.path.name}.folder"))
        try:
            descriptor = os.open(self._reserved, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:  # the job has removed or replaced it
            write_atomic(self.path, data)
            return
        try:
            _write_over(descriptor, data)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        self._reserved.replace(self.path)


def _write_over(descriptor: int, data: bytes) -> None:
    """Write a file anew, all of it: one call may write a part, as where a disk is almost full."""
    done = 0
    while done < len(data):
        done += os.pwrite(descriptor, data[done:], done)
    os.ftruncate(descriptor, done)


def place_of(folder: int, path: Path) -> Path | None:
    """Where a folder that is open is now, as it is not at `path` any more; None once it is deleted.

    `path` where that cannot be known, as while its disk is gone.
    """
    try:
        status = os.fstat(folder)
        if status.st_nlink == 0:
            return None
        now = Path(os.readlink(f"/proc/self/fd/{folder}"))  # noqa: PTH115
        is_trash = any(part == "Trash" or part.startswith(".Trash") for part in now.parts)
        if os.path.samestat(now.stat(), status):
            return None if is_trash else now
    except OSError as error:
        if error.errno == errno.ESTALE and path.parent.is_dir():
            return None  # deleted from another machine
    return path


def open_appending(path: Path) -> int:
    """A descriptor to write at the end of a file, made where there is none.

    It never waits, and `OSError` where a pipe, link or folder is in its place.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.open(path, flags, 0o666)


def touch(path: Path) -> None:
    """Make an empty file, or give one the time of now; `OSError` for a link.

    A request or a mark that is a link would be made in another folder. Whoever reads a mark may
    remove it at any moment, so its time is set through the descriptor, not by its name.
    """
    descriptor = open_appending(path)
    try:
        os.utime(descriptor)
    finally:
        os.close(descriptor)


def archive_run(job: JobPaths) -> bool:
    """Rename `started.json`, `exit.json` and `result.json` of an earlier run: `started.1.json`, ...

    True when the job has run before. Call it with the job's lock held.
    """
    number = 1
    names = (job.started, job.exit, job.result)
    while any(archived(path, number).exists() for path in names):
        number += 1
    if not job.started.exists() and not job.exit.exists():
        return number > 1
    for path in names:
        if path.exists():
            path.rename(archived(path, number))
    return True


def take_lock(path: Path, patience: float = 1.0) -> int | None:
    """Take the lock on `path`: its descriptor; None when another process holds it.

    Readers hold it for microseconds to test it, so it is tried for `patience` seconds, but a second
    where its holder is stopped. The descriptor is not inherited unless passed on. Where the file
    system has no locks, it is returned without one. `Unreadable` for anything but a regular file.
    """
    descriptor = _open_lock(path)
    until, look_at = time.monotonic() + patience, time.monotonic() + 1.0
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return descriptor
            if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                os.close(descriptor)
                error.filename = str(path)
                raise
            if (now := time.monotonic()) < until and not (now > look_at and _is_stopped(path)):
                look_at = now + 1.0 if now > look_at else look_at
                time.sleep(0.002)
                continue
            os.close(descriptor)
            return None
        return descriptor


def _is_stopped(path: Path) -> bool:
    """Whether the holder of a lock lets it go no sooner than a person does something."""
    holder = lock_holder(path)
    return holder is not None and holder.state == STOPPED


def held_by(path: Path) -> str:
    """Who holds a lock, behind words on what it does; empty where nobody says it."""
    holder = lock_holder(path)
    if holder is None:
        return ""
    stopped = f", which is stopped: `kill -CONT {holder.pid}` lets it go on"
    return f" (pid {holder.pid}{stopped if holder.state == STOPPED else ''})"


def _open_lock(path: Path) -> int:
    """The file that is locked, made where there is none; never waits and follows no link."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENODEV):
            os.close(open_regular(path))  # says what it is
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        os.close(open_regular(path))
        raise Unreadable(path, "is not a file")
    return descriptor


def is_locked(path: Path) -> bool | None:
    """Whether a live process holds the lock on `path`.

    None where that cannot be known: locks are not supported, or the file cannot be opened.
    """
    try:
        descriptor = open_regular(path)
    except FileNotFoundError:
        return False
    except Unreadable:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return True
        return None
    finally:
        os.close(descriptor)
    return False


BEAT = 30.0
"""Seconds between two signs of life of a lock's holder, for machines that do not see its lock."""
SILENT = 6 * BEAT
"""Seconds without one after which it is dead: what a disk tells of a file may be a minute old."""


def beat(lock: Path) -> None:
    """Give a sign of life, as its holder: the file is as of now, by the clock of its disk."""
    with contextlib.suppress(OSError):
        os.utime(lock)


def beats(lock: Path) -> bool:
    """Whether its holder gave a sign of life just now, by our clock or that of the disk."""
    with contextlib.suppress(OSError):
        since = time.time() - lock.lstat().st_mtime
        return abs(since) < SILENT or abs(since + _disk_ahead(lock.parent)) < SILENT
    return False


_ahead: dict[int, float] = {}


def _disk_ahead(folder: Path) -> float:
    """Seconds by which the clock of a folder's disk is ahead of ours, asked once of each disk."""
    device = folder.stat().st_dev
    if device not in _ahead:
        probe = folder / f".clock.{os.getpid()}.{time.time_ns()}"
        os.close(os.open(probe, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        try:
            _ahead[device] = probe.stat().st_mtime - time.time()
        finally:
            probe.unlink()
    return _ahead[device]


def write_owner(descriptor: int, owner: Mapping[str, Any]) -> None:
    """Write who holds the lock into its file; only its holder may."""
    data = json.dumps(owner, ensure_ascii=False).encode() + b"\n"
    try:
        _write_over(descriptor, data)
    except OSError as error:  # a full disk: of a descriptor the error has no name
        error.filename = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
        raise


@cache
def _libc() -> Any:
    """Made once: each makes types of its own, which only the collector of garbage removes."""
    import ctypes

    return ctypes.CDLL(None)


def born(path: Path) -> float | None:
    """When the file was made, in unix seconds; None where the file system does not say."""
    import ctypes  # few supervisors need it

    # Python has it from 3.15 on. AT_FDCWD, no flags, STATX_BTIME; see statx(2).
    result = ctypes.create_string_buffer(256)
    try:
        failed = _libc().statx(-100, os.fsencode(path), 0, 0x800, result)
    except AttributeError:  # a C library older than 2018
        return None
    (mask,) = struct.unpack_from("<I", result, 0)
    if failed or not mask & 0x800:
        return None
    seconds, nanoseconds = struct.unpack_from("<qI", result, 80)
    return float(seconds) + 1e-9 * nanoseconds if seconds > 0 else None
