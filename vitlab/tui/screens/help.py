"""Help: the keys of the screen in front and of every screen; and what a bug report needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widgets import Static

from vitlab.plot.series import fit
from vitlab.tui.keys import KEYS, shown_key
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.dialogs import Dialog
from vitlab.tui.text import STATUS, clean, tone_style
from vitlab.tui.widgets.message_line import Message

Row = tuple[str, str]


class PageScreen(Dialog[None]):
    """A text to scroll, closed by any of its keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "Close"),
        Binding("j,down", "scroll_page(1)", "Down"),
        Binding("k,up", "scroll_page(-1)", "Up"),
    ]
    HEADING: ClassVar[str]

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text(self.HEADING)
            dialog.border_subtitle = Text("j k scroll   esc close")
            with VerticalScroll(id="page"):
                yield Static(self.page(), markup=False)

    def action_scroll_page(self, lines: int) -> None:
        self.query_one("#page", VerticalScroll).scroll_relative(y=lines, animate=False)

    def page(self) -> Text:
        """What it shows."""
        raise NotImplementedError


class MessagesScreen(PageScreen):
    """All that was told, the newest first."""

    HEADING = "Messages"

    def __init__(self, messages: Iterable[Message]) -> None:
        super().__init__()
        self._messages = list(messages)

    def page(self) -> Text:
        text = Text()
        for one in reversed(self._messages):
            mark = "!" if one.severity == "error" else " "
            text.append(f"{one.clock} {mark} ", tone_style(self, "muted"))
            text.append("\n           ".join(one.text.split("\n")) + "\n")
        return text or Text("no messages yet")


class HelpScreen(PageScreen):
    """The keys of one screen, then those of every screen."""

    HEADING = "Keys"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "dismiss(None)", "Close", show=False)
    ]

    def __init__(self, of: LabScreen, own: Mapping[str, str]) -> None:
        """`of`: the screen it describes. `own`: the settings' keys."""
        super().__init__()
        self._of = of
        self._own = own

    def page(self) -> Text:
        own = [(shown_key(key, self._own), key.meaning) for key in self._of.KEYS]
        names = {key.action.removeprefix("app.") for key in self._of.KEYS}
        general = [
            (shown_key(key, self._own), key.meaning) for key in KEYS if key.action not in names
        ]
        text = Text()
        self._section(text, "This screen", [*own, *self._of.MOVES])
        self._section(
            text, "Everywhere", [*general, ("ctrl+p", "find any action, MVP, gate or roadmap")]
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


class DebugScreen(Dialog[None]):
    """Plain text; `y` copies it, `E` writes it to a file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Close"),
        Binding("j,down", "scroll_by(1)", "Down"),
        Binding("k,up", "scroll_by(-1)", "Up"),
        Binding("f,pagedown", "scroll_by(15)", "Page down"),
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
