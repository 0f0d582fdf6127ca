"""The curves and the log of the job under a cursor, at home and beside the table of jobs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.containers import Vertical
from textual.message import Message
from textual.widget import Widget

from vitlab.contract.paths import JobPaths
from vitlab.tui.text import clean, job_detail, job_label, metric_name, set_titles
from vitlab.tui.watch.messages import CurvesUpdated, LogUpdated
from vitlab.tui.widgets.curves_chart import LiveChart, LiveCurves
from vitlab.tui.widgets.log_view import LogView

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import JobView


@dataclass
class JobSelected(Message):
    """Another job is under the cursor: its log and curve are to be read."""

    job: JobPaths | None


class JobPanes:
    """The chart in its pane, and the log; `JobSelected` tells the watcher of whom."""

    def __init__(
        self, curve_id: str, log_id: str, *, plain: bool, instead: Sequence[Widget] = ()
    ) -> None:
        """`instead`: what may stand in the chart's place."""
        self.chart, self.log_view = LiveChart(curve_id), LogView(log_id)
        self.chart.plain = plain
        self.curve_pane = Vertical(self.chart, *instead, id=f"{curve_id}-pane", classes="pane")
        self.log_line = ""
        """Whose log it is, and a line that it has not ended yet."""
        self.has_curves = True
        """Whether the last curves that came are any."""
        self._mvp: Mvp | None = None
        self._job: JobView | None = None

    def show(self, mvp: Mvp | None, job: JobView | None) -> None:
        """Another MVP or job is selected, or the lab was read again."""
        other = (job and job.paths) != (self._job and self._job.paths)
        self._mvp, self._job = mvp, job
        set_titles(self.curve_pane, _title(mvp, job))
        if other or not self.log_line:
            self.log_line = "no log yet"
            self.log_view.append((), fresh=True)

    def receive(self, message: Message) -> None:
        """What the watcher posted: curves, or lines of a log."""
        if isinstance(message, CurvesUpdated):
            self._show_curves(message)
        elif isinstance(message, LogUpdated) and self._is_of(message.job):
            self.log_view.append(message.lines, message.fresh)
            self.log_line = f"{message.job}  {message.unfinished}".rstrip()

    def _is_of(self, job: str) -> bool:
        """Whether a log is not that of the one before."""
        return self._job is not None and job == self._job.paths.name

    def _show_curves(self, message: CurvesUpdated) -> None:
        self.has_curves = bool(message.series)
        set_titles(self.curve_pane, below="m: next value" if len(message.metrics) > 1 else "")
        title, mvp = metric_name(message.metric), self._mvp
        empty = f"no run of MVP {clean(mvp.id)} has a curve yet" if mvp else "no curve yet"
        x = message.x_label, empty, message.x_range
        self.chart.show(LiveCurves(message.series, message.lines, title, *x))


def _title(mvp: Mvp | None, job: JobView | None) -> str:
    """What is charted, and what is wrong with it."""
    if job is None:
        return f"MVP {mvp.id}" if mvp else "curve"
    detail = job_detail(job)
    return job_label(job) + (f"  {detail}" if detail != clean(job.paths.name) else "")
