"""Copies of jobs' folders beside them, as `cp -r JOB JOB.bak` makes: of one job, one counts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from vitlab.contract.paths import JobPaths

SUBMISSION = ("exp_id", "mvp", "run", "profile", "submitted", "config")
"""What no two jobs have alike, of their specs."""
_MADE = re.compile(r"\d{8}-\d{6}-[\w.=-]+", re.ASCII)


def copies(jobs: Iterable[tuple[JobPaths, tuple[object, ...]]]) -> dict[str, JobPaths]:
    """The name of each copy -> its original: where and as a job is made, or of the shorter name.

    `jobs`: the folder of each, and the values of its `SUBMISSION`.
    """
    at_once = defaultdict[tuple[object, ...], list[tuple[JobPaths, object]]](list)
    for job, (*submission, submitted, config) in jobs:
        if submitted:
            at_once[*submission, submitted].append((job, config))
    found: dict[str, JobPaths] = {}
    for (exp_id, *_), same in at_once.items():
        if len(same) > 1:
            best = sorted(same, key=lambda one: _rank(one[0], exp_id))
            for at, (job, config) in enumerate(best):
                own = next((one for one, known in best[:at] if known == config), None)
                found |= {job.name: own} if own else {}
    return found


def _rank(job: JobPaths, exp_id: object) -> tuple[bool, bool, int, str]:
    elsewhere = job.folder.parent.name != exp_id
    return elsewhere, not _MADE.fullmatch(job.folder.name), len(job.name), job.name
