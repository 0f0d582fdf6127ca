"""The screen program: which screen is in front, and what the keys do; reading is the watcher's."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from functools import partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import App
from textual.binding import BindingType
from textual.driver import Driver
from textual.screen import Screen

from vitlab.tui.deeds import Deeds
from vitlab.tui.desk import Desk
from vitlab.tui.messages import CurvesSeen, LabSeen, LogSeen, RoadmapsSeen, RunsSeen, Trouble
from vitlab.tui.palette import PlanCommands
from vitlab.tui.places import Place, find, screen_class, unknown_keys
from vitlab.tui.screens.base import Frame, LabScreen
from vitlab.tui.screens.chooser import RoadmapChooser
from vitlab.tui.screens.roadmap import JobChosen, RoadmapScreen
from vitlab.tui.terminal import Terminal
from vitlab.tui.themes import DARK, LIGHT
from vitlab.tui.verbs import VERBS, bindings
from vitlab.tui.watch import Watch
from vitlab.tui.words import clean

if TYPE_CHECKING:
    from vitlab.records.lab import Lab
    from vitlab.records.overview import RoadmapLine
    from vitlab.records.view import LabView


class VitLab(App[int]):
    """One lab; one of its roadmaps at a time; a home and a screen for each kind of work."""

    TITLE = "vitlab"
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[type | Callable[[], type]]] = App.COMMANDS | {PlanCommands}
    BINDINGS: ClassVar[list[BindingType]] = bindings(VERBS)

    def __init__(self, lab: Lab, roadmap: Path | None, *, desk: Desk | None = None) -> None:
        super().__init__()
        encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
        plain = "utf" not in encoding or os.environ.get("VITLAB_ASCII", "") not in ("", "0")
        self.desk = desk or Desk(lab, roadmap)
        self.watcher = Watch(self.desk, self.post_message)
        self.deeds = Deeds(self)
        self.view: LabView | None = None
        """The lab as last seen; None before the first look."""
        self.roadmaps: tuple[RoadmapLine, ...] = ()
        """Every roadmap in a line; empty before the first look at them."""
        self.frame = Frame(self.desk, self.watcher, self.deeds, plain, self.desk.lab.settings.keys)
        self.home = RoadmapScreen(self.frame)
        self.animation_level = "none"

    def get_driver_class(self) -> type[Driver]:
        driver = super().get_driver_class()
        return Terminal if issubclass(Terminal, driver) else driver

    def get_default_screen(self) -> Screen[None]:
        return self.home

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What the style sheet needs when a theme of Textual's own is chosen."""
        return {name: DARK.variables[name] for name in ("muted", "rim")}

    def on_mount(self) -> None:
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self.theme = DARK.name
        self.set_class(self.frame.plain, "-ascii")
        self.set_keymap({name: str(key) for name, key in self.frame.own.items()})

    def on_ready(self) -> None:
        # Not before: what the watcher posts needs the widgets to be there.
        self.run_worker(self.watcher.run, thread=True, group="watch")
        for line in unknown_keys(self.frame.own):
            self.tell(line, "error")

    def on_unmount(self) -> None:
        self.watcher.stop()

    @property
    def front(self) -> LabScreen:
        """The full screen in front, be there a dialog over it or not."""
        screens = [screen for screen in self.screen_stack if isinstance(screen, LabScreen)]
        return screens[-1] if screens else self.home

    @on(LabSeen)
    def _lab_seen(self, seen: LabSeen) -> None:
        self.view = seen.view
        self.home.view = seen.view
        self.front.see(seen.view)

    @on(RoadmapsSeen)
    def _roadmaps_seen(self, seen: RoadmapsSeen) -> None:
        self.roadmaps = seen.lines
        self.home.show_roadmaps(seen.lines)
        if isinstance(self.screen, RoadmapChooser):
            self.screen.show(seen.lines)

    @on(CurvesSeen)
    @on(LogSeen)
    def _seen(self, seen: CurvesSeen | LogSeen) -> None:
        self.home.hear(seen)

    @on(RunsSeen)
    def _runs_seen(self, seen: RunsSeen) -> None:
        self.front.hear(seen)

    @on(Trouble)
    def _trouble(self, trouble: Trouble) -> None:
        self.tell(trouble.text, "error")

    @on(JobChosen)
    def _job_chosen(self, chosen: JobChosen) -> None:
        self.watcher.select(chosen.job)

    def tell(self, text: str, severity: str = "information") -> None:
        """A toast; errors stay longer."""
        seconds = 10 if severity == "error" else 5
        self.notify(clean(text), severity=severity, timeout=seconds, markup=False)  # type: ignore[arg-type]

    # where the user goes

    def show_screen(self, name: str) -> None:
        """Put the screen `name` in front, as it was left; escape leads back to the one before."""
        if any(screen.id == name for screen in self.screen_stack):
            while self.screen.id != name:
                self.pop_screen()
            return
        if not self.is_screen_installed(name):
            self.install_screen(screen_class(name)(self.frame), name)
        screen = self.get_screen(name)
        if isinstance(screen, LabScreen):
            screen.view = self.view
        self.push_screen(screen)

    action_open_jobs = partialmethod(show_screen, "jobs")
    action_open_curves = partialmethod(show_screen, "curves")
    action_open_documents = partialmethod(show_screen, "documents")
    action_open_results = partialmethod(show_screen, "results")
    action_open_gates = partialmethod(show_screen, "gates")

    def action_open_log(self) -> None:
        """The log of the job selected on the screen in front."""
        job = self.front.selected_job()
        self.show_screen("log")
        if job is not None:
            self.front.point_at(job.paths.name)

    @work(group="places")
    async def action_open_roadmaps(self) -> None:
        path = await self.push_screen_wait(RoadmapChooser(self.roadmaps, self.desk.roadmap))
        if path is not None:
            self.turn(path)

    def turn(self, path: Path) -> None:
        """Look at another roadmap from now on."""
        self.desk.turn(path)
        self.watcher.poke()

    def action_turn_roadmap(self, by: int) -> None:
        """The roadmap `by` places after the one shown."""
        paths = [line.path for line in self.roadmaps]
        if len(paths) < 2:
            self.tell("this lab has no other roadmap")
            return
        now = paths.index(self.desk.roadmap) if self.desk.roadmap in paths else 0
        self.turn(paths[(now + by) % len(paths)])

    action_last_roadmap = partialmethod(action_turn_roadmap, -1)
    action_next_roadmap = partialmethod(action_turn_roadmap, 1)

    @work(group="places")
    async def action_jump(self) -> None:
        from vitlab.tui.screens.dialogs import LineScreen

        words = await self.push_screen_wait(LineScreen("Jump to", hint="MVP, gate or job"))
        if not words:
            return
        place = find(words, self.view)
        if place is None:
            self.tell(f"{words}: no MVP, gate or job of this name", "warning")
            return
        self.go(place)

    def go(self, place: Place) -> None:
        """Show one MVP, gate or job."""
        self.show_screen(place.screen)
        self.call_after_refresh(lambda: self.front.point_at(place.key))

    # what the user does

    def action_launch_next(self) -> None:
        if self.view is None or self.view.next is None:
            self.tell("nothing is next: every MVP of this roadmap is done, running or cancelled")
            return
        self._launch(self.view.next.id)

    def action_launch_selected(self) -> None:
        mvp = self.front.selected_mvp()
        if mvp is None:
            self.tell("no MVP is selected", "warning")
            return
        self._launch(mvp.id)

    @work(group="deeds")
    async def _launch(self, mvp_id: str) -> None:
        await self.deeds.launch(mvp_id)

    @work(group="deeds")
    async def action_job(self, word: str) -> None:
        await self.deeds.job(word, self.front.selected_job())

    action_stop_job = partialmethod(action_job, "stop_job")
    action_resume_job = partialmethod(action_job, "resume_job")
    action_hold_job = partialmethod(action_job, "hold_job")
    action_move_up = partialmethod(action_job, "move_up")
    action_move_down = partialmethod(action_job, "move_down")
    action_move_first = partialmethod(action_job, "move_first")
    action_raise_job = partialmethod(action_job, "raise_job")
    action_lower_job = partialmethod(action_job, "lower_job")

    @work(group="deeds")
    async def action_resume_left(self) -> None:
        await self.deeds.left(resume=True)

    @work(group="deeds")
    async def action_drop_left(self) -> None:
        await self.deeds.left(resume=False)

    @work(group="deeds")
    async def action_write(self) -> None:
        await self.deeds.write()

    @work(group="deeds")
    async def action_undo(self) -> None:
        await self.deeds.turn(back=True)

    @work(group="deeds")
    async def action_redo(self) -> None:
        await self.deeds.turn(back=False)

    def action_filter(self) -> None:
        self.front.filter_rows()

    def action_next_metric(self) -> None:
        self.watcher.show_next()

    def action_reread(self) -> None:
        self.watcher.poke()

    def action_help(self) -> None:
        from vitlab.tui.screens.help import HelpScreen

        self.push_screen(HelpScreen(self.front, self.frame.own))


def run_app(lab: Lab, roadmap: Path | None, *, mouse: bool = True) -> int:
    """Run the screen until it is left; SIGHUP and SIGTERM end it and restore the terminal."""
    app = VitLab(lab, roadmap)
    # Reading and drawing happen in threads: a key must not wait 5 ms at each turn for them.
    sys.setswitchinterval(0.001)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(name, app.exit)
        await app.run_async(mouse=mouse)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
    return app.return_code or 0
