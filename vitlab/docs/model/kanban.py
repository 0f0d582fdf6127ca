"""The kanban block: its cards in columns, and moving one card, every other line kept."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.vocabulary import ParsedStatus, Vocabulary
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import width
from vitlab.docs.text.source import Document, Fence, Span

_GAP = re.compile(r"[ \t\u3000]{2,}")
_RULER = re.compile(r"[─━═_*=~-]{3,}")


@dataclass(frozen=True)
class Column:
    """A column head: its status, its text, and the display offset at which it begins."""

    status: str
    text: str
    offset: int


@dataclass(frozen=True)
class Segment:
    """A piece of a board line between gaps: a card, a remark below one, or a lone mark."""

    index: int
    """0-based line."""
    offset: int
    """Display columns from the line's start."""
    span: Span
    text: str
    column: int
    """Index of the column it stands in; -1 for a piece that is in none."""
    mvp: str | None
    """Bare id when it is a card."""
    parsed: ParsedStatus | None
    """The status a card carries itself, offsets in `text`."""


@dataclass(frozen=True)
class Band:
    """A line of column heads and the lines below it, until the next heads or an empty line."""

    columns: tuple[Column, ...]
    head: int
    """0-based line of the heads."""
    last: int
    """0-based line after the last one with something on it."""
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Kanban:
    """The whole block."""

    bands: tuple[Band, ...]
    vocabulary: Vocabulary
    """The words its heads were read with."""

    @property
    def cards(self) -> tuple[Segment, ...]:
        """Every card, in reading order."""
        return tuple(s for band in self.bands for s in band.segments if s.mvp is not None)

    def column_of(self, card: Segment) -> Column | None:
        """The column head a card stands under."""
        for band in self.bands:
            if card in band.segments:
                return band.columns[card.column] if card.column >= 0 else None
        return None


def find_kanban(document: Document, vocabulary: Vocabulary, ids: IdIndex) -> Kanban | None:
    """The first fenced block that opens with a line of two or more column heads."""
    for fence in document.fences:
        bands = tuple(_bands(document, fence, vocabulary, ids))
        if bands and len(bands[0].columns) >= 2:
            return Kanban(bands, vocabulary)
    return None


def _bands(document: Document, fence: Fence, vocabulary: Vocabulary, ids: IdIndex) -> list[Band]:
    bands: list[Band] = []
    first, last = fence.content
    index = next((i for i in range(first, last) if document.line_text(i).strip()), last)
    while index < last:
        columns = _heads(document.line_text(index), vocabulary)
        if columns is None or (not bands and len(columns) < 2):
            if not bands:
                return []
            index += 1
            continue
        end = index + 1
        segments: list[Segment] = []
        while end < last and _heads(document.line_text(end), vocabulary) is None:
            segments += _segments(document, end, columns, ids, vocabulary)
            end += 1
        stop = max((s.index + 1 for s in segments), default=index + 1)
        bands.append(Band(columns, index, stop, tuple(segments)))
        index = end
    return bands


def _heads(line: str, vocabulary: Vocabulary) -> tuple[Column, ...] | None:
    """The column heads of a line; None when one of its pieces is not a status."""
    columns = []
    for start, text in pieces(line):
        found = vocabulary.read(text)
        if found is None or text[found.end :].strip(" ()（）0123456789"):
            return None
        columns.append(Column(found.status, text, width(line[:start])))
    return tuple(columns) or None


def pieces(line: str) -> list[tuple[int, str]]:
    """(index, text) of what stands between gaps of two or more blanks."""
    found = []
    start = len(line) - len(line.lstrip())
    end = len(line.rstrip())
    for gap in _GAP.finditer(line, start, end):
        found.append((start, line[start : gap.start()]))
        start = gap.end()
    if start < end:
        found.append((start, line[start:end]))
    return found


