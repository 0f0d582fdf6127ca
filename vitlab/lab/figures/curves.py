"""The live curves of jobs against time, with the levels of gates and ceilings, ready to draw."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.job import Spec
from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value, judged_by
from vitlab.docs.judge.gates import thresholds
from vitlab.docs.model.gates.gates import Gate
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.progress import Sample
from vitlab.lab.results.ceilings import ceiling_in, ceilings
from vitlab.lab.results.worlds import planned_world
from vitlab.plot.series import Line, Series


@dataclass(frozen=True)
class Curves:
    """One chart's worth of curves."""

    value: str
    """The value drawn: `val/r2/log_g`."""
    series: tuple[Series, ...]
    """x in units of `axis`."""
    thresholds: tuple[Line, ...]
    """The levels of the jobs' gates, and the ceilings."""
    axis: str = "seconds"
    """`seconds` since each job's start, or `epoch` or `step` where these times are not known."""


def curves(lab: Lab, folders: Sequence[Path], value: str | None = None) -> Curves:
    """The curves of the jobs in `folders`; of the last launch when there are none."""
    jobs = all_jobs(lab.paths)
    chosen = [job for job in jobs if job.paths.folder in folders] if folders else _newest(jobs)
    if not chosen:
        return Curves(value or "", (), ())
    name = value or str(Value.parse(judged_by(j.spec.headline for j in chosen)).live)
    known = [(job, curve) for job in chosen if (curve := [*lab.progress(job.paths).curve(name)])]
    axis = _axis([curve for _, curve in known])
    series = [_series(job, curve, axis) for job, curve in known]
    lines = _gate_lines(lab, chosen, name)
    lines += ceiling_lines(lab, [job.spec for job in chosen], jobs, name)
    return Curves(name, tuple(series), tuple(lines), axis)


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


def _axis(curves: Collection[Sequence[Sample]]) -> str:
    """What all curves have a place on; steps always have one.

    Of a program whose file is read at intervals many points have one time: no place of their own.
    """
    for axis in ("seconds", "epoch"):
        places = [{getattr(sample, axis) for sample in curve} for curve in curves]
        known = not any(None in one for one in places)
        if known and all(2 * len(p) > len(c) for p, c in zip(places, curves, strict=True)):
            return axis
    return "step"


def _series(job: Job, curve: Sequence[Sample], axis: str) -> Series:
    label = f"{job.spec.mvp} {job.spec.run}" if job.spec.run != "main" else job.spec.mvp
    return Series(label, [getattr(one, axis) for one in curve], [one.value for one in curve])


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
