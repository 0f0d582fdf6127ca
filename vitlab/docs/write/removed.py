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

_QUOTED = re.compile(r"「([^「」]*)」|“([^“”]*)”")
_LEADS = {"zh": "，原为", "en": "; it was "}


@dataclass
class RemovedTexts:
    """The verdicts and remarks that a new status of one MVP removes, or brings back."""

    roadmap: Roadmap
    mvp: str
    noted: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)

    @cached_property
    def _rows(self) -> list[tuple[Entry, list[str]]]:
        """The rows of the change log about this MVP, the newest first, with what they quote."""
        found = []
        for entry in reversed(self.roadmap.rows("changelog")):
            text = entry.raw("change")
            if text.startswith(f"MVP-{self.mvp} ") and any(x in text for x in _LEADS.values()):
                found.append((entry, [a or b for a, b in _QUOTED.findall(text)]))
        return found

    def note(self, sites: StatusSites, site: StatusSite, status: str) -> None:
        """Note a site whose verdict or remark goes with its status."""
        if sites.parts(site).verdict or not sites.keeps_remark(site, status):
            self.noted.append(cell_text(site.text))

    def use(self, text: str) -> None:
        """Note that a text stands at its place again."""
        self.used.append(cell_text(text))

    def restored(self, sites: StatusSites, site: StatusSite, status: str) -> str | None:
        """The text that was removed from a site when it left this status; None for none."""
        for _, quotes in self._rows:
            for quoted in quotes:
                parsed = self.roadmap.vocabulary.read(quoted)
                if parsed is None or parsed.status != status:
                    continue
                then = replace(site, text=quoted, parsed=parsed)
                if sites.spell(then, site.parsed.status) == site.text:
                    self.used.append(quoted)
                    return quoted
        return None

    def edits(self, event: str, date: str) -> list[Edit]:
        """The row about what is removed; the rows all of whose texts are back are taken out."""
        document = self.roadmap.document
        edits = []
        for entry, quotes in self._rows:
            if quotes and all(quoted in self.used for quoted in quotes):
                start = document.line_span(entry.row.index - 1).end
                span = Span(start, entry.row.span.end)
                edits.append(Edit(span, document.slice(span), ""))
        if self.noted:
            language = self.roadmap.language
            left, right = "「」" if language == "zh" else "“”"
            quoted_texts = "".join(f"{left}{text}{right}" for text in dict.fromkeys(self.noted))
            change = f"MVP-{self.mvp} {event}{_LEADS[language]}{quoted_texts}"
            edits += add_change_row(self.roadmap, change, "-", date)
        return edits
