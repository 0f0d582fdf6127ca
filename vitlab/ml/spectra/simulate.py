"""Simulated observations: stars of a seed, their spectra and their noise, made on demand.

A star is a pure function of (seed, split, i), whatever the size of the batch it is asked in.
Labels and magnitudes come from numpy's counter-based Philox, one stream for each block of
`BLOCK` stars; the noise of fixed sets from one Philox stream for each star. A spectrum is one row
of a matrix product, equal between batch sizes to the rounding of its float type.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.spectra.disturb.changes import Changes, Draws
from vitlab.ml.spectra.grid import Grid
from vitlab.ml.spectra.labels import LABELS, draw_labels
from vitlab.ml.spectra.observation import Batch, NoiseModel, on_device

T = TypeVar("T")

SPLITS = ("train", "val", "test")
BLOCK = 1024
"""Stars that share one random stream for their labels."""
CHUNK = 256
"""Spectra made at once: their 4 MB arrays stay in the processor's cache."""
STREAMS = "philox-1"
"""Names the way random numbers are assigned to stars; part of a data set's hash."""
_STARS, _NOISE = 0, 1


@dataclass(frozen=True)
class Stars:
    """Labels and magnitudes of some stars."""

    labels: NDArray[np.float64]  # (n, 3) in the order of `LABELS`
    mag: NDArray[np.float64]  # (n,) i band (HSC)

    def take(self, rows: NDArray[np.int64] | slice) -> Stars:
        return Stars(self.labels[rows], self.mag[rows])

    def __len__(self) -> int:
        return len(self.mag)


