"""What a person does with jobs that are there: stop, resume, put aside, move, tend the queue."""

from __future__ import annotations

import errno

from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs import launch, wishes
from vitlab.jobs.store import Job, all_jobs, look, unfinished
from vitlab.records.lab import Lab

_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)


def tend(lab: Lab) -> None:
    """Go on with the queue as whoever comes by does: start what fits, end what was left running.

    So that a queue whose supervisor was killed goes on at the next look. A lab that can only be
    read is left to others.
    """
    if not unfinished(lab.paths):
        return
    try:
        launch.advance(lab.paths)
    except OSError as error:
        if error.errno not in _NOT_OURS:
            raise


def stop(lab: Lab, job: JobPaths) -> None:
    """Ask a job to end; its supervisor sees to it. A queued or lost one ends at once."""
    launch.stop(job)
    launch.advance(lab.paths)


def resume(lab: Lab, job: JobPaths) -> None:
    """Go on with an ended or lost job in its own folder, from its last checkpoint."""
    launch.resume(lab.paths, job)
    launch.advance(lab.paths)


def hold(lab: Lab, job: JobPaths) -> None:
    """Put a waiting job aside; those behind it may start."""
    wishes.hold(_found(job))
    launch.advance(lab.paths)


def release(lab: Lab, job: JobPaths) -> None:
    """Let a waiting job start when its turn comes."""
    wishes.release(_found(job))
    launch.advance(lab.paths)


def move(lab: Lab, job: JobPaths, places: int | None) -> None:
    """Move a waiting job up (`places` < 0) or down the line; None makes it the first."""
    jobs = all_jobs(lab.paths)
    wishes.move(_found(job), jobs, -len(jobs) if places is None else places)


def _found(job: JobPaths) -> Job:
    found = look(job)
    if found is None:
        raise UsageError(f"{job.name}: the job's folder is gone")
    return found
