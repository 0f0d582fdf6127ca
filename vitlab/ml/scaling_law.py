"""Scaling laws L = E + A / P^a + B / N^b: fits with intervals, and the best use of hours.

L is 1 - R2 (mean squared error over label variance), N distinct training spectra, P parameters. The
form and the robust loss (Huber on residuals of ln L, many starts) are approach 3 of Hoffmann et al.
2022, arXiv:2203.15556. Their floor E is fitted; here it may be held at a computed ceiling instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from vitlab.contract.job import SIZES
from vitlab.contract.paths import UsageError

Array = NDArray[np.float64]

DRAWS = 400
"""Bootstrap replicates."""
LEVEL = 0.9
"""Share of the truth that an interval is to hold."""
_EXPONENTS = (0.1, 0.3, 0.6, 1.0)
"""Starts, and their range in the fit:"""
LIMITS = (0.01, 4.0)
_AT_LIMIT = 0.01
"""Relative distance of an exponent from a limit of its range that counts as none."""
_SHARES = (0.3, 0.7, 0.95)
"""Starts of a free floor, in parts of the smallest loss."""
_ROBUST = 1.345
"""Robust scales beyond which Huber's loss is linear: 95 % efficient for normal residuals."""
_TINY = 1e-9
"""Smallest scale, so that runs exactly on a law are fitted too."""


@dataclass(frozen=True)
class Interval:
    """A number with the interval that is to hold the truth in `LEVEL` of cases."""

    value: float
    low: float
    high: float

    def within(self, low: float, high: float) -> Interval:
        """Cut to what is possible."""
        return Interval(self.value, *(min(max(end, low), high) for end in (self.low, self.high)))


@dataclass(frozen=True)
class Cost:
    """Hours of a run: start + N (star + parameter P)."""

    start: float
    star: float
    parameter: float

    def stars(self, hours: float, params: Array) -> Array:
        """N that `hours` allow at each of `params`; 0 where they do not even start a run."""
        return np.asarray(max(hours - self.start, 0.0) / (self.star + self.parameter * params))


def fit_cost(hours: Array, stars: Array, params: Array) -> Cost:
    """The cost of runs (n,), all parts at least 0; relative errors are fitted."""
    columns = np.stack([np.ones_like(stars), stars, stars * params], axis=1) / hours[:, None]
    if len(np.unique(params)) == 1:
        columns[:, 2] = 0.0
    scale = np.where(columns.any(axis=0), np.linalg.norm(columns, axis=0), 1.0)
    parts, _ = nnls(columns / scale, np.ones_like(hours))
    return Cost(*(parts / scale).tolist())


