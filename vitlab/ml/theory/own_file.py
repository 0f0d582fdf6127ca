"""The Bayes ceiling of a file's own stars: its errors, its labels, its magnitudes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vitlab.contract.config import DataConfig
from vitlab.contract.excluded import sentence
from vitlab.contract.paths import UsageError
from vitlab.ml.noise_free import LOOKED_AT, judge_errors
from vitlab.ml.scoring import SNR_BINS
from vitlab.ml.spectra.dataset import COMPONENTS, open_spectra
from vitlab.ml.spectra.disturb.light import LIGHT
from vitlab.ml.spectra.file_spectra import FileSpectra
from vitlab.ml.spectra.grid import Grid, compress
from vitlab.ml.spectra.held_out import conditions, in_vacuum
from vitlab.ml.spectra.labels import LABELS, LabelPrior
from vitlab.ml.spectra.lines import air
from vitlab.ml.spectra.pfsspec import open_spectra_files
from vitlab.ml.spectra.simulate import draw_stars
from vitlab.ml.theory.forward import Nuisances, interpolate, make_forward
from vitlab.ml.theory.label_density import Density, KnownDensity, estimate
from vitlab.ml.theory.own_stars import ENOUGH, Marginal, Observed, Problem, simulated

Array = NDArray[np.float64]
COMPARED = 100
"""Stars whose spectra are held against the grid's."""
FEW_VALUES = 30
"""A label with no more distinct values than this is told to be on a lattice."""
SCALE = 0.1
"""Standard deviation of the scale of spectra that were divided by the median of noisy flux."""


@dataclass(frozen=True)
class Wanted:
    """What of a file's ceiling is asked for."""

    stars: int = 256
    """At most; spread evenly over the file."""
    noise: float | None = None
    """Factor on the noise added as the file is read; None: 1 where its flux has none, else 0."""
    density: str = "auto"
    """Of the labels: `grid`, as simulated stars have it; `file`, from its labels; `auto`."""
    seed: int = 42
    """Of the noise added: as of an evaluation."""
    nuisances: Nuisances = field(default_factory=Nuisances)
    masked: tuple[tuple[float, float], ...] = ()
    """Wavelengths without data, Angstrom as in the file."""


@dataclass(frozen=True)
class OwnFile:
    """The stars of a file, ready to be integrated."""

    spectra: FileSpectra
    problem: Problem
    observed: Observed
    chosen: NDArray[np.int64]
    """Those integrated, as rows of the arrays below."""
    labels: Array  # (n, 3) of all stars that can be used
    mag: Array  # (n,) NaN where not known
    snr: Array  # (n,) before noise
    noise: float
    """Factor on the noise added."""
    is_grid: bool
    """Whether its spectra are the grid's at their labels."""
    notes: tuple[str, ...]
    """What was assumed, and what was left out."""


