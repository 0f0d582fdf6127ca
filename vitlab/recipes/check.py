"""One forward and backward step before a training begins: what would fail later, fails now."""

from __future__ import annotations

import math
import resource
import time

import torch
from torch import nn

from vitlab.ml.progress import NonFiniteLoss
from vitlab.ml.training.gradients import add_gradients, out_of_memory
from vitlab.ml.training.microbatches import Key, make
from vitlab.ml.training.task import Task


def check(model: nn.Module, task: Task) -> str:
    """What the first micro-batch costs, as a line; nothing of the training is changed.

    Raises `NonFiniteLoss`. A micro-batch that does not fit into memory is said: the training
    will halve it.
    """
    begun = time.perf_counter()
    group = task.group
    of = task.train.accumulate * group.size
    part = make(task, Key(0, group.rank, of))
    cuda = task.device.type == "cuda"
    model.train()
    with torch.random.fork_rng(devices=[task.device] if cuda else []):
        try:
            loss = float(add_gradients(model, task, part)) / (part.share or math.nan)
        except RuntimeError as error:
            if not out_of_memory(error):
                raise
            model.zero_grad(set_to_none=True)
            return f"checked: a micro-batch of {len(part.wanted)} does not fit into memory"
    # Of this part alone, as if it were the whole step.
    weight = part.share * group.size
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    norm = float(nn.utils.get_total_norm(grads)) / (weight or math.nan)
    model.zero_grad(set_to_none=True)
    if part.share and not math.isfinite(loss + norm):
        raise NonFiniteLoss(f"the loss of the first batch is {loss}, its gradient {norm}")
    seconds = time.perf_counter() - begun
    return (
        f"checked on one batch of {len(part.wanted)}: loss {loss:.3g}, gradient {norm:.3g}, "
        f"{seconds:.2f} s, {_memory(task.device)}"
    )


def _memory(device: torch.device) -> str:
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        total = torch.cuda.get_device_properties(device).total_memory
        return f"{peak / 1e9:.2f} of {total / 1e9:.1f} GB on the device"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"{peak / 1e9:.2f} GB resident"
