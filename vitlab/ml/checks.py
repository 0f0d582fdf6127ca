"""Checks of predictions and inputs for faults that scores alone do not show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.contract.checks import Check, judged, unknown
from vitlab.ml.spectra.dataset import Spectra
from vitlab.ml.spectra.inputs import SHOWN_ERRORS
from vitlab.ml.spectra.observation import Batch

Array = NDArray[np.float64]

SHIFTS = (-2, -1, 1, 2)
"""Rows from a star to the neighbours whose labels are tried."""
ALIGNED_SIGMA = 4.0
"""A correlation more standard errors above what is expected means that rows are shifted."""
SORTED = 0.9
"""Correlation of labels with those of their neighbours above which a shift does not show."""
FEWEST = 30
"""Stars below which a correlation tells nothing."""


def check_alignment(true: Array, predicted: Array) -> Check:
    """Whether (n, K) predictions follow the labels of their own rows, not those of neighbours.

    The number is the largest squared correlation with the labels `SHIFTS` rows away, minus what
    neighbours that are alike explain: r_own x autocorrelation. The limit is the square of
    `ALIGNED_SIGMA` / sqrt(n), the standard error of a correlation of independent numbers; a model
    below it for its own rows as well would not show a shift.
    """
    if len(true) < FEWEST:
        return unknown("few")
    limit = ALIGNED_SIGMA**2 / len(true)
    excess, strongest = [], 0.0
    for y, p in zip(true.T, predicted.T, strict=True):
        own = _correlation(y, p)
        strongest = max(strongest, own)
        for shift in SHIFTS:
            alike = _correlation(y, np.roll(y, shift))
            if abs(alike) > SORTED:
                return unknown("sorted")
            # A model may be worse than chance for its own rows: only what is above counts.
            excess.append(max(_correlation(np.roll(y, shift), p) - max(own * alike, 0.0), 0.0))
    found = judged(float(np.max(excess)) ** 2, limit)
    return unknown("weak") if found.outcome == "pass" and strongest**2 <= limit else found


def _correlation(a: Array, b: Array) -> float:
    """Pearson's; NaN when one is constant."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt(np.sum(a**2) * np.sum(b**2)))
    return float(a @ b) / size if size > 0 else float("nan")


TRAIN, TEST = 2000, 1000
"""Spectra of the quadratic fit."""
COMPONENTS = 20
PER_COMPONENT = 50
"""Training spectra for each component, so that the fit's terms are determined."""
FREE_OF_NOISE = 0.1
"""Estimates from the errors that move with the noise by less than this part of what those from the
flux do come from noise-free errors."""
TOLD = 0.1
"""R2 above which noise-free errors are a leak."""


def check_input(spectra: Spectra, kind: str) -> Check:
    """Whether the errors that an input of this `kind` shows know labels without noise.

    The number is the largest R2 over the labels of a quadratic fit to the errors alone, each
    spectrum's over their median. Errors estimated from noisy counts may tell labels as the flux
    does (limit 1): then two draws of the noise of one star give estimates that differ as much.
    Where they do not, the limit is `TOLD`. Inputs that show no errors pass.
    """
    if kind not in SHOWN_ERRORS:
        return judged(0.0, 0.0)
    n, tested = min(TRAIN, spectra.sizes["train"]), min(TEST, spectra.sizes["test"])
    components = min(COMPONENTS, n // PER_COMPONENT)
    if components < 2 or tested < FEWEST:
        return unknown("few")
    known = spectra.fixed("train", 0, n)
    draws = [spectra.fixed("test", 0, tested, copy) for copy in (0, 1)]
    ends = []
    for seen in (_pattern, _flux):
        fit = quadratic_fit(seen(known), known.labels, components)
        first, second = (fit(seen(batch)) for batch in draws)
        true = draws[0].labels
        ends.append((_r2(true, first), _moved(first, second)))
    (told, moved), (_, expected) = ends
    without_noise = moved < FREE_OF_NOISE * expected
    limits = np.where(without_noise, TOLD, 1.0)
    worst = int(np.argmax(told - limits))
    if without_noise.any() and told[worst] <= limits[worst] and components < COMPONENTS:
        return unknown("few")  # a fit to more spectra might show what this one does not
    return judged(max(float(told[worst]), 0.0), float(limits[worst]))


def _pattern(batch: Batch) -> Tensor:
    """(B, L) inverse of the errors over its median: 0 without data."""
    inverse = 1 / batch.shown_error
    return inverse / inverse.median(dim=1, keepdim=True).values.clamp(min=1e-30)


def _flux(batch: Batch) -> Tensor:
    return batch.flux


def _r2(true: Array, predicted: Array) -> Array:
    """(K,) R2; 0 for constant labels."""
    missed = np.square(true - predicted).mean(axis=0)
    scatter = true.var(axis=0)
    r2: Array = np.where(scatter > 0, 1 - missed / np.where(scatter > 0, scatter, 1), 0.0)
    return r2


def _moved(first: Array, second: Array) -> Array:
    """(K,) share of the variance of estimates that two draws of the noise do not share.

    1 for constant estimates, which tell nothing.
    """
    scatter = (first.var(axis=0) + second.var(axis=0)) / 2
    apart = np.square(first - second).mean(axis=0) / 2
    share: Array = np.where(scatter > 0, apart / np.where(scatter > 0, scatter, 1), 1.0)
    return share


def quadratic_fit(x: Tensor, y: Array, components: int = COMPONENTS) -> Callable[[Tensor], Array]:
    """A fit of `y` (n, K) to `x` (n, L), as a function of other (m, L) that gives (m, K).

    Least squares on the products of two of the principal components of the standardised pixels.
    """
    mean, scatter = x.mean(dim=0), x.std(dim=0)
    # A pixel that is constant to rounding tells nothing; scaled up it would be noise.
    scatter = torch.where(scatter > 1e-5 * mean.abs(), scatter, torch.inf)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        directions = torch.svd_lowrank((x - mean) / scatter, q=components, niter=4)[2]
    z = _components(x, mean, scatter, directions)
    scale = np.where(z.std(axis=0) > 0, z.std(axis=0), np.inf)
    weights = np.linalg.lstsq(_products(z / scale), y, rcond=1e-12)[0]

    def fit(other: Tensor) -> Array:
        estimates: Array = _products(_components(other, mean, scatter, directions) / scale)
        return estimates @ weights

    return fit


def _components(x: Tensor, mean: Tensor, scatter: Tensor, directions: Tensor) -> Array:
    components: Array = (((x - mean) / scatter) @ directions).double().cpu().numpy()
    return components


def _products(z: Array) -> Array:
    """(n, C) -> (n, 1 + C + C (C + 1) / 2): 1, each component, and each product of two."""
    i, j = np.triu_indices(z.shape[1])
    return np.column_stack([np.ones(len(z)), z, z[:, i] * z[:, j]])
