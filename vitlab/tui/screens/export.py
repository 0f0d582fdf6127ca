"""The question what kind of file a view becomes."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static


class ExportScreen(ModalScreen[str | None]):
    """`txt`, `csv` or `svg`; None when it is left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("t,enter", "dismiss('txt')", "Text"),
        Binding("c", "dismiss('csv')", "CSV"),
        Binding("s", "dismiss('svg')", "SVG"),
        Binding("escape,q", "dismiss(None)", "Leave"),
    ]

    def __init__(self, table: bool) -> None:
        """`table`: whether there is one to write as CSV."""
        super().__init__()
        self._table = table

    def compose(self) -> ComposeResult:
        csv = "c  the whole table, as CSV" if self._table else "c  (no table here)"
        lines = ("Write this view to exports/", "", "t  the screen as seen, as text", csv,
                 "s  the screen as seen, as SVG")  # fmt: skip
        with Vertical(classes="dialog -small"):
            yield Static("\n".join(lines), markup=False)
            yield Static("esc leaves", classes="keys", markup=False)
