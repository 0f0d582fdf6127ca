"""What will be written into the documents, as diffs, to accept or refuse."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from vitlab.tui.widgets.diff_view import DiffView
from vitlab.tui.words import clean


class WriteScreen(ModalScreen[bool]):
    """The pending edits; True when they are accepted."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y,enter", "answer(True)", "Write"),
        Binding("escape,q", "answer(False)", "Leave"),
    ]

    def __init__(self, summary: Sequence[str], diffs: Sequence[str]) -> None:
        super().__init__()
        self._summary = summary
        self._diffs = diffs
        self._diff = DiffView(id="diff")

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -large") as dialog:
            dialog.border_title = Text("Write into the documents")
            yield Static(Text(clean_lines(self._summary)), id="summary", markup=False)
            yield self._diff
            keys = "y or enter writes   esc leaves   j k scroll"
            yield Static(keys, classes="keys", markup=False)

    def on_mount(self) -> None:
        self._diff.show(self._diffs)
        self._diff.focus()

    def action_answer(self, yes: bool) -> None:
        self.dismiss(yes)


def clean_lines(lines: Sequence[str]) -> str:
    return "\n".join(clean(line) for line in lines)
