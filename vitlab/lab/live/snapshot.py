"""What a screen shows of a lab: one plain value, read in one go off the event loop."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from vitlab.contract.contradictions import contradictions
from vitlab.contract.job import (
    Done,
    JobState,
    Lost,
    Queued,
    Running,
    Spec,
    Unreadable,
    state_word,
)
from vitlab.contract.paths import JobPaths, UsageError, real
from vitlab.contract.reading import MAX_BYTES
from vitlab.contract.tracking import read_link
from vitlab.contract.validation import load_fields
from vitlab.contract.value import Value
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.model.roadmap import Next, Roadmap, next_mvp, passed_over
from vitlab.jobs.files import is_own
from vitlab.jobs.process.health import Health, read_health
from vitlab.jobs.queue.claims import queue_holder
from vitlab.jobs.slurm import unanswered
from vitlab.jobs.store import METRICS_FIELDS, Job, all_jobs, read_job
from vitlab.lab.lab import Lab
from vitlab.lab.live.judged import Judged, KeptJudgements, judge_roadmap
from vitlab.lab.live.standing import Standing, standings
from vitlab.lab.progress import TREND, Progress
from vitlab.lab.results.job_results import finished, moved, names_of_roadmap
from vitlab.lab.tray.proposals import Tray


@dataclass(frozen=True)
class RoadmapSummary:
    """One roadmap in numbers."""

    path: Path
    title: str
    statuses: Mapping[str, int] = field(default_factory=dict)
    """Status word -> number of MVPs; `?` for a cell with no known status."""
    verdicts: Mapping[str, int] = field(default_factory=dict)
    """Verdict -> number of gates."""
    running: int = 0
    """Its jobs that run now."""
    pending: int = 0
    """Results that the next write writes."""
    next: Next | None = None
    findings: int | None = None
    """Number of contradictions; None where nobody checked."""
    problem: str = ""
    """Why it could not be read; empty when it was."""

    @property
    def mvps(self) -> int:
        return sum(self.statuses.values())

    @property
    def done(self) -> int:
        return self.statuses.get("done", 0)


def roadmap_summaries(
    lab: Lab, shown: Path | None = None, kept: Kept | None = None
) -> tuple[RoadmapSummary, ...]:
    """Every roadmap, by name; `shown` is also checked for contradictions. Blocking.

    `kept`: what holds of the last reading where files have not changed since; brought up to date.
    """
    jobs, judged = all_jobs(lab.paths), (kept or Kept()).judged
    of_name: dict[str, list[Job]] = {}
    for job in jobs:
        of_name.setdefault(job.spec.roadmap, []).append(job)
    of_path: dict[Path, list[str]] = {}
    for name in of_name:
        of_path.setdefault(real(lab.paths.root / name), []).append(name)
    lines = []
    for path in lab.roadmaps(jobs=(job.paths for job in jobs)):
        names = of_path.get(real(path), [])
        mine = [of_name[name] for name in names]
        here = mine[0] if len(mine) == 1 else [job for job in jobs if job.spec.roadmap in names]
        if gone := moved(lab, here, path):
            here = [job for job in here if job.spec.exp_id not in gone]
        lines.append(_summary(lab, path, jobs, here, judged, path == shown))
    return tuple(lines)


def _summary(
    lab: Lab,
    path: Path,
    jobs: Sequence[Job],
    here: Sequence[Job],
    kept: KeptJudgements,
    shown: bool,
) -> RoadmapSummary:
    """`here`: the jobs of the roadmap."""
    try:
        roadmap = lab.cached_roadmap(path)
    except (UsageError, OSError) as error:
        return RoadmapSummary(path, path.stem, problem=str(error))
    from vitlab.docs.lint.document import lint  # the first picture does without

    judged = judge_roadmap(lab, roadmap, jobs, here, kept)
    return RoadmapSummary(
        path=path,
        title=roadmap.title or path.stem,
        statuses=Counter(mvp.status or "?" for mvp in roadmap.mvps),
        verdicts=Counter(one.verdict for one in judged.verdicts.values()),
        running=sum(isinstance(job.state, Running) for job in here),
        pending=judged.waiting.total,
        next=next_mvp(roadmap),
        findings=sum(not f.is_note for f in lint(roadmap, lab.paths.root)) if shown else None,
    )


MOST_LINES = 50
"""Problems of a job's metrics that are shown."""
LONGEST_LINE = 1000
"""Letters of each."""
QUICK = 40
"""Ended jobs whose last events a quick read looks at: the newest, as many as a screen shows."""


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
    """`ok`, `warn: ...` or `bad: ...`; empty before the first check."""
    why: str
    """Why a queued job waits; empty when it does not."""
    seconds: float
    """Run time so far, or in all."""
    eta: float | None
    """Seconds to its end at the speed so far; None while it is not known."""
    held: bool = False
    """Put aside by hand."""
    left: bool = False
    """Left behind by a crash or a restart: resume or drop it."""
    priority: int = 0
    order: float = 0.0
    """Order among waiting jobs of one priority."""
    progress: Progress = field(default_factory=Progress)
    wandb: str | None = None
    """Its page at W&B, or the folder of its offline run, from the job's folder."""
    problem: str = ""
    """Which of its files cannot be read, and why: `exit.json is a link`; empty when all can."""
    foreign: bool = False
    """Not submitted here by this user, so it does not start."""

    metrics: Mapping[str, Any] | None = None
    """`sources` (file, kind, columns, names, missing, rows, ...) and `problems` of a program's own
    metrics; None where it reports its numbers itself."""

    @property
    def state_word(self) -> str:
        """Its state, as in commands and JSON."""
        return "foreign" if self.foreign else state_word(self.state)

    @cached_property
    def warnings(self) -> tuple[str, ...]:
        """What a person should know of it: its health, what of its metrics is not read.

        Kept: a table of ten thousand ended jobs asks each whether any has one.
        """
        health = self.health.partition(": ")[2] if ":" in self.health else ""
        unread = [f"unreadable: {self.problem}"] if self.problem else []
        problems = [str(line) for line in (self.metrics or {}).get("problems", ())]
        lines = [line for line in problems if line not in health]
        against = [line for line in contradictions(self.values) if line not in health]
        return tuple(dict.fromkeys([*([health] if health else []), *unread, *lines, *against]))

    @property
    def epochs(self) -> str:
        """`epoch 3/40` where a command declares its epochs; empty where it does not."""
        of = epochs_of(self.spec)
        return "" if self.epoch is None or of is None else f"epoch {self.epoch:g}/{of}"


