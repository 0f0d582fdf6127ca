"""The health of a running job: pure checks on its events so far."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vitlab.contract.events import Event
from vitlab.contract.paths import JobPaths
from vitlab.contract.reading import is_finite
from vitlab.contract.value import LEARNING_RATE, TRAIN_LOSS, Value
from vitlab.jobs.files import last_json_line
from vitlab.jobs.process.speed import Speed

_KEPT = 64
"""Values of each series that are kept."""
MAX_NAMES = 2000
"""Names whose values are kept: each has its series."""
LONGEST = 200
"""Letters of a name."""
_CONSTANT_AFTER = 32
"""Equal losses before there is a warning: even a converged loss moves with its batch."""


@dataclass(frozen=True)
class Limits:
    """Limits beyond which a job is not well."""

    first_step: float = 900.0
    """Seconds from the start until the first step or evaluation."""
    silence: float = 1800.0
    """Seconds without any event after that."""
    explosion: float = 10.0
    """Loss over its running median: a warning; its square is bad."""
    slow: float = 0.5
    """Samples per second over their median."""
    stuck: float = 0.02
    """|R2| below this at every evaluation is a model that predicts the mean."""
    stuck_after: int = 5
    """Evaluations before there is a warning."""
    growth: float = 1.5
    """Resident memory over that at the beginning, while it grows with every sample."""


@dataclass(frozen=True)
class Policy:
    """What the supervisor does on a bad verdict."""

    limits: Limits = Limits()
    action: str = "warn"
    """`warn`; `stop`; or `restart` from the last checkpoint."""
    restarts: int = 1
    """Restarts at most."""


def read_policy(extra: Mapping[str, object]) -> Policy:
    """The policy of a spec's `extra`; missing or invalid keys have their defaults."""
    keys = extra.get("health")
    if not isinstance(keys, Mapping):
        return Policy()
    numbers = {k: v for k, v in keys.items() if is_finite(v)}
    limits: dict[str, Any] = {k: numbers[k] for k in Limits.__dataclass_fields__ if k in numbers}
    action = keys.get("action")
    return Policy(
        Limits(**limits),
        action if action in ("stop", "restart") else "warn",
        int(numbers.get("restarts", 1)),
    )


@dataclass(frozen=True)
class Health:
    """One verdict."""

    status: str
    """`ok`, `warn` or `bad`."""
    what: str = ""
    """`dead`, `stalled`, `not finite`, `explosion`, `stuck`, `slow`, ...; empty when ok."""
    evidence: str = ""
    """The numbers behind it, for people."""


@dataclass(frozen=True)
class Reach:
    """From where to where a run came."""

    first_step: int
    step: int
    first_epoch: float | None = None
    """None where epochs are not counted."""
    epoch: float | None = None

    def to(self, later: Reach) -> Reach:
        """From its beginning to the end of `later`."""
        epochs = (self.first_epoch, later.epoch) if later.epoch is not None else (None, None)
        return Reach(self.first_step, later.step, *epochs)

    def restart_after(self, before: Reach) -> str:
        """What shows that this run, resumed after `before`, began anew; empty where nothing does.

        Epochs decide where they can: a program may count the steps of each process from 0.
        """
        if self.first_epoch is not None and before.first_epoch is not None:
            if self.first_epoch > before.first_epoch:
                return ""
            if before.epoch is not None and before.epoch > before.first_epoch:
                return f"its epochs restart at {self.first_epoch:g}"
        if before.step > before.first_step >= self.first_step:
            return f"its steps restart at {self.first_step:g}"
        return ""


def reach_of(events: Iterable[Event]) -> Reach | None:
    """Of the training alone: a test counts its epochs from 0. None before the first step."""
    reach: Reach | None = None
    for event in events:
        if event.kind in ("step", "eval") and event.data.get("split") != "test":
            epoch = event.data.get("epoch")
            here = Reach(event.step, event.step, epoch, epoch)
            reach = here if reach is None else reach.to(here)
    return reach


