"""Some observed spectra: what every data set hands to every model."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
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


def content_hash(parts: list[object], *data: bytes) -> str:
    """16 hexadecimal digits of what a data set depends on."""
    digest = hashlib.sha256(json.dumps(parts).encode())
    for block in data:
        digest.update(block)
    return digest.hexdigest()[:16]
