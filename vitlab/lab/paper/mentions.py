"""The numbers of a draft's sentences that a result can back, each with what says what it is of."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from vitlab.lab.paper.claims import (
    Kind,
    between_sizes,
    claim,
    clause,
    counted,
    is_count,
    is_less,
    is_limit,
    is_open,
    is_spread,
    label_of,
    metric_of,
    nearest,
    other_labels,
    other_metrics,
    outside,
    own_size,
    size_of,
    span,
)
from vitlab.lab.paper.mention import TOP, Mention
from vitlab.lab.paper.names import Named, models_in
from vitlab.lab.paper.numerals import Numeral, numerals
from vitlab.lab.paper.tex import CITED
from vitlab.lab.paper.words import (
    AT_MOST,
    BATCH,
    BRACKETS,
    CEILING,
    COUNTED,
    ELSEWHERE,
    FROM_ONE,
    FROM_TO,
    IN_UNITS,
    METRIC,
    MORE_DATA,
    NOT_OF_TRAINING,
    OF_REST,
    OF_SEEDS,
    OTHER_SIDE,
    OWN,
    PRONOUN,
    REACHES,
    RESPECTIVELY,
    SHARE,
    SPLIT,
    THEY,
    UNNAMED,
)

LONGEST, MOST = 2000, 60
"""Characters and numbers of a sentence; of a longer one nothing is read, and that is told."""
_SENTENCE = re.compile(
    r"(?<=[.!?])\s+(?=[A-Z(\[])|(?<=[。！？])|(?<=\n)(?=\s*(?:[-*•]|\d{1,2}[.)])\s)"
    r"|(?<=[;；])|\s(?=\((?:[ivx]{1,4}|\d)\)\s)"
)
"""Where a sentence ends, or a part of one that says something of its own."""
_GOES_ON = re.compile(r"[;；]\s*$")
_OF_NEXT = re.compile(
    r"(?:[^,;,；.(]{0,24}?(?:\bfor|\bwith|\bby|(?<!that )(?<!those )\bof|\busing)"
    r"|\s*(?:dex|K|[%％])?\s*[(（])\s*(?:the\s+|our\s+)?"
)
_HAS = re.compile(
    r"(?:\s*\([^()\d]{0,20}\)|\s?[@(-]\s?(?:N\s?=\s?)?[\d.,^]{1,9}[kM]?\)?)?,?\s*的?\s*"
    r"(?:(?:only\s+)?(?:ha[sd]|have|with|reach(?:es|ed|ing)?|attain(?:s|ed|ing)?|scor(?:es?|ed"
    r"|ing)|at"
    r"|achiev(?:es?|ed|ing)|yield(?:s|ed|ing)?|gets?|got|(?:is|was) at|obtain(?:s|ed|ing)?"
    r"|goes through|are"
    r"|为|是|达到)?\s*(?:only\s+|仅\s*)?)?[(（]?"
)
"""From a model's name to the number that it has: ` (orange) `, ` reaches only `."""
_BESIDE = re.compile(
    r"\s*[(（]|\s?@\s?[\d.,]{1,9}[kM]?\s*(?:的|:|：|=|has)?\s*[(（]?\s*"
    r"|[^\d,，;；]{0,6}\d[\d,]{0,9}\s?[kM万]?\s?[条颗]?\s*(?:光谱|恒星|spectra|stars)?\s*[(（]"
)
"""From a model's name to its score: `ViT (0.711`, `ViT@100k: 0.596`."""
_GROWS = re.compile(
    r"\b(?:ris|grow|gain|increas|improv|goes|going)\w*\b|涨|提升|增加|升|→", re.IGNORECASE
)
"""What may make a difference one of a single model between two training sizes."""
_THE_TWO = re.compile(r"\bthe two\b|\bboth\b|\bbetween them\b|两者|二者", re.IGNORECASE)
_AND = re.compile(r"\d\s*(?:per cent|[%％])?[^\d.;]{0,24}(?:,|and|、|和)\s*$")
_ARROW = re.compile(r"\d\s*(?:[(（][^()]{0,12}[)）]\s*)?(?:→|->)\s*$")
"""From one number of a list to the next."""
_MINUS = re.compile(r"\s*[-−–]\s*(?:the\s+)?")
"""Between two models whose difference is given: `ViT - LightGBM`."""
_BETWEEN = ("difference", "percent", "ratio")
_Claim = tuple[Numeral, tuple[Kind, str]]
_BEHIND = 24
"""Letters behind a number in which a model may stand that it is of."""
_LETTERS = 36
"""Of the words before a number that are shown with it."""


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


