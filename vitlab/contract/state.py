"""The words for where things stand, and what a job's folder says of it: queued, running, ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Status = Literal[
    "planned",
    "ready",
    "running",
    "analysing",
    "done",
    "partial",
    "failed",
    "cancelled",
    "paused",
]
"""Of an MVP or a gate, as commands and JSON say it."""
STATUSES: tuple[Status, ...] = get_args(Status)

VerdictWord = Literal["pass", "fail", "open", "manual"]
"""Of a gate: `open` is not decided yet, `manual` is for a person to judge."""
VERDICTS: tuple[VerdictWord, ...] = get_args(VerdictWord)

Outcome = Literal["ok", "failed", "killed", "oom", "nan", "stalled", "disk_full", "import_error"]
"""How a job can end: the `reason` of `exit.json`."""
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)

STOPPED, NEVER_BEGAN = "stopped on request", "stopped before it began"
"""The details of a job that a person ended."""


@dataclass(frozen=True)
class Succeeded:
    """It ended by itself and said of no error."""


@dataclass(frozen=True)
class Killed:
    """It was ended from outside."""

    asked: bool
    """By a person, through `vitlab stop`."""


@dataclass(frozen=True)
class Failed:
    """It ended by itself, and not well."""

    cause: str
    """One of `OUTCOMES`; a word of a newer program as it stands."""


End = Succeeded | Killed | Failed
"""How a job ended."""


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
    """One of `OUTCOMES`; a word of a newer program as it stands."""
    code: int | None
    """The child's exit code; None when a signal ended it."""
    detail: str = ""
    """One line for people: the signal, the last line of an import error, ..."""

    @property
    def end(self) -> End:
        """What the record means."""
        match self.outcome:
            case "ok":
                return Succeeded()
            case "killed":
                return Killed(asked=self.detail.startswith((STOPPED, NEVER_BEGAN)))
            case cause:
                return Failed(cause)


@dataclass(frozen=True)
class Lost:
    """Started, not alive, and no `exit.json`: the supervisor itself was killed."""

    started: float


JobState = Queued | Running | Done | Lost


def state_word(state: JobState) -> str:
    """The state as commands and JSON say it."""
    return type(state).__name__.lower()


def ended_well(state: JobState) -> bool:
    """Whether the job is done, and ended as it should."""
    return isinstance(state, Done) and isinstance(state.end, Succeeded)
