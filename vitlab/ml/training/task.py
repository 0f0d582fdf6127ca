"""A training task: spectra, label scaling, loss and processes; and the losses there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vitlab.contract.config import MlpConfig, VitConfig, outputs_of
from vitlab.contract.networks import MlpModel, TrainConfig, VitModel
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.validation import ConfigError, read_strict
from vitlab.ml.network.density import Mixture, bounded, mixture
from vitlab.ml.network.layers import MLP
from vitlab.ml.network.vit import build
from vitlab.ml.scoring import DensityScores
from vitlab.ml.spectra.dataset import GridSpectra, Spectra, unpermuted
from vitlab.ml.spectra.file_spectra import FileSpectra
from vitlab.ml.spectra.inputs import Inputs, make_inputs
from vitlab.ml.spectra.labels import RANGES, LabelScaling, fit_scaling, other_labels
from vitlab.ml.training import checkpoint
from vitlab.ml.training.parallel import ALONE, Group
from vitlab.ml.training.throughput import DTYPES

Array = NDArray[np.float64]
Loss = Callable[[Tensor, Tensor], Tensor]
"""(B, outputs) of a network and (B, K) scaled labels, float32 -> the mean loss, on their device."""

_HALF_LOG_TAU = 0.5 * math.log(2 * math.pi)


def density(outputs: Tensor, name: str, labels: int) -> Mixture | None:
    """(B, outputs) -> the predicted density of the scaled labels; None except for `nll`, `mixture`.

    That of `nll` has one component, without correlations.
    """
    if name == "mixture":
        return mixture(outputs, labels)
    if name != "nll":
        return None
    mean, log_sigma = outputs.chunk(2, dim=-1)
    factor = torch.diag_embed((-bounded(log_sigma)).exp())
    return Mixture(torch.zeros_like(mean[:, :1]), mean[:, None], factor[:, None])


def make_loss(name: str, weights: Sequence[float] = ()) -> Loss:
    """The loss `mse`, `l1`, `huber` (linear beyond 1), `nll` or `mixture`.

    `weights` per label, () = 1 each; a mixture has none: its loss is of all labels together.

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


def _nll(outputs: Tensor, targets: Tensor) -> Tensor:
    """Gaussian, in nats; unlike torch's it does not copy the variances to the host."""
    mean, raw = outputs.chunk(2, dim=-1)
    log_sigma = bounded(raw)
    pull = (targets - mean) * (-log_sigma).exp()
    return 0.5 * pull.square() + log_sigma + _HALF_LOG_TAU


_LOSSES: dict[str, Loss] = {
    "mse": lambda outputs, targets: functional.mse_loss(outputs, targets, reduction="none"),
    "l1": lambda outputs, targets: functional.l1_loss(outputs, targets, reduction="none"),
    "huber": lambda outputs, targets: functional.huber_loss(outputs, targets, reduction="none"),
    "nll": _nll,
    "mixture": lambda outputs, targets: (
        -mixture(outputs, targets.shape[-1]).log_density(targets)[:, None]
    ),
}

AMPERE, VOLTA = (8, 0), (7, 0)
"""Compute capabilities from which on a GPU has bf16, and fast fp16."""
SCALING_SAMPLE = 100_000
"""Training stars used to fit the label scaling."""


