"""Where a roadmap states a status, and how that document would write another one there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vitlab.docs.model.boards.box import rest_of_card
from vitlab.docs.model.boards.list_board import last_of_item
from vitlab.docs.model.ids import exp_id, several_ids, without_number
from vitlab.docs.model.mvps import id_pattern, in_steps, status_lines
from vitlab.docs.model.report_head import in_head, is_of_something_else
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.status_marks import (
    HeadingStatus,
    Mark,
    find_marks,
    heading_status,
    in_diagrams,
    in_items,
)
from vitlab.docs.model.status_text import (
    MAY_WAIT,
    StatusText,
    is_progress_status,
    read_status_text,
    same_case,
)
from vitlab.docs.model.table_kinds import Entry, View, marks_beside_name
from vitlab.docs.model.vocabulary import (
    COLOURS,
    GLYPHS,
    LONG_WORDS,
    OWN_WORDS,
    SHORT_WORDS,
    STRUCK,
    ParsedStatus,
)
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import folded, same_glyph, width
from vitlab.docs.text.source import Span
from vitlab.docs.text.tables import Cell, Table, column_width, replace_cell

MVP_STATUS_TABLES = (
    "overview", "statuses", "experiment_index", "gate_progress", "numbers", "checklist",
)  # fmt: skip
"""Kinds of table whose status column holds the status of the row's MVP."""
FREE_KINDS = ("verdict", "other", "gate", "gate_progress")
"""Kinds of place that may say something else than their MVP."""
_OF_GATES = ("gate", "gate_progress")
_MARKS = re.compile(r"\*{1,3}|~~|__|`")
_BEFORE_ID = re.compile(r"[ *_~`]+MVP", re.I)
_AFTER_BOX = re.compile(r"(?P<blanks>[ ]*)(?=[│┃║|])")


@dataclass(frozen=True)
class StatusSite:
    """One status in the text."""

    kind: str
    """`overview week priority heading fact gate gate_progress experiment_index numbers checklist
    board conclusions report card below task item diagram`, `head` for a report's own, `verdict`
    for a gate's, which is never rewritten, `other` for one that belongs to no MVP."""
    mvp: str | None
    index: int
    """0-based line."""
    span: Span
    """Of `text` in the document."""
    text: str
    parsed: ParsedStatus
    """Offsets in `text`."""
    cell: tuple[Table, Entry, int] | None = None
    """Table, row and column when it is a cell."""
    shared: tuple[str, ...] = ()
    """The bare ids of several MVPs that it is the status of."""

    @property
    def glyph(self) -> str:
        """Empty where there is none."""
        return self.text[slice(*self.parsed.glyph)] if self.parsed.glyph else ""

    @property
    def word(self) -> str:
        """Empty where there is none."""
        return self.text[slice(*self.parsed.word)] if self.parsed.word else ""

    def bare(self, glyph: str, word: str) -> str:
        """A glyph and a word as this site joins its own."""
        if not (glyph and word):
            return glyph or word
        parsed = self.parsed
        if parsed.glyph is None or parsed.word is None:
            return f"{glyph} {word}"
        if parsed.word < parsed.glyph:
            return word + _MARKS.sub("", self.text[parsed.word[1] : parsed.glyph[0]]) + glyph
        gap = _MARKS.sub("", self.text[parsed.glyph[1] : parsed.word[0]]).replace("[", "")
        return glyph + gap + word


