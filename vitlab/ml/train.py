"""The training loop of every network: a generator that reports what happens and decides nothing."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from vitlab.contract.paths import UsageError
from vitlab.contract.value import LOSS, distance
from vitlab.ml.progress import Best, Checkpoint, Evaluation, NonFiniteLoss, Note, Progress, Step
from vitlab.ml.scoring import named
from vitlab.ml.training import checkpoint
from vitlab.ml.training.checkpoint import BEST, LAST, Saved
from vitlab.ml.training.microbatch import (
    Key,
    MicroBatch,
    Prefetch,
    add_gradients,
    cause,
    make,
    out_of_memory,
)
from vitlab.ml.training.optimizers import Plateau, learning_rate, make_optimizers, set_rate
from vitlab.ml.training.parallel import quiet
from vitlab.ml.training.predict import predictions
from vitlab.ml.training.task import Task

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


LAG = {"cuda": 1}
"""Steps a device may be ahead of what is known of it; on a CPU nothing runs ahead."""


@dataclass
class Meter:
    """Losses and gradient norms on their way from the device to the host, in order."""

    device: torch.device
    lag: int = field(init=False)
    _waiting: deque[tuple[Step, int, Tensor, Any]] = field(default_factory=deque)
    _at: float = field(default_factory=time.perf_counter)

    def __post_init__(self) -> None:
        self.lag = LAG.get(self.device.type, 0)

    def add(self, step: Step, rows: int, numbers: Tensor) -> None:
        """(2,) loss and gradient norm of a step over `rows` spectra, both perhaps not there yet."""
        if self.device.type != "cuda":
            self._waiting.append((step, rows, numbers, None))
            return
        host = torch.empty(2, pin_memory=True).copy_(numbers, non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
        copied.record()
        self._waiting.append((step, rows, host, copied))

    def due(self) -> Iterator[Step]:
        """The steps whose numbers are wanted by now. Raises `NonFiniteLoss`."""
        while len(self._waiting) > self.lag:
            yield self._next()

    def rest(self) -> Iterator[Step]:
        """All the others. Raises `NonFiniteLoss`."""
        while self._waiting:
            yield self._next()

    def clear(self) -> None:
        """Forget the steps not told; the time until the next one counts from now."""
        self._waiting.clear()
        self._at = time.perf_counter()

    def _next(self) -> Step:
        step, rows, numbers, copied = self._waiting.popleft()
        if copied is not None:
            copied.synchronize()  # with that copy alone, not with what was queued after it
        loss, norm = numbers.tolist()
        if not math.isfinite(loss):
            raise NonFiniteLoss(f"the loss is {loss} at step {step.step}", step.step)
        if not math.isfinite(norm):
            raise NonFiniteLoss(f"the gradient's norm is {norm} at step {step.step}", step.step)
        now = time.perf_counter()
        rate, self._at = rows / (now - self._at), now
        return replace(step, loss=loss, samples_per_s=rate)


@dataclass
class State:
    """Together with the network's weights all that an exact continuation needs."""

    network: nn.Module
    task: Task
    folder: Path | None
    """Of the checkpoints; None keeps none."""
    optimizers: list[Optimizer] = field(init=False)
    scaler: GradScaler = field(init=False)
    average: AveragedModel | None = field(init=False)
    step: int = 0
    """Steps taken."""
    accumulate: int = field(init=False)
    """Micro-batches of a step and process."""
    rewinds: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    best_step: int = 0
    best: float = math.inf
    """How far the best validation's value was from perfect."""
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    stale: int = 0
    """Validations since the best one."""
    kept: int = -1
    """Step of the best state on the disk; -1: none."""

    def __post_init__(self) -> None:
        train = self.task.train
        self.optimizers = make_optimizers(self.network, train)
        self.scaler = GradScaler(self.task.device.type, enabled=train.precision == "fp16")
        self.average = moving_average(self.network, train.ema) if train.ema else None
        self.accumulate = train.accumulate

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.network if self.average is None else self.average.module

    @property
    def epoch(self) -> int:
        return max(self.step - 1, 0) // self.task.steps_per_epoch

    def judge(self, distance: float) -> None:
        """Take in a validation: how far its value was from perfect."""
        better = distance < self.best
        self.plateau = self.plateau.after(better, self.task.train)
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best_step, self.best = self.step, distance
            weights = self.judged.state_dict()
            self.best_weights = {name: x.detach().clone() for name, x in weights.items()}

    def save(self) -> Iterator[Progress]:
        """Save this state, and the best one where it is not on the disk yet.

        Raises `NonFiniteLoss` rather than keep weights that are no numbers. A full disk is said;
        the checkpoints that are there stay, and the next save tries again.
        """
        norm = nn.utils.get_total_norm([p.detach() for p in self.network.parameters()])
        if not norm.isfinite():
            raise NonFiniteLoss(f"the weights are not finite after step {self.step}", self.step)
        if self.folder is None or not self.task.group.first:
            return
        if self.best_step != self.kept and self.best_weights:
            best = self._saved(self.best_step, self.best_weights)
            for said in _write(self.folder / BEST, best):
                if isinstance(said, Checkpoint):
                    self.kept = self.best_step
                yield said
        yield from _write(self.folder / LAST, self._whole())

    def restore(self) -> None:
        """Go back to the last state saved. `UsageError` when it is another training's."""
        assert self.folder is not None
        path, device = self.folder / LAST, self.task.device
        saved = checkpoint.load(path, device)
        ours = (self.task.labels, self.task.model, self.task.loss)
        same = (saved.labels, saved.config, saved.loss) == ours
        parts = len(saved.optimizers) == len(self.optimizers)
        if not (same and parts and bool(saved.average) == (self.average is not None)):
            raise UsageError(f"{path}: made by another configuration")
        self.network.load_state_dict(saved.model)
        for optimizer, state in zip(self.optimizers, saved.optimizers, strict=True):
            optimizer.load_state_dict(state)
        if self.average is not None:
            self.average.load_state_dict(saved.average)
        if saved.scaler:
            self.scaler.load_state_dict(saved.scaler)
        self.step, self.accumulate, self.rewinds = saved.step, saved.accumulate, saved.rewinds
        self.plateau, self.stale = Plateau(*saved.plateau), saved.stale
        self.best_step, self.best, self.best_weights = saved.best_step, saved.best, {}
        if saved.best_step:
            best = checkpoint.load(self.folder / BEST, device)
            self.best_weights, self.kept = best.model, best.step
            if best.step < saved.best_step:  # the disk was full when the better one came
                self.best_step, self.best = best.step, best.best

    def _whole(self) -> Saved:
        return Saved(
            **vars(self._saved(self.step, self.network.state_dict()))
            | {
                "stale": self.stale,
                "plateau": (self.plateau.factor, self.plateau.waited),
                "accumulate": self.accumulate,
                "rewinds": self.rewinds,
                "average": {} if self.average is None else self.average.state_dict(),
                "optimizers": tuple(optimizer.state_dict() for optimizer in self.optimizers),
                "scaler": self.scaler.state_dict(),
            }
        )

    def _saved(self, step: int, weights: dict[str, Tensor]) -> Saved:
        """Of a step the weights alone."""
        return Saved(
            step=step,
            model=weights,
            labels=self.task.labels,
            scaling=self.task.scaling,
            inputs=self.task.inputs,
            config=self.task.model,
            loss=self.task.loss,
            best_step=self.best_step,
            best=self.best,
        )


