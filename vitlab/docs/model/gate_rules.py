"""Decision gates as the roadmap defines them: sections, MVPs, status rows and rules."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from vitlab.docs.model.ids import IdIndex
from vitlab.docs.model.table_kinds import Entry, View
from vitlab.docs.model.vocabulary import ParsedStatus, Vocabulary
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document, Heading
from vitlab.docs.text.tables import Cell

_OPERATORS = {
    **dict.fromkeys("≥≧⩾", ">="),
    **dict.fromkeys("≤≦⩽", "<="),
    **{"=>": ">=", "=<": "<=", ">>": ">", "<<": "<"},
}
_SPLITS = {
    **{"测试": "test", "测试集": "test", "验证": "val", "验证集": "val", "训练": "train"},
    "validation": "val",
}
_NUMBER = r"[+-]?\d+(?:\.\d+)?(?:e[+-]?\d+)?\s*%?"
_OP = r"(?:>=|<=|=>|=<|>|<|≥|≤|≧|≦|⩾|⩽)"
_METRICS = {
    "r2": r"(?<![A-Za-z])(?:R2|R\^2)",
    "mae": r"MAE",
    "rmse": r"RMSE",
    "bias": r"bias",
    "rho": r"ρ|rho",
    "sigma": r"σ|sigma",
    "loss": r"loss",
}
_METRIC = "|".join(f"(?P<{name}>{pattern})" for name, pattern in _METRICS.items())
_LABELS = {"log_g": r"log[_ ]?g", "T_eff": r"t[_ ]?eff", "M_H": r"\[m/h\]|m_h|fe/?h"}
_MODELS = {
    "vit": r"vit(?:-[a-z0-9]+)?|specvit|transformer",
    "lightgbm": r"lgbm?|lightgbm|light gbm|gbdt",
    "ridge": r"ridge",
    "mlp": r"mlp",
    "template": r"template(?: ?fit(?:ting)?)?|模板拟合",
    "cnn": r"cnn",
    "moe": r"moe",
}
_MODEL = "|".join(_MODELS.values())
_SPLIT = (
    r"(?:_?\{?(?P<split>test|val|train|测试|验证|训练)\}?"
    r"|\s*\(\s*(?P<split2>test|val|train)[^)]*\))?"
)
_THRESHOLD = re.compile(
    rf"^(?P<of>[^<>≥≤≧≦]*?)\s*(?P<delta>Δ\s*)?(?:{_METRIC}){_SPLIT}"
    r"(?P<vs>\s*\(?\s*(?:vs\.?|over|相对|对比)\s+[^<>≥≤()]+?\)?)?"
    rf"\s*(?P<op>{_OP})\s*(?P<value>{_NUMBER})(?P<rest>.*)$",
    re.I,
)
_BETWEEN = re.compile(
    rf"^(?P<of>[^<>≥≤≧≦\d]*?)\s*(?P<delta>Δ\s*)?(?:{_METRIC}){_SPLIT}\s*(?:in|∈|介于|between|[:=]|在)?\s*[\[(]?\s*(?P<low>{_NUMBER})\s*(?:-|–|—|~|to|到|至|and|,)\s*(?P<high>{_NUMBER})(?P<rest>.*)$",
    re.I,
)
_SANDWICH = re.compile(
    rf"^(?P<low>{_NUMBER})\s*(?:<=|<|≤|≦)\s*(?P<of>)(?P<delta>Δ\s*)?(?:{_METRIC}){_SPLIT}\s*(?:<=|<|≤|≦)\s*(?P<high>{_NUMBER})(?P<rest>.*)$",
    re.I,
)
_COMPARISON = re.compile(
    rf"^(?P<left>{_MODEL})\s*(?P<op>>>|<<|{_OP})\s*(?P<right>{_MODEL})(?P<rest>.*)$", re.I
)
_IF_WORD = re.compile(
    r"^(?:若|如果|如|if|when|当)\s*(?P<label>[A-Z](?![\w²])|\d+(?=\s*[:：]))?\s*[:：.]?\s*", re.I
)
_ARROW = re.compile(r"\s*(?:→|->|=>|⇒|➜|➡️?|⟹|,?\s*then\b|，?\s*则)\s*", re.I)
_ELSE_WORD = re.compile(
    r"\s*[;；,，.。]?\s*\b(?:else|otherwise)\b\s*[:：,，]?\s*|\s*[;；,，]\s*否则\s*", re.I
)
_NOT_A_QUALIFIER = re.compile(r"[、/;]|\b(?:and|or)\b|且|或|并", re.I)
_UNIT = r"(?:\s*(?:dex|K)\b)?"
_REMARK = re.compile(rf"^{_UNIT}[\])]?\s*(?:$|\([^<>≥≤≧≦]*\)\s*$|[;,.!][^<>≥≤≧≦]*$)")
_JOINED = re.compile(r"\b(?:and|or)\b|且|或|并", re.I)
_AGAINST = re.compile(r"\(\s*(?:vs\.?|over|相对|对比)\s*(?P<of>[^)]+)\)", re.I)
_GATE_HEADING = re.compile(
    r"^[^\w]*Gate(?:[-–—_ ]?(?P<number>\d[\w.]*)|[-–—_](?P<name>[A-Za-z][\w.]*))"
    r"\s*(?:[:：—–-]\s*)?(?P<title>.*)$",
    re.I,
)
_HEADING_STATUS = re.compile(
    r"\s*(?P<mark>[(（]?\s*(?:[\u2300-\u27bf\u2b00-\u2bff\U0001f300-\U0001faff]\ufe0f?).*)$"
)
_BULLET = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?P<text>.*)$")
_RULES_TITLE = re.compile(r"^\W*(?:Gate\s*影响|决策规则|decision rules?|gate effect)", re.I)


@dataclass(frozen=True)
class Threshold:
    """A metric against a number: `R²_val > 0.70`, `ΔR² (vs LightGBM) ≥ 0.02`."""

    metric: str
    """`r2`, `mae`, `rmse`, `bias`, `rho`, `sigma`, `loss`."""
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


@dataclass(frozen=True)
class Comparison:
    """One model against another: `ViT > LGBM`; names are `vit lightgbm ridge mlp template ...`."""

    left: str
    op: str
    right: str


@dataclass(frozen=True)
class Otherwise:
    """Holds when the rule before it certainly does not."""


@dataclass(frozen=True)
class Manual:
    """A condition for a person to judge."""

    text: str


Condition = Threshold | Between | Comparison | Otherwise | Manual


@dataclass(frozen=True)
class Rule:
    """`if_` and `then` as written, without the words `若`/`if` and the arrow."""

    if_: str
    then: str
    condition: Condition


def rules_of(item: str, content: str) -> tuple[Rule, ...]:
    """The rules of one row of a gate: `若 R² > 0.70 | ✅ ...`, `若A | R² < 0.05 → 通过`."""
    head = _IF_WORD.match(plain(item))
    if not head:
        return ()
    condition = plain(item)[head.end() :].strip()
    text = plain(content)
    if not condition:
        return read_rules(text)
    then, *rest = _ELSE_WORD.split(text, maxsplit=1)
    return Rule(condition, then.strip(), read_condition(condition)), *_else_rule(rest)


def read_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a sentence: `R² ≥ X → ...`, `If ΔR² > 0.02 then ... else ...`."""
    text = plain(text)
    head = _IF_WORD.match(text)
    body = text[head.end() :] if head else text
    first, *rest = _ELSE_WORD.split(body, maxsplit=1)
    condition, *then = _ARROW.split(first, maxsplit=1)
    rule = Rule(condition.strip(), then[0].strip() if then else "", read_condition(condition))
    return rule, *_else_rule(rest)


