"""What results decide for a roadmap, worked out again only where files have changed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vitlab.contract.job import Done, Running
from vitlab.docs.judge.gates import Verdict
from vitlab.docs.model.roadmap import Roadmap
from vitlab.jobs.store import Job
from vitlab.lab.lab import Lab
from vitlab.lab.live.waiting_results import WaitingResults, waiting_results
from vitlab.lab.results.ceilings import ceiling_in, ceiling_of, ceilings
from vitlab.lab.results.job_results import finished, latest
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.results.sound import faults
from vitlab.lab.results.worlds import planned_world


class Judged(NamedTuple):
    """What the results decide, and what it was decided by."""

    roadmap: Roadmap
    jobs: Sequence[Job]
    marks: tuple[object, ...]
    """Of the other files."""
    verdicts: Mapping[str, Verdict]
    waiting: WaitingResults
    ceilings: Mapping[str, float]
    """Job's name -> the ceiling of its headline."""
    faults: Mapping[str, str]
    """Job's name -> why its numbers are no result."""


KeptJudgements = dict[Path, Judged]
"""Roadmap -> what was found when it was read last."""


def judge_roadmap(
    lab: Lab,
    roadmap: Roadmap,
    jobs: Sequence[Job],
    here: Sequence[Job],
    kept: KeptJudgements,
) -> Judged:
    """The verdicts, or those of the last reading: all results are read for them.

    `here`: the jobs of the roadmap; `kept` is brought up to date.
    """
    path = roadmap.document.path or Path()
    private, before = lab.paths.private, kept.get(path)
    files = [private.sync_ledger, private.ceilings, private.decisions, lab.paths.openings]
    files += [lab.paths.root / name for name in sorted({job.spec.experiment for job in here})]
    marks = tuple(map(_mark, files))
    if before is not None and (before.roadmap is not roadmap or before.marks != marks):
        before = None
    if before is not None and _are(_is_unchanged, before.jobs, jobs):
        return before
    if before is not None and _are(operator.is_, _ended(before.jobs), _ended(jobs)):
        verdicts, why = before.verdicts, before.faults
    else:
        newest = latest(finished(here))
        found = verdicts_of(lab, roadmap, newest, lambda: finished(jobs))
        verdicts = {one.id: one for one in found}
        known = faults(newest, ceilings(jobs))
        why = {job: fault.text("en") for job, fault in known.items()}
    bounds = _ceilings(lab, jobs, here)
    waiting = waiting_results(lab, roadmap, here)
    kept[path] = Judged(roadmap, jobs, marks, verdicts, waiting, bounds, why)
    return kept[path]


def _ceilings(lab: Lab, jobs: Sequence[Job], here: Sequence[Job]) -> Mapping[str, float]:
    """Job's name -> the ceiling of its headline: of running jobs and each run's newest."""
    known = ceilings(jobs)
    if not known:
        return {}
    found = {
        one.job.name: ceiling_of(one.result, known, one.result.headline)
        for one in latest(finished(here))
    }
    for job in here:
        if isinstance(job.state, Running):
            world = planned_world(job.spec, lab.paths.root)
            found[job.name] = ceiling_in(world, known, job.spec.headline)
    return {name: bound.r2 for name, bound in found.items() if bound is not None and bound.r2 > 0}


def _ended(jobs: Sequence[Job]) -> list[Job]:
    """Those that decide gates."""
    return [job for job in jobs if isinstance(job.state, Done)]


def _are(same: Callable[[Job, Job], bool], before: Sequence[Job], now: Sequence[Job]) -> bool:
    return len(before) == len(now) and all(map(same, before, now))


def _is_unchanged(before: Job, now: Job) -> bool:
    """Whether it is the same job in the same state, and where it has ended all its files too."""
    if before is now or isinstance(now.state, Done):
        return before is now
    return before.paths == now.paths and before.state == now.state


def _mark(path: Path) -> tuple[int, ...]:
    """Changes with a file, or the names in a folder; empty where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns
