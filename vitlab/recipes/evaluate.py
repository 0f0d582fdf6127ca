"""Score a trained model again, from its job's folder: on its own test set or on other data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vitlab.contract import checks as check_names
from vitlab.contract.checks import Check, unknown
from vitlab.contract.config import (
    GRID_SOURCES,
    DataConfig,
    EvaluateConfig,
    MlpConfig,
    Scored,
    TemplateConfig,
    VitConfig,
    read_config,
)
from vitlab.contract.excluded import Counts, sentence
from vitlab.contract.job import COST, ELSEWHERE, Result, Spec, read_result, read_spec
from vitlab.contract.networks import Disturb
from vitlab.contract.paths import JobPaths, UsageError, find_lab
from vitlab.contract.value import Value
from vitlab.contract.world import World
from vitlab.docs.judge.checks import failed_phrases
from vitlab.lab.results.job_results import lookup_job
from vitlab.ml.baselines.model_file import load_model
from vitlab.ml.baselines.template import Fitted, concatenate, fit, make_templates
from vitlab.ml.checks import check_alignment, check_input
from vitlab.ml.overlap import Overlap, find_overlap
from vitlab.ml.own_model import check_own
from vitlab.ml.residual_file import load_residuals, save_residuals
from vitlab.ml.scoring import DensityScores, Residuals, Scores, against_exact, is_same_r2, overall
from vitlab.ml.spectra.dataset import GridSpectra, Spectra, open_spectra, undisturbed
from vitlab.ml.spectra.held_out import (
    changed_since,
    excluded,
    is_changed,
    medium_then,
    other_medium,
)
from vitlab.ml.spectra.inputs import Rows, other_pixels, predict_rows
from vitlab.ml.spectra.labels import LABELS
from vitlab.ml.spectra.pfsspec import open_spectra_files
from vitlab.ml.training.batches import check_own_network, predict
from vitlab.ml.training.task import load_network
from vitlab.recipes.context import Context, Outcome
from vitlab.recipes.scores import (
    check_source,
    make_residuals,
    note_failed,
    overlap_checks,
    stars_shown,
    world_of_test,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Rescored:
    """A trained model's predictions for a test set."""

    spec: Spec
    result: Result | None
    """The result of its job, if it ended."""
    residuals: Residuals
    checks: Mapping[str, Check]
    """By name, as of a result."""
    excluded: Mapping[str, Counts] | None
    """Split -> reason -> spectra of a file that were left out; None for simulated stars."""
    seed: int
    """Seed of the bootstrap."""
    world: World
    """What the spectra are drawn from; their ceiling, not that of the training spectra, applies."""

    def lines(self) -> list[str]:
        """One line on the test spectra that were left out, if any were."""
        counts = (self.excluded or {}).get("test")
        of = len(self.residuals.star) + sum((counts or {}).values())
        return [sentence("test", counts, of)] if counts else []

    @property
    def overlap(self) -> int | None:
        """Test stars that are also in its training set; None where that cannot be told."""
        return Overlap(self.checks[check_names.CONTENT], self.checks[check_names.LABELS]).stars

    def failed(self) -> list[str]:
        """One line for each check that fails."""
        return [*(one.text("en") for one in failed_phrases(self.checks)), *self.unlike()]

    def unlike(self) -> list[str]:
        """A line for each R2 that is not its result's on the job's own stars: another's."""
        if self.result is None or self.result.data.get("hash") != self.residuals.hash:
            return []
        stated, found = self.result.values, self.named()[0]
        names = [str(Value("test", "r2", label)) for label in self.residuals.labels]
        return [
            f"the model kept here has {name} {found[name]:.4f}, its result {old:.4f}"
            for name in names
            if (old := stated.get(name)) is not None and not is_same_r2(old, found[name])
        ]

    def named(self) -> tuple[dict[str, float], dict[str, float]]:
        """Values and errors by `test/metric/label`."""
        found, exact = overall(self.residuals, self.seed), against_exact(self.residuals)
        return Scores(found.values | exact.values, found.errors | exact.errors).named("test")


def rescore(
    job: JobPaths,
    source: str | None = None,
    noise: float | None = None,
    device: str = "cpu",
    disturb: Disturb | None = None,
) -> Rescored:
    """Score the model in a job's folder on `source`, or on the job's own test set.

    `noise`: factor on the added noise, the job's own when None; `disturb`: what disturbs the
    spectra; None: what the job's own are disturbed by, nothing for other ones. Raises `UsageError`
    when the job has no model, or the data does not fit it.
    """
    spec = read_spec(job.spec)
    if spec is None:
        raise UsageError(f"{job.name}: no spec of version 1 here")
    config = read_config(spec.recipe, spec.config)
    if not isinstance(config, Scored):
        raise UsageError(f"{job.name}: recipe {spec.recipe} has no model to score")
    check_source(job, config, source, "--data")
    on, data = torch.device(device), config.data.of_lab(job.root)
    trained = _open(data, config.noise.level, config.labels, on)
    level = config.noise.level if noise is None else noise
    result = read_result(job.result)
    known = {} if result is None else result.data
    if (changed := is_changed(known, trained)) and source is None:
        hint = f"(`--data {config.data.source}` scores it on this)"
        raise UsageError(f"{job.name}: {changed_since(config.data)} {hint}")
    spectra = trained
    if source is not None or level != config.noise.level or disturb is not None:
        tested = _data(data, source)
        tested = tested if disturb is None else replace(tested, disturb=disturb)
        spectra = _open(tested, level, config.labels, on)
        media = other_medium(medium_then(known, trained), spectra)
        unlike = other_pixels(trained.wave, spectra.wave) or media
        if unlike:
            raise UsageError(f"{source}: {job.name} {unlike}")
    true, predicted, sigma, density = predictions(job, config, trained, spectra, on)
    pair = true, predicted
    residuals = make_residuals(spectra, config.labels, pair, sigma, source or config.data.source)
    residuals = replace(residuals, density=density, exact=_exact(job, residuals), job=spec.mark)
    kind = "" if isinstance(config, TemplateConfig) else config.model.input
    checks = {
        **overlap_checks(_overlap(spectra, None if changed else trained, stars_shown(config))),
        check_names.ALIGNMENT: check_alignment(*pair),
        check_names.INPUT: check_input(undisturbed(trained), kind),
    }
    left_out = excluded(spectra)
    world = world_of_test(config, spectra, level)
    return Rescored(spec, result, residuals, checks, left_out, config.data.seed, world)


