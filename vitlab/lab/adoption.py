"""Runs started by hand that become jobs of an MVP: what can be taken of each, and taking it."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vitlab.contract.job import Spec
from vitlab.contract.paths import JobPaths, UsageError, cause
from vitlab.contract.reading import matching
from vitlab.contract.value import LABEL, Value
from vitlab.docs.text.edit import Conflict
from vitlab.jobs.experiment.experiment import Experiment, known_mvps, load_experiment
from vitlab.jobs.experiment.placeholders import METRICS, is_glob, words_in
from vitlab.jobs.experiment.value_names import Names, match_names
from vitlab.jobs.queue import trainings as by_hand
from vitlab.jobs.queue.trainings import Training, as_glob, changed, columns, training
from vitlab.lab.lab import Lab
from vitlab.lab.launch import exp_id_of, launch_changes, write_launch
from vitlab.lab.script_experiment import MAX_FILES, Found, examine, program_of

JUST_AFTER = 0.1
"""Seconds by which the start of a process and the time of a file may differ."""
EDITED = "its script was changed since it began: its names and scales are not taken from that"


@dataclass(frozen=True)
class Candidate:
    """A training that runs by hand, and what adopting it would take."""

    training: Training
    metrics: str
    """Its metrics file, as a glob from its folder; empty where none is sure."""
    names: Names
    """What the file's columns are."""
    meanings: Mapping[str, Any]
    """Theirs -> ours, or {as, scale, unit}; only what is sure."""
    script: Found | None
    """What its script shows; None where nothing of it is used."""
    note: str
    """Why something is not taken; empty when all is clear."""
    watched_by: str
    """The job that watches it already; empty where none does."""
    is_edited: bool = False
    """Whether its script was changed since it began, so that nothing of that is used."""


def candidates(lab: Lab) -> list[Candidate]:
    """This user's Python trainings that no vitlab started, the oldest first."""
    return [candidate(lab, found) for found in by_hand.trainings()]


def candidate(lab: Lab, found: Training, label: str = LABEL, given: str = "") -> Candidate:
    """What could be taken of one process; its values without a label are of `label`.

    `given`: its metrics file, as a path or glob from its folder; empty where it is to be found.
    """
    file, note = (given, "") if given else _sure_file(found)
    watched_by = by_hand.watched_by(lab.paths, found)
    seen = None if given else _seen(found)
    is_edited = seen is not None and seen.script.changed > found.started + JUST_AFTER
    seen = None if is_edited else seen
    if seen is not None and not file and not found.metrics and not found.unclear:
        file, note = seen.file, f"{seen.file} is not there yet; its names are those the script logs"
    if seen is None or not file:
        files = sorted(matching(found.folder, file), key=changed, reverse=True) if file else []
        known = [name for path in files[:MAX_FILES] for name in columns(path)]
        names = match_names(known, label)
        meanings: dict[str, Any] = dict(names.sure)
        script = None
    else:
        names, meanings, script = seen.names, seen.meanings(), seen
    unknown = [theirs for theirs in names.unit if theirs not in meanings]
    if unknown:
        note = note or f"the unit of {', '.join(unknown)} is not known"
    elif file and not meanings:
        note = note or f"{file}: no column could be matched to a value: {', '.join(names.other)}"
    if is_edited:
        note = f"{EDITED}; {note}" if note else EDITED
    return Candidate(found, file, names, meanings, script, note, watched_by, is_edited)


def _seen(found: Training) -> Found | None:
    """What its script writes; None where the script does not show it."""
    try:
        seen = examine(replace(program_of(found.argv, found.folder), metrics=found.metrics))
    except UsageError:
        return None
    return seen if seen.file and seen.names.sure else None


def _sure_file(found: Training) -> tuple[str, str]:
    """The only metrics file there is, and else why there is none."""
    globs = list(dict.fromkeys(as_glob(path, found.folder) for path in found.metrics))
    if len(globs) == 1:
        return globs[0], found.unclear
    if globs:
        return "", f"several metrics files: {', '.join(globs)}; choose one with --metrics"
    return "", found.unclear or "no metrics file of its own yet"


@dataclass(frozen=True)
class Wanted:
    """What the user says of a run; None and empty are for what is to be found."""

    pid: int
    run: str | None = None
    log: Path | None = None
    metrics: str | None = None
    """A file, or a glob from the program's folder."""
    names: Mapping[str, str] | None = None
    """Theirs -> ours."""


@dataclass(frozen=True)
class Adopted:
    """The job of an adopted run, and a line on each thing that was taken or left."""

    job: JobPaths
    notes: tuple[str, ...]


