"""The curves of fitted scaling laws, as the scaling figure draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.docs.judge.budget import count
from vitlab.jobs.store import Job
from vitlab.lab.figures.costs import listed
from vitlab.lab.results.ceilings import ceilings
from vitlab.lab.results.job_results import Finished
from vitlab.lab.results.scaling import (
    AHEAD,
    EXPONENTS,
    Scaling,
    exponent_ends,
    formula,
    not_determined,
    scalings,
    vague_axes,
)
from vitlab.ml.scaling_law import LEVEL, Law
from vitlab.plot.figures.picture import Curve
from vitlab.plot.figures.styles import Style

_POINTS = 40


@dataclass(frozen=True)
class Laws:
    """The laws of a figure."""

    found: Mapping[str, Scaling] = field(default_factory=dict)
    """By model."""

    def params(self, model: str) -> int | None:
        """P of the runs that a law over N alone is fitted to; None where P has a term, or none."""
        one = self.found.get(model)
        alone = one is not None and one.law is not None and "P" not in one.law.axes
        return int(one.params.max()) if one is not None and alone else None

    def curves(
        self, params: Mapping[str, int | None], styles: Callable[[Sequence[str]], Sequence[Style]]
    ) -> list[Curve]:
        """R2 by each law over N, at the P given of its model.

        To `AHEAD` times the largest N where the law predicts, else to the largest.
        """
        return [
            replace(_curve(one, law, params.get(one.model)), style=styles([one.model])[0])
            for one, law in self._drawn
        ]

    @property
    def keys(self) -> list[str]:
        """What the bands of the curves mean, and which of these end with the runs."""
        near = [one.model for one, _ in self._drawn if not one.predicts]
        stay = (
            f"; {listed(near)} {'are' if len(near) > 1 else 'is'} not extrapolated" if near else ""
        )
        means = f"bands: {LEVEL:.0%}, bootstrap of runs, seeds and E, not of training stars{stay}"
        return [means] if self._drawn else []

    @property
    def notes(self) -> list[str]:
        """The formula of each, or why there is none."""
        laws = [(one, law) for one in self.found.values() if (law := one.law) and "N" in law.axes]
        return [
            f"{one.model}: no law, {not_determined(law)[0]}"
            if law.unknown
            else f"{one.model}: 1 - R² = {formula(law)}{_vague(law)}, E {_origin(one, law)}"
            for one, law in laws
        ]

    @property
    def _drawn(self) -> list[tuple[Scaling, Law]]:
        """Those over N that their runs determine."""
        known = [(one, law) for one in self.found.values() if (law := one.law)]
        return [(one, law) for one, law in known if "N" in law.axes and not law.unknown]


def laws_of(results: Sequence[Finished], jobs: Iterable[Job]) -> Laws:
    """The law of each model of some results; none where they are not judged by an R2."""
    try:
        return Laws({one.model: one for one in scalings(results, ceilings(jobs))})
    except UsageError:
        return Laws()


def _vague(law: Law) -> str:
    """`, a 0.04 to 1.12 hardly determined`; empty where the runs tell all exponents."""
    ends = {axis: law.exponent(axis) for axis in vague_axes(law)}
    told = [f"{EXPONENTS[axis]} {' to '.join(exponent_ends(x))}" for axis, x in ends.items()]
    return f", {listed(told)} hardly determined" if told else ""


def _origin(one: Scaling, law: Law) -> str:
    if not law.fixed:
        return "fitted"
    off = one.free if one.free and not one.floors_agree else None
    ceiling = "from the linear ceiling" if one.linear else "from the ceiling"
    return ceiling + (f", not {off.floor.value:.3f} as fitted" if off else "")


def _curve(one: Scaling, law: Law, params: int | None) -> Curve:
    """At a number of parameters, where P has a term; None: the largest."""
    at = float(params or one.params.max())
    end = (AHEAD if one.predicts else 1) * one.stars.max()
    stars = np.geomspace(one.stars.min(), end, _POINTS).tolist()
    means = [law.mean(n, at) for n in stars]
    name = f"law of {one.model}" + (f", P {count(at)}" if "P" in law.axes else "")
    band = tuple((1 - mean.high, 1 - mean.low) for mean in means)
    r2 = tuple(1 - mean.value for mean in means)
    return Curve(name, tuple(stars), r2, ends=band, reference=True)
