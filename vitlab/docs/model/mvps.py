"""MVPs that have no row in an overview, and the ids of them all."""

from __future__ import annotations

import re
from bisect import bisect, bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

from vitlab.contract.job import bare_id
from vitlab.docs.model.boards.kanban import find_boards, lines_of_boards
from vitlab.docs.model.boards.list_board import lines_below_statuses, list_boards
from vitlab.docs.model.boards.row_board import RowColumn, row_boards
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
from vitlab.docs.model.status_marks import (
    Found,
    HeadingStatus,
    Mark,
    find_marks,
    item_marks,
    status_lines,
    unclear_status,
    unread_statuses,
)
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import ParsedStatus, Vocabulary
from vitlab.docs.text.inline import folded, plain
from vitlab.docs.text.source import Document, Heading, Span
from vitlab.docs.text.tables import Cell, Row

_IN_TABLES = ("statuses", "priorities", "experiment_index", "checklist", "numbers", "listing")
_TOKEN = re.compile(r"(?<![A-Za-z0-9])MVP[^\s|│┃║<,，、;；()（）]+", re.I)
_COUNTED = re.compile(r"(?:[^\W\d]+[ -]?)?\d{1,4}(?:[.-]\w{1,4})*[a-z]?", re.I)
"""An id in a check list: `Phase 1`, `T-001`, `0.1`."""
_EDGES = " \t:：-–—|｜·"
_EMPTY_BRACKETS = re.compile(r"[(（【\[]\s*[)）】\]]")
_BOX = re.compile(
    r"^[ \t>]*(?:[-*+]|\d{1,3}[.)])[ \t]+(?P<box>\[[ xX/-]\])[ \t]+(?P<text>\S[^\r\n]*)", re.M
)

_LISTED = re.compile(
    r"^[ \t>]*(?:[-*+]|\d{1,3}[.)])[ \t]+(?!\[[ xX/-]\][ \t])(?P<text>\S[^\r\n]*)", re.M
)
_STEP = re.compile(
    r"[^\w\[(<]*(?P<id>(?:(?:phase|stage|step|milestone|task|experiment|exp|sprint|wp|[METPS])[ -]?"
    r"|阶段|里程碑|任务|实验|步骤)(?:\d{1,3}(?:[.-]\d{1,3})*[a-z]?|[一二三四五六七八九十]{1,3})"
    r"|\d{1,2}\.\d{1,2}[a-z]?)(?![\w.])",
    re.I,
)
"""What plans by others call their parts: `M1`, `Phase 2`, `阶段三`, `1.2`."""


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
    line: HeadingStatus | None = None
    """The status in a line of its own, `- **Status:** ✅`."""
    unread: str = ""
    """What stands in such a line where no status can be read."""

    @property
    def words(self) -> str:
        """What the heading says behind the id besides a status at its end."""
        title, start = self.heading.title, self.heading.span.start
        end = self.status.span.start - start if self.status else len(title)
        named = id_pattern(self.mvp).search(title)
        return " ".join(re.findall(r"\w+", folded(title[named.end() if named else 0 : end])))

    def fact(self, vocabulary: Vocabulary, column: str, *words: str) -> Cell | None:
        """The content of the row whose item is a header word of `column` or one of `words`."""
        for entry in self.facts:
            item, content = entry.cells.get("item"), entry.cells.get("content")
            if (
                item
                and content
                and (column in vocabulary.columns([item.raw]) or item.text.casefold() in words)
            ):
                return content
        return None