@dataclass(frozen=True)
class _Of:
    """Whose a number is."""

    models: tuple[str, ...] = ()
    inherited: bool = False
    firm: bool = False
    """Whether the text says it beyond doubt: no other model named nearby is meant."""


class Reader:
    """Reads sentences in their order: what a sentence is about goes on to those after it."""

    def __init__(self) -> None:
        self._subject: tuple[str, ...] = ()
        self._recent: tuple[str, ...] = ()
        self._metric = ""
        self._ceiling = False
        self._goes_on = False
        self._last: tuple[str, ...] = ()
        self._it = False
        self._seeds = False
        self._kind: Kind = "score"
        self._split = ""
        self._sentence_number = 0
        self.skipped: list[int] = []
        """Lines of sentences that are too long to be read."""

    def paragraph(self, text: str, line: int) -> Iterator[Mention]:
        """The numbers of a paragraph that begins at `line`."""
        self._subject, self._recent, self._metric, self._ceiling = (), (), "", False
        self._last, self._seeds, self._kind = (), False, "score"
        ends = [found.end() for found in re.finditer("\n", text)]
        start = 0
        for end in [*_SENTENCE.finditer(text), None]:
            sentence = text[start : end.start() if end else len(text)]
            yield from self._sentence(sentence.replace("\n", " "), _Lines(line, ends, start))
            self._goes_on = _GOES_ON.search(sentence) is not None
            start = end.end() if end else start

    def _sentence(self, text: str, lines: _Lines) -> Iterator[Mention]:
        numbers = list(islice(numerals(text), MOST + 1)) if len(text) <= LONGEST else None
        if numbers is None or len(numbers) > MOST:
            self.skipped.append(lines.of(0))
            return
        models = list(models_in(text))
        if not models and UNNAMED.search(text):
            self._subject = ()
        it = PRONOUN.search(text) if self._recent else None
        self._it = bool(it) and len(self._last) > 1
        if it and not any(one.start < it.start() for one in models):
            models = [Named(it.start(), it.end(), self._recent[0]), *models]
        elsewhere = ELSEWHERE.search(text) or (CITED in text and not OWN.search(text))
        if models or not elsewhere:
            yield from self._read(text, numbers, models, lines)
        if models:
            names = tuple(dict.fromkeys(one.name for one in models))
            self._subject = names[:1] if it or len(names) == 1 else ()
            self._recent = tuple(dict.fromkeys([*names, *self._recent]))
            self._last = names
        self._seeds = OF_SEEDS.search(text) is not None or "seeds" in text
        self._ceiling = self._ceiling or CEILING.search(text) is not None

    def _read(
        self, text: str, numbers: Sequence[Numeral], models: Sequence[Named], lines: _Lines
    ) -> Iterator[Mention]:
        self._sentence_number += 1
        counts = [one for one in numbers if is_count(text, one)]
        sizes = [one for one in counts if counted(text, one) in (None, "train", "stars")]
        claims = self._claims(text, [one for one in numbers if one not in counts], models, sizes)
        more = MORE_DATA.search(text) is not None
        if more or any(between_sizes(text, sizes, one) for one, _ in claims):
            claims = list(_gains(text, claims))
        self._kind = claims[-1][1][0] if claims else self._kind
        yield from self._mentions(text, claims, models, sizes, lines)
        for one in counts:
            yield from self._count(text, one, models, lines)

    def _mentions(
        self,
        text: str,
        claims: Sequence[_Claim],
        models: Sequence[Named],
        sizes: Sequence[Numeral],
        lines: _Lines,
    ) -> Iterator[Mention]:
        split = self._split if self._goes_on else ""
        self._split = nearest(SPLIT, text) or split
        more = MORE_DATA.search(text) is not None
        scored = [one for one, (kind, _) in claims if kind in ("score", "share")]
        bare = [one for one, _ in claims if claim(text, one) is None]
        for one, (kind, metric) in claims:
            between = between_sizes(text, sizes, one)
            if kind == "difference" and (between or more):
                of = self._of("score", one, models, [], text)
            else:
                of = self._of(kind, one, models, scored, text)
            if kind == "ratio" and len(of.models) < 2:  # of speeds, errors, ...
                continue
            before = text[: one.start]
            of = replace(of, firm=of.firm and not _of_it(text, one, models))
            said = nearest(SPLIT, outside(text, one)) or nearest(SPLIT, BRACKETS.sub(" ", before))
            scale = 0.01 if one.unit == "%" and kind == "score" else 1.0
            scale = 100.0 if one.unit != "%" and kind in ("share", "rest", "gap") else scale
            found = Mention(
                line=lines.of(one.start),
                text=_excerpt(text, one.start, one.end),
                kind=kind,
                metric=metric,
                value=one.value * scale,
                step=one.step * scale,
                error=one.error,
                unit=one.unit,
                label=label_of(text, one),
                split=said or split,
                models=of.models,
                inherited=of.inherited,
                size=size_of(text, one, scored, sizes),
                between=between if kind == "difference" else None,
                is_less=kind == "percent" and is_less(text, one, metric),
                others=() if of.firm and not self._it else _others(models, self._recent, of),
                near=_near(text, one, models),
                is_bare=one in bare,
                is_loose=not of.firm or self._it,
                sentence=self._sentence_number,
            )
            theirs = self._seeds and bool(THEY.match(text))
            yield _hinted(found, text, one, ceiling=self._ceiling, theirs=theirs)

    def _claims(
        self,
        text: str,
        numbers: Sequence[Numeral],
        models: Sequence[Named],
        sizes: Sequence[Numeral],
    ) -> list[_Claim]:
        """Those of a sentence's numbers that a result may back."""
        of_ceiling = self._goes_on and self._ceiling
        found = [
            (one, said)
            for one in numbers
            if (
                said := claim(text, one, of_ceiling=of_ceiling)
                or self._bare_score(text, one, models, sizes)
            )
        ]
        found = [(one, said) for one, said in found if models or said[1] != "error"]
        for metric in METRIC.finditer(text):
            self._metric = metric.lastgroup or ""
        return found

    def _bare_score(
        self, text: str, one: Numeral, models: Sequence[Named], sizes: Sequence[Numeral]
    ) -> tuple[Kind, str] | None:
        """`ViT (0.711)`: a score without its metric, which is then R²; so is `ViT has 0.711`.

        The latter where the sentence before is about R², or goes on behind a semicolon. In percent
        it is a share where the sentence has given one: `A reaches 90% of the ceiling, B 80%`.
        """
        if is_open(text, one) or is_spread(text, one) or metric_of(text, one) == "label_std":
            return None
        near = [named for named in models if named.end <= one.start][-1:]
        follows = any(_HAS.fullmatch(text, named.end, one.start) for named in near)
        if one.unit == "%" and follows and SHARE.search(text[: one.start]):
            return "share", "r2"
        is_next = _AND.search(text[: one.start]) is not None
        goes_on = self._goes_on or follows or is_next
        if one.unit == "%" and models and self._ceiling and REACHES.search(text[: one.start]):
            return "share", "r2"
        if one.unit == "%" and goes_on and models and self._kind in ("share", "rest"):
            return self._kind, "r2"
        if one.unit == "%" and self._goes_on and follows and self._metric == "r2":
            return ("score", "r2") if self._kind == "score" and not METRIC.search(text) else None
        beside = any(_BESIDE.fullmatch(text, named.end, one.start) for named in near)
        exact = one.step <= 0.001 and any(text[x.end : one.start].strip(" :") == "" for x in near)
        is_score = one.is_decimal and 0 < one.value < 1 and one.step <= 0.01 and not one.unit
        named = bool(models)
        goes_on = self._metric == "r2" and (follows or (named and (is_next or self._goes_on)))
        goes_on = goes_on or OF_SEEDS.search(text) is not None
        goes_on = goes_on or (_ARROW.search(text[: one.start]) is not None and bool(models))
        if (
            is_score
            and one.value < 0.5
            and not METRIC.search(text)
            and between_sizes(text, sizes, one)
        ):
            return "difference", "r2"
        goes_on = goes_on or (self._metric == "r2" and own_size(text, one, sizes) is not None)
        is_difference = any(_MINUS.fullmatch(text, a.end, b.start) for a, b in pairwise(models))
        is_difference = is_difference and not METRIC.search(text)
        if is_score and is_difference and not is_limit(text[: one.start]):
            return "difference", "r2"
        return ("score", "r2") if is_score and (beside or exact or goes_on) else None

    def _of(
        self,
        kind: Kind,
        one: Numeral,
        models: Sequence[Named],
        scored: Sequence[Numeral],
        text: str,
    ) -> _Of:
        """What a number is of, and whether only an earlier sentence says so."""
        names = list(dict.fromkeys(named.name for named in models))
        if kind in _BETWEEN:
            return _of_two(kind, one, models, text, (self._subject, self._recent))
        if len(names) < 2:
            if names and OTHER_SIDE.search(text, one.end, models[0].start):
                return _Of(self._subject, inherited=True)
            if names and models[-1].start < one.start and FROM_TO.search(text[: one.start]):
                return _Of((*names, *self._subject) if self._subject else (), inherited=True)
            if not names or _is_aside(text, one, models[0]):
                return _Of(self._subject, inherited=True)
            return _Of(tuple(names), firm=_is_firm(text, one, models))
        before = [named.name for named in models if named.start < one.start]
        if len(before) == len(models) and FROM_TO.search(text[: one.start]):
            return _Of(tuple(names))
        in_order = one in scored and not len(scored) % len(models)
        each = in_order and _each_has_one(models, scored)
        if in_order and (len(scored) == len(models) or each):
            firm = bool(each or RESPECTIVELY.search(text))
            return _Of((models[scored.index(one) % len(models)].name,), firm=firm)
        behind = _OF_NEXT.match(text, one.end)
        if behind and not OTHER_SIDE.search(behind[0]):
            for named in models:
                if abs(named.start - behind.end()) <= 3:
                    return _Of((named.name,), firm=True)
        beside = before and _HAS.fullmatch(text, models[len(before) - 1].end, one.start)
        return _Of((before[-1] if before else names[0],), firm=bool(beside))

    def _count(
        self, text: str, one: Numeral, models: Sequence[Named], lines: _Lines
    ) -> Iterator[Mention]:
        name = counted(text, one)
        if (
            name is None
            or BATCH.search(text[: one.start])
            or (name == "epochs" and NOT_OF_TRAINING.search(text[: one.start]))
        ):
            return
        found, named = COUNTED.match(text, one.end), bool(models)
        of = _counted_of(one, models) or self._subject
        firm = len({each.name for each in models}) == 1 or (not named and self._goes_on)
        firm = firm or any(each.name in of for each in models_in(clause(text, one)))
        yield Mention(
            line=lines.of(one.start),
            text=_excerpt(text, one.start, found.end() if found else one.end),
            kind="count",
            metric=name,
            value=one.value,
            step=one.step,
            models=of,
            inherited=not named and not self._goes_on,
            others=() if firm else _others(models, self._recent, _Of(of)),
            is_open=is_open(text, one),
            is_own=OWN.search(text) is not None,
        )


