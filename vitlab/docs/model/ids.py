"""Ids as people write them: of MVPs, gates and experiments, and references to them in prose."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from vitlab.docs.text.inline import link_target, plain

_EDGE = re.compile(r"^[^\w\[(<]+|[^\w\])>.+]+$")
_PREFIX = re.compile(r"^(?:MVP|Gate)(?:[-–—_:]\s*|\s+|(?=\d))", re.I)
_RAW = r"[A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*"
_GATES = re.compile(
    r"(?<![A-Za-z])Gates?[-–_ ]?(\d[\w.]*(?:\s*[/,，、&+]\s*(?:Gate[-–_ ]?)?\d[\w.]*)*)"
    r"|(?<![A-Za-z])Gate[-–_]([A-Za-z][\w.]*)",
    re.I,
)
_GATE_PART = re.compile(r"\d[\w.]*")
_EXP = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)+")
_TICKED = re.compile(r"`([^`]+)`")
_PATH = re.compile(r"[\w./~-]+\.(?:md|markdown|pdf|html|ipynb)")


def bare_id(text: str) -> str:
    """An id without emphasis, strike-through, emoji and `MVP-`/`Gate-`: `16A-0`, `16T (V2)`."""
    text = plain(text)
    while (cut := _PREFIX.sub("", _EDGE.sub("", text).strip()).strip()) != text:
        text = cut
    return text


def gate_refs(text: str) -> tuple[str, ...]:
    """The bare ids of the gates a text names: `Gate-1/2/3` -> 1, 2, 3."""
    if "gate" not in text.casefold():
        return ()
    found: list[str] = []
    for match in _GATES.finditer(plain(text)):
        found += [match[2]] if match[2] else [p.rstrip(".") for p in _GATE_PART.findall(match[1])]
    return tuple(dict.fromkeys(found))


def exp_id(text: str) -> str | None:
    """The experiment id a cell holds; None for `-` and for prose like `Run1 vs Run2`."""
    ticked = _TICKED.findall(text)
    for candidate in (*ticked, *([] if ticked else [plain(text)])):
        if _EXP.fullmatch(candidate.strip()):
            return str(candidate.strip())
    return None


def report_target(text: str) -> str | None:
    """Where a report cell points: its link, or a bare path to a document."""
    if target := link_target(text):
        return target
    candidate = plain(text)
    return candidate if _PATH.fullmatch(candidate) else None


@dataclass(frozen=True)
class IdIndex:
    """The ids of a roadmap's MVPs, found again in the cells and headings that refer to them."""

    ids: tuple[str, ...]

    @cached_property
    def _known(self) -> dict[str, str]:
        return {known.casefold(): known for known in reversed(self.ids)}

    @cached_property
    def _alternatives(self) -> str:
        ids = sorted(self._known.values(), key=len, reverse=True)
        known = "|".join(re.escape(i) for i in ids) or r"(?!)"
        return rf"(?:{known})(?![A-Za-z0-9_])(?![.-][A-Za-z0-9])"

    @cached_property
    def _prefixed(self) -> re.Pattern[str]:
        more = rf"(?:\s*[/,，、&+和]\s*(?:{self._alternatives}))*"
        known = rf"(?<![A-Za-z0-9])MVP[-–_ ]?((?:{self._alternatives}){more})"
        return re.compile(rf"{known}|(?<![A-Za-z0-9])MVP-({_RAW})", re.I)

    @cached_property
    def _one(self) -> re.Pattern[str]:
        return re.compile(self._alternatives, re.I)

    @cached_property
    def _opening(self) -> re.Pattern[str]:
        return re.compile(rf"[^\w\[(<]*(?:MVP[-–_: ]?)?({self._alternatives})", re.I)

    def known(self, text: str) -> str | None:
        """The id that a whole text is, with or without prefix; None when the roadmap has none."""
        return self._known.get(bare_id(text).casefold())

    def opening(self, text: str) -> tuple[str, str] | None:
        """The known id a text opens with, and the rest: `1.0 Run1` -> ("1.0", "Run1")."""
        text = plain(text)
        if match := self._opening.match(text):
            return self._known[match[1].casefold()], text[match.end() :].strip()
        return None

    def refs(self, text: str) -> tuple[str, ...]:
        """Every MVP a text names by its prefix, known or not, and a known id it opens with."""
        text = plain(text)
        found: list[str] = []
        if opening := self._opening.match(text):
            found.append(self._known[opening[1].casefold()])
            rest = re.match(
                rf"(?:\s*[/,，、&+]\s*(?:{self._alternatives}))+", text[opening.end() :], re.I
            )
            if rest:
                found += self._ids_in(rest.group())
        for match in self._prefixed.finditer(text):
            found += self._ids_in(match[1]) if match[1] else [match[2]]
        return tuple(dict.fromkeys(found))

    def _ids_in(self, text: str) -> Iterable[str]:
        return [self._known[m.group().casefold()] for m in self._one.finditer(text)]
