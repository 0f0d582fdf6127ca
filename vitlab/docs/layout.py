"""How a table is laid out by hand, and new cells and rows written the same way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping

from vitlab.docs.inline import cell_text, width
from vitlab.docs.source import Document, Span
from vitlab.docs.splice import Edit
from vitlab.docs.tables import Row, Table

_TRAIL = re.compile(r"\s*$")


def column_width(document: Document, table: Table, column: int) -> tuple[int, Callable[[str], int]]:
    """How wide a hand-aligned column is between its pipes, and in what measure it is straight.

    Display width first, characters second, as some editors pad; 0 for one that is not aligned.
    """
    cells = [row.cells[column] for row in (table.header, *table.rows) if column < len(row.cells)]
    outers = [document.slice(cell.outer) for cell in cells]
    for measure in (width, len):
        size, count = Counter(map(measure, outers)).most_common(1)[0]
        straight = [text for text in outers if measure(text) == size]
        # Equal cells are as wide as each other without any hand; padding shows in blanks.
        if count * 5 >= len(outers) * 3 and any(text.endswith("  ") for text in straight):
            return size, measure
    return 0, width


def fit(document: Document, table: Table, row: Row, column: int, new: str) -> Edit | None:
    """Replace a cell's content; the padding of an aligned column gives way as far as it can.

    None when the cell says it already. `new` is markdown, already safe for a cell.
    """
    cell = row.cells[column]
    if cell.raw == new:
        return None
    outer = document.slice(cell.outer)
    lead = cell.span.start - cell.outer.start
    trail = outer[lead + len(cell.raw) :]
    if not cell.raw:  # an empty cell keeps one blank on each side where it has room
        lead = min(1, len(outer))
        trail = outer[lead:]
    size, measure = column_width(document, table, column)
    padding = trail
    if measure(outer) >= size > 0 and measure(new) != measure(cell.raw):
        padding = " " * max(min(len(trail), 1), size - lead - measure(new))
    elif not cell.raw:
        padding = " " if lead else ""
    start = cell.outer.start + lead
    if padding == trail:
        return Edit(Span(start, start + len(cell.raw)), cell.raw, new)
    return Edit(Span(start, cell.outer.end), document.text[start : cell.outer.end], new + padding)


def set_cell(document: Document, table: Table, row: Row, column: int, new: str) -> Edit | None:
    """`fit` where the row has the cell, else the cells it lacks are added at its end."""
    own = document.slice(row.cells[column].span) if column < len(row.cells) else ""
    if (document.slice(row.span).count("`") - own.count("`")) % 2:
        new = new.replace("`", "")  # a lone one elsewhere in the row would pair with ours
    if column < len(row.cells):
        return fit(document, table, row, column, new)
    text = document.slice(row.span)
    closed = text.rstrip().endswith("|")
    more = [""] * (column - len(row.cells)) + [new]
    written = " | ".join(["", *more] if not closed else more).strip(" ")
    end = row.span.start + len(text.rstrip())
    added = f" {written} |" if closed else f" {written}"
    return Edit(Span(end, end), "", added)


def new_row(document: Document, table: Table, values: Mapping[int, str], empty: str = "-") -> str:
    """A row's text in the table's own layout; `values` by column are markdown, made safe here."""
    like = table.rows[-1] if table.rows else table.header
    line = document.slice(like.span)
    first = like.cells[0].outer.start - like.span.start if like.cells else 0
    opening = line[:first]
    closing = "|" if line.rstrip().endswith("|") or not table.rows else ""
    pieces = []
    for column in range(table.width):
        text = cell_text(values.get(column, "")) or empty
        size, measure = column_width(document, table, column)
        outer = f" {text} "
        pieces.append(outer + " " * max(0, size - measure(outer)))
    body = "|".join(pieces)
    return opening + (body + closing if closing else body.rstrip())


def insert_row(
    document: Document,
    table: Table,
    values: Mapping[int, str],
    after: Row | None = None,
    empty: str = "-",
) -> Edit:
    """Add a row below `after`, or at the table's end."""
    if after is None:
        after_line = table.rows[-1].index if table.rows else table.first + 1
    else:
        after_line = after.index
    end = document.line_span(after_line).end
    return Edit(Span(end, end), "", document.newline + new_row(document, table, values, empty))
