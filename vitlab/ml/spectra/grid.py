"""The embedded grid of synthetic spectra and its tensor-product cubic spline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce
from importlib import resources
from pathlib import Path

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from torch import Tensor

from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.hdf5 import find, open_hdf5, read_array
from vitlab.ml.spectra.labels import LABELS

MOST_NODES = 1000
"""Of an axis."""
MOST_IN_ALL = 3000
"""Nodes of a grid: its principal components take the cube of their number."""
OFFSETS = ("a_M", "C_M")
"""Abundances a grid may have derivatives for, besides its labels."""


class OutOfGrid(ValueError):  # noqa: N818 - the name says what happened
    """A label is outside the grid."""

    def __init__(self, label: str, value: float, low: float, high: float) -> None:
        super().__init__(f"{label} = {value:g} is outside the grid ({low:g} to {high:g})")


@dataclass(frozen=True)
class Grid:
    """Spectra on a rectilinear grid of T_eff, log_g, M_H, interpolated by cubic splines.

    A spline is linear in its nodes: on each axis it is a sum of cardinal splines (1 at one node, 0
    at the others; not-a-knot ends), so a spectrum is weights x nodes.
    """

    wave: NDArray[np.float64]  # (L,) air wavelength, Angstrom
    axes: tuple[NDArray[np.float64], ...]
    """Ascending values of T_eff, log_g, M_H."""
    nodes: Tensor
    """(K, L) flux over its median over the band; without `mixing` the N nodes, M_H fastest."""
    cardinals: tuple[Tensor, ...]
    """For each axis (4, n - 1, n): power, interval, node; float64."""
    breaks: tuple[Tensor, ...]
    """The axes as float64 tensors."""
    mixing: Tensor | None = None
    """(N, K) float64: node n is `mixing[n] @ nodes`; None if `nodes` are the nodes themselves."""

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> Grid:
        """The grid with its tensors on `device`; `dtype` applies to the spectra."""
        return replace(
            self,
            nodes=self.nodes.to(device, dtype),
            cardinals=tuple(c.to(device) for c in self.cardinals),
            breaks=tuple(b.to(device) for b in self.breaks),
            mixing=None if self.mixing is None else self.mixing.to(device),
        )

    def weights(self, labels: Tensor) -> Tensor:
        """(B, 3) labels -> (B, N) weights of the nodes, float64. Raises `OutOfGrid`."""
        return _outer([value for value, _ in self._cardinal_values(labels)])

    def flux(self, labels: Tensor) -> Tensor:
        """(B, 3) labels -> (B, L) flux over median: one matrix product."""
        return self.mixed(self.weights(labels))

    def derivatives(self, labels: Tensor) -> Tensor:
        """(B, 3) labels -> (B, 3, L) exact d flux / d label of the spline, per K, dex, dex."""
        parts = self._cardinal_values(labels)
        weights = [
            _outer([slope if i == axis else value for i, (value, slope) in enumerate(parts)])
            for axis in range(len(parts))
        ]
        return self.mixed(torch.stack(weights, dim=1))

    def mixed(self, weights: Tensor) -> Tensor:
        """(..., N) weights of the nodes -> (..., L) weighted sums."""
        if self.mixing is not None:
            weights = weights @ self.mixing
        return weights.to(self.nodes.dtype) @ self.nodes

    def _cardinal_values(self, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For each axis the cardinal splines and their slopes at the labels, (B, n) each."""
        # Before they are copied to a device, which would have to be waited for.
        for name, ends, x in zip(LABELS, self.axes, labels.double().unbind(dim=1), strict=True):
            low, high = float(ends[0]), float(ends[-1])
            bad = ~((x >= low) & (x <= high))  # written so that NaN is bad too
            if bad.any():
                raise OutOfGrid(name, float(x[bad][0]), low, high)
        labels = labels.to(self.breaks[0], non_blocking=True)
        parts = []
        for i, (axis, powers) in enumerate(zip(self.breaks, self.cardinals, strict=True)):
            x = labels[:, i].contiguous()
            interval = torch.searchsorted(axis, x, right=True).clamp(1, len(axis) - 1) - 1
            t = (x - axis[interval])[:, None]
            a, b, c, d = powers[:, interval]  # each (B, n)
            parts.append((((a * t + b) * t + c) * t + d, (3 * a * t + 2 * b) * t + c))
        return parts


def _outer(parts: list[Tensor]) -> Tensor:
    """(B, n1), (B, n2), ... -> (B, n1 n2 ...), the last index fastest."""
    return reduce(lambda left, right: (left[:, :, None] * right[:, None, :]).flatten(1), parts)


