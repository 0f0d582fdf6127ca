"""What one screen shows of a lab, read in one go: a plain value, made off the event loop."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitlab.contract.job import Done, JobState, Lost, Queued, Running, Spec
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.tracking import read_link
from vitlab.docs.judge.gates import Verdict, judge
from vitlab.docs.lint import lint
from vitlab.docs.model.roadmap import Next, Roadmap, next_mvp
from vitlab.jobs.process.health import read_health
from vitlab.jobs.store import Job, all_jobs
from vitlab.jobs.store import look as look_at
from vitlab.lab.lab import Lab
from vitlab.lab.progress import Progress
from vitlab.lab.results.job_results import finished, latest, of_roadmap
from vitlab.lab.results.pairs import pairs_of


@dataclass(frozen=True)
class RoadmapLine:
    """One roadmap, summed up."""

    path: Path
    title: str
    statuses: Mapping[str, int] = field(default_factory=dict)
    """Status word -> MVPs; `?` for a cell that says none."""
    verdicts: Mapping[str, int] = field(default_factory=dict)
    """Verdict -> gates."""
    running: int = 0
    """Jobs of it that run now."""
    pending: int = 0
    """Ended jobs its documents have not been told of."""
    next: Next | None = None
    findings: int | None = None
    """Contradictions in it; None where nobody looked."""
    problem: str = ""
    """Why it could not be read; empty when it was."""

    @property
    def mvps(self) -> int:
        return sum(self.statuses.values())

    @property
    def done(self) -> int:
        return self.statuses.get("done", 0)


def overview(lab: Lab, shown: Path | None = None) -> tuple[RoadmapLine, ...]:
    """Every roadmap by name; `shown` is also looked through for contradictions. Blocking."""
    jobs = all_jobs(lab.paths)
    return tuple(_line(lab, path, jobs, path == shown) for path in lab.roadmaps())


def _line(lab: Lab, path: Path, jobs: Sequence[Job], shown: bool) -> RoadmapLine:
    from vitlab.lab.writeback.writeback import unwritten

    try:
        roadmap = lab.shown_roadmap(path)
    except (UsageError, OSError) as error:
        return RoadmapLine(path, path.stem, problem=str(error))
    here = of_roadmap(lab, jobs, path)
    found = latest(finished(here))
    results, evidence = [one.result for one in found], pairs_of(lab, found)
    return RoadmapLine(
        path=path,
        title=roadmap.title or path.stem,
        statuses=Counter(mvp.status or "?" for mvp in roadmap.mvps),
        verdicts=Counter(judge(g, results, roadmap, evidence).verdict for g in roadmap.gates),
        running=sum(isinstance(job.state, Running) for job in here),
        pending=len(unwritten(lab, here)),
        next=next_mvp(roadmap),
        findings=len(lint(roadmap, lab.paths.root)) if shown else None,
    )


GLANCED = 40
"""Ended jobs of which a glance tells more than their names: the newest, as many as a screen has."""


@dataclass(frozen=True)
class JobView:
    """One job as a row shows it."""

    paths: JobPaths
    spec: Spec
    state: JobState
    step: int
    of: int
    """Steps in all; 0 until the job knows."""
    epoch: float | None
    values: Mapping[str, float | None]
    """The latest of each value, and the result's once there is one."""
    health: str
    """`ok`, `warn: ...` or `bad: ...`; empty before the first look."""
    why: str
    """Why a queued job waits; empty when it does not."""
    seconds: float
    """Run time so far, or in all."""
    eta: float | None
    """Seconds to its end at the speed so far; None while it is not known."""
    held: bool = False
    """Put aside by hand."""
    left: bool = False
    """Left behind by a crash or a restart: resume it or drop it."""
    priority: int = 0
    order: float = 0.0
    """Place among waiting jobs of one priority."""
    progress: Progress = field(default_factory=Progress)
    wandb: str | None = None
    """Its page at W&B, or the folder of its offline run from the job's own."""


@dataclass(frozen=True)
class LabView:
    """A lab and one of its roadmaps, at one moment."""

    path: Path | None
    roadmap: Roadmap | None
    jobs: tuple[JobView, ...]
    """Of the whole lab, oldest first."""
    verdicts: Mapping[str, Verdict]
    """By gate id."""
    next: Next | None
    problems: tuple[str, ...]
    """What could not be read, one line each."""
    experiments: frozenset[str]
    """MVP ids that have an experiment file, so can be launched."""
    pending: int = 0
    """Ended jobs whose results the documents do not have yet."""


