"""What a look for contradictions finds."""

from __future__ import annotations

from dataclasses import dataclass

from vitlab.docs.splice import Edit


@dataclass(frozen=True)
class Finding:
    """One contradiction or break."""

    line: int
    """1-based."""
    kind: str
    """`status-conflict card-column stale-gate duplicate-id duplicate-exp-id unknown-mvp
    unknown-gate card-without-row broken-row row-outside-table undefined-glyph unknown-status
    date-order dead-link`."""
    message: str
    fix: tuple[Edit, ...] | None = None
    """The edits that mend it; None where only a person can say what is right."""
