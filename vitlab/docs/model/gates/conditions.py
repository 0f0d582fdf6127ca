"""The conditions of gates as people write them; what is not certain is left to a person."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from vitlab.docs.model.gates.notation import METRIC, METRICS, NUMBER, OP, SPLIT, normalised
from vitlab.docs.model.ids import gate_refs
from vitlab.docs.text.inline import plain

_OPERATORS = {
    **dict.fromkeys("≥≧⩾", ">="),
    **dict.fromkeys("≤≦⩽", "<="),
    **{"=>": ">=", "=<": "<="},
}
_SPLITS = {
    **{"测试": "test", "测试集": "test", "验证": "val", "验证集": "val"},
    **{"训练": "train", "训练集": "train", "training": "train"},
    **dict.fromkeys(("valid", "validation"), "val"),
}
_LABELS = {
    "log_g": r"(?<![A-Za-z])log(?:[_ ]?g|\(g\))(?![a-z])",
    "T_eff": r"t[_ ]?eff",
    "M_H": r"\[(?:m|fe)/h\]|m_h|fe/?h",
    "a_M": r"a_m|\[(?:α|alpha)/(?:m|fe)\]",
    "C_M": r"c_m|\[c/(?:m|fe)\]",
}
_NO_LABEL = re.compile(r"(?:\b(?:SNR|S/N|v_?rad|RV|redshift|mag)|\[[a-z]+/[a-z]+\])$", re.I)
"""Quantities of which the lab has no numbers."""
_MODELS = {
    "vit": r"vit(?:-(?!vit|lgb|light|gbdt|ridge|mlp|template|cnn|moe)[a-z0-9]+)?"
    r"|specvit|transformer",
    "lightgbm": r"lgbm?|lightgbm|light gbm|gbdt",
    "ridge": r"ridge",
    "mlp": r"mlp",
    "template": r"template(?: ?fit(?:ting)?)?|模板拟合",
    "cnn": r"cnn",
    "moe": r"moe",
}
MODEL = "|".join(_MODELS.values())
_UNIT = r"(?:\s*\(?\s*(?P<unit>(?-i:K)|dex|kelvin|nats?)(?![A-Za-z])\s*\)?)?"
_THRESHOLD = re.compile(
    rf"^(?P<of>[^<>≥≤≧≦]*?)\s*(?P<delta>Δ\s*)?{METRIC}{SPLIT}"
    r"(?P<vs>\s*\(?\s*(?:vs\.?|over|相对|对比)\s+[^<>≥≤()]+?\)?)?"
    rf"\s*(?P<op>{OP})\s*(?P<value>{NUMBER}){_UNIT}(?P<rest>.*)$",
    re.I,
)
_BETWEEN = re.compile(
    rf"^(?P<of>[^<>≥≤≧≦\d]*?)\s*(?P<delta>Δ\s*)?{METRIC}{SPLIT}"
    rf"\s*(?:in|∈|介于|between|[:=]|在)?\s*[\[(]?\s*(?P<low>{NUMBER})\s*(?:-|–|—|~|to|到|至|and|与|和|,)"
    rf"\s*(?P<high>{NUMBER}){_UNIT}(?:\s*之间)?(?P<rest>.*)$",
    re.I,
)
_SANDWICH = re.compile(
    rf"^(?P<low>{NUMBER})\s*(?:<=|<|≤|≦)\s*(?P<of>)(?P<delta>Δ\s*)?{METRIC}{SPLIT}"
    rf"\s*(?:<=|<|≤|≦)\s*(?P<high>{NUMBER}){_UNIT}(?P<rest>.*)$",
    re.I,
)
_BARE = re.compile(rf"^(?P<op>{OP})\s*(?P<value>{NUMBER}){_UNIT}(?P<rest>.*)$")
_BARE_BETWEEN = re.compile(
    rf"^(?P<low>{NUMBER})\s*(?:-|–|—|~|to|到|至)\s*(?P<high>{NUMBER}){_UNIT}(?P<rest>.*)$"
)
_BEATS = r"(?:beats?|outperforms?|(?:is )?better than|优于|好于)(?![a-z])"
_COMPARISON = re.compile(
    rf"^(?P<left>{MODEL})(?P<by>\s+R2)?\s*(?:(?P<op>{OP})|{_BEATS})\s*"
    rf"(?:R2\s*\((?=[^()]*\)))?(?P<right>{MODEL})(?:\s+R2|\))?(?P<rest>.*)$",
    re.I,
)
_CEILING = r"(?:the\s+)?(?:Bayes(?:ian)?\s*|theoretical\s*|理论)?(?:ceiling|upper bound|上限)"
_SHARE = re.compile(
    rf"^(?P<of>)(?:{METRIC}{SPLIT}\s*)?(?P<op>{OP}|达到|reach(?:es)?)\s*(?P<value>{NUMBER})"
    rf"\s*(?:of|×|x|\*|的)?\s*{_CEILING}(?P<rest>.*)$",
    re.I,
)
_SHARE_OF = re.compile(
    rf"^(?P<of>)(?:{METRIC}{SPLIT}\s*)?(?P<op>{OP}|达到)\s*{_CEILING}\s*的?"
    rf"\s*(?P<value>{NUMBER})(?P<rest>.*)$",
    re.I,
)
_SHARES = (_SHARE, _SHARE_OF)
_MENTION = re.compile(rf"(?P<delta>Δ\s*)?{METRIC}{SPLIT}(?P<more>_?\{{?\w+)?", re.I)
_BARS = re.compile(
    rf"(?:\||\babs\()\s*(?P<inside>Δ?\s*{METRIC}(?:_\{{?\w+\}}?)?(?:\s*\([^()|]*\))?)\s*(?:\||\))",
    re.I,
)
_LABEL = "|".join(_LABELS.values())
_ARGUMENT = f"{_LABEL}|{MODEL}"
_ARGUMENTS = re.compile(
    rf"(?P<metric>Δ?\s*{METRIC}{SPLIT})\s*(?:of|for|[_(\[])?\s*\{{?"
    rf"(?P<arguments>(?:{_ARGUMENT})(?:\s*[,/ ]\s*(?:{_ARGUMENT}))*)\}}?\s*[)\]]?"
    rf"(?=\s*(?:{OP}|in\b|∈))",
    re.I,
)
"""A label or a model behind its metric: `MAE(T_eff) <`, `R2_test(ViT) >`, `MAE of log g <`."""
_TAIL = re.compile(
    rf"^(?P<rule>[^()]*?{OP}\s*{NUMBER}{_UNIT})"
    rf"(?:(?:\s*\(\s*|\s+(?:for|of|in)\s+)(?P<label>{_LABEL})"
    rf"|(?:(?<!%)\s*\(\s*|\s+for\s+)(?P<model>{MODEL}))\s*\)?\s*$",
    re.I,
)
"""The same behind the limit: `R2 > 0.7 (ViT)`, `R2 > 0.7 for log_g`. `95% of ViT` is its share."""
_ON_SPLIT = re.compile(
    r"\s+(?:on|in|for)\s+(?:the\s+)?(test|validation|val|training|train)"
    r"(?:\s+(?:set|data|split))?(?![\w-])"
    r"|(?:在\s*)?(测试|验证|训练)集?上"
    r"|\s*[(\[]\s*(test|validation|val|training|train|测试|验证|训练)"
    r"(?:集|\s+(?:set|data|split))?\s*[)\]]"
    r"(?=\s*$)",
    re.I,
)
_NOT_A_QUALIFIER = re.compile(r"[、/;]|\b(?:and|or)\b|且|或|并", re.I)
_REMARK = re.compile(
    r"[\])]?(?:[\s();,.:!✅❌]|同口径|same (?:stars|data|test set|budget)"
    r"|(?:或|or )?(?:接近|差不多为?|约为|更[高低好]|以[上下]|close to|near|about|higher|lower)"
    r"(?:\s*[\d.]+%?)?"
    r"|(?:主|最终)?目标|(?:main |primary |stretch )?(?:target|goal)|论文主?结果|publishable"
    r"|优秀|良好|及格|excellent|good|acceptable|strong|primary|threshold|must|required|主要|阈值|必须"
    r"|(?:see|cf\.?|参?见)\s*(?:MVP|Gate|§|sec|fig|tab|app|eq|ref|note|hub|roadmap|report|plan"
    r"|above|below|图|表|节|附录|实验|报告|\[|#|\d)"
    r"[^()<>≥≤]{0,40}(?=\)|$)"
    rf"|(?:{MODEL}|baseline|current(?:ly)?|基线|目前)\s*[:=]?\s*(?:R2\s*=?\s*)?{NUMBER}(?=\)))*+$",
    re.I,
)
"""What may stand behind a limit: words that say nothing of what it is of."""
_OF_A_PART = re.compile(
    r"[=@]|\b(?:SNR|S/N|mags?|min(?:imum)?|max(?:imum)?|worst|best|median|seeds?|runs?|each|every|all|any"
    r"|bins?|permut\w*|shuffl\w*|controls?|baselines?)(?![a-z])"
    r"|信噪|星等|最[好差低高大小优]|中位|种子|每|各|所有|任[一何]|打乱|置换|对照|基线",
    re.I,
)
"""A qualifier of some stars or seeds, or of other data: not the number of an MVP."""
_CHANGED = re.compile(
    r"[-+*/&]\s*$|^\s*[-+*/&]|\s[-+*/&]\s|[√×÷+&=]|^[\d.\s]+$|[非不未无没和与]$|以及"
    r"|\b(?:not?|non|log(?:10)?|ln|exp|sqrt|std|var(?:iance)?|spread|gap|gains?|improve\w*|increase\w*"
    r"|decrease\w*|drop\w*|reduc\w*|loss|lost|relative|ratio|share|fraction|adj\w*)\b"
    r"|提升|提高|增益|增加|改善|下降|降低|减少|损失|相对|相比|比例|占比|方差|标准差|差[距异值]|^比",
    re.I,
)
"""Before a metric: not the metric but what is computed from it, as `1 - R²`, `gain in R²`."""
_ANY_MODEL = re.compile(rf"(?<![A-Za-z])(?:{MODEL})(?![A-Za-z])", re.I)
_SEEDS = re.compile(
    r"\(\s*(?:over |of )?(\d{1,4})\s*(?:seeds|个?种子)\s*\)|\b(?:on|over) (\d{1,4}) seeds$", re.I
)
_ORDINARY = re.compile(r"\b(?:the|its|our|final|overall|headline)\b|最终|整体|总体|模型的?$", re.I)
_AGAINST = re.compile(r"\(\s*(?:vs\.?|over|相对|对比|比)\s*(?P<of>[^)]+)\)", re.I)
PASS_WORD = r"pass(?:ed|es)?|通过|达标|满足|成立|success|✅|🟢"
FAIL_WORD = r"fail(?:ed|s|ure)?|未通过|不通过|未达标|不达标|不满足|不成立|失败|❌|🔴"
_OF_GATE = re.compile(
    r"Gates?[-–_ ]?[\w.]+(?:\s*[/,，、&+]\s*(?:Gate[-–_ ]?)?\d[\w.]*)*"
    rf"|(?P<pass>(?:{PASS_WORD})(?![A-Za-z]))|(?P<fail>(?:{FAIL_WORD})(?![A-Za-z]))"
    r"|且|与|和|都|均|已|\b(?:and|both|all|is|are|has|have)\b|[\s&+,，、:：*(（)）=]",
    re.I,
)


@dataclass(frozen=True)
class Threshold:
    """A metric against a number: `R²_val > 0.70`, `ΔR² (vs LightGBM) ≥ 0.02`, `|bias| < 0.02`."""

    metric: str
    """`r2`, `mae`, `rmse`, `bias`, `scatter`, `rho`, `sigma`, `loss`, `log_score`, `nats_lost`."""
    op: str
    """One of > >= < <=."""
    value: float
    split: str | None
    """None where the text names none."""
    label: str | None
    """`log_g`, `T_eff`, `M_H`; None where the text names none."""
    delta: bool
    """A difference, against `of` where that is a model."""
    of: str | None
    """A named model (`lightgbm`), or a qualifier as written (`error-only`); None for none."""
    unit: str | None = None
    """`K`, `dex`, `nat`; None where the text names none."""
    absolute: bool = False
    """Whether the sign of the number does not count."""
    of_ceiling: bool = False
    """Whether `value` is a fraction of the ceiling."""
    seeds: int = 0
    """So many are asked for; 0 where the text names none."""


@dataclass(frozen=True)
class Between:
    """A metric inside a range, ends included."""

    metric: str
    low: float
    high: float
    split: str | None
    label: str | None
    delta: bool
    of: str | None
    unit: str | None = None


@dataclass(frozen=True)
class Comparison:
    """One model against another: `ViT > LGBM`; names are `vit lightgbm ridge mlp template ...`."""

    left: str
    op: str
    right: str
    metric: str = ""
    """`r2` where it is named; else the headline's."""


