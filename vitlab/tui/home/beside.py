"""All that home shows of the one selection: its curves, log, specification, gates, changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.containers import Vertical
from textual.message import Message

from vitlab.contract.paths import JobPaths
from vitlab.tui.home.gate_panel import GatePanel
from vitlab.tui.home.layout import TABS, TabsPane
from vitlab.tui.session import Session
from vitlab.tui.text import clean, job_detail, job_label, metric_name, set_titles
from vitlab.tui.watch.messages import CurvesUpdated, LogUpdated
from vitlab.tui.widgets.curves_chart import LiveChart, LiveCurves
from vitlab.tui.widgets.log_view import LogView
from vitlab.tui.widgets.mvp_pane import FIRST, DiffPane, MvpPane

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.mvp_summary import MvpSummary
    from vitlab.lab.live.snapshot import JobView, LabSnapshot
    from vitlab.tui.watch.reader import LabReader


class Beside:
    """The panes beside and below the plan."""

    def __init__(self, session: Session) -> None:
        plain, add = session.plain, session.key("add")
        self._session = session
        self._mvp: Mvp | None = None
        self._job: JobView | None = None
        self._log_line = ""
        self.chart, self.log_view, self.gates = LiveChart(), LogView(), GatePanel("gates", add)
        self.chart.plain = plain
        self.mvp_pane = MvpPane("mvp", self.summarize, plain=plain, wait=FIRST)
        self.diff_pane = DiffPane("diff", self._pending, plain=plain, wait=FIRST)
        self.curve_pane = Vertical(self.chart, id="curve-pane", classes="pane")
        tabs = (self.log_view, self.mvp_pane, self.gates, self.diff_pane)
        self.tabs = TabsPane(dict(zip(TABS, tabs, strict=True)), plain=plain)
        more = MvpPane("more-mvp", self.summarize, plain=plain, wait=FIRST)
        gates = GatePanel("more-gates", add)
        self.more = Vertical(more, classes="pane"), Vertical(gates, classes="pane")
        """Specification and gates again, below a plan that leaves room for them."""
        for pane, name in zip(self.more, ("mvp", "gates"), strict=True):
            pane.border_title = Text(TABS[name])
        self._of_mvp = (self.mvp_pane, self.diff_pane, self.gates, more, gates)
        self.gates.plain = gates.plain = plain

    def show(self, view: LabSnapshot, mvp: Mvp | None, job: JobView | None) -> None:
        """Another MVP or job is selected, or the lab was read again."""
        other = (job and job.paths) != (self._job and self._job.paths)
        self._mvp, self._job = mvp, job
        shown = [pane for pane in (self.tabs, *self.more) if pane.display]
        for pane in self._of_mvp:
            if pane.display and pane.parent in shown:
                pane.show(view, mvp)
        set_titles(self.curve_pane, _title(mvp, job))
        if other or not self._log_line:
            self._log_line = "no log yet"
            self.log_view.append((), fresh=True)
        self.tabs.describe(self._log_line)

    def receive(self, message: Message) -> None:
        """What the watcher posted: curves, or lines of a log."""
        if isinstance(message, CurvesUpdated):
            self._show_curves(message)
        elif isinstance(message, LogUpdated):
            self._show_log(message)

    def _show_curves(self, message: CurvesUpdated) -> None:
        set_titles(self.curve_pane, below="m: next value" if len(message.metrics) > 1 else "")
        title, mvp = metric_name(message.metric), self._mvp
        empty = f"no run of MVP {clean(mvp.id)} has a curve yet" if mvp else "no curve yet"
        x = message.x_label, empty, message.x_range
        self.chart.show(LiveCurves(message.series, message.lines, title, *x))

    def _show_log(self, message: LogUpdated) -> None:
        if self._job is None or message.job != self._job.paths.name:
            return  # of the one before
        self.log_view.append(message.lines, message.fresh)
        self._log_line = f"{message.job}  {message.unfinished}".rstrip()
        self.tabs.describe(self._log_line)

    # what is read of an MVP; blocking, and only asked for once the lab was read

    @property
    def _reader(self) -> LabReader:
        reader = self._session.watcher.reader
        assert reader is not None
        return reader

    def summarize(self, mvp_id: str, ended: Sequence[JobPaths]) -> MvpSummary:
        """What is known of one MVP; `ended`: its jobs that succeeded."""
        return self._reader.summarize(self._session.roadmap, mvp_id, ended)

    def _pending(self, mvp_id: str, _: Sequence[JobPaths]) -> list[str]:
        return self._reader.pending_diffs(self._session.roadmap, mvp_id)


def _title(mvp: Mvp | None, job: JobView | None) -> str:
    """What is charted, and what is wrong with it."""
    if job is None:
        return f"MVP {mvp.id}" if mvp else "curve"
    detail = job_detail(job)
    return job_label(job) + (f"  {detail}" if detail != clean(job.paths.name) else "")