def specs_of(
    document: Document, views: Sequence[View], vocabulary: Vocabulary, ids: IdIndex
) -> tuple[Spec, ...]:
    """Every MVP section, in order."""
    openings = [(h, found) for h in document.headings if (found := mvp_heading(h, ids))]
    firsts = [view.table.first for view in views]
    starts = [heading.index for heading in document.headings]
    after = dict(pairwise(starts))
    places = [heading.index for heading, _ in openings]
    specs = []
    for number, (heading, (mvp, _)) in enumerate(openings):
        end = document.section_end(heading)
        # What stands below the heading of another MVP inside is that one's.
        below = openings[number + 1 : bisect_left(places, end)]
        stop = next((h.index for h, other in below if other[0] != mvp), end)
        inside = views[bisect(firsts, heading.index) : bisect(firsts, stop - 1)]
        own = heading.index + 1, after.get(heading.index, stop)
        specs.append(
            Spec(
                mvp,
                heading,
                end,
                _spec_status(heading, mvp, vocabulary),
                tuple(e for v in inside if v.kind == "facts" for e in v.entries),
                tuple(e for v in inside if v.kind == "runs" for e in v.entries),
                next(status_lines(document, vocabulary, *own), None),
                next(unread_statuses(document, *own), ""),
            )
        )
    return tuple(specs)


def _spec_status(heading: Heading, mvp: str, vocabulary: Vocabulary) -> HeadingStatus | None:
    """The last status in the heading of an MVP's section; None for none."""
    marks = heading_marks(heading, mvp, vocabulary)
    if not marks:
        return None
    offset, text, parsed = marks[-1]
    start = heading.span.start + offset
    return HeadingStatus(Span(start, start + len(text)), text, parsed)


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

    They stand in another table with their status, in a heading, on the board, or in a list.
    """
    found: dict[str, Stated] = {}
    below = {
        e.row.index: c
        for b in row_boards(document, vocabulary, views)
        for c in b
        for e in c.view.entries
    }
    sources = (
        _of_tables([v for k in _IN_TABLES for v in views if v.kind == k], vocabulary, ids, below),
        _of_headings(document, vocabulary, ids),
    )
    for source in sources:
        for one in source:
            key = one.id.casefold()
            if key not in found or (found[key].status is None and one.status):
                found[key] = one
    known = ids.with_more(one.id for one in found.values() if one.status)
    conclusions = [view for view in views if view.kind == "conclusions"]
    for one in (
        *(() if ids.ids else _of_lists(document, vocabulary, known)),
        *_of_boxes(document, vocabulary, known),
        *_of_cards(document, vocabulary, known),
        *_of_tables(conclusions, vocabulary, ids, below),  # what was found tells the least
    ):
        key = one.id.casefold()
        if key not in found or (found[key].status is None and one.status):
            found[key] = one
    return sorted(found.values(), key=lambda one: one.entry.row.index)


def _of_tables(
    views: Iterable[View], vocabulary: Vocabulary, ids: IdIndex, below: Mapping[int, RowColumn]
) -> Iterator[Stated]:
    """The MVPs of tables; `below`: 0-based line of a row -> the heading that says its status."""
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
            if "status" not in entry.cells and (column := below.get(entry.row.index)):
                text, status = plain(column.heading.title), column.status
            if status or text.strip("-—– ") or (view.kind == "listing" and not ids.ids):
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
        _, text, parsed = marks[-1] if marks else (0, unclear_status(title, vocabulary), None)
        entry = _entry(document, "heading", heading.index, mvp, parsed)
        yield Stated(mvp, name, entry, parsed.status if parsed else None, text)


def _of_many(document: Document, heading: Heading, mvp: str, vocabulary: Vocabulary) -> Stated:
    """One of the MVPs that share a heading, which then is no place to write its status."""
    marks = heading_marks(heading, "", vocabulary)
    _, text, parsed = marks[-1] if marks else (0, unclear_status(heading.title, vocabulary), None)
    entry = _entry(document, "headings", heading.index, mvp, parsed)
    return Stated(mvp, "", entry, parsed.status if parsed else None, text)


_MVP = re.compile(r"MVP[-–_ :]?", re.I)


def heading_marks(
    heading: Heading, mvp: str, vocabulary: Vocabulary
) -> list[tuple[int, str, ParsedStatus]]:
    """The statuses in the heading of an MVP's section: (offset in the title, text, parsed)."""
    title, length = heading.title, len(mvp)
    named = (one.span() for one in _MVP.finditer(title))
    spans = ((begin, end + length) for begin, end in named)
    of = next((s for s in spans if title[s[1] - length : s[1]].lower() == mvp.lower()), (0, 0))
    marks = find_marks(title, of, vocabulary, last=True, title=True)
    return [(mark.start, title[mark.start : mark.end], mark.parsed) for mark in marks]


