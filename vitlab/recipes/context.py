"""A recipe's arguments and result, and how it reports its progress."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vitlab.contract.checks import Check
from vitlab.contract.config import Config
from vitlab.contract.events import EventWriter
from vitlab.contract.job import Spec
from vitlab.contract.paths import JobPaths
from vitlab.contract.value import LEARNING_RATE, SPEED, TRAIN_LOSS, WAIT
from vitlab.contract.world import World
from vitlab.ml.progress import Best, Checkpoint, Evaluation, Note, Progress, Step

STEP_INTERVAL = 0.5
"""Minimum seconds between step events; the steps in between are averaged."""
PERF_INTERVAL = 5.0
"""Minimum seconds between events with the share of waiting, the memory and the use of the GPU."""
LINE_INTERVAL = 5.0
"""Minimum seconds between printed steps."""


def rank(environment: Mapping[str, str]) -> int | None:
    """This process's rank in its group; None for a process not started by torchrun."""
    return int(environment["RANK"]) if "TORCHELASTIC_RUN_ID" in environment else None


class Reporter:
    """Writes the events of one job and prints them."""

    def __init__(
        self,
        writer: EventWriter,
        clock: Callable[[], float] = time.monotonic,
        watch: Callable[[], str | None] = lambda: None,
    ) -> None:
        """`watch`: called after each report; returns a note to add, or None."""
        self._writer = writer
        self._clock = clock
        self._watch = watch
        self._event_at = self._line_at = -math.inf
        self._first: tuple[int, float] | None = None
        self._pending: list[Mapping[str, float]] = []
        self._perf_at: float | None = None
        self._since_perf: list[Mapping[str, float]] = []

    def follow(
        self,
        progress: Iterable[Progress],
        spent: Callable[[], Mapping[str, float]] = dict,
        perf: Callable[[float], Mapping[str, float]] = lambda _: {},
    ) -> dict[str, float]:
        """Report the progress of a training; returns `step` and `epoch` of its best state.

        `spent`: the hours that a checkpoint took, kept with it for runs that go on from it. `perf`:
        what else is reported of its performance, from its samples per second.
        """
        best: dict[str, float] = {}
        for event in progress:
            match event:
                case Step(step, of, epoch, loss, lr, rate):
                    values = {TRAIN_LOSS: loss, LEARNING_RATE: lr, SPEED: rate, WAIT: event.wait}
                    values = {name: x for name, x in values.items() if not math.isnan(x)}
                    self.step(step, of, epoch, values, perf)
                case Evaluation(step, epoch, split, n, values):
                    self.evaluation(step, epoch, split, n, values)
                case Checkpoint(step, path):
                    relative = f"{path.parent.name}/{path.name}"
                    self._writer.write("checkpoint", step=step, path=relative, **spent())
                case Note(text):
                    self.note(text)
                case Best(step, epoch):
                    best = {"step": step, "epoch": epoch}
        return best

    def step(
        self,
        step: int,
        of: int,
        epoch: int,
        values: Mapping[str, float],
        perf: Callable[[float], Mapping[str, float]] = lambda _: {},
    ) -> None:
        """Report a step; at most every `STEP_INTERVAL`, as the mean since the last one written."""
        now = self._clock()
        self._first = self._first or (step, now)
        if self._perf_at is None:
            self._perf_at = now
        self._pending.append(values)
        if step < of and now - self._event_at < STEP_INTERVAL:
            return
        mean = average(self._pending)
        self._since_perf += self._pending
        mean.pop(WAIT, None)
        if step == of or now - self._perf_at >= PERF_INTERVAL:
            whole = average(self._since_perf)
            mean |= {name: x for name, x in whole.items() if name == WAIT}
            mean |= perf(whole.get(SPEED, math.nan))
            self._perf_at, self._since_perf = now, []
        self._writer.write("step", step=step, of=of, epoch=epoch, values=mean)
        self._event_at, self._pending = now, []
        self._add_note()
        if step == of or now - self._line_at >= LINE_INTERVAL:
            numbers = "  ".join(f"{name} {x:.4g}" for name, x in mean.items())
            _print(f"step {step}/{of}  {numbers}  {self._left(step, of, now)}")
            self._line_at = now

    def evaluation(
        self, step: int, epoch: int, split: str, n: int, values: Mapping[str, float]
    ) -> None:
        """Report the scores on a split."""
        self._writer.write("eval", step=step, epoch=epoch, split=split, n=n, values=values)
        _print(f"step {step}  " + "  ".join(f"{name} {x:.4g}" for name, x in values.items()))
        self._add_note()

    def note(self, text: str) -> None:
        self._writer.write("note", text=text)
        _print(text)

    def _add_note(self) -> None:
        if text := self._watch():
            self.note(text)

    def _left(self, step: int, of: int, now: float) -> str:
        assert self._first is not None
        first, since = self._first
        if step <= first or step >= of:
            return ""
        seconds = round((now - since) / (step - first) * (of - step))
        return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02} left"


def average(steps: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each value that all steps have: of speed and waiting over their time."""
    times = [1 / x if (x := values.get(SPEED, 0.0)) > 0 else 0.0 for values in steps]
    total = math.fsum(times)
    means = {}
    for name in [name for name in steps[-1] if all(name in values for values in steps)]:
        numbers = [values[name] for values in steps]
        if total and name == SPEED:
            means[name] = len(steps) / total
        elif total and name == WAIT:
            means[name] = math.fsum(map(operator.mul, numbers, times)) / total
        else:
            means[name] = math.fsum(numbers) / len(steps)
    return means


def _print(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text.rstrip()}", flush=True)


class Stopped(Exception):  # noqa: N818 - the name says what happened
    """The job was asked to stop and has saved its state."""


@dataclass(frozen=True)
class Context:
    """One running job."""

    paths: JobPaths
    spec: Spec
    config: Config
    device: str
    """`cpu` or `cuda`."""
    report: Reporter
    resume: bool
    stopped: Callable[[], bool]
    """True once the job has been asked to stop."""


@dataclass(frozen=True)
class Outcome:
    """The numbers of a finished job; names as in `vitlab.contract.job.Result`."""

    values: Mapping[str, float]
    errors: Mapping[str, float] = field(default_factory=dict)
    n: Mapping[str, int] = field(default_factory=dict)
    model: Mapping[str, object] = field(default_factory=dict)
    data: Mapping[str, object] = field(default_factory=dict)
    best: Mapping[str, float] = field(default_factory=dict)
    figures: tuple[Path, ...] = ()
    checks: Mapping[str, Check] = field(default_factory=dict)
    world: World | None = None
    earlier: float = 0.0
    """Seconds of the jobs it is made of."""
    earlier_hours: Mapping[str, float] | None = field(default_factory=dict)
    """Hours of cores and GPUs of a training that it goes on from; None: not known."""
