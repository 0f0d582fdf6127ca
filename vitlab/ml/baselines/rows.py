"""Spectra as the rows of a matrix, in pieces: what the models without gradients read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitlab.ml.inputs import Inputs
from vitlab.ml.spectra import Spectra

Array = NDArray[np.float64]
Matrix = NDArray[np.float32]
PIECE = 1024


@dataclass(frozen=True)
class Rows:
    """A split of a data set with the noise it always has, as a model's input."""

    spectra: Spectra
    inputs: Inputs
    split: str

    def __len__(self) -> int:
        return self.spectra.sizes[self.split]

    def piece(self, start: int, stop: int) -> tuple[Matrix, Array]:
        """(rows, L) inputs and (rows, K) labels."""
        batch = self.spectra.fixed(self.split, start, stop)
        return self.inputs(batch).cpu().numpy(), batch.labels

    def pieces(self) -> Iterator[tuple[Matrix, Array]]:
        for start in range(0, len(self), PIECE):
            yield self.piece(start, min(start + PIECE, len(self)))


def predicted(rows: Rows, predict: Callable[[Matrix], Array]) -> tuple[Array, Array]:
    """(n, K) true and predicted labels."""
    found = [(labels, predict(x)) for x, labels in rows.pieces()]
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])