@lru_cache(1 << 14)
def id_pattern(mvp: str) -> re.Pattern[str]:
    """An MVP's id in a text, with `MVP-` or without."""
    return re.compile(rf"(?:MVP[-–_ ]?)?{re.escape(mvp)}", re.I)


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
        text = card.text[marks[-1].start : marks[-1].end] if marks else column.text
        yield Stated(card.mvp, without_brackets(name), entry, status, text)


def _of_boxes(document: Document, vocabulary: Vocabulary, ids: IdIndex) -> Iterator[Stated]:
    for index, box, text in boxes_of(document):
        opening = None if ids.opening(text) else new_id(text)
        if opening and (one := _of_box(document, vocabulary, (index, box, text), *opening)):
            yield one
        for mvp in several_ids(text):
            one = _of_box(document, vocabulary, (index, box, text), mvp, "")
            if one and not ids.known(mvp):
                yield replace(one, entry=replace(one.entry, kind="items"))


def _of_box(
    document: Document, vocabulary: Vocabulary, item: tuple[int, str, str], mvp: str, name: str
) -> Stated | None:
    """The MVP of an item of a check list; a mark beside it tells more than its empty box."""
    index, box, text = item
    parsed = vocabulary.read(box)
    if parsed is None:
        return None
    marks = box_marks(box, text, mvp, vocabulary)
    status = parsed.status
    if box == "[ ]" and text.startswith("~~"):  # what is struck out and not done is dropped
        status = "cancelled"
    elif box == "[ ]" and marks and marks[-1].parsed.status != "done":
        status = marks[-1].parsed.status
    for mark in marks:
        name = name.replace(plain(text[mark.start : mark.end]), "")
    name = _EMPTY_BRACKETS.sub("", name).strip(_EDGES)
    return Stated(mvp, name, _entry(document, "task", index, mvp, parsed), status, box)


def box_marks(box: str, text: str, mvp: str, vocabulary: Vocabulary) -> list[Mark]:
    """The statuses in an item with a box; what blocks it is why the box is open."""
    marks = find_marks(text, _spelled(text, mvp), vocabulary, last=True)
    texts = (text[mark.start : mark.end] for mark in marks)
    return [
        m for m, t in zip(marks, texts, strict=True) if box != "[ ]" or not vocabulary.is_blocked(t)
    ]


def stated_in_lists(document: Document, vocabulary: Vocabulary) -> list[Stated]:
    """The items of lists, `- [x] Phase 1: name`, `- M1: name ✅`, in a document without any MVP."""
    found: dict[str, Stated] = {}
    for index, box, text in boxes_of(document):
        first = vocabulary.read(text)
        at = first.glyph[1] if first and first.glyph else 0
        mvp, name = id_and_name(text[at:].lstrip())
        one = _of_box(document, vocabulary, (index, box, text), mvp, name) if name else None
        if one and _COUNTED.fullmatch(mvp):
            found.setdefault(mvp, one)
    if not found:
        for one in _of_items(document, vocabulary, _step_marks):
            found.setdefault(one.id, one)
    return list(found.values())


def _of_lists(document: Document, vocabulary: Vocabulary, known: IdIndex) -> Iterator[Stated]:
    """The items that tell how an MVP stands, by a status or by the heading above them.

    Beside one with a status the others of its list are MVPs too.
    """
    below = map(document.line_text, lines_below_statuses(document, vocabulary))
    tokens = (token for line in below for token in _TOKEN.findall(line))
    more = known.with_more(found[0] for token in tokens if (found := new_id(token)))
    for column in (c for board in list_boards(document, vocabulary, more) for c in board):
        for card in column.cards:
            end = _spelled(card.text, card.mvp)[1]
            item = (document, card.lines[0], (card.mvp,), card.text, end, card.mark)
            for one in _of_item(*item):
                text = one.text or plain(column.heading.title)
                yield replace(one, status=one.status or column.status, text=text)
    yield from _of_items(document, vocabulary, _marks)


