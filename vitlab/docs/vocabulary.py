"""Reading a status out of a cell, and finding columns by their header words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache

from vitlab.contract.paths import UsageError
from vitlab.docs.inline import VS16, folded, plain, same_glyph
from vitlab.docs.words import GLYPHS, HEADERS, STATUS_WORDS, STATUSES, VERDICT_WORDS

_LEGEND = re.compile(
    r"^[\s>*_\ufeff-]*(?:状态|图例|status|legend)[*_\s]*[:：][*_\s]*(?P<items>.*)$", re.I
)
_EMOJI = re.compile(
    r"[\u2300-\u23ff\u25a0-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff][\ufe0f\u200d\U0001f3fb-\U0001f3ff]*"
)
_MARKS = re.compile(r"[\s*_~`\ufeff]*")
_METRIC = re.compile(r"(Δ?)(R\W{0,2}[²2]|MAE|RMSE|bias|ρ|σ|loss)", re.I)
_BRACKETS = re.compile(r"\[[^\]]*\]|\([^)]*\)|（[^）]*）")


_AGREES = {"done": ("done",), "partial": ("partial",), "failed": ("failed", "cancelled")}
"""Verdict -> statuses of a glyph before it that it makes more exact; another glyph outweighs it."""


@dataclass(frozen=True)
class StatusText:
    """A status found in a text, and where its glyph and its word stand (offsets in that text)."""

    status: str
    glyph: tuple[int, int] | None
    word: tuple[int, int] | None
    """None too where the word is a verdict (`PASS`), which is nobody's to rewrite."""
    verdict: bool
    end: int
    """Where the status ends and a remark may begin."""


@dataclass(frozen=True)
class Vocabulary:
    """The glyphs, words and headers a document is read by."""

    glyphs: Mapping[str, str]
    """Glyph without variation selector -> status."""
    words: Mapping[str, str]
    """Folded word -> status."""
    headers: Mapping[str, tuple[str, ...]]
    """Column -> folded header words without spaces."""
    legend: Mapping[str, tuple[str, str]]
    """Status -> (glyph as written, word) of the document's own legend line."""

    @cached_property
    def _glyph(self) -> re.Pattern[str]:
        known = sorted(self.glyphs, key=len, reverse=True)
        return re.compile("(?:" + "|".join(map(re.escape, known)) + f"){VS16}?")

    @cached_property
    def _word(self) -> re.Pattern[str]:
        known = sorted(self.words, key=len, reverse=True)
        # A word must end: `完成度` says nothing of a status, nor does `plans`.
        return re.compile("(?:" + "|".join(map(re.escape, known)) + r")(?!\w)", re.I)

    @cached_property
    def _verdict(self) -> re.Pattern[str]:
        known = sorted((w for ws in VERDICT_WORDS.values() for w in ws), key=len, reverse=True)
        return re.compile("(?:" + "|".join(known) + r")(?![A-Za-z\d])", re.I)

    @cached_property
    def _columns(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, tuple[str, ...]] = {}
        for column, words in self.headers.items():
            for word in words:
                found[word] = (*found.get(word, ()), column)
        return found

    def read(self, text: str) -> StatusText | None:
        """The status a text opens with; None when it says none, or several at once (`⏳/🚀/✅`).

        The first glyph decides; a word right after it is more exact and wins (`❌ 失败`).
        """
        start = _skip(text, 0)
        at, glyph, status = start, None, None
        if found := self._glyph.match(text, at):
            if text[found.end() : found.end() + 1] in ("/", "／"):
                return None
            glyph, at = found.span(), _skip(text, found.end())
            status = self.glyphs[same_glyph(found.group())]
        elif other := _EMOJI.match(text, at):
            at = _skip(text, other.end())
        if found := self._verdict.match(text, at):
            said = next(s for s, ws in VERDICT_WORDS.items() if found.group().lower() in ws)
            if glyph is None or status in _AGREES[said]:
                return StatusText(said, glyph, None, True, found.end())
        elif found := self._word.match(text, at):
            if text[found.end() : found.end() + 1] in ("/", "／") and glyph is None:
                return None
            said, word, end = self.words[folded(found.group())], found.span(), found.end()
            if glyph is None and (late := self._glyph.match(text, _skip(text, end))):
                glyph, end = late.span(), late.end()
            return StatusText(said, glyph, word, False, end)
        if glyph is None or status is None:
            return None
        return StatusText(status, glyph, None, False, glyph[1])

    def status(self, cell: str) -> str | None:
        """The status word of a cell, one of `STATUSES`; None when it says none."""
        found = self.read(cell)
        return found.status if found else None

    def columns(self, headers: Sequence[str]) -> dict[str, int]:
        """Which column is which: canonical name -> the first column whose header says it."""
        found: dict[str, int] = {}
        for index, header in enumerate(headers):
            for key in _header_keys(header):
                names = self._columns.get(key)
                for name in names or ():
                    found.setdefault(name, index)
                if names:
                    break
        return found

    def with_legend(self, text: str) -> Vocabulary:
        """This vocabulary with a document's legend line before it; itself where there is none."""
        for line in re.split(r"\r\n|\r|\n", text):
            match = _LEGEND.match(line)
            items = re.split(r"[|｜]", match["items"]) if match else []
            legend = dict(filter(None, (self._legend_item(item) for item in items)))
            if len(legend) >= 2:
                glyphs = {same_glyph(glyph): status for status, (glyph, _) in legend.items()}
                words = {folded(word): status for status, (_, word) in legend.items() if word}
                return replace(
                    self,
                    glyphs={**self.glyphs, **glyphs},
                    words={**self.words, **words},
                    legend=legend,
                )
        return self

    def _legend_item(self, item: str) -> tuple[str, tuple[str, str]] | None:
        item = plain(item)
        glyph = _EMOJI.match(item)
        word = item[glyph.end() :].strip() if glyph else item
        if not glyph:
            return None
        status = self.words.get(folded(word)) or self.glyphs.get(same_glyph(glyph.group()))
        return (status, (glyph.group(), word)) if status else None

    def extended(
        self,
        headers: Mapping[str, str | Sequence[str]],
        statuses: Mapping[str, str | Sequence[str]],
    ) -> Vocabulary:
        """This vocabulary with a lab's own words added, which win over the defaults.

        `headers`: column -> header words; `statuses`: status -> glyphs and words.
        """
        more = {}
        for name, words in headers.items():
            old = self.headers[_known(name, self.headers, "header")]
            more[name] = (*map(_header_key, _words(words)), *old)
        glyphs, spoken = dict(self.glyphs), dict(self.words)
        for status, words in statuses.items():
            status_argument(status)
            for word in _words(words):
                if _EMOJI.fullmatch(word):
                    glyphs[same_glyph(word)] = status
                else:
                    spoken[folded(word)] = status
        return replace(self, glyphs=glyphs, words=spoken, headers={**self.headers, **more})


