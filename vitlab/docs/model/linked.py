"""A file beside a roadmap that states statuses of its MVPs: a board, a check list, a report."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, replace

from vitlab.docs.model.boards.kanban import lines_of_boards
from vitlab.docs.model.boards.list_board import head_of, wanted_column
from vitlab.docs.model.boards.row_board import other_column
from vitlab.docs.model.ids import IdIndex, exp_id, new_id
from vitlab.docs.model.report_head import head_lines, in_head, own_experiments
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.model.status_marks import id_span
from vitlab.docs.model.status_sites import FREE_KINDS, StatusSite, StatusSites
from vitlab.docs.model.table_kinds import Entry, View, recognise, titles_above
from vitlab.docs.model.vocabulary import Vocabulary
from vitlab.docs.text.source import Document, Span
from vitlab.docs.text.tables import Row, tables_of

_TOKEN = re.compile(r"(?<![A-Za-z0-9])MVP[^\s|│┃║<,，、;；()（）]+", re.I)
_ITEM = re.compile(r"[ \t>]*(?:[-*+]|\d{1,3}[.)])[ \t]+(?:\[[ xX/-]\][ \t]+)?(?P<text>.+)")
_NAMED = re.compile(r"(?<![A-Za-z0-9])MVP[-–_ ]?[A-Za-z0-9]", re.I)


@dataclass(frozen=True)
class LinkedDocument(Roadmap):
    """A file read with the ids of a roadmap; the status of an MVP is the one that it states here.

    None where it states none, or several.
    """

    of: Roadmap

    def reread(self, document: Document) -> LinkedDocument:
        return read_linked(document, self.of, self.vocabulary, self.ids.unsure, self.report_of)

    @property
    def unsure(self) -> tuple[tuple[str, int], ...]:
        """(MVP, 1-based line) of each status that may be of another roadmap's MVP of this id."""
        places = [(site.mvp, site.index) for site in StatusSites(self)]
        places += [(card.mvp, card.index) for board in self.boards for card in board.cards]
        below = [column.view.entries for board in self.row_boards for column in board]
        places += [(mvp, e.row.index) for entries in below for e in entries for mvp in e.mvps]
        doubtful = {(mvp[:-1], at + 1) for mvp, at in places if mvp and mvp.endswith("?")}
        return tuple(sorted(doubtful, key=lambda place: place[1]))

    def below_another(self, mvp: str, status: str) -> tuple[tuple[int, str], ...]:
        """(1-based line, title) of what stays below a heading of another status: `## 🚀 Running`.

        It stays where no heading beside it is for the status, a row also where no table of its
        columns is below that. What stands below a date was done then.
        """
        places = [e.row.index for v in self.views for e in v.entries if e.mvps == (mvp,)]
        moves = {
            card.lines[0]
            for board in self.lists
            for card in (card for column in board for card in column.cards)
            if wanted_column(board, card, status)[1]
        }
        moves |= {
            entry.row.index
            for board in self.row_boards
            for home in board
            for entry in home.view.entries
            if other_column(board, home, status)
        }
        for index in range(len(self.document.lines)):
            item = _ITEM.match(self.document.line_text(index))
            opening = id_span(item["text"], self.ids, self.vocabulary) if item else None
            places += [index] if opening and opening[0] == mvp else []
        found = []
        for index in sorted(set(places) - moves - self.document.hidden_lines):
            above = [h for h in self.document.headings if h.index < index]
            title = above[-1].title if above else ""
            head = head_of(title, self.vocabulary)
            if head and head.status != status:
                found.append((index + 1, title))
        return tuple(found)

    @property
    def has_head(self) -> bool:
        """Whether it has a status of its own, as a report has."""
        return next(in_head(self.document, self.vocabulary, ""), None) is not None


def read_linked(
    document: Document,
    roadmap: Roadmap,
    vocabulary: Vocabulary,
    unsure: Iterable[str] = (),
    report_of: str | None = None,
) -> LinkedDocument:
    """What a file says of a roadmap's MVPs.

    `unsure`: MVPs whose ids other roadmaps of this file have too, so only an exp_id tells whose
    they are; `report_of`: the MVP whose report it is.
    """
    words = vocabulary.with_legend(document.prose)
    ids = replace(roadmap.ids, unsure=frozenset(unsure)).with_more(_on_boards(document, words))
    found = tables_of(document)
    paths = titles_above(document, found)
    known = [recognise(table, words, path) for table, path in zip(found, paths, strict=True)]
    views = tuple(_view(table.view(words, ids), roadmap, ids) for table in known if table)
    mvps = tuple(_unread(mvp) for mvp in roadmap.mvps)
    tables = tuple(t for t, k in zip(found, known, strict=True) if k is None)
    linked = LinkedDocument(document, words, ids, mvps, views, tables, roadmap, report_of=report_of)
    says = _statuses(linked)
    read = replace(linked, mvps=tuple(replace(m, status=says.get(m.id)) for m in mvps))
    kept = {name: value for name, value in vars(linked).items() if name not in vars(read)}
    vars(read).update(kept)  # what was found of boards and places does not depend on statuses
    return read


