"""Boards that are markdown tables, `| ⏳ Todo | 🚀 Doing | ✅ Done |`, and cards moved in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from vitlab.docs.model.boards.board import Band, Column, Kanban, Segment
from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.vocabulary import Vocabulary
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.source import Document, Span
from vitlab.docs.text.tables import Table, column_width, set_cell, table_at

_BREAK = re.compile(r"[ \t]*<br\s*/?>[ \t]*", re.I)
_COUNT = re.compile(r"[\s()（）\d*_~`]*")
_NUMBER = re.compile(r"[\d.]*%?")
_DASHES = ("-", "—", "–")
_REMARKS = tuple("(（└↳·[")
"""How a remark on the card above it begins."""
_Cells = list[list[list[str]]]
"""The texts of a board: of each row, of each column, one below the other."""


def find_table_boards(document: Document, vocabulary: Vocabulary, ids: IdIndex) -> Iterator[Kanban]:
    """Every table whose heads are statuses, the first of them aside, and that has a card."""
    for first, last in tables_of_columns(document, vocabulary):
        table = table_at(document, first, last)
        columns = _columns(table, vocabulary)
        if not columns or len(table.rows) != last - first - 2:
            continue
        segments = tuple(_segments(document, table, columns, ids))
        if any(segment.mvp for segment in segments):
            yield Kanban((Band(columns, first, last, segments, None, table),), vocabulary)


def tables_of_columns(document: Document, vocabulary: Vocabulary) -> Iterator[tuple[int, int]]:
    """The lines of the tables whose last head is a status, as that of a board is."""
    for first, last in document.tables:
        head = document.line_text(first).rstrip(" \t|").rpartition("|")[2]
        if vocabulary.status(head.strip()):
            yield first, last


def _columns(table: Table, vocabulary: Vocabulary) -> tuple[Column, ...]:
    """The columns of a board; none for another table. The first may name what its rows share."""
    columns = []
    for number, cell in enumerate(table.header.cells):
        parsed = vocabulary.read(cell.raw)
        if parsed and not parsed.verdict and _COUNT.fullmatch(cell.raw, parsed.end):
            columns.append(Column(parsed.status, cell.raw, number))
        elif number == 0:
            columns.append(Column("", cell.raw, number))
        else:
            return ()
    statuses = {column.status for column in columns if column.status}
    return tuple(columns) if len(statuses) > 1 else ()


def _segments(
    document: Document, table: Table, columns: Sequence[Column], ids: IdIndex
) -> Iterator[Segment]:
    for row in table.rows:
        for number, cell in enumerate(row.cells[: len(columns)]):
            for span in _pieces(cell.raw, cell.start):
                text = document.slice(span)
                is_card = columns[number].status and not _NUMBER.fullmatch(text)
                opening = ids.opening(text) if is_card else None
                mvp = opening[0] if opening else None
                offset = span.start - row.span.start
                yield Segment(row.index, offset, span, text, number, mvp)


def _pieces(raw: str, start: int) -> Iterator[Span]:
    """What stands between the breaks of a cell."""
    at = 0
    for found in [*_BREAK.finditer(raw), None]:
        end = found.start() if found else len(raw)
        if raw[at:end].strip():
            yield Span(start + at, start + end)
        at = found.end() if found else end


def move_in_table(
    document: Document, band: Band, card: Segment, column: int, text: str, order: Sequence[str]
) -> list[Edit]:
    """The edits that give a card its text and move it to a column; no other card changes its own.

    `order`: the ids in the overview's order, which a column in that order keeps.
    """
    cells, rank = _cells(band), _ranks(band, card.mvp, order)
    row = card.index - band.head - 2
    place = cells[row][card.column]
    at = [s.span for s in _of_cell(band, card.index, card.column)].index(card.span)
    end = at + 1
    while end < len(place) and column != card.column and place[end][:1] in _REMARKS:
        end += 1
    taken = [text, *place[at + 1 : end]]
    if column == card.column:
        cells[row][column][at:end] = taken
    elif not band.columns[0].status or _one_per_row(cells):
        del place[at:end]
        _add(cells[row][column], taken, rank)
    else:
        del place[at:end]
        if not place:
            _move_up(cells, row, card.column)
        _insert(band, cells, column, taken, rank)
    return _edits(document, band, cells)


def add_to_table(document: Document, band: Band, column: int, text: str) -> list[Edit]:
    """The edits that add a card below the last one of a column."""
    cells = _cells(band)
    if band.columns[0].status:
        _insert(band, cells, column, [text], {})
    else:
        rows = [row for row in cells if row[column]] or cells
        rows[-1][column].append(text)
    return _edits(document, band, cells)


def _of_cell(band: Band, index: int, column: int) -> list[Segment]:
    return [s for s in band.segments if (s.index, s.column) == (index, column)]


def _cells(band: Band) -> _Cells:
    first = band.head + 2
    cells: _Cells = [[[] for _ in band.columns] for _ in range(first, band.last)]
    for segment in band.segments:
        if segment.text not in _DASHES:
            cells[segment.index - first][segment.column].append(segment.text)
    return cells


def _one_per_row(cells: _Cells) -> bool:
    """Whether every row holds one card, in whatever column it stands."""
    filled = {column for row in cells for column, texts in enumerate(row) if texts}
    return len(filled) > 1 and all(sum(map(bool, row)) <= 1 for row in cells)


def _move_up(cells: _Cells, row: int, column: int) -> None:
    """Close the gap that a card leaves with those below it."""
    below = [cells[number][column] for number in range(row + 1, len(cells))]
    for number, texts in enumerate([*below, []], row):
        cells[number][column] = texts


def _insert(
    band: Band, cells: _Cells, column: int, taken: list[str], rank: Mapping[str, int]
) -> None:
    filled = [row[column] for row in cells if row[column]]
    if any(len(texts) > 1 for row in _cells(band) for texts in row):  # cards stand in one cell
        _add(filled[-1] if filled else cells[0][column], taken, rank)
        return
    filled.insert(_place([texts[0] for texts in filled], rank), taken)
    while len(cells) < len(filled):
        cells.append([[] for _ in band.columns])
    for number, row in enumerate(cells):
        row[column] = filled[number] if number < len(filled) else []


def _add(texts: list[str], taken: list[str], rank: Mapping[str, int]) -> None:
    at = _place(texts, rank)
    texts[at:at] = taken


def _ranks(band: Band, mvp: str | None, order: Sequence[str]) -> dict[str, int]:
    """The places of all cards in the overview's order, that of the card which moves being 0."""
    if mvp not in order:
        return {}
    return {s.text: order.index(s.mvp) - order.index(mvp) for s in band.segments if s.mvp in order}


