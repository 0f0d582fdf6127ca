"""Measures the error of the grid's interpolation: each inner plane left out and predicted.

python benchmarks/interpolation.py

Beside it stands the noise of one pixel: an error far below it, and not alike from star to star,
costs a model nothing; one that is the same in every spectrum of a region would.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from vitlab.ml.spectra.dataset import COMPONENTS
from vitlab.ml.spectra.grid import compress, load_grid
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.simulate import Simulator

STARS = 1000


def main() -> None:
    grid, noise = load_grid(), load_noise()
    cube = grid.nodes.double().numpy().reshape(*map(len, grid.axes), -1)
    print("plane left out       rms: median   greatest   sqrt(chi2) at 20.5: median   greatest")
    for k, (name, axis) in enumerate(zip(LABELS, grid.axes, strict=True)):
        for i in range(1, len(axis) - 1):
            away = _left_out(cube, axis, k, i)
            at = np.take(cube, i, axis=k)
            flux = torch.from_numpy(at.reshape(-1, at.shape[-1]))
            sigma = noise.sigma(flux, torch.full((len(flux),), 20.5)).numpy().reshape(at.shape)
            rms = np.sqrt((away**2).mean(axis=-1))
            chi = np.sqrt(((away / sigma) ** 2).sum(axis=-1))
            print(
                f"{name:6} {axis[i]:7g}           {np.median(rms):8.5f}   {rms.max():8.5f}"
                f"                {np.median(chi):8.3f}   {chi.max():8.3f}"
            )
    _compression(Simulator(grid, noise))
    for mag in (18.0, 20.5, 22.5):
        sigma = noise.sigma(torch.ones(1, cube.shape[-1]), torch.tensor([mag]))
        print(f"noise of the median pixel at magnitude {mag:g}: {float(sigma.median()):.4f}")


def _left_out(
    cube: NDArray[np.float64], axis: NDArray[np.float64], k: int, i: int
) -> NDArray[np.float64]:
    """What a spline through all other planes misses plane `i` of axis `k` by."""
    others = np.delete(np.arange(len(axis)), i)
    spline = CubicSpline(axis[others], np.take(cube, others, axis=k), axis=k)
    missed: NDArray[np.float64] = spline(axis[i]) - np.take(cube, i, axis=k)
    return missed


def _compression(simulator: Simulator) -> None:
    stars = simulator.stars("test", 0, STARS)
    labels = torch.from_numpy(stars.labels)
    away = compress(simulator.grid, COMPONENTS).flux(labels) - simulator.grid.flux(labels)
    for mag in (18.0, 20.5):
        sigma = simulator.noise.sigma(simulator.grid.flux(labels), torch.full((STARS,), mag))
        chi2 = (away / sigma).square().sum(dim=1).max()
        print(f"{COMPONENTS} components: greatest chi2 of {STARS} stars at {mag:g}: {chi2:.4f}")
    rms, most = away.square().mean().sqrt(), away.abs().max()
    print(f"{COMPONENTS} components: rms {rms:.6f}, greatest {most:.6f} of the median flux")


if __name__ == "__main__":
    main()
