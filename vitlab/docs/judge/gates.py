"""Judging a gate: its rules checked against the results of full runs, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from vitlab.contract.job import Result, VerdictWord
from vitlab.contract.value import HEADLINE, LABEL, Value, judged_by
from vitlab.docs.judge.comparison import (
    Evidence,
    NoEvidence,
    distance_from_best,
    fair_pair,
    gap_of,
    value_of,
)
from vitlab.docs.judge.phrases import Phrase, phrase, phrase_list
from vitlab.docs.model.gates.conditions import (
    Between,
    Comparison,
    Condition,
    Manual,
    OfGates,
    Otherwise,
    Threshold,
    is_model,
    model_key,
)
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.gates.rules import Rule
from vitlab.docs.model.roadmap import Roadmap

__all__ = ["Gate", "Rule", "Verdict", "judge", "thresholds"]

_CEILING = "of_ceiling"
"""Ends the name of a number that is a fraction of the ceiling."""
_GOOD = ("✅", "通过", "pass", "🟢")
_BAD = ("❌", "🔴", "不通过", "未通过", "fail", "🚫")


@dataclass(frozen=True)
class Verdict:
    """What the results say of a gate."""

    id: str
    verdict: VerdictWord
    because: str
    """In English, for screens and commands."""
    rule: str | None = None
    """The rule that decided, as written."""
    values: Mapping[str, float] = field(default_factory=dict)
    """The numbers that were compared, by name."""
    because_in_document: str = ""
    """`because` in the document's language, for what is written into it."""


@dataclass(frozen=True)
class _Decision:
    """A verdict not yet in a language."""

    verdict: VerdictWord
    because: Phrase
    rule: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Check:
    """Whether one condition holds; None: undecided."""

    holds: bool | None
    because: Phrase
    values: Mapping[str, float]
    readable: bool = True


def judge(
    gate: Gate,
    results: Sequence[Result],
    roadmap: Roadmap,
    evidence: Evidence = NoEvidence(),  # noqa: B008 - frozen, without fields
) -> Verdict:
    """Check a gate's rules against results, in their order.

    Two models are compared on the stars that both were scored on, as `evidence` knows them; else
    their errors are added as independent, and the verdict says so. Only full runs decide, without
    controls and runs that trained on test stars. What is within two standard errors of a limit
    decides nothing. The first rule means pass and later ones fail, unless a rule says otherwise
    (`✅`, `❌`).
    """
    if all(isinstance(rule.condition, Manual) or rule.is_consequence for rule in gate.rules):
        texts = "; ".join(rule.if_ for rule in gate.rules)
        why = phrase("unreadable", texts) if texts else phrase("no_rule")
        return _verdict(gate, roadmap, _Decision("manual", why))
    unsound = ("overlap", "permuted")
    results = [r for r in results if not any(r.data.get(key) for key in unsound)]
    full = [result for result in results if result.profile == "full"]
    decision = _decide(gate, full, roadmap, evidence)
    trial = [result for result in results if result.profile != "full"]
    if decision.verdict == "open" and not decision.values and trial:
        would_be = _decide(gate, results, roadmap, evidence)
        if would_be.values:
            profiles = "/".join(sorted({result.profile for result in trial}))
            because = phrase("trial", profiles, phrase(would_be.verdict), would_be.because)
            decision = _Decision("open", because, None, would_be.values)
    return _verdict(gate, roadmap, decision)


def _verdict(gate: Gate, roadmap: Roadmap, decision: _Decision) -> Verdict:
    return Verdict(
        gate.id,
        decision.verdict,
        decision.because.text("en"),
        decision.rule,
        decision.values,
        decision.because.text(roadmap.language),
    )


def _decide(
    gate: Gate, results: Sequence[Result], roadmap: Roadmap, evidence: Evidence
) -> _Decision:
    reasons: list[Phrase] = []
    values: dict[str, float] = {}
    unread = False
    previous: _Check | None = None
    for number, rule in enumerate(gate.rules):
        check = _check(rule.condition, gate, results, roadmap, previous, evidence)
        values.update(check.values)
        if check.holds:
            word: VerdictWord = "pass" if _means_pass(rule, number) else "fail"
            return _Decision(word, check.because, rule.if_, values)
        unread = unread or not check.readable
        if check.because not in reasons:
            reasons.append(check.because)
        if not isinstance(rule.condition, Otherwise):
            previous = check
    settled = bool(values) and unread
    return _Decision("manual" if settled else "open", phrase_list(reasons), None, values)


def _means_pass(rule: Rule, number: int) -> bool:
    if rule.passes is not None:
        return rule.passes
    then = rule.then.strip(" *").lower()
    if then.startswith(_GOOD):
        return True
    return False if then.startswith(_BAD) else number == 0


