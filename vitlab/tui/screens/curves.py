"""The curves: any runs overlaid, any value, against what one likes, read by a cursor."""

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
from textual.widgets import DataTable

from vitlab.plot.chart import MARKS
from vitlab.plot.series import Rgb, number
from vitlab.tui.keys import Verb, bindings
from vitlab.tui.screens.base import Frame, LabScreen
from vitlab.tui.text import cell, duration, ink, metric_name, state_words
from vitlab.tui.watch.messages import RunsSeen
from vitlab.tui.watch.watcher import Wish
from vitlab.tui.widgets.curves_chart import AXES, SMOOTH, RunChart, Sight
from vitlab.tui.widgets.jobs_pane import in_order, job_label
from vitlab.tui.widgets.stable_table import Row, SteadyTable, Table
from vitlab.tui.widgets.titles import retitle

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView, LabView


class RunTable(SteadyTable):
    """The runs that have values: which are drawn, with which mark, and what they say."""

    COLUMNS: ClassVar = {"": 1, "Value": 9, "State": 9, "Run": 12}

    def show(self, jobs: list[JobView], drawn: dict[str, tuple[str, Rgb, float | None]]) -> None:
        """`drawn`: job -> mark, colour, what it says at the cursor."""
        self.show_rows({job.paths.name: self._row(job, drawn.get(job.paths.name)) for job in jobs})

    def _row(self, job: JobView, drawn: tuple[str, Rgb, float | None] | None) -> Row:
        words, tone = state_words(job.state, self.plain)
        if drawn is None:
            muted = ink(self, "muted")
            return cell(""), cell(""), cell(words, muted), cell(job_label(job), muted)
        mark, (r, g, b), value = drawn
        paint = f"bold #{r:02x}{g:02x}{b:02x}"
        says = cell(number(value))
        return cell(mark, paint), says, cell(words, ink(self, tone)), cell(job_label(job), paint)


