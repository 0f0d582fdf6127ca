"""Whether the model in a job's folder is the one whose predictions the job kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.job import read_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.ml.residual_file import load_residuals
from vitlab.ml.spectra.dataset import Spectra
from vitlab.ml.spectra.observation import Batch

Array = NDArray[np.float64]
STARS = 32
"""First test stars that are predicted again."""
SAME = 0.03, 1e-3
"""Shares of a label's standard deviation, and of its size, by which half of the predictions may
differ: another device or precision changes their last digits."""


def check_own(job: JobPaths, spectra: Spectra, predict: Callable[[Batch], Array]) -> None:
    """`UsageError` where the model in the job's folder is another than that of its result.

    As a checkpoint of another run is that a backup brought there. `spectra`: what the job was
    trained on, with its test stars; where these have changed, or no predictions of them were kept,
    nobody can tell.
    """
    result, n = read_result(job.result), spectra.sizes["test"]
    try:
        kept = None if result is None else load_residuals(job.residuals, result.values)
    except UsageError:
        return
    if kept is None or kept.hash != spectra.hash or len(kept.star) != n or not n:
        return
    then, found = kept.predicted[:STARS], predict(spectra.fixed("test", 0, min(STARS, n)))
    if then.shape != found.shape or not np.isfinite(then).all():
        return
    for label, old, new, true in zip(kept.labels, then.T, found.T, kept.true.T, strict=True):
        gap = float(np.median(np.abs(new - old)))
        if not gap <= max(SAME[0] * true.std(), SAME[1] * np.abs(old).max()):
            raise UsageError(
                f"{job.name}: the model kept here is not that of its result: it predicts {label} "
                f"of its test stars otherwise by {gap:.2g} (`vitlab evaluate {job.name}` scores it)"
            )
