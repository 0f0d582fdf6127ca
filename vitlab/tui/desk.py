"""The screen's one door to the lab: blocking calls, made in threads, loaded when first used."""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vitlab.contract.job import PROFILES, Done, Lost, Queued, Running, state_word
from vitlab.contract.paths import JobPaths, UsageError, write_atomic
from vitlab.plot.series import Line
from vitlab.tui.paperdesk import PaperDesk
from vitlab.tui.stars import StarDesk

if TYPE_CHECKING:
    from vitlab.jobs.gpus import Device
    from vitlab.lab.launch import Plan
    from vitlab.lab.live.mvp_summary import MvpSummary
    from vitlab.lab.live.snapshot import JobView, LabSnapshot, RoadmapSummary
    from vitlab.lab.progress import Progress
    from vitlab.lab.results.rows import ResultRow

LOG_BYTES = 1 << 18
"""How much of a log is read when it is opened."""


ASK = 10.0
"""Seconds between two questions to Slurm, while it has jobs of ours."""


Facts = tuple[tuple[str, str], ...]
"""Names and what is said of them."""


class Lines(Protocol):
    def poll(self) -> list[str]: ...


@dataclass
class Desk(PaperDesk, StarDesk):
    """One lab and the roadmap on the screen."""

    _tended: set[tuple[str, str]] = field(default_factory=set)
    """What the queue was last tended for."""
    _glanced: bool = False
    """Whether the first, hasty look has been taken."""
    _looks: deque[float] = field(default_factory=lambda: deque(maxlen=60))
    """Seconds each of the last looks took."""

    def look(self) -> LabSnapshot:
        """The lab as it is on disk now; how long that took is kept for a bug report."""
        began = time.monotonic()
        try:
            return self._look()
        finally:
            self._looks.append(time.monotonic() - began)

    def _look(self) -> LabSnapshot:
        """What needs no asking is done first: queue, writes.

        The queue needs us only where a supervisor was killed and nobody else came by. The first
        look is a glance, so that the screen is there at once; the next reads everything.
        """
        from vitlab.lab.live.snapshot import read_snapshot

        if not self._glanced:
            self._glanced = True
            return read_snapshot(self.lab, self.roadmap, quick=True)
        view = read_snapshot(self.lab, self.roadmap)
        if (due := _due(view)) - self._tended:
            from vitlab.lab.launch import advance_queue

            advance_queue(self.lab)
            view = read_snapshot(self.lab, self.roadmap)
        self._tended = due
        moving = view.pending or any(isinstance(job.state, Running) for job in view.jobs)
        if self.roadmap is None or not moving:
            return view
        # Loaded when there is something to tell: the first picture does not wait for it.
        from vitlab.lab.writeback.edits import accept_automatically
        from vitlab.lab.writeback.status_sync import tell

        written = [*tell(self.lab, self.roadmap), *accept_automatically(self.lab, self.roadmap)]
        return read_snapshot(self.lab, self.roadmap) if written else view

    def turn(self, roadmap: Path) -> None:
        """Look at another of the lab's roadmaps from now on."""
        self.roadmap = roadmap

    def roadmaps(self) -> tuple[RoadmapSummary, ...]:
        """Every roadmap of the lab in a line; blocking."""
        from vitlab.lab.live.snapshot import roadmap_summaries

        return roadmap_summaries(self.lab, self.roadmap)

    def brief(self, mvp_id: str, ended: Sequence[JobPaths]) -> MvpSummary:
        """What is known of one MVP; `ended`: its jobs that ended, oldest first."""
        from vitlab.lab.live.mvp_summary import summarize_mvp

        return summarize_mvp(self.lab, self._roadmap(), mvp_id, ended)

    def tour(self) -> str:
        """`due`, `new` or nothing (`records.example.tour`); said once."""
        from vitlab.lab.example import mark_tour_shown, tour_due

        said = tour_due(self.lab.paths)
        if said:
            mark_tour_shown(self.lab.paths)
        return said

    def devices(self) -> Sequence[Device]:
        """The GPUs as the driver sees them now; a driver that hangs blocks."""
        from vitlab.jobs.gpus import devices

        return devices()

    def backends(self) -> tuple[str, ...]:
        """Where jobs can run from here."""
        from vitlab.jobs.slurm import is_here

        return ("local", "slurm") if is_here() else ("local",)

    def plan(self, mvp_id: str, profile: str, backend: str) -> Plan:
        """What launching an MVP would run and write."""
        from vitlab.lab.launch import Request, plan_launch

        request = Request(self._roadmap(), mvp_id, profile, backend=backend)
        return plan_launch(self.lab, request)

    def launch(self, plan: Plan) -> tuple[int, str]:
        """Launch what `plan` showed: how many jobs, and a line on what changed since, or empty."""
        from vitlab.lab.launch import launch

        launched = launch(self.lab, plan)
        return len(launched.jobs), launched.notice(self.lab)

    def stop(self, *jobs: JobPaths) -> int:
        from vitlab.lab.launch import stop

        for job in jobs:
            stop(self.lab, job)
        return len(jobs)

    def resume(self, *jobs: JobPaths) -> int:
        from vitlab.lab.launch import resume

        for job in jobs:
            resume(self.lab, job)
        return len(jobs)

    def hold(self, job: JobPaths) -> None:
        from vitlab.lab.launch import hold

        hold(self.lab, job)

    def release(self, job: JobPaths) -> None:
        from vitlab.lab.launch import release

        release(self.lab, job)

    def move(self, job: JobPaths, places: int | None) -> None:
        """Up (`places` < 0) or down the line; None makes it the first."""
        from vitlab.lab.launch import move

        move(self.lab, job, places)

    def prioritise(self, job: JobPaths, by: int) -> None:
        """Raise or lower a waiting job's priority; higher ones start first."""
        from vitlab.jobs.queue.scheduler import advance, wish
        from vitlab.jobs.store import look

        found = look(job)
        if found is None or not isinstance(found.state, Queued):
            raise UsageError(f"{job.name}: does not wait")
        wish(found, priority=found.priority + by)
        advance(self.lab.paths)

    def results(self) -> tuple[ResultRow, ...]:
        """Every result of the lab, the newest first."""
        from vitlab.lab.results.rows import result_rows

        return result_rows(self.lab)

    def gaps(self, reference: str) -> dict[str, tuple[float, float]]:
        """Job -> its headline minus the reference's on the same stars, and the error."""
        from vitlab.lab.results.rows import gaps

        return gaps(self.lab, reference)

    def levels(self, view: LabSnapshot, metric: str) -> tuple[Line, ...]:
        """The levels the gates ask of this value, and what no model can pass."""
        from vitlab.tui.levels import levels

        return levels(self.lab, view, metric)

    def progress(self, job: JobPaths) -> Progress:
        """What the job's events have said so far, with the curve of each value."""
        return self.lab.progress(job)

    def log(self, job: JobPaths) -> Lines:
        from vitlab.jobs.logs.tail import LogTail

        return LogTail(job.log, LOG_BYTES)

    def profiles(self, mvp_id: str) -> tuple[str, ...]:
        """Those the MVP's experiment has; all where it can not be read: the preview says why."""
        from vitlab.jobs.experiment.experiment import find_experiment, load_experiment

        named = self.lab.paths.relative(self._roadmap())
        try:
            return load_experiment(find_experiment(self.lab.paths, mvp_id, named)).profiles
        except UsageError:
            return PROFILES

    def announce(self, jobs: Sequence[JobView]) -> None:
        """Tell the lab's webhook of ends that no supervisor told it of."""
        from vitlab.jobs.queue.notice import announce
        from vitlab.jobs.store import look

        webhook = self.lab.settings.notify.webhook
        found = [look(job.paths) for job in jobs]
        for job in found:
            if webhook is not None and job is not None:
                announce(self.lab.paths, job, webhook)

    def condition(self, screen: Facts, errors: Sequence[str]) -> str:
        """What a bug report needs, as plain text; blocking.

        `screen`: what only the screen knows. `errors`: the last ones it told.
        """
        from vitlab.lab.live.diagnostics import Section, as_text, collect, read_times

        told = tuple((line[:8], line[9:]) for line in errors) or (("none", ""),)
        sections = [
            *collect(self.lab, os.environ),
            Section("screen", (*screen, ("reading", read_times(self._looks)))),
            Section("last errors", told),
        ]
        return as_text(sections, self.lab)

    def choice(self) -> tuple[str, str]:
        """Profile and backend chosen last in this lab, or else the settings' profile, here."""
        try:
            record = json.loads(self._memory.read_bytes())
            profile, backend = record.get("profile"), record.get("backend")
        except (OSError, ValueError, AttributeError):
            profile = backend = None
        return (
            profile if profile in PROFILES else self.lab.settings.profile,
            "slurm" if backend == "slurm" else "local",
        )

    def remember(self, profile: str, backend: str) -> None:
        self._memory.parent.mkdir(exist_ok=True)
        record = {"profile": profile, "backend": backend}
        write_atomic(self._memory, json.dumps(record).encode())

    @property
    def _memory(self) -> Path:
        return self.lab.paths.private / "screen.json"


def _due(view: LabSnapshot) -> set[tuple[str, str]]:
    """The jobs that could start at once, and those that were lost."""
    return {
        (job.paths.name, state_word(job.state))
        for job in view.jobs
        if isinstance(job.state, Lost) or (isinstance(job.state, Queued) and not job.why)
    } | {
        ("slurm", str(time.time() // ASK))
        for job in view.jobs
        if job.spec.extra.get("backend") == "slurm" and not isinstance(job.state, Done)
    }
