"""The optimizers (AdamW, and Muon for hidden matrices), the schedules and the moving average."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, assert_never

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer
from torch.optim.swa_utils import AveragedModel

from vitlab.contract.networks import TrainConfig
from vitlab.contract.paths import UsageError
from vitlab.ml.network.mup import rate_factors
from vitlab.ml.network.vit import LocalTokens

FUSED = ("cuda", "cpu")
"""Devices on which torch has a fused AdamW."""
WEIGHTED = (nn.Linear, nn.Conv1d, LocalTokens)
"""Layers whose weights decay, as in DeiT (Touvron et al. 2021): all matrices, the maps of patches
included; biases, norms, [CLS] and position tables do not."""


def make_optimizers(network: nn.Module, train: TrainConfig) -> list[Optimizer]:
    """The optimizers; each parameter of `network` belongs to exactly one.

    Muon (Jordan et al. 2024) with the step size of Liu et al. (2025), arXiv:2502.16982, which
    matches the RMS of AdamW, so both share one learning rate. `UsageError` without a hidden matrix.
    """
    match train.optimizer:
        case "adamw":
            hidden = []
        case "muon":
            hidden = hidden_matrices(network)
            if not hidden:
                raise UsageError(
                    "config.train.optimizer: 'muon' is for the matrices between the first and "
                    "last layers, and this network has none (allowed: adamw)"
                )
        case _:
            assert_never(train.optimizer)
    taken = {id(parameter) for parameter in hidden}
    heavy = {id(m.weight) for m in network.modules() if isinstance(m, WEIGHTED)}
    rest = [p for p in network.parameters() if p.requires_grad and id(p) not in taken]
    factors = rate_factors(network)
    kinds: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for p in sorted(rest, key=lambda p: id(p) not in heavy):
        kinds.setdefault((id(p) in heavy, factors.get(id(p), 1.0)), []).append(p)
    groups: list[dict[str, Any]] = [
        {"params": each, "weight_decay": train.weight_decay / by if decays else 0.0, "factor": by}
        for (decays, by), each in kinds.items()
    ]
    fused = all(p.device.type in FUSED for p in rest)
    optimizers: list[Optimizer] = [AdamW(groups, lr=train.lr, fused=fused)]
    if hidden:
        decay = train.weight_decay
        optimizers.append(StackedMuon(hidden, train.lr, decay, adjust_lr_fn="match_rms_adamw"))
    return optimizers


class StackedMuon(Muon):
    """Torch's Muon, which takes one matrix after the other, with all matrices of a shape at once.

    A network has many alike, each with 15 products that are small for a GPU. The state is torch's.
    """

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override] # noqa: ARG002
        """Take a step with the gradients there are."""
        for group in self.param_groups:
            given = [p for p in group["params"] if p.grad is not None]
            if not given:
                continue
            for p in given:
                if not self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            gradients = [p.grad for p in given]
            momenta = [self.state[p]["momentum_buffer"] for p in given]
            torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
            updates = torch._foreach_lerp(gradients, momenta, group["momentum"])
            torch._foreach_mul_(given, 1 - group["lr"] * group["weight_decay"])
            alike: dict[torch.Size, list[int]] = {}
            for k, update in enumerate(updates):
                alike.setdefault(update.shape, []).append(k)
            for shape, members in alike.items():
                turned = _orthogonal(torch.stack([updates[k] for k in members]), group)
                rate = group["lr"] * 0.2 * math.sqrt(max(shape))  # `match_rms_adamw`
                parts = turned.float().unbind()
                torch._foreach_add_([given[k] for k in members], parts, alpha=-rate)


def _orthogonal(matrices: Tensor, group: dict[str, Any]) -> Tensor:
    """(n, rows, columns) -> the nearest with singular values near 1, in bf16: Newton-Schulz."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.bfloat16()
    x = x.mT.contiguous() if tall else x
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=group["eps"])
    a, b, c = group["ns_coefficients"]
    for _ in range(group["ns_steps"]):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


