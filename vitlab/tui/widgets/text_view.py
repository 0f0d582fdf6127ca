"""What scrolls and changes often: its size is its pane's, so no change needs a new layout."""

from __future__ import annotations

from rich.text import Text
from textual.geometry import Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip


class Scrolled(ScrollView, inherit_css=True):
    """A view whose content changes its length without the screen being laid out anew."""

    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False)

    def watch_virtual_size(self, size: Size) -> None:
        if self.is_mounted:
            self._scroll_update(size)
            self.refresh()


class TextView(Scrolled, can_focus=True):
    """A text that scrolls, wrapped to its width."""

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id)
        self.text = Text()
        self._lines: list[Text] = []
        self._width = 0

    def show_text(self, text: Text) -> None:
        """Show another text; the same one draws nothing."""
        width = self.scrollable_content_region.width
        if width and (text, width) != (self.text, self._width):
            self.text, self._width = text, width
            self._lines = list(text.wrap(self.app.console, width))
            self.virtual_size = Size(1, len(self._lines))  # as wide as there is room for
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width, style, row = self.size.width, self.rich_style, y + self.scroll_offset.y
        if row >= len(self._lines):
            return Strip.blank(width, style)
        strip = Strip(self._lines[row].render(self.app.console))
        return strip.crop_extend(0, width, style).apply_style(style)