class CurvesScreen(LabScreen):
    """A chart, and the runs to draw in it."""

    NAME = "curves"
    WORDS = "Curves"
    FILTERS = True
    VERBS = (
        Verb("space", "toggle_run", "on/off", "draw the run under the cursor, or not"),
        Verb("e", "toggle_all", "all", "draw all runs, or only those that run or ended last"),
        Verb("m", "next_value", "value", "the next value"),
        Verb("M", "pick_value", "pick", "choose the value by its name"),
        Verb("t", "next_axis", "x axis", "against step, epoch, spectra seen or run time"),
        Verb("s", "next_smoothing", "smooth", "smooth by a running mean, more, or not"),
        Verb("y", "toggle_log", "log", "log axis for the value"),
        Verb("plus", "zoom_in", "zoom", "half the window, about the cursor"),
        Verb("minus", "zoom_out", "", "twice the window", said=False),
        Verb("0", "zoom_whole", "", "the whole run", said=False),
    )
    MOVES = (
        ("h l, arrows", "move the cursor, which reads the values; H L ten columns"),
        ("j k", "choose a run"),
        ("tab", "to the runs and back"),
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings(VERBS),
        Binding("j,down", "choose(1)", "Next run", show=False),
        Binding("k,up", "choose(-1)", "Previous run", show=False),
    ]

    def __init__(self, frame: Frame) -> None:
        super().__init__(frame)
        self.chart = RunChart(self._read)
        self.table = RunTable("runs")
        self.table.plain = frame.plain
        self._chart_pane = Vertical(self.chart, id="chart-pane", classes="pane")
        self._runs_pane = Vertical(self.table, id="runs-pane", classes="pane")
        self._runs_pane.border_title = Text("runs")
        self._chosen: frozenset[str] | None = None
        """Job names; None until somebody chose."""
        self._metric: str | None = None
        """The value chosen; None for the headline."""
        self._seen: RunsSeen | None = None

    def body(self) -> tuple[Widget, ...]:
        return (self._chart_pane, self._runs_pane)

    def on_mount(self) -> None:
        look = replace(self.chart.sight.look, plain=self.frame.plain)
        self.chart.sight = replace(self.chart.sight, look=look)
        self.chart.focus()

    def on_screen_resume(self) -> None:
        super().on_screen_resume()
        self._wish()

    def on_screen_suspend(self) -> None:
        self.frame.watch.follow(None)

    def hear(self, seen: Message) -> None:
        if not isinstance(seen, RunsSeen):
            return
        self._seen = seen
        self.chart.show(replace(self.chart.sight, runs=seen.runs, lines=seen.lines))
        self._read()

    def show(self, view: LabView) -> None:
        seen = self._seen
        runs = seen.runs if seen else ()
        says = self.chart.readings()
        drawn = {
            run.job: (MARKS[i % len(MARKS)], run.color, says[i] if i < len(says) else None)
            for i, run in enumerate(runs)
        }
        jobs = [
            job
            for job in in_order(view.jobs)
            if job.step > 0 or job.values or job.paths.name in drawn
        ]
        self.table.show([job for job in jobs if self.wanted(job_label(job), job.paths.name)], drawn)
        sight = self.chart.sight
        smooth = f", smoothed {sight.smooth:g}" if sight.smooth else ""
        log = ", log" if sight.look.log else ""
        title = metric_name(seen.metric) if seen else "no values yet"
        retitle(self._chart_pane, f"{title}{log}{smooth}", self._x_words())
        self.say(f"{len(runs)} of {len(jobs)} runs drawn")

    def _x_words(self) -> str:
        sight = self.chart.sight
        at = sight.look.cursor
        if at is None:
            return f"x: {sight.axis}"
        said = duration(at) if sight.axis == "seconds" else f"{at:,.6g}"
        return f"at {sight.axis} {said}"

    def _read(self) -> None:
        if self.view is not None:
            self.show(self.view)

    def _wish(self) -> None:
        self.frame.watch.follow(Wish(self._chosen, self._metric))

    def table_rows(self) -> Callable[[], Table] | None:
        seen = self._seen
        return None if seen is None else lambda: samples(seen)

    def selected_job(self) -> JobView | None:
        key = self.table.selected
        jobs = self.view.jobs if self.view else ()
        return next((job for job in jobs if job.paths.name == key), None)

    def point_at(self, key: str) -> None:
        self.table.select(key)

    # what the keys do

    def action_choose(self, by: int) -> None:
        (self.table.action_cursor_down if by > 0 else self.table.action_cursor_up)()

    @on(DataTable.RowSelected, "#runs")
    def action_toggle_run(self) -> None:
        key = self.table.selected
        if key is None:
            return
        drawn = frozenset(run.job for run in self._seen.runs) if self._seen else frozenset()
        chosen = self._chosen if self._chosen is not None else drawn
        self._chosen = chosen ^ {key}
        self._wish()

    def action_toggle_all(self) -> None:
        jobs = self.view.jobs if self.view else ()
        every = frozenset(job.paths.name for job in jobs if job.step > 0 or job.values)
        self._chosen = None if self._chosen == every else every
        self._wish()

    def action_next_value(self) -> None:
        if self._seen and self._seen.metrics:
            names = self._seen.metrics
            at = names.index(self._seen.metric) + 1 if self._seen.metric in names else 0
            self._show_value(names[at % len(names)])

    @work(group="places")
    async def action_pick_value(self) -> None:
        from vitlab.tui.screens.dialogs import PickScreen

        if self._seen is None or not self._seen.metrics:
            return
        seen = self._seen
        name = await self.app.push_screen_wait(PickScreen("Value", seen.metrics, seen.metric))
        if name is not None:
            self._show_value(name)

    def _show_value(self, name: str) -> None:
        self._metric = name
        self._wish()

    def _change(self, sight: Sight) -> None:
        self.chart.show(sight, now=True)
        self._read()

    def action_next_axis(self) -> None:
        sight = self.chart.sight
        axis = AXES[(AXES.index(sight.axis) + 1) % len(AXES)]
        look = replace(sight.look, window=None, cursor=None)
        self._change(replace(sight, axis=axis, look=look))

    def action_next_smoothing(self) -> None:
        sight = self.chart.sight
        smooth = SMOOTH[(SMOOTH.index(sight.smooth) + 1) % len(SMOOTH)]
        self._change(replace(sight, smooth=smooth))

    def action_toggle_log(self) -> None:
        sight = self.chart.sight
        self._change(replace(sight, look=replace(sight.look, log=not sight.look.log)))

    def action_zoom_in(self) -> None:
        self.chart.zoom(0.5)

    def action_zoom_out(self) -> None:
        self.chart.zoom(2.0)

    def action_zoom_whole(self) -> None:
        self.chart.zoom(None)


def samples(seen: RunsSeen) -> Table:
    """Every sample of every run that is drawn."""
    rows: list[tuple[str, ...]] = [
        (run.job, run.label, *("" if part is None else f"{part:.10g}" for part in sample))
        for run in seen.runs
        for sample in run.samples
    ]
    return Table(("job", "run", "step", "epoch", "seconds", seen.metric), rows)
