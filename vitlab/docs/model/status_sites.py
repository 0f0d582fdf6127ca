"""Where a roadmap states a status, and how that document would write another one there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from vitlab.docs.model.ids import exp_id
from vitlab.docs.model.roadmap import Roadmap, heading_status
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import CLOSING, GLYPHS, LONG_WORDS, SHORT_WORDS, ParsedStatus
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import folded
from vitlab.docs.text.source import Span
from vitlab.docs.text.tables import Cell, Table, replace_cell

MVP_STATUS_TABLES = ("overview", "experiment_index", "gate_progress", "numbers", "checklist")
"""Kinds of table whose status column holds the status of the row's MVP."""


@dataclass(frozen=True)
class StatusSite:
    """One status in the text."""

    kind: str
    """`overview week heading fact gate gate_progress experiment_index numbers checklist card`,
    `verdict` for one that is never rewritten, `other` for one that belongs to no MVP."""
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

    @property
    def glyph(self) -> str:
        """Empty where there is none."""
        return self.text[slice(*self.parsed.glyph)] if self.parsed.glyph else ""

    @property
    def word(self) -> str:
        """Empty where there is none."""
        return self.text[slice(*self.parsed.word)] if self.parsed.word else ""

    @property
    def remark(self) -> str:
        """What follows the status."""
        return self.text[self.parsed.end :]

    def with_parts(self, glyph: str | None, word: str | None) -> str:
        """Its text with glyph and word replaced; None keeps a part."""
        text = self.text
        parts = [(self.parsed.glyph, glyph), (self.parsed.word, word)]
        for pair, new in sorted(((p, n) for p, n in parts if p and n is not None), reverse=True):
            text = text[: pair[0]] + new + text[pair[1] :]
        return text

    def with_glyph_alone(self, glyph: str) -> str:
        """Its text with a glyph in place of glyph and word."""
        parts = [pair for pair in (self.parsed.glyph, self.parsed.word) if pair]
        first, last = min(p[0] for p in parts), max(p[1] for p in parts)
        return self.text[:first] + glyph + self.text[last:]


@dataclass(frozen=True)
class StatusSites:
    """Every status of a roadmap."""

    roadmap: Roadmap

    def __iter__(self) -> Iterator[StatusSite]:
        return iter(self._all)

    @cached_property
    def _all(self) -> tuple[StatusSite, ...]:
        sites = [
            *_table_sites(self.roadmap),
            *_heading_sites(self.roadmap),
            *_gate_sites(self.roadmap),
            *_card_sites(self.roadmap),
        ]
        # A section inside another one of the same name would list its statuses twice.
        once = {site.span: site for site in reversed(sites)}
        return tuple(sorted(once.values(), key=lambda site: site.span))

    def spell(self, site: StatusSite, status: str) -> str:
        """The text of a site with another status, in the document's own glyph and word.

        Remarks stay. A word is added where the glyph alone means something else in this document
        (`❌ 失败` where the legend has `❌取消`), and removed again later. Before a verdict in the
        overview (`✅ PASS`) the status is put in front, and removed when the verdict implies it.
        """
        if site.parsed.verdict:
            return f"{self.new_text(status, site)} {site.text}"
        rest = site.remark.strip()
        verdict = self.roadmap.vocabulary.read(rest) if site.kind == "overview" else None
        if verdict and verdict.verdict and verdict.status == status:
            return rest
        if not site.parsed.glyph:
            return site.with_parts(None, self._word(site, status))
        glyph = self._glyph(site, status)
        clear = self._means(glyph, status)
        if site.parsed.word and clear and self._word_explains_glyph(site):
            return site.with_glyph_alone(glyph)
        if site.parsed.word is None and not clear:
            after = site.remark[:1]
            gap = " " if after.isalnum() or after == "_" else ""  # only whole words are read
            return site.with_parts(f"{glyph} {self._word(site, status)}{gap}", None)
        return site.with_parts(glyph, self._word(site, status) if site.parsed.word else None)

    def new_text(self, status: str, site: StatusSite | None = None) -> str:
        """A status without remark, as the overview's rows write one; `site` is no model for it."""
        models = [
            s for s in self if s.kind == "overview" and s is not site and not s.parsed.verdict
        ]
        for model in models:
            if model.parsed.status == status:
                return model.text[: model.parsed.end]
        if models:
            bare = models[0].text[: models[0].parsed.end]
            return self.spell(replace(models[0], index=-1, text=bare), status)
        legend = self.roadmap.vocabulary.legend.get(status)
        return legend[0] if legend and self._means(legend[0], status) else status

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
            if other.kind == site.kind and other.parsed.status == status and other.span != site.span
        ]
        # A section's heading sets the wording of what is below it, so sites above come first.
        return sorted(others, key=lambda o: (o.index > site.index, abs(o.index - site.index)))

    def _glyph(self, site: StatusSite, status: str) -> str:
        legend = self.roadmap.vocabulary.legend.get(status)
        near = (other.glyph for other in self._nearest(site, status) if other.glyph)
        anywhere = (other.glyph for other in self if other.parsed.status == status and other.glyph)
        return next(near, "") or (legend[0] if legend else next(anywhere, GLYPHS[status][0]))

    def _word(self, site: StatusSite, status: str) -> str:
        for near in self._nearest(site, status):
            if near.word:
                return near.word
        beside = [s for s in self if s.parsed.status == status and s.word and s.glyph]
        if beside:
            return min(beside, key=lambda s: abs(s.index - site.index)).word
        language = self.roadmap.language
        if site.word:
            language = "en" if site.word.isascii() else "zh"
        legend = self.roadmap.vocabulary.legend.get(status)
        if legend and legend[1] and folded(legend[1]) != folded(SHORT_WORDS[language][status]):
            return legend[1]
        return _same_case(site.word, LONG_WORDS[language][status])

    def edit(self, site: StatusSite, new: str) -> Edit | None:
        """The edit that makes a site read `new`; None when it does already."""
        if new == site.text:
            return None
        if site.cell:
            table, entry, column = site.cell
            return replace_cell(self.roadmap.document, table, entry.row, column, new)
        return Edit(site.span, site.text, new)


