"""Contradictions and breaks in a roadmap, each with its line, its reason and, where safe, a fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TypeVar, cast
from urllib.parse import unquote

from vitlab.contract.paths import real
from vitlab.docs.lint.finding import Finding, file_name
from vitlab.docs.lint.hypotheses import hypothesis_findings
from vitlab.docs.lint.verdicts import gate_findings
from vitlab.docs.model.boards import moves
from vitlab.docs.model.boards.board import current_column, target_column
from vitlab.docs.model.boards.list_board import moved_item, wanted_column
from vitlab.docs.model.boards.moves import move_card
from vitlab.docs.model.boards.row_board import moved_row, other_column
from vitlab.docs.model.hub import Hub, parse_hub
from vitlab.docs.model.ids import exp_id, gate_refs, report_target, without_number
from vitlab.docs.model.linked import LinkedDocument
from vitlab.docs.model.roadmap import Mvp, Roadmap
from vitlab.docs.model.status_sites import FREE_KINDS, StatusSite, StatusSites, marks_of
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.text.edit import Edit, apply
from vitlab.docs.text.inline import plain, same_glyph
from vitlab.docs.text.source import CONFLICT, HOLE, ZEROS, Document
from vitlab.docs.text.tables import Row, Table, set_cell, tables_of

RoadmapT = TypeVar("RoadmapT", bound=Roadmap)
_GATES = ("gate", "gate_progress")
_OWN_LINE = ("broken-row", "status-conflict")
"""Kinds whose fixes are made at once: to read a document anew for each takes minutes."""
_WAITING = ("planned", "ready", "running")
_CLOSED = ("done", "failed", "partial")


def status_findings(roadmap: Roadmap) -> Iterator[Finding]:
    """Every status that contradicts the overview, and every card in a wrong column."""
    sites = StatusSites(roadmap)
    overview = {mvp.id: mvp for mvp in reversed(roadmap.mvps)}
    rowless = {(mvp.id, mvp.line - 1) for mvp in roadmap.mvps if not mvp.in_overview}
    own = (p for p in sites if p.kind == "overview" or (p.mvp, p.index) in rowless)
    glyphs = {place.mvp: place.glyph for place in own if place.mvp}
    for site in sites:
        mvp = overview.get(site.mvp or "")
        if mvp is None or mvp.status is None or site.kind in ("overview", "verdict", "other"):
            continue
        if site.kind in _GATES:
            yield from _gate_finding(site, mvp.status)
        elif site.glyph and same_glyph(site.glyph) == same_glyph(glyphs.get(mvp.id, "")):
            continue  # one glyph for two statuses: the word only tells which
        else:
            yield from _site_finding(sites, site, mvp, f"line {mvp.line}")
    yield from _card_findings(roadmap, {i: mvp.status for i, mvp in overview.items()})
    yield from _item_findings(roadmap, {i: mvp.status for i, mvp in overview.items()})
    yield from _row_findings(roadmap, {i: mvp.status for i, mvp in overview.items()})
    yield from _unmarked_findings(roadmap, {i: mvp.status for i, mvp in overview.items()})


def linked_findings(file: LinkedDocument) -> Iterator[Finding]:
    """Every status in a file that contradicts the roadmap it follows, and every such card."""
    sites = StatusSites(file)
    overview = {mvp.id: mvp for mvp in reversed(file.of.mvps)}
    for site in sites:
        mvp = overview.get(site.mvp or "")
        in_text = file.report_of is not None and site.kind in ("task", "item")  # what is left to do
        if mvp and mvp.status and site.kind not in FREE_KINDS and not in_text:
            where = f"line {mvp.line} of {file_name(file.of.document)}"
            yield from _site_finding(sites, site, mvp, where)
    yield from _card_findings(file, {i: mvp.status for i, mvp in overview.items()})
    yield from _item_findings(file, {i: mvp.status for i, mvp in overview.items()})
    yield from _row_findings(file, {i: mvp.status for i, mvp in overview.items()})
    yield from _unmarked_findings(file, {i: mvp.status for i, mvp in overview.items()}, file.of)


def _site_finding(sites: StatusSites, site: StatusSite, mvp: Mvp, where: str) -> Iterator[Finding]:
    """What a place says otherwise than the overview; `where`: the place of that."""
    status = mvp.status or ""
    if site.parsed.status == status or sites.is_of_one_run(site):
        return
    if site.kind in ("task", "item") and sites.agrees(site, status):
        return  # an empty box, or what blocks it, only says that it is not done
    message = f"MVP {mvp.id} is {site.parsed.status} here and {status} on {where}"
    fix = sites.edit(site, sites.spell(site, status))
    yield Finding(site.index + 1, "status-conflict", message, (fix,) if fix else None)


def _gate_finding(site: StatusSite, status: str) -> Iterator[Finding]:
    """A gate may wait while its MVP is done; it cannot run without it, or be closed before it."""
    gate = site.parsed.status
    stale = gate == "running" and status not in ("running", "analysing")
    early = gate in _CLOSED and status in _WAITING
    if stale or early:
        message = f"the gate is {gate} while its MVP {site.mvp} is {status}"
        yield Finding(site.index + 1, "stale-gate", message)


def _card_findings(roadmap: Roadmap, statuses: dict[str, str | None]) -> Iterator[Finding]:
    order, drawn = roadmap.order, 0
    sizes = {board.lines: len(board.cards) for board in roadmap.boards}
    for board, card in ((b, c) for b in roadmap.boards for c in b.cards):
        status = None if card in roadmap.parts else statuses.get(card.mvp or "")
        column = board.column_of(card)
        if status is None or (column and not column.status):
            continue
        target = target_column(board, card, status, statuses)
        if target == current_column(board, card):
            continue
        head = column.text if column else "no column"
        message = f"the card of MVP {card.mvp} is under {head} while it is {status}"
        drawn += sizes[board.lines]
        if drawn > moves.WORK:
            more = "; --fix moves some at a time"
            yield Finding(card.index + 1, "card-column", message + more)
            continue
        fix = tuple(move_card(roadmap.document, board, card, target, card.text, order))
        yield Finding(card.index + 1, "card-column", message, fix or None)


def _unmarked_findings(
    roadmap: Roadmap, statuses: dict[str, str | None], *others: Roadmap
) -> Iterator[Finding]:
    """Every card of a cancelled MVP that does not say so where the MVP's card elsewhere does."""
    marked: dict[str, str] = {}
    for document in (roadmap, *others):
        for card in (card for board in document.boards for card in board.cards):
            for mark in marks_of(document, card.text, card.mvp or ""):
                if mark.parsed.status == "cancelled":
                    marked.setdefault(card.mvp or "", card.text[mark.start : mark.end])
    for board, card in ((b, c) for b in roadmap.boards for c in b.cards):
        mvp = card.mvp or ""
        has_column = any(c.status == "cancelled" for band in board.bands for c in band.columns)
        is_not = statuses.get(mvp) != "cancelled" or card in roadmap.parts
        if mvp not in marked or is_not or has_column:
            continue
        if not marks_of(roadmap, card.text, mvp):
            # A word alone behind a name may be read as a part of it, and would be added for ever.
            texts = f"{card.text} {marked[mvp]}", f"{card.text} ({marked[mvp]})"
            text = next((one for one in texts if marks_of(roadmap, one, mvp)), card.text)
            at = current_column(board, card)
            fix = tuple(move_card(roadmap.document, board, card, at, text, roadmap.order))
            message = f"the card of MVP {mvp} lacks {marked[mvp]}, which another board has"
            yield Finding(card.index + 1, "card-unmarked", message, fix or None)


