"""The label density of a file's stars: the known one, or an estimate from its parameters."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from vitlab.ml.theory.posterior import Prior

Array = NDArray[np.float64]
CENTRES = 20_000
"""Stars that a kernel estimate uses at most, spread evenly."""
COMPARED = (300, 1500)
"""Stars at which, and of which, the density is estimated to choose its bandwidth."""
WIDTHS = np.array([*np.geomspace(0.03, 0.6, 9), np.inf])
"""Of the kernels, in units of probability, from which the best is chosen."""
FLOOR = 1e-12
"""Density relative to its maximum below which it counts as this."""


class Density(Protocol):
    """A distribution of labels over the unit cube, to which they are mapped."""

    def labels(self, unit: Array) -> Array:
        """(n, 3) in [0, 1] -> (n, 3) labels."""
        ...

    def log_density(self, unit: Array, without: Array | None) -> Array:
        """(n,) ln density in the cube, up to a constant; without the star of (3,) labels."""
        ...


@dataclass(frozen=True)
class KnownDensity:
    """The distribution simulated stars are drawn from."""

    prior: Prior

    def labels(self, unit: Array) -> Array:
        return self.prior.labels(unit)

    def log_density(self, unit: Array, without: Array | None) -> Array:  # noqa: ARG002
        return np.zeros(len(unit))


@dataclass(frozen=True)
class EstimatedDensity:
    """Each label by its quantiles over the stars, and how they go together by a kernel estimate.

    In the unit cube of the quantiles labels that are independent have the density 1, however each
    is distributed: the kernels, reflected at its faces, only have to describe dependence (a
    copula). A star's own kernel is left out of the density that its posterior uses; spectra with
    the same labels count as of one star.
    """

    quantiles: tuple[Array, ...]
    """Of each label, at equal steps of probability from 0 to 1."""
    stars: Array  # (n, 3) labels
    sorted: tuple[Array, ...]
    """Each of their columns."""
    bandwidth: Array  # (3,) in units of probability; infinite: independent
    nodes: tuple[Array, ...]
    """Of the table, in the unit cube."""
    table: Array
    """Sum of all kernels."""

    def labels(self, unit: Array) -> Array:
        columns = [
            np.interp(u, np.linspace(0, 1, len(q)), q)
            for u, q in zip(unit.T, self.quantiles, strict=True)
        ]
        return np.column_stack(columns)

    def log_density(self, unit: Array, without: Array | None) -> Array:
        place = [u * (len(x) - 1) for u, x in zip(unit.T, self.nodes, strict=True)]
        value = map_coordinates(self.table, place, order=1, mode="nearest")
        if without is not None:
            centre = [_ranks(x, y) for x, y in zip(self.sorted, without, strict=True)]
            own = [
                np.interp(u, x, kernel(x, c, float(h)))
                for u, x, c, h in zip(unit.T, self.nodes, centre, self.bandwidth, strict=True)
            ]
            copies = int((self.stars == without).all(axis=1).sum())
            if copies < len(self.stars):
                value = value - copies * reduce(np.multiply, own)
        return np.asarray(np.log(np.maximum(value, FLOOR * self.table.max())))


def kernel(at: Array, centre: Array | float, h: float) -> Array:
    """Normal density around `centre` in [0, 1], reflected at both ends; 1 for infinite `h`."""
    if not np.isfinite(h):
        return np.ones(np.broadcast(at, centre).shape)
    parts = [at - centre, at + centre, 2 - at - centre]
    sums = sum(np.exp(-0.5 * (part / h) ** 2) for part in parts)
    return np.asarray(sums / (h * np.sqrt(2 * np.pi)))


def estimate(labels: Array) -> EstimatedDensity:
    """The density of (n, 3) labels.

    The kernels' width is the one that gives each star the highest likelihood from the others
    (Duin 1976, IEEE Trans. Comput. C-25, 1175).
    """
    if len(labels) > CENTRES:
        labels = labels[np.linspace(0, len(labels) - 1, CENTRES).astype(int)]
    ordered = tuple(np.sort(column) for column in labels.T)
    steps = np.linspace(0, 1, int(np.clip(len(labels) ** 0.5, 8, 200)) + 1)
    distinct, counts = np.unique(labels, axis=0, return_counts=True)
    unit = np.column_stack([_ranks(x, y) for x, y in zip(ordered, distinct.T, strict=True)])
    varies = np.ptp(distinct, axis=0) > 0
    bandwidth = np.where(varies, _bandwidth(unit[:, varies]), np.inf)
    sizes = [int(np.clip(np.ceil(3 / h), 12, 64)) + 1 for h in bandwidth]
    nodes = tuple(np.linspace(0, 1, n) for n in sizes)
    table = np.zeros(sizes)
    for start in range(0, len(unit), 1000):
        some = slice(start, start + 1000)
        a, b, c = (
            kernel(x[:, None], u[None], float(h))
            for x, u, h in zip(nodes, unit[some].T, bandwidth, strict=True)
        )
        pairs = (a[:, None] * b[None]).reshape(-1, a.shape[1])
        table += ((pairs * counts[some]) @ c.T).reshape(sizes)
    quantiles = tuple(np.quantile(x, steps) for x in ordered)
    return EstimatedDensity(quantiles, labels, ordered, bandwidth, nodes, table)


def _ranks(ordered: Array, values: Array) -> Array:
    """Share of the stars below each value, ties counted half."""
    sides = np.searchsorted(ordered, values), np.searchsorted(ordered, values, "right")
    return np.asarray((sides[0] + sides[1]) / 2 / len(ordered))


def _bandwidth(unit: Array) -> float:
    """The best of `WIDTHS` by the likelihood of each (n, K) star under the others."""
    shuffled = np.random.default_rng(0).permutation(len(unit))
    at, of = (shuffled[:n] for n in COMPARED)
    same = at[:, None] == of[None]
    others = np.maximum((~same).sum(axis=1), 1)
    scores = []
    for h in WIDTHS:
        product = np.where(same, 0.0, 1.0)
        for column in unit.T:
            product *= kernel(column[at][:, None], column[of][None], float(h))
        scores.append(np.log(np.maximum(product.sum(axis=1) / others, 1e-300)).sum())
    return float(WIDTHS[int(np.argmax(scores))])
