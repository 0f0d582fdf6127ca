"""Following a log by a pattern: the lines that match, as events."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vitlab.jobs.metrics.formats.cells import Chunk, Column, number
from vitlab.jobs.metrics.grouped import Grouped
from vitlab.jobs.metrics.reader import BLOCK, SHOW_AFTER
from vitlab.jobs.metrics.rows import ALL, stretch_end
from vitlab.jobs.metrics.source import Source
from vitlab.jobs.metrics.thinning import Event, Events, Thinner

LONGEST = 1 << 16
"""Bytes of a line that is searched."""
_ENDS = re.compile(rb"[\r\n]+")
_COLOURS = re.compile(rb"\x1b\[[0-?]*[ -/]*[@-~]")


class LogLines:
    """The lines of a log as they come; each state of a bar redrawn by carriage returns is one."""

    def __init__(self, path: Path, start: int) -> None:
        """`start`: the byte where this run's lines begin."""
        self._path = path
        self.offset = start
        """Where the first line begins that has not been read."""
        self.inode = 0
        self.dropping = False
        """Whether that is within a line that is too long."""
        self.too_long = 0
        """Lines that were left out."""
        self.problem = ""

    def new(self, last: bool) -> Iterator[list[str]]:
        """Blocks of new lines; `last`: the end of the log is one too, though it has no end."""
        try:
            with self._path.open("rb") as file:
                self.problem = ""
                yield from self._new(file.fileno(), last)
        except OSError as error:
            self.problem = f"cannot be read: {error.strerror}"

    def _new(self, descriptor: int, last: bool) -> Iterator[list[str]]:
        status = os.fstat(descriptor)
        if status.st_size < self.offset or self.inode not in (0, status.st_ino):
            self.offset, self.dropping = 0, False  # it was cut, as it had grown too large
        self.inode = status.st_ino
        at, half = self.offset, b""
        while at < status.st_size and (block := os.pread(descriptor, BLOCK, at)):
            at += len(block)
            *lines, half = _ENDS.split(half + block)
            if last and at >= status.st_size:
                lines, half = [*lines, half], b""
            if self.dropping and lines:
                self.dropping, lines[0] = False, b""
            if len(half) > LONGEST or self.dropping:
                self.too_long += not self.dropping
                self.dropping, half = True, b""
            self.offset = at - len(half)
            yield [self._text(line) for line in lines if line and self._fits(line)]

    def _fits(self, line: bytes) -> bool:
        self.too_long += len(line) > LONGEST
        return len(line) <= LONGEST

    @staticmethod
    def _text(line: bytes) -> str:
        line = _COLOURS.sub(b"", line) if b"\x1b" in line else line
        return line.decode("utf-8", "replace")


