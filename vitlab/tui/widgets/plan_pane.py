"""The plan: a table or a board of the same MVPs, the same one chosen in both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widgets import Input, Static

from vitlab.contract.job import Done, Lost, Queued, Running
from vitlab.plot.series import cells, fit
from vitlab.tui.jobs_index import index_of
from vitlab.tui.standing import document_score, mvp_words
from vitlab.tui.text import (
    SILENT,
    STATUS,
    age,
    best_jobs,
    best_line,
    best_score,
    cell,
    clean,
    last_r2,
    model_of,
    now,
    progress_bar,
    set_titles,
    short_duration,
    silence,
    time_of,
    tone_style,
)
from vitlab.tui.widgets.named_table import NamedTable
from vitlab.tui.widgets.table import Row

if TYPE_CHECKING:
    from vitlab.docs.model.roadmap import Mvp
    from vitlab.lab.live.snapshot import JobView, LabSnapshot
    from vitlab.lab.live.standing import Standing


Texts = tuple[tuple[str, str], ...]
"""The texts of a row and their tones."""
BAR = 5
"""Cells of a running MVP's bar."""


class MvpTable(NamedTable):
    """The MVPs of the roadmap; rows keep their place while statuses change."""

    COLUMNS: ClassVar = {
        "MVP": 3, "Status": 6, "Name": 4, "Gate": 4, "R²": 2, "Ceil.": 5, "Age": 3,
    }  # fmt: skip
    """At least; each takes what its texts need, and the names what is left."""
    DROPS: ClassVar = ("Age", "Gate", "Ceil.", "R²")

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's own word
        super().__init__(id)
        self._made_of: tuple[Mapping[str, Texts], str] = {}, ""
        """What the rows were made of, and the theme."""
        self._rows: dict[str, Row] = {}

    def show(self, view: LabSnapshot, words: str) -> None:
        """The MVPs that hold every one of `words`, in the document's order."""
        mvps = view.roadmap.mvps if view.roadmap else ()
        values, first = best_jobs(view), index_of(view).first
        texts = {
            mvp.id: self._texts(mvp, view, values.get(mvp.id), first.get(mvp.id))
            for mvp in mvps
            if matches(mvp, words)
        }
        if (texts, self.app.theme) != self._made_of:
            styles = {tone: tone_style(self, tone) for row in texts.values() for _, tone in row}
            before, self._made_of = self._made_of, (texts, self.app.theme)
            for key, row in texts.items():
                if before[1] != self.app.theme or row != before[0].get(key):
                    self._rows[key] = tuple(cell(text, styles[tone]) for text, tone in row)
            self.needed = {
                name: max((cells(row[column][0]) for row in texts.values()), default=0)
                for column, name in enumerate(self.COLUMNS)
            }
        self.show_rows({key: self._rows[key] for key in texts})

    def _texts(
        self, mvp: Mvp, view: LabSnapshot, best: JobView | None, job: JobView | None
    ) -> Texts:
        status, tone = mvp_words(mvp, view.standings, self.plain, self._room)
        upcoming = view.next is not None and view.next.id == mvp.id
        if upcoming:
            status, tone = f"{status[:1]} next", "accent"
        if job is not None and isinstance(job.state, Running):
            mine = index_of(view).of_mvp.get(mvp.id, ())
            more = sum(isinstance(one.state, Running | Queued) and not one.foreign for one in mine)
            status, tone = running_words(job, more - 1, self.plain), "accent"
            if job.health.partition(":")[0] in ("warn", "bad"):
                tone = "warning"
        model = model_of(best, view) if best is not None else ""
        bound = view.ceilings.get(best.paths.name) if best is not None else None
        score = last_r2(best) if best is not None else None
        share = "" if bound is None or score is None else f"{100 * score / bound:.0f}%"
        stated = document_score(mvp, view, self._room) if best is None else ""
        return (
            (mvp.id, "accent" if upcoming else "strong"),
            (status, tone),
            (f"{mvp.name} [{model}]" if model else mvp.name, ""),
            ((mvp.gate or "").removeprefix("Gate-"), "muted"),
            (stated, "muted") if best is None else (best_score(best), ""),
            (share, ""),
            ("" if job is None else _age(job), "muted"),
        )

    @property
    def _room(self) -> int:
        return self.scrollable_content_region.width