def _else_rule(rest: Sequence[str]) -> tuple[Rule, ...]:
    return tuple(Rule("else", text.strip(), Otherwise()) for text in rest if text.strip())


def read_condition(text: str) -> Condition:
    """The condition of a text; Manual where it has none that is certain."""
    shown = plain(text).strip()
    norm = _normalised(shown)
    if match := _COMPARISON.match(norm):
        if _only_remark(match["rest"]):
            return Comparison(_model(match["left"]), _operator(match["op"]), _model(match["right"]))
        return Manual(shown)
    for pattern in (_SANDWICH, _BETWEEN):
        if (match := pattern.match(norm)) and _only_remark(match["rest"]):
            ends = sorted((_value(match["low"]), _value(match["high"])))
            common = _common_parts(match)
            return Between(common[0], ends[0], ends[1], *common[1:]) if common else Manual(shown)
    if (match := _THRESHOLD.match(norm)) and _only_remark(match["rest"]):
        common = _common_parts(match)
        if common:
            metric, split, label, delta, of = common
            return Threshold(
                metric, _operator(match["op"]), _value(match["value"]), split, label, delta, of
            )
    return Manual(shown)


def _only_remark(rest: str) -> bool:
    """Whether the text after a condition only comments on it, without another condition."""
    return bool(_REMARK.match(rest)) and not _JOINED.search(re.sub(r"\([^)]*\)", "", rest))


