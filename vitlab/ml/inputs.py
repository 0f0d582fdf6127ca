"""What a model is shown of an observed spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vitlab.ml.batch import Batch
from vitlab.ml.spectra import Spectra


@dataclass(frozen=True)
class Inputs:
    """Turns observations into a model's input; kept with the model."""

    kind: str
    """`flux`, `flux/error` or `whitened`."""
    sigma: Tensor
    """(L,) typical errors, used by `whitened` alone."""

    def __call__(self, batch: Batch) -> Tensor:
        """(B, L) input.

        `whitened` is (flux - 1) / sigma with one sigma for every spectrum: bright airglow lines
        weigh little, and the noise still tells how faint the star is.
        """
        if self.kind == "flux":
            return batch.flux
        if self.kind == "flux/error":
            return batch.flux / batch.error
        return (batch.flux - 1) / self.sigma


def make_inputs(kind: str, spectra: Spectra) -> Inputs:
    """The input of a configuration for a data set."""
    sigma = spectra.sky_sigma() if kind == "whitened" else torch.ones(spectra.pixels)
    return Inputs(kind, sigma)
