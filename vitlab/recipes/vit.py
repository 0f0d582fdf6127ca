"""The recipes of the networks: `vit` and `mlp`."""

from __future__ import annotations

from dataclasses import asdict

import torch
from torch import nn

from vitlab.contract.config import MlpConfig, VitConfig
from vitlab.contract.networks import MlpModel, VitModel
from vitlab.ml.baselines.mlp import MLP
from vitlab.ml.inputs import make_inputs
from vitlab.ml.labels import fit_scaling
from vitlab.ml.spectra import Spectra, open_spectra
from vitlab.ml.train import Task, predict, train
from vitlab.ml.vit import ViT, param_count
from vitlab.recipes.check import check
from vitlab.recipes.context import Context, Outcome, Stopped
from vitlab.recipes.scored import described, scored

SCALING_SAMPLE = 100_000
"""Training stars the scale of the labels is fitted on."""


def run(context: Context) -> Outcome:
    """Train a network and score its best state on the test set."""
    config = context.config
    assert isinstance(config, VitConfig | MlpConfig)
    device = torch.device(context.device)
    spectra = open_spectra(config.data, config.noise.level, config.labels, device)
    torch.manual_seed(config.train.seed)
    model = make_model(config.model, spectra.pixels, len(config.labels)).to(device)
    task = make_task(config, spectra, device)
    name, params = type(model).__name__, param_count(model)
    context.report.note(f"{name} with {params:,} parameters, {task.steps} steps on {device}")
    if not context.resume:
        context.report.note(check(model, task))
    best = context.report.follow(
        train(model, task, context.paths.checkpoints, context.resume, context.stopped)
    )
    if context.stopped():
        raise Stopped
    true, predicted = predict(model, task, "test")
    values, errors = scored(context, spectra, (true, predicted), best)
    return Outcome(
        values=values,
        errors=errors,
        n={**spectra.sizes, "train": _distinct(config, spectra)},
        model={"name": name, "params": params},
        data=described(context, spectra),
        best=best,
    )


def _distinct(config: VitConfig | MlpConfig, spectra: Spectra) -> int:
    """How many different training stars the network was shown."""
    fresh = config.data.source == "grid-infinite"
    return spectra.sizes["train"] * (config.train.epochs if fresh else 1)


def make_model(model: VitModel | MlpModel, pixels: int, outputs: int) -> nn.Module:
    """The untrained network of a configuration."""
    match model:
        case VitModel():
            return ViT(model, pixels, outputs)
        case MlpModel():
            return MLP(model, pixels, outputs)


def make_task(config: VitConfig | MlpConfig, spectra: Spectra, device: torch.device) -> Task:
    """What the network of a configuration has to learn."""
    sample = min(spectra.sizes["train"], SCALING_SAMPLE)
    return Task(
        spectra=spectra,
        inputs=make_inputs(config.model.input, spectra),
        scaling=fit_scaling(spectra.labels("train", 0, sample), config.label_norm),
        labels=config.labels,
        train=config.train,
        device=device,
        loss=config.loss,
        model=asdict(config.model),
    )
