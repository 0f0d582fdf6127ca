"""What the screen in front can do: its own keys, then those of every screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from vitlab.plot.cells import fit
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.verbs import VERBS, shown_key
from vitlab.tui.words import STATUS, ink

Row = tuple[str, str]


class HelpScreen(ModalScreen[None]):
    """Closed by any of its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss(None)", "Close"),
        Binding("j,down", "scroll_help(1)", "Down"),
        Binding("k,up", "scroll_help(-1)", "Up"),
    ]

    def __init__(self, of: LabScreen, own: Mapping[str, str]) -> None:
        """`of`: the screen it tells of. `own`: the settings' keys."""
        super().__init__()
        self._of = of
        self._own = own

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text("Keys")
            dialog.border_subtitle = Text("j k scroll   esc closes")
            with VerticalScroll(id="help"):
                yield Static(self._table(), markup=False)

    def action_scroll_help(self, lines: int) -> None:
        self.query_one("#help", VerticalScroll).scroll_relative(y=lines, animate=False)

    def _table(self) -> Text:
        own = [(shown_key(verb, self._own), verb.meaning) for verb in self._of.VERBS]
        taken = {key for key, _ in own}
        general = [(shown_key(verb, self._own), verb.meaning) for verb in VERBS]
        text = Text()
        self._section(text, "This screen", [*own, *self._of.MOVES])
        kept = [row for row in general if row[0] not in taken]
        self._section(text, "Everywhere", [*kept, ("ctrl+p", "find any action, MVP or gate")])
        text.append("Leaving the screen stops no job.\n", ink(self, "muted"))
        for word in ("ready", "running", "analysing", "partial", "paused"):
            text.append(f"{STATUS[word][self._of.frame.plain]} {word}  ", ink(self, "muted"))
        return text

    def _section(self, text: Text, title: str, rows: Sequence[Row]) -> None:
        text.append(title + "\n", ink(self, "muted"))
        for key, meaning in rows:
            text.append(fit(key, 20), ink(self, "accent"))
            text.append(meaning + "\n")
        text.append("\n")
