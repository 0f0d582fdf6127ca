"""Home: the plan, and beside it all that belongs to the MVP under its cursor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Input

from vitlab.jobs import gpus
from vitlab.tui.home.beside import Beside
from vitlab.tui.home.job_panes import JobSelected
from vitlab.tui.home.layout import TABS, side_by_side, stacked
from vitlab.tui.jobs_index import belongs, index_of
from vitlab.tui.keys import Key, bindings
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.dialogs import Dialog
from vitlab.tui.session import Session
from vitlab.tui.text import clean
from vitlab.tui.widgets.header import Header
from vitlab.tui.widgets.jobs_pane import JobsPane
from vitlab.tui.widgets.meters import cpu_times
from vitlab.tui.widgets.mvp_pane import MvpPane, Reader
from vitlab.tui.widgets.plan_pane import Board, PlanPane
from vitlab.tui.widgets.table import StableTable

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.jobs.gpus import Device
    from vitlab.lab.live.mvp_summary import MvpSummary
    from vitlab.lab.live.snapshot import JobView, LabSnapshot
    from vitlab.tui.widgets.table import Table


class MvpScreen(Dialog[None]):
    """Follows the lab while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "Close"),
        Binding("L", "launch", "Launch"),
    ]

    def __init__(self, of: LabScreen, mvp: Mvp, read: Reader[MvpSummary], *, plain: bool) -> None:
        """`of`: the screen below it, which has the lab as last read."""
        super().__init__()
        self._of = of
        self._mvp = mvp
        self._pane = MvpPane("mvp", read, plain=plain)

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -large") as dialog:
            dialog.border_title = Text(clean(f"MVP {self._mvp.id}"))
            dialog.border_subtitle = Text("j k scroll   L launches   esc closes")
            yield self._pane

    def on_mount(self) -> None:
        self._pane.focus()
        self.call_after_refresh(self.show)

    async def action_launch(self) -> None:
        self.dismiss(None)
        await self.app.run_action("app.launch_selected")

    def show(self) -> None:
        """Show the MVP in the lab as last read."""
        view = self._of.view
        if view is None or not self.is_mounted:
            return
        mvps = view.roadmap.mvps if view.roadmap else ()
        self._mvp = next((mvp for mvp in mvps if mvp.id == self._mvp.id), self._mvp)
        self._pane.show(view, self._mvp)


PANES = ("plan", "jobs", "curve", *TABS)
"""In the order in which `l` leads through them."""
WIDE = 120
"""From this width on the plan and what belongs to its cursor are side by side."""

EMPTY = 0.8
"""Seconds until home is drawn though the lab is not read yet."""


MOVES = (
    ("j k, arrows", "move in the pane"),
    ("g G", "first and last row"),
    ("h l, tab, shift+tab", "previous and next pane or tab"),
    ("> ━━─── 47m", "how far the MVP's run is, and the time left; +2: two more runs of it"),
    ("R² 0.540*", "best of the MVP's runs; * from a trial, as no full run has a score"),
    ("Ceil. 87%", "that R² as a share of the ceiling, where one is known"),
    ("1.0 Run 1(s)", "profile smoke, abbreviated; (d) demo, (h) hour"),
    ("name [MLP]", "the model behind the number, where an MVP compares several"),
)
KEYS = (
    Key("v", "next_view", "board", "show the plan as a board, or as a table"),
    Key("m", "next_value", "", "plot the next value", in_line=False),
    Key("full_stop", "next_place(1)", "tab", "next tab: log, specification, gates, changes"),
    Key("comma", "next_place(-1)", "", "previous tab", in_line=False),
    Key("enter", "open_row", "open", "details of the MVP, or the log of the job", in_line=False),
)


