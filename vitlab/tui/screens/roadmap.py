"""The main screen: plan, gates and jobs on the left, curves and log on the right."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Input

from vitlab.contract.paths import JobPaths
from vitlab.plot.series import Line
from vitlab.tui.messages import CurvesSeen, LogSeen
from vitlab.tui.widgets.gate_panel import GatePanel
from vitlab.tui.widgets.header import Headline
from vitlab.tui.widgets.job_table import JobTable, job_detail
from vitlab.tui.widgets.log_view import LogView
from vitlab.tui.widgets.metric_chart import MetricChart, Picture
from vitlab.tui.widgets.mvp_table import MvpTable
from vitlab.tui.words import clean, metric_name

if TYPE_CHECKING:
    from vitlab.docs.roadmap import Mvp
    from vitlab.records.view import JobView, LabView

PANES = ("plan", "gates", "jobs", "curve", "log")
PAGES = {"plan": "plan", "gates": "plan", "jobs": "jobs", "log": "jobs", "curve": "curve"}
"""Pane -> the page it stands on where the terminal is too small for all panes at once."""


@dataclass
class JobChosen(Message):
    """Another job is under the cursor: its log and its curve are wanted."""

    job: JobPaths | None


class RoadmapScreen(Screen[None]):
    """Shows what the watcher saw; knows what is selected; does nothing by itself."""

    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 - Textual's type
    VERTICAL_BREAKPOINTS = [(0, "-short"), (32, "-tall")]  # noqa: RUF012 - Textual's type
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "pane(1)", "Next pane", show=False),
        Binding("shift+tab", "pane(-1)", "Previous pane", show=False),
        Binding("h", "pane(-1)", "Previous pane", show=False),
        *(Binding(str(i + 1), f"go('{pane}')", pane, show=False) for i, pane in enumerate(PANES)),
        Binding("escape", "clear_filter", "Clear filter", show=False),
    ]

    def __init__(self, plain: bool = False) -> None:
        super().__init__(id="roadmap")
        self.view: LabView | None = None
        self._plain = plain
        self._read_at = time.monotonic()
        self._followed: JobPaths | None = None

    def compose(self) -> ComposeResult:
        yield Headline(id="headline")
        with Horizontal(id="body"):
            with Vertical(id="left"):
                with Vertical(id="plan-pane", classes="pane"):
                    yield MvpTable(id="plan")
                    yield Input(id="filter", placeholder="filter: words of a row", compact=True)
                with Vertical(id="gates-pane", classes="pane"):
                    yield GatePanel(id="gates")
                with Vertical(id="jobs-pane", classes="pane"):
                    yield JobTable(id="jobs")
            with Vertical(id="right"):
                with Vertical(id="curve-pane", classes="pane"):
                    yield MetricChart(id="curve")
                with Vertical(id="log-pane", classes="pane"):
                    yield LogView(id="log")
        yield Footer(compact=True)

    def on_mount(self) -> None:
        for i, pane in enumerate(PANES):
            self.query_one(f"#{pane}-pane").border_title = Text(f"{i + 1} {pane}")
            widget = self.query_one(f"#{pane}")
            if hasattr(widget, "plain"):
                widget.plain = self._plain
        self.query_one(Headline).plain = self._plain
        self.query_one("#filter").display = False
        self.go("plan")
        self.set_interval(1.0, self._age)

    # what is seen

    def show(self, view: LabView) -> None:
        self.view = view
        self._read_at = time.monotonic()
        self._age()
        self._show_plan()
        self.query_one(GatePanel).show(view)
        jobs = self.query_one(JobTable)
        jobs.show(view.jobs)
        self._describe_job()

    def _age(self) -> None:
        if self.view is not None:
            self.query_one(Headline).show(self.view, time.monotonic() - self._read_at)

    def _show_plan(self) -> None:
        if self.view is None:
            return
        words = self.query_one("#filter", Input).value
        self.query_one(MvpTable).show(self.view, words)
        pane = self.query_one("#plan-pane")
        pane.border_subtitle = Text(f"/ {clean(words)}") if words else self._mvp_detail()

    def _mvp_detail(self) -> Text:
        mvp = self.selected_mvp()
        return Text(clean(mvp.exp_id or "")) if mvp else Text()

    def show_curves(self, seen: CurvesSeen) -> None:
        more = "  m: other values" if len(seen.metrics) > 1 else ""
        self.query_one("#curve-pane").border_subtitle = Text(more.strip())
        title = metric_name(seen.metric)
        lines = gate_lines(self.view, seen.metric)
        self.query_one(MetricChart).show(Picture(seen.series, lines, title, seen.x_label))

    def show_log(self, seen: LogSeen) -> None:
        self.query_one(LogView).take(seen.lines, seen.fresh)
        self.query_one("#log-pane").border_subtitle = Text(clean(seen.job))

    # what is selected

    def selected_mvp(self) -> Mvp | None:
        key = self.query_one(MvpTable).selected
        mvps = self.view.roadmap.mvps if self.view and self.view.roadmap else ()
        return next((mvp for mvp in mvps if mvp.id == key), None)

    def selected_job(self) -> JobView | None:
        key = self.query_one(JobTable).selected
        jobs: Sequence[JobView] = self.view.jobs if self.view else ()
        return next((job for job in jobs if job.paths.name == key), None)

    def select_mvp(self, mvp_id: str) -> None:
        self.action_clear_filter()
        self.query_one(MvpTable).select(mvp_id)
        self.go("plan")

    @on(DataTable.RowHighlighted, "#plan")
    def _mvp_chosen(self) -> None:
        self.query_one("#plan-pane").border_subtitle = self._mvp_detail()

    @on(DataTable.RowHighlighted, "#jobs")
    def _describe_job(self) -> None:
        job = self.selected_job()
        self.query_one("#jobs-pane").border_subtitle = Text(job_detail(job) if job else "")
        paths = job.paths if job else None
        if paths != self._followed:
            self._followed = paths
            self.post_message(JobChosen(paths))

    # moving about

    def go(self, pane: str) -> None:
        """Put the focus on a pane; on a small terminal also turn to its page."""
        for page in set(PAGES.values()):
            self.set_class(page == PAGES[pane], f"-page-{page}")
        self.query_one(f"#{pane}").focus()

    def action_go(self, pane: str) -> None:
        self.go(pane)

    def action_pane(self, by: int) -> None:
        focused = self.focused.id if self.focused and self.focused.id in PANES else "plan"
        self.go(PANES[(PANES.index(focused) + by) % len(PANES)])

    def action_filter(self) -> None:
        self.go("plan")
        entry = self.query_one("#filter", Input)
        entry.display = True
        entry.focus()

    def action_clear_filter(self) -> None:
        entry = self.query_one("#filter", Input)
        entry.value = ""
        entry.display = False
        self._show_plan()
        if self.focused is None or self.focused is entry:
            self.go("plan")

    @on(Input.Changed, "#filter")
    def _filtered(self) -> None:
        self._show_plan()

    @on(Input.Submitted, "#filter")
    def _filter_kept(self) -> None:
        self.query_one("#filter").display = False
        self.go("plan")

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        if self.view is not None:
            self.show(self.view)


def gate_lines(view: LabView | None, metric: str) -> list[Line]:
    """The levels the gates ask of this value, on whichever split they name it."""
    from vitlab.docs.gates import thresholds

    kind = metric.partition("/")[2]
    labels: dict[float, list[str]] = {}
    for gate in view.roadmap.gates if view and view.roadmap else ():
        for value, level in thresholds(gate):
            names = labels.setdefault(level, [])
            if value.partition("/")[2] == kind and gate.id not in names:
                names.append(gate.id)
    return [
        Line(level, clean(f"Gate-{', '.join(names)} at {level:g}"))
        for level, names in sorted(labels.items())
        if names
    ]
