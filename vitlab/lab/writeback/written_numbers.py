"""The record of numbers that were written into documents: where each stands, and its source.

`.vitlab/numbers.jsonl` has a line for each write, sealed for this lab's folder, wherever it is
moved on its disk. It may be deleted, and a copy of the lab begins without one: numbers are then
held against the results by their values alone. Each time that it has grown by `PRUNED`, the lines
go of which no number stands in its document any more and no job is there any more.
"""

from __future__ import annotations

import errno
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from vitlab.contract.paths import UsageError, cause, real, write_atomic
from vitlab.contract.reading import parse, read_regular
from vitlab.contract.user_key import is_sealed, seal
from vitlab.contract.validation import from_document
from vitlab.docs.journal import digest
from vitlab.docs.lint.stated import is_of_law, stated_at
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.save import FileChange
from vitlab.docs.text.edit import reverse
from vitlab.docs.text.inline import folded
from vitlab.docs.text.numbers import NumberPlace, numbers_of
from vitlab.docs.text.source import Document
from vitlab.jobs.files import open_appending
from vitlab.jobs.store import Job, all_jobs
from vitlab.jobs.submissions import identity
from vitlab.lab.after_save import locked
from vitlab.lab.documents import is_report
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import finished, of_roadmap
from vitlab.lab.results.provenance import Provenance, Source, Sources, best_source
from vitlab.lab.writeback.sync_ledger import undone_texts

VERSION = 1
MAX_BYTES = 64 << 20
MOST_STRANGE = 10_000
"""Lines with a seal that is not this user's, after which no more are looked at."""
PRUNED = 4 << 20
"""Bytes of lines after which those go that nothing needs any more."""
SURE = 3
"""Significant digits by which a number is known for a result's, where nothing names it."""


@dataclass(frozen=True)
class WrittenNumber:
    """One number as it was written."""

    text: str
    source: Source


@dataclass(frozen=True)
class WrittenNumbers:
    """All numbers on record, by their places; what was undone is not among them."""

    _places: Mapping[str, Mapping[tuple[str, int], Sequence[WrittenNumber]]] = field(
        default_factory=dict
    )
    _last: Mapping[str, Mapping[tuple[str, int], WrittenNumber]] = field(default_factory=dict)
    _rules: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    _mvps: Mapping[str, Mapping[str, Sequence[frozenset[str]]]] = field(default_factory=dict)

    def of_file(self, name: str) -> Mapping[tuple[str, int], Sequence[WrittenNumber]]:
        """(place, index) -> what was written there, oldest first; `name`: its path in the lab."""
        return self._places.get(name, {})

    def last_of_file(self, name: str) -> Mapping[tuple[str, int], WrittenNumber]:
        """(place, index) -> what the last write of a file put there."""
        return self._last.get(name, {})

    def rules_of(self, name: str, gate: str) -> Sequence[str]:
        """The rules of a gate, by its folded id, when results it is judged by were written."""
        return self._rules.get(name, {}).get(gate, ())

    def mvps_of(self, name: str, gate: str) -> Sequence[frozenset[str]]:
        """The MVPs of a gate, by its folded id, when results it is judged by were written."""
        return self._mvps.get(name, {}).get(gate, ())

    def at(self, name: str, place: NumberPlace) -> Sequence[WrittenNumber]:
        """What was written at a place, oldest first; empty for nothing."""
        return self.of_file(name).get((place.place, place.index), ())


def record_numbers(
    lab: Lab, jobs: Sequence[Job], changes: Sequence[FileChange], by_person: str = ""
) -> None:
    """Record the numbers that a write of results of `jobs`, one launch, brought into documents.

    `by_person`: a conclusion in their own words, whose numbers are vouched for by results alone.
    """
    if not jobs:
        return
    roadmap = lab.paths.root / jobs[-1].spec.roadmap
    known = Provenance(finished(of_roadmap(lab, all_jobs(lab.paths), roadmap)))
    record = _Record(known, jobs, by_person)
    places = {lab.paths.relative(one.path): list(record.places(one)) for one in changes}
    _record(lab, changes, record.sources, places, _gates_of(lab, changes, jobs[-1].spec.mvp))


