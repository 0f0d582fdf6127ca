"""What the plan is told without being asked: how far full runs are, and how jobs ended.

What has been told is kept in `.vitlab/told.json`, so that a person who undoes it is not corrected.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vitlab.contract.job import Done, Queued, Running
from vitlab.contract.paths import write_atomic
from vitlab.contract.value import Value
from vitlab.docs.save import change, save
from vitlab.docs.text.edit import Edit
from vitlab.docs.write.progress import set_progress
from vitlab.docs.write.status import set_status
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import finished, of_roadmap
from vitlab.lab.writeback.writeback import end_status, last_launch, mark_written

EVERY = 60.0
"""Seconds between two words on the same run's progress."""


@dataclass(frozen=True)
class _Told:
    """What the roadmap was told, by job name."""

    ends: dict[str, float] = field(default_factory=dict)
    """Unix seconds of the end that was told."""
    epochs: dict[str, tuple[int, float]] = field(default_factory=dict)
    """The epoch told last, and when."""


def tell(lab: Lab, roadmap_path: Path) -> list[Path]:
    """Bring statuses and progress up to date where the settings say `write_status: auto`.

    An end is told once, and only over a status that still says running; progress is told of full
    runs. Returns the files written.
    """
    if lab.settings.write_status != "auto":
        return []
    jobs = of_roadmap(lab, all_jobs(lab.paths), roadmap_path)
    told = _read(lab)
    fresh = told
    touched: list[Path] = []
    for mvp_id in dict.fromkeys(job.spec.mvp for job in jobs):
        mine = last_launch([job for job in jobs if job.spec.mvp == mvp_id])
        if any(isinstance(job.state, Queued | Running) for job in mine):
            fresh, written = _tell_progress(lab, roadmap_path, mine, fresh)
        else:
            fresh, written = _tell_end(lab, roadmap_path, mine, fresh)
        touched += written
    if fresh != told:
        _save(lab, fresh)
    return touched


def _tell_end(lab: Lab, path: Path, jobs: Sequence[Job], told: _Told) -> tuple[_Told, list[Path]]:
    ends = {job.paths.name: job.state.ended for job in jobs if isinstance(job.state, Done)}
    if len(ends) < len(jobs) or all(told.ends.get(name) == end for name, end in ends.items()):
        return told, []  # a lost job waits for a person's word
    roadmap = lab.read_roadmap(path)
    mvp = roadmap.mvp(jobs[0].spec.mvp)
    status = end_status(mvp, jobs, len(finished(jobs)))
    edits = set_status(roadmap, mvp.id, status) if mvp.status == "running" else []
    written = save([change(roadmap.document, edits)], lab.journal) if edits else ()
    if not finished(jobs):
        # No numbers, no conclusion: with the status everything is said.
        mark_written(lab, jobs, [one.new_text for one in written if one.new_text is not None])
    return replace(told, ends={**told.ends, **ends}), [one.path for one in written]


def _tell_progress(
    lab: Lab, path: Path, jobs: Sequence[Job], told: _Told
) -> tuple[_Told, list[Path]]:
    now = time.time()
    due: dict[str, tuple[int, float]] = {}
    edits: list[Edit] = []
    roadmap = None
    for job in jobs:
        progress = lab.progress(job.paths)
        before, when = told.epochs.get(job.paths.name, (0, 0.0))
        epoch = int(progress.epoch or 0)
        moved = isinstance(job.state, Running) and epoch > before and now - when >= EVERY
        if job.spec.profile != "full" or not moved:
            continue
        roadmap = roadmap or lab.read_roadmap(path)
        name = str(Value.parse(job.spec.headline).live)
        value = progress.values.get(name)
        metric = (name, value) if value is not None else None
        of = job.spec.config.get("train", {}).get("epochs")
        edits += set_progress(roadmap, job.spec.mvp, epoch, of, metric, job.spec.run)
        due[job.paths.name] = (epoch, now)
        break  # one run a round: two could speak for the same cell
    if roadmap is None:
        return told, []
    made = [change(roadmap.document, edits)] if edits else []
    written = save(made, lab.journal, undoable=False)
    return replace(told, epochs={**told.epochs, **due}), [one.path for one in written]


def _path(lab: Lab) -> Path:
    return lab.paths.private.status_sync


def _read(lab: Lab) -> _Told:
    try:
        record = json.loads(_path(lab).read_bytes())
        epochs = {name: (int(e), float(t)) for name, (e, t) in record["epochs"].items()}
        return _Told(dict(record["ends"]), epochs)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return _Told()


def _save(lab: Lab, told: _Told) -> None:
    lab.paths.private.make()
    record = {"ends": told.ends, "epochs": told.epochs}
    write_atomic(_path(lab), json.dumps(record, indent=0).encode())
