"""The figures of runs as a whole, scaling and ablation, and what all figures are drawn from."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vitlab.contract.job import PROFILES
from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value, judged_by, measured
from vitlab.contract.world import read_world
from vitlab.docs.judge.budget import count
from vitlab.docs.judge.ceiling import Ceiling
from vitlab.docs.judge.comparison import Gap
from vitlab.docs.judge.conclusion import profile_mark
from vitlab.docs.judge.seeds import choose
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.figures.costs import (
    cost_notes,
    draws_and_hours,
    listed,
    start_notes,
    unequal_notes,
)
from vitlab.lab.figures.styles import styles_of
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import ceilings, stars_of, trial_of
from vitlab.lab.results.findings import reference_of
from vitlab.lab.results.job_results import Finished, finished, latest
from vitlab.lab.results.ranking import group_gap, pairs_of
from vitlab.lab.results.repeats import Group, grouped
from vitlab.lab.results.sound import faults, parted
from vitlab.plot.figures.picture import Curve, Panel, Picture
from vitlab.plot.figures.styles import Style
from vitlab.plot.series import Line

KINDS = {
    "r2_bayes": "Bayes ceiling",
    "r2_crlb_mean": "CRLB (unbiased)",
    "r2_linear": "linear ceiling",
}
"""Ceilings by the name of their value."""
ERRORS = {
    "stars": "error bars of single runs: bootstrap over the test stars, no scatter over seeds",
    "seeds": "error bars of repeats: of the mean of {} seeds, over stars and seeds",
    "seeds alone": "error bars of repeats: of the mean of {} seeds, over seeds alone",
    "draws": "errors of ceilings: Monte Carlo over simulated stars and their noise",
}
"""What an error is, by its kind."""
STARS = "N: distinct training stars"
"""What a training size counts; how often each is seen with new noise stands in the notes."""
MOST = 4
"""Panels of stars in a figure; more are too small to read."""


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

    def sound(self) -> tuple[FigureData, list[str]]:
        """Without the runs whose numbers are no results, for a figure that compares runs.

        With a note on each of those; `UsageError` where no run is left.
        """
        why = faults(self.results, ceilings(self.jobs))
        _, left = parted(grouped(self.results), why)
        notes = [f"{group.name}: left out: {fault.text('en')}" for group, fault in left]
        kept = tuple(one for one in self.results if one.job.name not in why)
        if notes and not kept:
            raise UsageError(f"no run may be shown: {notes[0]}")
        return replace(self, results=kept), notes

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
        """The ceilings of a value, each labelled with its kind and error."""
        return tuple(Line(top.r2, f"{kind} {top}") for kind, top in self.bounds(name).items())

    def bounds(self, name: str) -> dict[str, Ceiling]:
        """The ceilings above 0 of a value over all stars, by what they are called."""
        return {
            KINDS[kind]: Ceiling(value, error)
            for kind, (value, error) in self._bounds(name).items()
            if value is not None and value > 0
        }

    def hidden_levels(self, name: str) -> Iterator[str]:
        """A note for each ceiling that has no level."""
        yield from self.unused_ceiling(name)
        for kind, (value, _) in self._bounds(name).items():
            if value is None:
                yield f"{KINDS[kind]}: not finite, not shown"
            elif value <= 0:
                yield f"{KINDS[kind]}: {value:.3g} ≤ 0, not shown"

    def unused_ceiling(self, name: str) -> list[str]:
        """A note where the only ceiling of a value is a trial's and these results are full."""
        is_r2 = Value.parse(name).metric == "r2"
        unused = is_r2 and self.ceiling(name) is None and self._ceilings(name)
        return ["ceiling from a trial: not used for full results"] if unused else []

    def _bounds(self, name: str) -> dict[str, tuple[float | None, float]]:
        """The ceilings of a value over all stars with their errors (0: not known), by kind."""
        value = Value.parse(name)
        best = self.ceiling(name) if value.metric == "r2" else None
        if best is None:
            return {}
        known, errors = best.result.values, best.result.errors
        names = {kind: str(Value("ceiling", kind, value.label)) for kind in KINDS}
        return {
            kind: (known[name], errors.get(name, 0.0))
            for kind, name in names.items()
            if name in known
        }


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
    from vitlab.lab.figures.law_curves import laws_of  # loads numpy and scipy

    data, faulty = data.sound()
    name = data.headline
    groups = grouped(data.results)
    models = _by_size(groups, name)
    curves, shown, notes = list[Curve](), list[Group](), list[str]()
    laws = laws_of(data.results, data.jobs)
    params = {model: _params(sizes, laws.params(model)) for model, sizes in models.items()}
    for model, every in sorted(models.items()):
        sizes, of, others = _of_params(every, params[model])
        notes += [f"{model}: {others}"] if others else []
        best, unchosen = _best_at_sizes(sizes, name)
        used = [*best.values(), *(group for _, group in unchosen)]
        shown += used
        notes.append(f"{model}: {draws_and_hours(used)}")
        style, loose = data.styles([model, model])
        if best:
            curve = _curve(f"{model}{of}", list(best), list(best.values()), name)
            curves.append(replace(curve, style=style))
        if unchosen:
            ns, each = zip(*unchosen, strict=True)
            curve = _curve(f"{model}{of}, each run", ns, each, name, joined=False)
            curves.append(replace(curve, style=loose))
            several = f"{len(set(ns))} training sizes with several runs, no validation scores"
            notes.append(f"{model}: {several}: all shown")
        if choices := sum(len(sizes[n]) > 1 for n in best):
            several = f"{choices} training sizes with several configurations"
            notes.append(f"{model}: {several}: the best on validation")
    panel = Panel(
        STARS,
        Value.parse(name).axis,
        (*curves, *laws.curves(params, data.styles)),
        lines=data.levels(name),
        log_x=True,
    )
    known = sum(len(at) for sizes in models.values() for at in sizes.values())
    left_out = missing(len(groups) - known, len(groups), f"a training size and {name}")
    notes += [*start_notes(shown), *_unequal_at_sizes(shown), *laws.notes]
    notes += [*faulty, *left_out, *data.hidden_levels(name)]
    keys = (*data.trial, *error_notes(shown), *laws.keys)
    return Picture(f"Scaling{data.title_mark}", (panel,), tuple(notes), keys)


