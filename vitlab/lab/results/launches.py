"""The last launch of an MVP: its jobs, how each ended, and the status that follows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from vitlab.contract.events import NEVER_BEGAN
from vitlab.contract.job import (
    Done,
    Killed,
    Queued,
    Result,
    Running,
    Status,
    Succeeded,
    Unknown,
    Unreadable,
    base_name,
)
from vitlab.contract.paths import SPEC, UsageError
from vitlab.docs.judge.comparison import value_of
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.model.roadmap import Mvp
from vitlab.jobs.experiment.placeholders import METRICS
from vitlab.jobs.processes import ADOPTED
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import RESULT, Finished, finished

_Kind = Literal["good", "unclear", "killed", "bad"]
"""`unclear`: it may have ended well, but the number it is judged by is not there."""


@dataclass(frozen=True)
class LaunchEnd:
    """How a launch ended."""

    status: Status
    """Of its MVP."""
    reasons: tuple[str, ...]
    """Why it is not done, one line for each job or thing."""
    stays: bool = False
    """The status stands by a full run or a person, whatever this trial left."""


def full_jobs(jobs: Iterable[Job]) -> list[Job]:
    """Those that are no trial."""
    return [job for job in jobs if job.spec.profile == "full"]


def has_ended(jobs: Iterable[Job]) -> bool:
    """Whether none of a launch waits or runs, and each end can be read."""
    return not any(isinstance(job.state, Queued | Running | Unreadable) for job in jobs)


def began(job: Job) -> bool:
    """Whether a job was ever started: one of a refused launch was not."""
    return not (isinstance(job.state, Done) and job.state.detail.startswith(NEVER_BEGAN))


def last_launch(jobs: Sequence[Job]) -> list[Job]:
    """The newest job of each run of the profile launched last, oldest first.

    A job that never began decides nothing, unless there is no other.
    """
    ordered = sorted(filter(began, jobs), key=lambda job: job.spec.submitted)
    ordered = ordered or sorted(jobs, key=lambda job: job.spec.submitted)
    newest = {j.spec.run: j for j in ordered if j.spec.profile == ordered[-1].spec.profile}
    return sorted(newest.values(), key=lambda job: job.spec.submitted)


def has_headline(result: Result) -> bool:
    """Whether the value a run is judged by exists: its last one was finite."""
    return value_of(result, result.headline) is not None


def launch_end(lab: Lab, mvp: Mvp, jobs: Sequence[Job], of_mvp: Sequence[Job]) -> LaunchEnd:
    """The end of `jobs`, a launch of `mvp`; only full runs can make it done.

    `of_mvp`: all its jobs. After a full launch that ended with numbers, no trial changes its
    status. A run that ended well without numbers is done where none were promised. Without the
    promised headline, or where nothing proves its end, it is for a person to look at.
    """
    results = {one.job.name: one.result for one in finished(jobs)}
    ends = [_end(job, results.get(job.name)) for job in jobs]
    kinds = {kind for kind, _ in ends}
    reasons = tuple(dict.fromkeys(reason for _, reason in ends if reason))
    if jobs[-1].spec.profile != "full":
        full = last_launch(full_jobs(of_mvp))
        stays: Status | None = "done" if mvp.status == "done" else None
        if not stays and has_ended(full) and any(map(_has_numbers, finished(full))):
            stays = launch_end(lab, mvp, full, full).status
        if stays:
            named = zip(jobs, ends, strict=True)
            return LaunchEnd(
                stays, tuple(dict.fromkeys(_named(*one) for one in named if one[1][1])), True
            )
        looks = {"good", "unclear"} & kinds
        return LaunchEnd("analysing" if looks else _without_any(kinds), reasons)
    if not kinds & {"good", "unclear"}:
        return LaunchEnd(_without_any(kinds), reasons)
    if kinds & {"killed", "bad"}:
        return LaunchEnd("partial" if "good" in kinds else "analysing", reasons)
    if "unclear" in kinds:
        return LaunchEnd("analysing", reasons)
    if missing := list(_not_run(lab, jobs)):
        return LaunchEnd("partial", (*reasons, f"not run: {', '.join(missing)}"))
    return LaunchEnd("done", reasons)


def _has_numbers(one: Finished) -> bool:
    return has_headline(one.result)


def _named(job: Job, end: tuple[_Kind, str]) -> str:
    """Why a run of a trial is not good, with its name."""
    kind, reason = end
    if reason.startswith(f"{job.spec.run}: "):
        return reason
    return f"{job.spec.run} {'was stopped' if kind == 'killed' else 'failed'}: {reason}"


def _without_any(kinds: set[_Kind]) -> Status:
    return "paused" if kinds == {"killed"} else "failed"


def _end(job: Job, result: Result | None) -> tuple[_Kind, str]:
    """How a job ended, and why it is not good."""
    if not isinstance(job.state, Done):
        return "bad", f"{job.spec.run}: lost"
    reason = job.state.detail or job.state.outcome
    match job.state.end:
        case Succeeded():
            if result is not None and has_headline(result):
                return "good", ""
            return ("unclear", missing) if (missing := _unkept(job, result)) else ("good", "")
        case Unknown():
            return "unclear", f"{job.spec.run}: its end is unknown ({reason})"
        case Killed():
            return "killed", reason
        case _:
            return "bad", reason


def _unkept(job: Job, result: Result | None) -> str:
    """Which number was promised and is not there; empty where none was."""
    name = job.spec.headline
    if result is None and job.paths.result.name in job.problem:
        return f"{job.spec.run}: {job.problem}"
    if result is not None and name in result.values:
        return f"{job.spec.run}: its last {name} is not a finite number"
    promised = bool(job.spec.extra.get(METRICS)) or job.spec.recipe != "command"
    if promised or (result is not None and result.values):
        return f"{job.spec.run}: finished without {name}"
    return ""


def unread(lab: Lab, jobs: Sequence[Job]) -> str:
    """Why the end of a launch cannot be told yet; empty where it can.

    A result, the spec of a job that may be of it or newer, or the experiment file that says which
    runs there are, cannot be read now.
    """
    if not jobs:
        return ""
    spec = jobs[-1].spec
    first = min(job.name for job in jobs if job.spec.exp_id == spec.exp_id)
    lost = (
        job
        for job in all_jobs(lab.paths)
        if SPEC in job.problem and job.spec.exp_id == spec.exp_id and job.name >= first
    )
    if newer := next((job.before for job in jobs if job.before), ""):
        return newer
    if torn := next((job for job in jobs if RESULT in job.problem), None) or next(lost, None):
        return f"{torn.name}: {torn.problem}"
    if not spec.experiment:
        return ""
    try:
        path = lab.paths.inside(spec.experiment)
        found = path.stat()
    except (UsageError, OSError):  # it is gone
        return ""
    return _fault(path, found.st_ino, found.st_size, found.st_mtime_ns)


@lru_cache(1024)
def _fault(path: Path, *_stamp: int) -> str:
    """What is wrong with an experiment file, read again only when it has changed."""
    from vitlab.jobs.experiment.experiment import load_experiment  # most have nothing to write

    try:
        load_experiment(path)
    except UsageError as error:
        return str(error)
    return ""


def partly_run(lab: Lab, jobs: Sequence[Job]) -> list[Phrase]:
    """`2 of 12 runs`, where the experiment file declares more than were launched; else nothing.

    Nor of adopted runs, which may not say which they are.
    """
    missing, ran = list(_not_run(lab, jobs)), {base_name(job.spec.run) for job in jobs}
    if not missing or any(ADOPTED in job.spec.extra for job in jobs):
        return []
    return [phrase("runs_of", len(ran), len(ran) + len(missing))]


def _not_run(lab: Lab, jobs: Sequence[Job]) -> Iterator[str]:
    """Runs the experiment file declares that are not of this launch.

    Nothing where the file is gone, or has changed so much that it names none of these runs; of an
    adopted run that says not which it is, every one if there are several.
    """
    spec = jobs[-1].spec
    if not spec.experiment:
        return
    from vitlab.jobs.experiment.experiment import load_experiment  # the first picture needs no YAML

    try:
        experiment = load_experiment(lab.paths.inside(spec.experiment))
        declared = dict.fromkeys(base_name(s.run) for s in experiment.specs(spec.profile, "-"))
    except (UsageError, OSError):
        return
    ended = {base_name(job.spec.run) for job in jobs}
    unnamed = any(ADOPTED in job.spec.extra for job in jobs) and len(declared) > 1
    if unnamed or ended & set(declared):
        yield from (run for run in declared if run not in ended)
