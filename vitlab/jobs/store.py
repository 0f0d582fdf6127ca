"""Job folders: how a job is submitted, and its state by its files. No database, no daemon."""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
import re
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from vitlab.contract.job import (
    Done,
    JobState,
    Lost,
    Queued,
    Running,
    Spec,
    Unreadable,
    load_result,
    load_spec,
    other_job,
)
from vitlab.contract.paths import SPEC, JobPaths, LabPaths, UsageError, is_closed
from vitlab.contract.reading import MAX_BYTES, Room, open_regular, read_document
from vitlab.contract.reading import Unreadable as UnreadableFile
from vitlab.contract.tracking import VERSION as LINK_VERSION
from vitlab.contract.tracking import Link
from vitlab.contract.validation import load_fields, load_record
from vitlab.jobs.copies import SUBMISSION, copies, overtaken
from vitlab.jobs.ends import LONGEST, earlier_result, load_exit, modified, number
from vitlab.jobs.files import BLOCK, beats, is_locked, last_json_line, read_own
from vitlab.jobs.processes import SLURM_NUMBER, is_alive, is_elsewhere, is_here
from vitlab.jobs.submissions import is_submitted, publish, stage, stamp

_ANY = JobPaths(Path())
_BEGUN = frozenset(path.name for path in (_ANY.lock, _ANY.started, _ANY.exit, _ANY.resume))
"""A job that has none of these waits; its lock is taken before it is started."""
_DECIDING = (_ANY.spec, _ANY.exit, _ANY.resume, _ANY.stop, _ANY.started, _ANY.queue, _ANY.lock)
"""Where one of these cannot be read, nothing is done to the job."""
METRICS_FIELDS = {"sources": "tuple[Mapping[str, Any], ...]", "problems": "tuple[str, ...]"}
"""What a reader shows of `metrics.json`, and its types."""


def _look_at_health(path: Path) -> None:
    descriptor = open_regular(path)
    try:
        size = os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)
    if size > BLOCK and not last_json_line(path):  # a shorter one may be half its first line
        raise UnreadableFile(path, f"has no record in its last {BLOCK >> 10} kB")


_RECORDS: Mapping[str, Callable[[Path], object]] = {
    _ANY.wandb.name: lambda path: load_record(path, Link, LINK_VERSION),
    _ANY.metrics.name: lambda path: load_fields(path, METRICS_FIELDS, MAX_BYTES),
    _ANY.slurm.name: lambda path: load_fields(path, {}),
    _ANY.environment.name: lambda path: load_fields(path, {"variables": "Mapping[str, str]"}),
    _ANY.config.name: read_document,
    _ANY.health.name: _look_at_health,
}
"""What reads each file beside those that decide its state."""
_ENVIRONMENT = _ANY.environment.name
_MARKED = (_ANY.wandb.name, _ANY.metrics.name, _ANY.slurm.name)
"""Those that name their job."""
_SHOWN = (_ANY.wandb.name, _ANY.metrics.name, _ANY.health.name)
"""Those that are read of an ended job too."""
_OTHERS = (_ANY.events, _ANY.result, _ANY.code_diff, _ANY.old_log, _ANY.residuals,
           _ANY.sealed, _ANY.sealed_residuals)  # fmt: skip
_FILES = frozenset(path.name for path in (*_DECIDING, *_OTHERS)) | _RECORDS.keys()
"""Regular files wherever they are; the log of a job started by hand may be a link."""
_QUEUE = {"hold": "bool", "order": "float", "priority": "int", "boot": "str"}
_BEGAN = {"started": "Time", "pid": "int", "ticks": "int", "boot": "str", "device": "str"}
_Entries = Mapping[str, "os.DirEntry[str]"]
_T = TypeVar("_T")

SETTLED = 2.0
"""Seconds since a folder's last change before it is cached: two changes within one tick of the file
system's clock have the same time."""
_kept: dict[str, tuple[int, tuple[int, ...], Job, int]] = {}
"""Ended and waiting jobs by folder: the folder's time when it was read, the files' stamp, and the
memory that the job takes of a `Room`."""


