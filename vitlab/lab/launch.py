"""What a person does with a lab: launch, adopt, stop, resume, hold, write back, undo."""

from __future__ import annotations

import datetime
import errno
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vitlab.contract.job import Spec
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.validation import memory_bytes
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.save import Conflict, FileChange, change, save
from vitlab.docs.save import undo as undo_edit
from vitlab.docs.write import status
from vitlab.jobs.experiment.experiment import find_experiment, known_mvps, load_experiment
from vitlab.jobs.queue import adopt as jobs_adopt
from vitlab.jobs.queue import scheduler
from vitlab.jobs.queue import scheduler as jobs_launch
from vitlab.jobs.queue.machine import read_slots
from vitlab.jobs.queue.preflight import Finding, preflight
from vitlab.jobs.store import Job, all_jobs, look, new_exp_id, submit, unfinished
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.writeback import Pending, mark_written, pending, plan_mvp, unmark

_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


def tend(lab: Lab) -> None:
    """Go on with the queue as whoever comes by does: start what fits, end what was left running.

    So that a queue whose supervisor was killed goes on at the next look. A lab that can only be
    read is left to others.
    """
    if not unfinished(lab.paths):
        return
    try:
        scheduler.advance(lab.paths)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise


def stop(lab: Lab, job: JobPaths) -> None:
    """Ask a job to end; its supervisor sees to it. A queued or lost one ends at once."""
    scheduler.stop(job)
    scheduler.advance(lab.paths)


def resume(lab: Lab, job: JobPaths) -> None:
    """Go on with an ended or lost job in its own folder, from its last checkpoint."""
    scheduler.resume(lab.paths, job)
    scheduler.advance(lab.paths)


def hold(lab: Lab, job: JobPaths) -> None:
    """Put a waiting job aside; those behind it may start."""
    scheduler.hold(_found(job))
    scheduler.advance(lab.paths)


def release(lab: Lab, job: JobPaths) -> None:
    """Let a waiting job start when its turn comes."""
    scheduler.release(_found(job))
    scheduler.advance(lab.paths)


def move(lab: Lab, job: JobPaths, places: int | None) -> None:
    """Move a waiting job up (`places` < 0) or down the line; None makes it the first."""
    jobs = all_jobs(lab.paths)
    scheduler.move(_found(job), jobs, -len(jobs) if places is None else places)


def _found(job: JobPaths) -> Job:
    found = look(job)
    if found is None:
        raise UsageError(f"{job.name}: the job's folder is gone")
    return found


__all__ = ["Plan", "accept", "adopt", "begin", "launch", "launch_plan", "pending", "settle", "undo"]


@dataclass(frozen=True)
class Plan:
    """What a launch will run, and what it will write into the roadmap."""

    specs: tuple[Spec, ...]
    changes: tuple[FileChange, ...]
    findings: tuple[Finding, ...] = ()
    """What was found before anything is spent, the worst first."""


def launch_plan(
    lab: Lab,
    roadmap_path: Path,
    mvp_id: str,
    profile: str,
    device: str = "auto",
    backend: str = "local",
    memory: str | None = None,
    runs: Sequence[str] = (),
) -> Plan:
    """Everything checked, nothing written: experiment file, MVP, profile, configuration.

    `memory`: what a job may hold of its spectra (`8GiB`), in place of the configuration's; `runs`:
    these of a sweep alone, by their names or the names' first words.
    """
    named = lab.paths.relative(roadmap_path)
    experiment = load_experiment(find_experiment(lab.paths, mvp_id, named))
    roadmap = lab.read_roadmap(roadmap_path)
    mvp = roadmap.mvp(mvp_id)
    exp_id = _exp_id(lab, roadmap, mvp, experiment.path.stem.replace("_", "-"))
    if memory is not None:
        memory_bytes("--memory", memory)
    wanted = _named_runs(experiment.specs(profile, exp_id), runs)
    specs = tuple(_tracked(lab, _asked(spec, device, backend, memory)) for spec in wanted)
    found = tuple(preflight(lab.paths, specs, all_jobs(lab.paths), read_slots(lab.paths)))
    if profile != "full" and mvp.status == "done":
        return Plan(specs, (), found)  # a trial run does not reopen what is done
    return Plan(specs, _launch_changes(roadmap, mvp, exp_id), found)


def _named_runs(specs: list[Spec], runs: Sequence[str]) -> list[Spec]:
    """The specs of the runs named; all of them where none is."""
    for name in runs:
        if not any(_is_run(spec, name) for spec in specs):
            known = ", ".join(repr(spec.run) for spec in specs)
            raise UsageError(f"{specs[0].experiment}: no run {name!r} (there are: {known})")
    return [spec for spec in specs if not runs or any(_is_run(spec, name) for name in runs)]


