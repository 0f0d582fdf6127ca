"""The watcher: reads the lab, the events and one log in a thread, and posts what it saw."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from textual.message import Message

from vitlab.contract.job import Done, Running
from vitlab.contract.networks import TrainConfig
from vitlab.contract.paths import JobPaths, LabPaths, UsageError
from vitlab.contract.value import Value, judged_by
from vitlab.lab.progress import Samples
from vitlab.plot.chart import PALETTE
from vitlab.plot.series import Line, Rgb, Series
from vitlab.tui.watch import clock
from vitlab.tui.watch.messages import (
    CurvesSeen,
    LabSeen,
    LogSeen,
    RoadmapsSeen,
    RunCurve,
    RunsSeen,
    Trouble,
)

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView, LabView
    from vitlab.tui.desk import Desk, Lines

Stamp = frozenset[tuple[str, int, int]]
"""Path, time of the last change in ns, and size of everything that was there."""


def stamp(lab: LabPaths, view: LabView) -> Stamp:
    """The documents, the experiments' files and folders, and the jobs that have not ended.

    A job that comes, starts or ends changes the time of a folder: all its files are renamed into
    their place. Ended jobs are left out; a thousand of them cost nothing.
    """
    paths = [str(job.paths.folder) for job in view.jobs if not isinstance(job.state, Done)]
    if view.path is not None:
        paths.append(str(view.path))
    found = {one for path in paths if (one := _of(path)) is not None}
    return frozenset(found.union(_inside(lab.roadmaps), _inside(lab.experiments)))


def _of(path: str) -> tuple[str, int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - strings, not a Path for each
    except OSError:
        return None
    return path, stat.st_mtime_ns, stat.st_size


def _inside(folder: Path) -> Iterator[tuple[str, int, int]]:
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return
    for name in names:
        one = _of(os.path.join(folder, name))  # noqa: PTH118
        if one is not None:
            yield one


POLL = 0.3
"""Seconds between two looks at the events and the log."""
LOOK = 1.0
"""Seconds between two looks at the whole lab where nothing seems to have changed."""
PAINTED = 0.4
"""Seconds from the first look, which is a glance, to the one that reads everything."""
AROUND = 5.0
"""Seconds between two looks at all the roadmaps."""
ENDED = 4
"""How many ended jobs keep their curves when nothing runs."""


@dataclass
class Track:
    """One job's values as the charts draw them."""

    label: str
    headline: str
    color: Rgb
    batch: float | None = None
    """Spectra a step; None for a job that has no such thing."""
    curves: Mapping[str, Samples] = field(default_factory=dict)
    """Value name -> its samples, oldest first."""


