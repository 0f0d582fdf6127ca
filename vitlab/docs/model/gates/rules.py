"""The rules of gates in rows, tables, lists and sentences: a condition and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import unescape

from vitlab.docs.model.gates.conditions import (
    FAIL_WORD,
    PASS_WORD,
    Between,
    Comparison,
    Condition,
    Manual,
    OfGates,
    Otherwise,
    Threshold,
    labels_in,
    number_of,
    read_condition,
)
from vitlab.docs.model.headers import SOME_STARS
from vitlab.docs.model.vocabulary import STRUCK
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document

_OPERATOR = re.compile(r"[<>≥≤≧≦]|\\[lg]e")
# A letter or number after `若` only names the rule, unless it is what the rule is about.
_IF_WORD = re.compile(
    r"^(?:若(?!干)|如果|如(?![何下上图表])|(?:if|when)(?![a-z]{2})|当(?!前))\s*"
    r"(?P<label>(?:[A-Z](?![\w²^&$])|\d+(?=\s*[:：]))"
    r"(?!\s*(?:[<>=≥≤≧≦²^,，]|\\[lg]e|-?square|\*\*|[平方])))?\s*[:：.]?\s*",
    re.I,
)
_OF_SOME = re.compile(
    rf"{SOME_STARS}|\b(?:real|observed)(?: [A-Z]\w+)? (?:spectra|stars)\b|(?:真实|观测)光谱", re.I
)
_VERDICT_ITEM = re.compile(
    r"^(?:若|如果|if|when)?\s*(?:[✅❌⚠🔴🟢]\ufe0f?\s*(?=\w))?"
    r"(?:(?P<fail>no[- ]?go|stop|kill|reject(?:ed)?|" + FAIL_WORD + r")"
    r"|(?P<pass>go|continue|proceed|accept(?:ed)?|成功|" + PASS_WORD + r"))(?![A-Za-z])"
    r"\s*(?:if|when|criteri(?:on|a)|condition|条件|标准|判据|则|gate)?\s*[:：]?\s*$",
    re.I,
)
_VERDICT_IF = re.compile(
    r"^(?P<verdict>(?:no[- ]?go|go|reject|accept|pass(?:es|ed)?|fail(?:s|ed)?))\s+"
    r"(?P<rest>(?:if|when)\s.*)$",
    re.I,
)
"""`Pass if R² > 0.7`: the verdict stands first."""
_OUTCOME_ITEM = re.compile(
    r"^(?:outcome|case|scenario|option|branch|结果|结局|情况|情形|情景|分支|选项|判定)"
    r"\s*[-–_]?\s*(?:[A-Z]|\d|[一二三四五甲乙丙丁])\s*(?:[:：]\s*(?P<condition>.+))?[:：]?$",
    re.I,
)
# From the first of several blanks, or a line of them would be searched from each.
_ARROW = re.compile(r"(?<!\s)\s*(?:→|->|=>|⇒|➜|➡️?|⟹|,\s*then\b|then\b|，\s*则|(?<!否)则)\s*", re.I)
_TOLD = re.compile(
    r"(?<=[\d%])(?:\s*[:：]\s*(?=\D)|\s+(?=(?:go(?: on| ahead)?|stop|continue|proceed)\b)"
    r"|\s*[,，]?\s*(?=继续|停止|进入))",
    re.I,
)
"""In place of an arrow, behind a limit that opens with an if: `if R2 > 0.7: go on`."""
_CLAUSE = re.compile(r"(?<!\s)\s*(?:时\s*)?[,，;；]\s*(?!\d)(?:就(?![^,，]*而言)|那么?)?")
_ACTS = re.compile(
    r"(?:go|stop|continue|proceed|we|start|launch|run|train|move|accept|reject|write|publish|keep|use"
    r"|drop|abandon|kill|pass|fail|done|end|close|scale|switch|try|add|revise|redo|repeat|enter"
    r"|begin|adopt|submit)\b(?!-)|[✅❌🟢🔴🟡⚠🛑⛔🚀]"
    r"|继续|停止|进入|采用|放弃|启动|开始|通过|失败|终止|扩大|增加|写|转[向入为到]|可以?[进写开]",
    re.I,
)
"""Opens what follows from a condition; anything else behind a comma may be another condition."""
_SENTENCE = re.compile(r"(?<!\s)\s*[;；。]\s*|\.\s+(?=if\b)", re.I)
_SEPARATOR = re.compile(r"((?<!\s)\s*[;；,，](?!\s*(?:then\b|则))\s*|(?<!\s)\s+/\s+)")
_LONGEST = 2000
"""Letters of a text that is read: each of its rules is read from the rest of it."""
_BREAK = re.compile(r"<br\s*/?>", re.I)
_ELSE_WORD = re.compile(
    r"\s*[;；,，.。]?\s*\b(?:else|otherwise)\b\s*[:：,，]?\s*|\s*[;；,，.。]\s*否则\s*", re.I
)
_RANGE = re.compile(r"\s*[+-]?\d*\.\d+\s*%?\s*(?:[-–—~～至到]|to\b)\s*[+-]?\d*\.\d+\s*%?\s*$")
"""`0.65–0.70` alone, of the metric that the other rules name."""
_ELSE_ITEM = re.compile(r"^\W*(?:else|otherwise|否则|反之|其[他余]情况)\W*$", re.I)
_THEN = r"(?:[:：,，]|→|->|=>|⇒|➜|➡️?|⟹|then\b|则)"
_ELSE_LINE = re.compile(
    rf"^\W*(?:else|otherwise|否则)(?:\s*{_THEN}\s*|(?:\b\s+|(?<=则)\s*)(?={_ACTS.pattern}))(?P<then>.+)$",
    re.I,
)
_MAY_DECIDE = re.compile(
    rf"{_OPERATOR.pattern}|(?<![\w.-])0?\.\d|\d\s*%|之间|临界|^\W*(?:若(?!干)|如果|介于|中间[地值区带])"
    r"|^\W*(?:\w+ ){0,3}(?:if|when|between|marginal|borderline)\b",
    re.I,
)
"""A line between rules that may be one, though it cannot be read."""
_ELSE_IF = re.compile(
    r"^\s*(?:elif\b|else\s+if\b|otherwise,?\s+if\b|否则[,，]?\s*(?:若(?!干)|如果|如(?![何下上图表])))",
    re.I,
)
_MARKED_IF = re.compile(
    r"^(?P<mark>[✅❌⚠🔴🟢🟡]\ufe0f?)\s*(?P<rest>(?:若|如果|if\b|when\b).*)$", re.I
)
_LIGHT = re.compile(r"^(?P<mark>[🟢🔴🟡])\s*(?=\S)")
_NEITHER_ITEM = re.compile(
    r"^\W*(?P<word>marginal|borderline|gr[ae]y(?: zone)?|边缘|临界|灰区|待定|部分通过)\W*$", re.I
)
_ENDS_IN_THEN = re.compile(r"(?<![\s,，])[\s,，]*(?:\bthen|则|就)?[\s:：,，]*$", re.I)
_PART_HEAD = re.compile(
    r"^\W*(?:SNR|S/N|信噪|mag(?:nitude)?s?(?![a-z])|星等|bins?(?![a-z])|分箱|子集|subset|N\s*$|数据量)",
    re.I,
)
"""A column of the stars that a row is about."""
WHOLE = re.compile(r"\W*(?:all|overall|total|全部|所有|整体|总体)?\W*", re.I)
_METRIC_HEAD = re.compile(r"^\W*(?:指标|metric|indicator|quantity|量)(?:\s*[(（].*)?\W*$", re.I)
_LIMIT = re.compile(r"\s*(?:[<>≥≤≧≦=]|\\[lg]e|[+-]?\d*\.\d+\s*[-–~～至到])")
"""A limit or a range without what it is of."""
_BULLET = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+(?P<box>\[[ xX]\]\s+)?(?P<text>.*)$")
_RULES_TITLE = re.compile(r"^\W*(?:Gate\s*影响|决策规则|decision rules?|gate effect)", re.I)
_CONDITION_HEAD = re.compile(
    r"^\W*(?:(?:acceptance |exit )?criteri(?:on|a)|acceptance|condition|threshold|if|when"
    r"|rule|decision rule|条件"
    r"|触发条件|判据|判定条件|判定标准|验收标准|验收|标准|阈值|规则|决策规则|若|如果)(?:\s*[(（].*)?$",
    re.I,
)
_THEN_HEAD = re.compile(
    r"^\W*(?:then|decision|action|choice|next(?: step)?|consequence|conclusion|则|决策|行动|动作"
    r"|选择|下一步|后果|对策|结论|影响)(?:\s*[(（].*)?$",
    re.I,
)
_VERDICT_HEAD = re.compile(
    r"^\W*(?:(?P<pass>(?:go|pass|success)(?:\s*(?:if|when|criteri(?:on|a)|condition))?"
    r"|(?:通过|成功|达标)(?:条件|标准|判据)?)"
    r"|(?P<fail>(?:no[- ]?go|fail(?:ure)?|stop|kill)(?:\s*(?:if|when|criteri(?:on|a)|condition))?"
    r"|(?:失败|不通过|未通过|停止|终止)(?:条件|标准|判据)?))\W*$",
    re.I,
)
_SAYS_HEAD = re.compile(r"^\W*(?:判定|判决|verdict|outcome|gate)\W*$", re.I)
_MVP_HEAD = re.compile(r"\W*(?:对应|相关|验证)?\s*MVPs?\W*$", re.I)
_OUTCOME_HEAD = re.compile(
    r"^\W*(?:(?:outcome\s*|action\s*|结果\s*|then\s*)?(?:if|when|on|若|如果|当)?\s*[:：]?\s*"
    r"(?:(?P<fail>no(?:t (?:met|passed|satisfied))?|unmet|fails?|failed|failure|no[- ]?go|false"
    r"|stop|不通过|未通过|不达标|未达标|不满足|不成立|失败|否)"
    r"|(?P<pass>yes|met|pass|passes|passed|satisfied|success|go|true"
    r"|通过|达标|满足|成立|成功|是))"
    r"(?:\s*(?:则|后|时|→|->|action|then|outcome|动作|行动|下一步)){0,2}|(?P<otherwise>else|otherwise|否则))"
    r"\W*$",
    re.I,
)
"""A column of what follows from a condition that stands in another one: `If no`, `不通过`."""


@dataclass(frozen=True)
class Rule:
    """`if_` and `then` as written, without the words `若`/`if` and the arrow."""

    if_: str
    then: str
    condition: Condition
    passes: bool | None = None
    """What the row says of the gate itself (`Pass | R² ≥ 0.75`); None where it says nothing."""

    @property
    def is_consequence(self) -> bool:
        """Whether it tells what follows from the gate's verdict, and decides nothing."""
        return isinstance(self.condition, OfGates) and not self.condition.gates


