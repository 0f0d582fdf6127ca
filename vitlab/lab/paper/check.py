"""Holds the numbers of a draft against a lab's results."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from vitlab.contract.value import IN_SIGMA, LABEL, SIGMA, Value, unit_of
from vitlab.lab.paper.derived import gains, largest, of_two, parts_of_ceiling, same_size
from vitlab.lab.paper.draft import Draft
from vitlab.lab.paper.facts import Fact, Facts, of_highest_profile
from vitlab.lab.paper.mention import TOP, Mention
from vitlab.lab.paper.mentions import LONGEST, MOST
from vitlab.lab.paper.readings import readings
from vitlab.lab.paper.verdicts import (
    WRONG,
    Certainty,
    Checked,
    Verdict,
    bears_out,
    computed,
    contradictions,
    proven,
)

_ERRORS = ("mae", "rmse", "scatter")
"""What an error may be that is called so and no more."""
_BETWEEN_WHICH = "it is not said between which two models"
_LEAST = 0.2
"""A number below may as well be a difference."""
_TELLING = 3
"""Digits of a number from which on its match with another run is no accident."""


def check(
    draft: Draft, facts: Facts, report: Callable[[int, int], None] = lambda *_: None
) -> list[Checked]:
    """Every number of a draft with its verdict, in its order; unknown commands last.

    `report` is told how many are checked, and of how many.
    """
    each = []
    for one in draft.mentions:
        each.append((one, verdict_on(one, facts)))
        report(len(each), len(draft.mentions))
    found = _at_sizes(each, facts)
    found = list(proven(computed(found)))
    checked = [result for _, result in found]
    checked += contradictions(found)
    checked.sort(key=lambda one: one.line)
    why = "a command that is not known here: its argument was read as text"
    checked += [Checked(one.line, f"\\{one.name}", "not read", why=why) for one in draft.unknown]
    why = f"a sentence of more than {LONGEST:,} characters or {MOST} numbers"
    return checked + [Checked(line, "", "not read", why=why) for line in draft.skipped]


def verdict_on(one: Mention, facts: Facts) -> Checked:
    """What results say to a number by what is said of it alone."""
    return _Check(one, facts).verdict()


def _at_sizes(
    found: Sequence[tuple[Mention, Checked]], facts: Facts
) -> list[tuple[Mention, Checked]]:
    """The same; scores behind a size are of that size where most of them are."""
    groups: dict[tuple[int, float], dict[int, Checked]] = {}
    for at, (one, _) in enumerate(found):
        if one.near_size and one.size is None and one.kind == "score":
            sized = verdict_on(replace(one, size=one.near_size), facts)
            groups.setdefault((one.sentence, one.near_size), {})[at] = sized
    sure = {
        at: sized
        for group in groups.values()
        if bears_out([(found[at][0], sized) for at, sized in group.items()])
        for at, sized in group.items()
    }
    return [(one, sure.get(at, checked)) for at, (one, checked) in enumerate(found)]


@dataclass(frozen=True)
class _Selection:
    """Which results a number may be of."""

    mention: Mention
    facts: Facts

    def _label(self) -> str:
        one, known = self.mention, self.facts.labels
        if one.label:
            return one.label
        if one.unit == "K":
            return "T_eff"
        return LABEL if LABEL in known or not known else known[0]

    def _mine(self, everything: Iterable[Fact]) -> list[Fact]:
        one = self.mention
        newest = [f for f in everything if f.newest and not f.member and self._is_of(f)]
        mine = of_highest_profile(newest)
        if one.size is None:
            return self._sized(mine)
        sized = [fact for fact in mine if not fact.size or same_size(fact.size, one.size)]
        is_of_other = one.models and any(
            same_size(f.size, one.size) for f in everything if not self._is_of(f)
        )
        return sized or (mine if is_of_other or self._is_of_test(one.size) else [])

    def _sized(self, facts: list[Fact]) -> list[Fact]:
        """Those of the largest training sets, where the text around speaks of no others."""
        large = largest(facts)
        return facts if self.mention.grows or self._is_of_sizes(facts, large) else large

    def _is_of_sizes(self, facts: Sequence[Fact], large: Sequence[Fact]) -> bool:
        sizes = self.mention.sizes
        others = {fact.size for fact in facts} - {fact.size for fact in large}
        return sizes is None or any(same_size(x, size) for x in sizes for size in others)

    def _is_of_test(self, size: float) -> bool:
        """Whether so many stars are those of a test set, which a draft may not say.

        Those of validation are meant only of a model that was never trained on so many.
        """
        if size in self.mention.trained:
            return False
        has_run = any(self._is_of(f) and same_size(f.size or 0, size) for f in self.facts.numbers)
        kinds = ("test",) if has_run else ("test", "val")
        return any(f.value.metric in kinds and same_size(f.number, size) for f in self.facts.counts)

    def _faulty(self, label: str) -> Fact | None:
        """The number that a draft quotes, where it is no result."""
        one = self.mention
        value = Value(one.split or "test", one.metric, label)
        mine = (fact for fact in self.facts.faulty if fact.value == value and self._is_of(fact))
        return next((fact for fact in mine if one.means(fact.number)), None)

    def _is_of(self, fact: Fact) -> bool:
        return not self.mention.models or fact.model in self.mention.models

    def _is_like(self, fact: Fact) -> bool:
        """Whether a number may have been taken for the one that a draft gives."""
        metric = self.mention.metric
        return not fact.value.is_ceiling and fact.value.metric in (
            metric,
            f"{metric}_sigma",
            *IN_SIGMA,
        )

    def _answer(
        self, verdict: Verdict, fact: Fact | None = None, why: str = "",
        value: float | None = None, certainty: Certainty = "certain",
    ) -> Checked:  # fmt: skip
        value = fact.number if fact and value is None else value
        job = fact.job if fact else None
        return Checked(self.mention.line, self.mention.text, verdict, value, job, why, certainty)

    def _label_std(self, fact: Fact, label: str) -> float | None:
        """The standard deviation of the labels of a fact's own test stars."""
        own = self.facts.beside(fact, label)
        std = own.get("label_std", 0.0)
        if std <= 0 and own.get("r2", 1.0) < 1:
            std = own.get("rmse", 0.0) / math.sqrt(1 - own["r2"])
        return std if std > 0 else None

    def _right(self, fact: Fact) -> Checked:
        """The number is right; its error may not be."""
        one = self.mention
        if one.error is not None and fact.error is not None and fact.number:
            step = max(one.step, 10.0 ** (math.floor(math.log10(max(one.error, 1e-12)))))
            if abs(one.error - fact.error) > max(step, 0.3 * fact.error):
                why = f"its error is {fact.error:.2g}, not {one.error:g}"
                return self._answer("not backed", fact, why, value=fact.error)
        return self._answer("right", fact)

    def _other_unit(self, fact: Fact, label: str) -> Checked | None:
        """An error of a temperature in dex, or of a gravity in kelvin."""
        one, unit = self.mention, unit_of(label)
        if one.unit not in ("dex", "K") or not unit or one.unit == unit or one.metric == "r2":
            return None
        return self._answer("of another unit", fact, f"it is in {unit}")


