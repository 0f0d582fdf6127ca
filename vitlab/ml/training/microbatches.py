"""The data of a step: its micro-batches, each with random streams of its own.

What a micro-batch holds depends on the seed, the step, its number in the step and how many there
are, and on nothing else: not on which process computes it, when it is made or what was computed
before. So two processes of one micro-batch each take the step one process of two takes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vitlab.ml.batch import on_device
from vitlab.ml.training.task import Task


@dataclass(frozen=True)
class Key:
    """Which micro-batch: of step `step` (from 0) the one with `number` out of `of`."""

    step: int
    number: int
    of: int
    rewinds: int = 0
    """How often the training was set back: it goes on with other noise."""


@dataclass(frozen=True)
class MicroBatch:
    """A part of a step's spectra, ready for the network."""

    inputs: Tensor
    """(B, L) or (B, channels, L)."""
    wanted: Tensor
    """(B, K) scaled labels."""
    share: float
    """Of the step's spectra; 0 for one that only keeps the processes in step."""
    seed: int
    """Of the network's own random numbers (dropout)."""

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        return self.inputs, self.wanted


def rows_of(task: Task, key: Key) -> tuple[np.ndarray, float]:
    """Indices of the training spectra of a micro-batch, and their share of the step's.

    Where a short last step has fewer spectra than micro-batches, the first spectrum stands in
    with share 0.
    """
    epoch, place = divmod(key.step, task.steps_per_epoch)
    batch = task.train.batch
    rows = task.spectra.order(epoch, task.train.seed)[place * batch : (place + 1) * batch]
    part = np.array_split(rows, key.of)[key.number]
    return (part, len(part) / len(rows)) if len(part) else (rows[:1], 0.0)


def make(task: Task, key: Key) -> MicroBatch:
    """The micro-batch, its noise drawn on the task's device."""
    rows, share = rows_of(task, key)
    state = np.random.SeedSequence([task.train.seed, key.rewinds, key.step, key.number])
    noise, dropout = state.generate_state(2, np.uint64).tolist()
    generator = torch.Generator(task.device).manual_seed(noise)
    batch = task.spectra.fresh(key.step // task.steps_per_epoch, rows, generator)
    scaled = task.scaling.scaled(batch.labels).astype(np.float32)
    wanted = on_device(scaled, task.device)
    return MicroBatch(task.inputs(batch), wanted, share, dropout)