def _of_two(
    kind: Kind,
    one: Numeral,
    models: Sequence[Named],
    text: str,
    before: tuple[Sequence[str], Sequence[str]],
) -> _Of:
    """The two sides of a difference; `before`: what the sentences before are about, and name."""
    subject, recent = before
    names = list(dict.fromkeys(named.name for named in models))
    if len(names) > 2:  # `A exceeds B by 0.1, and C by 0.2`
        near = [named.name for named in models if named.start < one.start]
        return _Of(tuple(dict.fromkeys([*near[:1], *near[-1:], *names])), inherited=True)
    if kind == "difference" and names and CEILING.search(text, one.end, one.end + _BEHIND):
        return _Of((names[0], TOP))
    if len(names) < 2 and kind == "difference" and CEILING.search(text):
        return _Of((*(names or subject), TOP), inherited=not names)
    both = names if len(names) == 2 else [*subject, *names]
    if (
        kind != "ratio" and len(set(both)) < 2 and names and not _is_firm(text, one, models)
    ):  # `the lead over B`
        both = [*(name for name in recent if name not in names), *names]
    if not names and _THE_TWO.search(text):
        both = list(recent)
    both = both or (list(recent) if kind != "ratio" else [])  # `the two differ by 0.1`
    return _Of(tuple(dict.fromkeys(both))[:2], inherited=len(names) < 2)


