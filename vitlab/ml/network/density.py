"""Densities of the labels that a network's outputs describe: mixtures of normal distributions.

Mixture density networks (Bishop 1994), each component with the Cholesky factor of its precision
(Williams 1996). Shapes: B spectra, C components, K labels.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from vitlab.contract.networks import mixture_outputs

LOG_SIGMA = 7.0
"""Bound on |ln sigma|: predicted errors lie between 0.0009 and 1100 in scaled labels."""
NODES = 24
"""Points of the Gauss-Hermite quadrature of a component's mean and variance."""


@dataclass(frozen=True)
class Mixture:
    """A density of K scaled labels for each of B spectra."""

    log_weights: Tensor  # (B, C), normalised
    mean: Tensor  # (B, C, K)
    factor: Tensor
    """(B, C, K, K) lower triangular U, with U^T U the inverse of a component's covariance."""

    def log_density(self, labels: Tensor) -> Tensor:
        """(B, K) scaled labels -> (B,) ln density of all together, in nats."""
        away = labels[:, None] - self.mean
        pull = (self.factor @ away[..., None])[..., 0]
        volume = self.factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)
        constant = 0.5 * math.log(2 * math.pi) * labels.shape[-1]
        each = volume - 0.5 * pull.square().sum(dim=-1) - constant
        total: Tensor = (self.log_weights + each).logsumexp(dim=1)
        return total

    @property
    def sigma(self) -> Tensor:
        """(B, C, K) standard deviation of each label alone in each component."""
        one = torch.eye(self.mean.shape[-1], dtype=self.mean.dtype, device=self.mean.device)
        inverse = torch.linalg.solve_triangular(
            self.factor, one.expand_as(self.factor), upper=False
        )
        sigma: Tensor = torch.linalg.vector_norm(inverse, dim=-1)
        return sigma

    def log_marginals(self, labels: Tensor) -> Tensor:
        """(B, K) scaled labels -> (B, K) ln density of each label alone, in nats."""
        sigma = self.sigma
        pull = (labels[:, None] - self.mean) / sigma
        each = -0.5 * pull.square() - sigma.log() - 0.5 * math.log(2 * math.pi)
        total: Tensor = (self.log_weights[..., None] + each).logsumexp(dim=1)
        return total

    def below(self, labels: Tensor) -> Tensor:
        """(B, K) scaled labels -> (B, K) probability of a label below each (PIT of the truth)."""
        pull = (labels[:, None] - self.mean) / self.sigma
        total: Tensor = (self.log_weights.exp()[..., None] * torch.special.ndtr(pull)).sum(dim=1)
        return total

    def moments(self, original: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
        """(B, K) mean and standard deviation of the labels `original` makes of scaled ones.

        `original` maps (..., K) and may bend: each component is integrated by quadrature.
        """
        nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
        steps = self.mean.new_tensor(nodes)[:, None]  # (Q, 1)
        shares = self.mean.new_tensor(weights / weights.sum())[:, None]
        points = original(self.mean[:, :, None] + self.sigma[:, :, None] * steps)  # (B, C, Q, K)
        share = self.log_weights.exp()[..., None, None] * shares  # (B, C, Q, 1)
        mean = (share * points).sum(dim=(1, 2))
        variance = (share * (points - mean[:, None, None]).square()).sum(dim=(1, 2))
        return mean, variance.clamp_min(torch.finfo(variance.dtype).tiny).sqrt()

    def pooled(self) -> Mixture:
        """The mean of its B densities, as one."""
        weights = self.log_weights.flatten() - math.log(len(self.log_weights))
        return Mixture(
            weights[None], self.mean.flatten(0, 1)[None], self.factor.flatten(0, 1)[None]
        )

    def double(self) -> Mixture:
        """In double precision."""
        return Mixture(self.log_weights.double(), self.mean.double(), self.factor.double())


def mixture(outputs: Tensor, labels: int) -> Mixture:
    """(B, `mixture_outputs(labels, C)`) outputs of a network -> the density, in their precision.

    For each component a raw ln weight, K means, K raw ln 1 / sigma, and the rest of its factor
    below the diagonal, over the diagonal of its row.
    """
    components = outputs.shape[-1] // mixture_outputs(labels, 1)
    parts = outputs.reshape(len(outputs), components, -1)  # (B, C, 1 + 2 K + K (K - 1) / 2)
    raw, mean, scale, rest = torch.split(parts, [1, labels, labels, labels * (labels - 1) // 2], -1)
    unit = torch.diag_embed(torch.ones_like(scale))
    row, column = torch.tril_indices(labels, labels, -1, device=outputs.device)
    unit[..., row, column] = rest
    factor = bounded(scale).exp()[..., None] * unit
    return Mixture(
        raw[..., 0].log_softmax(dim=-1),
        mean + _starts(components, labels, mean.device, mean.dtype),
        factor,
    )


def bounded(log_sigma: Tensor) -> Tensor:
    """Smoothly bounded, so that neither exp(ln sigma) nor its inverse overflows."""
    return LOG_SIGMA * (log_sigma / LOG_SIGMA).tanh()


@lru_cache
@torch.inference_mode(False)
def _starts(components: int, labels: int, device: torch.device, dtype: torch.dtype) -> Tensor:
    """(C, K) means of the components of an untrained network, whose outputs are near 0.

    Spread as a standard normal distribution, by a low-discrepancy sequence (Roberts 2018): equal
    components would long have equal gradients. Kept, so that no step waits for a copy.
    """
    if components == 1:
        return torch.zeros(1, labels, device=device, dtype=dtype)
    root = 2.0
    for _ in range(50):
        root = (1 + root) ** (1 / (labels + 1))
    rates = root ** -torch.arange(1, labels + 1, dtype=torch.float64)
    share = (0.5 + torch.arange(components, dtype=torch.float64)[:, None] * rates) % 1
    starts: Tensor = torch.special.ndtri(share.clamp(0.02, 0.98)).to(device, dtype)
    return starts
