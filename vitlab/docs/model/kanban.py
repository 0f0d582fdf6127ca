"""The kanban block: its cards in columns, and edits that move one card and keep all other lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.vocabulary import ParsedStatus, Vocabulary
from vitlab.docs.text.edit import Edit, common_ends
from vitlab.docs.text.inline import width
from vitlab.docs.text.source import Document, Fence, Span

_GAP = re.compile(r"[ \t\u3000]{2,}")
_RULER = re.compile(r"[─━═_*=~-]{3,}")
_DASHES = ("-", "—")
"""What an empty column shows."""
_FALLBACK_COLUMNS = {"partial": ("done",), "analysing": ("running",), "ready": ("planned",)}
"""Where a card goes when its status has no column of its own."""


@dataclass(frozen=True)
class Column:
    """A column head: its status, its text, and the display column at which it begins."""

    status: str
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
    parsed: ParsedStatus | None
    """The status written on a card itself, offsets in `text`."""


@dataclass(frozen=True)
class Band:
    """A line of column heads and the lines below it, until the next heads or an empty line."""

    columns: tuple[Column, ...]
    head: int
    """0-based line of the heads."""
    last: int
    """0-based line after the last one that is not empty."""
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Kanban:
    """The whole block."""

    bands: tuple[Band, ...]
    vocabulary: Vocabulary

    @property
    def cards(self) -> tuple[Segment, ...]:
        """Every card, in reading order."""
        return tuple(s for band in self.bands for s in band.segments if s.mvp is not None)

    def column_of(self, card: Segment) -> Column | None:
        """The column of a card; None for a card in none."""
        for band in self.bands:
            if card in band.segments:
                return band.columns[card.column] if card.column >= 0 else None
        return None


def find_kanban(document: Document, vocabulary: Vocabulary, ids: IdIndex) -> Kanban | None:
    """The first fenced block that opens with a line of two or more column heads."""
    for fence in document.fences:
        bands = tuple(_read_bands(document, fence, vocabulary, ids))
        if bands and len(bands[0].columns) >= 2:
            return Kanban(bands, vocabulary)
    return None


def _read_bands(
    document: Document, fence: Fence, vocabulary: Vocabulary, ids: IdIndex
) -> list[Band]:
    bands: list[Band] = []
    first, last = fence.content
    index = next((i for i in range(first, last) if document.line_text(i).strip()), last)
    while index < last:
        columns = _read_heads(document.line_text(index), vocabulary)
        if columns is None or (not bands and len(columns) < 2):
            if not bands:
                return []
            index += 1
            continue
        end = index + 1
        segments: list[Segment] = []
        while end < last and _read_heads(document.line_text(end), vocabulary) is None:
            segments += _read_segments(document, end, columns, ids, vocabulary)
            end += 1
        stop = max((s.index + 1 for s in segments), default=index + 1)
        bands.append(Band(columns, index, stop, tuple(segments)))
        index = end
    return bands


def _read_heads(line: str, vocabulary: Vocabulary) -> tuple[Column, ...] | None:
    """The column heads of a line; None when one of its pieces is not a status."""
    columns = []
    for start, text in pieces(line):
        parsed = vocabulary.read(text)
        if parsed is None or text[parsed.end :].strip(" ()（）0123456789"):
            return None
        columns.append(Column(parsed.status, text, width(line[:start])))
    return tuple(columns) or None


def pieces(line: str) -> list[tuple[int, str]]:
    """(index, text) of every piece between gaps of two or more blanks."""
    texts = []
    start = len(line) - len(line.lstrip())
    end = len(line.rstrip())
    for gap in _GAP.finditer(line, start, end):
        texts.append((start, line[start : gap.start()]))
        start = gap.end()
    if start < end:
        texts.append((start, line[start:end]))
    return texts


def _read_segments(
    document: Document,
    index: int,
    columns: Sequence[Column],
    ids: IdIndex,
    vocabulary: Vocabulary,
) -> list[Segment]:
    line = document.line_text(index)
    base = document.line_span(index).start
    segments = []
    for start, text in pieces(line):
        offset = width(line[:start])
        opening = ids.opening(text)
        card = opening[0] if opening else None
        column = -1 if _RULER.match(text) else _column_of(columns, offset)
        status = None
        if card and opening and opening[1]:
            status = _own_status(text, opening[1], vocabulary)
        segments.append(
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
    return segments


def _own_status(text: str, rest: str, vocabulary: Vocabulary) -> ParsedStatus | None:
    """The status with a glyph right after a card's id, offsets in `text`; None for none."""
    start = text.find(rest)
    parsed = vocabulary.read(text[start:]) if start >= 0 else None
    if parsed is None or parsed.glyph is None or parsed.loose:
        return None
    return ParsedStatus(
        parsed.status,
        (parsed.glyph[0] + start, parsed.glyph[1] + start),
        (parsed.word[0] + start, parsed.word[1] + start) if parsed.word else None,
        parsed.verdict,
        parsed.end + start,
    )