@cache
def default_vocabulary() -> Vocabulary:
    """The vocabulary of a document without a legend."""
    glyphs = {same_glyph(g): status for status, gs in GLYPHS.items() for g in gs}
    words = {folded(w): status for status, ws in STATUS_WORDS.items() for w in ws}
    headers = {name: tuple(map(_header_key, words)) for name, words in HEADERS.items()}
    return Vocabulary(glyphs, words, headers, {})


def status_argument(word: str) -> str:
    """A status as a user gives it; UsageError naming the allowed ones."""
    if word not in STATUSES:
        raise UsageError(f"status {word!r}: one of {', '.join(STATUSES)}")
    return word


@lru_cache(4096)
def metric_header(header: str) -> tuple[str, str | None] | None:
    """The metric a number column holds and its split: `R² (val)` -> ("r2", "val")."""
    text = plain(header)
    match = _METRIC.search(text)
    if not match:
        return None
    said = folded(match[2])
    is_r2 = said.startswith("r") and said.endswith("2")
    name = "r2" if is_r2 else {"ρ": "rho", "σ": "sigma"}.get(said, said)
    split = re.search(r"(?<![a-z])(val|test|train)", text, re.I)
    rest = text[match.end() : match.end() + 1]
    if rest == "_" and not split:  # R²_max is no score of a model
        return None
    return ("delta_" if match[1] else "") + name, split[1].lower() if split else None


@lru_cache(4096)
def is_measured(header: str) -> bool:
    """Whether a column holds numbers of some metric, a model's score or not (`R²_max`)."""
    return bool(_METRIC.search(plain(header)))


def _skip(text: str, at: int) -> int:
    return _MARKS.match(text, at).end()  # type: ignore[union-attr]  # matches the empty string


def _words(words: object) -> tuple[str, ...]:
    """One word or a list of them, as a settings file gives it."""
    found = (words,) if isinstance(words, str) else words
    if not isinstance(found, list | tuple) or not all(isinstance(w, str) and w for w in found):
        raise UsageError(f"words {words!r}: a word or a list of words")
    return tuple(found)


def _known(name: str, allowed: Mapping[str, object], what: str) -> str:
    if name not in allowed:
        raise UsageError(f"{what} {name!r}: one of {', '.join(allowed)}")
    return name


def _header_key(header: str) -> str:
    return re.sub(r"\s+", "", folded(_EMOJI.sub("", plain(header))))


@lru_cache(4096)
def _header_keys(header: str) -> tuple[str, str]:
    whole = _header_key(header)
    return whole, re.sub(r"\s+", "", folded(_EMOJI.sub("", _BRACKETS.sub("", plain(header)))))
