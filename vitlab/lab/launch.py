"""What a person does with jobs: launch, stop, resume, hold and move them."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vitlab.contract.job import (
    PROFILES,
    Done,
    JobState,
    Lost,
    Queued,
    Running,
    Spec,
    Unreadable,
    base_name,
    ended_well,
)
from vitlab.contract.paths import SPEC, JobPaths, UsageError, cause
from vitlab.contract.reading import read_regular
from vitlab.contract.validation import memory_bytes
from vitlab.contract.value import Value
from vitlab.docs.judge.gates import thresholds
from vitlab.docs.judge.seeds import seed_name
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.save import FileChange, change, save
from vitlab.docs.write import status
from vitlab.jobs.environment import this_environment
from vitlab.jobs.experiment.experiment import UNSEEDED, find_experiment, load_experiment
from vitlab.jobs.experiment.placeholders import METRICS, SEED, filled, values_of
from vitlab.jobs.experiment.settings import FOR_LOOKING, load_settings
from vitlab.jobs.experiment.yaml_file import read_yaml
from vitlab.jobs.files import held_by, read_json, take_lock
from vitlab.jobs.metrics.source import stored_value
from vitlab.jobs.queue import scheduler
from vitlab.jobs.queue.machine import read_machine
from vitlab.jobs.queue.preflight import Finding, preflight
from vitlab.jobs.store import Job, all_jobs, job_folders, new_exp_id, read_job, unfinished
from vitlab.jobs.submissions import Staged, discard, is_submitted, publish, stage
from vitlab.lab.after_save import launch_note, take_back
from vitlab.lab.earlier import keep_earlier
from vitlab.lab.lab import NOT_WRITABLE, Lab
from vitlab.lab.linked_files import earlier_state, left_alone, linked_changes
from vitlab.lab.results.job_results import put_away


def advance_queue(lab: Lab, asked: bool = False) -> None:
    """Start what fits and end what was left running, as anyone who looks at the lab does.

    So that a queue whose supervisor was killed goes on at the next look. A lab that can only be
    read is left to others. `asked`: behind what a person asked for, which is done.
    """
    if lab.settings is FOR_LOOKING:
        return
    try:
        if asked or unfinished(lab.paths):
            scheduler.advance(lab.paths)
        if not asked:
            scheduler.wake_autopilot(lab.paths)
    except (OSError, UsageError) as error:  # whatever is in place of the lease, or of the settings
        if asked or getattr(error, "errno", None) not in NOT_WRITABLE:
            lab.tell(f"nothing is started: {cause(error)}")


def stop(lab: Lab, job: JobPaths) -> None:
    """Ask a job to end; its supervisor ends it. A queued or lost one ends at once."""
    scheduler.stop(job)
    advance_queue(lab, asked=True)


def begins_anew(spec: Spec, state: JobState) -> bool:
    """Whether a resume would start the program as the first time: it ran, and has no other way."""
    ran = isinstance(state, Done | Lost) and not ended_well(state)
    return ran and spec.recipe == "command" and not spec.config.get("resume_argv")


ANEW = "no resume_argv: it starts from scratch unless it loads its own checkpoint"
"""What is told of such a resume."""


def resume(lab: Lab, job: JobPaths, here: bool = False, force: bool = False) -> None:
    """Resume a stopped, failed or lost job in its own folder, from its last checkpoint.

    `here`: also one that this user has not submitted here, as what `preview` shows; `force`: also
    where another job has run in its folder since. One that is done has a result: refused.
    """
    record = read_job(job)
    if record is not None and ended_well(record.state):
        again = f"`vitlab run {record.spec.mvp} --profile {record.spec.profile}` starts a new run"
        raise UsageError(f"{job.name}: is done, so there is nothing to resume: {again}")
    scheduler.resume(lab.paths, job, here, force)
    write_standing(lab, job)
    advance_queue(lab, asked=True)


def write_standing(lab: Lab, job: JobPaths) -> None:
    """Write into the plan what a person made of a job's MVP: it runs again, or all is put aside.

    Where the settings leave statuses to `sync`, nothing; a resumed trial leaves an MVP done.
    """
    record = read_job(job)
    if record is None or record.foreign or lab.settings.write_status != "auto":
        return
    asked = record.spec
    same = [one for one in all_jobs(lab.paths) if not one.foreign]
    mine = [j for j in same if (j.spec.mvp, j.spec.roadmap) == (asked.mvp, asked.roadmap)]
    waiting = [one for one in mine if isinstance(one.state, Queued | Running)]
    active = [one.spec.profile for one in waiting if not one.held]
    try:
        roadmap = lab.read_roadmap(lab.paths.inside(asked.roadmap))
        mvp = roadmap.mvp(asked.mvp)
        wanted = "running" if active else "paused"
        stays = mvp.status == "done" and "full" not in active
        if waiting and not stays and (active or mvp.status == "running"):
            before = earlier_state(lab.journal, roadmap, mvp.id, wanted)
            edits = status.set_status(roadmap, mvp.id, wanted, before)
            edits += status.legend_edits(roadmap, edits)
            linked = linked_changes(lab, roadmap, mvp.id, wanted) if edits else []
            write_launch(lab, mvp.id, (change(roadmap.document, edits), *linked) if edits else ())
    except (UsageError, OSError) as error:  # the job goes on all the same
        lab.tell(f"the status of MVP {asked.mvp} is not written: {error}")


NAMED = 5
"""Variables of an environment that are named."""
_SESSION = re.compile(
    r"_|(OLD)?PWD|SHLVL|TERM|COLORTERM|COLUMNS|LINES|LS_COLORS|HOST(NAME)?|LOGNAME|USER|PS1|"
    r"(TERM|SSH|XDG|DBUS|TMUX|LESS|VSCODE|PYTEST)_?.*"
)
"""Variables of a terminal and a login, in which no two runs are alike."""
_SHOWN = 500
"""Letters of one of a job's settings that its preview shows."""


