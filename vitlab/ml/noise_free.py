"""Whether the errors of a file's spectra are noise-free: a leak in an input that shows them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LOOKED_AT = 64
"""Spectra of a file that are enough to decide."""
FEWEST = 8
"""Spectra from which the pattern of the sky can be seen."""
QUIET = 0.5
"""Share of the pixels, those where the sky changes least from one to the next."""
NO_NOISE = 0.5
"""The flux has no noise if it scatters by less than this part of its errors."""
LINES = 2.0
"""Above this scatter over error lines hide the noise, so that nothing can be told."""
ENOUGH = 200
"""Usable pixels below which a spectrum decides nothing."""


_INSTEAD = "inputs show the data set's typical errors in their place"


@dataclass(frozen=True)
class ErrorsFound:
    """What the errors of a file were computed from."""

    kind: Literal["noise-free", "noise-free flux", "counts", "unknown"]
    """`counts`: they move with the noise of their own flux; `noise-free`: they do not, but the flux
    is noisy; `noise-free flux`: so is the flux, to which noise is added as it is read."""
    scatter: float = float("nan")
    """Scatter of the flux between neighbouring pixels over what its errors give."""
    shared: float = float("nan")
    """Share of the variance of sigma squared between pixels that goes with the flux."""

    @property
    def lines(self) -> list[str]:
        """One line on noise-free errors; none on others."""
        match self.kind:
            case "noise-free":
                text = (
                    "the errors are too smooth for the noise of their counts: noise-free, which "
                    f"gives the labels away, or smoothed; {_INSTEAD}"
                )
            case "noise-free flux":
                text = f"the errors are noise-free, as the flux is; {_INSTEAD}"
            case _:
                return []
        return [text]


def judge_errors(flux: NDArray[np.floating], error: NDArray[np.floating]) -> ErrorsFound:
    """(n, L) flux and 1-sigma errors, infinite without data -> what the errors come from.

    Between neighbouring pixels, x_i - (x_(i-1) + x_(i+1)) / 2, spectra change little, noise much.
    An error from noisy counts has the variance g d + b: apart from the sky, whose pattern all
    spectra share, all of its changes go with those of the flux d. Of a noise-free error only the
    changes of the lines do, a share 1 - 1 / a^2 where the flux scatters by a of its errors. The
    limit is half way, and the median over the spectra decides.
    """
    known = np.isfinite(error)
    d, v = (_changes(np.where(known, x, np.nan)) for x in (flux, np.square(error, dtype=float)))
    if len(flux) < FEWEST:
        return ErrorsFound("unknown")
    middle = np.where(known, np.square(error, dtype=float), np.nan)[:, 1:-1]
    relative = v / _median(middle, axis=1)[:, None]
    pattern = _median(relative, axis=0)
    usable = np.abs(pattern[np.isfinite(pattern)])
    if len(usable) < ENOUGH:
        return ErrorsFound("unknown")
    quiet = np.abs(pattern) <= np.quantile(usable, QUIET)
    found = [
        _of_one(d[k], relative[k], middle[k], pattern, quiet & np.isfinite(d[k] + relative[k]))
        for k in range(len(flux))
    ]
    decided = np.array([one for one in found if one is not None])
    if len(decided) < FEWEST:
        return ErrorsFound("unknown")
    scatter, shared = np.median(decided, axis=0)
    if scatter < NO_NOISE:
        return ErrorsFound("noise-free flux", float(scatter), float(shared))
    if scatter > LINES:
        return ErrorsFound("unknown", float(scatter), float(shared))
    limit = 1 - 1 / (2 * max(scatter, 1.0) ** 2)
    kind: Literal["counts", "noise-free"] = "counts" if shared > limit else "noise-free"
    return ErrorsFound(kind, float(scatter), float(shared))


def _of_one(
    d: Array, v: Array, middle: Array, pattern: Array, use: NDArray[np.bool_]
) -> tuple[float, float] | None:
    """Scatter over error, and the share of the changes of `v` that go with those of `d`."""
    if use.sum() < ENOUGH:
        return None
    scatter = float(np.sqrt(np.mean(d[use] ** 2 / (1.5 * middle[use]))))
    # Noise has the same size everywhere once over the error; the sky's pattern is fitted too.
    terms = np.column_stack([np.ones(use.sum()), pattern[use]])
    left = [x - terms @ np.linalg.lstsq(terms, x, rcond=None)[0] for x in (d[use], v[use])]
    size = float(np.sum(left[0] ** 2) * np.sum(left[1] ** 2))
    shared = float(left[0] @ left[1]) ** 2 / size if size > 0 else 0.0
    return scatter, shared


def _changes(x: NDArray[np.floating]) -> Array:
    """(n, L) -> (n, L - 2) each pixel less the mean of its neighbours."""
    changes: Array = x[:, 1:-1].astype(float) - (x[:, :-2].astype(float) + x[:, 2:]) / 2
    return changes


def _median(x: Array, axis: int) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # all NaN: so is its median
        median: Array = np.nanmedian(x, axis=axis)
    return median
