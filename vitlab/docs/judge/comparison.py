"""Comparing two results: which pair is fair, their difference and its error."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from vitlab.contract.job import Result
from vitlab.contract.value import Value, for_choosing
from vitlab.docs.judge.phrases import Phrase, phrase


@dataclass(frozen=True)
class Gap:
    """One result's value minus another's."""

    value: float
    error: float
    """Standard error; 0 where neither result has one."""
    stars: int = 0
    """Stars that both were scored on; 0: not known, the errors were added as independent."""

    @property
    def is_noise(self) -> bool:
        """Whether it is within 2 errors of zero."""
        return abs(self.value) <= 2 * self.error

    def phrase(self) -> Phrase:
        """`+0.052 ± 0.004 (on the same 10000 stars)`, or `(independent errors)`."""
        number = f"{self.value:+.2g}" + (f" ± {self.error:.2g}" if self.error else "")
        if self.stars:
            return phrase("paired", number, self.stars)
        return phrase("independent", number) if self.error else phrase("as_is", number)


@dataclass(frozen=True)
class Ranking:
    """How the best result of an experiment compares with everything else that is known."""

    best: Result | None = None
    """The best configuration, its seeds as one; None: that of `best_result`."""
    runs: int = 1
    """Configurations compared."""
    seeds: int = 1
    """Of the best; from two on its numbers are means and their errors the scatter."""
    second: str = ""
    """The runner-up's name."""
    lead: Gap | None = None
    """Best minus runner-up on the test set; None where they cannot be compared."""
    baseline: str = ""
    """The best of another model on the same stars; empty for none."""
    over: Gap | None = None
    """Best minus baseline."""
    ceiling: float | None = None
    share: float | None = None
    """The fraction of the ceiling that is reached."""
    leak: bool = False
    """Whether it is above the ceiling by more than chance."""
    failed: tuple[Phrase, ...] = ()
    """Checks of the best result that fail, the ceiling aside."""
    missing: tuple[str, ...] = ()
    """Runs that ended without a result."""

    def phrases(self) -> list[Phrase]:
        """What the conclusion adds to the number itself."""
        phrases = []
        if self.seeds > 1:
            phrases.append(phrase("mean_of", self.seeds))
        if self.runs > 1 and self.lead is None:
            phrases.append(phrase("alone_of", self.runs))
        elif self.runs > 1 and self.lead is not None:
            key = "first_of_noise" if self.lead.is_noise else "first_of"
            phrases.append(phrase(key, self.runs, self.second, self.lead.phrase()))
        if self.over is not None:
            key = "against_noise" if self.over.is_noise else "against"
            phrases.append(phrase(key, self.baseline, self.over.phrase()))
        if self.ceiling is not None and self.leak:
            phrases.append(phrase("over_ceiling", f"{self.ceiling:.3f}"))
        elif self.ceiling is not None and self.share is not None:
            phrases.append(phrase("of_ceiling", f"{self.share:.0%}", f"{self.ceiling:.3f}"))
        phrases += [phrase("not_a_result", one) for one in self.failed]
        if self.missing:
            phrases.append(phrase("no_result_of", ", ".join(self.missing)))
        return phrases


class Evidence(Protocol):
    """What is known beyond the results themselves."""

    def gap(self, left: Result, right: Result, name: str) -> Gap | None:
        """The difference on the stars both were scored on; None where that is not known."""
        ...

    def same_population(self, left: Result, right: Result) -> bool:
        """Whether both test sets, though different, are drawn from one distribution of stars."""
        ...

    def ceiling(self, result: Result, name: str) -> float | None:
        """The most any model can reach on the stars of a result; None where not known."""
        ...


@dataclass(frozen=True)
class NoEvidence:
    """Nothing: stars are not matched."""

    def gap(self, left: Result, right: Result, name: str) -> Gap | None:  # noqa: ARG002
        return None

    def same_population(self, left: Result, right: Result) -> bool:  # noqa: ARG002
        return False

    def ceiling(self, result: Result, name: str) -> float | None:  # noqa: ARG002
        return None


def gap_of(
    left: Result,
    right: Result,
    name: str,
    evidence: Evidence = NoEvidence(),
) -> Gap:
    """The paired difference, else that of the values with independent errors."""
    paired = evidence.gap(left, right, name)
    if paired is not None:
        return paired
    a, b = left.values[name], right.values[name]
    error = math.hypot(left.errors.get(name, 0.0), right.errors.get(name, 0.0))
    return Gap((a or 0.0) - (b or 0.0), error)


def fair_pair(
    left: Iterable[Result], right: Iterable[Result], name: str, evidence: Evidence
) -> tuple[Result, Result] | None:
    """Two results on the same test data, else on the same population; None where there are none.

    Of several pairs: equal training sizes first, then the largest, then the best on validation.
    """
    usable = [
        (a, b)
        for a in left
        for b in right
        if value_of(a, name) is not None and value_of(b, name) is not None
    ]
    pairs = [(a, b) for a, b in usable if same_stars(a, b)]
    pairs = pairs or [(a, b) for a, b in usable if evidence.same_population(a, b)]
    if not pairs:
        return None
    return max(
        pairs,
        key=lambda p: (
            p[0].n.get("train") == p[1].n.get("train"),
            min(p[0].n.get("train", 0), p[1].n.get("train", 0)),
            -distance_from_best(p[0], name) - distance_from_best(p[1], name),
        ),
    )


def same_stars(left: Result, right: Result) -> bool:
    """Whether both were scored on the same stars with the same noise."""
    return bool(left.data.get("hash")) and left.data.get("hash") == right.data.get("hash")


def distance_from_best(result: Result, name: str) -> float:
    """The key by which the best run is chosen, smallest first: on validation, not on the test set.

    inf without a number; 0 for all where it is not known which way is better.
    """
    better = Value.parse(name).better
    return better.distance(for_choosing(name, result.values)) if better else 0.0


def value_of(result: Result, name: str) -> float | None:
    """A finite value; None where there is none."""
    value = result.values.get(name)
    return value if value is not None and math.isfinite(value) else None
