"""Where a roadmap, or a file beside it, states statuses of MVPs: tables, headings, cards, lists."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from vitlab.docs.model.boards.box import rest_of_card
from vitlab.docs.model.boards.list_board import last_of_item
from vitlab.docs.model.ids import exp_id, several_ids, without_number
from vitlab.docs.model.mvps import Spec, id_pattern, in_steps
from vitlab.docs.model.report_head import in_head, is_of_something_else
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.sites.site import StatusSite
from vitlab.docs.model.status_marks import (
    HeadingStatus,
    Mark,
    find_marks,
    heading_status,
    in_diagrams,
    in_items,
    of_parts,
    past_lines,
    status_lines,
)
from vitlab.docs.model.status_text import is_progress_status, read_status_text
from vitlab.docs.model.table_kinds import Entry, View, marks_beside_name
from vitlab.docs.model.vocabulary import COLOURS
from vitlab.docs.text.inline import folded
from vitlab.docs.text.source import Document, Heading, Span
from vitlab.docs.text.tables import Cell

MVP_STATUS_TABLES = (
    "overview", "statuses", "experiment_index", "gate_progress", "numbers", "checklist",
)  # fmt: skip
"""Kinds of table whose status column holds the status of the row's MVP."""
OF_PARTS = "beside it stand other parts of this MVP"
"""Why a status of a part stays."""
_OF_GATES = ("gate", "gate_progress")


def table_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    own = {mvp.entry.row.index for mvp in roadmap.mvps if mvp.entry.cells}
    past = past_lines(roadmap.document)
    for view in roadmap.views:
        for site in _sites_of_table(roadmap, view):
            if site.index in own or site.kind in ("verdict", "head"):
                yield site
            elif view.table.first in past:
                yield site.left("")
            elif view.subject:
                yield site.left(f"it may be that of its column {view.subject!r}")
            elif site.mvp and view.has_parts(site.mvp):
                yield site.left("several rows of this table are of this MVP")
            else:
                yield site


def _sites_of_table(roadmap: Roadmap, view: View) -> Iterator[StatusSite]:
    for entry in view.entries:
        mvp = entry.mvps[0] if len(entry.mvps) == 1 else None
        if view.kind == "overview" and "mvp" in entry.cells and entry.mvps:
            mvp = roadmap.ids.known(entry.cells["mvp"].raw) or mvp
        if view.kind == "experiment_index" and not _is_current(roadmap, entry, mvp):
            mvp = None
        if "status" in entry.cells and "status" not in view.columns:
            yield from _beside_name(roadmap, view, entry, mvp)
        elif view.kind in (*MVP_STATUS_TABLES, "conclusions"):
            yield from _cell_site(roadmap, view, entry, "status", view.kind, mvp)
        elif view.kind == "priorities":
            yield from _cell_site(roadmap, view, entry, "status", "week", mvp)
            yield from _whole_cell(roadmap, view, entry, "priority", "priority", mvp)
        elif view.kind in ("runs", "routes"):
            yield from _cell_site(roadmap, view, entry, "status", "other", None)
        elif view.kind == "board" and mvp and not view.is_of_reports:
            yield from _cell_site(roadmap, view, entry, "status", "board", mvp)
        elif view.kind == "facts" and _is_own_status(roadmap, view, entry):
            yield from _cell_site(roadmap, view, entry, "content", "head", roadmap.report_of)
        if view.kind == "overview":
            yield from _whole_cell(roadmap, view, entry, "report", "report", mvp)
        elif view.kind == "conclusions":
            yield from _whole_cell(roadmap, view, entry, "conclusion", "conclusions", mvp)


def _beside(document: Document, heading: Heading) -> tuple[int, int]:
    """The level of a heading and the line of the one that it is below: the same for neighbours."""
    above = (h for h in reversed(document.headings) if h.index < heading.index)
    return heading.level, next((h.index for h in above if h.level < heading.level), -1)


def _beside_name(
    roadmap: Roadmap, view: View, entry: Entry, mvp: str | None
) -> Iterator[StatusSite]:
    """The sites in the name or id of a row in a table without a column of statuses."""
    cells = {name: entry.row.cells[view.columns[name]] for name in entry.cells if name != "status"}
    column, marks = marks_beside_name(cells, roadmap.vocabulary)
    for start, end, parsed in marks:
        at, text = cells[column].start, cells[column].raw[start:end]
        place = (entry.row.index, Span(at + start, at + end), text, parsed)
        yield StatusSite(view.kind, mvp, *place, None, entry.mvps[1:] and entry.mvps)