def draw_stars(seed: int, mag: tuple[float, float], split: str, start: int, stop: int) -> Stars:
    """Stars `start` to `stop` of a split, with magnitudes uniform in `mag`."""
    blocks = []
    for block in range(start // BLOCK, -(-stop // BLOCK)):
        blocks.append(_draw_block(seed, mag, split, block))
    first = start // BLOCK * BLOCK
    table = np.concatenate(blocks or [np.empty((0, len(LABELS) + 1))])
    table = table[start - first : stop - first]
    return Stars(table[:, :-1], table[:, -1])


@lru_cache(maxsize=4)
def _draw_block(seed: int, mag: tuple[float, float], split: str, block: int) -> NDArray[np.float64]:
    """(`BLOCK`, 4) labels and magnitudes; batches in order often share one."""
    generator = _stream(seed, split, _STARS, block)
    labels = draw_labels(generator, BLOCK)
    return np.column_stack([labels, generator.uniform(*mag, size=BLOCK)])


@dataclass(frozen=True)
class Simulator:
    """Draws stars and observes them, on the device its grid is on."""

    grid: Grid
    noise: NoiseModel
    mag: tuple[float, float] = (20.5, 22.5)
    """Magnitudes are uniform in this range."""
    seed: int = 42

    def to(self, device: torch.device | str) -> Simulator:
        return replace(self, grid=self.grid.to(device), noise=self.noise.to(device))

    def stars(self, split: str, start: int, stop: int) -> Stars:
        """Stars `start` to `stop` of a split."""
        return draw_stars(self.seed, self.mag, split, start, stop)

    def flux(self, stars: Stars) -> Tensor:
        """(n, L) noise-free flux over its median."""
        labels = torch.from_numpy(np.ascontiguousarray(stars.labels))
        return self.grid.flux(labels.pin_memory() if self.grid.nodes.is_cuda else labels)

    def observe(self, stars: Stars, generator: torch.Generator | None) -> tuple[Tensor, Tensor]:
        """(n, L) observed flux and its true 1-sigma errors; new noise on each call, none for None.

        These errors are noise-free: models see those of `shown_error`.
        """
        flux, error = self._empty(len(stars))
        if generator is not None:
            self._fill_fresh(flux, generator)
        self._observe(stars, generator is not None, flux, error)
        return flux, error

    def observe_fixed(
        self, split: str, start: int, stop: int, copy: int = 0
    ) -> tuple[Stars, Tensor, Tensor]:
        """Stars `start` to `stop`, (n, L) flux and true errors; the noise of each star is fixed.

        Each `copy` has different noise for the same stars.
        """
        stars = self.stars(split, start, stop)
        flux, error = self._empty(len(stars))
        flux.copy_(self._fixed_noise(split, start, stop, copy))
        self._observe(stars, True, flux, error)
        return stars, flux, error

    def disturbed(
        self, stars: Stars, noise: Tensor | None, changes: Changes, draws: Draws
    ) -> Batch:
        """Spectra with their changes, and unit normal noise (n, L), which is overwritten.

        Without noise the light's changes alone: no residuals of the sky, no masks. `labels` of the
        batch are those of all of `LABELS`.
        """
        flux = self._empty(len(stars))[0] if noise is None else noise
        error, mag = torch.empty_like(flux), self._tensor(stars.mag)
        for rows in _chunks(len(stars), CHUNK if flux.device.type == "cpu" else len(stars)):
            clean = changes.light(self.flux(stars.take(rows)), draws.rows(rows))
            error[rows] = self.noise.sigma(clean, mag[rows])
            if noise is None:
                flux[rows] = clean
                continue
            torch.addcmul(clean, error[rows], noise[rows], out=flux[rows])
            if changes.sky is not None:
                flux[rows] += changes.residual(mag[rows], draws.rows(rows))
        batch = Batch(flux, error, stars.labels, lambda: self.shown_error(stars, flux))
        return changes.finished(batch, None if noise is None else changes.visible(draws))

    def fresh_noise(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, L) new unit normal numbers."""
        noise = self._empty(n)[0]
        self._fill_fresh(noise, generator)
        return noise

    def fixed_noise(self, split: str, start: int, stop: int, copy: int) -> Tensor:
        """(n, L) unit normal numbers of stars, always the same."""
        return self._fixed_noise(split, start, stop, copy).to(self.grid.nodes)

    def _fixed_noise(self, split: str, start: int, stop: int, copy: int) -> Tensor:
        noise = np.empty((stop - start, self.grid.nodes.shape[1]), dtype=np.float32)

        def fill(rows: slice) -> None:
            for row in range(rows.start, rows.stop):
                generator = _stream(self.seed, split, _NOISE, start + row, copy)
                generator.standard_normal(out=noise[row], dtype=np.float32)

        _in_threads(fill, _chunks(stop - start, CHUNK))
        return torch.from_numpy(noise)

    def shown_error(self, stars: Stars, observed: Tensor) -> Tensor:
        """(n, L) 1-sigma errors estimated from the observed flux (n, L)."""
        return self.noise.estimated_sigma(observed, self._tensor(stars.mag))

    def _observe(self, stars: Stars, noisy: bool, flux: Tensor, error: Tensor) -> None:
        """Fill `flux` and `error` (n, L); if `noisy`, `flux` must hold unit normal numbers."""
        for rows in _chunks(len(stars), CHUNK if flux.device.type == "cpu" else len(stars)):
            part = stars.take(rows)
            clean = self.flux(part)
            error[rows] = self.noise.sigma(clean, self._tensor(part.mag))
            if noisy:
                torch.addcmul(clean, error[rows], flux[rows], out=flux[rows])
            else:
                flux[rows] = clean

    def _empty(self, n: int) -> tuple[Tensor, Tensor]:
        flux = self.grid.nodes.new_empty((n, self.grid.nodes.shape[1]))
        return flux, torch.empty_like(flux)

    @staticmethod
    def _fill_fresh(out: Tensor, generator: torch.Generator) -> None:
        """Unit normal numbers; on a CPU in threads, each chunk with its own seed."""
        if out.device.type != "cpu":
            out.normal_(generator=generator)
            return
        chunks = _chunks(len(out), CHUNK)
        seeds = torch.randint(2**62, (len(chunks),), generator=generator).tolist()

        def fill(chunk: tuple[slice, int]) -> None:
            rows, seed = chunk
            out[rows].normal_(generator=torch.Generator().manual_seed(seed))

        _in_threads(fill, list(zip(chunks, seeds, strict=True)))

    def _tensor(self, values: NDArray[np.float64]) -> Tensor:
        return on_device(np.ascontiguousarray(values), self.grid.nodes.device)


def _chunks(n: int, size: int) -> list[slice]:
    return [slice(i, min(i + size, n)) for i in range(0, n, max(size, 1))]


def _in_threads(work: Callable[[T], None], items: Sequence[T]) -> None:
    """Numpy and torch release the GIL while they draw, so threads help."""
    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        list(pool.map(work, items))


def _stream(seed: int, split: str, purpose: int, number: int, copy: int = 0) -> np.random.Generator:
    """The random stream of one block of stars, or of one copy of one star's noise.

    Philox has 128 bits of key and 256 of counter: the key selects the set, the counter's upper
    half the stream, and its lower half counts within the stream.
    """
    key = [seed, SPLITS.index(split) * 2 + purpose]
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, number, copy]))
