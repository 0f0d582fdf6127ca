"""The lines at the top: where the plan stands, what runs and is next, what awaits a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from vitlab.contract.state import Queued, Running
from vitlab.plot.cells import cells, fit
from vitlab.tui.widgets.job_table import job_label, short
from vitlab.tui.widgets.mvp_table import last_r2
from vitlab.tui.words import clean, duration, ink, progress

if TYPE_CHECKING:
    from vitlab.records.overview import RoadmapLine
    from vitlab.records.view import JobView, LabView

Entry = tuple[str, str]
"""Words and their tone."""


class Headline(Static):
    """Answers without a key."""

    plain = False

    def __init__(self, key: Callable[[str], str]) -> None:
        """`key(action)`: the key of a verb as it is written."""
        super().__init__("vitlab", id="headline", markup=False)
        self._key = key
        self._text = Text()
        self.roadmaps: Sequence[RoadmapLine] = ()

    def show(self, view: LabView, age: float) -> None:
        """`age`: seconds since the lab was read; said when it is stale."""
        width = self.content_size.width
        text = self._plan_line(view, age, width)
        text.append("\n")
        text.append_text(self._work_line(view, width))
        text.append("\n")
        text.append_text(self._decision_line(view, width))
        if text != self._text:
            self._text = text
            self.update(text)

    def _plan_line(self, view: LabView, age: float, width: int) -> Text:
        mvps = view.roadmap.mvps if view.roadmap else ()
        done = sum(1 for mvp in mvps if mvp.status == "done")
        stale = f"read {duration(age)} ago  " if age > 5 else ""
        place = self._place(view)
        bar = progress(done, len(mvps), 10, self.plain)
        count = f"{done}/{len(mvps)} done"
        room = width - cells(stale + place + bar + count) - 11
        title = view.roadmap.title if view.roadmap else "no roadmap"
        text = Text()
        text.append("vitlab  ", ink(self, "accent"))
        text.append(fit(clean(title or ""), max(room, 0)), "bold")
        text.append(" " + stale, ink(self, "warning"))
        text.append(place, ink(self, "muted"))
        text.append(bar + " ", ink(self, "accent"))
        text.append(count)
        return text

    def _place(self, view: LabView) -> str:
        """`o 2 of 10`: which of the lab's roadmaps this is."""
        paths = [line.path for line in self.roadmaps]
        if len(paths) < 2 or view.path not in paths:
            return ""
        return f"{self._key('open_roadmaps')} {paths.index(view.path) + 1} of {len(paths)}  "

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
        half = max(width // 2, width - cells(upcoming) - 2)
        left = fit(left, min(half, cells(left) + 3))
        text.append(left, ink(self, "accent" if running else "muted"))
        upcoming = fit(upcoming, max(width - cells(left), 0))
        text.append(upcoming[:5], ink(self, "muted"))
        text.append(upcoming[5:])
        return text

    def _decision_line(self, view: LabView, width: int) -> Text:
        waiting = self._waiting(view)
        phases = _phases(view)
        text = Text()
        room = width
        for words, tone in waiting or [("nothing awaits you", "muted")]:
            shown = fit(words, min(cells(words), max(room, 0)))
            text.append(shown + "  ", ink(self, tone))
            room -= cells(words) + 2
        if cells(phases) <= room:
            text.append(" " * (room - cells(phases)) + phases, ink(self, "muted"))
        elif room > 12:
            text.append(fit(phases, room), ink(self, "muted"))
        return text

    def _waiting(self, view: LabView) -> list[Entry]:
        """What only a person can decide, and the key that leads to it."""
        key = self._key
        found: list[Entry] = []
        if lost := sum(1 for job in view.jobs if job.left):
            keys = f"{key('resume_left')} resumes, {key('drop_left')} drops"
            found.append((f"! {lost} lost: {keys}", "warning"))
        if view.problems:
            found.append((f"! {len(view.problems)} unreadable", "error"))
        if view.pending:
            found.append((f"{key('write')} writes {view.pending}", "accent"))
        if judged := sum(1 for one in view.verdicts.values() if one.verdict == "manual"):
            found.append((f"{key('open_gates')} judges {judged}", "accent"))
        mine = next((line for line in self.roadmaps if line.path == view.path), None)
        if mine is not None and mine.findings:
            found.append((f"{key('open_documents')} mends {mine.findings}", "warning"))
        others = sum(line.pending for line in self.roadmaps if line.path != view.path)
        if others:
            found.append((f"{key('open_roadmaps')} {others} elsewhere", "accent"))
        return found


def _phases(view: LabView) -> str:
    """`phase 1 2/4  phase 2 0/3`: done of all, by phase."""
    mvps = view.roadmap.mvps if view.roadmap else ()
    total = Counter(mvp.phase or "-" for mvp in mvps)
    done = Counter(mvp.phase or "-" for mvp in mvps if mvp.status == "done")
    if len(total) < 2:
        return ""
    parts = [f"{clean(phase)} {done[phase]}/{count}" for phase, count in total.items()]
    return "phase " + "  ".join(parts)


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
