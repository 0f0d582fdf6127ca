"""Job folders: how a job is submitted, and its state by its files. No database, no daemon."""

from __future__ import annotations

import contextlib
import datetime
import errno
import json
import os
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitlab.contract.job import Done, JobState, Lost, Queued, Running, Spec, read_spec
from vitlab.contract.paths import SPEC, JobPaths, LabPaths, UsageError, sync_folder, write_atomic
from vitlab.jobs.environment import record_environment, this_environment
from vitlab.jobs.files import is_locked, read_json
from vitlab.jobs.processes import ADOPTED, boot, is_alive

_ANY = JobPaths(Path())
_BEGUN = frozenset(path.name for path in (_ANY.lock, _ANY.started, _ANY.exit, _ANY.resume))
"""A job that has none of these waits; its lock is taken before it is started."""

SETTLED = 2.0
"""Seconds since a folder's last change before it is cached: two changes within one tick of the file
system's clock have the same time."""
_ended: dict[str, tuple[int, Job]] = {}
"""Ended jobs by folder, each with the folder's time when it was read."""


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

    @property
    def name(self) -> str:
        return self.paths.name

    @property
    def in_slurm(self) -> bool:
        """Whether it runs on the cluster, not here."""
        return self.spec.extra.get("backend") == "slurm"


def submit(lab: LabPaths, spec: Spec) -> JobPaths:
    """Put a new job on disk, whole or not at all; `submitted` is set when it is 0."""
    parent = lab.exp_folder(spec.exp_id)
    parent.mkdir(parents=True, exist_ok=True)
    spec = replace(spec, submitted=spec.submitted or time.time())
    temporary = parent / f".tmp-{os.getpid()}-{time.monotonic_ns()}"
    temporary.mkdir()
    try:
        write_atomic(JobPaths(temporary).spec, spec.to_json())
        if ADOPTED not in spec.extra:
            record_environment(JobPaths(temporary).environment, this_environment())
        write_atomic(JobPaths(temporary).queue, json.dumps({"boot": boot()}).encode())
        folder = _rename(temporary, parent, spec)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    sync_folder(parent)
    return JobPaths(folder)


def _rename(temporary: Path, parent: Path, spec: Spec) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S", time.localtime(spec.submitted))
    slug = re.sub(r"[^\w.=-]+", "-", spec.run, flags=re.ASCII).strip("-.")[:60] or "run"
    for i in range(1, 10_000):
        folder = parent / (f"{stamp}-{slug}" if i == 1 else f"{stamp}-{slug}-{i}")
        try:
            return temporary.rename(folder)
        except OSError as error:
            # A job's folder is never empty, so a rename cannot replace one.
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
    raise UsageError(f"{parent}: too many jobs named {slug} in one second")


def job_folders(lab: LabPaths) -> list[JobPaths]:
    """All jobs of the lab, oldest first."""
    folders = sorted(map(Path, _folders(lab)), key=lambda path: (path.name, path.parent.name))
    return [JobPaths(folder) for folder in folders]


def _folders(lab: LabPaths) -> Iterator[str]:
    for parent in _subfolders(lab.experiments):
        for folder in _subfolders(parent):
            if os.path.isfile(f"{folder}/{SPEC}"):  # noqa: PTH113 - of thousands of folders
                yield folder


