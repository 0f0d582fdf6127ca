"""Logs: the live end of one, and a pager for logs of any length."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.widgets import Log, Static

from vitlab.lab.live.log_file import ERRORS, LogFile, Matcher, Page, text_matcher
from vitlab.tui.text import clean, tone_style
from vitlab.tui.widgets.text_view import Scrolled

KEEP = 5000
"""Lines kept in memory; the file keeps all."""


class LogView(Scrolled, Log):
    """Plain text, never markup."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "scroll_down", "Down", show=False),
        Binding("k", "scroll_up", "Up", show=False),
        Binding("G", "scroll_end", "End", show=False),
        Binding("g", "scroll_home", "Top", show=False),
    ]

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id=id, max_lines=KEEP, highlight=False)

    def visible_lines(self) -> list[str]:
        """The lines on the screen, not cut."""
        top = int(self.scroll_offset.y)
        return list(self.lines[top : top + self.scrollable_content_region.height])

    def append(self, lines: Iterable[str], fresh: bool) -> None:
        """Append lines; `fresh` ones replace another job's."""
        if fresh:
            self.clear()
        lines = [clean(line) for line in lines]
        if lines:
            self.write_lines(lines, scroll_end=True if fresh else None)


POLL = 0.3
"""Seconds between two readings of a log that is followed."""
SIDE = 20
"""Columns of a step to the side."""


@dataclass
class Reading:
    """What is shown of a log."""

    log: LogFile | None = None
    page: Page = field(default_factory=lambda: Page((), 0))
    following: bool = True
    keep: str = ""
    """Only lines with these words are shown; empty shows all."""
    words: str = ""
    """The last search."""
    side: int = 0
    """Columns hidden at the left."""