def open_own(path: Path, grid: Grid, wanted: Wanted) -> OwnFile:
    """Read a file's spectra. `UsageError` says in one line why no ceiling can be computed."""
    n = open_spectra_files(path).n
    data = DataConfig(source=str(path), train_size=0, val_size=0, test_size=n, seed=wanted.seed)
    spectra = open_spectra(data, 1.0, LABELS, torch.device("cpu"))
    assert isinstance(spectra, FileSpectra)
    wave = _wave(spectra, grid)
    inside, notes = _usable(spectra, grid)
    rows = spectra.rows("test")[inside]
    labels = spectra.values[rows]
    density, said = _density(spectra, labels, wanted.density)
    chosen = np.unique(np.linspace(0, len(inside) - 1, min(wanted.stars, len(inside))).astype(int))
    flux, error = _read(spectra, inside[chosen])
    moving = _velocities(spectra, rows[chosen])
    chi, noisy = _compare(grid, wave, labels[chosen], flux, error, moving)
    is_grid = 0.8 < chi / len(wave) < 1.25 if noisy else chi < 1
    if not is_grid:
        said += (
            f"\nits spectra are not the grid's at their labels (chi-square {chi:.3g} of "
            f"{len(wave)} pixels): this is the ceiling of the grid's spectra with its labels and "
            "errors"
        )
    kept = noisy and is_grid  # as it is; else spectra are simulated
    noise = wanted.noise if wanted.noise is not None else 0.0 if kept else 1.0
    if noise == 0 and not kept:
        raise UsageError("--noise 0: without noise the labels would be known exactly")
    nuisances = _with_scale(wanted.nuisances) if kept else wanted.nuisances
    if kept:
        said += "\nits flux has noise: spectra are used as they are, with unknown scale"
        _check_velocity(path, moving, nuisances)
    elif moving.any() and not nuisances.velocity:
        said += "\nknown velocities (redshift): the errors were moved to the rest frame"
        error = _at_rest(error, wave, moving)
    problem = Problem(make_forward(compress(grid, COMPONENTS), wave, nuisances), density)
    hidden = _masked(spectra.wave, wanted.masked) | ~problem.forward.covered
    weight = _weights(error * (np.hypot(1, noise) if kept else noise), hidden)
    if not (weight > 0).any(dim=1).all():
        raise UsageError(f"{path}: a spectrum has no pixel left")
    unit = _noise(wanted.seed, rows[chosen], len(wave))
    if kept:
        sigma = torch.from_numpy(np.where(np.isfinite(error), error, 0.0)).float()
        observed = Observed(labels[chosen], torch.from_numpy(flux) + noise * sigma * unit, weight)
    else:
        generator = np.random.default_rng([wanted.seed, n])
        observed = simulated(problem, labels[chosen], weight, unit, generator)
    mag, snr = (values[inside] for values in conditions(spectra))
    told = (*notes, *said.split("\n"))
    return OwnFile(
        spectra, problem, observed, chosen, labels, mag, snr, noise, is_grid, told
    )  # fmt: skip


def _usable(spectra: FileSpectra, grid: Grid) -> tuple[NDArray[np.int64], list[str]]:
    """Usable spectra with labels inside the grid, and what is said of the others."""
    rows = spectra.rows("test")
    labels = spectra.values[rows]
    low, high = np.array([(axis[0], axis[-1]) for axis in grid.axes]).T
    inside = np.flatnonzero(((labels >= low) & (labels <= high)).all(axis=1))
    counts, notes = spectra.excluded("test"), []
    if counts:
        notes.append(sentence("spectra", counts, spectra.files.n))
    if len(inside) < len(rows):
        away = len(rows) - len(inside)
        notes.append(f"{away:,} of {len(rows):,} stars are outside the grid: left out")
    if len(inside) < 2:
        raise UsageError(f"{spectra.files.path}: fewer than two stars inside the grid")
    return inside, notes


def _check_velocity(path: Path, moving: Array, nuisances: Nuisances) -> None:
    """`UsageError` where noisy spectra move by more than is allowed for."""
    fastest = float(abs(moving).max(initial=0.0))
    if fastest > nuisances.velocity:
        raise UsageError(
            f"{path}: its flux has noise and its stars move by up to {fastest:.1f} km/s: give "
            "--velocity, at least as large"
        )


def _noise(seed: int, rows: NDArray[np.int64], pixels: int) -> Tensor:
    """(n, L) the unit normal numbers that an evaluation adds to some rows of a file."""
    draws = [np.random.default_rng([seed, int(row)]) for row in rows]
    return torch.from_numpy(
        np.stack([one.standard_normal(pixels, dtype=np.float32) for one in draws])
    )


def _wave(spectra: FileSpectra, grid: Grid) -> Array:
    """(L,) of the file, in air; `UsageError` where the grid does not cover it."""
    own = spectra.wave
    moved = in_vacuum(spectra, grid)
    wave = air(own) if moved else np.asarray(own)
    half = float(np.median(np.diff(grid.wave))) / 2
    if wave[0] < grid.wave[0] - half or wave[-1] > grid.wave[-1] + half:
        raise UsageError(
            f"{spectra.files.path}: wavelengths {own[0]:.1f} to {own[-1]:.1f} A"
            + (f", of vacuum by its lines: {wave[0]:.1f} to {wave[-1]:.1f} A in air" * moved)
            + f"; the grid covers {grid.wave[0]:.1f} to {grid.wave[-1]:.1f} A in air"
        )
    return np.clip(wave, grid.wave[0], grid.wave[-1])


