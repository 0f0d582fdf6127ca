"""What a change of status removes: kept in the document's change log, and found there again."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property

from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.status_sites import StatusSite, StatusSites
from vitlab.docs.model.table_kinds import Entry
from vitlab.docs.text.edit import Edit
from vitlab.docs.text.inline import cell_text
from vitlab.docs.text.source import Span
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
_LEADS = {"zh": "，原为", "en": "; before: "}
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
                if sites.spell(then, site.parsed.status) == site.text:
                    self.use(site, quoted)
                    return quoted
        return None

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
            language = self.roadmap.language
            if language == "zh":
                listed = "、".join(f"{place}「{text}」" for place, text in self.noted)
            else:
                listed = ", ".join(f"{place} “{text}”" for place, text in self.noted)
            change = f"MVP-{self.mvp} {event}{_LEADS[language]}{listed}"
            edits += add_change_row(self.roadmap, change, "-", date)
        return edits


def _split(text: str) -> tuple[str, str, str]:
    return next((text.partition(lead) for lead in _LEADS.values() if lead in text), ("", "", ""))