class LogPager(Static, can_focus=True):
    """Reads only what it shows, and that in threads."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "lines(1)", "Down", show=False),
        Binding("k,up", "lines(-1)", "Up", show=False),
        Binding("f,pagedown,ctrl+d", "pages(1)", "Page down", show=False),
        Binding("b,pageup,ctrl+u", "pages(-1)", "Page up", show=False),
        Binding("g,home", "top", "First line", show=False),
        Binding("G,end", "end", "Last line, follow", show=False),
        Binding("h,left", "side(-1)", "Left", show=False),
        Binding("l,right", "side(1)", "Right", show=False),
    ]

    def __init__(self, moved: Callable[[], object]) -> None:
        """`moved()` is called whenever another page is shown."""
        super().__init__(id="pager", markup=False)
        self.reading = Reading()
        self._moved = moved
        self._read_size: tuple[int, int] | None = None
        """Of the file and its last change, when it was last read; None before, or without it."""
        self._lock = asyncio.Lock()
        self._stop = threading.Event()

    def on_mount(self) -> None:
        self._poller = self.set_interval(POLL, self._poll)

    def open(self, path: Path) -> None:
        """Show the end of another log and follow it."""
        self.reading, self._read_size = Reading(LogFile(path)), None
        self.action_end()

    def follow(self, grows: bool) -> None:
        """Whether somebody may still write it; what an ended job has written is all."""
        if grows:
            self._poller.resume()
        else:
            self._poll()
            self._poller.pause()

    @property
    def _keep(self) -> Matcher | None:
        return text_matcher(self.reading.keep) if self.reading.keep else None

    @property
    def _height(self) -> int:
        return max(self.content_size.height, 1)

    def _poll(self) -> None:
        """Read what the file has grown by; only while it is visible."""
        visible = self.is_on_screen and self.screen.is_current
        if visible and self.reading.following and not self._lock.locked():
            before, self._read_size = self._read_size, self._file_size()
            if self._read_size is None or self._read_size != before:
                self._read(lambda log, keep: log.last(self._height, keep, self._stop.is_set))

    def _file_size(self) -> tuple[int, int] | None:
        log = self.reading.log
        try:
            stat = log.path.stat() if log else None
        except OSError:
            return None
        return stat and (stat.st_size, stat.st_mtime_ns)

    def on_resize(self, _: events.Resize) -> None:
        if self.reading.following:
            self.action_end()
        else:
            top = self.reading.page.top
            self._read(lambda log, keep: log.page(top, self._height, keep))

    # what the keys do

    def action_lines(self, by: int) -> None:
        """Move by lines; upwards stops following, reaching the end starts it again."""

        def move(log: LogFile, keep: Matcher | None) -> Page:
            return log.scrolled(self.reading.page, by, self._height, keep, self._stop.is_set)

        self.reading.following = False
        self._read(move, settle=by > 0)

    def action_pages(self, by: int) -> None:
        self.action_lines(by * max(self._height - 1, 1))

    def action_top(self) -> None:
        self.reading.following = False
        self._read(
            lambda log, keep: log.page(0, self._height, keep, self._stop.is_set), settle=False
        )

    def action_end(self) -> None:
        self.reading.following = True
        self._read(lambda log, keep: log.last(self._height, keep, self._stop.is_set))

    def action_side(self, by: int) -> None:
        self.reading.side = max(self.reading.side + by * SIDE, 0)
        self._draw()

    def filter_by(self, words: str) -> None:
        """Show only lines with `words`; all when empty."""
        self.reading.keep = words
        if self.reading.following:
            self.action_end()
        else:
            top = self.reading.page.top
            self._read(lambda log, keep: log.page(top, self._height, keep, self._stop.is_set))

    def search(self, words: str, *, back: bool = False) -> None:
        """Go to the next line with `words`, or the one before."""
        self.reading.words = words
        if words:
            self._go(text_matcher(words), words, back=back)
        else:
            self._draw()

    def next_error(self, *, back: bool = False) -> None:
        """Go to the next error; from the end, to the last one."""
        self._go(ERRORS, "error", back=back)

    def _go(self, what: Matcher, name: str, *, back: bool) -> None:
        page = self.reading.page
        at_end = self.reading.following and not back
        where = "none in this log" if at_end else f"none {'above' if back else 'below'}"
        after = page.lines[0].end if page.lines and not back else page.top

        def find(log: LogFile, keep: Matcher | None) -> Page | None:
            if at_end:
                start = log.find(what, page.size, backward=True, stop=self._stop.is_set)
            else:
                start = log.find(what, after, backward=back, stop=self._stop.is_set)
            if start is None:
                return None
            return log.page(start, self._height, keep, self._stop.is_set)

        self._read(find, missing=f"{name}: {where}")

    # reading and drawing

    def _read(
        self,
        read: Callable[[LogFile, Matcher | None], Page | None],
        *,
        settle: bool | None = None,
        missing: str = "",
    ) -> None:
        """Read in a thread, one reading after the other; the next key ends a search.

        `settle`: whether to follow the end once it is reached; None leaves that as it is.
        """
        if self.reading.log is None or not self.is_mounted:
            return
        if self._lock.locked():
            self._stop.set()
        self.run_worker(self._read_now(self.reading, read, settle, missing), group="pager")

    async def _read_now(
        self,
        reading: Reading,
        read: Callable[[LogFile, Matcher | None], Page | None],
        settle: bool | None,
        missing: str,
    ) -> None:
        async with self._lock:
            if reading is not self.reading or reading.log is None:
                return
            self._stop.clear()
            try:
                page = await asyncio.to_thread(read, reading.log, self._keep)
            except OSError as error:
                if self.is_attached:
                    self.app.notify(clean(str(error)), severity="error")
                return
            if self._stop.is_set():
                return
        if not self.is_attached:
            return  # the screen was left meanwhile
        if page is None:
            self.app.notify(clean(missing), severity="warning")
            return
        if settle is not None or missing:
            reading.following = bool(settle) and page.at_end
        if page != reading.page:
            reading.page = page
            self._draw()
        self._moved()

    def _draw(self) -> None:
        reading, width = self.reading, self.content_size.width
        words = reading.words or reading.keep
        muted, error = tone_style(self, "muted"), tone_style(self, "error")
        text = Text(no_wrap=True, end="")
        for number, line in enumerate(reading.page.lines):
            shown = clean(line.text)[reading.side : reading.side + 4 * width]
            row = Text(shown, style=error if ERRORS.matches(shown.encode()) else "")
            if words:
                flags = 0 if any(c.isupper() for c in words) else re.IGNORECASE
                row.highlight_regex(re.compile(re.escape(words), flags), "reverse")
            row.truncate(max(width, 1), overflow="ellipsis")
            text.append_text(row)
            if number < len(reading.page.lines) - 1:
                text.append("\n")
        if not reading.page.lines:
            text.append("no output yet" if not reading.keep else "no matching lines", muted)
        self.update(text)


def position_text(reading: Reading) -> str:
    """How far one has read, in words."""
    page = reading.page
    size = page.size
    unit = f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.1f} kB"
    reached = page.lines[-1].end if page.lines else size
    place = "following" if reading.following else f"{100 * reached / max(size, 1):.0f}%, paused"
    kept = f'  only "{reading.keep}"' if reading.keep else ""
    return f"{unit}, {place}{kept}"
