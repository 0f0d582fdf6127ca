"""What a newcomer sees: the offer to make the example lab, and the tour of home."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from vitlab.tui.screens.dialogs import Dialog
from vitlab.tui.text import HarmlessLines, ascii_only, clean
from vitlab.tui.themes import THEMES

if TYPE_CHECKING:
    from vitlab.tui.screens.roadmap import RoadmapScreen


class Welcome(App[bool]):
    """One question: `y` or enter makes the files listed, any other answer makes none."""

    TITLE = "vitlab"
    CSS = """
    Screen { align: center middle; background: $background; color: $foreground; }
    #offer { width: 90%; max-width: 88; height: auto; max-height: 100%; border: round $accent;
        border-title-color: $accent; background: $panel; padding: 1 2; }
    #files { height: auto; max-height: 1fr; margin: 1 0; background: $panel; }
    Static { height: auto; }
    .-ascii #offer { border: ascii $accent; }
    .-ascii #files { scrollbar-size: 0 0; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Create it"),
        Binding("n,q,escape", "answer(False)", "Leave"),
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
    ]

    def __init__(self, folder: Path, files: Sequence[Path], *, lab: bool, theme: str) -> None:
        """`files`: what would be made, from the folder; `lab`: there is one, without a roadmap."""
        super().__init__()
        self._folder = folder
        self._files = files
        self._lab = lab
        self._theme = theme
        self.animation_level = "none"
        self._filters.append(HarmlessLines())

    def compose(self) -> ComposeResult:
        if self._lab:
            state = f"{self._folder} is a lab without a roadmap (roadmaps/*roadmap*.md)."
        else:
            state = f"There is no lab in {self._folder} or above it."
        offer = (
            f"{state} vitlab can create an example here: a roadmap of eight MVPs that scale a "
            "Vision Transformer on stellar spectra, its hub, and an experiment for each. It runs "
            "as it is (`smoke` takes seconds on a CPU), and you can change it."
        )
        names = "\n".join(clean(file.as_posix()) for file in self._files)
        with Vertical(id="offer") as box:
            box.border_title = Text("Welcome to vitlab")
            yield Static(Text(clean(offer)), markup=False)
            with VerticalScroll(id="files"):
                yield Static(Text(f"Files it would create ({len(self._files)}):\n{names}"))
            no = "n continues without it" if self._lab else "n quits"
            yield Static(Text(f"y creates them   {no}, nothing is written"), markup=False)

    def on_mount(self) -> None:
        theme = THEMES[self._theme]
        self.register_theme(theme)
        self.theme = theme.name
        self.set_class(ascii_only(), "-ascii")

    def action_answer(self, yes: bool) -> None:
        self.exit(yes)

    def action_move(self, lines: int) -> None:
        self.query_one("#files", VerticalScroll).scroll_relative(y=lines, animate=False)


def offered(
    folder: Path, files: Sequence[Path], *, lab: bool, theme: str = "dark", mouse: bool = True
) -> bool:
    """Ask; whether the example is to be made."""
    return bool(Welcome(folder, files, lab=lab, theme=theme).run(mouse=mouse))


class Step(NamedTuple):
    """One step of the tour."""

    pane: str
    title: str
    text: str
    """`{action}` is replaced by the action's key, which the settings may change."""


STEPS = (
    Step(
        "plan",
        "Your plan",
        "This is your roadmap, read from the markdown file. Curve, log, specification and gates "
        "beside it are those of the MVP under the cursor; . shows the next of them. The lines at "
        "the top say what runs, what needs you, and what is next. {add} adds an MVP or a gate.",
    ),
    Step(
        "plan",
        "Launch",
        "{launch_next} launches the MVP that is next, {launch_selected} the selected one. A "
        "dialog shows what will run and be written. Profile smoke takes seconds.",
    ),
    Step(
        "jobs",
        "Follow",
        "What runs, its progress and its last R². The MVP of the job under the cursor is selected. "
        "{open_log} opens the log, {open_curves} curves of any runs, {stop_job} stops a job. "
        "Jobs keep running when you quit or lose the connection.",
    ),
    Step(
        "gates",
        "Decide",
        "Gates are judged from the results; each shows its verdict and the reason. {open_gates} "
        "shows rules, evidence and what they decide.",
    ),
    Step(
        "plan",
        "Write and undo",
        "When a run has ended, {write} shows what it changes in your documents, line by line; y "
        "writes it. {undo} undoes the last write. Nothing else in the files is changed.",
    ),
    Step(
        "plan",
        "Help",
        "{help} shows the keys of any screen, ctrl+p finds any action or MVP by name, and "
        "{tour} shows this tour again. {quit} quits.",
    ),
)


class TourScreen(Dialog[None]):
    """Enter shows the next step, escape skips the rest."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,l,right,j,down", "step(1)", "Next"),
        Binding("h,left,k,up", "step(-1)", "Back"),
        Binding("escape,q", "dismiss(None)", "Skip"),
    ]

    def __init__(self, home: RoadmapScreen, key: Callable[[str], str]) -> None:
        """`key(action)`: the key of an action as it is written."""
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
        more = ("add", "stop_job", "write", "undo", "help", "tour", "quit")
        text = step.text.format(**{name: self._key(name) for name in (*names, *more)})
        self._dialog.border_title = Text(f"{self._at + 1} of {len(STEPS)}  {step.title}")
        last = self._at + 1 == len(STEPS)
        self._dialog.border_subtitle = Text(
            "enter ends   h back" if last else "enter next   h back   esc skips"
        )
        self._text.update(Text(text))
