"""How the condition of a gate is read, in words for the one who writes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from vitlab.contract.job import Result
from vitlab.contract.value import Value
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.model.gates.conditions import (
    Between,
    Comparison,
    Condition,
    Manual,
    OfGates,
    Otherwise,
    Threshold,
    is_model,
    variant_of,
)
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.gates.rules import Rule
from vitlab.docs.model.roadmap import Roadmap

MANUAL = "manual: you decide"
_BETTER = {
    ">": "better than",
    ">=": "at least as good as",
    "<": "worse than",
    "<=": "at most as good as",
}


def condition_words(condition: Condition) -> str:
    """`test R² of log_g >= 0.6 dex`; what is not named is the headline's of the runs."""
    match condition:
        case Threshold(op=op, value=limit):
            if condition.of_ceiling:
                return f"{_subject(condition)} {op} {100 * limit:g}% of the ceiling"
            return f"{_subject(condition)} {op} {limit:g}{_unit(condition)}"
        case Between(low=low, high=high):
            return f"{_subject(condition)} from {low:g} to {high:g}{_unit(condition)}"
        case Comparison(left=left, op=op, right=right):
            return f"{left} is {_BETTER.get(op, op)} {right}"
        case OfGates(gates=gates, passed=passed):
            names = ", ".join(f"Gate-{gate}" for gate in gates) or "the gate itself"
            return f"{names} {'passed' if passed else 'failed'}"
        case Otherwise():
            return "otherwise"
        case Manual():
            return MANUAL


def _subject(condition: Threshold | Between) -> str:
    """`|bias| of T_eff`, `difference of val R² to lightgbm`."""
    symbol = Value("", condition.metric).symbol
    if isinstance(condition, Threshold) and condition.absolute:
        symbol = f"|{symbol}|"
    label = f" of {condition.label}" if condition.label else ""
    words = f"{condition.split or ''} {symbol}{label}".strip()
    if condition.delta:
        return f"difference of {words}" + (f" to {condition.of}" if condition.of else "")
    return f"{condition.of}: {words}" if condition.of else words


def _unit(condition: Threshold | Between) -> str:
    return f" {condition.unit}" if condition.unit else ""


def with_known_qualifiers(gate: Gate, roadmap: Roadmap, results: Sequence[Result]) -> Gate:
    """A gate whose rules on what nothing names are left to a person: `giants R² > 0.5`.

    A qualifier that is no model of the lab's must stand in the gate's title, in the name of its
    MVP, or of a run or a model there; else the number would be that of all stars. Of a gate of
    several MVPs the name of one does not tell whose number is meant: a leak that a later one ends.
    """
    mine = [r for r in results if r.mvp in gate.mvps]
    runs = [name for r in mine for name in (r.run, r.model_name)]
    of_mvps = [mvp.name for mvp in roadmap.mvps if mvp.id in gate.mvps]

    def left(rule: Rule) -> Manual | None:
        one = rule.condition
        if not isinstance(one, Threshold | Between) or one.delta or not one.of or is_model(one.of):
            return None
        if refs := roadmap.ids.refs(one.of):
            return None if set(refs) <= {*gate.mvps} else Manual(rule.if_)
        if any(_names(one.of, run) for run in runs):
            return None
        if any(_names(one.of, name) for name in of_mvps):
            return Manual(rule.if_, one.of, gate.mvps) if len(gate.mvps) > 1 else None
        return None if _names(one.of, gate.title) else Manual(rule.if_)

    rules = [replace(rule, condition=left(rule) or rule.condition) for rule in gate.rules]
    return replace(gate, rules=tuple(rules))


def which_of(condition: Condition) -> Phrase | None:
    """That it is not said whose number a condition is of; None where that is not the reason."""
    if not isinstance(condition, Manual) or not condition.among:
        return None
    return phrase("which_of", ", ".join(f"MVP-{mvp}" for mvp in condition.among), condition.of)


def why_manual(rules: Sequence[Rule]) -> Phrase:
    """Why all rules of a gate are left to a person."""
    texts = "; ".join(rule.if_ for rule in rules)
    told = filter(None, (which_of(rule.condition) for rule in rules))
    return next(told, phrase("unreadable", texts) if texts else phrase("no_rule"))


def named_by(qualifier: str, roadmap: Roadmap, results: Sequence[Result]) -> list[Result]:
    """Those results that a qualifier names: by their MVP's id, their run or model, or its name.

    A variant of a model (`ViT-noivar`) may be named without the model.
    """
    if refs := roadmap.ids.refs(qualifier):
        return [r for r in results if (r.mvp,) == refs]
    if own := [r for r in results if _names(qualifier, f"{r.run} | {r.model_name}")]:
        return own
    named = {mvp.id for mvp in roadmap.mvps if _names(qualifier, mvp.name)}
    return [r for r in results if r.mvp in named]


def _names(qualifier: str, text: str) -> bool:
    """Whether a text has a qualifier's words, whatever stands between them, or its variant's."""
    for words in (qualifier, variant_of(qualifier)):
        found = r"[\W_]*".join(re.escape(word) for word in re.findall(r"[^\W_]+", words))
        if found and re.search(rf"(?<![a-z0-9]){found}(?![a-z0-9])", text, re.I):
            return True
    return False
