"""The curves: any runs and values, against any axis, read by a cursor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from vitlab.lab.figures.axes import AXES
from vitlab.plot.chart import MARKS
from vitlab.plot.labels import GREY, marks_key
from vitlab.plot.series import Rgb, number
from vitlab.tui.jobs_index import in_order
from vitlab.tui.keys import Key, bindings
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.dialogs import PickScreen
from vitlab.tui.session import Session
from vitlab.tui.text import (
    cell,
    duration,
    job_label,
    job_words,
    metric_name,
    set_titles,
    tone_style,
)
from vitlab.tui.watch.messages import RunsUpdated
from vitlab.tui.watch.watcher import RunRequest
from vitlab.tui.widgets.chart import ZOOM_KEYS, Zooming
from vitlab.tui.widgets.curves_chart import SMOOTH, CurvesChart, CurvesState
from vitlab.tui.widgets.table import Row, StableTable, Table

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView, LabSnapshot


class RunTable(StableTable):
    """The runs with values: which are drawn, their marks, their values at the cursor."""

    COLUMNS: ClassVar = {"": 1, "Value": 9, "State": 9, "Run": 12}

    def show(self, jobs: list[JobView], drawn: dict[str, tuple[str, Rgb, float | None]]) -> None:
        """`drawn`: job -> mark, colour, value at the cursor."""
        self.show_rows({job.paths.name: self._row(job, drawn.get(job.paths.name)) for job in jobs})

    def _row(self, job: JobView, drawn: tuple[str, Rgb, float | None] | None) -> Row:
        words, tone = job_words(job, self.plain)
        if drawn is None:
            muted = tone_style(self, "muted")
            return cell(""), cell(""), cell(words, muted), cell(job_label(job), muted)
        mark, (r, g, b), value = drawn
        paint = f"bold #{r:02x}{g:02x}{b:02x}"
        reading = cell(number(value))
        return (
            cell(mark, paint),
            reading,
            cell(words, tone_style(self, tone)),
            cell(job_label(job), paint),
        )


class CurvesScreen(Zooming, LabScreen):
    """A chart, and the runs to draw in it."""

    chart: CurvesChart
    NAME = "curves"
    HEADING = "Curves"
    FILTERS = True
    KEYS = (
        Key("space", "mark", "on/off", "show or hide the selected run"),
        Key("asterisk", "toggle_all", "all", "show all runs, or only running and recent ones"),
        Key("m", "next_value", "value", "the next value"),
        Key("P", "pick", "pick", "choose the value by name"),
        Key("a", "next_axis", "x axis", "x: steps, epochs, spectra, share of the plan or time"),
        Key("M", "next_smoothing", "smooth", "smoothing: none or a running mean"),
        Key("Y", "toggle_log", "log axis", "log axis for the value"),
        *ZOOM_KEYS,
    )
    MOVES = (
        ("h l, arrows", "move the cursor to read values; with shift ten columns"),
        ("j k", "choose a run"),
        ("tab", "switch between chart and runs"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(KEYS),
        Binding("j,down", "choose(1)", "Next run", show=False),
        Binding("k,up", "choose(-1)", "Previous run", show=False),
    ]

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.chart = CurvesChart(self._read)
        self.table = RunTable("runs")
        self.table.plain = session.plain
        self._chart_pane = Vertical(self.chart, id="chart-pane", classes="pane")
        self._runs_pane = Vertical(self.table, id="runs-pane", classes="pane")
        self._runs_pane.border_title = Text("runs")
        self._chosen: frozenset[str] | None = None
        """Job names; None until somebody chose."""
        self._metric: str | None = None
        """The value chosen; None for the headline."""
        self._axis: str | None = None
        """What x was chosen to be; None until somebody chose."""
        self._message: RunsUpdated | None = None

    def body(self) -> tuple[Widget, ...]:
        return (self._chart_pane, self._runs_pane)

    def on_mount(self) -> None:
        look = replace(self.chart.state.look, plain=self.session.plain)
        self.chart.state = replace(self.chart.state, look=look)
        self.chart.focus()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self._request_runs()

    def on_screen_suspend(self) -> None:
        self.session.watcher.follow_runs(None)

    def receive(self, message: Message) -> None:
        if not isinstance(message, RunsUpdated):
            return
        self._message = message
        state, axis = self.chart.state, self._axis or message.axis
        if axis != state.axis:
            state = replace(state, look=replace(state.look, window=None, cursor=None))
        state = replace(state, runs=message.runs, metric=message.metric, lines=message.lines)
        self.chart.show(replace(state, axis=axis))
        self._read()

    def show(self, view: LabSnapshot) -> None:
        message = self._message
        runs = message.runs if message else ()
        values = self.chart.readings()
        look = self.chart.look
        marks = MARKS if look.letters or look.plain else "━"
        drawn = {
            run.job: (
                marks[i % len(marks)],
                run.color or GREY,
                values[i] if i < len(values) else None,
            )
            for i, run in enumerate(runs)
        }
        jobs = [
            job
            for job in in_order(view.jobs)
            if job.step > 0 or job.values or job.paths.name in drawn
        ]
        self.table.show(
            [job for job in jobs if self.matches_filter(job_label(job), job.paths.name)], drawn
        )
        state = self.chart.state
        smooth = f", smoothed {state.smooth:g}" if state.smooth else ""
        log = ", log" if state.look.log else ""
        title = metric_name(message.metric) if message else "no values yet"
        set_titles(self._chart_pane, f"{title}{log}{smooth}", self._x_text())
        self.set_heading(f"{len(runs)} of {len(jobs)} runs shown")

    def _x_text(self) -> str:
        state = self.chart.state
        at = state.look.cursor
        if at is None:
            marks = marks_key(self.chart.curves(), ascii=state.look.plain)
            return ", ".join([*marks, f"x: {AXES[state.axis]}"])
        position = duration(at) if state.axis == "seconds" else f"{at:,.6g}"
        return f"at {AXES[state.axis]} {position}"

    def _read(self) -> None:
        if self.view is not None:
            self.show(self.view)

    def _request_runs(self) -> None:
        self.session.watcher.follow_runs(RunRequest(self._chosen, self._metric))

    def table_rows(self) -> Callable[[], Table] | None:
        message = self._message
        return None if message is None else lambda: samples(message)

    def selected_job(self) -> JobView | None:
        key = self.table.selected
        jobs = self.view.jobs if self.view else ()
        return next((job for job in jobs if job.paths.name == key), None)

    def select(self, key: str) -> None:
        self.table.select(key)

    # what the keys do

    def action_choose(self, by: int) -> None:
        (self.table.action_cursor_down if by > 0 else self.table.action_cursor_up)()

    @on(StableTable.RowSelected, "#runs")
    def action_mark(self) -> None:
        key = self.table.selected
        if key is None:
            return
        drawn = frozenset(run.job for run in self._message.runs) if self._message else frozenset()
        chosen = self._chosen if self._chosen is not None else drawn
        self._chosen = chosen ^ {key}
        self._request_runs()

    def action_toggle_all(self) -> None:
        jobs = self.view.jobs if self.view else ()
        every = frozenset(job.paths.name for job in jobs if job.step > 0 or job.values)
        self._chosen = None if self._chosen == every else every
        self._request_runs()

    def action_next_value(self) -> None:
        if self._message and self._message.metrics:
            names = self._message.metrics
            at = names.index(self._message.metric) + 1 if self._message.metric in names else 0
            self._show_value(names[at % len(names)])

    @work(group="actions")
    async def action_pick(self) -> None:
        if self._message is None or not self._message.metrics:
            return
        message = self._message
        name = await self.app.push_screen_wait(PickScreen("Value", message.metrics, message.metric))
        if name is not None:
            self._show_value(name)

    def _show_value(self, name: str) -> None:
        self._metric = name
        self._request_runs()

    def _change(self, state: CurvesState) -> None:
        self.chart.show(state, now=True)
        self._read()

    def action_next_axis(self) -> None:
        state = self.chart.state
        axes = list(AXES)
        axis = self._axis = axes[(axes.index(state.axis) + 1) % len(axes)]
        look = replace(state.look, window=None, cursor=None)
        self._change(replace(state, axis=axis, look=look))

    def action_next_smoothing(self) -> None:
        state = self.chart.state
        smooth = SMOOTH[(SMOOTH.index(state.smooth) + 1) % len(SMOOTH)]
        self._change(replace(state, smooth=smooth))

    def action_toggle_log(self) -> None:
        state = self.chart.state
        self._change(replace(state, look=replace(state.look, log=not state.look.log)))


def samples(message: RunsUpdated) -> Table:
    """Every sample of every run that is drawn."""
    rows: list[tuple[str, ...]] = [
        (run.job, run.label, *("" if part is None else f"{part:.10g}" for part in sample))
        for run in message.runs
        for sample in run.samples
    ]
    return Table(("job", "run", "step", "epoch", "seconds", message.metric), rows)
