"""What a status or a result removes: kept in the document's change log, and found there again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from vitlab.docs.judge.conclusion import TRIAL_MARK
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.status_sites import StatusSite, StatusSites
from vitlab.docs.model.status_text import read_status_text
from vitlab.docs.model.table_kinds import Entry
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text
from vitlab.docs.text.source import Document, Span
from vitlab.docs.write.rows import add_change_row

_PLACES = {
    "zh": {
        "overview": "总览", "week": "本周", "priority": "优先级", "heading": "标题", "fact": "规格",
        "gate": "Gate", "gate_progress": "Gate进度", "experiment_index": "索引", "numbers": "数值",
        "checklist": "清单", "conclusions": "结论", "report": "报告", "card": "看板",
        "below": "看板", "task": "列表", "item": "列表", "diagram": "图示", "head": "报告头",
        "board": "看板",
    },
    "en": {
        "overview": "overview", "week": "week", "priority": "priority", "heading": "heading",
        "fact": "section", "gate": "gate", "gate_progress": "gates", "experiment_index": "index",
        "numbers": "numbers", "checklist": "checklist", "conclusions": "conclusions",
        "report": "report", "card": "board", "below": "board", "task": "list", "item": "list",
        "diagram": "diagram", "head": "head", "board": "board",
    },
}  # fmt: skip
"""How the change log names the place of a kind of site."""
UNFILLED = re.compile(
    r"[-—–\s?…/⏳_.(（]*(?:TBD|TODO|n/?a|pending|待填写?|待补充?|待定|待更新|待测|未出|暂无)?[)）\s.…_]*",
    re.I,
)
"""A result or conclusion that nobody has written yet."""
_LEADS = {"zh": "，原为", "en": "; before: "}
_LIVING = ("planned", "ready", "running", "analysing", "partial", "paused")
_QUOTED = re.compile(r"([A-Za-z]*[\u4e00-\u9fff]*)(?:「([^「」]*)」| “([^“”]*)”)")


@dataclass
class RemovedTexts:
    """The verdicts and remarks that a new status of one MVP removes, or brings back."""

    roadmap: Roadmap
    mvp: str
    noted: list[tuple[str, str]] = field(default_factory=list)
    """Place and text, as are `used`."""
    used: list[tuple[str, str]] = field(default_factory=list)

    @cached_property
    def _rows(self) -> list[tuple[Entry, list[tuple[str, str]]]]:
        """The rows of the change log about this MVP, the newest first, with what they quote."""
        found = []
        for entry in reversed(self.roadmap.rows("changelog")):
            subject, lead, quoted = _split(entry.raw("change"))
            if lead and subject.startswith(f"MVP-{self.mvp} "):
                found.append((entry, [(m[1], m[2] or m[3]) for m in _QUOTED.finditer(quoted)]))
        return found

    def _place(self, site: StatusSite) -> str:
        return _PLACES[self.roadmap.language].get(site.kind) or "Gate"

    def note(self, sites: StatusSites, site: StatusSite, status: str) -> None:
        """Note a site whose verdict or remark goes with its status."""
        if sites.parts(site).verdict or not sites.keeps_remark(site, status):
            self.noted.append((self._place(site), cell_text(site.text)))

    def use(self, site: StatusSite, text: str) -> None:
        """Note that a text stands at its place again."""
        self.used.append((self._place(site), cell_text(text)))

    def restored(self, sites: StatusSites, site: StatusSite, status: str) -> str | None:
        """The text that was removed from a site when it left this status; None for none."""
        for _, quotes in self._rows:
            for place, quoted in quotes:
                parsed = self.roadmap.vocabulary.read(quoted)
                used = self.used.count((place, quoted)) >= quotes.count((place, quoted))
                if used or place != self._place(site) or parsed is None or parsed.status != status:
                    continue
                then = replace(site, text=quoted, parsed=parsed)
                spelled = sites.spell(then, site.parsed.status)
                if site.text in (spelled, self._without_remark(spelled)):
                    self.use(site, quoted)
                    return quoted
        return None

    def _without_remark(self, text: str) -> str:
        """A status without its remark, which another status in between may have removed."""
        parsed = self.roadmap.vocabulary.read(text)
        parts = read_status_text(text, parsed, self.roadmap.vocabulary) if parsed else None
        return parts.with_status(parts.status, False) if parts else text

    def edits(self, event: str, date: str) -> list[Edit]:
        """The row about what is removed; the rows all of whose texts are back are taken out."""
        document = self.roadmap.document
        edits = []
        for entry, quotes in self._rows:
            if quotes and all(quote in self.used for quote in quotes):
                start = document.line_span(entry.row.index - 1).end
                span = Span(start, entry.row.span.end)
                edits.append(Edit(span, document.slice(span), ""))
        if self.noted:
            change = f"MVP-{self.mvp} {event}{_quoted(self.roadmap.language, self.noted)}"
            edits += add_change_row(self.roadmap, change, "-", date)
        return edits


def with_words_kept(
    roadmap: Roadmap, edits: list[Edit], is_own: Callable[[str], bool]
) -> tuple[list[Edit], str]:
    """Edits of conclusions, and what a log says of a person's words that they replace.

    Without a log these words stay. `is_own`: whether a cell with its pipes is vitlab's.
    """
    words = []
    rows = [e for v in roadmap.views if v.kind == "conclusions" for e in v.entries]
    for cell in (e.cells.get(name) for e in rows for name in ("conclusion", "key_metric")):
        if cell is None or not any(overlap(edit.span, cell.outer) for edit in edits):
            continue
        waits = UNFILLED.fullmatch(cell.text) or roadmap.vocabulary.status(cell.raw) in _LIVING
        own = roadmap.document.text[cell.left - 1 : cell.right + 1]
        if not (waits or TRIAL_MARK.search(cell.text) or is_own(own)):
            words.append(cell)
    if not words:
        return edits, ""
    if not any(has_log(roadmap, kind) for kind in ("changelog", "timeline")):
        return [e for e in edits if not any(overlap(e.span, one.outer) for one in words)], ""
    place = _PLACES[roadmap.language]["conclusions"]
    return edits, _quoted(roadmap.language, [(place, cell.raw) for cell in words])


def has_log(roadmap: Roadmap, kind: str) -> bool:
    """Whether the document has a `changelog` or `timeline`."""
    return any(view.kind == kind for view in roadmap.views)


def _quoted(language: str, texts: Sequence[tuple[str, str]]) -> str:
    """What a log says behind an event of what stood there before: places and texts."""
    if language == "zh":
        return _LEADS[language] + "、".join(f"{place}「{text}」" for place, text in texts)
    return _LEADS[language] + ", ".join(f"{place} “{text}”" for place, text in texts)


def _split(text: str) -> tuple[str, str, str]:
    return next((text.partition(lead) for lead in _LEADS.values() if lead in text), ("", "", ""))


_STRIKES = re.compile(r"~~(?=\S)(?P<inside>(?:(?!~~)[^|\r\n])+)~~")


def strike_edits(
    roadmap: Roadmap,
    mine: Sequence[StatusSite],
    earlier: Mapping[tuple[str, int], tuple[StatusSites, StatusSite]],
    status: str,
    edits: Sequence[Edit],
) -> list[Edit]:
    """The edits that take out what strikes the id or name of an MVP that lives again.

    `mine`: its places; `earlier`: those of an earlier document, whose strikes come back; `edits`:
    the other ones.
    """
    made: list[Edit] = []
    document, seen = roadmap.document, dict[str, int]()
    for site in mine:
        number = seen[site.kind] = seen.get(site.kind, -1) + 1
        if site.mvp is None or site.kind in ("card", "below", "diagram"):
            continue
        start = document.line_span(site.index).start
        for piece in _struck(document, site) if status in _LIVING else ():
            made += [
                Edit(Span(start + at, start + at + 2), "~~", "")
                for at in (piece.start(), piece.end() - 2)
            ]
        if (site.kind, number) in earlier:
            sites, old = earlier[site.kind, number]
            made += _struck_again(document, site, sites.roadmap.document, old)
    apart = [edit for edit in made if not any(overlap(edit.span, e.span) for e in edits)]
    return list(dict.fromkeys(apart))


def _struck(document: Document, site: StatusSite) -> Iterator[re.Match[str]]:
    """The id and the name of a place's MVP where they are struck out; its status is no such."""
    start = document.line_span(site.index).start
    named = site.cell[1].cells if site.cell else {}
    cells = [named[column] for column in ("mvp", "name", "exp_id") if column in named]
    for piece in _STRIKES.finditer(document.line_text(site.index)):
        at = start + piece.start()
        own = rf"(?<![\w.]){re.escape(site.mvp or '')}(?!\w|\.\w)"
        of_text = not site.cell and re.search(own, piece["inside"])
        if of_text or any(cell.left <= at < cell.right for cell in cells):
            yield piece


def _struck_again(
    document: Document, site: StatusSite, then: Document, old: StatusSite
) -> Iterator[Edit]:
    """The edits that strike out what was struck out in an earlier document."""
    line, start = document.line_text(site.index), document.line_span(site.index).start
    at = 0
    for piece in _struck(then, old):
        found = line.find(piece["inside"], at)
        if found < 0 or line.startswith("~~", max(found - 2, 0)):
            continue
        at = found + len(piece["inside"])
        yield Edit(Span(start + found, start + at), piece["inside"], piece[0])


def overlap(one: Span, other: Span) -> bool:
    """Whether two spans share a letter."""
    return one.start < other.end and other.start < one.end
