"""The figures of test stars: parity, residuals, calibration and along S/N."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vitlab.contract.paths import UsageError
from vitlab.contract.value import COVERED, SNR, Value, axis_of_label
from vitlab.docs.judge.errors import SeedScatter
from vitlab.lab.figures.costs import cost_notes
from vitlab.lab.figures.figure_specs import (
    ERRORS,
    KINDS,
    MOST,
    FigureData,
    Maker,
    error_notes,
    missing,
)
from vitlab.lab.results.ceilings import stars_of
from vitlab.lab.results.job_results import Finished
from vitlab.lab.results.repeats import Group, grouped
from vitlab.plot.figures.picture import Curve, Panel, Picture
from vitlab.plot.figures.styles import Style
from vitlab.plot.series import Line

if TYPE_CHECKING:
    from vitlab.ml.scoring import Bin, Residuals

Array = NDArray[np.float64]
STEPS, CELLS = 8, 12
"""Bins of the residuals along the true label, and of their running bias and scatter."""
FEW = 10
"""Stars of a bin below which it has no running bias."""
SEED = 42
PIT_BINS = 10
FAINTEST, BRIGHTEST = 23.0, 18.0
"""Magnitudes between which the S/N figure is drawn, where their S/N is known."""


def parity(data: FigureData) -> Picture:
    """Predicted against true labels as a density, and below it what is left of them."""
    panels: list[Panel] = []
    notes: list[str] = []
    kept = _first_seeds(data, "parity", notes)
    styles = data.styles([one.result.model_name for one, _ in kept])
    for (one, stars), style in zip(kept, styles, strict=True):
        for k, label in enumerate(stars.labels):
            value = Value("test", "r2", label)
            r2 = one.result.values.get(str(value))
            title = name_of(one, data)
            title += f"  {value.symbol} = {r2:.3f}" if r2 is not None else ""
            plain = replace(style, variant=0)
            panels.append(_parity_panel(stars, k, title, name_of(one, data), plain))
    more = [f"{len(panels) - MOST} more panels not shown"] if len(panels) > MOST else []
    notes = [*cost_notes(grouped(data.results)), *more, *notes, *_unkept(data)]
    keys = (*data.trial, "shade: stars per cell, logarithmic")
    panels = _alike(panels[:MOST])
    across = (min(len(panels), 2), max(len(panels), 2))
    title = f"Parity{data.title_mark}"
    return Picture(title, tuple(panels), tuple(notes), keys, across, wide=len(panels) > 2)


def _first_seeds(
    data: FigureData, figure: str, notes: list[str]
) -> list[tuple[Finished, Residuals]]:
    """Of each run the first seed, as stars scatter alike in all of them; a note on the others."""
    firsts = [group.members[0] for group in grouped(data.results)]
    if seeds := len(data.results) - len(firsts):
        notes.append(f"of each run the first seed, {seeds} more not shown")
    return [(one, stars) for one, stars in residuals_of(data, figure) if one in firsts]


def _alike(panels: Sequence[Panel]) -> list[Panel]:
    """With the same axes of the residuals for the same label."""
    widest: dict[str, float] = {}
    for one in panels:
        assert one.below is not None
        assert one.below.y_range is not None
        label = one.below.y_label
        widest[label] = max(widest.get(label, 0.0), one.below.y_range[1])
    return [
        replace(one, below=replace(one.below, y_range=(-wide, wide)))
        for one in panels
        if one.below is not None and (wide := widest[one.below.y_label])
    ]


def _parity_panel(stars: Residuals, k: int, title: str, name: str, style: Style) -> Panel:
    true, predicted = stars.true[:, k], stars.predicted[:, k]
    label = stars.labels[k]
    x_label = axis_of_label(label, "true")
    cloud = Curve(name, tuple(true.tolist()), tuple(predicted.tolist()), joined=False, style=style)
    off = predicted - true
    finite = np.isfinite(true) & np.isfinite(off)
    beyond = float(np.quantile(np.abs(off[finite]), 0.995)) if finite.any() else 1.0
    low, high = _ends(true[finite])
    below = Panel(
        x_label,
        axis_of_label(label, "predicted - true"),
        (replace(cloud, y=tuple(off.tolist())), *_running(true[finite], off[finite])),
        lines=(Line(0.0, ""),),
        density=True,
        square=True,
        x_range=(low, high),
        y_range=(-1.15 * (beyond or 1.0), 1.15 * (beyond or 1.0)),
    )
    return Panel(
        x_label,
        axis_of_label(label, "predicted"),
        (cloud,),
        title=title,
        diagonal=True,
        density=True,
        square=True,
        below=below,
    )


def _ends(true: Array) -> tuple[float, float]:
    """The range of an axis of these labels."""
    low, high = (float(true.min()), float(true.max())) if true.size else (0.0, 1.0)
    margin = 0.05 * (high - low or 1.0)
    return low - margin, high + margin


def _running(true: Array, off: Array) -> list[Curve]:
    """Median and 68% of the residuals in bins along the label."""
    if not true.size:
        return []
    edges = np.linspace(true.min(), true.max(), CELLS + 1)
    bins = np.clip(np.searchsorted(edges, true, "right") - 1, 0, CELLS - 1)
    parts = [b for b in range(CELLS) if (bins == b).sum() >= FEW]
    xs = tuple(float((edges[b] + edges[b + 1]) / 2) for b in parts)
    names = ("running bias (median)", "running scatter (16%, 84%)", "running scatter (16%, 84%)")
    levels = np.array([np.quantile(off[bins == b], [0.5, 0.1587, 0.8413]) for b in parts])
    return [
        Curve(name, xs, tuple(levels[:, k].tolist()), reference=True)
        for k, name in enumerate(names if parts else ())
    ]


def residuals(data: FigureData) -> Picture:
    """Median, 16% and 84% of predicted - true along the label and along S/N."""
    label = Value.parse(data.headline).label
    panels: list[Panel] = []
    notes: list[str] = []
    kept = [x for x in _first_seeds(data, "residuals", notes) if label in x[1].labels]
    if not kept:
        raise UsageError(f"residuals: no job was scored on {label}")
    styles = data.styles([one.result.model_name for one, _ in kept])
    for axis in (axis_of_label(label, "true"), SNR):
        curves = []
        for (one, stars), style in zip(kept, styles, strict=True):
            name, k = name_of(one, data), stars.labels.index(label)
            along, off = _placed(stars, k, axis == SNR, name, notes)
            if len(along) < 2 * STEPS:
                notes.append(f"{name}: too few stars along {axis}, not shown")
                continue
            curves.append(replace(_binned(along, off), name=name, style=style))
        if curves:
            y_label = axis_of_label(label, "predicted - true")
            zero = (Line(0.0, ""),)
            by_snr = axis == SNR
            panels.append(
                Panel(axis, y_label, tuple(curves), lines=zero, log_x=by_snr, beside=True)
            )
    if not panels:
        raise UsageError(f"residuals: fewer than {2 * STEPS} test stars, too few to bin")
    notes = [*cost_notes(grouped(data.results)), *notes, *_unkept(data)]
    beside = "; runs stand side by side" * (len(kept) > 1)
    means = f"points: medians of bins; bars: from 16% to 84% of their stars{beside}"
    keys = (*data.trial, means)
    return Picture(f"Residuals{data.title_mark}", tuple(panels), tuple(notes), keys)


def _placed(
    stars: Residuals, k: int, by_snr: bool, name: str, notes: list[str]
) -> tuple[Array, Array]:
    """The residuals of the stars that have a place along an axis, and that place."""
    along = stars.snr if by_snr else stars.true[:, k]
    off = stars.predicted[:, k] - stars.true[:, k]
    good = np.isfinite(along) & np.isfinite(off)
    if by_snr:
        good &= along > 0
    if lost := len(good) - int(good.sum()):
        of = f"{lost:,} of {len(good):,} stars without"
        what = "a positive S/N or a finite residual" if by_snr else "a finite residual"
        notes.append(f"{name}: {of} {what}, not shown")
    return along[good], off[good]


def _binned(along: Array, off: Array) -> Curve:
    """Median, 16% and 84% in bins of equal numbers of stars."""
    edges = np.quantile(along, np.linspace(0, 1, STEPS + 1))
    bins = np.clip(np.searchsorted(edges, along, "right") - 1, 0, STEPS - 1)
    parts = [(along[bins == b], off[bins == b]) for b in range(STEPS) if (bins == b).any()]
    return Curve(
        "",
        tuple(float(np.median(a)) for a, _ in parts),
        tuple(float(np.median(o)) for _, o in parts),
        ends=tuple(_middle(o) for _, o in parts),
    )


def _middle(off: Array) -> tuple[float, float]:
    """Between which 68% of the residuals lie, with as many below as above."""
    low, high = np.quantile(off, [0.1587, 0.8413]).tolist()
    return low, high


def calibration(data: FigureData) -> Picture:
    """PIT and coverage of central intervals of the predicted densities, and by magnitude."""
    from vitlab.ml.scoring import binned

    label = Value.parse(data.headline).label
    levels = [Value("", f"coverage{share}", label) for share in COVERED]
    known = [
        (one, stars, stars.density)
        for one, stars in residuals_of(data, "calibration")
        if stars.density is not None and label in stars.labels
    ]
    if not known:
        raise UsageError(
            f"calibration: no job predicts a density of {label} (loss: mixture or nll)"
        )
    styles = data.styles([one.result.model_name for one, _, _ in known])
    overall, along, pits = [], [], []
    for (one, stars, density), style in zip(known, styles, strict=True):
        name = name_of(one, data)
        pits.append(_pit(name, density.pit[:, stars.labels.index(label)], style))
        found = density.scores(stars.labels, SEED)
        xs = tuple(share / 100 for share in COVERED)
        ys, errors = (tuple(x[level] for level in levels) for x in (found.values, found.errors))
        overall.append(Curve(name, xs, ys, errors, style=style))
        bins = [(part, part.scores) for part in binned(stars, "mag", SEED)]
        xs = tuple(float(np.mean([part.low, part.high])) for part, _ in bins)
        ys = tuple(scores.values[levels[1]] for _, scores in bins)
        errors = tuple(scores.errors[levels[1]] for _, scores in bins)
        along += [Curve(name, xs, ys, errors, style=style)] * bool(bins)
    edges = tuple(np.linspace(0, 1, PIT_BINS + 1).tolist())
    of = axis_of_label(label).partition(" [")[0]
    panels = [
        Panel(f"PIT of {of}", "stars, relative to uniform", tuple(pits), bins=edges,
              lines=(Line(1.0, "calibrated"),), x_range=(0.0, 1.0), square=True),
        Panel(f"central interval of {of}", "fraction of stars inside", tuple(overall),
              diagonal=True),
        Panel("i magnitude", "fraction of stars inside 68%", tuple(along),
              lines=(Line(0.68, "calibrated"),), square=True, beside=True),
    ]  # fmt: skip
    left_out = missing(len(data.results) - len(known), len(data.results), "densities")
    notes = (*cost_notes(grouped(data.results)), *left_out)
    keys = (*data.trial, ERRORS["stars"])
    title = f"Calibration{data.title_mark}"
    return Picture(title, tuple(panels[: 3 if along else 2]), notes, keys, (2, 3), wide=True)


def _pit(name: str, pit: Array, style: Style) -> Curve:
    """The density of the probability integral transforms, with the error of each count."""
    count, edges = np.histogram(pit, PIT_BINS, (0, 1))
    scale = PIT_BINS / max(len(pit), 1)
    return Curve(
        name,
        tuple(((edges[1:] + edges[:-1]) / 2).tolist()),
        tuple((count * scale).tolist()),
        tuple((np.sqrt(np.maximum(count, 1)) * scale).tolist()),
        style=style,
    )


def snr(data: FigureData) -> Picture:
    """The headline's metric in bins of S/N, one curve a job, under the ceilings."""
    value = Value.parse(data.headline).anywhere
    bounds, notes = _ceilings(data, value.label) if value.metric == "r2" else ([], [])
    curves: list[Curve] = []
    edges: tuple[float, ...] = ()
    kept = residuals_of(data, "snr", needed=not bounds)
    of_job = {one.job.name: stars for one, stars in kept}
    groups = [g for g in grouped(data.results) if any(one.job.name in of_job for one in g.members)]
    styles = data.styles([group.first.model_name for group in groups])
    drawn: list[Group] = []
    for group, style in zip(groups, styles, strict=True):
        seeds = [of_job[one.job.name] for one in group.members if one.job.name in of_job]
        each = [_along_snr(stars, value, _group_name(group, data), notes) for stars in seeds]
        curve, bins = _mean_of([curve for curve, _ in each if curve is not None]), each[0][1]
        if curve is not None:
            curves.append(replace(curve, style=style))
            drawn.append(replace(group, members=group.members[: len(seeds)]))
            edges = edges or bins
    kinds = [*error_notes(drawn), *[ERRORS["draws"]] * any(bound.errors for bound in bounds)]
    kinds += _of_ceilings(data, str(Value("test", "r2", value.label)), bounds)
    if not [*curves, *bounds]:
        raise UsageError(f"snr: no job knows the S/N of its test stars and {data.headline}")
    places = _magnitudes(data, str(Value("test", "r2", value.label)))
    panel = Panel(
        SNR,
        Value.parse(data.headline).axis,
        (*curves, *bounds),
        log_x=True,
        bins=edges,
        top=tuple((x, f"{mag:g}") for mag, x in places),
        top_label="i magnitude" * bool(places),
        x_range=_snr_range(places, (*curves, *bounds), edges),
    )
    models = [one for one in data.results if one.job.spec.recipe != "ceiling"]
    shown = sum(len(group.members) for group in drawn)
    notes += missing(len(models) - shown, len(models), "residuals with S/N")
    notes = [*cost_notes(grouped(models)), *data.chosen, *notes]
    keys = (*data.trial, *kinds, *["grey: every second bin"] * bool(edges))
    return Picture(f"S/N{data.title_mark}", (panel,), tuple(notes), keys)


