"""The screen program: holds its parts together; the watcher reads, the screens show."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from rich.console import RenderableType
from textual import events, on
from textual._context import NoActiveAppError
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.driver import Driver
from textual.message import Message
from textual.screen import Screen
from textual.worker import WorkerFailed

from vitlab.tui.allowed import why_not
from vitlab.tui.home.job_panes import JobSelected
from vitlab.tui.keys import KEYS, MORE_ACTIONS, bindings
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.dialogs import DialogApp, RoadmapChooser
from vitlab.tui.screens.roadmap import MvpScreen, RoadmapScreen
from vitlab.tui.session import Session
from vitlab.tui.terminal import terminal_io
from vitlab.tui.terminal.cells import Update
from vitlab.tui.text import (
    HarmlessLines,
    ascii_only,
    clean,
    end_line,
    ended_badly,
    ends_line,
    was_requested,
)
from vitlab.tui.themes import DARK, THEMES
from vitlab.tui.watch.messages import (
    CurvesUpdated,
    JobsEnded,
    LabUpdated,
    LogUpdated,
    ReadFailed,
    RoadmapsUpdated,
    RunsUpdated,
)
from vitlab.tui.watch.watcher import Watcher
from vitlab.tui.widgets.message_line import show_message

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab
    from vitlab.lab.live.snapshot import JobView
    from vitlab.tui.actions import Actions, Handler
    from vitlab.tui.autopilot import AutopilotWatch
    from vitlab.tui.navigation import Navigation
    from vitlab.tui.selection import Selection

CLOCK, SLOW_CLOCK = 1.0, 10.0
"""Seconds between two looks at what grows old on the screen, and where nothing happens."""
STARTED = 2.0
"""Seconds after which the first picture is surely there."""
ENDS = 30.0
"""Seconds in which the screen ends when it is told to from outside; then its process does."""
MOST_ENDS = 20
"""Jobs ended at once that are told one by one."""
GREETING = 0.7
"""Seconds to the greeting of a newcomer, so that the first picture comes before it."""


def _plan_commands() -> type[Provider]:
    from vitlab.tui.navigation import PlanCommands

    return PlanCommands


class VitLab(DialogApp):
    """One lab; one of its roadmaps at a time; a home and a screen for each kind of work."""

    TITLE = "vitlab"
    CSS_PATH = "app.tcss"
    COMMANDS: ClassVar[set[type | Callable[[], type]]] = {_plan_commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(KEYS),
        Binding("escape", "see_messages", "Close", show=False, priority=True),
        Binding("ctrl+l", "repaint", "Repaint", show=False),
    ]

    def __init__(self, lab: Lab, roadmap: Path | None) -> None:
        super().__init__()
        self.watcher = Watcher(lab, roadmap, self.post_message)
        self.session = Session(
            lab, self.watcher, self.notify, plain=ascii_only(), own_keys=lab.settings.keys
        )
        self.home = RoadmapScreen(self.session)
        self._opened = time.time()
        self.animation_level = "none"
        self._filters.append(HarmlessLines())
        # Textual looks for `action_<name>` on the app.
        for name in (*(key.action for key in KEYS if key.action != "quit"), *MORE_ACTIONS):
            setattr(self, f"action_{name}", partial(self._handle, name))

    def _fatal_error(self) -> None:
        """Leave without Textual's page of frames: the command tells the error as any other."""
        self._close_messages_no_wait()

    # What the keys start is loaded after the first picture, or by the first key: with the lab's
    # side that launches and writes, and the other screens, it takes 0.1 s.

    @cached_property
    def actions(self) -> Actions:
        from vitlab.tui.actions import Actions

        return Actions(self, self.session)

    @cached_property
    def navigation(self) -> Navigation:
        from vitlab.tui.navigation import Navigation

        return Navigation(self, self.session)

    @cached_property
    def selection(self) -> Selection:
        from vitlab.tui.selection import Selection

        return Selection(self, self.session)

    @cached_property
    def _autopilot(self) -> AutopilotWatch:
        from vitlab.tui.autopilot import AutopilotWatch

        return AutopilotWatch(self.session.lab, self._opened)

    @cached_property
    def _handlers(self) -> Mapping[str, Handler]:
        return {
            **self.actions.handlers(),
            **self.navigation.handlers(),
            **self.selection.handlers(),
        }

    def _handle(self, name: str) -> None:
        """Start an action; in a worker where it waits for an answer."""
        waits = self._handlers[name]()
        if inspect.iscoroutine(waits):
            self.run_worker(waits, group="actions")

    def get_driver_class(self) -> type[Driver]:
        driver = super().get_driver_class()
        terminal = terminal_io.Terminal
        return terminal if issubclass(terminal, driver) else driver

    def _handle_exception(self, error: Exception) -> None:
        """An error ends the app, but for that of a worker whose widget has left it meanwhile."""
        why = error.error if isinstance(error, WorkerFailed) else None
        if why is None or not (self._exit or isinstance(why, NoActiveAppError)):
            super()._handle_exception(error)

    def _display(self, screen: Screen[Any], renderable: RenderableType | None) -> None:
        """Show a picture: in a terminal only the cells that differ are sent."""
        terminal = self._driver
        waits = self._batch_count or not self._running or self._closed
        if not (isinstance(terminal, terminal_io.Terminal) and isinstance(renderable, Update)):
            super()._display(screen, renderable)
        elif not waits:
            cursor = self.screen.outer_size.clamp_offset(self.cursor_position)
            terminal.show(renderable, self.size, cursor, whole=self._sync_available)
            self.post_display_hook()

    def get_default_screen(self) -> Screen[None]:
        return self.home

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What the style sheet needs when one of Textual's own themes is chosen."""
        return {name: DARK.variables[name] for name in ("muted", "rim")}

    def on_mount(self) -> None:
        for theme in THEMES.values():
            self.register_theme(theme)
        self.theme = THEMES[self.session.lab.settings.theme].name
        self.set_class(self.session.plain, "-ascii")
        self.set_keymap({name: str(key) for name, key in self.session.own_keys.items()})

    def on_ready(self) -> None:
        self.screen_change_signal.subscribe(self, self._show_message)
        # Not before: what the watcher posts needs the widgets to be there.
        self.run_worker(self.watcher.run, thread=True, group="watch")
        self._clock()
        self.set_timer(GREETING, lambda: self.run_worker(self._greet(), group="actions"))
        if self.session.own_keys:
            from vitlab.tui.navigation import unknown_keys

            for line in unknown_keys(self.session.own_keys):
                self.notify(line, severity="error")

    async def _greet(self) -> None:
        # What keys start is loaded in a thread here, so that the first key finds it there.
        await asyncio.to_thread(lambda: self._handlers)
        await self.navigation.greet()

    def _clock(self) -> None:
        """Show what has grown old; seldom where nothing happens."""
        self.front.grow_old()
        self.set_timer(SLOW_CLOCK if self.watcher.pace.rests else CLOCK, self._clock)

    def post_message(self, message: Message) -> bool:
        """Notice a person before what they do waits for anything."""
        if isinstance(message, events.InputEvent | events.AppFocus):
            self.watcher.attend()
        elif isinstance(message, events.Resize) and isinstance(self._driver, terminal_io.Terminal):
            self._driver.cells.forget()  # what a terminal shows in its new size is its own choice
        return super().post_message(message)

    def on_unmount(self) -> None:
        self.watcher.stop()

    # messages

    def notify(self, message: str, **options: Any) -> None:
        """Tell something in the line of messages; `severity` alone counts."""
        lines = "\n".join(clean(line) for line in message.split("\n"))
        self.session.messages.add(lines, options.get("severity", "information"))
        self._show_message()
        self.set_timer(self.NOTIFICATION_TIMEOUT, self._show_message)

    def _show_message(self, screen: Screen[Any] | None = None) -> None:
        if not self.screen_stack:  # the app is leaving
            return
        screen = screen or self.screen
        if screen.is_mounted and screen.is_attached:
            key = self.session.key("messages")
            show_message(screen, self.session.messages, self.NOTIFICATION_TIMEOUT, key)
        elif screen is self.screen:  # it is just opening
            self.set_timer(0.1, self._show_message)

    def see_messages(self) -> None:
        """Nothing that was told is to be shown any longer."""
        self.session.messages.see_all()
        self._show_message()

    def action_see_messages(self) -> None:
        self.see_messages()

    def action_repaint(self) -> None:
        """Draw everything anew, where something else wrote to the terminal."""
        if isinstance(self._driver, terminal_io.Terminal):
            self._driver.repaint()

    def check_action(self, action: str, _: tuple[object, ...]) -> bool | None:
        if action == "see_messages":
            return bool(self.session.messages.unseen)
        return None if why_not(self.front, action) else True

    # what the watcher posts

    @property
    def front(self) -> LabScreen:
        """The full screen in front, whether a dialog is over it or not."""
        # No screen is left while the app is taken down, and a message may still come.
        screens = [screen for screen in self.screen_stack if isinstance(screen, LabScreen)]
        return screens[-1] if screens else self.home

    @on(LabUpdated)
    def _lab_updated(self, message: LabUpdated) -> None:
        self.session.view = message.view
        if os.path.lexists(self.session.lab.paths.private.autopilot):
            line = self._autopilot.look()
            self.home.header.autopilot = self._autopilot.words
            if line:
                self.notify(clean(line))
                self._ring(line)
        self.front.refresh_view()
        for screen in self.screen_stack:
            if isinstance(screen, MvpScreen):
                screen.show()

    @on(RoadmapsUpdated)
    def _roadmaps_updated(self, message: RoadmapsUpdated) -> None:
        self.session.roadmaps = message.lines
        self.home.show_header()
        for screen in self.screen_stack:
            if isinstance(screen, RoadmapChooser):
                screen.show()

    @on(CurvesUpdated)
    @on(LogUpdated)
    @on(RunsUpdated)
    def _runs_updated(self, message: CurvesUpdated | LogUpdated | RunsUpdated) -> None:
        self.front.receive(message)

    @on(ReadFailed)
    def _read_failed(self, message: ReadFailed) -> None:
        self.notify(message.text, severity="error")

    @on(JobSelected)
    def _job_selected(self, message: JobSelected) -> None:
        self.watcher.follow_job(message.job)

    @on(JobsEnded)
    def _jobs_ended(self, message: JobsEnded) -> None:
        """Tell, in the ways the settings name, of the jobs that have ended."""
        ended: Sequence[JobView] = message.jobs
        severity = "warning" if any(map(ended_badly, ended)) else "information"
        for job in ended[:MOST_ENDS]:
            self.notify(end_line(job), severity=severity)
        if len(ended) > 1:
            self.notify(ends_line(ended), severity=severity)
        ended = [job for job in ended if not was_requested(job)]
        if not ended:
            return
        self._ring(ends_line(ended))
        if self.session.lab.settings.notify.webhook is not None:
            self.run_worker(self.actions.announce(ended), group="notices")

    def _ring(self, line: str) -> None:
        """Tell of an end by bell and desktop, as the settings name them."""
        lab = self.session.lab
        settings = lab.settings.notify
        if settings.bell:
            self.bell()
        if settings.desktop:
            title = f"vitlab {lab.paths.root.name}"
            around = terminal_io.environment(self)
            terminal_io.emit(self, terminal_io.desktop(title, line, settings.osc, around))


def collect_garbage() -> None:
    """Begin to collect garbage, of what is made from now on: what a program is made of stays."""
    gc.freeze()
    gc.enable()


def run_app(lab: Lab, roadmap: Path | None, *, mouse: bool = True) -> int:
    """Run the screen until it is left; SIGHUP and SIGTERM end it and restore the terminal."""
    app = VitLab(lab, roadmap)
    # Reading and drawing happen in threads: a key must not wait 5 ms at each switch for them.
    sys.setswitchinterval(0.001)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(STARTED, collect_garbage)

        def end(number: int, _: object) -> None:
            loop.call_soon_threadsafe(app.exit)
            timer = threading.Timer(ENDS, os._exit, [128 + number])
            timer.daemon = True
            timer.start()

        for name in (signal.SIGHUP, signal.SIGTERM):
            signal.signal(name, end)
        await app.run_async(mouse=mouse)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
    if app._exception is not None:
        raise app._exception
    return app.return_code or 0
