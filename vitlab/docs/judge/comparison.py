"""Two results held against each other: which pair is fair, their difference and its error."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from vitlab.contract.job import Result
from vitlab.contract.value import Value, for_choosing
from vitlab.docs.judge.phrases import Phrase, say


@dataclass(frozen=True)
class Gap:
    """One result's value minus another's."""

    value: float
    error: float
    """Standard error; 0 where neither result says one."""
    stars: int = 0
    """Stars both were scored on, one by one; 0: the errors were added as of different stars."""

    @property
    def noise(self) -> bool:
        """Whether it is within 2 errors of nothing."""
        return abs(self.value) <= 2 * self.error

    def shown(self) -> Phrase:
        """`+0.052 ± 0.004 (same 10000 stars)`, or said to be of independent errors."""
        number = f"{self.value:+.2g}" + (f" ± {self.error:.2g}" if self.error else "")
        if self.stars:
            return say("paired", number, self.stars)
        return say("independent", number) if self.error else say("as_is", number)


@dataclass(frozen=True)
class Standing:
    """Where the best result of an experiment stands among all that is known."""

    best: Result | None = None
    """Of the best configuration the first seed's; None: `best_of` says."""
    runs: int = 1
    """Configurations compared."""
    seeds: int = 1
    mean: float | None = None
    """Of the headline over the seeds, and its scatter; None for a single one."""
    scatter: float = 0.0
    second: str = ""
    """The runner-up's name."""
    lead: Gap | None = None
    """Best minus runner-up on the test set; None where they can not be compared."""
    baseline: str = ""
    """The best of another model on the same stars; empty for none."""
    over: Gap | None = None
    """Best minus baseline."""
    ceiling: float | None = None
    share: float | None = None
    """Part of the ceiling that is reached."""
    leak: bool = False
    """Above the ceiling by more than chance."""
    overlap: int = 0
    """Test stars in the training set."""
    missing: tuple[str, ...] = ()
    """Runs that ended without a result."""

    def said(self) -> list[Phrase]:
        """What the conclusion adds to the number itself."""
        found = []
        if self.mean is not None:
            found.append(say("mean_of", self.seeds, f"{self.mean:.3f} ± {self.scatter:.3f}"))
        if self.runs > 1 and self.lead is None:
            found.append(say("alone_of", self.runs))
        elif self.runs > 1 and self.lead is not None:
            key = "first_of_noise" if self.lead.noise else "first_of"
            found.append(say(key, self.runs, self.second, self.lead.shown()))
        if self.over is not None:
            key = "against_noise" if self.over.noise else "against"
            found.append(say(key, self.baseline, self.over.shown()))
        if self.ceiling is not None and self.leak:
            found.append(say("over_ceiling", f"{self.ceiling:.3f}"))
        elif self.ceiling is not None and self.share is not None:
            found.append(say("of_ceiling", f"{self.share:.0%}", f"{self.ceiling:.3f}"))
        if self.overlap:
            found.append(say("overlap", self.overlap))
        if self.missing:
            found.append(say("no_result_of", ", ".join(self.missing)))
        return found


class Evidence(Protocol):
    """What is known beyond the results themselves."""

    def gap(self, left: Result, right: Result, name: str) -> Gap | None:
        """The difference on the stars both were scored on; None where that is not known."""
        ...

    def alike(self, left: Result, right: Result) -> bool:
        """Whether both test sets, though different, are draws of one distribution of stars."""
        ...


@dataclass(frozen=True)
class NoEvidence:
    """The results alone: stars are not matched."""

    def gap(self, left: Result, right: Result, name: str) -> Gap | None:  # noqa: ARG002
        return None

    def alike(self, left: Result, right: Result) -> bool:  # noqa: ARG002
        return False


def gap_of(
    left: Result,
    right: Result,
    name: str,
    evidence: Evidence = NoEvidence(),
) -> Gap:
    """The paired difference where there is one, else that of the values with independent errors."""
    paired = evidence.gap(left, right, name)
    if paired is not None:
        return paired
    a, b = left.values[name], right.values[name]
    error = math.hypot(left.errors.get(name, 0.0), right.errors.get(name, 0.0))
    return Gap((a or 0.0) - (b or 0.0), error)


def fair_pair(
    left: Iterable[Result], right: Iterable[Result], name: str, evidence: Evidence
) -> tuple[Result, Result] | None:
    """Two results on the same test data, else on alike ones; None where there are none.

    Of several: as many training spectra if there are such, then most, then best on validation.
    """
    usable = [
        (a, b)
        for a in left
        for b in right
        if value_of(a, name) is not None and value_of(b, name) is not None
    ]
    pairs = [(a, b) for a, b in usable if same_stars(a, b)]
    pairs = pairs or [(a, b) for a, b in usable if evidence.alike(a, b)]
    if not pairs:
        return None
    return max(
        pairs,
        key=lambda p: (
            p[0].n.get("train") == p[1].n.get("train"),
            min(p[0].n.get("train", 0), p[1].n.get("train", 0)),
            -far_from_best(p[0], name) - far_from_best(p[1], name),
        ),
    )


def same_stars(left: Result, right: Result) -> bool:
    """Whether both were scored on the same stars with the same noise."""
    return bool(left.data.get("hash")) and left.data.get("hash") == right.data.get("hash")


def far_from_best(result: Result, name: str) -> float:
    """A key to choose among runs by, the least being best: on validation, so that the test stays.

    inf without a number; 0 for all where it is not known which way is better.
    """
    better = Value.parse(name).better
    return better.distance(for_choosing(name, result.values)) if better else 0.0


def value_of(result: Result, name: str) -> float | None:
    """A finite value; None where there is none."""
    value = result.values.get(name)
    return value if value is not None and math.isfinite(value) else None
