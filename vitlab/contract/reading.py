"""Files that anybody may have written, read guarded: none can hang, fill or fool its reader."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any, NoReturn, TypeGuard

MAX_BYTES = 16 << 20
"""Of a file of JSON; a larger one is refused."""
MAX_DEPTH = 64
"""Lists and objects within each other."""
LATEST = 32_503_680_000.0
"""The year 3000 in unix seconds: later times no calendar shows."""
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe (FIFO)",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a link",
}
_LARGE = re.compile(r"[eE]\+?[0-9]{3}|[0-9]{300}")
"""What a number too large for a float has in it."""
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
    with os.fdopen(open_regular(path, follow=follow), "rb", 0) as file:
        size = os.fstat(file.fileno()).st_size
        # Of a file that grows while it is read, what was there at first.
        try:
            data = file.read(size + 1 if size <= limit else 0) or b""
        except OSError as error:  # a bad disk, a network disk that is gone
            why = f"cannot be read: {error.strerror}"
            raise Unreadable(path, why, error.errno or errno.EIO) from None
    if max(size, len(data)) > limit:
        raise Unreadable(path, f"is larger than {limit >> 20} MiB")
    return data


def read_document(path: Path | str, limit: int = MAX_BYTES) -> Any:
    """The JSON document in `path`, within the bounds of `parse`; raises as `read_regular` does."""
    try:
        return parse(read_regular(path, limit))
    except ValueError as error:
        raise Unreadable(path, str(error)) from None


def parse(data: bytes | str) -> Any:
    """A JSON document: UTF-8, finite numbers, at most `MAX_DEPTH` deep, or `ValueError`.

    Lone surrogates and zeros, which no terminal and no name of a file takes, become U+FFFD.
    """
    try:
        text = data if isinstance(data, str) else data.decode()
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


def mended(text: str) -> str:
    """JSON in which escapes of lone surrogates and of zeros are those of U+FFFD."""
    return _ESCAPES.sub(lambda found: "\\ufffd" if found[2] else found[0], text)


def is_finite(value: object) -> TypeGuard[float]:
    """Whether it is a number that a float can hold."""
    return isinstance(value, int | float) and abs(value) <= sys.float_info.max


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"holds {word}, which is no number of JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number)


def _check(value: Any, depth: int = 0) -> None:
    if isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise ValueError(f"is nested more than {MAX_DEPTH} deep")
        for each in value.values() if isinstance(value, dict) else value:
            _check(each, depth + 1)
    elif isinstance(value, int | float) and not is_finite(value):
        raise ValueError("holds a number too large for a float")