def preview(job: Job) -> list[str]:
    """What a job would run that was not submitted here, a line each; empty for one that was."""
    paths, spec = job.paths, job.spec
    if is_submitted(paths) or isinstance(job.state, Unreadable):
        return []
    document = {"run": spec.run, "config": spec.config, "extra": spec.extra}
    first, again = (
        filled(document, paths.root, values_of(document, paths.folder), resumed)
        for resumed in (False, True)
    )
    command = again if begun(job) else first
    more: dict[str, Any] = {**spec.extra, "outputs": command.outputs}  # Slurm, W&B, metrics
    if spec.recipe == "command":
        lines = [f"runs: {shlex.join(command.argv)}", f"in: {command.cwd}"]
        if again.argv != command.argv:  # after a failure, by its `health` or `on_lost`
            lines.append(f"resumes by: {shlex.join(again.argv)}")
        given = {str(name) for name in spec.config.get("env") or ()}
        lines += [f"sets: {name}={value}" for name, value in command.env.items() if name in given]
    else:
        lines = [f"runs: vitlab's own recipe {spec.recipe}", f"in: {paths.root}"]
        more["data"] = spec.config.get("data")
    texts = {name: json.dumps(value, ensure_ascii=False) for name, value in more.items() if value}
    for name, text in texts.items():
        cut = f"... ({len(text) - _SHOWN:,} letters more in its {SPEC})" if text[_SHOWN:] else ""
        lines.append(f"{name}: {text[:_SHOWN]}{cut}")
    recorded, here = read_json(paths.environment).get("variables"), this_environment()
    theirs = recorded if isinstance(recorded, dict) else {}
    differs = sorted(name for name in theirs if theirs[name] != here.get(name))
    if differs := [name for name in differs if not _SESSION.fullmatch(name)]:
        names = ", ".join(differs[:NAMED])
        names += f" and {len(differs) - NAMED} more" if len(differs) > NAMED else ""
        lines.append(f"with your environment, not the one it came with: {names}")
    return [f"{paths.name}: not submitted here by you", *lines]


def begun(job: Job) -> bool:
    """Whether it ran before, so that a resume goes on with it."""
    return isinstance(job.state, Done | Lost) or job.paths.started.exists()


def hold(lab: Lab, job: JobPaths) -> None:
    """Put a waiting job aside; those behind it may start."""
    scheduler.hold(_read_job(job))
    write_standing(lab, job)
    advance_queue(lab, asked=True)


def release(lab: Lab, job: JobPaths) -> None:
    """Let a held job start when it is first in the queue."""
    scheduler.release(_read_job(job))
    write_standing(lab, job)
    advance_queue(lab, asked=True)


def move(lab: Lab, job: JobPaths, places: int | None) -> None:
    """Move a waiting job up (`places` < 0) or down the queue; None makes it the first."""
    jobs = all_jobs(lab.paths)
    scheduler.move(_read_job(job), jobs, -len(jobs) if places is None else places)


