"""Judging a gate: its rules checked against the results of full runs, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from vitlab.contract.job import Result, VerdictWord
from vitlab.contract.value import HEADLINE, Value, judged_by, measured
from vitlab.docs.judge.budget import budget_of
from vitlab.docs.judge.checks import checks_of, control_fails, failed_phrases
from vitlab.docs.judge.comparison import Evidence, Gap, NoEvidence, Pair, fair_pair, seeds_gap
from vitlab.docs.judge.limits import (
    Check,
    against_limit,
    distance_to,
    holds,
    leads_unequally,
    pair_needs,
    value_label,
    why_open,
)
from vitlab.docs.judge.meaning import leaves_to_a_person, means_pass
from vitlab.docs.judge.needs import Needs
from vitlab.docs.judge.phrases import Phrase, phrase, phrase_list
from vitlab.docs.judge.reading import named_by, which_of, why_manual, with_known_qualifiers
from vitlab.docs.judge.seeds import Chosen, Repeats, Score, by_configuration, choose, score_of
from vitlab.docs.judge.verdict import STANDING, Verdict
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
    variant_of,
)
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.gates.rules import Rule
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.model.vocabulary import CLOSING

__all__ = ["Gate", "Person", "Rule", "Verdict", "judge", "thresholds"]

_AGAIN = "evaluate"
"""The recipe that scores another job's model."""
_CEILING = "of_ceiling"
"""Ends the name of a number that is a fraction of the ceiling."""

Person = Literal["no", "before", "since"]
"""Whether a person gave a gate its verdict with vitlab: before its newest result, or since."""


@dataclass(frozen=True)
class _Decision:
    """A verdict not yet in a language."""

    verdict: VerdictWord
    because: Phrase
    rule: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    reopens: bool = False
    needs: Needs | None = None
    void: bool = False
    """Whether a result that decides nothing stands in the way."""


def judge(
    gate: Gate,
    results: Sequence[Result],
    roadmap: Roadmap,
    evidence: Evidence = NoEvidence(),  # noqa: B008 - frozen, without fields
    person: Person = "no",
) -> Verdict:
    """Check a gate's rules against results, in their order; docs/gates.md has the formulas.

    A number is the mean over the seeds of one configuration, chosen on validation; its error is
    that of seeds and stars. Two models are compared on the stars that both were scored on, as
    `evidence` knows them; else their errors are added as independent, and the verdict says so.
    Only full runs decide, controls aside, and none that fails a check. A gate is closed by a rule
    that allows a look at every seed; a verdict in the document stands until the results contradict
    it or leave it within two standard errors; one that a `person` gave, until new results say the
    opposite. What a rule that holds says of the gate: `meaning.means_pass`.
    """
    gate = with_known_qualifiers(gate, roadmap, results)
    if all(isinstance(rule.condition, Manual) or rule.is_consequence for rule in gate.rules):
        return _verdict(gate, roadmap, _Decision("manual", why_manual(gate.rules)))
    full = [result for result in results if result.profile == "full"]
    standing = STANDING.get(gate.status or "")
    decision = _decide(gate, _Known(full, results, evidence), roadmap)
    if standing and decision.verdict == "open":
        kept = _decide(gate, _Known(full, results, evidence, stands=True), roadmap)
        decision = kept if kept.verdict == standing else decision
    is_closed = any(word in gate.status_text.casefold() for word in CLOSING)  # by a person
    agrees = decision.verdict in (standing, "manual")
    overrules = person == "no" or (person == "before" and decision.verdict in ("pass", "fail"))
    known = bool(decision.values) or decision.void
    if standing and known and not agrees and not is_closed and overrules:
        because = phrase("reopened", standing.upper(), decision.because)
        decision = replace(decision, verdict="open", because=because, rule=None, reopens=True)
    trial = [result for result in results if result.profile != "full"]
    if decision.verdict == "open" and not known and trial:
        would_be = _decide(gate, _Known(results, results, evidence), roadmap)
        if would_be.values:
            profiles = "/".join(sorted({result.profile for result in trial}))
            because = phrase("trial", profiles, phrase(would_be.verdict), would_be.because)
            decision = _Decision("open", because, None, would_be.values)
            return _verdict(gate, roadmap, decision, would_be.because)
    return _verdict(gate, roadmap, decision)


