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
    its MVPs, or of a run or a model there; else the number would be that of all stars.
    """
    names = [
        gate.title,
        *(f"MVP-{mvp.id} {mvp.name}" for mvp in roadmap.mvps if mvp.id in gate.mvps),
    ]
    names += [name for r in results if r.mvp in gate.mvps for name in (r.run, r.model_name)]
    known = " ".join(map(_letters, names))

    def is_known(condition: Condition) -> bool:
        if not isinstance(condition, Threshold | Between) or condition.delta or not condition.of:
            return True
        return is_model(condition.of) or _letters(condition.of) in known

    rules = [
        r if is_known(r.condition) else replace(r, condition=Manual(r.if_)) for r in gate.rules
    ]
    return replace(gate, rules=tuple(rules))


def _letters(name: str) -> str:
    """A name without what stands between its words, for comparing."""
    return re.sub(r"[\W_]+", "", name.casefold())
