"""What a text says of gates, criteria and data in words, held against verdicts and results."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from vitlab.contract.job import Result
from vitlab.contract.world import read_world
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.lint.told_verdicts import GATE, verdicts_in
from vitlab.docs.lint.verdicts import in_words
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.ids import gate_refs
from vitlab.docs.text.inline import plain
from vitlab.lab.paper.names import models_in
from vitlab.lab.paper.words import OPEN

_STATUSES = {"pass": "done", "fail": "failed"}
_PARTS = re.compile(r"[;；。，!！]|[,.](?=\s|$)")
_DENIED = re.compile(
    r"\b(?:not|no|never|neither|nor|nothing|cannot|if|whether|once|until|unless|when|before"
    r"|unlike|instead of|rather than|only|still)\b|\bnext(?: step)?\s?[:：]|n[’']t\b"
    r"|没有?|未|不|尚|是否|若|如果|待|下一步|仅|而非|才",
    re.I,
)
_MET = re.compile(
    r"\b(?:acceptance|criteri(?:on|a)|requirements?|goals?|targets?)\b[^,;.]{0,24}"
    r"\b(?:met|fulfilled|satisfied|reached|passed|achieved)\b"
    r"|\b(?:meets?|met|satisf(?:y|ies|ied)|fulfil(?:s|led)?|pass(?:es|ed)?)\s(?:the|its|all)\s"
    r"(?:\w+\s)?(?:criteri(?:on|a)|requirements?|acceptance|goals?|targets?)"
    r"|\b(?:proceed|move on|go on|ready)\s(?:to|for)\s(?:the\s)?(?:next|full|second)\b"
    r"|验收(?:标准|条件|指标)?\S{0,3}(?:达标|通过|满足|达成|合格)|进入下一(?:阶段|步|个?\s?Phase)|^\S{0,6}已?达标",
    re.I,
)
"""Says that what was asked for is reached, or that the plan may go on."""
_SETTLED = re.compile(
    r"\b(?:settled|decided|resolved|cleared|fulfilled|met|passed|closed|won)\b|通过|已过|关闭|有定论",
    re.I,
)
_SOME_GATE = re.compile(
    r"\b(?:the|this|its)\s(?:\w+\s)?gate\b|该\s?gate|此\s?gate|这[个道]\s?gate", re.I
)
_OBSERVED = re.compile(
    r"\b(?:observed|real|on-sky)\s(?:\w+\s){0,2}?(?:spectra|spectrum|stars?|data)\b"
    r"|(?:实测|真实|实际|观测)的?\s?(?:PFS|光谱|恒星|数据|星)\w*",
    re.I,
)
_LEAST = 4
"""Letters of a rule's consequence from which on it is known again."""


def against_gates(text: str, gates: Sequence[Gate], verdicts: Sequence[Verdict]) -> Iterator[str]:
    """What a text says of gates that neither results nor the roadmap do."""
    stands = {
        gate.id.casefold(): (gate.status, _STATUSES.get(verdict.verdict), verdict.shown)
        for gate, verdict in zip(gates, verdicts, strict=True)
    }
    for named, says in verdicts_in(text):
        status, by_results, shown = stands.get(named.casefold(), (says, says, ""))
        if says not in (status, by_results):
            yield f"Gate-{named} {in_words(says)}: by the results it is {shown}"


def against_verdicts(
    text: str, mvp: str, gates: Sequence[Gate], verdicts: Sequence[Verdict]
) -> Iterator[str]:
    """What a text says in words that only a verdict of a gate would bear out.

    `mvp`: that it is about; its gates have to have passed where it names none.
    """
    pairs = list(zip(gates, verdicts, strict=True))
    own = [pair for pair in pairs if not pair[0].mvps or mvp in pair[0].mvps]
    for part in filter(None, _PARTS.split(text)):
        if _DENIED.search(part) or OPEN.search(part):
            continue
        yield from _consequences(part, pairs)
        named = {one.casefold() for one in gate_refs(part)} if GATE.search(part) else set()
        named -= {gate.casefold() for gate, _ in verdicts_in(part)}  # `against_gates` has these
        settled = _SETTLED.search(part)
        if settled and (named or _SOME_GATE.search(part)):
            asked = [pair for pair in pairs if pair[0].id.casefold() in named] if named else own
            yield from _open_ones(part, asked, ("pass", "fail"))
        elif _MET.search(part):
            yield from _open_ones(part, own, ("pass",))


def _open_ones(
    part: str, pairs: Iterable[tuple[Gate, Verdict]], wanted: Sequence[str]
) -> Iterator[str]:
    for gate, verdict in pairs:
        if verdict.holds not in wanted and gate.status not in map(_STATUSES.get, wanted):
            yield f"{part.strip()}: by the results Gate-{gate.id} is {verdict.shown}"


def _consequences(part: str, pairs: Iterable[tuple[Gate, Verdict]]) -> Iterator[str]:
    """The words of a rule, `主结果就绪`, told though another rule decides, or none."""
    for gate, verdict in pairs:
        for rule in gate.rules:
            words = re.split(r"[;；,，。(（]", plain(rule.then))[0].strip(" ✅❌🔴🟢🟡⚠️→")
            is_told = len(words) >= _LEAST and words.casefold() in part.casefold()
            is_told = is_told and not any(models_in(words))  # an order, which scores tell
            if is_told and verdict.rule != rule.if_ and gate.status not in _STATUSES.values():
                yield f"{words}: by the results Gate-{gate.id} is {verdict.shown}"


def against_data(text: str, results: Sequence[Result]) -> Iterator[str]:
    """Observed spectra that are told of though all results are of simulated ones."""
    worlds = [read_world(one.world) for one in results]
    if not worlds or not all(world and world.simulator for world in worlds):
        return
    for part in _PARTS.split(text):
        found = _OBSERVED.search(part)
        if found and not _DENIED.search(part) and not OPEN.search(part):
            yield f"{found[0]}: these results are of simulated stars"
