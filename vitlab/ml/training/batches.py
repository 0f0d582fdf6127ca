"""Spectra through a network: prefetched micro-batches, gradients, predictions of whole splits."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.amp import GradScaler

from vitlab.contract.paths import JobPaths
from vitlab.contract.value import Value
from vitlab.ml.own_model import check_own
from vitlab.ml.scoring import DensityScores, calibration, score
from vitlab.ml.spectra.observation import Batch, on_device
from vitlab.ml.training.task import Task

Array = NDArray[np.float64]
K = TypeVar("K")
T = TypeVar("T")
PREDICT_BATCH = 512
_NO_MEMORY = "can't allocate memory"
"""Message of torch's CPU allocator, which has no exception type."""


@dataclass(frozen=True)
class Key:
    """A micro-batch: `number` out of `of` in step `step` (both from 0)."""

    step: int
    number: int
    of: int
    rewinds: int = 0
    """How often training was rewound; each rewind draws different noise."""


@dataclass(frozen=True)
class MicroBatch:
    """Part of a step's spectra, ready for the network."""

    inputs: Tensor  # (B, L) or (B, channels, L)
    targets: Tensor  # (B, K) scaled labels
    share: float
    """Fraction of the step's spectra; 0 for one that only keeps the processes in sync."""
    seed: int
    """Seed of the network's random numbers (dropout)."""


def make_batch(task: Task, key: Key) -> MicroBatch:
    """The micro-batch, with noise drawn on the task's device.

    If a short last step has fewer spectra than micro-batches, its first spectrum is a placeholder
    with share 0.
    """
    epoch, number = task.place(key.step)
    size, seed = task.train.size, task.train.seed
    step_rows = task.spectra.part(epoch, seed, number * size, (number + 1) * size)
    rows = np.array_split(step_rows, key.of)[key.number]
    share = len(rows) / len(step_rows)
    rows = rows if len(rows) else step_rows[:1]
    state = np.random.SeedSequence([task.train.seed, key.rewinds, key.step, key.number])
    noise, dropout = state.generate_state(2, np.uint64).tolist()
    generator = torch.Generator(task.device).manual_seed(noise)
    batch = task.spectra.fresh(epoch, rows, generator)
    scaled = task.scaling.scaled(batch.labels).astype(np.float32)
    return MicroBatch(task.inputs(batch), on_device(scaled, task.device), share, dropout)


