"""Training spectra kept on the device, in 16 bits a number.

What is stored is the flux minus 1 and the error, each over a power of two of its spectrum, so that
float16 has its full 11 bits over nine decades; a spectrum is near 1, so that its flux minus 1 is
rounded less than the flux would be.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.spectra.observation import Indices, on_device

Rows = NDArray[np.float32]
TOP = 15
"""The largest number of a spectrum is stored below 2^15; float16 ends at 2^16."""
TINY = 2.0**-24
"""The smallest number of float16: an error never becomes 0."""


@dataclass
class Resident:
    """(n, W) flux and error of all training spectra."""

    flux: Tensor  # (n, W) float16
    error: Tensor  # (n, W) float16
    scales: Tensor  # (n, 2) float32, of flux and error
    rounding: float = math.nan
    """Rms of what 16 bits change in the flux, over the error in the file: the middle spectrum's, of
    the first slab that has data."""
    stream: Any = None
    """CUDA stream on which spectra are stored, beside a training; None on a CPU."""

    @staticmethod
    def empty(n: int, pixels: int, device: torch.device) -> Resident:
        """Room for `n` spectra."""
        flux = torch.empty((n, pixels), dtype=torch.float16, device=device)
        made = Resident(flux, torch.empty_like(flux), torch.ones((n, 2), device=device))
        if device.type == "cuda":
            made.stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
            made.stream.wait_stream(torch.cuda.current_stream(device))
        return made

    def store(self, start: int, flux: Rows, error: Rows) -> None:
        """Keep (rows, W) flux over the median and errors as spectra `start` and on.

        From pinned memory, so that the next slab is read meanwhile.
        """
        rows, device = slice(start, start + len(flux)), self.flux.device
        with torch.cuda.stream(self.stream):
            exact, sigma = on_device(flux, device), on_device(error, device)
            self.flux[rows], self.scales[rows, :1] = _halved(exact - 1)
            half, self.scales[rows, 1:] = _halved(sigma)
            self.error[rows] = half.clamp_(min=TINY)
            if math.isnan(self.rounding):
                back = self._exact(self.flux[rows], self.scales[rows])
                off = ((back - exact) / sigma).masked_fill(~sigma.isfinite(), math.nan)
                self.rounding = float(off.square().nanmean(dim=1).sqrt().nanmedian())

    def rows(self, rows: Indices) -> tuple[Tensor, Tensor]:
        """(rows, W) flux and error, float32, of spectra that have been stored."""
        device = self.flux.device
        if self.stream is not None:
            torch.cuda.current_stream(device).wait_event(self.stream.record_event())
        at = on_device(rows, device)
        scales = self.scales.index_select(0, at)
        error = self.error.index_select(0, at).float().mul_(scales[:, 1:])
        return self._exact(self.flux.index_select(0, at), scales), error

    @staticmethod
    def _exact(half: Tensor, scales: Tensor) -> Tensor:
        return half.float().mul_(scales[:, :1]).add_(1)


class FirstEpoch:
    """The order of the first epoch, known as far as its spectra are stored, while others follow."""

    def __init__(
        self,
        parts: Iterable[tuple[list[int], Indices]],
        load: Callable[[int], Future[Any]],
        usable: Callable[[Indices], NDArray[np.bool_]],
        ahead: int,
    ) -> None:
        """`parts`: slabs, and rows in order for which these and those before are needed.

        `load` begins to store a slab, or is it again; `ahead`: slabs under way beside the steps.
        """
        self._parts = deque(parts)
        self._load, self._usable, self._ahead = load, usable, ahead
        self._next = deque(slab for slabs, _ in self._parts for slab in slabs)
        self._under_way: list[Future[Any]] = []
        self._rows: Indices = np.empty(0, dtype=np.int64)
        self._lock = threading.Lock()
        """Steps are made in a thread, and counted in another."""

    def upto(self, number: int) -> Indices:
        """The first `number` usable rows or more, or all there are; waits for no others."""
        with self._lock:
            while len(self._rows) < number and self._parts:
                slabs, rows = self._parts.popleft()
                for stored in [self._load(slab) for slab in slabs]:
                    stored.result()
                self._rows = np.concatenate([self._rows, rows[self._usable(rows)]])
            self._under_way = [one for one in self._under_way if not one.done()]
            while self._next and len(self._under_way) < self._ahead:
                self._under_way.append(self._load(self._next.popleft()))
            return self._rows


def resident_bytes(n: int, pixels: int) -> int:
    """Bytes that `n` spectra take on the device."""
    return n * (2 * 2 * pixels + 2 * 4)


def _halved(numbers: Tensor) -> tuple[Tensor, Tensor]:
    """(B, W) float32 -> the same in float16, and (B, 1) the power of two it is over."""
    size = numbers.abs().masked_fill(~numbers.isfinite(), 0).amax(dim=1, keepdim=True)
    exponent = torch.frexp(size).exponent.clamp(min=-100) - TOP
    scale = torch.ldexp(torch.ones_like(size), exponent)
    return (numbers / scale).half(), scale
