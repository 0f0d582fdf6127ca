"""The figures that results can draw: scaling, ablation, training, and star by star."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vitlab.contract.job import PROFILES
from vitlab.contract.paths import UsageError
from vitlab.contract.value import COVERED, LOSS, Value, judged_by
from vitlab.contract.world import read_world
from vitlab.docs.judge.conclusion import profile_mark
from vitlab.docs.judge.seeds import choose
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.figures.axes import AXES, Run, axis_of, read_plan, run_of, series
from vitlab.lab.figures.costs import cost_notes, draws_and_hours
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import stars_of, trial_of
from vitlab.lab.results.job_results import Finished, finished, latest
from vitlab.lab.results.repeats import Group, grouped
from vitlab.plot.figures import Curve, Panel, Picture
from vitlab.plot.series import Line

if TYPE_CHECKING:
    from vitlab.ml.scoring import Residuals

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
"""What a training size counts; how often each is seen with new noise stands in the legend."""


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
    return FigureData(lab, tuple(results), jobs)


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
    curves, shown, chosen = [], list[Group](), list[str]()
    for model, sizes in sorted(models.items()):
        best, unchosen = _best_at_sizes(sizes, name)
        spent = draws_and_hours([*best.values(), *(group for _, group in unchosen)])
        shown += [*best.values(), *(group for _, group in unchosen)]
        if best:
            curves.append(_curve(f"{model}: {spent}", list(best), list(best.values()), name))
        if unchosen:
            ns, each = zip(*unchosen, strict=True)
            title = f"{model}, each run" + ("" if best else f": {spent}")
            curves.append(_curve(title, ns, each, name, joined=False))
            several = f"{len(set(ns))} training sizes with several runs, no validation scores"
            chosen.append(f"{model}: {several}: all shown")
        if choices := sum(len(sizes[n]) > 1 for n in best):
            several = f"{choices} training sizes with several runs"
            chosen.append(f"{model}: {several}: the best on validation")
    laws, law_notes = law_curves(data.results, data.jobs)
    curves += laws
    panel = Panel(STARS, value_label(name), tuple(curves), lines=data.levels(name), log_x=True)
    known = sum(len(at) for sizes in models.values() for at in sizes.values())
    missing = _missing(len(groups) - known, len(groups), f"a training size and {name}")
    notes = (*_error_notes(shown), *law_notes, *chosen, *missing, *data.hidden_levels(name))
    return Picture(f"Scaling{data.title_mark}", (panel,), notes)


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
    """The headline of each run, best first."""
    name = data.headline
    everything = grouped(data.results)
    groups = [group for group in everything if group.value(name) is not None]
    if len(groups) < 2:
        raise UsageError(f"ablation: needs {name} of two runs or more (there are: {len(groups)})")
    groups = Value.parse(name).ranked(groups, lambda g: g.value(name))
    models = len({group.first.model_name for group in groups}) > 1
    names = tuple(_run_label(group, models) for group in groups)
    curve = _curve("", list(range(len(groups))), groups, name, joined=False)
    panel = Panel("", value_label(name), (curve,), lines=data.levels(name), names=names)
    title = "Models" if models else "Ablation"
    missing = _missing(len(everything) - len(groups), len(everything), name)
    notes = (*_error_notes(groups), *cost_notes(groups), *missing, *data.hidden_levels(name))
    return Picture(f"{title}{data.title_mark}", (panel,), notes)


def _error_notes(groups: Sequence[Group]) -> list[str]:
    """What the error bars of these groups are, each kind once."""
    seeds = sorted({len(group.members) for group in groups} - {1})
    kinds = dict.fromkeys(g.first.error_kind for g in groups if len(g.members) == 1)
    several = [ERRORS["seeds"].format(" or ".join(map(str, seeds)))] if seeds else []
    return [*(ERRORS[kind] for kind in kinds), *several]


def _missing(count: int, of: int, what: str) -> list[str]:
    """A note on the runs that are not in a figure."""
    return [f"{count} of {of} runs without {what}: not shown"] if count else []


def training(data: FigureData) -> Picture:
    """The headline on validation as the runs trained, and the loss where it was validated."""
    live = str(Value.parse(data.headline).live)
    panels, notes = [], []
    for name in (live, LOSS):
        runs = [_run(data, one, name) for one in data.results]
        axis = axis_of(runs)
        curves, lines = [], list(data.levels(name))
        for run in runs:
            drawn = series(run, axis, name)
            pairs = zip(drawn.x, drawn.y, strict=True)
            points = [(x, y) for x, y in pairs if x is not None and y is not None]
            if lost := sum(one.value is None for one in run.samples):
                of = f"{lost} of {len(run.samples)} values of {name}"
                notes.append(f"{run.label}: {of} not finite, not shown")
            if points and drawn.level:
                lines.append(Line(points[0][1], f"{run.label}, best penalty {points[0][1]:.3g}"))
            elif points:
                xs, ys = zip(*points, strict=True)
                curves.append(Curve(run.label, xs, ys))
        if curves:
            panels.append(Panel(AXES[axis], value_label(name), tuple(curves), lines=tuple(lines)))
            missing = sum(not run.samples for run in runs)
            notes += _missing(missing, len(runs), name)
            notes += data.hidden_levels(name)
    if not panels:
        raise UsageError(f"training: no job has a curve of {live}")
    costs = cost_notes(grouped(data.results))
    return Picture(f"Training{data.title_mark}", tuple(panels), (*costs, *notes))


def _run(data: FigureData, one: Finished, name: str) -> Run:
    label = one.result.run if len(data.results) > 1 else one.result.model_name
    return run_of(label, read_plan(one.job.spec), data.lab.progress(one.job.paths), name)


def value_label(name: str) -> str:
    """`test/r2/log_g` -> `test R² of log g`."""
    value = Value.parse(name)
    unit = f" [{value.unit}]" if value.unit else ""
    return f"{value.split} {value.symbol}" + (f" of {value.label}{unit}" if value.label else unit)


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
    seeds = f" (n={len(group.members)})" if len(group.members) > 1 else ""
    return (f"{own} {name}" if model and not name.startswith(own) else name) + seeds


def _sizes(models: Mapping[str, Mapping[int, object]]) -> str:
    return "; ".join(f"{m} at {', '.join(map(str, s))}" for m, s in models.items()) or "none"


Maker = Callable[[FigureData], Picture]

MOST = 4
"""Panels of a figure; more are too small to read."""
STEPS = 8
"""Bins of the residuals along the true label."""
SEED = 42


def parity(data: FigureData) -> Picture:
    """Predicted against true labels, one panel a job and label."""
    panels = []
    for one, stars in _residuals_of(data, "parity"):
        for k, label in enumerate(stars.labels):
            value = Value("test", "r2", label)
            r2 = one.result.values.get(str(value))
            title = _name(one, data) + (f"  {value.symbol} = {r2:.3f}" if r2 is not None else "")
            x, y = tuple(stars.true[:, k].tolist()), tuple(stars.predicted[:, k].tolist())
            curve = Curve(_name(one, data), x, y, joined=False)
            axes = f"true {label}", f"predicted {label}"
            panels.append(Panel(*axes, (curve,), title=title, diagonal=True))
    more = [f"{len(panels) - MOST} more panels not shown"] if len(panels) > MOST else []
    notes = (*cost_notes(grouped(data.results)), *more, *_unkept(data))
    return Picture(f"Parity{data.title_mark}", tuple(panels[:MOST]), notes)


def residuals(data: FigureData) -> Picture:
    """Median and 68% scatter of predicted - true along the label and along S/N."""
    import numpy as np

    label = Value.parse(data.headline).label
    residual_sets = [(one, r) for one, r in _residuals_of(data, "residuals") if label in r.labels]
    if not residual_sets:
        raise UsageError(f"residuals: no job was scored on {label}")
    panels: list[Panel] = []
    notes: list[str] = []
    for axis in (f"true {label}", "S/N"):
        curves = []
        for one, stars in residual_sets:
            k = stars.labels.index(label)
            along = stars.snr if axis == "S/N" else stars.true[:, k]
            off = stars.predicted[:, k] - stars.true[:, k]
            good = np.isfinite(along) & np.isfinite(off)
            if axis == "S/N":
                good &= along > 0
            if lost := len(good) - int(good.sum()):
                of = f"{lost:,} of {len(good):,} stars without a positive S/N or a finite residual"
                of = of if axis == "S/N" else of.replace("a positive S/N or ", "")
                notes.append(f"{_name(one, data)}: {of}, not shown")
            along, off = along[good], off[good]
            if len(along) < 2 * STEPS:
                notes.append(f"{_name(one, data)}: too few stars along {axis}, not shown")
                continue
            edges = np.quantile(along, np.linspace(0, 1, STEPS + 1))
            bins = np.clip(np.searchsorted(edges, along, "right") - 1, 0, STEPS - 1)
            parts = [(along[bins == b], off[bins == b]) for b in range(STEPS) if (bins == b).any()]
            low, high = zip(*(np.quantile(o, [0.1587, 0.8413]) for _, o in parts), strict=True)
            curves.append(
                Curve(
                    _name(one, data),
                    tuple(float(np.median(a)) for a, _ in parts),
                    tuple(float(np.median(o)) for _, o in parts),
                    tuple(float(h - lo) / 2 for lo, h in zip(low, high, strict=True)),
                )
            )
        if curves:
            y_label = f"predicted - true {label} (median, 68%)"
            panels.append(Panel(axis, y_label, tuple(curves), log_x=axis == "S/N"))
    if not panels:
        raise UsageError(f"residuals: fewer than {2 * STEPS} test stars, too few to bin")
    notes = [*cost_notes(grouped(data.results)), *notes, *_unkept(data)]
    return Picture(f"Residuals{data.title_mark}", tuple(panels), tuple(notes))


def calibration(data: FigureData) -> Picture:
    """Coverage of central intervals of the predicted densities, by level and by magnitude."""
    import numpy as np

    from vitlab.ml.scoring import binned

    label = Value.parse(data.headline).label
    levels = [Value("", f"coverage{share}", label) for share in COVERED]
    known = [
        (one, stars, stars.density)
        for one, stars in _residuals_of(data, "calibration")
        if stars.density is not None and label in stars.labels
    ]
    if not known:
        raise UsageError(
            f"calibration: no job predicts a density of {label} (loss: mixture or nll)"
        )
    overall, along = [], []
    for one, stars, density in known:
        found = density.scores(stars.labels, SEED)
        xs = tuple(share / 100 for share in COVERED)
        ys, errors = (tuple(x[level] for level in levels) for x in (found.values, found.errors))
        overall.append(Curve(_name(one, data), xs, ys, errors))
        bins = [(part, part.scores) for part in binned(stars, "mag", SEED)]
        xs = tuple(float(np.mean([part.low, part.high])) for part, _ in bins)
        ys = tuple(scores.values[levels[1]] for _, scores in bins)
        errors = tuple(scores.errors[levels[1]] for _, scores in bins)
        along += [Curve(_name(one, data), xs, ys, errors)] * bool(bins)
    panels = [
        Panel(f"central interval of {label}", "stars inside", tuple(overall), diagonal=True),
        Panel("magnitude", "stars inside 68%", tuple(along), lines=(Line(0.68, "0.68"),)),
    ]
    missing = _missing(len(data.results) - len(known), len(data.results), "densities")
    notes = (ERRORS["stars"], *cost_notes(grouped(data.results)), *missing)
    return Picture(f"Calibration{data.title_mark}", tuple(panels[: 2 if along else 1]), notes)


def snr(data: FigureData) -> Picture:
    """The headline's metric in bins of S/N, one curve a job, under the ceilings."""
    import numpy as np

    from vitlab.ml.scoring import binned

    value = Value.parse(data.headline).anywhere
    bounds, notes = _ceilings(data, value.label) if value.metric == "r2" else ([], [])
    curves = []
    for one, stars in _residuals_of(data, "snr", needed=not bounds):
        placed = stars.snr > 0
        bins = binned(replace(stars, snr=np.where(placed, stars.snr, np.nan)), "snr", SEED)
        bins = [part for part in bins if value in part.scores.values]
        if bins:
            if lost := int((~placed).sum()):
                of = f"{lost:,} of {len(placed):,} stars"
                notes.append(f"{_name(one, data)}: {of} without a positive S/N, not shown")
            curves.append(
                Curve(
                    _name(one, data),
                    tuple((part.low * part.high) ** 0.5 for part in bins),
                    tuple(part.scores.values[value] for part in bins),
                    tuple(part.scores.errors[value] for part in bins),
                )
            )
    kinds = ["stars"] * bool(curves) + ["draws"] * any(bound.errors for bound in bounds)
    curves += bounds
    if not curves:
        raise UsageError(f"snr: no job knows the S/N of its test stars and {data.headline}")
    panel = Panel("S/N (median pixel)", value_label(data.headline), tuple(curves), log_x=True)
    models = [one for one in data.results if one.job.spec.recipe != "ceiling"]
    drawn = sum(not curve.reference for curve in curves)
    notes += _missing(len(models) - drawn, len(models), "residuals with S/N")
    costs = (*cost_notes(grouped(models)), *data.chosen)
    notes = [*(ERRORS[kind] for kind in kinds), *costs, *notes]
    return Picture(f"S/N{data.title_mark}", (panel,), tuple(notes))