def rules_text(gate: Gate) -> str:
    """The conditions of a gate, as a reader sees them."""
    return "; ".join(" ".join(rule.if_.split()) for rule in gate.rules)


def _gates_of(lab: Lab, changes: Sequence[FileChange], mvp: str) -> dict[str, list[Gate]]:
    """By roadmap the gates that an MVP's results are judged by."""
    known = {real(path) for path in lab.roadmaps()}
    found: dict[str, list[Gate]] = {}
    for one in changes:
        if real(one.path) in known:
            document = Document(one.new_text, one.path)
            gates = parse_roadmap(document, lab.vocabulary_of(one.path)).gates
            found[lab.paths.relative(one.path)] = [gate for gate in gates if mvp in gate.mvps]
    return found


_Written = tuple[str, int, str, int]
"""(place, index, text, index of the source) of a number."""


def _record(
    lab: Lab,
    changes: Sequence[FileChange],
    sources: Sequence[Source],
    places: Mapping[str, Sequence[_Written]],
    gates: Mapping[str, Sequence[Gate]] | None = None,
) -> None:
    judged = {name: found for name, found in (gates or {}).items() if found}
    body = {
        "v": VERSION,
        "texts": [digest(one.new_text) for one in changes],
        "sources": [_document_of(one) for one in sources],
        "places": {name: found for name, found in places.items() if found},
        "rules": {
            name: {folded(gate.id): rules_text(gate) for gate in found}
            for name, found in judged.items()
        },
        "mvps": {
            name: {folded(gate.id): list(gate.mvps) for gate in found}
            for name, found in judged.items()
        },
    }
    if body["places"] or body["rules"]:
        _append(lab, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode())


def record_account(
    lab: Lab, change: FileChange, launches: Mapping[str, Sequence[Job]], found: str
) -> None:
    """Record the numbers of an autopilot's report: results, and its own account of hours.

    `launches`: the first cell of a row -> the jobs of its launch; `found`: the head of the column
    that tells of results.
    """
    every = [job for jobs in launches.values() for job in jobs]
    known = Provenance(finished(all_jobs(lab.paths)))
    record = _Record(known, every)
    own = {first: _Record(known, jobs) for first, jobs in launches.items() if jobs}
    places = []
    for one in numbers_of(Document(change.new_text, change.path), whole=True):
        mine = own.get(one.first, record)
        source = mine.source_of(one) if one.head == found else None
        index = record.index_of(source or mine.computed)
        places.append((one.place, one.index, one.number.text, index))
    _record(lab, [change], record.sources, {lab.paths.relative(change.path): places})


def read_numbers(lab: Lab) -> WrittenNumbers:
    """The record, read again where it has changed; what is not of this user counts for nothing."""
    private = lab.paths.private
    stamp = _stamp(private.numbers), _stamp(private.sync_ledger)
    with _LOCK:
        kept = _READ.get(lab.paths.root)
    if kept is None or kept[0] != stamp:
        kept = (stamp, _read(lab))
        with _LOCK:
            _READ.clear()
            _READ[lab.paths.root] = kept
    return kept[1]