@dataclass(frozen=True)
class OfGates:
    """Other gates have passed, or failed, all of them."""

    gates: tuple[str, ...]
    """Bare ids; none: the gate itself, so that this says what follows from its verdict."""
    passed: bool


@dataclass(frozen=True)
class Otherwise:
    """Holds when the rule before it certainly does not."""


@dataclass(frozen=True)
class Manual:
    """A condition for a person to judge."""

    text: str
    of: str = ""
    """A qualifier of which it is not said whose number it is, among these."""
    among: tuple[str, ...] = ()
    """Bare ids of MVPs."""


Condition = Threshold | Between | Comparison | OfGates | Otherwise | Manual


def number_of(condition: Condition) -> object:
    """What number a limit is of; any other condition is its own."""
    if isinstance(condition, Threshold | Between):
        return condition.metric, condition.split, condition.label, condition.delta, condition.of
    return condition


@dataclass(frozen=True)
class _Subject:
    """What a number is about."""

    metric: str
    split: str | None
    label: str | None
    delta: bool
    of: str | None = None


def read_condition(text: str, context: Iterable[str] = ()) -> Condition:
    """The condition of a text; Manual where it has none that is certain.

    `context`: the gate's other texts, the nearest first, which may say what a bare `≤ 0.6` is of.
    """
    return _read(text, tuple(context))