@dataclass(frozen=True)
class _Known:
    """The results that may decide, and what is known beyond them."""

    results: Sequence[Result]
    everything: Sequence[Result]
    """Results of trials too, and controls."""
    evidence: Evidence
    stands: bool = False
    """Whether a verdict is to be kept, not reached."""

    def of_mvp(self, mvp: str) -> list[Result]:
        """An MVP's results; a model scored again stands in for none of its own."""
        own = any(r.mvp == mvp and r.recipe != _AGAIN for r in self.everything)
        return [r for r in self._models if r.mvp == mvp and not (own and r.recipe == _AGAIN)]

    def of_model(self, name: str, roadmap: Roadmap) -> list[Result]:
        """The results of a model, those of models scored again only where there are no others."""
        named = [r for r in self._models if model_key(r.model_name) == model_key(name)]
        named = named_by(name, roadmap, named) if variant_of(name) else named
        return [r for r in named if r.recipe != _AGAIN] or named

    def about(self, condition: Threshold | Between, gate: Gate, roadmap: Roadmap) -> _Known:
        """What is known of what a condition's qualifier names; a gate's title names all."""
        of = condition.of
        if not of or is_model(of) or condition.delta:
            return self
        own = [r for r in self.everything if r.mvp in gate.mvps]
        named = {id(r) for r in named_by(of, roadmap, own) or own}
        return replace(self, results=[r for r in self.results if id(r) in named])

    @property
    def _models(self) -> list[Result]:
        return [r for r in self.results if not r.data.get("permuted")]

    def configurations(self, results: Sequence[Result]) -> list[Repeats]:
        return by_configuration(results, self.evidence.configuration)

    def fair_pair(
        self, gate: Gate, left: Sequence[Result], right: Sequence[Result], name: str
    ) -> Pair | None:
        """Two that can be compared; of a side that the gate's own MVPs have theirs, where it can.

        A model of another MVP, larger and worse, would else lower what the gate asks for.
        """
        for own_first in (True, False):
            ours, theirs = (
                self.configurations(
                    [one for one in side if own_first and one.mvp in gate.mvps] or side
                )
                for side in (left, right)
            )
            if (pair := fair_pair(ours, theirs, name, self.evidence)) is not None:
                return pair
        return None

    def why_unsound(self, group: Repeats) -> Phrase | None:
        """Why a configuration decides nothing; None where it may."""
        for one in group.members:
            if failed := failed_phrases(checks_of(one)):
                return phrase("unsound", one.model_name, one.run, failed[0])
        controls = [r for r in self.everything if r.mvp == group.first.mvp and control_fails(r)]
        return phrase("control_failed", controls[0].run) if controls else None


def _verdict(
    gate: Gate, roadmap: Roadmap, decision: _Decision, reason: Phrase | None = None
) -> Verdict:
    """`reason`: that of a trial, which decides nothing."""
    whole = reason or decision.because
    while whole.key == "list" and isinstance(of_rule := whole.parts[0], Phrase):
        if of_rule.key != "list":
            break
        whole = of_rule  # of the first rule alone
    first = whole.first
    standing = STANDING.get(gate.status or "")
    return Verdict(
        gate.id,
        decision.verdict,
        decision.because.text("en"),
        decision.rule,
        decision.values,
        decision.because.text(roadmap.language),
        "" if reason else first.text(roadmap.language),
        whole.text(roadmap.language) if _compares(first) else "",
        decision.reopens,
        None if decision.reopens or standing == decision.verdict else standing,
        decision.needs if decision.verdict == "open" else None,
        marked=gate.parsed is not None and not gate.parsed.verdict,
    )


def _compares(reason: Phrase) -> bool:
    """Whether a reason is the difference of two models, with what keeps it from deciding."""
    inner = reason.parts[0] if reason.key == "reason" else reason
    return isinstance(inner, Phrase) and inner.key == "gap"