def _item_findings(roadmap: Roadmap, statuses: dict[str, str | None]) -> Iterator[Finding]:
    """Every item below a heading of another status than its MVP has."""
    for board, card in ((b, card) for b in roadmap.lists for column in b for card in column.cards):
        status = statuses.get(card.mvp)
        home, to = wanted_column(board, card, status or "")
        if status and to and to is not home:
            head = plain(home.heading.title)
            message = f"the item of MVP {card.mvp} is under {head} while it is {status}"
            fix = moved_item(roadmap.document, board, card, to, roadmap.order, [])
            yield Finding(card.lines[0] + 1, "card-column", message, tuple(fix))


def _row_findings(roadmap: Roadmap, statuses: dict[str, str | None]) -> Iterator[Finding]:
    """Every row in the table below a heading of another status than its MVP has."""
    for board, home in ((b, column) for b in roadmap.row_boards for column in b):
        for entry in home.view.entries:
            status = statuses.get(entry.mvps[0]) if len(entry.mvps) == 1 else None
            to = other_column(board, home, status) if status else None
            if to:
                head = plain(home.heading.title)
                message = f"the row of MVP {entry.mvps[0]} is under {head} while it is {status}"
                fix = moved_row(roadmap.document, home, to, entry, [])
                yield Finding(entry.line, "card-column", message, tuple(fix))


