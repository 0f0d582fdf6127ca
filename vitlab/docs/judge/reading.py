"""How the condition of a gate is read, in words for the one who writes it."""

from __future__ import annotations

from vitlab.contract.value import Value
from vitlab.docs.model.gates.conditions import (
    Between,
    Comparison,
    Condition,
    Manual,
    OfGates,
    Otherwise,
    Threshold,
)

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
