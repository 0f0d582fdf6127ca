"""Position embeddings: what tells one patch of the spectrum from another."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vitlab.contract.networks import FEATURES

BASE = 10_000.0
"""Longest wave of the sinusoidal and rotary positions, in strides over 2 pi."""
PERIODS = (1e-3, 1.0)
"""Shortest and longest wave of `pipe`, in ln(wavelength): 300 km/s (some pixels) to a factor e."""


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
        rate = torch.exp(torch.arange(0, hidden, 2) * (-math.log(BASE) / hidden))
        angle = torch.arange(places)[:, None] * rate  # (places, hidden / 2)
        table = torch.stack([angle.sin(), angle.cos()], dim=2).flatten(1)
        self.register_buffer("table", table, persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        return tokens + self.get_buffer("table")


class WavelengthPositions(nn.Module):
    """pipe: Fourier features of ln(wavelength) at the centre of each patch, projected and added.

    The same step in ln(wavelength) is the same velocity at any wavelength, and the inner product
    of two places' features depends on that step alone. The waves are fixed in velocity, so the
    map learned means the same on any other wavelength grid. (Fourier features: Tancik et al.
    2020.)
    """

    def __init__(self, centres: Tensor, cls: bool, hidden: int) -> None:
        super().__init__()
        features = wavelength_features(centres)
        if cls:  # which stands for no wavelength
            features = torch.cat([torch.zeros(1, FEATURES, dtype=features.dtype), features])
        self.register_buffer("features", features.float(), persistent=False)  # (places, FEATURES)
        self.projection = nn.Linear(FEATURES, hidden, bias=False)
        nn.init.normal_(self.projection.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        mixed: Tensor = tokens + self.projection(self.get_buffer("features"))
        return mixed


class Rotation(nn.Module):
    """rope: turns pairs of a head's numbers by angles that grow with the place (Su et al. 2021).

    Number i is paired with i + D / 2. Products of turned queries and keys depend on the distance
    of their places alone. [CLS] has no place and stays as it is.
    """

    def __init__(self, places: Tensor, cls: bool, dimensions: int) -> None:
        """`places` (patches,) in strides; `dimensions` D of a head, even."""
        super().__init__()
        rate = BASE ** -(torch.arange(0, dimensions, 2, dtype=torch.float64) / dimensions)
        angle = places.double()[:, None] * rate  # (patches, D / 2)
        if cls:
            angle = torch.cat([torch.zeros_like(angle[:1]), angle])
        self.register_buffer("cos", angle.cos().float(), persistent=False)
        self.register_buffer("sin", angle.sin().float(), persistent=False)

    def forward(self, heads: Tensor) -> Tensor:
        """(..., places, D) -> the same, turned."""
        cos = self.get_buffer("cos").to(heads.dtype)
        sin = self.get_buffer("sin").to(heads.dtype)
        left, right = heads.chunk(2, dim=-1)
        return torch.cat([left * cos - right * sin, right * cos + left * sin], dim=-1)


def wavelength_features(wave: Tensor) -> Tensor:
    """(n,) Angstrom -> (n, FEATURES): sines and cosines of ln(wavelength), mean square 1/2."""
    short, long = (math.log(period) for period in PERIODS)
    periods = torch.linspace(short, long, FEATURES // 2, dtype=torch.float64).exp()
    angle = 2 * math.pi * wave.double().log()[:, None] / periods
    return torch.cat([angle.sin(), angle.cos()], dim=1)
