"""A spectrum over its running mean: one rule for spectra of the grid, of files and of stars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.spectra.observation import dark_sky

LEAST = 0.2
"""Of the mean of the whole spectrum: a running mean below it counts as this."""


@dataclass(frozen=True)
class RunningMean:
    """The mean flux around each pixel, over its pixels with data.

    Each counts by the inverse of the dark sky's brightness there, so that noise and residuals of
    its lines do not spread.
    """

    weight: Tensor  # (L,)
    first: Tensor  # (L,) of the pixels around each
    after: Tensor  # (L,) the pixel after them

    def __call__(self, flux: Tensor, good: Tensor) -> Tensor:
        """(B, L) flux, (B, L) whether a pixel has data -> (B, L) positive means.

        1 where no pixel around has data.
        """
        weight = torch.where(good, self.weight, 0.0).double()
        weighed = torch.where(good, flux, 0.0) * weight
        total, size = self._sums(weighed), self._sums(weight)
        known = size > self.weight.min() / 2  # sums leave rounding where there is nothing
        whole = weighed.sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp(min=1e-30)
        mean = torch.maximum(total / size.where(known, 1.0), LEAST * whole.abs())
        return torch.where(known & (mean > 0), mean, 1.0).to(flux.dtype)

    def _sums(self, values: Tensor) -> Tensor:
        sums = torch.nn.functional.pad(values.cumsum(1), (1, 0))
        return sums.index_select(1, self.after) - sums.index_select(1, self.first)


def make_running_mean(wave: NDArray[np.float64], width: float, device: torch.device) -> RunningMean:
    """Over `width` Angstrom, half of it on each side, less at the ends; `wave` (L,) ascending."""
    first = np.searchsorted(wave, wave - width / 2)
    after = np.searchsorted(wave, wave + width / 2, side="right")
    weight = (1 / np.interp(wave, *dark_sky())).astype(np.float32)
    return RunningMean(*(torch.from_numpy(one).to(device) for one in (weight, first, after)))
