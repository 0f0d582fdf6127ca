"""Statuses and progress that are written into the roadmap automatically.

What was written is remembered, so that it is not written again when a person undoes it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from vitlab.contract.job import Done, Queued, Running
from vitlab.contract.paths import is_closed, shared_rights, write_atomic
from vitlab.contract.reading import read_document
from vitlab.contract.validation import misfit
from vitlab.contract.value import Value
from vitlab.docs.save import change, save
from vitlab.docs.text.edit import Conflict
from vitlab.docs.write.results import run_links
from vitlab.docs.write.status import set_end, set_progress, unique_edits
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab, passing_over
from vitlab.lab.linked_files import linked_changes, state_before_run
from vitlab.lab.results.job_results import finished, of_roadmap
from vitlab.lab.results.launches import (
    began,
    full_jobs,
    has_ended,
    has_headline,
    last_launch,
    launch_end,
)
from vitlab.lab.writeback.run_links import run_links_of
from vitlab.lab.writeback.sync_ledger import record_written

PROGRESS_INTERVAL = 60.0
"""Seconds between two edits of the same run's progress."""


@dataclass(frozen=True)
class _Synced:
    """What was written into the roadmap, by job name."""

    ends: dict[str, float] = field(default_factory=dict)
    """Unix seconds of the end that was written."""
    epochs: dict[str, tuple[int, float]] = field(default_factory=dict)
    """The epoch written last, and when."""


def sync_status(lab: Lab, roadmap_path: Path) -> list[Path]:
    """Update statuses and progress where the settings say `write_status: auto`.

    An end is written once, and only over the status running; progress only of full runs.
    Returns the files written.
    """
    if lab.settings.write_status != "auto":
        return []
    if is_closed(path := lab.paths.private.status_sync):
        lab.tell(f"{path}: cannot be read: Permission denied; statuses do not follow the jobs")
        return []
    jobs = of_roadmap(lab, all_jobs(lab.paths), roadmap_path)
    synced = _read(lab)
    new = synced
    files: list[Path] = []
    ids, errors = [*dict.fromkeys(job.spec.mvp for job in jobs)], dict[str, Exception]()
    for mvp_id in ids:
        of_mvp = [job for job in jobs if job.spec.mvp == mvp_id]
        launched, full = last_launch(of_mvp), last_launch(full_jobs(of_mvp))
        waiting = [job for job in of_mvp if isinstance(job.state, Queued | Running)]
        if waiting and all(job.held for job in waiting):
            write = partial(_sync_held, lab, roadmap_path, of_mvp, new)
            if full and has_ended(full):  # a trial is put aside, which decides nothing
                write = partial(_sync_end, lab, roadmap_path, full, jobs, new)
        elif not has_ended([*full, *launched]):  # a trial's end is no end of a full run
            write = partial(_sync_progress, lab, roadmap_path, full, new)
        else:
            write = partial(_sync_end, lab, roadmap_path, launched, jobs, new)
        with passing_over(f"MVP-{mvp_id}: its status is not written", errors):
            try:
                new, written = write()
            except Conflict:  # a screen and a command see the same end at once: plan it anew
                new, written = write()
            files += written
    if new != synced:
        _save(lab, new)
    lab.tell_passed_over(errors, len(errors) < len(ids))
    return files


def _sync_held(
    lab: Lab, path: Path, jobs: Sequence[Job], synced: _Synced
) -> tuple[_Synced, list[Path]]:
    """The end of those that ran, where the others of their MVP are put aside: it is paused."""
    ends = _ends(jobs)
    if all(synced.ends.get(name) == end for name, end in ends.items()):
        return synced, []
    roadmap = lab.read_roadmap(path)
    mvp = roadmap.mvp(jobs[0].spec.mvp)
    edits = []
    if mvp.status == "running":
        before = state_before_run(lab.journal, roadmap, mvp.id)
        edits = set_end(roadmap, mvp.id, "paused", False, before)
    linked = linked_changes(lab, roadmap, mvp.id, "paused") if edits else []
    changes = [change(roadmap.document, edits), *linked] if edits else []
    what = f"MVP-{mvp.id}: status paused"
    written = save(changes, lab.journal, what=what) if changes else ()
    return replace(synced, ends={**synced.ends, **ends}), [one.path for one in written]


