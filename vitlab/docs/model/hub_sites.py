"""Where the statements of a hub state a status, and how each would state another one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from vitlab.contract.job import ASCII_FORMS
from vitlab.docs.model.hub import Hub, Point, row_id
from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.status_sites import StatusSite, StatusSites
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import GLYPHS, SHORT_WORDS, ParsedStatus, Vocabulary
from vitlab.docs.text.inline import folded
from vitlab.docs.text.source import Fence, Span

HYPOTHESIS_WORDS = {
    "zh": {
        "planned": "待验证", "ready": "就绪", "running": "进行中", "analysing": "分析中",
        "done": "已验证", "partial": "部分成立", "failed": "已否定", "cancelled": "已关闭",
        "paused": "暂停",
    },
    "en": {
        "planned": "open", "ready": "ready", "running": "in progress", "analysing": "in analysis",
        "done": "confirmed", "partial": "partially confirmed", "failed": "rejected",
        "cancelled": "closed", "paused": "on hold",
    },
}  # fmt: skip
"""How a hypothesis is said to stand where neither document nor person has a word for it."""
_ROWS = {
    "consensus": "consensus", "principles": "principle", "insights": "insight",
    "answers": "branch", "gaps": "question",
}  # fmt: skip
"""Other kinds of table whose rows have ids, and the column of what they state."""

_BEHIND = re.compile(r"\s*[(（](?P<inside>[^()（）]*)[)）]$")


@dataclass(frozen=True)
class GivenSites(StatusSites):
    """Statuses that were found before, each spelled as those of its kind are."""

    sites: tuple[StatusSite, ...] = ()
    usual: Mapping[str, str] = field(default_factory=dict)
    """Status -> its word where neither document nor person has one."""
    asked: Mapping[str, str] = field(default_factory=dict)
    """Status -> the word that a person used."""

    @cached_property
    def _all(self) -> tuple[StatusSite, ...]:
        return self.sites

    def _word(self, site: StatusSite, status: str) -> str:
        near = [other.word for other in self._nearest(site, status)]
        legend = self.roadmap.vocabulary.legend.get(status, ("", ""))[1]
        if folded(legend) in (SHORT_WORDS[each][status] for each in SHORT_WORDS):
            legend = ""  # of a column head: cells have longer ones
        beside = [other.word for other in self if other.parsed.status == status]
        usual, asked = self.usual[status], self.asked.get(status, "")
        own = asked if asked.isascii() == usual.isascii() else ""
        words = (word for word in (*near, legend, *beside, own) if word)
        return next((word for word in words if self._means(word, status)), usual)

    def word_for(self, site: StatusSite, status: str) -> str:
        """The word for a status at a site."""
        return self._word(site, status)

    def new_text(self, status: str, site: StatusSite | None = None) -> str:
        """A status without remark, as the sites of the same kind write one."""
        others = [s for s in self if s.span != (site.span if site else None) and s.glyph + s.word]
        kind = site.kind if site else ""
        others.sort(key=lambda s: (bool(kind) and s.kind != kind, s.parsed.status != status))
        for model in others[:1]:
            bare = model.bare(model.glyph, model.word)
            if parsed := self.roadmap.vocabulary.read(bare):
                return self.spell(replace(model, text=bare, parsed=parsed), status)
        legend = self.roadmap.vocabulary.legend.get(status)
        blank = StatusSite("", None, 0, Span(0, 0), "", ParsedStatus(status, None, None, False, 0))
        return f"{legend[0] if legend else GLYPHS[status][0]} {self._word(blank, status)}"


@dataclass(frozen=True)
class Statement:
    """What an id of a hub stands for: a row, a node of a tree, an item or a heading."""

    id: str
    line: int
    """1-based."""
    text: str
    """As a reader sees it."""
    kind: str
    """The kind of its table; `tree` or `listed` for a hypothesis in none."""
    status: str | None
    row: tuple[View, Entry] | None
    site: StatusSite | None
    """Where its status stands; None for none."""
    words: Vocabulary
    """With the legend of its tree."""


def same_id(one: str, other: str) -> bool:
    """Whether two ids are one: `h1.2` and `H1.2`, with any hyphen."""
    first, second = (folded(each.translate(ASCII_FORMS)).rstrip(".") for each in (one, other))
    return first == second


def statements_of(hub: Hub) -> tuple[Statement, ...]:
    """Every statement that has an id, by line."""
    rows = {e.line: (view, e) for view in hub.views for e in view.entries}
    found = [_of_point(hub, point, rows.get(point.line)) for point in hub.hypotheses if point.id]
    gaps = {point.line: point for point in hub.gaps}
    for line, (view, entry) in rows.items():
        column = _ROWS.get(view.kind)
        named = row_id(entry, entry.text("gap")) if column else ""
        if column and named:
            gap = gaps.get(line)
            site = _cell_site(hub, view, entry, "status")
            if view.kind == "answers" and site is None:
                site = _cell_site(hub, view, entry, "answer")
                site = site if site and site.glyph else None
            status = site.parsed.status if site else gap.status if gap else None
            text = entry.text(column)
            where = (view, entry)
            found.append(
                Statement(named, line, text, view.kind, status, where, site, hub.vocabulary)
            )
    return tuple(sorted(found, key=lambda one: one.line))


def hub_sites(
    hub: Hub, statements: Sequence[Statement], words: Vocabulary, asked: Mapping[str, str]
) -> GivenSites:
    """The statuses of statements, spelled with a vocabulary and a person's words for them."""
    sites = tuple(one.site for one in statements if one.site)
    return GivenSites(without_mvps(hub, words), sites, HYPOTHESIS_WORDS[hub.language], asked)


