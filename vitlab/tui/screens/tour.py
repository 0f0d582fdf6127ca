"""The first tour: a few words at the foot of the real home, one pane after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from vitlab.tui.text import ink

if TYPE_CHECKING:
    from vitlab.tui.screens.roadmap import RoadmapScreen


class Step(NamedTuple):
    """One stop."""

    pane: str
    title: str
    text: str
    """`{verb}` stands for the verb's key, which may be the user's own."""


STEPS = (
    Step(
        "plan",
        "Your plan",
        "This is your roadmap, read from the markdown file itself. The lines at the top answer "
        "without a key: where it stands, what runs and is next, what awaits you. enter shows all "
        "of an MVP, t turns the table into a board.",
    ),
    Step(
        "plan",
        "Launch",
        "{launch_next} launches the MVP that is next, {launch_selected} the selected one. First "
        "you see what will run and what will be written. Profile smoke takes seconds.",
    ),
    Step(
        "jobs",
        "Follow",
        "What runs, how far it is, and its last R²; below it the log, and key 4 the curve. "
        "{open_log} opens the whole log, {open_curves} curves of any runs, {stop_job} stops a job. "
        "Jobs go on when you leave, or lose the connection.",
    ),
    Step(
        "gates",
        "Decide",
        "Gates are judged by the results: what each asks, and why it stands so. {open_gates} shows "
        "rule, evidence and what it decides.",
    ),
    Step(
        "plan",
        "Write, and take back",
        "When a run has ended, {write} shows what it changes in your documents, line by line; y "
        "writes it. {undo} takes the last write back. Nothing else in the files is touched.",
    ),
    Step(
        "plan",
        "Help",
        "{help} tells the keys of any screen, ctrl+p finds any action or MVP by its words, and "
        "{tour} is this tour again. {quit} leaves.",
    ),
)


class TourScreen(ModalScreen[None]):
    """Enter goes on, escape skips the rest."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space,l,right,j,down,n", "step(1)", "Next"),
        Binding("h,left,k,up,b", "step(-1)", "Back"),
        Binding("escape,q", "dismiss(None)", "Skip"),
    ]

    def __init__(self, home: RoadmapScreen, key: Callable[[str], str]) -> None:
        """`key(action)`: the key of a verb as it is written."""
        super().__init__()
        self._home = home
        self._key = key
        self._at = 0
        self._text = Static(markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            self._dialog = dialog
            yield self._text

    def on_mount(self) -> None:
        self._show()

    def action_step(self, by: int) -> None:
        if self._at + by >= len(STEPS):
            self.dismiss(None)
            return
        self._at = max(self._at + by, 0)
        self._show()

    def _show(self) -> None:
        step = STEPS[self._at]
        self._home.go(step.pane)
        names = ("launch_next", "launch_selected", "open_log", "open_curves", "open_gates")
        more = ("stop_job", "write", "undo", "help", "tour", "quit")
        said = step.text.format(**{name: self._key(name) for name in (*names, *more)})
        self._dialog.border_title = Text(f"{self._at + 1} of {len(STEPS)}  {step.title}")
        last = self._at + 1 == len(STEPS)
        self._dialog.border_subtitle = Text(
            "enter ends it   h back" if last else "enter goes on   h back   esc skips"
        )
        self._text.update(Text(said, ink(self, "")))
