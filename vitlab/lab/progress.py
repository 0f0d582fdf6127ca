"""How far a job is, folded from its events as they come."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vitlab.contract.events import Event, read_events
from vitlab.contract.paths import JobPaths
from vitlab.jobs.logs.tail import EventTail

GLANCE = 1500
"""Bytes at the end of the events that a first look reads."""
POINTS = 2048
"""Points kept of a live curve; beyond, every other one is dropped."""


@dataclass(frozen=True)
class Point:
    """One evaluation on the validation set."""

    step: int
    seconds: float
    """Run time until then; the pause before a resume does not count."""
    values: Mapping[str, float | None]


@dataclass(frozen=True)
class Progress:
    """What a job's events have said so far."""

    step: int = 0
    of: int = 0
    """Steps in all; 0 until the job knows."""
    epoch: float | None = None
    values: Mapping[str, float | None] = field(default_factory=dict)
    """The latest of each value."""
    began: float = 0.0
    """Unix seconds of the last `start`; 0 before it."""
    first: tuple[int, float] | None = None
    """The first step this process told of, and when: what came before was no training."""
    before: float = 0.0
    """Run time of the processes before this one, in seconds."""
    last: float = 0.0
    """Unix seconds of the latest event; 0 before any."""
    points: tuple[Point, ...] = ()
    """The live curve, oldest first."""

    def eta(self, now: float) -> float | None:
        """Seconds to the last step at the speed so far; None while it is not known."""
        if self.first is None or not self.of or self.step <= self.first[0]:
            return None
        each = (self.last - self.first[1]) / (self.step - self.first[0])
        return max(self.of - self.step, 0) * each - max(now - self.last, 0)


def fold(progress: Progress, event: Event) -> Progress:
    """`progress` after one more event."""
    data = event.data
    match event.kind:
        case "start":
            resumed = bool(data.get("resumed_from"))
            return replace(
                progress,
                began=event.t,
                first=None,
                before=_run_time(progress, progress.last) if resumed else 0.0,
                last=event.t,
            )
        case "step" | "eval":
            of = data.get("of")
            epoch = data.get("epoch")
            return replace(
                progress,
                # The test set is scored at the best step, which is behind the last one.
                step=event.step if event.kind == "step" else max(progress.step, event.step),
                of=of if isinstance(of, int) else progress.of,
                epoch=float(epoch) if isinstance(epoch, int | float) else progress.epoch,
                values={**progress.values, **event.values},
                first=progress.first or ((event.step, event.t) if event.kind == "step" else None),
                last=event.t,
                points=_points(progress, event),
            )
        case _:
            return replace(progress, last=event.t)


def _points(progress: Progress, event: Event) -> tuple[Point, ...]:
    """A resumed run repeats the steps after its checkpoint: the later ones count."""
    if event.kind != "eval" or event.data.get("split", "val") != "val":
        return progress.points
    kept = progress.points
    if kept and kept[-1].step >= event.step:
        kept = tuple(point for point in kept if point.step < event.step)
    if len(kept) >= POINTS:
        kept = kept[::2]
    return (*kept, Point(event.step, _run_time(progress, event.t), event.values))


def _run_time(progress: Progress, t: float) -> float:
    return progress.before + max(t - progress.began, 0.0) if progress.began else 0.0


def glance(job: JobPaths) -> Progress:
    """What the end of a job's events says: its last step and values, without the curve."""
    progress = Progress()
    with contextlib.suppress(OSError):
        offset = max(job.events.stat().st_size - GLANCE, 0)
        for event in read_events(job.events, offset)[0]:
            progress = fold(progress, event)
    return replace(progress, points=())


class ProgressReader:
    """Follows one job's `events.jsonl`; each poll reads only what is new."""

    def __init__(self, job: JobPaths) -> None:
        self._tail = EventTail(job.events)
        self._progress = Progress()

    def poll(self) -> Progress:
        for event in self._tail.poll():
            self._progress = fold(self._progress, event)
        return self._progress
