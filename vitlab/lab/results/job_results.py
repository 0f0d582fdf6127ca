"""The results of the lab's jobs, read once and cached, and jobs found by folder or name."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vitlab.contract.job import (
    PROFILES,
    RESULT_VERSION,
    SPEC_VERSION,
    Done,
    Result,
    Spec,
    bare_id,
    ended_well,
    read_result,
)
from vitlab.contract.paths import JobPaths, LabPaths, UsageError, write_atomic
from vitlab.contract.validation import from_document
from vitlab.jobs.store import SETTLED, Job, all_jobs, find_job, look
from vitlab.lab.lab import Lab


@dataclass(frozen=True)
class Finished:
    """One job that ended well, and what it left."""

    job: Job
    result: Result

    @property
    def ended(self) -> float:
        """Unix seconds."""
        return self.job.state.ended if isinstance(self.job.state, Done) else 0.0


def belongs(lab: Lab, job: Job, roadmap: Path) -> bool:
    """True when the job was launched from `roadmap`."""
    return (lab.paths.root / job.spec.roadmap).resolve() == roadmap.resolve()


def of_roadmap(lab: Lab, jobs: Sequence[Job], roadmap: Path) -> list[Job]:
    """The jobs launched from `roadmap`; each name of one is resolved once."""
    known: dict[str, bool] = {}
    for job in jobs:
        if job.spec.roadmap not in known:
            known[job.spec.roadmap] = belongs(lab, job, roadmap)
    return [job for job in jobs if known[job.spec.roadmap]]


def finished(jobs: Iterable[Job]) -> list[Finished]:
    """The jobs with a result, oldest first; a job that failed has none that counts."""
    found = []
    for job in jobs:
        if ended_well(job.state):
            result = read_result(job.paths.result)
            if result is not None:
                found.append(Finished(job, result))
    return sorted(found, key=lambda one: one.ended)


def latest(found: Iterable[Finished]) -> list[Finished]:
    """The newest of each run of each MVP at each profile."""
    newest = {(one.result.mvp, one.result.run, one.result.profile): one for one in found}
    return list(newest.values())


def newest_results(lab: Lab, roadmap: Path) -> list[Finished]:
    """The newest finished job of each run launched from `roadmap`."""
    jobs = [job for job in all_jobs(lab.paths) if belongs(lab, job, roadmap)]
    return latest(finished(jobs))


VERSION = 1

_Entry = dict[str, Any]
"""{mtime, state, spec, result} of a job that ended; `result` is null for one that counts for none.

Nothing of an ended job changes without its folder's time: every file is put there by a rename.
"""


def scan(lab: Lab) -> list[Finished]:
    """The jobs with a result, oldest first, as `finished(all_jobs(...))` gives them.

    The cache is `.vitlab/results.json`; it can be deleted at any time.
    """
    path = lab.paths.private / "results.json"
    known = _read(path)
    kept: dict[str, _Entry] = {}
    found: list[Finished] = []
    for folder, mtime in _folders(lab.paths.experiments):
        name = f"{folder.parent.name}/{folder.name}"
        entry = known.get(name)
        if entry is not None and entry["mtime"] == mtime:
            kept[name] = entry
            found += _from(entry, JobPaths(folder))
            continue
        job = look(JobPaths(folder))
        if job is None:
            continue
        mine = finished([job])
        found += mine
        if isinstance(job.state, Done) and time.time() - mtime / 1e9 > SETTLED:
            kept[name] = _entry(job, mine[0].result if mine else None, mtime)
    if kept != known:
        with contextlib.suppress(OSError):  # a lab that may only be read is read without a cache
            path.parent.mkdir(exist_ok=True)
            write_atomic(path, json.dumps({"v": VERSION, "jobs": kept}).encode())
    return sorted(found, key=lambda one: one.ended)


def _folders(experiments: Path) -> Iterator[tuple[Path, int]]:
    """Every job's folder and the time of its last change in ns, in the order of their names."""
    found = [
        (entry.name, Path(entry.path), entry.stat().st_mtime_ns)
        for parent in _subfolders(experiments)
        for entry in _subfolders(Path(parent.path))
        if os.path.exists(f"{entry.path}/spec.json")  # noqa: PTH110 - 1,000 of them
    ]
    for _, path, mtime in sorted(found):
        yield path, mtime


def _subfolders(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return [e for e in entries if not e.name.startswith(".") and e.is_dir()]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _entry(job: Job, result: Result | None, mtime: int) -> _Entry:
    return {
        "mtime": mtime,
        "state": asdict(job.state),
        "spec": {"v": SPEC_VERSION, **asdict(job.spec)},
        "result": None if result is None else {"v": RESULT_VERSION, **asdict(result)},
    }


def _from(entry: _Entry, paths: JobPaths) -> list[Finished]:
    if entry["result"] is None:
        return []
    spec = from_document(entry["spec"], Spec, SPEC_VERSION)
    result = from_document(entry["result"], Result, RESULT_VERSION)
    if spec is None or result is None:
        return []
    job = Job(paths, spec, Done(**entry["state"]), order=spec.submitted, priority=spec.priority)
    return [Finished(job, result)]


def _read(path: Path) -> dict[str, _Entry]:
    try:
        document = json.loads(path.read_bytes())
        jobs = document["jobs"] if document["v"] == VERSION else {}
        good = all({"mtime", "state", "spec", "result"} <= set(entry) for entry in jobs.values())
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return jobs if good else {}


def lookup_results(lab: LabPaths, names: Sequence[str]) -> list[Finished]:
    """What `names` call: of an MVP the newest of each run at its highest profile; or single jobs.

    `UsageError` for a job without a result.
    """
    every = finished(all_jobs(lab))
    chosen: dict[str, Finished] = {}
    for name in names:
        of_mvp = [one for one in latest(every) if one.result.mvp == bare_id(name)]
        if of_mvp:
            ranks = [PROFILES.index(one.result.profile) for one in of_mvp]
            mine = [one for one, rank in zip(of_mvp, ranks, strict=True) if rank == max(ranks)]
        else:
            paths = lookup_job(lab, name)
            mine = [one for one in every if one.job.paths == paths]
            if not mine:
                raise UsageError(f"{paths.name}: has no result")
        chosen |= {one.job.name: one for one in mine}
    return list(chosen.values())


def lookup_job(lab: LabPaths, text: str) -> JobPaths:
    """A job by its name (a unique beginning will do), or an MVP's newest good one.

    `1.0` or `MVP-1.0`: the newest of the MVP; `1.0/Run 1`: of one of its runs.
    """
    mvp, _, run = bare_id(text).partition("/")
    of_mvp = [one for one in finished(all_jobs(lab)) if one.result.mvp == mvp]
    mine = [one for one in of_mvp if not run or one.result.run == run]
    if mine:
        return mine[-1].job.paths
    if of_mvp:
        runs = ", ".join(dict.fromkeys(one.result.run for one in of_mvp))
        raise UsageError(f"{text}: MVP {mvp} has no result of a run {run!r} (there are: {runs})")
    return find_job(lab, text)
