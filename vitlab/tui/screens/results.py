"""The results: all side by side, sorted, filtered, with the settings in which they differ."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Vertical, VerticalScroll
from textual.widget import Widget
from textual.widgets import Static

from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value, measured
from vitlab.lab.results import rows as results
from vitlab.plot.series import shortened
from vitlab.tui.keys import Key, bindings
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.session import CopiedText, Session
from vitlab.tui.text import cell, clean, duration, metric_name, tone_style
from vitlab.tui.widgets.table import Row, StableTable

if TYPE_CHECKING:
    from vitlab.docs.judge.ceiling import Share
    from vitlab.lab.live.snapshot import JobView, LabSnapshot
    from vitlab.lab.results.rows import ResultRow

CHANGED = "Changed settings"
ORDERS = ("newest", "score", "MVP", "train", "time")
Gaps = Mapping[str, tuple[float, float]]


class ResultTable(StableTable):
    """One row a finished job."""

    COLUMNS: ClassVar = {
        "MVP": 6, "Run": 22, "Profile": 7, "Score": 17, "Δ vs reference": 17, "Ceiling": 13,
        "Train": 6, "Time": 8, CHANGED: 24,
    }  # fmt: skip
    NARROW: ClassVar = {
        "MVP": 4, "Run": 12, "Profile": 5, "Score": 7, "Δ vs reference": 8, "Ceiling": 6,
        "Train": 5, "Time": 6, CHANGED: 7,
    }  # fmt: skip
    SHORT: ClassVar = {
        "Profile": "Scale", "Δ vs reference": "Δ ref", "Ceiling": "of max", CHANGED: "Changed",
    }  # fmt: skip

    _same = False
    _room = 0
    """Cells for a run's name."""

    @property
    def fitted(self) -> Mapping[str, int]:
        """Without the settings where no row has other ones, or names would be cut for them."""
        widths = dict(super().fitted)
        if self._same or self.narrow:
            widths["Run"] += widths.pop(CHANGED, 0)
        return widths

    def show(self, rows: Sequence[ResultRow], reference: str, gaps: Gaps) -> None:
        """`reference`: the job with which the others are compared; empty for none."""
        changed = results.changed_settings(rows, reference)
        self._same = not any(changed.values())
        self._room = self.fitted["Run"]
        self.show_rows({row.job: self._row(row, changed[row.job], reference, gaps) for row in rows})

    def _row(self, row: ResultRow, changed: Sequence[str], reference: str, gaps: Gaps) -> Row:
        muted = tone_style(self, "muted")
        train = "" if row.n_train is None else _count(row.n_train)
        differs = "  ".join(
            f"{key.rpartition('.')[2]}={results.setting_text(row.settings[key])}" for key in changed
        )
        gap = gaps.get(row.job)
        score = _score(row)
        minus = "" if gap is None else measured(*gap, signed=True)
        good = gap is not None and abs(gap[0]) > 2 * gap[1]
        return (
            cell(row.mvp, "bold"),
            cell(shortened(row.run, self._room)),
            cell(row.profile, muted if row.profile != "full" else ""),
            cell(score.partition(" ±")[0] if self.narrow else score),
            cell(
                "reference" if row.job == reference else minus,
                tone_style(self, "accent" if good else "muted"),
            ),
            cell(_share(row.share, self.narrow)),
            cell(train),
            cell(duration(row.seconds), muted),
            cell(differs, muted),
        )


