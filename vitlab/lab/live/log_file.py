"""Any page of a log by seeking: no file is read whole, however long it is."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from vitlab.jobs.logs.tail import clean

BLOCK = 1 << 18
"""Bytes read at once: a search gives other threads a turn after each."""
LONGEST = 1 << 20
"""Bytes of a line; what has no end after so many is cut into several."""


@dataclass(frozen=True)
class Matcher:
    """What lines are looked for; by plain search, which passes over a gigabyte in a second."""

    tokens: tuple[bytes, ...]
    """One of them is in every such line; in small letters where `fold`."""
    fold: bool = True
    """Whether capitals do not matter."""
    exact: re.Pattern[bytes] | None = None
    """What such a line matches besides; None for nothing."""

    def matches(self, line: bytes) -> bool:
        """Whether this one line is looked for."""
        return next(self.lines(line), None) is not None

    def lines(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Start and end of each line of `data` that is looked for."""
        text = data.lower() if self.fold else data
        ahead = {token: text.find(token) for token in self.tokens}
        at = 0
        while True:
            for token, place in ahead.items():
                if 0 <= place < at:
                    ahead[token] = text.find(token, at)
            place = min((place for place in ahead.values() if place >= 0), default=-1)
            if place < 0:
                return
            start = data.rfind(b"\n", 0, place) + 1
            at = data.find(b"\n", place) + 1 or len(data)
            if self.exact is None or self.exact.search(data, start, at):
                yield start, at


ERRORS = Matcher(
    (b"error", b"exception", b"traceback", b"fatal", b"killed", b"out of memory", b"nan"),
    exact=re.compile(
        rb"(?i)error\b|exception\b|traceback|\bfatal\b|\bkilled\b|out of memory|\bnan\b"
    ),
)
"""What a line says that tells of trouble."""

Stop = Callable[[], bool]
"""Whether whoever asked does not wait any more."""


@dataclass(frozen=True)
class LogLine:
    """One line and where it stands in the file."""

    start: int
    end: int
    """Where the next line starts."""
    text: str


@dataclass(frozen=True)
class Page:
    """Some lines in a row, and how long the file was."""

    lines: tuple[LogLine, ...]
    size: int
    """Bytes."""

    @property
    def top(self) -> int:
        return self.lines[0].start if self.lines else 0

    @property
    def at_end(self) -> bool:
        return not self.lines or self.lines[-1].end >= self.size


def wanted(words: str) -> Matcher:
    """What a search for `words` looks for; capital letters in them are meant."""
    fold = not any(character.isupper() for character in words)
    return Matcher((words.encode(),), fold)


class LogFile:
    """A growing file, read by pages; missing, truncated and rotated files are what they are now."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def first(self, height: int, keep: Matcher | None = None) -> Page:
        return self.page(0, height, keep)

    def last(self, height: int, keep: Matcher | None = None, stop: Stop = bool) -> Page:
        """The page that ends with the file."""
        with _Opened(self.path) as file:
            found = _take_last(file.back(file.size, keep, stop), height)
            return Page(found, file.size)

    def page(self, top: int, height: int, keep: Matcher | None = None, stop: Stop = bool) -> Page:
        """The page whose first line starts at or after `top`, or the last one when it is short."""
        with _Opened(self.path) as file:
            found = list(islice(file.forth(min(top, file.size), keep, stop), height))
            if len(found) < height and not stop():
                before = found[0].start if found else file.size
                missing = height - len(found)
                found = [*_take_last(file.back(before, keep, stop), missing), *found]
            return Page(tuple(found), file.size)

    def moved(
        self,
        page: Page,
        lines: int,
        height: int,
        keep: Matcher | None = None,
        stop: Stop = bool,
    ) -> Page:
        """The page `lines` further down, or up when negative."""
        if lines >= 0:
            with _Opened(self.path) as file:
                below = list(islice(file.forth(page.top, keep, stop), lines + height))[lines:]
            if len(below) < height and not stop():
                return self.last(height, keep, stop)
            return Page(tuple(below), file.size)
        with _Opened(self.path) as file:
            above = _take_last(file.back(page.top, keep, stop), -lines)
        return self.page(above[0].start if above else 0, height, keep, stop)

    def find(
        self, what: Matcher, after: int, *, back: bool = False, stop: Stop = bool
    ) -> int | None:
        """Where the first line that has `what` starts, from the line at `after` on or before it."""
        with _Opened(self.path) as file:
            lines = file.back(after, what, stop) if back else file.forth(after, what, stop)
            return next((line.start for line in lines), None)


def _take_last(backwards: Iterator[LogLine], count: int) -> tuple[LogLine, ...]:
    return tuple(reversed(list(islice(backwards, count))))


class _Opened:
    """The file while it is read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self.size = 0

    def __enter__(self) -> _Opened:
        try:
            self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return self
        self.size = os.fstat(self._descriptor).st_size
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def forth(self, start: int, keep: Matcher | None, stop: Stop) -> Iterator[LogLine]:
        """The lines from `start`, where one begins; only those with `keep` in them."""
        rest = b""
        while start + len(rest) < self.size and not stop():
            block = os.pread(self._descriptor, BLOCK, start + len(rest))
            data = rest + block
            over = start + len(data) >= self.size or not block
            end = len(data) if over else data.rfind(b"\n") + 1
            if not end and len(data) < LONGEST:
                rest = data
                continue
            end = end or len(data)
            yield from _lines(data[:end], start, keep)
            if not block:
                return
            start, rest = start + end, data[end:]

    def back(self, end: int, keep: Matcher | None, stop: Stop) -> Iterator[LogLine]:
        """The lines that begin before `end`, where one ends, the last first."""
        rest = b""
        while end > 0 and not stop():
            start = max(0, end - len(rest) - BLOCK)
            data = os.pread(self._descriptor, end - len(rest) - start, start) + rest
            begin = 0 if start == 0 else data.find(b"\n", 0, len(data) - 1) + 1
            if start and not begin and len(data) < LONGEST:
                rest = data
                continue
            yield from reversed(list(_lines(data[begin:], start + begin, keep)))
            end, rest = start + begin, b""


def _lines(data: bytes, start: int, keep: Matcher | None) -> Iterator[LogLine]:
    for begin, end in _every(data) if keep is None else keep.lines(data):
        yield LogLine(start + begin, start + end, clean(data[begin:end].rstrip(b"\n")))


def _every(data: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        yield at, end
        at = end
