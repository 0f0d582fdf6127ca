"""Orders that sentences tell: which model is better, the best, or above a number, and in what.

Each is read as subject, relation, object and metric. One that is denied, `A does not beat B`, is
wrong only where results show the contrary beyond their errors.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from vitlab.contract.value import LABEL
from vitlab.docs.text.numerals import BRACKETS, numerals
from vitlab.lab.paper.names import models_in
from vitlab.lab.paper.words import LABEL as LABELS
from vitlab.lab.paper.words import METRIC, OF_SOME, OPEN, SPLIT

BEST, WORST, NUMBER = "best", "worst", "number"
"""What stands for the object of a superlative, and of a limit."""
_HEADS = {"model": 0xE000, "metric": 0xE400, "number": 0xE800}
_M, _T, _N = "[\ue000-\ue3ff]", "[\ue400-\ue7ff]", "[\ue800-\uebff]"
"""The models, metrics and numbers of a clause, once each is put as one letter."""
_IDS = re.compile(r"(?:\b(?:of|in|from) )?\b(?:MVP|Gate)[-–_ ]?\d+(?:[.-]?\w+)*", re.I)
_CLAUSES = re.compile(
    r"[;；。!！]|(?<!\bvs)[.?？](?=\s|$)|\b(?:but|while|whereas|because|although)\b|[，,]\s*(?:而|但)"
)
_SKIPPED = re.compile(
    r"\b(?:if|whether|once|until|unless|when|needs?|requires?|required|must|rules?|criteri(?:on|a)"
    r"|next)\b|[?？]|是否|能否|若|如果|下一步|须|需要?(?!求)|规则|判据|条件",
    re.I,
)
"""In a clause whose orders are none that were found."""
_MORE_METRICS = re.compile(
    r"(?P<r2>(?<![a-z])(?:(?:test )?scores?(?![a-z])|performance|accuracy|skill)|得分|分数|表现"
    r"|性能|精度|准确率)|(?P<error>(?<![a-z])(?:errors?|residuals?|loss)(?![a-z])|误差|残差)",
    re.I,
)
_FILLING = re.compile(
    r"(?<![a-z])(?:the|our|a|an|this|that|those|which|also|clearly|still|slightly|far|much|even"
    r"|significantly|markedly|substantially|consistently|again|here|now|both|just|only|well|easily"
    r"|narrowly|roughly|about|models?(?= (?:is|was|has|beat|out))|test|set|overall|in general"
    r"|baselines?(?= (?:is|was|has|beat|out))|on test|by far|all in|mean|median|average)(?![a-z])"
    r"|明显|显著|仍然?|略微?|稍微?|远远?|大幅|也|都|均|依然|仅|已经?|这[个些]|[’']s(?![a-z])|"
    r"在?(?:全部|所有)?[两二三四五六七八九十\d]*个模型[中里]|在?测试集?上?的?|了",
    re.I,
)
"""What says nothing of an order."""
_WORDS = (
    r"is|was|are|were|be|been|does|did|do|perform(?:s|ed)?|remain(?:s|ed)?|stay(?:s|ed)?|comes?"
    r"|came|scor(?:es|ed)|works?|worked|lies|lay|rank(?:s|ed)?|prov(?:es|ed)|turns?|to|as|out|has"
    r"|had|have|will|can|shows?|showed|gives?|gave|reach(?:es|ed)?|gets?|got|brings?|brought"
    r"|yield(?:s|ed)?|offers?|adds?|makes?|attains?|achiev(?:es|ed)|explains?|explained|with|any|by|in|of"
)
_FILL = rf"(?:(?:(?:{_WORDS})(?![a-z])|可以|能够?|表现得?|[是为要更的得有,，:：]|{_N}|{_T}) ?)"
_DENIES = (
    r"(?:(?:not|n[’']t|never|no|cannot|can not|fails?|failed|neither|nor|hardly)(?![a-z])"
    r"|并?没有|没能|未能?|并?不(?![如及])|并?未|无) ?"
)
_SOME = rf"{_FILL}{{0,6}}?"
"""Bounded, so that no clause is gone through in all ways that its words can be put together."""
_START = rf" ?{_SOME}(?P<not>{_DENIES})?{_SOME}(?P<not2>{_DENIES})?{_SOME}"
_BETTER = (
    r"beats?|beat(?:en|ing)|outperform(?:s|ed|ing)?|outscor(?:es|ed)|surpass(?:es|ed)?|leads?|led"
    r"|(?:wins?|won) (?:over|against)|tops|topped|improv(?:es|ed) (?:on|over|upon)"
    r"|(?:better|stronger|more accurate|best) than|superior to|ahead of"
    r"|(?:gain|improvement|advantage|benefit|lead|edge) (?:over|on|against|to)"
    r"|优于|好于|强于|胜过|胜于|赢过|击败|领先于?"
)
_POORER = (
    r"trail(?:s|ed|ing)?|los(?:e|es|t) (?:out )?(?:to|against)|lag(?:s|ged)?(?: behind)?"
    r"|f(?:alls?|ell) (?:behind|short of)|underperform(?:s|ed)?|inferior to|behind"
    r"|(?:worse|weaker|poorer|less accurate) than|(?:beaten|outperformed|surpassed|topped|led) by"
    r"|不如|不及|逊于|差于|弱于|落后于?|输给"
)
_ABOVE = (
    r"exceed(?:s|ed)?|above|(?:higher|larger|greater|bigger) than"
    r"|>+|≫|≥|高于|大于|超过|超出"
)
_BELOW = r"below|under|(?:lower|smaller|less) than|exceeded by|<+|≪|≤|低于|小于"
_RELATION = (
    r"(?:(?:(?P<a_up>higher|larger|greater|bigger|more)|(?P<a_down>lower|smaller|less)"
    rf"|(?P<m_up>better)|(?P<m_down>worse|poorer)) (?:(?:in )?{_T}|(?:of )?variance) (?:than|as)"
    + "".join(
        rf"|(?P<{name}>(?<![a-z])(?:{words})(?![a-z]))"
        for name, words in (
            ("merit_down", _POORER),
            ("merit_up", _BETTER),
            ("value_down", _BELOW),
            ("value_up", _ABOVE),
        )
    )
    + ")"
)
_BETWEEN = re.compile(
    rf"{_START}{_RELATION} ?(?:(?:{_N}|{_T}|of|from|for|to|by|in|than|with|个|的) ?)*", re.I
)
"""Between two models, or a model and a number."""
_THAN = re.compile(
    rf" ?的? ?{_T}? ?(?P<not>{_DENIES})?(?:(?:比|相比于?|相对于?|较|对)"
    rf" ?(?P<object>{_M})|[与和跟同] ?(?P<other>{_M}) ?相比)"
    rf" ?的? ?{_T}? ?,? ?(?P<not2>{_DENIES})?[有更要]? ?(?:任何)? ?"
    r"(?:(?P<value_down>[低小])|(?P<value_up>[高大])|(?P<merit_down>[差弱]|下降|退步)"
    r"|(?P<merit_up>[好优强准]|提升|改善|增益|优势|提高))"
)
"""Behind a model in Chinese: `比 MLP 好`, `与 MLP 相比没有优势`."""
_BESIDE = re.compile(r"[与和跟同] ?$")
_NEITHER = re.compile(r"\b(?:neither|nor)\b", re.I)
_AND = re.compile(r"(?: ?(?:,|，|、|and|nor|和|与|及|以及|also) ?)+")
_TIMES = re.compile(
    rf" ?{_SOME}"
    r"(?:(?P<twice>twice|doubles?|doubled)|(?P<half>half|halves|halved)|(?P<zh>是))"
    rf" ?(?:as (?:good|accurate|strong) as|{_T}(?: of)?|of)? ?"
)
_TIMES_BEHIND = re.compile(rf" ?的? ?{_T}? ?的? ?(?:(?P<twice>[两二]倍)|(?P<half>一半))")
_SUP = (
    r"(?:(?P<merit_up>best|strongest|most accurate|top|leading|on top|最好|最佳|最优"
    r"|最强|最准确?|排名第一)"
    r"|(?P<merit_down>worst|weakest|poorest|least accurate|最差|最弱|最糟|排名最后)"
    r"|(?P<value_up>highest|largest|greatest|最高|最大)"
    r"|(?P<value_down>lowest|smallest|最低|最小))"
)
_IS_BEST = re.compile(
    rf"{_START}{_SUP}"
    r"(?! (?:seeds?|runs?|epochs?|single|case|state|checkpoint|of \w+ seeds)|的?种子)",
    re.I,
)
_BEST_IS = re.compile(
    rf"(?<!second )(?<!second-){_SUP}(?: ?(?:models?|ones?|methods?|performers?|baselines?|result"
    rf"|的?模型|的?方法|的))?(?: of \w+)? ?(?:{_T} ?)?(?:among [\w ]{{1,40}} )?"
    r"(?:(?:is|was|are|has|by|from|that|for|to|goes|belongs|comes|of|是|为|属于|来自|:|：) ?){1,4}"
    rf"(?P<model>{_M})",
    re.I,
)
_ALL = re.compile(
    r" ?(?:all|every|each|any)(?: (?:of|others?|baselines?|models?|them|\w+ models))+"
    r"|所有(?:其他)?(?:模型|基线)",
    re.I,
)
_THEN = re.compile(
    rf"(?:[ ,，、]|{_N}|and)*(?:then|followed by|next|before|其次是?|然后是?|再次是?|最后是?)"
    r"[ ,，]*",
    re.I,
)
_EVERY_SIZE = re.compile(
    r"\b(?:at|for) (?:every|all|each|any)(?: training)? (?:N\b|sizes?|numbers?)"
    r"|每个?\s?(?:N|规模)|所有规模",
    re.I,
)
_COMPARES = re.compile(
    r"\b(?:than|better|worse|best|worst|beats?|stronger|weaker|outperform\w*|superior|inferior"
    r"|comparable|on (?:a )?par|match(?:es|ed)?|as good|tie[sd]?)\b"
    r"|优|更[好差高低强弱]|最[好佳强差弱高低]|不如|相当|持平|一样",
    re.I,
)
"""What makes a clause one that may tell an order."""
_UNITS = re.compile(rf"(?<={_N})\s*(?:dex|K\b|%|percentage points|个?百分点)")
_LARGEST_R2 = 1.0


@dataclass(frozen=True)
class Order:
    """One order that a text tells."""

    text: str
    """As written."""
    subject: str
    """As gates call the model; empty for whatever model the text is about."""
    object: str
    """Another model, or `BEST`, `WORST`, `NUMBER`."""
    sign: int
    """1: the subject is better, or its number larger; -1: the other way."""
    by_value: bool = False
    """Whether a larger number is told, not a better one."""
    metric: str = "r2"
    denied: bool = False
    number: float = math.nan
    """The limit, or how many times as good."""
    split: str = "test"
    label: str = LABEL
    sizes: bool = False
    """Whether it is told of every training size."""
    told: float = math.nan
    """Of a limit the number that is held against it, where one is told."""
    others: tuple[str, ...] = ()
    """The models of its clause."""
    baselines: bool = False
    """Whether a superlative is one among the baselines."""

    @property
    def merit(self) -> int:
        """1 where the subject is said to be better: of an error, to have the smaller number."""
        return -self.sign if self.by_value and self.metric != "r2" else self.sign


@dataclass(frozen=True)
class _Clause:
    """A clause with its models, metrics and numbers put as one letter each."""

    raw: str
    text: str
    models: Sequence[str]
    metrics: Sequence[str]
    numbers: Sequence[float]

    def model(self, letter: str) -> str:
        return self.models[ord(letter) - 0xE000]

    def metric(self, letter: str) -> str:
        return self.metrics[ord(letter) - 0xE400]

    def number(self, letter: str) -> float:
        return self.numbers[ord(letter) - 0xE800]

    def metric_near(self, start: int, end: int) -> str:
        """The metric between two places, else right behind, else before; R² where none is named."""
        inside = re.findall(_T, self.text[start:end])
        behind = re.match(rf"(?: |by|in|on|terms|of|的|在|{_N})*+({_T})", self.text[end:])
        before = re.findall(_T, self.text[:start])
        found = [*inside[:1], *([behind[1]] if behind else []), *before[-1:]]
        return self.metric(found[0]) if found else "r2"


def orders_in(text: str) -> tuple[list[Order], list[str]]:
    """The orders of a text, and the clauses that seem to tell one which cannot be read."""
    found: list[Order] = []
    unread: list[str] = []
    subject = ""
    for raw in _CLAUSES.split(_IDS.sub(" ", text)):
        if not raw or _SKIPPED.search(raw) or OPEN.search(raw):
            continue
        clause = _clause(raw)
        orders = list(_orders(clause))
        if not orders and clause.models and subject:  # `..., but has a larger MAE than B`
            orders = [replace(x, text=raw) for x in _orders(_clause(f"{subject} {raw}"))]
        subject = clause.models[0] if clause.models else subject
        is_of_some = OF_SOME.search(re.sub(r"\bworst\b", "", raw)) is not None
        if not is_of_some:
            found += [_placed(one, raw) for one in orders]
        if (is_of_some or not orders) and clause.models and _COMPARES.search(raw):
            unread.append(" ".join(raw.split()))
    return list(dict.fromkeys(found)), unread


def _placed(one: Order, raw: str) -> Order:
    """With the split and label that its clause names, and its sizes."""
    splits = {found.lastgroup for found in SPLIT.finditer(raw)}
    split = next(iter(splits)) if len(splits) == 1 else "test"
    label = next((found.lastgroup for found in LABELS.finditer(raw)), None)
    sizes = _EVERY_SIZE.search(raw) is not None
    text = " ".join(raw.split())
    return replace(one, text=text, split=split or "test", label=label or LABEL, sizes=sizes)


def _clause(raw: str) -> _Clause:
    named = [(one.start, one.end, "model", one.name) for one in models_in(raw)]
    metrics = [
        (one.start(), one.end(), "metric", one.lastgroup or "r2")
        for pattern in (METRIC, _MORE_METRICS)
        for one in pattern.finditer(raw)
    ]
    numbers = [(one.start, one.end, "number", repr(one.value)) for one in numerals(raw)]
    taken: list[tuple[int, int, str, str]] = []
    for each in (*named, *metrics, *numbers):
        if all(each[1] <= start or each[0] >= end for start, end, *_ in taken):
            taken.append(each)
    found: dict[str, list[str]] = {name: [] for name in _HEADS}
    text, at = "", 0
    for start, end, kind, name in sorted(taken):
        text += raw[at:start] + chr(_HEADS[kind] + len(found[kind]))
        found[kind].append(name)
        at = end
    text = BRACKETS.sub(_aside, text + raw[at:])
    text = _UNITS.sub("", text)
    text = " ".join(_FILLING.sub(" ", text).split())
    values = [float(one) for one in found["number"]]
    return _Clause(raw.strip(), text, found["model"], found["metric"], values)


def _aside(match: re.Match[str]) -> str:
    """What stands in brackets is said beside an order, unless it names a model."""
    return re.sub(r"[()（）]", " ", match[0]) if re.search(_M, match[0]) else " "


def _orders(clause: _Clause) -> Iterator[Order]:
    text = clause.text
    places = [one.start() for one in re.finditer(_M, text)]
    for at, start in enumerate(places):
        following = places[at + 1] if at + 1 < len(places) else None
        yield from _of_subject(clause, start, following, places)
    for found in _BEST_IS.finditer(text):
        yield from _superlative(clause, found, found["model"], found.start(), found.end())
    yield from _limits(clause)


def _of_subject(
    clause: _Clause, start: int, following: int | None, places: Sequence[int]
) -> Iterator[Order]:
    text, subject = clause.text, clause.text[start]
    if found := _THAN.match(text, start + 1):
        other = found["object"] or found["other"]
        is_other = "相比" in found[0] and _BESIDE.search(text, 0, start)  # `与 B 相比 A 提高`
        first, second = (other, subject) if is_other else (subject, other)
        yield _order(clause, found, first, second, start, found.end())
        return
    if following is not None:
        between = text[start + 1 : following]
        times = _TIMES.fullmatch(between)
        behind = _TIMES_BEHIND.match(text, following + 1) if times and times["zh"] else times
        if behind:
            number = 2.0 if behind["twice"] else 0.5
            times_as = _order(clause, behind, subject, text[following], start, following)
            by_value = re.search(_T, between) is not None
            yield replace(times_as, sign=1, by_value=by_value, number=number)
            return
        if found := _BETWEEN.fullmatch(between):
            neither = _NEITHER.search(text, 0, start) is not None
            for one in _listed(text, places, start, backwards=True):
                for other in _listed(text, places, following):
                    order = _order(clause, found, one, other, start, following)
                    yield replace(order, denied=order.denied or neither)
            return
    found = _BETWEEN.match(text, start + 1)
    if found and (every := _ALL.match(text, found.end())):
        yield from _superlative(clause, found, subject, start, every.end())
    elif found := _IS_BEST.match(text, start + 1):
        yield from _superlative(clause, found, subject, start, found.end())


def _listed(text: str, places: Sequence[int], at: int, *, backwards: bool = False) -> list[str]:
    """The model at a place, and those listed with it: `Ridge and LightGBM`."""
    found, index, step = [text[at]], places.index(at), -1 if backwards else 1
    while 0 <= index + step < len(places):
        low, high = sorted((places[index], places[index + step]))
        if not _AND.fullmatch(text, low + 1, high):
            break
        index += step
        found.append(text[places[index]])
    return found


def _order(
    clause: _Clause, found: re.Match[str], one: str, other: str, start: int, end: int
) -> Order:
    """The order of two models' letters; of any object where `other` is none of them."""
    said = {name for name, value in found.groupdict().items() if value}
    return Order(
        text=clause.raw,
        subject=clause.model(one) if one else "",
        object=clause.model(other) if re.fullmatch(_M, other) else other,
        sign=1 if said & {"merit_up", "value_up", "a_up", "m_up"} else -1,
        by_value=bool(said & {"value_up", "value_down", "a_up", "a_down"}),
        metric=clause.metric_near(start + 1, end + 1),
        denied=len(said & {"not", "not2"}) == 1,
        others=tuple(dict.fromkeys(clause.models)),
    )


