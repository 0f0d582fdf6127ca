"""The watcher: reads the lab, the events and one log in a thread, and posts what is new."""

from __future__ import annotations

import operator
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from textual.message import Message

from vitlab.contract.job import Done, Lost, Running
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.value import Value, judged_by
from vitlab.jobs.logs.tail import LogTail
from vitlab.lab.figures.axes import (
    AXES,
    Plan,
    Run,
    axis_of,
    distinct,
    read_plan,
    run_of,
    series,
    x_range,
)
from vitlab.lab.progress import Progress, Samples
from vitlab.plot.chart import PALETTE
from vitlab.plot.series import Line, Rgb
from vitlab.tui.text import ticks
from vitlab.tui.watch.messages import (
    CurvesUpdated,
    JobsEnded,
    LabUpdated,
    LogUpdated,
    ReadFailed,
    RoadmapsUpdated,
    RunsUpdated,
)
from vitlab.tui.watch.pace import LOOK, SHARE, Change, Pace, stopwatch

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab
    from vitlab.lab.live.snapshot import JobView, LabSnapshot
    from vitlab.tui.watch.reader import LabReader

SUMMARIES = 5.0
"""Seconds from a change in the lab to a reading of all the roadmaps."""
UNCHANGED = 60.0
"""Seconds between two of them where nothing has changed."""
ENDED = 4
"""How many ended jobs keep their curves when nothing runs."""
LOG_BYTES = 1 << 18
"""How much of a log is read when it is opened."""


@dataclass
class Track:
    """One job's values as the charts draw them."""

    label: str
    headline: str
    color: Rgb
    plan: Plan = field(default_factory=Plan)
    job: str = ""
    progress: Progress = field(default_factory=Progress)
    """With the curves; empty while no chart shows them."""

    @property
    def curves(self) -> Mapping[str, Samples]:
        """Value name -> its samples, oldest first."""
        return self.progress.curves


@dataclass(frozen=True)
class RunRequest:
    """The runs and the value that the curves screen shows."""

    jobs: frozenset[str] | None = None
    """Job names; None for those that run, or ended last."""
    metric: str | None = None
    """None for the headline."""


class Lines(Protocol):
    @property
    def unfinished(self) -> str: ...

    def poll(self) -> list[str]: ...