def change_priority(lab: Lab, job: JobPaths, by: int) -> None:
    """Raise or lower a waiting job's priority; higher ones start first."""
    waiting = _read_job(job)
    if not isinstance(waiting.state, Queued):
        raise UsageError(f"{job.name}: the job is not queued")
    scheduler.edit_queue(waiting, priority=waiting.priority + by)
    advance_queue(lab, asked=True)


def _read_job(paths: JobPaths) -> Job:
    if (job := read_job(paths)) is None:
        raise UsageError(f"{paths.name}: the job's folder is gone")
    return job


LAUNCH_PATIENCE = 120.0
"""Seconds to wait for another launch, which may be looking into a large data file."""
WORD_LENGTH = 12
"""Letters of a project word that is taken from a name."""


@dataclass(frozen=True)
class Request:
    """Which runs are asked for, and where they are to run."""

    roadmap: Path
    mvp: str
    profile: str
    device: str = "auto"
    backend: str = "local"
    memory: str | None = None
    """What a job may hold of its spectra (`8GiB`), in place of the configuration's."""
    runs: Sequence[str] = ()
    """These of a sweep alone, by their names or the names' first words; none means all."""
    seeds: int = 0
    """So many further seeds of each run, in place of those of the experiment."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Keys of every job's `Spec.extra`."""


@dataclass(frozen=True)
class Plan:
    """What a launch will run, and what it will write into the roadmap."""

    request: Request
    specs: tuple[Spec, ...]
    changes: tuple[FileChange, ...]
    findings: tuple[Finding, ...]
    """Problems found beforehand, the worst first."""
    fingerprint: Mapping[Path, str]
    """Digests of the files it was made from: experiment, roadmap, settings."""


@dataclass(frozen=True)
class Launched:
    """The jobs of a launch."""

    jobs: tuple[JobPaths, ...]
    changed: tuple[Path, ...] = ()
    """Files that changed after the plan was made, so that it was made again from them."""

    def notice(self, lab: Lab) -> str:
        """A line on what changed; empty when the plan was launched as it was."""
        names = ", ".join(lab.paths.relative(path) for path in self.changed)
        return f"{names} changed since the plan was shown: planned again" if names else ""


def default_profile(lab: Lab, roadmap: Path, mvp: str, wanted: str | None = None) -> str:
    """The lab's default or the one wanted, or else the experiment's largest below, or smallest."""
    experiment = load_experiment(find_experiment(lab.paths, mvp, lab.paths.relative(roadmap)))
    known, upto = experiment.profiles, PROFILES.index(wanted or lab.settings.profile) + 1
    return next((p for p in reversed(PROFILES[:upto]) if p in known), known[0])


def plan_launch(lab: Lab, request: Request) -> Plan:
    """Everything checked, nothing written: experiment file, MVP, profile, configuration."""
    named = lab.paths.relative(request.roadmap)
    path = find_experiment(lab.paths, request.mvp, named)
    # Before the files are read, so that no edit can come between.
    fingerprint = {one: _digest(one) for one in (path, request.roadmap, lab.paths.settings)}
    experiment = load_experiment(path)
    roadmap = lab.read_roadmap(request.roadmap)
    mvp = roadmap.mvp(request.mvp)
    exp_id = exp_id_of(lab, roadmap, mvp, path.stem.replace("_", "-"))
    if request.memory is not None:
        memory_bytes("--memory", request.memory)
    wanted = _named_runs(experiment.specs(request.profile, exp_id), request.runs)
    if request.seeds:
        wanted = _further_seeds(lab, wanted, request.seeds)
    elsewhere = put_away(lab, request.roadmap)
    specs = tuple(_with_options(lab, spec, request, elsewhere) for spec in wanted)
    reopens = request.profile == "full" or mvp.status != "done"  # a trial leaves it done
    changes = launch_changes(lab, roadmap, mvp, exp_id) if reopens else ()
    left = [Finding("note", one) for one in left_alone(lab, roadmap, mvp.id, "running") if changes]
    found = (*_findings(lab, specs), *_gate_needs(roadmap, mvp, specs), *left)
    return Plan(request, specs, changes, found, fingerprint)


def _gate_needs(roadmap: Roadmap, mvp: Mvp, specs: Sequence[Spec]) -> list[Finding]:
    """What the MVP's gates ask for and a program's declared numbers do not have, each once."""
    needs: dict[str, None] = {}
    for spec in specs:
        names = (spec.extra.get(METRICS) or {}).get("names") or {}
        ours = [stored_value(meaning) for meaning in names.values()]
        for gate in roadmap.gates if ours else ():
            wanted = thresholds(gate, spec.headline) if mvp.id in gate.mvps else ()
            for name in dict.fromkeys(name for name, _ in wanted):
                value = Value.parse(name)
                splits = sorted({one.split for one in ours if one.on(value.split) == value})
                if splits and value not in ours:
                    logs = f"this script logs {' and '.join(splits)} only"
                    needs[f"Gate-{gate.id} needs {name}; {logs}"] = None
    return [Finding("warn", text) for text in needs]


