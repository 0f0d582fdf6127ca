"""What gates open and stop: which MVP waits for which gate, and how each gate stands."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from vitlab.docs.judge.meaning import means_pass
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.ids import gate_refs
from vitlab.docs.model.roadmap import Roadmap, launch_order, passed_over

Standing = Literal["pass", "fail", "open", "manual", "waits"]
"""Of a gate: `waits` while an MVP that decides it has no full result yet, `open` after that."""
_SAYS: Mapping[Standing, str] = {
    "fail": "failed",
    "open": "is open: it needs you",
    "manual": "needs you",
    "waits": "is not decided yet",
}


@dataclass(frozen=True)
class GateFact:
    """How a gate of a roadmap stands."""

    roadmap: str
    id: str
    standing: Standing
    because: str = ""
    because_in_document: str = ""
    """The same in the language of its roadmap."""
    unsupported: str = ""
    """What the results say of one that a person decided otherwise; empty where they agree."""
    rules: str = ""
    """As written."""
    unexplained: str = ""
    """What is wrong with its verdict in the document, which is not followed."""
    mvps: Sequence[str] = ()
    """Those that decide it."""

    @property
    def key(self) -> str:
        """Its name in the autopilot's file."""
        return f"{self.roadmap}#{self.id}"

    @property
    def line(self) -> str:
        """`Gate-2 is not decided yet`."""
        told = f": {self.unexplained}" if self.unexplained else ""
        return f"Gate-{self.id} {_SAYS.get(self.standing, 'passed')}{told}"


def gate_facts(
    roadmap: Roadmap,
    name: str,
    verdicts: Mapping[str, Verdict],
    full: frozenset[str],
    unexplained: Mapping[str, str] | None = None,
) -> dict[str, GateFact]:
    """Each gate by its id. `full`: the MVPs with a result of a full run.

    `unexplained`: what is wrong with the verdicts in the document that are not followed.
    """
    facts = {}
    for gate in roadmap.gates:
        verdict = verdicts[gate.id]
        standing: Standing = verdict.holds
        if standing in ("open", "manual") and not (gate.mvps and full >= set(gate.mvps)):
            standing = "waits"
        rules = "; ".join(f"{rule.if_} → {rule.then}" for rule in gate.rules)
        if wrong := (unexplained or {}).get(gate.id):
            facts[gate.id] = GateFact(
                name, gate.id, "manual", wrong, rules=rules, unexplained=wrong, mvps=gate.mvps
            )
            continue
        says = f"by the results it is {verdict.verdict}: {verdict.because}"
        unsupported = says if verdict.by_hand else ""
        why = verdict.because, verdict.because_in_document
        own = (*why, unsupported, rules)
        facts[gate.id] = GateFact(name, gate.id, standing, *own, mvps=gate.mvps)
    return facts


def stopped(
    roadmap: Roadmap, facts: Mapping[str, GateFact], verdicts: Mapping[str, Verdict]
) -> dict[str, GateFact]:
    """The MVPs that a gate keeps from being launched, each with the first such gate.

    What a rule names is launched once that rule holds. What belongs to a gate, or decides it, is
    not launched after it has failed; what belongs to it without deciding it, neither while it is
    open or left to a person.
    """
    found: dict[str, GateFact] = {}
    for gate in roadmap.gates:
        fact, verdict = facts[gate.id], verdicts[gate.id]
        named, opened = _named(roadmap, gate, verdict)
        for mvp in named - opened:
            found.setdefault(mvp, fact)
        own = {mvp.id for mvp in roadmap.mvps if gate.id in gate_refs(mvp.gate or "")}
        if fact.standing == "fail":
            left = own | set(gate.mvps)
        else:
            left = own - set(gate.mvps) if fact.standing in ("open", "manual") else set()
        for mvp in left - opened:
            found.setdefault(mvp, fact)
    return found


def _named(roadmap: Roadmap, gate: Gate, verdict: Verdict) -> tuple[set[str], set[str]]:
    """The MVPs that follow from a gate's rules, and those that follow from how it was decided."""
    known = {mvp.id for mvp in roadmap.mvps}
    named: set[str] = set()
    opened: set[str] = set()
    for number, rule in enumerate(gate.rules):
        then = set(roadmap.ids.refs(rule.then)) & known - set(gate.mvps)
        named |= then
        if (says := means_pass(gate.rules, number)) is None:
            continue  # a person decides
        passes = "pass" if says else "fail"
        by_rule = verdict.by_hand or rule.is_consequence or verdict.rule in (None, rule.if_)
        if verdict.holds == passes and by_rule:
            opened |= then
    return named, opened


def order(
    roadmap: Roadmap, facts: Mapping[str, GateFact], trials: Collection[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """The MVPs in the plan's own order, and those the plan passes over, with why.

    One that waits for gates is launched after they have passed, and after the MVPs it names. One
    of the `trials`, which has run at a smaller size alone, is launched though it is analysed.
    """
    status = {mvp.id: mvp.status for mvp in reversed(roadmap.mvps)}
    over = {one.id: one.why for one in passed_over(roadmap)}
    opened = {
        mvp
        for mvp, why in over.items()
        if (gates := gate_refs(why))
        and all(gate in facts and facts[gate].standing == "pass" for gate in gates)
        and all(status.get(one, "done") == "done" for one in roadmap.ids.refs(why) if one != mvp)
    }
    waiting = [one.id for one in launch_order(roadmap, opened | set(trials))]
    return waiting, {mvp: why for mvp, why in over.items() if mvp not in opened}