def look(lab: Lab, roadmap_path: Path | None, *, glance: bool = False) -> LabView:
    """Read everything one screen shows; blocking, so call it in a worker thread.

    `glance`: of ended jobs only the end of the newest ones' events, and no experiment file, so
    that a first picture is soon there; what it does not need is not loaded before it either.
    """
    from vitlab.lab.writeback.writeback import unwritten

    jobs = all_jobs(lab.paths)
    problems: list[str] = []
    roadmap: Roadmap | None = None
    verdicts: dict[str, Verdict] = {}
    experiments: frozenset[str] = frozenset()
    waiting = 0
    if roadmap_path is not None:
        try:
            roadmap = lab.shown_roadmap(roadmap_path)
        except (UsageError, OSError) as error:
            problems.append(str(error))
        if glance:  # a launch looks for the file itself, and says so where there is none
            experiments = frozenset(mvp.id for mvp in (roadmap.mvps if roadmap else ()))
        else:
            from vitlab.jobs.experiment.experiment import known_mvps

            experiments = frozenset(known_mvps(lab.paths, lab.paths.relative(roadmap_path)))
        here = of_roadmap(lab, jobs, roadmap_path)
        waiting = len(unwritten(lab, here))
        if roadmap is not None:
            found = latest(finished(here))
            results, evidence = [one.result for one in found], pairs_of(lab, found)
            verdicts = {g.id: judge(g, results, roadmap, evidence) for g in roadmap.gates}
    return LabView(
        path=roadmap_path,
        roadmap=roadmap,
        jobs=tuple(_views(lab, jobs, glance)),
        verdicts=verdicts,
        next=next_mvp(roadmap) if roadmap is not None else None,
        problems=tuple(problems),
        experiments=experiments,
        pending=waiting,
    )


def look_at_jobs(lab: Lab) -> list[JobView]:
    """All jobs of the lab, oldest first."""
    return _views(lab, all_jobs(lab.paths))


def look_at_job(lab: Lab, paths: JobPaths) -> JobView:
    """One job, with the reason it waits when it does."""
    job = look_at(paths)
    if job is None:
        raise UsageError(f"{paths.name}: the job's folder is gone")
    if isinstance(job.state, Queued):
        views = {view.paths.name: view for view in look_at_jobs(lab)}
        return views.get(job.name) or _view(job, lab.progress(paths))
    return _view(job, lab.progress(paths))


def _views(lab: Lab, jobs: list[Job], glance: bool = False) -> list[JobView]:
    told = _hasty(lab, jobs) if glance else [lab.progress(job.paths) for job in jobs]
    if not any(isinstance(job.state, Queued | Lost) for job in jobs):
        return [_view(job, progress) for job, progress in zip(jobs, told, strict=True)]
    from vitlab.jobs.queue.machine import read_slots
    from vitlab.jobs.queue.queue import left_behind, plan

    slots = read_slots(lab.paths)
    why = plan(jobs, slots).reasons
    return [
        _view(job, progress, why.get(job.name, ""), left_behind(job, slots))
        for job, progress in zip(jobs, told, strict=True)
    ]


def _hasty(lab: Lab, jobs: list[Job]) -> list[Progress]:
    """How far the jobs are: of ended ones as their last events say, of old ones nothing."""
    old = len(jobs) - GLANCED
    told = []
    for number, job in enumerate(jobs):
        if not isinstance(job.state, Done):
            told.append(lab.progress(job.paths))
        else:
            told.append(Progress() if number < old else lab.last_progress(job.paths))
    return told


def _view(job: Job, progress: Progress, why: str = "", left: bool = False) -> JobView:
    now = time.time()
    health = read_health(job.paths)
    eta: float | None = None
    match job.state:
        case Queued():
            seconds = 0.0
        case Running(started=started):
            seconds, eta = now - started, progress.eta(now)
        case Done(started=started, ended=ended):
            seconds = max(ended - started, 0.0)
        case Lost(started=started):
            seconds = max(progress.last - started, 0.0)
    return JobView(
        paths=job.paths,
        spec=job.spec,
        state=job.state,
        step=progress.step,
        of=progress.of,
        epoch=progress.epoch,
        values=progress.values,
        health="" if health is None else _health_line(health.status, health.what),
        why=why,
        seconds=seconds,
        eta=eta,
        held=job.held,
        left=left,
        priority=job.priority,
        order=job.order,
        progress=progress,
        wandb=link.shown if (link := read_link(job.paths.folder)) else None,
    )


def _health_line(status: str, what: str) -> str:
    return status if status == "ok" or not what else f"{status}: {what}"
