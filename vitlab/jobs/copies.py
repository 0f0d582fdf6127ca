"""Copies of jobs' folders beside them, as `cp -r JOB JOB.bak` makes: of one job, one counts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from vitlab.contract.paths import JobPaths

SUBMISSION = ("exp_id", "mvp", "run", "profile", "submitted")
"""What no two jobs have alike, of their specs."""
_MADE = re.compile(r"\d{8}-\d{6}-[\w.=-]+", re.ASCII)


def copies(jobs: Iterable[tuple[JobPaths, tuple[object, ...]]]) -> dict[str, JobPaths]:
    """The name of each copy -> its original: where and as a job is made, or of the shorter name.

    `jobs`: the folder of each, and the values of its `SUBMISSION`.
    """
    alike = defaultdict[tuple[object, ...], list[JobPaths]](list)
    for job, submission in jobs:
        if submission[-1]:
            alike[submission].append(job)
    found: dict[str, JobPaths] = {}
    for (exp_id, *_), folders in alike.items():
        if len(folders) > 1:
            own = min(folders, key=lambda job: _rank(job, exp_id))
            found |= {job.name: own for job in folders if job is not own}
    return found


def _rank(job: JobPaths, exp_id: object) -> tuple[bool, bool, int, str]:
    elsewhere = job.folder.parent.name != exp_id
    return elsewhere, not _MADE.fullmatch(job.folder.name), len(job.name), job.name
