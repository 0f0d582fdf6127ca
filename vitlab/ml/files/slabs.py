"""Spectra of files in memory: contiguous slabs, some kept for good, the rest read ahead.

What fits in the stated memory is read once and kept. Of a larger set a part is kept and the rest
streams past it: each epoch the streamed slabs come in a new order, in groups, and each group is
shuffled together with its share of the kept rows, while the next group is being read. No slab is
read twice in an epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
Slab = tuple[NDArray[np.float32], NDArray[np.float32]]

ROWS = 1024
"""Rows of a slab: contiguous, since scattered rows cost many times more."""
READING = 4
"""Slabs' worth of memory that reading itself takes: float64 flux and error, and the mask."""
READERS = 2
"""Threads: one waits for the disk while the other turns its slab into float32."""


@dataclass(frozen=True)
class Plan:
    """Which slabs of the first `n` rows stay, and in which groups the others come."""

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
        """Most slabs in memory at once: the kept, a group in use and a group to come."""
        return self.kept + 2 * self.group

    def groups(self, epoch: int, seed: int) -> list[Indices]:
        """The streamed slabs of an epoch, in order; a single empty group when all stay."""
        streamed = np.arange(self.kept, self.slabs)
        if not len(streamed):
            return [streamed]
        mixed = np.random.default_rng([seed, epoch, 1]).permutation(streamed)
        return [mixed[i : i + self.group] for i in range(0, len(mixed), self.group)]

    def order(self, epoch: int, seed: int) -> Indices:
        """All rows once, group by group."""
        generator = np.random.default_rng([seed, epoch])
        groups = self.groups(epoch, seed)
        own = generator.permutation(min(self.kept * ROWS, self.n))
        parts = []
        for slabs, share in zip(groups, np.array_split(own, len(groups)), strict=True):
            rows = [np.arange(s * ROWS, min((s + 1) * ROWS, self.n)) for s in slabs]
            parts.append(generator.permutation(np.concatenate([*rows, share])))
        return np.concatenate(parts)


def make_plan(n: int, pixels: int, memory: int) -> Plan:
    """What to keep of `n` spectra within `memory` bytes; at least two slabs are always held."""
    capacity = memory // (2 * 4 * pixels * ROWS) - READING * READERS
    slabs = -(-n // ROWS)
    if slabs <= capacity:
        return Plan(n, slabs, 0)
    group = max(capacity // 4, 1)
    return Plan(n, max(capacity - 2 * group, 0), group)


@dataclass
class Slabs:
    """Slabs in memory or on their way."""

    read: Callable[[int, int], Slab]
    """Rows from, to -> (rows, W) flux and error."""
    plan: Plan
    reads: int = 0
    """Slabs read so far."""
    _held: dict[int, Future[Slab]] = field(default_factory=dict)
    _at: tuple[int, int, int] | None = None
    """Epoch, seed and group in use."""
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READERS))

    def rows(self, rows: Indices) -> Slab:
        """(rows, W) flux and error; slabs that are not on their way are read now."""
        slabs = {int(slab): self._slab(int(slab)) for slab in np.unique(rows // ROWS)}
        first = next(iter(slabs.values()))[0]
        flux = np.empty((len(rows), first.shape[1]), dtype=np.float32)
        error = np.empty_like(flux)
        for k, row in enumerate(rows.tolist()):
            slab_flux, slab_error = slabs[row // ROWS]
            flux[k], error[k] = slab_flux[row % ROWS], slab_error[row % ROWS]
        return flux, error

    def follow(self, epoch: int, seed: int, rows: Indices) -> None:
        """Say that `rows` of the plan's order are next: read ahead, and let go what is past."""
        groups = self.plan.groups(epoch, seed)
        streamed = rows[rows >= self.plan.kept * ROWS] // ROWS
        if not len(streamed) and self._at is not None:
            return  # kept rows alone say nothing of the place
        # The first row's group: at a border the batch's other rows are in the one to come.
        first = int(streamed[0]) if len(streamed) else -1
        now = next((k for k, slabs in enumerate(groups) if first in slabs), 0)
        if self._at == (epoch, seed, now):
            return
        self._at = (epoch, seed, now)
        later = self.plan.groups(epoch + 1, seed) if now + 1 == len(groups) else groups[now + 1 :]
        kept = range(self.plan.kept)
        wanted = [*map(int, groups[now]), *kept, *map(int, later[0])]
        for slab in set(self._held) - set(wanted):
            del self._held[slab]
        for slab in wanted:
            self._start(slab)

    def _slab(self, slab: int) -> Slab:
        self._start(slab)
        return self._held[slab].result()

    def _start(self, slab: int) -> None:
        if slab not in self._held:
            self.reads += 1
            stop = min((slab + 1) * ROWS, self.plan.n)
            self._held[slab] = self._pool.submit(self.read, slab * ROWS, stop)
