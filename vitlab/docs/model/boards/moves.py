"""Edits of a board that move one card with its remarks and keep all other cards and lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vitlab.contract.reading import whole_number
from vitlab.docs.model.boards.board import Band, ColumnIndex, Kanban, Segment, current_column
from vitlab.docs.model.boards.box import belongs_in_box, draw_box, rest_of_card
from vitlab.docs.model.boards.kanban import column_of, read_heads
from vitlab.docs.model.boards.table_board import add_to_table, move_in_table
from vitlab.docs.text.edit import Edit, common_ends
from vitlab.docs.text.inline import width
from vitlab.docs.text.source import Document, Span

_COUNTED = re.compile(r"[(（](\d+)[)）]$")
WORK = 100_000
"""Cards that are drawn anew at a time: each move reads and draws its whole board."""
_DASHES = ("-", "—")
"""What an empty column shows."""


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
    if band.table:
        moved = move_in_table(document, band, card, to.column, text, order)
        counts = _new_counts(board, home, to) if home != to else []
        return [*_head_edits(document, counts), *moved]
    text_alone = [] if text == card.text else _replaced_text(document, band, card, text)
    if home == to:
        return text_alone
    if home.band == to.band and not band.box and _one_per_line(band):
        heads = _head_edits(document, _new_counts(board, home, to))
        return [*heads, _move_in_line(document, band, card, to.column, text)]
    if any(s.column < 0 for s in band.segments if s.index == card.index):
        return text_alone
    target = board.bands[to.band]
    parts = {to.band: _between_rulers(target, target.last)}
    parts[home.band] = _between_rulers(band, card.index)
    grids = {number: _grid(part) for number, part in parts.items()}
    belongs = belongs_in_box if band.box else _belongs_to_card
    taken = _remove_card(grids[home.band], card, parts[home.band], text, belongs)
    if not any(grids[home.band][home.column]) and _shows_dash(board, home):
        grids[home.band][home.column] = [("-",)]
    _insert_cells(
        grids[to.band][to.column], taken, _row_in_order(parts[to.band], to.column, card, order)
    )
    if band.box:
        return _box_edits(document, board, parts, grids, _new_counts(board, home, to))
    new = {number: _render_lines(document, parts[number], grid) for number, grid in grids.items()}
    for line in (line for lines in new.values() for line in lines):
        if line.lstrip().startswith(("```", "~~~")) or read_heads(line, board.vocabulary):
            return text_alone
    heads = _head_edits(document, _new_counts(board, home, to))
    edits = (_replace_lines(document, parts[n], lines) for n, lines in new.items())
    return [*heads, *(edit for edit in edits if edit)]


def add_card(document: Document, board: Kanban, to: ColumnIndex, text: str) -> list[Edit]:
    """The edits that add a card at the end of a column; none where it cannot be drawn there."""
    band = board.bands[to.band]
    counts = _new_counts(board, None, to)
    heads = _head_edits(document, counts)
    if band.table:
        return [*heads, *add_to_table(document, band, to.column, text)]
    if not band.box and _one_per_line(band):
        lines = [s.index for s in band.segments if s.column in (to.column, -1)]
        index = max(lines, default=band.last - 1)
        start = document.line_span(index).start
        quote = re.match(r"[ >]*>|", document.text[start:]).group()  # type: ignore[union-attr]
        lead = quote + " " * max(0, _card_offset(band, to.column) - width(quote))
        end = document.line_span(index).end
        return [*heads, Edit(Span(end, end), "", f"{document.newline}{lead}{text}")]
    part = _between_rulers(band, band.last)
    grid = _grid(part)
    _insert_cells(grid[to.column], [(text,)], None)
    if band.box:
        return _box_edits(document, board, {to.band: part}, {to.band: grid}, counts)
    new = _render_lines(document, part, grid)
    if any(line.lstrip().startswith(("```", "~~~")) for line in new):
        return []
    edit = _replace_lines(document, part, new)
    return [*heads, *([edit] if edit else [])]


def _new_counts(
    board: Kanban, home: ColumnIndex | None, to: ColumnIndex
) -> list[tuple[int, str, str]]:
    """(line, head, new head) of each head that counts its cards: `🚀 运行 (2)`."""
    counts = []
    for index, more in ((home, -1), (to, 1)):
        if index is None:
            continue
        band = board.bands[index.band]
        head = band.columns[index.column].text
        cards = sum(s.mvp is not None and s.column == index.column for s in band.segments)
        match = _COUNTED.search(head)
        if match and whole_number(match[1]) == cards:
            new = head[: match.start(1)] + str(cards + more) + head[match.end(1) :]
            counts.append((band.head, head, new))
    return counts


def _with_head(line: str, head: str, new: str) -> str:
    """A line with another head, the next one where it was."""
    at = line.index(head) + len(head)
    after, more = line[at:], len(new) - len(head)
    if more > 0 and after.startswith("  "):
        after = after[more:]
    elif more < 0 and after.strip():
        after = " " * -more + after
    return line[: at - len(head)] + new + after


def _head_edits(document: Document, counts: Sequence[tuple[int, str, str]]) -> list[Edit]:
    edits = []
    for index in dict.fromkeys(index for index, _, _ in counts):
        old = line = document.line_text(index)
        for _, head, new in (count for count in counts if count[0] == index):
            line = _with_head(line, head, new)
        edits.append(_shortest_edit(document.line_span(index).start, old, line))
    return edits


def _box_edits(
    document: Document,
    board: Kanban,
    parts: Mapping[int, Band],
    grids: Mapping[int, Sequence[Sequence[_Texts]]],
    counts: Sequence[tuple[int, str, str]],
) -> list[Edit]:
    """The edits that draw the boxes of some bands again, each box once.

    None where two bands of one box have other columns: it cannot be drawn as one.
    """
    edits: list[Edit] = []
    for box in sorted({board.bands[number].box or (0, 0) for number in parts}):
        inside = [number for number in parts if board.bands[number].box == box]
        wanted = {}
        if len({len(board.bands[number].columns) for number in inside}) > 1:
            return []
        for number in inside:
            part, old = parts[number], _grid(parts[number])
            wanted[part.head, part.last] = (_rows(old), _rows(grids[number]))
        lines = draw_box(document, board.bands[inside[0]], wanted)
        for index, head, new in counts:
            if index in range(*box):
                lines[index - box[0]] = _with_head(lines[index - box[0]], head, new)
        edits += _replaced_lines(document, range(*box), lines)
    return edits


def _rows(grid: Sequence[Sequence[_Texts]]) -> list[list[_Texts]]:
    """A grid by lines; columns that have become shorter end with empty cells."""
    height = max(map(len, grid), default=0)
    return [[column[n] if n < len(column) else () for column in grid] for n in range(height)]


def _replaced_lines(document: Document, lines: range, new: Sequence[str]) -> list[Edit]:
    """The edit that gives some lines other texts, each end of a line kept."""
    start, end = document.line_span(lines[0]).start, document.line_span(lines[-1]).end
    ends = [
        document.text[document.line_span(i).end : document.line_span(i + 1).start]
        for i in lines[:-1]
    ]
    newline = ends[-1] if ends else document.newline
    ends = (ends + [newline] * len(new))[: len(new) - 1]
    after = "".join(a + b for a, b in zip(new, [*ends, ""], strict=True))
    before = document.text[start:end]
    return [_shortest_edit(start, before, after)] if before != after else []


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
    if board.bands[0].box or board.bands[0].table:
        lines = [then.line_text(i) for i in old.lines]
        return _replaced_lines(document, board.lines, lines)
    edits = []
    for before, band in zip(old.bands, board.bands, strict=True):
        start, end = document.line_span(band.head).start, document.line_span(band.last - 1).end
        first, last = then.line_span(before.head).start, then.line_span(before.last - 1).end
        if document.text[start:end] != then.text[first:last]:
            edits.append(_shortest_edit(start, document.text[start:end], then.text[first:last]))
    return edits


def _other_texts(board: Kanban, card: Segment) -> list[tuple[int, int, str]]:
    """The texts of a board except one card, remarks and dashes, column by column."""
    own = [
        more.span
        for band in board.bands
        for same in band.segments
        if band.box and same.mvp == card.mvp
        for more in rest_of_card(band, same)
    ]
    return [
        (number, segment.column, segment.text)
        for number, band in enumerate(board.bands)
        for segment in sorted(band.segments, key=lambda s: (s.column, s.index))
        if segment.mvp != card.mvp
        and segment.text not in _DASHES
        and segment.column >= (0 if band.box else -1)
        and segment.span not in own
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


def _replaced_text(document: Document, band: Band, card: Segment, text: str) -> list[Edit]:
    if band.box is None:
        return [_replace_text(document, band, card, text)]
    part = _between_rulers(band, card.index)
    old, new = _grid(part), _grid(part)
    cell = new[card.column][card.index - part.head - 1]
    at = cell.index(card.text)
    new[card.column][card.index - part.head - 1] = (*cell[:at], text, *cell[at + 1 :])
    lines = draw_box(document, band, {(part.head, part.last): (_rows(old), _rows(new))})
    return _replaced_lines(document, range(*band.box), lines)


def _replace_text(document: Document, band: Band, card: Segment, text: str) -> Edit:
    """The edit of a card's text; the gap after it shrinks so that no card changes its column."""
    after = [s for s in band.segments if s.index == card.index and s.offset > card.offset]
    wider = width(text) - width(card.text)
    if all(s.column in (-1, column_of(band.columns, s.offset + wider)) for s in after):
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


