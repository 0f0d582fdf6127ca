"""The pane of the plan: a table or a board of the same MVPs, the same one chosen in both."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from textual.containers import Vertical
from textual.widgets import Input, Static

from vitlab.tui.widgets.board import Board
from vitlab.tui.widgets.mvp_table import MvpTable, best_values, matches
from vitlab.tui.widgets.titles import retitle

if TYPE_CHECKING:
    from vitlab.docs.roadmap import Mvp
    from vitlab.records.view import LabView


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
        self._view: LabView | None = None

    def show(self, view: LabView, empty: str) -> None:
        """The MVPs that the filter leaves; `empty` is said where the roadmap has none."""
        self._view = view
        words = self._filter.value
        mvps = view.roadmap.mvps if view.roadmap else ()
        if self.board.display:
            kept = [mvp for mvp in mvps if matches(mvp, words)]
            self.board.show(kept, best_values(view))
        else:
            self.table.show(view, words)
        self.empty.display = bool(empty) and not mvps
        if self.empty.display and str(self.empty.content) != empty:
            self.empty.update(Text(empty))
        mvp = self.chosen(view)
        retitle(self, below=f"/ {words}" if words else (mvp.exp_id or "") if mvp else "")

    def chosen(self, view: LabView | None) -> Mvp | None:
        """The MVP under the cursor."""
        mvps = view.roadmap.mvps if view and view.roadmap else ()
        return next((mvp for mvp in mvps if mvp.id == self.selected), None)

    @property
    def selected(self) -> str | None:
        return self.board.selected if self.board.display else self.table.selected

    def select(self, key: str) -> None:
        self.table.select(key)
        self.board.select(key)

    def turn(self) -> None:
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
