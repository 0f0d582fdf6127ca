"""The documents: pending and proposed edits, what can be undone, contradictions."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import on, work
from textual.binding import BindingType
from textual.containers import Vertical
from textual.widget import Widget
from textual.widgets import Static

from vitlab.contract.paths import UsageError
from vitlab.lab.conclusions import decisions
from vitlab.lab.conclusions.documents import lint_all
from vitlab.lab.writeback import edits
from vitlab.tui.keys import Key, bindings
from vitlab.tui.screens.base import LabScreen
from vitlab.tui.screens.dialogs import ConfirmScreen, DiffView, LineScreen, diffs
from vitlab.tui.session import CopiedText, Location, Session
from vitlab.tui.text import cell, clean, tone_style
from vitlab.tui.widgets.table import StableTable

if TYPE_CHECKING:
    from vitlab.docs.save import FileChange
    from vitlab.lab.conclusions.decisions import Preview
    from vitlab.lab.lab import Lab
    from vitlab.lab.live.snapshot import LabSnapshot
    from vitlab.lab.writeback.edits import DocumentState, PastWrite, Problem
    from vitlab.lab.writeback.writeback import MvpUpdate


@dataclass(frozen=True)
class Entry:
    """One row: something to decide, or decided before."""

    key: str
    kind: str
    """`proposed`, `void` (proposed, and cannot be accepted any more), `write`, `dismissed`, `done`,
    `undone`, `fix`, `check` or `note`."""
    what: str
    changes: tuple[FileChange, ...] = ()
    mvp: str = ""
    conclusion: str = ""
    problem: Problem | None = None
    proposed: Preview | None = None

    @property
    def details(self) -> str:
        """All that is told of it above its diff."""
        if self.proposed is None:
            return self.what
        one = self.proposed
        # What vitlab says of it comes first; what it is stands in the list, and may be cut here.
        lines = (one.problem, *one.remarks[:1], f"reason: {one.proposal.reason}", *one.remarks[1:])
        return "\n".join((*filter(None, lines), one.summary))


ACCEPTED = {"proposed": "accept", "write": "write", "fix": "fix", "dismissed": "restore"}
"""Kind of an entry -> what accepting it does."""
TONES = {
    "proposed": "accent",
    "void": "warning",
    "write": "accent",
    "fix": "warning",
    "check": "warning",
}


LOOK = 1.0
"""Seconds between two looks for proposals."""


class EditTable(StableTable):
    """Kind and content of each entry."""

    COLUMNS: ClassVar = {"": 9, "What": 30}

    def show(self, rows: Iterable[Entry]) -> None:
        self.show_rows(
            {
                entry.key: (
                    cell(entry.kind, tone_style(self, TONES.get(entry.kind, "muted"))),
                    cell(entry.what, "" if entry.kind in TONES else tone_style(self, "muted")),
                )
                for entry in rows
            }
        )


class DocumentsScreen(LabScreen):
    """A list of everything to decide; beside it the edit of the selected entry."""

    NAME = "documents"
    HEADING = "Documents"
    FILTERS = True
    KEYS = (
        Key("enter", "accept", "write", "write, fix or accept the entry, or restore one"),
        Key("W", "reword", "reword", "edit the conclusion"),
        Key("d", "refuse", "dismiss", "dismiss it: neither written nor proposed again"),
        Key("w", "app.write", "write all", "write everything, after confirming"),
        Key("U", "app.redo", "redo", "redo the last undone write"),
    )
    MOVES: ClassVar[tuple[tuple[str, str], ...]] = (
        ("j k g G, arrows", "choose"),
        ("tab", "to the diff, which j k scroll"),
    )
    BINDINGS: ClassVar[list[BindingType]] = bindings(KEYS)

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.table = EditTable("edits")
        self.table.plain = session.plain
        self._text = Static(id="entry-text", markup=False)
        self.diff = DiffView(id="entry-diff")
        self._list = Vertical(self.table, classes="pane", id="entry-list")
        self._edit = Vertical(self._text, self.diff, classes="pane", id="entry-edit")
        self._state: DocumentState | None = None
        self._proposed: tuple[Preview, ...] = ()
        self._waiting: tuple[int, ...] = ()
        """Numbers of the proposals when they were read last."""
        self._words: dict[str, Entry] = {}
        """MVP -> its entry with the user's own conclusion."""
        self._mark: object = None
        self._shown: Entry | None = None

    def body(self) -> tuple[Widget, ...]:
        return (self._list, self._edit)

    def on_mount(self) -> None:
        self.table.focus()
        self._timer = self.set_interval(LOOK, self._look)

    def show(self, view: LabSnapshot) -> None:
        mark = (view.path, view.pending, id(view.roadmap), view.proposals)
        if mark != self._mark:
            self._mark = mark
            self._read()
        self._fill_rows()

    def on_screen_resume(self) -> None:
        self._mark = None
        self._timer.resume()
        super().on_screen_resume()

    def on_screen_suspend(self) -> None:
        self._timer.pause()

    @work(group="tray", exclusive=True)
    async def _look(self) -> None:
        """Show what is newly proposed, though no key was pressed for long."""
        waiting = await asyncio.to_thread(decisions.waiting, self.session.lab)
        if waiting != self._waiting:
            self._waiting = waiting
            self.session.watcher.refresh_now()
            self._read()

    @work(group="edits", exclusive=True)
    async def _read(self) -> None:
        try:
            state = await asyncio.to_thread(edits.document_state, *self._place(), lint_all)
            self._waiting = await asyncio.to_thread(decisions.waiting, self.session.lab)
            self._proposed = await asyncio.to_thread(decisions.previews, self.session.lab)
            self._state = state
        except (UsageError, OSError) as error:
            self.app.notify(str(error), severity="error")
            return
        updates = {update.mvp for update in self._state.updates}
        self._words = {mvp: entry for mvp, entry in self._words.items() if mvp in updates}
        self._fill_rows()

    def _rows(self) -> list[Entry]:
        state, name = self._state, self.session.lab.paths.relative
        if state is None:
            return []
        rows = list(map(_proposed, self._proposed))
        rows += [self._words.get(update.mvp) or _to_write(update) for update in state.updates]
        for number, problem in enumerate(state.problems):
            kind = "note" if problem.finding.is_note else "check"
            kind = kind if problem.finding.fix is None else "fix"
            place = f"{problem.path.name}:{problem.finding.line} {problem.finding.message}"
            rows.append(Entry(f"problem {number}", kind, place, problem=problem))
        rows += [
            Entry(f"refused {mvp}", "dismissed", f"the results of MVP-{mvp}", mvp=mvp)
            for mvp in state.refused
        ]
        for past in state.past:
            kind = "undone" if past.undone else "done"
            rows.append(Entry(f"past {past.number}", kind, _past(past, name), past.changes))
        return rows

    def _fill_rows(self) -> None:
        rows = self._rows()
        state = self._state
        if state is None:
            self.set_heading("reading the documents")
            return
        wrong = sum(not problem.finding.is_note for problem in state.problems)
        proposed = f"{len(self._proposed)} proposed, " if self._proposed else ""
        self.set_heading(f"{proposed}{len(state.updates)} to write, {wrong} to fix or check")
        self.table.show([row for row in rows if self.matches_filter(row.kind, row.what)])
        self._describe()

    def selected(self) -> Entry | None:
        """The row under the cursor."""
        return next((row for row in self._rows() if row.key == self.table.selected), None)

    @on(StableTable.RowHighlighted, "#edits")
    def _describe(self) -> None:
        entry = self.selected()
        if entry == self._shown:
            return
        self._shown = entry
        self._edit.border_title = Text(entry.kind if entry else "")
        if entry is None:
            self._text.update(Text("nothing to write or fix, and no past writes"))
            self.diff.show([])
            return
        lines = (clean(line) for line in entry.details.split("\n"))
        self._text.update(Text("\n".join(lines), "bold"))
        self._draw(entry)

    @work(group="entry", exclusive=True)
    async def _draw(self, entry: Entry) -> None:
        def make() -> list[str]:
            changes = entry.changes
            if entry.problem is not None:
                fix = entry.problem.fix
                changes = (fix,) if fix else ()
            return diffs(self.session.lab, changes)

        try:
            texts = await asyncio.to_thread(make)
        except (UsageError, OSError) as error:
            texts = [str(error)]
        self.diff.show(texts or ["no automatic fix: edit the document"] * bool(entry.problem))

    def copy_text(self) -> CopiedText | None:
        entry = self.selected()
        if entry is None:
            return None
        texts = diffs(self.session.lab, entry.changes)
        return CopiedText(clean(entry.what), "\n".join([clean(entry.what), *texts]))

    def source_location(self) -> Location | None:
        entry = self.selected()
        if entry is None:
            return None
        if entry.problem is not None:
            return Location(entry.problem.path, entry.problem.finding.line)
        return Location(entry.changes[0].path, 1) if entry.changes else None

    # what the keys do

    def why_not(self, action: str) -> str:
        entry = self.selected()
        kind = entry.kind if entry else ""
        fits = {
            "accept": (kind in ACCEPTED, "an entry to write, fix or restore"),
            "refuse": (kind in ("write", "proposed", "void"), "an unwritten edit"),
            "reword": (bool(entry and entry.conclusion), "an unwritten conclusion"),
        }
        if kind == "void" and action == "accept":
            return "it cannot be accepted any more: d dismisses it"
        fit, needs = fits.get(action, (True, ""))
        return "" if fit else f"select {needs} first"

    @property
    def has_proposal_selected(self) -> bool:
        return bool((entry := self.selected()) and entry.kind == "proposed")

    def word_of(self, key: Key) -> str:
        entry = self.selected()
        accepts = key.name == "accept" or (key.name == "write" and self.has_proposal_selected)
        if entry is not None and accepts:
            return ACCEPTED.get(entry.kind, key.word)
        return super().word_of(key)

    @on(StableTable.RowSelected, "#edits")
    def _chosen(self) -> None:
        if why := self.why_not("accept"):
            self.app.notify(why, severity="warning")
        else:
            self.action_accept()

    @work(group="actions")
    async def action_accept(self) -> None:
        entry, session = self.selected(), self.session
        if entry is None:
            return
        problem, lab, roadmap = entry.problem, *self._place()
        if entry.kind == "write":
            conclusion = entry.conclusion if entry.mvp in self._words else None
            await write_documents(session, lambda: edits.write(lab, roadmap, entry.mvp, conclusion))
        elif entry.kind == "dismissed":
            await session.attempt(lambda: edits.propose_again(lab, roadmap, entry.mvp))
            session.watcher.refresh_now()
        elif entry.kind == "fix" and problem is not None:
            await write_documents(session, lambda: edits.fix(lab, problem))
        elif entry.proposed is not None:
            await _accept(self, entry.proposed)
        self._read()

    @work(group="actions")
    async def action_reword(self) -> None:
        entry = self.selected()
        if entry is None:
            return
        title = f"Conclusion of MVP-{entry.mvp}"
        words = await self.app.push_screen_wait(LineScreen(title, entry.conclusion))
        if not words or not words.strip():
            return
        conclusion = words.strip()
        lab, roadmap = self._place()
        update = await self.session.attempt(
            lambda: edits.plan_update(lab, roadmap, entry.mvp, conclusion)
        )
        if update is not None:
            self._words[entry.mvp] = _to_write(update)
            self._fill_rows()

    @work(group="actions")
    async def action_refuse(self) -> None:
        entry = self.selected()
        if entry is None:
            return
        question = f"Dismiss the results of MVP-{entry.mvp}? (enter on the entry restores them)"
        lab, roadmap = self._place()
        if entry.proposed is not None:
            number = entry.proposed.proposal.number
            await self.session.attempt(lambda: decisions.dismiss(lab, number))
            self._read()
        elif await self.app.push_screen_wait(ConfirmScreen(question)):
            await self.session.attempt(lambda: edits.refuse(lab, roadmap, entry.mvp))
            self.session.watcher.refresh_now()
            self._read()

    def _place(self) -> tuple[Lab, Path]:
        return self.session.lab, self.session.roadmap


