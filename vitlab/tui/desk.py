"""The screen's one door to the lab: blocking calls, made in threads, loaded when first used."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from vitlab.contract.events import Event
from vitlab.contract.paths import JobPaths, UsageError, write_atomic
from vitlab.contract.spec import PROFILES
from vitlab.contract.state import Done, Lost, Queued, Running, state_word
from vitlab.plot.series import Line

if TYPE_CHECKING:
    from vitlab.docs.edits import FileChange
    from vitlab.records.actions import Plan
    from vitlab.records.comparison import Compared
    from vitlab.records.documents import Flaw, Papers
    from vitlab.records.lab import Lab
    from vitlab.records.overview import RoadmapLine
    from vitlab.records.plan import Pending, Step
    from vitlab.records.view import LabView

LOG_BYTES = 1 << 18
"""How much of a log is read when it is opened."""


ASK = 10.0
"""Seconds between two questions to Slurm, while it has jobs of ours."""


class Events(Protocol):
    def poll(self) -> list[Event]: ...


class Lines(Protocol):
    def poll(self) -> list[str]: ...


@dataclass
class Desk:
    """One lab and the roadmap on the screen."""

    lab: Lab
    roadmap: Path | None
    _tended: set[tuple[str, str]] = field(default_factory=set)
    """What the queue was last tended for."""

    def look(self) -> LabView:
        """The lab as it is on disk now; what needs no asking is done first: queue, writes.

        The queue needs us only where a supervisor was killed and nobody else came by.
        """
        from vitlab.records.view import look

        view = look(self.lab, self.roadmap)
        if (due := _due(view)) - self._tended:
            from vitlab.records.queue import tend

            tend(self.lab)
            view = look(self.lab, self.roadmap)
        self._tended = due
        moving = view.pending or any(isinstance(job.state, Running) for job in view.jobs)
        if self.roadmap is None or not moving:
            return view
        # Loaded when there is something to tell: the first picture does not wait for it.
        from vitlab.records.actions import settle
        from vitlab.records.told import tell

        written = [*tell(self.lab, self.roadmap), *settle(self.lab, self.roadmap)]
        return look(self.lab, self.roadmap) if written else view

    def turn(self, roadmap: Path) -> None:
        """Look at another of the lab's roadmaps from now on."""
        self.roadmap = roadmap

    def roadmaps(self) -> tuple[RoadmapLine, ...]:
        """Every roadmap of the lab in a line; blocking."""
        from vitlab.records.overview import overview

        return overview(self.lab, self.roadmap)

    def backends(self) -> tuple[str, ...]:
        """Where jobs can run from here."""
        from vitlab.jobs.slurm import is_here

        return ("local", "slurm") if is_here() else ("local",)

    def plan(self, mvp_id: str, profile: str, backend: str) -> Plan:
        """What launching an MVP would run and write."""
        from vitlab.records.actions import launch_plan

        return launch_plan(self.lab, self._roadmap(), mvp_id, profile, backend=backend)

    def launch(self, mvp_id: str, profile: str, backend: str) -> list[JobPaths]:
        from vitlab.records.actions import begin

        return begin(self.lab, self.plan(mvp_id, profile, backend))

    def stop(self, *jobs: JobPaths) -> int:
        from vitlab.records.queue import stop

        for job in jobs:
            stop(self.lab, job)
        return len(jobs)

    def resume(self, *jobs: JobPaths) -> int:
        from vitlab.records.queue import resume

        for job in jobs:
            resume(self.lab, job)
        return len(jobs)

    def hold(self, job: JobPaths) -> None:
        from vitlab.records.queue import hold

        hold(self.lab, job)

    def release(self, job: JobPaths) -> None:
        from vitlab.records.queue import release

        release(self.lab, job)

    def move(self, job: JobPaths, places: int | None) -> None:
        """Up (`places` < 0) or down the line; None makes it the first."""
        from vitlab.records.queue import move

        move(self.lab, job, places)

    def prioritise(self, job: JobPaths, by: int) -> None:
        """Raise or lower a waiting job's priority; higher ones start first."""
        from vitlab.jobs.launch import advance
        from vitlab.jobs.store import look
        from vitlab.jobs.wishes import wish

        found = look(job)
        if found is None or not isinstance(found.state, Queued):
            raise UsageError(f"{job.name}: does not wait")
        wish(found, priority=found.priority + by)
        advance(self.lab.paths)

    def pending(self) -> Pending:
        """What the results would change in the documents."""
        from vitlab.records.actions import pending

        return pending(self.lab, self._roadmap())

    def accept(self, waiting: Pending) -> list[Path]:
        """Write what is pending; the files written."""
        from vitlab.records.actions import accept

        return accept(self.lab, waiting)

    def papers(self) -> Papers:
        """What there is to decide about the roadmap's documents."""
        from vitlab.records.documents import papers

        return papers(self.lab, self._roadmap())

    def worded(self, mvp_id: str, sentence: str) -> Step:
        """One MVP's edits with a person's own sentence."""
        from vitlab.records.documents import planned

        return planned(self.lab, self._roadmap(), mvp_id, sentence)

    def write(self, mvp_id: str, sentence: str | None) -> list[Path]:
        """Write one MVP's results; the files written."""
        from vitlab.records.documents import write

        return write(self.lab, self._roadmap(), mvp_id, sentence)

    def refuse(self, mvp_id: str) -> None:
        from vitlab.records.documents import refuse

        refuse(self.lab, self._roadmap(), mvp_id)

    def offer(self, mvp_id: str) -> None:
        from vitlab.records.documents import offer

        offer(self.lab, mvp_id)

    def fix(self, flaw: Flaw) -> list[Path]:
        """Mend a contradiction; the files written."""
        from vitlab.records.documents import fix

        return fix(self.lab, flaw)

    def results(self) -> tuple[Compared, ...]:
        """Every result of the lab, the newest first."""
        from vitlab.records.comparison import compared

        return compared(self.lab)

    def gaps(self, reference: str) -> dict[str, tuple[float, float]]:
        """Job -> its headline minus the reference's on the same stars, and the error."""
        from vitlab.records.comparison import gaps

        return gaps(self.lab, reference)

    def undo(self) -> list[Path]:
        """Take the last write back; the files restored."""
        from vitlab.records.actions import undo

        return undo(self.lab)

    def redo(self) -> list[Path]:
        """Make the last undone write again; the files written."""
        from vitlab.records.history import redo

        return redo(self.lab)

    def open_in_editors(self, paths: Iterable[Path]) -> list[str]:
        """One line for each file that an editor has open too."""
        from vitlab.records.history import open_in_editors

        return open_in_editors(paths)

    def diffs(self, changes: Iterable[FileChange]) -> list[str]:
        """One unified diff for every file touched, paths as the lab names them."""
        from vitlab.docs.edits import unified

        return [
            unified(change.old_text or "", change.new_text, self.name(change.path))
            for change in changes
        ]

    def name(self, path: Path) -> str:
        return self.lab.paths.relative(path)

    def levels(self, view: LabView, metric: str) -> tuple[Line, ...]:
        """The levels the gates ask of this value, on whichever split they name it."""
        from vitlab.docs.gates import thresholds

        kind = metric.partition("/")[2]
        gates: dict[float, list[str]] = {}
        for gate in view.roadmap.gates if view.roadmap else ():
            for value, level in thresholds(gate):
                if value.partition("/")[2] == kind and gate.id not in gates.get(level, ()):
                    gates.setdefault(level, []).append(gate.id)
        lines = [
            Line(level, f"Gate-{', '.join(ids)} at {level:g}")
            for level, ids in sorted(gates.items())
        ]
        return (*lines, *self._ceilings(view, metric))

    def _ceilings(self, view: LabView, metric: str) -> list[Line]:
        """What no model on these spectra can pass, once a ceiling job has told it."""
        if not any(job.spec.recipe == "ceiling" for job in view.jobs):
            return []
        from vitlab.jobs.store import all_jobs
        from vitlab.records.curves import ceiling_lines

        return ceiling_lines([job.spec for job in view.jobs], all_jobs(self.lab.paths), metric)

    def events(self, job: JobPaths) -> Events:
        from vitlab.jobs.tail import EventTail

        return EventTail(job.events)

    def log(self, job: JobPaths) -> Lines:
        from vitlab.jobs.tail import LogTail

        return LogTail(job.log, LOG_BYTES)

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

    def _roadmap(self) -> Path:
        return self.roadmap or self.lab.roadmap_path(None)


def _due(view: LabView) -> set[tuple[str, str]]:
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
