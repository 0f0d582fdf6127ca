"""The numbers of a draft that a result can back, each with what says what it is of."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from vitlab.docs.model.gates.conditions import is_model, model_key
from vitlab.lab.paper.claims import (
    CEILING,
    COUNTED,
    EPOCHS_HEAD,
    FROM_TO,
    LABEL,
    METRIC,
    MORE_DATA,
    OF_SEEDS,
    OF_SOME,
    OTHER_SIDE,
    PARAMS_HEAD,
    PRONOUN,
    SHARE,
    SIZE_HEAD,
    SPLIT,
    UNNAMED,
    Kind,
    between_sizes,
    claim,
    clause,
    counted,
    is_count,
    is_less,
    nearest,
)
from vitlab.lab.paper.numerals import Numeral, numerals

TOP = "ceiling"
"""Stands for the ceiling among the two sides of a difference."""
LONGEST, MOST = 2000, 60
"""Characters and numbers of a sentence; of a longer one nothing is read, and that is told."""
_WORD = re.compile(
    r"(?<![A-Za-z])(?:template[- ]fit(?:ting)?|light gbm|[A-Za-z][A-Za-z]+|模板拟合)", re.IGNORECASE
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z(\[])|(?<=[。！？；])|(?<=\n)(?=\s*[-*•]\s)")
_OF_NEXT = re.compile(
    r"[^,;，；.]{0,24}?(?:\bfor|\bwith|\bby|\bof|\busing|[(（])\s*(?:the\s+|our\s+)?"
)
_HEAD_UNIT = re.compile(r"[\[(（]\s*(dex|K|σ|%)\s*[\])）]")
_HAS = re.compile(
    r"[\w-]+(?:\s*\([^()\d]{0,20}\))?\s*(?:(?:only\s+)?(?:has|have|reach(?:es)?|attains?|scores?"
    r"|achieves?|yields?|gets?|is at)\s*(?:only\s+)?)?"
)
"""From a model's name to the number that it has: `LightGBM (orange) `, `ViT reaches only `."""
_BETWEEN = ("difference", "percent", "ratio")
_Claim = tuple[Numeral, tuple[Kind, str]]
_LETTERS = 36
"""Of the words before a number that are shown with it."""


@dataclass(frozen=True)
class Mention:
    """One number of a draft."""

    line: int
    """1-based."""
    text: str
    """As written, with the words before it."""
    kind: Kind
    metric: str
    """Of `contract.value`; of a count what `claims.counted` says."""
    value: float
    step: float
    """One unit of its last digit."""
    error: float | None = None
    unit: str = ""
    """`dex`, `K`, `σ` or `%`, as written; empty where none is."""
    label: str = ""
    split: str = ""
    models: tuple[str, ...] = ()
    """What it is of, as gates call models; of a difference both, then others that it may be of."""
    inherited: bool = False
    """Whether the model is named in an earlier sentence only."""
    size: float | None = None
    """Training stars, where the draft says of how many."""
    between: tuple[float, float] | None = None
    """Of what one model gains: the training sizes it gains it between."""
    is_less: bool = False
    """Of a difference in percent: whether of the larger number."""
    of_seed: bool = False
    """Whether it may be that of a single seed."""

    def means(self, number: float) -> bool:
        """Whether it is this number, rounded."""
        return abs(self.value - number) <= 0.5 * self.step * (1 + 1e-6) + 1e-12

    def nearly(self, number: float) -> bool:
        """Whether it is within one unit of its last digit: rounded the wrong way, or cut."""
        return abs(self.value - number) <= self.step * (1 + 1e-6)


@dataclass(frozen=True)
class _Lines:
    """The lines of a sentence's characters."""

    first: int
    """1-based, of its paragraph."""
    ends: Sequence[int]
    """Offsets behind the paragraph's line ends."""
    start: int
    """The sentence's offset in its paragraph."""

    def of(self, at: int) -> int:
        return self.first + bisect.bisect_right(self.ends, self.start + at)


