"""Tables as they stand in the text: every cell with its span, whatever its author put in it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from vitlab.docs.inline import plain
from vitlab.docs.source import Document, Span

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
