"""Where the runs of a launch, and the earlier ones of the same runs, are at W&B."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vitlab.contract.job import base_name, read_result
from vitlab.contract.paths import real
from vitlab.contract.tracking import page_or_files, read_link
from vitlab.docs.write.results import RunLink
from vitlab.jobs.files import read_own
from vitlab.jobs.store import Job
from vitlab.lab.lab import Lab


def run_links_of(
    lab: Lab, mine: Sequence[Job], jobs: Sequence[Job], folder: Path
) -> Iterator[RunLink]:
    """Where jobs and the earlier ones of their runs are at W&B, by run and by run and seed."""
    links = [run_link(lab, job, jobs, folder) for job in mine]
    yield from links
    yield from (replace(one, run=base_name(one.run)) for one in links)


def run_link(lab: Lab, job: Job, jobs: Sequence[Job], folder: Path) -> RunLink:
    """Where a job and the earlier ones of its run are at W&B; for full runs."""
    same = [
        one
        for one in jobs
        if (one.spec.mvp, one.spec.run) == (job.spec.mvp, job.spec.run)
        and one.spec.submitted < job.spec.submitted
    ]
    earlier = [link for one in same if (link := wandb_target(lab, one, folder))]
    target = wandb_target(lab, job, folder) if job.spec.profile == "full" else None
    return RunLink(job.spec.run, target, tuple(earlier))


def wandb_target(lab: Lab, job: Job, folder: Path) -> str | None:
    """A job's page at W&B, or the files of its offline run as a path from `folder`.

    The run's id where the files are outside the lab; None where nothing is known.
    """
    result, link = read_result(job.paths.result), read_link(job.paths, job.spec)
    own = read_own(job.paths, job.paths.metrics, job.spec.submitted).get("wandb") or {}
    known = (result and result.wandb, link and link.shown, own.get("url"), own.get("folder"))
    target = next(filter(None, map(page_or_files, known)), None)
    if target is None or "://" in target:
        return target
    files = real(job.paths.folder / target)
    if not files.is_relative_to(real(lab.paths.root)):
        return str(own.get("id") or files.name)
    return Path(os.path.relpath(files, real(folder))).as_posix()