def _common_parts(
    match: re.Match[str],
) -> tuple[str, str | None, str | None, bool, str | None] | None:
    """metric, split, label, delta, of; None where the words before the metric are not a name."""
    groups = match.groupdict()
    metric = next(name for name in _METRICS if groups[name] is not None)
    split = groups["split"] or groups["split2"]
    of = (groups.get("of") or "").strip(" :,")
    label = next((name for name, p in _LABELS.items() if re.search(p, of, re.I)), None)
    for pattern in _LABELS.values():
        of = re.sub(pattern, "", of, flags=re.I).strip(" :,_")
    word = re.search(r"\b(test|val|train|validation)\b|测试集?|验证集?", of, re.I)
    if word and not split:
        split = word.group()
        of = (of[: word.start()] + of[word.end() :]).strip()
    if len(of) > 40 or _NOT_A_QUALIFIER.search(of):
        return None
    if against := groups.get("vs"):
        of = re.sub(r"^[\s(]*(?:vs\.?|over|相对|对比)\s+", "", against, flags=re.I).strip(" ()")
    elif groups["delta"] and (behind := _AGAINST.search(groups["rest"])):
        of = behind["of"].strip()
    named = _model(of) if re.fullmatch(_MODEL, of, re.I) else of
    return metric, _split(split), label, groups["delta"] is not None, named or None


def _normalised(text: str) -> str:
    text = re.sub(r"[$*]|\\mathrm|\\text", "", text)
    text = re.sub(r"\\geq?(?![a-z])", "≥", re.sub(r"\\leq?(?![a-z])", "≤", text))
    text = text.replace("²", "2").replace("\\Delta", "Δ").replace("∆", "Δ").replace("\\rho", "ρ")
    text = unicodedata.normalize("NFKD", text)
    text = "".join(c for c in text if not unicodedata.combining(c))
    text = re.sub(r"R\s?[Â^]\s?\{?2\}?", "R2", text)
    text = re.sub(r"R_\{?(test|val|train)\}?\^?2", r"R2_\1", text, flags=re.I)
    text = re.sub(r"RA2", "R2", text)  # an `Â` that lost its hat: RÂ²
    return text.replace("−", "-").replace("，", ",").replace("。", ".").strip()


def _value(text: str) -> float:
    text = text.replace(" ", "")
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _operator(text: str) -> str:
    return _OPERATORS.get(text, text)


def _model(text: str) -> str:
    text = text.strip()
    for name, pattern in _MODELS.items():
        if re.fullmatch(pattern, text, re.I):
            return name
    return text