@dataclass(frozen=True)
class _Check(_Selection):
    """Holds one number against them."""

    def verdict(self) -> Checked:
        """The verdict on the number, less certain where its model is only inherited.

        A number is wrong only where it is wrong in every way that its text can be read.
        """
        found = self._read()
        if found.verdict in WRONG:
            one = self.mention
            ways = [one, replace(one, size=None)] if self._is_of_test(one.size or 0) else [one]
            for other in (*ways[1:], *(other for way in ways for other in readings(way))):
                if (again := _Check(other, self.facts)._read()).verdict == "right":
                    return again
            if one.kind in ("difference", "percent", "ratio") and not one.near and one.sentence:
                return self._answer("not checked", why=_BETWEEN_WHICH)
        return found

    def _read(self) -> Checked:
        """The verdict on the number as it is most likely meant."""
        one = self.mention
        found = {
            "score": self._score,
            "ceiling": self._ceiling,
            "share": lambda: self._part_of_ceiling(one.models),
            "difference": self._between,
            "percent": self._between,
            "ratio": self._between,
            "rest": self._rest,
            "gap": self._gap,
            "count": self._count,
        }[one.kind]()
        unsure = found.verdict in WRONG and (one.inherited or not one.models)
        if unsure and found.certainty == "certain" and one.kind != "ceiling":
            return replace(found, certainty="likely")
        return found

    # Scores

    def _score(self) -> Checked:
        one, label = self.mention, self._label()
        if one.metric == "error":
            ways = [_Check(replace(one, metric=name), self.facts)._score() for name in _ERRORS]
            right = next((way for way in ways if way.verdict == "right"), ways[0])
            return right if right.verdict == "right" else replace(right, certainty="likely")
        split = one.split or "test"
        everything = self.facts.of(one.metric, label, split)
        if one.inherited and everything and not any(map(self._is_of, everything)):
            return _Check(replace(one, models=()), self.facts)._score()
        if one.metric == "label_std":
            everything = everything or self.facts.of(one.metric, label, "test")
        mine = self._mine(everything)
        if one.of_seed:
            single = [f for f in everything if f.member and f.newest and self._is_of(f)]
            if same := next((fact for fact in single if one.means(fact.number)), None):
                return self._answer("right", same)
        if one.unit == SIGMA and (own := self.facts.of(f"{one.metric}_sigma", label, split)):
            mine = self._mine(own)
        elif (found := self._in_units(mine, label)) is not None:
            return found
        for fact in mine:
            if one.means(fact.number):
                return self._other_unit(fact, label) or self._right(fact)
        if near := [fact for fact in mine if one.nearly(fact.number)]:
            best = min(near, key=lambda fact: abs(fact.number - one.value))
            return self._answer("rounded wrongly", best)
        return self._elsewhere(mine, everything, label)

    def _elsewhere(self, mine: Sequence[Fact], everything: Sequence[Fact], label: str) -> Checked:
        """Where a number that is not the one expected comes from."""
        one = self.mention
        if fact := self._faulty(label):
            why = f"it is of {fact.job}, which is no result: {fact.fault}"
            return self._answer("not backed", _should(mine, fact), why)
        older = [f for f in everything if not f.newest and self._is_of(f) and one.means(f.number)]
        if older:
            should = _should(mine, older[-1])
            return self._answer("stale", should, f"it is of {older[-1].job}, since run anew")
        for fact in everything:
            if fact.member and fact.newest and self._is_of(fact) and one.means(fact.number):
                why = f"it is one seed of {fact.member} ({fact.job}); their mean is quoted"
                return self._answer("of another run", _should(mine, fact), why)
        if one.digits >= _TELLING:
            for fact in self.facts.numbers:
                if self._is_like(fact) and one.means(fact.number):
                    why = f"it is {_name(fact)} of {fact.model} ({fact.job})"
                    return self._answer("of another run", _should(mine, fact), why)
        if not any(fact.value.metric == one.metric for fact in self.facts.numbers):
            return self._answer(
                "not checked", why=f"no result has {Value('test', one.metric).symbol}"
            )
        if not one.models and (not mine or abs(one.value) < _LEAST):
            return self._answer("not checked", why="it is not said of which model it is")
        if not everything:
            name = Value(one.split or "test", one.metric, label).short
            return self._answer("not backed", None, f"no result has {name}", certainty="unsure")
        if not mine:
            of = " ".join(one.models) or "that size"
            size = f" with {one.size:,.0f} training stars" if one.size else ""
            return self._answer("not backed", None, f"no result of {of}{size}")
        return self._answer("not backed", _only(mine), _told(mine))

    def _in_units(self, mine: Sequence[Fact], label: str) -> Checked | None:
        """An error in standard deviations of its label, called so or not; None for all others."""
        one = self.mention
        if one.metric not in IN_SIGMA:
            return None
        called_sigma = one.unit == SIGMA
        for fact in mine:
            std = self._label_std(fact, label)
            is_sigma = std is not None and one.means(fact.number / std)
            if std is None or (not is_sigma and not one.means(fact.number)):
                continue
            if is_sigma == called_sigma:
                if not is_sigma and (other := self._other_unit(fact, label)):
                    return other
                return self._answer("right", fact, value=fact.number / std if is_sigma else None)
            if one.means(fact.number) and not called_sigma:
                return None
            unit = unit_of(label) or "the label's unit"
            in_sigma = f"in standard deviations of the label ({std:.3g} {unit})"
            why = f"it is {in_sigma if is_sigma else f'in {unit}'}"
            value = fact.number / std if called_sigma else fact.number
            return self._answer("of another unit", fact, why, value)
        return None

    def _rest(self) -> Checked:
        """What a model leaves unexplained: 1 - R², in percent."""
        one = self.mention
        score = replace(one, kind="score", value=1 - one.value / 100, step=one.step / 100)
        found = _Check(score, self.facts)._score()
        value = None if found.value is None else 100 * (1 - found.value)
        return replace(found, value=value)

    def _gap(self) -> Checked:
        """What a model lacks of the ceiling, in percent of it."""
        share = replace(self.mention, kind="share", value=100 - self.mention.value)
        found = _Check(share, self.facts)._read()
        return replace(found, value=None if found.value is None else 100 - found.value)

    # What follows from scores

    def _ceiling(self) -> Checked:
        one = self.mention
        label = self._label()
        names = [f for f in self.facts.numbers if f.value.is_ceiling and f.value.label == label]
        names = [f for f in names if f.value.metric.startswith("r2") and f.newest]
        if not names:
            return self._answer("not backed", None, "the lab has no ceiling", certainty="unsure")
        for fact in names:
            if one.means(fact.number):
                return self._answer("right", fact)
        near = [fact for fact in names if one.nearly(fact.number)]
        if near:
            return self._answer("rounded wrongly", near[0])
        whole = [f for f in names if (f.value.split, f.value.metric) == ("ceiling", "r2_bayes")]
        return self._answer("not backed", _only(whole), _told(whole or names))

    def _part_of_ceiling(self, models: tuple[str, ...]) -> Checked:
        """A share of the ceiling, or the distance to it."""
        own, label = _Check(replace(self.mention, models=models), self.facts), self._label()
        mine = own._mine(self.facts.of("r2", label, "test"))
        share = self.mention.kind == "share"
        parts = parts_of_ceiling(mine, self.facts, label, share=share)
        return self._derived(parts, "the lab has no ceiling for it")

    def _between(self) -> Checked:
        """A difference, a ratio or a difference in percent of two models, or a gain of one."""
        one, label = self.mention, self._label()
        models = tuple(name for name in one.models if name != TOP)
        is_alone = len(models) == 1 and one.kind == "difference" and TOP not in one.models
        if is_alone and not one.between and (gain := self._gain_unsaid(label)):
            return gain
        if len(models) < (1 if one.between or TOP in one.models else 2):
            return self._answer("not checked", why=_BETWEEN_WHICH)
        if TOP in one.models:
            return self._part_of_ceiling(models)
        if len(models) > 2:
            pairs = combinations(models, 2)
            found = [_Check(replace(one, models=pair), self.facts)._between() for pair in pairs]
            return next((x for x in found if x.verdict == "right"), found[0])
        scores = self.facts.of(one.metric, label, one.split or "test")
        everything = of_highest_profile(f for f in scores if f.newest and not f.member)
        if one.between:
            mine = [fact for fact in everything if self._is_of(fact)]
            return self._derived(gains(mine, one.between), "no result at these sizes")
        if one.size:
            everything = [f for f in everything if same_size(f.size, one.size)]
        everything = self._sized(everything)
        first, second = ([f for f in everything if f.model == name] for name in models)
        if not first or not second:
            missing = models[0] if not first else models[1]
            return self._answer("not backed", None, f"no result of {missing}", certainty="unsure")
        derived = of_two(one.kind, first, second, is_less=one.is_less, sizes=one.at_sizes)
        return self._derived(derived, "it does not follow from the results")

    def _gain_unsaid(self, label: str) -> Checked | None:
        """What one model gains between two training sizes that are not said; None for no such."""
        one = self.mention
        scores = self.facts.of(one.metric, label, one.split or "test")
        newest = [f for f in scores if f.newest and not f.member and self._is_of(f)]
        mine = of_highest_profile(newest)
        pairs = combinations(mine if self._is_of_sizes(mine, largest(mine)) else (), 2)
        found = [(abs(a.number - b.number), a) for a, b in pairs]
        same = [(gain, a) for gain, a in found if abs(gain - one.value) <= one.step * (1 + 1e-6)]
        return self._answer("right", same[0][1], value=same[0][0]) if same else None

    def _derived(self, numbers: Sequence[tuple[float, Fact]], none: str) -> Checked:
        """A number that drafts compute from rounded ones: within one unit of its last digit."""
        one, size = self.mention, abs(self.mention.value)
        for number, fact in numbers:
            if abs(size - number) <= one.step * (1 + 1e-6):
                return self._answer("right", fact, value=number)
        if not numbers:
            return self._answer("not backed", None, none, certainty="unsure")
        told = ", ".join(f"{number:.3g}" for number, _ in numbers[:3])
        if len(numbers) > (2 if one.kind == "percent" else 1):
            return self._answer("not backed", None, f"results give {told}")
        number, of = numbers[0]
        return self._answer("not backed", of, f"results give {told}", number)

    def _count(self) -> Checked:
        one = self.mention
        names = {"stars": ("train", "val", "test"), "size": ("train", "params")}.get(
            one.metric, (one.metric,)
        )
        everything = [f for f in self.facts.counts if f.value.metric in names]
        mine = of_highest_profile(f for f in everything if not one.models or f.model in one.models)
        for fact in mine:
            if one.means(fact.number):
                return self._answer("right", fact)
        others = [fact for fact in everything if one.means(fact.number)]
        if others and (not one.models or one.inherited):
            return self._answer("right", others[0])
        if one.is_open or (not one.models and (others or not one.is_own)):
            return self._answer("not checked", why="it is not said of which model it is")
        if others and one.metric != "seeds":
            why = f"it is of {others[0].model} ({others[0].job})"
            return self._answer("of another run", _only(mine), why)
        if not mine or one.metric == "stars" or (one.metric == "seeds" and one.inherited):
            return self._answer("not checked", why="no result counts this")
        return self._answer("not backed", _only(mine), _told(mine), certainty="likely")


def _should(mine: Sequence[Fact], taken: Fact) -> Fact | None:
    """What a draft should say where it took another number: that of the same run, or size."""
    same = [fact for fact in mine if fact.job == taken.job]
    return _only(same or [fact for fact in mine if fact.size == taken.size] or mine)


def _only(facts: Sequence[Fact]) -> Fact | None:
    """The fact, where all say the same number."""
    return facts[0] if len({fact.number for fact in facts}) == 1 else None


def _told(facts: Sequence[Fact]) -> str:
    numbers = list(dict.fromkeys(f"{fact.number:.4g}" for fact in facts))
    more = f" and {len(numbers) - 3} more" if len(numbers) > 3 else ""
    return f"results say {', '.join(numbers[:3])}{more}"


def _name(fact: Fact) -> str:
    profile = "" if fact.profile == "full" else f" ({fact.profile})"
    size = f" at {fact.size:,} stars" if fact.size else ""
    return f"{fact.value.printed}{size}{profile}"
