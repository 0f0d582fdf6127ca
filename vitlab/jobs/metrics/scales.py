"""Scales that a run gives itself, in a JSON file or in a line of its log."""

from __future__ import annotations

import re
from pathlib import Path

from vitlab.jobs.metrics.formats.cells import number
from vitlab.jobs.metrics.formats.decoder import flattened
from vitlab.jobs.metrics.formats.json_rows import parsed
from vitlab.jobs.metrics.log import LogLines
from vitlab.jobs.metrics.reader import LIMIT
from vitlab.jobs.metrics.source import ScaleFrom, Source


class Scales:
    """The scales known so far; poll it before the followers."""

    def __init__(self, source: Source, folder: Path, log: Path, start: int = 0) -> None:
        """`folder`: the program's; `start`: the byte of `log` where this run's lines begin."""
        self.known: dict[str, float] = {}
        """By their name."""
        self._folder = folder
        self._waiting = source.waiting
        self._log = LogLines(log, start)
        self._patterns = {
            scale: re.compile(scale.pattern) for scale in self._waiting.values() if scale.pattern
        }
        self._stamps: dict[ScaleFrom, tuple[int, int, int]] = {}
        self._why: dict[ScaleFrom, str] = {}
        self._other: dict[ScaleFrom, str] = {}

    def poll(self, last: bool = False) -> None:
        """Look for new scales; `last`: the run is over."""
        for scale in {*self._waiting.values()}:
            if scale.file:
                self._read_file(scale)
        if self._patterns:
            for lines in self._log.new(last):
                for line in lines:
                    self._search(line)

    def _read_file(self, scale: ScaleFrom) -> None:
        path = self._folder / scale.file
        try:
            status = path.stat()
            stamp = status.st_ino, status.st_mtime_ns, status.st_size
            if self._stamps.get(scale) == stamp:
                return
            document = parsed(path.read_bytes()) if status.st_size <= LIMIT else None
        except OSError as error:
            self._why[scale] = f"cannot be read: {error.strerror}"
            return
        self._stamps[scale] = stamp
        if not isinstance(document, dict):
            self._why[scale] = f"{scale.file} is no JSON object"
            return
        self._set(scale, flattened(document).get(scale.key), f"{scale.file} has none")

    def _search(self, line: str) -> None:
        for scale, pattern in self._patterns.items():
            if match := pattern.search(line):
                self._set(scale, match[1] if pattern.groups else match[0], "")

    def _set(self, scale: ScaleFrom, cell: object, without: str) -> None:
        odd: list[str] = []
        value = number(cell, odd)
        if value is None or not 0 < abs(value) < float("inf"):
            self._why[scale] = f"{cell!r:.40} is no scale" if cell is not None else without
            return
        names = [name for name, one in self._waiting.items() if one == scale]
        before = self.known.get(names[0])
        if before not in (None, value):
            self._other[scale] = f"it was {before:g} first, then {value:g}, which is taken"
        self.known |= dict.fromkeys(names, value)

    @property
    def problems(self) -> list[str]:
        """What is not known, or contradictory, one line each."""
        lines = []
        for name, scale in self._waiting.items():
            if name not in self.known:
                why = self._why.get(scale, "no line has it so far" if scale.pattern else "")
                lines.append(f"{name} waits for its scale, {scale}: {why}")
            elif scale in self._other:
                lines.append(f"{name}: scale from {scale}: {self._other[scale]}")
        return lines