def _decide(gate: Gate, known: _Known, roadmap: Roadmap) -> _Decision:
    reasons: list[Phrase] = []
    values: dict[str, float] = {}
    unread = near = void = False
    word: VerdictWord
    previous: Check | None = None
    needs: Needs | None = None
    for number, rule in enumerate(gate.rules):
        check = _check(rule.condition, gate, known, roadmap, previous)
        values.update(check.values)
        if check.holds and near:
            reasons.append(check.because)  # the rule before it may hold as well
            break
        near = near or (check.holds is None and check.readable and bool(check.values))
        if check.holds:
            passes = means_pass(gate.rules, number)
            if passes is not None:
                word = "pass" if passes else "fail"
                return _Decision(word, check.because, rule.if_, values)
            left = leaves_to_a_person(rule)
            why = phrase("for_a_person", rule.then) if left else phrase("not_said", rule.if_)
            return _Decision("manual", phrase_list([check.because, why]), rule.if_, values)
        unread, void = unread or not check.readable, void or check.void
        needs = needs or check.needs
        if check.because not in reasons:
            reasons.append(check.because)
        if previous is None or previous.holds is not None:  # else waits for all before it
            previous = check
    settled = bool(values) and unread
    reasons += [needs.phrase()] if needs else []
    word = "manual" if settled else "open"
    return _Decision(word, phrase_list(reasons), None, values, needs=needs, void=void)


def _check(
    condition: Condition,
    gate: Gate,
    known: _Known,
    roadmap: Roadmap,
    previous: Check | None,
) -> Check:
    match condition:
        case Manual(text):
            why = which_of(condition) or phrase("for_a_person", text)
            return Check(None, why, {}, readable=False)
        case Otherwise():
            if previous is None or previous.holds is None:
                return Check(None, phrase("else_waits"), {})
            return Check(True, phrase("else", previous.because), previous.values)
        case Comparison():
            return _check_comparison(condition, gate, known, roadmap)
        case Threshold() | Between() if condition.delta:
            return _check_difference(condition, gate, known, roadmap)
        case Threshold() | Between():
            return _check_threshold(condition, gate, known.about(condition, gate, roadmap))
        case OfGates():
            return _check_gates(condition, roadmap)


def _check_gates(condition: OfGates, roadmap: Roadmap) -> Check:
    """Whether other gates have passed, or failed, as the roadmap says."""
    statuses = {gate.id: gate.status for gate in roadmap.gates}
    unknown = [gate for gate in condition.gates if gate not in statuses]
    if unknown:
        return Check(None, phrase("no_gate", [f"Gate-{i}" for i in unknown]), {}, readable=False)
    wanted, other = ("done", "failed") if condition.passed else ("failed", "done")
    now = [f"Gate-{gate} ({statuses[gate] or '-'})" for gate in condition.gates]
    because = phrase("as_is", ", ".join(now))
    if all(statuses[gate] == wanted for gate in condition.gates):
        return Check(True, because, {})
    return Check(False if any(statuses[g] == other for g in condition.gates) else None, because, {})


def _check_threshold(condition: Threshold | Between, gate: Gate, known: _Known) -> Check:
    chosen, name = _deciding(gate, known, condition)
    if chosen is None:
        return _no_result(condition, gate, known, name)
    if chosen.group is None:
        return Check(None, phrase("not_chosen", chosen.cells, value_label(name)), {})
    if why := known.why_unsound(chosen.group):
        return Check(None, why, {}, void=True)
    first = chosen.group.first
    scatter = known.evidence.seed_scatter(first, name)
    score = score_of(chosen, name, scatter)
    if score is None:
        return Check(None, phrase("no_number", name, first.mvp), {}, void=True)
    if wrong := _wrong_unit(condition, name):
        return replace(wrong, values={name: score.value})
    remarks = [remark] if (remark := chosen.group.seeds_phrase(scatter)) else []
    if score.cells > 1:
        remarks.append(phrase("cells", score.cells, f"{score.optimism(score.cells):.2g}"))
    if isinstance(condition, Threshold) and condition.of_ceiling:
        return _check_share(condition, chosen.group, name, score, remarks, known)
    number = score.value
    if isinstance(condition, Threshold) and condition.absolute:
        number = abs(number)
    text = measured(number, score.error)
    shown = (
        phrase("remarked", text, phrase("comma", *remarks)) if remarks else phrase("as_is", text)
    )
    return against_limit(condition, name, score, shown, (chosen.group,), known.stands)


def _no_result(condition: Threshold | Between, gate: Gate, known: _Known, name: str) -> Check:
    whose = ", ".join(f"MVP-{i}" for i in gate.mvps) or phrase("any_mvp")
    if condition.of and is_model(condition.of):  # another MVP may have one
        return Check(None, phrase("no_full_result", whose, condition.of), {})
    twin = Value.parse(name).normalised
    if twin and any(str(twin) in r.values for r in known.results if r.mvp in gate.mvps):
        return Check(None, phrase("in_sigma", name, whose), {})
    return Check(None, phrase("no_full_result", whose, name), {})


