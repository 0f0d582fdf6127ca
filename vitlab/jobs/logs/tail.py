"""Following files that grow: events as events, logs as clean whole lines."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from vitlab.contract.events import Event, read_events

MAX_LINE = 2000
"""Characters of a log line that are kept."""
_BLOCK = 1 << 20
_ESCAPES = re.compile(
    rb"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor movements
    rb"|\x1b[\]PX^_].*?(?:\x07|\x1b\\)"  # OSC, DCS, ...: titles, links, pictures
    rb"|\x1b[ -/]*[0-~]",
    re.DOTALL,
)
_BIDI = frozenset("\u061c\u200b\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e"
                  "\u2060\u2066\u2067\u2068\u2069\ufeff")  # fmt: skip


class EventTail:
    """The events since the last poll; a replaced or truncated file is read from its start."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._inode = 0

    def poll(self) -> list[Event]:
        try:
            inode = self._path.stat().st_ino
        except OSError:
            return []
        if inode != self._inode:
            self._offset, self._inode = 0, inode
        events, self._offset = read_events(self._path, self._offset)
        return events


class LogTail:
    """The lines since the last poll, safe to be shown.

    Of a progress bar redrawn by carriage returns only the last state is kept; escape sequences
    and control characters are removed; what is not UTF-8 is replaced. Starts `last_bytes` before
    the end, at the beginning of a line. A truncated or rotated file is read from its start.
    """

    def __init__(self, path: Path, last_bytes: int = 65536) -> None:
        self._path = path
        self._last_bytes = last_bytes
        self._offset: int | None = None
        self._inode = 0
        self._half = b""

    def poll(self) -> list[str]:
        try:
            with self._path.open("rb") as file:
                return self._read(file.fileno())
        except FileNotFoundError:
            return []

    def _read(self, descriptor: int) -> list[str]:
        status = os.fstat(descriptor)
        skip = False
        if self._offset is None:
            self._offset = max(0, status.st_size - self._last_bytes)
            skip = self._offset > 0
        elif status.st_ino != self._inode or status.st_size < self._offset:
            self._offset, self._half = 0, b""
        self._inode = status.st_ino
        if skip:
            # One byte earlier, so that a line beginning exactly here is not skipped.
            self._offset -= 1
        block = os.pread(descriptor, _BLOCK, self._offset)
        self._offset += len(block)
        data = self._half + block
        if skip:
            data = data[data.find(b"\n") + 1 :] if b"\n" in data else b""
        end = data.rfind(b"\n") + 1
        # A line without an end is kept for later, cut to what would be shown of it.
        self._half = _last_state(data[end:])
        return [clean(line) for line in data[:end].split(b"\n")[:-1]]

    @property
    def unfinished(self) -> str:
        """The line being written: a progress bar before its newline."""
        return clean(self._half)


def _last_state(half: bytes) -> bytes:
    kept = half[half.rstrip(b"\r").rfind(b"\r") + 1 :]
    return kept[: 4 * MAX_LINE]


def clean(line: bytes) -> str:
    """One line as plain text: what a terminal would show, without control characters."""
    line = line.rstrip(b"\r")
    line = line[line.rfind(b"\r") + 1 :]
    if len(line) <= MAX_LINE and (text := line.decode("utf-8", "replace")).isprintable():
        return text  # nearly every line: no control character, nothing invisible
    text = _ESCAPES.sub(b"", line).decode("utf-8", "replace").expandtabs(8)
    text = "".join(c for c in text[: MAX_LINE + 1] if c >= " " and not "\x7f" <= c <= "\x9f")
    text = "".join(c for c in text if c not in _BIDI)
    return text if len(text) <= MAX_LINE else f"{text[:MAX_LINE]}..."


def last_json_line(path: Path) -> dict[str, Any]:
    """The last whole line of a JSON-lines file; empty when there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 8192))
            block = file.read()
    except OSError:
        return {}
    for line in reversed(block[: block.rfind(b"\n") + 1].split(b"\n")):
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            return record
    return {}
