"""The numbers of a sentence as they are written, before it is known what they are of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

CLAUSE = re.compile(r"[,;，；](?!\d)|\bwhile\b|\bwhereas\b|而")
BRACKETS = re.compile(r"[(（][^()（）]{0,80}[)）]")
_NUMERAL = re.compile(
    r"(?<![\w.^])(?P<sign>[+\-−–](?=[\d.]))?"
    r"(?:10\s*\^\s*(?P<power_of_ten>\d{1,2})"
    r"|(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d*\.\d+|\d+)"
    r"(?:\s*[×x*]\s*10\s*\^?\s*(?P<power>[+\-−]?\d{1,2}))?)"
    r"(?:\s*(?P<scale>million|billion|thousand|百万|千|万|亿)|(?P<letter>[kKM])(?![A-Za-z])"
    r"|[ ](?P<mega>[kM])(?=[ ](?:free |trainable )?(?:param|weights|spectra|stars)))?"
    r"(?!\d|\.\d)"
)
_IN_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_DIGITS, _TENS = "零一二三四五六七八九", {"十": 10, "百": 100, "千": 1000, "万": 10_000}
_WORD = re.compile(
    rf"(?:\b(?:{'|'.join(_IN_WORDS)})(?= (?:\w+ )?(?:seeds?|epochs?)\b)"
    rf"|(?<!\d)(?<!\d )[两{_DIGITS}{''.join(_TENS)}]{{1,8}}(?=个?(?:(?:随机)?种子|轮|条|颗)))",
    re.IGNORECASE,
)
"""A number in words that counts: `three random seeds`."""
_SCALES = {"k": 1e3, "K": 1e3, "M": 1e6, "thousand": 1e3, "million": 1e6, "billion": 1e9,
           "千": 1e3, "万": 1e4, "百万": 1e6, "亿": 1e8}  # fmt: skip
_BY_WORD = re.compile("million|billion|thousand|百万|万|亿")
_ERROR = re.compile(
    r"\s*(?P<open>\(\s*)?(?:±|\+/-|\+-)\s*(?P<plain>\d*\.?\d+)(?(open)\s*\))"
    r"|\((?P<last>\d{1,2})\)"
)
UNIT = re.compile(
    r"\s*(?P<unit>(?i:dex)|K(?![A-Za-z])|σ(?![A-Za-z_])|%|％"
    r"|(?i:per\s?cent(?:age[ -]points?)?)(?![a-z])|个?百分点"
    r"|(?i:standard deviations? of (?:the|its|these) labels?))"
)
AND = re.compile(r"\s*(?:,|and|, and|or|to|versus|vs\.?|–|和|、|/)\s*")
_UNITS = {"dex": "dex", "％": "%", "per": "%", "个百分": "%", "百分点": "%", "sta": "σ"}
"""By the first letters of what is written, where it is not the unit itself."""
_LONGEST = 60
"""Characters of a number; longer ones overflow, or are of no step at all."""
_EXACT = 1000
"""Whole numbers below are taken as exact; of larger ones the zeros at the end but one are not."""


@dataclass(frozen=True)
class Numeral:
    """A number, and where it stands in its sentence."""

    start: int
    end: int
    """Behind its error, if it has one; before its unit."""
    value: float
    step: float
    """One unit of its last digit."""
    is_decimal: bool
    error: float | None
    """`0.711 ± 0.005`, `0.711 (±0.005)`, or `0.711(5)`."""
    unit: str
    """`dex`, `K`, `σ`, `%`, or empty."""


def numerals(text: str) -> Iterator[Numeral]:
    """The numbers of a text: `0.711 ± 0.005 dex`, `1,000,000`, `4.9M`, `1.2 × 10^6`, `100 万`.

    A unit behind the last of several is that of all: `48 and 88 K`, `0.8 and 2.1 million`.
    """
    waiting: list[Numeral] = []
    for one in _numerals(text):
        if waiting and not AND.fullmatch(text, waiting[-1].end, one.start):
            yield from waiting
            waiting = []
        if one.unit:
            for other in waiting:
                yield replace(other, unit=one.unit) if other.step == one.step else other
            waiting = []
            yield one
        elif waiting and (scale := _BY_WORD.search(text, one.start, one.end)):
            by = _SCALES[scale[0]]
            for x in waiting:
                small = x.is_decimal and x.step < by and not _BY_WORD.search(text, x.start, x.end)
                yield replace(x, value=x.value * by, step=x.step * by) if small else x
            waiting = []
            yield one
        else:
            waiting.append(one)
    yield from waiting


def _numerals(text: str) -> Iterator[Numeral]:
    end = 0
    for word in _WORD.finditer(text):
        yield Numeral(word.start(), word.end(), _in_words(word[0]), 1.0, False, None, "")
    for found in _NUMERAL.finditer(text):
        if found.start() < end or len(found[0]) > _LONGEST:  # the error of the one before
            continue
        digits = (found["digits"] or "1").replace(",", "")
        scale = _SCALES.get(found["scale"] or found["letter"] or found["mega"] or "", 1.0)
        scale *= 10.0 ** int((found["power"] or found["power_of_ten"] or "0").replace("−", "-"))
        decimals = len(digits.partition(".")[2])
        step = 10.0**-decimals * scale
        value = float(digits) * scale
        if decimals == 0 and scale == 1.0 and value >= _EXACT:
            step = 10.0 ** max(0, len(digits) - len(digits.rstrip("0")) - 1)
        end, error = found.end(), None
        beside = _ERROR.match(text, end)
        if beside and len(beside[0]) <= _LONGEST and (beside["plain"] or decimals):
            error = float(beside["plain"]) if beside["plain"] else float(beside["last"]) * step
            end = beside.end()
        unit = UNIT.match(text, end)
        name = _UNITS.get(unit["unit"][:3].casefold(), unit["unit"]) if unit else ""
        sign = -1.0 if found["sign"] in ("-", "−") else 1.0
        is_decimal = decimals > 0
        yield Numeral(found.start(), end, sign * value, step, is_decimal, error, name)


def _in_words(word: str) -> float:
    """What a word counts: `three`, `二十`, `三千`, `两万五千`."""
    if word.casefold() in _IN_WORDS:
        return _IN_WORDS.index(word.casefold())
    total = digit = 0
    for letter in word.replace("两", "二"):
        if letter in _DIGITS:
            digit = _DIGITS.index(letter)
        elif letter == "万":
            total, digit = (total + digit) * _TENS[letter], 0
        else:
            total, digit = total + (digit or 1) * _TENS[letter], 0
    return total + digit


def clause(text: str, one: Numeral) -> str:
    """The part of a sentence, between commas and semicolons, that a number stands in."""
    start, end = span(text, one)
    return text[start:end]


def span(text: str, one: Numeral) -> tuple[int, int]:
    """Where the part of a sentence, between commas and semicolons, begins and ends."""
    ends = [0, *(found.end() for found in CLAUSE.finditer(text)), len(text)]
    return next((a, b) for a, b in pairwise(ends) if a <= one.start < b)


def outside(text: str, one: Numeral) -> str:
    """The clause of a number without the brackets that it does not stand in."""
    start, end = span(text, one)
    part = text[start:end]
    for found in BRACKETS.finditer(text, start, end):
        is_beside = not text[one.end : found.start()].strip() and not re.search(r"\d", found[0])
        if not found.start() < one.start < found.end() and not is_beside:
            part = part.replace(found[0], " " * len(found[0]))
    return part