def _ceilings(data: FigureData, label: str) -> tuple[list[Curve], list[str]]:
    """The ceilings at each magnitude, against the S/N at it, and what of them has no place."""
    name = str(Value("test", "r2", label))
    best = data.ceiling(name)
    if best is None:
        return [], data.unused_ceiling(name)
    values, errors = best.result.values, best.result.errors
    curves, notes = [], []
    snr = Value("", "snr", "median")
    medians = [v for v in map(Value.parse, values) if v.mag is not None and v.anywhere == snr]
    for kind, title in KINDS.items():
        names = [(str(at), str(Value(at.split, kind, label))) for at in medians]
        names = [(at, name) for at, name in names if name in values]
        pairs = [(values[at], values[name], errors.get(name, 0.0)) for at, name in names]
        finite = [(at, y, error) for at, y, error in pairs if at is not None and y is not None]
        points = sorted(point for point in finite if point[1] > 0)
        of = f"of {len(pairs)} magnitudes"
        if lost := len(pairs) - len(finite):
            notes.append(f"{title}: {lost} {of} not finite, not shown")
        if lost := len(finite) - len(points):
            notes.append(f"{title}: {lost} {of} with R² ≤ 0, not shown")
        if len(points) > 1:
            xs, ys, known = zip(*points, strict=True)
            curves.append(Curve(title, xs, ys, known if any(known) else (), reference=True))
        elif points:
            notes.append(
                f"{title}: R² = {points[0][1]:.3f} at S/N {points[0][0]:.3g} alone, no curve"
            )
    return curves, notes


def _residuals_of(
    data: FigureData, figure: str, needed: bool = True
) -> list[tuple[Finished, Residuals]]:
    """The jobs whose residuals were kept; UsageError where there is none but one is `needed`."""
    from vitlab.ml.scoring import load_residuals

    residual_sets = []
    for one in data.results:
        with contextlib.suppress(UsageError):
            residual_sets.append((one, load_residuals(one.job.paths.residuals)))
    if needed and not residual_sets:
        names = ", ".join(one.job.name for one in data.results[:3])
        raise UsageError(f"{figure}: no residuals in {names} (`vitlab evaluate JOB` makes them)")
    return residual_sets


def _unkept(data: FigureData) -> list[str]:
    """A note on the jobs whose residuals were not kept."""
    kept = len(_residuals_of(data, "", needed=False))
    return _missing(len(data.results) - kept, len(data.results), "residuals")


def _name(one: Finished, data: FigureData) -> str:
    runs = {(o.result.model_name, o.result.run) for o in data.results}
    models = {model for model, _ in runs}
    if len(models) == len(runs):
        return one.result.model_name
    return one.result.run if len(models) == 1 else f"{one.result.model_name} {one.result.run}"
