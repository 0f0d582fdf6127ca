"""The offer where there is no lab, or none with a roadmap: make the example lab here, or leave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from vitlab.tui.text import ascii_only, clean
from vitlab.tui.themes import THEMES


class Welcome(App[bool]):
    """One question: `y` or enter makes the files it names, anything that leaves makes none."""

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
        Binding("y,enter", "answer(True)", "Make it"),
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

    def compose(self) -> ComposeResult:
        if self._lab:
            found = f"{self._folder} is a lab without a roadmap (roadmaps/*roadmap*.md)."
        else:
            found = f"There is no lab in {self._folder} or above it."
        offer = (
            f"{found} An example can be made here: a roadmap of eight MVPs that scale a Vision "
            "Transformer on stellar spectra, its hub, and an experiment for each. It runs as it is "
            "(`smoke` takes seconds on a CPU), and is yours to change."
        )
        names = "\n".join(clean(file.as_posix()) for file in self._files)
        with Vertical(id="offer") as box:
            box.border_title = Text("Welcome to vitlab")
            yield Static(Text(clean(offer)), markup=False)
            with VerticalScroll(id="files"):
                yield Static(Text(f"Files it would make ({len(self._files)}):\n{names}"))
            no = "n goes on without" if self._lab else "n leaves"
            yield Static(Text(f"y makes them   {no}; nothing is written"), markup=False)

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
    """Ask; whether the example is wanted."""
    return bool(Welcome(folder, files, lab=lab, theme=theme).run(mouse=mouse))