def _marks(text: str, vocabulary: Vocabulary) -> tuple[Sequence[str], int, list[Mark]]:
    """The MVPs that an item opens with, where the last id ends, and its statuses."""
    found = new_id(text)
    mvps = (found[0],) if found else several_ids(text)
    of = _spelled(text, mvps[-1]) if mvps else (0, 0)
    return mvps, of[1], item_marks(text, of, vocabulary) if mvps else []


def _of_items(
    document: Document,
    vocabulary: Vocabulary,
    read: Callable[[str, Vocabulary], tuple[Sequence[str], int, list[Mark]]],
) -> Iterator[Stated]:
    """The items that `read` knows in those lists in which one of them has a status."""
    listed: list[Stated] = []
    for index, text in items_of(document):
        mvps, end, marks = read(text, vocabulary)
        if listed and not _is_one_list(document, listed[-1].entry.row.index, index):
            yield from listed if any(one.status for one in listed) else ()
            listed = []
        mark = marks[-1] if marks else None
        unclear = "" if marks else unclear_status(text, vocabulary)
        found = _of_item(document, index, mvps, text, end, mark)
        listed += (replace(one, text=one.text or unclear) for one in found)
    yield from listed if any(one.status for one in listed) else ()


def _is_one_list(document: Document, first: int, last: int) -> bool:
    """Whether two lines are in one list: only its items, what is indented, and blanks between."""
    lines = map(document.line_text, range(first + 1, last))
    return all(not line.strip() or line[0] in " \t>" or _LISTED.match(line) for line in lines)


def _spelled(text: str, mvp: str) -> tuple[int, int]:
    """Where an item has the id that it opens with."""
    named = re.search(rf"(?:MVP[-–—_ :]*)?{re.escape(mvp)}", text, re.I)
    return named.span() if named else (0, 0)


def _step_marks(text: str, vocabulary: Vocabulary) -> tuple[Sequence[str], int, list[Mark]]:
    """The id of a part of a plan by others that an item opens with, its end, and its statuses."""
    named = _STEP.match(text)
    if named is None:
        return (), 0, []
    mvp = bare_id(" ".join(named["id"].split()))
    return (mvp,), named.end("id"), item_marks(text, named.span("id"), vocabulary)


def _of_item(
    document: Document, index: int, mvps: Sequence[str], text: str, end: int, mark: Mark | None
) -> Iterator[Stated]:
    """The MVPs of an item whose ids end at an offset of its text."""
    parsed = mark.parsed if mark else None
    status = text[mark.start : mark.end] if mark else ""
    name = text[end : mark.start if mark and mark.start > end else None]
    name = _EMPTY_BRACKETS.sub("", plain(name.rstrip("(（【[ ")))
    name, kind = name.strip(_EDGES + "*~_"), "items" if len(mvps) > 1 else "item"
    for mvp in mvps:
        entry = _entry(document, kind, index, mvp, parsed)
        yield Stated(mvp, name, entry, parsed.status if parsed else None, status)


def items_of(document: Document) -> Iterator[tuple[int, str]]:
    """(0-based line, text) of every item of a list without a box, outside code and comments."""
    hidden = set(document.hidden_lines)
    for fence in document.fences:
        hidden.update(range(fence.first, fence.last))
    for match in _LISTED.finditer(document.text):
        index = document.line_of(match.start("text")) - 1
        if index not in hidden:
            yield index, match["text"]


def in_steps(
    document: Document, vocabulary: Vocabulary, items: Mapping[int, str]
) -> Iterator[Found]:
    """The statuses in items (by 0-based line) of MVPs that go by another name: `- M1: name ✅`."""
    for index, mvp in items.items():
        match = _LISTED.match(document.line_text(index))
        step, _, marks = _step_marks(match["text"] if match else "", vocabulary)
        for mark in marks if mvp in step else ():
            at = document.line_span(index).start + (match.start("text") if match else 0)
            yield Found(mvp, "item", at + mark.start, at + mark.end, mark.parsed)


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