def _superlative(
    clause: _Clause, found: re.Match[str], model: str, start: int, end: int
) -> Iterator[Order]:
    """`A is the best`, and where it goes on `then B, then C`: each before the next."""
    one = _order(clause, found, model, BEST, start, end)
    baselines = re.search(r"\bbaselines?\b|基线", clause.raw) is not None
    one = replace(one, object=BEST if one.merit > 0 else WORST, baselines=baselines)
    yield one
    text, last = clause.text, model
    while following := _THEN.match(text, end):
        end = following.end()
        if not re.match(_M, text[end : end + 1]):
            return
        yield replace(one, subject=clause.model(last), object=clause.model(text[end]))
        last, end = text[end], end + 1


def _limits(clause: _Clause) -> Iterator[Order]:
    """`R² is above 0.70`, `0.619 > 0.70`: a metric, a model or a number, and a limit."""
    text = clause.text
    for start, end in pairwise([one.start() for one in re.finditer(f"{_M}|{_T}|{_N}", text)]):
        found = _BETWEEN.fullmatch(text, start + 1, end)
        if not (re.match(_N, text[end]) and found and (found["value_up"] or found["value_down"])):
            continue
        model = (re.findall(_M, text[: start + 1]) or [""])[-1]
        one = _order(clause, found, model, NUMBER, start, start)
        limit = clause.number(text[end])
        is_number = re.match(_N, text[start]) is not None
        told = clause.number(text[start]) if is_number else math.nan
        if one.metric != "r2" or abs(limit) <= _LARGEST_R2:
            yield replace(one, number=limit, told=told, by_value=True)