def rules_of(item: str, content: str) -> tuple[Rule, ...]:
    """The rules of a row of a gate: `若 R² > 0.70 | ✅ ..`, `Pass | R² ≥ 0.7`, `若A | .. → ..`."""
    item, content = _ELSE_IF.sub("if ", _standing(item), count=1), _standing(content)
    if mark := _MARKED_IF.match(item):
        return rules_of(mark["rest"], f"{mark['mark']} {content}")
    if (neither := _NEITHER_ITEM.match(item)) and _holds_condition(content):
        rules = read_rules(content)
        return tuple(replace(rule, then=rule.then or f"⚠️ {neither['word']}") for rule in rules)
    if match := _VERDICT_ITEM.match(item):
        passes = match["pass"] is not None
        if _ELSE_ITEM.match(content):
            return (Rule("else", item, Otherwise(), passes),)
        if not _holds_condition(content):
            return (Rule(match["pass"] or match["fail"], content, OfGates((), passes)),)
        first, *more = read_rules(content)
        return replace(first, then=first.then or item, passes=passes), *more
    if (match := _VERDICT_IF.match(item)) and _holds_condition(match["rest"]):
        first, *more = rules_of(match["rest"], content) or read_rules(match["rest"])
        passes = _VERDICT_ITEM.match(match["verdict"])["pass"] is not None  # type: ignore[index]
        return replace(first, then=first.then or match["verdict"], passes=passes), *more
    if match := _OUTCOME_ITEM.match(item):
        item = f"if {match['condition']}" if match["condition"] else "if"
        if item == "if" and not _holds_condition(content):
            return ()
    if _ELSE_ITEM.match(item):
        return _else_rule((content,))
    head = _IF_WORD.match(item)
    if not head and _CONDITION_HEAD.match(item) and _holds_condition(content):
        return read_rules(content)
    if not head:
        return ()
    condition = _ENDS_IN_THEN.sub("", item[head.end() :])
    if not content or not condition:
        return read_rules(content or item)
    then, *rest = _ELSE_WORD.split(content, maxsplit=1)
    return Rule(condition, then.strip(), read_condition(condition)), *_else_rule(rest)


