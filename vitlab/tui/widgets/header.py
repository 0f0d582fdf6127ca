"""The lines at the top: progress of the plan and how busy the machine is; what needs a person."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from vitlab.contract.job import Queued, Running
from vitlab.plot.series import cells, fit
from vitlab.tui.jobs_index import index_of
from vitlab.tui.text import STALE, age, clean, progress_bar, since, ticks, tone_style
from vitlab.tui.widgets import meters
from vitlab.tui.widgets.meters import Meters, Reading

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView, LabSnapshot, RoadmapSummary

Entry = tuple[str, str]
"""Words and their tone."""
TITLE = 20
"""Cells of the roadmap's title that the meters leave."""
NEXT = 14
"""Cells of what is next that those things leave which need the person."""
MORE = len(" +2 more")


class Header(Static):
    """Two lines, of what matters most."""

    plain = False

    def __init__(self, key: Callable[[str], str], read: Callable[[], Reading]) -> None:
        """`key(action)`: the key of an action as it is written; `read`: the machine, may block."""
        super().__init__("vitlab", id="header", markup=False)
        self._key = key
        self._read = read
        self._meters = Meters()
        self._asked: float | None = None
        """When the machine was last read; None: never."""
        self._text = Text()
        self._roadmaps: Sequence[RoadmapSummary] = ()
        self.autopilot = ""
        """How the autopilot stands; empty for none."""

    def look(self, *, seldom: bool) -> None:
        """Read the machine, one reading at a time, if that is due; `seldom`: nothing happens."""
        self._meters.wait = meters.SELDOM if seldom else meters.ASK
        if self._asked is None or since(self._asked) >= self._meters.wait:
            self._asked = math.inf
            self.run_worker(self._look(), group="machine")

    async def _look(self) -> None:
        try:
            self._meters.update(*await asyncio.to_thread(self._read))
        finally:
            self._asked = ticks()

    def show(
        self, view: LabSnapshot, roadmaps: Sequence[RoadmapSummary], seconds_since_read: float
    ) -> None:
        """`roadmaps`: every one in a line; the seconds are shown when they are many."""
        self._roadmaps = roadmaps
        width = self.content_size.width
        text = self._plan_line(view, seconds_since_read, width)
        text.append("\n")
        text.append_text(self._person_line(view, width))
        if text != self._text:
            self._text = text
            self.update(text, layout=False)  # its height is set

    def _plan_line(self, view: LabSnapshot, seconds_since_read: float, width: int) -> Text:
        mvps = view.roadmap.mvps if view.roadmap else ()
        done = sum(1 for mvp in mvps if mvp.status == "done")
        jobs = index_of(view).unfinished
        running = sum(isinstance(job.state, Running) for job in jobs)
        waiting = [job for job in jobs if isinstance(job.state, Queued)]
        queued = sum(not job.foreign and not job.held for job in waiting)
        old = seconds_since_read > STALE
        parts: list[Entry] = [
            (f"! last read {age(seconds_since_read)} ago" if old else "", "warning"),
            (self._place(view), "muted"),
            (f"{progress_bar(done, len(mvps), 8, self.plain)} {done}/{len(mvps)} done", "accent"),
            (f"{running} running" if running else "idle", "accent" if running else "muted"),
            (f"{queued} queued" if queued else "", ""),
            (self.autopilot, "accent"),
        ]
        parts = [(words, tone) for words, tone in parts if words]
        title = clean((view.roadmap.title if view.roadmap else None) or "no roadmap")
        taken = sum(cells(words) + 2 for words, _ in parts)
        meters = self._meters.words(width - taken - min(cells(title), TITLE) - 2, self.plain)
        if meters:
            parts.append((meters, ""))
            taken += cells(meters) + 2
        text = Text()
        text.append(fit(title, max(width - taken, 0)), "bold")
        for words, tone in parts:
            text.append("  ")
            text.append(words, tone_style(self, tone))
        text.truncate(width)
        return text

    def _place(self, view: LabSnapshot) -> str:
        """`o 2 of 10`: which of the lab's roadmaps this is."""
        paths = [line.path for line in self._roadmaps]
        if len(paths) < 2 or view.path not in paths:
            return ""
        return f"{self._key('open_roadmaps')} {paths.index(view.path) + 1} of {len(paths)}"

    def _person_line(self, view: LabSnapshot, width: int) -> Text:
        """What needs the person, each with its key; what is next; the other roadmaps."""
        waiting, next_ = self._waiting(view), _next(view)
        room = width - min(cells(next_), NEXT) - 3
        text = Text()
        text.append("needs you" if waiting else "nothing needs you", tone_style(self, "muted"))
        for number, (words, tone) in enumerate(waiting):
            more = len(waiting) - number - 1
            if text.cell_len + cells(words) + 2 + MORE * bool(more) > room and number:
                text.append(f" +{more + 1} more", tone_style(self, "accent"))
                break
            text.append("  ")
            text.append(fit(words, min(cells(words), room)), tone_style(self, tone))
        others = f"others  {'  '.join(self._others(view))}" if self._others(view) else ""
        for words, tone in ((next_, ""), (others, "muted")):
            left = width - text.cell_len - 3
            if words and left > 8:
                text.append("   ")
                text.append(fit(words, min(cells(words), left)), tone_style(self, tone))
        return text

    def _waiting(self, view: LabSnapshot) -> list[Entry]:
        """What only a person can decide, and the key for it."""
        key, jobs = self._key, index_of(view).unfinished
        entries: list[Entry] = []
        if lost := sum(1 for job in jobs if job.left):
            keys = f"{key('resume_left')} resume, {key('drop_left')} drop"
            entries.append((f"! {lost} lost: {keys}", "warning"))
        if view.problems:
            more = f" and {len(view.problems) - 1} more" * (len(view.problems) > 1)
            where = clean(view.problems[0].partition(": ")[0])
            entries.append((f"! {where}{more}: {key('open_documents')} fix", "error"))
        if held := sum(job.held and isinstance(job.state, Queued) for job in jobs):
            entries.append((f"{held} held: {key('hold_job')} release", "warning"))
        if unhealthy := sum(1 for job in jobs if is_unhealthy(job)):
            entries.append((f"! {unhealthy} unhealthy: {key('open_jobs')} shows why", "warning"))
        if view.pending:
            words = _count(view.pending, "result")
            entries.append((f"{words} to write: {key('write')}", "accent"))
        if view.proposals:
            words = _count(len(view.proposals), "proposal")
            entries.append((f"{words} to decide: {key('open_documents')}", "accent"))
        if open_gates := sum(1 for one in view.verdicts.values() if one.holds == "manual"):
            words = _count(open_gates, "gate")
            entries.append((f"{words} to decide: {key('open_gates')}", "accent"))
        mine = next((line for line in self._roadmaps if line.path == view.path), None)
        if mine is not None and mine.findings:
            words = _count(mine.findings, "problem")
            entries.append((f"{words} to fix: {key('open_documents')}", "warning"))
        others = sum(line.pending for line in self._roadmaps if line.path != view.path)
        if others:
            words = f"{_count(others, 'result')} of other plans"
            entries.append((f"{words}: {key('open_roadmaps')} shows", "accent"))
        return entries

    def _others(self, view: LabSnapshot) -> list[str]:
        """The lab's other roadmaps: done of all, running jobs, results to be written."""
        return [_summary(line) for line in self._roadmaps if line.path != view.path]


def _next(view: LabSnapshot) -> str:
    """The MVP that is next, and why."""
    if view.next is None:
        return ""
    mvps = view.roadmap.mvps if view.roadmap else ()
    name = next((mvp.name for mvp in mvps if mvp.id == view.next.id), "")
    return clean(f"next {view.next.id} {name} ({view.next.why})")


def _summary(line: RoadmapSummary) -> str:
    """`moe_snr 2/5 >1 w3`: done of all, running jobs, results to be written."""
    name = clean(line.path.stem.replace("_roadmap", "").replace("roadmap_", ""))
    if line.problem:
        return f"{name} !"
    runs = f" >{line.running}" if line.running else ""
    waits = f" w{line.pending}" if line.pending else ""
    return f"{name} {line.done}/{line.mvps}{runs}{waits}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def is_unhealthy(job: JobView) -> bool:
    """Whether it runs and its supervisor notices a problem."""
    return isinstance(job.state, Running) and job.health.partition(":")[0] in ("warn", "bad")