def running_words(job: JobView, more: int, plain: bool) -> str:
    """`> ━━━── 47m`: how far it is, and the time left; or `+23`, more jobs of its MVP to end."""
    sign = job.health.partition(":")[0]
    if silence(job) > SILENT:
        sign = time_of(job)
    elif sign not in ("warn", "bad"):
        sign = ""
    of = job.of or 0
    bar = progress_bar(job.step, of, BAR, plain) if of else "" if sign else "running"
    left = f"+{more}" if more else short_duration(job.eta)
    return " ".join(filter(None, (">", bar, sign or left)))


def _age(job: JobView) -> str:
    """Since it started, ended, or was submitted where it waits: `3d`."""
    match job.state:
        case Running(started=then) | Done(ended=then) | Lost(started=then):
            pass
        case _:
            then = job.spec.submitted
    return age(now() - then).replace(" min", "m").replace(" ", "") if then else ""


def matches(mvp: Mvp, words: str) -> bool:
    """Whether every word is somewhere in the MVP's row."""
    row = " ".join(
        str(part or "") for part in (mvp.id, mvp.name, mvp.status, mvp.gate, mvp.exp_id, mvp.phase)
    ).casefold()
    return all(word in row for word in words.casefold().split())


COLUMNS: tuple[tuple[str, ...], ...] = (
    ("planned", "paused", "?"),
    ("ready",),
    ("running",),
    ("analysing",),
    ("done", "partial"),
    ("failed", "cancelled"),
)
"""The statuses of each column; `?` for a cell without one."""
LEAST = 12
"""Cells of a column with cards; a narrower board scrolls sideways."""
ONE_LINE = 28
"""From this width on a card is one line."""


@dataclass(frozen=True)
class Column:
    """One column as it is drawn."""

    title: str
    cards: tuple[Mvp, ...]
    width: int
    """Cells, the gap to the next one included."""