def _findings(lab: Lab, specs: Sequence[Spec]) -> tuple[Finding, ...]:
    """What would go wrong if these were queued now."""
    return tuple(preflight(lab.paths, specs, all_jobs(lab.paths), read_machine(lab.paths)))


def _digest(path: Path) -> str:
    """Of the file's bytes; empty where there is none."""
    try:
        return hashlib.sha256(read_regular(path, 1 << 28, follow=True)).hexdigest()
    except OSError:
        return ""


def _named_runs(specs: list[Spec], runs: Sequence[str]) -> list[Spec]:
    """The specs of the runs named; all of them where none is."""
    for name in runs:
        if not any(_is_run(spec, name) for spec in specs):
            known = ", ".join(repr(spec.run) for spec in specs)
            raise UsageError(f"{specs[0].experiment}: no run {name!r} (there are: {known})")
    return [spec for spec in specs if not runs or any(_is_run(spec, name) for name in runs)]


def _is_run(spec: Spec, name: str) -> bool:
    return name in (spec.run, base_name(spec.run)) or spec.run.startswith(f"{name} ")


def _further_seeds(lab: Lab, specs: Sequence[Spec], number: int) -> list[Spec]:
    """Each run of `specs` with the next seeds above those that its jobs have."""
    first = {base_name(spec.run): spec for spec in reversed(specs) if spec.recipe not in UNSEEDED}
    if not first:
        raise UsageError(f"{specs[0].experiment}: --seeds: these runs have no seed")
    told = specs[0].mvp, specs[0].roadmap, specs[0].profile
    jobs = [job.spec for job in all_jobs(lab.paths)]
    known = [*specs, *(one for one in jobs if (one.mvp, one.roadmap, one.profile) == told)]
    further = []
    for name, spec in reversed(first.items()):
        last = max(_seed_of(one) for one in known if base_name(one.run) == name)
        further += [_with_seed(spec, last + k) for k in range(1, number + 1)]
    return further


def _seed_of(spec: Spec) -> int:
    own = spec.config if spec.recipe == "command" else spec.config.get("train", {})
    return seed if isinstance(seed := own.get("seed"), int) else SEED


def _with_seed(spec: Spec, seed: int) -> Spec:
    """The spec with another seed, and named by it."""
    run = seed_name(spec.run, seed)
    if spec.recipe == "command":
        return replace(spec, run=run, config={**spec.config, "seed": seed})
    train = {**spec.config.get("train", {}), "seed": seed}
    return replace(spec, run=run, config={**spec.config, "train": train})


def launch(lab: Lab, plan: Plan, force: bool = False) -> Launched:
    """Queue the plan's jobs, write the launch into the roadmap, and start what fits.

    Where a file it was made from has changed, the plan is made again. Data, programs, disk and
    devices are checked anew; a `bad` finding refuses before anything is written, unless `force`.
    """
    lab, plan, changed = _planned_anew(lab, plan)
    others = job_folders(lab.paths)
    _refuse_bad(lab, plan, force)  # before there is even a lock
    lab.paths.private.make()  # two launches at once would not see each other's jobs
    path = lab.paths.private.launching
    if (lock := take_lock(path, LAUNCH_PATIENCE)) is None:
        raise UsageError(f"another launch is in progress in this lab{held_by(path)}; try again")
    try:
        lab, plan, later = _planned_anew(lab, plan)
        changed = tuple(dict.fromkeys((*changed, *later)))
        if later or job_folders(lab.paths) != others:
            _refuse_bad(lab, plan, force)
        staged, written = list[Staged](), tuple[FileChange, ...]()
        try:
            _stage(lab, plan.specs, staged)
            keep_earlier(lab, plan.request.roadmap)
            written = write_launch(lab, plan.request.mvp, plan.changes, staged)
            jobs = publish(staged)
        except BaseException:  # refused: as if it had never been
            take_back(lab.journal, written, staged)
            discard(staged)
            raise
    finally:
        os.close(lock)
    advance_queue(lab, asked=True)
    return Launched(jobs, changed)