def _by_size(groups: Sequence[Group], name: str) -> dict[str, dict[int, list[Group]]]:
    """Those with a value, by model and training size; `UsageError` where no model has two sizes."""
    models: dict[str, dict[int, list[Group]]] = {}
    for group in groups:
        n = group.first.n.get("train", 0)
        if n > 0 and group.value(name) is not None:
            models.setdefault(group.first.model_name, {}).setdefault(n, []).append(group)
    if not any(len(sizes) > 1 for sizes in models.values()):
        raise UsageError(
            f"scaling: needs {name} of one model at two training sizes or more "
            f"(there are: {_sizes(models)})"
        )
    return models


def _params(sizes: Mapping[int, Sequence[Group]], of_law: int | None) -> int | None:
    """P of the runs that a model's curve is of, where a training size has runs of several.

    That of its law over N alone, else the one with the most training sizes, of several the largest;
    None where P need not, or cannot, be chosen.
    """
    each = [{_size(group) for group in groups} for groups in sizes.values()]
    count_of = Counter(size for at in each for size in at)
    if all(len(at) == 1 for at in each) or max(count_of.values()) < 2:
        return None
    return of_law or max(count_of, key=lambda size: (count_of[size], size))


def _size(group: Group) -> int:
    """Its number of parameters; 0 where that is not known."""
    params = group.first.model.get("params")
    return params if isinstance(params, int) else 0


def _of_params(
    sizes: Mapping[int, Sequence[Group]], params: int | None
) -> tuple[Mapping[int, Sequence[Group]], str, str]:
    """The runs of one P alone, how a curve's name says so, and a note on the others."""
    if params is None:
        return sizes, "", ""
    kept = {n: [one for one in groups if _size(one) == params] for n, groups in sizes.items()}
    others = sorted({_size(one) for groups in sizes.values() for one in groups} - {params})
    note = f"runs of other P not shown ({listed([count(size) for size in others])})"
    return {n: groups for n, groups in kept.items() if groups}, f", P {count(params)}", note


def _unequal_at_sizes(shown: Sequence[Group]) -> list[str]:
    """A note on the training sizes at which models are too unequal for a gate, by the smallest."""
    at: dict[int, list[Group]] = {}
    for one in sorted(shown, key=lambda group: group.first.n["train"]):
        at.setdefault(one.first.n["train"], []).append(one)
    unequal = [n for n, groups in at.items() if unequal_notes(groups)]
    if not unequal:
        return []
    where = " at every N, as" if len(unequal) == len(at) > 1 else ""
    return unequal_notes(at[unequal[0]], f"{where} at N = {count(unequal[0])}")


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
    data, faulty = data.sound()
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
    names = tuple(run_label(group, models) for group in groups)
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
        *_above(data, name, reference),
        *cost_notes(groups),
        *faulty,
        *left_out,
        *data.hidden_levels(name),
    )
    title = "Models" if models else "Ablation"
    of = f"relative to {run_label(reference, models)}, {value.symbol} = {level:.3f}{value.mark}"
    keys = (*data.trial, of, _gap_key([gap for gap in gaps.values() if gap is not None]))
    return Picture(f"{title}{data.title_mark}", (panel,), notes, keys)


def _above(data: FigureData, name: str, reference: Group) -> Iterator[str]:
    """By how much each ceiling is above a run, with the error of both where each is known."""
    level, own = reference.value(name) or 0.0, reference.error(name)
    for kind, top in data.bounds(name).items():
        gap = top.r2 - level
        error = math.hypot(own, top.error) if own and top.error else 0.0
        yield f"{kind} {top}: " + (measured(gap, error, signed=True) if error else f"{gap:+.3f}")


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
    seeds: dict[str, set[int]] = {}
    for group in sorted(groups, key=lambda group: len(group.members) > 1):
        seeds.setdefault(group.error_of(group.first.headline), set()).add(len(group.members))
    return [ERRORS[kind].format(" or ".join(map(str, sorted(n)))) for kind, n in seeds.items()]


def missing(count: int, of: int, what: str) -> list[str]:
    """A note on the runs that are not in a figure."""
    return [f"{count} of {of} runs without {what}: not shown"] if count else []


def _curve(
    name: str, xs: Sequence[float], groups: Sequence[Group], value: str, joined: bool = True
) -> Curve:
    ys = tuple(group.value(value) or 0.0 for group in groups)
    errors = tuple(group.error(value) or 0.0 for group in groups)
    return Curve(name, tuple(map(float, xs)), ys, errors, joined)


def run_label(group: Group, model: bool) -> str:
    """The run's name, after its model's where there are several models."""
    own = group.first.model_name
    name = own if group.name == "main" else group.name
    seeds = f" ({len(group.members)} seeds)" if len(group.members) > 1 else ""
    return (f"{own} {name}" if model and not name.startswith(own) else name) + seeds


def _sizes(models: Mapping[str, Mapping[int, object]]) -> str:
    return "; ".join(f"{m} at {', '.join(map(str, s))}" for m, s in models.items()) or "none"


Maker = Callable[[FigureData], Picture]
