"""Which actions of every screen can be done with what is selected, and why another cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, Protocol

from vitlab.contract.job import Done, Lost, Queued, Running, ended_well
from vitlab.tui.jobs_index import index_of
from vitlab.tui.keys import Key

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import JobView, LabSnapshot
    from vitlab.tui.session import Session


class Front(Protocol):
    """The screen in front."""

    NAME: ClassVar[str]
    FILTERS: ClassVar[bool]
    session: Session

    @property
    def view(self) -> LabSnapshot | None: ...

    def selected_job(self) -> JobView | None: ...

    def selected_mvp(self) -> Mvp | None: ...

    def selected_gate(self) -> str | None: ...


def _is_queued(job: JobView) -> bool:
    return isinstance(job.state, Queued)


def _can_stop(job: JobView) -> bool:
    return isinstance(job.state, Running | Queued | Lost)


def _can_resume(job: JobView) -> bool:
    unfinished = isinstance(job.state, Done | Lost) and not ended_well(job.state)
    return unfinished or job.held or job.left or job.foreign


JOBS: Mapping[str, tuple[Callable[[JobView], bool], str]] = {
    "stop_job": (_can_stop, "a running, queued or lost"),
    "resume_job": (_can_resume, "a stopped, failed, lost, held or foreign"),
    **dict.fromkeys(
        ("hold_job", "move_up", "move_down", "move_first", "raise_job", "lower_job"),
        (_is_queued, "a queued"),
    ),
}
"""Action -> the jobs it is for, and how they are called."""


def _any_left(view: LabSnapshot) -> bool:
    return any(job.left for job in index_of(view).unfinished)


def why_not(front: Front, action: str) -> str:
    """Why an action of every screen cannot be done on the one in front; empty where it can."""
    view = front.view
    if action in JOBS:
        fits, needs = JOBS[action]
        job = front.selected_job()
        if job is None or not fits(job):
            finished = action == "resume_job" and job is not None and ended_well(job.state)
            more = "it has finished, L launches a new run" if finished else "2 shows the jobs"
            return f"select {needs} job first ({more})"
    elif action == "launch_selected" and front.selected_mvp() is None:
        return "no MVP is selected"
    elif action == "set_status" and front.selected_mvp() is None and not front.selected_gate():
        return "select an MVP or a gate first"
    elif action == "filter" and not front.FILTERS:
        return "nothing to filter here"
    elif action in ("last_roadmap", "next_roadmap") and len(front.session.roadmaps) < 2:
        return "this lab has no other roadmap"
    elif action in ("resume_left", "drop_left") and view and not _any_left(view):
        return "no job was lost in a crash or restart"
    return ""


def is_pointless(front: Front, action: str) -> bool:
    """Whether an action would only tell that there is nothing to do."""
    view = front.view
    if view is None:
        return False
    return {
        "launch_next": view.next is None,
        "write": not view.pending,
        "open_roadmaps": len(front.session.roadmaps) < 2,
    }.get(action, False)


def word_of(front: Front, key: Key) -> str:
    """What the key line calls an action of every screen on what is selected."""
    job = front.selected_job()
    if job is not None and key.name == "stop_job" and isinstance(job.state, Lost):
        return "drop"
    if job is not None and key.name == "hold_job" and job.held:
        return "release"
    return "decide" if key.name == "set_status" and front.selected_gate() else key.word
