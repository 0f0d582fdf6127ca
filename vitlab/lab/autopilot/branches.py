"""What gates open and stop: which MVP waits for which gate, and how each gate stands."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vitlab.docs.judge.meaning import means_pass
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.ids import gate_refs
from vitlab.docs.model.roadmap import Roadmap, launch_order, passed_over
from vitlab.docs.model.vocabulary import STRUCK
from vitlab.docs.text.inline import plain

Standing = Literal["pass", "fail", "open", "manual", "waits"]
"""Of a gate: `waits` while an MVP that decides it has no full result yet, `open` after that."""
_ID = r"(?:MVP[-–—_ ]?[A-Za-z0-9][\w.-]*|\d[\w.-]*)"
_IDS = re.compile(rf"{_ID}(?:\s*(?:[/~、+&]|and|和|与|及|以及)\s*{_ID})*", re.I)
_CLAUSE_END = re.compile(r"[;；。,，+]|\.\s|\s(?:and|then)\s|(?<!^)(?:并且?|同时|然后|接着)")
_AGAINST = re.compile(
    r"\b(?:not?|never|none|skip\w*|cancel\w*|drop\w*|stop\w*|clos\w*|abandon\w*|postpone\w*|defer\w*"
    r"|delay\w*|hold|pause\w*|wait\w*|later|optional\w*|or|if|instead|without|obsolete|superfluous"
    r"|remove\w*|replace\w*)\b|n't|[不无没未勿免停或若如暂缓待删替代]|取消|跳过|放弃|终止|关闭|推迟|延|可选"
    r"|备选|以后|讨论|考虑",
    re.I,
)
"""Words of a clause by which an MVP may not be what is started."""
_ENDS = re.compile(r"\W*(?:stop|停止?|终止|止损|放弃)?\W*", re.I)
"""What may stand before an arrow: what ends."""
_FLOW = re.compile(r"→|⇒|(?<![-=])[-=]+>")
_START = re.compile(
    r"(?:[^:：]*[:：]\s*)?"  # what it is about: `another architecture: MVP-3.0`
    r"(?:(?:now|also|next|then|first|directly)\s+)?"
    r"(?:(?:go(?: on| ahead)?(?: with| to)?|continue(?: with| to)?|proceed(?: to| with)?"
    r"|(?:move|go)(?: on)? to|(?:start|begin)(?: with)?|launch|run|do|enter|open|unlock|train|try"
    r"|test|execute|(?:switch|turn|advance|on) to|work on)\s+(?:the\s+)?"
    r"|(?:直接|立即|马上|优先|全力|下一步|则|就|可以)*(?:进入|启动|开始|执行|继续|推进|开展|进行|做|跑|运行|训练|尝试"
    r"|试|转[向到入]?|切换?到|改[做跑]|开启|解锁|到|去)*\s*)?"
    rf"{_IDS.pattern}",
    re.I,
)
"""A clause that says to start MVPs."""
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
    unclear: str = ""
    """What follows from it, where that names an MVP and does not say to start it."""

    @property
    def key(self) -> str:
        """Its name in the autopilot's file."""
        return f"{self.roadmap}#{self.id}"

    @property
    def line(self) -> str:
        """`Gate-2 is not decided yet`."""
        told = f": {self.unexplained}" if self.unexplained else ""
        if self.unclear:
            told = f": {self.unclear!r} does not say to start it"
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

    What a rule says to start is launched once that rule holds. What belongs to a gate, or decides
    it, is not launched after it has failed; what belongs to it without deciding it, neither while
    it is open or left to a person.
    """
    found: dict[str, GateFact] = {}
    for gate in roadmap.gates:
        fact, verdict = facts[gate.id], verdicts[gate.id]
        named, opened, unclear = _named(roadmap, gate, verdict)
        for mvp in named - opened:
            found.setdefault(mvp, replace(fact, unclear=unclear.get(mvp, "")))
        own = {mvp.id for mvp in roadmap.mvps if gate.id in gate_refs(mvp.gate or "")}
        if fact.standing == "fail":
            left = own | set(gate.mvps)
        else:
            left = own - set(gate.mvps) if fact.standing in ("open", "manual") else set()
        for mvp in left - opened:
            found.setdefault(mvp, fact)
    return found


def _named(
    roadmap: Roadmap, gate: Gate, verdict: Verdict
) -> tuple[set[str], set[str], Mapping[str, str]]:
    """The MVPs that a gate's rules name, those to start by how it was decided, and the others.

    Of the others, which those rules name too, with what is said of them: `skip MVP-3.0`.
    """
    known = {mvp.id for mvp in roadmap.mvps}
    named: set[str] = set()
    opened: set[str] = set()
    unclear: dict[str, str] = {}
    for number, rule in enumerate(gate.rules):
        then = set(roadmap.ids.refs(rule.then)) & known - set(gate.mvps)
        named |= then
        if (says := means_pass(gate.rules, number)) is None:
            continue  # a person decides
        passes = "pass" if says else "fail"
        by_rule = verdict.by_hand or rule.is_consequence or verdict.rule in (None, rule.if_)
        if verdict.holds == passes and by_rule:
            opened |= then & to_start(roadmap, rule.then)
            unclear |= dict.fromkeys(then, rule.then)
    return named, opened, unclear


def to_start(roadmap: Roadmap, then: str) -> set[str]:
    """The MVPs that a consequence says to start: `go on with MVP-2.0`, `进入 MVP-2.0`, `MVP-2.0`.

    None whose words may say anything else: `skip MVP-3.0`, `MVP-4.0 instead of MVP-3.0`.
    """
    text = re.sub(r"\s+", " ", plain(STRUCK.sub(" ", then)))
    for mvp, name in roadmap.names.items():
        if name:
            told = rf"({re.escape(mvp)})\s*[:：(（-]*\s*{re.escape(plain(name))}\s*[)）]?(?!\w)"
            text = re.sub(told, r"\1", text, flags=re.I)
    found: set[str] = set()
    starts = True
    for clause in _CLAUSE_END.split(text):
        *before, last = _FLOW.split(clause)
        words = re.sub(r"^[^\w]+|[^\w]+$", "", last)
        mvps = roadmap.ids.refs(words)
        ends = " ".join(before)
        if not mvps:
            starts = starts and not _AGAINST.search(clause)
            continue
        if before or not _IDS.fullmatch(words):  # ids alone are told by what stands before
            lead = words[: max(words.find(":"), words.find("："), 0)]
            is_against = _AGAINST.search(lead) or (
                _AGAINST.search(ends) and not _ENDS.fullmatch(ends)
            )
            starts = not is_against and _START.fullmatch(words) is not None
        found |= set(mvps) if starts else set()
    return found


_IF_FAILED = re.compile(r"fail|unless|失败|[不未]通过|除非|do(?:n't| not)", re.I)
"""What waits for a gate is not to be launched after it has passed."""


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
        and not _IF_FAILED.search(why)
        and all(gate in facts and facts[gate].standing == "pass" for gate in gates)
        and all(status.get(one, "done") == "done" for one in roadmap.ids.refs(why) if one != mvp)
    }
    waiting = [one.id for one in launch_order(roadmap, opened | set(trials))]
    return waiting, {mvp: why for mvp, why in over.items() if mvp not in opened}