def hidden_matrices(network: nn.Module) -> list[Tensor]:
    """The weights of the linear layers in a transformer's `blocks`.

    For any other network, all but the first and last.
    """
    blocks = getattr(network, "blocks", None)
    inside = blocks if isinstance(blocks, nn.Module) else network
    matrices = [m.weight for m in inside.modules() if isinstance(m, nn.Linear)]
    return matrices if blocks is not None else matrices[1:-1]


def set_rate(optimizers: list[Optimizer], rate: float) -> None:
    """Set the learning rate of all optimizers; of a group times its own `factor`."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("factor", 1.0)


@dataclass(frozen=True)
class Plateau:
    """The state of a `plateau` schedule."""

    factor: float = 1.0
    """Factor on `lr`."""
    waited: int = 0
    """Validations since the last improvement or reduction."""

    def after(self, better: bool, train: TrainConfig) -> Plateau:
        """The state after one more validation."""
        if better:
            return Plateau(self.factor)
        if self.waited + 1 < train.plateau_patience:
            return Plateau(self.factor, self.waited + 1)
        return Plateau(self.factor * train.plateau_factor)


def stable_steps(train: TrainConfig, steps: int) -> int:
    """Steps before the decay of a `wsd` schedule; of another, whose best state is any, 0."""
    return steps - max(round(train.decay * steps), 1) if train.schedule == "wsd" else 0


def learning_rate(
    train: TrainConfig, steps: int, step: int, plateau: Plateau, epoch_steps: int = 0
) -> float:
    """The learning rate of `step` (from 0) out of `steps`, `epoch_steps` in each epoch.

    Linear warm-up to `lr`, then `cosine`: to `min_lr` at the last step (Loshchilov & Hutter 2017,
    eq. 5, without restarts); `plateau`: `lr` times its factor, at least `min_lr`; `constant`; or
    `wsd`: `lr`, then to `min_lr` at the last step by 1 - sqrt (Hagele et al. 2024,
    arXiv:2405.18392, eq. 1).
    """
    stable = stable_steps(train, steps)
    warm = round(train.warmup * steps)
    if train.schedule == "wsd":
        warm = min(round(train.warmup * epoch_steps), stable)
    if step < warm:
        return train.lr * (step + 1) / warm
    match train.schedule:
        case "constant":
            return train.lr
        case "wsd":
            if step < stable:
                return train.lr
            done = (step + 1 - stable) / (steps - stable)
            return train.min_lr + (train.lr - train.min_lr) * (1 - math.sqrt(done))
        case "plateau":
            return max(train.lr * plateau.factor, min(train.min_lr, train.lr))
        case "cosine":
            done = (step - warm) / max(steps - 1 - warm, 1)
            return train.min_lr + (train.lr - train.min_lr) * (1 + math.cos(math.pi * done)) / 2


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of `network`'s weights, with decay `decay_at(decay, t)`.

    The decay rises to its value, so that the initial weights are soon forgotten.
    """
    average = _Average(network)
    average.decay = decay
    for parameter in average.parameters():
        parameter.requires_grad_(False)
    return average


class _Average(AveragedModel):
    """Unlike torch's update this one copies nothing to the device, for which the host would wait.

    The network's buffers never change, so only the parameters are averaged.
    """

    decay: float

    @torch.no_grad()
    def update_parameters(self, model: nn.Module) -> None:
        averaged: list[Tensor] = list(self.module.parameters())
        current: list[Tensor] = list(model.parameters())
        updates = int(self.n_averaged)  # on the host
        if updates:
            torch._foreach_lerp_(averaged, current, 1 - decay_at(self.decay, updates))
        else:
            torch._foreach_copy_(averaged, current)
        self.n_averaged += 1


def decay_at(decay: float, updates: int) -> float:
    """(1 + t) / (10 + t), at most `decay`, as in TensorFlow's ExponentialMovingAverage."""
    return min(decay, (1 + updates) / (10 + updates))
