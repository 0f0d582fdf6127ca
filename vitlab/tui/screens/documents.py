"""The documents: edits that wait for a yes, what was written and can be undone, contradictions."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import DataTable, Static

from vitlab.contract.paths import UsageError
from vitlab.tui.keys import Key, bindings
from vitlab.tui.screens.base import Session, LabScreen
from vitlab.tui.screens.dialogs import ConfirmScreen, LineScreen
from vitlab.tui.selection import CopiedText, Location
from vitlab.tui.text import cell, clean, tone_style
from vitlab.tui.widgets.diff_view import DiffView
from vitlab.tui.widgets.stable_table import StableTable

if TYPE_CHECKING:
    from vitlab.docs.save import FileChange
    from vitlab.lab.live.snapshot import LabSnapshot
    from vitlab.lab.writeback.edits import Flaw, Papers


@dataclass(frozen=True)
class Entry:
    """One row: something to decide, or that was decided."""

    key: str
    kind: str
    """`write`, `refused`, `done`, `undone`, `mend` or `look at`."""
    what: str
    changes: tuple[FileChange, ...] = ()
    mvp: str = ""
    sentence: str = ""
    flaw: Flaw | None = None


TONES = {"write": "accent", "mend": "warning", "look at": "warning"}


class EditTable(StableTable):
    """What kind of thing each is, and what it says."""

    COLUMNS: ClassVar = {"": 8, "What": 30}

    def show(self, rows: Iterable[Entry]) -> None:
        self.show_rows(
            {
                paper.key: (
                    cell(paper.kind, tone_style(self, TONES.get(paper.kind, "muted"))),
                    cell(paper.what, "" if paper.kind in TONES else tone_style(self, "muted")),
                )
                for paper in rows
            }
        )


class DocumentsScreen(LabScreen):
    """A list of all there is to decide; beside it the edit of the one under the cursor."""

    NAME = "documents"
    HEADING = "Documents"
    FILTERS = True
    KEYS = (
        Key("y", "accept", "yes", "write it, mend it, or offer again what was refused"),
        Key("e", "reword", "sentence", "say the conclusion in your own words"),
        Key("x", "refuse", "refuse", "write nothing of it, and do not offer it again"),
        Key("w", "app.write", "write all", "everything that waits, on a yes"),
        Key("u", "app.undo", "undo", "undo the last write"),
        Key("U", "app.redo", "redo", "make the last undone write again"),
    )
    MOVES: ClassVar[tuple[tuple[str, str], ...]] = (
        ("j k g G, arrows", "choose"),
        ("tab", "to the edit, where j k scroll"),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table = EditTable("papers")
        self.table.plain = session.plain
        self._says = Static(id="paper-says", markup=False)
        self.diff = DiffView(id="paper-diff")
        self._list = Vertical(self.table, classes="pane", id="paper-list")
        self._edit = Vertical(self._says, self.diff, classes="pane", id="paper-edit")
        self._papers: Papers | None = None
        self._words: dict[str, Entry] = {}
        """MVP -> its paper with the user's own sentence."""
        self._mark: object = None
        self._shown: Entry | None = None

    def body(self) -> tuple[Widget, ...]:
        return (self._list, self._edit)

    def on_mount(self) -> None:
        self.table.focus()

    def show(self, view: LabSnapshot) -> None:
        mark = (view.path, view.pending, id(view.roadmap))
        if mark != self._mark:
            self._mark = mark
            self._read()
        self._fill_rows()

    def on_screen_resume(self) -> None:
        self._mark = None
        super().on_screen_resume()

    @work(group="papers", exclusive=True)
    async def _read(self) -> None:
        try:
            self._papers = await asyncio.to_thread(self.session.desk.papers)
        except (UsageError, OSError) as error:
            self.app.notify(clean(str(error)), severity="error", markup=False)
            return
        waiting = {step.mvp for step in self._papers.waiting}
        self._words = {mvp: paper for mvp, paper in self._words.items() if mvp in waiting}
        self._fill_rows()

    def _rows(self) -> list[Entry]:
        papers, name = self._papers, self.session.desk.name
        if papers is None:
            return []
        rows = [
            self._words.get(step.mvp)
            or Entry(step.mvp, "write", step.summary, step.changes, step.mvp, step.sentence)
            for step in papers.waiting
        ]
        for number, flaw in enumerate(papers.flaws):
            kind = "mend" if flaw.finding.fix is not None else "look at"
            place = f"{flaw.path.name}:{flaw.finding.line} {flaw.finding.message}"
            rows.append(Entry(f"flaw {number}", kind, place, flaw=flaw))
        rows += [
            Entry(f"refused {mvp}", "refused", f"the results of MVP-{mvp}", mvp=mvp)
            for mvp in papers.refused
        ]
        for past in papers.past:
            files = ", ".join(name(change.path) for change in past.changes)
            kind = "undone" if past.undone else "done"
            rows.append(Entry(f"past {past.number}", kind, files, past.changes))
        return rows

    def _fill_rows(self) -> None:
        rows = self._rows()
        papers = self._papers
        if papers is None:
            self.set_heading("reading the documents")
            return
        self.set_heading(f"{len(papers.waiting)} to write, {len(papers.flaws)} to mend or look at")
        self.table.show([row for row in rows if self.wanted(row.kind, row.what)])
        self._describe()

    def selected(self) -> Entry | None:
        """The row under the cursor."""
        return next((row for row in self._rows() if row.key == self.table.selected), None)

    @on(DataTable.RowHighlighted, "#papers")
    def _describe(self) -> None:
        paper = self.selected()
        if paper == self._shown:
            return
        self._shown = paper
        self._edit.border_title = Text(paper.kind if paper else "")
        if paper is None:
            self._says.update(Text("nothing waits, nothing was written, nothing contradicts"))
            self.diff.show([])
            return
        self._says.update(Text(clean(paper.what), "bold"))
        self._draw(paper)

    @work(group="paper", exclusive=True)
    async def _draw(self, paper: Entry) -> None:
        def diffs() -> list[str]:
            changes = paper.changes
            if paper.flaw is not None:
                mended = paper.flaw.change
                changes = (mended,) if mended else ()
            return list(self.session.desk.diffs(changes))

        try:
            found = await asyncio.to_thread(diffs)
        except (UsageError, OSError) as error:
            found = [str(error)]
        self.diff.show(found or ["only a person can say what is right here"] * bool(paper.flaw))

    def copy_text(self) -> CopiedText | None:
        paper = self.selected()
        if paper is None:
            return None
        diffs = list(self.session.desk.diffs(paper.changes))
        return CopiedText(clean(paper.what), "\n".join([clean(paper.what), *diffs]))

    def source(self) -> Location | None:
        paper = self.selected()
        if paper is None:
            return None
        if paper.flaw is not None:
            return Location(paper.flaw.path, paper.flaw.finding.line)
        return Location(paper.changes[0].path, 1) if paper.changes else None

    # what the keys do

    @work(group="deeds")
    async def action_accept(self) -> None:
        paper, desk = self.selected(), self.session.desk
        if paper is None:
            return
        flaw = paper.flaw
        if paper.kind == "write":
            sentence = paper.sentence if paper.mvp in self._words else None
            await self.session.doer.written(lambda: desk.write(paper.mvp, sentence))
        elif paper.kind == "refused":
            await self.session.doer.attempt(lambda: desk.offer(paper.mvp))
            self.session.watch.refresh_now()
        elif paper.kind == "mend" and flaw is not None:
            await self.session.doer.written(lambda: desk.fix(flaw))
        else:
            self._only("what is to write, to mend or was refused")
            return
        self._read()

    @work(group="deeds")
    async def action_reword(self) -> None:
        paper = self.selected()
        if paper is None or paper.kind != "write" or not paper.sentence:
            self._only("a conclusion that waits to be written")
            return
        title = f"The conclusion of MVP-{paper.mvp}"
        words = await self.app.push_screen_wait(LineScreen(title, paper.sentence))
        if not words or not words.strip():
            return
        said = words.strip()
        step = await self.session.doer.attempt(lambda: self.session.desk.worded(paper.mvp, said))
        if step is not None:
            self._words[paper.mvp] = Entry(
                step.mvp, "write", step.summary, step.changes, step.mvp, step.sentence
            )
            self._fill_rows()

    @work(group="deeds")
    async def action_refuse(self) -> None:
        paper = self.selected()
        if paper is None or paper.kind != "write":
            self._only("an edit that waits")
            return
        question = f"Write nothing of MVP-{paper.mvp}'s results? (y on it offers them again)"
        if await self.app.push_screen_wait(ConfirmScreen(question)):
            await self.session.doer.attempt(lambda: self.session.desk.refuse(paper.mvp))
            self.session.watch.refresh_now()
            self._read()

    def _only(self, what: str) -> None:
        self.app.notify(f"select {what} first", severity="warning", markup=False)
