"""What a result cost: distinct stars, noise draws and hours, and when two are unequal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vitlab.contract.job import CORE_HOURS, DRAWS, GPU_HOURS, Result
from vitlab.docs.judge.phrases import Phrase, phrase

PRINCIPAL = "principal"
"""Of a result's model: its first weights come from noise-free spectra."""
UNEQUAL = 3.0
"""A comparison decides nothing for a side that had more than this factor more."""


@dataclass(frozen=True)
class Budget:
    """None: the result does not hold it."""

    stars: float | None
    """Distinct training stars."""
    draws: float | None
    """Noisy spectra seen in training: stars by copies, or by epochs with new noise in each."""
    core_hours: float | None
    """CPU time, summed over seeds."""
    gpu_hours: float | None = None
    seeds: int = 1
    fewest: float | None = None
    """Noise draws of the seed that saw the fewest, `draws` being those of the one with most."""
    noise_free: bool = False
    """Whether its first weights come from noise-free spectra, which are no draws."""

    def phrase(self, name: str) -> Phrase:
        """`ViT: 1M stars, 10M noise draws, 3.1 core-hours`; what is not known is said."""
        amounts = {"stars": self.stars, "draws": self.draws, "core_hours": self.core_hours}
        amounts |= {"gpu_hours": self.gpu_hours} if self.gpu_hours else {}
        known = [
            phrase(
                "amount", self._shown(key, x), phrase(f"{key}_all" if self._is_sum(key) else key)
            )
            for key, x in amounts.items()
            if x is not None
        ]
        missing = [key for key, x in amounts.items() if x is None]
        parts = [
            *known,
            *([phrase("unknown_of", phrase("slash", *map(phrase, missing)))] if missing else []),
        ]
        told = phrase("budget", name, phrase("comma", *parts))
        return phrase("remarked", told, phrase("principal_start")) if self.noise_free else told

    def _shown(self, key: str, amount: float) -> str:
        """`753k`, or `627k..753k` where seeds differ, as each ends at its own best state."""
        if key not in ("stars", "draws"):
            return f"{amount:.2g}"
        least = count(self.fewest) if key == "draws" and self.fewest is not None else ""
        return f"{least}..{count(amount)}" if least not in ("", count(amount)) else count(amount)

    def _is_sum(self, key: str) -> bool:
        return self.seeds > 1 and key in ("core_hours", "gpu_hours")


def budget_of(results: Sequence[Result]) -> Budget:
    """Of the seeds of one configuration: each saw the same stars."""
    first = results[0]
    hours = [[_number(one.data.get(key)) for one in results] for key in (CORE_HOURS, GPU_HOURS)]
    core, gpu = (None if None in each else math.fsum(x or 0.0 for x in each) for each in hours)
    draws = [_number(one.data.get(DRAWS)) for one in results]
    known = [x for x in draws if x is not None] if None not in draws else []
    most, fewest = max(known, default=None), min(known, default=None)
    principal = first.model.get("start") == PRINCIPAL
    return Budget(_number(first.n.get("train")), most, core, gpu, len(results), fewest, principal)


def is_unequal(ours: Budget, theirs: Budget) -> bool:
    """Whether `ours` had more stars or noise draws than `theirs` by more than `UNEQUAL`.

    What is not known of a side, or is 0 as for a fit of templates, is not held against another.
    """
    pairs = ((ours.stars, theirs.stars), (ours.draws, theirs.draws))
    return any(bool(mine and other) and mine > UNEQUAL * other for mine, other in pairs)  # type: ignore[operator]


def count(number: float) -> str:
    """`12.3M`, `100k`, `500`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.0f}"


def _number(value: object) -> float | None:
    known = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if known else None  # type: ignore[arg-type]
