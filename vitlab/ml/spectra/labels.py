"""The stellar labels: names, ranges, distribution, and scaling for networks."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from vitlab.contract.job import GRID_LABELS
from vitlab.contract.world import LABEL_BETA, LABEL_RANGES

Array = NDArray[np.float64]

LABELS = GRID_LABELS
"""The order of columns in arrays of all labels."""

RANGES = LABEL_RANGES
"""K, dex (cgs), dex: the extent of the embedded grid."""

POSSIBLE = {
    "T_eff": (1000.0, 300_000.0),
    "log_g": (-2.0, 10.0),
    **dict.fromkeys(("M_H", "Fe_H"), (-10.0, 2.0)),
    **dict.fromkeys(("a_M", "C_M", "O_M"), (-3.0, 5.0)),
}
"""K, dex (cgs), dex: outside, a value of a file is not this label in this unit. From brown to white
dwarfs; carbon in the most metal-poor stars."""
NULLS = (-999.0, -9999.0, 99999.0)
"""Written by surveys and catalogues where a number of a star is not known."""
MISSING_LABELS = (*NULLS, -99.0)
"""Of a label; a velocity may be -99 km/s."""

BETA = LABEL_BETA
"""Both parameters of the Beta distribution each label is drawn from."""

NEAREST = 1e-9
"""Nearest a label with a range comes to its ends, as a share of it."""


def draw_labels(generator: np.random.Generator, n: int) -> Array:
    """Labels of `n` independent stars, (n, 3) in the order of `LABELS`."""
    low, high = np.array([RANGES[name] for name in LABELS]).T
    unit: Array = generator.beta(BETA, BETA, size=(n, len(LABELS)))
    return np.asarray(low + (high - low) * unit)


def other_labels(theirs: Iterable[str], ours: Iterable[str]) -> str:
    """Why a model with these labels cannot be used for those."""
    return f"predicts {', '.join(theirs)}, not {', '.join(ours)}"


def is_possible(name: str, value: float) -> bool:
    """Whether a star may have this label, in K or dex."""
    low, high = POSSIBLE.get(name, (-np.inf, np.inf))
    return bool(low <= value <= high)


def valid_labels(name: str, values: NDArray[Any]) -> Array:
    """(n,) values of a file's column, NaN where missing, or impossible for a label of that name."""
    found = values.astype(np.float64)
    low, high = POSSIBLE.get(name, (-np.inf, np.inf))
    valid = np.isfinite(found) & (found >= low) & (found <= high)
    return np.where(valid & ~np.isin(found, MISSING_LABELS), found, np.nan)


class LabelPrior:
    """The label distribution, as a map from the unit cube, where it is uniform."""

    def labels(self, unit: Array) -> Array:
        """(n, 3) in [0, 1] -> (n, 3) labels: the quantiles."""
        low, high = np.array([RANGES[name] for name in LABELS]).T
        # Rounding must not leave the grid.
        labels: Array = low + (high - low) * special.betaincinv(BETA, BETA, unit)
        return np.clip(labels, low, high, out=labels)

    def slopes(self, unit: Array) -> Array:
        """(n, 3) in (0, 1) -> (n, 3) d label / d unit, one over the label's density."""
        low, high = np.array([RANGES[name] for name in LABELS]).T
        x = special.betaincinv(BETA, BETA, unit)
        slopes: Array = (high - low) * special.beta(BETA, BETA) * (x * (1 - x)) ** (1 - BETA)
        return slopes


def prior_variance(label: str) -> float:
    """Variance of the label distribution, in the label's unit squared."""
    low, high = RANGES[label]
    return (high - low) ** 2 / (4 * (2 * BETA + 1))


@dataclass(frozen=True)
class LabelScaling:
    """`scaled = (label - offset) / scale`, fitted on the training labels.

    With `ranges` the label is first mapped from its range to all numbers, by the inverse of the
    normal distribution: a density then ends where the labels do.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]
    ranges: tuple[tuple[float, float], ...] = ()
    """Lowest and highest value of each label; () means none."""

    def scaled(self, labels: Any) -> Any:
        """(B, K) scaled labels; numpy, or torch where there are no ranges."""
        if self.ranges:
            low, high = (_like(ends, labels) for ends in zip(*self.ranges, strict=True))
            share = (labels - low) / (high - low)
            share = share.clip(NEAREST, 1 - NEAREST)
            labels = special.ndtri(np.asarray(share))
        return (labels - _like(self.offset, labels)) / _like(self.scale, labels)

    def original(self, scaled: Any) -> Any:
        """(..., K) labels in their own units."""
        labels = scaled * _like(self.scale, scaled) + _like(self.offset, scaled)
        if not self.ranges:
            return labels
        low, high = (_like(ends, labels) for ends in zip(*self.ranges, strict=True))
        array = isinstance(labels, np.ndarray)
        share = special.ndtr(labels) if array else labels.div(math.sqrt(2)).erf().add(1).div(2)
        return low + (high - low) * share

    def log_slope(self, labels: Array) -> Array:
        """(B, K) ln of d scaled / d label: what turns a density of scaled labels into theirs."""
        slope = np.broadcast_to(-np.log(self.scale), labels.shape)
        if not self.ranges:
            return slope
        low, high = np.array(self.ranges).T
        normal = self.scaled(labels) * self.scale + self.offset
        return np.asarray(slope + normal**2 / 2 + np.log(2 * np.pi) / 2 - np.log(high - low))


def fit_scaling(
    labels: Array, kind: str, ranges: tuple[tuple[float, float], ...] = ()
) -> LabelScaling:
    """`standard`: mean 0, variance 1. `minmax`: -0.5 to 0.5. `none`: unscaled."""
    n = labels.shape[1]
    if ranges:
        unbounded = LabelScaling((0.0,) * n, (1.0,) * n, ranges)
        return replace(fit_scaling(unbounded.scaled(labels), kind), ranges=ranges)
    if kind == "none":
        return LabelScaling((0.0,) * n, (1.0,) * n)
    if kind == "standard":
        offset, scale = labels.mean(axis=0), labels.std(axis=0)
    else:
        low, high = labels.min(axis=0), labels.max(axis=0)
        offset, scale = (low + high) / 2, high - low
    scale = np.where(scale > 0, scale, 1.0)  # constant labels are not scaled
    return LabelScaling(tuple(map(float, offset)), tuple(map(float, scale)))


def _like(numbers: tuple[float, ...], other: Any) -> Any:
    """`numbers` as the same kind of array as `other`."""
    if isinstance(other, np.ndarray):
        return np.asarray(numbers, dtype=other.dtype)
    return other.new_tensor(numbers)
