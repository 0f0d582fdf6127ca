"""The process that reads a program's own metrics: `... JOBDIR ATTEMPT LOG_FROM`.

Of a program without any it notes the W&B run of a file, and ends: `... JOBDIR wandb FILE`.

It writes `events.jsonl` in the program's place, and what it found of its files to `metrics.json`.
Its supervisor starts it, keeps its standard input open as long as the job runs, and starts it
again when it dies: `metrics.json` says where it was, so nothing is read twice and nothing lost.
"""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote

from vitlab.contract.events import EventWriter, job_mark, read_events
from vitlab.contract.paths import JobPaths
from vitlab.contract.reading import open_regular
from vitlab.contract.tracking import FILES, Link, read_link, write_link
from vitlab.jobs.files import read_json, read_own, write_json
from vitlab.jobs.metrics.files import BLOCK, EMPTY, FileFollower
from vitlab.jobs.metrics.formats.json_rows import JsonDocument
from vitlab.jobs.metrics.formats.records import WandbFile
from vitlab.jobs.metrics.log import LogFollower, Scales
from vitlab.jobs.metrics.ownership import LogWriters
from vitlab.jobs.metrics.run_files import REMEDY, RunFiles
from vitlab.jobs.metrics.source import Name, Source, read_source
from vitlab.jobs.processes import ADOPTED, INCOMPLETE, identity, in_thread

INTERVAL = 2.0
"""Seconds between two rounds."""
PATTERN_LIMIT = 5.0
"""Seconds a pattern may search the log without a match: some need longer than the universe has."""
ALONE = 60.0
"""Seconds for what is not read yet once the supervisor is gone."""
QUIET = 45.0
"""Seconds a job may run until it is told that no file matches."""
OLD_FILES = 20
"""Files that are there before a run whose end is noted; the newest, as a run goes on with these."""
_HARMLESS = ("are kept", "so far", "has no end")
"""Ends of notes on what is as it should be."""
LOG = "log"
"""The kind of source that the log is."""
LINK = Source({"_": Name("train/_")}, file=FILES)
"""Of a W&B file that is only read for its run's page."""


class GuardedReader:
    """One source that is read, whatever it raises."""

    def __init__(self, name: str, make: Callable[[Any], Any], cursor: Any = None) -> None:
        """`make`: a follower that goes on from a cursor."""
        self.name = name
        self._make = make
        self.follower = make(cursor)
        self.fault = ""
        """Why it could not be read; empty while it can."""
        self._faults = 0
        self._retry = 0.0

    def poll(self, events: Path, known: Counter[object], last: bool, **options: Any) -> None:
        """Write its new events. After a fault it is tried again, less and less often."""
        if self._retry > time.monotonic() and not (last and self._retry < math.inf):
            return
        before, size = self.follower.cursor, _size(events)
        try:
            _write(events, self.follower.poll(last=last, **options), known)
        except TimeoutError as error:
            self.fault, self._retry = f"{self.name}: {error}; it is not read any more", math.inf
        except Exception as error:
            self._faults += 1
            self._retry = time.monotonic() + INTERVAL * 2 ** min(self._faults, 5)
            self.fault = f"{self.name}: cannot be read: {_words(error)}"
            self.follower = self._make(before)
            known.update(_written_since(events, size))
        else:
            self.fault, self._faults, self._retry = "", 0, 0.0

    @property
    def is_whole(self) -> bool:
        """Whether all could be read so far."""
        return not self.fault and not self.follower.unread


def _write(
    path: Path, events: Iterable[tuple[str, dict[str, Any]]], known: Counter[object]
) -> None:
    """Append events, but for those `known` to have been written."""
    writer: EventWriter | None = None
    try:
        for kind, data in events:
            key = _key(kind, data)
            if known[key] > 0:
                known[key] -= 1
                continue
            writer = writer or EventWriter(path)
            writer.write(kind, **data)
    finally:
        if writer is not None:
            writer.close()