def without_mvps(hub: Hub, words: Vocabulary | None = None) -> Roadmap:
    """A hub as a roadmap without MVPs, read with its own words or others."""
    return Roadmap(hub.document, words or hub.vocabulary, IdIndex(()), (), hub.views, ())


def _of_point(hub: Hub, point: Point, row: tuple[View, Entry] | None) -> Statement:
    fence = _fence_at(hub, point.line - 1)
    words = hub.words_of(fence) if fence else hub.vocabulary
    kind = row[0].kind if row else "tree" if fence else "listed"
    site = None
    if point.status_at and row:
        start = point.status_at.start
        column = next((name for name, cell in row[1].cells.items() if cell.span.start == start), "")
        site = _cell_site(hub, *row, column) if column else _marked(hub, point, words, kind)
    elif point.status_at:
        site = _marked(hub, point, words, f"{kind} {fence.first if fence else ''}")
    return Statement(point.id, point.line, point.text, kind, point.status, row, site, words)


def _fence_at(hub: Hub, index: int) -> Fence | None:
    return next((f for f in hub.document.fences if f.first < index < f.last), None)


def _cell_site(hub: Hub, view: View, entry: Entry, column: str) -> StatusSite | None:
    """The site of a cell that opens with a status."""
    cell = entry.cells.get(column)
    parsed = hub.vocabulary.read(cell.raw) if cell else None
    if cell is None or parsed is None:
        return None
    where = (view.table, entry, view.columns[column])
    kind = f"{view.table.first} {column}"
    return StatusSite(kind, None, entry.row.index, cell.span, cell.raw, parsed, where)


def _marked(hub: Hub, point: Point, words: Vocabulary, kind: str) -> StatusSite | None:
    """The site from a status within a text to the text's end, in a table its mark alone.

    Brackets at the end that state nothing are evidence and no part of it.
    """
    if point.status_at is None:
        return None
    index, (start, end) = point.line - 1, point.status_at
    if kind != "hypotheses":
        end = hub.document.line_span(index).end
    text = hub.document.text[start:end].rstrip()
    behind = _BEHIND.search(text)
    if behind and not words.read(behind["inside"]) and not words.glyph_starts(behind["inside"]):
        text = text[: behind.start()]
    parsed = words.read(text)
    if parsed is None:
        return None
    return StatusSite(kind, None, index, Span(start, start + len(text)), text, parsed)