def make_grid(
    wave: NDArray[np.float64], axes: tuple[NDArray[np.float64], ...], nodes: NDArray[np.float32]
) -> Grid:
    """A grid from its axes and (n1, n2, n3, L) spectra."""
    powers = tuple(torch.from_numpy(CubicSpline(x, np.eye(len(x))).c.copy()) for x in axes)
    flat = torch.from_numpy(nodes.reshape(-1, nodes.shape[-1]))
    return Grid(wave, axes, flat, powers, tuple(torch.from_numpy(x) for x in axes))


def compress(grid: Grid, components: int) -> Grid:
    """The grid with its nodes replaced by their mean and `components` principal components.

    Computing a spectrum is then N / (components + 1) times cheaper. For the packaged grid, 96
    components leave an rms error of 4e-5 of the median flux (benchmarks/interpolation.py), a
    twentieth of the interpolation error.
    """
    nodes = grid.nodes.double()
    mean = nodes.mean(dim=0)
    _, vectors = torch.linalg.eigh((nodes - mean) @ (nodes - mean).T)  # ascending
    mixing = vectors[:, -components:]
    basis = torch.cat([mixing.T @ (nodes - mean), mean[None]])
    # A spline's weights sum to 1, so the mean always has weight 1.
    mixing = torch.cat([mixing, torch.ones_like(mixing[:, :1])], dim=1)
    return replace(grid, nodes=basis.to(grid.nodes.dtype), mixing=mixing)


def load_grid(path: Path | None = None) -> Grid:
    """The grid in `path`; the packaged one when None. Raises `UsageError`."""
    with resources.as_file(packaged("grid.h5")) as inside, open_hdf5(path or inside) as file:
        axes = _axes(file, "axes", 4)
        wave = read_array(file, "wave").astype(np.float64)
        flux = read_array(file, "flux")
        if wave.ndim != 1 or flux.shape != (*map(len, axes), len(wave)):
            raise UsageError(f"{file.filename}: flux: shape {flux.shape} does not fit the axes")
        nodes = flux.astype(np.float32)
    return make_grid(wave, axes, nodes)


def load_derivatives(path: Path | None = None) -> tuple[Grid, ...]:
    """Grids of d flux / d a_M and d flux / d C_M per dex, from the offset spectra.

    Each is (offset - main) / delta on nodes of the main grid; empty for a grid without offsets.
    """
    main = load_grid(path)
    cube = main.nodes.reshape(*map(len, main.axes), -1).double().numpy()
    grids = []
    with resources.as_file(packaged("grid.h5")) as inside, open_hdf5(path or inside) as file:
        for name in OFFSETS:
            folder = f"offsets/{name}"
            if find(file, folder) is None:
                continue
            axes = _axes(file, folder, 2)
            indices = [np.searchsorted(main.axes[k], axis) for k, axis in enumerate(axes)]
            delta, flux = (read_array(file, f"{folder}/{part}") for part in ("delta", "flux"))
            known = all(np.isin(axis, main.axes[k]).all() for k, axis in enumerate(axes))
            shape = (*map(len, axes), len(main.wave))
            if not known or delta.size != 1 or not delta.all() or flux.shape != shape:
                raise UsageError(f"{file.filename}: {folder}: does not fit the grid")
            change = (flux - cube[np.ix_(*indices)]) / float(delta.ravel()[0])
            grids.append(make_grid(main.wave, axes, change.astype(np.float32)))
    return tuple(grids)


def _axes(file: h5py.File, folder: str, least: int) -> tuple[NDArray[np.float64], ...]:
    axes = tuple(read_array(file, f"{folder}/{name}").astype(np.float64) for name in LABELS)
    for name, axis in zip(LABELS, axes, strict=True):
        if axis.ndim != 1 or not least <= len(axis) <= MOST_NODES or not _ascends(axis):
            raise UsageError(
                f"{file.filename}: {folder}/{name}: not {least} to {MOST_NODES} ascending values"
            )
    if (nodes := math.prod(map(len, axes))) > MOST_IN_ALL:
        raise UsageError(f"{file.filename}: {folder}: {nodes} nodes, more than {MOST_IN_ALL}")
    return axes


def _ascends(axis: NDArray[np.float64]) -> bool:
    """By steps that a spline can take."""
    return bool((abs(axis) < 1e9).all() and (np.diff(axis) > 1e-9).all())


def packaged(name: str) -> resources.abc.Traversable:
    """A packaged data file."""
    return resources.files("vitlab.ml") / "data" / name
