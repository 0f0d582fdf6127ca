"""Follows a log: the lines that match a pattern, as events, and the scales that it gives."""

from __future__ import annotations

import contextlib
import errno
import math
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vitlab.contract.reading import open_regular, read_regular
from vitlab.jobs.logs.tail import ESCAPES
from vitlab.jobs.metrics.files import BLOCK, LIMIT
from vitlab.jobs.metrics.formats.decoder import Cells, flattened, number
from vitlab.jobs.metrics.formats.json_rows import parsed
from vitlab.jobs.metrics.grouped import Grouped, Reader
from vitlab.jobs.metrics.order import Orders
from vitlab.jobs.metrics.rows import ALL, Event, stretch_end
from vitlab.jobs.metrics.source import ScaleFrom, Source, near

LONGEST = 1 << 16
"""Bytes of a line that is searched."""
_ENDS = re.compile(rb"(?:[\r\n]|\x08{20,})+")
"""Also so many backspaces as take a whole bar back."""
_AHEAD = re.compile(
    r"(?!\s*(?i:folds?|seed|split|trial)\b)[^%]{0,99}%\|[^\]]{0,200}\]"
    r"|\[(?:(?:local_)?rank|default|trainer|worker)?[ _]?0\]:\s?"  # torchrun --tee
    r"|\s{0,9}(?:rank[ _]?)?0:\s"  # srun -l
)
"""A bar that a line is printed behind, or the first rank as a launcher writes it before one."""
_BACK = re.compile("(\b+)")
_CUT = re.compile(
    rb"\[vitlab\] the log had \d+ bytes and was cut; its end is in (\w[\w.]*), from byte (\d+)"
)
"""What stands in a log that `cut_log` has cut."""


class LogLines:
    """The lines of a log as they come; each state of a bar is one.

    A bar is redrawn by carriage returns or backspaces.
    """

    def __init__(self, path: Path, start: int) -> None:
        """`start`: the byte where this run's lines begin."""
        self._path = path
        self.offset = start
        """Where the first line begins that has not been read."""
        self.inode = 0
        self.dropping = False
        """Whether that is within a line that is too long."""
        self.left_out = 0
        """Lines that are too long, or have zeros in them as a crash of the machine leaves."""
        self.lost = False
        """Whether lines were cut that may not have been read."""
        self.problem = ""

    def new(self, last: bool) -> Iterator[list[str]]:
        """Blocks of new lines; `last`: the end of the log is one too, though it has no end."""
        try:
            with os.fdopen(open_regular(self._path, follow=True), "rb", 0) as file:
                self.problem = ""
                yield from self._new(file.fileno(), last)
        except OSError as error:
            self.problem = f"cannot be read: {error.strerror}"

    def _new(self, descriptor: int, last: bool) -> Iterator[list[str]]:
        status = os.fstat(descriptor)
        if status.st_size < self.offset or self.inode not in (0, status.st_ino):
            yield from self._kept(descriptor)
            self.offset, self.dropping = 0, False  # it was cut, as it had grown too large
        self.inode = status.st_ino
        yield from self._lines(descriptor, last)

    def _kept(self, descriptor: int) -> Iterator[list[str]]:
        """The lines from the last one read to a cut of ours, whose end stands beside the log."""
        self.lost = True
        if not (told := _CUT.search(os.pread(descriptor, BLOCK, 0))):
            return
        self.offset -= int(told[2])
        with contextlib.suppress(OSError):
            if self.offset >= 0:
                kept = self._path.with_name(os.fsdecode(told[1]))
                with os.fdopen(open_regular(kept), "rb", 0) as file:
                    yield from self._lines(file.fileno(), last=True)
                    self.lost = False

    def _lines(self, descriptor: int, last: bool) -> Iterator[list[str]]:
        status = os.fstat(descriptor)
        at, half = self.offset, b""
        while at < status.st_size and (block := os.pread(descriptor, BLOCK, at)):
            if not block.strip(b"\0"):  # a cut log that its program writes on far behind its end
                at = _behind_hole(descriptor, at + len(block), status.st_size)
                if at >= status.st_size and not last:  # on a network disk, not there yet
                    return
                self.left_out += bool(half)
                self.offset, self.dropping, half = at, self.dropping or bool(half), b""
                continue
            at += len(block)
            *lines, half = _ENDS.split(half + block)
            if last and at >= status.st_size:
                lines, half = [*lines, half], b""
            if self.dropping and lines:
                self.dropping, lines[0] = False, b""
            if len(half) > LONGEST or self.dropping:
                self.left_out += not self.dropping
                self.dropping, half = True, b""
            self.offset = at - len(half)
            lines = [line.lstrip(b"\0") for line in lines]
            texts = [self._text(line) for line in lines if line and self._is_whole(line)]
            yield [state for text in texts for state in _states(text)]

    def _is_whole(self, line: bytes) -> bool:
        whole = len(line) <= LONGEST and b"\0" not in line
        self.left_out += not whole
        return whole

    @staticmethod
    def _text(line: bytes) -> str:
        line = ESCAPES.sub(b"", line) if b"\x1b" in line else line
        for encoding in ("utf-8", "gbk"):  # that of the program's locale
            with contextlib.suppress(UnicodeDecodeError):
                return line.decode(encoding)
        return line.decode("latin-1")


