"""Numbers that sentences compare: of a named model, before and after, and differences of models.

`ridge only reaches 0.2`, `from 0.21 to 0.65`, `0.65 vs 0.21`, `+0.15 over ridge`. Of which metric
they are is often not said: any score will do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from vitlab.docs.lint.stated import METRIC, Stated, as_read, profile_of
from vitlab.docs.lint.told import MOST, NOT_YET, told_in
from vitlab.docs.model.gates.conditions import MODEL, model_key

LEVEL, DIFFERENCE = "level", "difference"
_OF = rf"(?<![A-Za-z])(?P<model>{MODEL})(?![A-Za-z])"
_DECIMALS = r"\d?\.\d+"
_VALUE = rf"(?P<value>(?<![\d.]){_DECIMALS})(?P<percent>\s*%)?"
_END = (
    r"(?![\d_]|\.\d|\s*(?:[kM](?![A-Za-z])|(?:core-?)?hours?|h\b|min|s\b|GPU|核时|小时|分钟|秒|[x×倍/^]"
    r"|\.\.|[-–]\s*\d|of\b|faster|slower|的?(?:理论|Bayes|上限)))"
)
_ONLY = r"(?:only|just|merely|still|now|about|around|仅仅?|只有?|约|~|≈)"
_HAS = (
    r"(?:reach(?:es|ed)?|scor(?:es|ed)|g[eo]ts?|attain(?:s|ed)?|achiev(?:es|ed)|manages|stays at"
    r"|gives|gave|yields?|ha[sd]|is|was|at|with|=|:|：|[(（]|达到?了?|得分为?|为|是|有|得到)"
)
_STRONG = r"(?:only|just|merely|仅仅?|只有?|reach(?:es|ed)?|scor(?:es|ed)|manages|达到?了?|得分为?)"
_SPLIT = r"(?:的|'s)?\s*(?:(?:on )?(?:the )?(?:test|val\w*|测试集?|验证集?)(?: set)?上?的?\s*)?"
_OF_MODEL = re.compile(
    rf"{_OF}\s*{_SPLIT}(?P<said>(?:(?:{_ONLY}|{_HAS})\s*){{0,4}}){_VALUE}{_END}"
    r"(?!\s*(?:higher|lower|better|worse|above|below|more|less|高|低|以[上下]))",
    re.I,
)
_MARK = r"(?:\s*±\s*[\d.]+)?(?:\s*[(（](?:smoke|demo|hour|full)[)）])?"
_PAIR = re.compile(
    rf"(?P<from>\bfrom\s+|从\s*)?(?P<value>(?<![\w.+\-−±]){_DECIMALS})(?P<percent>\s*%)?{_MARK}\s*"
    r"(?P<between>→|->|➜|to\b|\bvs\.?|\bversus\b|\bagainst\b|\bthan\b|对比?|相比|而非|[^\d,，;；。|]{0,6}[到至])"
    rf"\s*(?:{_ONLY}\s*|the\s+|了\s*)?(?:{_OF}\s*{_SPLIT}(?:{_HAS}\s*)?)?"
    rf"(?P<second>{_DECIMALS})(?P<percent2>\s*%)?{_END}",
    re.I,
)
_ACROSS = re.compile(r"→|->|➜|\bto\b|[到至]", re.I)
_OVER = (
    r"(?:over|above|vs\.?|versus|than|relative to|compared (?:to|with)|against"
    r"|相对于?|相比于?|高于|优于|领先)"
)
_DIFFERENCES = (
    re.compile(
        rf"[+＋]\s*{_VALUE}{_MARK}\s*(?:in\s+)?(?:R\s?(?:²|\^?2)\s*)?{_OVER}\s*(?:the\s+)?{_OF}(?!\s*[+＋−-]\s*\d)",
        re.I,
    ),
    re.compile(
        rf"{_OF}\s*(?:by|高出?了?|好了?|提升了?|提高了?|低了?|差了?)\s*{_ONLY}?\s*[+＋]?{_VALUE}{_END}",
        re.I,
    ),
    re.compile(
        rf"{_VALUE}{_MARK}\s*(?:higher|better|more|above|ahead|lower|worse|below)\s*(?:than|of)?\s*(?:the\s+)?{_OF}",
        re.I,
    ),
    re.compile(rf"(?:领先|超过|优于)\s*{_OF}\s*{_ONLY}?\s*[+＋]?{_VALUE}{_END}", re.I),
)
_SETTING = re.compile(
    r"\b(?:lr|learning rate|dropout|weight|decay|noise|mag\w*|warm-?up|clip|alpha|ema|loss|nll"
    r"|S/?N\w*|resolution|version|velocity|ratio|rate|threshold|temperature|hours?|seconds?|time|p|z|b|a|E)\b"
    r"|[αλσδ]|学习率|损失|噪声|星等|信噪比|分辨率|时间|耗时|比例|占比|上限|ceiling|Bayes|CRLB|Fisher",
    re.I,
)
"""In a part of a sentence without a metric or a model: its numbers may be anything."""
_CLAUSE = re.compile(r"[;；。|]|\.\s")
_METRICS = {"r2": "r2", "mae": "mae", "rmse": "rmse", "bias": "bias"}


def claimed_in(text: str) -> Iterator[Stated]:
    """The numbers of a sentence as `told_in` reads them, then those that it compares."""
    found = list(told_in(text))
    yield from found
    seen = {round(one.value, 12) for one in found}
    sure = {round(one.value, 12) for one in found if not one.is_loose}
    for one in islice(compared_in(text), MOST):
        # Of which model it is, a loose reading does not know.
        known = sure if one.words else seen
        if round(one.value, 12) not in known or one.relation == DIFFERENCE:
            yield one


def compared_in(text: str) -> Iterator[Stated]:
    """The numbers that a text compares, each loosely: with the models that it is said of."""
    for part in _CLAUSE.split(as_read(text)):
        if not NOT_YET.search(part):
            yield from _in_part(part)


def _in_part(part: str) -> Iterator[Stated]:
    taken: set[int] = set()
    for pattern in _DIFFERENCES:
        for found in pattern.finditer(part):
            if found.start("value") not in taken:
                taken.add(found.start("value"))
                metric = _metric_before(part, len(part)) or "r2"
                yield _stated(part, found, DIFFERENCE, found["model"], metric)
    for found in _PAIR.finditer(part):
        metric = _metric_before(part, found.start())
        model = found["model"]
        if not (metric or model) and _SETTING.search(part):
            continue
        is_from = found["from"] or _ACROSS.search(found["between"])
        if taken.isdisjoint((found.start("value"), found.start("second"))) and (
            metric or model or (is_from and len(found["value"].partition(".")[2]) > 1)
        ):
            taken |= {found.start("value"), found.start("second")}
            yield _stated(part, found, LEVEL, "", metric)
            yield _stated(part, found, LEVEL, model or "", metric, "second")
    for found in _OF_MODEL.finditer(part):
        decimals = len(found["value"].partition(".")[2])
        said = found["said"].strip()
        least = 1 if re.search(_STRONG, said, re.I) else 2 if said else 3
        if decimals >= least and found.start("value") not in taken:
            yield _stated(part, found, LEVEL, found["model"])


def _metric_before(part: str, end: int) -> str:
    """The metric that is named last before a place; empty for none."""
    named = list(METRIC.finditer(part, 0, end))
    raw = re.sub(r"\s", "", named[-1]["name"]).casefold() if named else ""
    return _METRICS.get(raw, "r2" if raw[:1] in ("r", "c", "决", "拟") and raw else "")


def _stated(
    part: str,
    found: re.Match[str],
    relation: str,
    model: str,
    metric: str = "",
    group: str = "value",
) -> Stated:
    percent = (
        found["percent2" if group == "second" else "percent"] if group in found.groupdict() else ""
    )
    shift = 2 if percent else 0
    raw, at = found[group], found.start(group)
    return Stated(
        metric,
        None,
        frozenset((model_key(model),) if model else ()),
        profile_of(part[at : at + 40]),
        float(raw) / 10**shift,
        len(raw.partition(".")[2]) + shift,
        found[0].strip(),
        is_loose=True,
        relation=relation,
    )
