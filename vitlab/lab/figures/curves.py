"""The live curves of jobs, ready to draw: what was measured, against time, with the thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.job import Spec
from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value, judged_by
from vitlab.docs.judge.gates import thresholds
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import ceiling_of, ceilings
from vitlab.plot.series import Line, Series


@dataclass(frozen=True)
class Curves:
    """One chart's worth of curves."""

    value: str
    """The value drawn: `val/r2/log_g`."""
    series: tuple[Series, ...]
    """x in seconds since each job's start."""
    thresholds: tuple[Line, ...]
    """The levels the gates of the jobs' roadmaps ask for, and the ceilings."""


def curves(lab: Lab, folders: Sequence[Path], value: str | None = None) -> Curves:
    """The curves of the jobs in `folders`; of the last launch when there are none."""
    jobs = all_jobs(lab.paths)
    chosen = [job for job in jobs if job.paths.folder in folders] if folders else _newest(jobs)
    if not chosen:
        return Curves(value or "", (), ())
    name = value or str(Value.parse(judged_by(j.spec.headline for j in chosen)).live)
    series = [one for job in chosen if (one := _series(lab, job, name))]
    lines = [*_thresholds(lab, chosen, name), *ceiling_lines([j.spec for j in chosen], jobs, name)]
    return Curves(name, tuple(series), tuple(lines))


def ceiling_lines(specs: Sequence[Spec], jobs: Sequence[Job], name: str) -> list[Line]:
    """The Bayes ceilings the curves can be held against, each once."""
    known = ceilings(jobs)
    found = {ceiling_of(spec, known, name) for spec in specs}
    levels = sorted(ceiling.r2 for ceiling in found if ceiling is not None)
    return [Line(level, f"Bayes ceiling {level:.3f}") for level in levels]


def _newest(jobs: Sequence[Job]) -> list[Job]:
    if not jobs:
        return []
    last = max(jobs, key=lambda job: job.spec.submitted)
    return [job for job in jobs if job.paths.folder.parent == last.paths.folder.parent]


def _series(lab: Lab, job: Job, name: str) -> Series | None:
    curve = lab.progress(job.paths).curve(name)
    if not curve:
        return None
    label = f"{job.spec.mvp} {job.spec.run}" if job.spec.run != "main" else job.spec.mvp
    return Series(label, [one.seconds or 0.0 for one in curve], [one.value for one in curve])


def _thresholds(lab: Lab, jobs: Sequence[Job], name: str) -> tuple[Line, ...]:
    """Gates speak of test or validation; the live curve is held against either."""
    kind = Value.parse(name).anywhere
    headline = judged_by(job.spec.headline for job in jobs)
    levels: dict[float, str] = {}
    for path in {job.spec.roadmap for job in jobs}:
        try:
            roadmap = lab.read_roadmap(lab.paths.root / path)
        except (UsageError, OSError):
            continue
        mvps = {job.spec.mvp for job in jobs}
        for gate in roadmap.gates:
            if mvps & set(gate.mvps):
                for value, level in thresholds(gate, headline):
                    if Value.parse(value).anywhere == kind:
                        levels.setdefault(level, f"Gate-{gate.id} at {level:g}")
    return tuple(Line(level, label) for level, label in sorted(levels.items()))
