"""Follows one metrics file as it grows or is written anew: each row once, as events."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vitlab.jobs.metrics.formats.decoder import LINE_ENDS, Chunk, Decoder
from vitlab.jobs.metrics.formats.kinds import HEAD, KINDS, decoder_of
from vitlab.jobs.metrics.formats.records import WandbFile
from vitlab.jobs.metrics.formats.table import Table, is_of_folds
from vitlab.jobs.metrics.grouped import Grouped, Reader
from vitlab.jobs.metrics.rows import ALL, Event, KnownRows
from vitlab.jobs.metrics.source import Source, near
from vitlab.jobs.metrics.things import EarlierRows, Things

BLOCK = 1 << 17
"""Bytes read at once."""
LIMIT = 1 << 24
"""Bytes of one line or record, and of a file that is only read as a whole."""
_SAMPLE = 1024
"""Bytes at the beginning and end of what was read, that show whether a file has only grown."""
_COSTLY, _SHARE = 0.05, 50
"""A file that took more seconds to read again is left alone for this many times as long."""

EMPTY = "is empty"
Stamp = tuple[int, int, int]
"""Inode, modification time and size."""


class FileReader(Reader):
    """Follows one file for names whose scales are known by the first `poll`."""

    def __init__(self, source: Source, path: Path, scales: Mapping[str, float]) -> None:
        super().__init__(source, scales)
        self._path = path
        self.decoder: Decoder | None = None
        self.note = ""
        """Why nothing is read."""
        self._offset = 0
        self._stamp: Stamp | None = None
        self._head = self._tail = b""  # of what was read
        self._earlier = False  # all rows so far are an earlier run's
        self._skipped = False  # the first rows may be
        self.things, self.before_run = Things(source), EarlierRows(source)
        self._known = KnownRows(list(source.names), source.step, source.epoch)
        self._longest = 0  # rows that were in it at once
        self._cut = False  # its last line has no end
        self.begun_anew = 0
        """How often it was cut or written anew since this reader began."""
        self.replaced = False
        """Whether it was written anew with other rows in place of those that it had."""
        self._before: set[str] = set()  # names that it had before it was cut or written anew
        self._wait_until = 0.0

    def skip_existing(self) -> None:
        """What is there now is an earlier run's."""
        for _ in self._read(last=False, without=None):
            pass
        self.before_run.keep()
        self._earlier = self._skipped = True

    @property
    def in_file(self) -> int:
        """This run's rows that stand in the file: fewer than `rows` once it was written anew."""
        return min(self.rows, self._known.read)

    def know(self, other: FileReader) -> None:
        """Rows that `other` passed on are known, where both are documents that repeat them all."""
        whole = other.decoder and other.decoder.whole and other._known.all_read
        if whole and not other._skipped:
            self._known.know(other._known)

    def _read(self, last: bool, without: frozenset[str] | None) -> Iterator[Event]:
        """Without `without` the rows are not passed on."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            self.note = f"cannot be read: {error.strerror}"
            return
        try:
            status = os.fstat(descriptor)
            stamp = status.st_ino, status.st_mtime_ns, status.st_size
            if (stamp == self._stamp or time.monotonic() < self._wait_until) and not last:
                return
            begun = time.thread_time()  # on a busy machine a cheap file waits too
            anew = not self._has_grown(descriptor, stamp, last)
            if anew:
                self.begun_anew += 1
                self._begin_again()
            yield from self._rows(descriptor, status.st_size, last, without)
            if last and self._known.read < self._longest and not self._known.all_read:
                # It ends with a row that was not its last one before.
                self._begin_again()
                self._known.forget()
                yield from self._rows(descriptor, status.st_size, last, without)
                self._longest = self._known.read
            self._longest = max(self._longest, self._known.read)
            self.replaced |= anew and 1 < self._known.others <= self._known.read
            self._stamp = stamp
            took = time.thread_time() - begun
            if anew and took > _COSTLY:
                self._wait_until = time.monotonic() + _SHARE * took
        except OSError as error:
            self.note = f"cannot be read: {error.strerror}"
        finally:
            os.close(descriptor)

    def _has_grown(self, descriptor: int, stamp: Stamp, last: bool) -> bool:
        """Whether what was read of the file still stands in it, so that only its end is new."""
        if not self._stamp or (stamp == self._stamp and (self._earlier or not last)):
            return True
        if stamp[2] < self._offset or (self.decoder and self.decoder.whole):
            return False
        if self._earlier and (stamp[0] != self._stamp[0] or stamp[2] == self._stamp[2]):
            return False
        return self._stands(descriptor)

    def _stands(self, descriptor: int) -> bool:
        """Whether what was read is still there."""
        end = self._offset - len(self._tail)
        return (
            os.pread(descriptor, len(self._head), 0) == self._head
            and os.pread(descriptor, len(self._tail), end) == self._tail
        )

    @property
    def gone(self) -> set[str]:
        """Names that the file had, and has no more: what came of them is older than its rows."""
        return self._before.difference(self.decoder.matched if self.decoder else ())

    def _begin_again(self) -> None:
        if self.decoder and not self._earlier:
            self._before |= self.decoder.matched.intersection(self.source.names)
        self.things.forget()
        self.before_run.forget()
        self.decoder, self._offset, self._cut = None, 0, False
        self._head = self._tail = b""
        if self._earlier:
            self._earlier = False
            self._known.forget()
        else:
            self._known.restart()

    def _rows(
        self, descriptor: int, size: int, last: bool, without: frozenset[str] | None
    ) -> Iterator[Event]:
        if self.decoder is None:
            decoder = decoder_of(os.pread(descriptor, HEAD, 0), self.source, last)
            if not isinstance(decoder, Decoder):
                self.note = decoder or ("" if size else EMPTY)
                return
            self.decoder = decoder
        self.note = ""
        wanted = LIMIT if self.decoder.whole else BLOCK
        if self.decoder.whole and size > LIMIT:
            self.note = f"is one JSON text of {size >> 20} MB; more than {LIMIT >> 20} are not read"
            return
        while self._offset < size:
            block = os.pread(descriptor, min(wanted, size - self._offset), self._offset)
            if not self._stands(descriptor):
                return  # it is just being written anew
            at_end = last and self._offset + len(block) >= size
            self.decoder.at = self._offset
            if self.decoder.dropping and (rest := self.decoder.behind(block)):
                self._pass_over(block[:rest])
                continue
            used, chunks = self.decoder.read(block, at_end)
            self._cut = at_end and not block.endswith(LINE_ENDS)
            self._pass_over(block[:used])
            yield from self._new_events(chunks, without)
            if used == 0 and len(block) < wanted:
                return
            if used == 0 and wanted >= LIMIT and self.decoder.passes_over():
                self._pass_over(block)
                wanted = BLOCK
                continue
            if used == 0 and wanted >= LIMIT:
                self.note = f"has a line of more than {LIMIT >> 20} MB, and is read up to there"
                return
            wanted = wanted if used else 2 * wanted
        if last and not self.decoder.whole:  # what waited for more
            yield from self._new_events(self.decoder.read(b"", True)[1], without)

    def _new_events(
        self, chunks: Sequence[Chunk], without: frozenset[str] | None
    ) -> Iterator[Event]:
        for chunk in chunks:
            if without is None or self._skipped:
                self.before_run.look_at(chunk)
            if without is not None and not self._skipped:
                self.things.look_at(chunk, self.decoder.columns if self.decoder else ())
            for start, part in self._known.new(chunk):
                if without is not None:
                    self._earlier = False
                    if self._skipped:  # other rows may be another run's
                        self.things.look_at(part, self.decoder.columns if self.decoder else ())
                    yield from self._events_of(start, part, without)

    def _pass_over(self, data: bytes) -> None:
        self._offset += len(data)
        self._head = (self._head + data[:_SAMPLE])[:_SAMPLE]
        self._tail = (self._tail + data[-_SAMPLE:])[-_SAMPLE:]

    def _thinned(self) -> str:
        return (
            f"{self._path.name}: {self.rows} rows, of which {self.events.kept} are kept: the first "
            f"{ALL}, then the last, lowest and highest of each stretch"
        )

    @property
    def unread(self) -> str:
        return "" if self.note == EMPTY else self.note

    @property
    def notes(self) -> list[str]:
        decoder = self.decoder
        notes = [self.note] if self.note else []
        if self.gone:
            names = ", ".join(sorted(self.gone))
            notes.append(f"it was cut or written anew, and has no {names} any more: no last value")
        if decoder is None:
            return notes
        notes += [decoder.problem] if decoder.problem else []
        if decoder.skipped:
            notes.append(f"{decoder.skipped} rows cannot be read and are left out")
        if decoder.lost_last and decoder.matched:
            notes.append("its last row cannot be read: no value before it counts as the last")
        elif lost := decoder.lost & decoder.matched:
            names = ", ".join(sorted(lost))
            notes.append(f"a row that cannot be read may have had the last {names}")
        for name, (count, example) in decoder.odd.items():
            if name in decoder.matched:
                notes.append(f"{name}: {count} cells are not numbers, like {example!r}")
        notes += [f"{name}: {why}" for name, why in decoder.others.items()]
        notes += self.things.notes(decoder.things)
        notes += self.things.orders.notes
        if self.before_run.is_last:
            notes.append("it ends with a row that it had before the run: the last is no result")
        if isinstance(decoder, Table):
            if is_of_folds(decoder, self.in_file):
                notes.append("rows are parts of a whole, as folds: the last one is no result")
            if decoder.summaries:
                notes.append(f"{decoder.summaries} rows begin with a word, no number: left out")
            notes += [f"{name} appears twice in its header" for name in sorted(decoder.twice)]
        if self._cut and isinstance(decoder, Table):
            notes.append("its last line has no end")
        if self.rows > ALL:
            notes.append(f"{self.events.kept} of {self.rows} rows are kept")
        return notes

    @property
    def state(self) -> dict[str, Any]:
        own = {
            "offset": self._offset, "stamp": self._stamp, "head": self._head.decode("latin-1"),
            "tail": self._tail.decode("latin-1"), "earlier": self._earlier,
            "skipped": self._skipped, "longest": self._longest, "known": self._known.state,
            "replaced": self.replaced, "before": sorted(self._before), "things": self.things.state,
            "before_run": self.before_run.state,
            "kind": self.decoder.kind if self.decoder else "",
            "decoder": self.decoder.state if self.decoder else None,
        }  # fmt: skip
        return {**super().state, **own}

    def restore(self, state: Mapping[str, Any]) -> None:
        super().restore(state)
        self._known.restore(state["known"])
        self._earlier, self._skipped = state["earlier"], state["skipped"]
        self._longest, self.replaced = state.get("longest", 0), bool(state.get("replaced"))
        self._before = set(state.get("before", ()))
        self.things.restore(state.get("things", {}))
        self.before_run.restore(state.get("before_run", {}))
        if state["kind"] in KINDS and "sums" in state["known"]:
            self.decoder = KINDS[state["kind"]](*self.source.columns)
            self.decoder.restore(state["decoder"])
            self._offset, self._head = state["offset"], state["head"].encode("latin-1")
            self._tail = state["tail"].encode("latin-1")
            self._stamp = tuple(state["stamp"]) if state["stamp"] else None


class FileFollower(Grouped[FileReader]):
    """The events of one metrics file, each row once."""

    def __init__(
        self,
        source: Source,
        path: Path,
        cursor: Mapping[str, Any] | None = None,
        scales: Mapping[str, float] | None = None,
    ) -> None:
        """`cursor`: where an earlier follower was.

        `scales`: of names whose scale the run gives, filled while it runs (`Scales.known`).
        """
        self._path = path

        def make(part: Source) -> FileReader:
            return FileReader(part, path, self._scales)

        super().__init__(source, source.in_file, make, scales, cursor)

    def skip_existing(self) -> None:
        """What is there now is an earlier run's; what comes, or a file written anew, counts."""
        for reader in self._readers:
            reader.skip_existing()
        self._starts = self._states()

    def know_rows_of(self, other: FileFollower) -> None:
        """Pass on no rows again that `other` did: `checkpoint-*/trainer_state.json` repeat all."""
        for reader, before in zip(self._readers, other._readers, strict=False):
            reader.know(before)

    def repeats(self, other: FileFollower) -> bool:
        """Whether it is a document, read to its end, of at least as many rows."""
        return all(
            one.decoder is not None
            and one.decoder.whole
            and not one.unread
            and one._known.read >= before._known.read
            for one, before in zip(self._readers, other._readers, strict=True)
        )

    @property
    def begun_anew(self) -> int:
        """How often the file was cut or written anew."""
        return max(reader.begun_anew for reader in self._readers)

    @property
    def fell(self) -> bool:
        """Whether it was written anew as by two runs: with other rows, or its only one earlier."""
        return any(one.things.orders.fell or one.replaced for one in self._readers)

    def poll(self, last: bool = False) -> Iterator[Event]:
        """The new events, as kind and data; `last`: the run is over, so an unfinished line too.

        What was read counts as passed on only once the iterator is at its end.
        """
        yield from self._poll(last, frozenset())

    @property
    def status(self) -> dict[str, Any]:
        """What was matched: file, kind, columns, names, missing, skipped, note; its rows.

        `rows` are those of all attempts of the run, `in_file` those of them that stand in the file.
        """
        decoders = [reader.decoder for reader in self._readers if reader.decoder]
        columns = decoders[0].columns if decoders else []
        gone = {name for reader in self._readers for name in reader.gone}
        matched = gone.union(*(decoder.matched for decoder in decoders))
        found = matched.union(self._source.in_log, *(
            one.twice for one in decoders if isinstance(one, Table)))  # fmt: skip
        missing = [name for name in self._names if name not in found]
        names = {name: one.ours for name, one in self._names.items() if name in matched}
        rows = [reader.in_file for reader in self._readers if reader.decoder]
        shared = [one.before_run.is_last for one in self._readers if one.decoder]
        lost = [one.lost_last or is_old or (isinstance(one, Table) and is_of_folds(one, count))
                for one, count, is_old in zip(decoders, rows, shared, strict=True)]  # fmt: skip
        unknown = {name for one, all_ in zip(decoders, lost, strict=True)
                   for name in (one.matched if all_ else one.unknown | one.lost)}  # fmt: skip
        things = [reader.things for reader in self._readers]
        unknown = unknown.union(gone, *(one.of_several.union(one.orders.wrong) for one in things))
        return {
            "file": str(self._path),
            "kind": decoders[0].kind if decoders else "",
            "columns": columns,
            "names": names,
            "missing": [{"name": name, "near": near(name, columns)} for name in missing if columns],
            "unknown": sorted(unknown & names.keys()),
            "skipped": max((decoder.skipped for decoder in decoders), default=0),
            **self._counts,
            "in_file": max((reader.in_file for reader in self._readers), default=0),
        }

    @property
    def wandb(self) -> dict[str, str] | None:
        """Id, project, entity, name, url and folder of a W&B run; None of another file."""
        for reader in self._readers:
            if isinstance(reader.decoder, WandbFile):
                run = reader.decoder.run
                return {**run, "folder": str(self._path.parent)}
        return None