class Watcher:
    """Polls until it is stopped; everything new is posted, nothing is drawn here."""

    def __init__(self, lab: Lab, roadmap: Path | None, post: Callable[[Message], object]) -> None:
        self.roadmap = roadmap
        """The one that is read; None for a lab without any."""
        self.reader: LabReader | None = None
        """Loaded by the thread."""
        self.read_at = ticks()
        """When the lab was last known to be as shown, by `text.ticks`."""
        self.pace = Pace()
        self._lab = lab
        self._post = post
        self._stopped = threading.Event()
        self._wake = threading.Event()
        self._view: LabSnapshot | None = None
        """The whole lab as last read; None before the first reading."""
        self._tracks: dict[str, Track] = {}
        self._chosen: tuple[tuple[object, ...], tuple[list[JobView], list[JobView]]] | None = None
        """The jobs whose curves are read, and what they were chosen from."""
        self._ends = EndedJobs()
        self._job: JobPaths | None = None
        self._metric: str | None = None
        self._log: tuple[JobPaths, Lines] | None = None
        self._unfinished = ""
        self._trouble = Trouble(post)
        self._request: RunRequest | None = None
        self._posted_curves: object = None
        self._posted_runs: object = None
        self._metrics: tuple[str, ...] = ()
        self._plotted = ""
        self._summaries, self._curves_due = Summaries(), 0.0

    def follow_job(self, job: JobPaths | None) -> None:
        """Read this job's log, its curves and those of its MVP; None: nothing of any job.

        All of it is posted, also of the job followed so far: another screen shows it.
        """
        self._posted_curves = None
        self._job, self._log = job, None
        self._look_at_curves()

    def follow_runs(self, request: RunRequest | None) -> None:
        """Post these runs' values from now on; None when no screen shows them."""
        self._request, self._posted_runs = request, None
        self._look_at_curves()

    def open_roadmap(self, roadmap: Path | None) -> None:
        """Read this one of the lab's roadmaps from now on; None: the lab has none."""
        self.roadmap = roadmap
        self.refresh_now()

    def show_metric(self, metric: str) -> None:
        """Post the curves of this value from now on."""
        self._metric = metric
        self._look_at_curves()

    def _look_at_curves(self) -> None:
        """At once: what is asked of them has changed, and was set before."""
        self._curves_due = 0.0
        self._wake.set()

    def show_next_metric(self) -> None:
        """Post the curves of the next value."""
        if self._metrics:
            at = self._metrics.index(self._plotted) + 1 if self._plotted in self._metrics else 0
            self.show_metric(self._metrics[at % len(self._metrics)])

    def refresh_now(self) -> None:
        """Read everything at once: something was just changed."""
        self._trouble.forget()
        self._summaries = Summaries()
        self.pace.ask()
        self._wake.set()

    def attend(self) -> None:
        """A person is at the keys: look at once, and often from now on."""
        if self.pace.attend():
            self._wake.set()

    def stop(self) -> None:
        self._stopped.set()
        self._wake.set()

    def run(self) -> None:
        """The thread's body."""
        # The lab's side is loaded here, while Textual draws its first frame.
        from vitlab.tui.watch.reader import LabReader

        self.reader = reader = LabReader(self._lab)
        while not self._stopped.is_set():
            self._wake.clear()
            with self._trouble.told("look"):
                self._look(reader)
            self._wake.wait(self.pace.rest())

    def _look(self, reader: LabReader) -> None:
        """Read what has changed, and everything when that is due."""
        pace, view = self.pace, self._view
        changed = reader.changed(view, everything=not pace.busy) if view else Change.NONE
        if changed:
            pace.happened()
        due = pace.begin() or changed > Change.RUNNING
        if not due and view is not None and (changed or pace.begin_running()):
            due = not self._read_running(reader, view)
        if due:
            cost = stopwatch()
            self._read(reader)
            pace.end(cost(), first=view is None and self._view is not None)
        elif view is not None:
            if not pace.busy:
                self.read_at = ticks()
            if self._summaries.are_due:  # after the first picture
                with self._trouble.told("summaries"):
                    self._post(self._summaries.read(reader, self.roadmap, pace))
        if changed and due:
            self._summaries.expect()
        if self._view is not None and not (pace.rests and self._view is view):
            if self._view is not view or time.monotonic() >= self._curves_due:
                self._curves_due = time.monotonic() + LOOK  # before: a key may ask meanwhile
                with self._trouble.told("curves"):
                    self._read_curves(reader, self._view)
            self._read_log()

    def _read(self, reader: LabReader) -> None:
        try:
            view = reader.read(self.roadmap)
        except (UsageError, OSError) as error:
            self.pace.busy = True
            self._trouble.tell("lab", str(error))
            return
        self._view, self.pace.busy = view, reader.is_busy(view)
        self._trouble.tell("lab", reader.trouble)
        self.read_at = ticks()
        self._post(LabUpdated(view))
        if ended := self._ends.update(view.jobs):
            self._post(JobsEnded(tuple(ended)))

    def _read_running(self, reader: LabReader, view: LabSnapshot) -> bool:
        """Post what runs as it is now; whether that is all that has changed since `view`."""
        try:
            now = reader.read_running(view)
        except (UsageError, OSError):
            return False  # told by the reading of everything
        if now is None:
            return False
        self.pace.end_running()
        self.read_at = ticks()
        if now is not view:
            self._post(LabUpdated(now))
        return True

    def _read_curves(self, reader: LabReader, view: LabSnapshot) -> None:
        request = self._request  # once: a screen may change it meanwhile
        jobs, requested = self._choose(reader, view, request)
        grown = {job.paths.name for job in (*jobs, *requested) if self._read_track(job)}
        shown = [job.paths.name for job in jobs]
        tracks = [self._tracks[name] for name in shown]
        metrics = tuple(sorted({name for track in tracks for name in track.curves}))
        metric = self._metric or default_metric(metrics, tracks)
        self._metrics, self._plotted = metrics, metric
        key = (metric, tuple(shown))
        if grown & set(shown) or key != self._posted_curves:
            self._posted_curves = key
            self.pace.happened()
            levels = self._trouble.levels(reader, view, metric) if tracks else ()
            self._post(curves(metric, metrics, tracks, levels))
        if request is not None:
            self._post_runs(reader, view, request, requested, grown)

    def _choose(
        self, reader: LabReader, view: LabSnapshot, request: RunRequest | None
    ) -> tuple[list[JobView], list[JobView]]:
        """The jobs in the chart at home and those asked for; the curves of others are dropped."""
        key = (view, self._job, request)
        if self._chosen is not None and all(map(operator.is_, self._chosen[0], key)):
            return self._chosen[1]
        jobs = charted_jobs(view.jobs, self._job)
        requested: list[JobView] = []
        if request is not None:
            names = request.jobs
            if names is None:
                requested = newest_jobs(view.jobs)
            else:
                requested = [job for job in view.jobs if job.paths.name in names]
        kept = {job.paths.name for job in (*jobs, *requested)}
        for name, track in self._tracks.items():
            if name not in kept:
                track.progress = Progress()
        reader.forget_all_but(view, kept)
        self._chosen = key, (jobs, requested)
        return jobs, requested

    def _read_track(self, job: JobView) -> bool:
        """Read the job's new events; whether they brought values."""
        track = self._tracks.get(job.paths.name)
        if track is None:
            track = self._tracks[job.paths.name] = Track(
                f"{job.spec.mvp} {job.spec.run}",
                job.spec.headline,
                PALETTE[len(self._tracks) % len(PALETTE)],
                read_plan(job.spec),
                job.paths.name,
            )
        before, track.progress = track.curves, self._lab.progress(job.paths)
        return track.curves is not before

    def _post_runs(
        self,
        reader: LabReader,
        view: LabSnapshot,
        request: RunRequest,
        jobs: list[JobView],
        grown: set[str],
    ) -> None:
        """Post the samples the curves screen shows, where any are new."""
        tracks = {job.paths.name: self._tracks[job.paths.name] for job in jobs}
        metrics = tuple(sorted({name for track in tracks.values() for name in track.curves}))
        metric = request.metric
        if metric not in metrics:
            metric = default_metric(metrics, tracks.values())
        key = (metric, metrics, tuple(tracks))
        if not grown & set(tracks) and key == self._posted_runs:
            return
        self._posted_runs = key
        runs = tuple(_runs(tracks.values(), metric))
        levels = self._trouble.levels(reader, view, metric)
        self._post(RunsUpdated(metric, metrics, runs, levels, axis_of(runs)))

    def _read_log(self) -> None:
        job, log = self._job, self._log  # once: a key may change them meanwhile
        if job is None:
            return
        fresh = log is None or log[0] != job
        if log is None or fresh:
            log = self._log = (job, LogTail(job.log, LOG_BYTES))
        try:
            lines = log[1].poll()
        except OSError as error:  # a pipe, a log one may not read
            lines = [f"{job.log.name}: {error.strerror}"] if fresh else []
        unfinished = log[1].unfinished
        if lines or fresh or unfinished != self._unfinished:
            self._unfinished = unfinished
            self.pace.happened()
            self._post(LogUpdated(job.name, tuple(lines), fresh, unfinished))


