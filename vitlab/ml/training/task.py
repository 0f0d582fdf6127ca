"""What a training is given: the spectra, the scale of the labels, the loss, the processes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from vitlab.contract.networks import TrainConfig
from vitlab.ml.inputs import Inputs
from vitlab.ml.labels import LabelScaling
from vitlab.ml.spectra import Spectra
from vitlab.ml.training.losses import Loss, make_loss
from vitlab.ml.training.parallel import ALONE, Group

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Task:
    """What is to be learned, from what, and how."""

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
    """What the network was built from; kept in its checkpoints."""
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
        """The precision products are taken in; weights, losses and sums stay in fp32."""
        dtype = DTYPES[self.train.precision]
        enabled = dtype != torch.float32
        return torch.autocast(
            self.device.type, dtype=dtype if enabled else torch.bfloat16, enabled=enabled
        )
