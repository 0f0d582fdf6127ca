"""Moving a kanban card: the other cards, the columns and every untouched line stay as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vitlab.docs.inline import width
from vitlab.docs.kanban import Band, Kanban, Segment
from vitlab.docs.source import Document, Span
from vitlab.docs.splice import Edit

_STAND_IN = {"partial": ("done",), "analysing": ("running",), "ready": ("planned",)}
"""Where a card goes whose status has no column of its own."""


@dataclass(frozen=True)
class Seat:
    """One column of one band."""

    band: int
    column: int


def seat_for(board: Kanban, card: Segment, status: str, statuses: Mapping[str, str | None]) -> Seat:
    """The column a card belongs to: that of its status, else a near one, else where its like are.

    `statuses`: MVP id -> status. A board that has no place for a status keeps the card.
    """
    for wanted in (status, *_STAND_IN.get(status, ())):
        for number, band in enumerate(board.bands):
            for column, head in enumerate(band.columns):
                if head.status == wanted:
                    return Seat(number, column)
    likes = [
        Seat(number, s.column)
        for number, band in enumerate(board.bands)
        for s in band.segments
        if s.mvp and s.mvp != card.mvp and statuses.get(s.mvp) == status and s.column >= 0
    ]
    return Counter(likes).most_common(1)[0][0] if likes else seat_of(board, card)


def seat_of(board: Kanban, card: Segment) -> Seat:
    """The column a card stands in."""
    number = next(n for n, band in enumerate(board.bands) if card in band.segments)
    return Seat(number, card.column)


def move_card(
    document: Document, board: Kanban, card: Segment, to: Seat, text: str, order: Sequence[str]
) -> list[Edit]:
    """The edits that put a card, now reading `text`, into another column.

    `order`: ids as the overview has them; a column that is in that order stays so.
    """
    home = seat_of(board, card)
    if home == to:
        return [] if text == card.text else [Edit(card.span, card.text, text)]
    band = board.bands[home.band]
    if home.band == to.band and _one_per_line(band):
        return [_same_line(document, band, card, to.column, text)]
    grids = {home.band: _grid(board.bands[home.band]), to.band: _grid(board.bands[to.band])}
    dash = _dash(board, home)
    taken = _take(grids[home.band], card, band)
    taken[0] = text
    if dash and not any(grids[home.band][home.column]):
        grids[home.band][home.column] = ["-"]
    _put(grids[to.band][to.column], taken, _at(board.bands[to.band], to.column, card, order))
    return [edit for n, grid in grids.items() if (edit := _redraw(document, board.bands[n], grid))]


def as_it_was(
    document: Document, board: Kanban, then: Document, old: Kanban, card: Segment, text: str
) -> list[Edit] | None:
    """The edits that restore an earlier board, where but for this card nothing on it has changed.

    None where it has, or where the card itself read otherwise than `text`.
    """
    was = next((c for c in old.cards if c.mvp == card.mvp), None)
    if was is None or was.text != text or len(old.bands) != len(board.bands):
        return None
    if _others(old, card) != _others(board, card):
        return None
    edits = []
    for before, band in zip(old.bands, board.bands, strict=True):
        start, end = document.line_span(band.head).start, document.line_span(band.last - 1).end
        first, last = then.line_span(before.head).start, then.line_span(before.last - 1).end
        if document.text[start:end] != then.text[first:last]:
            edits.append(_trimmed(start, document.text[start:end], then.text[first:last]))
    return edits


def _others(board: Kanban, card: Segment) -> list[tuple[int, int, str]]:
    """What stands on a board besides one card and marks of emptiness, column by column."""
    return [
        (number, segment.column, segment.text)
        for number, band in enumerate(board.bands)
        for segment in sorted(band.segments, key=lambda s: (s.column, s.index))
        if segment.mvp != card.mvp
        and segment.text not in ("-", "—")
        and not _is_remark(segment.text)
    ]


def _one_per_line(band: Band) -> bool:
    """A board whose lines hold one card each, so that a line's place means something.

    In a board of stacks every column begins on the first line instead.
    """
    counts = Counter(s.index for s in band.segments)
    if not counts or max(counts.values()) > 1:
        return False
    first = min(counts)
    tops = {c: min(s.index for s in band.segments if s.column == c) for c in
            {s.column for s in band.segments if s.column >= 0}}  # fmt: skip
    return any(s.column < 0 for s in band.segments) or any(top > first for top in tops.values())


def _offset(band: Band, column: int) -> int:
    """Where cards of a column begin: where most of them do, else under the head."""
    offsets = Counter(s.offset for s in band.segments if s.column == column and s.mvp)
    return offsets.most_common(1)[0][0] if offsets else band.columns[column].offset


def _same_line(document: Document, band: Band, card: Segment, column: int, text: str) -> Edit:
    start = document.line_span(card.index).start
    before = document.text[start : card.span.start]
    quote = before[: len(before) - len(before.lstrip(">"))]
    lead = quote + " " * max(0, _offset(band, column) - width(quote))
    return Edit(Span(start, card.span.end), before + card.text, lead + text)


def _grid(band: Band) -> list[list[str]]:
    """For each column its texts by line, empty where it has none."""
    height = band.last - band.head - 1
    grid = [[""] * height for _ in band.columns]
    for segment in band.segments:
        if segment.column >= 0:
            row = segment.index - band.head - 1
            kept = grid[segment.column][row]
            grid[segment.column][row] = f"{kept}  {segment.text}" if kept else segment.text
    return grid


def _take(grid: list[list[str]], card: Segment, band: Band) -> list[str]:
    """Remove a card and the remarks below it from its column; what is below moves up."""
    column = grid[card.column]
    first = card.index - band.head - 1
    last = first + 1
    while last < len(column) and _is_remark(column[last]):
        last += 1
    taken = column[first:last]
    del column[first:last]
    return taken


def _is_remark(text: str) -> bool:
    """A line that belongs to the card above it: `(Run1,Run2)`, `└ ep12`."""
    return text[:1] in ("(", "（", "└", "↳", "·", "[")


def _at(band: Band, column: int, card: Segment, order: Sequence[str]) -> int | None:
    """The row before which a card goes by the overview's order; None for the end."""
    rank = {mvp: number for number, mvp in enumerate(order)}
    there = [s for s in band.segments if s.column == column and s.mvp in rank]
    ranks = [rank[s.mvp] for s in there if s.mvp]
    if card.mvp not in rank or ranks != sorted(ranks):
        return None
    after = [s for s in there if s.mvp and rank[s.mvp] > rank[card.mvp]]
    return after[0].index - band.head - 1 if after else None


