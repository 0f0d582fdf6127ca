"""The figures of training: the headline and the loss on validation as runs were trained."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace

from vitlab.contract.paths import UsageError
from vitlab.contract.value import LOSS, Value
from vitlab.docs.judge.errors import stars_error
from vitlab.lab.figures.axes import AXES, Run, axis_of, read_plan, run_of, series
from vitlab.lab.figures.costs import cost_notes
from vitlab.lab.figures.figure_specs import FigureData, missing, run_label
from vitlab.lab.results.job_results import Finished
from vitlab.lab.results.repeats import grouped
from vitlab.plot.figures.picture import Curve, Panel, Picture
from vitlab.plot.series import Line, robust_range

PANELS = 12
"""Of the grid of learning curves."""


def training(data: FigureData) -> Picture:
    """The headline on validation as the runs trained, and the loss where it was validated."""
    live = str(Value.parse(data.headline).live)
    panels, notes = [], []
    styles = data.styles([one.result.model_name for one in data.results])
    for name in (live, LOSS):
        runs = [_run(data, one, name) for one in data.results]
        axis = axis_of(runs)
        curves, lines = [], list(data.levels(name))
        for run, style in zip(runs, styles, strict=True):
            points, is_level = _points(run, axis, name)
            notes += _not_finite(run, name)
            if points and is_level:
                lines.append(Line(points[0][1], f"{run.label}, best penalty {points[0][1]:.3g}"))
            elif points:
                xs, ys = zip(*points, strict=True)
                curves.append(Curve(run.label, xs, ys, style=style))
        if curves:
            label = Value.parse(name).axis
            panels.append(Panel(AXES[axis], label, tuple(curves), lines=tuple(lines)))
            notes += missing(sum(not run.samples for run in runs), len(runs), name)
            notes += data.hidden_levels(name)
    if not panels:
        raise UsageError(f"training: no job has a curve of {live}")
    costs = cost_notes(grouped(data.results))
    keys = (*data.trial, *_validated(data, live))
    return Picture(f"Training{data.title_mark}", tuple(panels), (*costs, *notes), keys)


def _validated(data: FigureData, live: str) -> list[str]:
    """How far a score on the validation stars may be from one on all, which a ceiling is of."""
    known = [
        (one.result.n["val"], error)
        for one in data.results
        if one.result.n.get("val") and (error := stars_error(one.result, live))
    ]
    if not known:
        return []
    counts, errors = zip(*known, strict=True)
    of = " to ".join(f"{n:,}" for n in dict.fromkeys((min(counts), max(counts))))
    by = f"± {statistics.fmean(errors):.2g} against a ceiling, less between runs"
    return [f"{Value.parse(live).symbol} of {of} validation stars: {by}"]


def learning(data: FigureData) -> Picture:
    """The headline on validation as it was learned: one panel a run, one curve a seed."""
    live = str(Value.parse(data.headline).live)
    groups = grouped(data.results)
    runs = [[_run(data, one, live) for one in group.members] for group in groups]
    axis = axis_of([run for seeds in runs for run in seeds])
    lines = data.levels(live)
    models = len({group.first.model_name for group in groups}) > 1
    panels, notes = [], []
    for group, seeds in zip(groups, runs, strict=True):
        (style,) = data.styles([group.first.model_name])
        drawn = [_points(run, axis, live) for run in seeds]
        notes += [note for run in seeds for note in _not_finite(run, live)]
        curves = tuple(
            Curve(
                group.first.model_name,
                tuple(x for x, _ in points),
                tuple(y for _, y in points),
                style=style,
                marked=False,
            )
            for points, is_level in drawn
            if points and not is_level
        )
        if curves:
            title = run_label(group, models)
            label = Value.parse(live).axis
            panels.append(Panel(AXES[axis], label, curves, title=title, lines=lines))
    if not panels:
        raise UsageError(f"learning: no job has a curve of {live}")
    notes += missing(len(groups) - len(panels), len(groups), f"a curve of {live}")
    if len(panels) > PANELS:
        notes.append(f"{len(panels) - PANELS} of {len(panels)} runs not shown")
    alike = _alike(panels[:PANELS], [line.value for line in lines])
    several = any(len(group.members) > 1 for group in groups)
    keys = (*data.trial, *["one curve a seed"] * several, *_validated(data, live))
    return Picture(
        f"Learning curves{data.title_mark}",
        alike,
        (*cost_notes(groups), *notes, *data.hidden_levels(live)),
        keys,
        across=(2, 4),
        wide=len(alike) > 2,
        shared=True,
    )


def _alike(panels: Sequence[Panel], lines: Sequence[float]) -> tuple[Panel, ...]:
    """With the same axes, without the first values that would flatten the rest."""
    curves = [curve for panel in panels for curve in panel.curves]
    xs = [x for curve in curves for x in curve.x]
    ends = robust_range([y for curve in curves for y in curve.y], lines)
    margin = 0.03 * ((max(xs) - min(xs)) or 1.0)
    across = min(xs) - margin, max(xs) + margin
    return tuple(replace(panel, x_range=across, y_range=ends) for panel in panels)


def _points(run: Run, axis: str, name: str) -> tuple[list[tuple[float, float]], bool]:
    """Its points that are numbers, and whether they are one level."""
    drawn = series(run, axis, name)
    pairs = zip(drawn.x, drawn.y, strict=True)
    return [(x, y) for x, y in pairs if x is not None and y is not None], drawn.level


def _not_finite(run: Run, name: str) -> list[str]:
    lost = sum(one.value is None for one in run.samples)
    of = f"{lost} of {len(run.samples)} values of {name}"
    return [f"{run.label}: {of} not finite, not shown"] if lost else []


def _run(data: FigureData, one: Finished, name: str) -> Run:
    label = one.result.run if len(data.results) > 1 else one.result.model_name
    return run_of(label, read_plan(one.job.spec), data.lab.progress(one.job.paths), name)
