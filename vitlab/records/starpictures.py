"""The figures that are drawn star by star, from the jobs' residuals: parity, residuals, S/N."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from vitlab.contract.paths import UsageError
from vitlab.plot.picture import Curve, Panel, Picture
from vitlab.records.pictures import KINDS, Material, value_label
from vitlab.records.results import Finished

if TYPE_CHECKING:
    from vitlab.ml.residuals import Residuals

MOST = 4
"""Panels of a figure; more are too small to read."""
STEPS = 8
"""Bins of a residual's run along the true label."""
SEED = 42


def parity(made: Material) -> Picture:
    """Predicted against true labels, one panel a job and label."""
    panels = []
    for one, kept in _kept(made, "parity"):
        for k, label in enumerate(kept.labels):
            r2 = one.result.values.get(f"test/r2/{label}")
            title = _name(one, made) + (f"  R² = {r2:.3f}" if r2 is not None else "")
            x, y = tuple(kept.true[:, k].tolist()), tuple(kept.predicted[:, k].tolist())
            curve = Curve(_name(one, made), x, y, joined=False)
            axes = f"true {label}", f"predicted {label}"
            panels.append(Panel(*axes, (curve,), title=title, diagonal=True))
    return Picture(f"Parity{made.title_mark}", tuple(panels[:MOST]))


def residuals(made: Material) -> Picture:
    """Median and 68% scatter of predicted - true along the label and along S/N."""
    import numpy as np

    label = made.headline.rsplit("/", 1)[-1]
    kept = [(one, r) for one, r in _kept(made, "residuals") if label in r.labels]
    if not kept:
        raise UsageError(f"residuals: no job was scored on {label}")
    panels = []
    for axis in (f"true {label}", "S/N"):
        curves = []
        for one, found in kept:
            k = found.labels.index(label)
            along = found.snr if axis == "S/N" else found.true[:, k]
            off = found.predicted[:, k] - found.true[:, k]
            good = np.isfinite(along) & np.isfinite(off)
            along, off = along[good], off[good]
            if len(along) < 2 * STEPS:
                continue
            edges = np.quantile(along, np.linspace(0, 1, STEPS + 1))
            bins = np.clip(np.searchsorted(edges, along, "right") - 1, 0, STEPS - 1)
            parts = [(along[bins == b], off[bins == b]) for b in range(STEPS) if (bins == b).any()]
            low, high = zip(*(np.quantile(o, [0.1587, 0.8413]) for _, o in parts), strict=True)
            curves.append(
                Curve(
                    _name(one, made),
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
    return Picture(f"Residuals{made.title_mark}", tuple(panels))


def snr(made: Material) -> Picture:
    """The headline's metric in bins of S/N, one curve a job, under the ceilings."""
    from vitlab.ml.residuals import binned

    _, metric, label = [*made.headline.split("/"), "", ""][:3]
    bounds = _ceilings(made, label) if metric == "r2" else []
    curves = []
    for one, found in _kept(made, "snr", needed=not bounds):
        bins = binned(found, "snr", SEED)
        name = f"{metric}/{label}"
        bins = [part for part in bins if name in part.scores.values]
        if bins:
            curves.append(
                Curve(
                    _name(one, made),
                    tuple((part.low * part.high) ** 0.5 for part in bins),
                    tuple(part.scores.values[name] for part in bins),
                    tuple(part.scores.errors[name] for part in bins),
                )
            )
    curves += bounds
    if not curves:
        raise UsageError(f"snr: no job knows the S/N of its test stars and {made.headline}")
    panel = Panel("S/N (median pixel)", value_label(made.headline), tuple(curves), log_x=True)
    return Picture(f"S/N{made.title_mark}", (panel,))


def _ceilings(made: Material, label: str) -> list[Curve]:
    """What the ceiling job says at each magnitude, by the S/N it gives for it."""
    best = made.ceiling(f"test/r2/{label}")
    if best is None:
        return []
    values, errors = best.result.values, best.result.errors
    found = []
    mags = [name.split("/")[0] for name in values if name.endswith("/snr/median") and "@" in name]
    for kind, told in KINDS.items():
        points = sorted(
            (at, y, errors.get(f"{mag}/{kind}/{label}", 0.0))
            for mag in mags
            if (at := values[f"{mag}/snr/median"]) is not None
            and (y := values.get(f"{mag}/{kind}/{label}")) is not None
            and y > 0
        )
        if len(points) > 1:
            xs, ys, known = zip(*points, strict=True)
            found.append(Curve(told, xs, ys, known if any(known) else (), reference=True))
    return found


def _kept(made: Material, figure: str, needed: bool = True) -> list[tuple[Finished, Residuals]]:
    """The jobs that kept residuals, the best known first; a figure that needs one says so."""
    from vitlab.ml.residuals import load

    found = []
    for one in made.found:
        with contextlib.suppress(UsageError):  # told below, when none has any
            found.append((one, load(one.job.paths.residuals)))
    if needed and not found:
        names = ", ".join(one.job.name for one in made.found[:3])
        raise UsageError(f"{figure}: no residuals in {names} (`vitlab evaluate JOB` makes them)")
    return found


def _name(one: Finished, made: Material) -> str:
    runs = {(o.result.model_name, o.result.run) for o in made.found}
    models = {model for model, _ in runs}
    if len(models) == len(runs):
        return one.result.model_name
    return one.result.run if len(models) == 1 else f"{one.result.model_name} {one.result.run}"
