"""One place of a document that states a status."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from vitlab.docs.model.table_kinds import Entry
from vitlab.docs.model.vocabulary import ParsedStatus
from vitlab.docs.text.source import Span
from vitlab.docs.text.tables import Table

_MARKS = re.compile(r"\*{1,3}|~~|__|`")


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
    names: tuple[str, ...] = ()
    """The MVPs that it names, where it may be the status of something else, and stays."""
    why: str = ""
    """Why it may be; empty where nobody would think it to be theirs."""

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

    def left(self, why: str) -> StatusSite:
        """This one as a place that stays as it is."""
        names = self.shared or ((self.mvp,) if self.mvp else ())
        return replace(self, kind="other", mvp=None, shared=(), names=names, why=why)