@dataclass(frozen=True)
class Epochs:
    """The epochs that rows of one kind came to, as those of training or of validation."""

    first: float
    step: int
    """Of the first row."""
    last: float
    stride: float = 0.0
    """From the one before to the last."""
    rows: int = 1
    """Of the last one, so far."""
    least: int = 0
    """Rows of each epoch before that; 0 where there is none."""

    def then(self, epoch: float) -> Epochs:
        """With a further row."""
        if epoch == self.last:
            return replace(self, rows=self.rows + 1)
        least = min(self.least or self.rows, self.rows)
        return Epochs(self.first, self.step, epoch, epoch - self.last, least=least)

    def passed(self, epoch: float) -> bool:
        """Whether that epoch was passed: its rows are as many as those of others."""
        return self.last > epoch or (self.last == epoch and self.rows >= self.least > 0)

    def lacks(self, epoch: float) -> bool:
        """Whether there would be a row between the last one and the end of that epoch."""
        return self.last < epoch and self.last + self.stride <= epoch


@dataclass
class History:
    """What is kept of a job's events."""

    steps: int = 0
    """Step and evaluation events so far."""
    step: int = 0
    of: int = 0
    """Steps in all; 0 where that is not known."""
    epochs: dict[str, Epochs] = field(default_factory=dict)
    """Those of `val`, `test` and, by an empty name, of training; empty where none are counted."""
    tested: int | None = None
    """The step of its last test, unless training went on after it."""
    last: float = 0.0
    """Unix seconds of the last event; 0 before the first."""
    nonfinite: str = ""
    """The last value that was not finite, with its step; empty while all are finite."""
    series: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """The last finite values of each name."""
    values: dict[str, float | None] = field(default_factory=dict)
    """The last value of each name; None for one that is not finite."""
    speed: Speed = field(default_factory=Speed)
    """Its samples per second."""
    writers: dict[int, tuple[float, float]] = field(default_factory=dict)
    """By the number of a process that reports: epoch (-1 without) and step where it began."""
    reporters: dict[str, int] = field(default_factory=dict)
    """By name: the process that reported it last."""
    again: dict[str, int] = field(default_factory=dict)
    """By name: values of processes that each began anew, where another had reported it."""
    anew: frozenset[int] = frozenset()
    """The processes that did so."""
    trained: dict[int, int] = field(default_factory=dict)
    """By process: steps of training that it reported."""
    unclear: frozenset[str] = frozenset()
    """Names that several processes reported that each began anew: their last is of one of them."""
    left_out: int = 0
    """Values of names that are too many or too long to keep."""
    ended: bool = False
    first: Reach | None = None
    """The first step of this attempt; None before it."""
    before: Reach | None = None
    """How far the attempts before this one came; None where there were none."""


@dataclass(frozen=True)
class Facts:
    """What is observed from outside, in seconds of one monotonic clock."""

    running: float
    """Since the job's process began."""
    silent: float
    """Since its last event, or its beginning."""
    alive: bool = True
    stopped: bool = False
    """By SIGSTOP or a debugger."""
    memory: tuple[int, ...] = ()
    """Resident bytes of its process, sampled at even times."""
    metrics: str = ""
    """Which files, columns and rows its numbers come from; empty where it reports them itself."""
    problems: tuple[str, ...] = ()
    """What of its metrics is not read."""
    contradictions: tuple[str, ...] = ()
    """Values that cannot all be true of the same stars."""
    slowed_by: str = ""
    """What around a slow job may slow it down; empty where nothing was seen."""


def add_events(history: History, events: Iterable[Event], slow: float = Limits.slow) -> History:
    """The history after `events`; `slow` as in `Limits`."""
    after = replace(history, series=dict(history.series), values=dict(history.values))
    after.epochs, after.writers = dict(history.epochs), dict(history.writers)
    after.reporters, after.again = dict(history.reporters), dict(history.again)
    after.trained = dict(history.trained)
    for event in events:
        if event.kind == "start":
            # A resumed job is judged by its new events only.
            after = History(last=event.t, before=after.before)
        else:
            _add(after, event)
            after.speed = after.speed.after(event, slow)
    return after