@dataclass(frozen=True)
class Job:
    """One job at one moment."""

    paths: JobPaths
    spec: Spec
    state: JobState
    held: bool = False
    """By a person: does not start until it is released."""
    order: float = 0.0
    """Order among jobs of one priority; the time of submission unless moved by a person."""
    priority: int = 0
    boot: str = ""
    """The machine and boot it runs in, or was queued or released in; see `processes.boot`."""

    cluster: str = ""
    """Its number in Slurm and its state there; empty before it is submitted to Slurm."""
    problem: str = ""
    """Which of its files cannot be read, and why: `result.json is a link`; empty when all can."""
    before: str = ""
    """Why the spec of a newer job of its run cannot be read; empty where none is so."""
    foreign: bool = False
    """It waits or was lost, and this user has not submitted it here: nothing starts it."""

    @property
    def name(self) -> str:
        return self.paths.name

    @property
    def in_slurm(self) -> bool:
        """Whether it runs on the cluster, not here."""
        return self.spec.extra.get("backend") == "slurm"


def submit(lab: LabPaths, spec: Spec) -> JobPaths:
    """Put a new job on disk, whole or not at all; `submitted` is set when it is 0."""
    return publish([stage(lab, spec)])[0]


def job_folders(lab: LabPaths) -> list[JobPaths]:
    """All jobs of the lab, oldest first."""
    return [JobPaths(Path(folder)) for folder in _folders(lab)]


def _folders(lab: LabPaths, known: Container[str] = ()) -> list[str]:
    """The jobs' folders, oldest first; those `known` to be one are not looked into."""
    found = [
        folder
        for parent in _subfolders(lab.experiments)
        # One that is named as an experiment file is told of as such.
        for folder in ([] if parent.endswith(".yaml") else _subfolders(parent))
        if folder == parent or folder in known or _is_job(folder)
    ]
    return sorted(found, key=lambda folder: folder.rpartition("/")[::-1])


def _is_job(folder: str) -> bool:
    """Whether it has a spec, or what only a job has."""
    for name in (SPEC, _ANY.started.name, _ANY.exit.name):
        try:
            os.lstat(f"{folder}/{name}")
        except FileNotFoundError:
            continue
        except OSError:
            return True  # it may be one: its row says what is wrong
        return True
    return os.path.islink(folder)  # noqa: PTH114 - to nothing