def _box_findings(roadmap: Roadmap) -> Iterator[Finding]:
    """Every row of a box whose sides are not those of its heads: its cards cannot be moved."""
    for band in (band for board in roadmap.boards for band in board.bands if band.box):
        odd = {s.index for s in band.segments if s.column < 0 and not s.text}
        for index in sorted(odd & {s.index for s in band.segments if s.mvp}):
            yield Finding(
                index + 1, "broken-row", "a row whose borders do not line up with the headers"
            )


_MARKDOWN = re.compile(r"\.(?:md|markdown)(?:#|$)", re.I)
_PLACEHOLDER = re.compile(r"[*<>\[\]{}]|xxx|YYYY", re.I)
_DATE = re.compile(r"^\d{4}-\d{2}-\d{2}")
_ROW = re.compile(r"^[ \t>]*\|.*\|[ \t]*$")
_RAW_MVP = re.compile(r"^\W*MVP[-–_ ]([A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*)", re.I)
_REFERRING = ("priorities", "gate_progress", "conclusions", "experiment_index", "checklist")


def lint(roadmap: Roadmap, lab_root: Path | None) -> list[Finding]:
    """All contradictions and breaks, by line.

    `lab_root`: the lab's folder, in which linked reports are looked for; None: nowhere.
    """
    findings = [
        *status_findings(roadmap),
        *gate_findings(roadmap),
        *_duplicate_ids(roadmap),
        *_references(roadmap),
        *_broken_rows(roadmap.document),
        *_box_findings(roadmap),
        *_legend_findings(roadmap),
        *_date_order(roadmap.views),
        *(_dead_links(roadmap, lab_root) if lab_root else ()),
    ]
    return sorted(findings, key=lambda finding: (finding.line, finding.kind, finding.message))


def lint_document(hub: Hub, lab_root: Path | None = None) -> list[Finding]:
    """What is broken in a document that is no roadmap: a hub or a `kanban.md`."""
    findings = [
        *_broken_rows(hub.document),
        *_date_order(hub.views),
        *_duplicate_rows(hub),
        *(replace(finding, path=None) for finding in hypothesis_findings([hub], 1)),
        *(_dead_paths(hub, lab_root) if lab_root else ()),
    ]
    return sorted(findings, key=lambda finding: (finding.line, finding.kind, finding.message))


def _duplicate_rows(hub: Hub) -> Iterator[Finding]:
    """Every experiment with two rows on a board, struck-out ones aside."""
    first: dict[str, int] = {}
    for entry in hub.rows("board"):
        struck = entry.raw("exp_id").startswith("~~")
        name = None if struck else exp_id(entry.raw("exp_id"))
        if name and name in first:
            message = f"{name} has a row on line {first[name]}"
            yield Finding(entry.line, "duplicate-exp-id", message)
        if name:
            first.setdefault(name, entry.line)


def fix_all(roadmap: Roadmap, lab_root: Path | None) -> str:
    """The document's text with every safe fix made, each on the text that those before left."""
    return _fixed(roadmap.document, lambda now: lint(_read_again(roadmap, now), lab_root))


def fix_linked(file: LinkedDocument) -> str:
    """The text of a file with the statuses and cards that its roadmap has."""
    return _fixed(file.document, lambda now: linked_findings(_read_again(file, now)))


def fix_document(hub: Hub) -> str:
    """The text of a document that is no roadmap with every safe fix made."""
    return _fixed(hub.document, lambda now: lint_document(parse_hub(now, hub.vocabulary)))


def _read_again(file: RoadmapT, now: Document) -> RoadmapT:
    return file if now is file.document else cast("RoadmapT", file.reread(now))


def _fixed(document: Document, find: Callable[[Document], Iterable[Finding]]) -> str:
    seen = {document.text}
    while fix := _next_fix(document, [finding for finding in find(document) if finding.fix]):
        document = Document(apply(document.text, fix), document.path)
        if document.text in seen:  # two fixes that undo each other would never end
            break
        seen.add(document.text)
    return document.text