class Prefetch(Generic[K, T]):
    """`make(key)` for each key in turn, with `ahead` of them made in advance.

    One thread makes them in order, so the results do not depend on timing. On CUDA it uses a
    separate stream: copies and noise overlap with training.
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
        self._waited = 0.0
        self._idle: deque[tuple[Any, Any]] = deque()
        """CUDA events around each wait of the training's stream."""

    @property
    def waited(self) -> float:
        """Seconds that training has waited for items; without a thread, those of making them.

        On CUDA those of the device itself, which may have work left when the host waits; a wait
        counts once the device is past it, so that nobody waits for the number.
        """
        while self._idle and self._idle[0][1].query():
            before, after = self._idle.popleft()
            self._waited += before.elapsed_time(after) / 1e3
        return self._waited

    def next(self) -> T:
        """The next item; re-raises errors of `make`. `StopIteration` after the last key."""
        begun = time.perf_counter()
        if self._thread is None:
            item = self._make(next(self._keys))
            self._waited += time.perf_counter() - begun
            return item
        while len(self._waiting) <= self._ahead:
            key = next(self._keys, None)
            if key is None:
                break
            self._waiting.append(self._thread.submit(self._made, key))
        if not self._waiting:
            raise StopIteration
        if self._stream is None:
            item, _ = self._waiting.popleft().result()
            self._waited += time.perf_counter() - begun
        else:
            now = torch.cuda.current_stream()
            before = now.record_event(torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
            item, ready = self._waiting.popleft().result()
            now.wait_event(ready)
            after = now.record_event(torch.cuda.Event(enable_timing=True))  # type: ignore[no-untyped-call]
            self._idle.append((before, after))
            for part in vars(item).values():
                if isinstance(part, Tensor):
                    part.record_stream(now)  # its memory is reused only after training used it
        return item

    def close(self) -> None:
        """End the thread and drop what it has made."""
        if self._thread is not None:
            self._thread.shutdown(wait=True, cancel_futures=True)

    def _made(self, key: K) -> tuple[T, Any]:
        if self._stream is None:
            return self._make(key), None
        with torch.cuda.stream(self._stream):
            item = self._make(key)
        return item, self._stream.record_event()


def add_gradients(
    network: nn.Module, task: Task, part: MicroBatch, scaler: GradScaler | None = None
) -> Tensor:
    """Add the micro-batch's share of the gradient; returns its share of the loss, on the device.

    The network's random numbers (dropout) come from the micro-batch's seed.
    """
    torch.manual_seed(part.seed)
    return add_seeded_gradients(network, task, part, scaler)


def add_seeded_gradients(
    network: nn.Module, task: Task, part: MicroBatch, scaler: GradScaler | None = None
) -> Tensor:
    """`add_gradients` with the random numbers as they come; may be captured by a CUDA graph."""
    with task.autocast():
        outputs = network(part.inputs)
    loss = task.loss_function(outputs.float(), part.targets) * part.share
    # Gradients are averaged over the processes, but the shares must be summed.
    whole = loss * task.group.size
    torch.autograd.backward(scaler.scale(whole) if scaler else whole)
    return loss.detach()


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether the device, or torch's CPU allocator, ran out of memory."""
    return isinstance(error, torch.OutOfMemoryError) or _NO_MEMORY in str(error)


def find_nonfinite(network: nn.Module, task: Task, parts: Sequence[MicroBatch]) -> str:
    """Describe the first non-finite quantity between the data and the gradient.

    Empty when everything is finite on recomputation.
    """
    for name, parameter in network.named_parameters():
        if not parameter.isfinite().all():
            return f"the parameter {name} is not finite"
    for number, part in enumerate(parts):
        for what, tensor in (("input", part.inputs), ("scaled labels", part.targets)):
            rows = (~tensor.isfinite().flatten(1).all(dim=1)).nonzero().flatten().tolist()
            if rows:
                return f"the {what} of spectrum {rows[0]} of micro-batch {number} is not finite"
    for part in parts:
        torch.manual_seed(part.seed)
        with torch.no_grad(), _nonfinite_outputs(network) as names, task.autocast():
            outputs = network(part.inputs)
        if names:
            return f"the output of {names[0]} is the first not to be finite"
        if not task.loss_function(outputs.float(), part.targets).isfinite():
            return f"the loss {task.loss} of finite predictions is not finite"
    for name, parameter in network.named_parameters():
        if parameter.grad is not None and not parameter.grad.isfinite().all():
            return f"the gradient of {name} is not finite"
    return ""


@contextmanager
def _nonfinite_outputs(network: nn.Module) -> Iterator[list[str]]:
    """Collects the names of modules whose output is not finite, in the order they return."""
    names: list[str] = []

    def watch(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if isinstance(output, Tensor) and not output.isfinite().all():
                names.append(name)

        return hook

    handles = [
        module.register_forward_hook(watch(name or type(network).__name__))
        for name, module in network.named_modules()
    ]
    try:
        yield names
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Predictions:
    """A split's labels, true and predicted, in their own units."""

    true: Array  # (n, K)
    predicted: Array  # (n, K)
    sigma: Array | None  # (n, K) predicted errors, if the loss has any
    loss: float
    """On scaled labels."""
    density: DensityScores | None = None
    """Of the predicted densities, if the loss has any."""

    def scores(self, labels: tuple[str, ...]) -> dict[Value, float]:
        """The scores, by values without a split, with the calibration of errors and densities."""
        values = score(self.true, self.predicted, labels).values
        if self.sigma is not None:
            values |= calibration(self.true, self.predicted, self.sigma, labels)
        return values | (self.density.scores(labels).values if self.density else {})


def predict(network: nn.Module, task: Task, split: str) -> Predictions:
    """The predictions of a split; the processes share the work, and each gets all of them."""
    true = task.spectra.labels(split, 0, task.spectra.sizes[split])
    outputs = _split_outputs(network, task, split)
    targets = torch.from_numpy(task.scaling.scaled(true)).to(outputs)
    loss = float(task.loss_function(outputs, targets))
    labels, sigma = task.estimate(outputs)
    errors = None if sigma is None else sigma.cpu().numpy()
    found = task.density_scores(outputs, true)
    return Predictions(true, labels.cpu().numpy(), errors, loss, found)


def check_own_network(job: JobPaths, network: nn.Module, task: Task) -> None:
    """`check_own` of a network that was trained on the task's spectra."""

    def predicted(batch: Batch) -> Array:
        with torch.inference_mode():
            outputs = _outputs(network.eval(), task, task.inputs(batch))
            return task.estimate(outputs)[0].cpu().numpy()

    check_own(job, task.spectra, predicted)


def _split_outputs(network: nn.Module, task: Task, split: str) -> Tensor:
    """(n, outputs) of the network."""
    network.eval()
    n, group = task.spectra.sizes[split], task.group
    total: Tensor | None = None
    with torch.inference_mode():
        for start in range(group.rank * PREDICT_BATCH, n, group.size * PREDICT_BATCH):
            stop = min(start + PREDICT_BATCH, n)
            outputs = _outputs(network, task, task.inputs(task.spectra.fixed(split, start, stop)))
            total = outputs.new_zeros(n, outputs.shape[1]) if total is None else total
            total[start:stop] = outputs
        if total is None:  # more processes than batches
            probe = _outputs(network, task, task.inputs(task.spectra.fixed(split, 0, 1)))
            total = probe.new_zeros(n, probe.shape[1])
        return group.total(total)


def _outputs(network: nn.Module, task: Task, inputs: Tensor) -> Tensor:
    """(B, outputs) in float32; split in halves when the device runs out of memory."""
    try:
        with task.autocast():
            outputs: Tensor = network(inputs)
        return outputs.float()
    except RuntimeError as error:
        if not is_out_of_memory(error) or len(inputs) == 1:
            raise
    middle = len(inputs) // 2
    halves = inputs[:middle], inputs[middle:]
    return torch.cat([_outputs(network, task, half) for half in halves])
