"""The kanban block: cards in columns held by nothing but the width of what stands left of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vitlab.docs.ids import IdIndex
from vitlab.docs.inline import width
from vitlab.docs.source import Document, Fence, Span
from vitlab.docs.vocabulary import StatusText, Vocabulary

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
    found: StatusText | None
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
            return Kanban(bands)
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


def _own_status(text: str, rest: str, vocabulary: Vocabulary) -> StatusText | None:
    """The status written right after a card's id, with a glyph; offsets in `text`."""
    at = text.find(rest)
    found = vocabulary.read(text[at:]) if at >= 0 else None
    if found is None or found.glyph is None:
        return None
    return StatusText(
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
