"""All that is known of one MVP: section, experiment, runs, conclusion, locations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitlab.contract.job import PROFILES, Spec, read_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.reading import read_regular
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.jobs.experiment.experiment import find_experiment, known_mvps, load_experiment
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.writeback import plan_mvp

NEWEST = 40
"""How many of an MVP's runs have their result read."""


@dataclass(frozen=True)
class Score:
    """A run's headline."""

    value: float
    error: float | None
    """Its standard error, of the kind `Result.error_kind` says."""


@dataclass(frozen=True)
class MvpSummary:
    """One MVP, from documents, experiment file and results."""

    mvp: Mvp
    facts: tuple[tuple[str, str], ...] = ()
    """Item and content of its section's table: goal, data, model, acceptance, ..."""
    experiment: str = ""
    """Its experiment file as the lab names it; empty when it has none."""
    profiles: tuple[str, ...] = ()
    """The profiles it can be launched with."""
    runs: tuple[str, ...] = ()
    """The runs the experiment file names."""
    trouble: str = ""
    """What is wrong with the experiment file; empty when it can be used."""
    scores: Mapping[str, Score] = field(default_factory=dict)
    """Job name -> its headline."""
    conclusion: str = ""
    """The sentence of the roadmap's table of conclusions."""
    report: str = ""
    """The report as the lab names it; empty when the roadmap links to none."""
    written: bool = False
    """Whether the report exists."""


def summarize_mvp(
    lab: Lab, roadmap_path: Path, mvp_id: str, ended: Sequence[JobPaths]
) -> MvpSummary:
    """Read all of it; blocking. UsageError where the roadmap has no such MVP.

    `ended`: its jobs that ended well, oldest first.
    """
    roadmap = lab.cached_roadmap(roadmap_path)
    mvp = roadmap.mvp(mvp_id)
    roadmap_name = lab.paths.relative(roadmap_path)
    path, profiles, runs, trouble = _experiment(lab, mvp.id, roadmap_name)
    report = _report(lab, roadmap_path, mvp)
    return MvpSummary(
        mvp=mvp,
        facts=_facts(roadmap, mvp.id),
        experiment=path,
        profiles=profiles,
        runs=runs,
        trouble=trouble,
        scores=_scores(ended),
        conclusion=_conclusion(roadmap, mvp.id),
        report=lab.paths.relative(report) if report else "",
        written=report is not None and report.is_file(),
    )


def _conclusion(roadmap: Roadmap, mvp_id: str) -> str:
    rows = [row for row in roadmap.rows("conclusions") if mvp_id in row.mvps]
    return rows[-1].text("conclusion").strip("- ") if rows else ""


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
    """File, profiles, runs and what is wrong; all empty where there is no file."""
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
    scores: dict[str, Score] = {}
    for job in ended[-NEWEST:]:
        result = read_result(job.result)
        value = result.values.get(result.headline) if result else None
        if result is not None and value is not None:
            scores[job.name] = Score(value, result.errors.get(result.headline))
    return scores


def _report(lab: Lab, roadmap: Path, mvp: Mvp) -> Path | None:
    """The report the MVP's row links to, by path or by name; None outside the lab."""
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


def locate_mvp(lab: Lab, roadmap_path: Path, mvp_id: str) -> tuple[Path, int]:
    """File and line (from 1) of an MVP's section, or else of its row of the overview.

    UsageError for an MVP the roadmap no longer has.
    """
    roadmap = lab.cached_roadmap(roadmap_path)
    for spec in roadmap.specs:
        if spec.mvp == mvp_id:
            return roadmap_path, spec.heading.index + 1
    return roadmap_path, roadmap.mvp(mvp_id).line


def locate_experiment(lab: Lab, spec: Spec) -> tuple[Path, int]:
    """The file a job was declared in, and the line (from 1) that names its run, or else 1."""
    if not spec.experiment:
        raise UsageError(f"{spec.exp_id}: has no experiment file")
    path = lab.paths.inside(spec.experiment)
    lines = read_regular(path, follow=True).decode("utf-8", "replace").split("\n")
    numbers = (number for number, line in enumerate(lines, 1) if _names(line, spec.run))
    return path, next(numbers, 1)


def read_conclusion(lab: Lab, roadmap_path: Path, mvp_id: str) -> str:
    """An MVP's conclusion in the roadmap, or else the one not written yet; empty: none."""
    for entry in lab.cached_roadmap(roadmap_path).rows("conclusions"):
        if entry.mvps[:1] == (mvp_id,):
            return entry.text("conclusion") or ""
    step = plan_mvp(lab, roadmap_path, mvp_id)
    return f"{step.conclusion} (not written yet)" if step and step.conclusion else ""


def _names(line: str, run: str) -> bool:
    """Whether a line of YAML is `name: run`, in a block or in braces."""
    key, _, value = line.strip().lstrip("-{ ").partition(":")
    return key == "name" and value.split(",")[0].strip(" '\"}") == run
