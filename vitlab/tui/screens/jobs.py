"""The jobs: running, queued in order, ended; and everything about the selected one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, ClassVar

from rich.text import Text
from textual import on
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from vitlab.contract.job import Done, Queued, Running, Unreadable
from vitlab.contract.paths import JobPaths
from vitlab.tui.home.job_panes import JobPanes, JobSelected
from vitlab.tui.jobs_index import belongs, index_of
from vitlab.tui.keys import Key, bindings
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.session import Session
from vitlab.tui.text import (
    age,
    cell,
    clean,
    device_of,
    duration,
    job_detail,
    job_label,
    job_words,
    longest_label,
    now,
    score_cell,
    set_titles,
    short_label,
    steps_of,
    time_of,
    tone_style,
    trend_of,
    was_requested,
)
from vitlab.tui.widgets.table import Row, Rows, StableTable

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import JobView, LabSnapshot


SHORT = 32
"""Fewer lines of a narrow screen leave no room for what a job's row, curve and log do not tell."""


class QueueTable(StableTable):
    """One row a job of the lab; queued ones with their place in the queue."""

    COLUMNS: ClassVar = {
        "#": 3, "State": 14, "On": 6, "Steps": 11, "Time": 11, "R²": 13, "Age": 6, "Job": 24,
        "Why": 30,
    }  # fmt: skip
    NARROW: ClassVar = {
        "#": 2,
        "State": 10,
        "On": 4,
        "Steps": 9,
        "Time": 9,
        "R²": 5,
        "Age": 6,
        "Job": 12,
        "Why": 8,
    }

    DROPS: ClassVar = ("On", "Time", "Steps")

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id)
        self._jobs: Sequence[JobView] = ()
        self._names: list[str] = []
        """Of these jobs."""
        self._places: dict[str, int] = {}
        """Waiting job -> its place in the queue."""
        self._numbers: dict[str, int] = {}
        """Job -> which of its name it is, where there are others."""

    def on_resize(self) -> None:
        self.show(self._jobs)  # labels are cut to the width

    def show(self, jobs: Sequence[JobView]) -> None:
        """`jobs` in their order."""
        first = takewhile(lambda job: isinstance(job.state, Running | Queued), jobs)
        waits = (job for job in first if isinstance(job.state, Queued) and not job.foreign)
        waiting = [job.paths.name for job in waits]
        self._places = {name: place for place, name in enumerate(waiting, start=1)}
        if len(jobs) != len(self._jobs) or not all(map(_is_same, jobs, self._jobs)):
            self._names = [job.paths.name for job in jobs]
            self._numbers = _numbers(jobs)
            short, long = longest_label(jobs)
            mark = max((len(f" #{number}") for number in self._numbers.values()), default=0)
            self.wanted["Job"] = short + mark, long + mark
        if jobs is not self._jobs:  # asking ten thousand takes longer than a key may
            told = {"On": any(map(device_of, jobs)), "Why": any(map(reason, jobs))}
            self.empty = {name for name, is_told in told.items() if not is_told}
            ended = (one for one in jobs if isinstance(one.state, Done) and one.values)
            marked = any("val" in score_cell(e) for e in ended if e.spec.headline not in e.values)
            self.wanted["R²"] = (len("0.713 val"),) * 2 if marked else (0, 0)
        self._jobs = jobs
        self.show_rows(Rows(dict(zip(self._names, jobs, strict=True)), self._row))

    def _row(self, job: JobView) -> Row:
        words, tone = job_words(job, self.plain)
        waits, alive = isinstance(job.state, Queued), isinstance(job.state, Running)
        health = job.health.partition(":")[0]
        if alive and health in ("warn", "bad"):
            words, tone = f"> {health}", "warning" if health == "warn" else "error"
        if job.held and waits:
            words = "= held"
        number = score_cell(job)
        trend = "" if self.narrow else f" {trend_of(job, self.plain)}"
        place = self._numbers.get(job.paths.name, 1)
        mark = f" #{place}" if place > 1 else ""
        rank = f"{self._places.get(job.paths.name, '')}" + (
            f" p{job.priority}" if job.priority else ""
        )
        return (
            cell(rank if waits else "", tone_style(self, "muted")),
            cell(words, tone_style(self, tone)),
            cell(device_of(job)),
            cell(steps_of(job)),
            cell(time_of(job)),
            cell(f"{number}{trend}" if number else ""),
            cell(_age(job, now()), tone_style(self, "muted")),
            cell(short_label(job, self._fitted["Job"] - len(mark)) + mark),
            cell(reason(job), tone_style(self, "muted")),
        )


