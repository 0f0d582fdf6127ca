"""The curves of fitted scaling laws, as the scaling figure draws them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from vitlab.contract.paths import UsageError
from vitlab.docs.judge.budget import count
from vitlab.jobs.store import Job
from vitlab.lab.results.ceilings import ceilings
from vitlab.lab.results.job_results import Finished
from vitlab.lab.results.scaling import AHEAD, Scaling, formula, not_determined, scalings
from vitlab.ml.scaling_law import LEVEL, Law
from vitlab.plot.figures.picture import Curve
from vitlab.plot.figures.styles import Style

_POINTS = 40


def law_curves(
    results: Sequence[Finished],
    jobs: Iterable[Job],
    styles: Callable[[Sequence[str]], Sequence[Style]],
) -> tuple[list[Curve], list[str]]:
    """R2 by each model's law over N, to `AHEAD` times the largest, and notes on them."""
    try:
        found = scalings(results, ceilings(jobs))
    except UsageError:  # not judged by an R2
        return [], []
    known = [(one, law) for one in found if (law := one.law) and "N" in law.axes]
    curves = [replace(_curve(one, law), style=styles([one.model])[0]) for one, law in known]
    notes = [
        "; ".join([f"{one.model}: 1 - R² = {formula(law)}, E {_origin(law)}", *not_determined(law)])
        for one, law in known
    ]
    band = [f"bands of laws: {LEVEL:.0%}, bootstrap over runs and seeds"] * bool(curves)
    return curves, [*notes, *band]


def _origin(law: Law) -> str:
    return "from the ceiling" if law.fixed else "fitted"


def _curve(one: Scaling, law: Law) -> Curve:
    """At the largest number of parameters."""
    params = float(one.params.max())
    stars = np.geomspace(one.stars.min(), AHEAD * one.stars.max(), _POINTS).tolist()
    means = [law.mean(n, params) for n in stars]
    name = f"law of {one.model}" + (f", P {count(params)}" if "P" in law.axes else "")
    band = tuple((1 - mean.high, 1 - mean.low) for mean in means)
    r2 = tuple(1 - mean.value for mean in means)
    return Curve(name, tuple(stars), r2, ends=band, reference=True)
