"""A draft in LaTeX or markdown, read for the numbers that results can back."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.paths import NUMBERS, NoLab, UsageError, find_lab, real
from vitlab.contract.reading import read_regular
from vitlab.docs.text.edit import split_lines
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document, read
from vitlab.docs.text.tables import tables_of
from vitlab.lab.paper.artefacts.macros import HEAD
from vitlab.lab.paper.mention import Mention
from vitlab.lab.paper.mentions import Reader
from vitlab.lab.paper.tables import table_mentions
from vitlab.lab.paper.tex import (
    BREAK,
    CAPTION,
    CITED,
    END,
    TABLE,
    Unknown,
    definitions,
    inputs,
    plain_tex,
)

LARGEST = 1_000_000
"""Characters of a draft."""
_BLANK = re.compile(rf"\n[ \t\n]*\n|{BREAK}")
_BLOCKS = re.compile(f"{TABLE}([^{END}]*){END}?")
_ABOVE = re.compile(f"{CAPTION}([^{CAPTION}{END}]{{1,1000}})$")
_BELOW = re.compile(rf"\s{{0,9}}{CAPTION}([^{CAPTION}{TABLE}\n]{{1,1000}})")
"""A caption before the rows of its table, and one behind them."""
_YEAR = r"[,，]?\s*[(（]?\s*(?:19|20)\d\d[a-z]?\b"
_AUTHORS = re.compile(
    r"[(（\[]?\b[A-Z][A-Za-z'’-]+(?:\s+(?:et al\.?|(?:&|and)\s+[A-Z][a-z]+)|\+|等)" + _YEAR
)
"""A citation in markdown: `Ness et al. (2015)`, `(Leung+ 2019)`, `[Ting 等 2019]`."""
_AUTHORS_IN_TEX = re.compile(_AUTHORS.pattern.replace("&|", "").replace(r"\s", r"[^\S\v]"))
"""The same where `&` stands between cells."""
_NOTE_MARK = re.compile(r"(?<=\w)<sup>\s?[a-z*†‡§,]{1,5}\s?</sup>|(?<=\w)\[\^[^\]\n]{1,40}\]")
"""The mark of a note behind a word, which is no part of it; a digit may be a power."""
_MATH = re.compile(r"\$([^$\n]{1,200})\$")
_NAMED = re.compile(r"\s*[*_]*(?:table|tab\.|表)", re.IGNORECASE)
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


def read_draft(path: Path, report: Callable[[int, int], None] = lambda *_: None) -> Draft:
    """Read a draft; one ending in `.tex` as LaTeX, any other as markdown. `UsageError`.

    `report` is told the line that is read, and of how many.
    """
    document = read(path)
    if len(document.text) > LARGEST:
        raise UsageError(f"{path}: a draft of more than {LARGEST:,} characters")
    return draft_of(document, path, report)


def draft_of(
    document: Document,
    path: Path = Path("a text.md"),
    report: Callable[[int, int], None] = lambda *_: None,
) -> Draft:
    """A text that is read already, as a file of a name is read."""
    reader, unknown = Reader(), list[Unknown]()
    if path.suffix.casefold() == ".tex":
        source = document.text.replace("\r\n", "\n")
        text, unknown = plain_tex(source, _numbers_of(path, source))
        text = _AUTHORS_IN_TEX.sub(lambda found: CITED + "\n" * found[0].count("\n"), text)
        mentions = _in_tex(text, reader)
    else:
        mentions = _in_markdown(document, reader)
    found = []
    for one in mentions:
        found.append(one)
        report(one.line, len(document.lines))
    found.sort(key=lambda one: one.line)
    return Draft(path, tuple(found), tuple(unknown), tuple(reader.skipped))


def _numbers_of(path: Path, source: str) -> dict[str, str]:
    """The macros of each `numbers.tex` that a draft takes in; of one below it or in its lab."""
    try:
        inside = real(find_lab(path.absolute().parent).root)
    except NoLab:
        inside = real(path.parent)
    found: dict[str, str] = {}
    for name in dict.fromkeys(inputs(source)):
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
        caption = _ABOVE.search(prose + table[1][:first]) or _BELOW.match(text, table.end())
        yield from table_mentions([*heads, *rows], caption[1] if caption else "", reader.paragraph)
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
    lines = enumerate(split_lines(document.prose))
    said = ["" if i in in_table else _markdown(text.rstrip("\r\n")) for i, text in lines]
    yield from _paragraphs("\n".join(said), 1, reader)
    above = [""]  # what was said last before each line
    for text in said:
        above.append(text if text.strip() else above[-1])
    for table in tables_of(document):
        rows = [table.header, *(row for row in table.rows if not row.is_delimiter)]
        before = above[rows[0].line - 1]
        is_caption = _NAMED.match(before) or before.endswith((":", "："))
        caption = before if is_caption else ""
        cells = [[(_markdown(cell.raw), row.line) for cell in row.cells] for row in rows]
        yield from table_mentions(cells, caption, reader.paragraph)


def _markdown(text: str) -> str:
    """A line as a reader sees it: its markup and math read, citations marked."""
    text = _MATH.sub(lambda found: plain_tex(found[1])[0], plain(_NOTE_MARK.sub("", text)))
    return _AUTHORS.sub(CITED, text)


def _paragraphs(text: str, line: int, reader: Reader) -> Iterator[Mention]:
    start = 0
    for blank in [*_BLANK.finditer(text), None]:
        part = text[start : blank.start() if blank else len(text)]
        yield from reader.paragraph(part.replace(CAPTION, " "), line)
        if blank is None:
            return
        line += part.count("\n") + blank[0].count("\n")
        start = blank.end()