def _density(spectra: FileSpectra, labels: Array, wanted: str) -> tuple[Density, str]:
    """The label density, and in words what it is."""
    if wanted == "grid" or (wanted == "auto" and _is_made(spectra)):
        why = "as asked" if wanted == "grid" else "the file was made by `vitlab data make`"
        return KnownDensity(LabelPrior()), f"label density: that of simulated stars ({why})"
    density = estimate(labels)
    width = float(density.bandwidth.min())
    together = f"kernels of width {width:.2g}" if np.isfinite(width) else "independent"
    lattice = [
        name
        for name, column in zip(LABELS, labels.T, strict=True)
        if len(np.unique(column)) <= min(FEW_VALUES, len(column) // 2)
    ]
    few = f"; few distinct values: {', '.join(lattice)}" if lattice else ""
    return density, (
        f"label density: from {len(labels):,} stars, each label's quantiles, together "
        f"{together}{few}"
    )


def _is_made(spectra: FileSpectra) -> bool:
    """Whether its labels are those that `vitlab data make` draws for its seed."""
    seeds = spectra.files.params.get("random_seed", np.empty(0))
    if not len(seeds) or seeds.dtype.kind not in "iu" or (seeds != seeds[0]).any() or seeds[0] < 0:
        return False
    drawn = draw_stars(int(seeds[0]), (20.5, 22.5), "train", 0, spectra.files.n).labels
    return np.array_equal(drawn, spectra.values)


def _read(spectra: FileSpectra, stars: NDArray[np.int64]) -> tuple[NDArray[np.float32], Array]:
    """(n, L) flux over its median and errors of some test stars."""
    parts = [spectra.test_rows(int(star), int(star) + 1) for star in stars]
    flux = np.concatenate([part[0] for part in parts])
    return flux, np.concatenate([part[1] for part in parts]).astype(np.float64)


def _velocities(spectra: FileSpectra, rows: NDArray[np.int64]) -> Array:
    """(n,) km/s from the column `redshift`; 0 where there is none."""
    column = spectra.files.params.get("redshift")
    if column is None or column.dtype.kind not in "fiu":
        return np.zeros(len(rows))
    return np.asarray(np.nan_to_num(column[rows].astype(float)) * LIGHT)


def _compare(
    grid: Grid, wave: Array, labels: Array, flux: NDArray[np.float32], error: Array, moving: Array
) -> tuple[float, bool]:
    """Median chi-square of some stars' flux against the grid's at their labels, scaled to fit; and
    whether the flux has noise."""
    some = slice(0, COMPARED)
    ideal = grid.flux(torch.from_numpy(labels[some]))
    position = wave / (1 + moving[some, None] / LIGHT)
    index = np.interp(position, grid.wave, np.arange(len(grid.wave), dtype=float))
    model = interpolate(ideal, torch.from_numpy(index).float()).double().numpy()
    d, weight = flux[some].astype(float), 1 / np.square(error[some])
    scale = (d * model * weight).sum(axis=1) / (model**2 * weight).sum(axis=1)
    chi = float(np.median((np.square(d - scale[:, None] * model) * weight).sum(axis=1)))
    if chi < 1 or len(flux) >= LOOKED_AT:
        clean = judge_errors(flux[:LOOKED_AT], error[:LOOKED_AT]).kind == "noise-free flux"
        return chi, not (chi < 1 or clean)
    return chi, chi > 0.5 * len(wave)


def _with_scale(nuisances: Nuisances) -> Nuisances:
    if nuisances.continuum >= 0:
        return nuisances
    ranges = nuisances.velocity, nuisances.extinction, nuisances.resolution
    return Nuisances(ranges[0], 0, SCALE, ranges[1], ranges[2])


def _at_rest(error: Array, wave: Array, moving: Array) -> Array:
    """(n, L) errors of the pixels where moving stars show each wavelength; infinite beyond."""
    out = np.full_like(error, np.inf)
    edges = (wave[1:] + wave[:-1]) / 2
    for k, velocity in enumerate(moving):
        seen = wave * (1 + velocity / LIGHT)
        ok = (seen >= wave[0]) & (seen <= wave[-1])
        out[k, ok] = error[k, np.searchsorted(edges, seen[ok])]
    return out


def _masked(wave: Array, ranges: Sequence[tuple[float, float]]) -> NDArray[np.bool_]:
    hidden = np.zeros(len(wave), dtype=bool)
    for low, high in ranges:
        hidden |= (wave >= low) & (wave <= high)
    return hidden


def _weights(error: Array, masked: NDArray[np.bool_]) -> Tensor:
    """(n, L) one over sigma squared, 0 without data."""
    return torch.from_numpy(np.where(masked, 0.0, 1 / np.square(error))).float()


@dataclass(frozen=True)
class Best:
    """The most that can be known of a label over some stars: of the posterior mean, and for the
    mean absolute error of the posterior median."""

    r2: float | None
    """None where the label does not vary."""
    r2_err: float | None
    rmse: float
    rmse_err: float
    mae: float
    mae_err: float
    """Standard errors due to the number of stars."""


@dataclass(frozen=True)
class Part:
    """All stars, or those in a bin."""

    by: str
    """`mag`, `snr`, or empty for all."""
    low: float
    high: float
    n: int
    """Stars integrated."""
    of: int
    """Stars in the file; the variance in R2 is theirs."""
    labels: dict[str, Best]


def parts(own: OwnFile, posteriors: Sequence[Marginal]) -> list[Part]:
    """All stars, then bins of magnitude and S/N with the edges of an evaluation's."""
    everything = np.full(len(own.labels), True)
    found = [_part(own, posteriors, "", (0.0, 0.0), everything)]
    for by, values in (("mag", own.mag), ("snr", own.snr)):
        known = values[np.isfinite(values)]
        if len(known) < 2 or known.min() == known.max():
            continue
        even = np.linspace(0, 1, SNR_BINS + 1)
        edges = np.quantile(known, even) if by == "snr" else known.min() + even * np.ptp(known)
        for low, high in pairwise(edges):
            inside = (values >= low) & ((values <= high) if high == edges[-1] else values < high)
            if inside[own.chosen].sum() >= 2:
                found.append(_part(own, posteriors, by, (float(low), float(high)), inside))
    return found


def _part(
    own: OwnFile, posteriors: Sequence[Marginal], by: str, edges: tuple[float, float],
    inside: NDArray[np.bool_],
) -> Part:  # fmt: skip
    some = [one for one, use in zip(posteriors, inside[own.chosen], strict=True) if use]
    best = {}
    for k, label in enumerate(LABELS):
        variance = np.array([one.variance[k] for one in some])
        absolute = np.array([one.absolute[k] for one in some])
        prior = variance_of(own.labels[inside, k])
        mean, error = float(variance.mean()), _error(variance)
        r2, r2_err = (1 - mean / prior, error / prior) if prior > 0 else (None, None)
        rmse = mean**0.5
        rmse_err = error / (2 * rmse) if rmse else 0.0
        best[label] = Best(r2, r2_err, rmse, rmse_err, float(absolute.mean()), _error(absolute))
    return Part(by, *edges, len(some), int(inside.sum()), best)


def variance_of(labels: Array) -> float:
    """Of a label over some stars; 0 where it is the same for all, without rounding."""
    return float(labels.var()) if np.ptp(labels) else 0.0


def _error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))


def pull2(own: OwnFile, posteriors: Sequence[Marginal], label: str) -> tuple[float, float]:
    """Mean squared pull of the true label and its standard error; 1 if the posteriors are right."""
    k = LABELS.index(label)
    true = own.observed.labels[:, k]
    pulls = [
        (one.mean[k] - y) ** 2 / one.variance[k]
        for one, y in zip(posteriors, true, strict=True)
        if one.variance[k] > 0 and variance_of(true)
    ]
    return (float(np.mean(pulls)), _error(np.array(pulls))) if len(pulls) > 1 else (1.0, 0.0)


def unsettled(posteriors: Sequence[Marginal]) -> int:
    """Stars whose integration did not converge."""
    return sum(one.effective < ENOUGH for one in posteriors)