def _along_snr(
    stars: Residuals, value: Value, name: str, notes: list[str]
) -> tuple[Curve | None, tuple[float, ...]]:
    """The scores in bins of S/N, and the edges of these."""
    bins = [part for part in snr_bins(stars) if value in part.scores.values]
    if not bins:
        return None, ()
    placed = stars.snr > 0
    if lost := int((~placed).sum()):
        notes.append(f"{name}: {lost:,} of {len(placed):,} stars without a positive S/N, not shown")
    curve = Curve(
        name,
        tuple((part.low * part.high) ** 0.5 for part in bins),
        tuple(part.scores.values[value] for part in bins),
        tuple(part.scores.errors[value] for part in bins),
    )
    return curve, (bins[0].low, *(part.high for part in bins))


def _mean_of(curves: Sequence[Curve]) -> Curve | None:
    """The mean over seeds, with the errors of stars and seeds as gates take them; None of none."""
    if len(curves) < 2 or len({curve.x for curve in curves}) > 1:
        return curves[0] if curves else None
    ys = np.array([curve.y for curve in curves])
    stars = np.mean([curve.errors for curve in curves], axis=0)
    count = len(curves)
    seeds = [SeedScatter(one, count - 1).error(count) for one in ys.std(axis=0, ddof=1).tolist()]
    errors = tuple(np.hypot(stars, seeds).tolist())
    return replace(curves[0], y=tuple(ys.mean(axis=0).tolist()), errors=errors)


