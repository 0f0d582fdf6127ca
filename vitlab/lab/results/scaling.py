"""The scaling law of each model among some results; its floor is the ceiling of their world."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vitlab.contract.job import CORE_HOURS, GPU_HOURS, SIZES
from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value, judged_by
from vitlab.contract.world import read_world
from vitlab.docs.judge.budget import count
from vitlab.docs.judge.ceiling import Ceiling
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.judge.seeds import choose
from vitlab.lab.results.ceilings import Bounds, ceiling_of
from vitlab.lab.results.job_results import Finished
from vitlab.lab.results.repeats import Group, grouped
from vitlab.lab.results.run_settings import seed_of, settings_of
from vitlab.lab.results.sound import faults
from vitlab.ml.scaling_law import (
    LIMITS,
    Array,
    Cost,
    Interval,
    Law,
    fit_cost,
    fit_law,
    usable_axes,
)

EXPONENTS = {"N": "b", "P": "a"}
"""By axis."""
VAGUE = 10
"""An exponent is hardly told where the ends of its interval differ by more than this factor."""
AHEAD = 4
"""By which factor the run that a conclusion predicts is larger than the largest there is."""


@dataclass(frozen=True)
class Run:
    """One training: seeds are runs of their own."""

    stars: int
    params: int
    """0 where it is not known."""
    loss: float
    """1 - R2 on the test stars."""
    error: float
    """Of the test stars."""
    hours: tuple[float | None, float | None]
    """Of cores and of GPUs; None where not known."""
    seed: int
    """Runs of one seed and N share noise and order; where it is not known one of its own."""


@dataclass(frozen=True)
class Scaling:
    """The law of one model, as far as its runs allow."""

    model: str
    value: str
    runs: tuple[Run, ...]
    """Those that are fitted."""
    ceiling: Ceiling | None
    """Of any model, or of a linear one if it is one."""
    fixed: Law | None
    """With E held at the ceiling."""
    free: Law | None
    notes: tuple[str, ...]
    """What is left out and why, a line each."""
    linear: bool = False
    """Whether it is a linear model, which ends at the linear ceiling."""

    @property
    def law(self) -> Law | None:
        """The one with a known floor, where there is one."""
        return self.fixed or self.free

    @property
    def stars(self) -> Array:
        return np.array([run.stars for run in self.runs], dtype=float)

    @property
    def params(self) -> Array:
        return np.array([max(run.params, 1) for run in self.runs], dtype=float)

    @property
    def is_single(self) -> bool:
        """Whether it is of one seed at several widths: what they share of noise is not known."""
        sizes = {(run.stars, run.params) for run in self.runs}
        return self.law is not None and len(self.law.axes) > 1 and len(sizes) == len(self.runs)

    @property
    def floors_agree(self) -> bool:
        """Whether the fitted E may be that of the ceiling, by both intervals; true without both."""
        if self.fixed is None or self.free is None:
            return True
        ours, theirs = self.fixed.floor, self.free.floor
        return ours.high >= theirs.low and ours.low <= theirs.high

    def larger(self, factor: float) -> tuple[float, float]:
        """N and P of the largest run, each that has a term times a factor."""
        axes = self.law.axes if self.law else ()
        stars, params = float(self.stars.max()), float(self.params.max())
        return stars * (factor if "N" in axes else 1), params * (factor if "P" in axes else 1)

    @property
    def predicts(self) -> bool:
        """Whether a run `AHEAD` times larger will surely reach more than the largest.

        Where that is not sure the law is not followed beyond its runs.
        """
        law = self.law
        return law is not None and not (
            law.unknown or law.run(*self.larger(AHEAD)).high > law.run(*self.larger(1)).value
        )

    def cost(self) -> tuple[Cost, str]:
        """What a run takes, in GPU-hours where all know them. `UsageError` where none is known."""
        for column, unit in ((1, "GPU-hours"), (0, "core-hours")):
            known = [i for i, run in enumerate(self.runs) if run.hours[column]]
            if known and (column == 0 or len(known) == len(self.runs)):
                hours = np.array([self.runs[i].hours[column] for i in known], dtype=float)
                return fit_cost(hours, self.stars[known], self.params[known]), unit
        raise UsageError(f"{self.model}: no run says how many hours it took")


def scalings(results: Sequence[Finished], known: Bounds) -> list[Scaling]:
    """One for each model with two sizes or more; `known`: the lab's ceilings.

    Raises `UsageError` where the results are not judged by an R2.
    """
    value = Value.parse(judged_by(one.result.headline for one in results))
    if value.metric != "r2":
        raise UsageError(f"a scaling law describes 1 - R², but these are judged by {value}")
    models: dict[str, list[Finished]] = {}
    for one in results:
        if one.result.values.get(str(value)) is not None and one.result.n.get("train"):
            models.setdefault(one.result.model_name, []).append(one)
    found = [_scaling(model, own, known, str(value)) for model, own in models.items()]
    return [one for one in found if one is not None]


def _scaling(model: str, results: Sequence[Finished], known: Bounds, name: str) -> Scaling | None:
    sound, notes = _sound(results, known, name)
    runs = [run for i, one in enumerate(sound) if (run := _run(one, name, -1 - i)) is not None]
    if len({(run.stars, run.params) for run in runs}) < 2:
        return None
    linear, ceiling = sound[0].result.recipe == "ridge", ceiling_of(sound[0].result, known, name)
    if linear and ceiling is not None:
        ceiling = Ceiling(*ceiling.linear) if ceiling.linear else None
    plain = Scaling(model, name, tuple(runs), ceiling, None, None, (), linear)
    axes, kept, why = _axes(plain)
    plain = replace(plain, runs=tuple(run for run, keep in zip(runs, kept, strict=True) if keep))
    notes += why
    if not axes:
        return replace(plain, notes=tuple(notes))
    if ceiling is None:
        notes.append(f"no {'linear ' * linear}ceiling for their spectra: E is fitted only")
    losses = np.array([run.loss for run in plain.runs])

    def law(kind: str, floor: tuple[float, float] | None) -> Law | None:
        try:
            seeds = [run.seed for run in plain.runs]
            return fit_law(losses, plain.stars, plain.params, floor, axes, seeds=seeds)
        except UsageError as error:
            notes.append(f"{kind} E: {error}")
            return None

    floor = _floor(plain)
    fixed, free = law("fixed", floor) if floor else None, law("free", None)
    fits = {"fixed": fixed, "free": free}
    notes += [
        f"{kind} E: {line}" for kind, one in fits.items() if one for line in not_determined(one)
    ]
    fitted = replace(plain, fixed=fixed, free=free)
    if fitted.is_single:
        notes.append("one seed a size: noise that sizes share is not in the intervals")
    return replace(fitted, notes=tuple(notes))


def _floor(plain: Scaling) -> tuple[float, float] | None:
    """1 - ceiling; its error and that of the test stars, which all runs share."""
    if plain.ceiling is None:
        return None
    stars = statistics.median(run.error for run in plain.runs)
    return 1 - plain.ceiling.r2, math.hypot(plain.ceiling.error, stars)


def _run(one: Finished, name: str, alone: int) -> Run | None:
    """`alone`: a seed that no other run has."""
    result, seed = one.result, seed_of(settings_of(one.job.spec))
    value, params = result.values.get(name), result.model.get("params")
    if value is None or not value < 1:
        return None
    hours = [result.data.get(key) for key in (CORE_HOURS, GPU_HOURS)]
    core, gpu = (float(x) if isinstance(x, int | float) and x > 0 else None for x in hours)
    size = params if isinstance(params, int) else 0
    own = seed if isinstance(seed, int) else alone
    return Run(result.n["train"], size, 1 - value, result.errors.get(name, 0.0), (core, gpu), own)


def _sound(
    results: Sequence[Finished], known: Bounds, name: str
) -> tuple[list[Finished], list[str]]:
    """The runs of one world that can be trusted, one configuration a size, and what is left out."""
    notes = []
    why = faults(results, known)
    good = [
        one for one in results if not one.result.data.get("permuted") and one.job.name not in why
    ]
    if lost := len(results) - len(good):
        notes.append(f"{lost} runs fail a check, are controls or above the ceiling: left out")
    worlds = Counter(read_world(one.result.world) for one in good)
    if len(worlds) > 1:
        [(world, most)] = worlds.most_common(1)
        notes.append(f"{len(good) - most} runs are of other spectra: left out")
        good = [one for one in good if read_world(one.result.world) == world]
    sizes: dict[tuple[int, object], list[Group]] = {}
    for group in grouped(good):
        size = group.first.n["train"], group.first.model.get("params")
        sizes.setdefault(size, []).append(group)
    chosen: list[Finished] = []
    for (stars, _), groups in sizes.items():
        repeats = [group.repeats for group in groups]
        best = choose(repeats, name).group
        if best is None:
            notes.append(f"N {count(stars)}: several runs without a validation score: left out")
            continue
        chosen += groups[repeats.index(best)].members
        if len(groups) > 1:
            notes.append(f"N {count(stars)}: {len(groups)} settings, the best on validation used")
    return chosen, notes


def _axes(plain: Scaling) -> tuple[tuple[str, ...], list[bool], list[str]]:
    """The axes with a term, which runs are fitted, and why not the others."""
    stars, params = plain.stars, plain.params
    everything = [True] * len(stars)
    axes = usable_axes(stars, params)
    if len(axes) != 1:
        few = f"{len(set(stars))} sizes N and {len(set(params))} P"
        why = f"{few}: no law, a term needs {SIZES} values"
        return axes, everything, [] if axes else [why]
    own, other = (stars, params) if axes == ("N",) else (params, stars)
    (axis,), missing = axes, "P" if axes == ("N",) else "N"
    pairs = set(zip(own.tolist(), other.tolist(), strict=True))
    if len(set(other)) > 1 and len(pairs) == len(set(own)):
        note = f"{missing} changes with {axis}: it has no separate term, that of {axis} absorbs it"
        return axes, everything, [note]
    sizes = Counter(value for _, value in pairs)
    [(most, number)] = sizes.most_common(1)
    kept = [value == most for value in other.tolist()]
    at = f" = {count(most)}" if most > 1 else ""
    if number < SIZES:
        return (), kept, [f"{number} sizes {axis} at the same {missing}: no law, it needs {SIZES}"]
    left = f"; {len(kept) - sum(kept)} runs of other {missing} left out" if not all(kept) else ""
    note = f"fitted over {axis} alone, at {missing}{at}: no term of {missing}, so a fixed E"
    return axes, kept, [f"{note} treats {missing} as unlimited{left}"]


def formula(law: Law) -> str:
    """`0.208 + 3.1/N^0.41`: 1 - R2 by the law."""
    terms = [
        f"{law.amplitude(axis).value:.3g}/{axis}^{law.exponent(axis).value:.2f}"
        for axis in law.axes
    ]
    return " + ".join([f"{law.floor.value:.3f}", *terms])


def not_determined(law: Law) -> list[str]:
    """Which exponents the runs leave open, in a line; nothing for none."""
    names = " and ".join(EXPONENTS[axis] for axis in law.unknown)
    return [f"{names} at a limit of the fit: the runs do not determine it"] if names else []


def law_phrases(found: Sequence[Scaling]) -> list[Phrase]:
    """What a conclusion says of the laws."""
    phrases = []
    for one in found:
        if (law := one.law) is None:
            continue
        if law.unknown:
            names = ", ".join(EXPONENTS[axis] for axis in law.unknown)
            phrases.append(phrase("scaling_open", one.model, names))
            continue
        kind = (
            "scaling_free" if not law.fixed else "scaling_linear" if one.linear else "scaling_fixed"
        )
        each = [] if law.fixed else [phrase("is", "E", _within(law.floor, 3))]
        each += [_exponent(law, axis) for axis in law.axes]
        sizes = {(run.stars, run.params) for run in one.runs}
        kind_of = "scaling_single" if one.is_single else "scaling_runs"
        of = phrase(kind_of, one.model, len(one.runs), len(sizes))
        phrases += [phrase(kind, of, formula(law), phrase("comma", *each)), _ahead(one, law)]
        if law.fixed and one.free is not None:
            phrases.append(_fitted_floor(one, one.free))
    told = any(one.law is not None and not one.law.unknown for one in found)
    return [*phrases, *[phrase("scaling_limits")] * told]


def _exponent(law: Law, axis: str) -> Phrase:
    """`b = 0.42 (0.32..0.55, 90%)`, or that the runs hardly tell it."""
    key = "scaling_vague" if axis in vague_axes(law) else "is"
    power = law.exponent(axis)
    ends = "..".join(exponent_ends(power))
    return phrase(key, EXPONENTS[axis], f"{power.value:.2f} ({ends}, 90%)")


def exponent_ends(power: Interval) -> tuple[str, str]:
    """`0.31`, `≥4.00`: the ends of an exponent's interval; at a limit of the fit it is cut."""
    low, high = f"{power.low:.2f}", f"{power.high:.2f}"
    at_low, at_high = power.low <= LIMITS[0] * 1.01, power.high >= LIMITS[1] / 1.01
    return "≤" * at_low + low, "≥" * at_high + high


