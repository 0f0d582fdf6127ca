"""The autopilot on the screen: planned and started, shown, paused and ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from vitlab.lab.autopilot import control
from vitlab.lab.autopilot.budget import hours_of
from vitlab.lab.autopilot.page import report_of
from vitlab.lab.autopilot.record import read_autopilot
from vitlab.lab.autopilot.text import plan_lines, report_lines
from vitlab.tui.screens.dialogs import ConfirmScreen, LineScreen
from vitlab.tui.text import clean

if TYPE_CHECKING:
    from vitlab.lab.lab import Lab
    from vitlab.tui.session import Session

Answer = Literal["pause", "end", "start"] | None


class AutopilotScreen(ModalScreen[Answer]):
    """How it stands; `p` pauses it or goes on, `x` ends it, `n` starts another."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("p", "hold_job", "Pause"),
        Binding("x", "stop_job", "End"),
        Binding("n", "launch_next", "Start"),
        Binding("escape", "dismiss(None)", "Leave"),
    ]

    def __init__(self, state: str, lines: list[str]) -> None:
        super().__init__()
        self._state = state
        self._lines = lines

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text("Autopilot")
            yield VerticalScroll(Static(Text("\n".join(map(clean, self._lines))), markup=False))
            yield Static(f"{_KEYS[self._state]}   esc leaves", classes="keys", markup=False)

    def action_hold_job(self) -> None:
        self._answer("pause")

    def action_stop_job(self) -> None:
        self._answer("end")

    def action_launch_next(self) -> None:
        self._answer("start")

    def _answer(self, answer: Answer) -> None:
        """Give it, unless it means nothing as the autopilot stands."""
        if (answer == "start") == (self._state == "ended"):
            self.dismiss(answer)


_KEYS = {
    "running": "p pauses   x ends it",
    "paused": "p goes on   x ends it",
    "ended": "n starts another",
}


async def show_autopilot(app: App[Any], session: Session) -> None:
    """Show the lab's autopilot and do what is asked of it, or start one."""
    lab = session.lab
    found = await session.attempt(lambda: _read(lab))
    if found is None:
        return
    state, lines = found
    asked: Answer = "start"
    if state:
        asked = await app.push_screen_wait(AutopilotScreen(state, lines))
    if asked == "start":
        await _start(app, session)
    elif asked == "pause":
        how, word = (
            (control.go_on, "goes on") if state == "paused" else (control.pause, "is paused")
        )
        if await session.attempt(lambda: str(how(lab).state)):
            app.notify(f"the autopilot {word}")
    elif asked == "end":
        question = "End the autopilot? Jobs in progress go on"
        if await app.push_screen_wait(ConfirmScreen(question)):
            ended = await session.attempt(lambda: control.stop(lab))
            if ended is not None:
                app.notify(f"the autopilot has ended: {clean(ended.page)}")
    session.watcher.refresh_now()


def _read(lab: Lab) -> tuple[str, list[str]]:
    """Its state, empty where there is none, and lines on it."""
    pilot = read_autopilot(lab.paths)
    return ("", []) if pilot is None else (pilot.state, list(report_lines(report_of(lab, pilot))))


async def _start(app: App[Any], session: Session) -> None:
    """Ask for the budget, show the plan, and start on a yes."""
    lab, roadmap = session.lab, session.roadmap
    text = await app.push_screen_wait(LineScreen("Autopilot: budget", "8h", "8h, 90m, 1h30m"))
    if not text:
        return
    plan = await session.attempt(
        lambda: control.forecast(lab, control.Wanted(hours_of(text, "budget"), roadmap))
    )
    if plan is None:
        return
    question = "\n".join([*plan_lines(plan), "Start it?"])
    if not await app.push_screen_wait(ConfirmScreen(question)):
        return
    wanted = control.Wanted(plan.pilot.budget, roadmap)
    if await session.attempt(lambda: str(control.start(lab, wanted).state)):
        app.notify("the autopilot has started: A shows it")
