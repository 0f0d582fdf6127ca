"""Judging a gate: its rules held against the results of full runs, or left open with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vitlab.contract.job import Result, VerdictWord
from vitlab.contract.value import HEADLINE, LABEL, Value, judged_by
from vitlab.docs.judge.comparison import (
    Evidence,
    NoEvidence,
    fair_pair,
    far_from_best,
    gap_of,
    value_of,
)
from vitlab.docs.judge.phrases import Phrase, say, several
from vitlab.docs.model.gate_rules import (
    Between,
    Comparison,
    Condition,
    Gate,
    Manual,
    Otherwise,
    Rule,
    Threshold,
    model_key,
)
from vitlab.docs.model.roadmap import Roadmap

__all__ = ["Gate", "Rule", "Verdict", "judge", "thresholds"]

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
    """The numbers that were compared, by what they are."""
    told: str = ""
    """`because` in the document's language, for what is written into it."""


@dataclass(frozen=True)
class _Decision:
    """A verdict before it is said in a language."""

    verdict: VerdictWord
    because: Phrase
    rule: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Answer:
    """Whether one condition holds: True, False, or None for undecided."""

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
    """Hold a gate's rules against results, in their order.

    Two models are compared on the stars `evidence` says they share; without, their errors are
    added as independent ones, and the verdict says so. Only `full` results decide,
    and none whose test stars were trained on, nor a control's. A threshold or difference within
    two standard errors decides nothing. The first rule speaks for passing and later ones for
    failing, unless a rule's own words (`✅`, `❌`) say otherwise.
    """
    if not any(not isinstance(rule.condition, Manual) for rule in gate.rules):
        texts = "; ".join(rule.if_ for rule in gate.rules)
        why = say("unreadable", texts) if texts else say("no_rule")
        return _verdict(gate, roadmap, _Decision("manual", why))
    unsound = ("overlap", "permuted")
    results = [r for r in results if not any(r.data.get(key) for key in unsound)]
    full = [result for result in results if result.profile == "full"]
    decision = _decide(gate, full, evidence)
    trial = [result for result in results if result.profile != "full"]
    if decision.verdict == "open" and not decision.values and trial:
        said = _decide(gate, results, evidence)
        if said.values:
            profiles = "/".join(sorted({result.profile for result in trial}))
            would = say("trial", profiles, say(said.verdict), said.because)
            decision = _Decision("open", would, None, said.values)
    return _verdict(gate, roadmap, decision)


def _verdict(gate: Gate, roadmap: Roadmap, made: _Decision) -> Verdict:
    told = made.because.told(roadmap.language)
    return Verdict(gate.id, made.verdict, made.because.told("en"), made.rule, made.values, told)


def _decide(gate: Gate, results: Sequence[Result], evidence: Evidence) -> _Decision:
    reasons: list[Phrase] = []
    values: dict[str, float] = {}
    unread = False
    previous: _Answer | None = None
    for number, rule in enumerate(gate.rules):
        answer = _answer(rule.condition, gate, results, previous, evidence)
        values.update(answer.values)
        if answer.holds:
            word: VerdictWord = "pass" if _is_good(rule, number) else "fail"
            return _Decision(word, answer.because, rule.if_, values)
        unread = unread or not answer.readable
        if answer.because not in reasons:
            reasons.append(answer.because)
        if not isinstance(rule.condition, Otherwise):
            previous = answer
    settled = bool(values) and unread
    return _Decision("manual" if settled else "open", several(reasons), None, values)


def _is_good(rule: Rule, number: int) -> bool:
    then = rule.then.strip(" *").lower()
    if then.startswith(_GOOD):
        return True
    return False if then.startswith(_BAD) else number == 0


def _answer(
    condition: Condition,
    gate: Gate,
    results: Sequence[Result],
    previous: _Answer | None,
    evidence: Evidence,
) -> _Answer:
    match condition:
        case Manual(text):
            return _Answer(None, say("for_a_person", text), {}, readable=False)
        case Otherwise():
            if previous is None or previous.holds is None:
                return _Answer(None, say("else_waits"), {})
            return _Answer(True, say("else", previous.because), previous.values)
        case Comparison():
            return _compare(condition, gate, results, evidence)
        case Threshold() | Between():
            return _threshold(condition, gate, results, evidence)


def _threshold(
    condition: Threshold | Between, gate: Gate, results: Sequence[Result], evidence: Evidence
) -> _Answer:
    if condition.delta:
        return _difference(condition, gate, results, evidence)
    chosen, name = _chosen(gate, results, condition)
    if chosen is None:
        whose = ", ".join(f"MVP-{i}" for i in gate.mvps) or say("any_mvp")
        return _Answer(None, say("no_full_result", whose, name), {})
    value = value_of(chosen, name)
    if value is None:
        return _Answer(None, say("no_number", name, chosen.mvp), {})
    error = chosen.errors.get(name, 0.0)
    shown = say("as_is", f"{value:.4g}" + (f" ± {error:.2g}" if error else ""))
    return _held(condition, name, value, error, shown)