def _check(
    condition: Condition,
    gate: Gate,
    results: Sequence[Result],
    roadmap: Roadmap,
    previous: _Check | None,
    evidence: Evidence,
) -> _Check:
    match condition:
        case Manual(text):
            return _Check(None, phrase("for_a_person", text), {}, readable=False)
        case Otherwise():
            if previous is None or previous.holds is None:
                return _Check(None, phrase("else_waits"), {})
            return _Check(True, phrase("else", previous.because), previous.values)
        case Comparison():
            return _check_comparison(condition, gate, results, evidence)
        case Threshold() | Between():
            return _check_threshold(condition, gate, results, evidence)
        case OfGates():
            return _check_gates(condition, roadmap)


def _check_gates(condition: OfGates, roadmap: Roadmap) -> _Check:
    """Whether other gates have passed, or failed, as the roadmap says."""
    statuses = {gate.id: gate.status for gate in roadmap.gates}
    unknown = [gate for gate in condition.gates if gate not in statuses]
    if unknown:
        return _Check(None, phrase("no_gate", [f"Gate-{i}" for i in unknown]), {}, readable=False)
    wanted, other = ("done", "failed") if condition.passed else ("failed", "done")
    now = [f"Gate-{gate} ({statuses[gate] or '-'})" for gate in condition.gates]
    because = phrase("as_is", ", ".join(now))
    if all(statuses[gate] == wanted for gate in condition.gates):
        return _Check(True, because, {})
    return _Check(
        False if any(statuses[g] == other for g in condition.gates) else None, because, {}
    )


def _check_threshold(
    condition: Threshold | Between, gate: Gate, results: Sequence[Result], evidence: Evidence
) -> _Check:
    if condition.delta:
        return _check_difference(condition, gate, results, evidence)
    chosen, name = _deciding_result(gate, results, condition)
    if chosen is None and condition.of and is_model(condition.of):
        return _Check(None, phrase("missing", [condition.of]), {})
    if chosen is None:
        whose = ", ".join(f"MVP-{i}" for i in gate.mvps) or phrase("any_mvp")
        twin = Value.parse(name).normalised
        if twin and any(str(twin) in r.values for r in results if r.mvp in gate.mvps):
            return _Check(None, phrase("in_sigma", name, whose), {})
        return _Check(None, phrase("no_full_result", whose, name), {})
    value = value_of(chosen, name)
    if value is None:
        return _Check(None, phrase("no_number", name, chosen.mvp), {})
    if wrong := _wrong_unit(condition, name):
        return replace(wrong, values={name: value})
    error = chosen.errors.get(name, 0.0)
    if isinstance(condition, Threshold) and condition.of_ceiling:
        return _check_share(condition, chosen, name, evidence)
    number = abs(value) if isinstance(condition, Threshold) and condition.absolute else value
    shown = phrase("as_is", f"{number:.4g}" + (f" ± {error:.2g}" if error else ""))
    return _check_limit(condition, name, value, error, shown)


def _wrong_unit(condition: Threshold | Between, name: str) -> _Check | None:
    """For a person to judge, where a limit is in another unit than the value."""
    unit = Value.parse(name).unit
    if condition.unit is None or condition.unit == unit:
        return None
    why = phrase("unit", condition.unit, _value_label(name), unit or "-")
    return _Check(None, why, {}, readable=False)


def _check_share(condition: Threshold, chosen: Result, name: str, evidence: Evidence) -> _Check:
    """A number as a fraction of the ceiling of its stars."""
    ceiling, value = evidence.ceiling(chosen, name), value_of(chosen, name)
    if not ceiling or value is None:
        return _Check(None, phrase("no_ceiling", _value_label(name)), {})
    share, error = value / ceiling, chosen.errors.get(name, 0.0) / ceiling
    shown = phrase("of_ceiling", f"{share:.3g}", f"{ceiling:.4g}")
    check = _check_limit(condition, name, share, error, shown)
    return replace(check, values={f"{name}/{_CEILING}": share})


def _check_difference(
    condition: Threshold | Between, gate: Gate, results: Sequence[Result], evidence: Evidence
) -> _Check:
    """ΔR² against a named model; for a person to judge where none is named."""
    named = condition.of and model_key(condition.of) in {model_key(r.model_name) for r in results}
    if not named or condition.of is None:
        symbol = Value("", condition.metric).symbol
        unsaid = phrase("delta_unsaid", symbol)
        why = phrase("delta_unknown", symbol, condition.of) if condition.of else unsaid
        return _Check(None, why, {}, readable=False)
    ours = [r for r in results if r.mvp in gate.mvps and model_key(r.model_name) != condition.of]
    theirs = [r for r in results if model_key(r.model_name) == condition.of]
    name = value_name(condition, judged_by(r.headline for r in ours or theirs))
    pair = fair_pair(ours, theirs, name, evidence)
    if pair is None:
        return _Check(None, phrase("no_pair", condition.of), {})
    gap = gap_of(*pair, name, evidence)
    if wrong := _wrong_unit(condition, name):
        return replace(wrong, values={f"Δ{name}": gap.value})
    return _check_limit(condition, f"Δ{name}", gap.value, gap.error, gap.phrase())


