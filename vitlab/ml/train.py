"""The training loop of every network: a generator that reports its progress."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from vitlab.contract.paths import UsageError
from vitlab.contract.value import LOSS, distance
from vitlab.ml.progress import Best, Checkpoint, Evaluation, NonFiniteLoss, Note, Progress, Step
from vitlab.ml.scoring import named
from vitlab.ml.spectra.dataset import learned_hash
from vitlab.ml.training import checkpoint
from vitlab.ml.training.batches import (
    Key,
    MicroBatch,
    Prefetch,
    find_nonfinite,
    is_out_of_memory,
    make_batch,
    predict,
)
from vitlab.ml.training.checkpoint import BEST, LAST, TRUNK, Saved
from vitlab.ml.training.meter import Meter
from vitlab.ml.training.optimizers import (
    Plateau,
    learning_rate,
    make_optimizers,
    moving_average,
    set_rate,
    stable_steps,
)
from vitlab.ml.training.parallel import without_sync
from vitlab.ml.training.running import BrokenError, Runner, first_line, is_compiler_error
from vitlab.ml.training.task import Task


def train(
    network: nn.Module,
    task: Task,
    folder: Path | None = None,
    resume: bool = False,
    stopped: Callable[[], bool] = lambda: False,
    trunk: Path | None = None,
    runner: Runner | None = None,
) -> Iterator[Progress]:
    """Train `network` in place; at the end it has the weights of the best validation.

    Checkpoints go to `folder` at every validation, and after the current step when `stopped`
    returns True; with `schedule: wsd` the state before the decay stays there too. A training that
    is resumed, or goes on from such a `trunk` of another length, takes the same steps as one that
    was not (bitwise on a CPU in fp32). Raises `NonFiniteLoss`, `UsageError`.
    """
    config = task.train
    state = State(network, task, folder)
    loop = _Loop(state, runner)
    yield from state.begin(resume, trunk)
    stepped = stop = False  # whether a step was taken since the state was made or restored
    try:
        while True:
            try:
                due = stepped and loop.is_due()
                if due:
                    yield from loop.evaluate()
                    yield from loop.save()
                if stepped and state.step == state.stable:
                    yield from loop.save(TRUNK)
                stop = stepped and task.group.any(stopped())
                if stop and not due:
                    yield from loop.save()
                if stop or state.step >= task.steps or state.is_stale:
                    break
                yield from loop.step()
                stepped = True
            except NonFiniteLoss as error:
                yield from loop.rewind(error)
                stepped = False
    finally:
        loop.close()
    if stop and state.step < task.steps:
        yield Note(f"stopped after step {state.step} of {task.steps}")
    if state.is_stale:
        yield Note(f"no improvement in {config.monitor} for {state.stale} validations: stopping")
    if state.best_weights:
        network.load_state_dict(state.best_weights)
    yield Best(state.best_step, task.place(max(state.best_step - 1, 0))[0])


@dataclass
class State:
    """With the network's weights, everything needed to resume exactly."""

    network: nn.Module
    task: Task
    folder: Path | None
    """Folder of the checkpoints; None saves none."""
    optimizers: list[Optimizer] = field(init=False)
    scaler: GradScaler = field(init=False)
    average: AveragedModel | None = field(init=False)
    step: int = 0
    """Steps taken."""
    accumulate: int = field(init=False)
    """Micro-batches per step and process."""
    rewinds: int = 0
    plateau: Plateau = field(default_factory=Plateau)
    best_step: int = 0
    best: float = math.inf
    """Distance of the best validation's value from perfect."""
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    stale: int = 0
    """Validations since the best one."""
    saved_best: int = -1
    """Step of the best state on disk; -1: none."""

    def __post_init__(self) -> None:
        train = self.task.train
        self.optimizers = make_optimizers(self.network, train)
        fp16 = self.task.how["precision"] == "fp16"
        self.scaler = GradScaler(self.task.device.type, enabled=fp16)
        self.average = moving_average(self.network, train.ema) if train.ema else None
        self.accumulate = train.accumulate

    @cached_property
    def data(self) -> str:
        """`learned_hash` of the data set; it reads what a first epoch does not wait for."""
        return learned_hash(self.task.spectra)

    @property
    def evaluated(self) -> nn.Module:
        """The network that is validated and kept."""
        return self.network if self.average is None else self.average.module

    @property
    def epoch(self) -> int:
        return self.task.place(max(self.step - 1, 0))[0]

    @property
    def stable(self) -> int:
        """Steps before a `wsd` schedule's decay, in which no state is chosen."""
        return stable_steps(self.task.train, self.task.steps)

    @property
    def is_stale(self) -> bool:
        """Whether to stop early: no improvement in `patience` validations."""
        return 0 < self.task.train.patience <= self.stale

    def add_validation(self, off: float) -> None:
        """Keep the weights if they are the best; `off`: distance of the value from perfect."""
        if self.step <= self.stable:
            return
        better = off < self.best
        self.plateau = self.plateau.after(better, self.task.train)
        self.stale = 0 if better else self.stale + 1
        if better:
            self.best_step, self.best = self.step, off
            weights = self.evaluated.state_dict()
            self.best_weights = {name: x.detach().clone() for name, x in weights.items()}

    def begin(self, resume: bool, trunk: Path | None) -> Iterator[Progress]:
        """Return to the last saved state when `resume`, or go to that of a `trunk`."""
        if resume and self.folder is not None and (self.folder / LAST).exists():
            self.restore()
            yield Note(f"resumed after step {self.step} of {self.task.steps}")
            return
        if trunk is not None:
            self.restore(trunk)
            yield Note(f"continues from step {self.step} of {trunk}")
        if self.task.train.on_nonfinite == "rewind":
            yield from self.save()

    def save(self, name: str = LAST) -> Iterator[Progress]:
        """Save this state as `name`, and the best one if it is not on disk yet.

        Raises `NonFiniteLoss` for weights that are not finite. If the disk is full a note says so,
        the old checkpoints stay, and the next save tries again.
        """
        norm = nn.utils.get_total_norm([p.detach() for p in self.network.parameters()])
        if not norm.isfinite():
            raise NonFiniteLoss(f"the weights are not finite after step {self.step}", self.step)
        if self.folder is None or not self.task.group.first:
            return
        if self.best_step != self.saved_best and self.best_weights:
            best = self._weights_alone(self.best_step, self.best_weights)
            event = _write(self.folder / BEST, best)
            if isinstance(event, Checkpoint):
                self.saved_best = self.best_step
            yield event
        yield _write(self.folder / name, self._whole())

    def restore(self, trunk: Path | None = None) -> None:
        """Return to the last saved state, or go to that of a `trunk`, in which none was chosen.

        `UsageError` when it is from another training.
        """
        assert self.folder is not None
        path, device = trunk or self.folder / LAST, self.task.device
        saved = checkpoint.load(path, device)
        if trunk is None:
            self._check_job(path, saved)
        if saved.data not in ("", self.data):
            raise UsageError(f"{path}: its data have changed since, cannot be resumed")
        expected = (self.task.labels, self.task.model, self.task.loss)
        same = (saved.labels, saved.config, saved.loss) == expected
        groups = [_group_sizes(optimizer.state_dict()) for optimizer in self.optimizers]
        parts = [_group_sizes(state) for state in saved.optimizers] == groups
        if not (same and parts and bool(saved.average) == (self.average is not None)):
            raise UsageError(f"{path}: made by another configuration or version, cannot be resumed")
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
            self._check_job(self.folder / BEST, best)
            self.best_weights, self.saved_best = best.model, best.step
            if best.step < saved.best_step:  # the disk was full when the best one was due
                self.best_step, self.best = best.step, best.best

    def _check_job(self, path: Path, saved: Saved) -> None:
        if saved.job != self.task.job and saved.job and self.task.job:
            raise UsageError(f"{path}: of another job, cannot be resumed")

    def _whole(self) -> Saved:
        return replace(
            self._weights_alone(self.step, self.network.state_dict()),
            stale=self.stale,
            plateau=(self.plateau.factor, self.plateau.waited),
            accumulate=self.accumulate,
            rewinds=self.rewinds,
            average={} if self.average is None else self.average.state_dict(),
            optimizers=tuple(optimizer.state_dict() for optimizer in self.optimizers),
            scaler=self.scaler.state_dict(),
        )

    def _weights_alone(self, step: int, weights: dict[str, Tensor]) -> Saved:
        return Saved(
            step=step,
            model=weights,
            labels=self.task.labels,
            scaling=self.task.scaling,
            inputs=self.task.inputs,
            config=self.task.model,
            loss=self.task.loss,
            how=self.task.how,
            best_step=self.best_step,
            best=self.best,
            data=self.data,
            job=self.task.job,
        )


