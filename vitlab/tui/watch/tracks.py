"""The values of jobs as their events tell them, kept few enough to draw."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from vitlab.contract.events import Event
from vitlab.plot.series import Rgb

if TYPE_CHECKING:
    from vitlab.tui.desk import Events

KEEP = 2048
"""Points kept of one value of one job; more than any screen has columns."""


class Sample(NamedTuple):
    """One value as it was told."""

    step: float
    epoch: float | None
    seconds: float | None
    """Run time until then; pauses before a resume do not count."""
    value: float | None
    """None where it was not finite."""


@dataclass
class Track:
    """The values of one job, as its events tell them."""

    label: str
    headline: str
    color: Rgb
    events: Events
    batch: float | None = None
    """Spectra a step; None for a job that has no such thing."""
    points: dict[str, list[Sample]] = field(default_factory=dict)
    """Value name -> its samples, oldest first."""
    _began: float | None = None
    """Unix seconds of the last start; None before it."""
    _before: float = 0.0
    """Run time of the processes before this one."""
    _last: float = 0.0

    def grow(self) -> bool:
        """Take in the new events; whether there were any values."""
        grown = False
        for event in self.events.poll():
            grown = self.take(event) or grown
        return grown

    def take(self, event: Event) -> bool:
        """Take in one event; whether it brought values."""
        if event.kind == "start":
            self._start(event)
        self._last = event.t
        if event.kind not in ("step", "eval"):
            return False
        epoch = event.data.get("epoch")
        epoch = float(epoch) if isinstance(epoch, int | float) else None
        seconds = None if self._began is None else self._before + event.t - self._began
        for name, value in event.values.items():
            points = self.points.setdefault(name, [])
            # A resumed run repeats the steps after its checkpoint: the later ones count.
            while points and points[-1].step >= event.step:
                points.pop()
            points.append(Sample(event.step, epoch, seconds, value))
            if len(points) > KEEP:
                self.points[name] = thinned(points)
        return bool(event.values)

    def _start(self, event: Event) -> None:
        resumed = bool(event.data.get("resumed_from")) and self._began is not None
        self._before = self._before + self._last - (self._began or 0.0) if resumed else 0.0
        self._began = event.t


def thinned(points: list[Sample]) -> list[Sample]:
    """About half the points: of every four the lowest and the highest, and a gap if any."""
    kept: list[Sample] = []
    for i in range(0, len(points), 4):
        group = points[i : i + 4]
        known = [(value, j) for j, (*_, value) in enumerate(group) if value is not None]
        missing = [j for j, (*_, value) in enumerate(group) if value is None]
        keep = {min(known)[1], max(known)[1]} if known else set()
        kept += [group[j] for j in sorted(keep | set(missing[:1]))]
    return kept
