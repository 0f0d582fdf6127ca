"""The training loop of every network: a generator that says what happens and decides nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from vitlab.contract.networks import TrainConfig
from vitlab.contract.paths import UsageError
from vitlab.ml import checkpoint
from vitlab.ml.checkpoint import Saved
from vitlab.ml.inputs import Inputs
from vitlab.ml.labels import LabelScaling
from vitlab.ml.progress import Best, Checkpoint, Evaluation, NonFiniteLoss, Note, Progress, Step
from vitlab.ml.scores import score
from vitlab.ml.spectra import Spectra

Array = NDArray[np.float64]
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "huber": functional.huber_loss,
}
PREDICT_BATCH = 512


@dataclass(frozen=True)
class Task:
    """What is to be learned, from what, and how."""

    spectra: Spectra
    inputs: Inputs
    scaling: LabelScaling
    labels: tuple[str, ...]
    train: TrainConfig
    device: torch.device
    loss: str = "mse"
    model: Mapping[str, Any] = field(default_factory=dict)
    """What the network was built from; kept in its checkpoints."""

    @property
    def steps_per_epoch(self) -> int:
        return math.ceil(self.spectra.sizes["train"] / self.train.batch)

    @property
    def steps(self) -> int:
        return self.train.epochs * self.steps_per_epoch


@dataclass
class _Run:
    """A training under way: together with the model and the optimizer all its state."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    task: Task
    folder: Path | None
    step: int = 0
    """Steps taken."""
    best_step: int = 0
    best_r2: float = -math.inf
    best: dict[str, Tensor] = field(default_factory=dict)
    """Weights of the best validation."""

    @property
    def epoch(self) -> int:
        return max(self.step - 1, 0) // self.task.steps_per_epoch