@dataclass(frozen=True)
class Law:
    """A fitted law, and its bootstrap replicates."""

    axes: tuple[str, ...]
    """Of "N" and "P" those that have a term."""
    numbers: Array
    """(2 axes + 1,) E, then amplitude and exponent of each axis."""
    replicates: Array
    """(draws, 2 axes + 1) the same."""
    noise: Array
    """(draws,) by which ln L of a further run may differ from each replicate's law."""
    fixed: bool
    """Whether E was given."""
    scatter: float
    """Standard deviation of ln L of single runs about the law."""

    @property
    def floor(self) -> Interval:
        """E, at most the 1 of a model that knows nothing."""
        return self._interval(self.numbers[0], self.replicates[:, 0]).within(0.0, 1.0)

    def exponent(self, axis: str) -> Interval:
        """By which power of the axis its term falls."""
        at = 2 + 2 * self.axes.index(axis)
        return self._interval(self.numbers[at], self.replicates[:, at]).within(*LIMITS)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The axes whose exponent ends at a limit of its range: the runs do not determine it."""
        ends = [math.log(end) for end in LIMITS]
        powers = [math.log(self.numbers[2 + 2 * i]) for i in range(len(self.axes))]
        near = [min(abs(power - end) for end in ends) < _AT_LIMIT for power in powers]
        return tuple(axis for axis, at_limit in zip(self.axes, near, strict=True) if at_limit)

    def amplitude(self, axis: str) -> Interval:
        """Its term at 1 spectrum or parameter."""
        at = 1 + 2 * self.axes.index(axis)
        return self._interval(self.numbers[at], self.replicates[:, at])

    def mean(self, stars: float, params: float) -> Interval:
        """L of the law itself."""
        at = {"N": stars, "P": params}
        return self._interval(
            float(_loss(self.numbers, self._at(at))), _loss(self.replicates, self._at(at))
        )

    def run(self, stars: float, params: float) -> Interval:
        """L of one further run, on the same test stars."""
        at = self._at({"N": stars, "P": params})
        losses = _loss(self.replicates, at) * np.exp(self.noise)
        return self._interval(float(_loss(self.numbers, at)), losses)

    def best_use(
        self, cost: Cost, hours: float, stars: float, params: Array
    ) -> tuple[Interval, Interval, Interval]:
        """N, P and L (of a run) with the least L in a number of hours.

        `params` (n,) are the sizes to choose from, a single one where P has no term; `stars`: of
        each run where N has none. Raises `UsageError` where the hours do not start a run.
        """
        affordable = cost.stars(hours, params)
        if "N" not in self.axes:
            params, affordable = params[affordable >= stars], np.array([stars])
        if not (len(params) and affordable.max() >= 1):
            raise UsageError(f"{hours:g} hours: too few for one run (it takes {cost.start:.2g} h)")
        affordable = np.broadcast_to(affordable, params.shape)
        grid = self._at({"N": affordable, "P": params})
        best = int(_loss(self.numbers, grid).argmin())
        each = _loss(self.replicates[:, :, None], grid).argmin(axis=1)
        return (
            self._interval(affordable[best], affordable[each]),
            self._interval(params[best], params[each]),
            self.run(float(affordable[best]), float(params[best])),
        )

    def _at(self, values: dict[str, float] | dict[str, Array]) -> Array:
        return np.stack([np.asarray(values[axis], dtype=float) for axis in self.axes])

    @staticmethod
    def _interval(value: float, drawn: Array) -> Interval:
        """On each side the wider of percentiles and half their ratio about the (positive) value.

        Percentiles alone hold the truth a little too rarely where the law bends.
        """
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        half = math.sqrt(high / max(low, _TINY))
        return Interval(float(value), float(min(low, value / half)), float(max(high, value * half)))


def _loss(numbers: Array, at: Array) -> Array:
    """L of a law (2 axes + 1,), or of several, (draws, 2 axes + 1[, 1]), at (axes[, n])."""
    parts = numbers if numbers.ndim == 1 else np.moveaxis(numbers, 1, 0)
    total = parts[0]
    for i, values in enumerate(at):
        total = total + parts[1 + 2 * i] * values ** -parts[2 + 2 * i]
    return np.asarray(total)


def usable_axes(stars: Array, params: Array) -> tuple[str, ...]:
    """The axes with `SIZES` values; P none where it is a function of N, as in grown trees."""
    pairs = len(set(zip(stars.tolist(), params.tolist(), strict=True)))
    known = {"N": len(np.unique(stars)), "P": len(np.unique(params))}
    axes = tuple(axis for axis, count in known.items() if count >= SIZES)
    return ("N",) if axes == ("N", "P") and pairs == known["N"] else axes


def fit_law(
    loss: Array,
    stars: Array,
    params: Array,
    floor: tuple[float, float] | None,
    axes: Sequence[str] = ("N", "P"),
    draws: int = DRAWS,
    seed: int = 42,
    seeds: Sequence[int] | None = None,
) -> Law:
    """The law of runs (n,): seeds of one N and P are runs of their own.

    `floor`: E and its standard error, None to fit it. `seeds` (n,): runs of one seed and N share
    noise and order of their spectra, whatever their P; None: no two do. Intervals come from refits
    of the law plus residuals drawn between configurations (N, P), between seeds, with the part
    that runs of one seed and N have in common, and of E plus its error. Raises `UsageError` where
    there are not more configurations than numbers to fit.
    """
    logs = np.log(np.stack([{"N": stars, "P": params}[axis] for axis in axes]))
    config = _numbered(*logs)
    free = floor is None
    count = 2 * len(axes) + free
    if config.max() + 1 <= count:
        raise UsageError(f"{config.max() + 1} sizes are too few to fit {count} numbers")
    centre = logs.mean(axis=1, keepdims=True)
    x, y = logs - centre, np.log(loss)[None]
    fixed = None if floor is None else np.array([floor[0]])
    starts = _starts(loss, len(axes), floor)
    theta = _best(starts, y, x, fixed, math.inf)
    off = y - _log_loss(theta, x, fixed)
    scale = 1.4826 * float(np.median(np.abs(off))) * math.sqrt(len(loss) / (len(loss) - count))
    huber = _ROBUST * max(scale, _TINY)
    theta = _best(np.concatenate([theta, starts]), y, x, fixed, huber)
    line = _log_loss(theta, x, fixed)
    generator = np.random.default_rng(seed)
    alike = np.arange(len(loss)) if seeds is None else _numbered(stars, np.asarray(seeds))
    off = (y - line)[0]
    drawn, noise, scatter = _drawn_residuals(off, config, alike, stars, count, draws, generator)
    floors = None
    if floor is not None:
        floors = np.maximum(floor[0] + floor[1] * generator.normal(size=draws), _TINY)
    again, _ = _descend(np.repeat(theta, draws, axis=0), line + drawn, x, floors, huber, steps=30)
    best, others = _numbers(theta, centre, fixed)[0], _numbers(again, centre, floors)
    return Law(tuple(axes), best, others, noise, not free, scatter)


def _numbered(*columns: Array | NDArray[np.intp]) -> NDArray[np.intp]:
    """(n,) the number of each different row of columns (n,)."""
    _, number = np.unique(np.stack(columns), axis=1, return_inverse=True)
    return np.asarray(number.ravel())


def _starts(loss: Array, axes: int, floor: tuple[float, float] | None) -> Array:
    """(starts, parameters): ln amplitude and ln exponent of each axis, then ln E where free."""
    rows = []
    floors = [floor[0]] if floor else [share * loss.min() for share in _SHARES]
    for low, exponents in product(floors, product(_EXPONENTS, repeat=axes)):
        over = max(float(np.median(loss)) - low, 0.02 * float(loss.min())) / axes
        row = [part for one in exponents for part in (math.log(over), math.log(one))]
        rows.append(row if floor else [*row, math.log(low)])
    return np.array(rows)


def _log_loss(theta: Array, x: Array, floor: Array | None) -> Array:
    """(S, parameters), (axes, n), (S,) -> (S, n)."""
    return np.log(sum(_terms(theta, x, floor)))


def _terms(theta: Array, x: Array, floor: Array | None) -> list[Array]:
    """Each term of L, (S, n); the floor (S, 1) last."""
    axes = len(x)
    power = np.exp(theta[:, 1 : 2 * axes : 2])
    terms = [np.exp(theta[:, 2 * i, None] - power[:, i, None] * x[i]) for i in range(axes)]
    return [*terms, np.exp(theta[:, -1:]) if floor is None else floor[:, None]]


def _best(starts: Array, y: Array, x: Array, floor: Array | None, huber: float) -> Array:
    """(1, parameters): the best minimum, from the starts that are ahead after some steps."""
    theta, cost = _descend(starts, y, x, floor, huber, steps=15)
    theta, cost = _descend(theta[cost.argsort()[:4]], y, x, floor, huber, steps=60)
    return np.asarray(theta[cost.argmin()][None])


def _descend(
    theta: Array, y: Array, x: Array, floor: Array | None, huber: float, steps: int
) -> tuple[Array, Array]:
    """Levenberg-Marquardt on Huber's loss of y - ln L, all of (S, parameters) at once.

    Returns the minima and the losses (S,).
    """
    damping = np.full(len(theta), 1e-2)
    off = y - _log_loss(theta, x, floor)
    cost = _huber(off, huber)
    for _ in range(steps):
        jacobian = _jacobian(theta, x, floor)  # (S, n, parameters)
        weight = np.minimum(1.0, huber / np.maximum(np.abs(off), 1e-300))[:, :, None]
        left = jacobian.transpose(0, 2, 1) @ (weight * jacobian)
        right = jacobian.transpose(0, 2, 1) @ (weight * off[:, :, None])
        diagonal = np.einsum("sii->si", left)
        ridge = damping[:, None] * (diagonal + 1e-9 * diagonal.max(axis=1, keepdims=True) + 1e-300)
        step = np.linalg.solve(left + ridge[:, :, None] * np.eye(theta.shape[1]), right)[:, :, 0]
        trial = _bounded(theta + np.clip(step, -1.0, 1.0), len(x))
        trial_off = y - _log_loss(trial, x, floor)
        trial_cost = _huber(trial_off, huber)
        better = trial_cost < cost
        done = np.all(cost - np.where(better, trial_cost, cost) <= 1e-10 * cost) and better.any()
        theta = np.where(better[:, None], trial, theta)
        off = np.where(better[:, None], trial_off, off)
        cost = np.where(better, trial_cost, cost)
        damping = np.clip(np.where(better, damping / 5, damping * 4), 1e-9, 1e9)
        if done:
            break
    return theta, cost


def _jacobian(theta: Array, x: Array, floor: Array | None) -> Array:
    """(S, n, parameters): d ln L / d theta."""
    terms = _terms(theta, x, floor)
    whole = sum(terms)
    columns = []
    for i in range(len(x)):
        columns += [terms[i], -np.exp(theta[:, 2 * i + 1, None]) * x[i] * terms[i]]
    if floor is None:
        columns.append(np.broadcast_to(terms[-1], terms[0].shape))
    return np.stack([column / whole for column in columns], axis=2)


def _bounded(theta: Array, axes: int) -> Array:
    """Amplitudes from e^-20 to e^10, exponents in `LIMITS`, floors from 1e-9."""
    low, high = np.full(theta.shape[1], -20.7), np.full(theta.shape[1], 10.0)
    low[1 : 2 * axes : 2], high[1 : 2 * axes : 2] = np.log(LIMITS)
    return np.clip(theta, low, high)


def _huber(off: Array, huber: float) -> Array:
    """(S, n) -> (S,)."""
    size = np.abs(off)
    inside = np.minimum(size, huber)
    return np.asarray((inside * (size - inside / 2)).sum(axis=1))


def _drawn_residuals(
    off: Array,
    config: NDArray[np.intp],
    alike: NDArray[np.intp],
    stars: Array,
    count: int,
    draws: int,
    generator: np.random.Generator,
) -> tuple[Array, Array, float]:
    """Residuals (draws, n) to refit, (draws,) those of a further run, and the scatter of one.

    They are normal, between configurations and between seeds, a part of the latter common to runs
    that are `alike` (n,); their variances are drawn too (scaled inverse chi-square), as those of
    few runs are uncertain.
    """
    n, size = len(off), int(config.max()) + 1
    seeds = np.bincount(config)
    mean = np.bincount(config, off) / seeds
    within = off - mean[config]
    seed_variance = float((within**2).sum()) / (n - size) if n > size else 0.0
    variance = float((mean**2).sum()) / (size - count) - seed_variance * float((1 / seeds).mean())
    shared, free = _shared_variance(within, config, alike, stars)
    variance = max(variance, 0.0)

    def drawn(variance: float, free: int, numbers: int) -> Array:
        scale = np.sqrt(variance * free / generator.chisquare(free, size=(draws, 1)))
        return np.asarray(scale * generator.normal(size=(draws, numbers)))

    parts = drawn(variance, max(size - count - 1, 1), size + 1)  # one for the robust scale
    common = drawn(shared, max(free, 1), int(alike.max()) + 2)
    more = drawn(max(seed_variance - shared, 0.0), max(n - size - free, 1), n + 1)
    refits = parts[:, config] + common[:, alike] + more[:, :-1]
    further = parts[:, -1] + common[:, -1] + more[:, -1]
    return refits, further, math.sqrt(variance + seed_variance)


def _shared_variance(
    within: Array, config: NDArray[np.intp], alike: NDArray[np.intp], stars: Array
) -> tuple[float, int]:
    """The variance that residuals `within` configurations (n,) have in common where alike, and
    its degrees of freedom: one-way analysis of variance, between and within those alike.
    """
    runs = np.bincount(alike)
    # At each N the means over its seeds were taken out.
    free = len(runs) - len(np.unique(stars))
    rest = len(within) - int(config.max()) - 1 - free
    if free < 1 or rest < 1:
        return 0.0, 0
    means = np.bincount(alike, within) / runs
    between = float((runs * means**2).sum()) / free
    inside = float(((within - means[alike]) ** 2).sum()) / rest
    return max((between - inside) / float(runs.mean()), 0.0), free


def _numbers(theta: Array, centre: Array, floor: Array | None) -> Array:
    """(S, parameters) of centred logarithms -> (S, 2 axes + 1): E, amplitudes, exponents."""
    power = np.exp(theta[:, 1 : 2 * len(centre) : 2])
    size = np.exp(theta[:, 0 : 2 * len(centre) : 2] + power * centre[:, 0])
    columns = [np.exp(theta[:, -1]) if floor is None else floor]
    for i in range(len(centre)):
        columns += [size[:, i], power[:, i]]
    return np.stack(columns, axis=1)