def vague_axes(law: Law) -> list[str]:
    """The axes whose exponent the runs hardly tell."""
    powers = {axis: law.exponent(axis) for axis in law.axes}
    return [axis for axis, power in powers.items() if power.high > VAGUE * power.low]


def _fitted_floor(one: Scaling, free: Law) -> Phrase:
    """What the law says where E is fitted too: E, the exponents, and the same larger run."""
    parts = [
        phrase("as_is", _within(free.floor, 3)),
        *(_exponent(free, axis) for axis in free.axes),
    ]
    if not one.floors_agree:
        parts.append(phrase("scaling_floor_off"))
    elif one.predicts:
        parts.append(phrase("scaling_then", _larger_run(one, free)))
    return phrase("scaling_floor", phrase("comma", *parts))


def _ahead(one: Scaling, law: Law) -> Phrase:
    """What a larger run will reach, unless that may be less than the largest reaches."""
    if not one.predicts:
        return phrase("scaling_near")
    return phrase("scaling_ahead", AHEAD, list(law.axes), _larger_run(one, law))


def _larger_run(one: Scaling, law: Law) -> str:
    """R2 of a run `AHEAD` times larger, with its interval."""
    run = law.run(*one.larger(AHEAD))
    return f"{1 - run.value:.3f} ({1 - run.high:.3f}..{1 - run.low:.3f}, 90%)"


def _within(one: Interval, digits: int) -> str:
    low, high = f"{one.low:.{digits}f}", f"{one.high:.{digits}f}"
    return f"{one.value:.{digits}f} ({low}..{high}, 90%)"