def _group_name(group: Group, data: FigureData) -> str:
    """Its model's name, with the run's where a model has several, and how many seeds it has."""
    groups = grouped(one for one in data.results if one.job.spec.recipe != "ceiling")
    model = group.first.model_name
    alone = sum(other.first.model_name == model for other in groups) == 1
    own = group.name.removeprefix(model).strip()
    name = model if alone or not own else f"{model} {own}"
    return name + (f" ({len(group.members)} seeds)" if len(group.members) > 1 else "")


def snr_bins(stars: Residuals) -> list[Bin]:
    """The scores in bins of S/N, as the figure shows them; those without a positive S/N are out."""
    from vitlab.ml.scoring import binned

    return binned(replace(stars, snr=np.where(stars.snr > 0, stars.snr, np.nan)), "snr", SEED)


def _magnitudes(data: FigureData, name: str) -> list[tuple[float, float]]:
    """Magnitudes with the S/N of a median star there, where a ceiling knows it."""
    best = data.ceiling(name)
    found = []
    for text, number in best.result.values.items() if best else ():
        at = Value.parse(text)
        known = at.anywhere == Value("", "snr", "median") and number is not None
        if known and at.mag is not None and number is not None and 0 < number < np.inf:
            found.append((at.mag, float(number)))
    return sorted(found)


