"""A contradiction or break in a document."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vitlab.docs.text.edit import Edit
from vitlab.docs.text.source import Document


@dataclass(frozen=True)
class Finding:
    """One contradiction or break."""

    line: int
    """1-based."""
    kind: str
    """`status-conflict card-column card-unmarked stale-gate gate-conflict verdict-without-rule
    duplicate-id duplicate-exp-id unknown-mvp unknown-gate card-without-row broken-row
    merge-conflict row-outside-table undefined-glyph unknown-status date-order dead-link
    hypothesis-conflict number-conflict number-changed number-without-result
    number-of-faulty-run picked-seed gate-without-evidence gate-rule-changed done-without-result
    experiment`."""
    message: str
    fix: tuple[Edit, ...] | None = None
    """The edits that fix it; None where a person must decide."""
    path: Path | None = None
    """Its file; None: the document that was looked at."""
    is_note: bool = False
    """Whether it is only worth knowing: nothing contradicts."""


def file_name(document: Document) -> str:
    """The name of a document's file, as messages about another file give it."""
    return document.path.name if document.path else "the roadmap"