def train(
    model: nn.Module,
    task: Task,
    folder: Path | None = None,
    resume: bool = False,
    stopped: Callable[[], bool] = lambda: False,
) -> Iterator[Progress]:
    """Train `model` in place; at the end it has the weights of the best validation.

    Checkpoints go to `folder` at every validation and when `stopped` says so, after the step
    under way. A resumed training takes the same steps an uninterrupted one takes (bitwise on a
    CPU in fp32). Raises `NonFiniteLoss`, `UsageError`.
    """
    config = task.train
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay
    )
    run = _Run(model, optimizer, task, folder)
    if resume and folder is not None and (folder / checkpoint.LAST).exists():
        _restore(run, folder)
        yield Note(f"resumed after step {run.step} of {task.steps}")
    else:
        torch.manual_seed(config.seed)
    interval = config.eval_every or task.steps_per_epoch
    while run.step < task.steps:
        yield _one_step(run)
        if run.step % interval == 0 or run.step == task.steps:
            yield from _validate(run)
        elif stopped():
            yield from _save(run, checkpoint.LAST)
        if stopped() and run.step < task.steps:
            yield Note(f"stopped after step {run.step} of {task.steps}")
            break
    if run.best:
        model.load_state_dict(run.best)
    yield Best(run.best_step, max(run.best_step - 1, 0) // task.steps_per_epoch)


def learning_rate(task: Task, step: int) -> float:
    """Linear warm-up to `lr`, then a cosine to `min_lr` at the last step; `step` from 0."""
    config = task.train
    warm = round(config.warmup * task.steps)
    if step < warm:
        return config.lr * (step + 1) / warm
    done = (step - warm) / max(task.steps - 1 - warm, 1)
    return config.min_lr + (config.lr - config.min_lr) * (1 + math.cos(math.pi * done)) / 2


def predict(model: nn.Module, task: Task, split: str) -> tuple[Array, Array]:
    """(n, K) true and predicted labels of a split, in their own units."""
    model.eval()
    true, predicted = [], []
    n = task.spectra.sizes[split]
    with torch.inference_mode():
        for start in range(0, n, PREDICT_BATCH):
            batch = task.spectra.fixed(split, start, min(start + PREDICT_BATCH, n))
            with _precision(task):
                scaled = model(task.inputs(batch))
            true.append(batch.labels)
            predicted.append(task.scaling.original(scaled.double()).cpu().numpy())
    return np.concatenate(true), np.concatenate(predicted)


def _one_step(run: _Run) -> Step:
    """Take the next step. Raises `NonFiniteLoss` before the weights are touched."""
    begun = time.perf_counter()
    task, config = run.task, run.task.train
    epoch, place = divmod(run.step, task.steps_per_epoch)
    order = task.spectra.order(epoch, config.seed)
    rows = order[place * config.batch : (place + 1) * config.batch]
    generator = torch.Generator(task.device).manual_seed((config.seed << 32) + run.step)
    batch = task.spectra.fresh(epoch, rows, generator)
    wanted = torch.from_numpy(task.scaling.scaled(batch.labels)).to(task.device, torch.float32)
    lr = learning_rate(task, run.step)
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    run.model.train()
    with _precision(task):
        predicted = run.model(task.inputs(batch))
    loss = LOSSES[task.loss](predicted.float(), wanted)
    number = float(loss.detach())
    if not math.isfinite(number):
        raise NonFiniteLoss(f"the loss is {number} at step {run.step + 1}")
    run.optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(loss)
    if config.clip:
        nn.utils.clip_grad_norm_(run.model.parameters(), config.clip)
    run.optimizer.step()
    run.step += 1
    rate = len(rows) / (time.perf_counter() - begun)
    return Step(run.step, task.steps, epoch, number, lr, rate)


def _precision(task: Task) -> torch.autocast:
    enabled = task.train.precision == "bf16"
    return torch.autocast(task.device.type, dtype=torch.bfloat16, enabled=enabled)


def _validate(run: _Run) -> Iterator[Progress]:
    """Score the validation set, keep the weights if they are the best, save both states."""
    true, predicted = predict(run.model, run.task, "val")
    scores = score(true, predicted, run.task.labels)
    values, _ = scores.named("val")
    yield Evaluation(run.step, run.epoch, "val", len(true), values)
    r2 = float(np.mean([scores.values[f"r2/{label}"] for label in run.task.labels]))
    if r2 > run.best_r2:
        run.best_step, run.best_r2 = run.step, r2
        run.best = {name: x.detach().clone() for name, x in run.model.state_dict().items()}
        yield from _save(run, checkpoint.BEST)
    yield from _save(run, checkpoint.LAST)


def _save(run: _Run, name: str) -> Iterator[Checkpoint]:
    if run.folder is None:
        return
    random = {"cpu": torch.get_rng_state()}
    if run.task.device.type == "cuda":
        random["cuda"] = torch.cuda.get_rng_state(run.task.device)
    saved = Saved(
        step=run.step,
        best_step=run.best_step,
        best_r2=run.best_r2,
        model=run.model.state_dict(),
        optimizer=run.optimizer.state_dict(),
        random=random,
        labels=run.task.labels,
        scaling=run.task.scaling,
        inputs=run.task.inputs,
        config=run.task.model,
    )
    run.folder.mkdir(parents=True, exist_ok=True)
    checkpoint.save(run.folder / name, saved)
    yield Checkpoint(run.step, run.folder / name)


def _restore(run: _Run, folder: Path) -> None:
    saved = checkpoint.load(folder / checkpoint.LAST, run.task.device)
    if saved.labels != run.task.labels or saved.config != run.task.model:
        raise UsageError(f"{folder / checkpoint.LAST}: made by another configuration")
    run.model.load_state_dict(saved.model)
    run.optimizer.load_state_dict(saved.optimizer)
    torch.set_rng_state(saved.random["cpu"])
    if "cuda" in saved.random and run.task.device.type == "cuda":
        torch.cuda.set_rng_state(saved.random["cuda"], run.task.device)
    run.step, run.best_step, run.best_r2 = saved.step, saved.best_step, saved.best_r2
    if saved.best_step:
        run.best = checkpoint.load(folder / checkpoint.BEST, run.task.device).model
