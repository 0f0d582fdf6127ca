"""The recipes of the networks: `vit` and `mlp`."""

from __future__ import annotations

import os

import torch

from vitlab.contract.config import MlpConfig, VitConfig
from vitlab.contract.networks import VitModel
from vitlab.jobs.estimate import describe
from vitlab.ml.spectra import Spectra, open_spectra
from vitlab.ml.train import train
from vitlab.ml.training.parallel import ALONE, Group, joined
from vitlab.ml.training.predict import predictions
from vitlab.ml.training.task import make_model, make_task
from vitlab.ml.vit import param_count
from vitlab.recipes.check import check
from vitlab.recipes.context import Context, Outcome, Stopped
from vitlab.recipes.group import rank
from vitlab.recipes.scored import described, scored


def run(context: Context) -> Outcome:
    """Train a network and score its best state on the test set."""
    if rank(os.environ) is None:
        return _run(context, torch.device(context.device), ALONE)
    own = f":{os.environ['LOCAL_RANK']}" if context.device == "cuda" else ""
    device = torch.device(context.device + own)
    with joined(device) as group:
        return _run(context, device, group)


def _run(context: Context, device: torch.device, group: Group) -> Outcome:
    """One process of the training; what it says is kept from the first one alone."""
    config, report = context.config, context.report
    assert isinstance(config, VitConfig | MlpConfig)
    spectra = open_spectra(config.data, config.noise.level, config.labels, device)
    report.note(describe(config, spectra.pixels, device.type == "cuda"))
    torch.manual_seed(config.train.seed)
    model = make_model(config, spectra).to(device)
    task = make_task(config, spectra, device, group)
    of = f" in each of {group.size} processes" if group.size > 1 else ""
    report.note(f"{task.steps} steps on {device}{of}")
    if not context.resume:
        report.note(check(model, task))
    best = report.follow(
        train(model, task, context.paths.checkpoints, context.resume, context.stopped)
    )
    if group.any(context.stopped()):
        raise Stopped
    found = predictions(model, task, "test")
    pair = found.true, found.predicted
    values, errors = scored(context, spectra, pair, best, found.sigma) if group.first else ({}, {})
    return Outcome(
        values=values,
        errors=errors,
        n={**spectra.sizes, "train": _distinct(config, spectra)},
        model={"name": _name(config), "params": param_count(model)},
        data=described(context, spectra),
        best=best,
    )


def _name(config: VitConfig | MlpConfig) -> str:
    return "ViT" if isinstance(config.model, VitModel) else "MLP"


def _distinct(config: VitConfig | MlpConfig, spectra: Spectra) -> int:
    """How many different training stars the network was shown."""
    fresh = config.data.source == "grid-infinite"
    return spectra.sizes["train"] * (config.train.epochs if fresh else 1)