def _put(column: list[str], texts: list[str], at: int | None) -> None:
    if all(text in ("", "-", "—") for text in column):
        column[:] = list(texts)
        return
    while column and not column[-1]:
        column.pop()
    where = len(column) if at is None else at
    column[where:where] = texts


def _dash(board: Kanban, leaving: Seat) -> bool:
    """Whether a column that becomes empty is to show `-`, as this board's empty columns do."""
    empty = []
    for number, band in enumerate(board.bands):
        for column in range(len(band.columns)):
            texts = [s.text for s in band.segments if s.column == column]
            if Seat(number, column) != leaving and all(t in ("-", "—") for t in texts):
                empty.append(bool(texts))
    return any(empty) if empty else len(board.bands) == 1


def _redraw(document: Document, band: Band, grid: list[list[str]]) -> Edit | None:
    """The edit that turns a band's lines into a grid; lines that say the same stay as they are."""
    old = _grid(band)
    height = max((i + 1 for column in grid for i, text in enumerate(column) if text), default=0)
    first, last = band.head + 1, band.last
    lines = []
    for row in range(height):
        cells = [column[row] if row < len(column) else "" for column in grid]
        was = [column[row] if row < len(column) else None for column in old]
        same = cells == was
        lines.append(document.line_text(first + row) if same else _line(band, cells))
    start = document.line_span(band.head).end
    end = document.line_span(last - 1).end
    before, after = document.text[start:end], "".join(document.newline + line for line in lines)
    return _trimmed(start, before, after) if before != after else None


def _line(band: Band, cells: Sequence[str]) -> str:
    line = ""
    for column, text in enumerate(cells):
        if text:
            gap = _offset(band, column) - width(line)
            line += " " * (gap if gap >= 2 or not line else 2) + text
    return line


def _trimmed(start: int, before: str, after: str) -> Edit:
    """One edit without the common front and back."""
    head = 0
    while head < min(len(before), len(after)) and before[head] == after[head]:
        head += 1
    tail = 0
    while (
        tail < min(len(before), len(after)) - head and before[-1 - tail] == after[-1 - tail]
    ):  # fmt: skip
        tail += 1
    old = before[head : len(before) - tail]
    return Edit(Span(start + head, start + head + len(old)), old, after[head : len(after) - tail])
