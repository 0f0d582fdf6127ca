"""What a person does with a lab: launch, stop, resume, write back, undo. Blocking calls."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vitlab.contract.config import GRID_SOURCES
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.spec import Spec
from vitlab.docs import writeback
from vitlab.docs.edits import Conflict, FileChange, change, save
from vitlab.docs.edits import undo as undo_edit
from vitlab.docs.roadmap import Roadmap
from vitlab.jobs import launch as jobs_launch
from vitlab.jobs.experiment import find_experiment, load_experiment
from vitlab.jobs.store import new_exp_id, submit
from vitlab.records.lab import Lab
from vitlab.records.plan import Pending, pending, plan_mvp
from vitlab.records.written import mark, unmark

__all__ = ["Plan", "accept", "launch", "launch_plan", "pending", "resume", "settle", "stop", "undo"]


@dataclass(frozen=True)
class Plan:
    """What a launch will run, and what it will write into the roadmap."""

    specs: tuple[Spec, ...]
    changes: tuple[FileChange, ...]


def launch_plan(
    lab: Lab, roadmap_path: Path, mvp_id: str, profile: str, device: str = "auto"
) -> Plan:
    """Everything checked, nothing written: experiment file, MVP, profile, configuration."""
    named = lab.paths.relative(roadmap_path)
    experiment = load_experiment(find_experiment(lab.paths, mvp_id, named))
    roadmap = lab.read_roadmap(roadmap_path)
    mvp = roadmap.mvp(mvp_id)
    today = datetime.date.today()
    topic = experiment.path.stem.replace("_", "-")
    exp_id = mvp.exp_id or new_exp_id(lab.paths, _project(roadmap), topic, today)
    lab.paths.exp_folder(exp_id)  # refused here when the document's id is no plain name
    specs = [_asked(lab, spec, device) for spec in experiment.specs(profile, exp_id)]
    if profile != "full" and mvp.status == "done":
        return Plan(tuple(specs), ())  # a trial run does not reopen what is done
    edits = writeback.launch(roadmap, mvp.id, exp_id, today.isoformat())
    changes = (change(roadmap.document, edits),) if edits else ()
    return Plan(tuple(specs), changes)


def launch(
    lab: Lab, roadmap_path: Path, mvp_id: str, profile: str, device: str = "auto"
) -> list[JobPaths]:
    """Queue the MVP's jobs, say so in the roadmap, and start what fits."""
    plan = launch_plan(lab, roadmap_path, mvp_id, profile, device)
    jobs = [submit(lab.paths, spec) for spec in plan.specs]
    try:
        if lab.settings.write_status == "auto" and plan.changes:
            save(plan.changes, lab.journal)
    except (Conflict, OSError):
        for job in jobs:
            jobs_launch.stop(job)
        raise
    jobs_launch.advance(lab.paths)
    return jobs


def stop(lab: Lab, job: JobPaths) -> None:
    """Ask a job to end; its supervisor sees to it. A queued one is out of the queue at once."""
    jobs_launch.stop(job)
    jobs_launch.advance(lab.paths)


def resume(lab: Lab, job: JobPaths) -> None:
    """Go on with an ended or lost job in its own folder, from its last checkpoint."""
    jobs_launch.resume(lab.paths, job)
    jobs_launch.advance(lab.paths)


def accept(lab: Lab, plan: Pending) -> list[Path]:
    """Write what `plan` showed, each MVP as one undoable step; the files touched.

    Each step is planned again on the files as they are now, so an edit made elsewhere meanwhile
    survives; where it meets ours, `Conflict` names the place and that step writes nothing.
    """
    touched: list[Path] = []
    for mvp_id in plan.mvps:
        step = plan_mvp(lab, plan.path, mvp_id)
        if step is None:
            continue
        written = save(step.changes, lab.journal)
        mark(lab, step.jobs, [one.new_text for one in written if one.new_text is not None])
        touched += [one.path for one in written if one.path not in touched]
    return touched


def settle(lab: Lab, roadmap_path: Path) -> list[Path]:
    """Write what ended without being asked, where the lab's settings say `write_results: auto`."""
    if lab.settings.write_results != "auto":
        return []
    return accept(lab, pending(lab, roadmap_path))


def undo(lab: Lab) -> list[Path]:
    """Reverse the last write to the documents; the files restored."""
    undone = undo_edit(lab.journal)
    unmark(lab, [one.old_text for one in undone if one.old_text is not None])
    return [one.path for one in undone]


def _asked(lab: Lab, spec: Spec, device: str) -> Spec:
    """The spec for the device asked for; a data file that is not there is said now."""
    data = spec.config.get("data")
    source = data.get("source", "grid") if isinstance(data, Mapping) else "grid"
    if source not in GRID_SOURCES and not (lab.paths.root / str(source)).is_file():
        raise UsageError(f"{spec.experiment}: config.data.source: {source}: no such file")
    return spec if device == "auto" else replace(spec, device=device)


def _project(roadmap: Roadmap) -> str:
    """The roadmap's own project word, from its head: `**Project:** `VIT``, or its id's."""
    for key, pattern in (("project", r"[A-Za-z]\w*"), ("id", r"[A-Za-z]\w*(?=-\d{8})")):
        found = re.search(pattern, roadmap.meta.get(key, ""))
        if found:
            return found.group().upper()
    raise UsageError(
        f"{roadmap.document.name}:1: no project word for a new exp_id "
        "(a head line with **Project:** `VIT`, or **ID:** `VIT-20251227-...`)"
    )
