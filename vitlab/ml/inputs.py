"""What a model is shown of an observed spectrum."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vitlab.ml.batch import Batch
from vitlab.ml.spectra import Spectra

SKY_INPUTS = ("whitened", "flux+error")


@dataclass(frozen=True)
class Inputs:
    """Turns observations into a model's input; kept with the model."""

    kind: str
    """`flux`, `flux/error`, `whitened` or `flux+error`."""
    sigma: Tensor
    """(L,) typical errors, used by `SKY_INPUTS` alone."""

    def __call__(self, batch: Batch) -> Tensor:
        """(B, L) input; (B, 2, L) for `flux+error`.

        `whitened` is (flux - 1) / sigma with one sigma for every spectrum: bright airglow lines
        weigh little, and the noise still tells how faint the star is. The error of `flux+error`
        is shown as sigma / (sigma + error): an error is infinite where there is no datum and may
        be hundreds of times the typical one beside it, while this weight lies between 0 (no
        datum) and 1, is 1/2 for a typical pixel and still tells every error apart.
        """
        match self.kind:
            case "flux":
                return batch.flux
            case "flux/error":
                return batch.flux / batch.error
            case "whitened":
                return (batch.flux - 1) / self.sigma
            case "flux+error":
                weight = self.sigma / (self.sigma + batch.error)
                return torch.stack([batch.flux, weight], dim=1)
        raise ValueError(f"input {self.kind!r}")


def make_inputs(kind: str, spectra: Spectra) -> Inputs:
    """The input of a configuration for a data set."""
    sigma = spectra.sky_sigma() if kind in SKY_INPUTS else torch.ones(spectra.pixels)
    return Inputs(kind, sigma)
