"""Template fitting: the labels of the synthetic spectrum nearest in chi-square."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.ml.batch import Batch
from vitlab.ml.grid import Grid
from vitlab.ml.progress import Note, Progress, Step
from vitlab.ml.spectra import Spectra

Array = NDArray[np.float64]
PIECE = 512


@dataclass(frozen=True)
class Templates:
    """Spectra between the nodes of a grid, ready to be compared."""

    labels: Array
    """(N, 3)"""
    residual: Tensor
    """(N, L) flux - 1, so that single precision keeps the digits that tell templates apart."""

    def nearest(self, batch: Batch) -> Array:
        """(B, 3) labels of the template of least chi-square, noise and scale being known.

        sum ((f - t) / sigma)^2 = const - 2 (f / sigma^2) t + (1 / sigma^2) t^2: two products.
        """
        weight = batch.error**-2  # (B, L); 0 where there is no datum
        chi2 = weight @ self.residual.square().T - 2 * ((batch.flux - 1) * weight) @ self.residual.T
        best: Array = self.labels[chi2.argmin(dim=1).cpu().numpy()]
        return best


def make_templates(grid: Grid, refine: int) -> Templates:
    """Templates at the nodes, and `refine` - 1 more between neighbours on each axis."""
    axes = [_refined(axis, refine) for axis in grid.axes]
    labels = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, len(axes))
    wanted = torch.from_numpy(labels).to(grid.nodes.device)
    return Templates(
        labels, torch.cat([grid.flux(part) - 1 for part in torch.split(wanted, PIECE)])
    )


def fit(
    found: list[Array],
    templates: Templates,
    spectra: Spectra,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Append the (n, 3) best labels of the test set to `found`; a step is one spectrum."""
    n = spectra.sizes["test"]
    for start in range(0, n, PIECE):
        begun = time.perf_counter()
        stop = min(start + PIECE, n)
        found.append(templates.nearest(spectra.fixed("test", start, stop)))
        rate = (stop - start) / (time.perf_counter() - begun)
        yield Step(stop, n, 0, float("nan"), float("nan"), rate)
        if stopped():
            yield Note(f"stopped after {stop} of {n} spectra")
            return


def _refined(axis: Array, refine: int) -> Array:
    places = np.arange((len(axis) - 1) * refine + 1) / refine
    return np.interp(places, np.arange(len(axis)), axis)