def model_key(name: str) -> str:
    """A model's name as in rules: `LightGBM` and `LGBM` are one; unknown ones case folded."""
    return _model(name.replace("_", " ")).casefold()


def _split(text: str | None) -> str | None:
    return _SPLITS.get(text.lower(), text.lower()) if text else None


@dataclass(frozen=True)
class Gate:
    """One decision gate."""

    id: str
    """Bare: `1`."""
    title: str
    status: str | None
    status_text: str
    """The status cell as written; empty when there is none."""
    rules: tuple[Rule, ...]
    mvps: tuple[str, ...]
    """Bare ids of the MVPs that decide it."""
    line: int
    """1-based line of its heading, or of its row where it has no section."""
    status_cell: Cell | None
    parsed: ParsedStatus | None
    """The status, offsets in the raw status cell."""
    result_cell: Cell | None = None


def gates_of(
    document: Document,
    views: Sequence[View],
    vocabulary: Vocabulary,
    ids: IdIndex,
    progress: Sequence[Entry],
) -> tuple[Gate, ...]:
    """Every gate: those with a section in order, then those only in the progress table."""
    gates: dict[str, Gate] = {}
    for heading in document.headings:
        match = _GATE_HEADING.match(plain(heading.title))
        if match:
            gate = _section_gate(document, heading, match, views, vocabulary, ids)
            if gate.id not in gates:
                gates[gate.id] = gate
    for entry in progress:
        for gate_id in entry.gates[:1]:
            if gate_id not in gates:
                gates[gate_id] = _row_gate(gate_id, entry)
    return tuple(gates.values())


def _section_gate(
    document: Document,
    heading: Heading,
    match: re.Match[str],
    views: Sequence[View],
    vocabulary: Vocabulary,
    ids: IdIndex,
) -> Gate:
    end = document.section_end(heading)
    title = match["title"]
    if (trail := _HEADING_STATUS.search(title)) and vocabulary.read(trail["mark"].lstrip("(（ ")):
        title = title[: trail.start()]
    rules: list[Rule] = []
    mvps: tuple[str, ...] = ()
    status: Cell | None = None
    result: Cell | None = None
    for entry in _facts(views, heading.index, end):
        item, content = entry.cells.get("item"), entry.cells.get("content")
        if item is None or content is None:
            continue
        columns = vocabulary.columns([item.raw])
        if "mvp" in columns:
            mvps = ids.refs(content.raw)
        elif "status" in columns:
            status = content
        elif "result" in columns:
            result = content
        else:
            rules += rules_of(item.raw, content.raw)
    parsed = vocabulary.read(status.raw) if status else None
    return Gate(
        match["number"] or match["name"],
        title.strip(),
        parsed.status if parsed else None,
        status.raw if status else "",
        tuple(rules) or bullet_rules(document, heading.index, end),
        mvps,
        heading.index + 1,
        status,
        parsed,
        result,
    )


def _facts(views: Sequence[View], first: int, end: int) -> list[Entry]:
    return [
        entry
        for view in views
        if view.kind == "facts" and first < view.table.first < end
        for entry in view.entries
    ]


def _row_gate(gate_id: str, entry: Entry) -> Gate:
    cell = entry.cells.get("status")
    text = cell.raw if cell else ""
    return Gate(gate_id, "", entry.status, text, (), entry.mvps, entry.line, None, None)


def bullet_rules(document: Document, first: int, end: int) -> tuple[Rule, ...]:
    """Rules in a list below `**Gate影响**:` or `**决策规则**:`, between two 0-based lines."""
    rules: list[Rule] = []
    inside = False
    for index in range(first, min(end, len(document.lines))):
        line = document.line_text(index)
        bullet = _BULLET.match(line)
        if not inside:
            inside = bool(_RULES_TITLE.match(plain(line.strip(" \t*"))))
        elif bullet and ("→" in line or "->" in line):
            rules += read_rules(bullet["text"])
        elif line.strip():
            inside = False
    return tuple(rules)
