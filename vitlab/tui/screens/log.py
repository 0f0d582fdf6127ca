"""The log of one job, of any length: follow, search, filter, jump to errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget

from vitlab.contract.job import Done, Queued
from vitlab.lab.live.log_file import text_matcher
from vitlab.tui.jobs_index import in_order
from vitlab.tui.keys import Key, bindings
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.dialogs import LineScreen
from vitlab.tui.session import CopiedText, Session
from vitlab.tui.text import clean, job_label, job_words, set_titles
from vitlab.tui.widgets.log_view import LogPager, position_text

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView, LabSnapshot

MOST = 2000
"""Lines that are copied at once, at most."""


class LogScreen(LabScreen):
    """One log; `select` opens another job's."""

    NAME = "log"
    HEADING = "Log"
    FILTERS = True
    KEYS = (
        Key("slash", "app.filter", "search", "search (capitals make it case-sensitive)"),
        Key("full_stop", "next_place(1)", "next", "the next match or, without a search, error"),
        Key("comma", "next_place(-1)", "", "the previous match or error", in_line=False),
        Key("ampersand", "keep", "filter", "show only lines with these words"),
        Key("F", "follow", "follow", "follow the end"),
        Key("space", "mark", "mark", "mark the top line; y copies from there on", in_line=False),
        Key("right_curly_bracket", "other(1)", "next job", "the log of the next job"),
        Key("left_curly_bracket", "other(-1)", "", "the log of the previous job", in_line=False),
    )
    MOVES = (
        ("j k, arrows", "a line down or up; up stops following"),
        ("f b", "a page down or up"),
        ("g G", "the first line; the last one, and follow"),
        ("h l", "sideways"),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.pager = LogPager(self._describe)
        self._pane = Vertical(self.pager, classes="pane")
        self._job = ""
        self._mark: int | None = None
        """Where the marked line starts in the file."""

    def body(self) -> tuple[Widget, ...]:
        return (self._pane,)

    def on_mount(self) -> None:
        self.pager.focus()

    def select(self, key: str) -> None:
        self._job, self._mark = key, None
        job = self.selected_job()
        if job is not None:
            self.pager.open(job.paths.log)
        self._describe()

    def show(self, view: LabSnapshot) -> None:
        if not self._job and view.jobs:
            self.select(in_order(view.jobs)[0].paths.name)
        job = self.selected_job()
        self.pager.follow(job is None or not isinstance(job.state, Done | Queued))
        self._describe()

    def _describe(self) -> None:
        job = self.selected_job()
        words = f"{job_label(job)}  {job_words(job, self.session.plain)[0]}" if job else ""
        self.set_heading(words or "no jobs yet")
        marked = "  marked, y copies from there on" if self._mark is not None else ""
        set_titles(self._pane, self._job, position_text(self.pager.reading) + marked)

    def selected_job(self) -> JobView | None:
        return self.job_called(self._job)

    def copy_text(self) -> CopiedText | None:
        """The lines shown, or those from the marked one to the last shown."""
        reading = self.pager.reading
        lines = reading.page.lines
        if reading.log is None or not lines:
            return None
        if self._mark is not None:
            begin, end = min(self._mark, lines[0].start), lines[-1].end
            keep = text_matcher(reading.keep) if reading.keep else None
            page = reading.log.page(begin, MOST, keep)  # a short page also has lines before
            lines = tuple(one for one in page.lines if begin <= one.start and one.end <= end)
            self._mark = None
        what = f"{len(lines)} line{'s' * (len(lines) != 1)} of the log of {clean(self._job)}"
        return CopiedText(what, "".join(clean(line.text) + "\n" for line in lines))

    def word_of(self, key: Key) -> str:
        searched = bool(self.pager.reading.words)
        if key.key == "full_stop":
            return "next match" if searched else "next error"
        return "search" if key.name == "filter" else super().word_of(key)

    # what the keys do

    def action_mark(self) -> None:
        lines = self.pager.reading.page.lines
        if lines:
            self._mark = lines[0].start
            self._describe()

    def filter_rows(self) -> None:
        self._search()

    @work(group="actions")
    async def _search(self) -> None:
        words = await self.app.push_screen_wait(LineScreen("Search", hint="text to find"))
        if words:
            self.pager.search(words)
            self.refresh_bindings()

    def action_next_place(self, way: int) -> None:
        if self.pager.reading.words:
            self.pager.search(self.pager.reading.words, back=way < 0)
        else:
            self.pager.next_error(back=way < 0)

    @work(group="actions")
    async def action_keep(self) -> None:
        kept = self.pager.reading.keep
        screen = LineScreen("Show only lines with", kept, hint="empty shows all lines")
        words = await self.app.push_screen_wait(screen)
        if words is not None:
            self.pager.filter_by(words)

    def action_follow(self) -> None:
        self.pager.action_end()

    def action_other(self, by: int) -> None:
        jobs = [job.paths.name for job in in_order(self.view.jobs)] if self.view else []
        if jobs:
            now = jobs.index(self._job) if self._job in jobs else 0
            self.select(jobs[(now + by) % len(jobs)])

    def action_leave(self) -> None:
        """Clear the search, then the filter; where there is neither, go back."""
        if self.pager.reading.words:
            self.pager.search("")
            self.refresh_bindings()
        elif self.pager.reading.keep:
            self.pager.filter_by("")
        else:
            super().action_leave()