def _wrong_unit(condition: Threshold | Between, name: str) -> Check | None:
    """For a person to judge, where a limit is in another unit than the value."""
    unit = Value.parse(name).unit
    if condition.unit is None or condition.unit == unit:
        return None
    why = phrase("unit", condition.unit, value_label(name), unit or "-")
    return Check(None, why, {}, readable=False)


def _check_share(
    condition: Threshold,
    group: Repeats,
    name: str,
    score: Score,
    remarks: Sequence[Phrase],
    known: _Known,
) -> Check:
    """A number as a fraction of the ceiling of its stars, with the errors of both."""
    ceiling = known.evidence.ceiling(group.first, name)
    if ceiling is None or ceiling.value <= 0:
        return Check(None, phrase("no_ceiling", value_label(name)), {})
    share, spread = score.value / ceiling.value, score.spread
    if spread is not None:
        spread = spread.scaled(1 / ceiling.value, share * ceiling.error / ceiling.value)
    text = measured(share, spread.error if spread else None)
    shown = phrase("of_ceiling", text, f"{ceiling.value:.4g}")
    if remarks:
        shown = phrase("remarked", shown, phrase("comma", *remarks))
    score = replace(score, value=share, spread=spread)
    check = against_limit(condition, name, score, shown, (group,), known.stands, share=True)
    return replace(check, values={f"{name}/{_CEILING}": share})


def _check_difference(
    condition: Threshold | Between, gate: Gate, known: _Known, roadmap: Roadmap
) -> Check:
    """ΔR² against a named model; for a person to judge where none is named."""
    names = {model_key(r.model_name) for r in known.results}
    if condition.of is None or model_key(condition.of) not in names:
        symbol = Value("", condition.metric).symbol
        unsaid = phrase("delta_unsaid", symbol)
        why = phrase("delta_unknown", symbol, condition.of) if condition.of else unsaid
        return Check(None, why, {}, readable=False)
    theirs = known.of_model(condition.of, roadmap)
    mine = [r for mvp in gate.mvps for r in known.of_mvp(mvp)]
    ours = [r for r in mine if model_key(r.model_name) != model_key(condition.of)]
    name = value_name(condition, judged_by(r.headline for r in ours or theirs))
    pair = known.fair_pair(gate, ours, theirs, name)
    if pair is None:
        return Check(None, phrase("no_pair", condition.of), {})
    gap = _gap(pair, name, known)
    if isinstance(gap, Check):
        return gap
    values, sides = {f"Δ{name}": gap.value}, _sides(pair, name, known)
    if wrong := _wrong_unit(condition, name):
        return replace(wrong, values=values)
    better = Value.parse(name).better
    score = Score(gap.value, gap.spread, pair.left.cells, pair.right.cells)
    groups = [side.group for side in (pair.left, pair.right) if side.group]
    check = against_limit(condition, f"Δ{name}", score, gap.phrase(), groups, known.stands)
    leads = gap.value < 0 if better and better.way == "smaller" else gap.value > 0
    reason: Phrase | None = None
    if gap.error and gap.is_one_seed:
        distance = distance_to(condition, gap.value)
        reason, check = gap.one_seed(), replace(check, needs=pair_needs(pair, gap, distance))
    elif leads_unequally(pair, leads):
        reason, check = phrase("is_unequal"), replace(check, needs=None)
    because = check.because
    if reason:
        shown = phrase("is", value_label(f"Δ{name}"), gap.phrase())
        check = replace(check, holds=None)
        because = phrase("reason", shown, reason)
    return replace(check, because=phrase_list([because, *sides]))


def _gap(pair: Pair, name: str, known: _Known) -> Gap | Check:
    """The difference of a pair; undecided where a side is not chosen or decides nothing."""
    groups = []
    for side in (pair.left, pair.right):
        if side.group is None:
            return Check(None, phrase("not_chosen", side.cells, value_label(name)), {})
        if why := known.why_unsound(side.group):
            return Check(None, why, {}, void=True)
        groups.append(side.group)
    gap = seeds_gap(groups[0], groups[1], name, known.evidence)
    assert gap is not None
    return gap


