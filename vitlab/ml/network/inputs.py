"""What a model is shown of an observed spectrum, and the principal directions of such inputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vitlab.ml.spectra.dataset import Spectra
from vitlab.ml.spectra.observation import Batch

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


SAMPLE = 4096
"""Training spectra the directions are found from."""
DIRECTIONS = 96
"""Most directions kept: spectra of the embedded grid vary in no more (`spectra.COMPONENTS`)."""


@torch.no_grad()
def principal_directions(spectra: Spectra, inputs: Inputs, count: int) -> Tensor:
    """(count, channels, L) mixtures of the directions in which the noise-free input varies most.

    Each direction is scaled so that noisy input along it has variance 1, then all are mixed by
    a random matrix with orthonormal rows or columns. Where the noise of the pixels is
    independent and equal, as in whitened input, the products with them hold all that a spectrum
    says of its labels: a network starts from there and need not find it in thousands of pixels.
    """
    n = min(SAMPLE, spectra.sizes["train"])
    clean = inputs(spectra.clean(0, n))
    shape = clean.shape[1:] if clean.dim() == 3 else (1, *clean.shape[1:])
    clean = clean.flatten(1)
    mean = clean.mean(dim=0)
    most = min(DIRECTIONS, *clean.shape)
    _, _, directions = torch.pca_lowrank(clean, q=most, center=True, niter=4)  # (C L, most)
    noisy = (inputs(spectra.fixed("train", 0, n)).flatten(1) - mean) @ directions
    directions = directions / noisy.std(dim=0).clamp_min(torch.finfo(noisy.dtype).tiny)
    mixing = nn.init.orthogonal_(noisy.new_empty(count, directions.shape[1]))
    return (mixing @ directions.T).reshape(count, *shape)