def _of_it(text: str, one: Numeral, models: Sequence[Named]) -> bool:
    """Whether it is of what a pronoun stands for: `A exceeds B, and its bias is 0.1`."""
    last = max((x.end for x in models if x.end <= one.start), default=one.start)
    return PRONOUN.search(text, last, one.start) is not None


def _counted_of(one: Numeral, models: Sequence[Named]) -> tuple[str, ...]:
    """The model whose parameters or epochs a number counts: the only one, or the last before it."""
    names = tuple(dict.fromkeys(each.name for each in models))
    before = [each.name for each in models if each.start < one.start]
    return names if len(names) == 1 else tuple(before[-1:])


def _hinted(found: Mention, text: str, one: Numeral, *, ceiling: bool, theirs: bool) -> Mention:
    """With what its sentence says of other ways in which it may be meant."""
    near = ceiling or CEILING.search(text) or AT_MOST.search(text)
    return replace(
        found,
        labels=other_labels(text, one),
        metrics=other_metrics(text, one, found.metric),
        of_seed=theirs or OF_SEEDS.search(text) is not None,
        split_open=len({x.lastgroup for x in SPLIT.finditer(clause(text, one))}) != 1,
        splits=tuple(dict.fromkeys(x.lastgroup or "" for x in SPLIT.finditer(text))),
        near_ceiling=bool(near or FROM_ONE.search(text[: one.start])),
        is_own=OWN.search(text) is not None,
        in_units=IN_UNITS.search(text) is not None,
        of_rest=OF_REST.search(text) is not None,
        grows=_GROWS.search(text) is not None,
    )