def read_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a sentence: `R² ≥ X → ...`, `If ΔR² > 0.02 then ... else ...`."""
    text = _ELSE_IF.sub("if ", _standing(text), count=1)
    if len(text) > _LONGEST:
        return (Rule(text, "", Manual(text)),)
    if otherwise := _otherwise(text):
        return otherwise
    if (light := _LIGHT.match(text)) and _is_whole_rule(text[light.end() :]):
        lit, *more = read_rules(text[light.end() :])
        return replace(lit, then=f"{light['mark']} {lit.then}"), *more
    pieces = [one for one in _SENTENCE.split(text) if one]
    if len(pieces) < 2 or not all(map(_is_whole_rule, pieces)):
        pieces = _whole_rules(text)
    if len(pieces) > 1:
        return tuple(rule for piece in pieces for rule in read_rules(piece))
    head = _IF_WORD.match(text)
    body = text[head.end() :] if head else text
    first, *rest = _ELSE_WORD.split(body, maxsplit=1)
    condition, *then = _divided(first, is_if=head is not None)
    rule = Rule(condition.strip(), then[0].strip() if then else "", read_condition(condition))
    if rest and _IF_WORD.match(rest[0]):  # `A → x, else if B → y, else → z`
        return rule, *read_rules(rest[0])
    return rule, *_else_rule(rest)


def _standing(text: str) -> str:
    """What a reader sees that is not struck out; lines of one cell that are rules stay apart."""
    text = STRUCK.sub("", text) if "~~" in text else text
    lines = [unescape(plain(line)) for line in _BREAK.split(text)] if "<" in text else []
    if len(lines) > 1 and all(_is_whole_rule(line) or _ELSE_LINE.match(line) for line in lines):
        return "; ".join(lines)
    seen = plain(text)
    return unescape(seen) if "&" in seen else seen


def _divided(text: str, *, is_if: bool) -> list[str]:
    """A condition, and what follows from it where it is told."""
    parts = _ARROW.split(text, maxsplit=1)
    if len(parts) > 1 or not is_if:
        return parts
    told = _TOLD.split(text, maxsplit=1)
    if len(told) > 1 and _OPERATOR.search(told[0]):
        return told
    limit = max((match.end() for match in _OPERATOR.finditer(text)), default=0)
    if (clause := _CLAUSE.search(text, limit)) is None:
        return parts
    then = text[clause.end() :]
    is_told = clause[0][-1:] in "就么那" or _ACTS.match(then)
    condition = text[: clause.start()]
    is_read = limit > 0 or not isinstance(read_condition(condition), Manual)
    return [condition, then] if then and is_told and is_read else parts


def _is_whole_rule(text: str) -> bool:
    """Whether a part of a sentence is a condition with what follows from it."""
    head = _IF_WORD.match(text)
    first, *then = _divided(text, is_if=head is not None)
    return bool(then) and bool(_OPERATOR.search(first) or _RANGE.match(first))


def _whole_rules(text: str) -> list[str]:
    """The rules of a text, where one stands behind another: `A → x, B → y`."""
    found, is_told = list[list[str]]([[]]), False
    for piece in _SEPARATOR.split(text):
        if is_told and _is_whole_rule(piece) and not _ELSE_WORD.match(piece):
            found.append([])
        found[-1].append(piece)
        is_told = is_told or _ARROW.search(piece) is not None
    rules = ["".join(one[:-1] if one is not found[-1] else one) for one in found]
    told = [then for one in rules for then in _ARROW.split(one, maxsplit=1)[1:]]
    return [text] if any(map(_OPERATOR.search, told)) else rules


def is_condition(head: str) -> bool:
    """Whether a column holds the conditions of gates."""
    return _CONDITION_HEAD.match(head) is not None


def is_of_rules(head: str) -> bool:
    """Whether a column holds a part of a gate's rules, or which MVP they are about."""
    head = plain(head)
    heads = (_CONDITION_HEAD, _VERDICT_HEAD, _OUTCOME_HEAD, _THEN_HEAD, _MVP_HEAD)
    return any(pattern.match(head) for pattern in heads)


