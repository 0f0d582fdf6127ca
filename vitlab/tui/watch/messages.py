"""What the watcher posts to the screen; a newer message replaces the one that still waits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.message import Message

from vitlab.lab.figures.axes import Run
from vitlab.plot.series import Line, Range, Series

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
    """What x is, as `lab.figures.axes` chose it."""
    series: tuple[Series, ...]
    lines: tuple[Line, ...]
    """The levels the gates ask of it."""
    x_range: Range | None = None
    """From 0 to the end as planned; None where nothing is known."""

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, CurvesUpdated)


@dataclass
class RunsUpdated(Message, bubble=False):
    """The runs on the curves screen have new points."""

    metric: str
    metrics: tuple[str, ...]
    runs: tuple[Run, ...]
    lines: tuple[Line, ...]
    """What the gates ask of the value, and the ceilings."""
    axis: str
    """Against what they are first drawn, of `lab.figures.axes.AXES`."""

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
