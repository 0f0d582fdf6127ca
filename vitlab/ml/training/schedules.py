"""The learning rate: a warm-up, then a cosine, a plateau's steps down, or nothing more."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vitlab.contract.networks import TrainConfig


@dataclass(frozen=True)
class Plateau:
    """What a `plateau` schedule remembers from one validation to the next."""

    factor: float = 1.0
    """On `lr`."""
    waited: int = 0
    """Validations since the last better one, or the last step down."""

    def after(self, better: bool, train: TrainConfig) -> Plateau:
        """The state after one more validation."""
        if better:
            return Plateau(self.factor)
        if self.waited + 1 < train.plateau_patience:
            return Plateau(self.factor, self.waited + 1)
        return Plateau(self.factor * train.plateau_factor)


def learning_rate(train: TrainConfig, steps: int, step: int, plateau: Plateau) -> float:
    """The rate of `step` (from 0) out of `steps`.

    Linear warm-up to `lr`; then `cosine`: to `min_lr` at the last step (Loshchilov & Hutter 2017,
    eq. 5, without restarts); `plateau`: `lr` times its factor, at least `min_lr`; `constant`.
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