def _place(texts: Sequence[str], rank: Mapping[str, int]) -> int:
    """Where a card belongs among others in the overview's order; at the end of any other."""
    ranks = [rank[text] for text in texts if text in rank]
    if ranks != sorted(ranks):
        return len(texts)
    return next((n for n, text in enumerate(texts) if rank.get(text, 0) > 0), len(texts))


def _edits(document: Document, band: Band, cells: _Cells) -> list[Edit]:
    """The edits that make a table say what `cells` do: its cells, and rows at its end."""
    table, old = band.table, _cells(band)
    assert table is not None
    empty = next((s.text for s in band.segments if s.text in _DASHES), "")
    found = _BREAK.search(document.text, table.header.span.end, table.rows[-1].span.end)
    joint = found.group() if found else "<br>"
    while len(cells) > 1 and not any(cells[-1]) and any(old[len(cells) - 1]):
        cells.pop()
    edits: list[Edit | None] = []
    said = [[joint.join(texts) or empty for texts in row] for row in cells]
    for row, before, now, texts in zip(table.rows, old, cells, said, strict=False):
        if before != now and len(row.cells) < len(now):
            edits.append(Edit(row.span, document.slice(row.span), _line(document, table, texts)))
            continue
        for column, text in enumerate(texts):
            if before[column] != now[column]:
                edits.append(set_cell(document, table, row, column, text))
    end = table.rows[min(len(cells), len(old)) - 1].span.end
    if len(cells) < len(old):
        span = Span(end, table.rows[-1].span.end)
        edits.append(Edit(span, document.slice(span), ""))
    if more := [_line(document, table, texts) for texts in said[len(old) :]]:
        edits.append(Edit(Span(end, end), "", "".join(document.newline + line for line in more)))
    return [edit for edit in edits if edit]


def _line(document: Document, table: Table, texts: Sequence[str]) -> str:
    """A row in the table's layout, its texts being markdown already."""
    like = table.rows[-1]
    line = document.slice(like.span)
    opening = line[: like.cells[0].left - like.span.start]
    outers = []
    for column, text in enumerate(texts):
        size, measure = column_width(document, table, column)
        outer = f" {text} "
        outers.append(outer + " " * max(0, size - measure(outer)))
    body = "|".join(outers)
    return f"{opening}{body}|" if line.rstrip().endswith("|") else f"{opening}{body.rstrip()}"
