"""What the charts share: drawing in a thread while visible; a cursor, a window and their keys."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

from rich.color import Color
from rich.style import Style
from rich.text import Text
from textual import events, work
from textual.binding import Binding, BindingType
from textual.widgets import Static

from vitlab.plot.canvas import LEFT, Look
from vitlab.plot.grid import Run
from vitlab.plot.series import Rgb
from vitlab.tui.keys import Key

Draw = Callable[[int, int], Text]
"""Width and height -> the drawing; runs in a thread."""

ZOOM_KEYS = (
    Key("plus", "zoom_in", "zoom", "zoom in at the cursor"),
    Key("minus", "zoom_out", "", "zoom out", in_line=False),
    Key("0", "zoom_whole", "", "show everything", in_line=False),
)


class Chart(Static, can_focus=True):
    """Drawn in a thread, when something has changed, and only while visible."""

    INTERVAL: ClassVar[float] = 0.3
    """Seconds to a drawing of what is new; a key is answered at once."""
    SHARE: ClassVar[float] = 60
    """Times as long as a drawing took of a core, so long at least is the pause before what only
    grows is drawn again."""

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id, markup=False)
        self._due = True
        self._urgent = self._drawing = self._waiting = False
        self._took = 0.0
        """Seconds of a core that the last drawing took."""

    @abstractmethod
    def drawing(self) -> Draw:
        """What to draw now."""

    def redraw(self, *, now: bool = True, grows: bool = False) -> None:
        """Draw again, at once or after the interval; `grows`: only points were added."""
        self._due = True
        self._urgent = self._urgent or now
        if now:
            self.draw_if_due()
        elif not self._waiting:
            self._waiting = True
            pause = self.SHARE * self._took if grows else 0.0
            self.set_timer(max(self.INTERVAL, pause), self._waited)

    def _waited(self) -> None:
        self._waiting = False
        self.draw_if_due()

    def on_resize(self, _: events.Resize) -> None:
        self.redraw()

    def on_show(self) -> None:
        self.redraw()

    def draw_if_due(self) -> None:
        """Draw what has changed, unless nobody sees it: then it is drawn when it comes to sight."""
        visible = self.is_on_screen and self.screen.is_current and self.size.height > 0
        if self._due and visible and not self._drawing:
            self._due, self._urgent, self._drawing = False, False, True
            self._redraw()

    @work(group="chart")
    async def _redraw(self) -> None:
        if self.is_attached:  # the screen may have been left before this began
            await self._draw_anew()

    async def _draw_anew(self) -> None:
        draw, size = self.drawing(), self.content_size
        try:
            text, self._took = await asyncio.to_thread(_timed, draw, size.width, size.height)
        finally:
            self._drawing = False
        if not self.is_attached:
            return  # the screen was left meanwhile
        self.update(text, layout=False)
        if self._due:
            self.redraw(now=self._urgent)


def _timed(draw: Draw, width: int, height: int) -> tuple[Text, float]:
    """The drawing, and the seconds of a core it took."""
    began = time.thread_time()
    return draw(width, height), time.thread_time() - began


class CursorChart(Chart):
    """A chart whose cursor reads values, and whose window can be narrowed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "move(-1)", "Cursor left", show=False),
        Binding("l,right", "move(1)", "Cursor right", show=False),
        Binding("shift+left", "move(-10)", "Far left", show=False),
        Binding("shift+right", "move(10)", "Far right", show=False),
    ]

    def __init__(self, id: str, moved: Callable[[], object]) -> None:  # noqa: A002
        """`moved()` is called when cursor or window has moved."""
        super().__init__(id)
        self._moved = moved

    def on_mount(self) -> None:
        self.set_look(replace(self.look, letters=self.app.no_color))

    @property
    @abstractmethod
    def look(self) -> Look:
        """Window, cursor and the like, as drawn now."""

    @abstractmethod
    def set_look(self, look: Look) -> None:
        """Draw like this from now on."""

    @abstractmethod
    def full_range(self) -> tuple[float, float]:
        """From the first x to the last."""

    def curve_columns(self) -> int:
        """Over how many columns the window is drawn."""
        return self.content_size.width - LEFT

    def narrowest(self) -> float:
        """Half of the narrowest window."""
        first, last = self.full_range()
        return (last - first) * 1e-6

    def first_cursor(self, low: float, high: float) -> float:  # noqa: ARG002
        """Where the cursor is before it is moved first."""
        return high

    def snapped(self, x: float, columns: int) -> float:  # noqa: ARG002
        """The nearest x the cursor can be at, after a move by `columns`."""
        return x

    def action_move(self, columns: int) -> None:
        """Move the cursor by columns."""
        low, high = self.look.window or self.full_range()
        step = (high - low) / max(self.curve_columns(), 1)
        cursor = self.look.cursor
        start = self.first_cursor(low, high) if cursor is None else cursor
        self.move_cursor(self.snapped(start + columns * step, columns))

    def move_cursor(self, x: float) -> None:
        """Put the cursor at `x`, and the window where it is visible."""
        first, last = self.full_range()
        x = min(max(x, first), last)
        window = self.look.window
        if window is not None:
            low, high = window
            shift = min(x - low, 0.0) + max(x - high, 0.0)
            if abs(shift) > (high - low) / 2:  # far away: into the middle
                shift = x - (low + high) / 2
            shift = min(max(shift, first - low), last - high)
            window = low + shift, high + shift
        self._change(replace(self.look, cursor=x, window=window))

    def zoom(self, factor: float | None) -> None:
        """Scale the window by `factor` about the cursor; None shows all."""
        look, (first, last) = self.look, self.full_range()
        low, high = look.window or (first, last)
        half = (last - first) / 2 if factor is None else (high - low) * factor / 2
        if half >= (last - first) / 2:
            self._change(replace(look, window=None))
        elif half > self.narrowest():
            middle = (low + high) / 2 if look.cursor is None else look.cursor
            middle = min(max(middle, first + half), last - half)
            self._change(replace(look, window=(middle - half, middle + half)))

    def _change(self, look: Look) -> None:
        self.set_look(look)
        self.redraw()
        self._moved()


def colored(rows: Iterable[Run]) -> Text:
    """Rows of painted pieces as Rich text; each colour's style is made once."""
    styles: dict[Rgb | None, Style] = {None: Style.null()}
    text = Text(no_wrap=True, end="")
    for number, row in enumerate(rows):
        if number:
            text.append("\n")
        for piece, color in row:
            if color not in styles:
                styles[color] = Style(color=Color.from_rgb(*(color or (0, 0, 0))))
            text.append(piece, styles[color])
    return text


class Zooming:
    """The actions of `ZOOM_KEYS`, of a screen with one chart."""

    chart: CursorChart

    def action_zoom_in(self) -> None:
        self.chart.zoom(0.5)

    def action_zoom_out(self) -> None:
        self.chart.zoom(2.0)

    def action_zoom_whole(self) -> None:
        self.chart.zoom(None)
