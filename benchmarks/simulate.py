"""Measures simulated spectra per second against a scipy spline evaluated star by star.

python benchmarks/simulate.py
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as jobs are run

import numpy as np
import torch
from scipy.interpolate import CubicSpline

from vitlab.contract.config import DataConfig
from vitlab.ml.spectra.dataset import COMPONENTS, open_simulator
from vitlab.ml.spectra.grid import compress
from vitlab.ml.spectra.simulate import Simulator

BATCH = 4096
REPEATS = 5
NAIVE_STARS = 8
SIDE = 2048


def main() -> None:
    exact = open_simulator(DataConfig(), 1.0)
    simulator = Simulator(compress(exact.grid, COMPONENTS), exact.noise)
    generator = torch.Generator().manual_seed(0)
    stars = simulator.stars("train", 0, BATCH)
    labels = torch.from_numpy(stars.labels)
    matrix = torch.randn(SIDE, SIDE)
    found: dict[str, list[float]] = {}
    per_core: dict[str, list[float]] = {}
    for _ in range(REPEATS):  # in turns, so that a busy machine is unfair to none
        for name, n, work in (
            ("noisy spectra", BATCH, lambda: simulator.observe(stars, generator)),
            ("  all 350 nodes", BATCH, lambda: exact.observe(stars, generator)),
            ("fixed noise", BATCH, lambda: simulator.observe_fixed("test", 0, BATCH)),
            ("noise-free alone", BATCH, lambda: simulator.grid.flux(labels)),
            ("naive spline", NAIVE_STARS, lambda: _naive(exact, NAIVE_STARS)),
            ("matmul", 2 * SIDE**3, lambda: matrix @ matrix),
        ):
            rate, core = _rates(work, n)
            found.setdefault(name, []).append(rate)
            per_core.setdefault(name, []).append(core)
    print(f"{torch.get_num_threads()} threads, batches of {BATCH}, median (best) of {REPEATS}")
    for name, rates in found.items():
        if name != "matmul":
            core = np.median(per_core[name])
            print(
                f"{name:18} {np.median(rates):9.0f} ({max(rates):.0f}) spectra/s, {core:.0f} a core"
            )
    peak = max(per_core["matmul"])
    nodes, pixels = exact.grid.nodes.shape
    work = max(per_core["noisy spectra"]) * 2 * pixels
    print(f"matmul peak        {peak / 1e9:9.1f} GFLOP/s a core")
    print(f"products done      {work * simulator.grid.nodes.shape[0] / peak:9.1%} of the peak")
    print(f"products replaced  {work * nodes / peak:9.1%} of the peak (all {nodes} nodes)")
    ratio = np.median(found["noisy spectra"]) / np.median(found["naive spline"])
    print(f"over naive spline  {ratio:9.0f}")


def _rates(work: Callable[[], object], n: int) -> tuple[float, float]:
    """A second of the clock, and a second of all cores together."""
    start, cpu = time.perf_counter(), time.process_time()
    work()
    return n / (time.perf_counter() - start), n / (time.process_time() - cpu)


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
