"""Scores of predictions with bootstrap errors, from the residuals of each test star."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.value import COVERED, LOG_SCORE, LOG_SCORE_EXACT, NATS_LOST, SCORES, Value

Array = NDArray[np.float64]
RESAMPLES = 200
PAIRED_RESAMPLES = 1000
"""More than for a single score, since verdicts depend on it."""
MOST_DRAWN = 200_000
"""Stars that are drawn from: the errors of more follow, as they fall with the root of their
number."""
_AT_ONCE = 8_000_000
"""Counts of stars that are kept at once: 64 MB."""
_ONE_SIGMA = (0.1586552539314570, 0.8413447460685430)
"""The normal distribution below -1 and below +1 sigma."""


@dataclass(frozen=True)
class Difference:
    """One model's score minus another's on the same stars."""

    value: float
    error: float
    """Bootstrap standard error."""
    n: int
    """Number of stars."""


def resampled(n: int, seed: int) -> Iterator[Array]:
    """(m, n) bootstrap counts of each star, in parts: `RESAMPLES` rows in all."""
    generator = np.random.default_rng(seed)
    step = max(1, min(RESAMPLES, _AT_ONCE // n))
    for done in range(0, RESAMPLES, step):
        counts = np.empty((min(step, RESAMPLES - done), n))
        for row in counts:
            row[:] = np.bincount(generator.integers(n, size=n), minlength=n)
        yield counts


def drawn_from(n: int, seed: int) -> tuple[NDArray[np.int64] | slice, float]:
    """The stars that are drawn from, and by what their errors are multiplied for those of all."""
    if n <= MOST_DRAWN:
        return slice(None), 1.0
    chosen = np.random.default_rng(seed).choice(n, MOST_DRAWN, replace=False)
    return np.sort(chosen), math.sqrt(MOST_DRAWN / n)


def metrics(
    counts: Array, true: Array, predicted: Array, names: Sequence[str] = SCORES
) -> dict[str, Array]:
    """Each of `SCORES` for each row of `counts` (m, n); the scatter only when in `names`.

    `scatter` is half the width of the central 68.3% of predicted - true: sigma for Gaussian
    residuals, robust against outliers.
    """
    residual = predicted - true
    y = true - true.mean()  # R2 does not depend on the origin; this avoids cancellation
    columns = np.stack([residual**2, np.abs(residual), residual, y, y**2], axis=1)
    squared, absolute, bias, first, second = (counts @ columns).T / counts.sum(axis=1)
    variance = second - first**2
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = 1 - squared / variance
    scores = {"r2": r2, "mae": absolute, "rmse": np.sqrt(squared), "bias": bias}
    return scores | ({"scatter": _scatter(counts, residual)} if "scatter" in names else {})


def paired(true: Array, left: Array, right: Array, metric: str, seed: int) -> Difference:
    """`metric` of `left` minus that of `right`, both (n,) predictions of the same (n,) `true`."""

    def gap(counts: Array, stars: NDArray[np.int64] | slice) -> Array:
        ours, theirs = (
            metrics(counts, true[stars], side[stars], (metric,))[metric] for side in (left, right)
        )
        return ours - theirs

    n = len(true)
    value = float(gap(np.ones((1, n)), slice(None))[0])
    stars, factor = drawn_from(n, seed)
    seeds = (seed * 1000 + part for part in range(PAIRED_RESAMPLES // RESAMPLES))
    parts = (counts for one in seeds for counts in resampled(min(n, MOST_DRAWN), one))
    drawn = np.concatenate([gap(counts, stars) for counts in parts])
    drawn = drawn[np.isfinite(drawn)]  # a draw with only one distinct star has no R2
    error = factor * float(drawn.std(ddof=1)) if len(drawn) > 1 else math.nan
    return Difference(value, error, n)


def paired_mean(left: Array, right: Array) -> Difference:
    """The mean of `left` minus that of `right`, (n,) numbers of the same stars."""
    gap = left - right
    n = len(gap)
    error = float(gap.std(ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return Difference(float(gap.mean()), error, n)


def _scatter(counts: Array, residual: Array) -> Array:
    """(m,) scatter from weighted quantiles; all rows of `counts` share one sort."""
    if not np.isfinite(residual).all():
        return np.full(len(counts), np.nan)
    order = np.argsort(residual, kind="stable")
    values = residual[order]
    below = np.cumsum(counts[:, order], axis=1)
    low, high = (values[np.minimum(_first(below, share), len(values) - 1)] for share in _ONE_SIGMA)
    scatter: Array = (high - low) / 2
    return scatter


def _first(below: Array, share: float) -> NDArray[np.intp]:
    """(m,) first index at which a row of cumulative counts reaches `share` of its total."""
    return np.asarray((below < share * below[:, -1:]).sum(axis=1))


@dataclass(frozen=True)
class Scores:
    """Scores and their standard errors, by values without a split."""

    values: dict[Value, float]
    errors: dict[Value, float]

    def named(self, split: str) -> tuple[dict[str, float], dict[str, float]]:
        """Values and errors by `split/metric/label`."""
        return named(self.values, split), named(self.errors, split)


def named(numbers: Mapping[Value, float], split: str) -> dict[str, float]:
    """Numbers by `split/metric/label`."""
    return {str(value.on(split)): number for value, number in numbers.items()}


def score(
    true: Array, predicted: Array, labels: tuple[str, ...], seed: int | None = None
) -> Scores:
    """R2, MAE, RMSE, bias (mean of predicted - true) and 68% scatter of (n, K) predictions.

    `seed` of the bootstrap over the stars; None: no errors.
    """
    ones = np.ones((1, len(true)))
    values: dict[Value, float] = {}
    errors: dict[Value, float] = {}
    for k, label in enumerate(labels):
        scores = metrics(ones, true[:, k], predicted[:, k])
        values.update({Value("", name, label): float(x[0]) for name, x in scores.items()})
        if seed is not None:
            found = _errors(true[:, k], predicted[:, k], seed)
            errors.update({Value("", name, label): error for name, error in found.items()})
    return Scores(values, errors)


def _errors(true: Array, predicted: Array, seed: int) -> dict[str, float]:
    """The bootstrap standard error of each of `SCORES`."""
    stars, factor = drawn_from(len(true), seed)
    true, predicted = true[stars], predicted[stars]
    parts = [metrics(counts, true, predicted) for counts in resampled(len(true), seed)]
    drawn = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return {name: factor * float(x.std(ddof=1)) for name, x in drawn.items()}


def calibration(
    true: Array, predicted: Array, sigma: Array, labels: Sequence[str]
) -> dict[Value, float]:
    """Calibration of predicted errors, by values without a split; arrays (n, K), in one unit.

    pull = (true - predicted) / sigma. For correct Gaussian errors its mean square `pull2` is 1,
    and the fractions `within1` and `within2` with |pull| <= 1 and 2 are 0.683 and 0.954.
    """
    pull = np.abs(true - predicted) / sigma
    numbers = {"pull2": pull**2, "within1": pull <= 1, "within2": pull <= 2}
    return {
        Value("", name, label): float(np.mean(of_label))
        for name, values in numbers.items()
        for label, of_label in zip(labels, values.T, strict=True)
    }


@dataclass(frozen=True)
class DensityScores:
    """What predicted densities say of the true labels of n stars; labels in their own units."""

    log_score: Array  # (n, K) ln density of each label alone at its true value, nats
    joint: Array  # (n,) the same of all labels together
    pit: Array
    """(n, K) predicted probability of a label below the true one: uniform if calibrated."""

    def take(self, rows: NDArray[np.bool_]) -> DensityScores:
        return DensityScores(self.log_score[rows], self.joint[rows], self.pit[rows])

    def scores(self, labels: Sequence[str], seed: int | None = None) -> Scores:
        """`vitlab.contract.value.DENSITY` of each label, and the log score of all together.

        The log score is proper (Gneiting & Raftery 2007); `coverage68` is the fraction of true
        labels inside the central 68% interval; `pit_ks` the Kolmogorov-Smirnov distance of the PIT
        from uniform, the limit of the ranks of simulation-based calibration (Talts et al. 2018).
        `seed` of the bootstrap over the stars; None: no errors.
        """
        columns = {Value("", LOG_SCORE): self.joint} if len(labels) > 1 else {}
        for k, label in enumerate(labels):
            columns[Value("", LOG_SCORE, label)] = self.log_score[:, k]
            off_centre = 2 * np.abs(self.pit[:, k] - 0.5)
            for share in COVERED:
                columns[Value("", f"coverage{share}", label)] = np.asarray(
                    off_centre <= share / 100, float
                )
        table = np.column_stack([*columns.values()])
        values = dict(zip(columns, table.mean(axis=0).tolist(), strict=True))
        errors: dict[Value, float] = {}
        if seed is not None:
            stars, factor = drawn_from(len(table), seed)
            drawn = table[stars]
            parts = [counts @ drawn / len(drawn) for counts in resampled(len(drawn), seed)]
            spread = factor * np.concatenate(parts).std(axis=0, ddof=1)
            errors = dict(zip(columns, spread.tolist(), strict=True))
        steps = np.arange(len(table) + 1) / len(table)
        for k, label in enumerate(labels):
            pit = np.sort(self.pit[:, k])
            distance = np.maximum(steps[1:] - pit, pit - steps[:-1]).max()
            values[Value("", "pit_ks", label)] = float(distance)
        return Scores(values, errors)


def concatenate(parts: Sequence[DensityScores]) -> DensityScores:
    """Those of all stars, in order."""
    return DensityScores(
        np.concatenate([part.log_score for part in parts]),
        np.concatenate([part.joint for part in parts]),
        np.concatenate([part.pit for part in parts]),
    )


def blend(members: Sequence[DensityScores]) -> DensityScores:
    """Of the mean of the members' densities of the same stars."""
    size = math.log(len(members))
    return DensityScores(
        np.logaddexp.reduce([one.log_score for one in members]) - size,
        np.logaddexp.reduce([one.joint for one in members]) - size,
        np.mean([one.pit for one in members], axis=0),
    )


