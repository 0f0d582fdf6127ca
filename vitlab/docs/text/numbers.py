"""The decimal numbers of a document: each with its digits, its error, and its place by the words.

A place is known by what stands around it, not by its line, so that it is found again when other
lines come and go, and when its number is replaced, with its mark of a trial or without.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from vitlab.contract.job import PROFILES
from vitlab.docs.text.inline import plain, with_plain_numbers
from vitlab.docs.text.source import Document
from vitlab.docs.text.tables import Row, tables_of

_DIGITS = r"\d*\.\d+|\d+(?=\s?%)"
_NUMBER = re.compile(
    rf"(?<![\w.])(?<![A-Za-z]-)(?P<value>(?:(?<![\w)])[+\-−])?(?:{_DIGITS}))"
    r"(?:\s*(?:±|\+/?-)\s*(?P<error>\d*\.?\d+))?(?P<percent>\s?%)?"
    r"(?![\w]|\.\d|\s?[kM]\b)"
)
_WHOLE = re.compile(
    r"(?<![\w.-])(?:(?P<value>\d+(?:\.\d+)?)\s?(?P<unit>[kM])\b"
    r"|(?<![:/])(?P<count>[1-9]\d{0,2}(?:,\d{3})+|\d+)(?!\w|[.,:/-]\d))"
)
_UNITS = {"k": 3, "M": 6}
_QUERY = re.compile(
    r"(?P<value>[+\-−]?(?:\d*\.\d+|\d+))(?:\s*(?:±|\+/?-)\s*(?P<error>\d*\.?\d+))?(?P<percent>\s*%)?"
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[-/]\d{1,2}")
_LIMIT = re.compile(r"[<>≤≥≳≲]=?\s*$")
_Digest: TypeAlias = "hashlib._Hash"
_MARK = re.compile(rf"\s*[(（](?:{'|'.join(PROFILES)})[)）]")
"""The mark of a trial: whoever replaces a number may take it away too."""


@dataclass(frozen=True)
class Digits:
    """A number as it is written."""

    text: str
    """With its error and per cent: `0.711 ± 0.005`, `71.1%`."""
    value: float
    """A percentage as a fraction."""
    decimals: int
    error: float | None = None
    error_decimals: int = 0

    @property
    def significant(self) -> int:
        """Its significant digits, zeros at the end included: 3 of 0.711 and 71.1%."""
        return len(str(round(abs(self.value) * 10**self.decimals)))

    def is_rounded(self, number: float | None, error: float | None = None) -> bool:
        """Whether a number, with its error where both have one, is this one to its digits."""
        if number is None or not _is_close(number, self.value, self.decimals):
            return False
        known = self.error is not None and error is not None
        return not known or _is_close(error or 0.0, self.error or 0.0, self.error_decimals)

    def is_asked(self, asked: Digits) -> bool:
        """Whether this number, which may have more digits, is the one that is asked for.

        A size of a single digit is itself alone: half of all sizes round to 1M.
        """
        if asked.decimals < 0 and asked.significant == 1:
            return self.value == asked.value
        if self.decimals < asked.decimals or not asked.is_rounded(self.value):
            return False
        return asked.error is None or (
            self.error is not None and _is_close(self.error, asked.error, asked.error_decimals)
        )


def _is_close(number: float, written: float, decimals: int) -> bool:
    return abs(number - written) <= 0.5 * 10.0**-decimals * (1 + 1e-9)


_NONE = Digits("", 0.0, 0)


@dataclass(frozen=True)
class NumberPlace:
    """One number where it stands in a document."""

    number: Digits
    line: int
    """1-based."""
    place: str
    """16 hex digits of what stands around it, its own cell's numbers and marks left out."""
    index: int
    """Which of the decimal numbers of that place it is, or of the others."""
    text: str
    """Its cell, or its line, as a reader sees it."""
    head: str = ""
    """The head of its column; empty outside a table."""
    first: str = ""
    """The first cell of its row; empty outside a table."""
    row: str = ""
    """All of its row; empty outside a table."""
    is_limit: bool = False
    """Whether it stands behind `>`, `<=` and the like: a limit, and no result."""
    is_whole: bool = False
    """Whether it is an integer, or a size such as `8.19k`."""


