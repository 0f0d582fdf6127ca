"""What every scored job writes: test scores with errors, residuals and checks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.checks import ALIGNMENT, CONTENT, INPUT, LABELS, Check
from vitlab.contract.config import GRID_SOURCES, MlpConfig, Scored, TemplateConfig, VitConfig
from vitlab.contract.excluded import sentence
from vitlab.contract.paths import JobPaths, UsageError, real
from vitlab.contract.world import FLUX, FLUX_AND_ERROR, World
from vitlab.docs.judge.checks import failed_phrases
from vitlab.jobs.submissions import is_submitted
from vitlab.lab.results.worlds import grid_world
from vitlab.ml.checks import check_alignment, check_input
from vitlab.ml.overlap import Overlap, find_overlap
from vitlab.ml.residual_file import save_residuals
from vitlab.ml.scoring import (
    DensityScores,
    Residuals,
    against_exact,
    calibration,
    concatenate,
    named,
    overall,
)
from vitlab.ml.spectra.dataset import GridSpectra, Spectra, disturbed, undisturbed, unpermuted
from vitlab.ml.spectra.file_spectra import HASHED, FileSpectra
from vitlab.ml.spectra.held_out import conditions, excluded, medium
from vitlab.ml.spectra.observation import content_hash
from vitlab.ml.spectra.pfsspec import SpectraFiles, shard_paths
from vitlab.ml.spectra.simulate import SPLITS
from vitlab.ml.theory.log_scores import exact_scores
from vitlab.recipes.context import Context, Stopped

Array = NDArray[np.float64]
Predicted = tuple[Array, Array, Array | None, DensityScores | None]
"""(n, K) true and predicted labels, and errors and densities where they are predicted."""
CLEAN = "clean"
"""The split of test spectra without what disturbs them."""


def score_test(
    context: Context,
    spectra: Spectra,
    pair: tuple[Array, Array],
    best: Mapping[str, float] | None = None,
    sigma: Array | None = None,
    density: DensityScores | None = None,
    exact: DensityScores | None = None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Score (n, K) true and predicted labels of the test set; returns values and errors by name.

    Reports them and writes `residuals.parquet`. `sigma`: (n, K) predicted errors; `density`: of
    predicted densities; `exact`: of the exact posteriors of the first stars, None to compute them.
    """
    config = context.config
    assert isinstance(config, Scored)
    if density is not None and exact is None:
        exact = exact_posteriors(context, spectra)
    residuals = replace(
        make_residuals(spectra, config.labels, pair, sigma, config.data.source),
        density=density,
        exact=exact,
        job=context.spec.mark,
    )
    values, errors = overall(residuals, config.data.seed).named("test")
    if sigma is not None:
        values |= named(calibration(*pair, sigma, config.labels), "test")
    more, their_errors = against_exact(residuals).named("test")
    values, errors = values | more, errors | their_errors
    at = best or {}
    n = len(pair[0])
    context.report.evaluation(int(at.get("step", n)), int(at.get("epoch", 0)), "test", n, values)
    try:
        save_residuals(context.paths.residuals, residuals)
    except ModuleNotFoundError as error:  # a bare machine with a GPU
        context.report.note(f"{context.paths.residuals.name} not written: {error}")
    return values, errors


def clean_scores(
    context: Context,
    spectra: Spectra,
    best: Mapping[str, float] | None,
    predicted: Callable[[Spectra], Predicted],
) -> tuple[dict[str, float], dict[str, float]]:
    """Scores on the test spectra without what disturbs them, as `clean/metric/label`.

    Values and errors by name; empty where nothing does. `best`: as of `score_test`; `predicted`: of
    a data set's test spectra.
    """
    config = context.config
    assert isinstance(config, Scored)
    if not (said := disturbed(spectra)):
        return {}, {}
    context.report.note(f"test and validation spectra are disturbed as those of training: {said}")
    own = undisturbed(spectra)
    true, labels, sigma, density = predicted(own)
    residuals = make_residuals(own, config.labels, (true, labels), sigma, config.data.source)
    residuals = replace(residuals, density=density)
    values, errors = overall(residuals, config.data.seed).named(CLEAN)
    more, their_errors = against_exact(residuals).named(CLEAN)
    values, errors = values | more, errors | their_errors
    if sigma is not None:
        values |= named(calibration(true, labels, sigma, config.labels), CLEAN)
    at, n = best or {}, len(true)
    context.report.evaluation(int(at.get("step", n)), int(at.get("epoch", 0)), CLEAN, n, values)
    return values, errors


def exact_posteriors(context: Context, spectra: Spectra) -> DensityScores | None:
    """Of the first `exact` test stars; None where they are not of the grid's own spectra."""
    config = context.config
    assert isinstance(config, VitConfig | MlpConfig)
    if config.loss != "mixture" or not isinstance(spectra, GridSpectra) or not config.exact:
        return None
    if disturbed(spectra):
        return None
    n = min(config.exact, spectra.sizes["test"])
    context.report.note(f"exact posteriors of {n} test stars")
    found = []
    for one in exact_scores(spectra.simulator, config.labels, n):
        if context.stopped():
            raise Stopped
        found.append(one)
    return concatenate(found)