def _write(path: Path, saved: Saved) -> Iterator[Checkpoint | Note]:
    try:
        checkpoint.save(path, saved)
    except OSError as error:
        if error.errno not in checkpoint.FULL:
            raise
        kept = "the one before stays" if path.exists() else "there is none yet"
        yield Note(f"{path.name} of step {saved.step} not saved: {error.strerror}; {kept}")
    else:
        yield Checkpoint(saved.step, path)


def train(
    network: nn.Module,
    task: Task,
    folder: Path | None = None,
    resume: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Train `network` in place; at the end it has the weights of the best validation.

    Checkpoints go to `folder` at every validation and when `stopped` says so, after the step
    under way. A resumed training takes the same steps an uninterrupted one takes (bitwise on a
    CPU in fp32). Raises `NonFiniteLoss`, `UsageError`.
    """
    config = task.train
    state = State(network, task, folder)
    loop = _Loop(state)
    if resume and folder is not None and (folder / LAST).exists():
        state.restore()
        yield Note(f"resumed after step {state.step} of {task.steps}")
    elif config.on_nonfinite == "rewind":
        yield from state.save()
    interval = config.eval_every or task.steps_per_epoch
    try:
        while state.step < task.steps and not _tired(state):
            try:
                yield from loop.step()
                due = state.step % interval == 0 or state.step == task.steps
                if due:
                    yield from loop.validate()
                stop = task.group.any(stopped())
                if stop and not due:
                    yield from loop.save()
            except NonFiniteLoss as error:
                yield from loop.set_back(error)
                continue
            if stop and state.step < task.steps:
                yield Note(f"stopped after step {state.step} of {task.steps}")
                break
    finally:
        loop.close()
    if _tired(state):
        yield Note(f"no better {config.monitor} in {state.stale} validations: the training ends")
    if state.best_weights:
        network.load_state_dict(state.best_weights)
    yield Best(state.best_step, max(state.best_step - 1, 0) // task.steps_per_epoch)


def _tired(state: State) -> bool:
    return 0 < state.task.train.patience <= state.stale


class _Loop:
    """What a training holds besides its state: the batches on their way, the compiled network."""

    def __init__(self, state: State) -> None:
        self.state, self.task = state, state.task
        self.meter = Meter(state.task.device)
        self.feed: Prefetch[Key, MicroBatch] | None = None
        self.compiled = state.task.train.compile
        self.local = state.network
        if self.compiled:
            self.local = cast(nn.Module, torch.compile(state.network))
        self.shared: nn.Module | None = None
        """`local`, its gradients averaged over the processes."""

    def step(self) -> Iterator[Progress]:
        """Take the next step. Raises `NonFiniteLoss`: on a CPU before the weights are touched."""
        state, config = self.state, self.task.train
        rate = learning_rate(config, self.task.steps, state.step, state.plateau)
        set_rate(state.optimizers, rate)
        loss = yield from self._gradients()
        for optimizer in state.optimizers:
            state.scaler.unscale_(optimizer)
        given = [p for p in state.network.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in given if p.grad is not None])
        if config.clip:
            nn.utils.clip_grads_with_norm_(given, config.clip, norm)
        if state.scaler.is_enabled():
            norm = torch.zeros_like(norm)  # the scaler itself passes over what is not finite
        epoch, place = divmod(state.step, self.task.steps_per_epoch)
        left = self.task.spectra.sizes["train"] - place * config.batch
        step = Step(state.step + 1, self.task.steps, epoch, math.nan, rate, math.nan)
        numbers = torch.stack([self.task.group.total(loss), norm])
        self.meter.add(step, min(config.batch, left), numbers)
        told = list(self.meter.due())
        for optimizer in state.optimizers:
            state.scaler.step(optimizer)
        state.scaler.update()
        if state.average is not None:
            state.average.update_parameters(state.network)
        state.step += 1
        yield from told

    def validate(self) -> Iterator[Progress]:
        """Score the validation set, keep the weights if they are the best, save both states."""
        yield from self.meter.rest()
        state, labels = self.state, self.task.labels
        found = predictions(state.judged, self.task, "val")
        values = named(found.scores(labels), "val")
        values[LOSS] = found.loss
        yield Evaluation(state.step, state.epoch, "val", len(found.true), values)
        state.judge(distance(self.task.train.monitor, values, labels))
        yield from state.save()
        self.meter.clear()

    def save(self) -> Iterator[Progress]:
        """Save the state between two validations."""
        yield from self.meter.rest()
        yield from self.state.save()

    def set_back(self, error: NonFiniteLoss) -> Iterator[Progress]:
        """Say the cause; go back to the last state saved, with other noise, or raise `error`."""
        state, config = self.state, self.task.train
        self.close()
        why = cause(state.network, self.task, self._parts(max(error.step - 1, 0)))
        why = self.task.group.first_word(why) or "all is finite when computed again"
        yield Note(f"{error}: {why}")
        times = state.rewinds + 1
        last = None if state.folder is None else state.folder / LAST
        if config.on_nonfinite == "end" or times > config.rewinds or not (last and last.exists()):
            raise error
        state.restore()
        state.rewinds = times
        self.meter.clear()
        yield Note(f"set back to step {state.step}, time {times} of at most {config.rewinds}")

    def close(self) -> None:
        """Let go of the batches on their way."""
        if self.feed is not None:
            self.feed.close()
        self.feed = None

    def _gradients(self) -> Generator[Progress, None, Tensor]:
        """Leave the step's gradient in the parameters; returns this process' part of the loss."""
        while True:
            if self.feed is None:
                yield from self._open()
            self.state.network.train()
            for optimizer in self.state.optimizers:
                optimizer.zero_grad(set_to_none=True)
            try:
                return self._summed()
            except RuntimeError as error:
                alone = self.task.group.size == 1  # others would wait for our gradients
                full = alone and out_of_memory(error)
                broken = self.compiled and _not_compiled(error)
                if not (full or broken):
                    raise
                text = _first_line(error)
            yield self._mended(full, text)

    def _summed(self) -> Tensor:
        assert self.feed is not None
        assert self.shared is not None
        total = torch.zeros((), device=self.task.device)
        for _ in range(self.state.accumulate - 1):
            with quiet(self.shared):
                part = self.feed.next()
                total += add_gradients(self.shared, self.task, part, self.state.scaler)
        return total + add_gradients(self.shared, self.task, self.feed.next(), self.state.scaler)

    def _open(self) -> Iterator[Progress]:
        """Set batches on their way; before that, what several must agree on is rehearsed."""
        state, task = self.state, self.task
        while task.group.size > 1 or (self.compiled and self.shared is None):
            text, full, broken = "on another process", False, False
            try:
                key = self._key(state.step, 0)
                add_gradients(self.local, task, make(task, key))
            except RuntimeError as error:
                full, broken = out_of_memory(error), self.compiled and _not_compiled(error)
                if not (full or broken):
                    raise
                text = _first_line(error)
            state.network.zero_grad(set_to_none=True)
            full, broken = task.group.any(full), task.group.any(broken)
            if not (full or broken):
                break
            yield self._mended(full, text)
        if self.shared is None:
            self.shared = task.group.share(self.local, task.device)
        keys = (
            self._key(step, number)
            for step in range(state.step, task.steps)
            for number in range(state.accumulate)
        )
        ahead = task.train.prefetch
        self.feed = Prefetch(lambda key: make(task, key), keys, ahead, task.device)
        self.meter.clear()

    def _mended(self, full: bool, text: str) -> Note:
        """Halve the micro-batch, or go on without the compiler. `RuntimeError`: can not."""
        self.close()
        state, size = self.state, self.task.group.size
        state.network.zero_grad(set_to_none=True)
        if not full:
            self.compiled, self.local, self.shared = False, state.network, None
            return Note(f"torch.compile failed, so training goes on without it: {text}")
        now = math.ceil(self.task.train.batch / (state.accumulate * size))
        if now == 1:
            raise torch.OutOfMemoryError(f"no memory for a single spectrum: {text}")
        state.accumulate *= 2
        if self.task.device.type == "cuda":
            torch.cuda.empty_cache()
        then = math.ceil(self.task.train.batch / (state.accumulate * size))
        return Note(
            f"out of memory with {now} spectra at once: step {state.step + 1} again with {then}, "
            f"{state.accumulate} micro-batches to a step ({text})"
        )

    def _key(self, step: int, number: int) -> Key:
        """Of this process' micro-batch `number` of a step."""
        group, state = self.task.group, self.state
        of = state.accumulate * group.size
        return Key(step, number * group.size + group.rank, of, state.rewinds)

    def _parts(self, step: int) -> list[MicroBatch]:
        keys = (self._key(step, number) for number in range(self.state.accumulate))
        return [make(self.task, key) for key in keys]


def _not_compiled(error: RuntimeError) -> bool:
    """Whether it was the compiler that failed, not the network."""
    from torch._dynamo.exc import TorchDynamoException  # slow to load, needed with `compile` alone

    return isinstance(error, TorchDynamoException)


def _first_line(error: RuntimeError) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