def _subfolders(folder: Path | str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [e.path for e in entries if not e.name.startswith(".") and e.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def read_state(job: JobPaths) -> JobState:
    """The job's state, now."""
    return _read_state(job)[0]


def read_job(job: JobPaths) -> Job | None:
    """The job in a folder; None when its spec is missing or not ours."""
    return _read(job, _names(job))


def _names(job: JobPaths) -> set[str]:
    """The names in its folder."""
    try:
        return set(os.listdir(job.folder))  # noqa: PTH208 - strings, not a Path for each file
    except (FileNotFoundError, NotADirectoryError):
        return set()


def _read(job: JobPaths, names: set[str]) -> Job | None:
    spec = read_spec(job.spec)
    if spec is None:
        return None
    queue = read_json(job.queue)
    state: JobState
    if spec.submitted and _BEGUN.isdisjoint(names):
        # Most of a thousand jobs wait: nothing more to read.
        state, where = Queued(spec.submitted), ""
    else:
        state, where = _read_state(job)
    return Job(
        paths=job,
        spec=spec,
        state=state,
        held=queue.get("hold") is True,
        order=_number(queue.get("order"), spec.submitted),
        priority=int(_number(queue.get("priority"), spec.priority)),
        boot=where or str(queue.get("boot", "")),
        cluster=_cluster(job, spec),
    )


def _cluster(job: JobPaths, spec: Spec) -> str:
    if spec.extra.get("backend") != "slurm":
        return ""
    record = read_json(job.slurm)
    return " ".join(str(record[key]) for key in ("id", "said") if key in record)


def all_jobs(lab: LabPaths) -> list[Job]:
    """Every job of the lab with its state, oldest first; ended ones are read once a process."""
    return [job for paths in job_folders(lab) if (job := _read_cached(paths)) is not None]


def _read_cached(paths: JobPaths) -> Job | None:
    """`read_job`, cached for an ended job until its folder changes.

    Whatever happens to it later, a resume or a second result, is a rename in its folder.
    """
    try:
        changed = os.stat(paths.folder).st_mtime_ns  # noqa: PTH116 - of thousands of folders
    except OSError:
        return None
    kept = _ended.get(str(paths.folder))
    if kept is not None and kept[0] == changed:
        return kept[1]
    job = read_job(paths)
    settled = abs(time.time() - changed / 1e9) > SETTLED
    if job is not None and isinstance(job.state, Done) and settled:
        _ended[str(paths.folder)] = (changed, job)
    return job


def unfinished(lab: LabPaths) -> list[Job]:
    """The jobs that wait, run or are lost, without reading those that ended."""
    candidates = []
    for paths in job_folders(lab):
        names = _names(paths)
        if (
            _ANY.exit.name not in names
            or _ANY.resume.name in names
            or is_locked(paths.lock) is not False
        ):
            candidates.append(_read(paths, names))
    return [job for job in candidates if job is not None]


def _read_state(job: JobPaths) -> tuple[JobState, str]:
    """The state, and the boot a running job runs in."""
    held = _held(job)
    if held:
        owner = read_json(job.lock) or read_json(job.started)
        began = _number(owner.get("started"), _modified(job.lock))
        running = Running(began, int(owner.get("pid", 0)), str(owner.get("device", "")))
        return running, str(owner.get("boot", ""))
    if job.resume.exists():
        return Queued(_modified(job.resume)), ""
    if ended := read_exit(job):
        return ended, ""
    started = read_json(job.started)
    if started or job.started.exists():
        # It may have begun, or ended, since its lock was tested.
        if _held(job):
            return _read_state(job)
        began = _number(started.get("started"), _modified(job.started))
        return read_exit(job) or Lost(began), ""
    submitted = read_json(job.spec).get("submitted")
    return Queued(_number(submitted, _modified(job.spec))), ""


def _held(job: JobPaths) -> bool:
    held = is_locked(job.lock)
    if held is not None:
        return held
    started = read_json(job.started)
    if not started or job.exit.exists():
        return False
    if started.get("boot") != boot():
        return True  # another machine's: it will write the end
    return is_alive(int(started.get("pid", 0)), int(started.get("ticks", 0)))


def read_exit(job: JobPaths) -> Done | None:
    """The end in `exit.json`; None while there is none."""
    record = read_json(job.exit)
    if not record:
        return None
    ended = _number(record.get("ended"), _modified(job.exit))
    code = record.get("code")
    return Done(
        started=_number(record.get("started"), ended),
        ended=ended,
        outcome=str(record.get("reason", "failed")),
        code=code if isinstance(code, int) else None,
        detail=str(record.get("detail", "")),
    )


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def _modified(path: Path) -> float:
    with contextlib.suppress(OSError):
        return path.stat().st_mtime
    return 0.0


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


def new_exp_id(lab: LabPaths, project: str, topic: str, date: datetime.date) -> str:
    """The next free `PROJECT-YYYYMMDD-topic-NN`, by the folders there are."""
    stem = "-".join(
        part for part in (_plain(project).upper(), f"{date:%Y%m%d}", _plain(topic).lower()) if part
    )
    number = 1
    while lab.exp_folder(f"{stem}-{number:02d}").exists():
        number += 1
    return f"{stem}-{number:02d}"


def _plain(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text, flags=re.ASCII).strip("-._")[:60]
