"""The processes that train one network together; torchrun starts them (`vitlab.recipes.run`)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Group:
    """The processes that share each step, as seen by one of them."""

    rank: int = 0
    size: int = 1
    control: Any = None
    """Gloo process group for agreement between hosts, without waiting for a device."""

    @property
    def first(self) -> bool:
        """Whether this process writes events, checkpoints and results."""
        return self.rank == 0

    def share(self, network: nn.Module, device: torch.device) -> nn.Module:
        """`network` with gradients averaged over the processes in the backward pass."""
        if self.size == 1:
            return network
        devices = [device] if device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices, gradient_as_bucket_view=True)

    def total(self, numbers: Tensor) -> Tensor:
        """Sum over the processes, in place."""
        if self.size > 1:
            distributed.all_reduce(numbers)
        return numbers

    def any(self, flag: bool) -> bool:
        """Whether any process's flag is set; all processes must call this."""
        if self.size == 1:
            return flag
        highest = torch.tensor([float(flag)])
        distributed.all_reduce(highest, op=distributed.ReduceOp.MAX, group=self.control)
        return bool(highest.item())

    def of_first(self, number: float) -> float:
        """The number of the first process; all processes must call this."""
        if self.size == 1:
            return number
        told = torch.tensor([number], dtype=torch.float64)
        distributed.broadcast(told, 0, group=self.control)
        return float(told.item())

    def first_text(self, text: str) -> str:
        """The text of the lowest rank that has one; all processes must call this."""
        if self.size == 1:
            return text
        texts: list[str] = [""] * self.size
        distributed.all_gather_object(texts, text, group=self.control)
        return next((one for one in texts if one), "")

    def wait(self) -> None:
        """Wait for all processes."""
        self.any(False)


ALONE = Group()


def without_sync(network: nn.Module) -> AbstractContextManager[Any]:
    """A context in which backward passes accumulate local gradients without averaging."""
    return network.no_sync() if isinstance(network, DistributedDataParallel) else nullcontext()


def is_lost_partner(error: BaseException) -> bool:
    """Whether a process failed because another one died; gloo has no exception type."""
    gloo = isinstance(error, RuntimeError) and "gloo" in str(error)
    return gloo or isinstance(error, distributed.DistError)


@contextmanager
def join_group(device: torch.device) -> Iterator[Group]:
    """The group torchrun started this process in: NCCL on CUDA, gloo on a CPU.

    All leave together, so that none is killed while the first is still writing; one that fails
    leaves at once.
    """
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if cuda else "gloo")
    control = distributed.new_group(backend="gloo") if cuda else None
    group = Group(distributed.get_rank(), distributed.get_world_size(), control)
    yield group
    group.wait()
    distributed.destroy_process_group()