def _ends(jobs: Sequence[Job]) -> dict[str, float]:
    return {job.paths.name: job.state.ended for job in jobs if isinstance(job.state, Done)}


def _sync_end(
    lab: Lab, path: Path, jobs: Sequence[Job], everything: Sequence[Job], synced: _Synced
) -> tuple[_Synced, list[Path]]:
    of_mvp = [job for job in everything if job.spec.mvp == jobs[0].spec.mvp]
    # A launch that never began leaves the status of the one before it.
    over = [*jobs, *(job for job in of_mvp if job not in jobs and not began(job))]
    ends = _ends(over)
    if len(ends) < len(over) or all(synced.ends.get(name) == end for name, end in ends.items()):
        return synced, []  # a person must decide about a lost job
    roadmap = lab.read_roadmap(path)
    mvp = roadmap.mvp(jobs[0].spec.mvp)
    status = launch_end(lab, mvp, jobs, of_mvp).status
    numbers = any(has_headline(one.result) for one in finished(jobs))
    full = numbers and jobs[-1].spec.profile == "full"
    paused = mvp.status == "paused" and any(job.held for job in over)  # by `_sync_held`
    edits = []
    over_now = mvp.status == "running" or paused
    if over_now:
        before = state_before_run(lab.journal, roadmap, mvp.id)
        edits = set_end(roadmap, mvp.id, status, full, before)
    linked = linked_changes(lab, roadmap, mvp.id, status) if edits else []
    if not numbers:
        links = list(run_links_of(lab, jobs, everything, path.parent))
        edits = unique_edits([*edits, *run_links(roadmap, mvp, links)])
    changes = [change(roadmap.document, edits), *linked] if edits else []
    what = f"MVP-{mvp.id}: {f'status {status}' if over_now else 'links to its runs'}"
    written = save(changes, lab.journal, what=what) if changes else ()
    if not numbers:
        # There is nothing else to write.
        record_written(lab, jobs, [file.new_text for file in written])
    return replace(synced, ends={**synced.ends, **ends}), [one.path for one in written]


def _sync_progress(
    lab: Lab, path: Path, jobs: Sequence[Job], synced: _Synced
) -> tuple[_Synced, list[Path]]:
    now = time.time()
    for job in jobs:
        progress = lab.progress(job.paths)
        before, when = synced.epochs.get(job.paths.name, (0, 0.0))
        epoch = int(progress.epoch or 0)
        if job.spec.profile != "full" or not isinstance(job.state, Running):
            continue
        if epoch <= before or 0 <= now - when < PROGRESS_INTERVAL:  # a clock may be set back
            continue
        roadmap = lab.read_roadmap(path)
        name = str(Value.parse(job.spec.headline).live)
        value = progress.values.get(name)
        metric = (name, value) if value is not None else None
        of = job.spec.config.get("train", job.spec.config).get("epochs")
        edits = set_progress(roadmap, job.spec.mvp, epoch, of, metric, job.spec.run)
        changes = [change(roadmap.document, edits)] if edits else []
        written = save(changes, lab.journal, undoable=False)
        epochs = {**synced.epochs, job.paths.name: (epoch, now)}
        # One run at a time: two could write into the same cell.
        return replace(synced, epochs=epochs), [file.path for file in written]
    return synced, []


def _read(lab: Lab) -> _Synced:
    """What was written, as recorded; nothing where the record is none of vitlab's."""
    path = lab.paths.private.status_sync
    try:
        record = read_document(path)
        epochs = {name: (int(e), float(t)) for name, (e, t) in record["epochs"].items()}
        if wrong := misfit(record["ends"], "Mapping[str, float]"):
            raise ValueError(wrong)
        return _Synced(dict(record["ends"]), epochs)
    except FileNotFoundError:
        return _Synced()
    except (OSError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        lab.set_aside(path, error)
        return _Synced()


def _save(lab: Lab, synced: _Synced) -> None:
    lab.paths.private.make()
    record, path = {"ends": synced.ends, "epochs": synced.epochs}, lab.paths.private.status_sync
    write_atomic(path, json.dumps(record, indent=0).encode(), shared_rights(path))
