"""The figures of runs as a whole: scaling, ablation, training and learning curves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vitlab.contract.job import PROFILES
from vitlab.contract.paths import UsageError
from vitlab.contract.value import LOSS, Value, judged_by
from vitlab.contract.world import read_world
from vitlab.docs.judge.comparison import Gap
from vitlab.docs.judge.conclusion import profile_mark
from vitlab.docs.judge.seeds import choose
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.figures.axes import AXES, Run, axis_of, read_plan, run_of, series
from vitlab.lab.figures.costs import cost_notes, draws_and_hours
from vitlab.lab.figures.styles import styles_of
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import stars_of, trial_of
from vitlab.lab.results.findings import reference_of
from vitlab.lab.results.job_results import Finished, finished, latest
from vitlab.lab.results.ranking import group_gap, pairs_of
from vitlab.lab.results.repeats import Group, grouped
from vitlab.plot.figures.picture import Curve, Panel, Picture
from vitlab.plot.figures.styles import Style
from vitlab.plot.series import Line, robust_range

KINDS = {
    "r2_bayes": "Bayes ceiling",
    "r2_crlb_mean": "CRLB (unbiased)",
    "r2_linear": "linear ceiling",
}
"""Ceilings by the name of their value."""
ERRORS = {
    "stars": "error bars of single runs: bootstrap over the test stars, no scatter over seeds",
    "seeds": "error bars of repeats: standard error of the mean over {} seeds, of stars and seeds",
    "draws": "errors of ceilings: Monte Carlo over simulated stars and their noise",
}
"""What an error is, by its kind."""
STARS = "N: distinct training stars"
"""What a training size counts; how often each is seen with new noise stands in the notes."""
MOST = 4
"""Panels of stars in a figure; more are too small to read."""
PANELS = 12
"""Of the grid of learning curves."""


@dataclass(frozen=True)
class FigureData:
    """The results a figure is drawn from."""

    lab: Lab
    results: tuple[Finished, ...]
    """Those it shows, each the newest of its run."""
    jobs: tuple[Job, ...]
    """Every job of the lab, ceilings included."""
    chosen: tuple[str, ...] = ()
    """How `results` were chosen, where they are not all there are."""

    @property
    def headline(self) -> str:
        """The value that is drawn; for a ceiling the value it limits."""
        value = Value.parse(judged_by(one.result.headline for one in self.results))
        return str(Value("test", "r2", value.label) if value.is_ceiling else value)

    @property
    def title_mark(self) -> str:
        """` (demo)`, so that nobody takes a trial's figure for that of a full run."""
        profiles = sorted({one.result.profile for one in self.results})
        return "".join(profile_mark(profile) for profile in profiles)

    @property
    def trial(self) -> tuple[str, ...]:
        """What is written into a figure of trials."""
        trials = sorted({one.result.profile for one in self.results} - {"full"})
        return (f"profile {' and '.join(trials)}: a trial, not a full run",) if trials else ()

    def styles(self, models: Sequence[str]) -> list[Style]:
        """Of each curve by its model, the same in every figure of the lab."""

        def everything() -> list[str]:
            jobs = sorted(self.jobs, key=lambda job: (job.spec.submitted, job.name))
            return [
                one.result.model_name for one in finished(jobs) if one.job.spec.recipe != "ceiling"
            ]

        return styles_of(self.lab.paths, models, everything)

    def ceiling(self, name: str) -> Finished | None:
        """The ceiling job with the most stars of the world all were tested in; None for several.

        For full results no trial's.
        """
        matches = self._ceilings(name)
        if any(one.result.profile == "full" for one in self.results):
            matches = [one for one in matches if not trial_of(one)]
        return max(matches, key=stars_of, default=None)

    def _ceilings(self, name: str) -> list[Finished]:
        worlds = {read_world(one.result.world) for one in self.results}
        world = worlds.pop() if len(worlds) == 1 else None
        bound = str(Value("ceiling", "r2_bayes", Value.parse(name).label))
        return [
            one
            for one in finished(job for job in self.jobs if job.spec.recipe == "ceiling")
            if world is not None
            and bound in one.result.values
            and read_world(one.result.world) == world
        ]

    def levels(self, name: str) -> tuple[Line, ...]:
        """The ceilings of a value, each labelled with its kind."""
        bounds = self._bounds(name)
        return tuple(
            Line(value, f"{KINDS[kind]} {value:.3f}")
            for kind, value in bounds.items()
            if value is not None and value > 0
        )

    def hidden_levels(self, name: str) -> Iterator[str]:
        """A note for each ceiling that has no level."""
        yield from self.unused_ceiling(name)
        for kind, value in self._bounds(name).items():
            if value is None:
                yield f"{KINDS[kind]}: not finite, not shown"
            elif value <= 0:
                yield f"{KINDS[kind]}: {value:.3g} ≤ 0, not shown"

    def unused_ceiling(self, name: str) -> list[str]:
        """A note where the only ceiling of a value is a trial's and these results are full."""
        is_r2 = Value.parse(name).metric == "r2"
        unused = is_r2 and self.ceiling(name) is None and self._ceilings(name)
        return ["ceiling from a trial: not used for full results"] if unused else []

    def _bounds(self, name: str) -> dict[str, float | None]:
        """The ceilings of a value over all stars, by kind."""
        value = Value.parse(name)
        best = self.ceiling(name) if value.metric == "r2" else None
        if best is None:
            return {}
        known = best.result.values
        names = {kind: str(Value("ceiling", kind, value.label)) for kind in KINDS}
        return {kind: known[name] for kind, name in names.items() if name in known}