@lru_cache(4096)
def _read(text: str, context: tuple[str, ...]) -> Condition:
    shown = plain(text).strip()
    norm, absolute = _without_bars(normalised(shown))
    norm, split = _without_split(norm)
    norm = _TAIL.sub(
        r"\g<label>\g<model> \g<rule>", _ARGUMENTS.sub(r" \g<arguments> \g<metric>", norm).strip()
    )
    if found := _of_gates(shown):
        return found
    if match := _COMPARISON.match(norm):
        left, right = match["left"], match["right"]
        is_plain = _only_remark(match["rest"]) and not re.search(r"\d", match["rest"])
        if is_plain and _model(left) != _model(right) and split in (None, "test"):
            return Comparison(_named(left), _operator(match["op"] or ">"), _named(right),
                              "r2" if "R2" in norm.upper() else "")  # fmt: skip
        return Manual(shown)
    for pattern in (_SANDWICH, _BETWEEN, _BARE_BETWEEN, _SHARE, _SHARE_OF, _THRESHOLD, _BARE):
        match = pattern.match(norm)
        if match is None or not _only_remark(match["rest"], bool(match.groupdict().get("delta"))):
            continue
        bare = pattern in (_BARE, _BARE_BETWEEN)
        about = subject_of(context) if bare else _subject(match)
        if about and (split is None or about.split in (None, split)):
            about = replace(about, split=split or about.split)
            return _bounded(match, about, absolute, pattern in _SHARES) or Manual(shown)
        if pattern not in _SHARES:
            return Manual(shown)
    return Manual(shown)


