"""What the user does to the lab: asked about where something is lost, done in a thread, told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vitlab.contract.paths import UsageError
from vitlab.tui.keys import JOB_VERBS
from vitlab.tui.screens.dialogs import ConfirmScreen
from vitlab.tui.widgets.jobs_pane import job_label

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView
    from vitlab.tui.app import VitLab
    from vitlab.tui.screens.launch import Outlook

T = TypeVar("T")


class Deeds:
    """The verbs that change something; one at a time."""

    def __init__(self, app: VitLab) -> None:
        self._app = app
        self._desk = app.desk
        self._busy = False

    async def attempt(self, deed: Callable[[], T]) -> T | None:
        """Run a blocking deed in a thread; None when it failed, with the reason as a toast."""
        if self._busy:
            self._app.tell("still at the last thing asked", "warning")
            return None
        self._busy = True
        try:
            return await asyncio.to_thread(deed)
        except (UsageError, OSError) as error:
            self._app.tell(str(error), "error")
            return None
        finally:
            self._busy = False

    async def launch(self, mvp_id: str) -> None:
        """Choose a profile and a place for an MVP, see what that means, and launch it."""
        from vitlab.tui.screens.launch import LaunchScreen

        view, desk = self._app.view, self._desk
        if view is not None and mvp_id not in view.experiments:
            self._app.tell(
                f'MVP {mvp_id} has no experiment file (experiments/*.yaml, mvp: "{mvp_id}")',
                "error",
            )
            return
        mvps = view.roadmap.mvps if view and view.roadmap else ()
        name = next((mvp.name for mvp in mvps if mvp.id == mvp_id), "")
        profiles = await asyncio.to_thread(desk.profiles, mvp_id)
        choice = await self._app.push_screen_wait(
            LaunchScreen(
                f"MVP {mvp_id}  {name}",
                desk.choice(),
                profiles,
                desk.backends(),
                lambda profile, backend: self._outlook(mvp_id, profile, backend),
            )
        )
        if choice is None:
            return
        (profile, backend), outlook = choice
        plan = outlook.plan
        assert plan is not None

        def deed() -> tuple[int, str]:
            desk.remember(profile, backend)
            return desk.launch(plan)

        launched = await self.attempt(deed)
        if launched is not None:
            count, changed = launched
            where = ", on Slurm" if backend == "slurm" else ""
            jobs = f"{count} job{'s' * (count != 1)}"
            self._app.tell(f"MVP {mvp_id}: {jobs} launched ({profile}{where})")
            if changed:
                self._app.tell(changed, "warning")
            self._app.watcher.poke()

    def _outlook(self, mvp_id: str, profile: str, backend: str) -> Outlook:
        from vitlab.tui.screens.launch import Outlook

        plan = self._desk.plan(mvp_id, profile, backend)
        place = "Slurm" if backend == "slurm" else ""
        jobs = [
            f"{spec.run}: {spec.recipe} on {place or spec.device}, {spec.exp_id}"
            for spec in plan.specs
        ]
        found = tuple((finding.status, finding.text) for finding in plan.findings)
        return Outlook(tuple(jobs), tuple(self._desk.diffs(plan.changes)), found, plan)

    async def job(self, word: str, job: JobView | None) -> None:
        """One of `JOB_VERBS` on the selected job."""
        verb = JOB_VERBS[word]
        if job is None or not verb.fits(job):
            self._app.tell(f"select {verb.needs} job first (b shows the jobs)", "warning")
            return
        name = job_label(job)
        if verb.question and not await self._sure(f"{verb.question} {name}?"):
            return

        def deed() -> bool:
            verb.deed(self._desk, job)
            return True

        if await self.attempt(deed):
            self._app.tell(f"{name}: {verb.said}")
            self._app.watcher.poke()

    async def left(self, *, resume: bool) -> None:
        """Resume, or drop when asked to, every job that a crash left behind."""
        view = self._app.view
        left = [job.paths for job in view.jobs if job.left] if view else []
        if not left:
            self._app.tell("nothing was left behind by a crash or a restart", "warning")
            return
        count = f"{len(left)} job{'s' * (len(left) != 1)}"
        if not resume and not await self._sure(f"Drop {count}?"):
            return
        deed = self._desk.resume if resume else self._desk.stop
        if await self.attempt(lambda: deed(*left)):
            self._app.tell(f"{count} {'resumed' if resume else 'dropped'}")
            self._app.watcher.poke()

    async def write(self) -> None:
        """Show everything that waits to be written, and write it on a yes."""
        from vitlab.tui.screens.dialogs import WriteScreen

        waiting = await self.attempt(self._desk.pending)
        if waiting is None:
            return
        if not waiting.changes:
            await self.attempt(lambda: self._desk.accept(waiting))  # so that it is told
            self._app.tell("nothing to write: the documents have every result")
            self._app.watcher.poke()
            return
        diffs = self._desk.diffs(waiting.changes)
        if await self._app.push_screen_wait(WriteScreen(waiting.summary, diffs)):
            await self.written(lambda: self._desk.accept(waiting))

    async def written(self, deed: Callable[[], list[Path]]) -> bool:
        """Do a write and tell of it; whether it was done."""
        files = await self.attempt(deed)
        if files is None:
            return False
        self._app.tell(f"written: {self._names(files) or 'nothing'} (u undoes it)")
        for line in self._desk.open_in_editors(files):
            self._app.tell(line, "warning")
        self._app.watcher.poke()
        return True

    async def turn(self, *, back: bool) -> None:
        """Undo the last write, or make the last undone one again."""
        touched = await self.attempt(self._desk.undo if back else self._desk.redo)
        if touched is None:
            return
        done = "restored" if back else "written again"
        none = "nothing to undo" if back else "nothing to redo"
        names = self._names(touched)
        self._app.tell(f"{done}: {names}" if names else none)
        self._app.watcher.poke()

    async def _sure(self, question: str) -> bool:
        answer: bool = await self._app.push_screen_wait(ConfirmScreen(question))
        return answer

    def _names(self, files: list[Path]) -> str:
        return ", ".join(self._desk.name(path) for path in files)