class ResultsScreen(LabScreen):
    """All results of the lab; below, every value of the selected one."""

    NAME = "results"
    HEADING = "Results"
    FILTERS = True
    KEYS = (
        Key("s", "next_order", "sort", "sort by the next: newest, score, MVP, train size, time"),
        Key("i", "reverse_order", "invert", "reverse the order"),
        Key("space", "mark", "reference", "use this run as the reference, on the same stars"),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table = ResultTable("result-table")
        self.table.plain = session.plain
        self._text = Static(markup=False)
        self._detail = VerticalScroll(self._text, id="result-detail", classes="pane")
        self._rows: tuple[ResultRow, ...] = ()
        self._order, self._reversed = ORDERS[0], False
        self._reference = ""
        self._gaps: Gaps = {}
        self._mark: object = None

    def body(self) -> tuple[Widget, ...]:
        return (Vertical(self.table, self._detail, classes="stack"),)

    def on_mount(self) -> None:
        self.table.focus()

    def show(self, view: LabSnapshot) -> None:
        mark = tuple(job.paths.name for job in view.jobs if job.seconds and not job.eta)
        if mark != self._mark:
            self._mark = mark
            self._read()
        self._fill_rows()

    @work(group="results", exclusive=True)
    async def _read(self) -> None:
        try:
            self._rows = await asyncio.to_thread(results.result_rows, self.session.lab)
        except (UsageError, OSError) as error:
            self.app.notify(clean(str(error)), severity="error")
        self._fill_rows()

    def _shown(self) -> list[ResultRow]:
        rows = [
            row for row in self._rows if self.matches_filter(row.mvp, row.run, row.profile, row.job)
        ]
        match self._order:
            case "score":
                rows.sort(key=lambda row: Value.parse(row.headline).rank(row.score))
            case "MVP":
                rows.sort(key=lambda row: (row.mvp, row.profile, row.run))
            case "train":
                rows.sort(key=lambda row: -(row.n_train or 0))
            case "time":
                rows.sort(key=lambda row: -row.seconds)
        return rows[::-1] if self._reversed else rows

    def _fill_rows(self) -> None:
        rows = self._shown()
        way = ", reversed" if self._reversed else ""
        self.set_heading(f"{len(rows)} of {len(self._rows)}, by {self._order}{way}")
        self.table.show(rows, self._reference, self._gaps)
        self._describe()

    @on(StableTable.RowHighlighted, "#result-table")
    def _describe(self) -> None:
        row = self._selected()
        text = self._about(row) if row else Text("no results yet")
        if self._text.content != text:
            self._text.update(text)

    def _about(self, row: ResultRow) -> Text:
        text = Text()
        text.append(clean(f"{row.job}  {row.model}") + "\n", "bold")
        for name, value in sorted(row.values.items()):
            if value is not None:
                score = measured(value, row.errors.get(name))
                text.append(f"{clean(metric_name(name)):<26}", tone_style(self, "muted"))
                text.append(f"{score}\n")
        base = next((one for one in self._rows if one.job == self._reference), None)
        if base is not None and base is not row:
            text.append("Compared with the reference\n", tone_style(self, "muted"))
            if row.recipe != base.recipe:
                text.append(clean(f"  recipe: {row.recipe} (there: {base.recipe})") + "\n")
            for key in results.differing([base, row]):
                ours, theirs = row.settings.get(key, "-"), base.settings.get(key, "-")
                name = results.setting_name(key)
                text.append(clean(f"  {name}: {ours} (there: {theirs})") + "\n")
        text.rstrip()
        return text

    def _selected(self) -> ResultRow | None:
        return next((row for row in self._rows if row.job == self.table.selected), None)

    def selected_job(self) -> JobView | None:
        return self.job_called(self.table.selected)

    def copy_text(self) -> CopiedText | None:
        row = self._selected()
        if row is None:
            return None
        known = [(n, v) for n, v in sorted(row.values.items()) if v is not None]
        text = "\n".join(f"{n}\t{v:.6g}" for n, v in known)
        head = clean(f"{row.job}\t{row.model}\t{row.profile}")
        return CopiedText(f"the values of {clean(row.run)}", f"{head}\n{text}")

    def select(self, key: str) -> None:
        self.table.select(key)

    # what the keys do

    def action_next_order(self) -> None:
        self._order = ORDERS[(ORDERS.index(self._order) + 1) % len(ORDERS)]
        self._fill_rows()

    def action_reverse_order(self) -> None:
        self._reversed = not self._reversed
        self._fill_rows()

    @work(group="actions")
    async def action_mark(self) -> None:
        row = self._selected()
        if row is None:
            return
        self._reference = "" if row.job == self._reference else row.job
        self._gaps = {}
        self._fill_rows()
        if self._reference:
            gaps = await self.session.attempt(lambda: results.gaps(self.session.lab, row.job))
            self._gaps = gaps or {}
            self._fill_rows()
            if gaps is not None and not gaps:
                words = "no other job has predictions for the same test stars"
                self.app.notify(words, severity="warning")


def _score(row: ResultRow) -> str:
    """Of another metric than R² with its name."""
    if row.score is None:
        return "-"
    one = Value.parse(row.headline)
    name = "" if one.metric == "r2" else f"{one.symbol} "
    return f"{name}{measured(row.score, row.error)}{one.mark}"


def _share(share: Share | None, narrow: bool) -> str:
    if share is None:
        return ""
    return f"{100 * share.value:.0f}%" if narrow else str(share)


def _count(number: int) -> str:
    if number < 1000:
        return str(number)
    return f"{number / 1e6:.3g}M" if number >= 1e6 else f"{number / 1e3:.3g}k"
