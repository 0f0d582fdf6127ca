"""The debug screen: what to paste into a bug report."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from vitlab.tui.words import clean


class DebugScreen(ModalScreen[None]):
    """Plain text; `y` copies it, `E` writes it to a file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,B", "dismiss(None)", "Close"),
        Binding("j,down", "scroll_by(1)", "Down"),
        Binding("k,up", "scroll_by(-1)", "Up"),
        Binding("space,pagedown", "scroll_by(15)", "Page down"),
        Binding("b,pageup", "scroll_by(-15)", "Page up"),
        Binding("y", "copy", "Copy"),
        Binding("E", "export", "Export"),
    ]

    def __init__(self, copy: Callable[[str], object], export: Callable[[str], object]) -> None:
        super().__init__()
        self.text = ""
        """Empty until all has been gathered."""
        self._copy = copy
        self._export = export
        self._static = Static(Text("gathering"), markup=False)
        self._scroll = VerticalScroll(self._static, id="debug")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -large") as dialog:
            dialog.border_title = Text("For a bug report")
            dialog.border_subtitle = Text("y copies   E writes a file   esc closes")
            yield self._scroll

    def show(self, text: str) -> None:
        """Show what was gathered."""
        self.text = text
        self._static.update(Text("\n".join(clean(line) for line in text.split("\n"))))

    def action_scroll_by(self, lines: int) -> None:
        self._scroll.scroll_relative(y=lines, animate=False)

    def action_copy(self) -> None:
        if self.text:
            self._copy(self.text)

    def action_export(self) -> None:
        if self.text:
            self._export(self.text)
