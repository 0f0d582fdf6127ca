"""All that is known of one MVP: section, experiment, runs, conclusion, locations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitlab.contract.job import PROFILES, Spec, read_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.jobs.experiment.experiment import find_experiment, known_mvps, load_experiment
from vitlab.lab.lab import Lab

NEWEST = 40
"""How many of an MVP's runs have their result read."""


@dataclass(frozen=True)
class Score:
    """What a run's result says of its headline."""

    value: float
    error: float | None
    """Bootstrap standard error."""


@dataclass(frozen=True)
class Brief:
    """One MVP, summed up from documents, experiment file and results."""

    mvp: Mvp
    facts: tuple[tuple[str, str], ...] = ()
    """Item and content of its section's table: goal, data, model, acceptance, ..."""
    experiment: str = ""
    """Its experiment file as the lab names it; empty when it has none."""
    profiles: tuple[str, ...] = ()
    """Those it can be launched with."""
    runs: tuple[str, ...] = ()
    """The runs the experiment file names."""
    trouble: str = ""
    """Why the experiment file is not usable; empty when it is."""
    scores: Mapping[str, Score] = field(default_factory=dict)
    """Job name -> its result's headline."""
    conclusion: str = ""
    """The sentence of the roadmap's table of conclusions."""
    report: str = ""
    """The report as the lab names it; empty when the roadmap links to none."""
    written: bool = False
    """Whether the report is there."""


def brief(lab: Lab, roadmap_path: Path, mvp_id: str, ended: Sequence[JobPaths]) -> Brief:
    """Read it; blocking. UsageError where the roadmap has no such MVP.

    `ended`: its jobs that ended well, oldest first.
    """
    roadmap = lab.shown_roadmap(roadmap_path)
    mvp = roadmap.mvp(mvp_id)
    named = lab.paths.relative(roadmap_path)
    experiment, profiles, runs, trouble = _experiment(lab, mvp.id, named)
    report = _report(lab, roadmap_path, mvp)
    return Brief(
        mvp=mvp,
        facts=_facts(roadmap, mvp.id),
        experiment=experiment,
        profiles=profiles,
        runs=runs,
        trouble=trouble,
        scores=_scores(ended),
        conclusion=next(
            (e.text("conclusion") for e in reversed(roadmap.conclusions) if mvp.id in e.mvps), ""
        ).strip("- "),
        report=lab.paths.relative(report) if report else "",
        written=report is not None and report.is_file(),
    )


def _facts(roadmap: Roadmap, mvp_id: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (entry.text("item") or entry.text("project"), entry.text("content"))
        for spec in roadmap.specs
        if spec.mvp == mvp_id
        for entry in spec.facts
    )


def _experiment(
    lab: Lab, mvp_id: str, roadmap: str
) -> tuple[str, tuple[str, ...], tuple[str, ...], str]:
    """File, profiles, runs and trouble; all empty where there simply is no file."""
    if mvp_id not in known_mvps(lab.paths, roadmap):
        return "", (), (), ""
    try:
        path = find_experiment(lab.paths, mvp_id, roadmap)
    except UsageError as error:
        return "", (), (), str(error)
    try:
        experiment = load_experiment(path)
    except UsageError as error:
        return lab.paths.relative(path), (), (), str(error)
    profiles = tuple(name for name in PROFILES if name in experiment.profiles)
    return lab.paths.relative(path), profiles, tuple(run.name for run in experiment.runs), ""


def _scores(ended: Sequence[JobPaths]) -> dict[str, Score]:
    found: dict[str, Score] = {}
    for job in ended[-NEWEST:]:
        result = read_result(job.result)
        value = result.values.get(result.headline) if result else None
        if result is not None and value is not None:
            found[job.name] = Score(value, result.errors.get(result.headline))
    return found


def _report(lab: Lab, roadmap: Path, mvp: Mvp) -> Path | None:
    """The report the roadmap's row links to, by name where the link is a bare one; in the lab."""
    if not mvp.report:
        return None
    target = mvp.report.partition("#")[0].partition("|")[0].strip()
    for name in (target, f"{target}.md"):
        for base in (roadmap.parent, lab.paths.root):
            try:
                path = lab.paths.inside(base / name)
            except UsageError:
                continue
            if path.is_file():
                return path
    try:
        return lab.paths.inside(roadmap.parent / target)
    except UsageError:
        return None


def section(lab: Lab, roadmap_path: Path, mvp_id: str) -> tuple[Path, int]:
    """Where the roadmap specifies an MVP: its section, or else its row of the overview.

    The line is 1-based; UsageError for an MVP the roadmap does not have any more.
    """
    roadmap = lab.shown_roadmap(roadmap_path)
    for spec in roadmap.specs:
        if spec.mvp == mvp_id:
            return roadmap_path, spec.heading.index + 1
    return roadmap_path, roadmap.mvp(mvp_id).line


def experiment(lab: Lab, spec: Spec) -> tuple[Path, int]:
    """The file a job was declared in, and the line that names its run, or else the first."""
    if not spec.experiment:
        raise UsageError(f"{spec.exp_id}: no experiment file; it was submitted by itself")
    path = lab.paths.inside(spec.experiment)
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    named = (number for number, line in enumerate(lines, 1) if _names(line, spec.run))
    return path, next(named, 1)


def conclusion(lab: Lab, roadmap_path: Path, mvp_id: str) -> str:
    """The sentence the roadmap has of an MVP, or else the one that waits; empty: none."""
    from vitlab.lab.writeback.writeback import plan_mvp

    for entry in lab.shown_roadmap(roadmap_path).conclusions:
        if entry.mvps[:1] == (mvp_id,):
            return entry.text("conclusion") or ""
    step = plan_mvp(lab, roadmap_path, mvp_id)
    return f"{step.sentence} (not written yet)" if step and step.sentence else ""


def _names(line: str, run: str) -> bool:
    """Whether a line of YAML is `name: run`, in a block or in braces."""
    key, _, value = line.strip().lstrip("-{ ").partition(":")
    return key == "name" and value.split(",")[0].strip(" '\"}") == run
