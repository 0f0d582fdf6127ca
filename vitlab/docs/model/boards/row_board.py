"""Boards that are tables below headings of statuses, `## Doing`, and rows moved between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vitlab.contract.reading import whole_number
from vitlab.docs.model.boards.list_board import COUNT, headings_of_statuses
from vitlab.docs.model.ids import by_numbers
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import Vocabulary
from vitlab.docs.text.edit import Edit, apply
from vitlab.docs.text.source import Document, Heading, Span

_KINDS = (
    "overview", "listing", "statuses", "priorities", "experiment_index", "checklist", "board",
)  # fmt: skip
"""Kinds of table whose rows are MVPs."""


@dataclass(frozen=True)
class RowColumn:
    """One heading, and the table of MVPs below it."""

    status: str
    heading: Heading
    view: View


def row_boards(
    document: Document, vocabulary: Vocabulary, views: Sequence[View]
) -> Iterator[tuple[RowColumn, ...]]:
    """Every group of headings that are statuses, with tables of the same columns below them."""
    for group in headings_of_statuses(document, vocabulary):
        boards: dict[tuple[str, ...], list[RowColumn]] = {}
        for status, heading, end in group:
            for view in views:
                if heading.index < view.table.first < end and view.kind in _KINDS:
                    boards.setdefault(view.headers, []).append(RowColumn(status, heading, view))
                    break
        yield from map(tuple, boards.values())


def other_column(board: Sequence[RowColumn], home: RowColumn, status: str) -> RowColumn | None:
    """The column of a status that a row at `home` goes to; None where it is there, or none is."""
    if home.status == status:
        return None
    return next((column for column in board if column.status == status), None)


def moved_row(
    document: Document,
    home: RowColumn,
    to: RowColumn,
    entry: Entry,
    edits: Sequence[Edit],
    order: Sequence[str] = (),
) -> list[Edit]:
    """The edits, those inside a row made where it goes: into the table below another heading.

    `order`: the ids as they stood there before; elsewhere the row goes where its number belongs,
    or to the end of a table without that order.
    """
    span = entry.row.span
    inside = [e for e in edits if span.start <= e.span.start and e.span.end <= span.end]
    start = span.start
    moved = [Edit(Span(e.span.start - start, e.span.end - start), e.old, e.new) for e in inside]
    text = apply(document.slice(span), moved)
    whole = Span(document.line_span(entry.row.index - 1).end, span.end)
    ranks = [_rank(one, order) for one in to.view.entries]
    table, after = to.view.table, len(ranks)
    if ranks == sorted(ranks):
        after = sum(rank <= _rank(entry, order) for rank in ranks)
    last = table.rows[-1].index if table.rows else table.first + 1
    if after < len(ranks):
        last = to.view.entries[after].row.index - 1
    at = document.line_span(last).end
    put = Edit(Span(at, at), "", document.newline + text)
    counts = [*_counted(home, -1), *_counted(to, 1)]
    rest = [edit for edit in edits if edit not in inside]
    return [*rest, *counts, Edit(whole, document.slice(whole), ""), put]


def _rank(entry: Entry, order: Sequence[str]) -> list[tuple[int, str]]:
    mvp = next(iter(entry.mvps), "")
    return [(order.index(mvp), "")] if mvp in order else by_numbers(mvp)


def _counted(column: RowColumn, more: int) -> list[Edit]:
    """The edit of a heading that counts its rows: `🚀 Doing (2)`."""
    match = COUNT.search(column.heading.title)
    number = whole_number(match[1]) if match else None
    if match is None or number is None or number != len(column.view.entries):
        return []
    start = column.heading.span.start + match.start(1)
    return [Edit(Span(start, start + len(match[1])), match[1], str(number + more))]