def _column_of(columns: Sequence[Column], offset: int) -> int:
    """The last column that begins at or before an offset; text may be one place too far left."""
    return max((n for n, column in enumerate(columns) if column.offset <= offset + 1), default=0)


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
    for wanted in (status, *_FALLBACK_COLUMNS.get(status, ())):
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
    return Counter(equals).most_common(1)[0][0] if equals else current_column(board, card)


def current_column(board: Kanban, card: Segment) -> ColumnIndex:
    """The column a card is in."""
    number = next(n for n, band in enumerate(board.bands) if card in band.segments)
    return ColumnIndex(number, card.column)


def move_card(
    document: Document,
    board: Kanban,
    card: Segment,
    to: ColumnIndex,
    text: str,
    order: Sequence[str],
) -> list[Edit]:
    """The edits that move a card, its text now `text`, to another column.

    `order`: the ids in the overview's order, which a column in that order keeps. A card stays
    where it is on a line with a ruler, and where a line would turn into column heads or a fence.
    """
    home = current_column(board, card)
    band = board.bands[home.band]
    text_alone = [] if text == card.text else [_replace_text(document, band, card, text)]
    if home == to:
        return text_alone
    if home.band == to.band and _one_per_line(band):
        return [_move_in_line(document, band, card, to.column, text)]
    if any(s.column < 0 for s in band.segments if s.index == card.index):
        return text_alone
    target = board.bands[to.band]
    parts = {to.band: _between_rulers(target, target.last)}
    parts[home.band] = _between_rulers(band, card.index)
    grids = {number: _grid(part) for number, part in parts.items()}
    taken = _remove_card(grids[home.band], card, parts[home.band], text)
    if not any(grids[home.band][home.column]) and _shows_dash(board, home):
        grids[home.band][home.column] = [("-",)]
    _insert_cells(
        grids[to.band][to.column], taken, _row_in_order(parts[to.band], to.column, card, order)
    )
    new = {number: _render_lines(document, parts[number], grid) for number, grid in grids.items()}
    for line in (line for lines in new.values() for line in lines):
        if line.lstrip().startswith(("```", "~~~")) or _read_heads(line, board.vocabulary):
            return text_alone
    return [edit for n, lines in new.items() if (edit := _replace_lines(document, parts[n], lines))]


def restore_board(
    document: Document, board: Kanban, then: Document, old: Kanban, card: Segment, text: str
) -> list[Edit] | None:
    """The edits that restore an earlier board; None where more than this card has changed since.

    None also where the card's text was not `text` then.
    """
    old_card = next((c for c in old.cards if c.mvp == card.mvp), None)
    if old_card is None or old_card.text != text or len(old.bands) != len(board.bands):
        return None
    if _other_texts(old, card) != _other_texts(board, card):
        return None
    edits = []
    for before, band in zip(old.bands, board.bands, strict=True):
        start, end = document.line_span(band.head).start, document.line_span(band.last - 1).end
        first, last = then.line_span(before.head).start, then.line_span(before.last - 1).end
        if document.text[start:end] != then.text[first:last]:
            edits.append(_shortest_edit(start, document.text[start:end], then.text[first:last]))
    return edits


