"""Files that anybody may have written, found and read guarded: none can hang or fool a reader."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import stat
import sys
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, TypeGuard, TypeVar

T = TypeVar("T")

MAX_BYTES = 16 << 20
"""Of a file of JSON; a larger one is refused."""
MAX_KEPT = 2 << 20
"""Of one that is kept in memory for each job."""
SMALL = 16 << 10
"""Of one that is read however many others there are."""
MEMORY = 256 << 20
"""Bytes of memory that what is kept of all jobs may take, small documents aside."""
MAX_DEPTH = 64
"""Lists and objects within each other."""
LATEST = 32_503_680_000.0
"""The year 3000 in unix seconds: later times no calendar shows."""
MAX_FOLDERS = 20_000
MAX_ENTRIES = 200_000
"""Folders that one search looks into, the nearest first, and what is in them."""
YOUNG = 0.3
"""Seconds without a write after which a file is taken for whole, where no lease can be had."""
AT_WORK = 1.0
"""Seconds since the last write within which who has a file open is taken to be writing it."""
LOOK, EDIT = 0.5, 1.0
"""Seconds that a look, and an edit, wait for such a program."""
LOCAL = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs", "zfs"})
"""Kinds of disks, as Linux names them, on which a refused lease means that the file is open."""
PAUSE = 0.02
OWN: dict[str, tuple[int, ...]] = {}
"""What this process wrote itself, as it was then: nobody else is at work in it."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}
_WILD = re.compile(r"[*?[]")
_LARGE = re.compile(r"[eE0-9](?:(?<=[eE])\+?[0-9]{3}|[0-9]{99})")
"""What a number too large for a float has in it; what it begins with is one class, which is sought
ten times as fast as two alternatives."""
_ESCAPES = re.compile(
    r"\\(?:u([dD][89abAB]..)\\u[dD][c-fC-F]|(u[dD][89a-fA-F]..|u0000)|.)", re.DOTALL
)
"""Escapes of JSON; the second group is of those that no terminal and no file name takes."""


class Unreadable(OSError):  # noqa: N818 - the name says what happened
    """A file that is there and is not read; its text says why: `is a pipe (FIFO)`."""

    def __init__(self, path: Path | str, why: str, number: int = errno.EINVAL) -> None:
        super().__init__(number, why, str(path))
        self.why = why

    @property
    def line(self) -> str:
        """`exit.json is a pipe (FIFO)`."""
        return f"{os.path.basename(self.filename)} {self.why}"  # noqa: PTH119 - a text


