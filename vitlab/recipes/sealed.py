"""Score a trained model on stars kept for gates alone, which nothing else is scored on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

import torch

from vitlab.contract.checks import ALIGNMENT
from vitlab.contract.config import GRID_SOURCES, Scored, read_config
from vitlab.contract.job import Result, read_result, read_spec, write_result
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.value import Value
from vitlab.ml.checks import check_alignment
from vitlab.ml.overlap import find_overlap
from vitlab.ml.residual_file import save_residuals
from vitlab.ml.scoring import overall
from vitlab.ml.spectra.dataset import open_spectra
from vitlab.ml.spectra.held_out import changed_since, is_changed
from vitlab.recipes.evaluate import predictions
from vitlab.recipes.scores import make_residuals, overlap_checks, stars_shown

T = TypeVar("T")
SEED = 1_618_033_988
"""`data.seed` of the kept stars, whatever that of a job: all models are scored on the same ones."""


def score_sealed(job: JobPaths, stars: int) -> Result:
    """The result of a job on `stars` kept stars of its world, written to its folder.

    `UsageError` where it has no model of ours, or was not trained on simulated spectra.
    """
    job.check_is_here()
    spec, result = read_spec(job.spec), read_result(job.result)
    if spec is None or result is None:
        raise UsageError(f"{job.name}: has no result")
    config = read_config(spec.recipe, spec.config)
    if not isinstance(config, Scored) or config.data.source not in GRID_SOURCES:
        raise UsageError(
            f"{job.name}: not a model of simulated spectra: no stars are kept for its gates"
        )
    if config.data.seed == SEED:
        raise UsageError(f"{job.name}: data.seed {SEED} is that of the stars kept for gates")
    on, data = torch.device("cpu"), config.data.of_lab(job.root)
    trained = open_spectra(data, config.noise.level, config.labels, on)
    if is_changed(result.data, trained):
        raise UsageError(f"{job.name}: {changed_since(config.data)}")
    alone = replace(data, permuted=False, seed=SEED, test_size=stars)
    kept = open_spectra(alone, config.noise.level, config.labels, on)
    true, predicted, sigma, *_ = predictions(job, config, trained, kept, on)
    residuals = make_residuals(kept, config.labels, (true, predicted), sigma, data.source)
    values, errors = overall(residuals, config.data.seed).named("test")
    overlap = find_overlap(kept, trained, stars_shown(config))
    checks = {**overlap_checks(overlap), ALIGNMENT: check_alignment(true, predicted)}
    save_residuals(job.sealed_residuals, replace(residuals, job=spec.mark))
    sealed = replace(
        result,
        values={**_untested(result.values), **values},
        errors={**_untested(result.errors), **errors},
        n={**result.n, "test": stars},
        data={
            **result.data,
            "hash": kept.hash,
            "overlap": overlap.stars,
        },
        checks={**result.checks, **{name: check.record() for name, check in checks.items()}},
    )
    write_result(job.sealed, sealed)
    return sealed


def _untested(numbers: Mapping[str, T]) -> dict[str, T]:
    return {name: x for name, x in numbers.items() if Value.parse(name).split != "test"}
