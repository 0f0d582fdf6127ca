"""What results say to the orders, trends and ceilings that a text tells."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from vitlab.contract.value import IN_SIGMA, LABEL, Value
from vitlab.lab.conclusions.orders import BEST, NUMBER, WORST, Order, orders_in
from vitlab.lab.paper.derived import limits_of
from vitlab.lab.paper.facts import Fact, Facts, of_highest_profile
from vitlab.lab.paper.names import models_in
from vitlab.lab.paper.words import METRIC, OPEN

_SURELY = 2.0
"""Errors beyond which a difference is one, where it is denied, and a ceiling is not reached."""
_TIMES = 0.15
"""Part by which a ratio may differ from the `twice` that is told."""
_ERRORS = ("mae", "rmse")
"""What an error may be that is called so and no more."""
_RISES = r"ris(?:es?|ing)|rose|gr(?:ows?|ew)|increas(?:es?|ed)|climbs?"
_FALLS = r"falls?|fell|drops?|dropped|decreas(?:es?|ed)|declin(?:es?|ed)|shrinks?"
_WITH_SIZE = (
    r"(?:with|as|for|by|from)\s(?:the\s|an?\s)?(?:N\b|N_train|more|larger"
    r"|training|number of|sample)"
)
_TREND = re.compile(
    rf"\b(?:(?P<up>{_RISES})|(?P<down>{_FALLS})|(?P<better>improv(?:es?|ed)|gets? better)"
    rf"|(?P<worse>worsens?|degrades?|gets? worse))\b[^,;.]{{0,30}}?\b{_WITH_SIZE}"
    r"|随着?\s?(?:N|训练|样本|数据|恒星|规模)[^，。；]{0,12}?(?:(?P<zh_up>上升|升高|提高|增大)"
    r"|(?P<zh_down>下降|降低|减小)|(?P<zh_better>改善|变好|提升)|(?P<zh_worse>变差|恶化))",
    re.I,
)
_AT_CEILING = re.compile(
    r"(?<!\bof )(?:\b(?:is|are|was|sits|lies|performs|works)\s(?:already\s|now\s)?at"
    r"|\breach(?:es|ed)?|\bhits?|\battain(?:s|ed)?|\bmatch(?:es|ed)|\bsaturates?|\btouch(?:es|ed)|\bequals)\s(?:the\s)?"
    r"(?:(?:Bayes(?:ian)?|theoretical|information)\s){0,2}(?:ceiling|upper limit|bound)\b"
    r"|(?:已?经?达到|触及|到达|等于)了?\s?(?:理论|Bayes\s?|贝叶斯)?上限",
    re.I,
)
_DENIED = re.compile(r"\b(?:not|no|never|neither|nor|cannot)\b|n[’']t\b|没有|未|不", re.I)
_PARTS = re.compile(r"[;；。，]|[,.](?=\s|$)")
_SHOWN = 100
"""Letters of a clause that are shown."""


@dataclass(frozen=True)
class Held:
    """What results say to a text."""

    wrong: tuple[str, ...]
    """Each as it is told, with the numbers that say otherwise."""
    unchecked: tuple[str, ...]
    """What seems to tell an order, and is not read or has no result."""


@dataclass(frozen=True)
class _Score:
    number: float
    error: float


def held(text: str, mine: Facts, everywhere: Facts) -> Held:
    """The orders, trends and ceilings of a text; `mine`: of the MVP that it is about."""
    wrong: list[str] = []
    orders, unchecked = orders_in(text)
    ground = _Ground(mine, everywhere)
    told: list[tuple[str, str | None]] = [(one.text, ground.against(one)) for one in orders]
    for part in _PARTS.split(text):
        if not OPEN.search(part):
            told += [(part.strip(), said) for said in ground.in_part(part)]
    for said, against in told:
        if against is None:
            unchecked.append(said)
        elif against:
            wrong.append(f"{said[:_SHOWN]}: results say otherwise: {against}")
    return Held(tuple(wrong), tuple(dict.fromkeys(unchecked)))


@dataclass(frozen=True)
class _Ground:
    mine: Facts
    everywhere: Facts

    def against(self, one: Order) -> str | None:
        """The numbers that an order contradicts; empty where none does, None where none tells."""
        metrics = _ERRORS if one.metric == "error" else (one.metric,)
        found = [self._against(one, x) for x in metrics if x in ("r2", *IN_SIGMA)]
        return next((x for x in found if x == ""), next((x for x in found if x), None))

    def _against(self, one: Order, metric: str) -> str | None:
        better = 1 if metric == "r2" else -1
        sign = one.sign * (better if one.by_value else 1)
        if one.object == NUMBER:
            return self._against_limit(one, metric)
        scores = self._scores(one, metric)
        if one.object in (BEST, WORST):
            return _against_best(one, scores, metric)
        if one.sizes and not {one.subject, one.object} <= self._models(metric):
            missing = {one.subject, one.object} - self._models(metric)
            return f"no result of {' and '.join(sorted(missing))} here"
        first, second = scores.get(one.subject), scores.get(one.object)
        if first is None or second is None or one.subject == one.object:
            return None
        numbers = _shown(metric, first, second)
        if not math.isnan(one.number):
            return _against_times(one, first, second, numbers, self)
        lead = (first.number - second.number) * better * sign
        if one.denied:
            return numbers if lead > _SURELY * math.hypot(first.error, second.error) else ""
        return numbers if lead < 0 else ""

    def _against_limit(self, one: Order, metric: str) -> str | None:
        """Of `R² is above 0.70` the number that is not."""
        if not math.isnan(one.told):
            holds = (one.told - one.number) * one.sign > 0
            return "" if holds is not one.denied else f"{one.told:g} and {one.number:g}"
        scores = _best_of(self._facts(one, metric, self.mine), metric)
        if one.subject and one.subject not in scores:
            scores = _best_of(self._facts(one, metric, self.everywhere), metric)
        mine = [x for name, x in scores.items() if one.subject in ("", name)]
        if not mine:
            return None
        for score in mine:
            beyond = (score.number - one.number) * one.sign
            if (beyond <= _SURELY * score.error) if one.denied else beyond > 0:
                return ""
        return f"{_named(metric)} {mine[0].number:.3f}"

    def _scores(self, one: Order, metric: str) -> Mapping[str, _Score]:
        """Those of the MVP where it has all models that are compared, else of the lab."""
        mine = _best_of(self._facts(one, metric, self.mine), metric)
        asked = {one.subject, *one.others} if one.object in (BEST, WORST) else None
        asked = asked or {one.subject, one.object}
        if asked <= set(mine) and len(mine) > 1:
            return mine
        every = _best_of(self._facts(one, metric, self.everywhere), metric)
        if one.object not in (BEST, WORST):
            return every
        among = asked | set(mine)
        return {k: x for k, x in every.items() if k in among} if len(among) > 1 else every

    def _models(self, metric: str) -> set[str]:
        return {one.model for one in self.mine.of(metric, LABEL, "test")}

    def _facts(self, one: Order, metric: str, facts: Facts) -> Sequence[Fact]:
        return facts.of(metric, one.label, one.split)

    def in_part(self, part: str) -> Iterator[str | None]:
        """What is against the trends and ceilings that a part of a sentence tells."""
        if (found := _TREND.search(part)) and not _DENIED.search(part):
            yield self._against_trend(part, found)
        if _AT_CEILING.search(part) and not _DENIED.search(part):
            yield self._against_ceiling(part)

    def _against_trend(self, part: str, found: re.Match[str]) -> str | None:
        """Of `R² falls with N` the models whose score does not, from the fewest to the most."""
        metric = next((x.lastgroup for x in METRIC.finditer(part)), "r2")
        metric = metric if metric in ("r2", *IN_SIGMA) else "r2"
        names = {one.name for one in models_in(part)}
        said = {name.removeprefix("zh_") for name, value in found.groupdict().items() if value}
        by_value = bool(said & {"up", "down"})
        sign = 1 if said & {"up", "better"} else -1
        sign *= 1 if by_value or metric == "r2" else -1
        ends = list(_ends(self.mine.of(metric, LABEL, "test"), names))
        if not ends:
            return None
        if any((last.number - first.number) * sign > 0 for first, last in ends):
            return ""
        first, last = ends[0]
        sizes = f"with {first.size:,} and {last.size:,} stars"
        return f"{_named(metric)} {first.number:.3f} and {last.number:.3f} {sizes}"

    def _against_ceiling(self, part: str) -> str | None:
        names = {one.name for one in models_in(part)}
        facts = self.mine if not names or names & self._models("r2") else self.everywhere
        tops = limits_of(self.everywhere, LABEL)
        mine = [x for x in facts.of("r2", LABEL, "test") if x.newest and not x.member]
        mine = [x for x in mine if x.job in tops and (not names or x.model in names)]
        for one in mine:
            top = tops[one.job]
            reach = _SURELY * math.hypot(one.error or 0.0, top.error or 0.0)
            if top.number - one.number <= reach:
                return ""
        return f"R2 {mine[0].number:.3f} of {tops[mine[0].job].number:.3f}" if mine else None


def _best_of(facts: Iterable[Fact], metric: str) -> Mapping[str, _Score]:
    """The best score of each model at its highest profile."""
    found: dict[str, _Score] = {}
    better = max if metric == "r2" else min
    for one in of_highest_profile(x for x in facts if x.newest and not x.member):
        score = _Score(abs(one.number) if metric == "bias" else one.number, one.error or 0.0)
        old = found.get(one.model, score)
        found[one.model] = better(old, score, key=lambda x: x.number)
    return found


def _ends(facts: Iterable[Fact], names: set[str]) -> Iterator[tuple[Fact, Fact]]:
    """Of each model its score with the fewest and with the most training stars."""
    by_model: dict[str, list[Fact]] = {}
    for one in of_highest_profile(x for x in facts if x.newest and not x.member and x.size):
        if not names or one.model in names:
            by_model.setdefault(one.model, []).append(one)
    for own in by_model.values():
        own.sort(key=lambda one: one.size or 0)
        if own[0].size != own[-1].size:
            yield own[0], own[-1]


def _against_best(one: Order, scores: Mapping[str, _Score], metric: str) -> str | None:
    sign = (1 if metric == "r2" else -1) * (1 if one.object == BEST else -1)
    mine = scores.get(one.subject)
    others = {
        name: x
        for name, x in scores.items()
        if name != one.subject and not (one.baselines and name == "vit")
    }
    if mine is None or not others:
        return None
    name = max(others, key=lambda name: others[name].number * sign)
    lead = (mine.number - others[name].number) * sign
    numbers = f"{_shown(metric, mine, others[name])} ({name})"
    if one.denied:
        surely = _SURELY * math.hypot(mine.error, others[name].error)
        return numbers if lead > surely else ""
    return numbers if lead < 0 else ""


def _against_times(
    one: Order, first: _Score, second: _Score, numbers: str, ground: _Ground
) -> str | None:
    """Of `twice as good`: neither scores nor errors have that ratio."""
    ratios = [first.number / second.number] if second.number > 0 else []
    if not one.by_value:
        for name in _ERRORS:
            errors = ground._scores(one, name)
            if one.subject in errors and one.object in errors and errors[one.subject].number > 0:
                ratios.append(errors[one.object].number / errors[one.subject].number)
    if not ratios:
        return None
    is_so = any(abs(ratio / one.number - 1) <= _TIMES for ratio in ratios)
    return "" if is_so is not one.denied else numbers


def _named(metric: str) -> str:
    return Value("test", metric).metric.upper()


def _shown(metric: str, first: _Score, second: _Score) -> str:
    return f"{_named(metric)} {first.number:.3f} and {second.number:.3f}"
