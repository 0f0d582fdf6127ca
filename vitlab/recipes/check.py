"""One forward and backward step before a training begins: what would fail later, fails now."""

from __future__ import annotations

import math
import resource
import time

import torch
from torch import nn

from vitlab.ml.progress import NonFiniteLoss
from vitlab.ml.train import LOSSES, Task


def check(model: nn.Module, task: Task) -> str:
    """What one batch of the first epoch costs, as a line; nothing of the training is changed.

    Raises `NonFiniteLoss`; a batch that does not fit into memory fails here as it would later.
    """
    begun = time.perf_counter()
    rows = task.spectra.order(0, task.train.seed)[: task.train.batch]
    cuda = task.device.type == "cuda"
    with torch.random.fork_rng(devices=[task.device] if cuda else []):
        generator = torch.Generator(task.device).manual_seed(task.train.seed)
        batch = task.spectra.fresh(0, rows, generator)
        wanted = torch.from_numpy(task.scaling.scaled(batch.labels))
        model.train()
        bf16 = task.train.precision == "bf16"
        with torch.autocast(task.device.type, dtype=torch.bfloat16, enabled=bf16):
            predicted = model(task.inputs(batch))
        wanted = wanted.to(task.device, torch.float32)
        loss = LOSSES[task.loss](predicted.float(), wanted)
        torch.autograd.backward(loss)
    norm = float(nn.utils.get_total_norm(p.grad for p in model.parameters() if p.grad is not None))
    number = float(loss.detach())
    model.zero_grad(set_to_none=True)
    if not math.isfinite(number + norm):
        raise NonFiniteLoss(f"the loss of the first batch is {number}, its gradient {norm}")
    seconds = time.perf_counter() - begun
    return (
        f"checked on one batch of {len(rows)}: loss {number:.3g}, gradient {norm:.3g}, "
        f"{seconds:.2f} s, {_memory(task.device)}"
    )


def _memory(device: torch.device) -> str:
    if device.type == "cuda":
        peak = torch.cuda.max_memory_allocated(device)
        total = torch.cuda.get_device_properties(device).total_memory
        return f"{peak / 1e9:.2f} of {total / 1e9:.1f} GB on the device"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return f"{peak / 1e9:.2f} GB resident"
