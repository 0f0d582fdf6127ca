"""Tables of a document, cell by cell with their spans, and edits that keep a table's layout."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import NamedTuple

from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import LONG, cell_text, plain, width
from vitlab.docs.text.source import Document, Span

LARGE = 100_000
"""Characters of a text whose tables are kept: one edit reads them ten times."""
_TOKEN = re.compile(
    r"\\."
    r"|(?P<code>(?P<tick>`+)(?!`).*?(?<!`)(?P=tick)(?!`))"
    r"|(?P<wiki>\[\[[^\[\]]*\]\])"
    r"|(?P<math>\$[^$]+\$)"
    r"|(?P<norm>\|\|[^\s|](?:[^|]*[^\s|])?\|\|)"
    r"|\|"
)
_DELIMITER = re.compile(r":?-{2,}:?")
_BARE_PIPE = re.compile(r"(?<!\\)\|")
_INDENT = re.compile(r"[\s\ufeff]*(?:>[ \t]?)*[ \t]*")
_BULLET = re.compile(r"(?:[-*+]|\d+[.)])[ \t]+(?=\|)")
_BARS = re.compile(r"(?<=[\s(（])\|[^\s|](?:[^|]{0,30}[^\s|])?\|(?=[\s,，.。;；)）<>≤≥])")
"""The size of a quantity, `|bias|`."""
_PIPE_KINDS = ("code", "wiki", "norm", "math", "lead")
_PIPE_MARK = re.compile(r"[`\\$]|\[\[|\|\|")


class Cell(NamedTuple):
    """One cell: where its content begins, where the pipes around it are, and its content."""

    start: int
    left: int
    """Right behind the pipe before it."""
    right: int
    """The pipe behind it."""
    raw: str

    @property
    def span(self) -> Span:
        """Its content without padding."""
        return Span(self.start, self.start + len(self.raw))

    @property
    def outer(self) -> Span:
        """From pipe to pipe."""
        return Span(self.left, self.right)

    @property
    def text(self) -> str:
        """The content as a reader sees it."""
        return plain(self.raw)


class Row(NamedTuple):
    """One line of a table."""

    index: int  # type: ignore[assignment]  # tuples have a method of that name
    """0-based line."""
    span: Span
    """The whole line without its end."""
    cells: tuple[Cell, ...]

    @property
    def line(self) -> int:
        return self.index + 1

    @property
    def is_delimiter(self) -> bool:
        """Whether it is a `|---|---|` line among the rows."""
        if not self.cells or self.cells[0].raw[:1] not in ("-", ":"):
            return False
        return all(_DELIMITER.fullmatch(cell.raw) for cell in self.cells)


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

    @cached_property
    def widths(self) -> dict[int, tuple[int, Callable[[str], int]]]:
        """`column_width` of the columns that were asked for: many edits may be of one."""
        return {}


def tables_of(document: Document) -> tuple[Table, ...]:
    """Every table of a document, in order; of a large one they are kept until the next."""
    return _large(document.text) if len(document.text) > LARGE else _tables(document)


@lru_cache(maxsize=1)
def _large(text: str) -> tuple[Table, ...]:
    return _tables(Document(text))


def _tables(document: Document) -> tuple[Table, ...]:
    return tuple(table_at(document, first, last) for first, last in document.tables)


def table_at(document: Document, first: int, last: int) -> Table:
    """The table on some 0-based lines, end excluded."""
    delimiter = _INDENT.sub("", document.line_text(first + 1), count=1)
    columns = len(_cells_between(delimiter, _all_pipes(delimiter)))
    header = split_row(document, first, columns, header=True)
    indexes = (i for i in range(first + 2, last) if i not in document.hidden_lines)
    rows = tuple(split_row(document, index, columns) for index in indexes)
    return Table(header, rows, first, last)


def split_row(document: Document, index: int, columns: int, *, header: bool = False) -> Row:
    """The cells of line `index`; of several readings of its pipes, the one with `columns`."""
    line = document.line_span(index)
    text = document.slice(line)
    lead = _INDENT.match(text).end()  # type: ignore[union-attr]  # matches the empty string
    if header and (bullet := _BULLET.match(text, lead)):
        lead = bullet.end()
    body, offset = text[lead:], line.start + lead
    if len(body) > LONG or not _PIPE_MARK.search(body):
        simple = _simple_cells(body, offset)
        if len(body) > LONG or len(simple) <= columns or not _BARS.search(body):
            return Row(index, line, simple)
    cells = []
    for start, end in read_columns(body, columns):
        raw = body[start:end].strip()
        at = body.index(raw, start) if raw else end
        cells.append(Cell(offset + at, offset + start, offset + end, raw))
    return Row(index, line, tuple(cells))


def _simple_cells(body: str, offset: int) -> tuple[Cell, ...]:
    """The cells of a row at an offset in which every pipe ends one, as nearly all are."""
    cells = []
    left = offset
    pieces = body.rstrip().split("|")
    for piece in pieces:
        raw = piece.strip()
        start = left + (piece.index(raw) if raw else len(piece))
        right = left + len(piece)
        cells.append(Cell(start, left, right, raw))
        left = right + 1
    if not pieces[0] and len(pieces) > 1:
        del cells[0]
    if not pieces[-1] and len(cells) > 1:
        del cells[-1]
    return tuple(cells)


def read_columns(body: str, columns: int | None) -> list[tuple[int, int]]:
    """The cells of a row, as (start, end) between the pipes; None: any number of them.

    A pipe in code, in `[[a|b]]`, in `||x||`, in `$a|b$`, or doubled in front of the row is first
    taken for text; only where the count then disagrees with the header are others tried, and
    `|x|` for text.
    """
    certain, possible = _sorted_pipes(body)
    first_try = _cells_between(body, certain)
    if columns is None or len(first_try) == columns:
        return first_try
    for kinds in (frozenset(_PIPE_KINDS), *(frozenset((name,)) for name in _PIPE_KINDS)):
        pipes = sorted([*certain, *(index for index, kind in possible if kind in kinds)])
        cells = _cells_between(body, pipes)
        if len(cells) == columns:
            return cells
    bars = {at for match in _BARS.finditer(body) for at in (match.start(), match.end() - 1)}
    without = _cells_between(body, [pipe for pipe in certain if pipe not in bars])
    return without if len(without) == columns else first_try


def _all_pipes(body: str) -> list[int]:
    pipes = []
    at = body.find("|")
    while at >= 0:
        pipes.append(at)
        at = body.find("|", at + 1)
    return pipes


def _sorted_pipes(body: str) -> tuple[list[int], list[tuple[int, str]]]:
    """The pipes that certainly end a cell, and those that may be text, with their kind."""
    certain: list[int] = []
    possible: list[tuple[int, str]] = []
    start = 0
    if body.startswith("||"):
        possible.append((0, "lead"))
        certain.append(1)
        start = 2
    for token in _TOKEN.finditer(body, start):
        kind = token.lastgroup if token.lastgroup != "tick" else "code"
        if kind is not None:
            inner = _BARE_PIPE.finditer(body, token.start(), token.end())
            possible.extend((pipe.start(), kind) for pipe in inner)
        elif token.group() == "|":
            certain.append(token.start())
    return certain, possible


def _cells_between(body: str, pipes: Sequence[int]) -> list[tuple[int, int]]:
    end = len(body.rstrip())
    edges = [-1, *pipes, end]
    cells = [(a + 1, b) for a, b in pairwise(edges)]
    if pipes and not body[: pipes[0]].strip("|"):
        cells = cells[1:]
    if pipes and pipes[-1] == end - 1 and len(cells) > 1:
        cells = cells[:-1]
    return cells


def column_width(document: Document, table: Table, column: int) -> tuple[int, Callable[[str], int]]:
    """The width of a hand-aligned column between its pipes, and how it is measured.

    By display width first, then by characters, as some editors pad; 0: it is not aligned.
    """
    if column not in table.widths:
        table.widths[column] = _column_width(document, table, column)
    return table.widths[column]


def _column_width(
    document: Document, table: Table, column: int
) -> tuple[int, Callable[[str], int]]:
    cells = [row.cells[column] for row in (table.header, *table.rows) if column < len(row.cells)]
    outers = [document.slice(cell.outer) for cell in cells]
    for measure in (width, len):
        size, count = Counter(map(measure, outers)).most_common(1)[0]
        aligned = [text for text in outers if measure(text) == size]
        # Cells can be equally wide by chance; two trailing blanks show that they were padded.
        if count * 5 >= len(outers) * 3 and any(text.endswith("  ") for text in aligned):
            return size, measure
    return 0, width


def replace_cell(document: Document, table: Table, row: Row, column: int, new: str) -> Edit | None:
    """Replace a cell's content, an aligned column's padding adjusted; None when it says it already.

    `new` is markdown, already safe for a cell.
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
    """As `replace_cell`; a row that is too short gets the cells it lacks."""
    old = document.slice(row.cells[column].span) if column < len(row.cells) else ""
    if (document.slice(row.span).count("`") - old.count("`")) % 2:
        new = new.replace("`", "")  # a lone one elsewhere in the row would pair with it
    if column < len(row.cells):
        return replace_cell(document, table, row, column, new)
    text = document.slice(row.span)
    closed = text.rstrip().endswith("|")
    missing = [""] * (column - len(row.cells)) + [new]
    cells = " | ".join(["", *missing] if not closed else missing).strip(" ")
    end = row.span.start + len(text.rstrip())
    return Edit(Span(end, end), "", f" {cells} |" if closed else f" {cells}")


def new_row(document: Document, table: Table, values: Mapping[int, str], empty: str = "-") -> str:
    """A row's text in the table's layout; `values`: column -> markdown, made safe here."""
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
    *,
    first: bool = False,
) -> Edit:
    """Add a row below `after`, or at the table's end; `first`: above all others."""
    last = table.rows[-1].index if table.rows and not first else table.first + 1
    end = document.line_span(after.index if after else last).end
    return Edit(Span(end, end), "", document.newline + new_row(document, table, values, empty))
