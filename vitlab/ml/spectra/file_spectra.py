"""A data set in files: splits, slabs of rows in memory, and noise."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.contract.excluded import MAX_EXCLUDED, USABLE, Counts, count, refusal, split_rows
from vitlab.contract.paths import UsageError
from vitlab.ml.spectra.disturb.changes import Changes, Draws
from vitlab.ml.spectra.observation import Batch, Indices, content_hash, on_device
from vitlab.ml.spectra.pfsspec import Rows, SpectraFiles
from vitlab.ml.spectra.resident import FirstEpoch, Resident, resident_bytes
from vitlab.ml.spectra.simulate import STREAMS

Array = NDArray[np.float64]
Slab = tuple[NDArray[np.float32], NDArray[np.float32]]

ROWS = 1024
"""Rows of a slab; contiguous, since reading scattered rows is many times slower."""
READING = 4
"""Memory needed while reading, in slabs: float64 flux and error, and the mask."""
READERS = 2
"""Threads for which that memory is put aside: one waits for the disk while the other converts its
slab to float32. As many as there are cores read: a thread needs little more than its slab."""


AHEAD = 4
"""Slabs for each reader that are on their way to the device while training takes others."""


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
        return np.concatenate([rows for _, rows in self.parts(epoch, seed)])

    def parts(self, epoch: int, seed: int) -> Iterator[tuple[list[int], Indices]]:
        """The order in parts: slabs that none before needs, and rows in these and those before."""
        generator = np.random.default_rng([seed, epoch])
        groups = self.groups(epoch, seed)
        kept = generator.permutation(min(self.kept * ROWS, self.n))
        new = list(range(self.kept))
        for slabs, share in zip(groups, np.array_split(kept, len(groups)), strict=True):
            rows = [np.arange(s * ROWS, min((s + 1) * ROWS, self.n)) for s in slabs]
            yield [*new, *slabs.tolist()], generator.permutation(np.concatenate([*rows, share]))
            new = []


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
    resident: Resident | None = None
    """Where all rows are kept on the device; None: in memory, as the plan says."""
    reads: int = 0
    """Slabs read so far."""
    _stored: dict[int, Future[Any]] = field(default_factory=dict)
    _first: dict[int, FirstEpoch] = field(default_factory=dict)
    _held: dict[int, Future[Slab]] = field(default_factory=dict)
    _position: tuple[int, int, int] | None = None
    """Epoch, seed and current group."""
    readers: int = field(default_factory=lambda: _readers())
    _pool: ThreadPoolExecutor = field(init=False)

    def __post_init__(self) -> None:
        self._pool = ThreadPoolExecutor(self.readers)

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

    def look(self, slab: int) -> Future[Any]:
        """Start to read a slab for the first time; it stays on the device, or as the plan says."""
        if self.resident is not None:
            if slab not in self._stored:
                self._stored[slab] = self._pool.submit(self._store, slab, self.resident)
            return self._stored[slab]
        if slab < self.plan.kept:
            self._start(slab)
            return self._held[slab]
        return self.look_at(slab * ROWS, min((slab + 1) * ROWS, self.plan.n))

    def first_epoch(self, seed: int, usable: Callable[[Indices], NDArray[np.bool_]]) -> FirstEpoch:
        """Its order while slabs go to the device; `usable`: which of some rows read before are."""
        if seed not in self._first:
            parts = self.plan.parts(0, seed)
            self._first = {seed: FirstEpoch(parts, self.look, usable, AHEAD * self.readers)}
        return self._first[seed]

    def look_at(self, start: int, stop: int) -> Future[Any]:
        """Start to read rows that are not kept."""
        return self._pool.submit(self.read, start, stop)

    def look_through(
        self, train: bool, start: int, stop: int, all_of_it: bool
    ) -> Iterator[tuple[int, int]]:
        """Read a split, slab by slab, keeping what training keeps; yields what has been read.

        All readers are busy where all of it is wanted.
        """
        ahead = self.readers if all_of_it else 0
        waiting: deque[tuple[int, int, Future[Any]]] = deque()
        while start < stop or waiting:
            if start < stop:
                end = min(start + ROWS - start % ROWS, stop)
                reading = self.look(start // ROWS) if train else self.look_at(start, end)
                waiting.append((start, end, reading))
                start = end
            if len(waiting) > ahead or start == stop:
                first, last, reading = waiting.popleft()
                reading.result()
                yield first, last

    def _store(self, slab: int, resident: Resident) -> None:
        start = slab * ROWS
        resident.store(start, *self.read(start, min(start + ROWS, self.plan.n)))

    def _slab(self, slab: int) -> Slab:
        self._start(slab)
        return self._held[slab].result()

    def _start(self, slab: int) -> None:
        if slab not in self._held:
            self.reads += 1
            stop = min((slab + 1) * ROWS, self.plan.n)
            self._held[slab] = self._pool.submit(self.read, slab * ROWS, stop)


def _readers() -> int:
    """Reading threads."""
    return min(max(len(os.sched_getaffinity(0)), READERS), READING * READERS)


SPREAD = 64
"""Spectra that stand for all in a hash."""
SECOND = "f"
"""Begins the hashes of test sets, to 17 digits: those of 16 knew less of a file."""
HASHED = 16
"""Test spectra whose flux is part of a data set's hash."""


