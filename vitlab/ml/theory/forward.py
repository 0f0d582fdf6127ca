"""Spectra of stars of which more is unknown than the labels: velocity, extinction, resolution.

A multiplicative continuum is linear, so it is not here: `vitlab.ml.theory.own_stars` integrates it
in closed form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.spectra.disturb.light import FWHM, LIGHT, added_width, extinction_law
from vitlab.ml.spectra.grid import Grid
from vitlab.ml.spectra.labels import LABELS

Array = NDArray[np.float64]
NODES = 4
"""Resolutions at which spectra are computed; others are interpolated between them."""
TAPS = (-1, 0, 1, 2)
"""Pixels that a cubic interpolation uses."""


@dataclass(frozen=True)
class Nuisances:
    """What is unknown of each spectrum besides its labels; by default nothing."""

    velocity: float = 0.0
    """km/s; the radial velocity is uniform between plus and minus this."""
    continuum: int = -1
    """Order of the polynomial the flux is multiplied by; 0 is a scale, -1 none."""
    continuum_sigma: float = 0.1
    """Standard deviation of each Legendre coefficient of 1 + the polynomial."""
    extinction: float = 0.0
    """A_V is uniform from 0 to this, mag."""
    resolution: tuple[float, float] | None = None
    """Wavelength over FWHM is uniform in this range."""

    @property
    def ranges(self) -> tuple[tuple[float, float], ...]:
        """Of those that are integrated numerically, each uniform: lowest and highest."""
        found = [(-self.velocity, self.velocity)] if self.velocity else []
        found += [(0.0, self.extinction)] if self.extinction else []
        return (*found, *([self.resolution] if self.resolution else []))

    @property
    def cells(self) -> tuple[int, ...]:
        """Of the coarse pass, one number for each of `ranges`."""
        found = [min(max(round(2 * self.velocity / 12), 6), 50)] if self.velocity else []
        return (*found, *([3] if self.extinction else []), *([3] if self.resolution else []))


@dataclass(frozen=True)
class Forward:
    """Noise-free flux of (n, 3 + nuisances) labels and nuisances."""

    grids: tuple[Grid, ...]
    """The grid at each of `widths`; on the pixels of the spectra unless the velocity is unknown."""
    widths: Array  # (nodes,) FWHM squared over wavelength squared that is added
    nuisances: Nuisances
    start: Tensor
    stretch: Tensor
    """(L,) both: a pixel shows position `start + stretch / (1 + v / c)` of the grid."""
    reddening: Tensor
    """(L,) ln flux per magnitude of A_V, its median 0."""
    covered: NDArray[np.bool_]
    """(L,) whether the grid covers a pixel at every velocity."""

    def spectra(self, points: Array) -> Tensor:
        """(n, 3 + nuisances) -> (n, L) float32 flux over its median."""
        n = len(LABELS)
        labels, rest = torch.from_numpy(points[:, :n]), list(points[:, n:].T)
        velocity = rest.pop(0) if self.nuisances.velocity else None
        extinction = rest.pop(0) if self.nuisances.extinction else None
        flux = self._at_resolution(labels, rest.pop(0) if self.nuisances.resolution else None)
        if velocity is not None:
            z = torch.from_numpy(1 / (1 + velocity / LIGHT)).float()
            flux = interpolate(flux, self.start + z[:, None] * self.stretch)
        if extinction is not None:
            flux *= (torch.from_numpy(extinction).float()[:, None] * self.reddening).exp_()
        return flux

    def _at_resolution(self, labels: Tensor, resolution: Array | None) -> Tensor:
        if resolution is None:
            return self.grids[0].flux(labels)
        weights = _lagrange(self.widths, added_width(resolution))  # (n, nodes)
        flux = torch.zeros(1)
        for grid, weight in zip(self.grids, torch.from_numpy(weights).float().T, strict=True):
            flux = flux + weight[:, None] * grid.flux(labels)
        return flux


def make_forward(grid: Grid, wave: Array, nuisances: Nuisances) -> Forward:
    """The spectra of `grid` on the pixels `wave` (L,), Angstrom in air, which it covers."""
    index = np.arange(len(grid.wave), dtype=float)
    shifts = [1 / (1 + v / LIGHT) for v in (-nuisances.velocity, nuisances.velocity)]
    ends = np.array([wave * z for z in shifts])
    covered = (ends.min(axis=0) >= grid.wave[0]) & (ends.max(axis=0) <= grid.wave[-1])
    widths = np.zeros(1)
    if nuisances.resolution is not None:
        ends_ = added_width(np.array(nuisances.resolution))
        angles = (np.arange(NODES) + 0.5) / NODES * np.pi
        widths = ends_.mean() + (ends_[0] - ends_[1]) / 2 * np.cos(angles)
        widths = widths if ends_[0] > ends_[1] else widths[:1]
    nodes = [blurred(grid.nodes, grid.wave, max(float(width), 0.0)) for width in widths]
    at = np.interp(wave, grid.wave, index)
    if nuisances.velocity:
        positions = [np.interp(wave * z, grid.wave, index) for z in shifts]
        stretch = (positions[0] - positions[1]) / (shifts[0] - shifts[1])
        start = positions[0] - stretch * shifts[0]
    else:
        start, stretch = at, np.zeros_like(at)
        if len(at) != len(index) or not np.array_equal(at, index):
            position = torch.from_numpy(at).float()[None]
            nodes = [interpolate(one, position.expand(len(one), -1)) for one in nodes]
    law = -0.4 * np.log(10) * extinction_law(wave)
    return Forward(
        tuple(replace(grid, nodes=one) for one in nodes),
        widths,
        nuisances,
        torch.from_numpy(start).float(),
        torch.from_numpy(stretch).float(),
        torch.from_numpy(law - np.median(law)).float(),
        covered,
    )


def interpolate(flux: Tensor, position: Tensor) -> Tensor:
    """(n, M) flux at (n, L) fractional pixels, by a cubic through the nearest four (Lagrange)."""
    first = position.floor().clamp_(1, flux.shape[1] - 3)
    t = position - first
    pixel = first.long()
    out = torch.zeros_like(t)
    for tap in TAPS:
        weight = torch.ones_like(t)
        for other in TAPS:
            if other != tap:
                weight *= (t - other) / (tap - other)
        out += weight * flux.gather(1, pixel + tap)
    return out


def blurred(nodes: Tensor, wave: Array, width: float) -> Tensor:
    """(K, L) spectra convolved with Gaussians of FWHM `wave * sqrt(width)`; at the ends with
    what of them is inside."""
    if not width:
        return nodes
    sigma = wave * np.sqrt(width) / FWHM  # (L,) Angstrom
    reach = int(np.ceil(4 * float((sigma / np.gradient(wave)).max())))
    total, out = np.zeros(len(wave)), torch.zeros_like(nodes)
    at = np.arange(len(wave))
    for away in range(-reach, reach + 1):
        other = np.clip(at + away, 0, len(wave) - 1)
        weight = np.exp(-0.5 * ((wave[other] - wave) / sigma) ** 2) * (other == at + away)
        total += weight
        out += torch.from_numpy(weight).to(nodes.dtype) * nodes[:, torch.from_numpy(other)]
    return out / torch.from_numpy(total).to(nodes.dtype)


def _lagrange(nodes: Array, at: Array) -> Array:
    """(n, nodes) weights of the values at `nodes` that interpolate at (n,) `at`."""
    weights = np.ones((len(at), len(nodes)))
    for j, node in enumerate(nodes):
        for other in np.delete(nodes, j):
            weights[:, j] *= (at - other) / (node - other)
    return weights