def _states(line: str) -> list[str]:
    """What a terminal shows of a line: at its end, and before backspaces to its beginning."""
    if "\b" not in line:
        return [line]
    shown, at, states = "", 0, []
    for part in _BACK.split(line):
        if part.startswith("\b"):
            at = max(at - len(part), 0)
            states += [] if at else [shown]
        else:
            shown, at = shown[:at] + part + shown[at + len(part) :], at + len(part)
    return [*states, shown]


def _behind_hole(descriptor: int, at: int, size: int) -> int:
    """Where the next byte may be that was ever written; `size` where none is."""
    try:
        return os.lseek(descriptor, at, os.SEEK_DATA)
    except OSError as error:  # a disk that knows no holes is read through
        return size if error.errno == errno.ENXIO else at


class LogReader(Reader):
    """Follows a log for names whose scales are known by the first `poll`."""

    def __init__(self, source: Source, path: Path, start: int, scales: Mapping[str, float]) -> None:
        super().__init__(source, scales)
        self._pattern = re.compile(source.pattern)
        self._log = LogLines(path, start)
        self._cells = Cells(*source.columns)
        self._before_cut: set[str] = set()
        self._orders = Orders(source)

    def _read(self, last: bool, without: frozenset[str]) -> Iterator[Event]:
        for lines in self._log.new(last):
            self._forget_if_lost()
            found = [match.groupdict() for line in lines if (match := self._match(line))]
            chunk, done = self._cells.chunk_of(found), 0
            self._orders.look_at(chunk)
            while done < chunk.rows:
                end = min(chunk.rows, done + stretch_end(self.rows) - self.rows)
                yield from self._events_of(self.rows, chunk.part(done, end), without)
                done = end
        self._forget_if_lost()  # nothing came behind it

    def _forget_if_lost(self) -> None:
        """What came before a cut is not the last, unless it comes again."""
        if self._log.lost:
            self._log.lost = False
            self._before_cut = {*self._cells.matched}.intersection(self.source.names)
            self._cells.unknown |= self._before_cut

    def _match(self, line: str) -> re.Match[str] | None:
        """What the pattern finds, of a line or behind a bar or a rank at its beginning."""
        if match := self._pattern.search(line):
            return match
        ahead = _AHEAD.match(line)
        return self._pattern.search(line[ahead.end() :]) if ahead else None

    def _thinned(self) -> str:
        return f"the log: {self.events.kept} of {self.rows} matching lines are kept"

    @property
    def unread(self) -> str:
        return self._log.problem

    @property
    def unknown(self) -> set[str]:
        """Names whose last match is no number, or perhaps of another run."""
        return self._cells.unknown.union(self._orders.wrong)

    @property
    def notes(self) -> list[str]:
        notes = [self._log.problem] if self._log.problem else []
        if not self.rows:
            notes.append("no line matches the pattern so far")
        if cut := self._before_cut & self._cells.unknown:
            names = ", ".join(sorted(cut))
            notes.append(f"it was cut, perhaps before all was read: {names} before is not the last")
        if self._log.left_out:
            kinds = f"of more than {LONGEST >> 10} kB or with zeros"
            notes.append(f"{self._log.left_out} lines {kinds} in them are left out")
        for name, (count, example) in self._cells.odd.items():
            notes.append(f"{name}: {count} matches are not numbers, like {example!r}")
        notes += [f"{name}: {why}" for name, why in self._cells.others.items()]
        notes += self._orders.notes
        if self.rows > ALL:
            notes.append(f"{self.events.kept} of {self.rows} matching lines are kept")
        return notes

    @property
    def state(self) -> dict[str, Any]:
        log = self._log
        own = {"log": [log.offset, log.inode, log.dropping, log.left_out],
               "decoder": self._cells.state, "cut": sorted(self._before_cut),
               "orders": self._orders.state}  # fmt: skip
        return {**super().state, **own}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        log = self._log
        log.offset, log.inode, log.dropping, log.left_out = state["log"]
        self._cells.restore(state["decoder"])
        self._before_cut = set(state.get("cut", ()))
        self._orders.restore(state.get("orders", {}))


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
        self._without: frozenset[str] = frozenset()

        def make(part: Source) -> LogReader:
            return LogReader(part, path, start, self._scales)

        super().__init__(source, source.in_log, make, scales, cursor)

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
            "unknown": sorted(
                {name for one in self._readers for name in one.unknown & names.keys()}
            ),
            "skipped": 0,
            **self._counts,
        }


