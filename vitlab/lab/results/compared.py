"""Whether results have a number that a sentence compares: a score of a model, or a difference."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from vitlab.contract.value import Value
from vitlab.docs.lint.stated import Stated
from vitlab.docs.model.gates.conditions import model_key
from vitlab.lab.results.provenance import Source

_SCORES = ("r2", "mae", "rmse", "scatter")


@dataclass(frozen=True)
class Scores:
    """The scores of a lab's results, as comparisons quote them."""

    sources: Sequence[Source]

    @cached_property
    def _scored(self) -> Mapping[str, Sequence[tuple[str, Source]]]:
        """Metric -> the key of its model and each score of it."""
        found: dict[str, list[tuple[str, Source]]] = defaultdict(list)
        for one in self.sources:
            metric = Value.parse(one.value).metric.casefold()
            family = next((name for name in _SCORES if metric.startswith(name)), "")
            if family and one.number is not None:
                found[family].append((model_key(one.model), one))
        return found

    @cached_property
    def models(self) -> Collection[str]:
        """The keys of the models that have any."""
        return {model for each in self._scored.values() for model, _ in each}

    def nearest(self, stated: Stated) -> Source | None:
        """The score that is nearest to a number; None where one is the number, rounded.

        Of its metric and its model where these are named.
        """
        known = [
            one
            for metric in ([stated.metric] if stated.metric else _SCORES)
            for model, one in self._scored.get(metric, ())
            if not stated.words or model in stated.words
        ]
        best = min(known, key=lambda one: abs((one.number or 0.0) - stated.value), default=None)
        reach = 0.5 * 10.0**-stated.decimals * (1 + 1e-9)
        return best if best and abs((best.number or 0.0) - stated.value) > reach else None

    def has_difference(self, stated: Stated) -> bool:
        """Whether a score of any model differs by so much from one of the model that is named."""
        return any(
            self._differs(stated, one)
            for model, one in self._scored.get(stated.metric, ())
            if model in stated.words
        )

    def _differs(self, stated: Stated, one: Source) -> bool:
        """Whether a score differs by a number from another of its value, or the rounded two do."""
        numbers, reach = self._numbers[one.value], 10.0**-stated.decimals * (1 + 1e-6)
        mine = one.number or 0.0
        for wanted in (mine + stated.value, mine - stated.value):
            at = bisect_left(numbers, wanted - reach)
            if at < len(numbers) and numbers[at] <= wanted + reach:
                return True
        return False

    @cached_property
    def _numbers(self) -> Mapping[str, list[float]]:
        """A value's name -> its numbers, sorted."""
        found: dict[str, list[float]] = defaultdict(list)
        for each in self._scored.values():
            for _, one in each:
                found[one.value].append(one.number or 0.0)
        return {name: sorted(numbers) for name, numbers in found.items()}