def asked_number(text: str) -> Digits | None:
    """The number that a person asks for; None for other words.

    `0.711`, `.711`, `0.711 ± 0.005`, `71.1%`, a size `8.19k`, or `790,657`.
    """
    if match := _QUERY.fullmatch(text.strip()):
        return _digits(match)
    match = _WHOLE.fullmatch(text.strip())
    return _size(match) if match else None


def numbers_of(document: Document, *, whole: bool = False) -> Iterator[NumberPlace]:
    """The decimal numbers of a document, by line; with `whole` integers and sizes too.

    Comments have none.
    """
    rows: dict[int, tuple[Row, Row]] = {}
    for table in tables_of(document):
        rows |= {row.index: (table.header, row) for row in table.rows if not row.is_delimiter}
    hidden = document.hidden_lines
    for index in range(document.front_matter_end, len(document.lines)):
        if index in hidden:
            continue
        if index in rows:
            yield from _in_row(*rows[index], whole)
        elif (line := document.line_text(index)).strip():
            text = with_plain_numbers(plain(line))
            yield from _placed(NumberPlace(_NONE, index + 1, "", 0, text), _digest(""), whole)


def _in_row(header: Row, row: Row, whole: bool) -> Iterator[NumberPlace]:
    heads = [cell.text for cell in header.cells]
    cells = [with_plain_numbers(cell.text) for cell in row.cells]
    key = [*cells[:1], *(cells[1:2] if cells and _DATE.match(cells[0]) else ())]
    around = _digest("\x1f".join([*heads, *key[:1], *map(_masked, key[1:])]))
    whole_row = " | ".join(cells)
    for column, text in enumerate(cells):
        head = heads[column] if column < len(heads) else ""
        cell = NumberPlace(_NONE, row.line, "", 0, text, head, cells[0], whole_row)
        yield from _placed(cell, _digest(f"\x1f{head}", around), whole)


def _placed(where: NumberPlace, around: _Digest, whole: bool) -> Iterator[NumberPlace]:
    """The numbers of a text, each as `where` with its own digits and place."""
    text = where.text
    matches = list(_NUMBER.finditer(text))
    if whole:
        rest = _NUMBER.sub(lambda match: "_" * len(match[0]), text)
        matches += _WHOLE.finditer(rest)
        matches.sort(key=lambda match: match.start())
    counts = {kind: itertools.count() for kind in (False, True)}
    places = {kind: _place(around, text, kind) for kind in {m.re is _WHOLE for m in matches}}
    for match in matches:
        is_whole = match.re is _WHOLE
        yield replace(
            where,
            number=_size(match) if is_whole else _digits(match),
            place=places[is_whole],
            index=next(counts[is_whole]),
            is_limit=bool(_LIMIT.search(text[max(0, match.start() - 4) : match.start()])),
            is_whole=is_whole,
        )


def _size(match: re.Match[str]) -> Digits:
    """An integer, or a number with `k` or `M` behind it."""
    raw = (match["value"] or match["count"]).replace(",", "")
    more = _UNITS.get(match["unit"] or "", 0)
    decimals = len(raw.partition(".")[2]) - more
    return Digits(" ".join(match[0].split()), float(raw) * 10**more, decimals)


def _digits(match: re.Match[str]) -> Digits:
    raw, percent = match["value"].replace("−", "-"), 2 if match["percent"] else 0
    error, scale = match["error"] or None, 10.0**-percent
    return Digits(
        " ".join(match[0].split()),
        float(raw) * scale,
        len(raw.partition(".")[2]) + percent,
        None if error is None else float(error) * scale,
        len((error or "").partition(".")[2]) + percent,
    )


def _masked(text: str) -> str:
    """A text without its numbers, so that another in their place leaves it as it is."""
    return " ".join(unicodedata.normalize("NFKC", _NUMBER.sub("#", text)).split())


def _place(around: _Digest, text: str, whole: bool = False) -> str:
    text = _MARK.sub("", text)
    if whole:
        around, text = _digest("\x1d", around), _WHOLE.sub("#", _NUMBER.sub("#", text))
    return _digest(f"\x1e{_masked(text)}", around).hexdigest()[:16]


def _digest(text: str, before: _Digest | None = None) -> _Digest:
    """Of a text behind what was digested before: a row's heads are read once, not for each cell."""
    digest = hashlib.sha256() if before is None else before.copy()
    digest.update(text.encode("utf-8", "surrogatepass"))
    return digest
