"""Following files that grow: events as events, logs as clean whole lines."""

from __future__ import annotations

import os
import re
from pathlib import Path

from vitlab.contract.events import Event, read_events
from vitlab.contract.reading import Unreadable, open_regular

MAX_LINE = 2000
"""Characters of a log line that are kept."""
BARREN = 1 << 27
"""Bytes without an event after which a file of events is not read further."""
_BLOCK = 1 << 20
ESCAPES = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movements
    # OSC, DCS, ...: titles, links, pictures. An escape ends one, or a line of their beginnings
    # would be searched to its end from each of them.
    rb"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"
    rb"|\x1b[ -/]*[0-~]"
)
_BIDI = frozenset("\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e"
                  "\u2060\u2066\u2067\u2068\u2069\ufeff")  # fmt: skip


class EventTail:
    """The events since the last poll; a replaced or truncated file is read from its start."""

    def __init__(self, path: Path) -> None:
        self.problem = ""
        """Why the file is not read, or not to its end; empty when it is."""
        self._path = path
        self._offset = 0
        self._inode = 0
        self._given_up = False

    def poll(self) -> list[Event]:
        """Of a long file a part: call it until there are none."""
        try:
            now = self._path.stat(follow_symlinks=False)
        except OSError:
            return []
        if now.st_ino != self._inode or now.st_size < self._offset:
            self._offset, self._inode, self._given_up, self.problem = 0, now.st_ino, False, ""
        start = self._offset
        while not self._given_up:
            before = self._offset
            try:
                events, self._offset = read_events(self._path, before)
            except Unreadable as error:
                self.problem = error.line
                return []
            self.problem = ""
            if events or self._offset <= before:
                return events
            if self._offset - start >= BARREN:  # zeros without an end, another file's contents
                self._given_up = True
                size = f"{BARREN >> 20} MiB without an event"
                self.problem = f"{self._path.name} has {size}; what follows is not read"
        return []


class LogTail:
    """The lines since the last poll, safe to be shown.

    Of a progress bar redrawn by carriage returns only the last state is kept; escape sequences
    and control characters are removed; what is not UTF-8 is replaced; a very long line is cut and
    says so. Starts `last_bytes` before the end, at the beginning of a line, or at the start when
    None. A truncated or rotated file is read from its start.
    """

    def __init__(self, path: Path, last_bytes: int | None = 65536) -> None:
        self.behind = False
        """Whether the last poll left something unread."""
        self._path = path
        self._last_bytes = last_bytes
        self._offset: int | None = None if last_bytes is not None else 0
        self._inode = 0
        self._half = b""
        self._dropped = 0
        """Bytes of the line being written that are not in `_half`."""

    def poll(self) -> list[str]:
        """Raises `Unreadable` for anything but a regular file, or a link to one."""
        self.behind = False
        try:
            descriptor = open_regular(self._path, follow=True)
        except FileNotFoundError:
            return []
        try:
            return self._read(descriptor)
        finally:
            os.close(descriptor)

    def _read(self, descriptor: int) -> list[str]:
        status = os.fstat(descriptor)
        skip = False
        if self._offset is None:
            self._offset = max(0, status.st_size - (self._last_bytes or 0))
            skip = self._offset > 0
        elif self._inode and (status.st_ino != self._inode or status.st_size < self._offset):
            self._offset, self._half, self._dropped = 0, b"", 0
        self._inode = status.st_ino
        if skip:
            # One byte earlier, so that a line beginning exactly here is not skipped.
            self._offset -= 1
        block = os.pread(descriptor, _BLOCK, self._offset)
        self._offset += len(block)
        self.behind = bool(block) and self._offset < status.st_size
        data = self._half + block
        if skip:
            data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
        lines = data.split(b"\n")
        # The first goes on with what was dropped of it, unless a carriage return began it anew.
        shown = [clean(line, 0 if i else self._dropped) for i, line in enumerate(lines[:-1])]
        self._keep_half(lines[-1], 0 if shown else self._dropped)
        return shown

    def _keep_half(self, half: bytes, dropped: int) -> None:
        """Keep a line without an end for later, cut to what would be shown of it."""
        last_state = half.rstrip(b"\r").rfind(b"\r") + 1
        kept = half[last_state:]
        cut = kept[: 4 * MAX_LINE]
        self._dropped = (0 if last_state else dropped) + len(kept) - len(cut)
        self._half = cut + b"\r" if kept.endswith(b"\r") and len(cut) < len(kept) else cut

    @property
    def unfinished(self) -> str:
        """The line being written: a progress bar before its newline."""
        return clean(self._half, self._dropped)


def clean(line: bytes, dropped: int = 0) -> str:
    """One line as plain text: what a terminal would show, without control characters.

    A line of more than `MAX_LINE` characters is cut, with its size; `dropped` bytes of it are not
    in `line` any more.
    """
    line = line.rstrip(b"\r")
    start = line.rfind(b"\r") + 1
    line, dropped = line[start:], 0 if start else dropped
    if len(line) <= MAX_LINE and (text := line.decode("utf-8", "replace")).isprintable():
        return text  # nearly every line: no control character, nothing invisible
    text = ESCAPES.sub(b"", line).decode("utf-8", "replace").expandtabs(8)
    text = "".join(c for c in text[: MAX_LINE + 1] if c >= " " and not "\x7f" <= c <= "\x9f")
    text = "".join(c for c in text if c not in _BIDI)
    if len(text) <= MAX_LINE and not dropped:
        return text
    return f"{text[:MAX_LINE]}... [cut: a line of {_bytes(len(line) + dropped)}]"


def _bytes(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"
