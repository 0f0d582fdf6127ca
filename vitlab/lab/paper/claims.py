"""What a number says: a score, a difference, a count, or nothing that results could back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from vitlab.contract.value import IN_SIGMA
from vitlab.lab.paper.numerals import UNIT, Numeral, numerals

Kind = Literal["score", "ceiling", "share", "difference", "percent", "ratio", "count"]
"""`share`: percent of a ceiling; `percent`: a difference in percent."""

_METRICS = {
    "r2": r"R\s?_?\^?\s?\(?2\)?(?![\d.])|R²|coefficient of determination|决定系数"
    r"|explain(?:s|ed|ing)?(?=[^;]{0,40}\bvarian)|(?:the )?variance (?:is |are |was )?explained"
    r"|解释(?:了)?(?=[^。；]{0,20}方差)",
    "mae": r"MAE|mean absolute error|平均绝对误差",
    "rmse": r"RMSE|root[- ]mean[- ]squared? error|均方根误差",
    "bias": r"bias(?![a-z])|偏差",
    "scatter": r"scatter(?![a-z])|弥散",
    "label_std": r"σ_?(?:label|y|logg|log g)|labels? (?:standard deviation|scatter|spread)"
    r"|(?:labels have a )?standard deviation(?: of the labels?)?|标签(?:的)?标准差",
}
METRIC = re.compile(
    "|".join(rf"(?P<{name}>(?<![A-Za-z])(?:{pattern}))" for name, pattern in _METRICS.items()),
    re.IGNORECASE,
)
LABEL = re.compile(
    r"(?P<log_g>log[\s_]?g(?![a-z])|表面重力)|(?P<T_eff>T_?eff|effective temperature|有效温度)"
    r"|(?P<M_H>\[\s?(?:M|Fe)\s?/\s?H\s?\]|metallicity|金属丰度)",
    re.IGNORECASE,
)
SPLIT = re.compile(
    r"(?P<test>test|held[- ]out|测试)|(?P<val>validation|(?<![a-z])val(?![a-z])|验证)"
    r"|(?P<train>training (?:set|data|loss|score|r)|(?<!N)_train|训练集)",
    re.IGNORECASE,
)
_OF_SPLIT = re.compile(
    r"(?P<test>test|held[- ]out|测试)|(?P<val>validation|验证)|(?P<train>train|训练)", re.IGNORECASE
)
COUNTED = re.compile(
    r"[\s-]*(?:[条颗个]\s*)?(?:(?P<kind>training|train|test|validation|simulated|synthetic"
    r"|labell?ed|训练|测试|验证)[\s-]*)?"
    r"(?:(?P<stars>spectra|spectrum|stars?|samples?|光谱|恒星|样本|(?<=[条颗]))|(?P<epochs>epochs?|轮)"
    r"|(?P<params>(?:trainable |free )?param(?:eter)?s?|参数)"
    r"|(?P<seeds>(?:random )?seeds?|随机种子|种子))(?![a-z])",
    re.IGNORECASE,
)
"""What stands behind a number that counts."""
EPOCHS_HEAD = re.compile(r"\bepochs?\b|轮数", re.IGNORECASE)
PARAMS_HEAD = re.compile(r"\bparam|参数", re.IGNORECASE)
_SIZE_BEFORE = re.compile(r"(?<!/)(?:\bN(?:_?train)?|N_tr)\s*=\s*$")
_AT_SIZE = re.compile(
    r"(?:\bat|\bon|\bwith|\bfrom|\bbetween|\bto|,|\band|和|、|至|在|用|到|[(（/])\s*(?:N\s*=\s*)?$",
    re.IGNORECASE,
)
SIZE_HEAD = re.compile(r"N_?train|^\s*N\s*$|训练|\btrain", re.IGNORECASE)
"""The head of a column of training sizes."""
_NO_CLAIM = re.compile(
    r"(?:\bmag(?:nitude)?s?|\bS/?N(?:R)?|\b[mM]\s*=|\bp\s*[=<]|learning rate|\blr|dropout"
    r"|\bTable|\bTab\.|\bFig(?:ure|s|\.)?|\bSec(?:tion|t\.|\.)?|\bEq(?:uation|\.)?|§|\bversion|\bv"
    r"|\bR\s*=|resolution|weight decay|temperature|图|表|第|节|星等|信噪比|学习率)"
    r"\s*(?:of|=|~|≈|:|：|is|to|from|为)?\s*$",
    re.IGNORECASE,
)
_NO_CLAIM_BEHIND = re.compile(
    r"\s*(?:Å|nm|μm|pixels?|px|GPU|hours?|h\b|minutes?|s\b|layers?|heads?|GB|MB|km|CL|sigma\b|-?σ\b"
    r"|mag\b|像素|小时|分钟|层|星等)",
    re.IGNORECASE,
)
_LIMIT = re.compile(
    r"(?:[<>≤≥≪≫]|\b(?:above|below|over|under|exceeds?|at (?:least|most)|more than|less than|up to"
    r"|target(?: of)?|threshold(?: of)?)|超过|低于|高于|至少|至多|大于|小于)\s*$",
    re.IGNORECASE,
)
"""What stands before a limit, which no result has to reach."""
OF_SOME = re.compile(
    r"\b(?:at|for|in|where)\s+(?:(?:an?|the)\s+)?(?:(?:median|mean)\s+)?(?:S/?N|mag|M\s?=)"
    r"|\b(?:bins?|brightest|faintest|bright|faint|giants?|dwarfs?|metal-poor|worst)\b"
    r"|亮星|暗星|巨星|矮星|(?:星等|信噪比)\s*[\d=~≈<>]",
    re.IGNORECASE,
)
"""What makes a number one of some stars only, which results do not hold."""
CEILING = re.compile(
    r"ceiling|upper (?:bound|limit)|Fisher|Bayes|CRLB|Cram[eé]r[- ]Rao|2_?max|上限|理论极限",
    re.IGNORECASE,
)
_ERROR_OF = re.compile(r"\b(?:errors?|uncertaint(?:y|ies)) (?:of|on|in) (?:the )?$", re.IGNORECASE)
"""What stands before a metric whose error is given, not itself."""
_RESAMPLED = re.compile(
    r"[\s-]*(?:bootstrap|resampl|realisation|realization|Monte Carlo|MCMC|posterior|draws?\b"
    r"|iteration|steps?\b|次)",
    re.IGNORECASE,
)
"""What stands behind a number of samples that are no stars."""
SHARE = re.compile(
    r"\s*[%％]?\s*(?:of|的)?\s*(?:what\s+)?(?:the\s+|this\s+)?(?:Bayes(?:ian)?|theoretical|Fisher|理论)?\s*"
    r"(?:ceiling|upper (?:bound|limit)|limit|上限)",
    re.IGNORECASE,
)
_OF_IT = re.compile(r"\s*of (?:it|this|that)\b", re.IGNORECASE)
_SHARE_BEFORE = re.compile(r"(?:上限|ceiling)\s*(?:[\d.]+\s*)?[的:：]?\s*$", re.IGNORECASE)
_BY = re.compile(
    r"(?:\bby|\bgains?|\b(?:lead|advantage|margin|gap|difference)\b[^,;.]{0,40}?\b(?:is|was|of)"
    r"|\b(?:improvement|difference|gap|advantage|lead|gain|increase|reduction|drop) of"
    r"|Δ\s*R\^?[2²]\s*(?:=|of|is|为)?"
    r"|高出?|低出?|提升|提高|领先|相差|差距为?)\s*(?:about|only|~|≈|约|了)?\s*$",
    re.IGNORECASE,
)
_MORE = re.compile(
    r"\s*(?:better|higher|lower|more|larger|smaller|above|below|ahead|improvement|gain|lead"
    r"|relative|over(?!\s+(?:the\s+|all\s+|its\s+)?(?:\w+\s+)?(?:seeds?|runs?|stars))|than|更高|更好|的?提升)",
    re.IGNORECASE,
)
_TIMES = re.compile(r"\s*(?:times|[×x](?!\s*\d)|-?fold|倍)", re.IGNORECASE)
_BEHIND = re.compile(r"\s*(?:dex|K|[%％])?\s*(?:in|of|\()?\s*(?:test\s+)?")
_STATES_ANOTHER = re.compile(r"[^,;.，；。\d]{0,24}(?:=|of|is|:|：|为)\s*[\d.]")
_FROM = re.compile(r"(?:\bbetween|\bfrom|从|由|在)\s*(?:N(?:_?train)?\s*=\s*)?$", re.IGNORECASE)
_TO = re.compile(
    r"\s*(?:spectra|stars)?\s*(?:\band|\bto|–|至|到|和)\s*(?:N(?:_?train)?\s*=\s*)?", re.IGNORECASE
)
_LESS = re.compile(
    r"\b(?:lower|reduc|decreas|smaller|less\b|cut|fewer)|降低|减小|减少|更小|更低", re.IGNORECASE
)
_GREATER = re.compile(
    r"\b(?:larger|higher|worse|increas|more\b|greater)|更大|更高|增大", re.IGNORECASE
)
FROM_TO = re.compile(
    r"\b(?:cut|reduc|lower|improv|bring|rais|increas|decreas)\w*\b[^;]{0,60}\bfrom\b[^;]{0,30}$",
    re.IGNORECASE,
)
"""`A improves the MAE of B from 0.5 to 0.4`: what stands before either number."""
OF_SEEDS = re.compile(
    r"\bseeds(?: of (?:the |our )?\w+)? (?:give|gave|have|had|reach|range|are|yield|span)"
    r"|\b(?:each|single|individual|every) seeds?\b|每个种子|各种子",
    re.IGNORECASE,
)
"""What makes numbers those of single seeds."""
PRONOUN = re.compile(
    r"\b(?:it|this (?:model|network)|the (?:model|network|transformer)) (?=(?:also |thus )?(?:has"
    r"|outperform|exceed|beat|surpass|reduc|lower|improv|cut|reach|attain|is (?:better|ahead)))",
    re.IGNORECASE,
)
"""What stands for the model that the sentence before is about."""
MORE_DATA = re.compile(
    r"(?:\b\w*fold|\bdoubl\w+|\btimes (?:more|as many|larger))\b[^.;]{0,40}"
    r"(?:\bN\b|data|spectra|stars|training|sample)",
    re.IGNORECASE,
)
"""What makes a gain one between two training sizes that are not said."""
OTHER_SIDE = re.compile(
    r"\b(?:against|versus|vs\.?|than|compared (?:to|with)|relative to)(?![a-z])|而|相比",
    re.IGNORECASE,
)
"""What stands before the model that a number is compared with."""
UNNAMED = re.compile(
    r"\b(?:trees|boosting|forests?|perceptrons?|baselines?|(?:linear|other) (?:model|fit)s?)\b"
    r"|基线|线性模型",
    re.IGNORECASE,
)
"""Models without their names: a sentence with these alone is of none named before."""
_IS = re.compile(r"\s*(?:=|of|is|:|为)?\s*")
_NEAR = 24
_CLAUSE = re.compile(r"[,;，；](?!\d)|\bwhile\b|\bwhereas\b|而")


def claim(text: str, one: Numeral) -> tuple[Kind, str] | None:
    """What a number says, and of which metric; None for one that no result can back."""
    before, behind = text[: one.start], text[one.end :]
    if _NO_CLAIM.search(before[-40:]) or is_limit(before):
        return None
    unit = UNIT.match(behind)
    after, metric = behind[unit.end() if unit else 0 :], _metric_of(text, one)
    if one.unit == "%":
        return _percent(metric, before, after)
    if _TIMES.match(after):
        return ("ratio", metric) if metric else None
    if one.is_decimal and (_BY.search(before) or (metric and _MORE.match(after))):
        return "difference", metric or "r2"
    named = one.is_decimal or one.unit in ("K", "σ")
    is_other = bool(_NO_CLAIM_BEHIND.match(after)) and not one.unit
    if metric is None or not named or is_other or OF_SOME.search(_around(text, one)):
        return None
    if metric == "r2" and CEILING.search(_beside(text, one)):
        return "ceiling", metric
    return None if metric == "r2" and abs(one.value) > 1 else ("score", metric)


def is_limit(before: str) -> bool:
    """Whether what stands before a number makes it a limit, perhaps with its metric between."""
    last = [found for found in METRIC.finditer(before) if _IS.fullmatch(before, found.end())]
    head = before[: last[-1].start()] if last else before
    return bool(_LIMIT.search(before[-24:]) or _LIMIT.search(head[-24:]))


def _percent(metric: str | None, before: str, after: str) -> tuple[Kind, str] | None:
    of_it = _OF_IT.match(after) and CEILING.search(before)
    if of_it or SHARE.match(after) or _SHARE_BEFORE.search(before):
        return "share", "r2"
    if _BY.search(before) or _MORE.match(after):
        return "percent", metric or "r2"
    return ("score", metric) if metric == "r2" else None


def _metric_of(text: str, one: Numeral) -> str | None:
    """The metric that stands right behind a number, or the last one before it."""
    behind = _BEHIND.match(text, one.end)
    found = METRIC.match(text, behind.end()) if behind else None
    if found and one.unit != "σ" and not _STATES_ANOTHER.match(text[found.end() :]):
        return found.lastgroup
    before = [found for found in METRIC.finditer(text) if found.end() <= one.start]
    if not before or (one.unit == "dex" and before[-1].lastgroup == "r2"):
        return None
    if _ERROR_OF.search(text[: before[-1].start()]):
        return None
    return before[-1].lastgroup


def _around(text: str, one: Numeral) -> str:
    """The clause of a number, as far as it may say of which stars it is."""
    part = clause(text, one)
    at = part.find(text[one.start : one.end])
    return part[: at + one.end - one.start + _NEAR]


def _beside(text: str, one: Numeral) -> str:
    """The clause of a number, from the number before it to the one behind it."""
    start, end = _span(text, one)
    numbers = [x for x in numerals(text) if x.is_decimal or x.unit == "%"]
    start = max([start, *(x.end for x in numbers if x.end <= one.start)])
    return text[start : min([end, *(x.start for x in numbers if x.start >= one.end)])]


def clause(text: str, one: Numeral) -> str:
    """The part of a sentence, between commas and semicolons, that a number stands in."""
    start, end = _span(text, one)
    return text[start:end]


def _span(text: str, one: Numeral) -> tuple[int, int]:
    ends = [0, *(found.end() for found in _CLAUSE.finditer(text)), len(text)]
    return next((a, b) for a, b in pairwise(ends) if a <= one.start < b)


def is_count(text: str, one: Numeral) -> bool:
    """Whether a number counts stars, epochs, parameters or seeds, not necessarily in words."""
    if _SIZE_BEFORE.search(text[: one.start]) or COUNTED.match(text, one.end):
        return True
    is_round = one.value >= 1000 and one.step >= 100 and not one.unit
    is_round = is_round and not _RESAMPLED.match(text, one.end)
    return is_round and bool(_AT_SIZE.search(text[: one.start]))


def counted(text: str, one: Numeral) -> str | None:
    """What a number counts: `train`, `test`, `val` or `stars`; `epochs`, `params`, `seeds`."""
    found = COUNTED.match(text, one.end)
    if found is None:
        return "train" if _SIZE_BEFORE.search(text[: one.start]) else None
    for name in ("epochs", "params", "seeds"):
        if found[name]:
            return name
    near = f"{text[: one.start][-40:]} {found['kind'] or ''}"
    splits = [one.lastgroup for one in _OF_SPLIT.finditer(near)]
    return splits[-1] if splits and splits[-1] else "stars"


def between_sizes(text: str, sizes: Sequence[Numeral]) -> tuple[float, float] | None:
    """`from 10^5 to 10^6 stars`: the two training sizes that a sentence says a gain is between."""
    for low, high in pairwise(sizes):
        if _TO.fullmatch(text, low.end, high.start) and _FROM.search(text[: low.start][-24:]):
            return low.value, high.value
    return None


def is_less(text: str, one: Numeral, metric: str) -> bool:
    """Whether a difference in percent is one of the larger number: a decrease, a better error."""
    start, _ = _span(text, one)
    before = max([start, *(x.end for x in numerals(text) if x.end <= one.start)])
    unit = UNIT.match(text, one.end)
    behind = text[unit.end() if unit else one.end :].lstrip()
    said = [p.search(text[before : one.start]) or p.match(behind) for p in (_LESS, _GREATER)]
    return bool(said[0]) or (metric in IN_SIGMA and not said[1])


def nearest(pattern: re.Pattern[str], text: str, at: int = 0) -> str:
    """The name that a pattern finds last before `at`, else first behind it; empty for none."""
    names = [(found.start() < at, found.lastgroup or "") for found in pattern.finditer(text)]
    before = [name for is_before, name in names if is_before]
    return before[-1] if before else next((name for _, name in names), "")