SNR_BINS = 4


@dataclass(frozen=True)
class Residuals:
    """Predictions for one test set, star by star, labels in their own units."""

    labels: tuple[str, ...]
    star: NDArray[np.int64]  # (n,) index in the test set
    true: Array  # (n, K)
    predicted: Array  # (n, K)
    mag: Array  # (n,) i band (HSC); NaN where it is not known
    snr: Array
    """(n,) median over the pixels of flux over its 1-sigma error; NaN where not known."""
    hash: str
    """Hash of the data set: equal for the same stars with the same noise."""
    source: str = ""
    sigma: Array | None = None
    """(n, K) predicted 1-sigma errors, if the model predicts any."""
    density: DensityScores | None = None
    """Of its predicted densities, if any."""
    exact: DensityScores | None = None
    """Of the exact posteriors of the first stars, where they were computed."""
    job: str = ""
    """`Spec.mark` of the job that predicted; empty: not known, in older files."""


@dataclass(frozen=True)
class Bin:
    """The scores of the test stars in one interval of magnitude or S/N."""

    by: str
    """`mag` or `snr`."""
    low: float
    high: float
    n: int
    scores: Scores


def is_same_r2(one: float, other: float) -> bool:
    """Whether two R2 may be of one model: another device or library changes the last digits."""
    return abs(one - other) <= 0.002 * (1 + abs(one))


