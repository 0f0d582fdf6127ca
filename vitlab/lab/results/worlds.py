"""Which world a configuration's simulated stars are of, without loading the simulator."""

from __future__ import annotations

import contextlib
import hashlib
from functools import lru_cache
from importlib import resources
from pathlib import Path

from vitlab.contract.config import GRID_SOURCES, CeilingConfig, DataConfig, Scored, read_config
from vitlab.contract.job import Spec
from vitlab.contract.paths import UsageError
from vitlab.contract.world import FLUX, World, prior_text

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
    return World(_simulator(path, stamp), prior_text(), data.mag, level, FLUX)


def planned_world(spec: Spec, root: Path) -> World | None:
    """The world a job's result will have; None for a file, a program or an evaluation.

    A result says so itself: this is for jobs that have none yet.
    """
    with contextlib.suppress(UsageError, OSError):
        config = read_config(spec.recipe, spec.config)
        if isinstance(config, Scored | CeilingConfig) and config.data.source in GRID_SOURCES:
            return grid_world(config.data, config.noise.level, root)
    return None


@lru_cache(8)
def _simulator(path: Path | None, stamp: int) -> str:  # noqa: ARG001 - a changed file is read anew
    """16 hex digits of the grid's and the sky's contents."""
    packaged = resources.files("vitlab.ml") / "data"
    digest = hashlib.sha256(str(SIMULATOR).encode())
    for file in (path or packaged / "grid.h5", packaged / "sky.h5"):
        digest.update(file.read_bytes())
    return digest.hexdigest()[:16]
