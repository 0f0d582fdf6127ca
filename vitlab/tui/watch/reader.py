"""Reads the lab as the screen shows it, after the work that should not wait for a person.

Loaded in the watcher's thread; what launches, writes, sums up and checks is loaded where it is
used, as the first picture is not to wait for that.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.contract.job import Done, Lost, Queued, Running, state_word
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.live import snapshot
from vitlab.lab.live.snapshot import Kept, LabSnapshot, RoadmapSummary
from vitlab.plot.series import Line
from vitlab.tui.jobs_index import belongs
from vitlab.tui.watch.pace import Change

if TYPE_CHECKING:
    from vitlab.lab.live.mvp_summary import MvpSummary

SLURM_INTERVAL = 10.0
"""Seconds between two questions to Slurm, while it has jobs of ours."""

TURN, TURNS = 50, 20
"""Folders of ended and held jobs looked at at once, at least; in how many turns all of many are."""


class LabReader:
    """One lab, read again and again."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._handled: set[tuple[str, str]] = set()
        """The jobs, with their states, for which the queue was last advanced."""
        self._first = True
        self._kept = Kept()
        self._roadmaps: tuple[Path, ...] = ()
        """As last summarized."""
        self._stamps: dict[str, tuple[int, int] | None] = {}
        """Of the files, when they were last looked at."""
        self._looked_at: LabSnapshot | None = None
        self._always: list[str] = []
        self._running: set[str] = set()
        self._in_turn: list[str] = []
        self._turn = 0
        self._levels: tuple[LabSnapshot, str, tuple[Line, ...]] | None = None
        """As last read, and of what: curves grow more often than the lab changes."""
        self.trouble = ""
        """Why statuses or results could not be written when it read last; empty when they could."""
        self.seconds: deque[float] = deque(maxlen=60)
        """How long each of the last readings took."""

    def read(self, roadmap: Path | None) -> LabSnapshot:
        """The lab as it is on disk now; the first time quickly, so that there is a screen soon."""
        began, self.trouble = time.monotonic(), ""
        try:
            if self._first:
                self._first = False
                return snapshot.read_snapshot(self._lab, roadmap, quick=True)
            return self._read(roadmap)
        finally:
            self.seconds.append(time.monotonic() - began)

    def _read(self, roadmap: Path | None) -> LabSnapshot:
        """The queue needs us only where a supervisor was killed and nobody else came by."""
        from vitlab.lab import launch
        from vitlab.lab.writeback import edits, status_sync

        view = snapshot.read_snapshot(self._lab, roadmap, kept=self._kept)
        if (due := _due(view)) - self._handled:
            launch.advance_queue(self._lab)
            view = snapshot.read_snapshot(self._lab, roadmap, kept=self._kept)
        self._handled = due
        if roadmap is None or not (view.pending or any(_runs(job) for job in view.jobs)):
            return view
        try:
            written = [
                *status_sync.sync_status(self._lab, roadmap),
                *edits.accept_automatically(self._lab, roadmap),
            ]
        except (UsageError, OSError) as error:  # a lab that one may only read is shown all the same
            self.trouble = str(error)
            return view
        return snapshot.read_snapshot(self._lab, roadmap, kept=self._kept) if written else view

    def read_running(self, view: LabSnapshot) -> LabSnapshot | None:
        """`view` with what runs as it is now; None where that is not all that has changed."""
        return snapshot.read_running(self._lab, view) if any(map(_runs, view.jobs)) else view

    def summarize(self, roadmap: Path, mvp_id: str, ended: Sequence[JobPaths]) -> MvpSummary:
        """What is known of one MVP; `ended`: its jobs that succeeded, oldest first."""
        from vitlab.lab.live import mvp_summary

        return mvp_summary.summarize_mvp(self._lab, roadmap, mvp_id, ended)

    def pending_diffs(self, roadmap: Path, mvp_id: str) -> list[str]:
        """What the next write changes for one MVP, a unified diff for every file; blocking."""
        from vitlab.docs.text.edit import unified
        from vitlab.lab.writeback import writeback

        step = writeback.plan_mvp(self._lab, roadmap, mvp_id)
        names = self._lab.paths.relative
        return [
            unified(one.old_text or "", one.new_text, names(one.path))
            for one in (step.changes if step else ())
        ]

    def summaries(self, roadmap: Path | None) -> tuple[RoadmapSummary, ...]:
        """Every roadmap of the lab in a line; `roadmap` is the one on the screen."""
        lines = snapshot.roadmap_summaries(self._lab, roadmap, self._kept)
        self._roadmaps = tuple(line.path for line in lines)
        return lines

    def levels(self, view: LabSnapshot, metric: str) -> tuple[Line, ...]:
        """The lines in a chart of this value: what the gates ask, and what no model can exceed."""
        if self._levels is None or self._levels[0] is not view or self._levels[1] != metric:
            self._levels = view, metric, self._read_levels(view, metric)
        return self._levels[2]

    def _read_levels(self, view: LabSnapshot, metric: str) -> tuple[Line, ...]:
        from vitlab.lab.figures.curves import ceiling_lines, gate_headlines, gate_lines

        gates = view.roadmap.gates if view.roadmap else ()
        own = [job.spec for job in view.jobs if belongs(job, view)]
        lines = gate_lines(gate_headlines(gates, own), metric)
        if any(job.spec.recipe == "ceiling" for job in view.jobs):
            lines += ceiling_lines(
                self._lab, [job.spec for job in view.jobs], all_jobs(self._lab.paths), metric
            )
        return tuple(lines)

    def changed(self, view: LabSnapshot, *, everything: bool) -> Change:
        """Whether a file has changed since the last call: a document, an experiment, a job.

        A job that comes, starts, ends or is asked for something changes the time of a folder: its
        files are renamed into place. Who changes the queue writes into `.vitlab`. The folders of
        jobs that ended or are held come in turn, and only with `everything`.
        """
        if view is not self._looked_at:
            self._list_files(view)
        paths = self._always
        if everything:
            begin = self._turn if self._turn < len(self._in_turn) else 0
            self._turn = begin + max(TURN, len(self._in_turn) // TURNS)
            paths = [*paths, *self._in_turn[begin : self._turn]]
        found = Change.NONE
        for path in paths:
            stamp = _stamp_of(path)
            if self._stamps.setdefault(path, stamp) != stamp:
                found = max(found, Change.RUNNING if path in self._running else Change.MORE)
            self._stamps[path] = stamp
        return found

    def _list_files(self, view: LabSnapshot) -> None:
        """Which files to look at; a new one changes the time of its folder, and so the view."""
        lab = self._lab.paths
        moving = {str(job.paths.folder): _may_move(job) for job in view.jobs}
        self._always = [str(view.path), str(lab.private.folder), *map(str, self._roadmaps)]
        self._always.append(str(lab.private.tray))
        for folder in (lab.roadmaps, lab.experiments):
            self._always += [str(folder), *_entries(folder)]
        self._always += [folder for folder, moves in moving.items() if moves]
        self._running = {str(job.paths.folder) for job in view.jobs if _runs(job)}
        self._in_turn = [folder for folder, moves in moving.items() if not moves]
        known = {*self._always, *self._in_turn}
        self._stamps = {path: stamp for path, stamp in self._stamps.items() if path in known}
        self._looked_at = view

    def is_busy(self, view: LabSnapshot) -> bool:
        """Whether something may happen by itself, or is not known yet."""
        judged = self._kept.judged.get(view.path or Path())
        is_unsure = judged is not None and bool(judged.waiting.unsure)
        return is_unsure or any(map(_may_move, view.jobs))

    def forget_all_but(self, view: LabSnapshot, charted: Container[str]) -> None:
        """Drop the curves of ended jobs that no chart shows; what a row shows of them is kept."""
        keep = {
            job.paths.folder
            for job in view.jobs
            if job.paths.name in charted
            or (kept := self._kept.views.get(job.paths.name)) is None
            or not kept.settled
        }
        self._lab.forget_progress(keep)


def _may_move(job: snapshot.JobView) -> bool:
    """Whether it runs, or may start by itself as soon as there is room for it."""
    waits = isinstance(job.state, Queued) and not (job.held or job.left or job.foreign)
    return _runs(job) or waits


def _runs(job: snapshot.JobView) -> bool:
    return isinstance(job.state, Running)


def _due(view: LabSnapshot) -> set[tuple[str, str]]:
    """The jobs that could start at once, and those that were lost."""
    return {
        (job.paths.name, state_word(job.state))
        for job in view.jobs
        if isinstance(job.state, Lost) or (isinstance(job.state, Queued) and not job.why)
    } | {
        ("slurm", str(time.time() // SLURM_INTERVAL))
        for job in view.jobs
        if job.spec.extra.get("backend") == "slurm" and not isinstance(job.state, Done)
    }


def _stamp_of(path: str) -> tuple[int, int] | None:
    """Time of the last change in ns, and size; None where there is no such file."""
    try:
        stat = os.stat(path)  # noqa: PTH116 - strings, not a Path for each
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size


def _entries(folder: Path) -> list[str]:
    try:
        return [f"{folder}/{name}" for name in os.listdir(folder)]  # noqa: PTH208
    except OSError:
        return []