def _some(files: SpectraFiles, rows: Indices) -> Iterator[bytes]:
    """The wavelengths, and flux and error of `SPREAD` of the rows."""
    yield files.wave.tobytes()
    places = {round(k * (len(rows) - 1) / (SPREAD - 1)) for k in range(SPREAD if len(rows) else 0)}
    for row in rows[sorted(places)].tolist():
        for values in files.read(row, row + 1):
            yield values.tobytes()


@dataclass
class FileSpectra:
    """Rows of pfsspec files: the training set from the start, the test set at the end.

    Unusable spectra are left out of each split, and the others numbered without gaps; a split is
    read through when its size or its last stars are first asked for. Orders hold rows of the files.
    """

    files: SpectraFiles
    wanted: Mapping[str, int]
    """Rows of each split, usable or not."""
    values: NDArray[np.float64]
    """(n, K) labels; not finite where missing or impossible."""
    level: float
    """Factor on the added noise."""
    seed: int
    device: torch.device
    memory: int
    """Memory limit for training spectra, bytes."""
    names: tuple[str, ...] = ()
    """Names of the labels."""
    limit: float = MAX_EXCLUDED
    """Largest share of a split that may be left out."""
    device_memory: int = 0
    """Bytes of the device that training spectra may take; they are all kept there if they fit."""
    changes: Changes | None = None
    """What is done to each spectrum besides noise; None: nothing."""
    slabs: Slabs = field(init=False)
    _order_seed: int = 0
    _usable: dict[str, tuple[int, Indices]] = field(default_factory=dict)
    """Split -> where reading for usable rows goes on, and those found."""
    _accepted: set[str] = field(default_factory=set)
    """Splits that have been read through and lack few enough."""
    _val: dict[tuple[int, int], tuple[Rows, Rows]] = field(default_factory=dict)
    _typical: Tensor | None = None

    def __post_init__(self) -> None:
        plan = make_plan(self.wanted["train"], self.pixels, self.memory)
        resident = None
        if 0 < resident_bytes(plan.n, self.pixels) <= self.device_memory:
            with contextlib.suppress(torch.OutOfMemoryError):
                resident = Resident.empty(plan.n, self.pixels, self.device)
        self.slabs = Slabs(self.files.read, plan, resident)
        self._orders: dict[tuple[int, int], Indices] = {}
        self._labelled = np.isfinite(self.values.sum(axis=1))

    @property
    def sizes(self) -> Mapping[str, int]:
        """Spectra of each split; `UsageError` when too many of one are unusable."""
        return _Sizes(self)

    @property
    def pixels(self) -> int:
        return len(self.files.wave)

    @property
    def wave(self) -> NDArray[np.float64]:
        return self.files.wave

    @property
    def hash(self) -> str:
        """Of the test set: its labels, and flux and errors of spectra all over it."""
        rows = self.rows("test")
        labels = self.labels("test", 0, len(rows))
        parts = [self.files.n, self.wanted["test"], self.level, self.seed, STREAMS]
        left = [] if len(rows) == self.wanted["test"] else [rows.tobytes()]
        return SECOND + content_hash(parts, *_some(self.files, rows), labels.tobytes(), *left)

    @property
    def train_hash(self) -> str:
        """The same of the training set, with what is unusable."""
        n = self.wanted["train"]
        return content_hash([n], *_some(self.files, np.arange(n)), self.values[:n].tobytes())

    def rows(self, split: str, number: int | None = None) -> Indices:
        """The usable rows of the files in a split: all, or the first `number` or more.

        `UsageError` when too many of the split are unusable.
        """
        of = split_rows(self.files.n, self.wanted)[split]
        at, found = self._usable.get(split, (of.start, np.empty(0, dtype=np.int64)))
        if at < of.stop and (number is None or len(found) < number):
            parts = [found]
            for start, stop in self.slabs.look_through(
                split == "train", at, of.stop, number is None
            ):
                usable = self.files.usable(start, stop) & self._labelled[start:stop]
                parts.append(start + np.flatnonzero(usable))
                at = stop
                if number is not None and sum(map(len, parts)) >= number:
                    break
            found = np.concatenate(parts)
            self._usable[split] = at, found
        if at == of.stop and len(found) < len(of) and split not in self._accepted:
            why = refusal(split, self.excluded(split), len(of), self.limit)
            if why:
                raise UsageError(f"{self.files.path}: {why}")
            self._accepted.add(split)
        return found

    @property
    def residence(self) -> str:
        """Whether the training spectra are on the device, and how exactly; empty: not wanted."""
        resident, limit = self.slabs.resident, self.device_memory / 1e9
        if not limit:
            return ""
        what = f"{resident_bytes(self.slabs.plan.n, self.pixels) / 1e9:.3g} GB of training spectra"
        if resident is None:
            return f"no room on the device for {what} (limit {limit:.3g} GB): they are streamed"
        share = resident.rounding / (self.level or 1)
        of = "noise" if self.level else "file's errors"
        kept = f"flux kept in 16 bits: rounding {100 * share:.2g}% of the {of}"
        where = "are on the device" if self.is_read else "go to the device while training begins"
        return f"{what} {where}; {kept}"

    def at_most(self, split: str, number: int) -> int:
        """`number`, or the size of the split if smaller; reads no further than needed."""
        return min(len(self.rows(split, number)), number)

    def excluded(self, split: str) -> Counts:
        """Reason -> spectra left out of a split that has been read through."""
        codes = {name: self._codes(k) for k, name in enumerate(self.names)}
        return count(self.files.codes, codes, split_rows(self.files.n, self.wanted)[split])[0]

    def _codes(self, k: int) -> str:
        return "".join(USABLE if ok else "l" for ok in np.isfinite(self.values[:, k]).tolist())

    def labels(self, split: str, start: int, stop: int) -> NDArray[np.float64]:
        return self.values[self.rows(split, stop)[start:stop]]

    @property
    def most(self) -> int:
        """Training spectra with labels: known before any is read, some may be unusable."""
        return int(self._labelled[: self.wanted["train"]].sum())

    @property
    def is_read(self) -> bool:
        """Whether it is known which training spectra are usable."""
        return "train" in self._usable and self._usable["train"][0] == self.wanted["train"]

    def order(self, epoch: int, seed: int) -> Indices:
        """Groups of slabs in random order, each shuffled."""
        self._order_seed = seed
        if (epoch, seed) not in self._orders:
            self.rows("train")
            order = self.slabs.plan.order(epoch, seed)
            self._orders = {(epoch, seed): order[self._may_train(order)]}
        return self._orders[epoch, seed]

    def part(self, epoch: int, seed: int, start: int, stop: int) -> Indices:
        """`order(epoch, seed)[start:stop]`; the first epoch's without waiting for later spectra."""
        if epoch or self.slabs.resident is None or self.is_read:
            return self.order(epoch, seed)[start:stop]
        return self.slabs.first_epoch(seed, self._may_train).upto(stop)[start:stop]

    def numbers(self, rows: Indices) -> Indices:
        """As for `GridSpectra`."""
        return np.searchsorted(self.rows("train"), rows)

    def _may_train(self, rows: Indices) -> NDArray[np.bool_]:
        """Which of the rows, read before, are usable."""
        usable = self.files.usable(0, self.wanted["train"])
        known: NDArray[np.bool_] = usable[rows] & self._labelled[rows]
        return known

    def fresh(self, epoch: int, rows: Indices, generator: torch.Generator) -> Batch:
        """As for `GridSpectra`; reads the following slabs in the background."""
        if self.slabs.resident is not None:
            flux, error = self.slabs.resident.rows(rows)
        else:
            self.slabs.follow(epoch, self._order_seed, rows)
            flux, error = self._tensors(self.slabs.rows(rows))
        noise = torch.empty_like(flux).normal_(generator=generator)
        draws = self.changes.draw(len(rows), generator) if self.changes else None
        return self._noisy(flux, error, noise, self.values[rows], draws)

    def fixed(self, split: str, start: int, stop: int, copy: int = 0) -> Batch:
        rows = self.rows(split, stop)[start:stop]
        flux, error = self._tensors(self._fixed_rows(split, start, stop))
        noise = np.empty(flux.shape, dtype=np.float32)
        for k, row in enumerate(rows.tolist()):
            seed = [self.seed, row, copy]
            stream = np.random.default_rng(seed if copy else seed[:2])
            stream.standard_normal(out=noise[k], dtype=np.float32)
        draws = self.changes.fixed(self.seed, split, rows, copy) if self.changes else None
        return self._noisy(flux, error, torch.from_numpy(noise).to(flux), self.values[rows], draws)

    def clean(self, start: int, stop: int) -> Batch:
        rows = self.rows("train", stop)[start:stop]
        flux, error = self._tensors(self.files.read_between(rows))
        draws = self.changes.fixed(self.seed, "train", rows, 0) if self.changes else None
        return self._noisy(flux, error, None, self.values[rows], draws)

    def sky_sigma(self) -> Tensor:
        """Median over the first training rows; a pixel without data gets the overall median.

        Over test rows where none is for training.
        """
        split = "train" if self.wanted["train"] else "test"
        _, error = self._tensors(self.files.read_between(self.rows(split, ROWS)[:ROWS]))
        sigma = error.masked_fill(~error.isfinite(), torch.nan).nanmedian(dim=0).values
        return sigma.nan_to_num(nan=float(sigma.nanmedian())) * (self.level or 1.0)

    def _fixed_rows(self, split: str, start: int, stop: int) -> tuple[Rows, Rows]:
        """Flux and error; the validation set is cached, since it is read repeatedly."""
        if split != "val":
            return self.files.read_between(self.rows(split, stop)[start:stop])
        if (start, stop) not in self._val:
            self._val[start, stop] = self.files.read_between(self.rows(split, stop)[start:stop])
        return self._val[start, stop]

    def test_rows(self, start: int, stop: int) -> tuple[Rows, Rows]:
        """Flux and error of test stars as the file has them."""
        return self.files.read_between(self.rows("test", stop)[start:stop])

    def _tensors(self, rows: tuple[Rows, Rows]) -> tuple[Tensor, Tensor]:
        flux, error = (on_device(part, self.device) for part in rows)
        return flux, error

    def _noisy(
        self, flux: Tensor, error: Tensor, noise: Tensor | None, labels: Array, draws: Draws | None
    ) -> Batch:
        """`noise` (B, L) unit normal numbers; None: no noise, at the errors of the file."""
        if self.changes and draws:
            flux, error = self.changes.of_file(flux, error, draws)
        if noise is not None and self.level:
            error = error * self.level
            flux = torch.where(error.isfinite(), flux + error * noise, flux)
        batch = Batch(flux, error, labels, lambda: self._shown(error))
        if not self.changes or draws is None:
            return batch
        return self.changes.finished(batch, None if noise is None else self.changes.visible(draws))

    def _shown(self, error: Tensor) -> Tensor:
        """(B, L) the data set's typical errors, scaled by one number for each spectrum.

        A file does not have the counts that its errors could be estimated from, and its own ones
        may be noise-free.
        """
        if self._typical is None:
            self._typical = self.sky_sigma()
        ratio = (error / self._typical).masked_fill(~error.isfinite(), torch.nan)
        scale = ratio.nanmedian(dim=1, keepdim=True).values
        return torch.where(error.isfinite(), scale * self._typical, torch.inf)


@dataclass(frozen=True)
class _Sizes(Mapping[str, int]):
    """Spectra of each split, counted when asked for."""

    spectra: FileSpectra

    def __getitem__(self, split: str) -> int:
        return len(self.spectra.rows(split))

    def __iter__(self) -> Iterator[str]:
        return iter(self.spectra.wanted)

    def __len__(self) -> int:
        return len(self.spectra.wanted)