def _snr_range(
    places: Sequence[tuple[float, float]], curves: Sequence[Curve], edges: Sequence[float]
) -> tuple[float, float] | None:
    """From the S/N of the faintest magnitude to that of the brightest; all points at least."""
    xs = [x for curve in curves for x in curve.x if 0 < x < np.inf]
    ends = [x for mag, x in places if BRIGHTEST <= mag <= FAINTEST]
    every = [x for x in (*xs, *ends, *edges) if 0 < x < np.inf]
    if not places or not every:
        return None
    return min(every) / 1.12, max(every) * 1.12


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
            curves.append(
                Curve(title, xs, ys, known if any(known) else (), reference=True, on_line=True)
            )
        elif points:
            notes.append(
                f"{title}: R² = {points[0][1]:.3f} at S/N {points[0][0]:.3g} alone, no curve"
            )
    return curves, notes


def _of_ceilings(data: FigureData, name: str, bounds: Sequence[Curve]) -> list[str]:
    """What lies between the points of the ceilings, and of how many stars each is."""
    best = data.ceiling(name)
    if best is None or not bounds:
        return []
    bayes, crlb = stars_of(best, whole=False), best.result.n.get("test", 0)
    many = {KINDS["r2_bayes"]: bayes, KINDS["r2_crlb_mean"]: crlb}
    known = [(one.name.split()[0], many.get(one.name)) for one in bounds]
    stars = ", ".join(f"{n:,} ({kind})" for kind, n in known if n)
    magnitudes = len(_magnitudes(data, name))
    return [
        f"points: R² of a bin; ceilings: of one magnitude, joined linearly between {magnitudes}",
        *([f"ceilings: of the same stars at each magnitude: {stars}"] if stars else []),
    ]


