"""A training under way: all that changes from step to step, and how it is saved and restored."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel

from vitlab.contract.paths import UsageError
from vitlab.ml.progress import Checkpoint, NonFiniteLoss, Note, Progress
from vitlab.ml.training import checkpoint
from vitlab.ml.training.averaging import moving_average
from vitlab.ml.training.checkpoint import BEST, LAST, Saved
from vitlab.ml.training.optimizers import make_optimizers
from vitlab.ml.training.schedules import Plateau
from vitlab.ml.training.task import Task


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
