"""Boards drawn in boxes (`┌─┬─┐`, `+--+`): read, and drawn again with other cards in them."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from vitlab.docs.model.boards.board import Band, Column, Kanban, Segment
from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.vocabulary import Vocabulary
from vitlab.docs.text.inline import width
from vitlab.docs.text.source import Document, Span

_SIDE = re.compile(r"[│┃║┆┊|]")
_HORIZONTAL = "─━═┄┅┈┉╌=-"
_JOINT = re.compile(r"[┌┐└┘├┤┬┴┼╔╗╚╝╠╣╦╩╬╭╮╯╰┏┓┗┛┣┫┳┻╋╒╕╘╛╞╡╤╧╪╓╖╙╜╟╢╥╨╫+]")
_BORDER = re.compile(rf"[\s>]*{_JOINT.pattern}.*[{_HORIZONTAL}].*{_JOINT.pattern}\s*")
_ROW = re.compile(rf"[\s>]*{_SIDE.pattern}.*{_SIDE.pattern}\s*")
_ASCII_BORDER = re.compile(r"[\s>]*\+[-=+]{3,}\+\s*")
_LIST = re.compile(r"\s*[,，、;；]\s*|\s{2,}")
_CARD = re.compile(r"\W*(?:MVP\b|[A-Za-z]*\d+[.-]\w)", re.I)
_PIECE = re.compile(r"\S+(?: \S+)*")
_COUNT = re.compile(r"[\s*_()（）\[\]0-9个]*")


def find_boxes(document: Document, vocabulary: Vocabulary, ids: IdIndex) -> Iterator[Kanban]:
    """Every board in boxes: one of several columns, or several boxes under one another."""
    boxes = list(_boxes(document)) if _may_have_boxes(document.text) else []
    bands: list[Band] = []
    for first, end in boxes:
        if bands and not _same_place(document, bands[-1], first):
            yield from _board(bands, vocabulary)
            bands = []
        bands += _read_box(document, first, end, vocabulary, ids)
    yield from _board(bands, vocabulary)


def _may_have_boxes(text: str) -> bool:
    return any(mark in text for mark in ("│", "┃", "║", "+--", "+=="))


def _board(bands: Sequence[Band], vocabulary: Vocabulary) -> Iterator[Kanban]:
    if sum(bool(column.status) for band in bands for column in band.columns) >= 2:
        yield Kanban(tuple(bands), vocabulary)


def _same_place(document: Document, band: Band, first: int) -> bool:
    """Whether a box belongs to the board before it: in one fence, or with empty lines between."""
    end = band.box[1] if band.box else band.last
    between = range(end, first)
    if any(f.content[0] <= end <= f.content[1] and first < f.content[1] for f in document.fences):
        return True
    return not any(document.line_text(i).strip() for i in between)


def _boxes(document: Document) -> Iterator[tuple[int, int]]:
    """The 0-based lines of every box, end excluded."""
    fenced = {i for fence in document.fences for i in range(*fence.content)}
    hidden = {i for first, last in document.tables for i in range(first, last)}
    first: int | None = None
    for index in range(len(document.lines) + 1):
        text = document.line_text(index) if index < len(document.lines) else ""
        kind = _line_kind(text) if index not in hidden else ""
        if kind and text.isascii() and index not in fenced:
            kind = ""
        if first is None:
            first = index if kind == "border" else None
        elif not kind or (kind == "border" and text.strip(" \t>")[0] in "┌╔┏╭" and index > first):
            if index - first > 2:
                yield first, index
            first = index if kind == "border" else None


def _line_kind(text: str) -> str:
    """`border`, `row`, or empty."""
    if _ROW.fullmatch(text):
        return "row"
    border = _ASCII_BORDER if text.isascii() else _BORDER
    return "border" if border.fullmatch(text) else ""


Cells = list[tuple[int, int]]
"""The cells of a row, as (start, end) between the sides."""


def _cells(text: str, inner: Sequence[int] = ()) -> Cells:
    """The cells of a row; `inner`: the display columns at which cells without sides begin."""
    drawn = _SIDE.search(text)
    if drawn is None:
        return []
    ascii_sides = drawn.group() == "|"  # a bar inside a box of lines is text
    sides = [m.start() for m in _SIDE.finditer(text) if (m.group() == "|") == ascii_sides]
    cells = [(left + 1, right) for left, right in pairwise(sides)]
    if len(cells) != 1 or len(inner) < 2:
        return cells
    start, end = cells[0]
    cuts = [start, *(_at_width(text, offset) for offset in inner[1:]), end]
    return list(pairwise(cuts)) if cuts == sorted(cuts) else cells


def _at_width(text: str, offset: int) -> int:
    """The character that begins at a display column or right behind it."""
    columns = 0
    for index, char in enumerate(text):
        if columns >= offset:
            return index
        columns = width(text[: index + 1]) if not char.isascii() else columns + 1
    return len(text)


def _inner(document: Document, band: Band) -> list[int]:
    """Where the columns of a box begin that has no sides between them; empty for others."""
    return _inner_of(document.line_text(band.head), band.columns)


def _inner_of(head: str, columns: Sequence[Column]) -> list[int]:
    alone = _line_kind(head) == "row" and len(_cells(head)) == 1 and len(columns) > 1
    return [column.offset for column in columns] if alone else []


def _titles(text: str) -> Cells:
    """The cells of a border, which may hold titles: `┌─ 🚀 运行 ─┬─ ✅ 完成 ─┐`."""
    joints = [match.start() for match in _JOINT.finditer(text)]
    return [(left + 1, right) for left, right in pairwise(joints)]


def _read_heads(text: str, border: bool, vocabulary: Vocabulary) -> list[Column] | None:
    """The column heads of a line; None when fewer than half of its texts are statuses."""
    columns, statuses, texts = [], 0, 0
    cells = _titles(text) if border else _cells(text)
    if len(cells) == 1 and not border:
        start, end = cells[0]
        cells = [(start + m.start(), start + m.end()) for m in _PIECE.finditer(text[start:end])]
    for start, end in cells:
        title = text[start:end].strip(_HORIZONTAL + " \t*_")
        parsed = vocabulary.read(title) if title else None
        whole = parsed is not None and _COUNT.fullmatch(title[parsed.end :]) is not None
        status = parsed.status if parsed and whole else ""
        if not status and _CARD.match(title):
            return None
        columns.append(Column(status, title, width(text[:start])))
        statuses, texts = statuses + bool(status), texts + bool(title)
    return columns if statuses and statuses * 2 >= texts else None


def _read_box(
    document: Document, first: int, end: int, vocabulary: Vocabulary, ids: IdIndex
) -> Iterator[Band]:
    """The bands of a box: its heads and the rows below each of them."""
    heads: list[tuple[int, list[Column]]] = []
    for index in range(first, end):
        text = document.line_text(index)
        columns = _read_heads(text, _line_kind(text) == "border", vocabulary)
        if columns:
            heads.append((index, columns))
    for number, (head, columns) in enumerate(heads):
        stop = heads[number + 1][0] if number + 1 < len(heads) else end
        borders = [i for i in range(head + 1, stop) if _line_kind(document.line_text(i)) != "row"]
        last = borders[-1] if borders else stop
        segments: list[Segment] = []
        for index in range(head + 1, last):
            inner = _inner_of(document.line_text(head), columns)
            segments += _read_line(document, index, columns, inner, ids)
        yield Band(tuple(columns), head, last, tuple(segments), (first, end))


def _read_line(
    document: Document, index: int, columns: Sequence[Column], inner: Sequence[int], ids: IdIndex
) -> Iterator[Segment]:
    text = document.line_text(index)
    base = document.line_span(index).start
    if _line_kind(text) == "border":
        span = Span(base, base + len(text))
        yield Segment(index, 0, span, text.strip(), -1, None)
        return
    cells = _cells(text, inner)
    if len(cells) != len(columns):  # its sides are not those of the heads: it stays where it is
        yield Segment(index, 0, Span(base, base), "", -1, None)
    for number, (start, end) in enumerate(cells):
        column = number
        if len(cells) != len(columns):
            middle = width(text[:start]) + width(text[start:end]) // 2
            column = max((n for n, c in enumerate(columns) if c.offset <= middle), default=0)
        for left, right in _texts(text, start, end, ids):
            opening = ids.opening(text[left:right])
            span = Span(base + left, base + right)
            place = width(text[:left])
            yield Segment(
                index, place, span, text[left:right], column, opening[0] if opening else None
            )


def _texts(text: str, start: int, end: int, ids: IdIndex) -> Iterator[tuple[int, int]]:
    """The texts of a cell: one, or several cards between commas or wide gaps."""
    inner = text[start:end].strip()
    if not inner:
        return
    at = start + text[start:end].index(inner)
    parts, last = [], 0
    for gap in (*_LIST.finditer(inner), None):
        stop = gap.start() if gap else len(inner)
        parts.append((at + last, at + stop))
        last = gap.end() if gap else stop
    if len(parts) > 1 and all(ids.opening(text[a:b]) for a, b in parts):
        yield from parts
    else:
        yield at, at + len(inner)


def belongs_in_box(text: str) -> bool:
    """Whether a text below a card in a box is more of that card."""
    return text not in ("-", "—", "…") and not _CARD.match(text)


def _line(segment: Segment) -> int:
    return segment.index


def rest_of_card(band: Band, card: Segment) -> list[Segment]:
    """The texts below a card in its column of a box that are more of it."""
    rest: list[Segment] = []
    segments = band.segments
    for number in range(bisect_right(segments, card.index, key=_line), len(segments)):
        segment, line = segments[number], card.index + len(rest) + 1
        if segment.index > line:
            break
        if segment.column not in (card.column, -1):
            continue
        if segment.index < line or segment.column < 0:
            break
        if segment.mvp or not belongs_in_box(segment.text):
            break
        rest.append(segment)
    return rest


Rows = Sequence[Sequence[tuple[str, ...]]]
"""For each row of a part, the texts of each column."""


def draw_box(
    document: Document, band: Band, parts: Mapping[tuple[int, int], tuple[Rows, Rows]]
) -> list[str]:
    """The lines of a box with other texts in some of its rows.

    `parts`: (line before the rows, line after them) -> rows there now, and those wanted. A column
    becomes wider where a text needs it; a part keeps as many empty rows at its end as it had.
    """
    first, end = band.box or (band.head, band.last)
    lines = [document.line_text(index) for index in range(first, end)]
    cells = len(band.columns)
    inner = _inner(document, band)
    whole = [x for x in lines if _line_kind(x) == "row" and len(_cells(x, inner)) == cells]
    if not whole:
        return lines
    comma = ", " if any(_is_list(document, s) for s in band.segments) else "  "
    drawn: dict[tuple[int, int], list[tuple[str, list[str] | None]]] = {}
    for (head, last), (old, new) in parts.items():
        rows: list[tuple[str, list[str] | None]] = []
        for number in range(_height(old, new)):
            wanted = list(new[number]) if number < len(new) else [()] * cells
            is_there = head + 1 + number < last
            line = lines[head + 1 + number - first] if is_there else whole[-1]
            same = is_there and number < len(old) and list(old[number]) == wanted
            rows.append((line, None if same else [comma.join(each) for each in wanted]))
        drawn[head, last] = rows
    leads = [_lead(document, band, column, inner) for column in range(cells)]
    extra = [0] * cells
    for line, texts in (row for rows in drawn.values() for row in rows):
        for column, (cell, text) in enumerate(zip(_cells(line, inner), texts or (), strict=False)):
            gap = 2 if inner and column + 1 < cells else 1
            lacks = leads[column] + width(text) + gap - width(line[slice(*cell)]) if text else 0
            extra[column] = max(extra[column], lacks)
    lines = [_wider(line, extra, inner) for line in lines]
    moved = [offset + sum(extra[:number]) for number, offset in enumerate(inner)]
    for (head, last), rows in sorted(drawn.items(), reverse=True):
        lines[head + 1 - first : last - first] = [
            _filled(_wider(line, extra, inner), leads, texts, moved)
            if texts
            else _wider(line, extra, inner)
            for line, texts in rows
        ]
    return lines


def _height(old: Rows, new: Rows) -> int:
    before, after = _used(old), _used(new)
    return after + len(old) - before if before and after else max(len(old), after)


def _used(rows: Rows) -> int:
    """The number of rows up to the last one with a text."""
    return max((n for n, row in enumerate(rows, 1) if any(row)), default=0)


def _is_list(document: Document, segment: Segment) -> bool:
    return segment.mvp is not None and document.text[segment.span.end :].lstrip()[:1] in tuple(
        ",，、"
    )


def _lead(document: Document, band: Band, column: int, inner: Sequence[int]) -> int:
    """The blanks before most texts of a column; 1 where it has none."""
    if inner:
        head = document.line_text(band.head)
        return 0 if column else inner[0] - width(head[: _cells(head)[0][0]])
    leads = Counter[int]()
    for segment in band.segments:
        if segment.column == column and segment.mvp:
            line = document.line_text(segment.index)
            before = line[: segment.span.start - document.line_span(segment.index).start]
            blanks = len(before) - len(before.rstrip())
            leads[blanks] += before[: len(before) - blanks][-1:] in tuple("│┃║|┆┊")
    return leads.most_common(1)[0][0] if leads.total() else 1


def _wider(line: str, extra: Sequence[int], inner: Sequence[int]) -> str:
    """A line of a box whose columns are wider by so many places."""
    if not any(extra):
        return line
    row = _line_kind(line) == "row"
    ends = [end for _, end in (_cells(line, inner) if row else _titles(line))]
    if not ends:
        return line
    if len(ends) == len(extra):
        places = list(zip(ends, extra, strict=True))
    else:
        places = [(ends[-1], sum(extra))]
    for end, more in reversed(places):
        fill = " " if row or line[end - 1] not in _HORIZONTAL else line[end - 1]
        line = line[:end] + fill * more + line[end:]
    return line


def _filled(line: str, leads: Sequence[int], texts: Sequence[str], inner: Sequence[int]) -> str:
    """A row with other texts in its cells, each as wide as it was."""
    cells = list(zip(_cells(line, inner), leads, texts, strict=True))
    for (start, end), lead, text in reversed(cells):
        new = " " * lead + text if text else ""
        line = line[:start] + new + " " * (width(line[start:end]) - width(new)) + line[end:]
    return line
