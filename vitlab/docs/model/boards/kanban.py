"""Boards of cards in columns, read from fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vitlab.docs.model.boards.board import Band, Column, Kanban, Segment
from vitlab.docs.model.boards.box import find_boxes
from vitlab.docs.model.boards.table_board import find_table_boards, tables_of_columns
from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.vocabulary import Vocabulary
from vitlab.docs.text.inline import width
from vitlab.docs.text.source import Document, Fence, Span

_GAP = re.compile(r"[ \t\u3000]{2,}")
_RULER = re.compile(r"[─━═_*=~-]{3,}")


def find_boards(document: Document, vocabulary: Vocabulary, ids: IdIndex) -> tuple[Kanban, ...]:
    """Every board: a table, one in a box, or a fenced block that begins with two or more heads."""
    boards = [
        *find_boxes(document, vocabulary, ids),
        *find_table_boards(document, vocabulary, ids),
    ]
    boxes = {line for board in boards for line in board.lines}
    for fence in document.fences:
        if boxes.isdisjoint(range(*fence.content)):
            bands = tuple(_read_bands(document, fence, vocabulary, ids))
            if bands and len(bands[0].columns) >= 2:
                boards.append(Kanban(bands, vocabulary))
    return tuple(sorted(boards, key=lambda board: board.lines[0]))


def lines_of_boards(document: Document, vocabulary: Vocabulary) -> Iterator[int]:
    """The 0-based lines in which cards can be: in fenced blocks, boxes and tables of statuses."""
    for first, last in tables_of_columns(document, vocabulary):
        yield from range(first, last)
    for fence in document.fences:
        yield from range(*fence.content)
    if any(side in document.text for side in "│┃║"):
        fenced = {i for fence in document.fences for i in range(fence.first, fence.last)}
        for index in range(len(document.lines)):
            if index not in fenced and document.line_text(index).lstrip()[:1] in tuple("│┃║"):
                yield index


def _read_bands(
    document: Document, fence: Fence, vocabulary: Vocabulary, ids: IdIndex
) -> list[Band]:
    bands: list[Band] = []
    first, last = fence.content
    index = next((i for i in range(first, last) if document.line_text(i).strip()), last)
    while index < last:
        columns = read_heads(document.line_text(index), vocabulary)
        if columns is None or (not bands and len(columns) < 2):
            if not bands:
                return []
            index += 1
            continue
        end = index + 1
        segments: list[Segment] = []
        while end < last and read_heads(document.line_text(end), vocabulary) is None:
            segments += _read_segments(document, end, columns, ids)
            end += 1
        stop = max((s.index + 1 for s in segments), default=index + 1)
        bands.append(Band(columns, index, stop, tuple(segments)))
        index = end
    return bands


def read_heads(line: str, vocabulary: Vocabulary) -> tuple[Column, ...] | None:
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
) -> list[Segment]:
    line = document.line_text(index)
    base = document.line_span(index).start
    segments = []
    for start, text in pieces(line):
        offset = width(line[:start])
        opening = ids.opening(text)
        card = opening[0] if opening else None
        column = -1 if _RULER.match(text) else column_of(columns, offset)
        segments.append(
            Segment(
                index,
                offset,
                Span(base + start, base + start + len(text)),
                text,
                column,
                card,
            )
        )
    return segments


def column_of(columns: Sequence[Column], offset: int) -> int:
    """The last column that begins at or before an offset; text may be one place too far left."""
    return max((n for n, column in enumerate(columns) if column.offset <= offset + 1), default=0)