def _overlap(spectra: Spectra, trained: Spectra | None, shown: int | None) -> Overlap:
    """With a training set; None: it is not there any more."""
    if trained is None:
        return Overlap(unknown("changed"), unknown("changed"))
    return find_overlap(spectra, trained, shown)


def _exact(job: JobPaths, residuals: Residuals) -> DensityScores | None:
    """The exact posteriors the job kept, where they are of these spectra."""
    try:
        kept = load_residuals(job.residuals)
    except UsageError:
        return None
    return kept.exact if kept.hash == residuals.hash else None


def run(context: Context) -> Outcome:
    """The recipe `evaluate`: a trained model scored on the given data."""
    config = context.config
    assert isinstance(config, EvaluateConfig)
    elsewhere, lab = context.spec.extra.get(ELSEWHERE) or (), find_lab(context.paths.root)
    job = lookup_job(lab, config.job, context.spec.roadmap or None, elsewhere)
    context.report.note(f"scoring {job.name}")
    rescored = rescore(job, config.source, config.noise, context.device, config.disturb)
    if unlike := rescored.unlike():
        raise UsageError(f"config.job: {job.name}: {unlike[0]}")
    values, errors = rescored.named()
    residuals, result = replace(rescored.residuals, job=context.spec.mark), rescored.result
    n = len(residuals.star)
    context.report.evaluation(n, 0, "test", n, values)
    for line in rescored.lines():
        context.report.note(line)
    note_failed(context, rescored.checks)
    save_residuals(context.paths.residuals, residuals)
    model = dict(result.model) if result else {"name": rescored.spec.recipe}
    sizes = dict(result.n) if result else {}
    return Outcome(
        values=values,
        errors=errors,
        n={**sizes, "test": n},
        model={**model, "job": job.name},
        data={
            "source": residuals.source,
            "hash": residuals.hash,
            "overlap": rescored.overlap,
            **{key: result.data[key] for key in COST if result and key in result.data},
            **({} if rescored.excluded is None else {"excluded": rescored.excluded}),
        },
        checks=rescored.checks,
        world=rescored.world,
    )


def residuals_path(job: JobPaths, rescored: Rescored) -> Path:
    """Where a job keeps residuals: one file for its own test set, others for other data."""
    result, residuals = rescored.result, rescored.residuals
    own = result is not None and result.data.get("hash") == residuals.hash
    if own and not rescored.unlike():
        return job.residuals
    stem = Path(residuals.source).stem
    return job.evaluations / f"{stem}-{residuals.hash}.parquet"


@lru_cache(maxsize=4)
def _open(data: DataConfig, level: float, labels: tuple[str, ...], device: torch.device) -> Spectra:
    """Cached: models often share their data, and a grid takes a second to open."""
    return open_spectra(data, level, labels, device)


def _data(data: DataConfig, source: str | None) -> DataConfig:
    """All spectra of the file `source` as a test set; a grid keeps its test size."""
    if source is None or source in GRID_SOURCES:
        return data if source is None else replace(data, source=source)
    n = open_spectra_files(Path(source)).n
    alone = replace(data, source=source, permuted=False, disturb=Disturb())
    return replace(alone, train_size=0, val_size=0, test_size=n)


def predictions(
    job: JobPaths,
    config: Scored,
    trained: Spectra,
    spectra: Spectra,
    device: torch.device,
    split: str = "test",
) -> tuple[Array, Array, Array | None, DensityScores | None]:
    """(n, K) true and predicted labels of a split; errors and densities if it predicts any.

    `UsageError` where the model is not that of the job's result; on its own test stars its scores
    tell that (`Rescored.unlike`).
    """
    elsewhere = spectra is not trained or split != "test"
    if isinstance(config, TemplateConfig):
        assert isinstance(trained, GridSpectra)
        templates = make_templates(trained.simulator.grid, config.refine)
        parts: list[Fitted] = []
        for _ in fit(parts, templates, spectra):
            pass
        labels, sigma = concatenate(parts).of([LABELS.index(name) for name in config.labels])
        return spectra.labels("test", 0, len(labels)), labels, sigma, None
    if isinstance(config, VitConfig | MlpConfig):
        network, task = load_network(job, config, trained, device)
        if elsewhere:
            check_own_network(job, network, task)
        task = replace(task, spectra=spectra)
        test = predict(network, task, split)
        return test.true, test.predicted, test.sigma, test.density
    model, inputs = load_model(job.checkpoints, config.labels, spectra.wave)
    inputs = replace(inputs, sigma=inputs.sigma.to(device))
    if elsewhere:
        check_own(job, trained, lambda batch: model.predict(inputs(batch).cpu().numpy()))
    rows = Rows(spectra, inputs, split)
    return *predict_rows(rows, model.predict), None, None