def _written_since(events: Path, offset: int) -> Counter[object]:
    """The events from byte `offset` on: written, but perhaps not noted as read."""
    known = Counter[object]()
    while True:
        found, offset = read_events(events, offset, 1 << 20)
        if not found:
            return known
        known.update(_key(event.kind, event.data) for event in found)


def _key(kind: str, data: Mapping[str, Any]) -> object:
    """What tells an event from others, before it is written and after."""
    values: Mapping[str, float | None] = data.get("values") or {}
    finite = {name: None if x is None or x - x != 0 else x for name, x in values.items()}
    place = data.get("step"), data.get("epoch"), data.get("text")
    return kind, *place, frozenset(finite.items())


def _words(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error)
    return f"{type(error).__name__}: {text}"[:200] if text else type(error).__name__


def _size(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0


class Follow:
    """Reads the metrics of one attempt of one job."""

    def __init__(self, job: JobPaths, attempt: str, log_from: int, anew: bool = False) -> None:
        """`anew`: what an earlier reader noted cannot be used."""
        self.job, self._anew = job, anew
        spec = read_json(job.spec)
        epochs = (spec.get("config") or {}).get("epochs")
        source = read_source(spec.get("extra") or {}, epochs if isinstance(epochs, int) else 0)
        self._unread = [] if source else ["metrics: the declaration cannot be read"]
        self._source = source or Source({})
        record = {} if anew else read_own(job, job.metrics)
        self._state: dict[str, Any] = record.get("state") or {} if record.get("v") == 1 else {}
        self._attempt, self._log_from, self._began = attempt, log_from, time.monotonic()
        run = (spec.get("extra") or {}).get(ADOPTED)
        self._writers = LogWriters(job.log, *identity(run)) if run else None
        self._files = RunFiles(job, spec, self._source.file)
        self._scales = self._new_scales(log_from)
        self._no_scales = ""
        """Why they are not looked for any more."""
        self._cursors: dict[str, Any] = self._state.get("cursors") or {}
        """By path, also of files that are not read now; of the log by an empty one."""
        self._readers: dict[Path, GuardedReader] = {}
        self._log: GuardedReader | None = None
        self._shared: list[dict[str, Any]] = self._state.get("shared") or []
        self._known = _written_since(job.events, self._state.get("events") or 0)
        self._older_log = int(self._state.get("older_log") or 0)
        """Bytes of an adopted run's log that may be an earlier run's."""
        self._noted: dict[str, Any] = {}

    def begin(self) -> None:
        """Read what an earlier reader left, and note which files are there before the run."""
        files = self._state.get("files") or {}
        self._files.restore(files)
        if self._anew:
            self._files.forget_existing(float(self._attempt))
        elif self._state.get("attempt") == self._attempt:  # an earlier reader of it died
            for path in self._files.ours:
                self._follow(path)
        else:
            for path in [path for path in self._files.ours if self._files.still_ours(path)]:
                self._follow(path)
            self._read_scales(last=True)
            self._read(last=True)
            self._note_cursors()
            self._readers, self._shared = {}, []
            self._cursors.pop("", None)
            self._files.note_existing()
            self._older_log = self._files.log_start(self.job.log)
            for path in self._files.existing()[:OLD_FILES]:
                with contextlib.suppress(Exception):  # an odd file of another program
                    self._follow(path, skip=True)
                    self._cursors[str(path)] = self._readers.pop(path).follower.cursor
        start = self._older_log or self._log_from
        self._scales = self._new_scales(start)
        if self._source.pattern:
            self._log = GuardedReader("the log", self._log_follower, self._cursors.get(""))
        self._look_at_log(last=False)
        self._save(last=False)

    def _log_follower(self, cursor: Any) -> LogFollower:
        return LogFollower(
            self._source,
            self.job.log,
            self._older_log or self._log_from,
            cursor,
            self._scales.known,
        )

    def _follow(self, path: Path, skip: bool = False) -> None:
        """Follow a file from where it was left; `skip`: what it holds now is an earlier run's."""
        source = self._source if self._files.ours.get(path, True) else LINK

        def make(cursor: Any) -> FileFollower:
            return FileFollower(source, path, cursor, self._scales.known)

        cursor = self._cursors.get(str(path))
        before = [one for other, one in self._readers.items() if other.name == path.name]
        self._readers[path] = reader = GuardedReader(self._files.shown(path), make, cursor)
        if skip:
            reader.follower.skip_existing()
        elif before and not cursor:
            reader.follower.know_rows_of(before[-1].follower)

    def _look_at_log(self, last: bool) -> None:
        """Give up the log of a run started by hand, and the scales in it, if others write it too.

        Also one whose numbers nobody wants: its end says how the run ended.
        """
        if not any(one["kind"] == LOG for one in self._shared):
            others = self._writers.others(last) if self._writers else ""
            if not others:
                return
            note = f"the log: {others}: neither its numbers nor its end are used"
            waiting = [theirs for theirs, one in self._source.waiting.items() if one.pattern]
            scaled = {theirs: self._source.names[theirs].ours for theirs in waiting}
            names = {**(self._log.follower.status["names"] if self._log else {}), **scaled}
            shared = {"file": "the log", "kind": LOG, "names": names, "shared": True}
            self._shared.append({**shared, "note": note})
        self._log = self._writers = None
        if any(scale.pattern for scale in self._source.waiting.values()):
            self._no_scales = "the scales: they are not looked for in a log that others write"

    def round(self, last: bool = False) -> bool:
        """Look for files, read what is new, note what was found; whether all could be read."""
        self._look_at_log(last)
        self._read_scales(last)
        self._leave_shared(last)
        # Each is read before the next, which may repeat its rows, and whose values are later ones.
        for path, is_old in self._files.claim_new(last):
            for reader in self._readers.values():
                reader.follower.show()
                reader.poll(self.job.events, self._known, last)
            self._follow(path, is_old)
        self._read(last)
        if last and self._files.fell:
            self._leave_shared(last)  # its last row may have shown it
        self._leave_removed()
        self._save(last)
        return all(one.is_whole for one in self._all())

    def _leave_shared(self, last: bool) -> None:
        """Follow no file that others write too."""
        for path, reason in self._files.shared(last):
            if (reader := self._readers.pop(path, None)) is None:
                continue  # removed
            note = f"{reader.name}: {reason} too: its numbers are not used; {REMEDY}"
            self._shared.append({**reader.follower.status, "shared": True, "note": note})

    def _leave_removed(self) -> None:
        """Follow no old checkpoint's document that was removed: the newest repeats its rows."""
        declared = [path for path in self._readers if self._files.ours.get(path)]
        for k, path in enumerate(declared):
            old = self._readers[path].follower
            newer = (self._readers[p].follower for p in declared[k + 1 :] if p.name == path.name)
            if not path.exists() and any(one.repeats(old) for one in newer):
                del self._readers[path]

    def _read_scales(self, last: bool) -> None:
        """Look for scales, unless a pattern for one was given up."""
        if self._no_scales:
            return
        try:
            with _limit(PATTERN_LIMIT, lambda: self._scales.place):
                self._scales.poll(last)
        except TimeoutError as error:
            self._no_scales = f"the scales: {error}; they are not looked for any more"

    def _all(self) -> list[GuardedReader]:
        return [*self._readers.values(), *([self._log] if self._log else [])]

    def _declared(self) -> list[GuardedReader]:
        return [one for path, one in self._readers.items() if self._files.ours.get(path)]

    def _read(self, last: bool) -> None:
        for reader in self._readers.values():
            reader.poll(self.job.events, self._known, last)
        self._files.look_soon(sum(one.follower.begun_anew for one in self._readers.values()))
        self._files.fell |= any(one.follower.fell for one in self._declared())
        if (log := self._log) is not None:
            by_file = self._given() if self._source.prefer == "file" else frozenset[str]()
            with _limit(PATTERN_LIMIT, lambda: log.follower.cursor):
                log.poll(self.job.events, self._known, last, without=by_file)

    def _given(self) -> frozenset[str]:
        """Our names that a file gave."""
        return frozenset[str]().union(*(one.follower.given for one in self._declared()))

    def problems(self, last: bool) -> list[str]:
        """What a person should know, one line each."""
        waited = last or time.monotonic() - self._began > QUIET
        lines = [*self._unread, *self._files.problems(waited), *self._scales.problems]
        lines += [self._no_scales] if self._no_scales else []
        if self._log is not None and self._older_log:
            lines.append("the log is older than the run: what it held before is not read")
        lines += [one.fault for one in self._all() if one.fault]
        lines += [str(one["note"]) for one in self._shared]
        logged = self._log.follower.given if self._log else frozenset()
        given = self._given() | logged
        known = {theirs for theirs, one in self._source.names.items() if one.ours in given}
        for one in self._declared():
            lines += _notes(one.name, one.follower.status, last)
            lines += _missing(one.name, one.follower.status, known, last)
        lines += self._in_several() if last else []
        if self._log is not None:
            lines += _notes("the log", status := self._log.follower.status, last)
            if last and not logged and not self._given():
                what = f"that matches {self._source.pattern} has a number"
                what = what if status["rows"] else f"matches {self._source.pattern}"
                lines.append(f"no line of the log {what}")
        return list(dict.fromkeys(lines))

    def _in_several(self) -> Iterator[str]:
        """Values that more than one file gave, as of folds: one line for those of the same files.

        Documents that repeat all rows, as each checkpoint's, are one file.
        """
        files: dict[str, tuple[str, ...]] = {}
        for one in self._declared():
            if one.follower.status["kind"] != JsonDocument.kind:
                for ours in one.follower.given:
                    files[ours] = (*files.get(ours, ()), one.name)
        for names in dict.fromkeys(names for names in files.values() if len(names) > 1):
            values = ", ".join(sorted(ours for ours in files if files[ours] == names))
            yield f"{values}: in {len(names)} files, of which the last counts, {names[-1]}"

    def _note_cursors(self) -> None:
        self._cursors |= {str(path): one.follower.cursor for path, one in self._readers.items()}
        if self._log is not None:
            self._cursors[""] = self._log.follower.cursor

    def _new_scales(self, start: int) -> Scales:
        return Scales(self._source, self._files.folder, self.job.log, start, float(self._attempt))

    def _save(self, last: bool) -> None:
        """Write `metrics.json` where anything changed."""
        self._note_cursors()
        followed = [
            {**self._scales.marked(one.follower.status), "file": one.name}
            for one in [*self._declared(), *([self._log] if self._log else [])]
        ]
        runs = [run for one in self._readers.values() if (run := one.follower.wandb)]
        link = _link(self.job, runs[-1]) if runs and runs[-1].get("id") else None
        record = {
            "v": 1,
            "job": job_mark(read_json(self.job.spec).get("submitted")),
            "sources": [*followed, *self._shared],
            "problems": self.problems(last),
            "wandb": {**runs[-1], "url": link.url} if link else None,
            "state": {
                "attempt": self._attempt,
                "events": _size(self.job.events),
                "files": self._files.noted(),
                "cursors": self._cursors,
                "shared": self._shared,
                "older_log": self._older_log,
            },
        }
        if record == self._noted:
            return
        # On a full disk the next round notes it; a reader started before knows by the events.
        with contextlib.suppress(OSError):
            write_json(self.job.metrics, record, indent=None)
            self._noted = record
            if link is not None and read_link(self.job) != link:
                write_link(self.job, link)


def _notes(name: str, status: Mapping[str, Any], last: bool) -> Iterator[str]:
    """What was left out of a file or of the log, or is odd."""
    notes = str(status.get("note") or "").split("; ")
    lines = [note for note in notes if note and not note.endswith(_HARMLESS)]
    if lines and (last or lines != [EMPTY]):
        yield f"{name}: {'; '.join(lines)}"


def _missing(
    name: str, status: Mapping[str, Any], known: Collection[str], last: bool
) -> Iterator[str]:
    """The columns that are not there. One may come late, unless another has a similar name.

    `known`: columns whose value came, from this or another source.
    """
    names = status.get("names") or {}
    for one in status.get("missing") or ():
        near = [word for word in one.get("near") or () if word not in names]
        if one["name"] in known or not (last or (near and status.get("rows"))):
            continue
        similar = f"; there is {', '.join(near)}" if near else ""
        yield f"{name}: no column {one['name']}{similar}"
    empty = [one for one in names if last and one not in known]
    if empty and not status.get("note"):
        yield f"{name}: no number in {', '.join(empty)}"


def _link(job: JobPaths, run: Mapping[str, str]) -> Link:
    """The run's page at W&B, or the folder of its offline run."""
    folder, parts = Path(run["folder"]), [run.get(key, "") for key in ("entity", "project", "id")]
    # An online run's folder is called `run-...`, any other's `offline-run-...`.
    online = folder.name.startswith("run-") and all(parts)
    server = os.environ.get("WANDB_BASE_URL", "https://wandb.ai").rstrip("/")
    entity, project, number = (quote(part) for part in parts)
    url = f"{server}/{entity}/{project}/runs/{number}" if online else None
    path, mark = os.path.relpath(folder, job.folder), job_mark(read_json(job.spec).get("submitted"))
    return Link(run.get("id", ""), "online" if online else "offline", url, path, job=mark)


@contextlib.contextmanager
def _limit(seconds: float, place: Callable[[], object]) -> Iterator[None]:
    """Raise `TimeoutError` after `seconds` at one place, also within a regular expression."""
    last = [place()]

    def look(_number: int, _frame: FrameType | None) -> None:
        before, last[0] = last[0], place()
        if last[0] == before:
            raise TimeoutError(f"the pattern searched for {seconds:.0f} s without an end")

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _beat() -> None:
    """Tell the supervisor that we live; a search that never ends lets no thread run.

    Without a supervisor nobody ends us: what is not read by then is left to the next reader.
    """
    with contextlib.suppress(BrokenPipeError):
        while True:
            with contextlib.suppress(BlockingIOError):  # it does not listen
                os.write(1, b".")
            time.sleep(INTERVAL)
    time.sleep(ALONE)
    os._exit(INCOMPLETE)


def _job_runs() -> bool:
    """Wait for the next round; False once the supervisor has closed our input."""
    return not select.select([0], [], [], INTERVAL)[0]


def _note_run(job: JobPaths, file: Path) -> bool:
    """Write the link of the W&B run that the file is of; whether the file says which."""
    decoder = WandbFile({}, "", "")
    with os.fdopen(open_regular(file, follow=True), "rb") as opened:
        decoder.read(opened.read(BLOCK), False)
    if known := bool(decoder.run.get("id")):
        write_link(job, _link(job, {**decoder.run, "folder": str(file.parent)}))
    return known


def main(arguments: Sequence[str]) -> int:
    """`JOBDIR ATTEMPT LOG_FROM`: when the attempt began, and where its log begins in bytes."""
    if arguments[1] == "wandb":
        return 0 if _note_run(JobPaths(Path(arguments[0])), Path(arguments[2])) else INCOMPLETE
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # its input says when the job is over
    os.set_blocking(1, False)
    place = JobPaths(Path(arguments[0])), arguments[1], int(arguments[2])
    try:
        follow = Follow(*place)
        follow.begin()
    except (LookupError, TypeError, ValueError, AttributeError):  # `metrics.json` is damaged
        traceback.print_exc()
        follow = Follow(*place, anew=True)
        follow.begin()
    beating = in_thread(_beat)
    while _job_runs():
        beating = beating or in_thread(_beat)
        follow.round()
    return 0 if follow.round(last=True) else INCOMPLETE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
