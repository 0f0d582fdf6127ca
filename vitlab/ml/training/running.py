"""How micro-batches are run: as written, compiled, or as a CUDA graph; and the choice among these.

A configuration's `auto` is settled once, before a training starts, by `choose`; checkpoints hold
what was chosen (`Task.how`), and a resumed training takes it from there (`settle`).
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.amp import GradScaler

from vitlab.contract.networks import BATCH
from vitlab.ml.training.batches import (
    Key,
    MicroBatch,
    add_gradients,
    add_seeded_gradients,
    is_out_of_memory,
    make_batch,
)
from vitlab.ml.training.parallel import ALONE
from vitlab.ml.training.task import Task
from vitlab.ml.training.throughput import matmul_peak, seconds, wait

TRIED = {"cuda"}
"""Devices on which a trial chooses; on others `auto` is what is exact: fp32, as written."""
COMPILE_PAYS = 300.0
"""Seconds of passes ahead from which on compiling, which takes about a minute, is tried."""
MOST, LEAST_STEPS = 8 * BATCH, 1000
"""Limits of `batch: auto`: spectra of a step, and steps of the training. Beyond this batch a GPU
is no faster, and the rule for the learning rate has not been tried."""
SPARE = 0.8
"""Share of the device's free memory that a trial may take: a training keeps more than a pass."""
_WARM, _CALLS, _TIMED = 3, 4, 0.5
"""Passes before a capture; passes that are timed; seconds for which they are timed again."""


class BrokenError(RuntimeError):
    """A way of running does not work here; the network itself may."""


# --- The ways ---


def compiled(network: nn.Module, device: torch.device) -> nn.Module:
    """`network` compiled for micro-batches of one size; its weights are shared.

    On a CPU each of a transformer's `blocks` is compiled, which are alike, so that it is done once,
    and attention stays as written: the C++ of a whole network with dropout takes minutes.
    """
    blocks = getattr(network, "blocks", None)
    if device.type != "cpu" or not isinstance(blocks, nn.ModuleList):
        return cast(nn.Module, torch.compile(network, dynamic=False))
    shadow = _shadow(network)
    shadow.blocks = nn.ModuleList(_compiled_block(block) for block in blocks)
    return shadow


def _compiled_block(block: nn.Module) -> nn.Module:
    shadow = _shadow(block)
    shadow.attention = torch.compiler.disable(block.attention)  # type: ignore[no-untyped-call]
    return cast(nn.Module, torch.compile(shadow, dynamic=False))


def _shadow(module: nn.Module) -> nn.Module:
    """The same parameters and parts; one that is replaced in it is not replaced in `module`."""
    shadow = copy.copy(module)
    shadow._modules = dict(module._modules)
    return shadow


class StepGraph:
    """Forward and backward pass of a micro-batch as one CUDA graph, which the host starts at once.

    The optimizer is not part of it: fused, it is a few kernels, and its rate is the host's. Kernels
    read the seed of dropout from the generator at each replay. Gradients are added to those there
    are, so they must stay where they are (`zero_grad(set_to_none=False)`).
    """

    def __init__(self, add: Callable[[MicroBatch], Tensor], part: MicroBatch) -> None:
        inputs, targets = part.inputs.clone(), part.targets.clone()
        self.part = replace(part, inputs=inputs, targets=targets)
        self.graph = torch.cuda.CUDAGraph()
        side = torch.cuda.Stream(inputs.device)  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM):
                add(self.part)
        torch.cuda.current_stream().wait_stream(side)
        # Other threads may go on with their own work during the capture.
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            self.loss = add(self.part)

    def takes(self, part: MicroBatch) -> bool:
        """Whether it is the graph of this shape; the share of a step is part of it."""
        return part.inputs.shape == self.part.inputs.shape and part.share == self.part.share

    def __call__(self, part: MicroBatch) -> Tensor:
        self.part.inputs.copy_(part.inputs)
        self.part.targets.copy_(part.targets)
        torch.manual_seed(part.seed)
        self.graph.replay()
        return self.loss.clone()  # the next replay overwrites it