def _numbers(jobs: Iterable[JobView]) -> dict[str, int]:
    """Job -> which it is of those with its name, the first apart: a name told from others."""
    named: dict[tuple[str, str, str], list[JobView]] = {}
    for job in jobs:
        named.setdefault((job.spec.mvp, job.spec.run, job.spec.profile), []).append(job)
    return {
        job.paths.name: number
        for same in named.values()
        if len(same) > 1
        for number, job in enumerate(sorted(same, key=_submitted), start=1)
    }


def _is_same(one: JobView, other: JobView) -> bool:
    """Whether it is the same job, at whatever moment."""
    return one is other or (one.paths, one.spec) == (other.paths, other.spec)


def _submitted(job: JobView) -> tuple[float, str]:
    return job.spec.submitted, job.paths.name


def _age(job: JobView, now: float) -> str:
    """Since it ended, or else since it was submitted."""
    since = job.state.ended if isinstance(job.state, Done) else job.spec.submitted
    return age(now - since) if since else ""


class JobsScreen(LabScreen):
    """All jobs of the lab; beside and below, everything about the selected one."""

    NAME = "jobs"
    HEADING = "Jobs"
    FILTERS = True
    KEYS = (
        Key("K", "app.move_up", "up", "move a queued job up"),
        Key("J", "app.move_down", "down", "move it down"),
        Key("t", "app.move_first", "to front", "move it to the front"),
        Key(
            "greater_than_sign",
            "app.raise_job",
            "priority",
            "a higher priority: starts before lower ones",
        ),
        Key("less_than_sign", "app.lower_job", "", "a lower priority", in_line=False),
        Key("enter", "app.open_log", "log", "show its log", in_line=False),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table = QueueTable("queue")
        self.table.plain = session.plain
        self._detail = Static(markup=False)
        self._pinned = Static(id="pinned", markup=False)
        self._minute = 0
        self.panes = JobPanes("job-curve", "job-log", plain=session.plain)
        self._log_pane = Vertical(self.panes.log_view, id="job-log-pane", classes="pane")
        self._log_pane.border_title = Text("log")
        self._followed: tuple[JobPaths | None] | None = None
        """The job whose log and curve are read, as last told."""

    def body(self) -> tuple[Widget, ...]:
        detail = VerticalScroll(self._detail, id="job-detail", classes="pane")
        detail.border_title = Text("the selected job")
        left = Vertical(self._pinned, self.table, detail, id="job-left", classes="stack")
        right = Vertical(self.panes.curve_pane, self._log_pane, id="job-right", classes="stack")
        return left, right

    def on_mount(self) -> None:
        self._pinned.display = False
        self.watch(self.table, "scroll_y", self._pin, init=False)
        self.table.focus()

    def on_resize(self) -> None:
        self.set_class(self.app.size.height < SHORT, "-short")
        super().on_resize()

    def grow_old(self) -> None:
        minute = int(now() / 60)
        if self.is_current and minute != self._minute:
            self._minute = minute
            self.refresh_view()
        else:
            super().grow_old()

    def _pin(self) -> None:
        """Keep what runs in sight where its row is not."""
        jobs = index_of(self.view).everything if self.view else ()
        running = [*takewhile(lambda job: isinstance(job.state, Running), jobs)]
        self._pinned.display = bool(running) and self.table.scroll_y > 0
        if self._pinned.display:
            more = f"  +{len(running) - 1} running" * (len(running) > 1)
            line = f"> {job_label(running[0])}  {job_detail(running[0])}{more}"
            self._pinned.update(Text(clean(line), tone_style(self, "accent")))

    def show(self, view: LabSnapshot) -> None:
        index = index_of(view)
        jobs, alive = index.everything, index.unfinished
        running = sum(isinstance(job.state, Running) for job in alive)
        foreign = sum(job.foreign for job in alive)
        queued = sum(isinstance(job.state, Queued) and not job.foreign for job in alive)
        left = sum(job.left for job in alive)
        lost = f", {left} lost" if left else ""
        lost += f", {foreign} not submitted here (c shows one, x drops it)" if foreign else ""
        self.set_heading(f"{running} running, {queued} queued{lost}, {len(jobs)} in all")
        if self.filter.value:
            jobs = [
                job
                for job in jobs
                if self.matches_filter(job.paths.name, job_label(job), reason(job))
            ]
        self.table.show(jobs)
        self._pin()
        self._describe()

    @on(StableTable.RowHighlighted, "#queue")
    def _describe(self) -> None:
        job = self.selected_job()
        text = self._about(job) if job else Text("no jobs yet: n at home launches the next MVP")
        if self._detail.content != text:
            self._detail.update(text)
        self.panes.show(self.selected_mvp(), job)
        set_titles(self._log_pane, below=self.panes.log_line)
        paths = job.paths if job else None
        if (paths,) != self._followed:
            self._followed = (paths,)
            self.post_message(JobSelected(paths))

    def receive(self, message: Message) -> None:
        self.panes.receive(message)
        set_titles(self._log_pane, below=self.panes.log_line)

    def on_screen_resume(self) -> None:
        """Another screen had the log and the curves of its own selection read."""
        self._followed = None
        super().on_screen_resume()

    def _about(self, job: JobView) -> Text:
        text = Text()
        spec = job.spec
        words, tone = job_words(job, self.session.plain)
        text.append(words, tone_style(self, tone))
        text.append(f"  {clean(job.paths.name)}\n", "bold")
        since = now() - spec.submitted
        rows = [
            ("why", reason(job)),
            ("health", job.health if isinstance(job.state, Running) else ""),
            ("what", f"{spec.recipe}, profile {spec.profile}, MVP {spec.mvp}, {spec.run}"),
            ("where", device_of(job) or f"device {spec.device}"),
            ("after", ", ".join(spec.after)),
            ("submitted", f"{duration(since)} ago" if spec.submitted else ""),
            ("took" if isinstance(job.state, Done) else "runs", duration(job.seconds or None)),
            ("values", values_of(job)),
            ("metrics", metrics_of(job)),
            ("from", spec.experiment),
        ]
        for name, value in rows:
            if value:
                text.append(f"{name:<10}", tone_style(self, "muted"))
                text.append(clean(value) + "\n")
        text.rstrip()
        return text

    def selected_job(self) -> JobView | None:
        return self.job_called(self.table.selected)

    def selected_mvp(self) -> Mvp | None:
        """That of the selected job, where it is of the roadmap on the screen."""
        job, view = self.selected_job(), self.view
        if job is None or view is None or view.roadmap is None or not belongs(job, view):
            return None
        return next((mvp for mvp in view.roadmap.mvps if mvp.id == job.spec.mvp), None)

    def select(self, key: str) -> None:
        self.table.select(key)

    @on(StableTable.RowSelected, "#queue")
    async def _show_log(self) -> None:
        await self.app.run_action("app.open_log")


def reason(job: JobView) -> str:
    """Why it waits, what is wrong with it, or how it ended."""
    match job.state:
        case Queued():
            return job.why or ("held" if job.held else "starts next")
        case Unreadable(why=why):
            return f"unreadable: {why}"
        case Done(detail=detail) if detail:
            detail = job_detail(job) if was_requested(job) else detail
            return f"{detail}; unreadable: {job.problem}" if job.problem else detail
        case Running() | Done():
            return "; ".join(job.warnings)
        case _:
            return "its supervisor was killed: c resumes it, x drops it"


def metrics_of(job: JobView) -> str:
    """Which files, columns and rows its numbers come from, and what of them is not read."""
    found = job.metrics or {}
    sources = [
        f"{one.get('file')}: {', '.join(one.get('names') or ())}, {_rows(one)}"
        for one in found.get("sources", ())
    ]
    return "; ".join([*sources, *found.get("problems", ())])


def _rows(source: Mapping[str, Any]) -> str:
    """Of a file written anew at a resume, those that stand in it first."""
    rows = source.get("rows")
    now = source.get("in_file", rows)
    return f"{now} rows" + (f" ({rows} in all attempts)" if now != rows else "")


def values_of(job: JobView) -> str:
    """The latest of its values, the headline's split first."""
    known = [(name, value) for name, value in job.values.items() if value is not None]
    return "  ".join(f"{name} {value:.4g}" for name, value in sorted(known)[:12])