def _sides(pair: Pair, name: str, known: _Known) -> list[Phrase]:
    """What both sides of a comparison are: seeds, choice, stars, noise draws and hours."""
    sides = []
    for side in (pair.left, pair.right):
        if side.group is None:
            continue
        scatter = known.evidence.seed_scatter(side.group.first, name)
        budget = budget_of(side.group.members).phrase(side.group.model_name)
        parts = [budget, side.group.seeds_phrase(scatter)]
        parts.append(phrase("best_of_cells", side.cells) if side.cells > 1 else None)
        sides.append(phrase("comma", *(part for part in parts if part)))
    return sides


def _check_comparison(condition: Comparison, gate: Gate, known: _Known, roadmap: Roadmap) -> Check:
    sides = {name: known.of_model(name, roadmap) for name in (condition.left, condition.right)}
    missing = [name for name, side in sides.items() if not side]
    if missing:
        return Check(None, phrase("missing", missing), {})
    of_gate = [r for r in known.results if r.mvp in gate.mvps]
    name = judged_by(r.headline for r in of_gate or sides[condition.left])
    name = str(replace(Value.parse(name), metric=condition.metric)) if condition.metric else name
    pair = known.fair_pair(gate, sides[condition.left], sides[condition.right], name)
    if pair is None:
        return Check(None, phrase("unlike", condition.left, condition.right, name), {})
    gap = _gap(pair, name, known)
    if isinstance(gap, Check):
        return gap
    assert pair.left.group is not None
    assert pair.right.group is not None
    left, right = (side.group.mean(name) or 0.0 for side in (pair.left, pair.right) if side.group)
    values = {f"{condition.left}/{name}": left, f"{condition.right}/{name}": right}
    better = Value.parse(name).better
    if better is None:
        return Check(None, phrase("no_direction", value_label(name)), values, readable=False)
    mark = Value.parse(name).mark
    ours = f"{pair.left.group.model_name} {left:.4g}{mark}"
    theirs = f"{pair.right.group.model_name} {right:.4g}{mark}"
    because = phrase("gap", value_label(name), ours, theirs, gap.phrase())
    both = _sides(pair, name, known)
    gain = {"larger": gap.value, "smaller": -gap.value}.get(better.way, better.gain(left, right))
    if why := why_open(pair, gap, gain, known.stands):
        shown, needs = phrase("reason", because, why), pair_needs(pair, gap, abs(gain))
        return Check(None, phrase_list([shown, *both]), values, needs=needs)
    # `A > B` says that A is better; of an error, the smaller number is.
    return Check(holds(condition.op, gain, 0.0), phrase_list([because, *both]), values)


def _deciding(
    gate: Gate, known: _Known, condition: Threshold | Between
) -> tuple[Chosen | None, str]:
    """The configuration that decides about a gate, and its value's name.

    It is the best on validation of the gate's last MVP with such a value.
    """
    for mvp in reversed(gate.mvps):
        mine = known.of_mvp(mvp)
        named = [r for r in mine if condition.of and model_key(r.model_name) == condition.of]
        if condition.of and is_model(condition.of) and not named:
            continue  # another model's number says nothing about this one
        name = value_name(condition, judged_by(r.headline for r in named or mine))
        groups = known.configurations(named or mine)
        if fit := [g for g in groups if any(name in one.values for one in g.members)]:
            return choose(fit, name), name
    return None, value_name(condition, HEADLINE)


def value_name(condition: Threshold | Between, headline: str) -> str:
    """The value a condition is about; split and label are the headline's unless it names others."""
    judged = Value.parse(headline)
    usual = judged if judged.label else Value.parse(HEADLINE)
    split, label = condition.split or usual.split, condition.label or usual.label
    return str(Value(split, condition.metric, label))


def thresholds(gate: Gate, headline: str = HEADLINE) -> tuple[tuple[str, float], ...]:
    """(value name, level) of every threshold of a gate, for the lines of a chart."""
    limits = [rule.condition for rule in gate.rules if isinstance(rule.condition, Threshold)]
    return tuple(
        (name, limit.value)
        for limit in limits
        for name in [value_name(limit, headline)]
        if not limit.delta and not limit.of_ceiling and _wrong_unit(limit, name) is None
    )
