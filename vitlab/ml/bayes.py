"""The Bayes ceiling: the R2 of the posterior mean, which no model can exceed.

Under squared error the posterior mean is the best guess there is, for the distribution its stars
and noise are drawn from; its mean squared error is the mean posterior variance. Averaging the
variances rather than the squared errors themselves leaves less to chance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.paths import write_atomic
from vitlab.ml.grid import compress
from vitlab.ml.labels import BETA, LABELS, RANGES, LabelPrior, prior_variance
from vitlab.ml.posterior import ENOUGH, Model, Posterior, posteriors
from vitlab.ml.simulate import STREAMS, Simulator
from vitlab.ml.spectra import COMPONENTS

Array = NDArray[np.float64]

METHOD = 1
"""Part of a cached result's name; rises when the integration changes."""
PIECE = 1024
"""Stars observed and held at once: two arrays of 16 MB."""


def ignore(done: int) -> None:
    """Nobody wants to hear of the number of stars done."""


@dataclass(frozen=True)
class Posteriors:
    """Posteriors of some stars of the test set."""

    mean: Array
    """(n, 3) in the order of `LABELS`."""
    variance: Array
    """(n, 3)"""
    pit: Array
    """(n, 3) posterior probability of a label below the true one."""
    effective: Array
    """(n,) samples' worth of each integration."""
    mag: Array
    """(n,)"""

    @property
    def unsettled(self) -> int:
        """Stars whose integration did not settle."""
        return int(np.count_nonzero(self.effective < ENOUGH))


@dataclass(frozen=True)
class Ceiling:
    """The Bayes R2 of one label over some stars."""

    r2: float
    error: float
    """Standard error from the finite number of stars."""
    n: int


def bayes_r2(posterior: Posteriors, label: str, rows: NDArray[np.bool_] | None = None) -> Ceiling:
    """1 - mean posterior variance / prior variance, over `rows` (all when None)."""
    variance = posterior.variance[:, LABELS.index(label)]
    share = (variance if rows is None else variance[rows]) / prior_variance(label)
    spread = float(share.std(ddof=1)) if len(share) > 1 else float("inf")
    return Ceiling(1 - float(share.mean()), spread / len(share) ** 0.5, len(share))


def posteriors_of_test(
    simulator: Simulator,
    n: int,
    cache: Path | None,
    tell: Callable[[int], None] = ignore,
) -> Posteriors:
    """Posteriors of the first `n` stars of the test set, the magnitude unknown.

    Kept in the folder `cache` under the hash of grid, noise and prior, and read from there.
    `tell` hears of the number done and may raise to end the work.
    """
    path = cache / f"bayes-{_hash(simulator, n)}.json" if cache else None
    if path and (known := _read(path, n)):
        return known
    grid = compress(simulator.grid.to("cpu"), COMPONENTS)
    model = Model(grid, simulator.noise.to("cpu"), LabelPrior())
    observer = Simulator(grid, model.noise, simulator.mag, simulator.seed)
    found: list[Posterior] = []
    for one in _observed(observer, model, n):
        found.append(one)
        tell(len(found))
    mags = observer.stars("test", 0, n).mag
    done = gather(found, mags)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        document = {name: np.round(x, 6).tolist() for name, x in asdict(done).items()}
        write_atomic(path, json.dumps(document).encode())
    return done


def gather(found: list[Posterior], mags: Array) -> Posteriors:
    """One table of many posteriors."""
    return Posteriors(
        mean=np.array([p.mean for p in found]),
        variance=np.array([p.variance for p in found]),
        pit=np.array([p.pit for p in found]),
        effective=np.array([p.effective for p in found]),
        mag=mags,
    )


def _observed(observer: Simulator, model: Model, n: int) -> Iterator[Posterior]:
    """Posteriors of the test stars in order; a piece holds stars of like magnitude."""
    with torch.inference_mode():
        for start in range(0, n, PIECE):
            stars, flux, _ = observer.observe_fixed("test", start, min(start + PIECE, n))
            yield from posteriors(model, stars, flux, observer.seed + start)


def _hash(simulator: Simulator, n: int) -> str:
    """Of all the result depends on."""
    digest = hashlib.sha256(simulator.grid.nodes.cpu().numpy().tobytes())
    digest.update(simulator.noise.sky.cpu().numpy().tobytes())
    parts = [METHOD, STREAMS, COMPONENTS, n, simulator.seed, simulator.mag, simulator.noise.level]
    digest.update(json.dumps([*parts, RANGES, BETA]).encode())
    return digest.hexdigest()[:16]


def _read(path: Path, n: int) -> Posteriors | None:
    """A cached result; None when there is none, or it is not whole."""
    try:
        document = json.loads(path.read_bytes())
        found = Posteriors(
            **{name: np.array(document[name], float) for name in Posteriors.__dataclass_fields__}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.variance.shape == (n, len(LABELS)) else None