_LOCK = Lock()
_READ: dict[Path, tuple[object, WrittenNumbers]] = {}
"""The record that was read last, by the lab's root, with its files' stamps."""


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.lstat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(lab: Lab) -> WrittenNumbers:
    places: dict[str, dict[tuple[str, int], list[WrittenNumber]]] = defaultdict(
        lambda: defaultdict(list)
    )
    last: dict[str, dict[tuple[str, int], WrittenNumber]] = {}
    rules: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    mvps: dict[str, dict[str, list[frozenset[str]]]] = defaultdict(lambda: defaultdict(list))
    undone: set[str] | None = None
    for line in _lines(lab):
        try:
            record = parse(line, MAX_BYTES)
            undone = undone_texts(lab) if undone is None else undone
            if record["v"] != VERSION or undone & set(record["texts"]):
                continue
            sources = [_source_of(one) for one in record["sources"]]
            for name, found in record["places"].items():
                last[name] = {(p, i): WrittenNumber(text, sources[n]) for p, i, text, n in found}
                for place, index, text, number in found:
                    places[name][place, index].append(WrittenNumber(text, sources[number]))
            for name, of_gates in record.get("rules", {}).items():
                for gate, text in of_gates.items():
                    rules[name][gate].append(text)
            for name, of_gates in record.get("mvps", {}).items():
                for gate, known in of_gates.items():
                    mvps[name][gate].append(frozenset(map(str, known)))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            continue  # of another version
    return WrittenNumbers(places, last, rules, mvps)


def _key(one: NumberPlace) -> tuple[str, int, str]:
    return one.place, one.index, one.number.text


class _Record:
    """The numbers of one write, with the sources they share."""

    def __init__(self, known: Provenance, jobs: Sequence[Job], by_person: str = "") -> None:
        self._known, self._by_person = known, by_person
        mvp, profile = (jobs[-1].spec.mvp, jobs[-1].spec.profile) if jobs else ("", "")
        self._own = Sources(one for one in known.sources(mvp) if one.profile == profile)
        self.computed = Source("", tuple(job.name for job in jobs), mvp, "", profile)
        """What is said of a number that was computed from several, or counted."""
        self._index: dict[tuple[str, tuple[str, ...]], int] = {}
        self.sources: list[Source] = []

    def places(self, change: FileChange) -> Iterator[_Written]:
        """Every number a change brought."""
        document = Document(change.new_text, change.path)
        lines: dict[int, Counter[str]] = defaultdict(Counter)
        for edit in reverse(change.edits):  # spans in the new text; `new` is what stood there
            # A row is added behind the end of the one above, which is not new.
            start = edit.span.start + len(edit.old) - len(edit.old.lstrip("\r\n"))
            first = document.line_of(min(start, edit.span.end))
            last = document.line_of(max(start, edit.span.end - 1))
            before = Counter(one.number.text for one in numbers_of(Document(edit.new), whole=True))
            for line in range(first, last + 1):
                lines[line] = lines[line] + before
        there = set(map(_key, numbers_of(Document(change.old_text or ""), whole=True)))
        for one in numbers_of(document, whole=True) if lines else ():
            if one.line not in lines or one.is_limit:
                continue
            if one.is_whole:  # in other files too much else has the same words around it
                new = _key(one) not in there and (one.number.decimals < 0 or is_report(change.path))
            else:
                new = one.number.text not in lines[one.line]
            if new and (source := self.source_of(one)) is not None:
                yield one.place, one.index, one.number.text, self.index_of(source)

    def source_of(self, one: NumberPlace) -> Source | None:
        """Of a number that is a result, a size or a count; a limit or a magnitude is none."""
        is_ours = one.number.text not in self._by_person
        if one.is_whole:
            return self.computed if is_ours else None
        stated = stated_at(one.head, one.first, one.text, one.number.value)
        if stated is None and is_of_law(one.text, one.number.value):
            return self.computed if is_ours else None
        is_named = stated is not None or one.number.error is not None
        beside = one.row or one.text
        found = None
        if is_named or one.number.significant >= SURE:
            found = best_source(one.number, self._own, stated, beside) or best_source(
                one.number, self._known.everywhere(), stated, beside
            )
        return found or (self.computed if is_named and is_ours else None)

    def index_of(self, source: Source) -> int:
        """Where a source stands among those of the write; it is entered if it is new."""
        key = source.value, source.jobs
        if key not in self._index:
            self._index[key] = len(self.sources)
            self.sources.append(source)
        return self._index[key]


_SEAL = 64
"""Letters of a seal."""
_KEYS = ("value", "jobs", "mvp", "run", "profile", "number", "error", "n", "model")


