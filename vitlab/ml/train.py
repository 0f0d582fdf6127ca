"""The training loop of every network: a generator that says what happens and decides nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from vitlab.contract.value import LOSS, distance
from vitlab.ml.progress import Best, Evaluation, NonFiniteLoss, Note, Progress, Step
from vitlab.ml.training.checkpoint import LAST
from vitlab.ml.training.gradients import add_gradients, cause, out_of_memory
from vitlab.ml.training.meter import Meter
from vitlab.ml.training.microbatches import Key, MicroBatch, make
from vitlab.ml.training.optimizers import set_rate
from vitlab.ml.training.parallel import quiet
from vitlab.ml.training.predict import predictions
from vitlab.ml.training.prefetch import Prefetch
from vitlab.ml.training.schedules import learning_rate
from vitlab.ml.training.state import State
from vitlab.ml.training.task import Task


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
        values = {f"val/{name}": number for name, number in found.named(labels).items()}
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
