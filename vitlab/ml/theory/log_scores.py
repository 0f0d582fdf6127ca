"""The exact posterior's density at the true labels of simulated stars: the best log score there is.

ln p(y | d) = ln Z(y) - ln Z, where Z is the likelihood integrated over the prior of all labels and
a flat one of the magnitude (`vitlab.ml.theory.posterior`), and Z(y) the same with the labels y held
at their true values. Each is an integral by adaptive importance sampling (Cappe et al. 2008) that
starts at the truth, itself a draw from the posterior, and from the whole prior.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import special
from torch import Tensor

from vitlab.ml.scoring import DensityScores
from vitlab.ml.spectra.dataset import COMPONENTS
from vitlab.ml.spectra.grid import compress
from vitlab.ml.spectra.labels import BETA, LABELS, RANGES, LabelPrior
from vitlab.ml.spectra.simulate import Simulator
from vitlab.ml.theory.posterior import (
    Cells,
    Model,
    Proposal,
    Student,
    log_likelihood,
    mixture_log_density,
)

Array = NDArray[np.float64]
ENOUGH = 400.0
"""Effective sample size of each integral: an error of 0.05 nat, independent between stars."""
ROUNDS, DRAWS, OVERALL = 16, 256, 64
"""Most refinements; points of each; points from the whole prior."""
MAG_SIGMA = 0.02
"""What the noise tells of the magnitude, to start with."""
PIECE = 256
"""Stars observed at once."""


@dataclass(frozen=True)
class Samples:
    """Weighted draws from the posterior of one star."""

    labels: Array  # (n, 3) in the order of `LABELS`
    weights: Array  # (n,) normalised
    log_evidence: float
    """ln Z, up to a constant of the star."""

    @property
    def effective(self) -> float:
        """Effective sample size."""
        return float(1 / np.square(self.weights).sum())


def exact_scores(simulator: Simulator, labels: Sequence[str], n: int) -> Iterator[DensityScores]:
    """The exact posteriors of the first `n` test stars, one at a time, for the `labels` together.

    For spectra without errors shown, of unknown magnitude.
    """
    columns = [LABELS.index(name) for name in labels]
    grid = simulator.grid.to("cpu")
    grid = compress(grid, COMPONENTS) if grid.mixing is None else grid
    model = Model(grid, simulator.noise.to("cpu"), LabelPrior())
    observer = Simulator(grid, model.noise, simulator.mag, simulator.seed)
    with torch.inference_mode():
        for start in range(0, n, PIECE):
            stars, flux, _ = observer.observe_fixed("test", start, min(start + PIECE, n))
            for row in range(len(stars)):
                star = Star(model, flux[row], stars.labels[row], float(stars.mag[row]))
                yield star.scores(columns, np.random.default_rng([observer.seed, start + row]))


@dataclass(frozen=True)
class Star:
    """One observed star whose labels and magnitude are known."""

    model: Model
    flux: Tensor  # (L,)
    labels: Array  # (3,) true
    mag: float

    def scores(self, columns: Sequence[int], generator: np.random.Generator) -> DensityScores:
        """Of the labels in `columns`, alone and together."""
        whole = self.samples((), generator)
        prior = -np.log(self.model.prior.slopes(self.unit[None])[0])
        alone = [self.samples((k,), generator).log_evidence + prior[k] for k in columns]
        joint = alone[0]
        if len(columns) > 1:
            fixed = tuple(columns)
            joint = self.samples(fixed, generator).log_evidence + prior[list(columns)].sum()
        below = whole.weights @ (whole.labels < self.labels)
        return DensityScores(
            log_score=np.array([alone]) - whole.log_evidence,
            joint=np.array([joint]) - whole.log_evidence,
            pit=below[None, list(columns)],
        )

    @property
    def unit(self) -> Array:
        """(3,) the true labels in the unit cube, where their prior is uniform."""
        low, high = np.array([RANGES[name] for name in LABELS]).T
        unit: Array = special.betainc(BETA, BETA, (self.labels - low) / (high - low))
        return unit.clip(1e-9, 1 - 1e-9)

    def samples(self, fixed: Sequence[int], generator: np.random.Generator) -> Samples:
        """Posterior of the other labels and the magnitude, the labels `fixed` known."""
        free = [k for k in range(len(LABELS)) if k not in fixed]
        covariance = self._covariance(free)
        shape = (1,) * len(free)  # one cell: the whole prior
        proposals: list[Proposal] = [
            Student(np.append(self.unit[free], self.mag), covariance, mag_known=False)
        ]
        points = proposals[0].draw(DRAWS, generator)
        if free:
            proposals.append(Cells(np.ones(1), shape, self.mag, 1.5 * MAG_SIGMA))
            points = np.concatenate([points, proposals[1].draw(OVERALL, generator)])
        values = self._log_likelihood(points, free)
        for _ in range(ROUNDS):
            log_weights = values - mixture_log_density(proposals, points)
            weights = np.exp(log_weights - special.logsumexp(log_weights))
            if 1 / np.square(weights).sum() >= ENOUGH:
                break
            proposals.append(Student.fitted(points, weights, covariance, mag_known=False))
            fresh = proposals[-1].draw(DRAWS, generator)
            points = np.concatenate([points, fresh])
            values = np.concatenate([values, self._log_likelihood(fresh, free)])
        log_weights = values - mixture_log_density(proposals, points)
        total = float(special.logsumexp(log_weights))
        labels = self.model.prior.labels(self._whole(points, free).clip(0, 1))
        return Samples(labels, np.exp(log_weights - total), total - np.log(len(points)))

    def _whole(self, points: Array, free: Sequence[int]) -> Array:
        """(n, free + 1) -> (n, 3) points of the unit cube."""
        unit = np.tile(self.unit, (len(points), 1))
        unit[:, list(free)] = points[:, :-1]
        return unit

    def _log_likelihood(self, points: Array, free: Sequence[int]) -> Array:
        """(n, free + 1) -> (n,) ln L, -inf outside the cube."""
        unit = self._whole(points, free)
        out = np.full(len(points), -np.inf)
        inside = np.flatnonzero(((unit > 0) & (unit < 1)).all(axis=1))
        if len(inside):
            spectra = self.model.grid.flux(torch.from_numpy(self.model.prior.labels(unit[inside])))
            mags = torch.from_numpy(np.ascontiguousarray(points[inside, -1]))
            variance = self.model.noise.variance(spectra, mags)
            out[inside] = log_likelihood(self.flux, spectra, variance).numpy()
        return out

    def _covariance(self, free: Sequence[int]) -> Array:
        """Of the free labels and the magnitude, by the information at the truth."""
        truth = torch.from_numpy(self.labels[None])
        slopes = self.model.grid.derivatives(truth)[0].double().numpy()[list(free)]
        slopes = slopes * self.model.prior.slopes(self.unit[None]).T[list(free)]
        spectrum = self.model.grid.flux(truth)
        mags = torch.tensor([self.mag])
        weight = 1 / self.model.noise.variance(spectrum, mags)[0].double().numpy()
        covariance = np.zeros((len(free) + 1, len(free) + 1))
        # The variance of the uniform prior, 1/12, bounds what the data do not constrain.
        information = (slopes * weight) @ slopes.T + 12 * np.eye(len(free))
        covariance[:-1, :-1] = 1.5 * np.linalg.inv(information)
        covariance[-1, -1] = 1.5 * MAG_SIGMA**2
        return covariance
