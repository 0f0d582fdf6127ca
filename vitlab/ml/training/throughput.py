"""The speed of a device: what its matrix products reach, measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SIDE = {"cuda": 8192, "cpu": 1024}
"""Rows and columns of the matrices that are multiplied."""


@cache
def matmul_peak(device: torch.device, precision: str) -> float:
    """FLOP/s of large square matrix products, the best of some; measured once in a process."""
    side = _SIDE.get(device.type, 1024) // (2 if precision == "fp32" else 1)
    matrix = torch.ones(side, side, device=device, dtype=DTYPES[precision]) / side
    out = torch.empty_like(matrix)
    runs = [seconds(lambda: torch.mm(matrix, matrix, out=out), device, 4) for _ in range(3)]
    return float(2 * side**3 / min(runs))


def seconds(run: Callable[[], object], device: torch.device, calls: int) -> float:
    """Of one of `calls` calls in a row, after one that is not counted."""
    run()
    wait(device)
    begun = time.perf_counter()
    for _ in range(calls):
        run()
    wait(device)
    return (time.perf_counter() - begun) / calls


def wait(device: torch.device) -> None:
    """Wait until the device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
