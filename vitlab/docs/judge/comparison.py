"""Comparing two results: which pair is fair, their difference and its error."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import fmean
from typing import Protocol

from vitlab.contract.job import Result, base_name
from vitlab.contract.value import measured
from vitlab.contract.world import same_spectra
from vitlab.docs.judge.budget import budget_of, is_unequal
from vitlab.docs.judge.ceiling import Ceiling, Share
from vitlab.docs.judge.errors import SeedScatter, Spread, stars_error
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.judge.seeds import Chosen, Repeats, choose

_SAME = 1e-6
"""Of a value: a paired difference that, with its error, is smaller is none but that of rounding."""


@dataclass(frozen=True)
class Gap:
    """One configuration's value minus another's."""

    value: float
    error: float
    """Standard error over stars and seeds; 0 where it is not known."""
    stars: int = 0
    """Stars that both were scored on; 0: not known, the errors were added as independent."""
    is_one_seed: bool = False
    """Whether a side has one seed, and what another seed would change is not known."""
    spread: Spread | None = None
    """The parts of the error; None of two single results, or where it is not known."""
    is_same: bool = False
    """Whether both predict the same for the stars they share, to `_SAME` of the value."""
    of_one_seed: str = ""
    """The side that has one seed where the other has several; empty where both have one."""

    @property
    def is_noise(self) -> bool:
        """Whether it is within 2 errors of zero; a gate asks for more."""
        return self.is_same or abs(self.value) <= 2 * self.error

    def phrase(self) -> Phrase:
        """`+0.052 ± 0.004 (on the same 10000 stars)`, or `(independent errors)`."""
        number = "0" if self.is_same else measured(self.value, self.error, signed=True)
        if self.stars:
            return phrase("paired", number, self.stars)
        return phrase("independent", number) if self.error else phrase("as_is", number)

    def verdict(self, unequal: bool = False) -> Phrase:
        """What keeps it from being a difference of the models, after a colon; else nothing."""
        key = next((key for key, true in (
            ("is_same", self.is_same), ("is_noise", self.is_noise),
            ("is_one_seed", self.is_one_seed), ("is_unequal", unequal),
        ) if true), None)  # fmt: skip
        why = self.one_seed() if key == "is_one_seed" else phrase(key) if key else None
        return phrase("reason", "", why) if why else phrase("as_is", "")

    def one_seed(self) -> Phrase:
        """That a side has one seed, and which where the other has several."""
        name = self.of_one_seed
        return phrase("has_one_seed", name) if name else phrase("is_one_seed")


@dataclass(frozen=True)
class Ranking:
    """How the best result of an experiment compares with everything else that is known."""

    best: Result | None = None
    """The best configuration, its seeds as one; None: that of `best_result`."""
    runs: int = 1
    """Configurations compared."""
    seeds: int = 1
    """Of the best; from two on its numbers are means and their errors the scatter."""
    stars: bool = True
    """Whether their errors are over test stars too."""
    second: str = ""
    """The runner-up's name."""
    lead: Gap | None = None
    """Best minus runner-up on the test set; None where they cannot be compared."""
    baseline: str = ""
    """The best of another model on the same stars; empty for none."""
    over: Gap | None = None
    """Best minus baseline."""
    budgets: tuple[Phrase, ...] = ()
    """What best and baseline were bought with; the runner-up where that is another model."""
    unequal: bool = False
    """Whether the one that is ahead of the two had too much more of it."""
    optimism: float = 0.0
    """By how much the choice among `runs` may have raised the best."""
    ceiling: Ceiling | None = None
    share: Share | None = None
    """The fraction of the ceiling that is reached."""
    leak: bool = False
    """Whether it is above the ceiling by more than chance."""
    failed: tuple[Phrase, ...] = ()
    """Checks of the best result that fail, the ceiling aside."""
    missing: tuple[str, ...] = ()
    """Runs that ended without a result."""
    left_out: tuple[Phrase, ...] = ()
    """Configurations that are not compared, as their numbers are no results, and why."""

    def phrases(self) -> list[Phrase]:
        """What the conclusion adds to the number itself."""
        phrases = []
        if self.seeds > 1:
            phrases.append(phrase("mean_of" if self.stars else "mean_of_seeds", self.seeds))
        if self.runs > 1 and self.lead is None:
            phrases.append(phrase("alone_of", self.runs))
        elif self.runs > 1 and self.lead is not None:
            lead = self.lead.phrase(), self.lead.verdict(self.unequal and self.over is None)
            phrases.append(phrase("first_of", self.runs, self.second, *lead))
            phrases += self.budgets if self.over is None else ()
        if self.runs > 1 and self.optimism:
            phrases.append(phrase("optimism", f"{self.optimism:.2g}"))
        if self.over is not None:
            over = self.over.phrase(), self.over.verdict(self.unequal)
            phrases += [phrase("against", self.baseline, *over), *self.budgets]
        if self.ceiling is not None and self.leak:
            phrases.append(phrase("over_ceiling", str(self.ceiling)))
        elif self.ceiling is not None and self.share is not None:
            phrases.append(phrase("of_ceiling", str(self.share), str(self.ceiling)))
        phrases += [phrase("not_a_result", one) for one in (*self.failed, *self.left_out)]
        if self.missing:
            phrases.append(phrase("no_result_of", ", ".join(self.missing)))
        return phrases


@dataclass(frozen=True)
class Bound:
    """The most any model can reach on the stars of a result."""

    value: float
    error: float = 0.0
    """Its own standard error."""


