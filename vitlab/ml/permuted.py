"""The control for leaks: spectra that are learned with the labels of other stars.

A model trained so can know nothing of the test stars: a test R2 above 0 beyond its error means that
something besides the spectra tells it the labels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.batch import Batch, Indices

if TYPE_CHECKING:
    from vitlab.ml.spectra import Spectra


@dataclass(frozen=True)
class PermutedSpectra:
    """A data set whose training and validation labels are dealt out anew; the test set is as it is.

    Stars that come new in each epoch take labels from one another within their batch.
    """

    spectra: Spectra
    seed: int
    infinite: bool

    @property
    def pixels(self) -> int:
        return self.spectra.pixels

    @property
    def wave(self) -> NDArray[np.float64]:
        return self.spectra.wave

    @property
    def sizes(self) -> dict[str, int]:
        return self.spectra.sizes

    @property
    def hash(self) -> str:
        return self.spectra.hash

    @cached_property
    def _dealt(self) -> dict[str, NDArray[np.float64]]:
        """(n, K) the labels each star gets instead of its own."""
        found = {}
        for k, split in enumerate(("train", "val")):
            own = self.spectra.labels(split, 0, self.sizes[split])
            found[split] = np.random.default_rng([self.seed, k]).permutation(own)
        return found

    def labels(self, split: str, start: int, stop: int) -> NDArray[np.float64]:
        if split == "test":
            return self.spectra.labels(split, start, stop)
        return self._dealt[split][start:stop]

    def order(self, epoch: int, seed: int) -> Indices:
        return self.spectra.order(epoch, seed)

    def fresh(self, epoch: int, rows: Indices, generator: torch.Generator) -> Batch:
        batch = self.spectra.fresh(epoch, rows, generator)
        if self.infinite:
            deal = np.random.default_rng([self.seed, epoch, int(rows[0])])
            return replace(batch, labels=deal.permutation(batch.labels))
        return replace(batch, labels=self._dealt["train"][rows])

    def fixed(self, split: str, start: int, stop: int, copy: int = 0) -> Batch:
        batch = self.spectra.fixed(split, start, stop, copy)
        return replace(batch, labels=self.labels(split, start, stop))

    def clean(self, start: int, stop: int) -> Batch:
        batch = self.spectra.clean(start, stop)
        return replace(batch, labels=self.labels("train", start, stop))

    def sky_sigma(self) -> Tensor:
        return self.spectra.sky_sigma()


def as_they_are(spectra: Spectra) -> Spectra:
    """The data set behind a control's."""
    return spectra.spectra if isinstance(spectra, PermutedSpectra) else spectra
