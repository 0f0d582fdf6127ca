"""Where things are written, file and line, and what the roadmap concludes of an MVP."""

from __future__ import annotations

from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.contract.spec import Spec
from vitlab.records.lab import Lab


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
    from vitlab.records.plan import plan_mvp

    for entry in lab.shown_roadmap(roadmap_path).conclusions:
        if entry.mvps[:1] == (mvp_id,):
            return entry.text("conclusion") or ""
    step = plan_mvp(lab, roadmap_path, mvp_id)
    return f"{step.sentence} (not written yet)" if step and step.sentence else ""


def _names(line: str, run: str) -> bool:
    """Whether a line of YAML is `name: run`, in a block or in braces."""
    key, _, value = line.strip().lstrip("-{ ").partition(":")
    return key == "name" and value.split(",")[0].strip(" '\"}") == run
