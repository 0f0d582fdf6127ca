"""Models as drafts name them: `ViT`, `LightGBM`, and in words `boosted trees`, `transformer`."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from vitlab.docs.model.gates.conditions import is_model, model_key
from vitlab.docs.text.numerals import Numeral
from vitlab.lab.paper.words import METRIC, OTHER_SIDE

_WORD = re.compile(r"(?<![A-Za-z])(?:light gbm|[A-Za-z][A-Za-z]+)", re.IGNORECASE)
_IN_WORDS = {
    "vit": r"(?:vision )?transformers?(?![a-z])",
    "lightgbm": r"(?:gradient[- ]|histogram[- ])?boost(?:ed|ing)"
    r"(?: (?:decision |regression )?trees?)?|decision trees?"
    r"|(?<![\d][ ])trees\b(?! of| with)|梯度提升树?|提升树",
    "mlp": r"(?:multi-?layer )?perceptrons?|多层感知机|感知机",
    "template": r"(?<!\d )(?<!\d)templates(?! of)"
    r"|template[- ]?(?:fit(?:s|ting)?|matching)(?![a-z])|模板拟合",
    "ridge": r"linear (?:model|regression|fit|baseline)s?|岭回归|线性(?:模型|回归|基线)",
}
_WORDS = re.compile(
    "|".join(rf"(?P<{name}>(?<![A-Za-z])(?:{pattern}))" for name, pattern in _IN_WORDS.items()),
    re.IGNORECASE,
)
_BESIDE = re.compile(r"\s*[(（]\s*(?:the\s+)?|[\s-]+")
"""Between two names of one model: `a vision transformer (ViT)`, `ridge regression`."""
_NO_MODEL = re.compile(
    r"\s*[- ]?(?:ratio|hidden|layers?\b|blocks?|heads?\b|width|dim|expansion)", re.IGNORECASE
)
"""What stands behind a name that is of a part of a network: `MLP ratio 4`."""


_NEXT = re.compile(
    r"\s*(?:per cent|[%％])?[^\d.;]{0,30}(?:,|，|and|、|和)\s*(?:the\s+)?", re.IGNORECASE
)
"""From one number of a list to the next, or to the model that has it."""
_OPENED = re.compile(r"\d\s*(?:dex|K|[%％])?\s*[(（]\s*(?:the\s+)?$", re.IGNORECASE)
_UNIT_OPENED = re.compile(r"\s*(?:dex|K|[%％])?\s*[(（]\s*(?:the\s+)?", re.IGNORECASE)
_AGAINST = re.compile(r"\s*(?:against|versus|vs\.?|compared (?:to|with)|对|对比)\s*\d*\.\d")
_NEAR = 16
_LETTERS = 36
"""Before a model in which a word may stand that makes it the other side."""


class Named(NamedTuple):
    """A model named in a text, and where."""

    start: int
    end: int
    name: str
    """As rules call it: `vit`, `lightgbm`, ..."""


def models_in(text: str) -> Iterator[Named]:
    """Where models are named; one that is named twice side by side is named once."""
    found = [Named(one.start(), one.end(), one.lastgroup or "") for one in _WORDS.finditer(text)]
    in_words = [one.start for one in found]
    for one in _WORD.finditer(text):
        key = model_key(one[0])
        if one[0][-2:-1].isupper() and one[0].endswith("s"):  # MLPs
            key = model_key(one[0][:-1])
        before = bisect.bisect_right(in_words, one.start()) - 1
        inside = before >= 0 and one.start() < found[before].end
        if is_model(key) and not inside and not _NO_MODEL.match(text, one.end()):
            found.append(Named(one.start(), one.end(), key))
    last: Named | None = None
    for each in sorted(found):
        if last and last.name == each.name and _BESIDE.fullmatch(text, last.end, each.start):
            last = Named(last.start, each.end, last.name)
            continue
        if last:
            yield last
        last = each
    if last:
        yield last


def is_named(word: str) -> bool:
    """Whether a word alone is a model's name."""
    return is_model(model_key(word)) or _WORDS.fullmatch(word) is not None


def is_near_model(text: str) -> bool:
    """Whether a model stands within a few words of a text's beginning: `below the MLP`."""
    return any(named.start <= _NEAR for named in models_in(text[: 2 * _LETTERS]))


def is_aside(text: str, one: Numeral, named: Named) -> bool:
    """Whether a model is named in brackets behind a number that have numbers of their own."""
    opened = text.rfind("(", one.end, named.start)
    return (
        opened >= 0
        and not text[opened + 1 : named.start].strip()
        and text[named.end : named.end + 1] != ")"
    )


def own_in_brackets(
    text: str, one: Numeral, models: Sequence[Named]
) -> tuple[str, Sequence[Named]]:
    """The model that stands alone in brackets behind a number, and those that do so behind none.

    `from 0.6 (A) to 0.7`; empty for a number without one.
    """
    alone = [named for named in models if _OPENED.search(text[: named.start])]
    alone = [named for named in alone if text[named.end : named.end + 1] in (")", "）")]
    own = [x for x in alone if _UNIT_OPENED.fullmatch(text, one.end, x.start)]
    rest = [named for named in models if named not in alone]
    return (own[0].name if own else ""), rest or models


def is_pair(text: str, one: Numeral) -> bool:
    """Whether a number is the first of two that are compared: `0.6 against 0.7`."""
    return _AGAINST.match(text, one.end) is not None


def is_firm(text: str, one: Numeral, models: Sequence[Named]) -> bool:
    """Whether the only model that a sentence names is what a number is of."""
    named = models[-1] if models[-1].start < one.start else models[0]
    return not OTHER_SIDE.search(text[max(0, named.start - _LETTERS) : named.start])


def is_listed(text: str, last: Numeral, one: Numeral, models: Sequence[Named]) -> bool:
    """Whether a number is the next of a list: `A reaches 90%, B 80% and 70% (C)`."""
    beside = [x.start for x in models if x.end <= one.start and not text[x.end : one.start].strip()]
    between = METRIC.sub("", text[last.end : beside[-1] if beside else one.start])
    return _NEXT.fullmatch(between) is not None


def each_has_one(models: Sequence[Named], scored: Sequence[Numeral]) -> bool:
    """Whether each model has a score of its own before those that follow in the same order.

    `A has 0.6, B 0.7`, or `0.6 (A) and 0.7 (B)`.
    """
    names, numbers = [one.start for one in models], [one.start for one in scored]
    ends = [*names[1:], numbers[len(names)] if len(numbers) > len(names) else numbers[-1] + 1]
    before = all(a < x < b for a, x, b in zip(names, numbers, ends, strict=False))
    behind = all(x < a < y for x, a, y in zip(numbers, names, numbers[1:], strict=False))
    return before or (behind and numbers[-1] < names[-1])