@dataclass(frozen=True)
class StatusSites:
    """Every status of a roadmap."""

    roadmap: Roadmap

    def __iter__(self) -> Iterator[StatusSite]:
        return iter(self._all)

    @property
    def _all(self) -> tuple[StatusSite, ...]:
        """Found once for each roadmap, which keeps them, as one change looks often."""
        known: dict[str, tuple[StatusSite, ...]] = vars(self.roadmap)
        if "_status_sites" not in known:
            known["_status_sites"] = self._find()
        return known["_status_sites"]

    def _find(self) -> tuple[StatusSite, ...]:
        sites = [
            *_table_sites(self.roadmap),
            *_heading_sites(self.roadmap),
            *_gate_sites(self.roadmap),
            *_card_sites(self.roadmap),
            *_text_sites(self.roadmap),
        ]
        # A section inside another one of the same name would list its statuses twice.
        once = {site.span: site for site in reversed(sites)}
        return tuple(sorted(once.values(), key=lambda site: site.span))

    def parts(self, site: StatusSite) -> StatusText:
        """The parts of a site's text."""
        return read_status_text(site.text, site.parsed, self.roadmap.vocabulary)

    def outer(self, site: StatusSite, like: tuple[StatusSites, StatusSite]) -> str | None:
        """The padded text of a cell in an earlier document, where the column is as wide still."""
        sites, earlier = like
        if site.cell is None or earlier.cell is None:
            return None
        document, then = self.roadmap.document, sites.roadmap.document
        now, before = site.cell, earlier.cell
        if column_width(document, now[0], now[2]) != column_width(then, before[0], before[2]):
            return None
        return then.slice(before[1].row.cells[before[2]].outer)

    def agrees(self, site: StatusSite, status: str) -> bool:
        """Whether a site states a status and no other; an empty box only says `not done`."""
        if site.kind == "task" and site.text == "[ ]":
            return status != "done"
        if site.kind == "item" and self.roadmap.vocabulary.is_blocked(site.text):
            return status in MAY_WAIT  # why its box is open
        says = site.parsed.status == status
        return says and not self.parts(site).says_other_than(status, self.roadmap.vocabulary)

    def spell(self, site: StatusSite, status: str) -> str:
        """The text of a site with another status, in the document's own glyph and word.

        All of the old status goes, its verdict and its emphasis too, and a remark that contradicts
        the new one. A word is added where the glyph alone means something else in this document
        (`❌ 失败` where the legend has `❌取消`), and removed again later.
        """
        if site.kind == "task":
            return self._box(status)
        parts = self.parts(site)
        keeps = self.keeps_remark(site, status)
        text = parts.with_status(self._status_part(site, parts, status), keeps)
        before_id = _BEFORE_ID.match(self.roadmap.document.text, site.span.end)
        drawn = site.kind in ("diagram", "below")
        if before_id or (drawn and not self._has_room(site, text)):
            text = parts.with_status(self.sure_glyph(status), keeps)
        struck = status != "cancelled" and STRUCK.fullmatch(text)
        return text[2:-2] if struck else text

    def keeps_remark(self, site: StatusSite, status: str) -> bool:
        """Whether a site's remark stays with another status."""
        parts = self.parts(site)
        why = site.kind == "report" and parts.remark.strip()  # why there is no report
        of_run = site.kind in ("numbers", "other")
        if why or not parts.keeps_remark(status, self.roadmap.vocabulary, of_run=of_run):
            return False
        if not parts.remark.strip(" *~_`"):
            return True
        whole = parts.with_status(self._status_part(site, parts, status), True)
        return self._means(whole, status)  # not `Partial of the runs`

    def sure_glyph(self, status: str) -> str:
        """A glyph that alone means a status in this document."""
        legend = self.roadmap.vocabulary.legend.get(status, ("",))[0]
        glyphs = (glyph for glyph in (legend, *GLYPHS[status]) if self._means(glyph, status))
        return next(glyphs, GLYPHS[status][0])

    def _has_room(self, site: StatusSite, text: str) -> bool:
        """Whether a text fits between a site and the side of the box drawn around it."""
        blanks = _AFTER_BOX.match(self.roadmap.document.text, site.span.end)
        return blanks is None or width(text) < width(site.text) + max(1, len(blanks["blanks"]))

    def _box(self, status: str) -> str:
        boxes = [s.text for s in self if s.kind == "task" and s.parsed.status == status]
        return "[x]" if status == "done" and not boxes else (boxes or ["[ ]"])[0]

    def _status_part(self, site: StatusSite, parts: StatusText, status: str) -> str:
        if not site.glyph and not site.word:  # a verdict alone
            return self.new_text(status, site)
        if not site.glyph and parts.status[:1].isalnum():
            return self._word(site, status)
        glyph = self._glyph(site, status)
        if site.kind == "priority":
            clear = self._means(glyph, status) and glyph not in COLOURS
            return glyph if clear else f"{glyph} {self._word(site, status)}"
        clear = self._means(glyph, status)
        if clear and (not site.word or self._word_explains_glyph(site)):
            return glyph
        return site.bare(glyph, self._word(site, status))

    def new_text(self, status: str, site: StatusSite | None = None) -> str:
        """A status without remark, as the overview's rows write one; `site` is no model for it."""
        models = [
            s for s in self if s.kind == "overview" and s is not site and not s.parsed.verdict
        ]
        for model in models:
            if model.parsed.status == status and self._is_model(model):
                return model.bare(model.glyph, model.word)
        if models:
            bare = models[0].bare(models[0].glyph, models[0].word)
            parsed = self.roadmap.vocabulary.read(bare)
            if parsed:
                return self.spell(replace(models[0], index=-1, text=bare, parsed=parsed), status)
        legend = self.roadmap.vocabulary.legend.get(status)
        return legend[0] if legend and self._means(legend[0], status) else status

    def _is_model(self, site: StatusSite) -> bool:
        """Whether others may be spelled like a site: no verdict, its glyph the legend's, if any."""
        if site.parsed.verdict or site.kind == "task" or folded(site.word) in OWN_WORDS:
            return False
        status, glyph = site.parsed.status, same_glyph(site.glyph)
        if own := self.roadmap.vocabulary.legend.get(status):
            return not glyph or same_glyph(own[0]) == glyph
        alone = self.roadmap.vocabulary.read(glyph)
        if not glyph or alone is None or alone.loose:
            return not glyph
        usual = glyph in map(same_glyph, GLYPHS[status])
        return usual or alone.status == status  # `🚀 阻塞` is no model

    def _means(self, glyph: str, status: str) -> bool:
        return self.roadmap.vocabulary.status(glyph) == status

    def _word_explains_glyph(self, site: StatusSite) -> bool:
        """Whether a site has a word only because its glyph is ambiguous: similar ones have none."""
        if self._means(site.glyph, site.parsed.status):
            return False
        similar = [s for s in self if s.kind == site.kind and s.span != site.span]
        if site.kind in (*MVP_STATUS_TABLES, "card"):  # one row alone is written as the overview is
            similar = similar or [s for s in self if s.kind == "overview" and s.span != site.span]
        clear = [s for s in similar if self._means(s.glyph, s.parsed.status)]
        return bool(similar) and not any(s.word for s in clear)

    def _nearest(self, site: StatusSite, status: str) -> list[StatusSite]:
        """The other sites of the same kind and status, the nearest first."""
        others = [
            other
            for other in self
            if other.kind == site.kind
            and other.parsed.status == status
            and other.span != site.span
            and self._is_model(other)
        ]
        # A section's heading sets the wording of what is below it, so sites above come first.
        return sorted(others, key=lambda o: (o.index > site.index, abs(o.index - site.index)))

    def _glyph(self, site: StatusSite, status: str) -> str:
        if legend := self.roadmap.vocabulary.legend.get(status):
            return legend[0]
        near = [other.glyph for other in self._nearest(site, status)]
        anywhere = (s.glyph for s in self if s.parsed.status == status and self._is_model(s))
        glyphs = (glyph for glyph in (*near, *anywhere) if glyph and glyph[0] != "[")
        return next(glyphs, GLYPHS[status][0])

    def _word(self, site: StatusSite, status: str) -> str:
        language = self.roadmap.language
        if site.word:
            language = "en" if site.word.isascii() else "zh"
        own = same_case(site.word, LONG_WORDS[language][status])
        near = [other.word for other in self._nearest(site, status)]
        if site.word:  # `（待启动）` is not followed by `（RUNNING）`
            near = [word for word in near if word.isascii() == site.word.isascii()]
        beside = [s for s in self if s.parsed.status == status and s.glyph and self._is_model(s)]
        beside.sort(key=lambda s: abs(s.index - site.index))
        legend = self.roadmap.vocabulary.legend.get(status, ("", ""))[1]
        if folded(legend) == folded(SHORT_WORDS[language][status]):
            legend = ""
        words = (*near, *(s.word for s in beside), legend)
        return next((w for w in words if w and self._means(w, status)), own)

    def edit(self, site: StatusSite, new: str, outer: str | None = None) -> Edit | None:
        """The edit that makes a site read `new`; None when it does already.

        `outer`: what the cell's column with its padding held when it read so, if it is known.
        """
        if new == site.text:
            return None
        if site.cell:
            table, entry, column = site.cell
            if outer is not None:
                span = entry.row.cells[column].outer
                return Edit(span, self.roadmap.document.slice(span), outer)
            return replace_cell(self.roadmap.document, table, entry.row, column, new)
        text = self.roadmap.document.text
        drawn = site.kind in ("diagram", "below")
        blanks = _AFTER_BOX.match(text, site.span.end) if drawn else None
        if blanks is None:
            return Edit(site.span, site.text, new)
        end = site.span.end + len(blanks["blanks"])  # the side of the box stays where it is
        fill = width(site.text) + len(blanks["blanks"]) - width(new)
        span = Span(site.span.start, end)
        return Edit(span, text[span.start : end], new + " " * max(fill, 0))