def figure_data(lab: Lab, results: Sequence[Finished]) -> FigureData:
    """`results`, or else the newest of every run at the highest profile there is."""
    jobs = tuple(all_jobs(lab.paths))
    if not results:
        everything = [one for one in latest(finished(jobs)) if one.job.spec.recipe != "ceiling"]
        best = max((PROFILES.index(one.result.profile) for one in everything), default=0)
        results = [one for one in everything if one.result.profile == PROFILES[best]]
    if not results:
        raise UsageError("nothing to draw: no job has a result yet")
    return FigureData(lab, seeds_in_order(results), jobs)


def seeds_in_order(results: Sequence[Finished]) -> tuple[Finished, ...]:
    """The same, the seeds of a configuration by their number and not by which ended first."""
    return tuple(
        one
        for group in grouped(results)
        for one in sorted(group.members, key=lambda one: natural(one.result.run))
    )


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts `seed=9` before `seed=10`."""
    parts = re.split(r"(\d+)", text)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def scaling(data: FigureData) -> Picture:
    """The headline against the number of training spectra, one curve a model, and their laws."""
    from vitlab.lab.figures.law_curves import law_curves  # loads numpy and scipy

    name = data.headline
    models: dict[str, dict[int, list[Group]]] = {}
    groups = grouped(data.results)
    for group in groups:
        n = group.first.n.get("train", 0)
        if n > 0 and group.value(name) is not None:
            models.setdefault(group.first.model_name, {}).setdefault(n, []).append(group)
    if not any(len(sizes) > 1 for sizes in models.values()):
        raise UsageError(
            f"scaling: needs {name} of one model at two training sizes or more "
            f"(there are: {_sizes(models)})"
        )
    curves, shown, notes = list[Curve](), list[Group](), list[str]()
    for model, sizes in sorted(models.items()):
        best, unchosen = _best_at_sizes(sizes, name)
        used = [*best.values(), *(group for _, group in unchosen)]
        shown += used
        notes.append(f"{model}: {draws_and_hours(used)}")
        style, loose = data.styles([model, model])
        if best:
            curve = _curve(model, list(best), list(best.values()), name)
            curves.append(replace(curve, style=style))
        if unchosen:
            ns, each = zip(*unchosen, strict=True)
            curve = _curve(f"{model}, each run", ns, each, name, joined=False)
            curves.append(replace(curve, style=loose))
            several = f"{len(set(ns))} training sizes with several runs, no validation scores"
            notes.append(f"{model}: {several}: all shown")
        if choices := sum(len(sizes[n]) > 1 for n in best):
            several = f"{choices} training sizes with several runs"
            notes.append(f"{model}: {several}: the best on validation")
    laws, law_notes = law_curves(data.results, data.jobs, data.styles)
    panel = Panel(
        STARS,
        Value.parse(name).axis,
        (*curves, *laws),
        lines=data.levels(name),
        log_x=True,
    )
    known = sum(len(at) for sizes in models.values() for at in sizes.values())
    left_out = missing(len(groups) - known, len(groups), f"a training size and {name}")
    notes += [*law_notes, *left_out, *data.hidden_levels(name)]
    keys = (*data.trial, *error_notes(shown))
    return Picture(f"Scaling{data.title_mark}", (panel,), tuple(notes), keys)


def _best_at_sizes(
    sizes: Mapping[int, Sequence[Group]], name: str
) -> tuple[dict[int, Group], list[tuple[int, Group]]]:
    """The best on validation at each training size, and the runs of sizes where that is unknown."""
    best: dict[int, Group] = {}
    unchosen = []
    for n, groups in sorted(sizes.items()):
        repeats = [group.repeats for group in groups]
        chosen = choose(repeats, name).group
        if chosen is None:
            unchosen += [(n, group) for group in groups]
        else:
            best[n] = groups[repeats.index(chosen)]
    return best, unchosen


def ablation(data: FigureData) -> Picture:
    """The headline of each run less that of the first one launched, best first."""
    name = data.headline
    value = Value.parse(name)
    everything = grouped(data.results)
    groups = [group for group in everything if group.value(name) is not None]
    if len(groups) < 2:
        raise UsageError(f"ablation: needs {name} of two runs or more (there are: {len(groups)})")
    reference = reference_of(groups)
    pairs = pairs_of(data.lab, data.results, lambda: finished(data.jobs))
    gaps = {
        id(one): group_gap(one, reference, name, pairs) for one in groups if one is not reference
    }
    groups = value.ranked(groups, lambda group: group.value(name))
    models = len({group.first.model_name for group in groups}) > 1
    names = tuple(_run_label(group, models) for group in groups)
    of_model: dict[str, list[int]] = {}
    for at, group in enumerate(groups):
        of_model.setdefault(group.first.model_name, []).append(at)
    curves = tuple(
        Curve(
            model if models else "",
            tuple(map(float, at)),
            tuple((groups[i].value(name) or 0.0) - (reference.value(name) or 0.0) for i in at),
            tuple(gap.error if (gap := gaps.get(id(groups[i]))) else 0.0 for i in at),
            joined=False,
            style=data.styles([model])[0],
        )
        for model, at in of_model.items()
    )
    panel = Panel("", f"difference in {value.axis}", curves, names=names, bars=True)
    left_out = missing(len(everything) - len(groups), len(everything), name)
    level = reference.value(name) or 0.0
    notes = (
        *_gap_notes([gap for gap in gaps.values() if gap is not None], len(gaps)),
        *(f"{line.label}: {line.value - level:+.3f}" for line in data.levels(name)),
        *cost_notes(groups),
        *left_out,
        *data.hidden_levels(name),
    )
    title = "Models" if models else "Ablation"
    of = f"relative to {_run_label(reference, models)}, {value.symbol} = {level:.3f}{value.mark}"
    keys = (*data.trial, of, _gap_key([gap for gap in gaps.values() if gap is not None]))
    return Picture(f"{title}{data.title_mark}", (panel,), notes, keys)


def _gap_key(gaps: Sequence[Gap]) -> str:
    """What their errors are of; the scatter over seeds may be that of other runs of a model."""
    seeds = [
        any(one.error for one in gap.spread.seeds) if gap.spread else False
        for gap in gaps
        if gap.error
    ]
    also = " and seeds" if all(seeds) else ", and over seeds where their scatter is known"
    return "error bars: of the differences, over the test stars" + (
        also if any(seeds) else ", no scatter over seeds"
    )


def _gap_notes(gaps: Sequence[Gap], count: int) -> list[str]:
    """On which stars the differences were taken."""
    paired = {gap.stars for gap in gaps if gap.stars}
    alone = sum(not gap.stars for gap in gaps)
    stars = " or ".join(f"{n:,}" for n in sorted(paired))
    return [
        *([f"differences on the same {stars} test stars"] if paired else []),
        *([f"{alone} of {count} differences of independent test stars"] if alone else []),
        *_no_errors(count - len(gaps), count),
    ]


def _no_errors(count: int, of: int) -> list[str]:
    return [f"{count} of {of} differences without comparable test stars: no error"] if count else []


def error_notes(groups: Sequence[Group]) -> list[str]:
    """What the error bars of these groups are, each kind once."""
    seeds = sorted({len(group.members) for group in groups} - {1})
    kinds = dict.fromkeys(g.first.error_kind for g in groups if len(g.members) == 1)
    several = [ERRORS["seeds"].format(" or ".join(map(str, seeds)))] if seeds else []
    return [*(ERRORS[kind] for kind in kinds), *several]


def missing(count: int, of: int, what: str) -> list[str]:
    """A note on the runs that are not in a figure."""
    return [f"{count} of {of} runs without {what}: not shown"] if count else []


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
    return Picture(f"Training{data.title_mark}", tuple(panels), (*costs, *notes), data.trial)


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
            title = _run_label(group, models)
            label = Value.parse(live).axis
            panels.append(Panel(AXES[axis], label, curves, title=title, lines=lines))
    if not panels:
        raise UsageError(f"learning: no job has a curve of {live}")
    notes += missing(len(groups) - len(panels), len(groups), f"a curve of {live}")
    if len(panels) > PANELS:
        notes.append(f"{len(panels) - PANELS} of {len(panels)} runs not shown")
    alike = _alike(panels[:PANELS], [line.value for line in lines])
    several = any(len(group.members) > 1 for group in groups)
    keys = (*data.trial, *["one curve a seed"] * several)
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


def _curve(
    name: str, xs: Sequence[float], groups: Sequence[Group], value: str, joined: bool = True
) -> Curve:
    ys = tuple(group.value(value) or 0.0 for group in groups)
    errors = tuple(group.error(value) or 0.0 for group in groups)
    return Curve(name, tuple(map(float, xs)), ys, errors, joined)


def _run_label(group: Group, model: bool) -> str:
    """The run's name, after its model's where there are several models."""
    own = group.first.model_name
    name = own if group.name == "main" else group.name
    seeds = f" ({len(group.members)} seeds)" if len(group.members) > 1 else ""
    return (f"{own} {name}" if model and not name.startswith(own) else name) + seeds


def _sizes(models: Mapping[str, Mapping[int, object]]) -> str:
    return "; ".join(f"{m} at {', '.join(map(str, s))}" for m, s in models.items()) or "none"


Maker = Callable[[FigureData], Picture]
