"""What the keys do: every verb with its key and meaning, and those that act on the chosen job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitlab.contract.state import Done, Lost, Queued, Running

if TYPE_CHECKING:
    from vitlab.records.view import JobView
    from vitlab.tui.desk import Desk

VERBS: tuple[tuple[str, str, str, str], ...] = (
    ("n", "launch_next", "next", "launch the next MVP of the plan"),
    ("l", "launch_selected", "launch", "launch the selected MVP"),
    ("x", "stop_job", "stop", "stop the selected job, or drop a lost one"),
    ("w", "write", "write", "show what results change in the documents, and write it"),
    ("u", "undo", "undo", "undo the last write"),
    ("U", "redo", "redo", "make the last undone write again"),
    ("slash", "filter", "filter", "filter the plan by words"),
    ("c", "resume_job", "continue", "continue the selected job from its last checkpoint"),
    ("p", "hold_job", "put aside", "put the selected waiting job aside, or release it"),
    ("K", "move_up", "up", "move the selected waiting job up the queue"),
    ("J", "move_down", "down", "move the selected waiting job down the queue"),
    ("R", "resume_left", "resume lost", "resume all that a crash or a restart left behind"),
    ("X", "drop_left", "drop lost", "drop all that a crash or a restart left behind"),
    ("m", "next_metric", "value", "plot the next value"),
    ("r", "reread", "re-read", "read everything again now"),
    ("question_mark", "help", "help", "show the keys"),
    ("q", "quit", "quit", "leave the screen; jobs go on"),
)
"""Key, action (also its name in the settings), short word, meaning."""

UNSAID = (
    "redo",
    "next_metric",
    "reread",
    "resume_job",
    "hold_job",
    "move_up",
    "move_down",
    "resume_left",
    "drop_left",
)
"""Verbs the key line leaves to the help."""


@dataclass(frozen=True)
class JobVerb:
    """What can be done with one job."""

    fits: Callable[[JobView], bool]
    needs: str
    """Which jobs it is for; said when another one is selected."""
    deed: Callable[[Desk, JobView], object]
    said: str
    """What was done, after the job's name."""
    question: str = ""
    """Asked before, with the job's name after it; empty when there is nothing to lose."""


def _waits(job: JobView) -> bool:
    return isinstance(job.state, Queued)


JOB_VERBS = {
    "stop_job": JobVerb(
        lambda job: isinstance(job.state, Running | Queued | Lost),
        "a running, queued or lost",
        lambda desk, job: desk.stop(job.paths),
        "asked to stop",
        question="Stop",
    ),
    "resume_job": JobVerb(
        lambda job: isinstance(job.state, Done | Lost) or job.held or job.left,
        "an ended, lost or held",
        lambda desk, job: desk.resume(job.paths),
        "goes on when its turn comes",
    ),
    "hold_job": JobVerb(
        _waits,
        "a queued",
        lambda desk, job: desk.release(job.paths) if job.held else desk.hold(job.paths),
        "put aside, or released",
    ),
    "move_up": JobVerb(_waits, "a queued", lambda desk, job: desk.move(job.paths, -1), "moved up"),
    "move_down": JobVerb(
        _waits, "a queued", lambda desk, job: desk.move(job.paths, 1), "moved down"
    ),
}
