"""What the watcher posts to the screen; a newer message replaces the one that still waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from vitlab.lab.progress import Sample
from vitlab.plot.series import Line, Rgb, Series

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView, LabSnapshot, RoadmapSummary


@dataclass
class LabUpdated(Message, bubble=False):
    """The lab was read."""

    view: LabSnapshot

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, LabUpdated)


@dataclass
class RoadmapsUpdated(Message, bubble=False):
    """Every roadmap of the lab was read."""

    lines: tuple[RoadmapSummary, ...]

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RoadmapsUpdated)


@dataclass
class CurvesUpdated(Message, bubble=False):
    """The curves at home have new points."""

    metric: str
    """The value they show: `val/r2/log_g`."""
    metrics: tuple[str, ...]
    """All values there are to show."""
    x_label: str
    """`epoch`, or `step` where a job counts no epochs."""
    series: tuple[Series, ...]
    lines: tuple[Line, ...]
    """The levels the gates ask of it."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, CurvesUpdated)


@dataclass(frozen=True)
class RunCurve:
    """One run's samples of one value."""

    job: str
    label: str
    color: Rgb
    batch: float | None
    """Spectra a step; None for a job that has no such thing."""
    samples: tuple[Sample, ...]


@dataclass
class RunsUpdated(Message, bubble=False):
    """The runs on the curves screen have new points."""

    metric: str
    metrics: tuple[str, ...]
    runs: tuple[RunCurve, ...]
    lines: tuple[Line, ...]
    """What the gates ask of the value, and the ceilings."""
    axis: str
    """`epoch`, or `step` where a run counts no epochs: against what they are first drawn."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, RunsUpdated)


@dataclass
class LogUpdated(Message, bubble=False):
    """New lines in the watched job's log."""

    job: str
    lines: tuple[str, ...]
    fresh: bool
    """These are the first: what was shown before belongs to another job."""
    unfinished: str = ""
    """The line being written: a progress bar."""


@dataclass
class ReadFailed(Message, bubble=False):
    """Something the user should know, in one line."""

    text: str


@dataclass
class JobsEnded(Message, bubble=False):
    """Jobs ended, or were lost, since the last reading."""

    jobs: tuple[JobView, ...]