class Runner:
    """Adds the gradients of micro-batches to a network in the way its task says."""

    def __init__(self, network: nn.Module, task: Task, fast: nn.Module | None = None) -> None:
        """`fast`: `network` as another runner has compiled it, where this one is to be compiled."""
        self.network, self.task = network, task
        self.compiled = task.how["compile"]
        self.graphs = task.how["graphs"]
        self.local = (fast or compiled(network, task.device)) if self.compiled else network
        self.shared: nn.Module | None = None
        """`local` with gradients averaged over the processes; None before `prepare`."""
        self.graph: StepGraph | None = None
        self.shape: torch.Size | None = None
        """Of the micro-batches it is prepared for; others run as written. None: for none."""

    def prepare(self, part: MicroBatch, scaler: GradScaler | None = None) -> None:
        """Compile and capture with a micro-batch; gradients are left. Raises `BrokenError`."""
        self.drop()
        try:
            add_gradients(self.local, self.task, part, scaler)
            if self.graphs:
                self._capture(part, scaler)
            self.shape = part.inputs.shape
        except RuntimeError as error:
            if is_out_of_memory(error) or not (self.compiled or self.graphs):
                raise
            if not (isinstance(error, BrokenError) or is_compiler_error(error)):
                raise
            raise BrokenError(first_line(error)) from error

    def _capture(self, part: MicroBatch, scaler: GradScaler | None) -> None:
        try:
            self.graph = StepGraph(
                lambda one: add_seeded_gradients(self.local, self.task, one, scaler), part
            )
        except RuntimeError as error:
            if is_out_of_memory(error):
                raise
            raise BrokenError(first_line(error)) from error

    def drop(self) -> None:
        """Free the graph, and the gradients that it adds to."""
        self.graph = self.shape = None
        self.network.zero_grad(set_to_none=True)

    def give_up(self) -> str:
        """Leave out what did not work, and name it."""
        self.drop()
        self.shared = None
        if self.graphs:
            self.graphs = False
            return "the CUDA graph"
        self.compiled, self.local = False, self.network
        return "torch.compile"

    def share(self) -> nn.Module:
        """The network whose gradients are averaged over the processes."""
        if self.shared is None:
            self.shared = self.task.group.share(self.local, self.task.device)
        return self.shared

    def add(self, part: MicroBatch, scaler: GradScaler | None = None) -> Tensor:
        """Add the micro-batch's share of the gradient; returns its share of the loss."""
        if self.graph is not None and self.graph.takes(part):
            return self.graph(part)
        with self._as_written(part):
            return add_gradients(self.share(), self.task, part, scaler)

    def _as_written(self, part: MicroBatch) -> AbstractContextManager[Any]:
        """A context without compiling for a size that comes once an epoch."""
        if not self.compiled or part.inputs.shape == self.shape:
            return nullcontext()
        return cast(AbstractContextManager[Any], torch.compiler.set_stance("force_eager"))


def is_compiler_error(error: RuntimeError) -> bool:
    """Whether the compiler failed, not the network."""
    from torch._dynamo.exc import TorchDynamoException  # slow to load, only needed with `compile`

    return isinstance(error, TorchDynamoException)


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


# --- The choice ---


def settle(task: Task, how: Mapping[str, Any]) -> Task:
    """The task with what was chosen in place of `auto`; `how` as in `Task.how`, or part of it.

    `lr` is meant for 512 spectra a step. For the batch that `auto` found it is multiplied by the
    square root of their ratio, as suits Adam (Malladi et al. 2022, arXiv:2205.10287).
    """
    open_ = [name for name in task.how if getattr(task.train, name) == "auto"]
    chosen = {name: how[name] for name in open_ if name in how}
    if "batch" in chosen:
        chosen["lr"] = task.train.lr * math.sqrt(chosen["batch"] / BATCH)
    return replace(task, train=replace(task.train, **chosen))


def choose(network: nn.Module, task: Task, flops: float) -> tuple[Task, Runner | None, list[str]]:
    """Settle what is `auto`, on a GPU by short trials, which leave the weights as they are.

    `flops`: of a spectrum in training. Returns the task, the runner of the trial if there was one,
    and what to tell.
    """
    told = []
    if task.train.precision not in ("auto", task.how["precision"]):
        card = torch.cuda.get_device_name(task.device)
        told.append(f"{card} has no {task.train.precision}: {task.how['precision']} instead")
    if task.device.type not in TRIED:
        return settle(task, task.how), None, told
    cuda = [task.device] if task.device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        if task.train.batch == "auto":
            task = settle(task, {"batch": largest_batch(network, task)})
        task, runner, line = _fastest(network, task, flops)
    return task, runner, [*told, line]


