"""A board of cards as data: its columns, and the column in which a card belongs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from vitlab.docs.model.vocabulary import Vocabulary
from vitlab.docs.text.source import Span
from vitlab.docs.text.tables import Table

FALLBACK_COLUMNS = {"partial": ("done",), "analysing": ("running",), "ready": ("planned",)}
"""Where a card goes when its status has no column of its own."""


@dataclass(frozen=True)
class Column:
    """A column head: its status, its text, and the display column at which it begins."""

    status: str
    """Empty for a head in a box that is no status."""
    text: str
    offset: int


@dataclass(frozen=True)
class Segment:
    """A piece of a line between gaps: a card, a remark below one, or a dash."""

    index: int
    """0-based line."""
    offset: int
    """Display columns from the line's start."""
    span: Span
    text: str
    column: int
    """Index of its column; -1 for a ruler."""
    mvp: str | None
    """Bare id when it is a card."""


@dataclass(frozen=True)
class Band:
    """A line of column heads and the lines below it, until the next heads or an empty line."""

    columns: tuple[Column, ...]
    head: int
    """0-based line of the heads."""
    last: int
    """0-based line after the last one that is not empty; in a box that of its lower border."""
    segments: tuple[Segment, ...]
    box: tuple[int, int] | None = None
    """The 0-based lines of the box drawn around it, end excluded; None for a board without."""
    table: Table | None = None
    """The markdown table that it is; None for a drawn one."""


@dataclass(frozen=True)
class Kanban:
    """The whole board."""

    bands: tuple[Band, ...]
    vocabulary: Vocabulary

    @property
    def lines(self) -> range:
        """Its 0-based lines."""
        first = min(band.box[0] if band.box else band.head for band in self.bands)
        return range(first, max(band.box[1] if band.box else band.last for band in self.bands))

    @property
    def cards(self) -> tuple[Segment, ...]:
        """Every card, in reading order."""
        return tuple(s for band in self.bands for s in band.segments if s.mvp is not None)

    def column_of(self, card: Segment) -> Column | None:
        """The column of a card; None for a card in none."""
        band = self.band_of.get(card)
        if band is None or card.column < 0:
            return None
        return self.bands[band].columns[card.column]

    @cached_property
    def band_of(self) -> Mapping[Segment, int]:
        """Card -> the number of the first band that has it."""
        known = ((s, number) for number, band in enumerate(self.bands) for s in band.segments)
        return dict(reversed(list(known)))


@dataclass(frozen=True)
class ColumnIndex:
    """One column of one band."""

    band: int
    column: int


def target_column(
    board: Kanban, card: Segment, status: str, statuses: Mapping[str, str | None]
) -> ColumnIndex:
    """The column a card belongs in: that of its status, a similar one, or the one of its equals.

    `statuses`: MVP id -> status. Without any such column it stays where it is.
    """
    at = current_column(board, card)
    for wanted in (status, *FALLBACK_COLUMNS.get(status, ())):
        if at.column >= 0 and board.bands[at.band].columns[at.column].status == wanted:
            return at  # `Backlog` and `Todo` may stand side by side
        for number, band in enumerate(board.bands):
            for column, head in enumerate(band.columns):
                if head.status == wanted:
                    return ColumnIndex(number, column)
    equals = [
        ColumnIndex(number, s.column)
        for number, band in enumerate(board.bands)
        for s in band.segments
        if s.mvp and s.mvp != card.mvp and statuses.get(s.mvp) == status and s.column >= 0
    ]
    return Counter(equals).most_common(1)[0][0] if equals else at


def current_column(board: Kanban, card: Segment) -> ColumnIndex:
    """The column a card is in."""
    return ColumnIndex(board.band_of[card], card.column)