class Evidence(Protocol):
    """What is known beyond the results themselves."""

    def gap(self, left: Result, right: Result, name: str) -> Gap | None:
        """The difference on the stars both were scored on; None where that is not known."""
        ...

    def same_population(self, left: Result, right: Result) -> bool:
        """Whether both test sets, though different, are drawn from one distribution of stars."""
        ...

    def ceiling(self, result: Result, name: str) -> Bound | None:
        """The most any model can reach on the stars of a result; None where not known."""
        ...

    def configuration(self, result: Result) -> str:
        """Equal for results that differ in their seed alone."""
        ...

    def seed_scatter(self, result: Result, name: str) -> SeedScatter | None:
        """How a value scatters over seeds in models of its kind; None where not known."""
        ...


@dataclass(frozen=True)
class NoEvidence:
    """Nothing: stars are not matched."""

    def gap(self, left: Result, right: Result, name: str) -> Gap | None:  # noqa: ARG002
        return None

    def same_population(self, left: Result, right: Result) -> bool:  # noqa: ARG002
        return False

    def ceiling(self, result: Result, name: str) -> Bound | None:  # noqa: ARG002
        return None

    def configuration(self, result: Result) -> str:
        parts = result.mvp, result.profile, result.recipe, result.model_name, base_name(result.run)
        return "/".join((*parts, str(result.n.get("train"))))

    def seed_scatter(self, result: Result, name: str) -> SeedScatter | None:  # noqa: ARG002
        return None


def gap_of(
    left: Result,
    right: Result,
    name: str,
    evidence: Evidence = NoEvidence(),
) -> Gap:
    """The paired difference, else that of the values with independent errors; of stars alone."""
    paired = evidence.gap(left, right, name)
    if paired is not None:
        return paired
    a, b = left.values[name], right.values[name]
    errors = stars_error(left, name), stars_error(right, name)
    error = 0.0 if None in errors else math.hypot(*(x or 0.0 for x in errors))
    return Gap((a or 0.0) - (b or 0.0), error)


def seeds_gap(
    left: Repeats,
    right: Repeats,
    name: str,
    evidence: Evidence,
    between: Callable[[Result, Result], Gap | None] | None = None,
) -> Gap | None:
    """The difference of the means over seeds; its error is that of stars and seeds together.

    `between`: of two single results, `gap_of` when None; None where one of theirs is.
    """
    same = len(left.members) == len(right.members)
    couples = list(
        zip(left.members, right.members, strict=True)
        if same
        else product(left.members, right.members)
    )
    gaps = [between(a, b) if between else gap_of(a, b, name, evidence) for a, b in couples]
    known = [gap for gap in gaps if gap is not None]
    if not known or len(known) < len(gaps):
        return None
    sides = [
        side.seed_mean(name, evidence.seed_scatter(side.first, name)) for side in (left, right)
    ]
    value, stars = fmean(gap.value for gap in known), [gap.error for gap in known]
    shared, one_seed = min(gap.stars for gap in known), None in sides
    names = _names_apart(left, right)
    lone = [name for name, side in zip(names, sides, strict=True) if side is None]
    of = lone[0] if len(lone) == 1 else ""
    scale = max(abs(side.mean(name) or 0.0) for side in (left, right))
    same = shared > 0 and all(abs(gap.value) + gap.error <= _SAME * scale for gap in known)
    if not all(stars):
        return Gap(value, 0.0, shared, one_seed, is_same=same, of_one_seed=of)
    spread = Spread(fmean(stars), tuple(side for side in sides if side))
    return Gap(value, spread.error, shared, one_seed, spread, same, of)


def _names_apart(left: Repeats, right: Repeats) -> tuple[str, str]:
    """The models' names, or the runs' where both are of one model."""
    if left.model_name != right.model_name:
        return left.model_name, right.model_name
    return base_name(left.first.run), base_name(right.first.run)


@dataclass(frozen=True)
class Pair:
    """Two configurations that can be compared, each the best on validation of its side."""

    left: Chosen
    right: Chosen


def fair_pair(
    left: Sequence[Repeats], right: Sequence[Repeats], name: str, evidence: Evidence
) -> Pair | None:
    """Two configurations on the same test data, else on one population; None without any.

    Of several pairs: those bought with as much first, then of equal training sizes, the largest.
    """
    usable = [
        (a, b) for a in left for b in right if a.mean(name) is not None and b.mean(name) is not None
    ]
    pairs = [(a, b) for a, b in usable if same_stars(a.first, b.first)]
    pairs = pairs or [(a, b) for a, b in usable if evidence.same_population(a.first, b.first)]
    if not pairs:
        return None
    most = max(map(_fairness, pairs))
    pairs = [pair for pair in pairs if _fairness(pair) == most]
    ours = choose(list({id(a): a for a, _ in pairs}.values()), name)
    theirs = [b for a, b in pairs if ours.group is None or a is ours.group]
    return Pair(ours, choose(list({id(b): b for b in theirs}.values()), name))


def _fairness(pair: tuple[Repeats, Repeats]) -> tuple[bool, bool, int]:
    ours, theirs = (budget_of(side.members) for side in pair)
    sizes = [side.first.n.get("train", 0) for side in pair]
    unequal = is_unequal(ours, theirs) or is_unequal(theirs, ours)
    return not unequal, sizes[0] == sizes[1], min(sizes)


def same_stars(left: Result, right: Result) -> bool:
    """Whether both are known to be scored on the same stars, of one world, with the same noise."""
    same = bool(left.data.get("hash")) and left.data.get("hash") == right.data.get("hash")
    return same and same_spectra(left.world, right.world)


def value_of(result: Result, name: str) -> float | None:
    """A finite value; None where there is none."""
    value = result.values.get(name)
    return value if value is not None and math.isfinite(value) else None
