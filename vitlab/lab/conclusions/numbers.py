"""The numbers of a text as an assistant may write them, each with its place."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from vitlab.contract.job import ASCII_FORMS
from vitlab.docs.text.numerals import numerals

_WORD = r"\b(?:MVP|Gate)[- ]?\d+(?:[.-]?\w+)*|[A-Za-z]\w*+(?!\.\d|\s?%)"
"""What holds digits and is no number, as `MVP-1.0`, `R2` and `H100`."""
_DIGITS = r"[1-9]\d{0,2}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+(?:[.,]\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"{_WORD}|(?P<number>[-+]?(?:{_DIGITS})(?:[eE][-+]?\d{{1,3}}(?!\d)|[kM](?![A-Za-z]))?)",
    re.ASCII,
)
_SIZES = {"k": 1e3, "M": 1e6}
_THOUSANDS = re.compile(r",(?=\d{3}(?:,|\.|$))")
_DIGIT = r"zero|oh|one|two|three|four|five|six|seven|eight|nine"
_TENS = r"(?:twen|thir|for|fif|six|seven|eigh|nine)t(?:y|een)"
_IN_WORDS = re.compile(
    rf"\bpoint (?:{_DIGIT})\b|\b{_TENS}\b|\b(?:{_DIGIT}|ten|eleven|twelve|hundred)[- ]"
    r"(?:per ?cent|hundredths?|tenths?|thirds?|quarters?)\b"
    r"|[零〇一二三四五六七八九十]点[零〇一二三四五六七八九]+|百分之[零〇一二三四五六七八九十百]+"
    r"|[一二三四五六七八九]成",
    re.I,
)
"""Numbers of scores that are spelled out."""


class Written(NamedTuple):
    """One number as it is written."""

    start: int
    end: int
    text: str
    """As `-0.711`, also of one in emphasis, `.711` and `0,711`; of one in words its digits."""


def written(text: str) -> Iterator[Written]:
    """The numbers of a text; in words those that count seeds and epochs."""
    yield from in_digits(text)
    plain = in_ascii(text)
    for one in numerals(plain):
        if not re.search(r"\d", plain[one.start : one.end]):
            yield Written(one.start, one.end, f"{one.value:g}")


def in_digits(text: str) -> Iterator[Written]:
    """The numbers of a text that are written in digits."""
    for match in _NUMBER.finditer(in_ascii(text)):
        if match["number"]:
            yield Written(*match.span("number"), _bare(match["number"]))


def in_ascii(text: str) -> str:
    """A text with the digits and forms of other scripts as ours, letter for letter."""
    return "".join(str(unicodedata.decimal(one, one)) for one in text.translate(ASCII_FORMS))


def spelled_out(text: str) -> str:
    """A number that is not written in digits; empty for none."""
    odd = _IN_WORDS.search(text)
    return odd[0] if odd else next((one for one in text if _is_odd(one)), "")


def _is_odd(letter: str) -> bool:
    """Whether it is a number that is not written in digits, as `½` and `⁹`; `R²` is none."""
    return unicodedata.category(letter) in ("No", "Nl") and letter not in "²³"


def _bare(number: str) -> str:
    """Without a plus sign and the commas between thousands; any other comma is a decimal point."""
    number = number.removeprefix("+")
    if number.lstrip("-")[0] not in "0.":
        number = _THOUSANDS.sub("", number)
    return number.replace(",", ".")


def rounds_to(value: float, text: str) -> bool:
    """Whether a number as written is a value, or 100 times it, rounded to as many digits.

    A single digit without a point is the value itself: any R2 above 0.5 would round to 1.
    """
    size = _SIZES.get(text[-1], 1.0)
    mantissa, _, exponent = text.rstrip("kM").lower().partition("e")
    digits, _, decimals = mantissa.removeprefix("-").partition(".")
    scale = size * 10.0 ** max(-300, min(300, int(exponent or 0)))
    stated = float(mantissa) * scale
    half = 0.0 if len(digits) < 2 and not decimals else 0.5 * scale * 10.0 ** -len(decimals)
    return any(abs(each - stated) <= half * (1 + 1e-9) for each in (value, -value, 100 * value))