def _other_texts(board: Kanban, card: Segment) -> list[tuple[int, int, str]]:
    """The texts of a board except one card, remarks and dashes, column by column."""
    return [
        (number, segment.column, segment.text)
        for number, band in enumerate(board.bands)
        for segment in sorted(band.segments, key=lambda s: (s.column, s.index))
        if segment.mvp != card.mvp
        and segment.text not in _DASHES
        and not _belongs_to_card(segment.text)
    ]


def _one_per_line(band: Band) -> bool:
    """Whether every line holds one card, so that its line is kept when it moves.

    Otherwise cards are stacked, and every column begins on the first line.
    """
    counts = Counter(s.index for s in band.segments)
    if not counts or max(counts.values()) > 1:
        return False
    if any(s.column < 0 for s in band.segments):
        return True
    columns = {s.column for s in band.segments}
    tops = [min(s.index for s in band.segments if s.column == column) for column in columns]
    return max(tops) > min(counts)


def _card_offset(band: Band, column: int) -> int:
    """The display column at which most cards of a column begin; without cards, the head's."""
    first = {s.index: s for s in reversed(band.segments) if s.column == column}
    offsets = Counter(s.offset for s in reversed(first.values()) if s.mvp)
    return offsets.most_common(1)[0][0] if offsets else band.columns[column].offset


def _replace_text(document: Document, band: Band, card: Segment, text: str) -> Edit:
    """The edit of a card's text; the gap after it shrinks so that no card changes its column."""
    after = [s for s in band.segments if s.index == card.index and s.offset > card.offset]
    wider = width(text) - width(card.text)
    if all(s.column in (-1, _column_of(band.columns, s.offset + wider)) for s in after):
        return Edit(card.span, card.text, text)
    end = after[0].span.start
    gap = width(document.text[card.span.end : end])
    old = document.text[card.span.start : end]
    return Edit(Span(card.span.start, end), old, text + " " * max(2, gap - wider))


def _move_in_line(document: Document, band: Band, card: Segment, column: int, text: str) -> Edit:
    start = document.line_span(card.index).start
    before = document.text[start : card.span.start]
    quote = before[: len(before) - len(before.lstrip(">"))]
    lead = quote + " " * max(0, _card_offset(band, column) - width(quote))
    return Edit(Span(start, card.span.end), before + card.text, lead + text)


_Texts = tuple[str, ...]
"""The texts that one column has on one line; usually one."""


def _between_rulers(band: Band, index: int) -> Band:
    """The part of a band around a line, up to the next rulers."""
    rulers = [s.index for s in band.segments if s.column < 0]
    head = max((i for i in rulers if i < index), default=band.head)
    last = min((i for i in rulers if i > index), default=band.last)
    inside = tuple(s for s in band.segments if head < s.index < last)
    return replace(band, head=head, last=last, segments=inside)


def _grid(band: Band) -> list[list[_Texts]]:
    """The texts of each column by line."""
    height = band.last - band.head - 1
    grid: list[list[_Texts]] = [[()] * height for _ in band.columns]
    for segment in band.segments:
        if segment.column >= 0:
            grid[segment.column][segment.index - band.head - 1] += (segment.text,)
    return grid


def _remove_card(grid: list[list[_Texts]], card: Segment, band: Band, text: str) -> list[_Texts]:
    """Remove a card, its text now `text`, and its remarks; what is below moves up."""
    column = grid[card.column]
    first = card.index - band.head - 1
    cell = column[first]
    start = cell.index(card.text)
    end = start + 1
    while end < len(cell) and _belongs_to_card(cell[end]):
        end += 1
    taken = (text, *cell[start + 1 : end])
    if others_in_cell := cell[:start] + cell[end:]:
        column[first] = others_in_cell
        return [taken]
    last = first + 1
    while last < len(column) and column[last] and all(map(_belongs_to_card, column[last])):
        last += 1
    below = column[first + 1 : last]
    del column[first:last]
    return [taken, *below]


