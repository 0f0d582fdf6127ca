"""Boards that are lists below headings of statuses, `## 🚀 Doing`, and items moved between them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vitlab.contract.reading import whole_number
from vitlab.docs.model.boards.board import FALLBACK_COLUMNS, Column
from vitlab.docs.model.boards.kanban import read_heads
from vitlab.docs.model.ids import IdIndex, several_ids
from vitlab.docs.model.status_marks import Mark, id_span, item_marks
from vitlab.docs.model.vocabulary import OF_SENTENCES, Vocabulary
from vitlab.docs.text.edit import Edit, apply
from vitlab.docs.text.inline import folded
from vitlab.docs.text.source import Document, Heading, Span

_ITEM = re.compile(
    r"(?P<lead>[ \t>]*)(?:[-*+]|\d{1,3}[.)])[ \t]+(?:\[[ xX/-]\][ \t]+)?(?P<text>\S[^\r\n]*)"
)
COUNT = re.compile(r"[(（](\d+)[)）]\s*$")
"""How many items a heading says there are below it: `🚀 Doing (2)`."""
_REMARK = re.compile(r"\s+[-–—]+\s.*$|\s*[—–]{2,}.*$|[:：].*$")
"""What a heading says of its status: `🚀 Running - 已启动未归档`."""
_NUMBER = re.compile(r"(?<![\d.])[\d.]+[.、)]?\s+(?=\D)")


@dataclass(frozen=True)
class ListCard:
    """One item, with the lines that belong to it."""

    mvp: str
    lines: range
    """0-based."""
    at: int
    """Where its text begins, behind bullet and box."""
    text: str
    mark: Mark | None
    """A status of its own; offsets in `text`."""


@dataclass(frozen=True)
class ListColumn:
    """One heading, and the items of MVPs below it."""

    status: str
    heading: Heading
    end: int
    """0-based line of the next heading."""
    items: tuple[range, ...]
    """The lines of every item."""
    cards: tuple[ListCard, ...]


def list_boards(
    document: Document, vocabulary: Vocabulary, ids: IdIndex
) -> tuple[tuple[ListColumn, ...], ...]:
    """Every group of headings of one level that are two or more statuses, with their items."""
    boards = []
    for group in headings_of_statuses(document, vocabulary):
        columns = tuple(_column(document, vocabulary, ids, *one) for one in group)
        cards = [card.mvp for column in columns for card in column.cards]
        if cards and len(cards) == len(set(cards)):
            boards.append(columns)
    return tuple(boards)


def lines_below_statuses(document: Document, vocabulary: Vocabulary) -> Iterator[int]:
    """The 0-based lines in which such items can be."""
    for group in headings_of_statuses(document, vocabulary):
        for _, heading, end in group:
            yield from range(heading.index + 1, end)


def head_of(title: str, vocabulary: Vocabulary) -> Column | None:
    """The status that a heading is, with or without number and remark; None for any other."""
    title = _NUMBER.sub("", title, count=1)
    heads = read_heads(title, vocabulary)
    if heads is None and vocabulary.glyph_starts(title)[:1] == [0]:
        heads = read_heads(_REMARK.sub("", title), vocabulary)
    return heads[0] if heads and len(heads) == 1 else None


def headings_of_statuses(
    document: Document, vocabulary: Vocabulary
) -> Iterator[list[tuple[str, Heading, int]]]:
    """The status, heading and end of each of some headings beside each other."""
    groups: dict[tuple[int, int], list[tuple[str, Heading, int]]] = {}
    sure = set()
    path: list[Heading] = []
    for number, heading in enumerate(document.headings):
        path = [one for one in path if one.level < heading.level]
        parent = path[-1].index if path else -1
        path.append(heading)
        head = head_of(heading.title, vocabulary)
        if head is None:
            continue
        after = document.headings[number + 1 : number + 2]
        end = after[0].index if after else len(document.lines)
        key = (heading.level, parent)
        groups.setdefault(key, []).append((head.status, heading, end))
        if folded(head.text) not in OF_SENTENCES:
            sure.add(key)
    for key, group in groups.items():
        if key in sure and len({status for status, _, _ in group}) > 1:
            yield group


def _column(
    document: Document,
    vocabulary: Vocabulary,
    ids: IdIndex,
    status: str,
    heading: Heading,
    end: int,
) -> ListColumn:
    skipped = set(document.hidden_lines)
    skipped.update(i for fence in document.fences for i in range(fence.first, fence.last))
    found = [
        (index, match)
        for index in range(heading.index + 1, end)
        if index not in skipped and (match := _ITEM.match(document.line_text(index)))
    ]
    outer = min((len(match["lead"]) for _, match in found), default=0)
    tops = [(index, match) for index, match in found if len(match["lead"]) == outer]
    items, cards = [], []
    for number, (index, match) in enumerate(tops):
        stop = tops[number + 1][0] if number + 1 < len(tops) else end
        lines = range(index, _end_of_item(document, index, stop, outer))
        items.append(lines)
        opening = id_span(match["text"], ids, vocabulary)
        if opening and not several_ids(match["text"]):
            marks = item_marks(match["text"], opening[1], vocabulary)
            at = document.line_span(index).start + match.start("text")
            mark = marks[-1] if marks else None
            cards.append(ListCard(opening[0], lines, at, match["text"], mark))
    return ListColumn(status, heading, end, tuple(items), tuple(cards))


def _end_of_item(
    document: Document, index: int, stop: int, outer: int, *, in_list: bool = True
) -> int:
    """The line after an item: what is nested in it or goes on in it is its own."""
    last, blank = index, False
    for line in range(index + 1, stop):
        text = document.line_text(line)
        if not text.strip(" \t>"):
            blank = True
            continue
        if (blank or not in_list) and len(text) - len(text.lstrip(" \t>")) <= outer:
            break
        last = line
    return last + 1


def wanted_column(
    board: Sequence[ListColumn], card: ListCard, status: str
) -> tuple[ListColumn, ListColumn | None]:
    """The column a card is in, and the one of a status; None where no heading says that."""
    home = next(column for column in board if card in column.cards)
    for wanted in (status, *FALLBACK_COLUMNS.get(status, ())):
        if home.status == wanted:
            return home, home
        found = next((column for column in board if column.status == wanted), None)
        if found:
            return home, found
    return home, None


def moved_item(
    document: Document,
    board: Sequence[ListColumn],
    card: ListCard,
    to: ListColumn,
    order: Sequence[str],
    edits: Sequence[Edit],
) -> list[Edit]:
    """The edits, those inside an item made where it goes: into another column.

    `order`: the ids as a column has them that is in that order; elsewhere it goes to the end.
    """
    start, end = document.line_span(card.lines[0]).start, document.line_span(card.lines[-1]).end
    inside = [edit for edit in edits if start <= edit.span.start and edit.span.end <= end]
    moved = [
        Edit(Span(edit.span.start - start, edit.span.end - start), edit.old, edit.new)
        for edit in inside
    ]
    text = apply(document.text[start:end], moved)
    rest = [edit for edit in edits if edit not in inside]
    out = Span(document.line_span(card.lines[0] - 1).end, end)
    put = added_item(document, board, to, text, card.mvp, order)
    home = next(column for column in board if card in column.cards)
    heads = [*_counted(home, -1), *_counted(to, 1)]
    return [*rest, *heads, _taken_out(document, card, out), put]


def _counted(column: ListColumn, more: int) -> list[Edit]:
    """The edit of a heading that counts its items: `🚀 Doing (2)`."""
    match = COUNT.search(column.heading.title)
    number = whole_number(match[1]) if match else None
    if match is None or number is None or number not in (len(column.items), len(column.cards)):
        return []
    start = column.heading.span.start + match.start(1)
    return [Edit(Span(start, start + len(match[1])), match[1], str(number + more))]


def last_of_item(document: Document, index: int) -> int:
    """The last 0-based line of the item that begins on a line."""
    after = (h.index for h in document.headings if h.index > index)
    line = document.line_text(index)
    outer = len(line) - len(line.lstrip(" \t>"))
    return _end_of_item(document, index, next(after, len(document.lines)), outer, in_list=False) - 1


def _is_blank(document: Document, index: int) -> bool:
    return index < len(document.lines) and not document.line_text(index).strip(" \t>")


def _taken_out(document: Document, card: ListCard, whole: Span) -> Edit:
    before, after = card.lines[0] - 1, card.lines[-1] + 1
    if _is_blank(document, before) and _is_blank(document, after):
        whole = Span(whole.start, document.line_span(after).end)
    elif _is_blank(document, before) and after == len(document.lines):
        whole = Span(document.line_span(before - 1).end, whole.end)
    return Edit(whole, document.slice(whole), "")


def added_item(
    document: Document,
    board: Sequence[ListColumn],
    to: ListColumn,
    text: str,
    mvp: str = "",
    order: Sequence[str] = (),
) -> Edit:
    """The edit that adds an item to a column: in `order` where that has it, else at the end."""
    rank = {mvp: number for number, mvp in enumerate(order)}
    end = document.newline
    apart = [
        _is_blank(document, one.start - 1)
        for column in board
        for one in column.items[1:]
    ]  # fmt: skip
    gap = end if apart and all(apart) else ""
    ranks = [rank.get(one.mvp, -1) for one in to.cards]
    mine = rank.get(mvp, -1)
    later = [one for one in to.cards if rank.get(one.mvp, -1) > mine]
    if mine >= 0 and later and ranks == sorted(ranks):
        at = document.line_span(later[0].lines[0]).start
        return Edit(Span(at, at), "", text + end + gap)
    if to.items:
        at = document.line_span(to.items[-1][-1]).end
        return Edit(Span(at, at), "", end + gap + text)
    filled = [column for column in board if column.items and column is not to]
    loose = any(_is_blank(document, column.heading.index + 1) for column in filled)
    line = to.heading.index
    has_blank = _is_blank(document, line + 1) and (loose or not filled)
    at = document.line_span(line + 1 if has_blank else line).end
    lead = "" if has_blank or not loose else end
    follows = at < len(document.text) and not _is_blank(document, line + (2 if has_blank else 1))
    tail = end if follows and to.end < len(document.lines) and loose else ""
    return Edit(Span(at, at), "", end + lead + text + tail)
