"""What the runs of one launch show together: a trend, effects, or the room below a ceiling."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean

from vitlab.contract.job import PROFILES, Result
from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value, judged_by, measured
from vitlab.contract.world import read_world
from vitlab.docs.judge.comparison import Gap
from vitlab.docs.judge.conclusion import ceiling_mags, count_text, profile_mark
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.judge.seeds import choose
from vitlab.lab.results.ceilings import Bounds, ceiling_in, ceiling_of
from vitlab.lab.results.job_results import Finished
from vitlab.lab.results.ranking import Pairs, group_gap, run_label
from vitlab.lab.results.repeats import Group, grouped
from vitlab.lab.results.run_settings import SEEDS, settings_of
from vitlab.lab.results.sound import faults, parted

SIZES = 3
"""Training sizes from which on a trend is told."""
SHOWN = 6
"""Effects that are told one by one."""
WINDOW = 0.25
"""Half the width, in magnitudes, of the window whose stars are held against a ceiling at one."""
FEWEST = 100
"""Stars of a window below which nothing is told of it."""
_SEED = 42


def findings(
    ended: Sequence[Finished], everything: Sequence[Finished], pairs: Pairs
) -> list[Phrase]:
    """The phrases on the ended jobs of a launch; `everything`: the results of its roadmap."""
    known = pairs.bounds
    groups = [one for one in grouped(ended) if not one.first.data.get("permuted")]
    groups, _ = parted(groups, faults(ended, known))
    models = [one for one in groups if one.first.recipe != "ceiling"]
    if not models:
        return _room(groups, everything, known)
    name = judged_by(one.first.headline for one in models)
    models = [one for one in models if one.value(name) is not None]
    return _trends(models, name, pairs) or _effects(models, name, pairs)


def _trends(groups: Sequence[Group], name: str, pairs: Pairs) -> list[Phrase]:
    """The score against the number of training spectra: that of each model's best series.

    The model that is best on validation comes first, with its scores.
    """
    best = _chosen(groups, name)
    phrases: list[Phrase] = []
    for model in dict.fromkeys(one.first.model_name for one in groups):
        series = [one for one in _series(groups) if one[0].first.model_name == model]
        largest = _chosen([one[-1] for one in series], name)
        shown = [one for one in series if largest is None or one[-1] is largest]
        leads = best is not None and best.first.model_name == model
        texts = [
            _trend(one, model if len(shown) == 1 else run_label(one[-1]), name, pairs,
                   whole=leads or best is None)
            for one in shown
        ]  # fmt: skip
        phrases = [*texts, *phrases] if leads else [*phrases, *texts]
    return phrases


def _chosen(groups: Sequence[Group], name: str) -> Group | None:
    """The best on validation; None where that is not known."""
    repeats = [one.repeats for one in groups]
    chosen = choose(repeats, name).group if groups else None
    return groups[repeats.index(chosen)] if chosen else None


def _series(groups: Sequence[Group]) -> list[list[Group]]:
    """The groups that differ in the number of training spectra alone, smallest first."""
    series: dict[str, dict[int, list[Group]]] = {}
    for one in groups:
        size = one.first.n.get("train", 0)
        settings = settings_of(one.members[0].job.spec)
        # A program of one's own has its size in an option of any name.
        of_size = {k for k, value in settings.items() if k.startswith("args.") and value == size}
        skipped = {*SEEDS, "data.train_size", *of_size}
        rest = {name: value for name, value in settings.items() if name not in skipped}
        key = repr((one.first.model_name, sorted(rest.items(), key=lambda item: item[0])))
        if size > 0:
            series.setdefault(key, {}).setdefault(size, []).append(one)
    return [
        [sizes[size][0] for size in sorted(sizes)]
        for sizes in series.values()
        if len(sizes) >= SIZES and all(len(at) == 1 for at in sizes.values())
    ]


def _trend(series: Sequence[Group], label: str, name: str, pairs: Pairs, *, whole: bool) -> Phrase:
    """`ViT: R² 0.704, 0.738, 0.761 at 2k, 10k, 50k, on average +0.041 ± 0.003 per decade`."""
    value = Value.parse(name)
    slope = _slope_phrase(series, name, pairs)
    if not whole:
        return phrase("slope", label, slope)
    scores = ", ".join(f"{one.value(name):.3f}" for one in series)
    sizes = ", ".join(count_text(one.first.n["train"]) for one in series)
    return phrase("trend", label, f"{value.symbol} {scores}{value.mark}", sizes, slope)


def _slope_phrase(series: Sequence[Group], name: str, pairs: Pairs) -> Phrase:
    slope, error, is_one_seed = slope_of(series, name, pairs)
    if error is None:
        return phrase("remarked", f"{slope:+.3f}", phrase("no_error_here"))
    number = measured(slope, error, signed=True)
    remark = phrase("one_seed")
    return phrase("remarked", number, remark) if is_one_seed else phrase("as_is", number)


def slope_of(series: Sequence[Group], name: str, pairs: Pairs) -> tuple[float, float | None, bool]:
    """Least-squares slope of the score against log10 of the training size, and its error.

    The weights c of the scores add up to 0, so the variance of the slope is -1/2 of the sum of
    c_i c_j var(score_i - score_j): stars that all runs were scored on cancel. Error None where a
    difference has none; the last says whether the scatter over seeds is not in it.
    """
    xs = [math.log10(one.first.n["train"]) for one in series]
    mean, spread = fmean(xs), sum((x - fmean(xs)) ** 2 for x in xs)
    weights = [(x - mean) / spread for x in xs]
    slope = sum(w * (one.value(name) or 0.0) for w, one in zip(weights, series, strict=True))
    variance, one_seed = 0.0, False
    for i, left in enumerate(series):
        for j in range(i):
            gap = group_gap(left, series[j], name, pairs)
            if gap is None or not gap.error:
                return slope, None, False
            variance -= weights[i] * weights[j] * gap.error**2
            one_seed |= gap.is_one_seed
    return slope, math.sqrt(variance) if variance > 0 else None, one_seed


def reference_of(groups: Sequence[Group]) -> Group:
    """What the others of an ablation are compared with: the run that was launched first."""
    return min(groups, key=lambda group: group.members[0].job.spec.submitted)


def _effects(groups: Sequence[Group], name: str, pairs: Pairs) -> list[Phrase]:
    """What each change makes of the first run's score; of two runs the ranking says it."""
    if len(groups) < 3 or len({one.first.model_name for one in groups}) > 1:
        return []
    reference = reference_of(groups)
    others = [one for one in groups if one is not reference]
    gaps = [(one, group_gap(one, reference, name, pairs)) for one in others]
    told = [(one, gap) for one, gap in gaps if gap and gap.error and not gap.is_noise]
    same = [run_label(one) for one, gap in gaps if gap and gap.is_same]
    noise = [
        run_label(one) for one, gap in gaps
        if gap and gap.error and gap.is_noise and not gap.is_same
    ]  # fmt: skip
    rest = [run_label(one) for one, gap in gaps if not (gap and (gap.error or gap.is_same))]
    ranked = sorted(told, key=lambda pair: -abs(pair[1].value))
    shown = sorted(ranked[:SHOWN], key=lambda pair: -pair[1].value)
    effects = [phrase("effect", run_label(one), _number(gap)) for one, gap in shown]
    if left := len(told) - len(shown):
        effects.append(phrase("more_effects", left))
    if same:
        effects.append(phrase("same_effect", ", ".join(same)))
    if noise:
        effects.append(phrase("no_effect", ", ".join(noise)))
    if rest:
        effects.append(phrase("no_comparison", ", ".join(rest)))
    start = f"{reference.value(name):.3f}{Value.parse(name).mark}"
    is_one_seed = any(gap.is_one_seed for _, gap in gaps if gap)
    remark = (phrase("one_seed"),) if is_one_seed else ()
    of = phrase("less", run_label(reference), start)
    return [phrase("reason", of, phrase("comma", *effects)), *remark]


