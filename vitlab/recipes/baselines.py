"""The recipes of the baselines: `lightgbm`, `ridge` and `template`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from vitlab.contract.config import BoostConfig, RidgeConfig, Scored, TemplateConfig
from vitlab.contract.paths import NoLab, find_lab
from vitlab.contract.value import Value
from vitlab.ml.baselines import ridge, trees
from vitlab.ml.baselines.model_file import save_model
from vitlab.ml.baselines.template import Fitted, concatenate, fit, make_templates
from vitlab.ml.spectra.dataset import GridSpectra, open_spectra
from vitlab.ml.spectra.inputs import Array, Matrix, Rows, make_inputs, predict_rows
from vitlab.ml.spectra.labels import LABELS
from vitlab.recipes.context import Context, Outcome, Stopped
from vitlab.recipes.scores import (
    check_test,
    clean_scores,
    describe_data,
    report_excluded,
    score_test,
    world_of_test,
)


def run_template(context: Context) -> Outcome:
    """Fit every test spectrum; score the labels and their errors."""
    config = context.config
    assert isinstance(config, TemplateConfig)
    device = torch.device(context.device)
    spectra = open_spectra(config.data, config.noise.level, config.labels, device)
    assert isinstance(spectra, GridSpectra)
    templates = make_templates(spectra.simulator.grid, config.refine)
    context.report.note(f"{len(templates.labels)} templates on {device}")
    parts: list[Fitted] = []
    context.report.follow(fit(parts, templates, spectra, context.stopped))
    if context.stopped():
        raise Stopped
    n = spectra.sizes["test"]
    true = spectra.labels("test", 0, n)
    fitted = concatenate(parts)
    predicted, sigma = fitted.of([LABELS.index(name) for name in config.labels])
    values, errors = score_test(context, spectra, (true, predicted), sigma=sigma)
    checks = check_test(context, spectra, (true, predicted))
    for name, of_label in zip(config.labels, sigma.T, strict=True):
        values[str(Value("test", "sigma", name))] = float(np.median(of_label))
    values["test/chi2/per_pixel"] = float(np.median(fitted.chi2)) / spectra.pixels
    return Outcome(
        values=values,
        errors=errors,
        n={"train": 0, "val": 0, "test": n},
        model={"name": "TemplateFit", "params": 0, "templates": len(templates.labels)},
        data=describe_data(context, spectra, checks),
        checks=checks,
        world=world_of_test(config, spectra),
    )


CPU = torch.device("cpu")


def run_boost(context: Context) -> Outcome:
    """Grow trees and score them on the test set. A resumed job continues with its trees."""
    config = context.config
    assert isinstance(config, BoostConfig)
    train, val, test = _splits(context, config)
    model = trees.Boost(job=context.spec.mark)
    files = trees.Files(_cache(context), context.paths.checkpoints, context.resume)
    best = context.report.follow(
        trees.fit(
            model,
            train,
            val,
            config.model,
            config.train,
            config.labels,
            stopped=context.stopped,
            files=files,
        )
    )
    if context.stopped():
        raise Stopped
    save_model(context.paths.checkpoints, model, test.inputs, config.labels)
    named = {"name": "LightGBM", "params": model.params}
    return _outcome(context, test, named, best, model.predict)


def run_ridge(context: Context) -> Outcome:
    """Solve a ridge regression and score it on the test set. A resumed job starts over."""
    config = context.config
    assert isinstance(config, RidgeConfig)
    train, val, test = _splits(context, config)
    model = ridge.empty_ridge(test.spectra.pixels, len(config.labels))
    best = context.report.follow(
        ridge.fit(model, train, val, config.model, config.labels, context.stopped)
    )
    if context.stopped():
        raise Stopped
    context.report.note(f"alpha = {model.alpha:g}")
    save_model(context.paths.checkpoints, model, test.inputs, config.labels)
    named = {"name": "Ridge", "params": model.params, "alpha": model.alpha}
    return _outcome(context, test, named, best, model.predict)


def _cache(context: Context) -> Path | None:
    """The lab's cache of binned training sets; None for a job outside a lab."""
    try:
        return find_lab(context.paths.root).private.cache
    except NoLab:
        return None


def _splits(context: Context, config: BoostConfig | RidgeConfig) -> tuple[Rows, Rows, Rows]:
    spectra = open_spectra(config.data, config.noise.level, config.labels, CPU)
    report_excluded(context, spectra)
    inputs = make_inputs(config.model.input, spectra)
    train = Rows(spectra, inputs, "train", config.model.copies)
    return train, Rows(spectra, inputs, "val"), Rows(spectra, inputs, "test")


def _outcome(
    context: Context,
    test: Rows,
    model: dict[str, object],
    best: dict[str, float],
    predict: Callable[[Matrix], Array],
) -> Outcome:
    """Score the labels that `predict` gives for the test set."""
    config, spectra = context.config, test.spectra
    assert isinstance(config, Scored)
    pair = predict_rows(test, predict)
    values, errors = score_test(context, spectra, pair, best)
    clean = clean_scores(
        context,
        spectra,
        best,
        lambda own: (*predict_rows(replace(test, spectra=own), predict), None, None),
    )
    values, errors = values | clean[0], errors | clean[1]
    checks = check_test(context, spectra, pair)
    return Outcome(
        values=values,
        errors=errors,
        n=dict(spectra.sizes),
        model=model,
        data=describe_data(context, spectra, checks),
        best=best,
        checks=checks,
        world=world_of_test(config, spectra),
    )
