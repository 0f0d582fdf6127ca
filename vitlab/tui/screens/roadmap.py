"""Home: plan, gates, jobs, curves, log, and the selected MVP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from vitlab.contract.paths import JobPaths
from vitlab.jobs import gpus
from vitlab.tui.keys import KEYS, Key, bindings, shown_key
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.gates import GatePanel
from vitlab.tui.session import Session
from vitlab.tui.text import clean, metric_name, set_titles, tone_style
from vitlab.tui.watch.messages import CurvesUpdated, LogUpdated
from vitlab.tui.widgets.curves_chart import LiveChart, LiveCurves
from vitlab.tui.widgets.header import Header
from vitlab.tui.widgets.jobs_pane import JobsPane
from vitlab.tui.widgets.log_view import LogView
from vitlab.tui.widgets.mvp_pane import FIRST, MvpPane, Reader
from vitlab.tui.widgets.plan_pane import Board, PlanPane
from vitlab.tui.widgets.table import StableTable

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.mvp_summary import MvpSummary
    from vitlab.lab.live.snapshot import JobView, LabSnapshot
    from vitlab.tui.widgets.table import Table


class MvpScreen(ModalScreen[None]):
    """Follows the lab while it is open."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,enter", "dismiss(None)", "Close"),
        Binding("L", "launch", "Launch"),
    ]

    def __init__(self, of: LabScreen, mvp: Mvp, read: Reader, *, plain: bool) -> None:
        """`of`: the screen below it, which has the lab as last read."""
        super().__init__()
        self._of = of
        self._mvp = mvp
        self._pane = MvpPane(read, plain=plain)

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


LEFT, RIGHT = ("plan", "gates", "jobs"), ("mvp", "curve", "log")
PANES = ("plan", "gates", "jobs", "curve", "log")
"""In the order of their keys; the selected MVP's pane has none."""
WIDE = 150
"""From this width on the selected MVP is shown beside the plan."""
ROOMY = (120, 32)
"""From this width and height on, all panes are shown at once."""
PAGES = {"plan": "plan", "gates": "plan", "jobs": "jobs", "log": "jobs", "curve": "curve"}
"""Pane -> its page, where the terminal is too small for all panes at once."""

TITLES = {"plan": "1 plan, 2 gates", "jobs": "3 jobs, 5 log", "curve": "4 curve"}


@dataclass
class JobSelected(Message):
    """Another job is under the cursor: its log and curve are to be read."""

    job: JobPaths | None