def adopt(lab: Lab, roadmap_path: Path, mvp_id: str, wanted: Wanted) -> Adopted:
    """Adopt a process started by hand as a run of an MVP, and write it into the roadmap."""
    roadmap = lab.read_roadmap(roadmap_path)
    mvp = roadmap.mvp(mvp_id)
    named = lab.paths.relative(roadmap_path)
    path = known_mvps(lab.paths, named).get(mvp.id)
    experiment = load_experiment(path) if path else None
    headline = experiment.headline if experiment else Spec.headline
    extra = dict(experiment.extra) if experiment else {}
    declared = extra.pop(METRICS, {})
    process = training(wanted.pid)
    file = _given_file(process, wanted.metrics) if wanted.metrics else _declared(process, declared)
    found = candidate(lab, process, Value.parse(headline).label or LABEL, file)
    metrics, notes = _metrics(found, wanted, declared)
    spec = Spec(
        mvp=mvp.id,
        run=_run(experiment, wanted.run),
        profile="full",
        recipe="command",
        config=_epochs(experiment),
        exp_id=exp_id_of(lab, roadmap, mvp, path.stem.replace("_", "-") if path else mvp.name),
        roadmap=named,
        headline=headline,
        experiment=lab.paths.relative(path) if path else "",
        extra={**extra, METRICS: metrics} if metrics else extra,
    )
    log = wanted.log or found.training.log
    job = by_hand.adopt(lab.paths, spec, wanted.pid, log)
    try:
        write_launch(lab, mvp.id, launch_changes(lab, roadmap, mvp, spec.exp_id))
    except (UsageError, Conflict, OSError) as error:  # the job is watched all the same
        notes.append(f"not written into the roadmap: {cause(error)}")
    notes.insert(
        0, f"log: {log}" if log else "log: its output is not written to a file; nothing to show"
    )
    return Adopted(job, tuple(notes))


def _epochs(experiment: Experiment | None) -> dict[str, int]:
    """How many epochs a whole run has: the last of them shows that it reached its end."""
    if experiment is None or experiment.recipe != "command":
        return {}
    epochs = experiment.specs("full", "any")[0].config.get("epochs")
    return {} if epochs is None else {"epochs": epochs}


def _run(experiment: Experiment | None, asked: str | None) -> str:
    """The name of the run: of the experiment's where it begins one of them."""
    if asked is None:
        return "by hand"
    if not asked.strip() or not asked.isprintable() or len(asked) > 300:
        raise UsageError(f"--run {asked!r}: must be a name of one line")
    known = [spec.run for spec in experiment.specs("full", "check")] if experiment else []
    same = [run for run in known if run == asked or run.startswith(f"{asked} ")]
    return same[0] if len(same) == 1 or asked in same[:1] else asked


def _metrics(
    found: Candidate, wanted: Wanted, declared: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The job's `metrics`, empty without any, and what to tell of them."""
    file = found.metrics
    names = wanted.names or declared.get("names") or found.meanings
    seen = found.script
    if seen is not None and seen.pattern and names is found.meanings and found.training.log:
        declared = {**declared, "pattern": seen.pattern, "prefer": seen.prefer or "file"}
    if not file and "pattern" not in declared:
        if wanted.names:
            raise UsageError(
                f"--name: {found.note or 'no metrics file'}; give it with --metrics FILE"
            )
        return {}, [f"metrics: {found.note}"]
    if not names:
        hint = "give them with --name val_r2=val/r2/log_g, or under metrics.names in the experiment"
        text = f"{file}: the names of its numbers are unknown; {hint}"
        if wanted.metrics:
            raise UsageError(text)
        return {}, [f"metrics: {text}"]
    metrics = {**declared, "names": dict(names), **({"file": file} if file else {})}
    pairs = ", ".join(f"{theirs} = {printed(ours)}" for theirs, ours in names.items())
    missing = is_glob(file) and not any(matching(found.training.folder, file))
    notes = [f"metrics: {file or 'its log'}{' (no file matches yet)' * missing}: {pairs}"]
    if found.is_edited or (found.note and not found.training.metrics and not wanted.metrics):
        notes.append(found.note)
    for theirs, ours in found.names.unit.items():
        if theirs not in names:
            notes.append(f"left out: {theirs}, unit unknown (--name {theirs}={ours}, or "
                         "names with scale and unit in the experiment file)")  # fmt: skip
    return metrics, notes


def _declared(process: Training, declared: Mapping[str, Any]) -> str:
    """The experiment's metrics file, where the process has it; empty where it is to be found."""
    file = str(declared.get("file", ""))
    return file if file and not words_in(file) and any(matching(process.folder, file)) else ""


def printed(meaning: object) -> str:
    """Our name, with the unit where one is given."""
    if not isinstance(meaning, Mapping):
        return str(meaning)
    return str(meaning["as"]) + (f" ({meaning['unit']})" if "unit" in meaning else "")


def _given_file(found: Training, given: str) -> str:
    """The path from the program's folder, checked: a file, or a glob below that folder."""
    for path in (Path(given), found.folder / given):
        if path.is_file():
            return glob.escape(os.path.relpath(path.resolve(), found.folder))
    pattern = Path(given)
    if not is_glob(given):
        raise UsageError(f"{given}: no such file (a glob from {found.folder} may name it too)")
    if pattern.is_absolute() and pattern.is_relative_to(found.folder):
        pattern = pattern.relative_to(found.folder)
    if pattern.is_absolute() or ".." in pattern.parts:
        raise UsageError(f"{given}: a glob must be below the program's folder, {found.folder}")
    return pattern.as_posix()
