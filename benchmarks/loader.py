"""Measures shuffled batches from a file against h5py's bare contiguous read of the same file.

python benchmarks/loader.py [SPECTRA]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from vitlab.contract.config import DataConfig
from vitlab.ml.spectra.dataset import open_simulator
from vitlab.ml.spectra.file_spectra import ROWS, Plan, Slabs
from vitlab.ml.spectra.pfsspec import ERROR, FLUX, MASK, SpectraFiles, make_file, open_spectra_files

BATCH = 256
ROUNDS = 5
SCATTERED = 2
"""Batches read row by row: more would take minutes."""


def main(n: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spectra.h5"
        for _ in make_file(open_simulator(DataConfig(), 1.0), 0, n, path):
            pass
        files = open_spectra_files(path)
        first = _rate(lambda: _loader(files, 0))
        rates: dict[str, list[float]] = {"bare": [], "loader": [], "scattered": []}
        for epoch in range(1, ROUNDS + 1):  # in turns, so that a busy machine is unfair to none
            rates["bare"].append(_rate(lambda: _bare(path)))
            rates["loader"].append(_rate(lambda e=epoch: _loader(files, e)))
            rates["scattered"].append(_rate(lambda: _scattered(path, n)))
    median = {name: float(np.median(found)) for name, found in rates.items()}
    print(f"{n} spectra, batches of {BATCH}, median of {ROUNDS} rounds")
    print(f"h5py, contiguous slabs of {ROWS}   {median['bare']:9.0f} spectra/s")
    print(f"shuffled batches, streaming     {median['loader']:9.0f} spectra/s")
    print(f"  its first epoch (medians)     {first:9.0f} spectra/s")
    print(f"h5py, sorted scattered rows     {median['scattered']:9.0f} spectra/s")
    print(f"loader over bare read           {median['loader'] / median['bare']:9.2f}")
    print(f"loader over scattered rows      {median['loader'] / median['scattered']:9.1f}")


def _rate(work: Callable[[], int]) -> float:
    begun = time.perf_counter()
    return work() / (time.perf_counter() - begun)


def _bare(path: Path) -> int:
    """Flux, error and mask as they are, slab by slab; nothing is done with them."""
    with h5py.File(path) as file:
        n = len(file[FLUX])
        for start in range(0, n, ROWS):
            for inside in (FLUX, ERROR, MASK):
                file[inside][start : start + ROWS]
    return n


def _loader(files: SpectraFiles, epoch: int) -> int:
    """One epoch that keeps no slab: checked, normalised, float32, shuffled."""
    plan = Plan(files.n, kept=0, group=2)
    slabs = Slabs(files.read, plan)
    order = plan.order(epoch, 1)
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        slabs.follow(epoch, 1, rows)
        slabs.rows(rows)
    return len(order)


def _scattered(path: Path, n: int) -> int:
    """Random rows in rising order, as h5py wants them."""
    generator = np.random.default_rng(0)
    with h5py.File(path) as file:
        for _ in range(SCATTERED):
            rows = np.sort(generator.choice(n, BATCH, replace=False))
            for inside in (FLUX, ERROR, MASK):
                file[inside][rows]
    return SCATTERED * BATCH


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12 * ROWS)
