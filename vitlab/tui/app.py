"""The screen program: what holds its parts together; reading is the watcher's."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import App
from textual.binding import BindingType
from textual.driver import Driver
from textual.screen import Screen

from vitlab.tui.deeds import Deeds
from vitlab.tui.desk import Desk
from vitlab.tui.doing import Doing
from vitlab.tui.finishing import Finishing
from vitlab.tui.going import Going
from vitlab.tui.keys import VERBS, bindings
from vitlab.tui.navigation import unknown_keys
from vitlab.tui.palette import PlanCommands
from vitlab.tui.screens.base import Frame
from vitlab.tui.screens.dialogs import RoadmapChooser
from vitlab.tui.screens.roadmap import JobChosen, RoadmapScreen
from vitlab.tui.terminal.terminal_io import Terminal
from vitlab.tui.text import ascii_only
from vitlab.tui.themes import DARK, THEMES
from vitlab.tui.watch.messages import CurvesSeen, LabSeen, LogSeen, RoadmapsSeen, RunsSeen, Trouble
from vitlab.tui.watch.notices import Notices
from vitlab.tui.watch.watcher import Watch

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab


BEGUN = 2.0
"""Seconds after which the first picture is surely there."""

GREET = 0.7
"""Seconds to the word for a newcomer: the first picture comes before."""


class VitLab(Going, Doing, Finishing):
    """One lab; one of its roadmaps at a time; a home and a screen for each kind of work."""

    TITLE = "vitlab"
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[type | Callable[[], type]]] = App.COMMANDS | {PlanCommands}
    BINDINGS: ClassVar[list[BindingType]] = bindings(VERBS)

    def __init__(self, lab: Lab, roadmap: Path | None, *, desk: Desk | None = None) -> None:
        super().__init__()
        plain = ascii_only()
        self.desk = desk or Desk(lab, roadmap)
        self.watcher = Watch(self.desk, self.post_message)
        self.deeds = Deeds(self)
        self.notices = Notices()
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
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[self.desk.lab.settings.theme].name
        self.set_class(self.frame.plain, "-ascii")
        self.set_keymap({name: str(key) for name, key in self.frame.own.items()})

    def on_ready(self) -> None:
        # Not before: what the watcher posts needs the widgets to be there.
        self.run_worker(self.watcher.run, thread=True, group="watch")
        self.set_timer(GREET, self.greet)
        for line in unknown_keys(self.frame.own):
            self.tell(line, "error")

    def on_unmount(self) -> None:
        self.watcher.stop()

    @on(LabSeen)
    def _lab_seen(self, seen: LabSeen) -> None:
        self.view = seen.view
        self.home.view = seen.view
        self.front.see(seen.view)
        self.tell_ends(seen.view.jobs)

    @on(RoadmapsSeen)
    def _roadmaps_seen(self, seen: RoadmapsSeen) -> None:
        self.roadmaps = seen.lines
        self.home.show_roadmaps(seen.lines)
        # No screen is left while the app is taken down, and a message may still come.
        for chooser in self.screen_stack:
            if isinstance(chooser, RoadmapChooser):
                chooser.show(seen.lines)

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


def collect() -> None:
    """Begin to collect garbage, of what is made from now on: what a program is made of stays."""
    gc.freeze()
    gc.enable()


def run_app(lab: Lab, roadmap: Path | None, *, mouse: bool = True) -> int:
    """Run the screen until it is left; SIGHUP and SIGTERM end it and restore the terminal."""
    app = VitLab(lab, roadmap)
    # Reading and drawing happen in threads: a key must not wait 5 ms at each turn for them.
    sys.setswitchinterval(0.001)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(BEGUN, collect)
        for name in (signal.SIGHUP, signal.SIGTERM):
            loop.add_signal_handler(name, app.exit)
        await app.run_async(mouse=mouse)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
    return app.return_code or 0
