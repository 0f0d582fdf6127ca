"""What a job's folder says of it: queued, running, done or lost."""

from __future__ import annotations

from dataclasses import dataclass

OUTCOMES = ("ok", "failed", "killed", "oom", "nan", "stalled", "disk_full", "import_error")
"""How a job can end: the `reason` of `exit.json`."""


@dataclass(frozen=True)
class Queued:
    """Submitted, not started."""

    submitted: float
    """Unix seconds."""


@dataclass(frozen=True)
class Running:
    """A supervisor holds the job's lock."""

    started: float
    """Unix seconds."""
    pid: int
    device: str


@dataclass(frozen=True)
class Done:
    """The supervisor wrote `exit.json`."""

    started: float
    ended: float
    outcome: str
    """One of `OUTCOMES`."""
    code: int | None
    """The child's exit code; None when a signal ended it."""
    detail: str = ""
    """One line for people: the signal, the last line of an import error, ..."""


@dataclass(frozen=True)
class Lost:
    """Started, not alive, and no `exit.json`: the supervisor itself was killed."""

    started: float


JobState = Queued | Running | Done | Lost


def state_word(state: JobState) -> str:
    """The state as commands and JSON say it."""
    return type(state).__name__.lower()