def largest_batch(network: nn.Module, task: Task) -> int:
    """512, or the largest power of two that fits and leaves steps enough (see `MOST`)."""
    found = BATCH
    spectra = task.train.epochs * task.stars
    while 2 * found <= min(MOST, spectra / LEAST_STEPS):
        plain = replace(task.train, batch=2 * found, compile=False, graphs=False)
        if task.group.any(not _fits(network, replace(task, train=plain))):
            break
        found *= 2
    return found


def _fits(network: nn.Module, task: Task) -> bool:
    """Whether a pass of the task's first micro-batch leaves memory for the rest."""
    cuda, device, free = task.device.type == "cuda", task.device, 0
    if cuda:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
        free = torch.cuda.mem_get_info(device)[0] + torch.cuda.memory_reserved(device)
    trial = _Trial(network, task)
    return trial.each < math.inf and not (
        cuda and torch.cuda.max_memory_allocated(device) > SPARE * free
    )


class _Trial:
    """One way of running, tried on the first micro-batch of this process."""

    def __init__(self, network: nn.Module, task: Task, fast: nn.Module | None = None) -> None:
        group, device = task.group, task.device
        self.task, self.why, self.made, self.rows = task, "", 0.0, 0
        self.each = math.inf
        """Seconds of a pass; infinite if it does not work, or not on all processes."""
        self.runner = Runner(network, replace(task, group=ALONE), fast)
        begun = time.perf_counter()
        try:
            part = make_batch(task, Key(0, group.rank, task.train.accumulate * group.size))
            self.rows = len(part.targets)
            self.runner.prepare(part)
            wait(device)
            self.made = time.perf_counter() - begun
            self.each = self._seconds(part)
        except RuntimeError as error:
            if not (isinstance(error, BrokenError) or is_out_of_memory(error)):
                raise
            self.why = first_line(error)
        self.runner.drop()
        self.runner.task, self.runner.shared = task, None
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if group.any(self.each == math.inf):
            self.each = math.inf
        self.each = group.of_first(self.each)

    def _seconds(self, part: MicroBatch) -> float:
        def run() -> None:
            self.runner.add(part)

        each = seconds(run, self.task.device, _CALLS)
        again = round(min(_TIMED / each, 100))
        return seconds(run, self.task.device, again) if again > _CALLS else each

    @property
    def name(self) -> str:
        words = ["compiled" if self.runner.compiled else "eager"]
        return ", ".join([*words, *(["graphs"] if self.runner.graphs else [])])

    def rate(self) -> float:
        """Spectra per second of all processes, passes alone."""
        return self.task.group.size * self.rows / self.each


def _fastest(network: nn.Module, task: Task, flops: float) -> tuple[Task, Runner | None, str]:
    """The way whose passes are fastest, its runner, and a line on it."""
    trials: list[_Trial] = []
    for way in _ways(task):
        passes = task.steps * task.train.accumulate
        short = trials and passes * min(one.each for one in trials) < COMPILE_PAYS
        if way["compile"] and task.train.compile == "auto" and short:
            continue
        fast = next((one.runner.local for one in trials if one.runner.compiled), None)
        trials.append(_Trial(network, settle(task, {**task.how, **way}), fast))
    best = min(trials, key=lambda one: one.each)
    if best.each == math.inf:  # the training tells why, and does what can be done
        return best.task, None, f"a trial of {best.name} failed: {best.why}"
    return best.task, best.runner, _line(best, trials, flops)


def _ways(task: Task) -> Iterator[dict[str, bool]]:
    """What may be chosen, compiled ones last; CUDA graphs are for one process."""
    graphs = task.device.type == "cuda" and task.group.size == 1
    for compile_ in (False, True):
        for graph in (False, True):
            wanted = task.train.graphs if graphs else False
            if task.train.compile in ("auto", compile_) and wanted in ("auto", graph):
                yield {"compile": compile_, "graphs": graph}


def _line(best: _Trial, trials: list[_Trial], flops: float) -> str:
    precision = best.task.how["precision"]
    share = best.rate() * flops / matmul_peak(best.task.device, precision)
    text = (
        f"{precision}, {best.name}, {best.rows:,} at once: {best.rate():,.0f} spectra/s "
        f"in a trial, {share / best.task.group.size:.0%} of the card's measured peak"
    )
    if best.runner.compiled:
        text += f"; compiled in {max(t.made for t in trials if t.runner.compiled):.0f} s"
    others = [
        f"{one.name} {one.rate():,.0f}"
        if one.each < math.inf
        else f"{one.name} failed: {one.why or 'on another process'}"
        for one in trials
        if one is not best
    ]
    return f"{text} ({'; '.join(others)})" if others else text
