"""The curves of jobs, with the levels of gates and ceilings, ready to draw."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.job import Spec
from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value, judged_by
from vitlab.docs.judge.gates import thresholds
from vitlab.docs.model.gates.gates import Gate
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.figures.axes import axis_of, distinct, read_plan, run_of, series, x_range
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import ceiling_in, ceilings
from vitlab.lab.results.worlds import planned_world
from vitlab.plot.series import Line, Range, Series


@dataclass(frozen=True)
class Curves:
    """One chart's worth of curves."""

    value: str
    """The value drawn: `val/r2/log_g`."""
    series: tuple[Series, ...]
    """x in units of `axis`, one a run."""
    thresholds: tuple[Line, ...]
    """The levels of the jobs' gates, and the ceilings."""
    axis: str = "step"
    """What x is, of `axes.AXES`."""
    x_range: Range | None = None
    """From 0 to the end as planned."""


def curves(lab: Lab, folders: Sequence[Path], value: str | None = None) -> Curves:
    """The curves of the jobs in `folders`; of the last launch when there are none."""
    jobs = all_jobs(lab.paths)
    chosen = [job for job in jobs if job.paths.folder in folders] if folders else _newest(jobs)
    if not chosen:
        return Curves(value or "", (), ())
    name = value or str(Value.parse(judged_by(j.spec.headline for j in chosen)).live)
    known = (
        run_of(label, read_plan(job.spec), lab.progress(job.paths), name)
        for label, job in zip(_labels(chosen), chosen, strict=True)
    )
    runs = [run for run in known if run.samples or run.test]
    axis = axis_of(runs)
    drawn = tuple(series(run, axis, name) for run in runs)
    lines = _gate_lines(lab, chosen, name)
    lines += ceiling_lines(lab, [job.spec for job in chosen], jobs, name)
    return Curves(name, drawn, tuple(lines), axis, x_range(runs, drawn, axis))


def gate_headlines(gates: Iterable[Gate], specs: Sequence[Spec]) -> list[tuple[Gate, str]]:
    """Gates of one roadmap, each with what the runs of its MVPs are judged by.

    `specs`: of jobs of that roadmap.
    """
    return [
        (gate, judged_by(spec.headline for spec in specs if spec.mvp in gate.mvps))
        for gate in gates
    ]


def gate_lines(gates: Iterable[tuple[Gate, str]], name: str) -> list[Line]:
    """The levels that gates with these headlines ask of a value, on whichever split.

    A gate that asks for another split than the one drawn is labelled with it.
    """
    drawn = Value.parse(name)
    levels: dict[float, list[str]] = {}
    for gate, headline in gates:
        for threshold, level in thresholds(gate, headline):
            value = Value.parse(threshold)
            split = f" ({value.split})" if value.split not in ("", drawn.split) else ""
            label = gate.id + split
            if value.anywhere == drawn.anywhere and label not in levels.get(level, ()):
                levels.setdefault(level, []).append(label)
    return [
        Line(level, f"Gate-{', '.join(ids)} at {level:g}") for level, ids in sorted(levels.items())
    ]


def ceiling_lines(lab: Lab, specs: Sequence[Spec], jobs: Sequence[Job], name: str) -> list[Line]:
    """The Bayes ceiling of these jobs' value; none unless all of them are of one world."""
    worlds = {planned_world(spec, lab.paths.root) for spec in specs if spec.recipe != "ceiling"}
    bound = ceiling_in(worlds.pop(), ceilings(jobs), name) if len(worlds) == 1 else None
    if bound is None or (bound.trial and any(spec.profile == "full" for spec in specs)):
        return []
    return [Line(bound.r2, f"Bayes ceiling {bound}")]


def _newest(jobs: Sequence[Job]) -> list[Job]:
    if not jobs:
        return []
    last = max(jobs, key=lambda job: job.spec.submitted)
    return [job for job in jobs if job.paths.folder.parent == last.paths.folder.parent]


def _labels(jobs: Sequence[Job]) -> list[str]:
    """The name of each curve."""
    specs = [job.spec for job in jobs]
    runs = [f"{spec.mvp} {spec.run}" if spec.run != "main" else spec.mvp for spec in specs]
    return distinct(runs, [job.paths.name for job in jobs])


def _gate_lines(lab: Lab, jobs: Sequence[Job], name: str) -> list[Line]:
    """The levels of the gates that wait for these jobs' MVPs."""
    gates: list[tuple[Gate, str]] = []
    for path in dict.fromkeys(job.spec.roadmap for job in jobs):
        specs = [job.spec for job in jobs if job.spec.roadmap == path]
        mvps = {spec.mvp for spec in specs}
        with contextlib.suppress(UsageError, OSError):
            roadmap = lab.read_roadmap(lab.paths.root / path)
            gates += gate_headlines((g for g in roadmap.gates if mvps & set(g.mvps)), specs)
    return gate_lines(gates, name)
