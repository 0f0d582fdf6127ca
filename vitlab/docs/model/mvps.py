"""MVPs that have no row in an overview, and the ids of them all."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vitlab.docs.model.boards.kanban import find_boards, lines_of_boards
from vitlab.docs.model.ids import (
    IdIndex,
    id_and_name,
    names_several,
    new_id,
    own_id,
    several_ids,
    without_brackets,
    without_number,
)
from vitlab.docs.model.status_marks import find_marks
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import ParsedStatus, Vocabulary
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document, Heading
from vitlab.docs.text.tables import Row

_IN_TABLES = (
    "statuses", "priorities", "experiment_index", "checklist", "numbers", "conclusions",
)  # fmt: skip
_WITHOUT_OVERVIEW = ("listing",)
"""Kinds of table whose rows are MVPs only where no overview has any."""
_TOKEN = re.compile(r"(?<![A-Za-z0-9])MVP[^\s|│┃║<,，、;；()（）]+", re.I)
_COUNTED = re.compile(r"(?:[^\W\d]+[ -]?)?\d{1,4}(?:[.-]\w{1,4})*[a-z]?", re.I)
"""An id in a check list: `Phase 1`, `T-001`, `0.1`."""
_EDGES = " \t:：-–—|｜·"
_EMPTY_BRACKETS = re.compile(r"[(（【\[]\s*[)）】\]]")
_BOX = re.compile(
    r"^[ \t>]*(?:[-*+]|\d{1,3}[.)])[ \t]+(?P<box>\[[ xX/-]\])[ \t]+(?P<text>\S[^\r\n]*)", re.M
)


@dataclass(frozen=True)
class Stated:
    """One MVP where it stands, outside the overview."""

    id: str
    """Bare."""
    name: str
    entry: Entry
    """A row of a table, or without cells for a heading, a card or an item of a list."""
    status: str | None
    text: str
    """Its status as written."""


def mvp_heading(heading: Heading, ids: IdIndex) -> tuple[str, str] | None:
    """The MVP whose section a heading opens, known or new, and the rest of its title."""
    if "MVP" not in heading.title.upper():
        return None
    title = without_number(heading.title)
    if not re.match(r"[^\w]*MVP(?:[-–_ \u2010-\u2012\u2212:]|\d)", title, re.I):
        return None
    known = ids.opening(title)
    return new_id(title) if known is None else (None if names_several(known[1]) else known)


def stated_elsewhere(
    document: Document, views: Sequence[View], vocabulary: Vocabulary, ids: IdIndex
) -> list[Stated]:
    """The MVPs that `ids`, those of the overview, lack: in order of their lines.

    They stand in another table with their status, in a heading, or on the board.
    """
    found: dict[str, Stated] = {}
    kinds = (*_IN_TABLES, *(() if ids.ids else _WITHOUT_OVERVIEW))
    sources = (
        _of_tables([v for kind in kinds for v in views if v.kind == kind], vocabulary, ids),
        _of_headings(document, vocabulary, ids),
    )
    for source in sources:
        for one in source:
            key = one.id.casefold()
            if key not in found or (found[key].status is None and one.status):
                found[key] = one
    known = ids.with_more(one.id for one in found.values() if one.status)
    for one in (*_of_boxes(document, vocabulary, known), *_of_cards(document, vocabulary, known)):
        key = one.id.casefold()
        if key not in found or (found[key].status is None and one.status):
            found[key] = one
    return sorted(found.values(), key=lambda one: one.entry.row.index)


def _of_tables(views: Iterable[View], vocabulary: Vocabulary, ids: IdIndex) -> Iterator[Stated]:
    shared: list[Stated] = []
    for view in views:
        for entry in view.entries:
            raw = entry.raw("mvp")
            several = several_ids(raw)
            mvp = None if ids.opening(raw) else own_id(raw)
            mine = [i for i in several if not ids.known(i)] if several else [mvp] if mvp else []
            text, status = entry.raw("status"), entry.status
            if view.kind == "conclusions" and not text:
                text = entry.raw("conclusion")
                status = _ended(vocabulary.read(text), text)
            if status or text.strip("-—– ") or view.kind == "listing":
                name = entry.text("name") or ("" if several else id_and_name(raw)[1])
                found = [Stated(one, name, entry, status, text) for one in mine]
                shared += found if several else []
                yield from () if several else found
    yield from shared


def _ended(parsed: ParsedStatus | None, conclusion: str) -> str | None:
    """The status that a conclusion is, or done where it opens with that glyph.

    Any other glyph before a finding tells how good it is: `❌ it leaks` is not cancelled.
    """
    if parsed is None or (parsed.end < len(conclusion.rstrip(" *")) and parsed.status != "done"):
        return None
    return parsed.status


def _of_headings(document: Document, vocabulary: Vocabulary, ids: IdIndex) -> Iterator[Stated]:
    for heading in document.headings:
        title = without_number(heading.title)
        for mvp in several_ids(title):
            if not ids.known(mvp):
                yield _of_many(document, heading, mvp, vocabulary)
        opening = mvp_heading(heading, ids)
        if opening is None or ids.opening(title):
            continue
        mvp, rest = opening
        marks = heading_marks(heading, mvp, vocabulary)
        name = rest
        for _, text, _ in marks:
            name = name.replace(plain(text), "")
        name = _EMPTY_BRACKETS.sub("", name).strip(_EDGES)
        _, text, parsed = marks[-1] if marks else (0, "", None)
        entry = _entry(document, "heading", heading.index, mvp, parsed)
        yield Stated(mvp, name, entry, parsed.status if parsed else None, text)


def _of_many(document: Document, heading: Heading, mvp: str, vocabulary: Vocabulary) -> Stated:
    """One of the MVPs that share a heading, which then is no place to write its status."""
    marks = heading_marks(heading, "", vocabulary)
    _, text, parsed = marks[-1] if marks else (0, "", None)
    entry = _entry(document, "headings", heading.index, mvp, parsed)
    return Stated(mvp, "", entry, parsed.status if parsed else None, text)


def heading_marks(
    heading: Heading, mvp: str, vocabulary: Vocabulary
) -> list[tuple[int, str, ParsedStatus]]:
    """The statuses in the heading of an MVP's section: (offset in the title, text, parsed)."""
    title = heading.title
    named = re.search(rf"MVP[-–_ :]?{re.escape(mvp)}", title, re.I)
    marks = find_marks(title, named.span() if named else (0, 0), vocabulary, last=True)
    return [(mark.start, title[mark.start : mark.end], mark.parsed) for mark in marks]


