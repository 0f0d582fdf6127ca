"""A data set in files: splits, slabs of rows in memory, and noise."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.spectra.observation import Batch, Indices, content_hash, on_device
from vitlab.ml.spectra.pfsspec import Rows, SpectraFiles
from vitlab.ml.spectra.simulate import STREAMS

Slab = tuple[NDArray[np.float32], NDArray[np.float32]]

ROWS = 1024
"""Rows of a slab; contiguous, since reading scattered rows is many times slower."""
READING = 4
"""Memory needed while reading, in slabs: float64 flux and error, and the mask."""
READERS = 2
"""Threads: one waits for the disk while the other converts its slab to float32."""


@dataclass(frozen=True)
class Plan:
    """Which slabs of the first `n` rows stay in memory, and in what groups the rest are read."""

    n: int
    kept: int
    """Slabs 0 to `kept` - 1 stay in memory."""
    group: int
    """Slabs of a group; 0 when all stay."""

    @property
    def slabs(self) -> int:
        return -(-self.n // ROWS)

    @property
    def held(self) -> int:
        """Maximum slabs in memory: those kept, the current group and the next."""
        return self.kept + 2 * self.group

    def groups(self, epoch: int, seed: int) -> list[Indices]:
        """The streamed slabs of an epoch, in order; one empty group when all stay."""
        streamed = np.arange(self.kept, self.slabs)
        if not len(streamed):
            return [streamed]
        mixed = np.random.default_rng([seed, epoch, 1]).permutation(streamed)
        return [mixed[i : i + self.group] for i in range(0, len(mixed), self.group)]

    def order(self, epoch: int, seed: int) -> Indices:
        """All rows, each once, group by group."""
        generator = np.random.default_rng([seed, epoch])
        groups = self.groups(epoch, seed)
        kept = generator.permutation(min(self.kept * ROWS, self.n))
        parts = []
        for slabs, share in zip(groups, np.array_split(kept, len(groups)), strict=True):
            rows = [np.arange(s * ROWS, min((s + 1) * ROWS, self.n)) for s in slabs]
            parts.append(generator.permutation(np.concatenate([*rows, share])))
        return np.concatenate(parts)


def make_plan(n: int, pixels: int, memory: int) -> Plan:
    """The plan for `n` spectra within `memory` bytes; at least two slabs are always held."""
    capacity = memory // (2 * 4 * pixels * ROWS) - READING * READERS
    slabs = -(-n // ROWS)
    if slabs <= capacity:
        return Plan(n, slabs, 0)
    group = max(capacity // 4, 1)
    return Plan(n, max(capacity - 2 * group, 0), group)


@dataclass
class Slabs:
    """Slabs in memory or being read."""

    read: Callable[[int, int], Slab]
    """Start, stop -> (rows, W) flux and error."""
    plan: Plan
    reads: int = 0
    """Slabs read so far."""
    _held: dict[int, Future[Slab]] = field(default_factory=dict)
    _position: tuple[int, int, int] | None = None
    """Epoch, seed and current group."""
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READERS))

    def rows(self, rows: Indices) -> Slab:
        """(rows, W) flux and error; reads slabs that are not in memory."""
        slabs = {int(slab): self._slab(int(slab)) for slab in np.unique(rows // ROWS)}
        first = next(iter(slabs.values()))[0]
        flux = np.empty((len(rows), first.shape[1]), dtype=np.float32)
        error = np.empty_like(flux)
        for k, row in enumerate(rows.tolist()):
            slab_flux, slab_error = slabs[row // ROWS]
            flux[k], error[k] = slab_flux[row % ROWS], slab_error[row % ROWS]
        return flux, error

    def follow(self, epoch: int, seed: int, rows: Indices) -> None:
        """Read ahead of `rows` in the plan's order, and drop slabs no longer needed."""
        groups = self.plan.groups(epoch, seed)
        streamed = rows[rows >= self.plan.kept * ROWS] // ROWS
        if not len(streamed) and self._position is not None:
            return  # kept rows do not tell the position in the order
        # Use the first row's group: at a border the other rows are in the next one.
        first = int(streamed[0]) if len(streamed) else -1
        now = next((k for k, slabs in enumerate(groups) if first in slabs), 0)
        if self._position == (epoch, seed, now):
            return
        self._position = (epoch, seed, now)
        later = self.plan.groups(epoch + 1, seed) if now + 1 == len(groups) else groups[now + 1 :]
        kept = range(self.plan.kept)
        needed = [*map(int, groups[now]), *kept, *map(int, later[0])]
        for slab in set(self._held) - set(needed):
            del self._held[slab]
        for slab in needed:
            self._start(slab)

    def _slab(self, slab: int) -> Slab:
        self._start(slab)
        return self._held[slab].result()

    def _start(self, slab: int) -> None:
        if slab not in self._held:
            self.reads += 1
            stop = min((slab + 1) * ROWS, self.plan.n)
            self._held[slab] = self._pool.submit(self.read, slab * ROWS, stop)


