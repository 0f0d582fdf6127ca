"""Tables as they stand in the text, cell by cell, and new cells and rows laid out the same way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text, plain, width
from vitlab.docs.text.source import Document, Span

_TOKEN = re.compile(
    r"\\."
    r"|(?P<code>(?P<tick>`+)(?!`).*?(?<!`)(?P=tick)(?!`))"
    r"|(?P<wiki>\[\[[^\[\]]*\]\])"
    r"|(?P<math>\$[^$]+\$)"
    r"|(?P<norm>\|\|[^\s|](?:[^|]*[^\s|])?\|\|)"
    r"|\|"
)
_RULE = re.compile(r":?-{2,}:?")
_BARE_PIPE = re.compile(r"(?<!\\)\|")
_LEAD = re.compile(r"[\s\ufeff]*(?:>[ \t]?)*[ \t]*")
_BULLET = re.compile(r"(?:[-*+]|\d+[.)])[ \t]+(?=\|)")
_SOFT = ("code", "wiki", "norm", "math", "lead")
_TRICKY = ("`", "[[", "||", "\\", "$")


class Cell(NamedTuple):
    """One cell: `span` is its content without padding, `outer` reaches from pipe to pipe.

    A tuple, for a roadmap has thousands.
    """

    span: Span
    outer: Span
    raw: str

    @property
    def text(self) -> str:
        """The content for reading: emphasis, code marks, links and escapes removed."""
        return plain(self.raw)


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    index: int
    """0-based line."""
    span: Span
    """The whole line without its end."""
    cells: tuple[Cell, ...]

    @property
    def line(self) -> int:
        return self.index + 1

    @cached_property
    def is_rule(self) -> bool:
        """A `|---|---|` line that stands among the rows."""
        if not self.cells or self.cells[0].raw[:1] not in ("-", ":"):
            return False
        return all(_RULE.fullmatch(cell.raw) for cell in self.cells)


@dataclass(frozen=True)
class Table:
    """A header, the delimiter below it, and the rows."""

    header: Row
    rows: tuple[Row, ...]
    first: int
    last: int
    """0-based lines, end excluded."""

    @property
    def line(self) -> int:
        return self.first + 1

    @property
    def width(self) -> int:
        return len(self.header.cells)


def tables_of(document: Document) -> tuple[Table, ...]:
    """Every table of a document, in order."""
    return tuple(_table(document, first, last) for first, last in document.tables)


def _table(document: Document, first: int, last: int) -> Table:
    delimiter = document.line_text(first + 1)
    columns = len(_cut(delimiter, _simple_pipes(delimiter)))
    header = split_row(document, first, columns, header=True)
    rows = tuple(split_row(document, i, columns) for i in range(first + 2, last))
    return Table(header, rows, first, last)


def split_row(document: Document, index: int, columns: int, *, header: bool = False) -> Row:
    """The cells of line `index`; of several readings of its pipes, the one with `columns`."""
    line = document.line_span(index)
    text = document.slice(line)
    lead = _LEAD.match(text).end()  # type: ignore[union-attr]  # matches the empty string
    if header and (bullet := _BULLET.match(text, lead)):
        lead = bullet.end()
    body, offset = text[lead:], line.start + lead
    cells = []
    for start, end in read_columns(body, columns):
        inner = body[start:end]
        raw = inner.strip()
        left = offset + start + (inner.index(raw) if raw else len(inner))
        span = Span(left, left + len(raw))
        cells.append(Cell(span, Span(offset + start, offset + end), raw))
    return Row(index, line, tuple(cells))


def read_columns(body: str, columns: int | None) -> list[tuple[int, int]]:
    """Where the cells of a row are, as (start, end) between the pipes.

    A pipe in code, in `[[a|b]]`, in `||x||`, in `$a|b$`, or doubled in front of the row is first
    taken for text; only where the count then disagrees with the header is another reading tried.
    """
    if not any(mark in body for mark in _TRICKY):
        return _cut(body, _simple_pipes(body))
    hard, soft = _pipes(body)
    kept = _cut(body, hard)
    if columns is None or not soft or len(kept) == columns:
        return kept
    for classes in (frozenset(_SOFT), *(frozenset((name,)) for name in _SOFT)):
        pipes = sorted([*hard, *(at for at, name in soft if name in classes)])
        cells = _cut(body, pipes)
        if len(cells) == columns:
            return cells
    return kept


def _simple_pipes(body: str) -> list[int]:
    found = []
    at = body.find("|")
    while at >= 0:
        found.append(at)
        at = body.find("|", at + 1)
    return found


def _pipes(body: str) -> tuple[list[int], list[tuple[int, str]]]:
    hard: list[int] = []
    soft: list[tuple[int, str]] = []
    start = 0
    if body.startswith("||"):
        soft.append((0, "lead"))
        hard.append(1)
        start = 2
    for token in _TOKEN.finditer(body, start):
        kind = token.lastgroup if token.lastgroup != "tick" else "code"
        if kind is not None:
            inner = _BARE_PIPE.finditer(body, token.start(), token.end())
            soft.extend((pipe.start(), kind) for pipe in inner)
        elif token.group() == "|":
            hard.append(token.start())
    return hard, soft


def _cut(body: str, pipes: Sequence[int]) -> list[tuple[int, int]]:
    end = len(body.rstrip())
    edges = [-1, *pipes, end]
    cells = [(a + 1, b) for a, b in pairwise(edges)]
    if pipes and not body[: pipes[0]].strip("|"):
        cells = cells[1:]
    if pipes and pipes[-1] == end - 1 and len(cells) > 1:
        cells = cells[:-1]
    return cells


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