def _belongs_to_card(text: str) -> bool:
    """Whether a text is a remark on the card above it: `(Run1,Run2)`, `└ ep12`."""
    return text[:1] in ("(", "（", "└", "↳", "·", "[")


def _row_in_order(band: Band, column: int, card: Segment, order: Sequence[str]) -> int | None:
    """The row at which a card is inserted to keep the overview's order; None: at the end."""
    rank = {mvp: number for number, mvp in enumerate(order)}
    ranked = [s for s in band.segments if s.column == column and s.mvp in rank]
    ranks = [rank[s.mvp] for s in ranked if s.mvp]
    if card.mvp not in rank or ranks != sorted(ranks):
        return None
    later = [s for s in ranked if s.mvp and rank[s.mvp] > rank[card.mvp]]
    return later[0].index - band.head - 1 if later else None


def _insert_cells(column: list[_Texts], cells: list[_Texts], row: int | None) -> None:
    if all(not texts or (len(texts) == 1 and texts[0] in _DASHES) for texts in column):
        column[:] = cells
        return
    while column and not column[-1]:
        column.pop()
    start = len(column) if row is None else row
    column[start:start] = cells


def _shows_dash(board: Kanban, leaving: ColumnIndex) -> bool:
    """Whether a column that becomes empty gets a `-`, as this board's other empty columns have."""
    empty = []
    for number, band in enumerate(board.bands):
        for column in range(len(band.columns)):
            texts = [s.text for s in band.segments if s.column == column]
            if ColumnIndex(number, column) != leaving and all(t in _DASHES for t in texts):
                empty.append(bool(texts))
    return any(empty) if empty else len(board.bands) == 1


def _render_lines(document: Document, band: Band, grid: list[list[_Texts]]) -> list[str]:
    """The lines of a grid; a line whose texts are unchanged is kept as it is."""
    old = _grid(band)
    lines = []
    row = 0
    while any(any(column[row:]) for column in grid):
        cells = [column[row] if row < len(column) else () for column in grid]
        if cells == [column[row] if row < len(column) else None for column in old]:
            lines.append(document.line_text(band.head + 1 + row))
        else:
            line, rest = _render_line(band, cells)
            lines.append(line)
            for column, texts in rest.items():
                grid[column][row : row + 1] = [cells[column][: -len(texts)], texts]
        row += 1
    return lines


def _replace_lines(document: Document, band: Band, lines: Sequence[str]) -> Edit | None:
    """The edit that gives a band other lines; None when they are the same."""
    start = document.line_span(band.head).end
    end = document.line_span(band.last - 1).end
    before, after = document.text[start:end], "".join(document.newline + line for line in lines)
    return _shortest_edit(start, before, after) if before != after else None


def _render_line(band: Band, cells: Sequence[_Texts]) -> tuple[str, dict[int, _Texts]]:
    """A line of cells, and by column the texts that do not fit under their head on it."""
    line = ""
    rest = {}
    for column, texts in enumerate(cells):
        heads = band.columns[column + 1 :]
        for number, text in enumerate(texts):
            start = max(0 if number else _card_offset(band, column), width(line) + 2 if line else 0)
            if line and heads and start >= heads[0].offset - 1:
                rest[column] = texts[number:]
                break
            line += " " * (start - width(line)) + text
    return line, rest


def _shortest_edit(start: int, before: str, after: str) -> Edit:
    """One edit without what both texts share at their ends."""
    head, tail = common_ends(before, after)
    old = before[head : len(before) - tail]
    return Edit(Span(start + head, start + head + len(old)), old, after[head : len(after) - tail])
