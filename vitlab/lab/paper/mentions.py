"""The numbers of a draft's sentences that a result can back, each with what says what it is of."""

from __future__ import annotations

import bisect
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise

from vitlab.docs.text.counted import BATCH, COUNTED, NOT_OF_TRAINING
from vitlab.docs.text.numerals import BRACKETS, Numeral, clause, numerals, outside
from vitlab.lab.paper.claims import (
    BEHIND_IT,
    LEAST_R2,
    OF_NEXT,
    Claim,
    Kind,
    between_sizes,
    claim,
    gains_in,
    has_metric,
    is_count,
    is_less,
    is_limit,
    is_open,
    is_spread,
    kinds_of,
    label_of,
    may_be_score,
    metric_of,
    near,
    nearest,
    other_labels,
    other_metrics,
    own_size,
    size_of,
    sizes_in,
)
from vitlab.lab.paper.mention import TOP, Mention, excerpt
from vitlab.lab.paper.names import (
    Named,
    each_has_one,
    is_aside,
    is_firm,
    is_listed,
    is_pair,
    models_in,
    own_in_brackets,
)
from vitlab.lab.paper.tex import CITED
from vitlab.lab.paper.words import (
    AT_MOST,
    CEILING,
    ELSEWHERE,
    EVERY,
    FOR_ALL,
    FORMER,
    FROM_ONE,
    FROM_TO,
    IN_UNITS,
    METRIC,
    MORE_DATA,
    OF_REST,
    OF_RUNS,
    OF_SEEDS,
    OF_SIZES,
    OTHER_SIDE,
    OWN,
    PRONOUN,
    REACHES,
    RESPECTIVELY,
    SHARE,
    SPLIT,
    TERM,
    THE_TWO,
    THEY,
    UNNAMED,
)

