"""Verdicts of gates, and MVPs that are done, as the rows of timelines and change logs tell them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vitlab.docs.lint.numbers import MVP_NAMED
from vitlab.docs.lint.told_verdicts import CLAUSE, OPEN, SUPPOSED, verdicts_in
from vitlab.docs.model.hub import Hub
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.inline import plain

KINDS = ("timeline", "changelog")
"""Kinds of tables whose rows tell what happened on a day."""
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DONE = re.compile(
    r"(?<![未没])(?<!准备)(?:完成(?!之?[后前])|结束(?!之?[后前])|✅)"
    r"|\b(?:done|finished|completed?)\b(?! \w+ing)",
    re.I,
)


@dataclass(frozen=True)
class Row:
    """What one row tells that somebody has to have decided, or a job to have done."""

    index: int
    """0-based line."""
    date: str
    """YYYY-MM-DD."""
    text: str
    """The line."""
    verdicts: tuple[tuple[str, str], ...]
    """(bare id of a gate, `done` or `failed`)."""
    done: tuple[str, ...]
    """Bare ids of MVPs."""


def rows_of(file: Roadmap | Hub) -> Iterator[Row]:
    """The rows with a date that tell a verdict, or an end."""
    for view in file.views:
        for entry in view.entries if view.kind in KINDS else ():
            date, index = _DATE.search(entry.text("date")), entry.row.index
            text = " | ".join(plain(cell.raw) for cell in entry.row.cells)
            verdicts, done = tuple(verdicts_in(text)), tuple(_done_in(text))
            if date and (verdicts or done):
                yield Row(index, date[0], file.document.line_text(index), verdicts, done)


def _done_in(text: str) -> Iterator[str]:
    """The MVPs that a text calls done, each alone in its clause."""
    for clause in CLAUSE.split(text):
        named = list(MVP_NAMED.finditer(clause))
        is_open = SUPPOSED.search(clause) or OPEN.search(clause)
        if len(named) == 1 and not is_open and _DONE.search(clause, named[0].end()):
            yield named[0][1]