def _subfolders(folder: Path | str) -> list[str]:
    """The folders in it, and links to nothing; itself where it may not be read."""
    try:
        with os.scandir(folder) as entries:
            return [e.path for e in entries if not e.name.startswith(".") and _is_folder(e)]
    except (FileNotFoundError, NotADirectoryError):
        return [str(folder)] if os.path.islink(folder) else []  # noqa: PTH114
    except OSError:
        return [str(folder)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir() or (entry.is_symlink() and not entry.is_file())
    except OSError:  # a link in a circle
        return True


def read_state(job: JobPaths) -> JobState:
    """The job's state, now; it waits where its folder is gone."""
    found = read_job(job)
    return Queued(0.0) if found is None else found.state


def read_job(job: JobPaths, room: Room | None = None) -> Job | None:
    """The job in a folder; None when there is no job in it. Of many, all within one `room`."""
    try:
        return _read(job, _entries(job), room or Room())
    except OSError as error:
        why = "is a link to nothing" if error.errno in (errno.ENOENT, errno.ELOOP) else ""
        why = f"{job.folder.name} {why or f'cannot be read: {error.strerror}'}"
        return Job(job, _no_spec(job), Unreadable(why), problem=f"{SPEC}: {why}")


def _entries(job: JobPaths) -> _Entries:
    """The files in its folder, by name."""
    try:
        with os.scandir(job.folder) as entries:
            return {entry.name: entry for entry in entries}
    except (FileNotFoundError, NotADirectoryError):
        if os.path.islink(job.folder):  # noqa: PTH114 - of thousands of folders
            raise
        return {}


def _no_spec(job: JobPaths) -> Spec:
    """What stands for a spec that cannot be read: a row by the folder's name, of no roadmap."""
    return Spec("", job.folder.name, "", "", {}, job.folder.parent.name, "")


def _read(job: JobPaths, entries: _Entries, room: Room) -> Job | None:
    if _BEGUN.isdisjoint(entries) and SPEC not in entries:
        return None
    files = [one for one in entries.values() if one.name in _FILES]
    odd = [one.name for one in files if not one.is_file(follow_symlinks=False)]
    wrong = {name: why for name in odd if (why := _kind(job.folder / name))}
    read = _Reader(wrong)
    spec = read(lambda path: room.read(load_spec, path), job.spec)
    if spec is None:
        wrong.setdefault(SPEC, f"{SPEC} is missing")
        spec = _no_spec(job)
    queue = read(lambda path: load_fields(path, _QUEUE), job.queue) or {}
    state: JobState
    if spec.submitted and _BEGUN.isdisjoint(entries):
        # Most of a thousand jobs wait: nothing more to read.
        state, where = Queued(spec.submitted), ""
    else:
        state, where = _read_state(job, spec, entries, read)
    if isinstance(state, Done):
        for file in (one for one in (job.result, job.sealed) if one.name in entries):
            result = read(lambda path: room.read(load_result, path), file)
            if result and (of := other_job(result, spec)):
                wrong[file.name] = f"{file.name} is of {of}"
        if job.result.name not in wrong and (kept := earlier_result(job)):
            wrong[job.result.name] = f"{job.result.name} is of an earlier attempt, as {kept}"
    ours = isinstance(state, Queued | Lost) and is_submitted(job)
    for name in entries.keys() & _RECORDS.keys():
        # An environment is as it was written where the job is as it was submitted; a colleague's
        # is closed.
        if name == _ENVIRONMENT and is_closed(job.folder / name):
            continue
        if name in _SHOWN or not (isinstance(state, Done) or (ours and name == _ENVIRONMENT)):
            record = read(_RECORDS[name], job.folder / name)
            if name in _MARKED and record and not spec.is_named(_mark_in(record)):
                wrong[name] = f"{name} is of another job"
    state = _state_with(state, wrong, job)
    return Job(
        paths=job,
        spec=spec,
        state=state,
        foreign=isinstance(state, Queued | Lost) and not ours,
        held=queue.get("hold") is True,
        order=number(queue.get("order"), spec.submitted),
        priority=queue.get("priority", spec.priority),
        boot=where or queue.get("boot", "")[:LONGEST],
        cluster=_cluster(job, spec),
        problem="; ".join(wrong.values()),
    )


def _mark_in(record: object) -> object:
    return record.get("job") if isinstance(record, dict) else getattr(record, "job", None)


class _Reader:
    """Reads the files of a job; what cannot be read is noted once, and None."""

    def __init__(self, wrong: dict[str, str]) -> None:
        self.wrong = wrong
        """The file's name -> a line on it."""

    def __call__(self, load: Callable[[Path], _T], path: Path) -> _T | None:
        if path.name in self.wrong:
            return None
        try:
            return load(path)
        except UnreadableFile as error:
            self.wrong[path.name] = error.line
        except (FileNotFoundError, NotADirectoryError):
            pass  # deleted meanwhile
        return None

    def began(self, job: JobPaths) -> Mapping[str, Any]:
        """What `started.json` says now; empty while there is none."""
        return self(lambda path: load_fields(path, _BEGAN), job.started) or {}


def _kind(path: Path) -> str:
    """Why a file cannot be opened, as a line; empty where it can, or was deleted meanwhile."""
    try:
        os.close(open_regular(path))
    except UnreadableFile as error:
        return error.line
    except FileNotFoundError:
        pass
    return ""


def _state_with(state: JobState, wrong: Mapping[str, str], job: JobPaths) -> JobState:
    """The state where some files are wrong: only what they do not decide is known."""
    match state:
        case Running() | Unreadable():
            return state
        case Done():
            deciding = {SPEC} & wrong.keys()
        case Queued():
            deciding = set(wrong)
        case Lost():
            deciding = {path.name for path in _DECIDING} & wrong.keys()
    if deciding and not isinstance(state, Done) and not _kind(job.started):
        # Half written as the machine lost power: that it began is known all the same.
        deciding.discard(job.started.name)
    if deciding:
        return Unreadable("; ".join(wrong[name] for name in wrong if name in deciding))
    if not isinstance(state, Done) and os.path.islink(job.folder):  # noqa: PTH114
        # What is behind a link may be another lab's.
        return Unreadable(f"{job.folder.name} is a link to another folder")
    return state


def _cluster(job: JobPaths, spec: Spec) -> str:
    if spec.extra.get("backend") != "slurm":
        return ""
    record = read_own(job, job.slurm, spec.submitted)
    if not re.fullmatch(SLURM_NUMBER, str(record.get("id", ""))):
        return ""  # it is submitted anew
    return " ".join(str(record[key])[:LONGEST] for key in ("id", "said") if key in record)


def all_jobs(lab: LabPaths) -> list[Job]:
    """Every job of the lab with its state, oldest first, without copies; most are read once."""
    folders = _folders(lab, _kept)
    room = Room(sum(kept[3] for kept in _kept.values()))
    jobs = (_unchanged(folder) or _read_anew(folder, room) for folder in folders)
    found = [job for job in jobs if job is not None]
    twins = copies((one.paths, tuple(getattr(one.spec, x) for x in SUBMISSION)) for one in found)
    found = [job for job in found if job.name not in twins] if twins else found
    lost = {job.name: job for job in found if SPEC in job.problem}
    return note_lost(found, lost.values()) if lost else found


def note_lost(jobs: Sequence[Job], lost: Iterable[Job]) -> list[Job]:
    """The jobs, each with what it stands `before`; `lost`: those whose spec cannot be read."""
    why = {job.paths: f"{job.name}: {job.problem}" for job in lost}
    newer = overtaken(((job.paths, job.spec) for job in jobs), [*why])
    return [replace(job, before=why[newer[job.name]]) if job.name in newer else job for job in jobs]


def _read_anew(folder: str, room: Room) -> Job | None:
    """`read_job`, cached for a job that ended or waits until its folder changes.

    Whatever happens to it later, a start, a resume or a second result, is a new name in its folder.
    """
    if kept := _kept.pop(folder, None):
        room.left += kept[3]
        if not _is_job(folder):
            return None
    before = room.left
    paths = JobPaths(Path(folder))
    try:
        changed = os.stat(folder).st_mtime_ns  # noqa: PTH116 - of thousands of folders
        mark = stamp(paths)
    except OSError:
        return read_job(paths, room)
    job = read_job(paths, room)
    settled = abs(time.time() - changed / 1e9) > SETTLED
    waits = job is not None and isinstance(job.state, Queued) and not os.path.lexists(paths.lock)
    if job is not None and settled and (waits or isinstance(job.state, Done)):
        _kept[folder] = (changed, mark, job, before - room.left)
    return job


def _unchanged(folder: str) -> Job | None:
    """The job as it was read before, if nothing of it has changed."""
    kept = _kept.get(folder)
    if kept is None:
        return None
    changed, mark, job, _ = kept
    try:
        if os.stat(folder).st_mtime_ns != changed:  # noqa: PTH116 - of thousands of folders
            return None
        return job if isinstance(job.state, Done) or stamp(job.paths) == mark else None
    except OSError:
        return None


def unfinished(lab: LabPaths) -> list[Job]:
    """The jobs that wait, run or are lost, without reading those that ended."""
    found: list[Job | None] = []
    room = Room(sum(kept[3] for kept in _kept.values()))
    for paths in job_folders(lab):
        if (kept := _unchanged(str(paths.folder))) is not None:
            found += [] if isinstance(kept.state, Done) else [kept]
            continue
        with contextlib.suppress(OSError):  # a folder that cannot be read: nothing is done to it
            names = _entries(paths)
            if (
                _ANY.exit.name not in names
                or _ANY.resume.name in names
                or is_locked(paths.lock) is not False
            ):
                found.append(_read(paths, names, room))
    return [job for job in found if job is not None]


def _read_state(
    job: JobPaths, spec: Spec, entries: _Entries, read: _Reader
) -> tuple[JobState, str]:
    """The state, and the boot a running job runs in."""
    if _held(job, read):
        owner = _owner(job) or read.began(job)
        began = number(owner.get("started"), modified(job.lock))
        running = Running(began, owner.get("pid", 0), owner.get("device", "")[:LONGEST])
        return running, owner.get("boot", "")[:LONGEST]
    if job.resume.name in entries and job.is_resumed():
        return Queued(modified(job.resume)), ""
    if ended := read(lambda path: load_exit(path, spec), job.exit):
        return ended, ""
    if job.started.name in read.wrong or os.path.lexists(job.started):
        # It may have begun, or ended, since its lock was tested.
        if _held(job, read):
            return _read_state(job, spec, entries, read)
        began = number(read.began(job).get("started"), modified(job.started))
        return read(lambda path: load_exit(path, spec), job.exit) or Lost(began), ""
    return Queued(spec.submitted or modified(job.spec)), ""


def _owner(job: JobPaths) -> Mapping[str, Any]:
    """Who holds the lock, as it says; empty while that is being written."""
    try:
        return load_fields(job.lock, _BEGAN)
    except OSError:
        return {}


def _held(job: JobPaths, read: _Reader) -> bool:
    """Whether it runs: its lock is held, or where that cannot be known, its process lives."""
    locked = is_locked(job.lock)
    if locked or not os.path.lexists(job.started) or os.path.lexists(job.exit):
        return bool(locked)
    started = read.began(job)
    if not started:
        return False
    if is_here(started):
        # Also where another file took the place of the lock, as a restore does: a job that lives
        # must not be ended as a lost one. A copy of its folder does not run, though.
        held = is_alive(started.get("pid", 0), started.get("ticks", 0))
        held = held and (locked is None or is_submitted(job))
    elif locked is False:  # some disks keep their locks to one machine
        return is_elsewhere(started) and is_submitted(job) and beats(job.lock)
    else:
        held = job.lock.name not in read.wrong  # another machine's: it will write the end
    if not held and (why := _kind(job.lock)):  # a colleague's, of mode 600
        read.wrong[job.lock.name] = why
    return held


def find_job(lab: LabPaths, text: str) -> JobPaths:
    """The job called `text`: `<exp_id>/<job>`, its folder's name or path, or a unique prefix."""
    everything = job_folders(lab)
    wanted = text.strip().strip("/").removeprefix("experiments/")
    exact = [j for j in everything if wanted in (j.name, j.folder.name, str(j.folder).strip("/"))]
    begun = [j for j in everything if j.name.startswith(wanted) or j.folder.name.startswith(wanted)]
    matches = exact or (begun if wanted else [])
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ", ".join(job.name for job in matches[-5:])
        raise UsageError(
            f"job {text!r} is ambiguous: {len(matches)} jobs match (the latest: {names})"
        )
    names = ", ".join(job.name for job in everything[-5:]) or "none yet"
    raise UsageError(f"no job {text!r} (the latest: {names})")


def new_exp_id(
    lab: LabPaths, project: str, topic: str, date: datetime.date, taken: Container[str] = ()
) -> str:
    """The next free `PROJECT-YYYYMMDD-topic-NN`, by the folders there are and those `taken`."""
    stem = "-".join(
        part for part in (_plain(project).upper(), f"{date:%Y%m%d}", _plain(topic).lower()) if part
    )
    number = 1
    while (name := f"{stem}-{number:02d}") in taken or lab.exp_folder(name).exists():
        number += 1
    return name


def _plain(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text, flags=re.ASCII).strip("-._")[:60]
