"""What a model is shown of an observed spectrum: noise as large as what is wrong with it.

A network that reads a flux alone knows noise by its scatter in the flux, not by a column of errors.
So an error that is larger than the data's own is added as noise, in `DRAWS` ways, over which the
answers are averaged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.config import Scored
from vitlab.contract.networks import Disturb
from vitlab.lab.inspector.model import CPU
from vitlab.ml.spectra.dataset import GridSpectra, Spectra, unpermuted
from vitlab.ml.spectra.disturb.changes import make_changes
from vitlab.ml.spectra.observation import Batch
from vitlab.ml.survey.pixels import OnPixels

Array = NDArray[np.float64]
DRAWS = 32
"""Draws of added noise: the mean of so many has a sixth of the scatter that it adds."""
TOLD = 1.05
"""Errors raised by less are not worth a line."""


@dataclass(frozen=True)
class Shown:
    """A spectrum on a model's pixels, and the errors that it is shown with."""

    observed: OnPixels
    error: Array  # (L,) 1 sigma of independent pixels; infinite without data
    notes: tuple[str, ...]


def shown(observed: OnPixels, misfit: float, spectra: Spectra) -> Shown:
    """Errors that admit what independent ones do not know.

    `misfit` (rms over the continuum, of the nearest spectrum of the grid) is added to the errors,
    these are divided by the square root of the independent data in a pixel, as independent pixels
    would need to tell as little, and none is below that of the model's brightest stars.
    """
    notes, good, root = [], observed.good, math.sqrt(observed.independent)
    raised = np.hypot(observed.sigma, misfit)
    if np.median(raised[good] / observed.sigma[good]) > TOLD:
        notes.append(
            f"errors are raised by {misfit:.1%} of the flux, by which the nearest spectrum of the "
            "grid misses"
        )
    if 1 / root > TOLD:
        notes.append(f"errors are times {1 / root:.1f}, as neighbouring pixels share them")
    error = raised / root
    kept = unpermuted(spectra)
    if isinstance(kept, GridSpectra):
        low, high = kept.simulator.mag
        noise, one = kept.simulator.noise, torch.ones(1, len(error))
        least = noise.sigma(one, torch.tensor([low]))[0].double().numpy()
        most = noise.sigma(one, torch.tensor([high]))[0].double().numpy()
        if np.median(error[good] / least[good]) < 1:
            notes.append(
                f"shown to the model with the errors of its brightest stars (magnitude {low:g}): "
                "smaller ones it has not seen"
            )
        elif (times := float(np.median(error[good] / most[good]))) > TOLD:
            notes.append(
                f"the errors are {times:.1f} times those of the model's faintest stars (magnitude "
                f"{high:g}): it may state too small ones"
            )
        error = np.maximum(error, least)
    return Shown(observed, error, tuple(notes))


def draws(seen: Shown, config: Scored, wave: Array, count: int = DRAWS) -> Batch:
    """The spectrum with the errors it is shown with, in so many draws of the noise it lacks."""
    observed, random = seen.observed, np.random.default_rng(0)
    own = np.where(observed.good, observed.sigma, 0.0)
    lacks = np.sqrt(np.where(observed.good, seen.error**2 - own**2, 0.0).clip(min=0))
    flux = observed.flux + random.standard_normal((count, len(lacks))) * lacks
    return by_rules(flux, seen.error, config, wave)


def by_rules(flux: Array, error: Array, config: Scored, wave: Array) -> Batch:
    """(n, L) fluxes of one error (L,), infinite without data, by the rules of a model's data."""
    shape = torch.from_numpy(flux).float()
    errors = torch.from_numpy(error).float().expand_as(shape)
    batch = Batch(shape, errors, np.zeros((len(flux), len(config.labels))))
    changes = make_changes(replace(config.data, disturb=Disturb()), wave, CPU)
    return batch if changes is None else changes.finished(batch)
