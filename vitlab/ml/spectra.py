"""Data sets: stars of the simulator, or rows of a file, cut into train, validation and test."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.contract.config import DataConfig
from vitlab.contract.paths import UsageError
from vitlab.ml.grid import load_grid, packaged
from vitlab.ml.labels import LABELS, RANGES
from vitlab.ml.noise import load_noise
from vitlab.ml.pfsspec import PfsspecFile, open_pfsspec, read_rows
from vitlab.ml.simulate import SPLITS, STREAMS, Simulator, Stars, draw_stars

Indices = NDArray[np.int64]
BLOCK = 4096
"""Rows of a file read at once: contiguous, since scattered rows cost a hundred times more."""


@dataclass(frozen=True)
class Batch:
    """Some observed spectra."""

    flux: Tensor
    """(B, L) over the median."""
    error: Tensor
    """(B, L) 1-sigma; infinite where there is no datum."""
    labels: NDArray[np.float64]
    """(B, K) in their own units."""


class Spectra(Protocol):
    """What a model learns from and is tested on."""

    @property
    def pixels(self) -> int: ...
    @property
    def sizes(self) -> dict[str, int]:
        """Spectra in each of `SPLITS`."""
        ...

    @property
    def hash(self) -> str:
        """Equal for two data sets exactly when their test sets are equal."""
        ...

    def labels(self, split: str, start: int, stop: int) -> NDArray[np.float64]:
        """(stop - start, K) labels alone."""
        ...

    def order(self, epoch: int, seed: int) -> Indices:
        """The order in which an epoch takes the training spectra."""
        ...

    def fresh(self, epoch: int, rows: Indices, generator: torch.Generator) -> Batch:
        """Training spectra with noise of this moment."""
        ...

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        """Spectra of a split with the noise they always have."""
        ...

    def sky_sigma(self) -> Tensor:
        """(L,) typical 1-sigma error of each pixel, in units of the median flux."""
        ...


@dataclass(frozen=True)
class GridSpectra:
    """Stars drawn from the grid and observed when asked for; nothing is kept."""

    simulator: Simulator
    sizes: dict[str, int]
    columns: tuple[int, ...]
    infinite: bool
    """True: every epoch has stars of its own."""

    @property
    def pixels(self) -> int:
        return self.simulator.grid.nodes.shape[1]

    @property
    def hash(self) -> str:
        s = self.simulator
        parts = [s.seed, s.mag, s.noise.level, self.sizes["test"], STREAMS]
        return _hash(parts, *(packaged(name).read_bytes() for name in ("grid.h5", "sky.h5")))

    def labels(self, split: str, start: int, stop: int) -> NDArray[np.float64]:
        return self.simulator.stars(split, start, stop).labels[:, self.columns]

    def order(self, epoch: int, seed: int) -> Indices:
        n = self.sizes["train"]
        return np.arange(n) if self.infinite else _shuffled(n, epoch, seed)

    def fresh(self, epoch: int, rows: Indices, generator: torch.Generator) -> Batch:
        n = self.sizes["train"]
        if self.infinite:
            start = epoch * n + int(rows[0])  # the order is the natural one
            stars = self.simulator.stars("train", start, start + len(rows))
        else:
            stars = _train_stars(self.simulator.seed, self.simulator.mag, n).take(rows)
        flux, error = self.simulator.observe(stars, generator)
        return Batch(flux, error, stars.labels[:, self.columns])

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        stars, flux, error = self.simulator.observe_fixed(split, start, stop)
        return Batch(flux, error, stars.labels[:, self.columns])

    def sky_sigma(self) -> Tensor:
        """Of a flat spectrum in the middle of the range of magnitudes."""
        sky = self.simulator.noise.sky
        middle = sky.new_tensor([sum(self.simulator.mag) / 2])
        return self.simulator.noise.sigma(torch.ones_like(sky)[None], middle)[0]


@dataclass(frozen=True)
class FileSpectra:
    """Rows of a pfsspec file: training ones from its start, test ones at its end."""

    file: PfsspecFile
    sizes: dict[str, int]
    names: tuple[str, ...]
    level: float
    seed: int
    device: torch.device

    @property
    def pixels(self) -> int:
        return len(self.file.wave)

    @property
    def hash(self) -> str:
        first = self.file.n - self.sizes["test"]
        flux, _ = read_rows(self.file.path, first, min(first + 16, self.file.n))
        labels = self.labels("test", 0, self.sizes["test"])
        parts = [self.file.n, self.sizes["test"], self.level, self.seed, STREAMS]
        return _hash(parts, flux.tobytes(), labels.tobytes())

    def labels(self, split: str, start: int, stop: int) -> NDArray[np.float64]:
        first = self._first(split)
        return self._column_values()[first + start : first + stop]

    def order(self, epoch: int, seed: int) -> Indices:
        """Blocks in random order, shuffled inside: a block is read once an epoch."""
        return _block_order(self.sizes["train"], epoch, seed)

    def fresh(self, epoch: int, rows: Indices, generator: torch.Generator) -> Batch:  # noqa: ARG002
        flux, error = self._rows(rows)
        noise = torch.empty_like(flux).normal_(generator=generator)
        return self._noisy(flux, error, noise, self._column_values()[rows])

    def fixed(self, split: str, start: int, stop: int) -> Batch:
        first = self._first(split)
        flux, error = self._rows(np.arange(first + start, first + stop))
        noise = np.empty(flux.shape, dtype=np.float32)
        for k in range(len(noise)):
            stream = np.random.default_rng([self.seed, first + start + k])
            stream.standard_normal(out=noise[k], dtype=np.float32)
        labels = self.labels(split, start, stop)
        return self._noisy(flux, error, torch.from_numpy(noise).to(flux), labels)

    def sky_sigma(self) -> Tensor:
        """Median over the first training rows; a pixel without data gets the median of all."""
        _, error = self._rows(np.arange(min(BLOCK, self.sizes["train"])))
        sigma = error.masked_fill(~error.isfinite(), torch.nan).nanmedian(dim=0).values
        return sigma.nan_to_num(nan=float(sigma.nanmedian())) * (self.level or 1.0)

    def _first(self, split: str) -> int:
        n, sizes = self.file.n, self.sizes
        return {"train": 0, "val": n - sizes["test"] - sizes["val"], "test": n - sizes["test"]}[
            split
        ]

    def _column_values(self) -> NDArray[np.float64]:
        return np.column_stack([self.file.params[name] for name in self.names]).astype(np.float64)

    def _rows(self, rows: Indices) -> tuple[Tensor, Tensor]:
        """(rows, L) noise-free flux and errors, from the blocks that hold them."""
        flux = np.empty((len(rows), self.pixels), dtype=np.float32)
        error = np.empty_like(flux)
        for block in np.unique(rows // BLOCK):
            here = rows // BLOCK == block
            block_flux, block_error = _block(self.file.path, int(block))
            flux[here] = block_flux[rows[here] % BLOCK]
            error[here] = block_error[rows[here] % BLOCK]
        return torch.from_numpy(flux).to(self.device), torch.from_numpy(error).to(self.device)

    def _noisy(
        self, flux: Tensor, error: Tensor, noise: Tensor, labels: NDArray[np.float64]
    ) -> Batch:
        error = error * self.level if self.level else error
        good = error.isfinite()
        noisy = torch.where(good, flux + (error * noise if self.level else 0.0), flux)
        return Batch(noisy, error, labels)


def open_spectra(
    data: DataConfig, level: float, labels: tuple[str, ...], device: torch.device
) -> Spectra:
    """The data set of a configuration, its tensors on `device`. `UsageError` names the file."""
    sizes = dict(zip(SPLITS, (data.train_size, data.val_size, data.test_size), strict=True))
    if data.source in ("grid", "grid-infinite"):
        simulator = open_simulator(data, level).to(device)
        columns = tuple(LABELS.index(name) for name in labels)
        return GridSpectra(simulator, sizes, columns, data.source == "grid-infinite")
    file = open_pfsspec(Path(data.source))
    for name in labels:
        if name not in file.params:
            known = ", ".join(sorted(file.params))
            raise UsageError(f"{file.path}: dataset/params: no column {name} (there: {known})")
        if not np.isfinite(file.params[name].astype(np.float64)).all():
            raise UsageError(f"{file.path}: dataset/params: {name} has non-finite values")
    if sum(sizes.values()) > file.n:
        raise UsageError(
            f"{file.path}: {file.n} spectra, fewer than train + val + test = {sum(sizes.values())}"
        )
    return FileSpectra(file, sizes, labels, level, data.seed, device)


def open_simulator(data: DataConfig, level: float) -> Simulator:
    """The simulator of a configuration. A grid that does not hold all labels is refused."""
    grid = load_grid(Path(data.grid) if data.grid else None)
    for name, axis in zip(LABELS, grid.axes, strict=True):
        low, high = RANGES[name]
        if axis[0] > low or axis[-1] < high:
            raise UsageError(
                f"{data.grid}: axes/{name} is {axis[0]:g} to {axis[-1]:g}, "
                f"but stars are drawn from {low:g} to {high:g}"
            )
    return Simulator(grid, load_noise(level), data.mag, data.seed)


@lru_cache(maxsize=2)
def _train_stars(seed: int, mag: tuple[float, float], n: int) -> Stars:
    """Labels of a whole training set: 32 MB for a million stars."""
    return draw_stars(seed, mag, "train", 0, n)


@lru_cache(maxsize=2)
def _block(path: Path, number: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return read_rows(path, number * BLOCK, (number + 1) * BLOCK)


@lru_cache(maxsize=2)
def _shuffled(n: int, epoch: int, seed: int) -> Indices:
    return np.random.default_rng([seed, epoch]).permutation(n)


@lru_cache(maxsize=2)
def _block_order(n: int, epoch: int, seed: int) -> Indices:
    generator = np.random.default_rng([seed, epoch])
    blocks = [np.arange(i, min(i + BLOCK, n)) for i in range(0, n, BLOCK)]
    mixed = [generator.permutation(blocks[i]) for i in generator.permutation(len(blocks))]
    return np.concatenate(mixed)


def _hash(parts: list[object], *data: bytes) -> str:
    digest = hashlib.sha256(json.dumps(parts).encode())
    for block in data:
        digest.update(block)
    return digest.hexdigest()[:16]