class Reader:
    """Reads sentences in their order: what a sentence is about goes on to those after it."""

    def __init__(self) -> None:
        self._subject: tuple[str, ...] = ()
        self._metric = ""
        self.skipped: list[int] = []
        """Lines of sentences that are too long to be read."""

    def paragraph(self, text: str, line: int) -> Iterator[Mention]:
        """The numbers of a paragraph that begins at `line`."""
        self._subject, self._metric = (), ""
        ends = [found.end() for found in re.finditer("\n", text)]
        start = 0
        for end in [*_SENTENCE.finditer(text), None]:
            sentence = text[start : end.start() if end else len(text)]
            yield from self._sentence(sentence.replace("\n", " "), _Lines(line, ends, start))
            start = end.end() if end else start

    def _sentence(self, text: str, lines: _Lines) -> Iterator[Mention]:
        numbers = list(islice(numerals(text), MOST + 1)) if len(text) <= LONGEST else None
        if numbers is None or len(numbers) > MOST:
            self.skipped.append(lines.of(0))
            return
        models = list(models_in(text))
        if not models and UNNAMED.search(text):
            self._subject = ()
        it = PRONOUN.search(text) if self._subject else None
        if it and not any(start < it.start() for start, _ in models):
            models = [(it.start(), self._subject[0]), *models]
        counts = [one for one in numbers if is_count(text, one)]
        claims = self._claims(text, [one for one in numbers if one not in counts], models)
        sizes = [one for one in counts if counted(text, one) in (None, "train", "stars")]
        between = between_sizes(text, sizes)
        if between:
            claims = list(_gains(text, claims))
        scored = [one for one, (kind, _) in claims if kind in ("score", "share")]
        for one, (kind, metric) in claims:
            if kind == "difference" and (between or MORE_DATA.search(text)):
                named, inherited = self._models("score", one, models, [], text)
            else:
                named, inherited = self._models(kind, one, models, scored, text)
            scale = 0.01 if one.unit == "%" and kind == "score" else 1.0
            if kind == "ratio" and len(named) < 2:  # of speeds, errors, ...
                continue
            yield Mention(
                line=lines.of(one.start),
                text=_excerpt(text, one.start, one.end),
                kind=kind,
                metric=metric,
                value=one.value * scale,
                step=one.step * scale,
                error=one.error,
                unit=one.unit,
                label=nearest(LABEL, text, one.start),
                split=nearest(SPLIT, clause(text, one)),
                models=named,
                inherited=inherited,
                size=_size(one, scored, sizes),
                between=between if kind == "difference" else None,
                of_seed=OF_SEEDS.search(text) is not None,
                is_less=kind == "percent" and is_less(text, one, metric),
            )
        for one in counts:
            yield from self._count(text, one, models, lines)
        if models:
            names = {name for _, name in models}
            self._subject = (models[0][1],) if it or len(names) == 1 else ()

    def _claims(
        self, text: str, numbers: Sequence[Numeral], models: Sequence[tuple[int, str]]
    ) -> list[_Claim]:
        """Those of a sentence's numbers that a result may back."""
        found = [
            (one, said)
            for one in numbers
            if (said := claim(text, one) or _bare_score(text, one, models, self._metric))
        ]
        for metric in METRIC.finditer(text):
            self._metric = metric.lastgroup or ""
        return found

    def _models(
        self,
        kind: Kind,
        one: Numeral,
        models: Sequence[tuple[int, str]],
        scored: Sequence[Numeral],
        text: str,
    ) -> tuple[tuple[str, ...], bool]:
        """What a number is of, and whether only an earlier sentence says so."""
        names = list(dict.fromkeys(name for _, name in models))
        if kind in _BETWEEN:
            if len(names) > 2:  # `A exceeds B by 0.1, and C by 0.2`
                near = [name for start, name in models if start < one.start]
                return tuple(dict.fromkeys([*near[:1], *near[-1:], *names])), True
            if len(names) < 2 and kind == "difference" and CEILING.search(text):
                return (*(names or self._subject), TOP), not names
            both = names if len(names) == 2 else [*self._subject, *names]
            return tuple(dict.fromkeys(both))[:2], len(names) < 2
        if len(names) < 2:
            if names and OTHER_SIDE.search(text, one.end, models[0][0]):
                return self._subject, True
            if names and models[-1][0] < one.start and FROM_TO.search(text[: one.start]):
                return (*names, *self._subject) if self._subject else (), True
            return (tuple(names), False) if names else (self._subject, True)
        before = [name for start, name in models if start < one.start]
        if len(before) == len(models) and FROM_TO.search(text[: one.start]):
            return tuple(names), False
        in_order = one in scored and not len(scored) % len(models)
        if in_order and (len(scored) == len(models) or _each_has_one(models, scored)):
            return (models[scored.index(one) % len(models)][1],), False
        if behind := _OF_NEXT.match(text, one.end):
            for start, name in models:
                if abs(start - behind.end()) <= 3:
                    return (name,), False
        return (before[-1] if before else names[0],), False

    def _count(
        self, text: str, one: Numeral, models: Sequence[tuple[int, str]], lines: _Lines
    ) -> Iterator[Mention]:
        name = counted(text, one)
        if name is None:
            return
        before = [model for start, model in models if start < one.start]
        named = {model for _, model in models}
        found = COUNTED.match(text, one.end)
        yield Mention(
            line=lines.of(one.start),
            text=_excerpt(text, one.start, found.end() if found else one.end),
            kind="count",
            metric=name,
            value=one.value,
            step=one.step,
            models=(tuple(named) if len(named) == 1 else tuple(before[-1:]))
            if named
            else self._subject,
            inherited=not named,
        )