def table_rules(headers: Sequence[str], cells: Sequence[str]) -> tuple[Rule, ...]:
    """The rules of a row in a table of conditions, or of a gate with a row of its own."""
    rules: list[Rule] = []
    pairs = list(zip(map(plain, headers), map(_standing, cells), strict=False))
    parts = [f"@ {h} {c}" for h, c in pairs if _PART_HEAD.match(h) and not WHOLE.fullmatch(c)]
    outcomes = _outcomes(pairs)
    then = next((c for h, c in pairs if _THEN_HEAD.match(h)), "") or outcomes.get(True, "")
    told = [cell for head, cell in pairs[1:] if _THEN_HEAD.match(head) or _SAYS_HEAD.match(head)]
    of = [cell for n, (head, cell) in enumerate(pairs) if not n or _CONDITION_HEAD.match(head)]
    if told and any(map(_ELSE_ITEM.match, of)):
        return _else_rule([" ".join(told).strip()])
    for number, (head, cell) in enumerate(pairs):
        if not cell.strip(" -—–") or (_OUTCOME_HEAD.match(head) and cell in outcomes.values()):
            continue
        match = _VERDICT_HEAD.match(head)
        if match and _holds_condition(cell):
            first, *more = read_rules(cell)
            says = match["pass"] is not None
            rules += [replace(first, then=first.then or then or head, passes=says), *more]
        elif _CONDITION_HEAD.match(head) and (number or len(pairs) == 2 or _holds_condition(cell)):
            first, *more = read_rules(cell)
            verdict = _VERDICT_ITEM.match(pairs[0][1]) if number else None
            passes = verdict["pass"] is not None if verdict else None
            rules += [replace(first, then=first.then or then, passes=passes), *more]
        else:
            rules += rules_of(head, cell) if _IF_WORD.match(head) else ()
    condition = read_condition(pairs[0][1]) if pairs and told and not rules else None
    if isinstance(condition, Threshold | Between | Comparison):
        rules.append(Rule(pairs[0][1], " ".join(told).strip(), condition))
    if not rules:
        return tuple(
            Rule(_SAYS[passes], text, OfGates((), passes)) for passes, text in outcomes.items()
        )
    if len(rules) == 1 and outcomes.get(False):
        rules += _else_rule([outcomes[False]])
    if then and then == outcomes.get(True) and len(rules) == len(outcomes):  # as its columns say
        rules = [replace(rule, passes=number == 0) for number, rule in enumerate(rules)]
    if parts:  # of some stars alone
        texts = [f"{rule.if_} {', '.join(parts)}" for rule in rules]
        rules = [replace(r, if_=t, condition=Manual(t)) for r, t in zip(rules, texts, strict=True)]
    return tuple(rules)