def precision_on(wanted: str, device: torch.device) -> str:
    """fp32, bf16 or fp16: `wanted`, or for auto what the device computes fast.

    A GPU before Ampere has no bf16, and gets fp16.
    """
    if device.type != "cuda":
        return "fp32" if wanted == "auto" else wanted
    capability = torch.cuda.get_device_capability(device)
    if wanted == "auto" and capability < VOLTA:
        return "fp32"
    if wanted in ("auto", "bf16"):
        return "bf16" if capability >= AMPERE else "fp16"
    return wanted


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
    job: str = ""
    """Mark of its job, saved in its checkpoints; empty outside one."""

    @property
    def begins_early(self) -> bool:
        """Whether the first epoch begins before it is known how many spectra of a file are usable.

        So it is where the order is one of groups of slabs, of which later ones may still be on
        their way to the device, and no schedule's decay lies in that epoch. Its schedule then
        counts all spectra with labels, on all devices, so that they take the same steps.
        """
        train = self.train
        stable = train.epochs * (1 - train.decay if train.schedule == "wsd" else 1)
        grouped = isinstance(self.spectra, FileSpectra) and self.spectra.slabs.plan.group > 0
        return grouped and stable >= 2 and not train.reuse_trunk

    @property
    def stars(self) -> int:
        """Spectra of an epoch; as long as that is not known, the most there may be."""
        spectra = self.spectra
        if self.begins_early and isinstance(spectra, FileSpectra) and not spectra.is_read:
            return spectra.most
        return spectra.sizes["train"]

    @property
    def steps_per_epoch(self) -> int:
        """As `stars`."""
        return math.ceil(self.stars / self.train.size)

    @property
    def steps(self) -> int:
        """As `stars`."""
        return self.train.epochs * self.steps_per_epoch

    def place(self, step: int) -> tuple[int, int]:
        """The epoch of a step and its number there, both from 0; waits until they are known."""
        size, seed, spectra = self.train.size, self.train.seed, self.spectra
        early = self.begins_early and isinstance(spectra, FileSpectra) and not spectra.is_read
        if early and len(spectra.part(0, seed, step * size, step * size + 1)):
            return 0, step
        return divmod(step, math.ceil(spectra.sizes["train"] / size))

    def schedule(self, step: int) -> tuple[int, int]:
        """Steps of the whole training and of an epoch, as the schedule counts them at a step."""
        stars = self.spectra.sizes["train"] if self.place(step)[0] else self.most
        each = math.ceil(stars / self.train.size)
        return self.train.epochs * each, each

    @property
    def most(self) -> int:
        """Spectra of an epoch as the schedule counts them in the first."""
        spectra = self.spectra
        if self.begins_early and isinstance(spectra, FileSpectra):
            return spectra.most
        return spectra.sizes["train"]

    @property
    def how(self) -> dict[str, Any]:
        """How it is run, as in `TrainConfig`; what is still `auto` as it is without a trial."""
        train, alone = self.train, self.group.size == 1
        return {
            "precision": precision_on(train.precision, self.device),
            "compile": train.compile is True,
            "graphs": train.graphs is True and alone and self.device.type == "cuda",
            "batch": train.size,
        }

    @property
    def loss_function(self) -> Loss:
        return make_loss(self.loss, self.label_weights)

    def estimate(self, outputs: Tensor) -> tuple[Tensor, Tensor | None]:
        """(B, outputs) -> (B, K) labels in their own units, and errors where they are predicted.

        Of a density its mean and standard deviation. In double precision.
        """
        found = density(outputs.double(), self.loss, len(self.labels))
        if found is None:
            labels: Tensor = self.scaling.original(outputs.double())
            return labels, None
        return found.moments(self.scaling.original)

    def density_scores(self, outputs: Tensor, true: Array) -> DensityScores | None:
        """(n, outputs) of stars with (n, K) true labels; None where no density is predicted."""
        found = density(outputs.double(), self.loss, len(self.labels))
        if found is None:
            return None
        targets = torch.from_numpy(self.scaling.scaled(true)).to(outputs.device)
        slope = self.scaling.log_slope(true)
        return DensityScores(
            log_score=found.log_marginals(targets).cpu().numpy() + slope,
            joint=found.log_density(targets).cpu().numpy() + slope.sum(axis=1),
            pit=found.below(targets).cpu().numpy(),
        )

    def autocast(self) -> torch.autocast:
        """The precision of matrix products; weights, losses and sums stay in fp32."""
        dtype = DTYPES[self.how["precision"]]
        enabled = dtype != torch.float32
        return torch.autocast(
            self.device.type, dtype=dtype if enabled else torch.bfloat16, enabled=enabled
        )


def make_model(config: VitConfig | MlpConfig, spectra: Spectra) -> nn.Module:
    """The untrained network of a configuration for a data set."""
    outputs = outputs_of(config)
    match config.model:
        case VitModel() as model:
            return build(model, spectra, outputs)
        case MlpModel() as model:
            return MLP(model, spectra.pixels, outputs)


def label_ranges(
    config: VitConfig | MlpConfig, spectra: Spectra
) -> tuple[tuple[float, float], ...]:
    """The ranges a predicted mixture is bounded by: those of simulated stars; () for a file."""
    known = config.loss == "mixture" and isinstance(unpermuted(spectra), GridSpectra)
    return tuple(RANGES[name] for name in config.labels) if known else ()


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
        ranges = label_ranges(config, spectra)
        fitted = inputs, fit_scaling(sample, config.label_norm, ranges)
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


def _least_weights(model: VitModel | MlpModel, pixels: int) -> int:
    """Weights of a network's largest matrices: what it has at least, and nearly all of it."""
    if isinstance(model, MlpModel):
        return sum(a * b for a, b in pairwise((pixels, *model.hidden)))
    blocks = model.layers * model.hidden * (4 * model.hidden + 2 * model.inner)
    maps = model.patches(pixels) if model.tokenizer == "LC" else 1
    return blocks + maps * model.patch * model.channels * model.hidden


def load_network(
    job: JobPaths, config: VitConfig | MlpConfig, spectra: Spectra, device: torch.device
) -> tuple[nn.Module, Task]:
    """The best state of a job's network, trained on `spectra`.

    `UsageError` when there is none, or it is from another version of the model.
    """
    path = job.checkpoints / checkpoint.BEST
    saved = checkpoint.load(path, device)
    if saved.labels != config.labels:  # with as many labels its weights would fit
        raise UsageError(f"{path}: {other_labels(saved.labels, config.labels)}")
    if saved.loss != config.loss:
        raise UsageError(f"{path}: was trained with loss {saved.loss}, not {config.loss}")
    if unlike := saved.inputs.unlike(spectra.wave):
        raise UsageError(f"{path}: {unlike}")
    try:  # as it was configured then, whatever the defaults are now
        model = {**asdict(config.model), **saved.config}
        built: Any = read_strict(type(config.model), model, "config")
        config = replace(config, model=built)
        # A number in a file asks for any memory; so does a tensor that repeats one number.
        storages = {one.data_ptr(): one.untyped_storage().nbytes() for one in saved.model.values()}
        if _least_weights(built, spectra.pixels) > sum(storages.values()) // 4:
            raise RuntimeError("its configuration has more weights than it holds")
        network = make_model(config, spectra).to(device)
        network.load_state_dict(saved.model)
    except (RuntimeError, ConfigError) as error:
        reason = str(error).split("\n", 1)[0]
        raise UsageError(f"{path}: from another version of the model ({reason})") from None
    fitted = saved.inputs, saved.scaling
    if config.train.precision == "auto":
        config = replace(config, train=replace(config.train, precision=saved.how["precision"]))
    return network, make_task(config, spectra, device, fitted=fitted)
