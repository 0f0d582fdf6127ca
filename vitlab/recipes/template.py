"""The recipe `template`: chi-square fitting of the test set, no training."""

from __future__ import annotations

import numpy as np
import torch

from vitlab.contract.config import TemplateConfig
from vitlab.ml.baselines.template import Fitted, fit, joined, make_templates
from vitlab.ml.labels import LABELS
from vitlab.ml.spectra import GridSpectra, open_spectra
from vitlab.recipes.context import Context, Outcome, Stopped
from vitlab.recipes.scored import described, scored


def run(context: Context) -> Outcome:
    """Fit every test spectrum, and score the labels and the errors it gives them."""
    config = context.config
    assert isinstance(config, TemplateConfig)
    device = torch.device(context.device)
    spectra = open_spectra(config.data, config.noise.level, config.labels, device)
    assert isinstance(spectra, GridSpectra)
    templates = make_templates(spectra.simulator.grid, config.refine)
    context.report.note(f"{len(templates.labels)} templates on {device}")
    found: list[Fitted] = []
    context.report.follow(fit(found, templates, spectra, context.stopped))
    if context.stopped():
        raise Stopped
    n = spectra.sizes["test"]
    true = spectra.labels("test", 0, n)
    fitted = joined(found)
    predicted, sigma = fitted.of([LABELS.index(name) for name in config.labels])
    values, errors = scored(context, spectra, (true, predicted), sigma=sigma)
    for name, of_label in zip(config.labels, sigma.T, strict=True):
        values[f"test/sigma/{name}"] = float(np.median(of_label))
    values["test/chi2/per_pixel"] = float(np.median(fitted.chi2)) / spectra.pixels
    return Outcome(
        values=values,
        errors=errors,
        n={"train": 0, "val": 0, "test": n},
        model={"name": "TemplateFit", "params": 0, "templates": len(templates.labels)},
        data=described(context, spectra),
    )