def owner(
    document: Document, roadmap: Roadmap, named: Collection[str], unsure: Container[str] = ()
) -> str | None:
    """The MVP whose report a file is; None where that is not certain.

    `named`: the MVPs whose rows or whose names lead to it; its own head decides between them.
    `unsure`: as in `read_linked`.
    """
    names = own_experiments(document)
    by_exp = {mvp for one in names if (mvp := roadmap.ids.of_experiment(one))}
    candidates = {mvp for mvp in named if mvp not in unsure}
    if len(by_exp) == 1 and named:
        return by_exp.pop()
    by_id = _named_in_head(document, roadmap) & candidates or candidates
    return by_id.pop() if len(by_id) == 1 else None


def is_report_of(document: Document, roadmap: Roadmap, mvp: str, exp_id: str | None) -> bool | None:
    """Whether a report is that of an MVP by its head; None where that tells nothing.

    `exp_id`: None for an MVP that has none yet.
    """
    names = [name.casefold() for name in own_experiments(document)]
    if names and exp_id:
        return exp_id.casefold() in names
    named = _named_in_head(document, roadmap)
    return False if named and mvp not in named else None


def _named_in_head(document: Document, roadmap: Roadmap) -> set[str]:
    head = [document.line_text(index) for index in head_lines(document)]
    return {mvp for line in head if _NAMED.search(line) for mvp in roadmap.ids.refs(line)}


def _on_boards(document: Document, vocabulary: Vocabulary) -> Iterator[str]:
    """The ids of the cards on a file's boards, of whatever roadmap they are."""
    for index in lines_of_boards(document, vocabulary):
        for token in _TOKEN.findall(document.line_text(index)):
            if found := new_id(token):
                yield found[0]


def _view(view: View, roadmap: Roadmap, ids: IdIndex) -> View:
    return replace(view, entries=tuple(_entry(entry, roadmap, ids) for entry in view.entries))


def _entry(entry: Entry, roadmap: Roadmap, ids: IdIndex) -> Entry:
    """A row with the MVP of its exp_id; one of another exp_id is of another experiment."""
    name = exp_id(entry.raw("exp_id"))
    if name is None:
        return entry
    if found := ids.experiment_in(name):
        return replace(entry, mvps=(found[0],))
    has_one = {mvp.id for mvp in roadmap.mvps if mvp.exp_id}
    unsure = (mvp if mvp.endswith("?") else f"{mvp}?" for mvp in entry.mvps if mvp not in has_one)
    return replace(entry, mvps=tuple(unsure))


def _unread(mvp: Mvp) -> Mvp:
    entry = Entry("linked", Row(0, Span(0, 0), ()), {})
    return replace(mvp, status=None, status_text="", line=1, entry=entry)


def _statuses(linked: LinkedDocument) -> dict[str, str | None]:
    """What the file says of each MVP in it: one status, or None where its places differ."""
    said: dict[str, set[str]] = {}
    open_boxes = set()
    sites = StatusSites(linked)
    for site in sites:
        if site.mvp is None or site.kind in FREE_KINDS:
            continue
        if _is_open_box(site):
            open_boxes.add(site.mvp)
        else:
            one = said.setdefault(site.mvp, set())
            one.add(site.parsed.status)
            if not sites.agrees(site, site.parsed.status):
                one.add("")  # its remark says something else
    for board in linked.boards:
        for card in board.cards:
            if card.mvp is None or card in linked.parts:
                continue
            if (column := board.column_of(card)) and column.status:
                said.setdefault(card.mvp, set()).add(column.status)
    for below in (one for group in linked.lists for one in group):
        for item in below.cards:
            if item.mark is None:
                said.setdefault(item.mvp, set()).add(below.status)
    for table in (one for group in linked.row_boards for one in group):
        for entry in table.view.entries:
            for mvp in entry.mvps:
                said.setdefault(mvp, set()).add(table.status)
    for mvp in open_boxes:
        one = said.setdefault(mvp, set())
        one.update({"planned"} if not one else ())
        one.update({"planned"} if "done" in one else ())
    return {mvp: next(iter(one)) if len(one) == 1 else None for mvp, one in said.items()}


def _is_open_box(site: StatusSite) -> bool:
    return site.kind == "task" and site.text == "[ ]"
