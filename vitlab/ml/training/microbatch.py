"""The micro-batches of a step: made ahead, run forward and backward, checked for finite numbers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from vitlab.ml.spectra.observation import on_device
from vitlab.ml.training.task import Task


@dataclass(frozen=True)
class Key:
    """Which micro-batch: of step `step` (from 0) the one with `number` out of `of`."""

    step: int
    number: int
    of: int
    rewinds: int = 0
    """How often the training was set back: it goes on with other noise."""


@dataclass(frozen=True)
class MicroBatch:
    """A part of a step's spectra, ready for the network."""

    inputs: Tensor
    """(B, L) or (B, channels, L)."""
    wanted: Tensor
    """(B, K) scaled labels."""
    share: float
    """Of the step's spectra; 0 for one that only keeps the processes in step."""
    seed: int
    """Of the network's own random numbers (dropout)."""

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        return self.inputs, self.wanted


def rows_of(task: Task, key: Key) -> tuple[np.ndarray, float]:
    """Indices of the training spectra of a micro-batch, and their share of the step's.

    Where a short last step has fewer spectra than micro-batches, the first spectrum stands in
    with share 0.
    """
    epoch, place = divmod(key.step, task.steps_per_epoch)
    batch = task.train.batch
    rows = task.spectra.order(epoch, task.train.seed)[place * batch : (place + 1) * batch]
    part = np.array_split(rows, key.of)[key.number]
    return (part, len(part) / len(rows)) if len(part) else (rows[:1], 0.0)


def make(task: Task, key: Key) -> MicroBatch:
    """The micro-batch, its noise drawn on the task's device."""
    rows, share = rows_of(task, key)
    state = np.random.SeedSequence([task.train.seed, key.rewinds, key.step, key.number])
    noise, dropout = state.generate_state(2, np.uint64).tolist()
    generator = torch.Generator(task.device).manual_seed(noise)
    batch = task.spectra.fresh(key.step // task.steps_per_epoch, rows, generator)
    scaled = task.scaling.scaled(batch.labels).astype(np.float32)
    wanted = on_device(scaled, task.device)
    return MicroBatch(task.inputs(batch), wanted, share, dropout)


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


K = TypeVar("K")


class OnDevice(Protocol):
    """Something made of tensors."""

    @property
    def tensors(self) -> tuple[Tensor, ...]: ...


T = TypeVar("T", bound=OnDevice)


class Prefetch(Generic[K, T]):
    """`make(key)` for each key in turn, `ahead` of them made before they are asked for.

    One thread makes them in the order of the keys, so what comes out does not depend on its
    timing. On CUDA it works on a stream of its own: copies and noise overlap with the training.
    """

    def __init__(
        self, make: Callable[[K], T], keys: Iterable[K], ahead: int, device: torch.device
    ) -> None:
        self._make, self._keys, self._ahead = make, iter(keys), ahead
        self._stream: Any = None
        if device.type == "cuda" and ahead:
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._waiting: deque[Future[tuple[T, Any]]] = deque()
        self._thread = ThreadPoolExecutor(1, "prefetch") if ahead else None

    def next(self) -> T:
        """The next one; raises what making it raised. `StopIteration` after the last key."""
        if self._thread is None:
            return self._make(next(self._keys))
        while len(self._waiting) <= self._ahead:
            key = next(self._keys, None)
            if key is None:
                break
            self._waiting.append(self._thread.submit(self._made, key))
        if not self._waiting:
            raise StopIteration
        item, ready = self._waiting.popleft().result()
        if ready is not None:
            now = torch.cuda.current_stream()
            now.wait_event(ready)
            for tensor in item.tensors:
                tensor.record_stream(now)  # its memory is free when the training is done with it
        return item

    def close(self) -> None:
        """End the thread; what it has made is dropped."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def _made(self, key: K) -> tuple[T, Any]:
        if self._stream is None:
            return self._make(key), None
        with torch.cuda.stream(self._stream):
            item = self._make(key)
        return item, self._stream.record_event()