class RoadmapScreen(LabScreen):
    """One cursor, that of the plan: chart, log, specification and gates are of its MVP.

    While the jobs have the focus, the plan's cursor follows theirs.
    """

    NAME = "roadmap"
    FILTERS = True
    MOVES = MOVES
    KEYS = KEYS
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(KEYS[:4]),
        Binding("l,tab", "pane(1)", "Next pane", show=False),
        Binding("h,shift+tab", "pane(-1)", "Previous pane", show=False),
        Binding("q", "app.quit", "Leave", show=False),
        Binding("escape", "clear_filter", "Clear filter", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._pane = "plan"
        """The one with the focus."""
        self._pinned: str | None = None
        """The job chosen in the pane of jobs; None: the first of the MVP's."""
        self._waited = False  # is home drawn though nothing was read yet
        self._followed: object = None  # the job whose log and curve are read, as last told

    def compose(self) -> ComposeResult:
        self.header = Header(self.session.key, _machine)
        plain = self.header.plain = self.session.plain
        self.plan_pane = PlanPane(self.filter, plain=plain)
        self.jobs_pane = JobsPane(plain=plain)
        self.plan, self.jobs = self.plan_pane.table, self.jobs_pane.table
        self.beside = Beside(self.session, self._arrange)
        yield self.header
        yield Horizontal(
            Vertical(self.plan_pane, self.jobs_pane, *self.beside.more, id="left"),
            Vertical(self.beside.curve_pane, self.beside.tabs, id="right"),
            id="body",
        )
        yield self.keys

    def on_mount(self) -> None:
        self.set_timer(EMPTY, self._wait_no_longer)
        self.filter.display = False
        self.go("plan")

    def grow_old(self) -> None:
        if self.is_current:
            self.header.look(seldom=self.session.watcher.pace.rests)
            self.show_header()  # what runs falls silent, what is not read grows old

    # what is shown

    def _compositor_refresh(self) -> None:
        """Draw first what was read, and an empty home only where that takes long."""
        if self.view is not None or self._waited:
            super()._compositor_refresh()

    def _wait_no_longer(self) -> None:
        self._waited = True
        self.refresh()

    def show(self, view: LabSnapshot) -> None:
        self.show_header()
        self.jobs_pane.show(self._jobs)
        begins = self._followed is None
        self._show_plan()
        if begins and (first := _first(view, self._jobs)) is not None:
            self.plan_pane.select(first)
            self._follow()
        self._arrange()

    def receive(self, message: Message) -> None:
        self.beside.receive(message)

    def on_screen_resume(self) -> None:
        if self._followed is not None:
            self._followed = ()  # another screen had those of its own selection read
        super().on_screen_resume()

    def show_header(self) -> None:
        """The lines at the top and the GPUs, which change without the lab too."""
        if self.view is not None and self.is_mounted:
            self.header.show(self.view, self.session.roadmaps, self.seconds_since_read)

    def _show_plan(self) -> None:
        if self.view is None:
            return
        self.plan_pane.show(self.view, _no_plan(self.view, self.session.key))
        self._follow()

    @on(StableTable.RowHighlighted, "#plan")
    @on(StableTable.RowHighlighted, "#jobs")
    @on(Board.Chosen)
    def _cursor_moved(self) -> None:
        """Draw the cursor first: a key is not to wait for what belongs to its row."""
        self.call_after_refresh(self._follow)

    def _follow(self) -> None:
        """Show all that belongs to the one selection, and bring the other cursor to it."""
        view, mvp, job = self.view, self.selected_mvp(), self.selected_job()
        if view is None:
            return
        if self.focused is not self.jobs:
            self.jobs_pane.choose(job)
        elif job is not None:
            self._pinned = job.paths.name
            self.plan_pane.select(job.spec.mvp)
        self.plan_pane.describe(view)
        self.jobs_pane.describe(job)
        self.beside.show(view, mvp, job)
        paths = job.paths if job else None
        if (paths,) != self._followed:
            self._followed = (paths,)
            self.post_message(JobSelected(paths))

    def on_descendant_focus(self) -> None:
        """A click, too, leads to a pane."""
        focused = self.focused.id if self.focused else None
        pane = {"board": "plan", "instead": "curve"}.get(focused or "", focused)
        if pane in PANES and pane != self._pane:
            self._pane = pane
            if pane in TABS:
                self.beside.tabs.open(pane)
            self._arrange()
        self._follow()

    # what is selected

    def selected_mvp(self) -> Mvp | None:
        """The one under the plan's cursor; while the jobs have the focus, that of their job."""
        if self.focused is not self.jobs:
            return self.plan_pane.chosen(self.view)
        job = self.job_called(self.jobs.selected)
        mvps = self.view.roadmap.mvps if job and self.view and self.view.roadmap else ()
        return next((mvp for mvp in mvps if job and mvp.id == job.spec.mvp), None)

    def selected_job(self) -> JobView | None:
        """The one under the cursor of the jobs, or last there, or the first of the plan's MVP."""
        if self.focused is self.jobs:
            return self.job_called(self.jobs.selected)
        mvp, pinned = self.selected_mvp(), self.job_called(self._pinned)
        if self.view is None or (pinned is not None and mvp is None):
            return pinned
        if mvp is None:
            return next(iter(self._jobs), None)
        mine = pinned is not None and pinned.spec.mvp == mvp.id and belongs(pinned, self.view)
        return pinned if mine else index_of(self.view).first.get(mvp.id)

    @property
    def _jobs(self) -> Sequence[JobView]:
        return index_of(self.view).ordered if self.view else ()

    def table_rows(self) -> Callable[[], Table] | None:
        chart = self.beside.chart
        return chart.table if self.focused is chart else super().table_rows()

    def select(self, key: str) -> None:
        self.action_clear_filter()
        self.plan_pane.select(key)
        self.go("plan")

    @on(StableTable.RowSelected, "#plan")
    @on(StableTable.RowSelected, "#jobs")
    @on(Board.Opened)
    async def action_open_row(self) -> None:
        """The log of the job, where the jobs have the focus, or else the MVP."""
        if self.focused is self.jobs:
            await self.app.run_action("app.open_log")
        elif (mvp := self.selected_mvp()) is not None:
            read = self.beside.summarize
            self.app.push_screen(MvpScreen(self, mvp, read, plain=self.session.plain))

    # moving about

    def go(self, pane: str) -> None:
        """Put the focus on a pane; a tab is shown in place of the others."""
        self._pane = pane
        if pane in TABS:
            self.beside.tabs.open(pane)
        self._arrange()
        if pane == "plan":
            self.plan_pane.enter()
        else:
            self.jobs.show_cursor = True  # a key may come before the focus does
            where = self.beside.top if pane == "curve" else self.query_one(f"#{pane}")
            where.focus()
        self._follow()

    action_go = go

    def action_next_place(self, by: int) -> None:
        """Show another tab; the focus goes along only where a tab has it."""
        tab = self.beside.tabs.after(by)
        if self._pane in TABS:
            return self.go(tab)
        self.beside.tabs.open(tab)
        return self._follow()

    def _arrange(self) -> None:
        """Give each pane its lines; where there is little room, the one with the focus more."""
        wide, body = self.size.width >= WIDE, self.size.height - 3
        self.set_class(not wide, "-small")
        beside, jobs = self.beside, len(self._jobs)
        mvps = len(self.view.roadmap.mvps) if self.view and self.view.roadmap else 0
        columns = side_by_side(body, mvps, jobs, specified=beside.instead.display)
        heights = columns if wide else stacked(body, self._pane)
        panes = self.plan_pane, self.jobs_pane, *beside.more, beside.curve_pane, beside.tabs
        for pane, height in zip(panes, heights, strict=True):
            pane.display = height > 0
            pane.styles.height = max(height, 1)

    def action_next_value(self) -> None:
        self.session.watcher.show_next_metric()

    def action_next_view(self) -> None:
        """Table or board; what is chosen stays chosen."""
        self.go("plan")
        self.plan_pane.switch()
        self.set_class(self.plan_pane.board.display, "-board")

    def action_pane(self, by: int) -> None:
        panes = [pane for pane in PANES if pane != "jobs" or self._jobs]
        self.go(panes[(panes.index(self._pane) + by) % len(panes)])

    def filter_rows(self) -> None:
        self.go("plan")
        self.filter.display = True
        self.filter.focus()

    def action_clear_filter(self) -> None:
        self.filter.value = ""
        self.filter.display = False
        self._show_plan()
        if self.focused is None or self.focused is self.filter:
            self.go("plan")

    @on(Input.Submitted, "#filter")
    def _filter_kept(self) -> None:
        self.filter.display = False
        self.go("plan")

    def on_resize(self) -> None:
        self._arrange()
        super().on_resize()


def _machine() -> tuple[Sequence[Device], tuple[int, int]]:
    """The GPUs, and the time the CPUs were busy; blocking."""
    return gpus.devices(), cpu_times()


def _first(view: LabSnapshot, jobs: Sequence[JobView]) -> str | None:
    """The MVP of what runs, or else ended last; in a new plan the next."""
    mvps = [mvp.id for mvp in view.roadmap.mvps] if view.roadmap else []
    known = (job.spec.mvp for job in jobs if job.spec.mvp in mvps)
    return next(known, view.next.id if view.next else None)


def _no_plan(view: LabSnapshot, key: Callable[[str], str]) -> str:
    """What the plan's pane shows where there is no MVP; `key(action)` as it is written."""
    if view.path is None:
        ways = f"{key('add')} creates one, {key('open_roadmaps')} opens one"
        return f"no roadmap: {ways}; `vitlab init` creates an example"
    if view.roadmap is None:
        return "the roadmap cannot be read: " + clean("; ".join(view.problems))
    return f"no MVPs in this roadmap yet: {key('add')} adds one"
