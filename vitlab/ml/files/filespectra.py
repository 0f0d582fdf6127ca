"""A data set in files: which rows are whose, their slabs in memory, and their noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.batch import Batch, Indices, content_hash, on_device
from vitlab.ml.files.slabs import ROWS, Slabs, make_plan
from vitlab.ml.pfsspec import Rows, SpectraFiles
from vitlab.ml.simulate import STREAMS

HASHED = 16
"""Test spectra whose flux goes into the hash of a data set."""


@dataclass
class FileSpectra:
    """Rows of pfsspec files: training ones from the start, test ones at the end."""

    files: SpectraFiles
    sizes: dict[str, int]
    values: NDArray[np.float64]
    """(n, K) labels."""
    level: float
    """Factor on the noise that is added."""
    seed: int
    device: torch.device
    memory: int
    """Bytes that training spectra may take."""
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
        """Groups of slabs in a new order, shuffled inside (`vitlab.ml.files.slabs`)."""
        self._order_seed = seed
        if (epoch, seed) not in self._orders:
            self._orders = {(epoch, seed): self.slabs.plan.order(epoch, seed)}
        return self._orders[epoch, seed]

    def fresh(self, epoch: int, rows: Indices, generator: torch.Generator) -> Batch:
        """`rows` a part of `order(epoch, ...)`: the slabs that follow are read meanwhile."""
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
        """Median over the first training rows; a pixel without data gets the median of all."""
        _, error = self._tensors(self.files.read(0, min(ROWS, self.sizes["train"])))
        sigma = error.masked_fill(~error.isfinite(), torch.nan).nanmedian(dim=0).values
        return sigma.nan_to_num(nan=float(sigma.nanmedian())) * (self.level or 1.0)

    def _first(self, split: str) -> int:
        n, sizes = self.files.n, self.sizes
        starts = {"train": 0, "val": n - sizes["test"] - sizes["val"], "test": n - sizes["test"]}
        return starts[split]

    def _fixed_rows(self, split: str, start: int, stop: int) -> tuple[Rows, Rows]:
        """Flux and error; the validation set is asked for again and again, so it is kept."""
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