def overall(residuals: Residuals, seed: int) -> Scores:
    """The scores of all test stars, with bootstrap errors; of densities where there are any."""
    return _scores(residuals, np.ones(len(residuals.star), bool), seed)


def binned(
    residuals: Residuals, by: str, seed: int, edges: Array | Sequence[float] | None = None
) -> list[Bin]:
    """The scores in bins of `mag` (4 of equal width) or `snr` (4 with equal numbers of stars).

    `edges` overrides the bins. Bins with fewer than two stars are omitted.
    """
    values = residuals.mag if by == "mag" else residuals.snr
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return []
    if edges is None:
        ends = np.linspace(known.min(), known.max(), SNR_BINS + 1)
        edges = ends if by == "mag" else np.quantile(known, np.linspace(0, 1, SNR_BINS + 1))
    bins = []
    for low, high in pairwise(edges):
        last = high == edges[-1]
        inside = (values >= low) & ((values <= high) if last else (values < high))
        n = int(inside.sum())
        if n >= 2:
            bins.append(Bin(by, float(low), float(high), n, _scores(residuals, inside, seed)))
    return bins


def _scores(residuals: Residuals, rows: NDArray[np.bool_], seed: int) -> Scores:
    """Of some of the stars."""
    found = score(residuals.true[rows], residuals.predicted[rows], residuals.labels, seed)
    if residuals.density is None:
        return found
    more = residuals.density.take(rows).scores(residuals.labels, seed)
    return Scores(found.values | more.values, found.errors | more.errors)


def against_exact(residuals: Residuals) -> Scores:
    """The exact posteriors' mean ln density at the truth, and how far the model's is below it.

    In nats a star, over the stars with an exact posterior; standard errors, the difference's over
    pairs. Empty where there are none. The difference is the mean divergence of the two (Kullback &
    Leibler 1951), so it is not negative but by chance.
    """
    model, exact = residuals.density, residuals.exact
    values: dict[Value, float] = {}
    errors: dict[Value, float] = {}
    if model is None or exact is None:
        return Scores(values, errors)
    n = len(exact.joint)
    columns = {
        k: (exact.log_score[:, i], model.log_score[:n, i]) for i, k in enumerate(residuals.labels)
    }
    for label, (best, ours) in ({"": (exact.joint, model.joint[:n])} | columns).items():
        if not label and len(columns) == 1:
            continue
        for name, other in ((LOG_SCORE_EXACT, np.zeros(n)), (NATS_LOST, ours)):
            gap = paired_mean(best, other)
            values[Value("", name, label)], errors[Value("", name, label)] = gap.value, gap.error
    return Scores(values, errors)
