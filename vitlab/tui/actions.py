"""What a person does to the lab: confirmed where something is lost, run in a thread, reported."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from textual.app import App

from vitlab.contract.job import PROFILES, ended_well
from vitlab.contract.paths import UsageError
from vitlab.jobs import slurm, store
from vitlab.jobs.experiment.experiment import find_experiment, load_experiment
from vitlab.jobs.queue import notice
from vitlab.lab import launch
from vitlab.lab.adoption import Wanted, adopt
from vitlab.lab.conclusions import decisions
from vitlab.lab.launch import Request
from vitlab.lab.writeback import edits
from vitlab.tui.allowed import why_not
from vitlab.tui.autopilot import show_autopilot
from vitlab.tui.jobs_index import belongs
from vitlab.tui.screens.base import LabScreen, front_screen
from vitlab.tui.screens.dialogs import ConfirmScreen, WriteScreen, diffs
from vitlab.tui.screens.documents import write_documents
from vitlab.tui.screens.launch import LaunchScreen, last_choice, remember_choice
from vitlab.tui.screens.new_experiment import make_experiment
from vitlab.tui.screens.new_plan import add_to_plan
from vitlab.tui.statuses import set_status
from vitlab.tui.text import clean, job_label

if TYPE_CHECKING:
    from vitlab.docs.save import Reverted
    from vitlab.lab.lab import Lab
    from vitlab.lab.live.snapshot import JobView
    from vitlab.lab.new_experiment import Choice, NewExperiment
    from vitlab.tui.session import Session

Handler = Callable[[], Awaitable[None] | None]
"""What a key starts; one that waits for an answer runs in a worker."""


@dataclass(frozen=True)
class JobAction:
    """What can be done with one job that it is for."""

    run: Callable[[Lab, JobView], object]
    done: str
    """What was done, after the job's name."""
    question: str = ""
    """Asked before, with the job's name after it; empty when nothing can be lost."""


def _hold(lab: Lab, job: JobView) -> None:
    (launch.release if job.held else launch.hold)(lab, job.paths)


def _move(places: int | None) -> Callable[[Lab, JobView], None]:
    return lambda lab, job: launch.move(lab, job.paths, places)


def _raise(by: int) -> Callable[[Lab, JobView], None]:
    return lambda lab, job: launch.change_priority(lab, job.paths, by)


JOB_ACTIONS = {
    "stop_job": JobAction(
        lambda lab, job: launch.stop(lab, job.paths), "stop requested", question="Stop"
    ),
    "resume_job": JobAction(
        lambda lab, job: launch.resume(lab, job.paths, here=True), "queued to resume"
    ),
    "hold_job": JobAction(_hold, "held or released"),
    "move_up": JobAction(_move(-1), "moved up"),
    "move_down": JobAction(_move(1), "moved down"),
    "move_first": JobAction(_move(None), "moved to the front"),
    "raise_job": JobAction(_raise(1), "priority raised"),
    "lower_job": JobAction(_raise(-1), "priority lowered"),
}


def _preview(job: JobView) -> list[str]:
    """What it would run, if it was not submitted here."""
    record = store.read_job(job.paths)
    return [clean(line) for line in launch.preview(record)] if record is not None else []