def _planned_anew(lab: Lab, plan: Plan) -> tuple[Lab, Plan, tuple[Path, ...]]:
    """The plan by the files as they are now, and those that have changed since it was made."""
    changed = tuple(path for path, old in plan.fingerprint.items() if _digest(path) != old)
    if changed:
        lab = replace(lab, settings=load_settings(lab.paths))
        plan = plan_launch(lab, plan.request)
    return lab, plan, changed


def _refuse_bad(lab: Lab, plan: Plan, force: bool) -> None:
    bad = [one.text for one in _findings(lab, plan.specs) if one.status == "bad"]
    if bad and not force:
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        where = plan.specs[0].experiment
        line = read_yaml(lab.paths.root / where).line_like(bad[0].partition(":")[0])
        raise UsageError(f"{where}{f':{line}' if line else ''}: {bad[0]}{more}")


def _stage(lab: Lab, specs: Sequence[Spec], staged: list[Staged]) -> None:
    """Add the specs' jobs in their order; an ensemble waits for its members among them."""
    for spec in specs:
        of = spec.config.get("of")
        runs = zip(specs, staged, strict=False)
        members = [one.job.name for own, one in runs if base_name(own.run) == of]
        after = (*spec.after, *(members if spec.recipe == "ensemble" else ()))
        staged.append(stage(lab.paths, replace(spec, after=after)))


def exp_id_of(lab: Lab, roadmap: Roadmap, mvp: Mvp, topic: str) -> str:
    """The MVP's own, or the next free one; refused when the document's is no plain name."""
    exp_id = mvp.exp_id or new_exp_id(
        lab.paths, _project(lab, roadmap), topic, datetime.date.today(), _exp_ids(lab)
    )
    lab.paths.exp_folder(exp_id)
    return exp_id


def _exp_ids(lab: Lab) -> set[str]:
    """Those of all roadmaps, whose reports would be taken for those of a new one."""
    found: set[str] = set()
    for path in lab.roadmaps():
        with contextlib.suppress(UsageError, OSError):
            found |= {mvp.exp_id or "" for mvp in lab.cached_roadmap(path).mvps}
    return found


def launch_changes(lab: Lab, roadmap: Roadmap, mvp: Mvp, exp_id: str) -> tuple[FileChange, ...]:
    """What a launch writes: the roadmap's change, and those of the boards it names."""
    edits = status.record_launch(roadmap, mvp.id, exp_id, datetime.date.today().isoformat())
    if not edits:
        return ()
    linked = linked_changes(lab, roadmap, mvp.id, "running")
    return (change(roadmap.document, edits), *linked)


def write_launch(
    lab: Lab, mvp: str, changes: tuple[FileChange, ...], staged: Sequence[Staged] = ()
) -> tuple[FileChange, ...]:
    wanted = changes if lab.settings.write_status == "auto" else ()
    what, note = f"MVP-{mvp}: status running", launch_note(lab.paths, staged)
    return save(wanted, lab.journal, what=what, note=note) if wanted else ()


def _with_options(lab: Lab, spec: Spec, request: Request, elsewhere: dict[str, Any]) -> Spec:
    """The spec for the device, backend and memory asked for, and W&B as the lab's settings say."""
    if request.device != "auto":
        spec = replace(spec, device=request.device)
    if request.memory is not None and spec.recipe not in ("command", "evaluate", "ensemble"):
        data = {**spec.config.get("data", {}), "memory": request.memory}
        spec = replace(spec, config={**spec.config, "data": data})
    more = {} if request.backend == "local" else {"backend": request.backend}
    if wandb := {**lab.settings.wandb, **spec.extra.get("wandb", {})}:
        elsewhere = {"wandb": wandb, **elsewhere}
    return replace(spec, extra={**spec.extra, **more, **elsewhere, **request.extra})


def _project(lab: Lab, roadmap: Roadmap) -> str:
    """The roadmap's own project word, from its head: `**Project:** `VIT``, or its id's.

    Without one its file's name (`my_vit_roadmap.md` -> `MYVIT`), or else that of the lab's folder.
    """
    for key, pattern in (("project", r"[A-Za-z]\w*"), ("id", r"[A-Za-z]\w*(?=-\d{8})")):
        if match := re.search(pattern, roadmap.meta.get(key, "")):
            return match.group().upper()
    path = roadmap.document.path
    words = re.split(r"[^A-Za-z0-9]+", path.stem if path else "")
    own = "".join(word for word in words if word.lower() not in ("roadmap", "plan"))
    for name in (own, lab.paths.root.resolve().name):
        word = re.sub(r"[^A-Z0-9]+|^[^A-Z]+", "", name.upper())[:WORD_LENGTH]
        if len(word) > 1:
            return word
    return "EXP"
