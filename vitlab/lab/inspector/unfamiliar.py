"""Whether a network reads an observed spectrum as it reads those of the grid.

The distance of what its last linear map reads (normalised to length 1) to the `NEIGHBOUR`-th
nearest of simulated spectra: Sun et al. 2022, Out-of-distribution detection with deep nearest
neighbors, arXiv 2204.06507. Labels bend these features, so that no normal distribution fits them:
by the distance of Mahalanobis (Lee et al. 2018, arXiv 1807.03888) metal-poor stars raise it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.config import Scored
from vitlab.lab.inspector.model import NetworkModel
from vitlab.lab.inspector.shown import Shown, by_rules, draws
from vitlab.ml.survey.comparison import EACH, PART, Reference

Array = NDArray[np.float64]
NEIGHBOUR = 10
COMPARED, CALIBRATED = 600, 900
"""Simulated spectra whose features are looked for, and others that tell the limit."""


@dataclass(frozen=True)
class Unfamiliar:
    """How far a network's features of a spectrum are from those of simulated ones."""

    distance: float
    """Median over the draws of noise."""
    highest: float
    """What `EACH` of simulated spectra with the same errors, masks and resolution exceed."""

    @property
    def why(self) -> str:
        """Why it is unlike these; empty if it is not."""
        if self.distance <= self.highest:
            return ""
        return (
            "the network reads it unlike spectra of the grid: its features are "
            f"{self.distance:.2f} away from theirs, above {self.highest:.2f}"
        )


def unfamiliar(
    model: NetworkModel, seen: Shown, config: Scored, wave: Array, reference: Reference
) -> Unfamiliar:
    """The features of a spectrum as the model is shown it, on pixels `wave` (L,)."""
    random = np.random.default_rng(0)
    known, others = (
        _features(model, seen, config, wave, reference, count, random)
        for count in (COMPARED, CALIBRATED)
    )
    limits = _distances(others, known)
    own = _distances(_unit(model.features(draws(seen, config, wave))), known)
    return Unfamiliar(float(np.median(own)), float(np.quantile(limits, 1 - EACH)))


def _features(
    model: NetworkModel,
    seen: Shown,
    config: Scored,
    wave: Array,
    reference: Reference,
    count: int,
    random: np.random.Generator,
) -> Array:
    """(count, D) of spectra of the grid with the errors, masks and resolution of one."""
    observed = seen.observed
    stars = reference.compared(observed.resolution)
    noise = np.where(observed.good, seen.error, 0.0)
    parts = []
    for some in np.array_split(random.integers(len(stars), size=count), -(-count // PART)):
        drawn = stars[torch.from_numpy(some)].double().numpy()
        flux = np.stack([np.interp(wave, reference.grid.wave, star) for star in drawn])
        flux /= np.median(flux[:, observed.good], axis=1, keepdims=True)
        flux += random.standard_normal(flux.shape) * noise
        flux[:, ~observed.good] = 1.0
        parts.append(model.features(by_rules(flux, seen.error, config, wave)))
    return _unit(np.concatenate(parts))


def _unit(features: Array) -> Array:
    """(n, D) of length 1."""
    size = np.linalg.norm(features, axis=1, keepdims=True).clip(min=1e-12)
    return np.asarray(features / size)


def _distances(of: Array, known: Array) -> Array:
    """(n,) from unit vectors (n, D) to the `NEIGHBOUR`-th nearest of (m, D)."""
    square: Array = (2 - 2 * of @ known.T).clip(min=0)
    nearest: Array = np.partition(square, NEIGHBOUR - 1, axis=1)[:, NEIGHBOUR - 1]
    return np.sqrt(nearest)