LONGEST, MOST = 2000, 60
"""Characters and numbers of a sentence; of a longer one nothing is read, and that is told."""
_SENTENCE = re.compile(
    r"(?<=[.!?])\s+(?=[A-Z(\[\u4e00-\u9fff])|(?<=[a-z\d%)][.!?])\n|(?<=[。！？])|(?<=\n)(?=\s*(?:[-*•]|\d{1,2}[.)])\s)"
    r"|(?<=[;；])|\s(?=\((?:[ivx]{1,4}|\d)\)\s)"
)
"""Where a sentence ends, or a part of one that says something of its own."""
_GOES_ON = re.compile(r"[;；]\s*$")
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
    r"\b(?:ris|grow|gain|increas|improv|goes|going)\w*\b|涨|提升|增加|升|\d\s*→\s*[\d.]",
    re.IGNORECASE,
)
"""What may make a difference one of a single model between two training sizes."""
_TRAINED = re.compile(r"\s*[条颗]?\s*(?:光谱|恒星|样本)?训练(?:出来)?的\s*")
_AND = re.compile(r"\d\s*(?:per cent|[%％])?[^\d.;]{0,24}(?:,|and|、|和)\s*$")
"""From one number of a list to the next."""
_MINUS = re.compile(r"\s*[-−–]\s*(?:the\s+)?")
"""Between two models whose difference is given: `ViT - LightGBM`."""
_BETWEEN = ("difference", "percent", "ratio")
_LARGEST_GAIN = 0.5
_OF_ALL = ("share", "difference")
"""What goes on to the next number of a list."""
_SAID_BEFORE = 90
_LETTERS = 36
"""Of the words around a name or a number."""


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
        self._named: Counter[str] = Counter()
        self._last: tuple[str, ...] = ()
        self._it = False
        self._seeds = False
        self._kind: Kind = "score"
        self._split = ""
        self._sizes: tuple[float, ...] | None = None
        self._paragraph = self._sentence_number = 0
        self.skipped: list[int] = []
        """Lines of sentences that are too long to be read."""

    def paragraph(self, text: str, line: int) -> Iterator[Mention]:
        """The numbers of a paragraph that begins at `line`."""
        self._paragraph += 1
        self._subject, self._recent, self._metric, self._ceiling = (), (), "", False
        self._last, self._seeds, self._kind = (), False, "score"
        is_of_sizes = OF_SIZES.search(text) or MORE_DATA.search(text)
        self._sizes = None if is_of_sizes else sizes_in(text)
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
        known = self._recent or tuple(dict(self._named.most_common(1)))
        it = PRONOUN.search(text) if known else None
        self._it = bool(it) and len(self._last) > 1
        if it and not any(one.start < it.start() for one in models):
            models = [Named(it.start(), it.end(), known[0]), *models]
        elsewhere = ELSEWHERE.search(text) or (CITED in text and not OWN.search(text))
        if models or not elsewhere:
            yield from self._read(text, numbers, models, lines)
        if models:
            names = tuple(dict.fromkeys(one.name for one in models))
            self._subject = names[:1] if it or len(names) == 1 else ()
            self._recent = tuple(dict.fromkeys([*names, *self._recent]))
            self._last = names
            self._named.update(names)
        self._seeds = OF_SEEDS.search(text) is not None or "seeds" in text
        self._ceiling = self._ceiling or CEILING.search(text) is not None

    def _read(
        self, text: str, numbers: Sequence[Numeral], models: Sequence[Named], lines: _Lines
    ) -> Iterator[Mention]:
        self._sentence_number += 1
        counts = [one for one in numbers if is_count(text, one)]
        kinds = kinds_of(text, counts)
        sizes = [one for one in counts if kinds[one] in (None, "train", "stars")]
        claims = self._claims(text, [one for one in numbers if one not in counts], models, sizes)
        more = MORE_DATA.search(text) is not None
        if more or any(between_sizes(text, sizes, one) for one, _ in claims):
            claims = list(gains_in(text, claims))
        self._kind = claims[-1][1][0] if claims else self._kind
        trained = tuple(one.value for one in sizes if kinds[one] == "train")
        for found in self._mentions(text, claims, models, sizes, lines):
            yield replace(found, trained=trained)
        taken = [*counts, *(one for one, _ in claims)]
        guesses = [one for one in numbers if one not in taken and may_be_score(text, one)]
        if models or self._named:
            said: list[Claim] = [(one, ("score", "r2")) for one in guesses]
            of_seed = OF_RUNS.search(text) is not None
            for found in self._mentions(text, said, models, sizes, lines):
                yield replace(found, is_guess=True, is_loose=True, size=None, of_seed=of_seed)
        for one in counts:
            if kinds[one] and not FORMER.search(text[: one.start][-_SAID_BEFORE:]):
                yield from self._count(text, one, kinds[one] or "", models, lines)

    def _mentions(
        self,
        text: str,
        claims: Sequence[Claim],
        models: Sequence[Named],
        sizes: Sequence[Numeral],
        lines: _Lines,
    ) -> Iterator[Mention]:
        split = self._split if self._goes_on else ""
        self._split = nearest(SPLIT, text) or split
        more = MORE_DATA.search(text) is not None
        scored = [one for one, (kind, _) in claims if kind in ("score", "share")]
        said_before = (self._subject, self._recent)
        for one, (kind, metric) in claims:
            between = between_sizes(text, sizes, one)
            if kind == "difference" and (between or more):
                of = _whose("score", one, models, [], text, said_before)
            else:
                of = _whose(kind, one, models, scored, text, said_before)
            if kind == "ratio" and len(of.models) < 2:  # of speeds, errors, ...
                continue
            before = text[: one.start]
            of = replace(of, firm=of.firm and not _of_it(text, one, models))
            said = nearest(SPLIT, outside(text, one)) or nearest(SPLIT, BRACKETS.sub(" ", before))
            scale = _scale(kind, one)
            found = Mention(
                line=lines.of(one.start),
                text=excerpt(text, one.start, one.end),
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
                sizes=self._sizes,
                between=between if kind == "difference" else None,
                is_less=kind == "percent" and is_less(text, one, metric),
                others=_others(models, (*self._recent, *dict(self._named.most_common(2))), of),
                near=near(text, one, models, of.models),
                is_bare=not has_metric(text, one),
                is_loose=not of.firm or self._it,
                sentence=self._sentence_number,
            )
            found = _hinted(found, text, one, ceiling=self._ceiling, seeds=self._seeds)
            yield replace(_sized(found, one, models, sizes), paragraph=self._paragraph)

    def _claims(
        self,
        text: str,
        numbers: Sequence[Numeral],
        models: Sequence[Named],
        sizes: Sequence[Numeral],
    ) -> list[Claim]:
        """Those of a sentence's numbers that a result may back."""
        of_ceiling = self._goes_on and self._ceiling
        found: list[Claim] = []
        for one in numbers:
            last, kind = found[-1] if found else (one, ("score", ""))
            is_next = one.unit == last.unit and is_listed(text, last, one, models)
            is_own = TERM.match(text, one.end) or (one.unit != "%" and has_metric(text, one))
            said = kind if is_next and not is_own and kind[0] in _OF_ALL else None
            said = said or claim(text, one, of_ceiling=of_ceiling)
            said = said or self._bare_score(text, one, models, sizes)
            if said and (models or said[1] != "error"):
                found.append((one, said))
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
        last = [named for named in models if named.end <= one.start][-1:]
        follows = any(_HAS.fullmatch(text, named.end, one.start) for named in last)
        if one.unit == "%" and models:
            return self._bare_percent(text, one, follows=follows)
        beside = any(_BESIDE.fullmatch(text, named.end, one.start) for named in last)
        if not (one.is_decimal and LEAST_R2 <= one.value < 1 and one.step <= 0.01 and not one.unit):
            return None
        is_difference = any(_MINUS.fullmatch(text, a.end, b.start) for a, b in pairwise(models))
        is_gain = one.value < _LARGEST_GAIN and between_sizes(text, sizes, one)
        if (
            (is_difference or is_gain)
            and not METRIC.search(text)
            and not is_limit(text[: one.start])
        ):
            return "difference", "r2"
        of_r2 = (self._metric == "r2" and follows) or own_size(text, one, sizes)
        return ("score", "r2") if beside or of_r2 else None

    def _bare_percent(self, text: str, one: Numeral, *, follows: bool) -> tuple[Kind, str] | None:
        before = text[: one.start]
        if (follows and SHARE.search(before)) or (self._ceiling and REACHES.search(before)):
            return "share", "r2"
        goes_on = self._goes_on or follows or _AND.search(before)
        if goes_on and self._kind in ("share", "rest"):
            return self._kind, "r2"
        is_r2 = self._goes_on and follows and self._metric == "r2" and self._kind == "score"
        return ("score", "r2") if is_r2 and not METRIC.search(text) else None

    def _count(
        self, text: str, one: Numeral, name: str, models: Sequence[Named], lines: _Lines
    ) -> Iterator[Mention]:
        if BATCH.search(text[: one.start]) or (
            name == "epochs" and NOT_OF_TRAINING.search(text[: one.start])
        ):
            return
        found, named = COUNTED.match(text, one.end), bool(models)
        of_all = EVERY.search(text[: one.start]) or FOR_ALL.match(text, one.end)
        every = name != "stars" and of_all is not None
        of = () if every else _counted_of(text, one, models) or self._subject
        firm = len({each.name for each in models}) == 1 or (not named and self._goes_on)
        firm = firm or any(each.name in of for each in models_in(clause(text, one)))
        yield Mention(
            line=lines.of(one.start),
            text=excerpt(text, one.start, found.end() if found else one.end),
            kind="count",
            metric=name,
            value=one.value,
            step=one.step,
            models=of,
            inherited=not (named or self._goes_on or every),
            others=_others(models, self._recent, _Of(of)),
            is_loose=not firm,
            is_open=is_open(text, one),
            is_own=OWN.search(text) is not None or every,
        )