class Trouble:
    """What cannot be read, told once by each part of a look, until it is something else."""

    def __init__(self, post: Callable[[Message], object]) -> None:
        self._post = post
        self._last: dict[str, str] = {}

    def forget(self) -> None:
        """Tell it anew."""
        self._last = {}

    def tell(self, part: str, text: str) -> None:
        """Post a text of this part, if there is one and it is new."""
        if text and text != self._last.get(part):
            self._last[part] = text
            self._post(ReadFailed(text))

    @contextmanager
    def told(self, part: str) -> Iterator[None]:
        """Tell a reader's error, which would end the screen as if it were a fault of its own."""
        try:
            yield
        except (UsageError, OSError) as error:
            self.tell(part, str(error))

    def levels(self, reader: LabReader, view: LabSnapshot, metric: str) -> tuple[Line, ...]:
        """Of gates and ceilings; none where these cannot be read: the curves are drawn."""
        found: list[Line] = []
        with self.told("levels"):
            found += reader.levels(view, metric)
        return tuple(found)


class Summaries:
    """When all the roadmaps are read: soon after a change, and seldom where there is none."""

    def __init__(self) -> None:
        self._due = self._cost = 0.0

    @property
    def are_due(self) -> bool:
        return time.monotonic() >= self._due

    def expect(self) -> None:
        """Something has changed."""
        self._due = min(self._due, time.monotonic() + max(SUMMARIES, SHARE * self._cost))

    def read(self, reader: LabReader, roadmap: Path | None, pace: Pace) -> RoadmapsUpdated:
        """Every roadmap of the lab; `roadmap` is the one on the screen."""
        cost = stopwatch()
        try:
            return RoadmapsUpdated(reader.summaries(roadmap))
        finally:  # what cannot be read is not read at every look
            self._cost = cost()
            wait = max(UNCHANGED, SHARE * self._cost, pace.wait(self._cost))
            self._due = time.monotonic() + wait


