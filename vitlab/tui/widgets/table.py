"""A table that draws only the rows one sees, and anew only those that changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Generic, NamedTuple, TypeVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import reactive
from textual.strip import Strip

from vitlab.tui.widgets.text_view import Scrolled

Row = tuple[Text, ...]

HEAD = 1
"""Lines of the header, which stays while the rows scroll."""


class Table(NamedTuple):
    """A table as plain text, no cell cut to the screen's width."""

    header: tuple[str, ...]
    rows: list[tuple[str, ...]]


_T = TypeVar("_T")


class Rows(Mapping[str, Row], Generic[_T]):
    """Rows that are made when one looks at them: of ten thousand, those in sight."""

    def __init__(self, things: Mapping[str, _T], make: Callable[[_T], Row]) -> None:
        """`things`: key -> what the row tells of."""
        self._things, self._make = things, make

    def __getitem__(self, key: str) -> Row:
        return self._make(self._things[key])

    def __iter__(self) -> Iterator[str]:
        return iter(self._things)

    def __len__(self) -> int:
        return len(self._things)

    def __contains__(self, key: object) -> bool:
        return key in self._things


class Columned(Scrolled):
    """The columns of a table, and their widths as they fit."""

    COLUMNS: ClassVar[Mapping[str, int]] = {}
    """Column -> cells; the last takes what is left beside the others, at least its own number."""
    NARROW: ClassVar[Mapping[str, int]] = {}
    """The same columns where there is no room for those."""
    SHORT: ClassVar[Mapping[str, str]] = {}
    """Heads of columns that are too narrow for their name."""
    DROPS: ClassVar[tuple[str, ...]] = ()
    """Columns that are left out, in this order, while there is no room for the others."""
    GAP: ClassVar[int] = 2
    """Cells between two columns."""
    MOST = 20
    """Cells up to which a column gets what its texts need before others get more."""

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id)
        self.wanted: dict[str, tuple[int, int]] = {}
        """Column -> cells its texts need, for which others are dropped, and those they fill."""
        self.empty: set[str] = set()
        """Columns in which no row says anything: their room is the others'."""

    @property
    def narrow(self) -> bool:
        """Whether the table's size now has no room for `COLUMNS`; what is hidden has no size."""
        wanted = sum(self.COLUMNS.values()) + self.GAP * len(self.COLUMNS)
        return bool(self.NARROW) and 0 < self.scrollable_content_region.width < wanted

    @property
    def fitted(self) -> Mapping[str, int]:
        """Column -> cells as they fit at the table's size now; the last takes what is left."""
        given = self.NARROW if self.narrow else self.COLUMNS
        widths = {name: cells for name, cells in given.items() if name not in self.empty}
        room = self.scrollable_content_region.width
        if not self.show_vertical_scrollbar:
            # Kept free, or the bar that comes with many rows would have them all filled anew.
            room -= self.styles.scrollbar_size_vertical
        last = list(widths)[-1]
        needed = {name: min(cells, self.MOST) for name, (cells, _) in self.wanted.items()}

        def spare() -> int:
            return room - sum(widths.values()) - self.GAP * len(widths)

        for name in self.DROPS:
            lacking = sum(max(cells - widths[one], 0) for one, cells in needed.items())
            if self.narrow and name in widths and spare() < lacking:
                del widths[name]
        for name, (_, cells) in self.wanted.items():
            if name != last:
                most = max(min(spare(), self.MOST - widths[name]), spare() // 2)
                widths[name] += max(min(cells - widths[name], most), 0)
        widths[last] += max(spare(), 0)
        return widths


class StableTable(Columned, can_focus=True):
    """Rows by key; cells are Rich `Text`, so nothing in them is ever markup."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "cursor_down", "Down", show=False),
        Binding("k,up", "cursor_up", "Up", show=False),
        Binding("pagedown", "page_down", "Page down", show=False),
        Binding("pageup", "page_up", "Page up", show=False),
        Binding("g,home,ctrl+home", "scroll_top", "First", show=False),
        Binding("G,end,ctrl+end", "scroll_bottom", "Last", show=False),
        Binding("enter", "select_cursor", "Open", show=False),
    ]
    COMPONENT_CLASSES: ClassVar[set[str]] = {"table--header", "table--cursor"}
    plain = False
    """ASCII only."""
    show_cursor = reactive(True)
    """Whether the cursor's row is marked."""

    class RowHighlighted(Message):
        """Another row, or none, is under the cursor."""

        def __init__(self, table: StableTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> StableTable:
            return self.table

        def can_replace(self, message: Message) -> bool:
            return type(message) is type(self) and message.control is self.table

    class RowSelected(Message):
        """Enter, or a click on the row under the cursor."""

        def __init__(self, table: StableTable) -> None:
            super().__init__()
            self.table = table

        @property
        def control(self) -> StableTable:
            return self.table

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id)
        self.cursor_row = 0
        """Its number, from 0, also where there are no rows."""
        self._keys: list[str] = []
        self._shown: Mapping[str, Row] = {}
        self._fitted: Mapping[str, int] = {}
        self._strips: dict[tuple[str, bool], tuple[Row, Strip]] = {}
        """(row, whether marked) -> what it was drawn from, and the line."""

    # the rows

    def show_rows(self, rows: Mapping[str, Row]) -> None:
        """Make the table show these rows, drawing as little as possible."""
        keys, fitted = list(rows), self.fitted
        before, place = self.selected, self.cursor_row
        anew = keys != self._keys or fitted != self._fitted
        self._shown, self._keys, self._fitted = rows, keys, fitted
        self.virtual_size = Size(sum(fitted.values()) + self.GAP * len(fitted), HEAD + len(keys))
        if not anew:
            self._draw_rows(self._changed())
            return
        self._strips.clear()
        self.refresh(layout=self.styles.is_auto_height)
        if before is not None and before in rows:
            place = keys.index(before)
        self._move(place, before)

    def _changed(self) -> list[int]:
        """The rows in sight that look different now; what was drawn of others is dropped."""
        drawn, self._strips = self._strips, {}
        changed = []
        for number in self._in_sight():
            key = self._keys[number]
            row = self._shown[key]
            kept = [(one, drawn[one]) for one in ((key, False), (key, True)) if one in drawn]
            if not kept or any(_differ(before, row) for _, (before, _) in kept):
                changed.append(number)
            else:
                self._strips.update(kept)
        return changed

    def _in_sight(self) -> range:
        """The numbers of the rows one sees; none where the table is hidden."""
        top = self.scroll_offset.y
        return range(top, min(top + self.size.height, len(self._keys)))

    def on_resize(self) -> None:
        # Also when its page is turned to: what is hidden has no size.
        if self._shown:
            self.show_rows(self._shown)
        self._reveal()

    def table(self) -> Table:
        """All rows that are shown, wherever it is scrolled to."""
        rows = [tuple(cell.plain for cell in row) for row in self._shown.values()]
        return Table(tuple(self.COLUMNS), rows)

    @property
    def row_count(self) -> int:
        return len(self._keys)

    # the cursor

    @property
    def selected(self) -> str | None:
        """The key of the row under the cursor."""
        return self._keys[self.cursor_row] if self.cursor_row < len(self._keys) else None

    def select(self, key: str) -> None:
        """Put the cursor on the row `key`, if it is there."""
        if key in self._shown:
            self._move(self._keys.index(key), self.selected)

    def _move(self, row: int, before: str | None) -> None:
        """Put the cursor on a row, or the nearest; `before`: the key it was on."""
        old, self.cursor_row = self.cursor_row, max(min(row, len(self._keys) - 1), 0)
        if self.cursor_row != old:
            self._draw_rows([old, self.cursor_row])
            self._reveal()
        if self.selected != before:
            self.post_message(self.RowHighlighted(self))

    def _reveal(self) -> None:
        """Scroll as little as needed to have the cursor's row in sight, below the header."""
        room = max(self.scrollable_content_region.height - HEAD, 1)
        top = max(min(self.scroll_offset.y, self.cursor_row), self.cursor_row + 1 - room)
        if self.size and top != self.scroll_offset.y:
            self.scroll_to(y=top, animate=False, immediate=True)

    def action_cursor_down(self) -> None:
        self._move(self.cursor_row + 1, self.selected)

    def action_cursor_up(self) -> None:
        self._move(self.cursor_row - 1, self.selected)

    def action_page_down(self) -> None:
        self._move(self.cursor_row + max(self.size.height - HEAD - 1, 1), self.selected)

    def action_page_up(self) -> None:
        self._move(self.cursor_row - max(self.size.height - HEAD - 1, 1), self.selected)

    def action_scroll_top(self) -> None:
        self._move(0, self.selected)

    def action_scroll_bottom(self) -> None:
        self._move(len(self._keys) - 1, self.selected)

    def action_select_cursor(self) -> None:
        if self.selected is not None:
            self.post_message(self.RowSelected(self))

    def on_click(self, event: events.Click) -> None:
        at = event.get_content_offset(self)
        row = -1 if at is None or at.y < HEAD else at.y - HEAD + self.scroll_offset.y
        if 0 <= row < len(self._keys):
            event.stop()
            again = row == self.cursor_row
            self._move(row, self.selected)
            if again:
                self.action_select_cursor()

    # drawing

    def _draw_rows(self, rows: list[int]) -> None:
        """Draw these rows anew, where they are in sight."""
        top, size, sight = self.scroll_offset.y, self.size, self._in_sight()
        if not size:  # hidden: once it is shown again
            self.refresh()
        elif seen := [Region(0, n - top + HEAD, size.width, 1) for n in rows if n in sight]:
            self.refresh(*seen)

    def notify_style_update(self) -> None:
        self._strips.clear()
        super().notify_style_update()

    def render_lines(self, crop: Region) -> list[Strip]:
        # A table is drawn once before it is told its size: in columns that fit already.
        if self._shown and self._fitted != (fitted := self.fitted):
            self._fitted = fitted
            self._strips.clear()
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        style, left, width = self.rich_style, self.scroll_offset.x, self.size.width
        row = y - HEAD + self.scroll_offset.y
        if y < HEAD:
            style = self.get_component_rich_style("table--header")
            strip = self._line(self._heads(), style, Style.null())
        elif row < len(self._keys):
            strip = self._row_strip(self._keys[row], self.show_cursor and row == self.cursor_row)
        else:
            return Strip.blank(width, style)
        return strip.crop_extend(left, left + width, style)

    def _heads(self) -> Row:
        short = self.SHORT
        return tuple(
            Text(short.get(name, name) if self._fitted.get(name, 0) < len(name) else name)
            for name in self.COLUMNS
        )

    def _row_strip(self, key: str, marked: bool) -> Strip:
        if (kept := self._strips.get((key, marked))) is None:
            if len(self._strips) > 4 * self.size.height:
                self._strips.clear()  # those one has scrolled past
            row = self._shown[key]
            over = self.get_component_rich_style("table--cursor") if marked else Style.null()
            kept = self._strips[key, marked] = row, self._line(row, self.rich_style, over)
        return kept[1]

    def _line(self, row: Row, base: Style, over: Style) -> Strip:
        """The row's cells in their columns; `over` is laid over their own styles."""
        segments: list[Segment] = []
        ground, gap = base + over, " "
        console = self.app.console
        for name, cell in zip(self.COLUMNS, row, strict=True):
            width = self._fitted.get(name)
            if width is None:
                continue
            if (taken := cell_len(cell.plain)) > width:
                cell = cell.copy()
                cell.truncate(width, overflow="ellipsis")
                taken = cell_len(cell.plain)
            segments.append(Segment(gap, ground))
            whole = Segment(cell.plain, console.get_style(cell.style))
            for text, style, _ in cell.render(console) if cell.spans else [whole]:
                segments.append(Segment(text, base + style + over if style else ground))
            gap = " " * (width - taken + self.GAP)
        segments.append(Segment(gap[1:], ground))
        return Strip(segments)


def _differ(before: Row, now: Row) -> bool:
    """Whether a cell looks different."""
    return before is not now and any(
        (old.plain, old.style, old.spans) != (new.plain, new.style, new.spans)
        for old, new in zip(before, now, strict=True)
    )
