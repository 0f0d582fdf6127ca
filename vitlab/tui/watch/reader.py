"""Reads the lab as the screen shows it, after the work that should not wait for a person.

Loaded in the watcher's thread: with all it imports it takes 0.1 s, which the first frame is not to
wait for.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path

from vitlab.contract.job import Done, Lost, Queued, Running, state_word
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.jobs.store import all_jobs
from vitlab.lab import launch
from vitlab.lab.figures.curves import ceiling_lines, gate_headlines, gate_lines
from vitlab.lab.lab import Lab
from vitlab.lab.live import mvp_summary, snapshot
from vitlab.lab.live.mvp_summary import MvpSummary
from vitlab.lab.live.snapshot import LabSnapshot, RoadmapSummary
from vitlab.lab.writeback import edits, status_sync
from vitlab.plot.series import Line

SLURM_INTERVAL = 10.0
"""Seconds between two questions to Slurm, while it has jobs of ours."""

Stamp = frozenset[tuple[str, int, int]]
"""Path, time of the last change in ns, and size of each file."""


class LabReader:
    """One lab, read again and again."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._handled: set[tuple[str, str]] = set()
        """The jobs, with their states, for which the queue was last advanced."""
        self._first = True
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
        view = snapshot.read_snapshot(self._lab, roadmap)
        if (due := _due(view)) - self._handled:
            launch.advance_queue(self._lab)
            view = snapshot.read_snapshot(self._lab, roadmap)
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
        return snapshot.read_snapshot(self._lab, roadmap) if written else view

    def summarize(self, roadmap: Path, mvp_id: str, ended: Sequence[JobPaths]) -> MvpSummary:
        """What is known of one MVP; `ended`: its jobs that succeeded, oldest first."""
        return mvp_summary.summarize_mvp(self._lab, roadmap, mvp_id, ended)

    def summaries(self, roadmap: Path | None) -> tuple[RoadmapSummary, ...]:
        """Every roadmap of the lab in a line; `roadmap` is the one on the screen."""
        return snapshot.roadmap_summaries(self._lab, roadmap)

    def levels(self, view: LabSnapshot, metric: str) -> tuple[Line, ...]:
        """The lines in a chart of this value: what the gates ask, and what no model can exceed."""
        gates = view.roadmap.gates if view.roadmap else ()
        own = [job.spec for job in view.jobs if job.spec.roadmap in view.names]
        lines = gate_lines(gate_headlines(gates, own), metric)
        if any(job.spec.recipe == "ceiling" for job in view.jobs):
            lines += ceiling_lines(
                self._lab, [job.spec for job in view.jobs], all_jobs(self._lab.paths), metric
            )
        return tuple(lines)

    def stamp(self, view: LabSnapshot) -> Stamp:
        """Of the files; it differs once a document, an experiment or an unfinished job changes.

        A job that comes, starts or ends changes the time of a folder: its files are renamed into
        place. Ended jobs are left out, so that a thousand of them cost nothing.
        """
        paths = [str(job.paths.folder) for job in view.jobs if not isinstance(job.state, Done)]
        if view.path is not None:
            paths.append(str(view.path))
        stamps = {one for path in paths if (one := _stamp_of(path)) is not None}
        return frozenset(
            stamps.union(
                _stamps_in(self._lab.paths.roadmaps), _stamps_in(self._lab.paths.experiments)
            )
        )


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


def _stamp_of(path: str) -> tuple[str, int, int] | None:
    try:
        stat = os.stat(path)  # noqa: PTH116 - strings, not a Path for each
    except OSError:
        return None
    return path, stat.st_mtime_ns, stat.st_size


def _stamps_in(folder: Path) -> Iterator[tuple[str, int, int]]:
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return
    for name in names:
        one = _stamp_of(os.path.join(folder, name))  # noqa: PTH118
        if one is not None:
            yield one