def _table_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    for view in roadmap.views:
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
            elif view.kind == "board" and mvp and not _is_of_report(view):
                yield from _cell_site(roadmap, view, entry, "status", "board", mvp)
            elif view.kind == "facts" and _is_own_status(roadmap, view, entry):
                yield from _cell_site(roadmap, view, entry, "content", "head", roadmap.report_of)
            if view.kind == "overview":
                yield from _whole_cell(roadmap, view, entry, "report", "report", mvp)
            elif view.kind == "conclusions":
                yield from _whole_cell(roadmap, view, entry, "conclusion", "conclusions", mvp)


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
        rest = StatusSites(roadmap).parts(site).remark.strip(" *~_`")
        if not loose and (not rest or (kind == "report" and rest[0] in "：:（(，,")):
            yield site


def _is_of_report(view: View) -> bool:
    """Whether the status in a table of experiments is that of their reports: `exp.md 状态`."""
    column = view.columns.get("status")
    return column is not None and view.headers[column].casefold().startswith("exp.md")


def _is_own_status(roadmap: Roadmap, view: View, entry: Entry) -> bool:
    """Whether a row of facts in a report is the status of its experiment."""
    title = view.headings[-1] if view.headings else ""
    if roadmap.report_of is None or is_of_something_else(title) or re.match(r"\W*MVP", title, re.I):
        return False
    return "status" in roadmap.vocabulary.columns([entry.raw("item")])