def _bounded(
    match: re.Match[str], about: _Subject, absolute: bool, of_ceiling: bool
) -> Threshold | Between | None:
    """A subject with its limits; None where a limit does not fit it."""
    groups = match.groupdict()
    unit = {"kelvin": "K", "nats": "nat"}.get(
        (groups.get("unit") or "").lower(), groups.get("unit")
    )
    ends = [groups[name] for name in ("value", "low", "high") if groups.get(name)]
    percent = any("%" in end for end in ends)
    if percent and (about.delta or about.metric not in ("r2", "rho")):
        return None  # of what, is not said
    subject = (about.split, about.label, about.delta, about.of, unit)
    if len(ends) == 2:
        low, high = sorted(map(_value, ends))
        if match.re is _SANDWICH and low != _value(ends[0]):
            return None
        return None if absolute else Between(about.metric, low, high, *subject)
    op, value = _operator(match["op"]), _value(ends[0])
    # Whoever limits a bias from above means its size.
    absolute = absolute or (about.metric == "bias" and op in ("<", "<=") and value > 0)
    if of_ceiling and (about.metric != "r2" or about.delta):
        return None
    asked = _SEEDS.search(groups["rest"])
    seeds = int(asked[1] or asked[2]) if asked else 0
    return Threshold(about.metric, op, value, *subject, absolute, of_ceiling, seeds)


