"""Pages of a log of any length, read by seeking: no file is read whole."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from vitlab.contract.reading import open_regular
from vitlab.jobs.logs.tail import clean

BLOCK = 1 << 18
"""Bytes read at once: a search lets other threads run after each."""
LONGEST = 1 << 20
"""Bytes of a line; a longer one is shown as several, each with how much of it is left out."""


@dataclass(frozen=True)
class Matcher:
    """Which lines match; by plain search, which takes a second for a gigabyte."""

    tokens: tuple[bytes, ...]
    """Every matching line has one of them; lower case where `fold`."""
    fold: bool = True
    """Whether case is ignored."""
    exact: re.Pattern[bytes] | None = None
    """What a line must match besides; None for nothing."""

    def matches(self, line: bytes) -> bool:
        """Whether this one line matches."""
        return next(self.lines(line), None) is not None

    def lines(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Start and end of each matching line of `data`."""
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
"""Lines that report an error."""

Stop = Callable[[], bool]
"""Whether the caller no longer waits for the result."""


@dataclass(frozen=True)
class LogLine:
    """One line and its place in the file, in bytes."""

    start: int
    end: int
    """Where the next line starts."""
    text: str


@dataclass(frozen=True)
class Page:
    """Consecutive lines, and the size of the file."""

    lines: tuple[LogLine, ...]
    size: int
    """Bytes."""

    @property
    def top(self) -> int:
        return self.lines[0].start if self.lines else 0

    @property
    def at_end(self) -> bool:
        return not self.lines or self.lines[-1].end >= self.size


def text_matcher(words: str) -> Matcher:
    """Lines with `words`; case counts where they have a capital letter."""
    fold = not any(character.isupper() for character in words)
    return Matcher((words.encode(),), fold)


class LogFile:
    """A growing file, read by pages; it may be missing, truncated or rotated at any time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def first(self, height: int, keep: Matcher | None = None) -> Page:
        return self.page(0, height, keep)

    def last(self, height: int, keep: Matcher | None = None, stop: Stop = bool) -> Page:
        """The last page of the file."""
        with _Opened(self.path) as file:
            return Page(_take_last(file.backward(file.size, keep, stop), height), file.size)

    def page(self, top: int, height: int, keep: Matcher | None = None, stop: Stop = bool) -> Page:
        """The page whose first line starts at or after `top`, or the last one when it is short."""
        with _Opened(self.path) as file:
            lines = list(islice(file.forward(min(top, file.size), keep, stop), height))
            if len(lines) < height and not stop():
                before = lines[0].start if lines else file.size
                missing = height - len(lines)
                lines = [*_take_last(file.backward(before, keep, stop), missing), *lines]
            return Page(tuple(lines), file.size)

    def scrolled(
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
                below = list(islice(file.forward(page.top, keep, stop), lines + height))[lines:]
            if len(below) < height and not stop():
                return self.last(height, keep, stop)
            return Page(tuple(below), file.size)
        with _Opened(self.path) as file:
            above = _take_last(file.backward(page.top, keep, stop), -lines)
        return self.page(above[0].start if above else 0, height, keep, stop)

    def find(
        self, what: Matcher, after: int, *, backward: bool = False, stop: Stop = bool
    ) -> int | None:
        """Where the next line that matches `what` starts: at `after` or later, or before it."""
        with _Opened(self.path) as file:
            lines = (
                file.backward(after, what, stop) if backward else file.forward(after, what, stop)
            )
            return next((line.start for line in lines), None)


def _take_last(backwards: Iterator[LogLine], count: int) -> tuple[LogLine, ...]:
    return tuple(reversed(list(islice(backwards, count))))


class _Opened:
    """The file while one page of it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self.size = 0

    def __enter__(self) -> _Opened:
        try:
            self._descriptor = open_regular(self._path, follow=True)
        except FileNotFoundError:
            return self
        self.size = os.fstat(self._descriptor).st_size
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def forward(self, start: int, keep: Matcher | None, stop: Stop) -> Iterator[LogLine]:
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

    def backward(self, end: int, keep: Matcher | None, stop: Stop) -> Iterator[LogLine]:
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