@dataclass(frozen=True)
class LabSnapshot:
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
    """Ids of the MVPs with an experiment file, which can be launched."""
    pending: int = 0
    """Results that the next write writes."""
    passed_over: tuple[Next, ...] = ()
    """The MVPs that are never next, and why."""
    names: frozenset[str] = frozenset()
    """The `spec.roadmap` of the jobs launched from this roadmap."""
    elsewhere: frozenset[str] = frozenset()
    """Experiments of these that another roadmap has now."""
    ceilings: Mapping[str, float] = field(default_factory=dict)
    """Job's name -> the ceiling of its headline, where one is known, of each run's newest job."""
    faults: Mapping[str, str] = field(default_factory=dict)
    """Job's name -> why its numbers are no result, of each run's newest job."""
    standings: Mapping[str, Standing] = field(default_factory=dict)
    """MVP id -> what its jobs and the roadmap's numbers say of it."""
    proposals: tuple[int, ...] = ()
    """The numbers of what assistants propose."""


class KeptView(NamedTuple):
    """A job that waits or has ended, and what was shown of it."""

    job: Job
    view: JobView
    settled: bool
    """Whether it was the same twice; then of its curves only the newest samples are kept."""


@dataclass
class Kept:
    """What the last reading found."""

    views: dict[str, KeptView] = field(default_factory=dict)
    """Of jobs in whose folders nothing changes."""
    judged: KeptJudgements = field(default_factory=dict)
    """Of each roadmap."""


