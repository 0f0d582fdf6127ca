"""The plan: one row an MVP, its status in glyph and word."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from vitlab.contract.state import Running
from vitlab.tui.widgets.steady import Row, SteadyTable
from vitlab.tui.words import STATUS, cell, ink, status_word

if TYPE_CHECKING:
    from vitlab.docs.roadmap import Mvp
    from vitlab.records.view import JobView, LabView


class MvpTable(SteadyTable):
    """The MVPs of the roadmap; rows keep their place while statuses change."""

    COLUMNS: ClassVar = {"MVP": 7, "Status": 17, "Gate": 8, "R²": 6, "Name": 22}
    NARROW: ClassVar = {"MVP": 7, "Status": 15, "Gate": 6, "R²": 5, "Name": 10}

    def show(self, view: LabView, words: str) -> None:
        """The MVPs that hold every one of `words`, in the document's order."""
        mvps = view.roadmap.mvps if view.roadmap else ()
        upcoming = view.next.id if view.next else None
        values = best_values(view)
        rows: dict[str, Row] = {}
        for mvp in mvps:
            if matches(mvp, words):
                rows[mvp.id] = self._row(mvp, mvp.id == upcoming, values)
        self.show_rows(rows)

    def _row(self, mvp: Mvp, upcoming: bool, values: Mapping[str, float]) -> Row:
        tone = STATUS[mvp.status][2] if mvp.status in STATUS else "muted"
        status = status_word(mvp.status, self.plain) + (", next" if upcoming else "")
        value = values.get(mvp.id)
        return (
            cell(mvp.id, ink(self, "accent" if upcoming else "strong")),
            cell(status, ink(self, "accent" if upcoming else tone)),
            cell(mvp.gate or "-", ink(self, "muted")),
            cell("" if value is None else f"{value:.3f}"),
            cell(mvp.name),
        )


def matches(mvp: Mvp, words: str) -> bool:
    """Whether every word stands somewhere in the MVP's row."""
    row = " ".join(
        str(part or "") for part in (mvp.id, mvp.name, mvp.status, mvp.gate, mvp.exp_id, mvp.phase)
    ).casefold()
    return all(word in row for word in words.casefold().split())


def best_values(view: LabView) -> Mapping[str, float]:
    """MVP id -> its jobs' best R2 so far, the running ones' if any runs."""
    jobs = [job for job in view.jobs if belongs(job, view)]
    best: dict[str, float] = {}
    alive = {job.spec.mvp for job in jobs if isinstance(job.state, Running)}
    for job in jobs:
        value = last_r2(job)
        mvp = job.spec.mvp
        if value is None or (mvp in alive and not isinstance(job.state, Running)):
            continue
        best[mvp] = max(value, best.get(mvp, value))
    return best


def belongs(job: JobView, view: LabView) -> bool:
    """Whether a job was launched from the roadmap on the screen."""
    return view.path is not None and view.path.as_posix().endswith(job.spec.roadmap)


def last_r2(job: JobView) -> float | None:
    """The job's last R2: its headline, or the same on the validation split."""
    rest = job.spec.headline.partition("/")[2]
    for name in (job.spec.headline, f"val/{rest}"):
        value = job.values.get(name)
        if value is not None:
            return value
    return None