def _difference(
    condition: Threshold | Between, gate: Gate, results: Sequence[Result], evidence: Evidence
) -> _Answer:
    """ΔR² against a named model; one against nothing named is nobody's to guess."""
    named = condition.of and model_key(condition.of) in {model_key(r.model_name) for r in results}
    if not named or condition.of is None:
        symbol = Value("", condition.metric).symbol
        unsaid = say("delta_unsaid", symbol)
        why = say("delta_unknown", symbol, condition.of) if condition.of else unsaid
        return _Answer(None, why, {}, readable=False)
    ours = [r for r in results if r.mvp in gate.mvps and model_key(r.model_name) != condition.of]
    theirs = [r for r in results if model_key(r.model_name) == condition.of]
    name = value_name(condition, judged_by(r.headline for r in ours or theirs))
    pair = fair_pair(ours, theirs, name, evidence)
    if pair is None:
        return _Answer(None, say("no_pair", condition.of), {})
    gap = gap_of(*pair, name, evidence)
    return _held(condition, f"Δ{name}", gap.value, gap.error, gap.shown())


def _held(
    condition: Threshold | Between, name: str, value: float, error: float, number: Phrase
) -> _Answer:
    shown = say("is", _show(name), number)
    if isinstance(condition, Between):
        distance = min(abs(value - condition.low), abs(value - condition.high))
        holds, limit = (
            condition.low <= value <= condition.high,
            f"{condition.low:g}–{condition.high:g}",
        )
        because = say("in" if holds else "out", shown, limit)
    else:
        distance = abs(value - condition.value)
        holds, limit = _test(condition.op, value, condition.value), f"{condition.value:g}"
        because = say("holds" if holds else "fails", shown, condition.op, limit)
    if error and distance <= 2 * error:
        return _Answer(None, say("near", shown, limit), {name: value})
    return _Answer(holds, because, {name: value})


def _compare(
    condition: Comparison, gate: Gate, results: Sequence[Result], evidence: Evidence
) -> _Answer:
    sides = {
        name: [r for r in results if model_key(r.model_name) == name]
        for name in (condition.left, condition.right)
    }
    missing = [name for name, found in sides.items() if not found]
    if missing:
        return _Answer(None, say("missing", missing), {})
    of_gate = [r for r in results if r.mvp in gate.mvps]
    name = judged_by(r.headline for r in of_gate or sides[condition.left])
    pair = fair_pair(sides[condition.left], sides[condition.right], name, evidence)
    if pair is None:
        return _Answer(None, say("unlike", condition.left, condition.right, name), {})
    left, right = value_of(pair[0], name), value_of(pair[1], name)
    gap = gap_of(*pair, name, evidence)
    values = {f"{condition.left}/{name}": left or 0.0, f"{condition.right}/{name}": right or 0.0}
    better = Value.parse(name).better
    if better is None:
        return _Answer(None, say("no_direction", _show(name)), values, readable=False)
    ours, theirs = f"{pair[0].model_name} {left:.4g}", f"{pair[1].model_name} {right:.4g}"
    told = (_show(name), ours, theirs, gap.shown())
    gain = {"larger": gap.value, "smaller": -gap.value}.get(
        better.way, better.gain(left or 0.0, right or 0.0)
    )
    if abs(gain) <= 2 * gap.error:
        return _Answer(None, say("gap_near", *told), values)
    # `A > B` says that A is better; of an error, the smaller number is.
    return _Answer(_test(condition.op, gain, 0.0), say("gap", *told), values)


def _chosen(
    gate: Gate, results: Sequence[Result], condition: Threshold | Between
) -> tuple[Result | None, str]:
    """The result that answers for a gate, and the value it does so with.

    Of its last MVP that has one, the best on validation.
    """
    for mvp in reversed(gate.mvps):
        mine = [r for r in results if r.mvp == mvp]
        named = [r for r in mine if condition.of and model_key(r.model_name) == condition.of]
        name = value_name(condition, judged_by(r.headline for r in named or mine))
        if fit := [r for r in named or mine if name in r.values]:
            return min(fit, key=lambda r: far_from_best(r, name)), name
    return None, value_name(condition, HEADLINE)


def value_name(condition: Threshold | Between, headline: str) -> str:
    """The value a condition speaks of: the headline's split and label unless it names others."""
    judged = Value.parse(headline)
    usual = judged if judged.label else Value.parse(HEADLINE)
    split, label = condition.split or usual.split, condition.label or usual.label
    return str(Value(split, condition.metric, label))


def _test(op: str, value: float, limit: float) -> bool:
    return {">": value > limit, ">=": value >= limit, "<": value < limit, "<=": value <= limit}[op]


def _show(name: str) -> str:
    delta, name = ("Δ", name[1:]) if name.startswith("Δ") else ("", name)
    value = Value.parse(name)
    label = "" if value.label in ("", LABEL) else f" {value.label}"
    return f"{delta}{value.symbol}_{value.split}{label}"


def thresholds(gate: Gate, headline: str = HEADLINE) -> tuple[tuple[str, float], ...]:
    """(value name, level) of every threshold of a gate that can be read, for a chart's lines."""
    return tuple(
        (value_name(rule.condition, headline), rule.condition.value)
        for rule in gate.rules
        if isinstance(rule.condition, Threshold) and not rule.condition.delta
    )
