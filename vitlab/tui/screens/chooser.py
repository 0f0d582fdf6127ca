"""The choice among a lab's roadmaps: where each stands, in a line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import DataTable, Static

from vitlab.tui.widgets.steady import Row, SteadyTable
from vitlab.tui.words import cell, ink

if TYPE_CHECKING:
    from vitlab.records.overview import RoadmapLine


class RoadmapTable(SteadyTable):
    """One row a roadmap."""

    COLUMNS: ClassVar = {
        "": 1,
        "Done": 7,
        "Runs": 4,
        "Gates": 13,
        "To write": 8,
        "Next": 6,
        "Roadmap": 24,
    }
    NARROW: ClassVar = {
        "": 1,
        "Done": 6,
        "Runs": 4,
        "Gates": 9,
        "To write": 8,
        "Next": 5,
        "Roadmap": 12,
    }

    def show(self, lines: Sequence[RoadmapLine], shown: Path | None) -> None:
        self.show_rows({str(line.path): self._row(line, line.path == shown) for line in lines})

    def _row(self, line: RoadmapLine, shown: bool) -> Row:
        verdicts = [
            f"{count} {word}" for word, count in line.verdicts.items() if word in ("pass", "fail")
        ]
        return (
            cell(">" if shown else "", ink(self, "accent")),
            cell(
                f"{line.done}/{line.mvps}" if not line.problem else "!",
                ink(self, "error" if line.problem else ""),
            ),
            cell(str(line.running or ""), ink(self, "accent")),
            cell(", ".join(verdicts), ink(self, "muted")),
            cell(str(line.pending or ""), ink(self, "warning")),
            cell(line.next.id if line.next else ""),
            cell(line.problem or line.title, ink(self, "error" if line.problem else "strong")),
        )


class RoadmapChooser(ModalScreen[Path | None]):
    """All roadmaps; enter shows the one under the cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Leave"),
    ]

    def __init__(self, lines: Sequence[RoadmapLine], shown: Path | None) -> None:
        super().__init__()
        self._lines = lines
        self._table = RoadmapTable("roadmaps")
        self._reading = Static("the roadmaps are still being read", id="reading", markup=False)
        self._shown = shown

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog -large") as dialog:
            dialog.border_title = Text("Roadmaps")
            dialog.border_subtitle = Text("enter shows it   esc leaves")
            yield self._reading
            yield self._table

    def on_mount(self) -> None:
        self._table.focus()
        self.call_after_refresh(self.show, self._lines)

    def show(self, lines: Sequence[RoadmapLine]) -> None:
        """The roadmaps as they stand now; the cursor stays, and begins on the one shown."""
        table = self._table
        fresh = not table.row_count
        table.show(lines, self._shown)
        self._reading.display = not lines
        if fresh and self._shown is not None:
            table.select(str(self._shown))

    def on_data_table_row_selected(self, event: DataTable.RowSelected) -> None:
        self.dismiss(Path(str(event.row_key.value)))