def _remove_card(
    grid: list[list[_Texts]], card: Segment, band: Band, text: str, belongs: Callable[[str], bool]
) -> list[_Texts]:
    """Remove a card, its text now `text`, and its remarks; what is below moves up."""
    column = grid[card.column]
    first = card.index - band.head - 1
    cell = column[first]
    start = cell.index(card.text)
    end = start + 1
    while end < len(cell) and belongs(cell[end]):
        end += 1
    taken = (text, *cell[start + 1 : end])
    if others_in_cell := cell[:start] + cell[end:]:
        column[first] = others_in_cell
        return [taken]
    last = first + 1
    while last < len(column) and column[last] and all(map(belongs, column[last])):
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
    boxed = board.bands[0].box is not None
    return any(empty) if empty else len(board.bands) == 1 and not boxed


def _render_lines(document: Document, band: Band, grid: list[list[_Texts]]) -> list[str]:
    """The lines of a grid; a line whose texts are unchanged is kept as it is."""
    old, offsets = _grid(band), [_card_offset(band, n) for n in range(len(band.columns))]
    lines = []
    row = 0
    while any(any(column[row:]) for column in grid):
        cells = [column[row] if row < len(column) else () for column in grid]
        if cells == [column[row] if row < len(column) else None for column in old]:
            lines.append(document.line_text(band.head + 1 + row))
        else:
            line, rest = _render_line(band, offsets, cells)
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


def _render_line(
    band: Band, offsets: Sequence[int], cells: Sequence[_Texts]
) -> tuple[str, dict[int, _Texts]]:
    """A line of cells, and by column the texts that do not fit under their head on it."""
    line = ""
    rest = {}
    for column, texts in enumerate(cells):
        heads = band.columns[column + 1 :]
        for number, text in enumerate(texts):
            start = max(0 if number else offsets[column], width(line) + 2 if line else 0)
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
