"""A trained network, from its job's folder: built as it was then, with the input it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from vitlab.contract.config import MlpConfig, VitConfig
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.ml.spectra import Spectra
from vitlab.ml.training import checkpoint
from vitlab.ml.training.task import Task
from vitlab.recipes.vit import make_model, make_task


def load_network(
    job: JobPaths, config: VitConfig | MlpConfig, own: Spectra, device: torch.device
) -> tuple[nn.Module, Task]:
    """The best state of a training; `own` is the data it was trained on.

    `UsageError` where there is none, or it is of another version of the model.
    """
    path = job.checkpoints / checkpoint.BEST
    saved = checkpoint.load(path, device)
    try:  # what it was built from then, whatever the defaults are now
        built: Any = replace(config.model, **saved.config)
        config = replace(config, model=built)
        network = make_model(config, own).to(device)
        network.load_state_dict(saved.model)
    except (RuntimeError, TypeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise UsageError(f"{path}: of another version of the model ({reason})") from None
    task = make_task(config, own, device)
    return network, replace(task, inputs=saved.inputs, scaling=saved.scaling)