def subject_of(texts: Iterable[str]) -> _Subject | None:
    """What the first text with a metric is about; None where it names several, or no text one."""
    for text in texts:
        norm, _ = _without_bars(normalised(plain(text)))
        found = list(_MENTION.finditer(norm))
        if not found:
            continue
        labels = [name for name, pattern in _LABELS.items() if re.search(pattern, norm, re.I)]
        subjects = {
            (_metric(m), _split(m["split"] or m["split2"]), m["delta"] is not None) for m in found
        }
        if len(subjects) > 1 or len(labels) > 1 or any(m["more"] for m in found):
            return None
        ((metric, split, delta),) = subjects
        return _Subject(metric, split, labels[0] if labels else None, delta)
    return None


def _of_gates(text: str) -> OfGates | None:
    """`Gate-1 PASS`, `Gate-1/2 均通过`, and `PASS` alone, of the gate itself."""
    words = {name for m in _OF_GATE.finditer(text) for name, word in m.groupdict().items() if word}
    if len(words) != 1 or _OF_GATE.sub("", text).strip():
        return None
    return OfGates(gate_refs(text), words == {"pass"})


def _without_bars(text: str) -> tuple[str, bool]:
    """A text without the bars of an absolute value, and whether it had any."""
    bare = _BARS.sub(lambda match: match["inside"], text)
    return bare, bare != text


def _without_split(text: str) -> tuple[str, str | None]:
    """A text without `on the test set`, and that split."""
    match = _ON_SPLIT.search(text)
    if match is None:
        return text, None
    rest = (text[: match.start()] + text[match.end() :]).strip()
    return rest, _split(match[1] or match[2] or match[3])


def _only_remark(rest: str, is_difference: bool = False) -> bool:
    """Whether the text after a condition says nothing of what it is of.

    `is_difference`: it may name the model that the difference is to.
    """
    return (
        _REMARK.match(_SEEDS.sub("", _AGAINST.sub("", rest) if is_difference else rest)) is not None
    )