def make_residuals(
    spectra: Spectra,
    labels: tuple[str, ...],
    pair: tuple[Array, Array],
    sigma: Array | None,
    source: str,
) -> Residuals:
    """Residuals of the (n, K) true and predicted labels, with each star's magnitude and S/N."""
    mag, snr = conditions(spectra)
    return Residuals(
        labels=labels,
        star=np.arange(len(pair[0])),
        true=pair[0],
        predicted=pair[1],
        mag=mag,
        snr=snr,
        hash=spectra.hash,
        source=source,
        sigma=sigma,
    )


def check_test(context: Context, spectra: Spectra, pair: tuple[Array, Array]) -> dict[str, Check]:
    """The checks of a result on (n, K) true and predicted labels, by name; notes what fails."""
    config = context.config
    assert isinstance(config, Scored)
    kind = "" if isinstance(config, TemplateConfig) else config.model.input
    checks = {
        **overlap_checks(find_overlap(spectra, shown=stars_shown(config))),
        ALIGNMENT: check_alignment(*pair),
        INPUT: check_input(undisturbed(spectra), kind),
    }
    note_failed(context, checks)
    return checks


def overlap_checks(found: Overlap) -> dict[str, Check]:
    """Both by name."""
    return {CONTENT: found.content, LABELS: found.labels}


def note_failed(context: Context, checks: Mapping[str, Check]) -> None:
    """Note each check that fails."""
    for failed in failed_phrases(checks):
        context.report.note(f"{failed.text('en')}: the test scores are meaningless")


def describe_data(
    context: Context, spectra: Spectra, checks: Mapping[str, Check]
) -> dict[str, object]:
    """A result's `data`: source, hash, and how many test stars are in the training set."""
    config = context.config
    assert isinstance(config, Scored)
    data: dict[str, object] = {"source": config.data.source, "hash": spectra.hash}
    if isinstance(own := unpermuted(spectra), FileSpectra):
        data |= {"train_hash": own.train_hash} | ({"medium": said} if (said := medium(own)) else {})
    if CONTENT in checks:
        data["overlap"] = Overlap(checks[CONTENT], checks[LABELS]).stars
    if (left_out := excluded(spectra)) is not None:
        data["excluded"] = left_out
    return {**data, "permuted": True} if config.data.permuted else data


def world_of_test(config: Scored, spectra: Spectra, level: float | None = None) -> World:
    """What the test spectra are drawn from; `level` of noise where it is not the configured one.

    `config` is the model's: of an evaluation on other spectra, those.
    """
    level = config.noise.level if level is None else level
    own = unpermuted(spectra)
    text = disturbed(spectra)
    if isinstance(own, GridSpectra):
        mag = own.simulator.mag
        return replace(
            grid_world(replace(config.data, grid=own.grid, mag=mag), level), disturbed=text
        )
    shown = FLUX if isinstance(config, TemplateConfig) else _shown(config.model.input)
    return World("", "", None, level, shown, file_hash(own.files), text)


def _shown(kind: str) -> str:
    """What an input tells of a file's spectrum; the errors of each pixel are the same for all."""
    return FLUX if kind in ("flux", "whitened") else FLUX_AND_ERROR


def file_hash(files: SpectraFiles) -> str:
    """16 hex digits of a file's contents: numbers in its table, wavelengths and first spectra with
    their errors."""
    columns = [values for values in files.params.values() if values.dtype.kind in "fiu"]
    numbers = (*columns, files.wave, *files.read(0, min(files.n, HASHED)))
    blocks = [np.ascontiguousarray(values).tobytes() for values in numbers]
    return content_hash([files.n], *blocks)


def report_excluded(context: Context, spectra: Spectra, splits: Iterable[str] = SPLITS) -> None:
    """Read a file's splits through, and note what each leaves out.

    `UsageError` when too much of one is left out.
    """
    sizes = {split: spectra.sizes[split] for split in splits}
    for split, counts in (excluded(spectra) or {}).items():
        if counts and split in sizes:
            of = sum(counts.values()) + sizes[split]
            context.report.note(sentence(split, counts, of))


def check_source(job: JobPaths, config: Scored, given: str | None, hint: str) -> None:
    """`UsageError` where a job that another submitted has this user's spectra scored.

    Their labels, and what its model makes of them, would be kept in the lab. `hint`: what allows it
    by naming the spectra, as `given` does.
    """
    for source in (config.data.source, config.data.grid):
        if source is None or source in GRID_SOURCES or source == given or is_submitted(job):
            continue
        path, root = job.root / source, real(job.root)
        inside = real(path).is_relative_to(root)
        # A list in the lab, or a link beside it, may lead out of it too.
        if not inside or not all(real(one).is_relative_to(root) for one in shard_paths(path)):
            text = f"not submitted here, and its data are outside the lab: {source}"
            raise UsageError(f"{job.name}: {text} (`{hint} {source}` allows it)")


def stars_shown(config: Scored) -> int:
    """Number of distinct training stars the model sees."""
    if isinstance(config, TemplateConfig):
        return 0
    fresh = config.data.source == "grid-infinite"
    epochs = config.train.epochs if fresh and isinstance(config, VitConfig | MlpConfig) else 1
    return config.data.train_size * epochs
