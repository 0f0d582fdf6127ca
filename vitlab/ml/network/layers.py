"""Layers the networks share, and the plain multi-layer perceptron."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitlab.contract.networks import MlpModel

LEVELS = 256


def drop(x: Tensor, rate: float) -> Tensor:
    """`x` with a share of its numbers 0 and the others larger, so that the mean stays."""
    if rate == 0:
        return x
    if x.device.type != "cpu":
        return functional.dropout(x, rate)
    dropped: Tensor = _Dropped.apply(x, random_bytes(x.shape), rate)  # type: ignore[no-untyped-call]
    return dropped


class Dropout(nn.Module):
    """`drop` in training, nothing otherwise."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        return drop(x, self.rate) if self.training else x


def kept_share(rate: float) -> float:
    """The chance to be kept: to 1/256, and never 1 where the rate is above 0."""
    return 1 - _level(rate) / LEVELS


def random_bytes(shape: torch.Size) -> Tensor:
    """uint8 on the CPU, from torch's generator."""
    if torch.compiler.is_compiling():  # which cannot see 8 bytes in an int64
        return torch.randint(LEVELS, shape, dtype=torch.uint8)
    n = shape.numel()
    words = torch.empty(-(-n // 8), dtype=torch.int64).random_(-(2**63), None)
    return words.view(torch.uint8)[:n].view(shape)


def masked(x: Tensor, chance: Tensor, rate: float) -> Tensor:
    """`x` where the bytes `chance` keep it, else 0; not yet larger."""
    kept: Tensor = torch.ops.aten.threshold_backward(x, chance.to(x.dtype), _level(rate) - 0.5)
    return kept


class _Dropped(torch.autograd.Function):
    """Keeps the bytes alone for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, chance: Tensor, rate: float) -> Tensor:
        ctx.rate = rate
        ctx.save_for_backward(chance)
        return masked(x, chance, rate).div_(kept_share(rate))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (chance,) = ctx.saved_tensors
        (gradient,) = gradients
        return masked(gradient, chance, ctx.rate).div_(kept_share(ctx.rate)), None, None


def _level(rate: float) -> int:
    """Bytes below it drop."""
    return max(round(rate * LEVELS), 1) if rate else 0


class MLP(nn.Module):
    """(B, L) input -> (B, K) labels on the network's scale."""

    def __init__(self, model: MlpModel, pixels: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = pixels
        for hidden in model.hidden:
            layers += [nn.Linear(width, hidden), nn.GELU(), nn.Dropout(model.dropout)]
            width = hidden
        self.layers = nn.Sequential(*layers, nn.Linear(width, outputs))

    def forward(self, spectra: Tensor) -> Tensor:
        labels: Tensor = self.layers(spectra)
        return labels
