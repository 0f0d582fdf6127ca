"""Spectra as the rows of a matrix, in pieces: what the models without gradients read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vitlab.ml.network.inputs import Inputs
from vitlab.ml.spectra.dataset import Spectra

Array = NDArray[np.float64]
Matrix = NDArray[np.float32]
PIECE = 1024


@dataclass(frozen=True)
class Rows:
    """A split of a data set with the noise it always has, as a model's input."""

    spectra: Spectra
    inputs: Inputs
    split: str
    copies: int = 1
    """Times the split is repeated, one copy after the other, each with a noise of its own."""

    def __len__(self) -> int:
        return self.spectra.sizes[self.split] * self.copies

    def piece(self, start: int, stop: int) -> tuple[Matrix, Array]:
        """(rows, L) inputs and (rows, K) labels."""
        parts = [self._part(*place) for place in self._places(start, stop)]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])

    def pieces(self) -> Iterator[tuple[Matrix, Array]]:
        for start in range(0, len(self), PIECE):
            yield self.piece(start, min(start + PIECE, len(self)))

    def labels(self) -> Array:
        """(rows, K) of all rows."""
        own = self.spectra.labels(self.split, 0, self.spectra.sizes[self.split])
        return np.tile(own, (self.copies, 1))

    def _part(self, copy: int, start: int, stop: int) -> tuple[Matrix, Array]:
        batch = self.spectra.fixed(self.split, start, stop, copy)
        return self.inputs(batch).cpu().numpy(), batch.labels

    def _places(self, start: int, stop: int) -> Iterator[tuple[int, int, int]]:
        """Copy, first and last star of each stretch of rows inside one copy."""
        n = self.spectra.sizes[self.split]
        for copy in range(start // n, -(-stop // n)):
            yield copy, max(start - copy * n, 0), min(stop - copy * n, n)


def predicted(rows: Rows, predict: Callable[[Matrix], Array]) -> tuple[Array, Array]:
    """(n, K) true and predicted labels."""
    found = [(labels, predict(x)) for x, labels in rows.pieces()]
    return np.concatenate([a for a, _ in found]), np.concatenate([b for _, b in found])