class RoadmapScreen(LabScreen):
    """All panes at once, or one page of them on a small terminal."""

    NAME = "roadmap"
    MOVES: ClassVar[tuple[tuple[str, str], ...]] = (
        ("j k, arrows", "move in the pane"),
        ("g G", "first and last row"),
        ("h l, tab, shift+tab", "previous and next pane"),
        ("1 2 3 4 5", "plan, gates, jobs, curve, log"),
        ("R² 0.540*", "best of the MVP's runs; * from a trial, as no full run has a score"),
        ("1.0 Run 1(s)", "profile smoke, abbreviated; (d) demo, (h) hour"),
        ("name [MLP]", "the model behind the number, where an MVP compares several"),
    )
    KEYS = (
        Key("t", "toggle_board", "board", "show the plan as a board, or as a table"),
        Key(
            "enter", "open_row", "open", "details of the MVP, or the log of the job", in_line=False
        ),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(KEYS[:1]),
        Binding("l,tab", "pane(1)", "Next pane", show=False),
        Binding("h,shift+tab", "pane(-1)", "Previous pane", show=False),
        Binding("q", "app.quit", "Leave", show=False),
        *(Binding(str(i + 1), f"go('{pane}')", pane, show=False) for i, pane in enumerate(PANES)),
        Binding("escape", "clear_filter", "Clear filter", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._page = "plan"
        self._followed: JobPaths | None = None

    def compose(self) -> ComposeResult:
        # Kept, not looked up: a message may still come while the widgets are taken down.
        self.header, self.pages = Header(self.session.key), Static(id="pages", markup=False)
        plain = self.session.plain
        self.gates = GatePanel(self.session.key("add"))
        self.chart, self.log_view = LiveChart(), LogView()
        self.mvp_pane = MvpPane(self._summarize, plain=plain, wait=FIRST)
        self.plan_pane = PlanPane(self.filter, plain=plain)
        self.jobs_pane = JobsPane(gpus.devices, self._no_jobs(), plain=plain)
        self.plan, self.jobs = self.plan_pane.table, self.jobs_pane.table
        self.panes = {
            "plan": self.plan_pane,
            "gates": Vertical(self.gates, id="gates-pane", classes="pane"),
            "jobs": self.jobs_pane,
            "mvp": Vertical(self.mvp_pane, id="mvp-pane", classes="pane"),
            "curve": Vertical(self.chart, id="curve-pane", classes="pane"),
            "log": Vertical(self.log_view, id="log-pane", classes="pane"),
        }
        for widget in (self.header, self.gates, self.chart):
            widget.plain = plain
        self.left = Vertical(*(self.panes[name] for name in LEFT), id="left")
        self.right = Vertical(*(self.panes[name] for name in RIGHT), id="right")
        yield self.header
        yield self.pages
        yield Horizontal(self.left, self.right, id="body")
        yield self.keys

    def on_mount(self) -> None:
        for i, name in enumerate(PANES):
            self.panes[name].border_title = Text(f"{i + 1} {name}")
        self.panes["mvp"].border_title = Text("the selected MVP")
        self.panes["log"].border_subtitle = Text("no log yet")
        self.filter.display = False
        self.go("plan")

    def grow_old(self) -> None:
        if self.is_current:
            self.jobs_pane.ask(seldom=self.session.watcher.pace.rests)
            self.show_header()  # what runs falls silent, what is not read grows old

    # what is shown

    def show(self, view: LabSnapshot) -> None:
        self.show_header()
        self._show_plan()
        self.gates.show(view)
        self.jobs_pane.show(view.jobs)
        self._describe_job()

    def receive(self, message: Message) -> None:
        if isinstance(message, CurvesUpdated):
            self.show_curves(message)
        elif isinstance(message, LogUpdated):
            self.show_log(message)

    def show_header(self) -> None:
        """The lines at the top and the GPUs, which change without the lab too."""
        if self.view is not None and self.is_mounted:
            self.header.show(self.view, self.session.roadmaps, self.seconds_since_read)
            self.jobs_pane.show_devices()

    def _show_plan(self) -> None:
        if self.view is None:
            return
        self.plan_pane.show(self.view, _no_plan(self.view, self.session.key))
        self._describe_mvp()

    @on(StableTable.RowHighlighted, "#plan")
    @on(Board.Chosen)
    def _describe_mvp(self) -> None:
        mvp = self.selected_mvp()
        if self.view is not None:
            self.plan_pane.describe(self.view)
        if self.view is not None and self.panes["mvp"].display:
            self.mvp_pane.show(self.view, mvp)

    def show_curves(self, message: CurvesUpdated) -> None:
        set_titles(self.panes["curve"], below="m: next value" if len(message.metrics) > 1 else "")
        title = metric_name(message.metric)
        empty = "no curve yet: running jobs draw one"
        x = message.x_label, empty, message.x_range
        self.chart.show(LiveCurves(message.series, message.lines, title, *x))

    def show_log(self, message: LogUpdated) -> None:
        self.log_view.append(message.lines, message.fresh)
        set_titles(self.panes["log"], below=f"{message.job}  {message.unfinished}".rstrip())

    # texts where there is nothing to show

    def _no_jobs(self) -> str:
        key = self.session.key
        return (
            f"no jobs yet: {key('launch_next')} launches the next MVP of the plan, "
            f"{key('launch_selected')} the selected one"
        )

    # what is selected

    def selected_mvp(self) -> Mvp | None:
        return self.plan_pane.chosen(self.view)

    def selected_job(self) -> JobView | None:
        return self.job_called(self.jobs.selected)

    def table_rows(self) -> Callable[[], Table] | None:
        return self.chart.table if self.focused is self.chart else super().table_rows()

    def select(self, key: str) -> None:
        self.action_clear_filter()
        self.plan_pane.select(key)
        self.go("plan")

    @on(StableTable.RowSelected, "#plan")
    @on(Board.Opened)
    def _open_mvp(self) -> None:
        mvp = self.selected_mvp()
        if mvp is not None:
            screen = MvpScreen(self, mvp, self._summarize, plain=self.session.plain)
            self.app.push_screen(screen)

    def _summarize(self, mvp_id: str, ended: Sequence[JobPaths]) -> MvpSummary:
        """What is known of one MVP; blocking, and only asked for once the lab was read."""
        reader = self.session.watcher.reader
        assert reader is not None
        return reader.summarize(self.session.roadmap, mvp_id, ended)

    @on(StableTable.RowSelected, "#jobs")
    async def action_open_row(self) -> None:
        """What enter does in the pane that has the focus."""
        if self.focused is self.jobs:
            await self.app.run_action("app.open_log")
        else:
            self._open_mvp()

    @on(StableTable.RowHighlighted, "#jobs")
    def _describe_job(self) -> None:
        job = self.selected_job()
        self.jobs_pane.describe(job)
        paths = job.paths if job else None
        if paths != self._followed:
            self._followed = paths
            self.post_message(JobSelected(paths))

    # moving about

    def go(self, pane: str) -> None:
        """Put the focus on a pane; on a small terminal also open its page."""
        self._page = PAGES[pane]
        self._arrange()
        if pane == "plan":
            self.plan_pane.enter()
        else:
            self.query_one(f"#{pane}").focus()

    def _arrange(self) -> None:
        """Show the panes of the page, or all of them where there is room."""
        small = self.size.width < ROOMY[0] or self.size.height < ROOMY[1]
        self.set_class(small, "-small")
        shown = {name: not small or PAGES[name] == self._page for name in PANES}
        shown["mvp"] = self.size.width >= WIDE and not small
        for name, pane in self.panes.items():
            pane.display = shown[name]
        self.left.display = any(shown[name] for name in LEFT)
        self.right.display = any(shown[name] for name in RIGHT)
        if small:
            strip = Text()
            for page, title in TITLES.items():
                tone = tone_style(self, "accent") + " reverse" if page == self._page else ""
                strip.append(f" {title} ", tone)
                strip.append("  ")
            self.pages.update(strip)

    def action_go(self, pane: str) -> None:
        self.go(pane)

    def action_toggle_board(self) -> None:
        """Table or board; what is chosen stays chosen."""
        self.go("plan")
        self.plan_pane.switch()

    def action_pane(self, by: int) -> None:
        focused = self.focused.id if self.focused and self.focused.id in PANES else "plan"
        self.go(PANES[(PANES.index(focused) + by) % len(PANES)])

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

    @on(Input.Changed, "#filter")
    def _filtered(self) -> None:
        self._show_plan()

    @on(Input.Submitted, "#filter")
    def _filter_kept(self) -> None:
        self.filter.display = False
        self.go("plan")

    def on_resize(self) -> None:
        self._arrange()
        super().on_resize()

    def key_entries(self) -> list[tuple[str, str, str]]:
        # In little room, the way to all keys and the way out come first.
        first = ("launch_next", "launch_selected", "stop_job", "write", "undo", "help", "quit")
        shown = sorted((key for key in KEYS if key.in_line), key=lambda key: key.name not in first)
        own = self.session.own_keys
        keys = [(shown_key(key, own), key.word, f"app.{key.action}") for key in shown]
        keys.append((shown_key(self.KEYS[0], own), "board", "screen.toggle_board"))
        return [*keys, ("^p", "find", "app.command_palette")]


def _no_plan(view: LabSnapshot, key: Callable[[str], str]) -> str:
    """What the plan's pane shows where there is no MVP; `key(action)` as it is written."""
    if view.path is None:
        ways = f"{key('add')} creates one, {key('open_roadmaps')} opens one"
        return f"no roadmap: {ways}; `vitlab init` creates an example"
    if view.roadmap is None:
        return "the roadmap cannot be read: the gates pane (2) shows why"
    return f"no MVPs in this roadmap yet: {key('add')} adds one"
