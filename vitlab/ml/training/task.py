"""A training task: spectra, label scaling, loss and processes; and the losses there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from vitlab.contract.config import MlpConfig, VitConfig
from vitlab.contract.networks import MlpModel, TrainConfig, VitModel, output_count
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.ml.network.layers import MLP
from vitlab.ml.network.vit import build
from vitlab.ml.spectra.dataset import Spectra
from vitlab.ml.spectra.inputs import Inputs, make_inputs
from vitlab.ml.spectra.labels import LabelScaling, fit_scaling
from vitlab.ml.training import checkpoint
from vitlab.ml.training.parallel import ALONE, Group

Loss = Callable[[Tensor, Tensor], Tensor]
"""(B, outputs) of a network and (B, K) scaled labels, float32 -> the mean loss, on their device."""

LOG_SIGMA = 7.0
"""Bound on |ln sigma|: predicted errors lie between 0.0009 and 1100 in scaled labels."""
_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def predicted_labels(outputs: Tensor, name: str) -> Tensor:
    """(B, outputs) -> the (B, K) predicted labels."""
    return outputs.chunk(2, dim=-1)[0] if name == "nll" else outputs


def predicted_sigma(outputs: Tensor, name: str) -> Tensor | None:
    """(B, outputs) -> the (B, K) predicted sigma of the scaled labels; None except for `nll`."""
    return _log_sigma(outputs).exp() if name == "nll" else None


def make_loss(name: str, weights: Sequence[float] = ()) -> Loss:
    """The loss `mse`, `l1`, `huber` (linear beyond 1) or `nll`; `weights` per label, () = 1 each.

    The mean over spectra, then the weighted mean over labels. Nothing is copied to or from the
    device, so the host never waits.
    """
    each = _LOSSES[name]

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        columns = each(outputs, targets).mean(dim=0)  # (K,)
        if not weights:
            return columns.mean()
        if len(weights) != len(columns):
            raise ValueError(f"{len(weights)} weights for {len(columns)} labels")
        parts = [weight * part for weight, part in zip(weights, columns.unbind(), strict=True)]
        total: Tensor = torch.stack(parts).sum() / sum(weights)
        return total

    return loss


def _log_sigma(outputs: Tensor) -> Tensor:
    """Smoothly bounded, so that neither exp(ln sigma) nor its inverse overflows."""
    return LOG_SIGMA * (outputs.chunk(2, dim=-1)[1] / LOG_SIGMA).tanh()


def _nll(outputs: Tensor, targets: Tensor) -> Tensor:
    """Gaussian, in nats; unlike torch's it does not copy the variances to the host."""
    log_sigma = _log_sigma(outputs)
    pull = (targets - predicted_labels(outputs, "nll")) * (-log_sigma).exp()
    return 0.5 * pull.square() + log_sigma + _HALF_LOG_TAU


_LOSSES: dict[str, Loss] = {
    "mse": lambda outputs, targets: functional.mse_loss(outputs, targets, reduction="none"),
    "l1": lambda outputs, targets: functional.l1_loss(outputs, targets, reduction="none"),
    "huber": lambda outputs, targets: functional.huber_loss(outputs, targets, reduction="none"),
    "nll": _nll,
}

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
    config: VitConfig | MlpConfig,
    spectra: Spectra,
    device: torch.device,
    group: Group = ALONE,
    fitted: tuple[Inputs, LabelScaling] | None = None,
) -> Task:
    """The training task of a configuration; `fitted`: as saved, None to fit them to `spectra`."""
    if fitted is None:
        sample = spectra.labels("train", 0, spectra.at_most("train", SCALING_SAMPLE))
        inputs = make_inputs(config.model.input, spectra)
        fitted = inputs, fit_scaling(sample, config.label_norm)
    return Task(
        spectra=spectra,
        inputs=fitted[0],
        scaling=fitted[1],
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
    fitted = saved.inputs, saved.scaling
    return network, make_task(config, spectra, device, fitted=fitted)
