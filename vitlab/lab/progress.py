"""One reading of a job's events: how far it is, and the curve of each of its values.

Every chart, table and write-back of a process reads the same `Progress`, so that all show the same
points.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from vitlab.contract.events import Event, read_events
from vitlab.contract.job import read_spec
from vitlab.contract.paths import JobPaths
from vitlab.contract.reading import Unreadable
from vitlab.jobs.logs.tail import EventTail

TAIL = 1500
"""Bytes at the end of the events from which the last step and values are read."""
KEEP = 2048
"""Samples kept of one value; more than a screen has columns. Beyond, they are thinned."""
RECENT = 64
"""The newest samples, which thinning leaves alone."""
TREND = 5
"""Samples of its headline from which the trend of an ended job is shown."""
BUCKET = 8
"""Samples in a row of which thinning keeps first, last, lowest, highest and one gap."""
NAMES = 2048
"""Values kept of one job, by their names; a script that numbers its names has more."""


class Sample(NamedTuple):
    """One value at one step."""

    step: float
    epoch: float | None
    seconds: float | None
    """Run time until then; pauses before a resume do not count. None before any `start`."""
    value: float | None
    """None where it was not finite."""


class Samples:
    """The samples of one value, oldest first; in a plain array, as a lab has many of them."""

    __slots__ = ("_numbers",)

    def __init__(self, numbers: array[float] | None = None) -> None:
        """`numbers`: the fields of the samples one after the other, NaN for None."""
        self._numbers = array("d") if numbers is None else numbers

    def __len__(self) -> int:
        return len(self._numbers) // 4

    def __iter__(self) -> Iterator[Sample]:
        parts = [[None if x != x else x for x in self._numbers[i::4]] for i in range(4)]
        return map(Sample._make, zip(*parts, strict=True))

    def newest(self, count: int) -> Samples:
        return Samples(self._numbers[-4 * count :])

    def extended(self, samples: Iterable[Sample]) -> Samples:
        """The curve with more samples, thinned where it grows long.

        A resumed run repeats the steps after its checkpoint: the later ones count.
        """
        numbers = self._numbers[:]
        for sample in samples:
            while numbers and numbers[-4] >= sample[0]:
                del numbers[-4:]
            numbers.extend([_number(part) for part in sample])
            if len(numbers) > 4 * KEEP:
                kept = kept_when_thinned(numbers[3::4])
                numbers = array("d", [x for i in kept for x in numbers[4 * i : 4 * i + 4]])
        return Samples(numbers)


def kept_when_thinned(values: Sequence[float]) -> list[int]:
    """The places of about half the values (NaN for a gap); no extreme and no gap is lost."""
    kept: list[int] = []
    old = max(len(values) - RECENT, 0)
    for start in range(0, old, BUCKET):
        bucket = range(start, min(start + BUCKET, old))
        known = [i for i in bucket if not math.isnan(values[i])]
        gaps = [i for i in bucket if math.isnan(values[i])]
        keep = {bucket[0], bucket[-1], *gaps[:1]}
        if known:
            keep |= {min(known, key=values.__getitem__), max(known, key=values.__getitem__)}
        kept += sorted(keep)
    return [*kept, *range(old, len(values))]


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


@dataclass(frozen=True)
class Progress:
    """The state of a job by its events so far."""

    step: int = 0
    of: int = 0
    """Steps in all; 0 until the job knows."""
    epoch: float | None = None
    values: Mapping[str, float | None] = field(default_factory=dict)
    """The latest of each value."""
    began: float | None = None
    """Unix seconds of the last `start`; None before it."""
    first: tuple[int, float] | None = None
    """The first step of this process, and when: what came before was no training."""
    first_epoch: tuple[float, float] | None = None
    """The same of the first epoch."""
    by_hand: bool = False
    """Whether it was started by hand: its first events come at once, when it is adopted."""
    spec_hash: str = ""
    """Of the spec of its last start; empty where that does not say it, as of a program."""
    job: str = ""
    """`Spec.mark` of its last start; empty where that does not say it."""
    before: float = 0.0
    """Run time of the processes before this one, in seconds."""
    last: float = 0.0
    """Unix seconds of the latest event; 0 before any."""
    curves: Mapping[str, Samples] = field(default_factory=dict)
    """Value name -> its samples; the same object until a value is added."""
    problem: str = ""
    """Why its events are not read, or not to their end; empty when they are."""

    def curve(self, name: str) -> Samples:
        """The samples of one value; empty where the job has none."""
        return self.curves.get(name) or Samples()

    def newest(self, name: str, count: int) -> Progress:
        """Without the curves, but for the newest samples of one."""
        curve = self.curves.get(name)
        return replace(self, curves={} if curve is None else {name: curve.newest(count)})

    def eta(self, now: float, epochs: int | None = None) -> float | None:
        """Seconds to the last step at the speed so far; None while it is not known.

        Where its steps in all are not known, to the last of `epochs`, counted from 0 or 1.
        """
        since_began = self.began if self.by_hand else None
        if self.first is not None and self.of:
            first = self.first if since_began is None else (0, since_began)
            return self._left(now, self.step, first, self.of)
        if self.first_epoch is not None and self.epoch is not None and epochs:
            number, first_time = self.first_epoch
            last = epochs - 1 if number == 0 else epochs
            first_epoch = (number, first_time) if since_began is None else (number - 1, since_began)
            return self._left(now, self.epoch, first_epoch, last)
        return None

    def _left(self, now: float, at: float, first: tuple[float, float], end: int) -> float | None:
        if at <= first[0]:
            return None
        each = (self.last - first[1]) / (at - first[0])
        return max(end - at, 0) * each - max(now - self.last, 0)


def fold(progress: Progress, events: Iterable[Event]) -> Progress:
    """`progress` after some more events."""
    fresh: dict[str, list[Sample]] = {}
    values = dict(progress.values)
    state = dict(vars(progress))  # one new object for all events, which may be thousands
    for event in events:
        _move_on(state, event)
        if event.kind in ("step", "eval"):
            at = event.step, _epoch(event), _run_time(state, event.t)
            for name, value in event.values.items():
                if len(values) < NAMES or name in values:
                    values[name] = value
                    fresh.setdefault(name, []).append(Sample(*at, value))
                else:
                    problem = f"events.jsonl names more than {NAMES} values; {name} is not read"
                    state["problem"] = state["problem"] or problem
    if fresh:
        grown = {name: progress.curve(name).extended(samples) for name, samples in fresh.items()}
        state |= {"values": values, "curves": {**progress.curves, **grown}}
    return Progress(**state) if state != vars(progress) else progress


def _move_on(state: dict[str, Any], event: Event) -> None:
    """All fields of a `Progress` but values and curves after one more event."""
    data = event.data
    match event.kind:
        case "start":
            before = _run_time(state, state["last"]) if data.get("resumed_from") else None
            state |= {
                "began": event.t,
                "by_hand": data.get("by_hand") is True,
                "first": None,
                "first_epoch": None,
                "spec_hash": str(data.get("spec_hash", "")),
                "job": str(data.get("job", "")),
                "before": before or 0.0,
            }
        case "step" | "eval":
            # The test set is scored at the best step, which is behind the last one.
            is_step = event.kind == "step"
            state["step"] = event.step if is_step else max(state["step"], event.step)
            if isinstance(of := data.get("of"), int):
                state["of"] = of
            if state["first"] is None and is_step:
                state["first"] = event.step, event.t
            # A Trainer of its own counts the epochs of a test from 0.
            epoch = None if data.get("split") == "test" else _epoch(event)
            if epoch is not None:
                state["epoch"] = epoch
                state["first_epoch"] = state["first_epoch"] or (epoch, event.t)
    state["last"] = event.t


def _epoch(event: Event) -> float | None:
    epoch = event.data.get("epoch")
    return float(epoch) if isinstance(epoch, int | float) else None


def _run_time(state: Mapping[str, Any], t: float) -> float | None:
    began: float | None = state["began"]
    return None if began is None else state["before"] + max(t - began, 0.0)


def read_end(job: JobPaths) -> Progress:
    """The last step and values of a job, from the end of its events; no curves."""
    progress = Progress()
    try:
        offset = max(job.events.stat().st_size - TAIL, 0)
        progress = fold(progress, read_events(job.events, offset)[0])
    except Unreadable as error:
        return Progress(problem=error.line)
    except OSError:
        return progress
    return replace(progress, curves={})


class ProgressReader:
    """Follows one job's `events.jsonl`; each poll reads only what is new."""

    def __init__(self, job: JobPaths) -> None:
        self._job = job
        self._tail = EventTail(job.events)
        self._folded = self._progress = Progress()
        self._ours = {("", "")}
        """Hashes and marks known to be of this job's spec, or of one that cannot be read."""

    def poll(self) -> Progress:
        """The same object until something has changed."""
        # A long file comes in several blocks.
        folded = self._folded
        while events := self._tail.poll():
            folded = fold(folded, events)
        problem = self._tail.problem or folded.problem
        if folded is not self._folded or problem != self._progress.problem:
            self._folded, self._progress = folded, replace(folded, problem=problem)
            if self._is_of_another(folded.spec_hash, folded.job):
                self._progress = Progress(problem=f"{self._job.events.name} is of another job")
        return self._progress

    def _is_of_another(self, spec_hash: str, job: str) -> bool:
        if (spec_hash, job) not in self._ours:
            spec = read_spec(self._job.spec)
            if spec is None or (spec_hash in ("", spec.hash) and spec.is_named(job)):
                self._ours.add((spec_hash, job))
        return (spec_hash, job) not in self._ours
