"""All that home shows of the one selection: its curves, log, specification, gates, changes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from vitlab.contract.paths import JobPaths
from vitlab.tui.home.gate_panel import GatePanel
from vitlab.tui.home.job_panes import JobPanes
from vitlab.tui.home.layout import TABS, TabsPane
from vitlab.tui.session import Session
from vitlab.tui.text import set_titles
from vitlab.tui.widgets.mvp_pane import FIRST, DiffPane, MvpPane

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.mvp_summary import MvpSummary
    from vitlab.lab.live.snapshot import JobView, LabSnapshot
    from vitlab.tui.watch.reader import LabReader


class Beside:
    """The panes beside and below the plan."""

    def __init__(self, session: Session, arrange: Callable[[], object]) -> None:
        """`arrange()` gives the panes their lines anew."""
        plain, add = session.plain, session.key("add")
        self._session, self._arrange = session, arrange
        self._selected: tuple[LabSnapshot | None, Mvp | None, JobView | None] = (None, None, None)
        self.instead = MvpPane("instead", self.summarize, plain=plain, wait=FIRST)
        """The specification, in the chart's place where the MVP has no curve."""
        self.instead.display = False
        self._run = run = JobPanes("curve", "log", plain=plain, instead=(self.instead,))
        self.chart, self.log_view, self.curve_pane = run.chart, run.log_view, run.curve_pane
        self.gates = GatePanel("gates", add)
        self.mvp_pane = MvpPane("mvp", self.summarize, plain=plain, wait=FIRST)
        self.diff_pane = DiffPane("diff", self._pending, plain=plain, wait=FIRST)
        tabs = (self.log_view, self.mvp_pane, self.gates, self.diff_pane)
        self.tabs = TabsPane(dict(zip(TABS, tabs, strict=True)), plain=plain)
        more = MvpPane("more-mvp", self.summarize, plain=plain, wait=FIRST)
        gates = GatePanel("more-gates", add)
        self.more = Vertical(more, classes="pane"), Vertical(gates, classes="pane")
        """Specification and gates again, below a plan that leaves room for them."""
        for pane, name in zip(self.more, ("mvp", "gates"), strict=True):
            pane.border_title = Text(TABS[name])
        self._of_mvp = (self.mvp_pane, self.diff_pane, self.gates, self.instead, more, gates)
        self.gates.plain = gates.plain = plain

    def show(self, view: LabSnapshot, mvp: Mvp | None, job: JobView | None) -> None:
        """Another MVP or job is selected, or the lab was read again."""
        self._selected = view, mvp, job
        self._run.show(mvp, job)
        self._choose_pane()
        shown = [pane for pane in (self.tabs, self.curve_pane, *self.more) if pane.display]
        for pane in self._of_mvp:
            if pane.display and pane.parent in shown:
                pane.show(view, mvp)
        self.tabs.describe(self._run.log_line)

    def _choose_pane(self) -> None:
        """Where there is no curve the specification stands in the chart's place."""
        _, mvp, job = self._selected
        is_bare = mvp is not None and (job is None or not self._run.has_curves)
        focused = self.chart.has_focus or self.instead.has_focus
        if is_bare and job is None and mvp is not None:
            set_titles(self.curve_pane, f"MVP {mvp.id}: no run yet")
        if self.instead.display != is_bare:
            self.instead.display, self.chart.display = is_bare, not is_bare
            if focused:
                self.top.focus()
            self._arrange()

    @property
    def top(self) -> Widget:
        """The chart, or what stands in its place."""
        return self.instead if self.instead.display else self.chart

    def receive(self, message: Message) -> None:
        """What the watcher posted: curves, or lines of a log."""
        had = self._run.has_curves
        self._run.receive(message)
        view, mvp, job = self._selected
        if self._run.has_curves != had and view is not None:
            self.show(view, mvp, job)
        self.tabs.describe(self._run.log_line)

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
