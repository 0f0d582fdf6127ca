"""The recipe `ceiling`: the Cramer-Rao bound at chosen magnitudes and over the test set."""

from __future__ import annotations

import math
import time

import numpy as np
import torch

from vitlab.contract.config import CeilingConfig
from vitlab.ml.fisher import WORST_CONDITION, Array, Bounds, bounds, r2_mean, r2_median
from vitlab.ml.labels import LABELS, prior_variance
from vitlab.ml.spectra import GridSpectra, open_spectra
from vitlab.recipes.context import Context, Outcome, Stopped


def run(context: Context) -> Outcome:
    """The bounds of the test stars: each at its own magnitude (`ceiling/...`), and all at each of
    `mags` (`ceiling@21.5/...`)."""
    config = context.config
    assert isinstance(config, CeilingConfig)
    spectra = open_spectra(config.data, config.noise.level, config.labels, torch.device("cpu"))
    assert isinstance(spectra, GridSpectra)
    simulator = spectra.simulator
    stars = simulator.stars("test", 0, config.data.test_size)
    fixed = np.broadcast_to(config.mags, (len(stars), len(config.mags)))
    mags = np.column_stack([stars.mag, fixed])
    found: list[Bounds] = []
    done, begun = 0, time.perf_counter()
    for part in bounds(simulator.grid, simulator.noise, stars.labels, mags):
        found.append(part)
        done += len(part.snr)
        rate = done / (time.perf_counter() - begun)
        context.report.step(done, len(stars), 0, {"perf/samples_per_s": rate})
        if context.stopped():
            raise Stopped
    variance = np.concatenate([part.variance for part in found])
    condition = np.concatenate([part.condition for part in found])
    snr = np.concatenate([part.snr for part in found])
    names = ["ceiling", *(f"ceiling@{mag:g}" for mag in config.mags)]
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    for m, name in enumerate(names):
        values[f"{name}/snr/median"] = float(np.median(snr[:, m]))
        values[f"{name}/unidentified/share"] = float(np.mean(condition[:, m] >= WORST_CONDITION))
        for label in config.labels:
            own, errs = _summary(variance[:, m, LABELS.index(label)], label)
            values.update({f"{name}/{metric}/{label}": x for metric, x in own.items()})
            errors.update({f"{name}/{metric}/{label}": x for metric, x in errs.items()})
    context.report.evaluation(len(stars), 0, "ceiling", len(stars), values)
    return Outcome(
        values=values,
        errors=errors,
        n=spectra.sizes,
        model={"name": "Fisher", "params": 0, "condition_max": float(condition.max())},
        data={"source": config.data.source, "hash": spectra.hash},
    )


def _summary(variance: Array, label: str) -> tuple[dict[str, float], dict[str, float]]:
    """Numbers of one label from its (n,) bounds, and the error of the mean."""
    prior = prior_variance(label)
    values = {
        "r2_crlb_median": r2_median(variance, prior),
        "r2_crlb_mean": r2_mean(variance, prior),
        "sigma_crlb": math.sqrt(float(np.median(variance))),
    }
    spread = float(np.std(variance)) / prior / math.sqrt(len(variance))
    return values, {"r2_crlb_mean": spread}
