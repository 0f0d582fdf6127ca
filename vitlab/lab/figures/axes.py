"""The axes of curves: what x means to all runs of a chart, and where it ends as planned."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from vitlab.contract.networks import TrainConfig
from vitlab.contract.value import Value
from vitlab.plot.series import Point, Range, Rgb, Series

if TYPE_CHECKING:
    from vitlab.contract.job import Spec
    from vitlab.lab.progress import Progress, Sample, Samples

AXES = {
    "step": "step",
    "epoch": "epoch",
    "spectra": "spectra seen",
    "share": "% of planned steps",
    "seconds": "seconds of run time",
}
"""What x can be, with its label."""
SWEEPS = ("ridge",)
"""Recipes that score one penalty after the other on the validation split."""


@dataclass(frozen=True)
class Plan:
    """What a run was started to do."""

    recipe: str = ""
    batch: float | None = None
    """Spectra a step; None for a run that has no such thing."""
    epochs: int | None = None
    """In all; None where not known."""


@dataclass(frozen=True)
class Run:
    """One run's samples of one value."""

    label: str
    samples: Samples | Sequence[Sample]
    plan: Plan = field(default_factory=Plan)
    steps: int = 0
    """Steps in all; 0 where not known."""
    step: int = 0
    """The last one so far."""
    test: Sample | None = None
    """The same value on the test set; None before it is known."""
    sweep: bool = False
    """The samples are of one penalty after the other: their best is a level, they are no curve."""
    color: Rgb | None = None
    job: str = ""


def read_plan(spec: Spec) -> Plan:
    """What a job is to do; its file may say anything."""
    train: Any = spec.config.get("train")
    train = train if isinstance(train, dict) else {}
    if spec.recipe == "command":
        epochs = spec.config.get("epochs")
        return Plan(spec.recipe, None, epochs if isinstance(epochs, int) else None)
    if spec.recipe not in ("vit", "mlp"):
        return Plan(spec.recipe)
    batch, epochs = train.get("batch", TrainConfig.batch), train.get("epochs", TrainConfig.epochs)
    return Plan(
        spec.recipe,
        float(batch) if isinstance(batch, int | float) else None,
        epochs if isinstance(epochs, int) else None,
    )


def run_of(label: str, plan: Plan, progress: Progress, metric: str) -> Run:
    """A job's curve of one value, with its test value where the curve is of another split."""
    on_test = str(Value.parse(metric).on("test"))
    tested = progress.curve(on_test).newest(1) if on_test != metric else ()
    test = next(iter(tested), None)
    known = test is not None and test.value is not None
    samples, test = progress.curve(metric), test if known else None
    sweep = plan.recipe in SWEEPS and Value.parse(metric).split == "val"
    return Run(label, samples, plan, progress.of, progress.step, test, sweep)


class Drawn(Protocol):
    """A curve ready to draw; x ascending."""

    @property
    def x(self) -> Sequence[float | None]: ...

    @property
    def test(self) -> Point | None: ...


def distinct(labels: Sequence[str], jobs: Sequence[str]) -> list[str]:
    """The labels of these jobs, with the time of its launch where a run was launched again."""
    count = Counter(labels)
    made = list(labels)
    for time in (slice(9, 15), slice(None)):  # as in the names of jobs, or else all of it
        folders = [job.rpartition("/")[2][time] for job in jobs]
        pairs = zip(labels, folders, strict=True)
        made = [f"{label} {folder}" if count[label] > 1 else label for label, folder in pairs]
        if len({*made}) == len(made):
            break
    return made


def axis_of(runs: Sequence[Run]) -> str:
    """What means something to all of these runs.

    Of one kind: `epoch` where each has one value an epoch, else `step`. Of several kinds: the
    spectra they have seen, or how much of their planned steps is done.
    """
    curves = [run for run in runs if not run.sweep and (run.samples or run.test)]
    if len({run.plan.recipe for run in curves}) == 1:
        return "epoch" if all(map(_has_one_value_per_epoch, curves)) else "step"
    for axis in ("spectra", "share", "seconds"):
        if curves and all(_has(run, axis) for run in curves):
            return axis
    return "step" if curves else "share"


def _has(run: Run, axis: str) -> bool:
    """Whether all values of a run have a place on an axis, and most an own one."""
    places = positions(run, run.samples, axis)
    return None not in places and 2 * len({*places}) >= len(places)


def _has_one_value_per_epoch(run: Run) -> bool:
    epochs = [sample.epoch for sample in run.samples]
    rising = all(a is not None and b is not None and a < b for a, b in pairwise(epochs))
    return None not in epochs and rising and (len(epochs) > 1 or (run.plan.epochs or 0) > 1)


def positions(run: Run, samples: Iterable[Sample], axis: str) -> list[float | None]:
    """Where samples are on an axis; None where that is not known."""
    match axis:
        case "epoch":
            return [one.epoch for one in samples]
        case "seconds":
            return [one.seconds for one in samples]
        case "spectra":
            scale = run.plan.batch
        case "share":
            scale = 100 / run.steps if run.steps else None
        case _:
            scale = 1
    return [None if scale is None else scale * one.step for one in samples]


def planned(run: Run, axis: str) -> float | None:
    """Where a run ends by its plan; None where that is not known."""
    if axis == "share":
        return 100.0
    if axis == "epoch":
        first = next((sample.epoch for sample in run.samples), None)
        counted_from_0 = first is not None and first < 1
        return run.plan.epochs - counted_from_0 if run.plan.epochs else None
    if axis == "spectra":
        return run.steps * run.plan.batch if run.steps and run.plan.batch else None
    return (run.steps or None) if axis == "step" else None


def series(run: Run, axis: str, metric: str) -> Series:
    """The run ready to draw: its curve, or the level of its best where it has none."""
    xs, ys = positions(run, run.samples, axis), [one.value for one in run.samples]
    best = _best(xs, ys, metric)
    drawn = Series(run.label, xs, ys, run.color, best)
    if run.test is not None and run.test.value is not None:
        last = run.test._replace(step=max(run.step, run.test.step))
        ends = [x for x in (*xs[-1:], *positions(run, [last], axis)) if x is not None]
        drawn = replace(drawn, test=(max(ends), run.test.value) if ends else None)
    if not run.sweep:
        return drawn
    level = best or next(zip(xs[-1:], ys[-1:], strict=True), None)
    end = planned(run, axis) or (level and level[0])
    points = [] if level is None else [level[1]] * 2
    return replace(drawn, x=[0.0, end][: len(points)], y=points, best=None, level=True)


def _best(
    xs: Sequence[float | None], ys: Sequence[float | None], metric: str
) -> tuple[float, float] | None:
    """The best point; None where it is not known which way is better."""
    better = Value.parse(metric).better
    known = [y for y in ys if y is not None and math.isfinite(y)]
    if better is None or not known:
        return None
    match better.way:
        case "larger":
            chosen = max(known)
        case "smaller":
            chosen = min(known)
        case _:
            chosen = min(known, key=better.distance)
    x = xs[ys.index(chosen)]
    return None if x is None else (x, chosen)


def x_range(runs: Sequence[Run], drawn: Sequence[Drawn], axis: str) -> Range | None:
    """From 0 to the longest plan, or as far as the curves go; None where there is nothing."""
    ends = [end for run in runs if (end := planned(run, axis)) is not None]
    places = [x for one in drawn for x in (*one.x[:1], *one.x[-1:]) if x is not None]
    places += [one.test[0] for one in drawn if one.test is not None]
    low, high = min([0.0, *places]), max([0.0, *ends, *places])
    return (low, high) if high > low else None