def residuals_of(
    data: FigureData, figure: str, needed: bool = True
) -> list[tuple[Finished, Residuals]]:
    """The jobs whose residuals were kept; UsageError where there is none but one is `needed`."""
    kept, unlike = _read(data)
    if needed and not kept:
        if unlike:
            raise UsageError(f"{figure}: {unlike[0]} (`vitlab evaluate JOB` makes them anew)")
        names = ", ".join(one.job.name for one in data.results[:3])
        raise UsageError(f"{figure}: no residuals in {names} (`vitlab evaluate JOB` makes them)")
    return kept


def _read(data: FigureData) -> tuple[list[tuple[Finished, Residuals]], list[UsageError]]:
    """The jobs with their residuals, and what is wrong with files that are there."""
    from vitlab.ml.residual_file import load_residuals

    kept, unlike = [], []
    for one in data.results:
        path = one.job.paths.residuals
        try:
            kept.append((one, load_residuals(path, one.result.values)))
        except UsageError as error:
            unlike += [error] * os.path.lexists(path)
    return kept, unlike


def _unkept(data: FigureData) -> list[str]:
    """A note on the jobs whose residuals were not kept, or are not as they were written."""
    (kept, unlike), of = _read(data), len(data.results)
    whole = "residuals as they were written (`vitlab evaluate JOB` makes them anew)"
    lost = missing(of - len(kept) - len(unlike), of, "residuals")
    return [*lost, *missing(len(unlike), of, whole)]


def name_of(one: Finished, data: FigureData) -> str:
    runs = {(o.result.model_name, o.result.run) for o in data.results}
    models = {model for model, _ in runs}
    if len(models) == len(runs):
        return one.result.model_name
    own, run = one.result.model_name, one.result.run
    return run if len(models) == 1 or run.startswith(own) else f"{own} {run}"


MAKERS: dict[str, Maker] = {
    "snr": snr,
    "parity": parity,
    "residuals": residuals,
    "calibration": calibration,
}
