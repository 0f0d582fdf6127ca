"""Some observed spectra: what every data set hands to every model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """Some observed spectra."""

    flux: Tensor
    """(B, L) over the median."""
    error: Tensor
    """(B, L) 1-sigma; infinite where there is no datum."""
    labels: NDArray[np.float64]
    """(B, K) in their own units."""


def on_device(array: NDArray[Any], device: torch.device) -> Tensor:
    """The array as a tensor; to a GPU from pinned memory, so that the host does not wait."""
    tensor = torch.from_numpy(array)
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def content_hash(parts: list[object], *data: bytes) -> str:
    """16 hexadecimal digits of what a data set depends on."""
    digest = hashlib.sha256(json.dumps(parts).encode())
    for block in data:
        digest.update(block)
    return digest.hexdigest()[:16]
