"""A table whose names are the last to shrink: other columns leave before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from vitlab.tui.widgets.table import StableTable


class NamedTable(StableTable):
    """Columns without a text are left out, and those of `DROPS` where a name has no room."""

    NAME: ClassVar[str] = "Name"
    """The column that takes what is left."""
    ENOUGH: ClassVar[int] = 18
    """Cells of a name, or all it needs, for which columns are left out."""
    GAP: ClassVar[int] = 1

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id)
        self.needed: Mapping[str, int] = {}
        """Column -> cells of its longest text, where that is known; 0: it has none."""

    @property
    def fitted(self) -> Mapping[str, int]:
        widths = {
            name: max(width, self.needed.get(name, width))
            for name, width in self.COLUMNS.items()
            if name not in self.DROPS or self.needed.get(name, width)
        }
        wanted = min(self.needed.get(self.NAME, 0), self.ENOUGH)
        room = self.scrollable_content_region.width
        if not self.show_vertical_scrollbar:
            room -= self.styles.scrollbar_size_vertical  # else the bar would change all columns
        room -= sum(width + self.GAP for width in widths.values()) - widths[self.NAME]
        for column in self.DROPS:
            if room < wanted and column in widths:
                room += widths.pop(column) + self.GAP
        return {**widths, self.NAME: max(room, self.COLUMNS[self.NAME])}