def _add(history: History, event: Event) -> None:
    history.steps += event.kind in ("step", "eval")
    history.step = max(history.step, event.step)
    history.of = event.data.get("of") or history.of
    _add_place(history, event)
    history.last = event.t
    names = event.data.get("nonfinite")
    if isinstance(names, list) and names:
        history.nonfinite = f"{str(names[0])[:LONGEST]} at step {event.step}"
    for name, value in event.values.items():
        if name not in history.values and (len(history.values) >= MAX_NAMES or len(name) > LONGEST):
            history.left_out += 1
            continue
        history.values[name] = value
        if isinstance(value, int | float) and math.isfinite(value):
            history.series[name] = (*history.series.get(name, ())[-_KEPT + 1 :], float(value))
    if isinstance(by := event.data.get("by"), int) and len(history.writers) < MAX_NAMES:
        _add_writer(history, event, by)
    history.ended |= event.kind == "end"
    history.first = history.first or reach_of([event])


def _add_writer(history: History, event: Event, by: int) -> None:
    """Who reports: a process that goes on where another was is the same training."""
    began = history.writers.setdefault(by, (event.data.get("epoch", -1.0), event.step))
    for name in event.values:
        before = history.reporters.setdefault(name, by) if name in history.values else by
        if before != by and began <= history.writers[before] and name.startswith(("val/", "test/")):
            history.again[name] = history.again.get(name, 0) + 1
            history.anew |= {by}
        elif before != by:
            history.reporters[name] = by
    if event.kind == "step":
        history.trained[by] = history.trained.get(by, 0) + 1
    # One value of a process that has not trained may be an evaluation of the training's.
    trained = any(history.trained.get(one, 0) > 1 for one in history.anew)
    if trained or max(history.again.values(), default=0) > 1:
        history.unclear = frozenset(history.again)


def _add_place(history: History, event: Event) -> None:
    """Where training, validation and tests are."""
    if event.kind not in ("step", "eval"):
        return
    split = str(event.data.get("split") or "")
    if split == "test":
        history.tested = event.step
    elif event.step > (history.tested or 0):
        history.tested = None
    if (epoch := event.data.get("epoch")) is not None:
        before = history.epochs.get(split)
        history.epochs[split] = before.then(epoch) if before else Epochs(epoch, event.step, epoch)


def health(history: History, facts: Facts, limits: Limits) -> Health:
    """The worst finding; `ok` with the step reached when there is none."""
    if history.ended:
        findings = [*_resume_findings(history), *_metrics_findings(facts)]
        return next(iter(findings), Health("ok", "", f"ended at step {history.step}"))
    findings = [
        *_process_findings(history, facts, limits),
        *_number_findings(history, limits),
        *_speed_findings(history, facts),
        *_resume_findings(history),
        *_writer_findings(history),
        *_metrics_findings(facts),
    ]
    for status in ("bad", "warn"):
        for finding in findings:
            if finding.status == status:
                return finding
    place = f"step {history.step}" if history.steps else "before the first step"
    return Health("ok", "", "; ".join(part for part in (place, facts.metrics) if part))


def _process_findings(history: History, facts: Facts, limits: Limits) -> Iterator[Health]:
    if not facts.alive:
        yield Health("bad", "dead", "its process is gone")
    elif facts.stopped:
        yield Health("warn", "stopped", "its process is stopped (SIGSTOP); SIGCONT continues it")
    if history.steps == 0 and facts.running > limits.first_step:
        yield Health("warn", "no first step", f"none after {facts.running:.0f} s")
    if history.steps and facts.silent > limits.silence:
        yield Health("bad", "stalled", f"no event for {facts.silent:.0f} s, step {history.step}")

    memory = facts.memory
    rising = all(a < b for a, b in itertools.pairwise(memory))
    if len(memory) >= 10 and rising and memory[-1] > limits.growth * memory[0]:
        yield Health("warn", "memory", f"{memory[0] / 1e9:.2f} GB, now {memory[-1] / 1e9:.2f} GB")


