"""The choice of one name among many: typed words narrow it down."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList
from textual.widgets.option_list import Option

from vitlab.tui.words import clean


class PickScreen(ModalScreen[str | None]):
    """One of `names`; None when it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave"),
        Binding("down", "move(1)", "Down", show=False, priority=True),
        Binding("up", "move(-1)", "Up", show=False, priority=True),
    ]

    def __init__(self, title: str, names: Sequence[str], chosen: str = "") -> None:
        super().__init__()
        self._title = title
        self._names = tuple(names)
        self._chosen = chosen
        self._listed = OptionList(id="names", markup=False)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog") as dialog:
            dialog.border_title = Text(clean(self._title))
            dialog.border_subtitle = Text("type, up down   enter takes   esc leaves")
            yield Input(placeholder="words of the name", id="line", compact=True)
            yield self._listed

    def on_mount(self) -> None:
        self._fill("")

    def _fill(self, words: str) -> None:
        listed = self._listed
        listed.clear_options()
        parts = words.casefold().split()
        found = [name for name in self._names if all(part in name.casefold() for part in parts)]
        listed.add_options([Option(Text(clean(name)), id=name) for name in found])
        if found:
            listed.highlighted = found.index(self._chosen) if self._chosen in found else 0

    def on_input_changed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def action_move(self, by: int) -> None:
        listed = self._listed
        if listed.option_count:
            listed.highlighted = ((listed.highlighted or 0) + by) % listed.option_count

    def on_input_submitted(self) -> None:
        listed = self._listed
        if listed.highlighted is not None and listed.option_count:
            self.dismiss(listed.get_option_at_index(listed.highlighted).id)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id)
