"""How a job is put on disk, and which jobs this user submitted: a record of each outside the lab.

A lab may come from somebody else or be a copy, so a job is started only if it has a record. That
is found by the identity of the job's folder, which no copy has and a renamed lab keeps, and holds
that of the lab's root, whose programs run, and digests of what else decides: spec and environment.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import NoReturn

from vitlab.contract.job import Spec
from vitlab.contract.paths import (
    ABANDONED,
    JobPaths,
    LabPaths,
    UsageError,
    sync_folder,
    write_atomic,
)
from vitlab.contract.reading import is_finite, read_regular
from vitlab.contract.user_key import state_folder
from vitlab.contract.validation import load_fields
from vitlab.jobs.environment import record_environment, secrets_of, this_environment
from vitlab.jobs.files import born, read_json
from vitlab.jobs.processes import ADOPTED, boot, is_alive, is_here, process

NOT_HERE = "not submitted here: `vitlab resume JOB` shows what it would run, `stop` drops it"
"""Why such a job does not start."""
_FOLDER = "submitted"
"""In the state folder: `submitted/<inode of experiments/>/<inode of the job's folder>`."""
_DAY = 86_400
_STAMP = "%Y%m%d-%H%M%S"
_LAST = 253_370_764_800.0
"""Unix seconds of the year 9999: what is later is no time of a clock."""
_UNKNOWN = "-"

_ANY = JobPaths(Path())
_STAMPED = (_ANY.spec.name, _ANY.environment.name, _ANY.queue.name)
_Stamp = tuple[int, ...]
_known: dict[str, _Stamp] = {}
"""Folders of submitted jobs, each with what its files were when that was found."""


@dataclass(frozen=True)
class Staged:
    """A job that is on disk but for its name: nobody sees it yet."""

    temporary: Path
    job: JobPaths
    """What it will be."""


def stage(lab: LabPaths, spec: Spec) -> Staged:
    """Write all that makes a new job, under a free name; `submitted` is set when it is 0."""
    parent = lab.exp_folder(spec.exp_id)
    if any("\udc80" <= letter <= "\udcff" for letter in str(parent)):
        raise UsageError(
            f"{lab.root}: a name that is not UTF-8, which the libraries of a job cannot open: "
            "rename the folder"
        )
    JobPaths(parent / "new").check_is_here()
    is_new = not parent.exists()
    parent.mkdir(parents=True, exist_ok=True)
    submitted = spec.submitted or max(time.time(), _latest_ahead(parent) + 0.001)
    spec = replace(spec, submitted=submitted)
    staged = Staged(*_reserve(parent, spec))
    try:
        files = JobPaths(staged.temporary)
        maker = process(os.getpid())
        queue = {"boot": boot(), "pid": os.getpid(), "ticks": maker.ticks if maker else 0}
        # First: it says whose work this is.
        write_atomic(files.queue, json.dumps(queue).encode(), sync_name=False)
        mode = 0o600 if secrets_of(spec.config) else None
        write_atomic(files.spec, spec.to_json(), mode, sync_name=False)
        if ADOPTED not in spec.extra:
            record_environment(files.environment, this_environment(), sync_name=False)
        sync_folder(staged.temporary)
        record(staged.temporary)
    except BaseException:
        discard([staged])
        raise
    if is_new:
        prune(lab.experiments)
    return staged


def _latest_ahead(parent: Path) -> float:
    """The latest submission or end of jobs beside a new one; 0 where no clock was ahead of ours.

    The new one comes after them.
    """
    now, latest = time.time(), 0.0
    stamp = time.strftime(_STAMP, time.localtime(now))
    for folder in parent.iterdir():
        with contextlib.suppress(OSError):
            if folder.name > stamp or folder.stat().st_mtime > now + 1:
                job = JobPaths(folder)
                times = read_json(job.spec).get("submitted"), read_json(job.exit).get("ended")
                latest = max([latest, *(one for one in times if is_finite(one) and one < _LAST)])
    return latest


def slug_of(run: str) -> str:
    """A run's name as it stands in the names of its jobs' folders."""
    return re.sub(r"[^\w.=-]+", "-", run, flags=re.ASCII).strip("-.")[:60] or "run"


def _reserve(parent: Path, spec: Spec) -> tuple[Path, JobPaths]:
    stamp = time.strftime(_STAMP, time.localtime(spec.submitted))
    slug = slug_of(spec.run)
    for number in itertools.count(1):
        name = f"{stamp}-{slug}" if number == 1 else f"{stamp}-{slug}-{number}"
        temporary = parent / f".tmp-{name}"
        with contextlib.suppress(FileExistsError):
            temporary.mkdir()
            if not os.path.lexists(parent / name):
                return temporary, JobPaths(parent / name)
            temporary.rmdir()
    raise AssertionError


def publish(staged: Sequence[Staged]) -> tuple[JobPaths, ...]:
    """Put the staged jobs in their places, but for those already there; they wait from now on."""
    for one in staged:
        if one.temporary.exists() or not one.job.folder.exists():
            one.temporary.rename(one.job.folder)
    for parent in dict.fromkeys(one.job.folder.parent for one in staged):
        sync_folder(parent)
    return tuple(one.job for one in staged)


def discard(staged: Iterable[Staged]) -> None:
    """Remove what is staged, as if it had never been."""
    for one in staged:
        forget(one.temporary)
        shutil.rmtree(one.temporary, ignore_errors=True)
        with contextlib.suppress(OSError):  # it has other jobs
            one.temporary.parent.rmdir()


def remove_abandoned(lab: LabPaths) -> None:
    """Remove what this user's processes had staged that were killed before they published it."""
    if lab.experiments.is_symlink():
        return  # it may lead anywhere
    for folder in lab.experiments.glob(f"*/.tmp-{8 * '[0-9]'}-{6 * '[0-9]'}-*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
            if not ours or folder.parent.is_symlink() or not _is_abandoned(JobPaths(folder)):
                continue
            if all(path.name in _STAMPED or path.name[0] == "." for path in folder.iterdir()):
                discard([Staged(folder, JobPaths(folder))])


def _is_abandoned(job: JobPaths) -> bool:
    maker = load_fields(job.queue, {"boot": "str", "pid": "int", "ticks": "int"})
    if is_here(maker):
        return not is_alive(maker.get("pid", 0), maker.get("ticks", 0))
    return _age(job.folder) > ABANDONED  # of another machine, or killed at the very beginning


def record(folder: Path) -> None:
    """Remember that this user submits the job in `folder`, as it is now."""
    _records.cache_clear()  # it may have been removed
    place = _place(folder)
    place.parent.mkdir(parents=True, exist_ok=True)
    text = f"{' '.join(_identity(folder))}\n{folder.parent.parent}\n"
    # Not forced to the disk: after a power cut a waiting job needs a release in any case.
    try:
        place.write_bytes(text.encode("utf-8", "surrogateescape"))
    except OSError as error:
        error.filename = str(place)  # of a full disk it has none
        raise


def forget(folder: Path) -> None:
    """Remove the record of a job's folder, if there is one."""
    for place in (_place, _earlier_place):
        with contextlib.suppress(OSError, UsageError):
            place(folder).unlink()


def is_submitted(job: JobPaths, *, anew: bool = False) -> bool:
    """Whether this user submitted the job, from this folder and as it is now.

    `anew`: its files are read, however they look.
    """
    name = str(job.folder)
    try:
        mark = stamp(job)
        if not anew and _known.get(name) == mark:
            return True
        _known.pop(name, None)
        place = _place(job.folder)
        place = place if place.exists() else _earlier_place(job.folder)
        text = place.read_text("utf-8", "surrogateescape")
        born, *others = text.split("\n", 1)[0].split(" ")
        now, *ours = _identity(job.folder)
    except (OSError, UsageError):
        return False
    if others != ours or (born != now and _UNKNOWN not in (born, now)):
        return False
    _known[name] = mark
    return True


def links_out(folder: Path) -> str:
    """The first link in a job's folder that leads out of it; empty for none.

    `OSError` where a folder in it cannot be looked at.
    """
    inside = f"{folder.resolve()}/"

    def fail(error: OSError) -> NoReturn:
        raise error

    for here, folders, files in os.walk(folder, onerror=fail):
        for name in (*folders, *files):
            path = Path(here, name)
            if path.is_symlink() and not f"{os.path.realpath(path)}/".startswith(inside):
                return path.relative_to(folder).as_posix()
    return ""


def prune(experiments: Path) -> None:
    """Remove the records of jobs whose folders are gone, and of labs gone for three months."""
    with contextlib.suppress(OSError, UsageError):
        records, mine = state_folder() / _FOLDER, str(experiments.stat().st_ino)
        there = {str(folder.stat().st_ino) for folder in experiments.glob("*/*")}
        for place in (records / mine).iterdir():
            # One that is just submitted may not have been there when we looked; and a folder on
            # another disk may have this one's number.
            if place.name.partition("-")[0] in there or _age(place) < _DAY:
                continue
            if _lab_of(place) == os.fsencode(experiments):
                place.unlink()
        for group in records.iterdir():
            if group.name != mine and _age(group) > 90 * _DAY and not _is_there(group):
                shutil.rmtree(group)


def _is_there(group: Path) -> bool:
    """Whether the lab of these records is where it was."""
    try:
        path = _lab_of(next(group.iterdir()))
        return str(os.stat(path).st_ino) == group.name  # noqa: PTH116 - bytes
    except (OSError, StopIteration):
        return False


def _lab_of(place: Path) -> bytes:
    """Where the `experiments/` of a record was; empty when it does not say."""
    return place.read_bytes().partition(b"\n")[2].partition(b"\n")[0]


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _place(folder: Path) -> Path:
    """The file of its record: by its number and when it was made, as two disks number alike."""
    made, place = _birth(folder), _earlier_place(folder)
    return place if made == _UNKNOWN else place.with_name(f"{place.name}-{made}")


def _earlier_place(folder: Path) -> Path:
    """As of earlier versions, and where it is not known when a folder was made."""
    lab, job = os.stat(folder.parent.parent).st_ino, os.stat(folder).st_ino  # noqa: PTH116
    return Path(_records(*map(os.environ.get, ("XDG_STATE_HOME", "HOME"))), str(lab), str(job))


@lru_cache(maxsize=4)
def _records(*_given: str | None) -> Path:
    return state_folder() / _FOLDER


def _identity(folder: Path) -> tuple[str, str, str, str]:
    """When the folder was made, the lab's root, digests of spec and environment.

    `-` for what is not there. Another lab's `experiments/` may be a link to this one's.
    """
    job = JobPaths(folder)
    return _birth(folder), identity(job.root), _digest(job.spec), _digest(job.environment)


def identity(folder: Path) -> str:
    """What no copy of a folder has, and one that was renamed keeps.

    Its number, which another disk may have as well, and when it was made or on which disk.
    """
    found, when = folder.stat(), _birth(folder)
    return f"{found.st_ino}:{f'disk-{found.st_dev}' if when == _UNKNOWN else when}"


def _birth(folder: Path) -> str:
    made = born(folder)
    return _UNKNOWN if made is None else f"{made:.6f}"


def _digest(path: Path) -> str:
    import hashlib  # it loads 4 MB, which most who look at a lab can do without

    try:
        return hashlib.sha256(read_regular(path)).hexdigest()
    except FileNotFoundError:
        return _UNKNOWN


def stamp(job: JobPaths) -> _Stamp:
    """Changes with every change of its folder's identity, its spec, environment or order."""
    folder = str(job.folder)
    inode = os.stat(folder).st_ino  # noqa: PTH116 - of thousands of folders
    return (inode, *(number for name in _STAMPED for number in _marks(f"{folder}/{name}")))


def _marks(path: str) -> _Stamp:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
