"""The numbers of the steps taken, read from the device without making it wait."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from vitlab.ml.progress import NonFiniteLoss, Step

LAG = {"cuda": 1}
"""Steps a device may be ahead of what is known of it; on a CPU nothing runs ahead."""


@dataclass
class Meter:
    """Losses and gradient norms on their way from the device to the host, in order."""

    device: torch.device
    lag: int = field(init=False)
    _waiting: deque[tuple[Step, int, Tensor, Any]] = field(default_factory=deque)
    _at: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.lag = LAG.get(self.device.type, 0)

    def add(self, step: Step, rows: int, numbers: Tensor) -> None:
        """(2,) loss and gradient norm of a step over `rows` spectra, both perhaps not there yet."""
        if self.device.type != "cuda":
            self._waiting.append((step, rows, numbers, None))
            return
        host = torch.empty(2, pin_memory=True).copy_(numbers, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
        self._waiting.append((step, rows, host, copied))

    def due(self) -> Iterator[Step]:
        """The steps whose numbers are wanted by now. Raises `NonFiniteLoss`."""
        while len(self._waiting) > self.lag:
            yield self._next()

    def rest(self) -> Iterator[Step]:
        """All the others. Raises `NonFiniteLoss`."""
        while self._waiting:
            yield self._next()

    def clear(self) -> None:
        """Forget the steps not told; the time until the next one counts from now."""
        self._waiting.clear()
        self._at = time.perf_counter()

    def _next(self) -> Step:
        step, rows, numbers, copied = self._waiting.popleft()
        if copied is not None:
            copied.synchronize()  # with that copy alone, not with what was queued after it
        loss, norm = numbers.tolist()
        if not math.isfinite(loss):
            raise NonFiniteLoss(f"the loss is {loss} at step {step.step}", step.step)
        if not math.isfinite(norm):
            raise NonFiniteLoss(f"the gradient's norm is {norm} at step {step.step}", step.step)
        now = time.perf_counter()
        rate, self._at = rows / (now - self._at), now
        return replace(step, loss=loss, samples_per_s=rate)
