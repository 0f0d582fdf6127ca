"""The two lines at the top: where the plan stands, what runs, what is next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from vitlab.contract.state import Queued, Running
from vitlab.plot.cells import cells, fit
from vitlab.tui.widgets.job_table import job_label, short
from vitlab.tui.widgets.mvp_table import last_r2
from vitlab.tui.words import clean, duration, ink, progress

if TYPE_CHECKING:
    from vitlab.records.view import JobView, LabView


class Headline(Static):
    """Answers without a key: done of total, running, next, problems."""

    plain = False

    def __init__(self, left: tuple[str, str]) -> None:
        """`left`: the keys that resume and drop what was left behind."""
        super().__init__("vitlab", id="headline", markup=False)
        self._left = left
        self._text = Text()

    def show(self, view: LabView, age: float) -> None:
        """`age`: seconds since the lab was read; said when it is stale."""
        width = self.content_size.width
        text = self._plan_line(view, age, width)
        text.append("\n")
        text.append_text(self._work_line(view, width))
        if text != self._text:
            self._text = text
            self.update(text)

    def _plan_line(self, view: LabView, age: float, width: int) -> Text:
        mvps = view.roadmap.mvps if view.roadmap else ()
        done = sum(1 for mvp in mvps if mvp.status == "done")
        stale = f"read {duration(age)} ago  " if age > 5 else ""
        troubles = f"! {len(view.problems)}  " if view.problems else ""
        waiting = f"w writes {view.pending}  " if view.pending else ""
        bar = progress(done, len(mvps), 10, self.plain)
        count = f"{done}/{len(mvps)} done"
        room = width - cells(stale + troubles + waiting + bar + count) - 11
        title = view.roadmap.title if view.roadmap else "no roadmap"
        text = Text()
        text.append("vitlab  ", ink(self, "accent"))
        text.append(fit(clean(title or ""), max(room, 0)), "bold")
        text.append(" " + stale, ink(self, "warning"))
        text.append(troubles, ink(self, "error"))
        text.append(waiting, ink(self, "accent"))
        text.append(bar + " ", ink(self, "accent"))
        text.append(count)
        return text

    def _work_line(self, view: LabView, width: int) -> Text:
        running = [job for job in view.jobs if isinstance(job.state, Running)]
        queued = sum(1 for job in view.jobs if isinstance(job.state, Queued))
        left = _running(running[0]) if running else "nothing runs"
        if len(running) > 1:
            left += f", {len(running) - 1} more"
        if queued:
            left += f", {queued} queued"
        upcoming = "nothing is next"
        if view.next is not None:
            mvps = view.roadmap.mvps if view.roadmap else ()
            name = next((mvp.name for mvp in mvps if mvp.id == view.next.id), "")
            upcoming = clean(f"next {view.next.id} {name}") + f" ({clean(view.next.why)})"
        text = Text()
        if lost := sum(1 for job in view.jobs if job.left):
            resumes, drops = self._left
            notice = f"! {lost} lost: {resumes} resumes, {drops} drops  "
            text.append(notice, ink(self, "warning"))
            width -= cells(notice)
        half = max(width // 2, width - cells(upcoming) - 2)
        left = fit(left, min(half, cells(left) + 3))
        text.append(left, ink(self, "accent" if running else "muted"))
        upcoming = fit(upcoming, max(width - cells(left), 0))
        text.append(upcoming[:5], ink(self, "muted"))
        text.append(upcoming[5:])
        return text


def _running(job: JobView) -> str:
    parts = [f"> {job_label(job)}"]
    if job.of:
        parts.append(f"{short(job.step)}/{short(job.of)}")
    value = last_r2(job)
    if value is not None:
        parts.append(f"R² {value:.3f}")
    if job.eta is not None:
        parts.append(f"{duration(job.eta)} left")
    return " ".join(parts)
