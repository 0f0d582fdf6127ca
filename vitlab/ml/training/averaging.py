"""A moving average of the weights: what is validated and kept in place of the last ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

Tensors = tuple[Tensor, ...] | list[Tensor]


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """A copy of `network` that follows it: after update t it keeps `decay_at(decay, t)` of itself.

    The weights a training starts with have no say for long: the decay rises to its value.
    """

    def blend(averaged: Tensors, current: Tensors, _updates: Tensor | int) -> None:
        # The count on the host: the argument lies on the device.
        kept = decay_at(decay, int(average.n_averaged))
        torch._foreach_lerp_(averaged, current, 1 - kept)

    # The network's buffers are tables that never change.
    average = AveragedModel(network, multi_avg_fn=blend)
    for parameter in average.parameters():
        parameter.requires_grad_(False)
    return average


def decay_at(decay: float, updates: int) -> float:
    """(1 + t) / (10 + t) until that reaches `decay`, as TensorFlow's ExponentialMovingAverage."""
    return min(decay, (1 + updates) / (10 + updates))