def _to_write(one: MvpUpdate) -> Entry:
    return Entry(one.mvp, "write", one.summary, one.changes, one.mvp, one.conclusion)


def _proposed(one: Preview) -> Entry:
    number, what = one.proposal.number, f"{one.summary} ({one.proposal.reason})"
    kind = "void" if one.problem else "proposed"
    return Entry(f"proposal {number}", kind, what, one.changes, proposed=one)


async def _accept(screen: DocumentsScreen, shown: Preview) -> None:
    """Do what an assistant proposes; what no result supports needs a person's reason."""
    number, session, because = shown.proposal.number, screen.session, ""
    if shown.unsupported:
        dialog = LineScreen(f"{decisions.UNSUPPORTED}: your reason")
        words = await screen.app.push_screen_wait(dialog)
        if not words or not words.strip():
            return
        because = words
    done = await session.attempt(lambda: decisions.accept(session.lab, number, because))
    if done is not None and done.jobs:
        session.notify(f"launched: {', '.join(job.name for job in done.jobs)}")
        session.watcher.refresh_now()
    elif done is not None:
        report_written(session, list(done.files))


def _past(past: PastWrite, name: Callable[[Path], str]) -> str:
    """`11-28 14:02  MVP-1.0  2 files: roadmaps/x.md, ...`."""
    when = time.strftime("%m-%d %H:%M", time.localtime(past.at)) if past.at else ""
    count = f"{len(past.changes)} file{'s' * (len(past.changes) != 1)}"
    files = ", ".join(name(change.path) for change in past.changes)
    return "  ".join(part for part in (when, past.what, f"{count}: {files}") if part)


async def write_documents(
    session: Session, call: Callable[[], list[Path]], steps: Sequence[str] = ()
) -> bool:
    """Write documents in a thread and report the files; whether it was done.

    `steps`: what each of several writes is of, in turn, as they are undone one at a time.
    """
    files = await session.attempt(call)
    if files is not None:
        report_written(session, files, steps)
    return files is not None


def report_written(session: Session, files: list[Path], steps: Sequence[str] = ()) -> None:
    """Show which files were written, and read them again. `steps`: what each write is of."""
    names = ", ".join(session.lab.paths.relative(path) for path in files)
    undo = session.key("undo")
    if len(steps) > 1:
        how = f"{len(steps)} writes, {undo} undoes one at a time, {steps[-1]} first"
        session.notify(f"{how}; written: {names}")  # the names can be longer than the line
    else:
        session.notify(f"written: {names or 'nothing'} ({undo} undoes it)")
    for line in edits.open_in_editors(files):
        session.notify(line, severity="warning")
    session.watcher.refresh_now()
