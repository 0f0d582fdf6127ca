"""The lines at the top: progress of the plan, what runs and is next, what waits for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.widgets import Static

from vitlab.contract.job import Queued, Running
from vitlab.plot.series import cells, fit
from vitlab.tui.text import (
    SILENT,
    STALE,
    age,
    change_of,
    clean,
    device_of,
    job_label,
    progress_bar,
    score_words,
    short_duration,
    silence,
    steps_of,
    tone_style,
)

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView, LabSnapshot, RoadmapSummary

Entry = tuple[str, str]
"""Words and their tone."""


class Header(Static):
    """Shows what matters most, on every page of home."""

    plain = False

    def __init__(self, key: Callable[[str], str]) -> None:
        """`key(action)`: the key of an action as it is written."""
        super().__init__("vitlab", id="header", markup=False)
        self._key = key
        self._text = Text()
        self._roadmaps: Sequence[RoadmapSummary] = ()

    def show(
        self, view: LabSnapshot, roadmaps: Sequence[RoadmapSummary], seconds_since_read: float
    ) -> None:
        """`roadmaps`: every one in a line; the seconds are shown when they are many."""
        self._roadmaps = roadmaps
        width = self.content_size.width
        text = self._plan_line(view, seconds_since_read, width)
        text.append("\n")
        text.append_text(self._work_line(view, width))
        text.append("\n")
        text.append_text(self._decision_line(view, width))
        others = self._others_line(view, width)
        if others:
            text.append("\n")
            text.append_text(others)
        self.styles.height = 4 if others else 3
        if text != self._text:
            self._text = text
            self.update(text, layout=False)  # its height is set

    def _plan_line(self, view: LabSnapshot, seconds_since_read: float, width: int) -> Text:
        mvps = view.roadmap.mvps if view.roadmap else ()
        done = sum(1 for mvp in mvps if mvp.status == "done")
        stale = f"! last read {age(seconds_since_read)} ago  " if seconds_since_read > STALE else ""
        place = self._place(view)
        bar = progress_bar(done, len(mvps), 10, self.plain)
        count = f"{done}/{len(mvps)} done"
        room = width - cells(stale + place + bar + count) - 11
        title = view.roadmap.title if view.roadmap else "no roadmap"
        text = Text()
        text.append("vitlab  ", tone_style(self, "accent"))
        text.append(fit(clean(title or ""), max(room, 0)), "bold")
        text.append(" ")
        text.append(stale, tone_style(self, "warning") + " bold")
        text.append(place, tone_style(self, "muted"))
        text.append(bar + " ", tone_style(self, "accent"))
        text.append(count)
        return text

    def _place(self, view: LabSnapshot) -> str:
        """`o 2 of 10`: which of the lab's roadmaps this is."""
        paths = [line.path for line in self._roadmaps]
        if len(paths) < 2 or view.path not in paths:
            return ""
        return f"{self._key('open_roadmaps')} {paths.index(view.path) + 1} of {len(paths)}  "

    def _work_line(self, view: LabSnapshot, width: int) -> Text:
        running = [job for job in view.jobs if isinstance(job.state, Running)]
        queued = sum(isinstance(job.state, Queued) and not job.foreign for job in view.jobs)
        left = _running(running[0]) if running else "idle"
        if len(running) > 1:
            left += f", {len(running) - 1} more"
        if queued:
            left += f", {queued} queued"
        upcoming = "nothing next"
        if view.next is not None:
            mvps = view.roadmap.mvps if view.roadmap else ()
            name = next((mvp.name for mvp in mvps if mvp.id == view.next.id), "")
            upcoming = clean(f"next {view.next.id} {name}") + f" ({clean(view.next.why)})"
        text = Text()
        share = width * 2 // 3 if running else width // 2
        half = max(share, width - cells(upcoming) - 2)
        left = fit(left, min(half - 2, cells(left) + 1)) + "  "
        text.append(left, tone_style(self, "accent" if running else "muted"))
        upcoming = fit(upcoming, max(width - cells(left), 0))
        text.append(upcoming[:5], tone_style(self, "muted"))
        text.append(upcoming[5:])
        return text

    def _decision_line(self, view: LabSnapshot, width: int) -> Text:
        waiting = self._waiting(view)
        phases = _phases(view)
        text = Text()
        room = width
        for words, tone in waiting or [("nothing waits for you", "muted")]:
            if room < 4:
                break
            shown = fit(words, min(cells(words), room))
            text.append(shown, tone_style(self, tone))
            room -= cells(shown)
            text.append(" " * min(room, 2))
            room -= min(room, 2)
        if cells(phases) <= room:
            text.append(" " * (room - cells(phases)) + phases, tone_style(self, "muted"))
        elif room > 12:
            text.append(fit(phases, room), tone_style(self, "muted"))
        return text

    def _waiting(self, view: LabSnapshot) -> list[Entry]:
        """What only a person can decide, and the key for it."""
        key = self._key
        entries: list[Entry] = []
        if lost := sum(1 for job in view.jobs if job.left):
            keys = f"{key('resume_left')} resumes, {key('drop_left')} drops"
            entries.append((f"! {lost} lost: {keys}", "warning"))
        if unhealthy := sum(1 for job in view.jobs if is_unhealthy(job)):
            entries.append((f"! {unhealthy} unhealthy: {key('open_jobs')} shows why", "warning"))
        if view.problems:
            entries.append((f"! {len(view.problems)} unreadable", "error"))
        if view.pending:
            entries.append((f"{key('write')} writes {_count(view.pending, 'result')}", "accent"))
        if open_gates := sum(1 for one in view.verdicts.values() if one.holds == "manual"):
            entries.append((f"{key('open_gates')} judges {_count(open_gates, 'gate')}", "accent"))
        mine = next((line for line in self._roadmaps if line.path == view.path), None)
        if mine is not None and mine.findings:
            words = _count(mine.findings, "conflict")
            entries.append((f"{key('open_documents')} fixes {words}", "warning"))
        others = sum(line.pending for line in self._roadmaps if line.path != view.path)
        if others:
            entries.append((f"{key('open_roadmaps')} {others} elsewhere", "accent"))
        return entries

    def _others_line(self, view: LabSnapshot, width: int) -> Text:
        """The lab's other roadmaps: done of all, running jobs, results to be written."""
        others = [line for line in self._roadmaps if line.path != view.path]
        text = Text()
        if not others:
            return text
        text.append(fit("others  ", 8), tone_style(self, "muted"))
        room = width - 8
        for number, line in enumerate(others):
            words = _summary(line)
            more = f"and {len(others) - number} more"
            last = number == len(others) - 1
            if cells(words) + (0 if last else cells(more) + 2) > room:
                text.append(fit(more, max(min(cells(more), room), 0)), tone_style(self, "muted"))
                break
            tone = "error" if line.problem else "accent" if line.running or line.pending else ""
            text.append(words, tone_style(self, tone))
            text.append("" if last else "  ")
            room -= cells(words) + 2
        return text


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
    """Whether it runs and its supervisor entries a problem."""
    return isinstance(job.state, Running) and job.health.partition(":")[0] in ("warn", "bad")


def _phases(view: LabSnapshot) -> str:
    """`phase 1 2/4  phase 2 0/3`: done of all, by phase."""
    mvps = view.roadmap.mvps if view.roadmap else ()
    total = Counter(mvp.phase or "-" for mvp in mvps)
    done = Counter(mvp.phase or "-" for mvp in mvps if mvp.status == "done")
    if len(total) < 2:
        return ""
    parts = [f"{clean(phase)} {done[phase]}/{count}" for phase, count in total.items()]
    return "phase " + "  ".join(parts)


def _running(job: JobView) -> str:
    """Problems come first, so that a narrow line still shows them."""
    silent = silence(job)
    score, change = score_words(job), change_of(job)
    parts = [
        f"> {job_label(job)}",
        clean(job.health) if is_unhealthy(job) else "",
        f"silent for {age(silent)}" if silent > SILENT else "",
        steps_of(job),
        " ".join(filter(None, (score, f"({change})" * bool(change)))) if score else "",
    ]
    if silent <= SILENT and job.eta is not None:
        parts.append(f"{short_duration(max(job.eta, 0.0))} left")
    parts.append(f"on {device_of(job)}" if device_of(job) else "")
    return " ".join(filter(None, parts))
