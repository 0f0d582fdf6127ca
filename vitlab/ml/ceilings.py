"""The ceilings at given magnitudes side by side: Cramer-Rao and Bayes, as a table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from vitlab.ml.bayes import bayes_r2, ignore, posteriors_of_test
from vitlab.ml.fisher import Bounds, bounds, r2_mean, r2_median
from vitlab.ml.grid import Grid
from vitlab.ml.labels import LABELS, prior_variance
from vitlab.ml.simulate import Simulator


@dataclass(frozen=True)
class Row:
    """The ceilings of one label at one magnitude."""

    mag: float
    snr: float
    """Median over stars of the median over pixels."""
    r2_crlb_median: float
    """Of a typical star; 0 where it is negative."""
    r2_crlb_mean: float
    """Of a population, by unbiased measurements; may be negative."""
    r2_bayes: float
    """Of the best model there can be."""
    r2_bayes_err: float
    sigma_crlb: float
    """Median over stars, in the label's unit."""
    unidentified: int
    """Stars whose labels the spectrum cannot tell apart; not in `r2_crlb_mean`."""
    unsettled: int
    """Stars whose posterior was not integrated to the usual accuracy; they are counted in."""


def ceilings(
    simulator: Simulator,
    nuisances: Sequence[Grid],
    mags: Sequence[float],
    label: str,
    n: tuple[int, int],
    cache: Path | None,
    tell: Callable[[int], None] = ignore,
) -> Iterator[Row]:
    """One row a magnitude, over the first test stars of the seed.

    `n`: stars of the Cramer-Rao bound and of the Bayes ceiling. `nuisances` as in
    `vitlab.ml.fisher.bounds`; the Bayes ceiling always has the three labels of the stars.
    """
    stars = simulator.stars("test", 0, n[0])
    table = np.tile(np.asarray(mags, float), (len(stars), 1))
    found = merged(bounds(simulator.grid, simulator.noise, stars.labels, table, nuisances))
    prior = prior_variance(label)
    for m, mag in enumerate(mags):
        variance = found.variance[:, m, LABELS.index(label)]
        posterior = posteriors_of_test(replace(simulator, mag=(mag, mag)), n[1], cache, tell)
        best = bayes_r2(posterior, label)
        yield Row(
            mag=mag,
            snr=float(np.median(found.snr[:, m])),
            r2_crlb_median=r2_median(variance, prior),
            r2_crlb_mean=r2_mean(variance, prior),
            r2_bayes=best.r2,
            r2_bayes_err=best.error,
            sigma_crlb=math.sqrt(float(np.median(variance))),
            unidentified=int(np.count_nonzero(np.isinf(variance))),
            unsettled=posterior.unsettled,
        )


def merged(parts: Iterator[Bounds]) -> Bounds:
    """The parts of `vitlab.ml.fisher.bounds` as one."""
    table = list(parts)
    return Bounds(
        variance=np.concatenate([part.variance for part in table]),
        condition=np.concatenate([part.condition for part in table]),
        snr=np.concatenate([part.snr for part in table]),
    )
