"""What training reports while it runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class NonFiniteLoss(ArithmeticError):  # noqa: N818 - the name says what happened
    """The loss became NaN or infinite: continuing would only ruin the weights."""

    def __init__(self, text: str, step: int = 0) -> None:
        """`step`: where it happened, from 1; 0 before the first."""
        super().__init__(text)
        self.step = step


@dataclass(frozen=True)
class Step:
    """A step was taken."""

    step: int
    """Counted from 1."""
    of: int
    epoch: int
    loss: float
    lr: float
    samples_per_s: float
    wait: float = 0.0
    """Share of its time for which it waited for its spectra."""


@dataclass(frozen=True)
class Evaluation:
    """The model was scored."""

    step: int
    epoch: int
    split: str
    n: int
    values: Mapping[str, float]
    """`split/metric/label` -> number, in the label's unit."""


@dataclass(frozen=True)
class Checkpoint:
    """A state was saved."""

    step: int
    path: Path


@dataclass(frozen=True)
class Note:
    """Something a person should know."""

    text: str


@dataclass(frozen=True)
class Best:
    """Training ended; the model now has the state of its best validation."""

    step: int
    """0 if it was never validated."""
    epoch: int


Progress = Step | Evaluation | Checkpoint | Note | Best
