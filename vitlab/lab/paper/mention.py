"""One number of a draft, with what its text says it is of."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vitlab.lab.paper.claims import Kind
from vitlab.lab.paper.tex import CITED

_LETTERS = 36
"""Of the words before a number that are shown with it."""
TOP = "ceiling"
"""Stands for the ceiling among the two sides of a difference."""


@dataclass(frozen=True)
class Mention:
    """One number of a draft."""

    line: int
    """1-based."""
    text: str
    """As written, with the words before it."""
    kind: Kind
    metric: str
    """Of `contract.value`; of a count what `claims.counted` says."""
    value: float
    step: float
    """One unit of its last digit."""
    error: float | None = None
    unit: str = ""
    """`dex`, `K`, `σ` or `%`, as written; empty where none is."""
    label: str = ""
    split: str = ""
    models: tuple[str, ...] = ()
    """What it is of, as gates call models; of a difference both, then others that it may be of."""
    inherited: bool = False
    """Whether the model is named in an earlier sentence only."""
    size: float | None = None
    """Training stars, where the draft says of how many."""
    sizes: tuple[float, ...] | None = None
    """Those that its paragraph names; None where it speaks of sizes in words, and in a table."""
    at_sizes: tuple[float, ...] = ()
    """Of a sentence with two models and two sizes, that of each: `A with 1k, B with 100k`."""
    near_size: float | None = None
    """The one of several that its sentence names last before it."""
    trained: tuple[float, ...] = ()
    """The sizes of which its sentence says that they are of training: `trained on 10k`."""
    between: tuple[float, float] | None = None
    """Of what one model gains: the training sizes it gains it between."""
    is_less: bool = False
    """Of a difference in percent: whether of the larger number."""
    of_seed: bool = False
    """Whether it may be that of a single seed."""
    others: tuple[str, ...] = ()
    """Models that it may be of as well, where the text does not say it firmly."""
    is_open: bool = False
    """Whether it is planned or hoped for."""
    is_loose: bool = False
    """Whether another model may be meant than the one that is named."""
    is_own: bool = False
    """Whether its sentence says that it is the draft's own."""
    splits: tuple[str, ...] = ()
    """Those that its sentence names."""
    split_open: bool = False
    """Whether its own clause names none of them, or several."""
    in_units: bool = False
    """Whether its sentence gives errors in standard deviations of the label."""
    labels: tuple[str, ...] = ()
    """Other labels that it may be of."""
    metrics: tuple[str, ...] = ()
    """Other metrics that it may be of, where none stands beside it."""
    near_ceiling: bool = False
    """Whether its sentence is about a ceiling too."""
    near: tuple[str, ...] = ()
    """The models of its part of the sentence."""
    is_bare: bool = False
    """Whether no metric is said with it."""
    is_guess: bool = False
    """Whether it may as well be something else: it counts only beside others that are right."""
    of_rest: bool = False
    """Whether its sentence is about what is left of the variance."""
    grows: bool = False
    """Whether its sentence tells how scores grow with the training set."""
    paragraph: int = 0
    sentence: int = 0
    """Numbers with the same one stand in one sentence; 0 in a table."""

    @property
    def digits(self) -> int:
        """The significant digits of the number as written."""
        if not self.value:
            return 0
        return max(0, math.floor(math.log10(abs(self.value) / self.step) + 1e-9) + 1)

    def means(self, number: float) -> bool:
        """Whether it is this number, rounded."""
        return abs(self.value - number) <= 0.5 * self.step * (1 + 1e-6) + 1e-12

    def nearly(self, number: float) -> bool:
        """Whether it is within one unit of its last digit: rounded the wrong way, or cut."""
        return abs(self.value - number) <= self.step * (1 + 1e-6)


def excerpt(text: str, start: int, end: int) -> str:
    """A number with a few words before it."""
    first = max(0, start - _LETTERS)
    if first:
        first = text.find(" ", first, start) + 1 or first
    return " ".join(text[first:end].replace(CITED, "").split())
