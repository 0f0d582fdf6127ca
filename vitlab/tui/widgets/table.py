"""A table that changes only the cells that changed, so that cursor and scroll stay."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress
from typing import ClassVar, NamedTuple

from rich.text import Text
from textual.binding import Binding, BindingType
from textual.strip import Strip
from textual.widgets import DataTable
from textual.widgets.data_table import ColumnKey, RowKey

Row = tuple[Text, ...]


class Table(NamedTuple):
    """A table as plain text, no cell cut to the screen's width."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


class StableTable(DataTable[Text]):
    """Rows by key; cells are Rich `Text`, so nothing in them is ever markup."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
        Binding("g,home", "scroll_top", "First", show=False),
        Binding("G,end", "scroll_bottom", "Last", show=False),
    ]
    COLUMNS: ClassVar[Mapping[str, int]] = {}
    """Column -> cells; the last takes what is left beside the others, at least its own number."""
    NARROW: ClassVar[Mapping[str, int]] = {}
    """The same columns where there is no room for those."""
    SHORT: ClassVar[Mapping[str, str]] = {}
    """Heads of columns that are too narrow for their name."""
    DROPS: ClassVar[tuple[str, ...]] = ()
    """Columns that are left out, in this order, while there is no room for the others."""
    MOST = 20
    """Cells up to which a column gets what its texts need before others get more."""
    plain = False
    """ASCII only."""

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id, cursor_type="row", cell_padding=1, zebra_stripes=False)
        self._shown: dict[str, Row] = {}
        self._fitted: Mapping[str, int] = {}
        self.wanted: dict[str, tuple[int, int]] = {}
        """Column -> cells its texts need, for which others are dropped, and those they fill."""

    def show_rows(self, rows: Mapping[str, Row]) -> None:
        """Make the table show these rows, touching as little as possible."""
        if self._fitted == self.fitted and list(rows) == list(self._shown):
            for key, row in rows.items():
                if row is not self._shown[key]:
                    self._change(key, self._shown[key], row)
        else:
            self._refill(rows)
        self._shown = dict(rows)

    def _change(self, key: str, old: Row, new: Row) -> None:
        """Draw one row anew, if a cell has changed.

        Textual's `update_cell` draws all rows, and keeps 10,000 cells as they were before.
        """
        cells = [
            (name, after)
            for name, before, after in zip(self.COLUMNS, old, new, strict=True)
            if name in self._fitted and (before.plain, before.style) != (after.plain, after.style)
        ]
        if not cells:
            return
        row = RowKey(key)
        self._data[row].update((ColumnKey(name), cell) for name, cell in cells)
        for cells_drawn in tuple(self._cell_render_cache.keys()):
            if cells_drawn[0] == row:
                self._cell_render_cache.discard(cells_drawn)
        for row_drawn in tuple(self._row_render_cache.keys()):
            if row_drawn[0] == row:
                self._row_render_cache.discard(row_drawn)
        self._row_renderable_cache.clear()
        self._line_cache.clear()
        if self.size:
            self.refresh_row(self.get_row_index(row))
        else:  # hidden: once it is shown again
            self.refresh()

    def on_resize(self) -> None:
        # Also when its page is turned to: what is hidden has no size.
        if self._shown and self._fitted != self.fitted:
            self._refill(self._shown)

    def _refill(self, rows: Mapping[str, Row]) -> None:
        key = self.selected
        place = self.cursor_row
        self.clear(columns=True)
        # Textual's styles of a cell hold the number of its row: each row that comes makes new ones.
        Strip.render_ansi.cache_clear()
        # Fixed widths: measured ones come a moment late, and cost a measure at every change.
        self._fitted = self.fitted
        for name, width in self._fitted.items():
            head = self.SHORT.get(name, name) if width < len(name) else name
            self.add_column(Text(head), width=width, key=name)
        shown = [name in self._fitted for name in self.COLUMNS]
        for name, row in rows.items():
            self.add_row(*compress(row, shown), key=name)
        if key is not None and key in rows:
            place = list(rows).index(key)
        if rows:
            self.move_cursor(row=min(max(place, 0), len(rows) - 1), animate=False)

    def table(self) -> Table:
        """All rows that are shown, wherever it is scrolled to."""
        rows = [tuple(cell.plain for cell in row) for row in self._shown.values()]
        return Table(tuple(self.COLUMNS), rows)

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        keys = list(self._shown)
        return keys[self.cursor_row] if 0 <= self.cursor_row < len(keys) else None

    def select(self, key: str) -> None:
        """Put the cursor on the row `key`, if it is there."""
        if key in self._shown:
            self.move_cursor(row=list(self._shown).index(key), animate=False)

    @property
    def narrow(self) -> bool:
        """Whether the table's size now has no room for `COLUMNS`; what is hidden has no size."""
        wanted = sum(self.COLUMNS.values()) + self._padding(self.COLUMNS)
        return bool(self.NARROW) and 0 < self.scrollable_content_region.width < wanted

    @property
    def fitted(self) -> Mapping[str, int]:
        """Column -> cells as they fit at the table's size now; the last takes what is left."""
        widths = dict(self.NARROW if self.narrow else self.COLUMNS)
        room = self.scrollable_content_region.width
        if not self.show_vertical_scrollbar:
            # Kept free, or the bar that comes with many rows would have them all filled anew.
            room -= self.styles.scrollbar_size_vertical
        last = list(widths)[-1]
        needed = {name: min(cells, self.MOST) for name, (cells, _) in self.wanted.items()}

        def spare() -> int:
            return room - sum(widths.values()) - self._padding(widths)

        for name in self.DROPS:
            lacking = sum(max(cells - widths[one], 0) for one, cells in needed.items())
            if self.narrow and spare() < lacking:
                del widths[name]
        for name, (_, cells) in self.wanted.items():
            if name != last:
                most = max(min(spare(), self.MOST - widths[name]), spare() // 2)
                widths[name] += max(min(cells - widths[name], most), 0)
        widths[last] += max(spare(), 0)
        return widths

    def _padding(self, widths: Mapping[str, int]) -> int:
        return 2 * self.cell_padding * len(widths)
