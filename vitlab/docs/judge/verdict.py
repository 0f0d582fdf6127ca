"""The verdict on a gate: what the results say of it, and what a person has decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vitlab.contract.job import VerdictWord
from vitlab.docs.judge.needs import Needs

STANDING: Mapping[str, VerdictWord] = {"done": "pass", "failed": "fail"}
"""A status of a gate that is a verdict -> that verdict."""
BY_HAND = {"pass": "passed (by hand)", "fail": "failed (by hand)"}
MARKED = "done (by hand)"
"""A verdict of a person as people read it; `MARKED`: a gate's `✅` alone says no more."""


@dataclass(frozen=True)
class Verdict:
    """What the results say of a gate."""

    id: str
    verdict: VerdictWord
    because: str
    """In English, for screens and commands."""
    rule: str | None = None
    """The rule that decided, as written."""
    values: Mapping[str, float] = field(default_factory=dict)
    """The numbers that were compared, by name."""
    because_in_document: str = ""
    """`because` in the document's language, for what is written into it."""
    finding: str = ""
    """What was compared, the first reason alone, in the document's language; empty of trials."""
    difference: str = ""
    """That of two models which was judged, in the document's language, also of trials."""
    reopens: bool = False
    """Whether the document has a verdict that the results do not bear any more."""
    by_hand: VerdictWord | None = None
    """The verdict that a person gave, where the results give none or another; None for none."""
    needs: Needs | None = None
    """What would decide a gate that is open; None where that is not known."""

    marked: bool = False
    """Whether a person only marked it as done, with no word of a verdict."""

    @property
    def holds(self) -> VerdictWord:
        """The verdict that counts: a person's before that of the results."""
        return self.by_hand or self.verdict

    @property
    def shown(self) -> str:
        """The verdict that counts, for people: `pass`, `passed (by hand)`."""
        if self.by_hand == "pass" and self.marked:
            return MARKED
        return BY_HAND[self.by_hand] if self.by_hand else self.verdict
