"""Where a text may explain its statuses: a line, or the list or table below its head."""

from __future__ import annotations

import re
from collections.abc import Iterator

_LINE = re.compile(
    r"^[\s>*_\ufeff-]*"
    r"(?:(?:状态(?:说明|图例|标[记识]|符号)?|status(?: legend| key| codes?)?)[*_\s]*[:：]"
    r"|(?P<key>key)[*_\s]*[:：]|(?:图例(?:说明)?|legend)[*_\s]*[:：—–-]?)[*_\s]*(?P<items>.*)$",
    re.I,
)
_HEAD = re.compile(
    r"^[#>*_\s]*+(?:状态(?:说明|图例|标[记识]|符号)|图例(?:说明)?|符号(?:说明)?"
    r"|(?:status )?(?:legend|key)|status codes?|symbols)[*_\s]*+[:：]?[*_\s]*+$",
    re.I,
)
"""The head of a legend below."""
_PART = re.compile(r"^[\s>]*(?:[-*+]\s+(?P<item>\S.*)|\|(?P<row>.*)\|\s*)$")
_LONGEST = 30
"""Lines of a legend."""


def legends(text: str) -> Iterator[tuple[str, bool]]:
    """The items of each text that may be a legend, and whether it may be one of anything.

    Those are lines below a head, here with bars between, and what `Key:` begins.
    """
    lines = re.split(r"\r\n|\r|\n", text)
    for at, line in enumerate(lines):
        if match := _LINE.match(line):
            yield match["items"], match["key"] is not None
        if _HEAD.match(line):
            yield " | ".join(_below(lines[at + 1 : at + 1 + _LONGEST])), True


def _below(lines: list[str]) -> Iterator[str]:
    """The items of a list or the rows of a table that begins here, perhaps behind a blank line."""
    first = next((at for at, line in enumerate(lines[:2]) if line.strip(" >\t")), 0)
    for line in lines[first:]:
        part = _PART.match(line)
        if part is None:
            return
        yield part["item"] or " ".join(cell.strip() for cell in part["row"].split("|")[:2])