def _whose(
    kind: Kind,
    one: Numeral,
    models: Sequence[Named],
    scored: Sequence[Numeral],
    text: str,
    before: tuple[Sequence[str], Sequence[str]],
) -> _Of:
    """What a number is of, and whether only an earlier sentence says so."""
    subject = tuple(before[0])
    names = list(dict.fromkeys(named.name for named in models))
    if kind in _BETWEEN:
        return _of_two(kind, one, models, text, before)
    if len(names) < 2:
        if names and OTHER_SIDE.search(text, one.end, models[0].start):
            return _Of(subject, inherited=True)
        if names and models[-1].start < one.start and FROM_TO.search(text[: one.start]):
            return _Of((*names, *subject) if subject else (), inherited=True)
        if not names or is_aside(text, one, models[0]):
            return _Of(subject, inherited=True)
        return _Of(tuple(names), firm=is_firm(text, one, models))
    own, models = own_in_brackets(text, one, models)
    if own:
        return _Of((own,), firm=True)
    names_before = [named.name for named in models if named.start < one.start]
    if len(names_before) == len(models) and FROM_TO.search(text[: one.start]):
        return _Of(tuple(names))
    in_order = one in scored and not len(scored) % len(models)
    each = in_order and each_has_one(models, scored)
    if in_order and (len(scored) == len(models) or each):
        firm = bool(each or RESPECTIVELY.search(text))
        return _Of((models[scored.index(one) % len(models)].name,), firm=firm)
    behind = OF_NEXT.match(text, one.end)
    if behind and not OTHER_SIDE.search(behind[0]):
        for named in models:
            if abs(named.start - behind.end()) <= 3:
                return _Of((named.name,), firm=True)
    beside = names_before and _HAS.fullmatch(text, models[len(names_before) - 1].end, one.start)
    firm = bool(beside) and not is_pair(text, one)
    return _Of((names_before[-1] if names_before else names[0],), firm=firm)


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
    if kind == "difference" and names and CEILING.search(text, one.end, one.end + BEHIND_IT):
        return _Of((names[0], TOP))
    if len(names) < 2 and kind == "difference" and CEILING.search(text):
        return _Of((*(names or subject), TOP), inherited=not names)
    both = names if len(names) == 2 else [*subject, *names]
    if (
        kind != "ratio" and len(set(both)) < 2 and names and not is_firm(text, one, models)
    ):  # `the lead over B`
        both = [*(name for name in recent if name not in names), *names]
    if not names and THE_TWO.search(text):
        both = list(recent)
    both = both or (list(recent) if kind != "ratio" else [])  # `the two differ by 0.1`
    is_other = len(names) < 2 or OTHER_SIDE.search(text[: models[0].start][-_LETTERS:])
    return _Of(tuple(dict.fromkeys(both))[:2], inherited=bool(is_other))