def read_snapshot(
    lab: Lab,
    roadmap_path: Path | None,
    *,
    quick: bool = False,
    kept: Kept | None = None,
) -> LabSnapshot:
    """Read everything one screen shows; blocking, so call it in a worker thread.

    `kept`: what holds of the last reading where files have not changed since; brought up to date.
    `quick`: of ended jobs only the end of the newest ones' events, and no experiment file, so that
    the first picture comes soon; modules it does not need are not loaded before it either.
    """
    jobs = all_jobs(lab.paths)
    problems, here = list[str](), list[Job]()
    roadmap: Roadmap | None = None
    judged: Judged | None = None
    experiments, names, elsewhere = frozenset[str](), frozenset[str](), frozenset[str]()
    if roadmap_path is not None:
        try:
            roadmap = lab.cached_roadmap(roadmap_path)
        except (UsageError, OSError) as error:
            problems.append(str(error))
        if quick:  # a launch looks for the file itself, and reports a missing one
            experiments = frozenset(mvp.id for mvp in (roadmap.mvps if roadmap else ()))
        else:
            from vitlab.jobs.experiment.experiment import known_mvps, unreadable

            experiments = frozenset(known_mvps(lab.paths, lab.paths.relative(roadmap_path)))
            problems += unreadable(lab.paths)
        names, elsewhere, here = _own(lab, jobs, roadmap_path)
        if roadmap is not None:
            judged = judge_roadmap(lab, roadmap, jobs, here, kept.judged if kept else {})
    return LabSnapshot(
        path=roadmap_path,
        roadmap=roadmap,
        jobs=tuple(_views(lab, jobs, quick, kept.views if kept else None)),
        verdicts=judged.verdicts if judged else {},
        next=next_mvp(roadmap) if roadmap is not None else None,
        passed_over=passed_over(roadmap) if roadmap is not None else (),
        problems=tuple(problems),
        experiments=experiments,
        pending=judged.waiting.look(lab, 0 if quick else 1 if kept else None) if judged else 0,
        names=names,
        elsewhere=elsewhere,
        ceilings=judged.ceilings if judged else {},
        faults=judged.faults if judged else {},
        standings=standings(lab, roadmap, here, quick=quick) if roadmap else {},
        proposals=Tray(lab).waiting(),
    )


def _own(
    lab: Lab, jobs: Sequence[Job], roadmap: Path
) -> tuple[frozenset[str], frozenset[str], list[Job]]:
    """A roadmap's names in its jobs, experiments launched from it that have moved, its jobs."""
    names = names_of_roadmap(lab, jobs, roadmap)
    launched = [job for job in jobs if job.spec.roadmap in names]
    elsewhere = moved(lab, launched, roadmap)
    return names, elsewhere, [job for job in launched if job.spec.exp_id not in elsewhere]


def read_running(lab: Lab, view: LabSnapshot) -> LabSnapshot | None:
    """`view` with the jobs that run as they are now; None where one does not run any more.

    What thousands of others show does not change by that, and is not looked at. Blocking.
    """
    jobs = list(view.jobs)
    for place, before in enumerate(jobs):
        if not isinstance(before.state, Running):
            continue
        job = read_job(before.paths)
        if job is None or (job.state, job.spec) != (before.state, before.spec):
            return None
        jobs[place] = _view(job, lab.progress(job.paths), before.why, before.left)
    return replace(view, jobs=tuple(jobs))


def job_views(lab: Lab) -> list[JobView]:
    """All jobs of the lab, oldest first."""
    return _views(lab, all_jobs(lab.paths))


def views_of(lab: Lab, folders: Sequence[JobPaths]) -> list[JobView]:
    """These jobs, with the reasons of those that wait; the others are read only for these."""
    jobs = []
    for paths in folders:
        if (job := read_job(paths)) is None:
            raise UsageError(f"{paths.name}: the job's folder is gone")
        jobs.append(job)
    waits = any(isinstance(job.state, Queued) for job in jobs)
    views = {view.paths.name: view for view in job_views(lab)} if waits else {}
    return [views.get(job.name) or _view(job, lab.progress(job.paths)) for job in jobs]


def _views(
    lab: Lab, jobs: list[Job], quick: bool = False, kept: dict[str, KeptView] | None = None
) -> list[JobView]:
    why: Mapping[str, str] = {}
    left: set[str] = set()
    if any(isinstance(job.state, Queued | Lost) for job in jobs):
        from vitlab.jobs.queue.machine import read_machine
        from vitlab.jobs.queue.queue import left_behind, plan

        slots = read_machine(lab.paths)
        planned = plan(jobs, slots)
        held = queue_holder(lab.paths) if planned.starts else ""
        starts = [start.job for start in planned.starts]
        why = {**{job.name: held or unanswered(job) for job in starts}, **planned.reasons}
        left = {job.name for job in jobs if left_behind(job, slots)}
    if quick:
        return [
            _view(job, progress, why.get(job.name, ""), job.name in left)
            for job, progress in zip(jobs, _quick_progress(lab, jobs), strict=True)
        ]
    before = kept or {}
    now: dict[str, KeptView] = {}
    views = []
    for job in jobs:
        one = _kept(before.get(job.name), job, why.get(job.name, ""), job.name in left)
        if one is None:
            view = _view(job, lab.progress(job.paths), why.get(job.name, ""), job.name in left)
            one = KeptView(job, view, False)
        views.append(one.view)
        if isinstance(job.state, Done | Queued):
            now[job.name] = one
    if kept is not None:
        kept.clear()
        kept.update(now)
    return views