class LogReader:
    """Follows a log for names whose scales are known by the first `poll`."""

    def __init__(self, source: Source, path: Path, start: int, scales: Mapping[str, float]) -> None:
        self._source, self._scales = source, scales
        self._pattern = re.compile(source.pattern)
        self._log = LogLines(path, start)
        self._thinner = Thinner(list(source.names), source.step, source.epoch)
        self.rows = 0
        """Lines that matched."""
        self._odd: dict[str, tuple[int, str]] = {}
        self._shown = time.monotonic()
        self._told = False  # how many lines were kept
        self._events: Events | None = None
        self._saved: Mapping[str, Any] | None = None

    @property
    def events(self) -> Events:
        """What makes events of rows; to be asked for once the scales are known."""
        if self._events is None:
            self._events = Events(self._source, self._scales, self._saved)
        return self._events

    def poll(self, last: bool, without: frozenset[str]) -> Iterator[Event]:
        """The new events; `last`: nothing more will come."""
        for lines in self._log.new(last):
            found = [match.groupdict() for line in lines if (match := self._pattern.search(line))]
            if found:
                yield from self._add(found, without)
        now = time.monotonic()
        if last or now - self._shown > SHOW_AFTER:
            for row in self._thinner.flush():
                yield from self.events.of(row, without)
                self._shown = now
        if last and self.rows > ALL and not self._told:
            self._told = True
            yield "note", {"text": f"the log: {self.events.kept} of {self.rows} matching lines are "
                           "kept"}  # fmt: skip

    def _add(self, found: list[dict[str, Any]], without: frozenset[str]) -> Iterator[Event]:
        columns: dict[str, Column] = {}
        for name in {*self._source.names, self._source.step, self._source.epoch}:
            odd: list[str] = []
            columns[name] = [number(groups.get(name), odd) for groups in found]
            if odd:
                count, example = self._odd.get(name, (0, odd[0][:40]))
                self._odd[name] = count + len(odd), example
        chunk, done = Chunk(len(found), columns), 0
        while done < chunk.rows:
            end = min(chunk.rows, done + stretch_end(self.rows) - self.rows)
            for row in self._thinner.add(self.rows, chunk.part(done, end)):
                yield from self.events.of(row, without)
                self._shown = time.monotonic()
            self.rows, done = self.rows + end - done, end

    @property
    def unread(self) -> str:
        """Why it is not read to its end; empty when it is."""
        return self._log.problem

    @property
    def notes(self) -> list[str]:
        """What was left out or is odd, for people."""
        notes = [self._log.problem] if self._log.problem else []
        if not self.rows:
            notes.append("no line matches the pattern so far")
        if self._log.too_long:
            notes.append(f"{self._log.too_long} lines of more than {LONGEST >> 10} kB are left out")
        for name, (count, example) in self._odd.items():
            notes.append(f"{name}: {count} matches are no numbers, as {example!r}")
        if self._events and self.rows > ALL:
            notes.append(f"{self._events.kept} of {self.rows} matching lines are kept")
        return notes

    @property
    def state(self) -> dict[str, Any]:
        """As JSON, so that another reader continues."""
        log = self._log
        return {
            "log": [log.offset, log.inode, log.dropping, log.too_long], "rows": self.rows,
            "odd": self._odd, "told": self._told, "thinner": self._thinner.state,
            "events": self._events.state if self._events else self._saved,
        }  # fmt: skip

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        log = self._log
        log.offset, log.inode, log.dropping, log.too_long = state["log"]
        self.rows, self._saved, self._told = state["rows"], state["events"], state["told"]
        self._odd = {name: (count, example) for name, (count, example) in state["odd"].items()}
        self._thinner.state = state["thinner"]


class LogFollower(Grouped[LogReader]):
    """The events of the lines of a log that match the source's pattern."""

    def __init__(
        self,
        source: Source,
        path: Path,
        start: int = 0,
        cursor: Mapping[str, Any] | None = None,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        """`start`: the byte where this run's lines begin; `cursor` and `scales`: as of a file."""
        self._path = path
        self._names = source.in_log
        self._without: frozenset[str] = frozenset()

        def make(part: Source) -> LogReader:
            return LogReader(part, path, start, self._scales)

        super().__init__(source, self._names, make, scales, cursor)

    def poll(self, last: bool = False, without: frozenset[str] = frozenset()) -> Iterator[Event]:
        """The new events; `without`: our names that the file gave (`FileFollower.given`).

        They are left out where the file is preferred.
        """
        self._without = without if self._source.prefer == "file" else frozenset()
        yield from self._poll(last, self._without)

    @property
    def status(self) -> dict[str, Any]:
        """What was matched, as of a file."""
        given = self.given
        names = {name: one.ours for name, one in self._names.items() if one.ours in given}
        missing = [name for name, one in self._names.items()
                   if one.ours not in given | self._without]  # fmt: skip
        if not self._source.file:  # else they are looked for in the file
            missing += [name for name in self._source.names if name not in self._names]
        return {
            "file": str(self._path),
            "kind": "log",
            "columns": list(re.compile(self._source.pattern).groupindex),
            "names": names,
            "missing": [{"name": name, "near": []} for name in missing],
            "skipped": 0,
            **self._counts,
        }