class Board(ScrollView, can_focus=True):
    """Cards keep the document's order; the one chosen is kept while they move."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "card(1)", "Down", show=False),
        Binding("k,up", "card(-1)", "Up", show=False),
        Binding("h,left", "column(-1)", "Left", show=False),
        Binding("l,right", "column(1)", "Right", show=False),
        Binding("g,home", "edge(0)", "First", show=False),
        Binding("G,end", "edge(-1)", "Last", show=False),
        Binding("enter", "open", "Open", show=False),
    ]
    plain = False
    """ASCII only."""

    class Chosen(Message):
        """Another card is under the cursor."""

    class Opened(Message):
        """Enter, or a click on the chosen card."""

    def __init__(self) -> None:
        super().__init__(id="board")
        self.selected: str | None = None
        """The chosen card's MVP."""
        self._cards: tuple[Mvp, ...] = ()
        self._columns: tuple[Column, ...] = ()
        self._values: Mapping[str, JobView] = {}
        self._standings: Mapping[str, Standing] = {}

    def show(
        self,
        mvps: Sequence[Mvp],
        values: Mapping[str, JobView],
        standings: Mapping[str, Standing],
    ) -> None:
        """The cards; `values`: MVP -> R2 of its runs, `standings`: MVP -> what its jobs do."""
        cards = tuple({mvp.id: mvp for mvp in mvps}.values())
        if self.selected not in [mvp.id for mvp in cards]:
            self.selected = cards[0].id if cards else None
        if (cards, values, standings) != (self._cards, self._values, self._standings):
            self._cards, self._values, self._standings = cards, dict(values), standings
            self._arrange()

    def select(self, key: str) -> None:
        """Choose the card `key`, if it is there."""
        if key in [mvp.id for mvp in self._cards]:
            self.selected = key
            self._reveal()

    def on_resize(self) -> None:
        self._arrange()

    def _arrange(self) -> None:
        width = self.scrollable_content_region.width
        self._columns = arranged(self._cards, width)
        most = max((len(column.cards) for column in self._columns), default=0)
        across = sum(column.width for column in self._columns)
        self.virtual_size = Size(across, most * self._tall + 1)
        self.refresh()
        self._reveal()

    @property
    def _tall(self) -> int:
        """Lines of a card."""
        return 1 if all(c.width >= ONE_LINE for c in self._columns if c.cards) else 2

    # moving about

    def _place(self) -> tuple[int, int]:
        """Column and row of the chosen card."""
        for i, column in enumerate(self._columns):
            for j, mvp in enumerate(column.cards):
                if mvp.id == self.selected:
                    return i, j
        return 0, 0

    def action_card(self, by: int) -> None:
        column, row = self._place()
        self._choose(column, row + by)

    def action_column(self, by: int) -> None:
        """The next column that has a card."""
        column, row = self._place()
        full = [i for i, one in enumerate(self._columns) if one.cards]
        beyond = [i for i in full if (i > column if by > 0 else i < column)]
        if beyond:
            self._choose(min(beyond) if by > 0 else max(beyond), row)

    def action_edge(self, row: int) -> None:
        column, _ = self._place()
        self._choose(column, len(self._columns[column].cards) - 1 if row else 0)

    def action_open(self) -> None:
        self.post_message(self.Opened())

    def _choose(self, column: int, row: int) -> None:
        cards = self._columns[column].cards if self._columns else ()
        if not cards:
            return
        chosen = cards[min(max(row, 0), len(cards) - 1)].id
        if chosen != self.selected:
            self.selected = chosen
            self.post_message(self.Chosen())
        self._reveal()

    def _reveal(self) -> None:
        """Scroll as little as needed to have the chosen card in state, below the titles."""
        column, row = self._place()
        top, room = row * self._tall, max(self.scrollable_content_region.height - 1, 1)
        y = min(self.scroll_offset.y, top)
        y = max(y, top + self._tall - room)
        left = sum(one.width for one in self._columns[:column])
        right = left + (self._columns[column].width if self._columns else 0)
        x = max(min(self.scroll_offset.x, left), right - self.scrollable_content_region.width)
        self.scroll_to(x, y, animate=False, immediate=True)
        self.refresh()

    def on_click(self, event: events.Click) -> None:
        at = event.get_content_offset(self)
        if at is None or at.y == 0:
            return
        x, row = at.x + self.scroll_offset.x, (at.y - 1 + self.scroll_offset.y) // self._tall
        for i, column in enumerate(self._columns):
            if x < column.width:
                if row < len(column.cards):
                    again = column.cards[row].id == self.selected
                    self._choose(i, row)
                    if again:
                        self.action_open()
                return
            x -= column.width

    # drawing

    def render_line(self, y: int) -> Strip:
        size = self.scrollable_content_region.width
        row = y - 1 + self.scroll_offset.y
        line = Text(no_wrap=True, end="")
        for column in self._columns:
            if y == 0:
                line.append(fit(column.title, column.width - 1) + " ", tone_style(self, "muted"))
            else:
                self._card(line, column, row)
        segments = list(line.render(self.app.console))
        strip = Strip(segments).crop_extend(self.scroll_offset.x, self.scroll_offset.x + size, None)
        return strip.apply_style(self.rich_style)

    def _card(self, line: Text, column: Column, row: int) -> None:
        """One line of the card at `row` of a column, or empty room."""
        at, part = divmod(row, self._tall)
        if at >= len(column.cards):
            line.append(" " * column.width)
            return
        mvp, room = column.cards[at], column.width - 1
        status, tone = mvp_words(mvp, self._standings, self.plain)
        head = f"{status[:1]} {clean(mvp.id)}"
        chosen = " reverse" if mvp.id == self.selected and self.has_focus else ""
        if mvp.id == self.selected and not chosen:
            chosen = " underline"
        best = self._values.get(mvp.id)
        score = "" if best is None else best_score(best)
        if part:
            line.append(fit("  " + clean(mvp.name), room), chosen.strip())
        elif self._tall == 1:
            head += "  "
            line.append(fit(head, min(cells(head), room)), f"bold {tone_style(self, tone)}{chosen}")
            left = max(room - cells(head), 0)
            line.append(fit(f"{score}  {clean(mvp.name)}".strip(), left), chosen.strip())
        else:
            head = fit(head, max(room - cells(score), 0)) + score
            line.append(fit(head, room), f"bold {tone_style(self, tone)}{chosen}")
        line.append(" ")


