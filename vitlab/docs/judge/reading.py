"""How the condition of a gate is read, in words for the one who writes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from vitlab.contract.job import Result
from vitlab.contract.value import Value
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

    A qualifier that is no model of the lab's must stand in the gate's title, in the name of one of
    its MVPs, or of a run or a model there; else the number would be that of all stars. Nor is it
    certain which number is meant where one MVP's name alone has it and a later one has results.
    """
    mine = [r for r in results if r.mvp in gate.mvps]
    full = [r for r in mine if r.profile == "full"] or mine
    names = [gate.title, *(mvp.name for mvp in roadmap.mvps if mvp.id in gate.mvps)]
    names += [name for r in mine for name in (r.run, r.model_name)]

    def is_known(condition: Condition) -> bool:
        if not isinstance(condition, Threshold | Between) or condition.delta or not condition.of:
            return True
        if is_model(condition.of):
            return True
        if refs := roadmap.ids.refs(condition.of):
            return set(refs) <= {*gate.mvps}
        if not any(_names(condition.of, one) for one in names):
            return False
        named = named_by(condition.of, roadmap, full)
        by_mvp = not any(_names(condition.of, f"{r.run} | {r.model_name}") for r in named)
        last = max((gate.mvps.index(r.mvp) for r in full), default=-1)
        return not (named and by_mvp) or any(r.mvp == gate.mvps[last] for r in named)

    rules = [
        r if is_known(r.condition) else replace(r, condition=Manual(r.if_)) for r in gate.rules
    ]
    return replace(gate, rules=tuple(rules))


def named_by(qualifier: str, roadmap: Roadmap, results: Sequence[Result]) -> list[Result]:
    """Those results that a qualifier names: by their MVP's id, their run or model, or its name.

    A variant of a model (`ViT-noivar`) may be named without the model.
    """
    if refs := roadmap.ids.refs(qualifier):
        return [r for r in results if (r.mvp,) == refs]
    if own := [r for r in results if _names(qualifier, f"{r.run} | {r.model_name}")]:
        return own
    named = _mvps_named(qualifier, roadmap)
    return [r for r in results if r.mvp in named]


def named_in_gate(
    qualifier: str, gate: Gate, roadmap: Roadmap, results: Sequence[Result]
) -> Sequence[Result]:
    """Those of a gate's results that a qualifier names; all where only the gate's title has it.

    The MVP whose name has it may have no result yet: then none.
    """
    if named := named_by(qualifier, roadmap, results):
        return named
    return [] if _mvps_named(qualifier, roadmap) & {*gate.mvps} else results


def _mvps_named(qualifier: str, roadmap: Roadmap) -> set[str]:
    return {mvp.id for mvp in roadmap.mvps if _names(qualifier, mvp.name)}


def _names(qualifier: str, text: str) -> bool:
    """Whether a text has a qualifier's words, whatever stands between them, or its variant's."""
    for words in (qualifier, variant_of(qualifier)):
        found = r"[\W_]*".join(re.escape(word) for word in re.findall(r"[^\W_]+", words))
        if found and re.search(rf"(?<![a-z0-9]){found}(?![a-z0-9])", text, re.I):
            return True
    return False
