"""The lines a chart of one value has: what the gates ask of it, and what no model can pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitlab.contract.value import Value, judged_by
from vitlab.docs.judge.gates import thresholds
from vitlab.plot.series import Line

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab
    from vitlab.lab.live.snapshot import LabSnapshot


def levels(lab: Lab, view: LabSnapshot, metric: str) -> tuple[Line, ...]:
    """The levels the gates ask of this value, on whichever split they name it; blocking."""
    kind = Value.parse(metric).anywhere
    headline = judged_by(job.spec.headline for job in view.jobs)
    gates: dict[float, list[str]] = {}
    for gate in view.roadmap.gates if view.roadmap else ():
        for value, level in thresholds(gate, headline):
            if Value.parse(value).anywhere == kind and gate.id not in gates.get(level, ()):
                gates.setdefault(level, []).append(gate.id)
    lines = [
        Line(level, f"Gate-{', '.join(ids)} at {level:g}") for level, ids in sorted(gates.items())
    ]
    return (*lines, *_ceilings(lab, view, metric))


def _ceilings(lab: Lab, view: LabSnapshot, metric: str) -> list[Line]:
    """What no model on these spectra can pass, once a ceiling job has told it."""
    if not any(job.spec.recipe == "ceiling" for job in view.jobs):
        return []
    from vitlab.jobs.store import all_jobs
    from vitlab.lab.figures.curves import ceiling_lines

    return ceiling_lines([job.spec for job in view.jobs], all_jobs(lab.paths), metric)