def _resume_findings(history: History) -> Iterator[Health]:
    if history.before is None or history.first is None:
        return
    if why := history.first.restart_after(history.before):
        yield Health("warn", "resume", f"resumed, but {why}: no checkpoint was loaded")


def _writer_findings(history: History) -> Iterator[Health]:
    if history.unclear:
        names = ", ".join(sorted(history.unclear)[:3])
        text = f"{len(history.writers)} processes report {names}, each from its beginning: "
        yield Health("warn", "several", f"{text}no result of it; a run of its own for each has one")


def _metrics_findings(facts: Facts) -> Iterator[Health]:
    if facts.contradictions:
        yield Health("warn", "contradiction", "; ".join(facts.contradictions))
    if facts.problems:
        yield Health("warn", "metrics", "; ".join(facts.problems))


def _number_findings(history: History, limits: Limits) -> Iterator[Health]:
    if history.left_out:
        evidence = f"values of more than {MAX_NAMES} names, or of long ones, are left out"
        yield Health("warn", "names", evidence)
    if history.nonfinite:
        yield Health("bad", "not finite", history.nonfinite)
    losses = history.series.get(TRAIN_LOSS, ())
    if len(losses) > 8:
        usual = _median(losses[:-1])
        ratio = losses[-1] / usual if usual > 0 else 0.0
        if ratio > limits.explosion:
            status = "bad" if ratio > limits.explosion**2 else "warn"
            evidence = f"loss {losses[-1]:.3g} is {ratio:.0f} x its median {usual:.3g}"
            yield Health(status, "explosion", evidence)
    if len(losses) >= _CONSTANT_AFTER and max(losses) - min(losses) <= 1e-4 * abs(_median(losses)):
        evidence = f"loss {losses[-1]:.5g}, the same for {len(losses)} steps"
        yield Health("warn", "stagnation", evidence)
    yield from _stuck(history, limits)
    # A schedule that ends at 0 is there at the last step.
    unfinished = history.step > 0 and history.step != history.of
    if unfinished and (history.series.get(LEARNING_RATE) or (1.0,))[-1] == 0.0:
        yield Health("warn", "lr zero", f"learning rate 0 at step {history.step}")


def _speed_findings(history: History, facts: Facts) -> Iterator[Health]:
    if history.speed.is_low:
        yield Health("warn", "slow", history.speed.evidence(facts.slowed_by))


def _stuck(history: History, limits: Limits) -> Iterator[Health]:
    """R2 = 0 is a loss at the variance of the labels: the model has learned only their mean."""
    for name, values in history.series.items():
        value = Value.parse(name)
        scored = (value.split, value.metric) == ("val", "r2") and value.label
        if not scored or len(values) < limits.stuck_after:
            continue
        if all(abs(number) < limits.stuck for number in values[-limits.stuck_after :]):
            losses = history.series.get(TRAIN_LOSS, ())
            loss = f", loss {losses[-1]:.3g}" if losses else ""
            evidence = f"{name} = {values[-1]:.3g} for {len(values)} evaluations{loss}"
            yield Health("bad", "stuck", f"predicts the mean: {evidence}")


def _median(values: Sequence[float]) -> float:
    """The upper median; the `statistics` module would cost the supervisor 2 MB."""
    return sorted(values)[len(values) // 2]


def read_health(job: JobPaths) -> Health | None:
    """The last verdict in `health.jsonl`; None before the first."""
    record = last_json_line(job.health)
    if not record:
        return None
    words = [str(record.get(key, "")) for key in ("status", "what", "evidence")]
    return Health(*words)
