"""Position embeddings: what tells one patch of the spectrum from another."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class LearnedPositions(nn.Module):
    """A free vector for each place."""

    def __init__(self, places: int, hidden: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.empty(places, hidden))
        nn.init.normal_(self.table, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.table  # (B, places, hidden)


class SinusoidalPositions(nn.Module):
    """Fixed sines and cosines (Vaswani et al. 2017, 3.5)."""

    def __init__(self, places: int, hidden: int) -> None:
        super().__init__()
        rate = torch.exp(torch.arange(0, hidden, 2) * (-math.log(10_000.0) / hidden))
        angle = torch.arange(places)[:, None] * rate  # (places, hidden / 2)
        table = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
        self.register_buffer("table", table, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.get_buffer("table")


def make_positions(name: str, places: int, hidden: int) -> nn.Module:
    """The embedding `learned`, `sinusoidal` or `none`."""
    match name:
        case "learned":
            return LearnedPositions(places, hidden)
        case "sinusoidal":
            return SinusoidalPositions(places, hidden)
        case "none":
            return nn.Identity()
    raise ValueError(f"positions {name!r}")
