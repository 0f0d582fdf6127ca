"""Data sets: simulated stars or rows of a file, split into training, validation and test sets."""

from __future__ import annotations

import os
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.contract.config import GRID_SOURCES, DataConfig
from vitlab.contract.paths import UsageError
from vitlab.contract.validation import memory_bytes
from vitlab.ml.spectra.disturb.changes import Changes, Draws, make_changes
from vitlab.ml.spectra.file_spectra import FileSpectra
from vitlab.ml.spectra.grid import compress, load_grid, packaged
from vitlab.ml.spectra.labels import LABELS, RANGES, valid_labels
from vitlab.ml.spectra.observation import Batch, Indices, content_hash, load_noise
from vitlab.ml.spectra.pfsspec import open_spectra_files
from vitlab.ml.spectra.simulate import SPLITS, STREAMS, Simulator, Stars, draw_stars

COMPONENTS = 96
"""Principal components of the grid's spectra: accurate to 4e-5 of the median flux (rms) and
0.01 in chi-square at magnitude 20.5, for a quarter of the work."""

LIBRARIES = 2 << 30
"""Bytes of a GPU that are left to CUDA and its libraries."""


@dataclass(frozen=True)
class GridSpectra:
    """Stars drawn from the grid and observed on demand; nothing is kept.

    All data sets have these properties and methods (`Spectra`).
    """

    simulator: Simulator
    sizes: dict[str, int]
    """Spectra in each of `SPLITS`."""
    columns: tuple[int, ...]
    infinite: bool
    """True: every epoch has new stars."""
    grid: str | None = None
    """A custom grid file; None for the packaged one."""
    changes: Changes | None = None
    """What is done to each spectrum besides noise; None: nothing."""

    @property
    def pixels(self) -> int:
        return self.simulator.grid.nodes.shape[1]

    @property
    def wave(self) -> NDArray[np.float64]:
        """(L,) wavelength of each pixel, Angstrom."""
        return self.simulator.grid.wave

    @cached_property
    def hash(self) -> str:
        """Hash of the test set."""
        s = self.simulator
        parts = [s.seed, s.mag, s.noise.level, self.sizes["test"], STREAMS, COMPONENTS]
        parts += [text] if (text := disturbed(self)) else []
        grid = Path(self.grid) if self.grid else packaged("grid.h5")
        return content_hash(parts, grid.read_bytes(), packaged("sky.h5").read_bytes())

    def at_most(self, split: str, number: int) -> int:
        """`number`, or the size of the split if smaller."""
        return min(self.sizes[split], number)

    def labels(self, split: str, start: int, stop: int) -> NDArray[np.float64]:
        """(stop - start, K) labels, without simulating spectra."""
        return self.simulator.stars(split, start, stop).labels[:, self.columns]

    def order(self, epoch: int, seed: int) -> Indices:
        """(n,) indices of the training spectra in an epoch's order."""
        n = self.sizes["train"]
        return _ascending(n) if self.infinite else _shuffled(n, epoch, seed)

    def part(self, epoch: int, seed: int, start: int, stop: int) -> Indices:
        """`order(epoch, seed)[start:stop]`."""
        return self.order(epoch, seed)[start:stop]

    def numbers(self, rows: Indices) -> Indices:
        """Of spectra of an order, as `labels` counts them."""
        return rows

    def fresh(self, epoch: int, rows: Indices, generator: torch.Generator) -> Batch:
        """Training spectra with new noise; `rows` are part of `order(epoch, ...)`."""
        n = self.sizes["train"]
        if self.infinite:
            start = epoch * n + int(rows[0])  # rows are in ascending order
            stars = self.simulator.stars("train", start, start + len(rows))
        else:
            stars = _train_stars(self.simulator.seed, self.simulator.mag, n).take(rows)
        if self.changes is not None:
            noise = self.simulator.fresh_noise(len(stars), generator)
            return self._changed(stars, self.changes.draw(len(stars), generator), noise)
        flux, error = self.simulator.observe(stars, generator)
        return self._batch(stars, flux, error)

    def fixed(self, split: str, start: int, stop: int, copy: int = 0) -> Batch:
        """Spectra of a split with fixed noise; each `copy` has different noise."""
        if self.changes is not None:
            noise = self.simulator.fixed_noise(split, start, stop, copy)
            return self._changed(*self._drawn(split, start, stop, copy), noise)
        stars, flux, error = self.simulator.observe_fixed(split, start, stop, copy)
        return self._batch(stars, flux, error)

    def clean(self, start: int, stop: int, split: str = "train") -> Batch:
        """Spectra without noise, residuals of the sky and masks."""
        if self.changes is not None:
            return self._changed(*self._drawn(split, start, stop), None)
        stars = self.simulator.stars(split, start, stop)
        flux, error = self.simulator.observe(stars, None)
        return self._batch(stars, flux, error)

    def _drawn(self, split: str, start: int, stop: int, copy: int = 0) -> tuple[Stars, Draws]:
        """Stars of a split, and what their changes follow from."""
        assert self.changes is not None
        rows = np.arange(start, stop)
        draws = self.changes.fixed(self.simulator.seed, split, rows, copy)
        return self.simulator.stars(split, start, stop), draws

    def _changed(self, stars: Stars, draws: Draws, noise: Tensor | None) -> Batch:
        assert self.changes is not None
        batch = self.simulator.disturbed(stars, noise, self.changes, draws)
        return replace(batch, labels=batch.labels[:, self.columns])

    def _batch(self, stars: Stars, flux: Tensor, error: Tensor) -> Batch:
        labels = stars.labels[:, self.columns]
        return Batch(flux, error, labels, lambda: self.simulator.shown_error(stars, flux))

    def sky_sigma(self) -> Tensor:
        """(L,) 1-sigma errors over the median flux, for a star of middle magnitude."""
        sky = self.simulator.noise.sky
        middle = sky.new_tensor([sum(self.simulator.mag) / 2])
        return self.simulator.noise.sigma(torch.ones_like(sky)[None], middle)[0]