def _with_metric(cells: Sequence[str], of: int | None) -> Sequence[str]:
    """A row in which a bare limit is of the metric in column `of`."""
    if of is None or of >= len(cells):
        return cells
    return [f"{cells[of]} {cell}" if _LIMIT.match(cell) else cell for cell in cells]


def rules_of_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Rule, ...]:
    """The rules of one gate's table; where its rows must all hold one is left to a person."""
    of = next((i for i, head in enumerate(headers) if _METRIC_HEAD.match(plain(head))), None)
    found = [rules for cells in rows if (rules := table_rules(headers, _with_metric(cells, of)))]
    every = [rule for rules in found for rule in rules]
    tells = any(rule.then or rule.passes is not None for rule in every)
    if sum(rules[0].if_ != "else" for rules in found) > 1 and (of is not None or not tells):
        text = "; ".join(rule.if_ for rule in every)
        return (Rule(text, "", Manual(text)),)
    return tuple(every)


_SAYS = {True: "pass", False: "fail"}


def _outcomes(pairs: Sequence[tuple[str, str]]) -> dict[bool, str]:
    """What follows if a row's condition holds, and if not, where columns say so."""
    outcomes: dict[bool, str] = {}
    for head, cell in pairs:
        match = _OUTCOME_HEAD.match(head)
        if match and cell.strip(" -—–") and not _holds_condition(cell):
            outcomes.setdefault(match["pass"] is not None, cell)
    return outcomes


def with_context(rules: Iterable[Rule], texts: Sequence[str]) -> tuple[Rule, ...]:
    """The rules, in which a bare `≤ 0.6` is about what the other rules, or else `texts`, name.

    What only follows from the verdict is left out where another rule decides.
    """
    rules = tuple(rules)
    others = [rule.if_ for rule in rules if not isinstance(rule.condition, Manual)]
    context = [" ; ".join(others), *texts]
    read = [
        replace(rule, condition=read_condition(rule.if_, context))
        if isinstance(rule.condition, Manual)
        else rule
        for rule in rules
    ]
    deciding = tuple(rule for rule in read if not rule.is_consequence)
    criteria = {number_of(rule.condition) for rule in deciding if rule.passes}
    is_decided = any(rule.passes is False or isinstance(rule.condition, Otherwise)
                     for rule in deciding)  # fmt: skip
    if len(criteria) > 1 and not is_decided:  # all of them must hold
        return tuple(replace(rule, condition=Manual(rule.if_)) for rule in deciding)
    return deciding or tuple(read)


