"""The recipe `ceiling`: the best possible score, at given magnitudes and over the test set."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from vitlab.contract.config import CeilingConfig
from vitlab.contract.paths import NoLab, find_lab
from vitlab.contract.value import SPEED, Value, ceiling_split
from vitlab.lab.results.worlds import grid_world
from vitlab.ml.spectra.dataset import GridSpectra, open_simulator
from vitlab.ml.spectra.grid import load_derivatives
from vitlab.ml.spectra.labels import LABELS, prior_variance
from vitlab.ml.spectra.simulate import Simulator
from vitlab.ml.theory.ceilings import (
    Posteriors,
    bayes_r2,
    concatenate,
    linear_r2,
    posteriors_of_test,
)
from vitlab.ml.theory.fisher import WORST_CONDITION, Array, Bounds, bounds, crlb_numbers
from vitlab.recipes.context import Context, Outcome, Stopped

MAG_BINS = 4
"""Magnitude bins of the Bayes ceiling."""


@dataclass
class _Progress:
    """Progress of the job; a step is one star of one bound or ceiling."""

    context: Context
    config: CeilingConfig
    before: int = 0
    """Steps of the finished parts."""
    begun: float = field(default_factory=time.perf_counter)

    def report(self, done: int) -> None:
        """Report `done` steps of the current part. Raises `Stopped`."""
        config = self.config
        of = config.data.test_size + config.bayes + config.bayes_each * len(config.mags)
        rate = (self.before + done) / (time.perf_counter() - self.begun)
        self.context.report.step(self.before + done, of, 0, {SPEED: rate})
        if self.context.stopped():
            raise Stopped


def run(context: Context) -> Outcome:
    """Compute the ceilings of the test stars: each at its own magnitude (`ceiling/...`, and in
    magnitude bins `ceiling@20.5-21/...`), and all at each of `mags` (`ceiling@21.5/...`)."""
    config = context.config
    assert isinstance(config, CeilingConfig)
    simulator = open_simulator(config.data, config.noise.level)
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    progress = _Progress(context, config)
    limits = _cramer_rao(progress, simulator)
    for m, split in enumerate([ceiling_split(), *map(ceiling_split, config.mags)]):
        values[str(Value(split, "snr", "median"))] = float(np.median(limits.snr[:, m]))
        share = np.mean(limits.condition[:, m] >= WORST_CONDITION)
        values[str(Value(split, "unidentified", "share"))] = float(share)
        for label in config.labels:
            numbers, errs = _summary(limits.variance[:, m, LABELS.index(label)], label)
            values |= {str(Value(split, metric, label)): x for metric, x in numbers.items()}
            errors |= {str(Value(split, metric, label)): x for metric, x in errs.items()}
    for label in config.labels:
        name = str(Value(ceiling_split(), "r2_linear", label))
        values[name], errors[name] = linear_r2(simulator, label)
    context.report.evaluation(len(limits.snr), 0, "ceiling", len(limits.snr), values)
    bayes, bayes_errors = _bayes(progress, simulator)
    values |= bayes
    errors |= bayes_errors
    n = config.data.test_size
    return Outcome(
        values=values,
        errors=errors,
        n={"train": 0, "val": 0, "test": n},
        model={"name": "Ceiling", "params": 0, "condition_max": float(limits.condition.max())},
        data={"source": config.data.source, "hash": _data_hash(config, simulator)},
        world=grid_world(config.data, config.noise.level),
    )


def _cramer_rao(progress: _Progress, simulator: Simulator) -> Bounds:
    config = progress.config
    stars = simulator.stars("test", 0, config.data.test_size)
    fixed = np.tile(config.mags, (len(stars), 1))
    mags = np.column_stack([stars.mag, fixed])
    grid = Path(config.data.grid) if config.data.grid else None
    nuisances = load_derivatives(grid) if config.dims == 5 else ()
    parts: list[Bounds] = []
    done = 0
    for part in bounds(simulator.grid, simulator.noise, stars.labels, mags, nuisances):
        parts.append(part)
        done += len(part.snr)
        progress.report(done)
    progress.before += done
    return concatenate(parts)


def _bayes(progress: _Progress, simulator: Simulator) -> tuple[dict[str, float], dict[str, float]]:
    """`.../r2_bayes/...`: values and errors."""
    config = progress.config
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    if config.bayes:
        stars = _posteriors(progress, simulator, config.bayes)
        edges = np.linspace(*config.data.mag, MAG_BINS + 1)
        parts = {ceiling_split(): np.full(len(stars.mag), True)}
        for low, high in pairwise(edges):
            inside = (stars.mag >= low) & (stars.mag < high)
            if inside.any():
                parts[ceiling_split(low, high)] = inside
        for split, rows in parts.items():
            _add_bayes(config, stars, rows, split, values, errors)
        values["ceiling/unsettled/share"] = stars.unsettled / len(stars.mag)
    for mag in config.mags if config.bayes_each else ():
        stars = _posteriors(progress, replace(simulator, mag=(mag, mag)), config.bayes_each)
        rows = np.full(len(stars.mag), True)
        _add_bayes(config, stars, rows, ceiling_split(mag), values, errors)
    if values:
        progress.context.report.evaluation(progress.before, 0, "ceiling", config.bayes, values)
    return values, errors


def _add_bayes(
    config: CeilingConfig,
    stars: Posteriors,
    rows: np.typing.NDArray[np.bool_],
    split: str,
    values: dict[str, float],
    errors: dict[str, float],
) -> None:
    for label in config.labels:
        best = bayes_r2(stars, label, rows)
        name = str(Value(split, "r2_bayes", label))
        values[name], errors[name] = best.r2, best.error


def _posteriors(progress: _Progress, simulator: Simulator, n: int) -> Posteriors:
    """Posteriors of `n` test stars, from the lab's cache if there."""
    try:
        cache = find_lab(progress.context.paths.root).private.ceilings
    except NoLab:
        cache = None
    stars = posteriors_of_test(simulator, n, cache, progress.report)
    progress.before += n
    return stars


def _summary(variance: Array, label: str) -> tuple[dict[str, float], dict[str, float]]:
    """Numbers of one label from its (n,) bounds, and the error of the mean."""
    known = variance[np.isfinite(variance)]
    spread = float(np.std(known)) / prior_variance(label) / math.sqrt(max(len(known), 1))
    return crlb_numbers(variance, label), {"r2_crlb_mean": spread}


def _data_hash(config: CeilingConfig, simulator: Simulator) -> str:
    """The hash of the test set that models of the same configuration are scored on."""
    sizes = {"train": 0, "val": 0, "test": config.data.test_size}
    return GridSpectra(simulator, sizes, (), infinite=False, grid=config.data.grid).hash