def _whole_cell(
    roadmap: Roadmap, view: View, entry: Entry, column: str, kind: str, mvp: str | None
) -> Iterator[StatusSite]:
    """The site of a cell that is no status column's and yet says nothing but a status."""
    for site in _cell_site(roadmap, view, entry, column, kind, mvp):
        loose = site.parsed.loose or (kind == "priority" and site.text.strip("*") in COLOURS)
        rest = read_status_text(site.text, site.parsed, roadmap.vocabulary).remark.strip(" *~_`")
        if not loose and (not rest or (kind == "report" and rest[0] in "：:（(，,")):
            yield site


def _is_own_status(roadmap: Roadmap, view: View, entry: Entry) -> bool:
    """Whether a row of facts in a report is the status of its experiment."""
    title = view.headings[-1] if view.headings else ""
    if roadmap.report_of is None or is_of_something_else(title) or re.match(r"\W*MVP", title, re.I):
        return False
    return "status" in roadmap.vocabulary.columns([entry.raw("item")])


def _is_current(roadmap: Roadmap, entry: Entry, mvp_id: str | None) -> bool:
    """Whether an index row is of the current experiment of its MVP, not of an earlier one.

    Where the overview names none it is the only one that the index has.
    """
    named = {mvp.exp_id for mvp in roadmap.mvps if mvp.id == mvp_id}
    if None in named:
        rows = (row for row in roadmap.rows("experiment_index") if mvp_id in row.mvps)
        named |= {exp_id(row.raw("exp_id")) for row in rows}
        return len(named) <= 2  # None and one more
    return exp_id(entry.raw("exp_id")) in named


def _cell_site(
    roadmap: Roadmap, view: View, entry: Entry, column: str, kind: str, mvp: str | None
) -> Iterator[StatusSite]:
    cell = entry.cells.get(column)
    parsed = roadmap.vocabulary.read(cell.raw) if cell else None
    if cell and parsed:
        where = (view.table, entry, view.columns[column])
        kind = "verdict" if parsed.verdict and kind in _OF_GATES else kind
        place = (entry.row.index, cell.span, cell.raw, parsed, where)
        yield StatusSite(kind, mvp, *place, entry.mvps[1:] and entry.mvps)


def heading_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    own, past = {mvp.line - 1 for mvp in roadmap.mvps}, past_lines(roadmap.document)
    found = [(spec, list(_sites_of_section(roadmap, spec))) for spec in roadmap.specs]
    found = [(spec, sites) for spec, sites in found if sites]
    texts = [(spec.mvp, _beside(roadmap.document, spec.heading), spec.words) for spec, _ in found]
    parts = of_parts(texts, roadmap.names)
    for number, (spec, sites) in enumerate(found):
        at = spec.heading.index
        if at in own or not (at in past or number in parts):
            yield from sites
        else:
            why = "" if at in past else OF_PARTS
            yield from (site.left(why) for site in sites)
    taken = {gate.line - 1 for gate in roadmap.gates} | {s.heading.index for s in roadmap.specs}
    for heading in roadmap.document.headings:
        if heading.index in taken:
            continue
        if status := heading_status(heading, roadmap.vocabulary):
            place = (heading.index, status.span, status.text, status.parsed, None)
            yield StatusSite("heading", None, *place, several_ids(without_number(heading.title)))


def _sites_of_section(roadmap: Roadmap, spec: Spec) -> Iterator[StatusSite]:
    heading = spec.heading
    yield from _marked(
        roadmap, heading.title, spec.mvp, "heading", heading.index, heading.span.start
    )
    yield from _fact_site(roadmap, spec.fact(roadmap.vocabulary, "status"), "fact", spec.mvp)
    if spec.line:
        yield _line_site(roadmap, spec.line, "fact", spec.mvp)


def _line_site(roadmap: Roadmap, line: HeadingStatus, kind: str, mvp: str) -> StatusSite:
    index = roadmap.document.line_of(line.span.start) - 1
    return StatusSite(kind, mvp, index, line.span, line.text, line.parsed)