def _of_it(text: str, one: Numeral, models: Sequence[Named]) -> bool:
    """Whether it is of what a pronoun stands for: `A exceeds B, and its bias is 0.1`."""
    last = max((x.end for x in models if x.end <= one.start), default=one.start)
    return PRONOUN.search(text, last, one.start) is not None


def _counted_of(text: str, one: Numeral, models: Sequence[Named]) -> tuple[str, ...]:
    """The model whose parameters or epochs a number counts: the only one, or the last before it."""
    trained = _TRAINED.match(text, one.end)
    theirs = [each.name for each in models if trained and each.start == trained.end()]
    names = tuple(dict.fromkeys(theirs or [each.name for each in models]))
    before = [each.name for each in models if each.start < one.start]
    return names[:1] if len(names) == 1 else tuple(before[-1:]) or names[:1]


def _sized(
    found: Mention, one: Numeral, models: Sequence[Named], sizes: Sequence[Numeral]
) -> Mention:
    """With what its sentence says of the sizes that it may be of."""
    each = tuple(x.value for x in sizes) if len(sizes) == len(models) == 2 else ()
    last = next((x.value for x in sizes[::-1] if x.end <= one.start), None)
    return replace(found, at_sizes=each, near_size=last)


def _hinted(found: Mention, text: str, one: Numeral, *, ceiling: bool, seeds: bool) -> Mention:
    """With what its sentence says of other ways in which it may be meant."""
    near = ceiling or CEILING.search(text) or AT_MOST.search(text)
    return replace(
        found,
        labels=other_labels(text, one),
        metrics=other_metrics(text, one, found.metric),
        of_seed=(seeds and THEY.match(text) is not None) or OF_SEEDS.search(text) is not None,
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


def _scale(kind: Kind, one: Numeral) -> float:
    """What makes a score of percent a fraction, and a share of a fraction percent."""
    if one.unit == "%":
        return 0.01 if kind == "score" else 1.0
    return 100.0 if kind in ("share", "rest", "gap") else 1.0