def with_subject(
    rules: Iterable[Rule], texts: Sequence[str], stars: Sequence[tuple[str, str]]
) -> tuple[Rule, ...]:
    """The rules of a gate whose title and question (`texts`) name the label they are of.

    Where these, or its rows on the stars, name several labels, some stars or observed spectra, a
    rule that does not say of what it is is left to a person.
    """
    text = " ; ".join(map(plain, texts))
    part = _OF_SOME.search(" ; ".join((text, *(cell for _, cell in stars)))) or any(
        _PART_HEAD.match(head) and not WHOLE.fullmatch(cell) for head, cell in stars
    )
    labels = labels_in(text)

    def of_subject(rule: Rule) -> Rule:
        condition = rule.condition
        if isinstance(condition, Threshold | Between):
            unsaid = not condition.label and bool(labels)
            if (part and not condition.of) or (unsaid and len(labels) > 1):
                return replace(rule, condition=Manual(rule.if_))
            return replace(rule, condition=replace(condition, label=labels[0])) if unsaid else rule
        other = isinstance(condition, Comparison) and (part or labels not in ([], ["log_g"]))
        return replace(rule, condition=Manual(rule.if_)) if other else rule

    return tuple(map(of_subject, rules))


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


def listed_rules(lines: Iterable[str]) -> tuple[Rule, ...]:
    """The rules in the lists of a gate that has no table: `- R² > 0.7 → ...`, or a check list."""
    rules: list[Rule] = []
    checks: list[str] = []
    unread: list[Rule] = []
    for line in lines:
        match = _BULLET.match(line)
        text = _standing(match["text"] if match else line.lstrip("> \t"))
        text = _ELSE_IF.sub("if ", text, count=1)
        item, *content = re.split(r"[:：]", text, maxsplit=1)
        if content and (found := rules_of(item.strip(), content[0].strip())):
            rules += found
        elif (
            match and content and isinstance(condition := read_condition(item), Threshold | Between)
        ):
            rules.append(Rule(item.strip(), content[0].strip(), condition))
        elif match and match["box"] and _holds_condition(text):
            checks.append(text)
        elif match and _VERDICT_IF.match(text):
            rules += rules_of(text, "")
        elif match and rules and (found := _otherwise(text)):
            rules += found
        elif _reads_as_rule(text, in_list=match is not None) and _holds_condition(text):
            rules += read_rules(text)
        elif match and rules and not _rest_of(rules) and _MAY_DECIDE.search(text):
            unread.append(Rule(text, "", Manual(text)))
    if rest := _rest_of(rules):  # it waits for what cannot be read
        rules[rest:rest] = unread
    if rules or not checks:
        return tuple(rules)
    if len(checks) == 1:
        return read_rules(checks[0])
    return (Rule("; ".join(checks), "", Manual("; ".join(checks))),)  # all of them must hold


def _rest_of(rules: Sequence[Rule]) -> int:
    """The place of the first `otherwise`; 0 for none."""
    return next((i for i, one in enumerate(rules) if isinstance(one.condition, Otherwise)), 0)


def _reads_as_rule(text: str, *, in_list: bool) -> bool:
    """Whether a line begins like a rule or says what follows; outside a list it must do both."""
    signs = (_IF_WORD.match(text), _ARROW.search(text))
    return any(signs) if in_list else all(signs)


def _holds_condition(text: str) -> bool:
    """Whether a text has a condition of its own, readable or not."""
    text = _LIGHT.sub("", text)
    first = _ARROW.split(_ELSE_WORD.split(text, maxsplit=1)[0], maxsplit=1)[0]
    head = _IF_WORD.match(first)
    if _OPERATOR.search(first) or _RANGE.match(first) or (head and head.end() < len(first)):
        return True
    condition = read_condition(first)
    is_of_gates = isinstance(condition, OfGates) and bool(condition.gates)
    is_read = isinstance(condition, Threshold | Between | Comparison)
    return is_of_gates or is_read or bool(_otherwise(text))


def _otherwise(text: str) -> tuple[Rule, ...]:
    """The rule of a line `else → stop`; empty for any other text."""
    match = _ELSE_LINE.match(text)
    return _else_rule([match["then"]]) if match else ()


def _else_rule(rest: Sequence[str]) -> tuple[Rule, ...]:
    texts = (_ARROW.sub("", text, count=1) if _ARROW.match(text) else text for text in rest)
    return tuple(Rule("else", text.strip(), Otherwise()) for text in texts if text.strip())