def _segments(
    document: Document,
    index: int,
    columns: Sequence[Column],
    ids: IdIndex,
    vocabulary: Vocabulary,
) -> list[Segment]:
    line = document.line_text(index)
    base = document.line_span(index).start
    found = []
    for start, text in pieces(line):
        offset = width(line[:start])
        opening = ids.opening(text)
        card = opening[0] if opening else None
        column = -1 if _RULER.match(text) else _column_at(columns, offset)
        status = None
        if card and opening and opening[1]:
            status = _own_status(text, opening[1], vocabulary)
        found.append(
            Segment(
                index,
                offset,
                Span(base + start, base + start + len(text)),
                text,
                column,
                card,
                status,
            )
        )
    return found


def _own_status(text: str, rest: str, vocabulary: Vocabulary) -> ParsedStatus | None:
    """The status written right after a card's id, with a glyph; offsets in `text`."""
    at = text.find(rest)
    found = vocabulary.read(text[at:]) if at >= 0 else None
    if found is None or found.glyph is None:
        return None
    return ParsedStatus(
        found.status,
        (found.glyph[0] + at, found.glyph[1] + at),
        (found.word[0] + at, found.word[1] + at) if found.word else None,
        found.verdict,
        found.end + at,
    )


def _column_at(columns: Sequence[Column], offset: int) -> int:
    """The column that begins last at or before an offset; one cell of slack, hands slip."""
    at = 0
    for number, column in enumerate(columns):
        if column.offset <= offset + 1:
            at = number
    return at


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

    `order`: ids as the overview has them; a column that is in that order stays so. A card stays
    where it is on the line of a ruler, and where a line would become column heads or a fence.
    """
    home = seat_of(board, card)
    stays = [] if text == card.text else [_reworded(document, board.bands[home.band], card, text)]
    if home == to:
        return stays
    band = board.bands[home.band]
    if home.band == to.band and _one_per_line(band):
        return [_same_line(document, band, card, to.column, text)]
    if any(s.column < 0 for s in band.segments if s.index == card.index):
        return stays
    target = board.bands[to.band]
    parts = {to.band: _between_rulers(target, target.last)}
    parts[home.band] = _between_rulers(band, card.index)
    grids = {number: _grid(part) for number, part in parts.items()}
    dash = _dash(board, home)
    taken = _take(grids[home.band], card, parts[home.band], text)
    if dash and not any(grids[home.band][home.column]):
        grids[home.band][home.column] = [("-",)]
    _put(grids[to.band][to.column], taken, _at(parts[to.band], to.column, card, order))
    drawn = {number: _drawn(document, parts[number], grid) for number, grid in grids.items()}
    for line in (line for lines in drawn.values() for line in lines):
        if line.lstrip().startswith(("```", "~~~")) or _heads(line, board.vocabulary):
            return stays
    return [edit for n, lines in drawn.items() if (edit := _redraw(document, parts[n], lines))]


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
    first = {s.index: s for s in reversed(band.segments) if s.column == column}
    offsets = Counter(s.offset for s in reversed(first.values()) if s.mvp)
    return offsets.most_common(1)[0][0] if offsets else band.columns[column].offset


def _reworded(document: Document, band: Band, card: Segment, text: str) -> Edit:
    """The edit of a card's text alone; the gap behind it gives way where a column would change."""
    behind = [s for s in band.segments if s.index == card.index and s.offset > card.offset]
    wider = width(text) - width(card.text)
    if all(s.column in (-1, _column_at(band.columns, s.offset + wider)) for s in behind):
        return Edit(card.span, card.text, text)
    end = behind[0].span.start
    gap = width(document.text[card.span.end : end])
    old = document.text[card.span.start : end]
    return Edit(Span(card.span.start, end), old, text + " " * max(2, gap - wider))


def _same_line(document: Document, band: Band, card: Segment, column: int, text: str) -> Edit:
    start = document.line_span(card.index).start
    before = document.text[start : card.span.start]
    quote = before[: len(before) - len(before.lstrip(">"))]
    lead = quote + " " * max(0, _offset(band, column) - width(quote))
    return Edit(Span(start, card.span.end), before + card.text, lead + text)


