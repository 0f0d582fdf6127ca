"""Help: the keys of the screen in front and of every screen; and what a bug report needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from vitlab.plot.series import fit
from vitlab.tui.keys import KEYS, shown_key
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.text import STATUS, clean, tone_style

Row = tuple[str, str]


class HelpScreen(ModalScreen[None]):
    """Closed by any of its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter,question_mark", "dismiss(None)", "Close"),
        Binding("j,down", "scroll_help(1)", "Down"),
        Binding("k,up", "scroll_help(-1)", "Up"),
    ]

    def __init__(self, of: LabScreen, own: Mapping[str, str]) -> None:
        """`of`: the screen it describes. `own`: the settings' keys."""
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
        own = [(shown_key(key, self._own), key.meaning) for key in self._of.KEYS]
        taken = {shown for shown, _ in own}
        general = [(shown_key(key, self._own), key.meaning) for key in KEYS]
        text = Text()
        self._section(text, "This screen", [*own, *self._of.MOVES])
        kept = [row for row in general if row[0] not in taken]
        self._section(
            text, "Everywhere", [*kept, ("ctrl+p", "find any action, MVP, gate or roadmap")]
        )
        text.append("Jobs keep running when you quit.\n", tone_style(self, "muted"))
        for word in ("ready", "running", "analysing", "partial", "paused"):
            text.append(
                f"{STATUS[word][self._of.session.plain]} {word}  ", tone_style(self, "muted")
            )
        return text

    def _section(self, text: Text, title: str, rows: Sequence[Row]) -> None:
        text.append(title + "\n", tone_style(self, "muted"))
        for key, meaning in rows:
            text.append(fit(key, 20), tone_style(self, "accent"))
            text.append(meaning + "\n")
        text.append("\n")


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
