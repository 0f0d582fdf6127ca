"""The live log of one job: follows its end, stays where the reader scrolled to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widgets import Log

from vitlab.tui.words import clean

KEEP = 5000
"""Lines kept in memory; the file keeps all."""


class LogView(Log):
    """Plain text, never markup."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("G", "scroll_end", "End", show=False),
        Binding("g", "scroll_home", "Top", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="log", max_lines=KEEP, highlight=False)

    def seen(self) -> list[str]:
        """The lines that are shown now, whole."""
        top = int(self.scroll_offset.y)
        return list(self.lines[top : top + self.scrollable_content_region.height])

    def take(self, lines: Iterable[str], fresh: bool) -> None:
        """Append lines; `fresh` ones replace another job's."""
        if fresh:
            self.clear()
        lines = [clean(line) for line in lines]
        if lines:
            self.write_lines(lines, scroll_end=True if fresh else None)
