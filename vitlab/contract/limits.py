"""The kinds of numbers a configuration holds, with their limits."""

from __future__ import annotations

from typing import Annotated, Literal

from vitlab.contract.strict import Range

PIXELS = 4096
"""Pixels of a spectrum from the embedded grid."""

Count = Annotated[int, Range(1)]
Seed = Annotated[int, Range(0, 2**31 - 1)]
Positive = Annotated[float, Range(0, above=True)]
NotNegative = Annotated[float, Range(0)]
Fraction = Annotated[float, Range(0, 1)]
Dropout = Annotated[float, Range(0, 0.95)]
Threads = Annotated[int, Range(0, 1024)]
"""CPU threads; 0 means all the machine offers."""
Magnitude = Annotated[float, Range(10, 30)]
Input = Literal["flux", "flux/error", "whitened"]
"""What a model sees: flux over its median; over its 1-sigma error; (flux - 1) / sky sigma."""