def _others(models: Sequence[Named], recent: Sequence[str], of: _Of) -> tuple[str, ...]:
    """The models that a number may be of as well: of its sentence, then of its paragraph."""
    names = dict.fromkeys([*(one.name for one in models), *recent])
    return tuple(name for name in names if name not in of.models)


def _near(text: str, one: Numeral, models: Sequence[Named]) -> tuple[str, ...]:
    """The models that the part of a sentence around a number is about."""
    start, end = span(text, one)
    found = [x for x in models if start <= x.start < one.start]
    found += [x for x in models if one.end <= x.start < min(end, one.end + _BEHIND)]
    found = found or [x for x in models if x.start < one.start][-1:]
    return tuple(dict.fromkeys(x.name for x in found))


def _is_aside(text: str, one: Numeral, named: Named) -> bool:
    """Whether a model is named in brackets behind a number that have numbers of their own."""
    opened = text.rfind("(", one.end, named.start)
    return (
        opened >= 0
        and not text[opened + 1 : named.start].strip()
        and text[named.end : named.end + 1] != ")"
    )


def _is_firm(text: str, one: Numeral, models: Sequence[Named]) -> bool:
    """Whether the only model that a sentence names is what a number is of."""
    named = models[-1] if models[-1].start < one.start else models[0]
    return not OTHER_SIDE.search(text[max(0, named.start - _LETTERS) : named.start])


def _gains(text: str, claims: Sequence[_Claim]) -> Iterator[_Claim]:
    """`A gains 0.11 in R², B only 0.06`: what follows a gain without a metric is one too."""
    end, gained = 0, False
    for one, (kind, metric) in claims:
        own = METRIC.search(text, end, one.start)  # `0.11 in R²` is that of the number before
        bare = kind == "score" and (own is None or text[end : own.start()].strip() == "in")
        gained = kind == "difference" or (gained and bare)
        yield one, ("difference" if gained else kind, metric)
        end = one.end


def _each_has_one(models: Sequence[Named], scored: Sequence[Numeral]) -> bool:
    """Whether each model has a score of its own before those that follow in the same order.

    `A has 0.6, B 0.7`, or `0.6 (A) and 0.7 (B)`.
    """
    names, numbers = [one.start for one in models], [one.start for one in scored]
    ends = [*names[1:], numbers[len(names)] if len(numbers) > len(names) else numbers[-1] + 1]
    before = all(a < x < b for a, x, b in zip(names, numbers, ends, strict=False))
    behind = all(x < a < y for x, a, y in zip(numbers, names, numbers[1:], strict=False))
    return before or (behind and numbers[-1] < names[-1])


def _excerpt(text: str, start: int, end: int) -> str:
    """A number with a few words before it."""
    first = max(0, start - _LETTERS)
    if first:
        first = text.find(" ", first, start) + 1 or first
    return " ".join(text[first:end].replace(CITED, "").split())