HASHED = 16
"""Test spectra whose flux is part of a data set's hash."""


@dataclass
class FileSpectra:
    """Rows of pfsspec files: the training set from the start, the test set at the end."""

    files: SpectraFiles
    sizes: dict[str, int]
    values: NDArray[np.float64]  # (n, K) labels
    level: float
    """Factor on the added noise."""
    seed: int
    device: torch.device
    memory: int
    """Memory limit for training spectra, bytes."""
    slabs: Slabs = field(init=False)
    _order_seed: int = 0
    _val: dict[tuple[int, int], tuple[Rows, Rows]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        plan = make_plan(self.sizes["train"], self.pixels, self.memory)
        self.slabs = Slabs(self.files.read, plan)
        self._orders: dict[tuple[int, int], Indices] = {}

    @property
    def pixels(self) -> int:
        return len(self.files.wave)

    @property
    def wave(self) -> NDArray[np.float64]:
        return self.files.wave

    @property
    def hash(self) -> str:
        first = self._first("test")
        flux, _ = self.files.read(first, min(first + HASHED, self.files.n))
        labels = self.labels("test", 0, self.sizes["test"])
        parts = [self.files.n, self.sizes["test"], self.level, self.seed, STREAMS]
        return content_hash(parts, flux.tobytes(), labels.tobytes())

    def labels(self, split: str, start: int, stop: int) -> NDArray[np.float64]:
        first = self._first(split)
        return self.values[first + start : first + stop]

    def order(self, epoch: int, seed: int) -> Indices:
        """Groups of slabs in random order, each shuffled."""
        self._order_seed = seed
        if (epoch, seed) not in self._orders:
            self._orders = {(epoch, seed): self.slabs.plan.order(epoch, seed)}
        return self._orders[epoch, seed]

    def fresh(self, epoch: int, rows: Indices, generator: torch.Generator) -> Batch:
        """As for `GridSpectra`; reads the following slabs in the background."""
        self.slabs.follow(epoch, self._order_seed, rows)
        flux, error = self._tensors(self.slabs.rows(rows))
        noise = torch.empty_like(flux).normal_(generator=generator)
        return self._noisy(flux, error, noise, self.values[rows])

    def fixed(self, split: str, start: int, stop: int, copy: int = 0) -> Batch:
        first = self._first(split)
        flux, error = self._tensors(self._fixed_rows(split, first + start, first + stop))
        noise = np.empty(flux.shape, dtype=np.float32)
        for k in range(len(noise)):
            seed = [self.seed, first + start + k, copy]
            stream = np.random.default_rng(seed if copy else seed[:2])
            stream.standard_normal(out=noise[k], dtype=np.float32)
        labels = self.labels(split, start, stop)
        return self._noisy(flux, error, torch.from_numpy(noise).to(flux), labels)

    def clean(self, start: int, stop: int) -> Batch:
        flux, error = self._tensors(self.files.read(start, stop))
        return Batch(flux, error, self.values[start:stop])

    def sky_sigma(self) -> Tensor:
        """Median over the first training rows; a pixel without data gets the overall median."""
        _, error = self._tensors(self.files.read(0, min(ROWS, self.sizes["train"])))
        sigma = error.masked_fill(~error.isfinite(), torch.nan).nanmedian(dim=0).values
        return sigma.nan_to_num(nan=float(sigma.nanmedian())) * (self.level or 1.0)

    def _first(self, split: str) -> int:
        n, sizes = self.files.n, self.sizes
        starts = {"train": 0, "val": n - sizes["test"] - sizes["val"], "test": n - sizes["test"]}
        return starts[split]

    def _fixed_rows(self, split: str, start: int, stop: int) -> tuple[Rows, Rows]:
        """Flux and error; the validation set is cached, since it is read repeatedly."""
        if split != "val":
            return self.files.read(start, stop)
        if (start, stop) not in self._val:
            self._val[start, stop] = self.files.read(start, stop)
        return self._val[start, stop]

    def _tensors(self, rows: tuple[Rows, Rows]) -> tuple[Tensor, Tensor]:
        flux, error = (on_device(part, self.device) for part in rows)
        return flux, error

    def _noisy(
        self, flux: Tensor, error: Tensor, noise: Tensor, labels: NDArray[np.float64]
    ) -> Batch:
        error = error * self.level if self.level else error
        good = error.isfinite()
        noisy = torch.where(good, flux + (error * noise if self.level else 0.0), flux)
        return Batch(noisy, error, labels)
