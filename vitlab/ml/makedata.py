"""Writes simulated spectra to files in the layout of ga_pfsspec."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import torch

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.ml.files.frames import write_frame
from vitlab.ml.labels import LABELS
from vitlab.ml.pfsspec import ERROR, FLUX, MASK, PARAMS, SHARDS, WAVE
from vitlab.ml.simulate import Simulator

PIECE = 1024
"""Spectra written at once: 33 MB an array."""


def make_file(simulator: Simulator, start: int, stop: int, out: Path) -> Iterator[int]:
    """Write the training stars `start` to `stop`; yields how many are done.

    The flux has no noise: it is added when the spectra are read, anew each epoch. `out` appears
    only when it is whole; one that is there already is refused.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already; nothing was written")
    if not out.parent.is_dir():
        raise UsageError(f"{out}: there is no folder {out.parent}")
    n = stop - start
    temporary = out.with_name(f".{out.name}.tmp")
    snr = np.empty(n)
    try:
        with h5py.File(temporary, "w") as file:
            file[WAVE] = simulator.grid.wave
            shape = (n, len(simulator.grid.wave))
            chunks = chunk_shape(shape)
            flux = file.create_dataset(FLUX, shape, np.float64, chunks=chunks)
            error = file.create_dataset(ERROR, shape, np.float64, chunks=chunks)
            mask = file.create_dataset(MASK, shape, np.int64, chunks=chunks)
            for first in range(0, n, PIECE):
                rows = slice(first, min(first + PIECE, n))
                stars = simulator.stars("train", start + rows.start, start + rows.stop)
                clean, sigma = simulator.observe(stars, None)
                flux[rows], error[rows] = clean.double().numpy(), sigma.double().numpy()
                mask[rows] = 0
                snr[rows] = torch.median(clean / sigma, dim=1).values.numpy()
                yield rows.stop
            write_frame(file, PARAMS, _columns(simulator, start, stop, snr))
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)


def make_shards(simulator: Simulator, n: int, shards: int, folder: Path) -> Iterator[int]:
    """Write `n` stars to `shards` files of a new folder, and their index; yields the number done.

    The index comes last: a folder with one is whole.
    """
    if folder.exists():
        raise UsageError(f"{folder}: is there already; nothing was written")
    edges = np.linspace(0, n, shards + 1).astype(int)
    names = [f"shard_{k:03d}.h5" for k in range(shards)]
    folder.mkdir()
    for name, start, stop in zip(names, edges[:-1], edges[1:], strict=True):
        for done in make_file(simulator, int(start), int(stop), folder / name):
            yield int(start) + done
    write_atomic(folder / SHARDS, "".join(f"{name}\n" for name in names).encode())


def chunk_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """ga_pfsspec's chunks: none below 2^20 elements, else by the size of each dimension."""
    if np.prod(shape) < 2**20:
        return None
    return tuple(_chunk_length(length) for length in shape)


def _chunk_length(length: int) -> int:
    if length <= 128:
        return 1
    if length <= 1024:
        return 64
    return length if length <= 65536 else 4096


def _columns(
    simulator: Simulator, start: int, stop: int, snr: np.typing.NDArray[np.float64]
) -> dict[str, np.typing.NDArray[np.generic]]:
    stars = simulator.stars("train", start, stop)
    n = len(stars)
    columns: dict[str, np.typing.NDArray[np.generic]] = {
        "id": np.arange(n, dtype=np.int64),
        "redshift": np.zeros(n),
        "snr": snr,
        "mag": stars.mag,
        "random_seed": np.full(n, simulator.seed, dtype=np.int64),
        "M_H": stars.labels[:, LABELS.index("M_H")],
        "T_eff": stars.labels[:, LABELS.index("T_eff")],
        "log_g": stars.labels[:, LABELS.index("log_g")],
    }
    return columns
