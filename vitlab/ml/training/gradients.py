"""Forward and backward of one micro-batch, and what went wrong when its numbers are no numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from vitlab.ml.training.microbatches import MicroBatch
from vitlab.ml.training.task import Task

_NO_MEMORY = "can't allocate memory"
"""What torch's CPU allocator says; it has no exception of its own."""


def add_gradients(
    network: nn.Module, task: Task, part: MicroBatch, scaler: GradScaler | None = None
) -> Tensor:
    """Add the part's share of the step's gradient; returns its share of the loss, on the device.

    The network's random numbers (dropout) come from the part's own seed.
    """
    torch.manual_seed(part.seed)
    with task.autocast():
        predicted = network(part.inputs)
    loss = task.loss_function(predicted.float(), part.wanted) * part.share
    # The processes' gradients are averaged, the shares are to be summed.
    whole = loss * task.group.size
    torch.autograd.backward(scaler.scale(whole) if scaler else whole)
    return loss.detach()


def out_of_memory(error: RuntimeError) -> bool:
    """Whether the device, or on a CPU torch's allocator, had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or _NO_MEMORY in str(error)


def cause(network: nn.Module, task: Task, parts: Sequence[MicroBatch]) -> str:
    """The first thing that is not finite on the way from the data to the gradient, by its name.

    Empty when everything is finite now that it is computed again.
    """
    for name, parameter in network.named_parameters():
        if not parameter.isfinite().all():
            return f"the parameter {name} is not finite"
    for number, part in enumerate(parts):
        for what, tensor in (("input", part.inputs), ("scaled labels", part.wanted)):
            rows = (~tensor.isfinite().flatten(1).all(dim=1)).nonzero().flatten().tolist()
            if rows:
                return f"the {what} of spectrum {rows[0]} of micro-batch {number} is not finite"
    for part in parts:
        torch.manual_seed(part.seed)
        with torch.no_grad(), _outputs_watched(network) as found, task.autocast():
            predicted = network(part.inputs)
        if found:
            return f"the output of {found[0]} is the first that is not finite"
        if not task.loss_function(predicted.float(), part.wanted).isfinite():
            return f"the loss {task.loss} of finite predictions is not finite"
    for name, parameter in network.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            return f"the gradient of {name} is not finite"
    return ""


@contextmanager
def _outputs_watched(network: nn.Module) -> Iterator[list[str]]:
    """The names of the modules whose output is not finite, in the order they return."""
    found: list[str] = []

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                found.append(name)

        return hook

    handles = [
        module.register_forward_hook(watch(name or type(network).__name__))
        for name, module in network.named_modules()
    ]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