def _is_current(roadmap: Roadmap, entry: Entry, mvp_id: str | None) -> bool:
    """Whether an index row is of the current experiment of its MVP, not of an earlier one."""
    named = {mvp.exp_id for mvp in roadmap.mvps if mvp.id == mvp_id}
    return None in named or exp_id(entry.raw("exp_id")) in named


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


def _heading_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    owners = {spec.heading.index: spec.mvp for spec in roadmap.specs}
    gates = {gate.line - 1 for gate in roadmap.gates}
    for heading in roadmap.document.headings:
        owner = owners.get(heading.index)
        if heading.index in gates:
            continue
        if owner is not None:
            at = heading.span.start
            yield from _marked(roadmap, heading.title, owner, "heading", heading.index, at)
        elif status := heading_status(heading, roadmap.vocabulary):
            place = (heading.index, status.span, status.text, status.parsed, None)
            yield StatusSite("heading", None, *place, several_ids(without_number(heading.title)))
    for spec in roadmap.specs:
        cell = spec.fact(roadmap.vocabulary, "status")
        yield from _fact_site(roadmap, cell, "fact", spec.mvp)
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


def _gate_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
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


def _card_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    for band in (band for board in roadmap.boards for band in board.bands):
        for card in band.segments:
            if card.mvp is None:
                continue
            at = card.span.start
            yield from _marked(roadmap, card.text, card.mvp, "card", card.index, at)
            for more in rest_of_card(band, card) if band.box else ():
                parsed = roadmap.vocabulary.read(more.text)
                if parsed and parsed.glyph and not parsed.loose:
                    yield StatusSite("below", card.mvp, more.index, more.span, more.text, parsed)


def _text_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    document, vocabulary, ids = roadmap.document, roadmap.vocabulary, roadmap.ids
    boards = {i for board in roadmap.boards for i in board.lines}
    own = roadmap.report_of
    listed = {card.lines[0] for board in roadmap.lists for one in board for card in one.cards}
    items = {m.line - 1: m.id for m in roadmap.mvps if m.entry.kind in ("item", "items")}
    for found in (
        *in_items(document, vocabulary, ids, listed | items.keys()),
        *in_steps(document, vocabulary, items),
        *in_diagrams(document, vocabulary, ids, boards),
        *(in_head(document, vocabulary, own) if own else ()),
    ):
        span, index = Span(found.at, found.end), document.line_of(found.at) - 1
        owner, text = None if found.shared else found.mvp, document.slice(span)
        yield StatusSite(found.kind, owner, index, span, text, found.parsed, None, found.shared)
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