_Cell = tuple[str, ...]
"""The texts that one column has on one line; usually one."""


def _between_rulers(band: Band, index: int) -> Band:
    """The lines around a line up to the next rulers, which stay where they are."""
    rulers = [s.index for s in band.segments if s.column < 0]
    head = max((i for i in rulers if i < index), default=band.head)
    last = min((i for i in rulers if i > index), default=band.last)
    inside = tuple(s for s in band.segments if head < s.index < last)
    return replace(band, head=head, last=last, segments=inside)


def _grid(band: Band) -> list[list[_Cell]]:
    """For each column its cells by line, empty where it has none."""
    height = band.last - band.head - 1
    grid: list[list[_Cell]] = [[()] * height for _ in band.columns]
    for segment in band.segments:
        if segment.column >= 0:
            grid[segment.column][segment.index - band.head - 1] += (segment.text,)
    return grid


def _take(grid: list[list[_Cell]], card: Segment, band: Band, text: str) -> list[_Cell]:
    """Remove a card, now reading `text`, and its remarks from its column; the rest moves up."""
    column = grid[card.column]
    first = card.index - band.head - 1
    cell = column[first]
    at = cell.index(card.text)
    end = at + 1
    while end < len(cell) and _is_remark(cell[end]):
        end += 1
    mine = (text, *cell[at + 1 : end])
    if beside := cell[:at] + cell[end:]:
        column[first] = beside
        return [mine]
    last = first + 1
    while last < len(column) and column[last] and all(map(_is_remark, column[last])):
        last += 1
    below = column[first + 1 : last]
    del column[first:last]
    return [mine, *below]


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


def _put(column: list[_Cell], cells: list[_Cell], at: int | None) -> None:
    if all(cell in ((), ("-",), ("—",)) for cell in column):
        column[:] = cells
        return
    while column and not column[-1]:
        column.pop()
    where = len(column) if at is None else at
    column[where:where] = cells


def _dash(board: Kanban, leaving: Seat) -> bool:
    """Whether a column that becomes empty is to show `-`, as this board's empty columns do."""
    empty = []
    for number, band in enumerate(board.bands):
        for column in range(len(band.columns)):
            texts = [s.text for s in band.segments if s.column == column]
            if Seat(number, column) != leaving and all(t in ("-", "—") for t in texts):
                empty.append(bool(texts))
    return any(empty) if empty else len(board.bands) == 1


def _drawn(document: Document, band: Band, grid: list[list[_Cell]]) -> list[str]:
    """The lines of a grid; those that say what the band's lines say are kept as they are."""
    old = _grid(band)
    lines = []
    row = 0
    while any(any(column[row:]) for column in grid):
        cells = [column[row] if row < len(column) else () for column in grid]
        if cells == [column[row] if row < len(column) else None for column in old]:
            lines.append(document.line_text(band.head + 1 + row))
        else:
            line, rest = _line(band, cells)
            lines.append(line)
            for column, texts in rest.items():
                grid[column][row : row + 1] = [cells[column][: -len(texts)], texts]
        row += 1
    return lines


def _redraw(document: Document, band: Band, lines: Sequence[str]) -> Edit | None:
    """The edit that gives a band other lines; None when it has them."""
    start = document.line_span(band.head).end
    end = document.line_span(band.last - 1).end
    before, after = document.text[start:end], "".join(document.newline + line for line in lines)
    return _trimmed(start, before, after) if before != after else None


def _line(band: Band, cells: Sequence[_Cell]) -> tuple[str, dict[int, _Cell]]:
    """A line of cells, and by column the texts that would stand under another head on it."""
    line = ""
    rest = {}
    for column, texts in enumerate(cells):
        heads = band.columns[column + 1 :]
        for number, text in enumerate(texts):
            start = max(0 if number else _offset(band, column), width(line) + 2 if line else 0)
            if line and heads and start >= heads[0].offset - 1:
                rest[column] = texts[number:]
                break
            line += " " * (start - width(line)) + text
    return line, rest


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