class Actions:
    """The actions that change the lab; one at a time."""

    def __init__(self, app: App[int], session: Session) -> None:
        self._app = app
        self._session = session

    def handlers(self) -> Mapping[str, Handler]:
        """Action -> what it does."""
        return {
            "launch_next": self.launch_next,
            "launch_selected": self.launch_selected,
            "write": self.write,
            "undo": self.undo,
            "redo": self.redo,
            "add": self.add,
            "autopilot": partial(show_autopilot, self._app, self._session),
            "set_status": partial(set_status, self._app, self._session),
            "resume_left": partial(self.handle_lost, resume=True),
            "drop_left": partial(self.handle_lost, resume=False),
            **{name: partial(self.change_job, name) for name in JOB_ACTIONS},
        }

    async def launch_next(self) -> None:
        view = self._session.view
        held = view.passed_over if view is not None else ()
        if held:
            text = "; ".join(f"{one.id} ({one.why})" for one in held)
            self._app.notify(f"skipped: {text}", severity="warning")
        if view is None or view.next is None:
            if not held:
                self._app.notify("nothing to launch: every MVP is done, running or cancelled")
        else:
            await self.launch(view.next.id)

    async def launch_selected(self) -> None:
        mvp = front_screen(self._app).selected_mvp()
        if mvp is not None:
            await self.launch(mvp.id)

    async def launch(self, mvp_id: str) -> None:
        """Choose a profile and a place for an MVP, see its plan, and launch that plan."""
        session, view, lab = self._session, self._session.view, self._session.lab
        if view is not None and mvp_id not in view.experiments:
            made = await make_experiment(self._app, session, mvp_id)
            if made is not None:
                await self._begin(*made)
            return
        profile, backend = last_choice(lab)
        profiles = await asyncio.to_thread(profiles_of, lab, session.roadmap, mvp_id)
        await self._launch(mvp_id, (self._next_profile(mvp_id, profile, profiles), backend))

    def _next_profile(self, mvp_id: str, profile: str, profiles: Sequence[str]) -> str:
        """The profile, or the next larger one without a result of the MVP; itself if all have."""
        view = self._session.view
        done = {
            job.spec.profile
            for job in (view.jobs if view is not None else ())
            if view is not None and belongs(job, view)
            if job.spec.mvp == mvp_id and ended_well(job.state)
        }
        larger = profiles[profiles.index(profile) :] if profile in profiles else profiles
        return next((one for one in larger if one not in done), profile)

    async def _begin(self, new: NewExperiment, choice: Choice) -> None:
        """Go on from a new experiment file: adopt its process, or launch it at its smallest."""
        session, pid = self._session, choice.pid
        if pid is None:
            await self._launch(new.mvp, (new.profile, "local"))
        elif await self._confirm(f"Adopt process {pid} as a run of MVP {new.mvp}?"):
            adopted = await session.attempt(
                lambda: adopt(session.lab, new.roadmap, new.mvp, Wanted(pid))
            )
            if adopted is not None:
                self._app.notify("\n".join((f"adopted {adopted.job.name}", *adopted.notes)))
                session.watcher.refresh_now()

    async def _launch(self, mvp_id: str, first: tuple[str, str]) -> None:
        """Show the launch dialog, at a profile and a place to begin with."""
        session, view, lab = self._session, self._session.view, self._session.lab
        mvps = view.roadmap.mvps if view and view.roadmap else ()
        name = next((mvp.name for mvp in mvps if mvp.id == mvp_id), "")
        roadmap = session.roadmap

        def make_plan(profile: str, backend: str) -> launch.Plan:
            return launch.plan_launch(lab, Request(roadmap, mvp_id, profile, backend=backend))

        dialog = LaunchScreen(
            lab,
            f"MVP {mvp_id}  {name}",
            first,
            await asyncio.to_thread(profiles_of, lab, roadmap, mvp_id),
            ("local", "slurm") if slurm.is_here() else ("local",),
            make_plan,
        )
        plan = await self._app.push_screen_wait(dialog)
        if plan is None:
            return
        profile, backend = plan.request.profile, plan.request.backend

        def begin() -> launch.Launched:
            remember_choice(lab, (profile, backend))
            return launch.launch(lab, plan)

        launched = await session.attempt(begin)
        if launched is not None:
            count = len(launched.jobs)
            where = ", on Slurm" if backend == "slurm" else ""
            self._app.notify(f"MVP {mvp_id}: {_jobs(count)} launched ({profile}{where})")
            if changed := launched.notice(lab):
                self._app.notify(changed, severity="warning")
            session.watcher.refresh_now()

    async def change_job(self, name: str) -> None:
        """One of `JOB_ACTIONS` on the selected job."""
        action, job = JOB_ACTIONS[name], front_screen(self._app).selected_job()
        if job is None or why_not(front_screen(self._app), name):
            return
        label = job_label(job)
        question = f"{action.question} {label}?" if action.question else ""
        if name == "resume_job" and launch.begins_anew(job.spec, job.state):
            question = f"Resume {label}? {launch.ANEW}"
        if name == "resume_job" and (shown := await asyncio.to_thread(_preview, job)):
            question = "\n".join((*shown, "Run it here?"))
        if question and not await self._confirm(question):
            return

        def run() -> bool:
            action.run(self._session.lab, job)
            return True

        if await self._session.attempt(run):
            self._app.notify(f"{label}: {action.done}")
            self._session.watcher.refresh_now()

    async def handle_lost(self, *, resume: bool) -> None:
        """Resume, or drop after a question, every job lost in a crash or restart."""
        view, lab = self._session.view, self._session.lab
        left = [job for job in view.jobs if job.left] if view else []
        lost = [job.paths for job in left]
        anew = sum(launch.begins_anew(job.spec, job.state) for job in left)
        question = f"Resume {_jobs(len(lost))}? {anew} with {launch.ANEW}" if anew else ""
        question = question if resume else f"Drop {_jobs(len(lost))}?"
        if question and not await self._confirm(question):
            return

        def run() -> bool:
            for job in lost:
                (launch.resume if resume else launch.stop)(lab, job)
            return True

        if await self._session.attempt(run):
            self._app.notify(f"{_jobs(len(lost))} {'resumed' if resume else 'dropped'}")
            self._session.watcher.refresh_now()

    async def write(self) -> None:
        """Show everything that waits to be written, and write it on a yes.

        A proposal under the cursor is accepted; where proposals alone wait, they are shown.
        """
        session, lab, front = self._session, self._session.lab, front_screen(self._app)
        if front.has_proposal_selected:
            await front.run_action("accept")
            return
        waiting = await session.attempt(lambda: edits.pending_results(lab, session.roadmap))
        if waiting is None:
            return
        if not waiting.changes:
            # Accepted all the same, so that the results count as written.
            if await session.attempt(lambda: edits.accept(lab, waiting)) is not None:
                proposed = await session.attempt(lambda: decisions.waiting(lab))
                if proposed:
                    await self._app.run_action("open_documents")
                left = (
                    f"; {len(proposed)} proposed: {session.key('write')} accepts the one selected"
                    if proposed
                    else ""
                )
                why = "; ".join(waiting.left) or "the documents are up to date"
                self._app.notify(f"nothing to write: {why}{left}")
            session.watcher.refresh_now()
            return
        dialog = WriteScreen(waiting.summary, diffs(lab, waiting.changes))
        if await self._app.push_screen_wait(dialog):
            await write_documents(session, lambda: edits.accept(lab, waiting), waiting.steps)

    async def undo(self) -> None:
        """Undo the last write."""
        await self._revert(edits.undo, "undone", "nothing to undo")

    async def redo(self) -> None:
        """Make the last undone write again."""
        await self._revert(edits.redo, "redone", "nothing to redo")

    async def _revert(self, call: Callable[[Lab], Reverted], done: str, none: str) -> None:
        lab, watcher = self._session.lab, self._session.watcher

        def run() -> tuple[Reverted, Path | None]:
            return call(lab), roadmap_there(lab, watcher.roadmap)

        written = await self._session.attempt(run)
        if written is not None:
            reverted, shown = written
            names = ", ".join(
                "removed " * change.removed + lab.paths.relative(change.path)
                for change in reverted.changes
            )
            what = f"{reverted.what}: " if reverted.what else ""
            self._app.notify(f"{done}: {what}{names}" if names else none)
            watcher.open_roadmap(shown)

    async def add(self) -> None:
        """Make an MVP, a gate or a plan; a new MVP is selected at home."""
        mvp_id = await add_to_plan(self._app, self._session)
        home = self._app.screen_stack[0]
        if mvp_id and isinstance(home, LabScreen):
            home.select(mvp_id)

    async def announce(self, jobs: Sequence[JobView]) -> None:
        """Send the ends that no supervisor sent to the lab's webhook."""
        lab = self._session.lab
        webhook = lab.settings.notify.webhook

        def send() -> None:
            for job in jobs:
                record = store.read_job(job.paths)
                if webhook is not None and record is not None:
                    notice.notify(lab.paths, record, webhook)

        try:
            await asyncio.to_thread(send)
        except OSError as error:
            self._app.notify(f"webhook: {error.strerror}", severity="error")

    async def _confirm(self, question: str) -> bool:
        return await self._app.push_screen_wait(ConfirmScreen(question))


def roadmap_there(lab: Lab, shown: Path | None) -> Path | None:
    """The one shown, or else the lab's first: the last write may have made it, or an undo taken it.

    None where the lab has none.
    """
    known = (
        path for path in (shown, *lab.roadmaps(anew=True)) if path is not None and path.is_file()
    )
    return next(known, None)


def profiles_of(lab: Lab, roadmap: Path, mvp_id: str) -> tuple[str, ...]:
    """Those of the MVP's experiment; all where it cannot be read: the plan shows why."""
    try:
        path = find_experiment(lab.paths, mvp_id, lab.paths.relative(roadmap))
        return load_experiment(path).profiles
    except UsageError:
        return PROFILES


def _jobs(count: int) -> str:
    return f"{count} job{'s' * (count != 1)}"
