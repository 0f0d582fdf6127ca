"""The density of one label of one star: a model's, and the exact posterior's beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special

from vitlab.lab.inspector.star import Density
from vitlab.ml.network.density import Mixture
from vitlab.ml.spectra.dataset import GridSpectra
from vitlab.ml.spectra.labels import LABELS, RANGES, LabelPrior, LabelScaling
from vitlab.ml.theory.log_scores import Star
from vitlab.ml.theory.posterior import Model

Array = NDArray[np.float64]
POINTS = 81
"""Values between its ends at which a density is given, and those of the one beside it."""
FINE = 2001
"""Values between which its quantiles are interpolated."""
TAIL = 0.002
"""Probability left out at each end."""
CENTRAL = (0.1586552539314570, 0.8413447460685430)


@dataclass(frozen=True)
class Marginal:
    """The predicted density of label `k` of one star, in its own unit."""

    mixture: Mixture  # of one star
    scaling: LabelScaling
    k: int

    def density(self, values: Array) -> Array:
        """(n,) values -> (n,) density, per unit of the label."""
        found, scaled, slope = self._at(values)
        return np.exp(found.log_marginals(scaled)[:, self.k].numpy() + slope)

    def below(self, values: Array) -> Array:
        """(n,) values -> (n,) probability of a label below each."""
        found, scaled, _ = self._at(values)
        below: Array = found.below(scaled)[:, self.k].numpy()
        return below

    def _at(self, values: Array) -> tuple[Mixture, torch.Tensor, Array]:
        one = self.mixture
        n, size = len(values), one.mean.shape[-1]
        whole = Mixture(
            *(x.expand(n, *x.shape[1:]) for x in (one.log_weights, one.mean, one.factor))
        )
        labels = np.tile(values[:, None], (1, size))  # those of other labels do not matter
        scaled, slope = self.scaling.scaled(labels), self.scaling.log_slope(labels)
        return whole, torch.from_numpy(scaled), slope[:, self.k]


@dataclass(frozen=True)
class Kernel:
    """Weighted draws of a label, smoothed, and mirrored at its bounds (Silverman 1986, 2.10, 3.31).

    So the density stays finite where the draws crowd at a bound, and is 0 beyond.
    """

    draws: Array  # (n,) in the label's unit
    weights: Array  # (n,) normalised
    bounds: tuple[float, float]

    @property
    def width(self) -> float:
        mean = self.weights @ self.draws
        sigma = np.sqrt(self.weights @ (self.draws - mean) ** 2)
        return float(0.9 * sigma * np.square(self.weights).sum() ** 0.2)

    def density(self, values: Array) -> Array:
        """(n,) values -> (n,) density, per unit of the label."""
        height = sum(np.exp(-(pull**2) / 2) @ self.weights for pull in self._pulls(values))
        low, high = self.bounds
        inside = (low <= values) & (values <= high)
        return np.where(inside, height / (self.width * np.sqrt(2 * np.pi)), 0.0)

    def below(self, values: Array) -> Array:
        """(n,) values -> (n,) probability of a label below each."""
        low, high = (self._mass(np.array([end])) for end in self.bounds)
        return np.asarray(np.clip((self._mass(values) - low) / (high - low), 0.0, 1.0))

    def _mass(self, values: Array) -> Array:
        """Of the kernels and their mirror images, below each value."""
        return np.asarray(sum(special.ndtr(pull) @ self.weights for pull in self._pulls(values)))

    def _pulls(self, values: Array) -> tuple[Array, ...]:
        """(n, draws) distances to the draws and to their images, in widths."""
        images = (self.draws, *(2 * end - self.draws for end in self.bounds))
        return tuple((values[:, None] - image) / self.width for image in images)


def exact_posterior(spectra: GridSpectra, flux: torch.Tensor, number: int, label: str) -> Kernel:
    """Of test star `number` with the observed flux (L,), of unknown magnitude."""
    own = spectra.simulator
    stars = own.stars("test", number, number + 1)
    model = Model(own.grid, own.noise, LabelPrior())
    star = Star(model, flux, stars.labels[0], float(stars.mag[0]))
    with torch.inference_mode():
        found = star.samples((), np.random.default_rng([own.seed, number]))
    return Kernel(found.labels[:, LABELS.index(label)], found.weights, RANGES[label])


def densities(
    model: Marginal, exact: Kernel | None, label: str, centre: float, sigma: float
) -> tuple[Density, ...]:
    """The model's density and the exact one, at the same values.

    `centre` and `sigma` are the model's, which may have no bounds.
    """
    reach = (centre - 8 * sigma, centre + 8 * sigma)
    kinds: list[tuple[str, Marginal | Kernel, Array]] = [
        ("model", model, _fine(RANGES[label] if model.scaling.ranges else reach))
    ]
    if exact is not None:
        kinds.append(("exact", exact, _fine(RANGES[label])))
    ends = [_quantiles(one.below, fine, (TAIL, 1 - TAIL)) for _, one, fine in kinds]
    # A narrow one beside a wide one needs its own points, and both sides of where it ends.
    points = [np.linspace(low, high, POINTS) for low, high in ends]
    if exact is not None:
        low, high = exact.bounds
        steps = np.array([np.nextafter(low, -np.inf), low, high, np.nextafter(high, np.inf)])
        points.append(np.clip(steps, min(a for a, _ in ends), max(b for _, b in ends)))
    values = np.unique(np.concatenate(points))
    made = []
    for kind, one, fine in kinds:
        low, high = _quantiles(one.below, fine, CENTRAL)
        height = one.density(values)
        made.append(Density(kind, tuple(values.tolist()), tuple(height.tolist()), low, high))
    return tuple(made)


def _fine(ends: tuple[float, float]) -> Array:
    low, high = ends
    inset = 1e-6 * (high - low)
    return np.linspace(low + inset, high - inset, FINE)


def _quantiles(
    below: Callable[[Array], Array], fine: Array, shares: tuple[float, float]
) -> tuple[float, float]:
    low, high = np.interp(shares, below(fine), fine)
    return float(low), float(high)
