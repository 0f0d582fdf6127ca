"""The jobs at home: their table, in order, and the chosen one in a line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical

from vitlab.contract.job import Running
from vitlab.tui.text import (
    SILENT,
    cell,
    change_of,
    device_of,
    job_detail,
    job_words,
    longest_label,
    score_cell,
    set_titles,
    short_label,
    silence,
    steps_of,
    time_of,
    tone_style,
    trend_of,
)
from vitlab.tui.widgets.named_table import NamedTable
from vitlab.tui.widgets.table import Row, Rows

if TYPE_CHECKING:
    from vitlab.lab.live.snapshot import JobView


CHANGE = "R² (change)"
"""The column of a score and what the last evaluation changed of it."""


NEAR = 200
"""Jobs, the running and newest ones, that decide how wide the columns are."""


class JobTable(NamedTable):
    """Every job of the roadmap."""

    COLUMNS: ClassVar = {"State": 9, "On": 4, "Progress": 9, "Time": 10, CHANGE: 11, "Job": 12}
    DROPS: ClassVar = ("On", "Time", "Progress")
    NAME = "Job"
    ENOUGH = 24
    WIDE = 72
    """Cells from which on the trend of a score is shown too."""

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id)
        self._jobs: Sequence[JobView] = ()

    @property
    def _wide(self) -> bool:
        return self.scrollable_content_region.width >= self.WIDE

    def on_resize(self) -> None:
        self.show(self._jobs)  # labels are cut to the width
        super().on_resize()

    def show(self, jobs: Sequence[JobView]) -> None:
        self._jobs, near = jobs, jobs[:NEAR]
        self.needed = {
            "On": max((len(device_of(job)) for job in near), default=0),
            CHANGE: 17 if self._wide else 11,
            "Job": longest_label(near)[1],
        }
        self.show_rows(Rows({job.paths.name: job for job in jobs}, self._row))

    def _row(self, job: JobView) -> Row:
        words, tone = job_words(job, self.plain)
        alive = isinstance(job.state, Running)
        health = job.health.partition(":")[0]
        if alive and health in ("warn", "bad"):
            words, tone = f"> {health}", "warning" if health == "warn" else "error"
        quiet = silence(job) > SILENT
        # A test score stands for what has ended: its last change on validation is none of it.
        moved = [change_of(job), trend_of(job, self.plain) if self._wide else ""] if alive else []
        number = score_cell(job)
        score = " ".join([number, *filter(None, moved)]) if number else ""
        return (
            cell(words, tone_style(self, tone)),
            cell(device_of(job), "" if alive else tone_style(self, "muted")),
            cell(steps_of(job), "" if alive else tone_style(self, "muted")),
            cell(time_of(job), tone_style(self, "warning" if quiet else "" if alive else "muted")),
            cell(score),
            cell(short_label(job, self._fitted["Job"])),
        )


class JobsPane(Vertical):
    """The table of jobs, and the selected one in a line."""

    def __init__(self, *, plain: bool) -> None:
        self.table = JobTable("jobs")
        self.table.plain = plain
        super().__init__(self.table, id="jobs-pane", classes="pane")

    def show(self, jobs: Sequence[JobView]) -> None:
        """`jobs` in their order."""
        self.table.show(jobs)
        set_titles(self, f"jobs  {len(jobs)}")

    def choose(self, job: JobView | None) -> None:
        """Put the cursor on this job; None for no cursor."""
        self.table.show_cursor = job is not None
        if job is not None:
            self.table.select(job.paths.name)

    def describe(self, job: JobView | None) -> None:
        """The selected job in a line, in the lower border."""
        set_titles(self, below=job_detail(job) if job else "")