def _next_fix(document: Document, found: Sequence[Finding]) -> tuple[Edit, ...]:
    """The fixes that change their own line alone, of each line the first.

    Without any the first one, and where it moves a card, one in each other fenced block.
    """
    lines = {one.line: one.fix for one in reversed(found) if one.kind in _OWN_LINE}
    fixes = list(lines.values()) or [one.fix for one in found[:1]]
    if not lines and found and found[0].kind == "card-column":
        fixes, end = [], None
        for fix in (one.fix or () for one in found if one.kind == "card-column"):
            start = min(edit.span.start for edit in fix)
            # A block ends and another begins between them.
            if end is None or document.text.count("\n```", end, start) > 1:
                fixes.append(fix)
                end = max(edit.span.end for edit in fix)
    return tuple(edit for fix in fixes for edit in fix or ())


def _duplicate_ids(roadmap: Roadmap) -> Iterator[Finding]:
    first: dict[str, int] = {}
    owners: dict[str, str] = {}
    for mvp in roadmap.mvps:
        key = mvp.id.casefold()
        if key in first:
            yield Finding(mvp.line, "duplicate-id", f"MVP {mvp.id} has a row on line {first[key]}")
        first.setdefault(key, mvp.line)
        owner = owners.setdefault(mvp.exp_id, mvp.id) if mvp.exp_id else mvp.id
        if owner != mvp.id:
            message = f"{mvp.exp_id} is the exp_id of MVP {owner} and of MVP {mvp.id}"
            yield Finding(mvp.line, "duplicate-exp-id", message)
    listed: dict[str, int] = {}
    for entry in roadmap.rows("experiment_index"):
        name = exp_id(entry.raw("exp_id"))
        if name and name in listed:
            message = f"{name} is in the index on line {listed[name]}"
            yield Finding(entry.line, "duplicate-exp-id", message)
        if name:
            listed.setdefault(name, entry.line)


def _references(roadmap: Roadmap) -> Iterator[Finding]:
    # Where MVPs stand only in headings and on a board, none of them lacks a row.
    known = {mvp.id for mvp in roadmap.mvps if mvp.in_overview} or set(roadmap.ids.ids)
    for gate in roadmap.gates:
        for mvp in gate.mvps:
            if mvp not in known:
                message = f"Gate-{gate.id} names MVP {mvp}, which has no row in the overview"
                yield Finding(gate.line, "unknown-mvp", message)
    for kind in _REFERRING:
        for entry in roadmap.rows(kind):
            for mvp in entry.mvps:
                if mvp not in known:
                    message = f"names MVP {mvp}, which has no row in the overview"
                    yield Finding(entry.line, "unknown-mvp", message)
    for heading in roadmap.document.headings:
        named = _RAW_MVP.match(plain(heading.title))
        opening = roadmap.ids.opening(without_number(heading.title))
        if named and (opening is None or opening[0] not in known):
            message = f"specifies MVP {named[1]}, which has no row in the overview"
            yield Finding(heading.index + 1, "unknown-mvp", message)
    for band in (band for board in roadmap.boards for band in board.bands):
        for piece in band.segments:
            named = _RAW_MVP.match(plain(piece.text))
            if named and piece.mvp not in known:
                message = f"the card of MVP {named[1]} has no row in the overview"
                yield Finding(piece.index + 1, "card-without-row", message)
    gates = {gate.id.casefold() for gate in roadmap.gates}
    for row in roadmap.mvps if gates else ():
        for name in gate_refs(row.gate or ""):
            if name.casefold() not in gates:
                message = f"MVP {row.id} names Gate-{name}, which is defined nowhere"
                yield Finding(row.line, "unknown-gate", message)


def _broken_rows(document: Document) -> Iterator[Finding]:
    inside = set(document.hidden_lines)
    for table in tables_of(document):
        inside.update(range(table.first, table.last))
        yield from _broken_in_table(document, table)
    for fence in document.fences:
        inside.update(range(fence.first, fence.last))
    for index in range(len(document.lines)):
        text = document.line_text(index)
        if text.startswith("<<<<<<< "):
            yield Finding(index + 1, "merge-conflict", CONFLICT)
        if ZEROS in text:
            yield Finding(index + 1, "broken-row", HOLE)
        if index not in inside and _ROW.match(text) and text.count("|") >= 3:
            yield Finding(index + 1, "row-outside-table", "a table row that belongs to no table")


