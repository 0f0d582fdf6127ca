"""What every scored job writes: test scores with errors, residuals and leak checks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.config import MlpConfig, Scored, TemplateConfig, VitConfig
from vitlab.contract.value import Value
from vitlab.ml.scoring import Residuals, calibration, named, save_residuals, score
from vitlab.ml.spectra.dataset import Spectra
from vitlab.ml.spectra.held_out import conditions, overlap
from vitlab.recipes.context import Context

Array = NDArray[np.float64]
PERMUTATIONS = 50


def score_test(
    context: Context,
    spectra: Spectra,
    pair: tuple[Array, Array],
    best: Mapping[str, float] | None = None,
    sigma: Array | None = None,
) -> tuple[dict[str, float], dict[str, float]]:
    """Score (n, K) true and predicted labels of the test set; returns values and errors by name.

    Reports them and writes `residuals.parquet`. `sigma`: (n, K) predicted errors.
    """
    config = context.config
    assert isinstance(config, Scored)
    values, errors = score(*pair, config.labels, seed=config.data.seed).named("test")
    if sigma is not None:
        values |= named(calibration(*pair, sigma, config.labels), "test")
    values |= permuted_r2(*pair, config.labels, config.data.seed)
    at = best or {}
    n = len(pair[0])
    context.report.evaluation(int(at.get("step", n)), int(at.get("epoch", 0)), "test", n, values)
    residuals = make_residuals(spectra, config.labels, pair, sigma, config.data.source)
    save_residuals(context.paths.residuals, residuals)
    return values, errors


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


def permuted_r2(
    true: Array, predicted: Array, labels: tuple[str, ...], seed: int
) -> dict[str, float]:
    """`test/r2_permuted/label`: R2 of the rescaled predictions against the labels of other stars.

    The mean over `PERMUTATIONS`. Chance is 1 / (n - 1) for n stars; much more means that labels
    are matched to the wrong stars.
    """
    generator = np.random.default_rng(seed)
    values: dict[str, float] = {}
    for k, label in enumerate(labels):
        sides = true[:, k] - true[:, k].mean(), predicted[:, k] - predicted[:, k].mean()
        size = float(np.sum(sides[0] ** 2) * np.sum(sides[1] ** 2))
        if size > 0:
            products = [generator.permutation(sides[0]) @ sides[1] for _ in range(PERMUTATIONS)]
            name = str(Value("test", "r2_permuted", label))
            values[name] = float(np.mean(np.square(products)) / size)
    return values


def describe_data(context: Context, spectra: Spectra) -> dict[str, object]:
    """A result's `data`: source, hash, and how many test stars are in the training set."""
    config = context.config
    assert isinstance(config, Scored)
    shared = overlap(spectra)
    if shared:
        context.report.note(
            f"{shared} of {spectra.sizes['test']} test stars are in the training set: "
            "the test scores mean nothing"
        )
    data: dict[str, object] = {"source": config.data.source, "hash": spectra.hash}
    data["overlap"] = shared
    return {**data, "permuted": True} if config.data.permuted else data


def stars_shown(config: Scored) -> int:
    """Number of distinct training stars the model sees."""
    if isinstance(config, TemplateConfig):
        return 0
    fresh = config.data.source == "grid-infinite"
    epochs = config.train.epochs if fresh and isinstance(config, VitConfig | MlpConfig) else 1
    return config.data.train_size * epochs
