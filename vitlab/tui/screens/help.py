"""What this screen can do: every key with its meaning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from vitlab.tui.words import ink

MOVES = (
    ("j k, arrows", "move in the pane"),
    ("g G", "first and last row"),
    ("tab, shift+tab", "next and previous pane"),
    ("1 2 3 4 5", "plan, gates, jobs, curve, log"),
)


class HelpScreen(ModalScreen[None]):
    """Closed by any of its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss(None)", "Close"),
    ]

    def __init__(self, verbs: Iterable[tuple[str, str]]) -> None:
        """`verbs`: key and meaning of every action."""
        super().__init__()
        self._verbs = tuple(verbs)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text("Keys")
            with VerticalScroll():
                yield Static(self._table(), markup=False)
            yield Static("esc closes", classes="keys", markup=False)

    def _table(self) -> Text:
        text = Text()
        for key, meaning in (*self._verbs, *MOVES):
            text.append(f"{key:<16}", ink(self, "accent"))
            text.append(meaning + "\n")
        text.append("\nLeaving the screen stops no job.\n", ink(self, "muted"))
        for word in ("ready +", "running >", "analysing ~", "partial /", "paused ="):
            text.append(word + "  ", ink(self, "muted"))
        return text