def open_spectra(
    data: DataConfig,
    level: float,
    labels: tuple[str, ...],
    device: torch.device,
    reserve: int | None = None,
) -> Spectra:
    """The data set of a configuration, its tensors on `device`. `UsageError` names the file.

    `reserve`: bytes of the device that a training on it takes for its network; None: there is no
    such training, and no file's spectra are kept there.
    """
    limit = 0 if reserve is None else device_limit(data.device_memory, device, reserve)
    spectra = _open_unpermuted(data, level, labels, device, limit)
    if not data.permuted:
        return spectra
    return PermutedSpectra(spectra, data.seed, infinite=data.source == "grid-infinite")


def device_limit(text: str, device: torch.device, reserve: int) -> int:
    """Bytes of a GPU that training spectra may take, of `data.device_memory`; 0 on a CPU.

    `auto`: what is free now, without 1.5 times what the network is estimated to take.
    """
    if device.type != "cuda" or text == "none":
        return 0
    if text != "auto":
        return memory_bytes("config.data.device_memory", text)
    free, _ = torch.cuda.mem_get_info(device)
    return max(int(free - 1.5 * reserve) - LIBRARIES, 0)


def _open_unpermuted(
    data: DataConfig,
    level: float,
    labels: tuple[str, ...],
    device: torch.device,
    device_memory: int,
) -> GridSpectra | FileSpectra:
    sizes = dict(zip(SPLITS, (data.train_size, data.val_size, data.test_size), strict=True))
    if data.source in GRID_SOURCES:
        simulator = open_simulator(data, level)
        simulator = replace(simulator, grid=compress(simulator.grid, COMPONENTS)).to(device)
        columns = tuple(LABELS.index(name) for name in labels)
        infinite = data.source == "grid-infinite"
        changes = make_changes(data, simulator.grid.wave, device)
        spectra = GridSpectra(simulator, sizes, columns, infinite, data.grid, changes)
        if data.grid:
            spectra.hash  # noqa: B018 - now: another grid may lie there once the job has ended
        return spectra
    files = open_spectra_files(Path(data.source))
    params = files.params
    for name in labels:
        if name not in params:
            known = ", ".join(sorted(params))
            raise UsageError(f"{files.path}: dataset/params: no column {name} (found: {known})")
        if params[name].dtype.kind not in "fiu":
            raise UsageError(f"{files.path}: dataset/params: {name} is not numeric")
    if sum(sizes.values()) > files.n:
        raise UsageError(
            f"{files.path}: {files.n} spectra, fewer than train + val + test = "
            f"{sum(sizes.values())}"
        )
    values = np.column_stack([valid_labels(name, params[name]) for name in labels])
    memory = memory_bytes("config.data.memory", data.memory)
    excluded = data.max_excluded
    return FileSpectra(
        files, sizes, values, level, data.seed, device, memory, labels, excluded, device_memory,
        make_changes(data, files.wave, device),
    )  # fmt: skip


