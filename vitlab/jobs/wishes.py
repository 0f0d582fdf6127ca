"""What people want of jobs that wait: put aside, released, moved. One small file a job."""

from __future__ import annotations

from collections.abc import Sequence

from vitlab.contract.paths import UsageError
from vitlab.contract.state import Queued, state_word
from vitlab.jobs.jsonfiles import read_json, write_json
from vitlab.jobs.processes import boot
from vitlab.jobs.queue import in_line
from vitlab.jobs.store import QUEUE, Job


def wish(job: Job, **changes: object) -> None:
    """Change keys of the job's `queue.json`: hold, order, priority, boot."""
    path = job.paths.folder / QUEUE
    write_json(path, {**read_json(path), **changes})


def hold(job: Job) -> None:
    """Put a waiting job aside until it is released."""
    _check_waits(job)
    wish(job, hold=True)


def release(job: Job) -> None:
    """Let a waiting job start: one put aside, or queued before a restart or on another machine."""
    _check_waits(job)
    wish(job, hold=False, boot=boot())


def move(job: Job, jobs: Sequence[Job], places: int) -> None:
    """Move a waiting job up (`places` < 0) or down in the line of `jobs`.

    It takes the priority of those it comes to stand among; a place beyond either end is that end.
    """
    _check_waits(job)
    line = in_line(jobs)
    others = [other for other in line if other.name != job.name]
    now = next((i for i, other in enumerate(line) if other.name == job.name), 0)
    place = min(max(now + places, 0), len(others))
    before, after = others[:place], others[place:]
    if before and after and before[-1].priority == after[0].priority:
        order = (before[-1].order + after[0].order) / 2
        priority = after[0].priority
    elif before:
        order, priority = before[-1].order + 1.0, before[-1].priority
    elif after:
        order, priority = after[0].order - 1.0, after[0].priority
    else:
        return
    wish(job, order=order, priority=priority)


def _check_waits(job: Job) -> None:
    if not isinstance(job.state, Queued):
        raise UsageError(f"{job.name}: does not wait, it is {state_word(job.state)}")