def open_regular(path: Path | str, *, follow: bool = False) -> int:
    """A descriptor to read a regular file with; never waits, and follows a link only if told to.

    Raises `FileNotFoundError` where nothing is, and `Unreadable` for all that cannot be read.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as error:
        number = error.errno or errno.EINVAL
        if number == errno.ELOOP:
            raise Unreadable(path, "is a link in a circle" if follow else "is a link") from None
        if number in (errno.ENXIO, errno.ENODEV):
            raise Unreadable(path, "is a socket or a device") from None
        raise Unreadable(path, f"cannot be read: {error.strerror}", number) from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise Unreadable(path, f"is {_KINDS.get(stat.S_IFMT(mode), 'no file')}")
    return descriptor


def read_regular(path: Path | str, limit: int = MAX_BYTES, *, follow: bool = False) -> bytes:
    """The bytes of a regular file; `Unreadable` for more than `limit` of them."""
    descriptor = open_regular(path, follow=follow)
    try:
        return read_opened(descriptor, path, limit)
    finally:
        os.close(descriptor)


_SUM = b'{\n "crc32": "'
CHANGED = "was changed since it was written (without the line crc32 it is taken as it is)"


def with_sum(text: bytes) -> bytes:
    """A JSON object as it is written, with a sum of its bytes: a flipped bit of a disk is known."""
    rest = text.strip().removeprefix(b"{") + b"\n"
    return _SUM + b'%08x",' % zlib.crc32(rest) + rest


def has_sum(data: bytes) -> bool:
    """Whether the bytes of a file begin with such a sum."""
    return data.startswith(_SUM)


def _is_as_written(data: bytes) -> bool:
    """Whether the bytes of a file are those of its sum; of one without none can tell."""
    rest = data[len(_SUM) + len('00000000",') :]
    # An editor may take the last newline away, or add one.
    return not has_sum(data) or data.rstrip() == with_sum(b"{" + rest).rstrip()


def read_opened(descriptor: int, path: Path | str, limit: int = MAX_BYTES) -> bytes:
    """The same of one that is open; `path` names it in errors."""
    with os.fdopen(descriptor, "rb", 0, closefd=False) as file:
        size = os.fstat(descriptor).st_size
        # Of a file that grows while it is read, what was there at first.
        try:
            file.seek(0)
            data = file.read(size + 1 if size <= limit else 0) or b""
        except OSError as error:  # a bad disk, a network disk that is gone
            why = f"cannot be read: {error.strerror}"
            raise Unreadable(path, why, error.errno or errno.EIO) from None
    if max(size, len(data)) > limit:
        most = f"{limit >> 20} MiB" if limit >> 20 else f"{limit >> 10} kB"
        raise Unreadable(path, f"is larger than {most}")
    return data


def read_document(path: Path | str, limit: int = MAX_BYTES) -> Any:
    """The JSON document in `path`, within the bounds of `parse`; raises as `read_regular` does."""
    data = read_regular(path, limit)
    if not _is_as_written(data):
        raise Unreadable(path, CHANGED)
    try:
        return parse(data, limit)
    except ValueError as error:
        raise Unreadable(path, str(error)) from None


def parse(data: bytes | str, limit: int = MAX_BYTES) -> Any:
    """A JSON document: UTF-8, finite numbers, at most `MAX_DEPTH` deep, or `ValueError`.

    It has at most a part in 32 bytes of `limit`: an empty list takes three bytes, and 56 of memory.

    Lone surrogates and NUL characters, which no terminal and no file name takes, become U+FFFD.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
        if len(text) > limit // 32 and sum(map(text.count, "[{,")) > limit // 32:
            raise ValueError(f"holds more than {limit // 32:,} values")
        document = _DECODER.decode(mended(text) if "\\u" in text else text)
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    except RecursionError:
        raise ValueError(f"is nested more than {MAX_DEPTH} deep") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON (line {error.lineno})") from None
    except ValueError as error:  # NaN, or an integer of thousands of digits
        why = str(error)
        raise ValueError(why if why.startswith("holds") else "holds a number too large") from None
    # Most documents have neither many brackets nor large numbers: no second look.
    if text.count("[") + text.count("{") > MAX_DEPTH or _LARGE.search(text):
        _check(document)
    return document


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

    Editors, `scp` and `rsync --inplace` truncate a file and write it anew: what is read meanwhile
    may be half a text. The kernel tells whether somebody has it open for writing (a lease), on
    disks of this machine and for the file's owner; elsewhere only its age does.

    One that does is waited for; raises as `open_regular` does.
    """
    deadline, last = time.monotonic() + (EDIT if edit else LOOK), None
    while True:
        descriptor = open_regular(path, follow=True)
        try:
            found = os.fstat(descriptor)
            age, mark = time.time() - found.st_mtime, mark_of(found)
            held = hold(descriptor)
            if edit and held is None:
                is_whole = age >= YOUNG or mark in (last, OWN.get(str(path)))
            else:
                is_whole = held is not False
            late = time.monotonic() > deadline or (not edit and held is False and age > AT_WORK)
            if is_whole or late:
                yield descriptor, is_whole
                return
        finally:
            os.close(descriptor)
        last = mark
        time.sleep(YOUNG if held is None else PAUSE)


def mark_of(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


class Room:
    """Memory that the documents of many jobs may take together, as one look reads them.

    An emoji makes each character of its text take four bytes: 5,000 specs of 2 MiB are 40 GB. When
    the room is used up, small documents are read all the same; of larger ones their row says so.
    """

    def __init__(self, taken: int = 0) -> None:
        self.left = MEMORY - taken
        """Bytes; what was read last may exceed them."""

    def read(self, load: Callable[[Path, int], T], path: Path) -> T:
        """What `load` reads of at most so many bytes; raises as it does."""
        if self.left > 0:
            found = load(path, MAX_KEPT)
            self.left -= memory_of(vars(found)) if _size(path) > SMALL // 4 else 0
            return found
        try:
            return load(path, SMALL)
        except Unreadable as error:
            if error.why.startswith(("is larger", "holds more")):
                why = f"{error.why}, and those of other jobs fill {MEMORY >> 20} MiB of memory"
                raise Unreadable(path, why) from None
            raise


def _size(path: Path) -> int:
    try:
        return os.lstat(path).st_size
    except OSError:
        return 0


def memory_of(document: Any) -> int:
    """The bytes of memory that a document takes."""
    size = sys.getsizeof(document)
    if isinstance(document, dict):
        size += sum(map(memory_of, document)) + sum(map(memory_of, document.values()))
    elif isinstance(document, list | tuple):
        size += sum(map(memory_of, document))
    return size


def mended(text: str) -> str:
    """JSON in which escapes of lone surrogates and of NUL characters are those of U+FFFD."""
    return _ESCAPES.sub(lambda found: "\\ufffd" if found[2] else found[0], text)


MOST_DIGITS = 18
"""Of a whole number in a text: Python reads no more than 4,300, and a longer one counts nothing."""


def whole_number(text: str | None) -> int | None:
    """The number that these digits are; None for anything else, and for more than `MOST_DIGITS`."""
    return int(text) if text and text.isdecimal() and len(text) <= MOST_DIGITS else None


LARGEST = 1e100
"""Of a number in a file: of larger ones a sum, square or ratio is none that a float can hold."""


def is_finite(value: object) -> TypeGuard[float]:
    """Whether it is a number that can be computed with, of at most `LARGEST`."""
    return isinstance(value, int | float) and abs(value) <= LARGEST


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"holds {word}, which is not a JSON number")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _check(value: Any, depth: int = 0) -> None:
    if isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise ValueError(f"is nested more than {MAX_DEPTH} deep")
        for each in value.values() if isinstance(value, dict) else value:
            _check(each, depth + 1)
    elif isinstance(value, int | float) and not is_finite(value):
        raise ValueError("holds a number too large")


@dataclass
class Search:
    """How much one search for files has looked at, and what it could not."""

    unread: dict[Path, str] = field(default_factory=dict)
    """Folders that cannot be read, and why."""
    is_cut: bool = False
    """Whether there was more than is looked at."""
    _folders: int = 0
    _entries: int = 0
    _last: tuple[Path, list[os.DirEntry[str]]] | None = None

    @property
    def limit(self) -> str:
        """What is looked at, for people."""
        return f"{MAX_FOLDERS:,} folders or {MAX_ENTRIES:,} files"

    def entries(self, folder: Path) -> list[os.DirEntry[str]]:
        """What is in a folder; nothing for one that cannot be read, which hides no other."""
        if self._last is not None and self._last[0] == folder:
            return self._last[1]
        self._folders += 1
        left = MAX_ENTRIES - self._entries if self._folders <= MAX_FOLDERS else -1
        try:
            with os.scandir(folder) as entries:
                found = list(islice(entries, left + 1)) if left >= 0 else []
        except FileNotFoundError:
            return []
        except OSError as error:
            self.unread[folder] = error.strerror or str(error)
            return []
        self.is_cut |= len(found) > left
        self._entries += len(found)
        self._last = folder, found
        return found


def matching(
    folder: Path,
    pattern: str,
    search: Search | None = None,
    *,
    hidden: bool = True,
    folders: bool = False,
) -> Iterator[Path]:
    """The files below a folder by a pattern as `Path.glob` has them, within bounds.

    `**` enters no linked folder, and none is looked into twice: links lead in circles. Without
    `hidden` no wildcard stands for a name that begins with a dot. `folders`: these too.
    """
    search = search or Search()
    whole = [part for part in PurePosixPath(pattern).parts if part != "/"]
    whole += ["*"] if whole[-1:] == ["**"] else []
    parts = tuple(p for n, p in enumerate(whole) if (p, whole[n - 1]) != ("**", "**") or n == 0)
    waiting = deque([(folder, parts)] if parts and "\0" not in pattern else [])
    linked = deque[tuple[Path, tuple[str, ...]]]()  # after all others, which have the better names
    seen = set[tuple[int, int, tuple[str, ...]]]()
    while (waiting or linked) and not search.is_cut:
        here, parts = (waiting or linked).popleft()
        part, *rest = parts
        if not _WILD.search(part):
            if rest:
                waiting.append((here / part, tuple(rest)))
            elif _is_there(here / part, search, folders):
                yield here / part
            continue
        with contextlib.suppress(OSError):
            found = here.stat()
            if (place := (found.st_dev, found.st_ino, parts)) in seen:
                continue
            seen.add(place)
        if part == "**":
            waiting.appendleft((here, tuple(rest)))
        for entry in search.entries(here):
            if entry.name.startswith(".") and not (hidden or part.startswith(".")):
                continue
            if part == "**":
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((Path(entry.path), parts))
            elif fnmatchcase(entry.name, part):
                if not rest and (folders or not is_folder(entry)):
                    yield Path(entry.path)
                elif rest and is_folder(entry):
                    (linked if entry.is_symlink() else waiting).append(
                        (Path(entry.path), tuple(rest))
                    )


def is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether it is one, or a link to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle
        return False


def _is_there(path: Path, search: Search, folders: bool) -> bool:
    """Whether there is a file, or a link to nothing; of `folders`, whatever there is."""
    try:
        mode = path.stat().st_mode
        return folders or not stat.S_ISDIR(mode)
    except OSError as error:
        if os.path.islink(path):  # noqa: PTH114 - also where its folder is closed
            return True
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            search.unread[path.parent] = error.strerror or str(error)
        return False
