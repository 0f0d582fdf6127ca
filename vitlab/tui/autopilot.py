"""The autopilot on the screen: planned and started, shown, paused and ended."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rich.text import Text
from textual import on, work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Input, Static

from vitlab.contract.paths import UsageError, cause
from vitlab.lab.autopilot import control
from vitlab.lab.autopilot.budget import hours_of
from vitlab.lab.autopilot.record import BY_YOU, read_autopilot
from vitlab.lab.autopilot.report import report_of
from vitlab.lab.autopilot.text import (
    end_line,
    plan_lines,
    plan_summary,
    state_lines,
    tried_lines,
    waiting_lines,
)
from vitlab.tui.screens.dialogs import ConfirmScreen, Dialog
from vitlab.tui.screens.new_plan import Field, Row
from vitlab.tui.text import clean, tone_style

if TYPE_CHECKING:
    from vitlab.lab.autopilot.record import Autopilot
    from vitlab.lab.lab import Lab
    from vitlab.tui.session import Session

Standing = tuple[list[str], list[str], list[str]]
"""Lines on its state, on what was tried, and on what waits."""
State = Literal["running", "paused", "ended"]
REFRESH = 5.0
"""Seconds between two readings of what is shown."""
Answer = Literal["pause", "end", "start"] | None


class AutopilotScreen(Dialog[Answer]):
    """How it stands; `p` pauses it or goes on, `x` ends it, `n` starts another."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "hold_job", "Pause"),
        Binding("x", "stop_job", "End"),
        Binding("n", "launch_next", "Start"),
        Binding("escape", "dismiss(None)", "Leave"),
    ]

    def __init__(self, state: State, read: Callable[[], tuple[State, Standing]]) -> None:
        """`read`: what it shows, for a thread; a key means what the state says at once."""
        super().__init__()
        self.state = state
        self._read = read
        self._above, self._below = Static(markup=False), Static(markup=False)
        # Their conclusions are long, and stand in the plan.
        self._tried = Static(markup=False, classes="one-line")
        self._keys = Static(classes="keys", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text("Autopilot")
            with VerticalScroll(classes="lines"):
                yield from (self._above, self._tried, self._below)
            yield self._keys

    def on_mount(self) -> None:
        self._show(self.state, ([f"autopilot {self.state}", "reading ..."], [], []))
        self.run_worker(self._follow())

    async def _follow(self) -> None:
        """Show how it stands, and again while it is looked at."""
        while True:
            try:
                self._show(*await asyncio.to_thread(self._read))
            except (UsageError, OSError) as error:
                self._show(self.state, ([cause(error)], [], []))
            await asyncio.sleep(REFRESH)

    def _show(self, state: State, standing: Standing) -> None:
        self.state = state
        for static, lines in zip((self._above, self._tried, self._below), standing, strict=True):
            static.update(Text("\n".join(map(clean, lines))))
            static.display = bool(lines)
        self._keys.update(f"{_KEYS[state]}   esc leaves")

    def action_hold_job(self) -> None:
        self._answer("pause")

    def action_stop_job(self) -> None:
        self._answer("end")

    def action_launch_next(self) -> None:
        self._answer("start")

    def _answer(self, answer: Answer) -> None:
        """Give it, unless it means nothing as the autopilot stands."""
        if (answer == "start") == (self.state == "ended"):
            self.dismiss(answer)


_KEYS: Mapping[State, str] = {
    "running": "p launches nothing more for now   x ends it",
    "paused": "p goes on   x ends it",
    "ended": "n starts another",
}


async def show_autopilot(app: App[Any], session: Session) -> None:
    """Show the lab's autopilot and do what is asked of it, or start one."""
    lab = session.lab
    asked: Answer = "start"
    # Its report is read later: until a dialog is there, keys mean something else.
    found = await session.attempt(lambda: [read_autopilot(lab.paths)])
    if found is None:
        return
    [pilot] = found
    state = pilot.state if pilot is not None else "ended"
    if pilot is not None:
        screen = AutopilotScreen(state, lambda: _read(lab))
        asked = await app.push_screen_wait(screen)
        state = screen.state
    if asked == "start":
        if await app.push_screen_wait(StartScreen(session)):
            app.notify("the autopilot has started: A shows it")
    elif asked == "pause":
        how, word = (
            (control.go_on, "goes on") if state == "paused" else (control.pause, "is paused")
        )
        if await session.attempt(lambda: str(how(lab).state)):
            app.notify(f"the autopilot {word}")
    elif asked == "end":
        question = "End the autopilot? Its jobs that run or wait go on"
        if await app.push_screen_wait(ConfirmScreen(question)):
            ended = await session.attempt(lambda: control.stop(lab))
            if ended is not None:
                app.notify(f"the autopilot has ended; its report: {clean(ended.page)}")
    session.watcher.refresh_now()


def _read(lab: Lab) -> tuple[State, Standing]:
    """Its state, and lines on it."""
    pilot = read_autopilot(lab.paths)
    if pilot is None:
        return "ended", ([control.NONE], [], [])
    report = report_of(lab, pilot)
    parts = (state_lines(report), tried_lines(report), waiting_lines(report))
    return pilot.state, (list(parts[0]), list(parts[1]), list(parts[2]))


class AutopilotWatch:
    """How the lab's autopilot stands, and once that it has ended while the screen is open."""

    def __init__(self, lab: Lab, opened: float) -> None:
        """`opened`: since when, in Unix seconds."""
        self._lab, self._opened = lab, opened
        self._read_at, self._told = 0, ""
        self.words = ""
        """`auto until 18:42`, `auto paused`; empty where none goes on."""

    def look(self) -> str:
        """A line on its end; empty where there is nothing new, or a person has ended it.

        `words` is brought up to date.
        """
        with contextlib.suppress(OSError):
            at = self._lab.paths.private.autopilot.stat().st_mtime_ns
            if at != self._read_at:
                self._read_at = at
                return self._line()
        return ""

    def _line(self) -> str:
        pilot = read_autopilot(self._lab.paths)
        self.words = "" if pilot is None else _words(pilot)
        if pilot is None or pilot.state != "ended" or pilot.id == self._told:
            return ""
        self._told = pilot.id
        if pilot.why == BY_YOU or pilot.ended < self._opened:
            return ""
        return f"{end_line(pilot)}; its report: {pilot.page}"


def _words(pilot: Autopilot) -> str:
    if pilot.state != "running":
        return "auto paused" if pilot.state == "paused" else ""
    end = datetime.datetime.fromtimestamp(pilot.started + 3600 * pilot.budget)
    is_today = end.date() == datetime.date.today()
    return f"auto until {end:%H:%M}" if is_today else f"auto until {end:%a %H:%M}"


FIELDS = (
    Field("budget", "at most", "8h, 90m, 1h30m"),
    Field("gpu_hours", "GPU hours", "no limit"),
    Field("at_once", "jobs", "1 at once"),
    Field("until", "until", "nothing is left; or Gate-2, MVP-3.0"),
)
BUDGET = "8h"
"""What is offered."""


class StartScreen(Dialog[bool]):
    """Asks what a new autopilot may use; shows its plan, and starts it on a yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(False)", "Leave"),
        Binding("down", "app.focus_next", "Down", show=False),
        Binding("up", "app.focus_previous", "Up", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._rows = {field.name: Row(field) for field in FIELDS}
        self._text = Static(id="form-text", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text("Run the plan unattended")
            dialog.border_subtitle = Text("enter shows the plan   up down move   esc cancels")
            yield from self._rows.values()
            yield self._text

    def on_mount(self) -> None:
        first = self._rows["budget"].entry
        first.value = BUDGET  # type: ignore[misc]  # an Input, as it is typed
        first.focus()

    def _wanted(self) -> control.Wanted:
        """As typed; `UsageError` for what cannot be."""
        typed = {name: row.entry.value.strip() for name, row in self._rows.items()}
        at_once = typed["at_once"] or "1"
        if not at_once.isdecimal() or len(at_once) > 6:
            raise UsageError(f"jobs at once {at_once}: expected a number, 1 or more")
        return control.Wanted(
            budget=hours_of(typed["budget"], "at most"),
            roadmap=self._session.roadmap,
            gpu_hours=hours_of(typed["gpu_hours"], "GPU hours") if typed["gpu_hours"] else None,
            at_once=int(at_once),
            until=typed["until"],
        )

    @on(Input.Submitted)
    @work(group="accept", exclusive=True)
    async def _accept(self) -> None:
        lab, attempt = self._session.lab, self._session.attempt

        def planned() -> tuple[control.Wanted, control.Forecast]:
            return (wanted := self._wanted()), control.forecast(lab, wanted)

        found = await attempt(planned, self._refuse)
        if found is None:
            return
        wanted, plan = found
        lines = ["Start it?", plan_summary(plan), "", *plan_lines(plan)]
        if not await self.app.push_screen_wait(ConfirmScreen("\n".join(lines))):
            return
        if await attempt(lambda: str(control.start(lab, wanted).state), self._refuse):
            self.dismiss(True)

    def _refuse(self, why: str) -> None:
        told = clean(f"! {why.removeprefix('--')}")  # the option of the command
        self._text.update(Text(told, tone_style(self, "error")))
