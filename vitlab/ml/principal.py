"""Principal directions: where a tokenizer may start, instead of anywhere."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vitlab.ml.inputs import Inputs
from vitlab.ml.spectra import Spectra

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