def _document_of(source: Source) -> dict[str, Any]:
    return {key: known for key in _KEYS if (known := getattr(source, key))}


def _source_of(document: Mapping[str, Any]) -> Source:
    empty = {"value": "", "mvp": "", "run": "", "profile": "", "jobs": []}
    source = from_document({"v": VERSION, **empty, **document}, Source, VERSION)
    if source is None:
        raise ValueError("no source")
    return source


def _append(lab: Lab, body: bytes) -> None:
    """Add one line, which is there whole or counts for nothing."""
    path = lab.paths.private.numbers
    try:
        whose = _whose(lab)
        line = _line(whose, body)
        with locked(lab.paths):
            descriptor = open_appending(path)
            try:
                before = os.fstat(descriptor).st_size
                if os.write(descriptor, line) < len(line):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if before // PRUNED < (before + len(line)) // PRUNED:
                kept = filter(_Needed(lab), _sealed(whose, read_regular(path, MAX_BYTES)))
                write_atomic(path, b"".join(_line(whose, one) for one in kept))
    except (OSError, UsageError) as error:  # the documents are written; lint goes by values
        lab.tell(f"{path}: where the numbers come from is not recorded ({cause(error)})")


class _Needed:
    """Whether a line of the record is needed: a number of it stands, or a job of it is there."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._jobs = {job.name for job in all_jobs(lab.paths)}
        self._standing: dict[str, dict[tuple[str, int], str] | None] = {}

    def __call__(self, body: bytes) -> bool:
        try:
            record = parse(body, MAX_BYTES)
            if record["v"] != VERSION:
                return True
            if any(name in self._jobs for one in record["sources"] for name in one["jobs"]):
                return True
            return any(
                self._stands(name, (place, index), text)
                for name, found in record["places"].items()
                for place, index, text, _ in found
            )
        except (ValueError, TypeError, KeyError):
            return True

    def _stands(self, name: str, at: tuple[str, int], text: str) -> bool:
        if name not in self._standing:
            self._standing[name] = self._read(name)
        standing = self._standing[name]
        return standing is None or standing.get(at) == text

    def _read(self, name: str) -> dict[tuple[str, int], str] | None:
        """The numbers of a document by their places; None where it cannot be read."""
        try:
            data = read_regular(self._lab.paths.inside(name), MAX_BYTES)
        except FileNotFoundError:
            return {}
        except (OSError, UsageError):
            return None
        numbers = numbers_of(Document(data.decode("utf-8", "replace")), whole=True)
        return {(one.place, one.index): one.number.text for one in numbers}


def _line(whose: bytes, body: bytes) -> bytes:
    """Sealed; what a full disk cut short before it ends at its beginning."""
    return b"\n" + seal(b"numbers", whose, body).encode() + b" " + body + b"\n"


def _whose(lab: Lab) -> bytes:
    """What a line is sealed for: another lab of this user has other numbers."""
    return identity(lab.paths.root).encode()


def _lines(lab: Lab) -> Iterator[bytes]:
    path = lab.paths.private.numbers
    try:
        yield from _sealed(_whose(lab), read_regular(path, MAX_BYTES))
    except FileNotFoundError:
        return
    except (OSError, UsageError) as error:  # without a state folder no line is known as ours
        lab.tell(f"{path}: {cause(error)}; numbers go by their values alone")


def _sealed(whose: bytes, data: bytes) -> Iterator[bytes]:
    """The lines that this user has written into this lab."""
    strange = 0
    for line in io.BytesIO(data):  # one after the other: there may be millions
        if len(line) > _SEAL and line[_SEAL : _SEAL + 1] == b" ":
            body = line[_SEAL + 1 :].rstrip(b"\n")
            if is_sealed(line[:_SEAL].decode("latin-1"), b"numbers", whose, body):
                yield body
            elif (strange := strange + 1) > MOST_STRANGE:
                return
