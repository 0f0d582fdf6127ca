"""Scoring a trained model again, from its job's folder: on its own test set or on other data."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract.config import (
    GRID_SOURCES,
    BoostConfig,
    DataConfig,
    EvaluateConfig,
    MlpConfig,
    RidgeConfig,
    TemplateConfig,
    VitConfig,
    read_config,
)
from vitlab.contract.job import Result, Spec, read_result, read_spec
from vitlab.contract.paths import JobPaths, UsageError, find_lab
from vitlab.lab.results.job_results import job_named
from vitlab.ml.baselines.saved import load_model
from vitlab.ml.baselines.template import Fitted, fit, joined, make_templates
from vitlab.ml.scoring import Residuals, overall, save
from vitlab.ml.spectra.dataset import GridSpectra, Spectra, open_spectra
from vitlab.ml.spectra.inputs import Rows, predict_rows
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.pfsspec import open_spectra_files
from vitlab.ml.spectra.test_stars import conditions, overlap
from vitlab.ml.training.batches import predict
from vitlab.ml.training.task import load_network
from vitlab.recipes.context import Context, Outcome

Array = NDArray[np.float64]
Scored = VitConfig | MlpConfig | BoostConfig | RidgeConfig | TemplateConfig


@dataclass(frozen=True)
class Rescored:
    """What a trained model says of a test set now."""

    spec: Spec
    result: Result | None
    """What its job said of it when it ended."""
    residuals: Residuals
    overlap: int
    """Test stars its training set holds too."""
    seed: int
    """Of the bootstrap."""

    def named(self) -> tuple[dict[str, float], dict[str, float]]:
        """Values and errors by `test/metric/label`."""
        return overall(self.residuals, self.seed).named("test")


def rescore(
    job: JobPaths, source: str | None = None, noise: float | None = None, device: str = "cpu"
) -> Rescored:
    """Score the model in a job's folder on `source`, or on the job's own test set.

    `noise`: factor on the noise added, the job's own when None. `UsageError` where the job kept
    no model, or the data does not fit it.
    """
    spec = read_spec(job.spec)
    if spec is None:
        raise UsageError(f"{job.name}: no spec of version 1 here")
    config = read_config(spec.recipe, spec.config)
    if not isinstance(config, Scored):
        raise UsageError(f"{job.name}: recipe {spec.recipe} has no model to score")
    where = torch.device(device)
    own = _opened(config.data, config.noise.level, config.labels, where)
    level = config.noise.level if noise is None else noise
    spectra = own
    if source is not None or level != config.noise.level:
        spectra = _opened(_data(config.data, source), level, config.labels, where)
        if len(spectra.wave) != len(own.wave) or not np.allclose(spectra.wave, own.wave):
            raise UsageError(
                f"{source}: other pixels ({len(spectra.wave)}) than {job.name} learned from "
                f"({len(own.wave)})"
            )
    true, guess, sigma = _predict(job, config, own, spectra, where)
    mag, snr = conditions(spectra)
    residuals = Residuals(
        labels=config.labels,
        star=np.arange(len(true)),
        true=true,
        predicted=guess,
        mag=mag,
        snr=snr,
        hash=spectra.hash,
        source=source or config.data.source,
        sigma=sigma,
    )
    shared = overlap(spectra, own, _shown(config))
    return Rescored(spec, read_result(job.result), residuals, shared, config.data.seed)


def run(context: Context) -> Outcome:
    """The recipe `evaluate`: a result of the model as it is, on the data asked for."""
    config = context.config
    assert isinstance(config, EvaluateConfig)
    job = job_named(find_lab(context.paths.folder), config.job)
    context.report.note(f"scores {job.name}")
    found = rescore(job, config.source, config.noise, context.device)
    values, errors = found.named()
    n = len(found.residuals.star)
    context.report.evaluation(n, 0, "test", n, values)
    if found.overlap:
        context.report.note(f"{found.overlap} of {n} test stars are in its training set")
    save(context.paths.residuals, found.residuals)
    model = dict(found.result.model) if found.result else {"name": found.spec.recipe}
    trained = dict(found.result.n) if found.result else {}
    kept = found.residuals
    return Outcome(
        values=values,
        errors=errors,
        n={**trained, "test": n},
        model={**model, "job": job.name},
        data={"source": kept.source, "hash": kept.hash, "overlap": found.overlap},
    )


def residuals_path(job: JobPaths, found: Rescored) -> Path:
    """Where a job's folder keeps them: its own test set's by the result, others apart."""
    own = found.result is not None and found.result.data.get("hash") == found.residuals.hash
    if own:
        return job.residuals
    stem = Path(found.residuals.source).stem
    return job.folder / "evaluations" / f"{stem}-{found.residuals.hash}.parquet"


@lru_cache(maxsize=4)
def _opened(
    data: DataConfig, level: float, labels: tuple[str, ...], device: torch.device
) -> Spectra:
    """The models of one plan share their data; a grid takes a second to open."""
    return open_spectra(data, level, labels, device)


def _data(data: DataConfig, source: str | None) -> DataConfig:
    """All spectra of `source` as a test set; a grid's test set has the size it had."""
    if source is None or source in GRID_SOURCES:
        return data if source is None else replace(data, source=source)
    n = open_spectra_files(Path(source)).n
    return replace(data, source=source, permuted=False, train_size=0, val_size=0, test_size=n)


def _shown(config: Scored) -> int:
    """How many training stars a model has seen."""
    if isinstance(config, TemplateConfig):
        return 0
    fresh = config.data.source == "grid-infinite"
    epochs = config.train.epochs if fresh and isinstance(config, VitConfig | MlpConfig) else 1
    return config.data.train_size * epochs


def _predict(
    job: JobPaths, config: Scored, own: Spectra, spectra: Spectra, device: torch.device
) -> tuple[Array, Array, Array | None]:
    """(n, K) true and predicted labels of the test set, and errors where the model says some."""
    if isinstance(config, TemplateConfig):
        assert isinstance(own, GridSpectra)
        templates = make_templates(own.simulator.grid, config.refine)
        parts: list[Fitted] = []
        for _ in fit(parts, templates, spectra):
            pass
        guess, sigma = joined(parts).of([LABELS.index(name) for name in config.labels])
        return spectra.labels("test", 0, len(guess)), guess, sigma
    if isinstance(config, VitConfig | MlpConfig):
        network, task = load_network(job, config, own, device)
        task = replace(task, spectra=spectra)
        found = predict(network, task, "test")
        return found.true, found.predicted, found.sigma
    model, inputs = load_model(job.checkpoints)
    rows = Rows(spectra, replace(inputs, sigma=inputs.sigma.to(device)), "test")
    return *predict_rows(rows, model.predict), None
