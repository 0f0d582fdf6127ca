"""Unified diffs, coloured by line, wrapped where the screen is narrow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widgets import Static

from vitlab.tui.text import clean, ink


class DiffView(VerticalScroll):
    """What will change, file by file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
    ]

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id)
        self._body = Static(markup=False)

    def compose(self) -> ComposeResult:
        yield self._body

    def show(self, diffs: Iterable[str]) -> None:
        text = Text()
        for diff in diffs:
            for line in diff.split("\n"):
                if not line.startswith("---"):
                    self._line(text, line)
        text.rstrip()
        self._body.update(text)

    def _line(self, text: Text, line: str) -> None:
        shown = clean(line) + "\n"
        if line.startswith("+++"):
            name = shown.removeprefix("+++ ").removeprefix("b/")
            text.append(("\n" if text else "") + name, "bold")
        elif line.startswith("@@"):
            text.append(shown, ink(self, "muted"))
        elif line.startswith("+"):
            text.append(shown, ink(self, "success"))
        elif line.startswith("-"):
            text.append(shown, ink(self, "error"))
        else:
            text.append(shown)