def arranged(mvps: Sequence[Mvp], width: int) -> tuple[Column, ...]:
    """The columns for a board `width` cells wide; empty ones are as wide as their title."""
    columns: list[tuple[str, tuple[Mvp, ...]]] = []
    for words in COLUMNS:
        cards = tuple(mvp for mvp in mvps if _word(mvp) in words)
        there = [word for word in words if any(_word(mvp) == word for mvp in cards)]
        title = "|".join(there) if words[0] == "failed" and there else words[0]
        columns.append((f"{len(cards)} {title}", cards))
    spare = width - sum(cells(title) + 2 for title, cards in columns if not cards)
    full = sum(bool(cards) for _, cards in columns)
    share = max(spare // full, LEAST) if full else LEAST
    return tuple(
        Column(title, cards, share if cards else cells(title) + 2) for title, cards in columns
    )


def _word(mvp: Mvp) -> str:
    return mvp.status if mvp.status in STATUS else "?"


class PlanPane(Vertical):
    """Table first; which of the two is shown lasts as long as the session."""

    def __init__(self, filter_line: Input, *, plain: bool) -> None:
        self.table, self.board = MvpTable("plan"), Board()
        self.empty = Static(id="plan-empty", classes="empty", markup=False)
        super().__init__(
            self.table, self.board, self.empty, filter_line, id="plan-pane", classes="pane"
        )
        self.table.plain = self.board.plain = plain
        self.board.display = self.empty.display = False
        self._filter = filter_line
        self._view: LabSnapshot | None = None
        self._awaited = ""
        """The MVP to choose as soon as it is read; empty for none."""

    def show(self, view: LabSnapshot, empty: str) -> None:
        """The MVPs that the filter leaves; `empty` is shown where the roadmap has none."""
        self._view = view
        words = self._filter.value
        mvps = view.roadmap.mvps if view.roadmap else ()
        if self.board.display:
            kept = [mvp for mvp in mvps if matches(mvp, words)]
            self.board.show(kept, best_jobs(view), view.standings)
        else:
            self.table.show(view, words)
        self.empty.display = bool(empty) and not mvps
        if self.empty.display and str(self.empty.content) != empty:
            self.empty.update(Text(empty))
        if self._awaited in [mvp.id for mvp in mvps]:
            self.select(self._awaited)
        self.describe(view)

    def describe(self, view: LabSnapshot) -> None:
        """The filter, or the chosen MVP's id and best number, in the lower border."""
        words, mvp = self._filter.value, self.chosen(view)
        best = best_jobs(view).get(mvp.id) if mvp else None
        parts = ((mvp.exp_id or "") if mvp else "", best_line(best, view) if best else "")
        set_titles(self, below=f"/ {words}" if words else "  ".join(filter(None, parts)))

    def chosen(self, view: LabSnapshot | None) -> Mvp | None:
        """The MVP under the cursor."""
        mvps = view.roadmap.mvps if view and view.roadmap else ()
        key = self.selected
        return next((mvp for mvp in mvps if mvp.id == key), None)

    @property
    def selected(self) -> str | None:
        return self.board.selected if self.board.display else self.table.selected

    def select(self, key: str) -> None:
        """Choose an MVP, now or when it is read."""
        self.table.select(key)
        self.board.select(key)
        self._awaited = "" if self.selected == key else key

    def switch(self) -> None:
        """The other of table and board, the same MVP chosen."""
        key, boarded = self.selected, not self.board.display
        self.board.display, self.table.display = boarded, not boarded
        if self._view is not None:
            self.show(self._view, "")
        if key is not None:
            self.select(key)
        self.enter()

    def enter(self) -> None:
        """Take the focus."""
        (self.board if self.board.display else self.table).focus()
