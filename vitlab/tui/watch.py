"""The watcher: reads the lab, the events and one log in a thread, and posts what it saw."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from textual.message import Message

from vitlab.contract.events import Event
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.state import Running
from vitlab.plot.chart import PALETTE
from vitlab.plot.series import Line, Rgb, Series
from vitlab.tui.messages import CurvesSeen, LabSeen, LogSeen, RoadmapsSeen, Trouble

if TYPE_CHECKING:
    from vitlab.records.view import JobView, LabView
    from vitlab.tui.desk import Desk, Events, Lines

POLL = 0.3
"""Seconds between two looks at the events and the log."""
LOOK = 1.0
"""Seconds between two looks at the whole lab."""
AROUND = 5.0
"""Seconds between two looks at all the roadmaps."""
ENDED = 4
"""How many ended jobs keep their curves when nothing runs."""

KEEP = 4096
"""Points kept of one value of one job; more than any screen has columns."""

Sample = tuple[float, float | None, float | None]
"""Step, epoch, value."""


@dataclass
class Track:
    """The values of one job, as its events tell them."""

    label: str
    headline: str
    color: Rgb
    events: Events
    points: dict[str, list[Sample]] = field(default_factory=dict)
    """Value name -> (step, epoch, value)."""

    def grow(self) -> bool:
        """Take in the new events; whether there were any values."""
        grown = False
        for event in self.events.poll():
            grown = self.take(event) or grown
        return grown

    def take(self, event: Event) -> bool:
        """Take in one event; whether it brought values."""
        if event.kind not in ("step", "eval"):
            return False
        epoch = event.data.get("epoch")
        for name, value in event.values.items():
            points = self.points.setdefault(name, [])
            # A resumed run repeats the steps after its checkpoint: the later ones count.
            while points and points[-1][0] >= event.step:
                points.pop()
            at = (event.step, float(epoch) if isinstance(epoch, int | float) else None, value)
            points.append(at)
            if len(points) > KEEP:
                self.points[name] = thinned(points)
        return bool(event.values)


class Watch:
    """Polls until it is stopped; everything it finds is posted, nothing is drawn here."""

    def __init__(self, desk: Desk, post: Callable[[Message], object]) -> None:
        self._desk = desk
        self._post = post
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._tracks: dict[str, Track] = {}
        self._selected: JobPaths | None = None
        self._metric: str | None = None
        self._log: tuple[JobPaths, Lines] | None = None
        self._said: str | None = None
        self._shown: object = None
        self._metrics: tuple[str, ...] = ()
        self._plotted = ""
        self._sum_up = 0.0
        """When the roadmaps are due to be summed up."""

    def select(self, job: JobPaths | None) -> None:
        """Follow this job's log, and its curve even when it has ended."""
        if job != self._selected:
            self._selected = job
            self._wake.set()

    def show(self, metric: str) -> None:
        """Plot this value from now on."""
        self._metric = metric
        self._wake.set()

    def show_next(self) -> None:
        """Plot the next of the values there are."""
        if self._metrics:
            at = self._metrics.index(self._plotted) + 1 if self._plotted in self._metrics else 0
            self.show(self._metrics[at % len(self._metrics)])

    def poke(self) -> None:
        """Look at once: something has just been done."""
        self._said = None
        self._sum_up = 0.0
        self._wake.set()

    def stop(self) -> None:
        self._stopped.set()
        self._wake.set()

    def run(self) -> None:
        """The thread's body."""
        due = 0.0
        view: LabView | None = None
        while not self._stopped.is_set():
            began = time.monotonic()
            if self._wake.is_set() or began >= due:
                self._wake.clear()
                view = self._look() or view
                # A big lab is looked at less often, so that looking never fills a core.
                due = time.monotonic() + max(LOOK, 5 * (time.monotonic() - began))
            elif view is not None and began >= self._sum_up:
                self._look_around()
            if view is not None:
                self._follow(view)
            self._read_log()
            self._wake.wait(POLL)

    def _look(self) -> LabView | None:
        try:
            view = self._desk.look()
        except (UsageError, OSError) as error:
            self._say(str(error))
            return None
        self._post(LabSeen(view))
        return view

    def _look_around(self) -> None:
        """Sum up every roadmap; after the first picture, and seldom."""
        began = time.monotonic()
        self._post(RoadmapsSeen(self._desk.roadmaps()))
        self._sum_up = time.monotonic() + max(AROUND, 10 * (time.monotonic() - began))

    def _say(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._post(Trouble(text))

    def _follow(self, view: LabView) -> None:
        watched = worth_watching(list(view.jobs), self._selected)
        names = [job.paths.name for job in watched]
        grown = False
        for job in watched:
            if job.paths.name not in self._tracks:
                self._tracks[job.paths.name] = Track(
                    f"{job.spec.mvp} {job.spec.run}",
                    job.spec.headline,
                    PALETTE[len(self._tracks) % len(PALETTE)],
                    self._desk.events(job.paths),
                )
            grown = self._tracks[job.paths.name].grow() or grown
        tracks = [self._tracks[name] for name in names]
        metrics = tuple(sorted({name for track in tracks for name in track.points}))
        metric = self._metric or default_metric(metrics, tracks)
        self._metrics, self._plotted = metrics, metric
        shown = (metric, tuple(names))
        if grown or shown != self._shown:
            self._shown = shown
            self._post(curves(metric, metrics, tracks, self._desk.levels(view, metric)))

    def _read_log(self) -> None:
        job = self._selected
        if job is None:
            return
        fresh = self._log is None or self._log[0] != job
        if fresh:
            self._log = (job, self._desk.log(job))
        assert self._log is not None
        lines = self._log[1].poll()
        if lines or fresh:
            self._post(LogSeen(job.name, tuple(lines), fresh))


def thinned(points: list[Sample]) -> list[Sample]:
    """About half the points: of every four the lowest and the highest, and a gap if any."""
    kept: list[Sample] = []
    for i in range(0, len(points), 4):
        group = points[i : i + 4]
        known = [(value, j) for j, (_, _, value) in enumerate(group) if value is not None]
        missing = [j for j, (_, _, value) in enumerate(group) if value is None]
        keep = {min(known)[1], max(known)[1]} if known else set()
        kept += [group[j] for j in sorted(keep | set(missing[:1]))]
    return kept


def worth_watching(jobs: list[JobView], selected: JobPaths | None) -> list[JobView]:
    """Every running job and the selected one; the last ended ones when nothing runs."""
    running = [job for job in jobs if isinstance(job.state, Running)]
    chosen = (
        running
        or sorted(
            (job for job in jobs if job.step > 0 or job.values),
            key=lambda job: job.paths.folder.name,
        )[-ENDED:]
    )
    chosen += [job for job in jobs if job.paths == selected and job not in chosen]
    return chosen


def default_metric(metrics: Iterable[str], tracks: Iterable[Track]) -> str:
    """The headline on the validation split: what a running job can already say of it."""
    headlines = Counter(track.headline for track in tracks)
    headline = headlines.most_common(1)[0][0] if headlines else "test/r2/log_g"
    wanted = "val/" + headline.partition("/")[2]
    there = list(metrics)
    for name in (wanted, headline):
        if name in there:
            return name
    similar = [name for name in there if name.startswith("val/")]
    return similar[0] if similar else wanted


def _one_an_epoch(epochs: list[float | None]) -> bool:
    return (
        all(
            before is not None and after is not None and before < after
            for before, after in pairwise(epochs)
        )
        and None not in epochs
    )


def curves(
    metric: str, metrics: tuple[str, ...], tracks: list[Track], lines: tuple[Line, ...]
) -> CurvesSeen:
    """One series a job, by epoch where every job has one value an epoch, else by step."""
    shown = [(track, list(track.points.get(metric, ()))) for track in tracks]
    epochs = all(_one_an_epoch([epoch for _, epoch, _ in points]) for _, points in shown)
    series = tuple(
        Series(
            track.label,
            [epoch if epochs else step for step, epoch, _ in points],
            [value for _, _, value in points],
            track.color,
        )
        for track, points in shown
    )
    return CurvesSeen(metric, metrics, "epoch" if epochs else "step", series, lines)
