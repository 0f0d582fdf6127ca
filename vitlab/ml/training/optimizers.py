"""The optimizers (AdamW, and Muon for hidden matrices) and the learning-rate schedules."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from vitlab.contract.networks import TrainConfig
from vitlab.contract.paths import UsageError
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
    groups = [
        {"params": [p for p in rest if id(p) in heavy], "weight_decay": train.weight_decay},
        {"params": [p for p in rest if id(p) not in heavy], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    fused = all(p.device.type in FUSED for p in rest)
    optimizers: list[Optimizer] = [AdamW(groups, lr=train.lr, fused=fused)]
    if hidden:
        decay = train.weight_decay
        optimizers.append(
            Muon(hidden, lr=train.lr, weight_decay=decay, adjust_lr_fn="match_rms_adamw")
        )
    return optimizers


def hidden_matrices(network: nn.Module) -> list[Tensor]:
    """The weights of the linear layers in a transformer's `blocks`.

    For any other network, all but the first and last.
    """
    blocks = getattr(network, "blocks", None)
    inside = blocks if isinstance(blocks, nn.Module) else network
    matrices = [m.weight for m in inside.modules() if isinstance(m, nn.Linear)]
    return matrices if blocks is not None else matrices[1:-1]


def set_rate(optimizers: list[Optimizer], rate: float) -> None:
    """Set the learning rate of all optimizers."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate


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


def learning_rate(train: TrainConfig, steps: int, step: int, plateau: Plateau) -> float:
    """The learning rate of `step` (from 0) out of `steps`.

    Linear warm-up to `lr`, then `cosine`: to `min_lr` at the last step (Loshchilov & Hutter 2017,
    eq. 5, without restarts); `plateau`: `lr` times its factor, at least `min_lr`; or `constant`.
    """
    warm = round(train.warmup * steps)
    if step < warm:
        return train.lr * (step + 1) / warm
    match train.schedule:
        case "constant":
            return train.lr
        case "plateau":
            return max(train.lr * plateau.factor, min(train.min_lr, train.lr))
        case "cosine":
            done = (step - warm) / max(steps - 1 - warm, 1)
            return train.min_lr + (train.lr - train.min_lr) * (1 + math.cos(math.pi * done)) / 2