def row_mentions(
    heads: Sequence[str], cells: Sequence[str], lines: Sequence[int]
) -> Iterator[Mention]:
    """The numbers of a table's row below heads that name a metric, or training sizes."""
    models = [name for _, name in models_in(" | ".join(cells))]
    size = next((x for h, c in zip(heads, cells, strict=False) if (x := _size_in(h, c))), None)
    for head, cell, line in zip(heads, cells, lines, strict=False):
        number, metric = next(numerals(cell), None), METRIC.search(head)
        about = f"{head} {cells[0]}"
        heads_of = {"train": SIZE_HEAD, "params": PARAMS_HEAD, "epochs": EPOCHS_HEAD}
        counts = next((name for name, of in heads_of.items() if of.search(head)), "")
        if number is None or OF_SOME.search(about) or not (metric or counts):
            continue
        in_head = _HEAD_UNIT.search(head)
        own = models or [name for _, name in models_in(head)]
        kind: Kind = "ceiling" if CEILING.search(about) else "score"
        yield Mention(
            line=line,
            text=f"{head.strip()}: {cell.strip()}",
            kind=kind if metric else "count",
            metric=(metric.lastgroup or "") if metric else counts,
            value=number.value,
            step=number.step,
            error=number.error,
            unit=number.unit or (in_head[1] if in_head else ""),
            label=nearest(LABEL, about),
            split=nearest(SPLIT, head) if metric else "",
            models=tuple(own[:1]),
            size=size if metric else None,
        )


def models_in(text: str) -> Iterator[tuple[int, str]]:
    """Where models are named, by the names that rules give them: `vit`, `lightgbm`, ..."""
    for found in _WORD.finditer(text):
        key = model_key(found[0])
        if found[0][-2:-1].isupper() and found[0].endswith("s"):  # MLPs
            key = model_key(found[0][:-1])
        if is_model(key):
            yield found.start(), key


def _gains(text: str, claims: Sequence[_Claim]) -> Iterator[_Claim]:
    """`A gains 0.11 in R², B only 0.06`: what follows a gain without a metric is one too."""
    end, gained = 0, False
    for one, (kind, metric) in claims:
        own = METRIC.search(text, end, one.start)  # `0.11 in R²` is that of the number before
        bare = kind == "score" and (own is None or text[end : own.start()].strip() == "in")
        gained = kind == "difference" or (gained and bare)
        yield one, ("difference" if gained else kind, metric)
        end = one.end


def _each_has_one(models: Sequence[tuple[int, str]], scored: Sequence[Numeral]) -> bool:
    """Whether each model has a score of its own before those that follow in the same order.

    `A has 0.6, B 0.7`, or `0.6 (A) and 0.7 (B)`.
    """
    names, numbers = [start for start, _ in models], [one.start for one in scored]
    ends = [*names[1:], numbers[len(names)]]
    before = all(a < x < b for a, x, b in zip(names, numbers, ends, strict=False))
    behind = all(x < a < y for x, a, y in zip(numbers, names, numbers[1:], strict=False))
    return before or behind


def _bare_score(
    text: str, one: Numeral, models: Sequence[tuple[int, str]], named: str
) -> tuple[Kind, str] | None:
    """`ViT (0.711)`: a score without its metric, which is then R²; so is `ViT has 0.711`.

    The latter where the sentence before (`named`: its metric) is about R². In percent it is a share
    where the sentence has given one: `A reaches 90% of the ceiling, B 80%`.
    """
    before = text[: one.start]
    follows = any(_HAS.fullmatch(before, start) for start, _ in models)
    if one.unit == "%" and follows and SHARE.search(before):
        return "share", "r2"
    beside = any(
        before[start:].count(" ") <= 2 and before[start:].endswith("(") for start, _ in models
    ) or (named == "r2" and follows)
    is_score = one.is_decimal and 0 < one.value < 1 and one.step <= 0.01 and not one.unit
    return ("score", "r2") if is_score and beside else None


def _size_in(head: str, cell: str) -> float | None:
    """The training stars of a row, by a cell below such a head."""
    number = next(numerals(cell), None)
    is_size = SIZE_HEAD.search(head) is not None and METRIC.search(head) is None
    return number.value if number is not None and is_size and number.value >= 100 else None


def _size(one: Numeral, scored: Sequence[Numeral], sizes: Sequence[Numeral]) -> float | None:
    """The training stars of a score: the only ones that are named, or those in the same order."""
    values = list(dict.fromkeys(size.value for size in sizes))
    if len(values) == 1:
        return values[0]
    if one not in scored or not values or len(scored) % len(sizes):
        return None
    # Of twice as many scores, `from A to B x rises from 0.1 to 0.2, y from 0.3 to 0.4`.
    in_order = len(scored) == len(sizes) or sizes[-1].end <= scored[0].start
    return sizes[scored.index(one) % len(sizes)].value if in_order else None


def _excerpt(text: str, start: int, end: int) -> str:
    """A number with a few words before it."""
    first = max(0, start - _LETTERS)
    if first:
        first = text.find(" ", first, start) + 1 or first
    return " ".join(text[first:end].split())
