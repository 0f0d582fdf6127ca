"""What an assistant may say of results: what vitlab tells, and what a draft's numbers may say."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

from vitlab.contract.job import Result, ended_well
from vitlab.contract.paths import UsageError
from vitlab.docs.judge.verdict import Verdict
from vitlab.docs.lint.sentences import is_cited
from vitlab.docs.lint.stated import profile_of
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.inline import plain
from vitlab.docs.text.source import Document
from vitlab.lab.conclusions.counted import Counts
from vitlab.lab.conclusions.held import Held, held
from vitlab.lab.conclusions.numbers import Written, in_digits, rounds_to, spelled_out, written
from vitlab.lab.conclusions.statements import against_data, against_gates, against_verdicts
from vitlab.lab.lab import Lab
from vitlab.lab.paper.check import verdict_on
from vitlab.lab.paper.draft import draft_of
from vitlab.lab.paper.facts import Facts, facts_of
from vitlab.lab.paper.mention import Mention
from vitlab.lab.paper.names import models_in
from vitlab.lab.paper.verdicts import WRONG, Checked, computed
from vitlab.lab.paper.words import METRIC, OF_SEEDS
from vitlab.lab.results.job_results import Finished, all_results, finished
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.results.repeats import Group, grouped
from vitlab.lab.writeback.writeback import MvpUpdate

_MARKUP = re.compile(
    r"<!--|-->|^(?:#|```|~~~|<|\||>|---|===|[-*+] |\d+[.)] )|\s\|\s|[✅❌☑🔴🟢🚀🔆⏳]"
)
"""What would hide or change the rest of a document, or stands for a status in it."""
_SCORES = 0.2, 1.0
_TELLING = 3
"""Digits of a number between these from which on it is a score, where no metric is named."""
_CLAUSE = re.compile(r"[;；。]|(?<!\bal)\.\s|[,，](?!\s?(?:19|20)\d\d)")
_YEAR = re.compile(r"(?<=[(（ ])(?:19|20)\d\d(?=[)）])")
"""Of a paper that is named."""
_LIMIT = re.compile(
    r"[<>≤≥]|\b(?:above|below|over|under|between|limit|threshold|criterion|target|exceeds?|reach\w*|rule"
    r"|requires?|needs?|from)\b|阈值|门槛|低于|高于|超过|达到|判据|标准|要求",
    re.I,
)
_OF_SEEDS = re.compile(
    rf"{OF_SEEDS.pattern}|\bseeds?\s?=?\s?\d|\b(?:range|scatter|spread|between|best of|worst of)\b"
    r"|种子\s?\d|种子间|范围|之间",
    re.I,
)
"""In a sentence that may tell the numbers of single seeds."""
_SHOWN = 3
"""Doubts of one reason that are shown."""
NOTHING = "no result, so nothing to conclude"


def check_conclusion(
    lab: Lab,
    update: MvpUpdate,
    text: str,
    gates: Sequence[Gate] = (),
    verdicts: Sequence[Verdict] = (),
) -> tuple[str, ...]:
    """`UsageError` for a conclusion without a result, or with what no result bears out.

    And for numbers of trials alone that are not marked as such. What of it could not be read.
    """
    ran = [job.spec.profile for job in update.jobs if ended_well(job.state)]
    if not update.conclusion or not ran:
        raise UsageError(f"{update.summary}: {NOTHING}")
    ground = Ground(
        lab, f"MVP-{update.mvp}", update.conclusion, finished(update.jobs), gates, verdicts
    )
    unread = _checked(ground, text)
    numbers = [one.text for one in written(text)]
    if "full" not in ran and numbers and profile_of(text) == "full":
        raise UsageError(f"{numbers[0]}: is of a trial: write ({ran[-1]}) behind it")
    return unread


def check_because(
    lab: Lab, gate: Gate, verdict: Verdict, results: Iterable[Finished], text: str
) -> tuple[str, ...]:
    """`UsageError` for a reason of a gate that no result of its MVPs bears out."""
    return _checked(_ground_of_gate(lab, gate, verdict, results), text)


def doubts_of_reason(
    lab: Lab, roadmap: Roadmap, kind: str, target: str, results: Sequence[Finished], reason: str
) -> tuple[str, ...]:
    """What no result bears out of the reason for a proposal, which a person reads; a line each.

    `kind`, `target`: of the proposal. A launch may be for any of its roadmap's results, and counts
    what it would run.
    """
    verdicts = verdicts_of(lab, roadmap, results)
    told = " ".join(one.because for one in verdicts)
    gates = [gate for gate in roadmap.gates if (kind, target) == ("gate", gate.id)]
    wanted = {target} if kind in ("results", "status") else {x for gate in gates for x in gate.mvps}
    mine = [one for one in results if not wanted or one.result.mvp in wanted]
    what = f"{'Gate' if kind == 'gate' else 'MVP'}-{target}"
    ground = Ground(lab, what, told, mine, roadmap.gates, verdicts, kind == "launch")
    found = [f"in its reason: {one}" for one in dict.fromkeys(ground.doubts(reason))]
    more = f"in its reason: {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return (*found[:_SHOWN], *filter(None, [more]))


def _ground_of_gate(lab: Lab, gate: Gate, verdict: Verdict, results: Iterable[Finished]) -> Ground:
    """What a reason for a gate is held against."""
    mine = [one for one in results if not gate.mvps or one.result.mvp in gate.mvps]
    told = f"{verdict.because} {verdict.because_in_document}"
    return Ground(lab, f"Gate-{gate.id}", told, mine, (gate,), (verdict,))


def _checked(ground: Ground, text: str) -> tuple[str, ...]:
    """`UsageError` for the first thing that is wrong; what could not be read."""
    if (match := _MARKUP.search(text)) is not None:
        raise UsageError(
            f"{match[0].strip()}: write a sentence, without marks of sections, tables and code"
        )
    for wrong in ground.doubts(text):
        raise UsageError(wrong)
    return tuple(f"not checked: {one}" for one in ground.orders(text).unchecked)


@dataclass(frozen=True)
class Ground:
    """What a text about an MVP or a gate is held against."""

    lab: Lab
    what: str
    """`MVP-1.0` or `Gate-1`."""
    told: str
    """What vitlab itself says of it."""
    mine: Sequence[Finished]
    gates: Sequence[Gate] = ()
    verdicts: Sequence[Verdict] = ()
    is_plan: bool = False
    """Whether its counts are those of what is to be run."""

    def doubts(self, text: str) -> Iterator[str]:
        """What no result bears out, the first first; nothing of vitlab's own words."""
        if text and text in self.told:
            return
        wrong, backed = self._claims(text)
        unknown = dict(self._numbers(text, backed))
        yield from unknown.values()
        if said := spelled_out(text):
            yield f"{said}: write numbers in digits, as 0.75"
        yield from (said for one, said in wrong if not one.endswith(tuple(unknown)))
        yield from self.orders(text).wrong
        yield from against_gates(text, self.gates, self.verdicts)
        mvp = self.what.removeprefix("MVP-")
        yield from against_verdicts(text, mvp, self.gates, self.verdicts)
        yield from against_data(text, [one.result for one in self.mine])

    def orders(self, text: str) -> Held:
        """What results say to its orders; nothing to vitlab's own words."""
        return Held((), ()) if text in self.told else held(text, *self._facts)

    def _numbers(self, text: str, backed: Sequence[float]) -> Iterator[tuple[str, str]]:
        """The numbers that no result has, each with what is said of it."""
        known = {one.text for one in in_digits(self.told)}
        values = [*self._values, *backed]
        for one in written(text):
            if _YEAR.match(text, one.start):
                continue
            part = _part(text, one)
            if is_cited(part) and not any(models_in(part)):
                continue
            if (is_so := self._counts.is_so(text, one, plan=self.is_plan)) is not None:
                if not is_so:
                    counts = text[one.start : self._counts.end_of(text, one)].strip()
                    yield counts, f"{counts}: no result of {self.what} has this number"
                continue
            if one.text in known or (one.text in self._limits and _LIMIT.search(part)):
                continue
            ways = values + (self._of_seeds if _OF_SEEDS.search(text) else [])
            if not any(rounds_to(value, one.text) for value in ways):
                yield one.text, f"{one.text}: no result of {self.what} has this number"

    def _claims(self, text: str) -> tuple[list[tuple[str, str]], list[float]]:
        """What results say is wrong in it: another model's number, or one of other seeds or stars.

        And the numbers that they say though none has them: differences, counts, other models'.
        Those of a model that is named may be the lab's; all others are of the MVP.
        """
        wrong: list[tuple[str, str]] = []
        backed: list[float] = []
        own_words = " ".join(plain(self.told).split())
        found: list[tuple[Mention, Checked]] = []
        has_metric, of_seeds = METRIC.search(text) is not None, _OF_SEEDS.search(text) is not None
        for one in draft_of(Document(text)).mentions:
            if one.kind == "score" and one.is_guess and not has_metric and _is_score(one):
                one = replace(one, metric="r2", is_guess=False, is_bare=False, is_loose=False)
                one = replace(one, others=(), metrics=(), labels=())
            one = replace(one, of_seed=one.of_seed or of_seeds)
            is_of_lab = (one.models and not one.inherited) or one.kind == "ceiling"
            ways = [verdict_on(one, each) for each in self._facts[: 2 if is_of_lab else 1]]
            found.append((one, next((way for way in ways if way.verdict == "right"), ways[-1])))
        for one, said in computed(found):
            if said.verdict == "right":
                backed.append(one.value)
            elif said.verdict in WRONG and one.text not in own_words:
                right = "" if said.value is None else f", {said.value:.4g} is right"
                why = said.why or "by the results"
                wrong.append((one.text, f"{one.text}: {said.verdict}{right} ({why})"))
        return wrong, backed

    @cached_property
    def _facts(self) -> tuple[Facts, Facts]:
        """Of its own results, and of the lab's."""
        return facts_of(self.mine), facts_of(all_results(self.lab))

    @cached_property
    def _groups(self) -> Sequence[Group]:
        return grouped(self.mine)

    @cached_property
    def _values(self) -> list[float]:
        """Of each run, of several seeds of their means alone."""
        return list(_values(group.as_one() for group in self._groups))

    @cached_property
    def _of_seeds(self) -> list[float]:
        """Of single seeds, and how these scatter."""
        several = [group for group in self._groups if len(group.members) > 1]
        members = (one.result for group in several for one in group.members)
        scatters = [group.repeats.scatter(name) for group in several for name in group.first.values]
        return [*_values(members), *(one.value for one in scatters if one is not None)]

    @cached_property
    def _limits(self) -> set[str]:
        rules = " ".join(rule.if_ for gate in self.gates for rule in gate.rules)
        return {one.text for one in in_digits(rules)}

    @cached_property
    def _counts(self) -> Counts:
        return Counts(self._groups, *self._facts, self.told)


def _part(text: str, one: Written) -> str:
    """The part of a sentence in which a number stands."""
    cuts = [0, *(found.end() for found in _CLAUSE.finditer(text)), len(text)]
    start = max(cut for cut in cuts if cut <= one.start)
    return text[start : min(cut for cut in cuts if cut > one.start)]


def _is_score(one: Mention) -> bool:
    low, high = _SCORES
    return low <= one.value <= high and one.digits >= _TELLING


def _values(results: Iterable[Result]) -> Iterator[float]:
    for one in results:
        numbers = chain(one.values.values(), one.errors.values(), one.n.values())
        yield from (float(number) for number in numbers if number is not None)