def _broken_in_table(document: Document, table: Table) -> Iterator[Finding]:
    for row in table.rows:
        if row.is_delimiter:
            yield Finding(row.line, "broken-row", "a second |---| line inside a table")
            continue
        missing = table.width - len(row.cells)
        if missing:
            message = f"{len(row.cells)} cells where the header has {table.width}"
            fix = _completed_row(document, table, row) if missing > 0 else None
            yield Finding(row.line, "broken-row", message, fix)


def _completed_row(document: Document, table: Table, row: Row) -> tuple[Edit, ...] | None:
    if not document.line_text(row.index).rstrip().endswith("|"):
        return None
    edit = set_cell(document, table, row, table.width - 1, "")
    return (edit,) if edit else None


def _legend_findings(roadmap: Roadmap) -> Iterator[Finding]:
    defined = set(roadmap.vocabulary.own_glyphs)
    for mvp in roadmap.mvps:
        parsed = mvp.entry.parsed
        if mvp.status is None and mvp.status_text.strip("-—– "):
            message = f"the status of MVP {mvp.id} reads {mvp.status_text!r}, which is not a status"
            yield Finding(mvp.line, "unknown-status", message)
        if not defined or parsed is None or parsed.glyph is None:
            continue
        glyph = mvp.status_text[parsed.glyph[0] : parsed.glyph[1]]
        if glyph[0] != "[" and same_glyph(glyph) not in defined:
            defined.add(same_glyph(glyph))
            message = f"{glyph} ({parsed.status}) is used as a status but is not in the legend"
            yield Finding(mvp.line, "undefined-glyph", message)


def _date_order(views: Sequence[View]) -> Iterator[Finding]:
    for view in views:
        if view.kind not in ("timeline", "changelog"):
            continue
        dated = [(e, d.group()) for e in view.entries if (d := _DATE.match(e.text("date")))]
        dates = [date for _, date in dated]
        newest_first = len(dates) > 2 and dates[0] > dates[-1]
        for (_, before), (entry, date) in pairwise(dated):
            if (date > before) if newest_first else (date < before):
                message = f"{date} is below {before}: out of order"
                yield Finding(entry.line, "date-order", message)


def _dead_links(roadmap: Roadmap, lab_root: Path) -> Iterator[Finding]:
    path = roadmap.document.path
    if path is None:
        return
    folder, root = real(path).parent, real(lab_root)
    for mvp in roadmap.mvps:
        target = report_target(mvp.entry.raw("report"))
        if message := _why_dead(folder, root, target or ""):
            yield Finding(mvp.line, "dead-link", f"the report of MVP {mvp.id}: {message}")
    for entry in _board_rows(roadmap):
        target = report_target(entry.raw("report")) or ""
        if message := _why_dead(folder, root, target):
            yield Finding(entry.line, "dead-link", message)


def _dead_paths(hub: Hub, lab_root: Path) -> Iterator[Finding]:
    """The reports that a hub or a board names and that are not there."""
    path = hub.document.path
    rows = [(e, "report") for e in hub.rows("board")] + [(e, "path") for e in hub.rows("files")]
    for entry, column in rows if path else ():
        target = report_target(entry.raw(column)) or ""
        if path is None or not _MARKDOWN.search(target) or _PLACEHOLDER.search(target):
            continue
        bases = (real(path).parent, real(lab_root))
        if all(_why_dead(base, Path(base.anchor), target) for base in bases):
            yield Finding(entry.line, "dead-link", f"{target} does not exist")


def _board_rows(roadmap: Roadmap) -> list[Entry]:
    return [entry for entry in roadmap.rows("board") if "report" in entry.cells]


def _why_dead(folder: Path, root: Path, target: str) -> str | None:
    """Why a link is broken; None for one that is not, or that leads to the web."""
    target = target.split("#", 1)[0].strip("<>")
    if not target or re.match(r"[a-z][a-z0-9+.-]*:", target, re.I):
        return None
    name = target if "." in target.rpartition("/")[2] else f"{target}.md"
    name = unquote(name)
    if "\x00" in name:
        return f"{target} is not a possible file name"
    try:
        path = (folder / name).resolve()
        if not path.is_relative_to(root):
            return f"{target} is outside the lab"
        return None if path.exists() else f"{target} does not exist"
    except (OSError, RuntimeError):  # too long a name, a loop of links
        return f"{target} is not a possible file name"