class EndedJobs:
    """Compares each reading of the jobs with the one before, so that each end is told once."""

    def __init__(self) -> None:
        self._opened = time.time()
        self._known: dict[str, tuple[str, float] | None] | None = None
        """Job -> its end; None for one that has not ended. None before the first reading."""

    def update(self, jobs: Sequence[JobView]) -> list[JobView]:
        """The jobs that have ended, or were lost, since the last reading."""
        before, self._known = self._known, {job.paths.name: _end(job) for job in jobs}
        if before is None:
            return []
        return [job for job in jobs if self._is_new(job, before)]

    def _is_new(self, job: JobView, before: Mapping[str, tuple[str, float] | None]) -> bool:
        name, end = job.paths.name, _end(job)
        if end is None:
            return False
        if name in before:
            return before[name] != end
        # Launched and ended between two readings, not an old folder that was brought here.
        return end[1] >= self._opened


def _end(job: JobView) -> tuple[str, float] | None:
    match job.state:
        case Done(ended=when):
            return "done", when
        case Lost(started=when):
            return "lost", when
        case _:
            return None


def newest_jobs(jobs: Iterable[JobView]) -> list[JobView]:
    """Every running job; when nothing runs, those that ended last."""
    known = [job for job in jobs if isinstance(job.state, Running) or job.step > 0 or job.values]
    running = [job for job in known if isinstance(job.state, Running)]
    return running or sorted(known, key=lambda job: job.paths.folder.name)[-ENDED:]


def charted_jobs(jobs: Sequence[JobView], selected: JobPaths | None) -> list[JobView]:
    """The selected job with the newest of its MVP; no job is charted where none is selected."""
    picked = next((job for job in jobs if job.paths == selected), None)
    if picked is None:
        return []
    spec = picked.spec
    mine = [j for j in jobs if (j.spec.mvp, j.spec.roadmap) == (spec.mvp, spec.roadmap)]
    chosen = newest_jobs(mine)
    return chosen if picked in chosen else [*chosen, picked]


def default_metric(metrics: Iterable[str], tracks: Iterable[Track]) -> str:
    """The headline on the validation split, which a running job already has."""
    headline = judged_by(track.headline for track in tracks)
    preferred = str(Value.parse(headline).live)
    known = list(metrics)
    for name in (preferred, headline):
        if name in known:
            return name
    similar = [name for name in known if Value.parse(name).split == "val"]
    return similar[0] if similar else preferred


def _runs(tracks: Collection[Track], metric: str) -> Iterator[Run]:
    labels = distinct([one.label for one in tracks], [one.job for one in tracks])
    for label, track in zip(labels, tracks, strict=True):
        run = run_of(label, track.plan, track.progress, metric)
        yield replace(run, job=track.job, color=track.color, samples=tuple(run.samples))


def curves(
    metric: str, metrics: tuple[str, ...], tracks: list[Track], lines: tuple[Line, ...]
) -> CurvesUpdated:
    """One series a job, on an axis that means something to all of them."""
    runs = [*_runs(tracks, metric)]
    axis = axis_of(runs)
    drawn = tuple(series(run, axis, metric) for run in runs)
    return CurvesUpdated(metric, metrics, AXES[axis], drawn, lines, x_range(runs, drawn, axis))
