"""Measures simulated spectra per second against a scipy spline evaluated star by star.

python benchmarks/simulate.py
"""

from __future__ import annotations

import time

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from vitlab.ml.grid import load_grid
from vitlab.ml.noise import load_noise
from vitlab.ml.simulate import Simulator

BATCH = 4096
REPEATS = 5
NAIVE_STARS = 8


def main() -> None:
    simulator = Simulator(load_grid(), load_noise())
    generator = torch.Generator().manual_seed(0)
    stars = simulator.stars("train", 0, BATCH)
    simulator.observe(stars, generator)  # warm up
    rates = [_rate(lambda: simulator.observe(stars, generator), BATCH) for _ in range(REPEATS)]
    fixed = _rate(lambda: simulator.observe_fixed("test", 0, BATCH), BATCH)
    naive = _rate(lambda: _naive(simulator, NAIVE_STARS), NAIVE_STARS)
    fast = float(np.median(rates))
    print(f"{torch.get_num_threads()} threads, batches of {BATCH}")
    print(f"fresh noise  {fast:10.0f} spectra/s (runs: {', '.join(f'{r:.0f}' for r in rates)})")
    print(f"fixed noise  {fixed:10.0f} spectra/s")
    print(f"naive spline {naive:10.1f} spectra/s")
    print(f"ratio        {fast / naive:10.0f}")


def _rate(work: object, n: int) -> float:
    assert callable(work)
    start = time.perf_counter()
    work()
    return n / (time.perf_counter() - start)


def _naive(simulator: Simulator, n: int) -> None:
    """Three nested scipy splines for each star, then its noise."""
    grid = simulator.grid
    cube = grid.nodes.numpy().reshape(*(len(axis) for axis in grid.axes), -1)
    stars = simulator.stars("train", 0, n)
    generator = np.random.default_rng(0)
    for labels, mag in zip(stars.labels, stars.mag, strict=True):
        values = cube
        for axis, label in zip(grid.axes, labels, strict=True):
            values = CubicSpline(axis, values, axis=0)(label)
        flux = torch.from_numpy(values)[None]
        sigma = simulator.noise.sigma(flux, torch.tensor([mag]))
        generator.normal(values, sigma[0].numpy())


if __name__ == "__main__":
    main()