def _marked(
    roadmap: Roadmap, text: str, mvp: str, kind: str, index: int, at: int
) -> Iterator[StatusSite]:
    """The sites in a text at offset `at` that is of one MVP and names it."""
    for mark in marks_of(roadmap, text, mvp, title=kind == "heading"):
        span = Span(at + mark.start, at + mark.end)
        several = several_ids(text)
        owner = None if several else mvp
        yield StatusSite(
            kind, owner, index, span, text[mark.start : mark.end], mark.parsed, None, several
        )


def marks_of(roadmap: Roadmap, text: str, mvp: str, *, title: bool = False) -> Sequence[Mark]:
    """The statuses in a heading or card of an MVP."""
    experiment = roadmap.ids.experiment_in(text)
    named = id_pattern(mvp).search(text)
    of = experiment[1] if experiment else named.span() if named else (0, 0)
    return find_marks(text, of, roadmap.vocabulary, last=True, title=title)


def gate_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    for gate in roadmap.gates:
        owner = gate.mvps[0] if len(gate.mvps) == 1 else None
        progress = gate.parsed is not None and is_progress_status(gate.status_text, gate.parsed)
        yield from _fact_site(roadmap, gate.status_cell, "gate" if progress else "verdict", owner)


def _fact_site(
    roadmap: Roadmap, cell: Cell | None, kind: str, mvp: str | None
) -> Iterator[StatusSite]:
    """The site of a content cell of a table of facts."""
    if cell is not None and (found := roadmap.facts.get(cell.start)):
        yield from _cell_site(roadmap, *found, "content", kind, mvp)


def card_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    for band in (band for board in roadmap.boards for band in board.bands):
        for card in band.segments:
            if card.mvp is None:
                continue
            at = card.span.start
            marked = _marked(roadmap, card.text, card.mvp, "card", card.index, at)
            if card in roadmap.parts:
                yield from (site.left(OF_PARTS) for site in marked)
                continue
            yield from marked
            for more in rest_of_card(band, card) if band.box else ():
                parsed = roadmap.vocabulary.read(more.text)
                if parsed and parsed.glyph and not parsed.loose:
                    yield StatusSite("below", card.mvp, more.index, more.span, more.text, parsed)


def text_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    document, vocabulary, ids = roadmap.document, roadmap.vocabulary, roadmap.ids
    boards = {i for board in roadmap.boards for i in board.lines}
    own = roadmap.report_of
    listed = {card.lines[0] for board in roadmap.lists for one in board for card in one.cards}
    items = {m.line - 1: m.id for m in roadmap.mvps if m.entry.kind in ("item", "items")}
    own_lines, past = {m.line - 1 for m in roadmap.mvps if not m.in_overview}, past_lines(document)
    places = (
        *in_items(document, vocabulary, ids, listed | items.keys()),
        *in_steps(document, vocabulary, items),
        *in_diagrams(document, vocabulary, ids, boards),
        *(in_head(document, vocabulary, own) if own else ()),
    )
    parts = of_parts([(one.mvp, one.where, one.words) for one in places], roadmap.names)
    for number, found in enumerate(places):
        span, index = Span(found.at, found.end), document.line_of(found.at) - 1
        owner, text = None if found.shared else found.mvp, document.slice(span)
        site = StatusSite(found.kind, owner, index, span, text, found.parsed, None, found.shared)
        # In a report or card of one MVP an item with words of its own is a part of the work.
        of_work = (
            own and found.words and found.words not in folded(roadmap.names.get(found.mvp, ""))
        )
        is_left = index in past or number in parts or of_work
        if found.kind == "head" or index in own_lines or not is_left:
            yield site
        else:
            yield site.left("" if index in past else OF_PARTS)
    for mvp in (mvp for mvp in roadmap.mvps if mvp.entry.kind in ("item", "task")):
        end = last_of_item(document, mvp.line - 1) + 1
        for line in status_lines(document, vocabulary, mvp.line, end):
            yield _line_site(roadmap, line, "item", mvp.id)
    for mvp in roadmap.mvps:
        if mvp.entry.kind == "task" and mvp.entry.parsed:
            row = mvp.entry.row
            at = row.span.start + document.slice(row.span).index(mvp.status_text)
            span = Span(at, at + len(mvp.status_text))
            yield StatusSite("task", mvp.id, row.index, span, mvp.status_text, mvp.entry.parsed)
