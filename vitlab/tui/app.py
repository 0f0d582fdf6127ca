"""The screen program: its keys and what they do; reading is the watcher's, showing the screen's."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, TypeVar

from textual import on, work
from textual.app import App
from textual.binding import Binding, BindingType
from textual.screen import Screen

from vitlab.contract.paths import UsageError
from vitlab.tui.desk import Desk
from vitlab.tui.messages import CurvesSeen, LabSeen, LogSeen, Trouble
from vitlab.tui.palette import PlanCommands
from vitlab.tui.screens.dialogs import ConfirmScreen, LaunchScreen, Outlook
from vitlab.tui.screens.documents import DocumentsScreen
from vitlab.tui.screens.help import HelpScreen
from vitlab.tui.screens.roadmap import JobChosen, RoadmapScreen
from vitlab.tui.themes import DARK, LIGHT
from vitlab.tui.verbs import JOB_VERBS, UNSAID, VERBS
from vitlab.tui.watch import Watch
from vitlab.tui.widgets.job_table import job_label
from vitlab.tui.words import clean

if TYPE_CHECKING:
    from vitlab.records.lab import Lab

T = TypeVar("T")


class VitLab(App[int]):
    """One lab, one roadmap, one screen."""

    TITLE = "vitlab"
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[type | Callable[[], type]]] = App.COMMANDS | {PlanCommands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, word, id=action, tooltip=meaning, show=False)
        for key, action, word, meaning in VERBS
    ]

    def __init__(self, lab: Lab, roadmap: Path | None, *, desk: Desk | None = None) -> None:
        super().__init__()
        encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
        self.plain = "utf" not in encoding
        self.desk = desk or Desk(lab, roadmap)
        verbs = self.verbs()
        keys = [
            (verbs[action][0], word, action) for _, action, word, _ in VERBS if action not in UNSAID
        ]
        keys.append(("^p", "find", "command_palette"))
        left = (verbs["resume_left"][0], verbs["drop_left"][0])
        self.home = RoadmapScreen(keys, left, plain=self.plain)
        self.animation_level = "none"
        self._watch = Watch(self.desk, self.post_message)
        self._metrics: tuple[str, tuple[str, ...]] = ("", ())
        self._busy = False

    def get_default_screen(self) -> Screen[None]:
        return self.home

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What the style sheet needs when a theme of Textual's own is chosen."""
        return {name: DARK.variables[name] for name in ("muted", "rim")}

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.set_keymap(dict(self.desk.lab.settings.keys))

    def on_ready(self) -> None:
        # Not before: what the watcher posts needs the widgets to be there.
        self.run_worker(self._watch.run, thread=True, group="watch")

    def on_unmount(self) -> None:
        self._watch.stop()

    def verbs(self) -> dict[str, tuple[str, str]]:
        """Action -> (key as shown, meaning), keys as the settings have them."""
        own = self.desk.lab.settings.keys
        shown = {"slash": "/", "question_mark": "?"}
        return {
            action: (shown.get(own.get(action, key), own.get(action, key)), meaning)
            for key, action, _, meaning in VERBS
        }

    @on(LabSeen)
    def _lab_seen(self, seen: LabSeen) -> None:
        self.home.show(seen.view)

    @on(CurvesSeen)
    def _curves_seen(self, seen: CurvesSeen) -> None:
        self._metrics = (seen.metric, seen.metrics)
        self.home.show_curves(seen)

    @on(LogSeen)
    def _log_seen(self, seen: LogSeen) -> None:
        self.home.show_log(seen)

    @on(Trouble)
    def _trouble(self, trouble: Trouble) -> None:
        self.tell(trouble.text, "error")

    @on(JobChosen)
    def _job_chosen(self, chosen: JobChosen) -> None:
        self._watch.select(chosen.job)

    # what the user does

    def tell(self, text: str, severity: str = "information") -> None:
        """A toast; errors stay longer."""
        seconds = 10 if severity == "error" else 5
        self.notify(clean(text), severity=severity, timeout=seconds, markup=False)  # type: ignore[arg-type]

    async def _attempt(self, deed: Callable[[], T]) -> T | None:
        """Run a blocking deed in a thread; None when it failed, with the reason as a toast."""
        if self._busy:
            self.tell("still at the last thing asked", "warning")
            return None
        self._busy = True
        try:
            return await asyncio.to_thread(deed)
        except (UsageError, OSError) as error:
            self.tell(str(error), "error")
            return None
        finally:
            self._busy = False

    def action_launch_next(self) -> None:
        view = self.home.view
        if view is None or view.next is None:
            self.tell("nothing is next: every MVP of this roadmap is done, running or cancelled")
            return
        self._launch(view.next.id)

    def action_launch_selected(self) -> None:
        mvp = self.home.selected_mvp()
        if mvp is None:
            self.tell("no MVP is selected", "warning")
            return
        self._launch(mvp.id)

    @work(group="deeds")
    async def _launch(self, mvp_id: str) -> None:
        view = self.home.view
        if view is not None and mvp_id not in view.experiments:
            self.tell(
                f'MVP {mvp_id} has no experiment file (experiments/*.yaml, mvp: "{mvp_id}")',
                "error",
            )
            return
        mvps = view.roadmap.mvps if view and view.roadmap else ()
        name = next((mvp.name for mvp in mvps if mvp.id == mvp_id), "")
        profile = await self.push_screen_wait(
            LaunchScreen(
                f"MVP {mvp_id}  {name}",
                self.desk.profile(),
                lambda profile: self._outlook(mvp_id, profile),
            )
        )
        if profile is None:
            return

        def deed() -> int:
            self.desk.remember(profile)
            return len(self.desk.launch(mvp_id, profile))

        count = await self._attempt(deed)
        if count is not None:
            self.tell(f"MVP {mvp_id}: {count} job{'s' * (count != 1)} launched ({profile})")
            self._watch.poke()

    def _outlook(self, mvp_id: str, profile: str) -> Outlook:
        plan = self.desk.plan(mvp_id, profile)
        jobs = [f"{spec.run}: {spec.recipe} on {spec.device}, {spec.exp_id}" for spec in plan.specs]
        found = tuple((finding.status, finding.text) for finding in plan.findings)
        return Outlook(tuple(jobs), tuple(self.desk.diffs(plan.changes)), found)

    @work(group="deeds")
    async def action_job(self, word: str) -> None:
        """One of `JOB_VERBS` on the selected job."""
        verb, job = JOB_VERBS[word], self.home.selected_job()
        if job is None or not verb.fits(job):
            self.tell(f"select {verb.needs} job first (3 goes to the jobs)", "warning")
            return
        name = job_label(job)
        if verb.question and not await self.push_screen_wait(
            ConfirmScreen(f"{verb.question} {name}?")
        ):
            return

        def deed() -> bool:
            verb.deed(self.desk, job)
            return True

        if await self._attempt(deed):
            self.tell(f"{name}: {verb.said}")
            self._watch.poke()

    action_stop_job = partialmethod(action_job, "stop_job")
    action_resume_job = partialmethod(action_job, "resume_job")
    action_hold_job = partialmethod(action_job, "hold_job")
    action_move_up = partialmethod(action_job, "move_up")
    action_move_down = partialmethod(action_job, "move_down")

    def action_resume_left(self) -> None:
        self._left("Resume", self.desk.resume)

    def action_drop_left(self) -> None:
        self._left("Drop", self.desk.stop)

    @work(group="deeds")
    async def _left(self, word: str, deed: Callable[..., int]) -> None:
        """Do something with every job that was left behind; dropping is asked about."""
        view = self.home.view
        left = [job.paths for job in view.jobs if job.left] if view else []
        if not left:
            self.tell("nothing was left behind by a crash or a restart", "warning")
            return
        count = f"{len(left)} job{'s' * (len(left) != 1)}"
        if word == "Drop" and not await self.push_screen_wait(ConfirmScreen(f"Drop {count}?")):
            return
        if await self._attempt(lambda: deed(*left)):
            self.tell(f"{count} {'resumed' if word == 'Resume' else 'dropped'}")
            self._watch.poke()

    @work(group="deeds")
    async def action_write(self) -> None:
        waiting = await self._attempt(self.desk.pending)
        if waiting is None:
            return
        if not waiting.changes:
            await self._attempt(lambda: self.desk.accept(waiting))  # so that it is told
            self.tell("nothing to write: the documents have every result")
            self._watch.poke()
            return
        diffs = self.desk.diffs(waiting.changes)
        if not await self.push_screen_wait(DocumentsScreen(waiting.summary, diffs)):
            return
        written = await self._attempt(lambda: self.desk.accept(waiting))
        if written is not None:
            names = ", ".join(self.desk.name(path) for path in written)
            self.tell(f"written: {names or 'nothing'} (u undoes it)")
            for line in self.desk.open_in_editors(written):
                self.tell(line, "warning")
            self._watch.poke()

    def action_undo(self) -> None:
        self._turn("restored", "nothing to undo", self.desk.undo)

    def action_redo(self) -> None:
        self._turn("written again", "nothing to redo", self.desk.redo)

    @work(group="deeds")
    async def _turn(self, done: str, none: str, deed: Callable[[], list[Path]]) -> None:
        touched = await self._attempt(deed)
        if touched is not None:
            names = ", ".join(self.desk.name(path) for path in touched)
            self.tell(f"{done}: {names}" if names else none)
            self._watch.poke()

    def action_filter(self) -> None:
        self.home.action_filter()

    def action_next_metric(self) -> None:
        metric, there = self._metrics
        if there:
            at = there.index(metric) + 1 if metric in there else 0
            self._watch.show(there[at % len(there)])

    def action_reread(self) -> None:
        self._watch.poke()

    def action_help(self) -> None:
        self.push_screen(HelpScreen([*self.verbs().values(), ("ctrl+p", "find any action or MVP")]))


def run_app(lab: Lab, roadmap: Path | None, *, mouse: bool = True) -> int:
    """Run the screen until it is left; SIGHUP and SIGTERM end it and restore the terminal."""
    app = VitLab(lab, roadmap)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(name, app.exit)
        await app.run_async(mouse=mouse)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
    return app.return_code or 0