def _group_sizes(state: Mapping[str, Any]) -> list[int]:
    """Parameters in each group of an optimizer: a state fits only where they agree."""
    return [len(group["params"]) for group in state["param_groups"]]


def _write(path: Path, saved: Saved) -> Checkpoint | Note:
    try:
        checkpoint.save(path, saved)
    except OSError as error:
        if error.errno not in checkpoint.DISK_FULL:
            raise
        kept = "the previous one stays" if path.exists() else "there is none yet"
        return Note(f"{path.name} of step {saved.step} not saved: {error.strerror}; {kept}")
    return Checkpoint(saved.step, path)


class _Loop:
    """One training: its state, the prefetched batches and what runs them."""

    def __init__(self, state: State, runner: Runner | None) -> None:
        self.state, self.task = state, state.task
        self.batches: Prefetch[Key, MicroBatch] | None = None
        self.waited = 0.0
        """Seconds in which it was not known whether the first epoch goes on."""
        self.meter = Meter(state.task.device, self._waited)
        self.runner = runner or Runner(state.network, state.task)

    def _waited(self) -> float:
        return self.waited + (self.batches.waited if self.batches else 0.0)

    def is_due(self) -> bool:
        """Whether to validate after the last step."""
        step, every = self.state.step, self.task.train.eval_every
        begun = time.perf_counter()
        ended = self.task.place(step)[1] == 0
        self.waited += time.perf_counter() - begun
        return (step % every == 0 if every else ended) or step == self.task.steps

    def evaluate(self) -> Iterator[Progress]:
        """Score the validation set, and keep the weights if they are the best."""
        yield from self.meter.rest()
        state, labels = self.state, self.task.labels
        result = predict(state.evaluated, self.task, "val")
        values = named(result.scores(labels), "val")
        values[LOSS] = result.loss
        yield Evaluation(state.step, state.epoch, "val", len(result.true), values)
        state.add_validation(distance(self.task.train.monitor, values, labels))

    def save(self, name: str = LAST) -> Iterator[Progress]:
        yield from self.meter.rest()
        yield from self.state.save(name)
        self.meter.clear()

    def step(self) -> Iterator[Progress]:
        """Take the next step. Raises `NonFiniteLoss`: on a CPU before the weights are touched."""
        state, config = self.state, self.task.train
        steps, epoch_steps = self.task.schedule(state.step)
        rate = learning_rate(config, steps, state.step, state.plateau, epoch_steps)
        set_rate(state.optimizers, rate)
        loss = yield from self._add_all_gradients()
        for optimizer in state.optimizers:
            state.scaler.unscale_(optimizer)
        given = [p for p in state.network.parameters() if p.grad is not None]
        norm = nn.utils.get_total_norm([p.grad for p in given if p.grad is not None])
        if config.clip:
            nn.utils.clip_grads_with_norm_(given, config.clip, norm)
        if state.scaler.is_enabled():
            norm = torch.zeros_like(norm)  # the scaler itself skips steps that are not finite
        epoch, number = self.task.place(state.step)
        left = self.task.stars - number * config.size
        step = Step(state.step + 1, self.task.steps, epoch, math.nan, rate, math.nan)
        numbers = torch.stack([self.task.group.total(loss), norm])
        self.meter.add(step, min(config.size, left), numbers)
        known = list(self.meter.due())
        for optimizer in state.optimizers:
            state.scaler.step(optimizer)
        state.scaler.update()
        if state.average is not None:
            state.average.update_parameters(state.network)
        state.step += 1
        yield from known

    def rewind(self, error: NonFiniteLoss) -> Iterator[Progress]:
        """Report the cause; return to the last saved state with new noise, or raise `error`."""
        state, config = self.state, self.task.train
        self.close()
        numbers = range(state.accumulate)
        keys = [self._key(max(error.step - 1, 0), number) for number in numbers]
        why = find_nonfinite(state.network, self.task, [make_batch(self.task, key) for key in keys])
        why = self.task.group.first_text(why) or "everything is finite when recomputed"
        yield Note(f"{error}: {why}")
        times = state.rewinds + 1
        last = None if state.folder is None else state.folder / LAST
        if config.on_nonfinite == "end" or times > config.rewinds or not (last and last.exists()):
            raise error
        state.restore()
        state.rewinds = times
        self.meter.clear()
        yield Note(f"back to step {state.step}: rewind {times} of at most {config.rewinds}")

    def close(self) -> None:
        """Drop the prefetched batches."""
        if self.batches is not None:
            self.batches.close()
        self.batches = None

    def _add_all_gradients(self) -> Generator[Progress, None, Tensor]:
        """Compute the step's gradient; returns this process's share of the loss."""
        while True:
            if self.batches is None:
                yield from self._start_batches()
            self.state.network.train()
            for optimizer in self.state.optimizers:
                optimizer.zero_grad(set_to_none=self.runner.graph is None)
            try:
                return self._sum_micro_batches()
            except RuntimeError as error:
                alone = self.task.group.size == 1  # otherwise others wait for our gradients
                full = alone and is_out_of_memory(error)
                broken = self.runner.compiled and is_compiler_error(error)
                if not (full or broken):
                    raise
                text = first_line(error)
            yield self._recover(full, text)

    def _sum_micro_batches(self) -> Tensor:
        assert self.batches is not None
        total = torch.zeros((), device=self.task.device)
        for _ in range(self.state.accumulate - 1):
            with without_sync(self.runner.share()):
                total += self.runner.add(self.batches.next(), self.state.scaler)
        return total + self.runner.add(self.batches.next(), self.state.scaler)

    def _start_batches(self) -> Iterator[Progress]:
        """Start the prefetch, after a trial of memory and compiler on which all processes agree."""
        state, task, runner = self.state, self.task, self.runner
        while task.group.size > 1 or ((runner.compiled or runner.graphs) and not runner.shape):
            text, full, broken = "on another process", False, False
            try:
                runner.prepare(make_batch(task, self._key(state.step, 0)), state.scaler)
            except RuntimeError as error:
                full, broken = is_out_of_memory(error), isinstance(error, BrokenError)
                if not (full or broken):
                    raise
                text = first_line(error)
            full, broken = task.group.any(full), task.group.any(broken)
            if not (full or broken):
                break
            yield self._recover(full, text)
        keys = (
            self._key(step, number)
            for step in itertools.takewhile(
                lambda step: step < task.steps, itertools.count(state.step)
            )
            for number in range(state.accumulate)
        )
        ahead = task.train.prefetch
        self.batches = Prefetch(lambda key: make_batch(task, key), keys, ahead, task.device)
        self.meter.clear()

    def _recover(self, full: bool, text: str) -> Note:
        """Halve the micro-batch, or give up what is broken; `RuntimeError` if neither can be."""
        self.close()
        state, size = self.state, self.task.group.size
        self.runner.drop()
        if not full:
            what = self.runner.give_up()
            return Note(f"{what} failed; training continues without it: {text}")
        now = math.ceil(self.task.train.size / (state.accumulate * size))
        if now == 1:
            raise torch.OutOfMemoryError(f"not enough memory for a single spectrum: {text}")
        state.accumulate *= 2
        if self.task.device.type == "cuda":
            torch.cuda.empty_cache()
        then = math.ceil(self.task.train.size / (state.accumulate * size))
        return Note(
            f"out of memory with {now} spectra at once: repeating step {state.step + 1} with "
            f"{then}, {state.accumulate} micro-batches per step ({text})"
        )

    def _key(self, step: int, number: int) -> Key:
        """The key of this process's micro-batch `number` of a step."""
        group, state = self.task.group, self.state
        of = state.accumulate * group.size
        return Key(step, number * group.size + group.rank, of, state.rewinds)
