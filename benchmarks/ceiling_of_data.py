"""The ceiling of a file's own stars against sums over dense grids, with none of its code.

    OMP_NUM_THREADS=1 nice -n 10 python benchmarks/ceiling_of_data.py [STARS]

Both integrate the same noisy spectra. Here spectra are scipy's cubic splines over labels and
wavelength, mixed from singular vectors; ln L is a quadratic form in their weights, so millions of
points cost little; the sum runs over three nested grids in the quantiles of the labels (and over
velocities), without a random number. `vitlab` itself samples in the space of pixels.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.polynomial import legendre
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.stats import beta

from vitlab.ml.spectra.disturb.light import LIGHT
from vitlab.ml.spectra.grid import load_grid
from vitlab.ml.spectra.labels import BETA, LABELS, RANGES
from vitlab.ml.spectra.observation import load_noise
from vitlab.ml.spectra.pfsspec import make_file
from vitlab.ml.spectra.simulate import Simulator
from vitlab.ml.theory.forward import Nuisances
from vitlab.ml.theory.own_file import OwnFile, Wanted, open_own
from vitlab.ml.theory.own_stars import marginals

Array = NDArray[np.float64]
COMPONENTS = 72
SIZES = ((16, 12, 14), (20, 18, 18), (32, 28, 28))
"""Points of the nested grids."""
DEPTH = 14.0
"""A nested grid covers what is less than this below the maximum of ln L."""
STEP = 3.0
"""Of velocities, km/s."""
CASES = {
    "all known": Nuisances(),
    "cubic continuum, 10 %": Nuisances(continuum=3),
    "velocity within 60 km/s": Nuisances(velocity=60.0),
    "both": Nuisances(velocity=60.0, continuum=3),
}


class Spectra:
    """Weights of singular vectors, and these at any velocity."""

    def __init__(self) -> None:
        grid = load_grid()
        self.wave, self.axes = grid.wave, grid.axes
        nodes = grid.nodes.double().numpy()
        self.mean = nodes.mean(axis=0)
        u, s, v = np.linalg.svd(nodes - self.mean, full_matrices=False)
        weights = (u * s)[:, :COMPONENTS].reshape(*map(len, self.axes), COMPONENTS)
        self.vectors = np.concatenate([v[:COMPONENTS], self.mean[None]])
        self.splines = weights
        self.smooth = CubicSpline(self.wave, self.vectors, axis=1)

    def at(self, velocity: float) -> Array:
        return np.asarray(self.smooth(self.wave / (1 + velocity / LIGHT)))

    def weights(self, places: list[Array]) -> Array:
        """Coordinates on each axis -> (points, K) weights at all their combinations."""
        table = self.splines
        for axis, (x, place) in enumerate(zip(self.axes, places, strict=True)):
            table = CubicSpline(x, table, axis=axis)(place)
        table = table.reshape(-1, COMPONENTS)
        return np.concatenate([table, np.ones((len(table), 1))], axis=1)


def labels_at(unit: list[Array]) -> list[Array]:
    low, high = np.array([RANGES[name] for name in LABELS]).T
    return [a + (b - a) * beta.ppf(u, BETA, BETA) for a, b, u in zip(low, high, unit, strict=True)]


class Star:
    """ln L of one star over products of coordinates, for one velocity."""

    def __init__(self, vectors: Array, flux: Array, weight: Array, order: int, sigma: float):
        x = np.linspace(-1, 1, len(flux))
        self.order = order
        powers = [x**m for m in range(max(2 * order, 0) + 1)]
        self.squares = [(vectors * (weight * p)) @ vectors.T for p in powers]
        self.lines = [vectors @ (weight * p * flux) for p in powers[: max(order, 0) + 1]]
        self.total = float(weight @ flux**2)
        self.sigma = sigma

    def log_likelihood(self, w: Array) -> Array:
        q = np.stack([((w @ g) * w).sum(axis=1) for g in self.squares])
        h = np.stack([w @ line for line in self.lines])
        chi = self.total - 2 * h[0] + q[0]
        if self.order < 0:
            return np.asarray(-0.5 * chi)
        k = self.order + 1
        # Legendre polynomials as sums of powers.
        coefficients = [np.pad(legendre.leg2poly(np.eye(k)[i]), (0, k - 1 - i)) for i in range(k)]
        u = self.sigma * np.stack([c @ (h - q[:k]) for c in coefficients])
        m = np.empty((w.shape[0], k, k))
        for i in range(k):
            for j in range(k):
                m[:, i, j] = np.convolve(coefficients[i], coefficients[j]) @ q * self.sigma**2
        m += np.eye(k)
        solved = np.linalg.solve(m, u.T[..., None])[..., 0]
        return np.asarray(-0.5 * (chi - (u.T * solved).sum(axis=1) + np.linalg.slogdet(m)[1]))


def posterior(spectra: Spectra, stars: list[Star]) -> tuple[Array, Array]:
    """Mean and variance of the labels, summed over velocities too."""
    low, high = np.zeros(3), np.ones(3)
    for sizes in SIZES:
        width = (high - low) / sizes
        unit = [a + d * (np.arange(n) + 0.5) for a, d, n in zip(low, width, sizes, strict=True)]
        w = spectra.weights(labels_at(unit))
        table = np.stack([star.log_likelihood(w) for star in stars])
        top = table.max()
        stars = [star for star, row in zip(stars, table, strict=True) if row.max() > top - DEPTH]
        table = table[table.max(axis=1) > top - DEPTH]
        p = np.exp(table - top).sum(axis=0).reshape(sizes)
        inside = np.argwhere((table.max(axis=0) > top - DEPTH).reshape(sizes))
        corner = low + width * np.clip(inside.min(axis=0) - 1, 0, None)
        high = low + width * np.minimum(inside.max(axis=0) + 2, sizes)
        low = corner
    p /= p.sum()
    mean, variance = np.empty(3), np.empty(3)
    for k, values in enumerate(labels_at(unit)):
        alone = p.sum(axis=tuple(i for i in range(3) if i != k))
        mean[k] = alone @ values
        variance[k] = alone @ (values - mean[k]) ** 2
    return mean, variance


def brute_force(spectra: Spectra, own: OwnFile) -> tuple[Array, Array]:
    nuisances = own.problem.nuisances
    fastest = nuisances.velocity
    # Midpoints of equal parts of the range.
    parts = max(round(2 * fastest / STEP), 1)
    velocities = -fastest + 2 * fastest * (np.arange(parts) + 0.5) / parts
    moved = [spectra.at(v) for v in velocities]
    means, variances = [], []
    flux, weight = (x.double().numpy() for x in (own.observed.flux, own.observed.weight))
    for d, w in zip(flux, weight, strict=True):
        stars = [Star(b, d, w, nuisances.continuum, nuisances.continuum_sigma) for b in moved]
        mean, variance = posterior(spectra, stars)
        means.append(mean)
        variances.append(variance)
    return np.array(means), np.array(variances)


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    spectra, grid = Spectra(), load_grid()
    names = sys.argv[2:] or list(CASES)
    print("| Unknown | label | R2, ours | R2, dense grids | difference | means apart | CPU s |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.h5"
        list(make_file(Simulator(grid, load_noise(), seed=11), 0, n, path))
        for name in names:
            own = open_own(path, grid, Wanted(stars=n, nuisances=CASES[name]))
            begun = time.process_time()
            found = marginals(own.problem, own.observed, 42)
            middle = time.process_time()
            means, variances = brute_force(spectra, own)
            spent = middle - begun, time.process_time() - middle
            for k, label in enumerate(LABELS):
                prior = own.labels[:, k].var()
                ours = np.array([one.variance[k] for one in found])
                r2 = [1 - x.mean() / prior for x in (ours, variances[:, k])]
                apart = np.array([one.mean[k] for one in found]) - means[:, k]
                rms = np.sqrt(np.mean(apart**2 / variances[:, k]))
                print(
                    f"| {name} | {label} | {r2[0]:.4f} | {r2[1]:.4f} | {r2[0] - r2[1]:+.4f} | "
                    f"{rms:.3f} σ | {spent[0]:.0f}, {spent[1]:.0f} |", flush=True
                )  # fmt: skip


if __name__ == "__main__":
    main()
