"""Where a roadmap states a status, and how that document would write another one there."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import chain

from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.sites.find import (
    MVP_STATUS_TABLES,
    OF_PARTS,
    card_sites,
    gate_sites,
    heading_sites,
    marks_of,
    table_sites,
    text_sites,
)
from vitlab.docs.model.sites.site import StatusSite
from vitlab.docs.model.status_text import (
    MAY_WAIT,
    StatusText,
    is_sure,
    opens_remark,
    read_status_text,
    same_case,
)
from vitlab.docs.model.vocabulary import (
    COLOURS,
    GLYPHS,
    LONG_WORDS,
    OWN_WORDS,
    SHORT_WORDS,
    STRUCK,
)
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import folded, same_glyph, width
from vitlab.docs.text.source import Span
from vitlab.docs.text.tables import column_width, replace_cell

__all__ = ["FREE_KINDS", "StatusSite", "StatusSites", "kept_places", "marks_of"]

FREE_KINDS = ("verdict", "other", "gate", "gate_progress")
"""Kinds of place that may say something else than their MVP."""
_RUN_ENDS = ("done", "failed", "partial", "cancelled")
_BEFORE_ID = re.compile(r"[ *_~`]+MVP", re.I)
_AFTER_BOX = re.compile(r"(?P<blanks>[ ]*)(?=[│┃║|])")


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
            *table_sites(self.roadmap),
            *heading_sites(self.roadmap),
            *gate_sites(self.roadmap),
            *card_sites(self.roadmap),
            *text_sites(self.roadmap),
        ]
        # A section inside another one of the same name would list its statuses twice.
        once = {site.span: site for site in reversed(sites)}
        return tuple(sorted(once.values(), key=lambda site: site.span))

    @property
    def _models(self) -> Mapping[tuple[str, str], list[StatusSite]]:
        """The sites others may be spelled like, by kind (empty: of any) and status."""
        known: dict[str, dict[tuple[str, str], list[StatusSite]]] = vars(self.roadmap)
        if "_status_models" not in known:
            models = known["_status_models"] = {}
            for site in filter(self._is_model, self):
                for kind in ("", site.kind):
                    models.setdefault((kind, site.parsed.status), []).append(site)
        return known["_status_models"]

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

    def is_of_one_run(self, site: StatusSite) -> bool:
        """Whether it is a numeric row of one named run, which may be over before its MVP is."""
        if site.kind != "numbers" or site.cell is None:
            return False
        opening = self.roadmap.ids.opening(site.cell[1].text("mvp"))
        return bool(opening and opening[1])

    def is_of_ended_run(self, site: StatusSite, status: str | None) -> bool:
        """Whether it says how one run ended, otherwise than its MVP, of that status, stands."""
        says = site.parsed.status
        return says in _RUN_ENDS and says != status and self.is_of_one_run(site)

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
        part = self._status_part(site, parts, status)
        text = parts.with_status(part, keeps)
        if site.cell is None and keeps and not self._is_read(site, text):
            text = parts.with_status(f"{self.sure_glyph(status)} {part}", True)
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

    def _is_read(self, site: StatusSite, text: str) -> bool:
        """Whether a text is a status in the place of a site: `(ready, 5 seeds)` may be a title."""
        vocabulary, whole = self.roadmap.vocabulary, self.roadmap.document.text
        parsed = vocabulary.read(text)
        around = (
            whole[max(site.span.start - 1, 0) : site.span.start],
            whole[site.span.end : site.span.end + 1],
        )
        if parsed is None or parsed.glyph or "".join(around) not in ("()", "（）", "[]", "【】"):
            return True
        if parsed.end >= len(text.rstrip()):
            return True
        return opens_remark(text, parsed) and is_sure(text, parsed, vocabulary)

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

    def _nearest(self, site: StatusSite, status: str) -> Iterator[StatusSite]:
        """The other sites of the same kind and status, the nearest first."""
        others = self._models.get((site.kind, status), ())
        # A section's heading sets the wording of what is below it, so sites above come first.
        above, below = _above(others, site), _below(others, site)
        return (other for other in chain(above, below) if other.span != site.span)

    def _glyph(self, site: StatusSite, status: str) -> str:
        if legend := self.roadmap.vocabulary.legend.get(status):
            return legend[0]
        anywhere = self._models.get(("", status), ())
        glyphs = (other.glyph for other in chain(self._nearest(site, status), anywhere))
        return next((glyph for glyph in glyphs if glyph and glyph[0] != "["), GLYPHS[status][0])

    def _word(self, site: StatusSite, status: str) -> str:
        language = self.roadmap.language
        if site.word:
            language = "en" if site.word.isascii() else "zh"
        own = same_case(site.word, LONG_WORDS[language][status])
        near = (other.word for other in self._nearest(site, status))
        if site.word:  # `（待启动）` is not followed by `（RUNNING）`
            near = (word for word in near if word.isascii() == site.word.isascii())
        others = self._models.get(("", status), ())
        beside = merge(_above(others, site), _below(others, site),
                       key=lambda other: abs(other.index - site.index))  # fmt: skip
        legend = self.roadmap.vocabulary.legend.get(status, ("", ""))[1]
        if folded(legend) == folded(SHORT_WORDS[language][status]):
            legend = ""
        words = chain(near, (other.word for other in beside if other.glyph), (legend,))
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


def _above(sites: Sequence[StatusSite], site: StatusSite) -> Iterator[StatusSite]:
    """Of sites in order, those on a site's line and above it, the nearest first."""
    end = bisect_right(sites, site.index, key=_index)
    while end:
        start = bisect_left(sites, sites[end - 1].index, key=_index)
        yield from sites[start:end]
        end = start


def _below(sites: Sequence[StatusSite], site: StatusSite) -> Iterator[StatusSite]:
    return (sites[at] for at in range(bisect_right(sites, site.index, key=_index), len(sites)))


def _index(site: StatusSite) -> int:
    return site.index


def kept_places(roadmap: Roadmap, mvp_id: str) -> list[str]:
    """What a status beside an MVP may be of instead, and so stays, in one line for each reason."""
    found: dict[str, list[tuple[int, str]]] = {}
    for site in StatusSites(roadmap):
        if mvp_id in site.names and site.why:
            found.setdefault(site.why, []).append((site.index + 1, site.text))
    cards = [card for card in roadmap.parts if card.mvp == mvp_id]
    found.setdefault(OF_PARTS, []).extend((card.index + 1, card.text) for card in cards)
    lines = []
    for why, places in found.items():
        at = sorted(set(places))
        more = f" and {len(at) - 1} more" if at[1:] else ""
        lines += [f"line {at[0][0]}{more}: {at[0][1]} is kept: {why}"] if at else []
    return lines
