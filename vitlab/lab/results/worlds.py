"""Which world a configuration's simulated stars are of, without loading the simulator."""

from __future__ import annotations

import contextlib
import hashlib
import os
from functools import lru_cache
from importlib import resources
from pathlib import Path

from vitlab.contract.config import GRID_SOURCES, CeilingConfig, DataConfig, Scored, read_config
from vitlab.contract.job import Spec
from vitlab.contract.paths import UsageError
from vitlab.contract.reading import open_regular
from vitlab.contract.world import FLUX, World, prior_text

MAX_GRID = 256 << 20
"""Bytes of a grid that is read for a look."""
SIMULATOR = 1
"""Part of a simulator's hash; increase it when its interpolation, its noise model or a constant of
these changes what spectra look like."""


def grid_world(data: DataConfig, level: float, root: Path = Path()) -> World:
    """The world of stars drawn from a grid; `root`: what `data.grid` is relative to.

    Models see errors of the noisy counts only, which tell nothing that the flux does not.
    `OSError` where the grid cannot be read.
    """
    path = root / data.grid if data.grid else None
    stamp = path.stat().st_mtime_ns if path else 0
    simulator = _simulator(path, stamp)
    return World(simulator, prior_text(), data.mag, level, FLUX, disturbed=data.disturb.text)


def planned_world(spec: Spec, root: Path) -> World | None:
    """The world a job's result will have; None for a file, a huge grid, a program, an evaluation.

    A result says so itself: this is for jobs that have none yet.
    """
    with contextlib.suppress(UsageError, OSError):
        config = read_config(spec.recipe, spec.config)
        if isinstance(config, Scored | CeilingConfig) and config.data.source in GRID_SOURCES:
            huge = config.data.grid and (root / config.data.grid).stat().st_size > MAX_GRID
            return None if huge else grid_world(config.data, config.noise.level, root)
    return None


@lru_cache(8)
def _simulator(path: Path | None, stamp: int) -> str:  # noqa: ARG001 - a changed file is read anew
    """16 hex digits of the grid's and the sky's contents."""
    packaged = resources.files("vitlab.ml") / "data"
    digest = hashlib.sha256(str(SIMULATOR).encode())
    if path is not None:  # a job's, perhaps of a stranger
        with os.fdopen(open_regular(path, follow=True), "rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    for name in ("grid.h5", "sky.h5")[path is not None :]:
        digest.update((packaged / name).read_bytes())
    return digest.hexdigest()[:16]