@dataclass(frozen=True)
class Wish:
    """What the curves screen wants to be told of."""

    jobs: frozenset[str] | None = None
    """Job names; None for those that run, or ended last."""
    metric: str | None = None
    """None for the headline."""


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
        self._wish: Wish | None = None
        self._told: object = None
        self._metrics: tuple[str, ...] = ()
        self._plotted = ""
        self.looked = clock.ticks()
        """When the lab was last read, by `clock.ticks`."""
        self._sum_up = 0.0
        """When the roadmaps are due to be summed up."""
        self._stamp: Stamp | None = None
        """Of the files as they were before the last look; None before the first."""

    def select(self, job: JobPaths | None) -> None:
        """Follow this job's log, and its curve even when it has ended."""
        if job != self._selected:
            self._selected = job
            self._wake.set()

    def show(self, metric: str) -> None:
        """Plot this value from now on."""
        self._metric = metric
        self._wake.set()

    def follow(self, wish: Wish | None) -> None:
        """Tell of these runs' values from now on; None when nobody looks at them any more."""
        self._wish, self._told = wish, None
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
            if self._wake.is_set() or began >= due or self._changed(view):
                self._wake.clear()
                first = view is None
                view = self._look() or view
                # A big lab is looked at less often, so that looking never fills a core.
                due = time.monotonic() + max(LOOK, 5 * (time.monotonic() - began))
                if first and view is not None:
                    # It was a glance, which is to be painted before all is read.
                    due = time.monotonic() + PAINTED
            elif view is not None and began >= self._sum_up:
                self._look_around()
            if view is not None:
                self._follow(view)
            self._read_log()
            self._wake.wait(POLL)

    def _changed(self, view: LabView | None) -> bool:
        """Whether a file is not what it was: then the lab is looked at without delay."""
        if view is None or self._stamp is None:
            return False
        before, self._stamp = self._stamp, stamp(self._desk.lab.paths, view)
        return self._stamp != before

    def _look(self) -> LabView | None:
        try:
            view = self._desk.look()
        except (UsageError, OSError) as error:
            self._say(str(error))
            return None
        self.looked = clock.ticks()
        self._post(LabSeen(view))
        if self._stamp is None:
            self._stamp = stamp(self._desk.lab.paths, view)
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
        wished = self._wished(view, watched)
        grown = {job.paths.name for job in (*watched, *wished) if self._grow(job)}
        names = [job.paths.name for job in watched]
        tracks = [self._tracks[name] for name in names]
        metrics = tuple(sorted({name for track in tracks for name in track.curves}))
        metric = self._metric or default_metric(metrics, tracks)
        self._metrics, self._plotted = metrics, metric
        shown = (metric, tuple(names))
        if grown & set(names) or shown != self._shown:
            self._shown = shown
            self._post(curves(metric, metrics, tracks, self._desk.levels(view, metric)))
        if self._wish is not None:
            self._tell_runs(view, wished, grown)

    def _wished(self, view: LabView, watched: list[JobView]) -> list[JobView]:
        """The runs the curves screen wants; those home watches where it named none."""
        if self._wish is None:
            return []
        names = self._wish.jobs
        if names is None:
            return watched
        return [job for job in view.jobs if job.paths.name in names]

    def _grow(self, job: JobView) -> bool:
        """Read the job's new events; whether they brought values."""
        track = self._tracks.get(job.paths.name)
        if track is None:
            batch = job.spec.config.get("train", {}).get("batch", TrainConfig.batch)
            track = self._tracks[job.paths.name] = Track(
                f"{job.spec.mvp} {job.spec.run}",
                job.spec.headline,
                PALETTE[len(self._tracks) % len(PALETTE)],
                float(batch) if job.spec.recipe in ("vit", "mlp") else None,
            )
        before, track.curves = track.curves, self._desk.progress(job.paths).curves
        return track.curves is not before

    def _tell_runs(self, view: LabView, jobs: list[JobView], grown: set[str]) -> None:
        """Post the samples the curves screen wants, when there is anything new to them."""
        assert self._wish is not None
        tracks = {job.paths.name: self._tracks[job.paths.name] for job in jobs}
        metrics = tuple(sorted({name for track in tracks.values() for name in track.curves}))
        metric = self._wish.metric
        if metric not in metrics:
            metric = default_metric(metrics, tracks.values())
        told = (metric, metrics, tuple(tracks))
        if not grown & set(tracks) and told == self._told:
            return
        self._told = told
        runs = tuple(
            RunCurve(
                name, track.label, track.color, track.batch, tuple(track.curves.get(metric, ()))
            )
            for name, track in tracks.items()
        )
        self._post(RunsSeen(metric, metrics, runs, self._desk.levels(view, metric)))

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


def worth_watching(jobs: list[JobView], selected: JobPaths | None) -> list[JobView]:
    """Every running job and the selected one.

    When nothing runs, what ended last, of the selected job's kind where one is selected: steps of
    a ridge and of a network have no axis in common.
    """
    chosen = [job for job in jobs if isinstance(job.state, Running)]
    picked = next((job for job in jobs if job.paths == selected), None)
    if not chosen:
        ended = [job for job in jobs if job.step > 0 or job.values]
        if picked is not None:
            kind = (picked.spec.mvp, picked.spec.recipe)
            ended = [job for job in ended if (job.spec.mvp, job.spec.recipe) == kind]
        chosen = sorted(ended, key=lambda job: job.paths.folder.name)[-ENDED:]
    return chosen if picked is None or picked in chosen else [*chosen, picked]


def default_metric(metrics: Iterable[str], tracks: Iterable[Track]) -> str:
    """The headline on the validation split: what a running job can already say of it."""
    headline = judged_by(track.headline for track in tracks)
    wanted = str(Value.parse(headline).live)
    there = list(metrics)
    for name in (wanted, headline):
        if name in there:
            return name
    similar = [name for name in there if Value.parse(name).split == "val"]
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
    shown = [(track, list(track.curves.get(metric, ()))) for track in tracks]
    epochs = all(_one_an_epoch([sample.epoch for sample in points]) for _, points in shown)
    series = tuple(
        Series(
            track.label,
            [sample.epoch if epochs else sample.step for sample in points],
            [sample.value for sample in points],
            track.color,
        )
        for track, points in shown
    )
    return CurvesSeen(metric, metrics, "epoch" if epochs else "step", series, lines)