def _kept(before: KeptView | None, job: Job, why: str, left: bool) -> KeptView | None:
    """What was shown of the job, where nothing in its folder has changed: then it is the same."""
    if before is None or before.job is not job:
        return None
    if (before.view.why, before.view.left) != (why, left):
        return None
    if before.settled:
        return before
    brief = before.view.progress.newest(str(Value.parse(job.spec.headline).live), TREND)
    view = replace(before.view, progress=brief)
    _ = view.warnings  # found here, in the reader's thread: the table of all jobs asks each
    return KeptView(job, view, True)


def _quick_progress(lab: Lab, jobs: list[Job]) -> list[Progress]:
    """Progress of the jobs: of ended ones from their last events, of old ones nothing."""
    old = len(jobs) - QUICK
    progresses = []
    for number, job in enumerate(jobs):
        if not isinstance(job.state, Done):
            progresses.append(lab.progress(job.paths))
        else:
            progresses.append(Progress() if number < old else lab.last_progress(job.paths))
    return progresses


def epochs_of(spec: Spec) -> int | None:
    """Epochs of a whole training, as a command declares them; None where not known."""
    epochs = spec.config.get("epochs") if spec.recipe == "command" else None
    return epochs if isinstance(epochs, int) else None


def _view(job: Job, progress: Progress, why: str = "", left: bool = False) -> JobView:
    now = time.time()
    health = read_health(job.paths)
    eta: float | None = None
    match job.state:
        case Queued():
            seconds = 0.0
        case Running(started=started):
            seconds, eta = now - started, progress.eta(now, epochs_of(job.spec))
        case Done(started=started, ended=ended):
            seconds = max(ended - started, 0.0)
        case Lost(started=started):
            seconds = max(progress.last - started, 0.0)
        case Unreadable():
            seconds = 0.0
    problems = [line for line in (job.problem, progress.problem) if line]
    return JobView(
        paths=job.paths,
        spec=job.spec,
        state=job.state,
        step=progress.step,
        of=progress.of,
        epoch=progress.epoch,
        values=_values(job, progress),
        health="" if health is None else _health_line(health),
        why=why,
        seconds=seconds,
        eta=eta,
        held=job.held,
        left=left,
        priority=job.priority,
        order=job.order,
        progress=progress,
        wandb=link.shown if (link := read_link(job.paths, job.spec)) else None,
        metrics=_metrics(job.paths),
        problem="; ".join(dict.fromkeys(problems)),
        foreign=job.foreign,
    )


def _values(job: Job, progress: Progress) -> Mapping[str, float | None]:
    """Those of the result before the last of the training: they are at its best step."""
    ended = finished([job]) if progress.values else []  # old ones of a first picture have none yet
    own = ended[0].result.values if ended else {}
    splits = {Value.parse(name).split for name in own}  # its values are of one state, the best
    last = {k: x for k, x in progress.values.items() if Value.parse(k).split not in splits}
    return {**last, **own}


def _metrics(job: JobPaths) -> Mapping[str, Any] | None:
    try:
        changed = job.metrics.stat().st_mtime_ns
    except OSError:
        return None
    return _read_metrics(job, changed)


@lru_cache(maxsize=4096)
def _read_metrics(job: JobPaths, _changed: int) -> Mapping[str, Any]:
    """What was found, without what only its reader needs; nothing where it cannot be read."""
    try:
        record = load_fields(job.metrics, METRICS_FIELDS, MAX_BYTES)
        record = record if is_own(job, record) else {}
    except OSError:
        record = {}
    parts = {key: list(record.get(key) or []) for key in METRICS_FIELDS}
    lines = [str(line)[:LONGEST_LINE] for line in parts["problems"][:MOST_LINES]]
    more = len(parts["problems"]) - MOST_LINES
    lines += [f"{more:,} more problems of its metrics"] if more > 0 else []
    return {**parts, "problems": lines}


def _health_line(health: Health) -> str:
    if health.status == "ok" or not health.what:
        return health.status
    # Of what is not read, and of what is slow, the details help; the rest is known by its name.
    in_full = ("metrics", "not watched", "contradiction", "resume", "outputs", "slow")
    return f"{health.status}: {health.evidence if health.what in in_full else health.what}"