def open_simulator(data: DataConfig, level: float) -> Simulator:
    """The simulator of a configuration. `UsageError` if the grid does not cover all labels."""
    grid = load_grid(Path(data.grid) if data.grid else None)
    for name, axis in zip(LABELS, grid.axes, strict=True):
        low, high = RANGES[name]
        if axis[0] > low or axis[-1] < high:
            raise UsageError(
                f"{data.grid}: axes/{name} covers {axis[0]:g} to {axis[-1]:g}, "
                f"but stars are drawn from {low:g} to {high:g}"
            )
    noise = load_noise(level)
    if len(grid.wave) != len(noise.sky):
        raise UsageError(f"{data.grid}: {len(grid.wave)} pixels, the sky has {len(noise.sky)}")
    return Simulator(grid, noise, data.mag, data.seed)


@lru_cache(maxsize=2)
def _train_stars(seed: int, mag: tuple[float, float], n: int) -> Stars:
    """A whole training set's labels: 32 MB for a million stars."""
    return draw_stars(seed, mag, "train", 0, n)


@lru_cache(maxsize=2)
def _ascending(n: int) -> Indices:
    return np.arange(n)


@lru_cache(maxsize=2)
def _shuffled(n: int, epoch: int, seed: int) -> Indices:
    return np.random.default_rng([seed, epoch]).permutation(n)


@dataclass(frozen=True)
class PermutedSpectra:
    """A data set with permuted training and validation labels and an unchanged test set.

    If every epoch has new stars, labels are permuted within each batch.
    """

    spectra: GridSpectra | FileSpectra
    seed: int
    infinite: bool

    def __getattr__(self, name: str) -> Any:
        """Everything that does not depend on the labels."""
        return getattr(self.spectra, name)

    @cached_property
    def _permuted(self) -> dict[str, NDArray[np.float64]]:
        """Split -> (n, K) the labels of other stars."""
        return {
            split: np.random.default_rng([self.seed, k]).permutation(
                self.spectra.labels(split, 0, self.sizes[split])
            )
            for k, split in enumerate(("train", "val"))
        }

    def labels(self, split: str, start: int, stop: int) -> NDArray[np.float64]:
        if split == "test":
            return self.spectra.labels(split, start, stop)
        return self._permuted[split][start:stop]

    def fresh(self, epoch: int, rows: Indices, generator: torch.Generator) -> Batch:
        batch = self.spectra.fresh(epoch, rows, generator)
        if self.infinite:
            generator_ = np.random.default_rng([self.seed, epoch, int(rows[0])])
            return replace(batch, labels=generator_.permutation(batch.labels))
        return replace(batch, labels=self._permuted["train"][self.spectra.numbers(rows)])

    def fixed(self, split: str, start: int, stop: int, copy: int = 0) -> Batch:
        batch = self.spectra.fixed(split, start, stop, copy)
        return replace(batch, labels=self.labels(split, start, stop))

    def clean(self, start: int, stop: int) -> Batch:
        batch = self.spectra.clean(start, stop)
        return replace(batch, labels=self.labels("train", start, stop))


Spectra = GridSpectra | FileSpectra | PermutedSpectra
"""A data set to train and test on."""


def unpermuted(spectra: Spectra) -> GridSpectra | FileSpectra:
    """The data set without permutation of labels."""
    return spectra.spectra if isinstance(spectra, PermutedSpectra) else spectra


def learned_hash(spectra: Spectra) -> str:
    """Of all that a training learns from and is scored on: a file's training set too."""
    own = unpermuted(spectra)
    return spectra.hash + (own.train_hash if isinstance(own, FileSpectra) else "")


def written_at(spectra: Spectra) -> list[list[int]]:
    """Bytes, mtime and ctime (ns) and inode of each file of spectra; of simulated ones none.

    A hash looks at some rows of a large file.
    """
    own = unpermuted(spectra)
    paths = [file.path for file in own.files.files] if isinstance(own, FileSpectra) else []
    found = map(os.stat, paths)
    return [[x.st_size, x.st_mtime_ns, x.st_ctime_ns, x.st_ino] for x in found]


def undisturbed(spectra: Spectra) -> GridSpectra | FileSpectra:
    """The same without what disturbs it (`data.disturb`), with its own labels."""
    own = unpermuted(spectra)
    alone = own.changes.undisturbed if own.changes else None
    if isinstance(own, GridSpectra):
        return replace(own, changes=alone)
    same = copy(own)  # what it has read is of both
    same.changes = alone
    return same


def disturbed(spectra: Spectra) -> str:
    """What disturbs each spectrum, as a result's world names it; empty for nothing."""
    changes = unpermuted(spectra).changes
    return changes.disturb.text if changes else ""
