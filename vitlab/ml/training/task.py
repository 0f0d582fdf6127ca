"""A training task: spectra, label scaling, loss and processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import nn

from vitlab.contract.config import MlpConfig, VitConfig
from vitlab.contract.networks import MlpModel, TrainConfig, VitModel, output_count
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.ml.network.layers import MLP
from vitlab.ml.network.vit import build
from vitlab.ml.spectra.dataset import Spectra
from vitlab.ml.spectra.inputs import Inputs, make_inputs
from vitlab.ml.spectra.labels import LabelScaling, fit_scaling
from vitlab.ml.training import checkpoint
from vitlab.ml.training.losses import Loss, make_loss
from vitlab.ml.training.parallel import ALONE, Group

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
SCALING_SAMPLE = 100_000
"""Training stars used to fit the label scaling."""


@dataclass(frozen=True)
class Task:
    """What is learned, from what, and how."""

    spectra: Spectra
    inputs: Inputs
    scaling: LabelScaling
    labels: tuple[str, ...]
    train: TrainConfig
    device: torch.device
    loss: str = "mse"
    label_weights: tuple[float, ...] = ()
    """Weight of each label in the loss; () means 1 each."""
    model: Mapping[str, Any] = field(default_factory=dict)
    """The network's configuration, saved in its checkpoints."""
    group: Group = ALONE
    """The processes that share each step."""

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.spectra.sizes["train"] / self.train.batch)

    @property
    def steps(self) -> int:
        return self.train.epochs * self.steps_per_epoch

    @property
    def loss_function(self) -> Loss:
        return make_loss(self.loss, self.label_weights)

    def autocast(self) -> torch.autocast:
        """The precision of matrix products; weights, losses and sums stay in fp32."""
        dtype = DTYPES[self.train.precision]
        enabled = dtype != torch.float32
        return torch.autocast(
            self.device.type, dtype=dtype if enabled else torch.bfloat16, enabled=enabled
        )


def make_model(config: VitConfig | MlpConfig, spectra: Spectra) -> nn.Module:
    """The untrained network of a configuration for a data set."""
    outputs = output_count(config.loss, len(config.labels))
    match config.model:
        case VitModel() as model:
            return build(model, spectra, outputs)
        case MlpModel() as model:
            return MLP(model, spectra.pixels, outputs)


def make_task(
    config: VitConfig | MlpConfig, spectra: Spectra, device: torch.device, group: Group = ALONE
) -> Task:
    """The training task of a configuration."""
    sample = min(spectra.sizes["train"], SCALING_SAMPLE)
    return Task(
        spectra=spectra,
        inputs=make_inputs(config.model.input, spectra),
        scaling=fit_scaling(spectra.labels("train", 0, sample), config.label_norm),
        labels=config.labels,
        train=config.train,
        device=device,
        loss=config.loss,
        label_weights=config.label_weights,
        model=asdict(config.model),
        group=group,
    )


def load_network(
    job: JobPaths, config: VitConfig | MlpConfig, spectra: Spectra, device: torch.device
) -> tuple[nn.Module, Task]:
    """The best state of a job's network, trained on `spectra`.

    `UsageError` when there is none, or it is from another version of the model.
    """
    path = job.checkpoints / checkpoint.BEST
    saved = checkpoint.load(path, device)
    try:  # as it was configured then, whatever the defaults are now
        built: Any = replace(config.model, **saved.config)
        config = replace(config, model=built)
        network = make_model(config, spectra).to(device)
        network.load_state_dict(saved.model)
    except (RuntimeError, TypeError) as error:
        reason = str(error).split("\n", 1)[0]
        raise UsageError(f"{path}: from another version of the model ({reason})") from None
    task = make_task(config, spectra, device)
    return network, replace(task, inputs=saved.inputs, scaling=saved.scaling)