def _of_cards(document: Document, vocabulary: Vocabulary, ids: IdIndex) -> Iterator[Stated]:
    lines = (document.line_text(i) for i in lines_of_boards(document, vocabulary))
    tokens = (token for line in lines for token in _TOKEN.findall(line))
    more = ids.with_more(found[0] for token in tokens if (found := new_id(token)))
    boards = find_boards(document, vocabulary, more) if more is not ids else ()
    for board, card in ((one, card) for one in boards for card in one.cards):
        column = board.column_of(card)
        if card.mvp is None or column is None or ids.known(card.mvp):
            continue
        opening = more.opening(card.text)
        of = (0, len(card.text) - len(opening[1]) if opening else 0)
        marks = find_marks(card.text, of, vocabulary, last=True)
        parsed = marks[-1].parsed if marks else None
        name = opening[1].strip(_EDGES) if opening and not parsed else ""
        status = parsed.status if parsed else column.status or None
        entry = _entry(document, "card", card.index, card.mvp, parsed)
        yield Stated(card.mvp, without_brackets(name), entry, status, column.text)


def _of_boxes(document: Document, vocabulary: Vocabulary, ids: IdIndex) -> Iterator[Stated]:
    for index, box, text in boxes_of(document):
        opening = None if ids.opening(text) else new_id(text)
        parsed = vocabulary.read(box) if opening else None
        if opening and parsed:
            entry = _entry(document, "task", index, opening[0], parsed)
            status = _status_of(box, text, parsed)
            yield Stated(opening[0], opening[1].strip(_EDGES), entry, status, box)


def stated_in_boxes(document: Document, vocabulary: Vocabulary) -> list[Stated]:
    """The items of check lists, `- [x] Phase 1: name`, in a document without any MVP."""
    found: dict[str, Stated] = {}
    for index, box, text in boxes_of(document):
        mvp, name = id_and_name(text)
        parsed = vocabulary.read(box)
        if parsed and name and _COUNTED.fullmatch(mvp):
            entry = _entry(document, "task", index, mvp, parsed)
            found.setdefault(mvp, Stated(mvp, name, entry, _status_of(box, text, parsed), box))
    return list(found.values())


def _status_of(box: str, text: str, parsed: ParsedStatus) -> str:
    """The status of an item with a box: what is struck out and not done is dropped."""
    return "cancelled" if box == "[ ]" and text.startswith("~~") else parsed.status


def boxes_of(document: Document) -> Iterator[tuple[int, str, str]]:
    """(0-based line, box, text) of every item of a check list, outside code and comments."""
    hidden = set(document.hidden_lines)
    for fence in document.fences:
        hidden.update(range(fence.first, fence.last))
    for match in _BOX.finditer(document.text):
        index = document.line_of(match.start("box")) - 1
        if index not in hidden:
            yield index, match["box"], match["text"]


def _entry(
    document: Document, kind: str, index: int, mvp: str, parsed: ParsedStatus | None
) -> Entry:
    return Entry(kind, Row(index, document.line_span(index), ()), {}, (mvp,), (), parsed)
