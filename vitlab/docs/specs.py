"""The section that specifies one MVP: its heading with a status, its facts, its runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vitlab.docs.ids import IdIndex
from vitlab.docs.source import Document, Heading, Span
from vitlab.docs.tables import Cell
from vitlab.docs.views import Entry, View
from vitlab.docs.vocabulary import StatusText, Vocabulary

_PREFIXED = re.compile(r"^[^\w]*MVP[-–_ ]", re.I)
_PAREN = re.compile(r"[(（](?P<inside>[^()（）]*)[)）]\s*$")
_LAST_MARK = re.compile(r"(?<=\s)(?P<inside>[^\w\s(（].{0,12})$")


@dataclass(frozen=True)
class HeadingStatus:
    """The status at the end of a heading: `(🚀 运行中)`."""

    span: Span
    """From the status' first character to the end of what stands in the parentheses."""
    text: str
    found: StatusText
    """Offsets in `text`."""


@dataclass(frozen=True)
class Spec:
    """One `### MVP-1.0: name (status)` section."""

    mvp: str
    """Bare id."""
    heading: Heading
    end: int
    """0-based line at which the section ends."""
    status: HeadingStatus | None
    facts: tuple[Entry, ...]
    runs: tuple[Entry, ...]

    def fact(self, vocabulary: Vocabulary, column: str, *words: str) -> Cell | None:
        """The content cell of the row whose item is a header word of `column`, or in `words`."""
        for entry in self.facts:
            item, content = entry.cells.get("item"), entry.cells.get("content")
            if (
                item
                and content
                and (column in vocabulary.columns([item.raw]) or item.text.casefold() in words)
            ):
                return content
        return None


def heading_status(heading: Heading, vocabulary: Vocabulary) -> HeadingStatus | None:
    """The status a heading ends with, in parentheses or as a last glyph; None when it has none."""
    in_parentheses = _PAREN.search(heading.title)
    match = in_parentheses or _LAST_MARK.search(heading.title)
    if match is None:
        return None
    start = heading.span.start + match.start("inside")
    text = match["inside"]
    found = vocabulary.read(text)
    if found is None:
        return None
    if found.end < len(text.rstrip()) and (found.glyph is None or not in_parentheses):
        return None  # it only opens like a status: `(完成 3 个)`, `📋 MVP list`
    return HeadingStatus(Span(start, start + len(text)), text, found)


def specs_of(
    document: Document, views: Sequence[View], vocabulary: Vocabulary, ids: IdIndex
) -> tuple[Spec, ...]:
    """Every MVP section, in order."""
    found = []
    for heading in document.headings:
        opening = ids.opening(heading.title) if _PREFIXED.match(heading.title) else None
        if opening is None:
            continue
        end = document.section_end(heading)
        inside = [v for v in views if heading.index < v.table.first < end]
        found.append(
            Spec(
                opening[0],
                heading,
                end,
                heading_status(heading, vocabulary),
                tuple(e for v in inside if v.kind == "facts" for e in v.entries),
                tuple(e for v in inside if v.kind == "runs" for e in v.entries),
            )
        )
    return tuple(found)
