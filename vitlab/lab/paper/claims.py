"""What a number says: a score, a difference, a count, or nothing that results could back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise
from typing import Literal

from vitlab.contract.value import IN_SIGMA
from vitlab.docs.text.counted import (
    COUNTED,
    COUNTED_BEFORE,
    LIMIT,
    OF_SPLIT,
    RESAMPLED,
    SIZE_BEFORE,
)
from vitlab.docs.text.numerals import AND, BRACKETS, UNIT, Numeral, clause, numerals, span
from vitlab.lab.paper.names import Named, is_named, is_near_model, models_in
from vitlab.lab.paper.tex import CITED
from vitlab.lab.paper.words import (
    AN_ERROR,
    AT_SIZE,
    BEHIND,
    BY,
    CEILING,
    COMPLEMENT,
    COSTS,
    ENDS_SCORE,
    ERROR_OF,
    FOR,
    FORMER,
    FORMULA,
    FRACTION,
    FROM,
    GREATER,
    GROWS,
    HAS,
    IN_FORMULA,
    IS,
    IS_SO,
    LABEL,
    LABEL_STD,
    LESS,
    METRIC,
    MORE,
    NEAR,
    NEEDS,
    NO_CLAIM,
    NO_CLAIM_BEHIND,
    OF_IT,
    OF_RUNS,
    OF_SECOND,
    OF_SOME,
    OPEN,
    OTHERS,
    OVER_SIZES,
    RATIO,
    REST,
    RESULT,
    SECOND,
    SHARE,
    SHARE_BEFORE,
    SLOPE,
    SPREADS,
    STATES_ANOTHER,
    TEMPERATURE,
    TERM,
    THE_TWO,
    THEIRS,
    TIMES,
    TO,
    TO_REACH,
    VARIABLE,
    WITHIN,
    WORDS_OF_SCORE,
)

_RATIO_OF_R2, _RATIO_OF_ERRORS = 3, 10
"""A larger one is of something else."""
_WITH = re.compile(r"\s*(?:with|at|for|on|using|from|[(（])\s*(?:N\s*=\s*)?")
_NAME_OF = re.compile(r"(?:-[A-Z]{1,2})?\s*[(（]\s*")
_THAN_ITS = re.compile(r"\s*[%％]?\s*(?:\w+ than|below|above|of) (?:its|their) ", re.IGNORECASE)
_NEAR_BEHIND = 8
_LONGEST, _MOST = 4000, 200
"""Letters and numbers of a paragraph in which sizes are looked for."""
_ERROR = re.compile(r"\berrors?\b|scatter|deviation|误差|弥散", re.IGNORECASE)
LEAST_R2 = 0.02
_LARGEST = 0.5
"""Of a number that is a difference by the words around it alone."""
_ASIDE = re.compile(r"(?:\d\s*[%％]?\s*[(（]|\b(?:on|in|over|for|by))\s*$")
_CITED_BEHIND = re.compile(rf"\s*(?:dex|K|[%％])?\s*(?:of|by|from|in)?\s*[(（]?{CITED}")
Kind = Literal[
    "score", "ceiling", "share", "difference", "percent", "ratio", "count", "rest", "gap"
]
"""`share`: percent of a ceiling, `gap`: what is missing of it; `percent`: a difference in percent;
`rest`: 1 - R² in percent."""
Claim = tuple[Numeral, tuple[Kind, str]]
"""A number, what it says, and of which metric."""
OF_NEXT = re.compile(
    r"(?:[^,;,；.()]{0,24}?(?:\bfor|\bwith|\bby|(?<!that )(?<!those )\bof|\busing)"
    r"|\s*(?:dex|K|[%％])?\s*[(（])\s*(?:the\s+|our\s+)?"
)
"""From a number to the model that it is said to be of."""
BEHIND_IT = 24
"""Letters behind a number in which a model may stand that it is of."""


def claim(text: str, one: Numeral, *, of_ceiling: bool = False) -> tuple[Kind, str] | None:
    """What a number says, and of which metric; None for one that no result can back.

    `of_ceiling`: what stands before the text, in the same sentence, is about a ceiling.
    """
    if is_none(text, one):
        return None
    before, behind = text[: one.start], text[one.end :]
    unit = UNIT.match(behind)
    after, metric = behind[unit.end() if unit else 0 :], metric_of(text, one)
    if one.unit == "%":
        if FRACTION.search(before) or (of_ceiling and re.search(r"\bshares?\b", before)):
            return "share", "r2"
        return _percent(metric, before, after, text[one.start], of_ceiling=of_ceiling)
    if one.unit == "K" and one.value >= TEMPERATURE:
        return None
    if TIMES.match(after) or RATIO.search(before):
        most = _RATIO_OF_R2 if metric == "r2" else _RATIO_OF_ERRORS
        is_other = one.value > most or COSTS.match(behind) is not None
        return None if is_other or metric is None else ("ratio", metric)
    if one.is_decimal and not one.unit and FRACTION.search(before) and 0 < one.value <= 1:
        return "share", "r2"
    if metric == "label_std" and before.rstrip().endswith(("mean of", "mean is")):
        return None
    if metric == "r2" and abs(one.value) < LEAST_R2 and _ERROR.search(clause(text, one)):
        return None
    if metric == "r2" and one.is_decimal and REST.search(before):
        return "rest", metric
    if _is_difference(text, one, metric, after):
        return "difference", metric or "r2"
    named = one.is_decimal or one.unit in ("K", "σ") or (one.unit == "dex" and metric != "r2")
    is_other = bool(NO_CLAIM_BEHIND.match(after)) and not one.unit
    if metric is None or not named or is_other or OF_SOME.search(_around(text, one)):
        return None
    if metric == "r2" and CEILING.search(_beside(text, one)):
        return "ceiling", metric
    is_other = metric == "r2" and abs(one.value) > 1 and not _is_of_r2(before, after)
    return None if is_other else ("score", metric)


def is_none(text: str, one: Numeral) -> bool:
    """Whether what stands around a number makes it one that no result can back."""
    before, behind = text[: one.start], text[one.end :]
    return bool(
        NO_CLAIM.search(before[-40:])
        or is_limit(before)
        or is_open(text, one)
        or _CITED_BEHIND.match(behind)
        or (NEEDS.search(text) and TO_REACH.search(before))
        or is_spread(text, one)
        or OTHERS.search(before[-60:])
        or FORMER.search(before[-90:])
        or IN_FORMULA.match(behind)
        or FORMULA.search(before)
        or before.rstrip().endswith("±")
        or _of_two_metrics(text, one)
        or is_variable(before)
        or (one.unit == "" and AN_ERROR.search(before))
    )


def _of_two_metrics(text: str, one: Numeral) -> bool:
    """Whether a number compares two metrics of one model: `the ratio of MAE to RMSE is 0.7`."""
    start = text.rfind("ratio of", 0, one.start)
    ratio = [] if start < 0 else {x.lastgroup for x in METRIC.finditer(text, start, one.start)}
    behind = _THAN_ITS.match(text, one.end)
    found = [x for x in METRIC.finditer(text) if x.end() <= one.start][-2:]
    if len(found) == 2 and text[found[0].end() : found[1].start()].strip() == "/":
        return True
    return len(ratio) > 1 or (behind and METRIC.match(text, behind.end())) is not None


def may_be_score(text: str, one: Numeral) -> bool:
    """Whether a number without its metric may be an R²."""
    behind = NO_CLAIM_BEHIND.match(text, one.end) or OF_SOME.search(text)
    is_like = one.is_decimal and LEAST_R2 <= one.value < 1 and 0.0001 <= one.step <= 0.01
    return is_like and not one.unit and not behind and not is_none(text, one)


def _is_difference(text: str, one: Numeral, metric: str | None, after: str) -> bool:
    """Whether a number is one: by its words, its sign, or as what a subtraction gives."""
    before = text[: one.start]
    if not one.is_decimal or TERM.match(after) or SECOND.search(before):
        return False
    is_more = MORE.match(after) and (metric or one.error or is_near_model(after))
    if BY.search(before) or RESULT.search(before) or is_more:
        return True
    if text[one.start] == "+" and metric in (None, "r2") and not one.unit:
        return True
    is_told = bool(GROWS.search(before[-120:]) or (not metric and OVER_SIZES.match(after)))
    return is_told and one.value < _LARGEST


def is_open(text: str, one: Numeral) -> bool:
    """Whether a number is one that is hoped for or asked for, not one that was measured."""
    start, _ = span(text, one)
    return OPEN.search(text[start : one.end + _NEAR_BEHIND][:100]) is not None


def is_spread(text: str, one: Numeral) -> bool:
    """Whether a number is the standard deviation of scores between seeds, not one of labels."""
    if THEIRS.search(text[: one.start][-40:]) and LABEL_STD.search(text[: one.start][-40:]) is None:
        return True
    before = [found for found in METRIC.finditer(text) if found.end() <= one.start]
    near = bool(before) and one.start - before[-1].end() < NEAR
    return near and before[-1].lastgroup in SPREADS and OF_RUNS.search(text) is not None


def is_variable(before: str) -> bool:
    """Whether what stands before a number makes it that of a variable that is no metric."""
    found = VARIABLE.search(before[-40:])
    if found is None or found["name"].casefold() in ("mean", "average", "avg", "best"):
        return False
    names = [*METRIC.finditer(before), *LABEL.finditer(before)]
    at = len(before) - len(before[-40:]) + found.start()
    is_metric = any(one.start() <= at < one.end() or one.start() == at for one in names)
    at += before[at] == "Δ"  # `ΔR² = 0.1`
    return not (is_metric or METRIC.match(before, at) or is_named(found["name"]))


def is_limit(before: str) -> bool:
    """Whether what stands before a number makes it a limit, perhaps with its metric between."""
    last = [found for found in METRIC.finditer(before) if IS.fullmatch(before, found.end())]
    head = before[: last[-1].start()] if last else before
    return bool(LIMIT.search(before[-24:]) or LIMIT.search(head[-24:]))


def _percent(
    metric: str | None, before: str, after: str, sign: str, *, of_ceiling: bool
) -> tuple[Kind, str] | None:
    if WITHIN.search(before) and SHARE.match(after):
        return "gap", "r2"
    of_it = OF_IT.match(after) and (of_ceiling or CEILING.search(before))
    if of_it or SHARE.match(after) or SHARE_BEFORE.search(before):
        return "share", "r2"
    if (metric == "r2" or "varianc" in after[:24]) and COMPLEMENT.search(before[-60:]):
        return "rest", "r2"
    signed = sign in "+-−–" and before.rstrip().endswith(("(", "（"))
    if BY.search(before) or MORE.match(after) or signed:
        return "percent", metric or "r2"
    beside = [found for found in METRIC.finditer(before) if IS_SO.fullmatch(before, found.end())]
    explained = re.search(
        r"explain|varianc|解释|方差", f"{before[-80:]} {after[:30]}", re.IGNORECASE
    )
    is_r2 = metric == "r2" and (beside or explained or _is_of_r2(before, after))
    return ("score", "r2") if is_r2 else None


def _is_of_r2(before: str, after: str) -> bool:
    """Whether only models and words of a score stand between R² and a number, or it and R².

    `the R² of Ridge is 99.9%`, `R² = 0.6 for Ridge and for the MLP 99.9%`, `Ridge has 99.9% in R²`.
    """
    if (behind := BEHIND.match(after)) and (found := METRIC.match(after, behind.end())):
        return found.lastgroup == "r2" and HAS.search(before) is not None
    last = [found for found in METRIC.finditer(before) if found.lastgroup == "r2"]
    of = FOR.match(after)
    ends = any(x.start == of.end() for x in models_in(after)) if of else ENDS_SCORE.match(after)
    if not last or not ends or _ASIDE.search(before):
        return False
    between = before[last[-1].end() :]
    for named in reversed(list(models_in(between))):
        between = f"{between[: named.start]} {between[named.end :]}"
    return not WORDS_OF_SCORE.sub("", between)


def metric_of(text: str, one: Numeral) -> str | None:
    """The metric that stands right behind a number, or the last one before it."""
    second = OF_SECOND.match(text, one.end)
    found = METRIC.match(text, second.end()) if second else None
    if found and text[found.end() : found.end() + 1] in (")", "）"):
        return found.lastgroup
    behind = BEHIND.match(text, one.end)
    found = METRIC.match(text, behind.end()) if behind else None
    if found and one.unit != "σ" and not STATES_ANOTHER.match(text[found.end() :]):
        return found.lastgroup
    runs = OF_RUNS.search(text) is not None
    aside = [x.span() for x in BRACKETS.finditer(text, 0, one.start) if re.search(r"\d", x[0])]
    before = [found for found in METRIC.finditer(text) if found.end() <= one.start]
    before = [x for x in before if not any(a < x.start() < b for a, b in aside)]
    if runs:
        before = [found for found in before if found.lastgroup not in SPREADS]
    if not before or (one.unit == "dex" and before[-1].lastgroup == "r2"):
        return None
    if ERROR_OF.search(text[: before[-1].start()]):
        return None
    return before[-1].lastgroup


def has_metric(text: str, one: Numeral) -> bool:
    """Whether a metric stands between a number and the one before it, or right behind it.

    `0.1 in R²` may be by how much it grows.
    """
    decimals = [x.end for x in numerals(text[: one.start]) if x.is_decimal or x.unit]
    behind = BEHIND.match(text, one.end)
    at = behind.end() if behind and " in" not in behind[0] else one.end
    return bool(METRIC.search(text, max(decimals, default=0), one.start) or METRIC.match(text, at))


def _around(text: str, one: Numeral) -> str:
    """The clause of a number, as far as it may say of which stars it is."""
    part = clause(text, one)
    at = part.find(text[one.start : one.end])
    return part[: at + one.end - one.start + NEAR]


def _beside(text: str, one: Numeral) -> str:
    """The clause of a number, from the number before it to the one behind it."""
    start, end = span(text, one)
    numbers = [x for x in numerals(text) if x.is_decimal or x.unit == "%"]
    start = max([start, *(x.end for x in numbers if x.end <= one.start)])
    return text[start : min([end, *(x.start for x in numbers if x.start >= one.end)])]


def is_count(text: str, one: Numeral) -> bool:
    """Whether a number counts stars, epochs, parameters or seeds, not necessarily in words."""
    before = text[: one.start]
    if (
        is_size_of_model(text, one)
        or SIZE_BEFORE.search(before)
        or COUNTED.match(text, one.end)
        or COUNTED_BEFORE.search(before)
    ):
        return True
    is_round = one.value >= 1000 and one.step >= 100 and not one.unit
    is_round = is_round and not RESAMPLED.match(text, one.end)
    return is_round and bool(AT_SIZE.search(text[: one.start]))


def is_size_of_model(text: str, one: Numeral) -> bool:
    """`ViT-S (330k)`: of a model its parameters, or its training stars."""
    near = [
        named
        for named in models_in(text[: one.start])
        if _NAME_OF.fullmatch(text, named.end, one.start)
    ]
    return (
        bool(near)
        and one.value >= 1000
        and not one.unit
        and text[one.end : one.end + 1] in (")", "）")
    )


def counted(text: str, one: Numeral) -> str | None:
    """What a number counts: `train`, `test`, `val` or `stars`; `epochs`, `params`, `seeds`."""
    found = COUNTED.match(text, one.end)
    if found is None:
        named = COUNTED_BEFORE.search(text[: one.start])
        if is_size_of_model(text, one):
            return "size"
        size = "train" if SIZE_BEFORE.search(text[: one.start]) else None
        return named.lastgroup if named else size
    for name in ("epochs", "params", "seeds"):
        if found[name]:
            return name
    near = f"{text[: one.start][-40:]} {found['kind'] or ''}"
    splits = [one.lastgroup for one in OF_SPLIT.finditer(near)]
    return splits[-1] if splits and splits[-1] else "stars"


def sizes_in(text: str) -> tuple[float, ...]:
    """The numbers of stars that a text names, if any: of training sets or others."""
    found = islice(numerals(text[:_LONGEST]), _MOST)
    return tuple(one.value for one in found if is_count(text, one))


def kinds_of(text: str, counts: Sequence[Numeral]) -> dict[Numeral, str | None]:
    """What each count of a sentence counts: `0.3, 0.8 and 2.1 million parameters`."""
    chains: list[list[Numeral]] = []
    for one in counts:
        if chains and AND.fullmatch(text, chains[-1][-1].end, one.start):
            chains[-1].append(one)
        else:
            chains.append([one])
    kinds: dict[Numeral, str | None] = {}
    for chain in chains:
        said = {one: counted(text, one) for one in chain}
        of_all = next((kind for kind in said.values() if kind in ("params", "epochs")), None)
        kinds |= {one: kind or of_all for one, kind in said.items()}
    return kinds


def between_sizes(text: str, sizes: Sequence[Numeral], one: Numeral) -> tuple[float, float] | None:
    """`from 10^5 to 10^6 stars`: the two training sizes that a sentence says a gain is between."""
    found = [
        (low.start, (low.value, high.value))
        for low, high in pairwise(sizes)
        if TO.fullmatch(text, low.end, high.start) and FROM.search(text[: low.start][-24:])
    ]
    if not found:
        return None
    # `0.1 between A and B but 0.2 between B and C`: of several, those behind the number
    behind = [pair for start, pair in found if start > one.start]
    return behind[0] if len(found) > 1 and behind else found[0][1]


def is_less(text: str, one: Numeral, metric: str) -> bool:
    """Whether a difference in percent is one of the larger number: a decrease, a better error."""
    start, _ = span(text, one)
    before = max([start, *(x.end for x in numerals(text) if x.end <= one.start)])
    unit = UNIT.match(text, one.end)
    behind = text[unit.end() if unit else one.end :].lstrip()
    said = [p.search(text[before : one.start]) or p.match(behind) for p in (LESS, GREATER)]
    return bool(said[0]) or (metric in IN_SIGMA and not said[1])


def nearest(pattern: re.Pattern[str], text: str, at: int = 0) -> str:
    """The name that a pattern finds last before `at`, else first behind it; empty for none."""
    names = [(found.start() < at, found.lastgroup or "") for found in pattern.finditer(text)]
    before = [name for is_before, name in names if is_before]
    return before[-1] if before else next((name for _, name in names), "")


def label_of(text: str, one: Numeral) -> str:
    """The label in brackets right behind a number, else the last before it, or the first behind."""
    unit = UNIT.match(text, one.end)
    behind = re.compile(r"\s*[(（]\s*").match(text, unit.end() if unit else one.end)
    found = LABEL.match(text, behind.end()) if behind else None
    return (found.lastgroup or "") if found else nearest(LABEL, text, one.start)


def other_labels(text: str, one: Numeral) -> tuple[str, ...]:
    """The other labels that a sentence names, where it names several."""
    names = dict.fromkeys(found.lastgroup or "" for found in LABEL.finditer(text))
    return tuple(name for name in names if name != label_of(text, one))


def other_metrics(text: str, one: Numeral, metric: str) -> tuple[str, ...]:
    """The other metrics before a number, where its own does not stand right beside it."""
    before = [found for found in METRIC.finditer(text) if found.end() <= one.start]
    if before and one.start - before[-1].end() < NEAR // 2:
        return ()
    names = dict.fromkeys(found.lastgroup or "" for found in before)
    if one.unit:
        names.pop("r2", None)
    return tuple(name for name in names if name != metric)


def own_size(text: str, one: Numeral, sizes: Sequence[Numeral]) -> float | None:
    """The training stars that stand right behind a score: `0.66 with 10,000`."""
    found = [size.value for size in sizes if _WITH.fullmatch(text, one.end, size.start)]
    return found[0] if found else None


def size_of(
    text: str, one: Numeral, scored: Sequence[Numeral], sizes: Sequence[Numeral]
) -> float | None:
    """The training stars of a score: the only ones that are named, or those in the same order."""
    if own := own_size(text, one, sizes):
        return own
    _, end = span(text, one)
    sizes = [x for x in sizes if x.start < end]  # what follows later is of something else
    values = list(dict.fromkeys(size.value for size in sizes))
    if len(values) == 1:
        return values[0]
    if one not in scored or not values or len(scored) % len(sizes):
        return None
    # Of twice as many scores, `from A to B x rises from 0.1 to 0.2, y from 0.3 to 0.4`.
    in_order = len(scored) == len(sizes) or sizes[-1].end <= scored[0].start
    return sizes[scored.index(one) % len(sizes)].value if in_order else None


def near(text: str, one: Numeral, models: Sequence[Named], of: tuple[str, ...]) -> tuple[str, ...]:
    """The models that the part of a sentence around a number is about.

    `of`: both that it may be of; none for the slope of a fit, which no two results have.
    """
    unit = UNIT.match(text, one.end)
    own = OF_NEXT.match(text, unit.end() if unit else one.end)
    if SLOPE.search(text):
        return ()
    if own and (named := [x.name for x in models if abs(x.start - own.end()) <= 3]):
        return (named[0],)
    start, end = span(text, one)
    found = [x for x in models if start <= x.start < one.start]
    found += [x for x in models if one.end <= x.start < min(end, one.end + BEHIND_IT)]
    found = found or [x for x in models if x.start < one.start][-1:]
    return tuple(dict.fromkeys(x.name for x in found)) or (of if THE_TWO.search(text) else ())


def gains_in(text: str, claims: Sequence[Claim]) -> Iterator[Claim]:
    """`A gains 0.11 in R², B only 0.06`: what follows a gain without a metric is one too."""
    end, gained = 0, False
    for one, (kind, metric) in claims:
        own = METRIC.search(text, end, one.start)  # `0.11 in R²` is that of the number before
        bare = kind == "score" and (own is None or text[end : own.start()].strip() == "in")
        gained = kind == "difference" or (gained and bare)
        yield one, ("difference" if gained else kind, metric)
        end = one.end