class Scales:
    """The scales known so far; poll it before the followers."""

    def __init__(
        self, source: Source, folder: Path, log: Path, start: int = 0, since: float = math.inf
    ) -> None:
        """`folder`: the program's; `start`: the byte of `log` where this run's lines begin.

        `since`: when this attempt began, in unix seconds.
        """
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
        self._since = since
        self._written: dict[ScaleFrom, float] = {}
        """What a file said that was written since then."""
        self.unclear: set[str] = set()
        """Names whose scale was written twice in its file, perhaps by another run: of none."""

    @property
    def place(self) -> int:
        """The byte of the log up to which it was searched."""
        return self._log.offset

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
            document = parsed(read_regular(path, LIMIT, follow=True))
        except OSError as error:
            self._why[scale] = f"cannot be read: {error.strerror}"
            return
        self._stamps[scale] = stamp
        if not isinstance(document, dict):
            self._why[scale] = f"{scale.file} is not a JSON object"
            return
        known = flattened(document)
        similar = "".join(f"; there is {key}" for key in near(scale.key, [*known])[:1])
        self._set(scale, known.get(scale.key), f"{scale.file} has none{similar}")
        names = [name for name, one in self._waiting.items() if one == scale]
        value = self.known.get(names[0])
        if value is None or status.st_mtime < self._since:
            return
        if not math.isclose(self._written.setdefault(scale, value), value, rel_tol=1e-4):
            self.unclear.update(names)
            why = f"{scale.file} was written with {self._written[scale]:g}, then {value:g}"
            self._other[scale] = f"{why}, perhaps by another run: no result"

    def _search(self, line: str) -> None:
        for scale, pattern in self._patterns.items():
            if match := pattern.search(line):
                self._set(scale, match[1] if pattern.groups else match[0], "")

    def _set(self, scale: ScaleFrom, cell: object, without: str) -> None:
        odd: list[str] = []
        value = number(cell, odd)
        if value is None or not 0 < abs(value) < float("inf"):
            self._why[scale] = f"{cell!r:.40} is not a scale" if cell is not None else without
            return
        names = [name for name, one in self._waiting.items() if one == scale]
        before = self.known.get(names[0])
        if before not in (None, value):
            self._other[scale] = f"it was {before:g} first, then {value:g}, which is taken"
        self.known |= dict.fromkeys(names, value)

    def marked(self, status: Mapping[str, Any]) -> dict[str, Any]:
        """The status of a file or of the log, with names of an unclear scale as unknown."""
        unclear = self.unclear.intersection(status.get("names") or {})
        return {**status, "unknown": sorted(unclear.union(status.get("unknown") or ()))}

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