def _is_run(spec: Spec, name: str) -> bool:
    return spec.run == name or spec.run.startswith(f"{name} ")


def launch(
    lab: Lab, roadmap_path: Path, mvp_id: str, profile: str, device: str = "auto"
) -> list[JobPaths]:
    """Plan and begin, unless the plan can not end well."""
    return begin(lab, launch_plan(lab, roadmap_path, mvp_id, profile, device))


def begin(lab: Lab, plan: Plan, force: bool = False) -> list[JobPaths]:
    """Queue the plan's jobs, say so in the roadmap, and start what fits.

    What was found `bad` refuses, before anything is written, unless `force`.
    """
    bad = [finding.text for finding in plan.findings if finding.status == "bad"]
    if bad and not force:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise UsageError(f"{plan.specs[0].experiment}: {bad[0]}{more}")
    jobs = [submit(lab.paths, spec) for spec in plan.specs]
    try:
        _say_launched(lab, plan.changes)
    except (Conflict, OSError):
        for job in jobs:
            jobs_launch.stop(job)
        raise
    jobs_launch.advance(lab.paths)
    return jobs


def adopt(
    lab: Lab,
    roadmap_path: Path,
    mvp_id: str,
    pid: int,
    log: Path | None = None,
    metrics: tuple[str, Mapping[str, str]] | None = None,
) -> JobPaths:
    """Take in the process `pid`, started by hand for an MVP, and say so in the roadmap.

    `metrics`: the file its numbers stand in, from the program's folder, and their names -> ours;
    without names, those of the MVP's experiment file.
    """
    roadmap = lab.read_roadmap(roadmap_path)
    mvp = roadmap.mvp(mvp_id)
    named = lab.paths.relative(roadmap_path)
    path = known_mvps(lab.paths, named).get(mvp.id)
    experiment = load_experiment(path) if path else None
    extra = dict(experiment.extra) if experiment else {}
    if metrics is not None:
        file, names = metrics
        names = names or extra.get("metrics", {}).get("names", {})
        if not names:
            raise UsageError(
                f"{file}: what its numbers are called is not known; name them "
                "(--name val_r2=val/r2/log_g), or under metrics.names in the experiment file"
            )
        extra["metrics"] = {"file": file, "names": dict(names)}
    topic = path.stem.replace("_", "-") if path else mvp.name
    spec = Spec(
        mvp=mvp.id,
        run="by hand",
        profile="full",
        recipe="command",
        config={},
        exp_id=_exp_id(lab, roadmap, mvp, topic),
        roadmap=named,
        headline=experiment.headline if experiment else Spec.headline,
        experiment=lab.paths.relative(path) if path else "",
        extra=extra,
    )
    job = jobs_adopt.adopt(lab.paths, spec, pid, log)
    _say_launched(lab, _launch_changes(roadmap, mvp, spec.exp_id))
    return job


def _exp_id(lab: Lab, roadmap: Roadmap, mvp: Mvp, topic: str) -> str:
    """The MVP's own, or the next free one; refused when the document's is no plain name."""
    exp_id = mvp.exp_id or new_exp_id(lab.paths, _project(roadmap), topic, datetime.date.today())
    lab.paths.exp_folder(exp_id)
    return exp_id


def _launch_changes(roadmap: Roadmap, mvp: Mvp, exp_id: str) -> tuple[FileChange, ...]:
    edits = status.launch(roadmap, mvp.id, exp_id, datetime.date.today().isoformat())
    return (change(roadmap.document, edits),) if edits else ()


def _say_launched(lab: Lab, changes: tuple[FileChange, ...]) -> None:
    if lab.settings.write_status == "auto" and changes:
        save(changes, lab.journal)


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
        mark_written(lab, step.jobs, [one.new_text for one in written if one.new_text is not None])
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


def _asked(spec: Spec, device: str, backend: str, memory: str | None) -> Spec:
    """The spec for the device, the backend and the memory asked for."""
    if device != "auto":
        spec = replace(spec, device=device)
    if memory is not None and spec.recipe != "command":
        data = {**spec.config.get("data", {}), "memory": memory}
        spec = replace(spec, config={**spec.config, "data": data})
    return spec if backend == "local" else replace(spec, extra={**spec.extra, "backend": backend})


def _tracked(lab: Lab, spec: Spec) -> Spec:
    """The spec with what the lab says of W&B where its experiment says nothing."""
    wandb = {**lab.settings.wandb, **spec.extra.get("wandb", {})}
    return replace(spec, extra={**spec.extra, "wandb": wandb}) if wandb else spec


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