def _metric(match: re.Match[str]) -> str:
    return next((name for name in METRICS if match[name] is not None), "r2")


def _subject(match: re.Match[str]) -> _Subject | None:
    """What a condition is about; None where the words before the metric are not a name."""
    groups = match.groupdict()
    metric = _metric(match)
    split = groups["split"] or groups["split2"]
    of = (groups.get("of") or "").strip(" :,")
    labels = [name for name, p in _LABELS.items() if re.search(p, of, re.I)]
    for pattern in _LABELS.values():
        of = re.sub(pattern, "", of, flags=re.I).strip(" :,_")
    of = of.removesuffix("的").strip()
    word = re.search(
        r"\b(test|val|valid|validation|train|training)\b(?:[- ](?:set|data|split)\b)?"
        r"|测试集?|验证集?|训练集?",
        of,
        re.I,
    )
    if word and not split:
        split = word[1] or word[0]
        of = (of[: word.start()] + of[word.end() :]).strip()
    unlike = _NOT_A_QUALIFIER.search(of) or _MENTION.search(of) or _NO_LABEL.search(of)
    of = _ORDINARY.sub("", of).strip()
    if len(of) > 40 or unlike or len(labels) > 1:
        return None
    if groups.get("delta") is None and (groups.get("vs") or _is_other_number(of)):
        return None
    if against := groups.get("vs"):
        of = re.sub(r"^[\s(]*(?:vs\.?|over|相对|对比)\s+", "", against, flags=re.I).strip(" ()")
    elif groups.get("delta") and (behind := _AGAINST.search(groups["rest"])):
        of = behind["of"].strip()
    named = _named(of)
    if metric == "scatter" and named and named not in _MODELS:
        return None  # of what, is not a label: `seed scatter`
    label = labels[0] if labels else None
    return _Subject(metric, _split(split), label, groups.get("delta") is not None, named or None)


def _is_other_number(of: str) -> bool:
    """Whether the words before a metric make it another number than that of one model."""
    if re.fullmatch(MODEL, of, re.I):
        return False
    return any(pattern.search(of) for pattern in (_OF_A_PART, _CHANGED, _ANY_MODEL))


def _value(text: str) -> float:
    text = text.replace(" ", "")
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _operator(text: str) -> str:
    return _OPERATORS.get(text, text if text[0] in "<>" else ">=")


def _model(text: str) -> str:
    text = text.strip()
    for name, pattern in _MODELS.items():
        if re.fullmatch(pattern, text, re.I):
            return name
    return text


def _named(text: str) -> str:
    """What a rule names: a model by its key, a variant of one (`ViT-noivar`) as it is written."""
    return text.strip() if variant_of(text) else _model(text)


def variant_of(name: str) -> str:
    """`noivar` of `ViT-noivar`; empty for anything else."""
    model, _, variant = name.strip().partition("-")
    return variant if model.casefold() == "vit" and _model(name) == "vit" else ""


@lru_cache(4096)
def model_key(name: str) -> str:
    """A model's name as in rules: `LightGBM` and `LGBM` are one; unknown ones case folded."""
    return _model(name.replace("_", " ")).casefold()


def labels_in(text: str) -> list[str]:
    """The labels a text names."""
    norm = normalised(plain(text))
    return [name for name, pattern in _LABELS.items() if re.search(pattern, norm, re.I)]


def models_in(text: str) -> frozenset[str]:
    """The models a text names, by their keys."""
    return frozenset(_model(match.group()) for match in _ANY_MODEL.finditer(text))


def is_model(name: str) -> bool:
    """Whether a name in a rule is that of a model, not another qualifier."""
    return name in _MODELS


def _split(text: str | None) -> str | None:
    return _SPLITS.get(text.lower(), text.lower()) if text else None
