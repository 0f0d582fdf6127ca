"""A draft in LaTeX or markdown, read for the numbers that results can back."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.paths import NUMBERS, NoLab, UsageError, find_lab, real
from vitlab.contract.reading import read_regular
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document, read
from vitlab.docs.text.tables import tables_of
from vitlab.lab.paper.artefacts.macros import HEAD
from vitlab.lab.paper.mentions import Mention, Reader, row_mentions
from vitlab.lab.paper.tex import END, TABLE, Unknown, definitions, inputs, plain_tex

LARGEST = 1_000_000
"""Characters of a draft."""
_BLANK = re.compile(r"\n[ \t\n]*\n")
_BLOCKS = re.compile(f"{TABLE}([^{END}]*){END}?")
Row = list[tuple[str, int]]
"""The cells of a table's row, each with its line."""


@dataclass(frozen=True)
class Draft:
    """The numbers of a draft, in the order they stand in."""

    path: Path
    mentions: tuple[Mention, ...]
    unknown: tuple[Unknown, ...]
    """LaTeX commands that were not understood, each once."""
    skipped: tuple[int, ...]
    """Lines of sentences that are too long to be read."""


def read_draft(path: Path) -> Draft:
    """Read a draft; one ending in `.tex` as LaTeX, any other as markdown. `UsageError`."""
    document = read(path)
    if len(document.text) > LARGEST:
        raise UsageError(f"{path}: a draft of more than {LARGEST:,} characters")
    reader, unknown = Reader(), list[Unknown]()
    if path.suffix.casefold() == ".tex":
        source = document.text.replace("\r\n", "\n")
        text, unknown = plain_tex(source, _numbers_of(path, source))
        mentions = _in_tex(text, reader)
    else:
        mentions = _in_markdown(document, reader)
    found = tuple(sorted(mentions, key=lambda one: one.line))
    return Draft(path, found, tuple(unknown), tuple(reader.skipped))


def _numbers_of(path: Path, source: str) -> dict[str, str]:
    """The macros of each `numbers.tex` that a draft takes in; of one below it or in its lab."""
    try:
        inside = real(find_lab(path.absolute().parent).root)
    except NoLab:
        inside = real(path.parent)
    found: dict[str, str] = {}
    for name in inputs(source):
        file = path.parent / (name if name.endswith(".tex") else f"{name}.tex")
        if file.name == NUMBERS and real(file).is_relative_to(inside):
            with contextlib.suppress(OSError, ValueError):  # its macros are listed as not known
                macros = definitions(read_regular(file, 4 * LARGEST).decode())
                found |= {k: v for k, v in macros.items() if k.startswith(HEAD)}
    return found


def _in_tex(text: str, reader: Reader) -> Iterator[Mention]:
    start, line = 0, 1
    for table in [*_BLOCKS.finditer(text), None]:
        prose = text[start : table.start() if table else len(text)]
        yield from _paragraphs(prose, line, reader)
        line += prose.count("\n")
        if table is None:
            return
        above = [part for part in prose.split("\n") if "&" in part]
        heads = [[(cell, line) for cell in above[-1].split("&")]] if above else []
        first = table[1].rfind("\n", 0, max(table[1].find("&"), 0)) + 1  # a caption may be before
        yield from _paragraphs(table[1][:first], line, reader)
        rows = _tex_rows(table[1][first:], line + table[1].count("\n", 0, first))
        yield from _in_rows([*heads, *rows])
        line += table[0].count("\n")
        start = table.end()


def _tex_rows(body: str, line: int) -> Iterator[Row]:
    for row in re.split(f"[\v{TABLE}]", body):
        cells: Row = []
        for cell in row.split("&"):
            line_of_text = line + len(cell[: len(cell) - len(cell.lstrip())].split("\n")) - 1
            cells.append((cell.strip().replace("\n", " "), line_of_text))
            line += cell.count("\n")
        yield cells


def _in_markdown(document: Document, reader: Reader) -> Iterator[Mention]:
    in_table = {i for first, last in document.tables for i in range(first, last)}
    lines = enumerate(document.prose.splitlines())
    prose = "\n".join("" if i in in_table else plain(text) for i, text in lines)
    yield from _paragraphs(prose, 1, reader)
    for table in tables_of(document):
        rows = [table.header, *(row for row in table.rows if not row.is_delimiter)]
        yield from _in_rows([[(plain(cell.raw), row.line) for cell in row.cells] for row in rows])


def _paragraphs(text: str, line: int, reader: Reader) -> Iterator[Mention]:
    start = 0
    for blank in [*_BLANK.finditer(text), None]:
        part = text[start : blank.start() if blank else len(text)]
        yield from reader.paragraph(part, line)
        if blank is None:
            return
        line += part.count("\n") + blank[0].count("\n")
        start = blank.end()


def _in_rows(rows: Sequence[Row]) -> Iterator[Mention]:
    """The numbers of a table: its heads are the rows before the first with a number."""
    heads: list[str] = []
    in_head = True
    for row in rows:
        cells = [text for text, _ in row]
        if heads and any(re.search(r"\d", cell) for cell in cells[1:]):
            in_head = False
            yield from row_mentions(heads, cells, [line for _, line in row])
        elif in_head and any(cells[1:]):
            above = heads if len(heads) == len(cells) else [""] * len(cells)
            heads = [f"{head} {cell}".strip() for head, cell in zip(above, cells, strict=True)]
