"""Losses and gradient norms on their way from the device to the host."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from vitlab.ml.progress import NonFiniteLoss, Step

LAG = {"cuda": 32}
"""Most steps whose numbers are copied together and read when the next such copy is under way, so
that the host never waits for the device; on other devices each is read at once."""
INTERVAL = 0.25
"""Seconds after which numbers are copied, however few."""
_Steps = list[tuple[Step, int]]


@dataclass
class Meter:
    """The numbers of the last steps, in order."""

    device: torch.device
    waited: Callable[[], float] = lambda: 0.0
    """Seconds for which steps have waited for their spectra."""
    lag: int = field(init=False)
    _steps: _Steps = field(default_factory=list)
    """Taken since the last copy, each with its spectra."""
    _numbers: list[Tensor] = field(default_factory=list)
    _copies: deque[tuple[_Steps, Tensor, Any]] = field(default_factory=deque)
    _copied: float = 0.0
    """When the last copy began."""
    _last: tuple[float, float] = (0.0, 0.0)
    """When the last numbers were read, and what had been waited by then."""

    def __post_init__(self) -> None:
        self.lag = LAG.get(self.device.type, 0)
        self.clear()

    def add(self, step: Step, rows: int, numbers: Tensor) -> None:
        """Add a step over `rows` spectra; `numbers` (2,): loss and norm, may be in flight."""
        self._steps.append((step, rows))
        self._numbers.append(numbers)
        if len(self._steps) >= self.lag or time.perf_counter() - self._copied > INTERVAL:
            self._copy()

    def due(self) -> Iterator[Step]:
        """The steps whose numbers should have arrived. Raises `NonFiniteLoss`."""
        while len(self._copies) > min(self.lag, 1):
            yield from self._next()

    def rest(self) -> Iterator[Step]:
        """All remaining steps. Raises `NonFiniteLoss`."""
        if self._steps:
            self._copy()
        while self._copies:
            yield from self._next()

    def clear(self) -> None:
        """Drop unreported steps and restart the clock."""
        self._steps, self._numbers = [], []
        self._copies.clear()
        self._copied = time.perf_counter()
        self._last = self._copied, self.waited()

    def _copy(self) -> None:
        numbers, copied = torch.stack(self._numbers), None
        if self.device.type == "cuda":
            host = torch.empty(numbers.shape, pin_memory=True)
            numbers = host.copy_(numbers, non_blocking=True)
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record()
        self._copies.append((self._steps, numbers, copied))
        self._steps, self._numbers, self._copied = [], [], time.perf_counter()

    def _next(self) -> Iterator[Step]:
        steps, numbers, copied = self._copies.popleft()
        if copied is not None:
            copied.synchronize()  # waits for this copy only, not for work queued after it
        now = time.perf_counter(), self.waited()
        taken, waited = (one - last for one, last in zip(now, self._last, strict=True))
        self._last = now
        rate = sum(rows for _, rows in steps) / taken
        share = min(max(waited / taken, 0.0), 1.0)
        for (step, _), (loss, norm) in zip(steps, numbers.tolist(), strict=True):
            if not math.isfinite(loss):
                raise NonFiniteLoss(f"the loss is {loss} at step {step.step}", step.step)
            if not math.isfinite(norm):
                raise NonFiniteLoss(f"the gradient's norm is {norm} at step {step.step}", step.step)
            yield replace(step, loss=loss, samples_per_s=rate, wait=share)