def _check_limit(
    condition: Threshold | Between, name: str, value: float, error: float, number: Phrase
) -> _Check:
    label = _value_label(name)
    if isinstance(condition, Threshold) and condition.absolute:
        label = f"|{label}|"
    shown = phrase("is", label, number)
    if isinstance(condition, Between):
        distance = min(abs(value - condition.low), abs(value - condition.high))
        holds, limit = (
            condition.low <= value <= condition.high,
            f"{condition.low:g}–{condition.high:g}",
        )
        because = phrase("in" if holds else "out", shown, limit)
    else:
        size = abs(value) if condition.absolute else value
        distance = abs(size - condition.value)
        holds, limit = _holds(condition.op, size, condition.value), f"{condition.value:g}"
        because = phrase("holds" if holds else "fails", shown, condition.op, limit)
    if error and distance <= 2 * error:
        return _Check(None, phrase("near", shown, limit), {name: value})
    return _Check(holds, because, {name: value})


def _check_comparison(
    condition: Comparison, gate: Gate, results: Sequence[Result], evidence: Evidence
) -> _Check:
    sides = {
        name: [r for r in results if model_key(r.model_name) == name]
        for name in (condition.left, condition.right)
    }
    missing = [name for name, side in sides.items() if not side]
    if missing:
        return _Check(None, phrase("missing", missing), {})
    of_gate = [r for r in results if r.mvp in gate.mvps]
    name = judged_by(r.headline for r in of_gate or sides[condition.left])
    pair = fair_pair(sides[condition.left], sides[condition.right], name, evidence)
    if pair is None:
        return _Check(None, phrase("unlike", condition.left, condition.right, name), {})
    left, right = value_of(pair[0], name), value_of(pair[1], name)
    gap = gap_of(*pair, name, evidence)
    values = {f"{condition.left}/{name}": left or 0.0, f"{condition.right}/{name}": right or 0.0}
    better = Value.parse(name).better
    if better is None:
        return _Check(None, phrase("no_direction", _value_label(name)), values, readable=False)
    mark = Value.parse(name).mark
    ours = f"{pair[0].model_name} {left:.4g}{mark}"
    theirs = f"{pair[1].model_name} {right:.4g}{mark}"
    parts = (_value_label(name), ours, theirs, gap.phrase())
    gain = {"larger": gap.value, "smaller": -gap.value}.get(
        better.way, better.gain(left or 0.0, right or 0.0)
    )
    if abs(gain) <= 2 * gap.error:
        return _Check(None, phrase("gap_near", *parts), values)
    # `A > B` says that A is better; of an error, the smaller number is.
    return _Check(_holds(condition.op, gain, 0.0), phrase("gap", *parts), values)


def _deciding_result(
    gate: Gate, results: Sequence[Result], condition: Threshold | Between
) -> tuple[Result | None, str]:
    """The result that decides about a gate, and its value's name.

    It is the best on validation of the gate's last MVP with such a value.
    """
    for mvp in reversed(gate.mvps):
        mine = [r for r in results if r.mvp == mvp]
        named = [r for r in mine if condition.of and model_key(r.model_name) == condition.of]
        if condition.of and is_model(condition.of) and not named:
            continue  # another model's number says nothing about this one
        name = value_name(condition, judged_by(r.headline for r in named or mine))
        if fit := [r for r in named or mine if name in r.values]:
            return min(fit, key=lambda r: distance_from_best(r, name)), name
    return None, value_name(condition, HEADLINE)


def value_name(condition: Threshold | Between, headline: str) -> str:
    """The value a condition is about; split and label are the headline's unless it names others."""
    judged = Value.parse(headline)
    usual = judged if judged.label else Value.parse(HEADLINE)
    split, label = condition.split or usual.split, condition.label or usual.label
    return str(Value(split, condition.metric, label))


def _holds(op: str, value: float, limit: float) -> bool:
    return {">": value > limit, ">=": value >= limit, "<": value < limit, "<=": value <= limit}[op]


def _value_label(name: str) -> str:
    delta, name = ("Δ", name[1:]) if name.startswith("Δ") else ("", name)
    value = Value.parse(name)
    label = "" if value.label in ("", LABEL) else f" {value.label}"
    return f"{delta}{value.symbol}_{value.split}{label}"


def thresholds(gate: Gate, headline: str = HEADLINE) -> tuple[tuple[str, float], ...]:
    """(value name, level) of every threshold of a gate, for the lines of a chart."""
    limits = [rule.condition for rule in gate.rules if isinstance(rule.condition, Threshold)]
    return tuple(
        (name, limit.value)
        for limit in limits
        for name in [value_name(limit, headline)]
        if not limit.delta and not limit.of_ceiling and _wrong_unit(limit, name) is None
    )