def _same_case(model: str, word: str) -> str:
    if model.isupper() and len(model) > 1:
        return word.upper()
    return word.capitalize() if model[:1].isupper() else word


def is_progress_status(text: str, parsed: ParsedStatus) -> bool:
    """Whether a gate's status only tells what its run is doing, and is no verdict."""
    rest = text[parsed.end :].strip()
    word = folded(text[slice(*parsed.word)]) if parsed.word else ""
    return not parsed.verdict and word not in CLOSING and "*" not in text and (not rest or rest[0] in "(（")


def _table_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    for view in roadmap.views:
        for entry in view.entries:
            mvp = entry.mvps[0] if len(entry.mvps) == 1 else None
            if view.kind == "overview" and "mvp" in entry.cells:
                mvp = roadmap.ids.known(entry.cells["mvp"].raw)
            if view.kind == "experiment_index" and not _is_current(roadmap, entry, mvp):
                mvp = None
            if view.kind in MVP_STATUS_TABLES:
                yield from _cell_site(roadmap, view, entry, "status", view.kind, mvp)
            elif view.kind == "priorities":
                yield from _cell_site(roadmap, view, entry, "status", "week", mvp)
            elif view.kind in ("runs", "routes"):
                yield from _cell_site(roadmap, view, entry, "status", "other", None)


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
        kind = "verdict" if parsed.verdict and kind != "overview" else kind
        yield StatusSite(kind, mvp, entry.row.index, cell.span, cell.raw, parsed, where)


def _heading_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    owners = {spec.heading.index: spec.mvp for spec in roadmap.specs}
    gates = {gate.line - 1 for gate in roadmap.gates}
    for heading in roadmap.document.headings:
        status = heading_status(heading, roadmap.vocabulary)
        if status and heading.index not in gates:
            owner = owners.get(heading.index)
            yield StatusSite(
                "heading", owner, heading.index, status.span, status.text, status.parsed
            )
    for spec in roadmap.specs:
        cell = spec.fact(roadmap.vocabulary, "status")
        yield from _fact_site(roadmap, cell, "fact", spec.mvp)


def _gate_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    for gate in roadmap.gates:
        owner = gate.mvps[0] if len(gate.mvps) == 1 else None
        progress = gate.parsed is not None and is_progress_status(gate.status_text, gate.parsed)
        yield from _fact_site(roadmap, gate.status_cell, "gate" if progress else "verdict", owner)


def _fact_site(
    roadmap: Roadmap, cell: Cell | None, kind: str, mvp: str | None
) -> Iterator[StatusSite]:
    """The site of a content cell of a table of facts."""
    for view in roadmap.views if cell else ():
        for entry in view.entries if view.kind == "facts" else ():
            if entry.cells.get("content") is cell:
                yield from _cell_site(roadmap, view, entry, "content", kind, mvp)


def _card_sites(roadmap: Roadmap) -> Iterator[StatusSite]:
    for card in roadmap.kanban.cards if roadmap.kanban else ():
        if card.parsed:
            yield StatusSite("card", card.mvp, card.index, card.span, card.text, card.parsed)