def _number(gap: Gap) -> str:
    return measured(gap.value, gap.error, signed=True)


def _room(groups: Sequence[Group], everything: Sequence[Finished], known: Bounds) -> list[Phrase]:
    """By how much the best model of a ceiling's own world is below it, in all and by magnitude."""
    phrases = []
    for group in groups:
        name = str(Value("test", "r2", Value.parse(group.first.headline).label))
        model = _best_below(group.first, everything, name, known)
        bound = ceiling_of(model.as_one(), known, name) if model else None
        if model is None or bound is None:
            continue
        value, error = model.value(name) or 0.0, model.error(name) or 0.0
        gap = Gap(bound.r2 - value, math.hypot(bound.error, error))
        mark = profile_mark(model.first.profile)
        of = phrase("room_of", model.first.model_name, model.first.mvp, f"{value:.3f}{mark}")
        phrases.append(phrase("room", of, _number(gap)))
        mags = {mag: _room_at(mag, model, known, name) for mag in ceiling_mags(group.first)}
        at = [
            phrase("room_at", f"{mag:g}", f"{WINDOW:g}", _number(gap))
            for mag, gap in mags.items()
            if gap
        ]
        phrases += [phrase("comma", *at)] if at else []
    return phrases


def _best_below(
    ceiling: Result, everything: Sequence[Finished], name: str, known: Bounds
) -> Group | None:
    """The best model, on validation, scored on stars of a ceiling's world, at the highest profile.

    None where there is none, or the best is not known.
    """
    world = read_world(ceiling.world)
    sound, _ = parted(grouped(everything), faults(everything, known))
    models = [
        one
        for one in sound
        if world is not None
        and one.first.recipe != "ceiling"
        and read_world(one.first.world) == world
        and one.value(name) is not None
        and not one.first.data.get("permuted")
    ]
    highest = max((PROFILES.index(one.first.profile) for one in models), default=0)
    return _chosen([one for one in models if one.first.profile == PROFILES[highest]], name)


def _room_at(mag: float, model: Group, known: Bounds, name: str) -> Gap | None:
    """The same of the test stars within `WINDOW` of a magnitude, of the first seed.

    None where they are few, or do not reach that far to both sides.
    """
    import numpy as np

    from vitlab.ml.residual_file import load_residuals
    from vitlab.ml.scoring import binned

    world = read_world(model.first.world)
    bound = ceiling_in(world.at(mag) if world else None, known, name)
    if bound is None or (bound.trial and model.first.profile == "full"):
        return None
    try:
        member = model.members[0]
        stars = load_residuals(member.job.paths.residuals, member.result.values)
    except UsageError:
        return None
    edges = mag - WINDOW, mag + WINDOW
    bins = binned(stars, "mag", _SEED, edges)
    value = Value.parse(name).anywhere
    if not bins or bins[0].n < FEWEST or value not in bins[0].scores.values:
        return None
    ends = np.nanmin(stars.mag), np.nanmax(stars.mag)
    if ends[0] > edges[0] + 0.1 * WINDOW or ends[1] < edges[1] - 0.1 * WINDOW:
        return None
    scores = bins[0].scores
    return Gap(bound.r2 - scores.values[value], math.hypot(bound.error, scores.errors[value]))
