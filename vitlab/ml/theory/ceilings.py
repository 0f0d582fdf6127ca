"""The ceilings on what models can reach: Bayes, Cramer-Rao, best linear predictor."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.user_key import own_record, sealed
from vitlab.contract.world import World
from vitlab.ml.spectra.dataset import COMPONENTS
from vitlab.ml.spectra.grid import Grid, compress
from vitlab.ml.spectra.labels import BETA, LABELS, RANGES, LabelPrior, prior_variance
from vitlab.ml.spectra.simulate import STREAMS, Simulator
from vitlab.ml.theory.fisher import Bounds, bounds, crlb_numbers
from vitlab.ml.theory.posterior import ENOUGH, Model, Posterior, posteriors

Array = NDArray[np.float64]

METHOD = 1
"""Part of the cache key; increase it when the integration changes."""
PIECE = 1024
"""Stars observed at once (two arrays of 16 MB)."""


@dataclass(frozen=True)
class Posteriors:
    """Posteriors of test stars."""

    mean: Array  # (n, 3) in the order of `LABELS`
    variance: Array  # (n, 3)
    pit: Array  # (n, 3) posterior probability of a label below the true one
    effective: Array  # (n,) effective sample size of each integration
    mag: Array  # (n,)

    @property
    def unsettled(self) -> int:
        """Stars whose integration did not converge."""
        return int(np.count_nonzero(self.effective < ENOUGH))


@dataclass(frozen=True)
class Ceiling:
    """The Bayes R2 of one label over some stars."""

    r2: float
    error: float
    """Standard error due to the finite number of stars."""
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
    report: Callable[[int], object] = lambda _done: None,
    world: World | None = None,
) -> Posteriors:
    """Posteriors of the first `n` test stars, with unknown magnitude.

    Cached in the folder `cache` under a hash of grid, noise, prior and `world`. With a world the
    ceilings that follow count as its own; a job's result gives its own. `report` gets the number
    done and may raise to stop.
    """
    path = cache / f"bayes-{_hash(simulator, n, world)}.json" if cache else None
    if path and (known := _read(path, n)):
        return known
    grid = compress(simulator.grid.to("cpu"), COMPONENTS)
    model = Model(grid, simulator.noise.to("cpu"), LabelPrior())
    observer = Simulator(grid, model.noise, simulator.mag, simulator.seed)
    single: list[Posterior] = []
    for one in _observed(observer, model, n):
        single.append(one)
        report(len(single))
    posteriors_ = gather(single, observer.stars("test", 0, n).mag)
    if path:
        best = {label: bayes_r2(posteriors_, label) for label in LABELS}
        document = {
            "world": world.record() if world else None,
            "n": n,
            "r2": {label: [one.r2, one.error] for label, one in best.items()},
            **{name: np.round(x, 6).tolist() for name, x in asdict(posteriors_).items()},
        }
        # Only a cache: a lab may be read-only, a disk full.
        with contextlib.suppress(OSError, UsageError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, json.dumps(sealed(document, path)).encode())
    return posteriors_


def gather(single: list[Posterior], mags: Array) -> Posteriors:
    """Combine single posteriors."""
    columns = {name: np.array([vars(p)[name] for p in single]) for name in vars(single[0])}
    return Posteriors(**columns, mag=mags)


def _observed(observer: Simulator, model: Model, n: int) -> Iterator[Posterior]:
    """Posteriors of the test stars in order."""
    with torch.inference_mode():
        for start in range(0, n, PIECE):
            stars, flux, _ = observer.observe_fixed("test", start, min(start + PIECE, n))
            yield from posteriors(model, stars, flux, observer.seed + start)


def _hash(simulator: Simulator, n: int, world: World | None) -> str:
    """Hash of everything the result depends on."""
    digest = hashlib.sha256(simulator.grid.nodes.cpu().numpy().tobytes())
    digest.update(simulator.noise.sky.cpu().numpy().tobytes())
    parts = [METHOD, STREAMS, COMPONENTS, n, simulator.seed, simulator.mag, simulator.noise.level]
    known = [world.record()] if world else []
    digest.update(json.dumps([*parts, RANGES, BETA, *known]).encode())
    return digest.hexdigest()[:16]


def _read(path: Path, n: int) -> Posteriors | None:
    """A cached result; None when it is missing, incomplete or another user's."""
    try:
        document = own_record(path)
        result = Posteriors(
            **{name: np.array(document[name], float) for name in Posteriors.__dataclass_fields__}
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return result if result.variance.shape == (n, len(LABELS)) else None


SAMPLE = 40_000
"""Stars used for the moments; the difference between halves gives the error."""


def linear_r2(simulator: Simulator, label: str, n: int = SAMPLE) -> tuple[float, float]:
    """(R2, standard error) of the best linear predictor of `label` from the flux.

    R2 = c^T (S + D)^-1 c / Var(y), with c the covariance of flux and label, S that of the
    noise-free flux, D the mean noise variance of each pixel. Flux is w @ nodes, so S = N^T C N has
    the rank of the weights' covariance C and is never formed: with G = N D^-1 N^T and b = Cov(w, y)
    Woodbury's identity gives R2 in the space of the weights.
    """
    halves = [_r2(simulator, label, start, start + n // 2) for start in (0, n // 2)]
    return float(np.mean(halves)), float(abs(halves[0] - halves[1]) / 2)


def _r2(simulator: Simulator, label: str, start: int, stop: int) -> float:
    stars = simulator.stars("train", start, stop)
    y = stars.labels[:, LABELS.index(label)]
    grid, noise = simulator.grid.to("cpu", torch.float64), simulator.noise.to("cpu", torch.float64)
    weights = grid.weights(torch.from_numpy(stars.labels))  # (n, N)
    star, sky = noise.coefficients(torch.from_numpy(stars.mag))
    # The variance is linear in the flux, so its mean needs only one spectrum.
    variance = grid.mixed(star @ weights / len(y)) + sky.mean() * noise.sky
    centred = (weights - weights.mean(dim=0)).numpy()
    y = y - y.mean()
    covariance, b = centred.T @ centred / len(y), centred.T @ y / len(y)
    nodes = grid.nodes.numpy() if grid.mixing is None else (grid.mixing @ grid.nodes).numpy()
    gram = (nodes / variance.numpy()) @ nodes.T
    return float(_explained(covariance, gram, b) / y.var())


def _explained(covariance: Array, gram: Array, b: Array) -> float:
    """b^T (gram - gram C^1/2 (1 + C^1/2 gram C^1/2)^-1 C^1/2 gram) b, C the covariance.

    It uses the root of C, which may be singular.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.clip(values, 0, None))
    inner = np.eye(len(b)) + root.T @ gram @ root
    right = gram @ b
    left = root.T @ right
    return float(b @ right - left @ np.linalg.solve(inner, left))


@dataclass(frozen=True)
class Row:
    """The ceilings of one label at one magnitude."""

    mag: float
    snr: float
    """Median over stars of the median over pixels."""
    r2_crlb_median: float
    """For a typical star; 0 where negative."""
    r2_crlb_mean: float
    """For a population measured by unbiased estimators; may be negative."""
    r2_bayes: float
    """For the best possible model."""
    r2_bayes_err: float
    sigma_crlb: float
    """Median over stars, in the label's unit."""
    unidentified: int
    """Stars with degenerate labels; excluded from `r2_crlb_mean`."""
    unsettled: int
    """Stars whose integration did not converge; included."""


def ceilings(
    simulator: Simulator,
    nuisances: Sequence[Grid],
    mags: Sequence[float],
    label: str,
    n: tuple[int, int],
    cache: Path | None,
    report: Callable[[int], object] = lambda _done: None,
    world: World | None = None,
) -> Iterator[Row]:
    """One row per magnitude, over the first test stars.

    `n`: numbers of stars for the Cramer-Rao bound and the Bayes ceiling. `nuisances` as in
    `vitlab.ml.theory.fisher.bounds`; the Bayes ceiling always uses the three labels only.
    """
    stars = simulator.stars("test", 0, n[0])
    table = np.tile(np.asarray(mags, float), (len(stars), 1))
    limits = concatenate(bounds(simulator.grid, simulator.noise, stars.labels, table, nuisances))
    for m, mag in enumerate(mags):
        variance = limits.variance[:, m, LABELS.index(label)]
        at = world.at(mag) if world else None
        posterior = posteriors_of_test(replace(simulator, mag=(mag, mag)), n[1], cache, report, at)
        best = bayes_r2(posterior, label)
        yield Row(
            mag=mag,
            snr=float(np.median(limits.snr[:, m])),
            **crlb_numbers(variance, label),
            r2_bayes=best.r2,
            r2_bayes_err=best.error,
            unidentified=int(np.count_nonzero(np.isinf(variance))),
            unsettled=posterior.unsettled,
        )


def concatenate(parts: Iterable[Bounds]) -> Bounds:
    """Join the parts of `vitlab.ml.theory.fisher.bounds`."""
    table = list(parts)
    return Bounds(
        variance=np.concatenate([part.variance for part in table]),
        condition=np.concatenate([part.condition for part in table]),
        snr=np.concatenate([part.snr for part in table]),
    )
