"""Every finished job of a lab, read once: folders that did not change come from a cache."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vitlab.contract import result as results
from vitlab.contract import spec as specs
from vitlab.contract.paths import JobPaths, write_atomic
from vitlab.contract.record import from_document
from vitlab.contract.result import Result
from vitlab.contract.spec import Spec
from vitlab.contract.state import Done
from vitlab.jobs.store import SETTLED, Job, look
from vitlab.records.lab import Lab
from vitlab.records.results import Finished, finished

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
        "spec": {"v": specs.VERSION, **asdict(job.spec)},
        "result": None if result is None else {"v": results.VERSION, **asdict(result)},
    }


def _from(entry: _Entry, paths: JobPaths) -> list[Finished]:
    if entry["result"] is None:
        return []
    spec = from_document(entry["spec"], Spec, specs.VERSION)
    result = from_document(entry["result"], Result, results.VERSION)
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
