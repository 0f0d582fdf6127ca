"""The figures of an experiment that its results draw: scaling, ablation, training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vitlab.contract.paths import UsageError
from vitlab.contract.spec import PROFILES
from vitlab.docs.comparison import on_validation, smaller_is_better
from vitlab.docs.sentence import mark, metric_symbol
from vitlab.jobs.store import Job, all_jobs
from vitlab.plot.picture import Curve, Panel, Picture
from vitlab.plot.series import Line
from vitlab.records.ceilings import world_of
from vitlab.records.curves import live_name
from vitlab.records.groups import Group, grouped
from vitlab.records.lab import Lab
from vitlab.records.results import Finished, finished

KINDS = {
    "r2_bayes": "Bayes ceiling",
    "r2_crlb_mean": "CRLB (unbiased)",
    "r2_linear": "linear ceiling",
}
"""Ceilings by the name of their value."""


@dataclass(frozen=True)
class Material:
    """What a figure may be made of."""

    lab: Lab
    found: tuple[Finished, ...]
    """The jobs it shows, each the newest of its run."""
    jobs: tuple[Job, ...]
    """Every job of the lab; the ceilings are among them."""

    @property
    def headline(self) -> str:
        """The value in question; of a ceiling the one it is the ceiling of."""
        name = self.found[0].result.headline
        split, _, rest = name.partition("/")
        return f"test/r2/{rest.rpartition('/')[2]}" if split == "ceiling" else name

    @property
    def title_mark(self) -> str:
        """` (demo)`: nobody must take a trial's figure for the real thing."""
        profiles = sorted({one.result.profile for one in self.found})
        return "".join(mark(profile) for profile in profiles)

    def ceiling(self, name: str) -> Finished | None:
        """The largest ceiling job of the stars the first job was tested on."""
        world = world_of(self.found[0].job.spec.config, name.rsplit("/", 1)[-1])
        mine = [
            one
            for one in finished(job for job in self.jobs if job.spec.recipe == "ceiling")
            if world is not None and world_of(one.job.spec.config, name.rsplit("/", 1)[-1]) == world
        ]
        return max(mine, key=lambda one: int(one.job.spec.config.get("bayes", 0)), default=None)

    def levels(self, name: str) -> tuple[Line, ...]:
        """The ceilings a value can be held against, each labelled with its kind."""
        parts = name.split("/")
        best = self.ceiling(name) if parts[1:2] == ["r2"] else None
        if best is None:
            return ()
        values = {kind: best.result.values.get(f"ceiling/{kind}/{parts[2]}") for kind in KINDS}
        return tuple(
            Line(value, f"{KINDS[kind]} {value:.3f}")
            for kind, value in values.items()
            if value is not None and value > 0
        )


def material(lab: Lab, named: Sequence[Finished]) -> Material:
    """`named`, or else every newest result of the highest profile there is."""
    jobs = tuple(all_jobs(lab.paths))
    if not named:
        from vitlab.records.results import latest

        every = [one for one in latest(finished(jobs)) if one.job.spec.recipe != "ceiling"]
        best = max((PROFILES.index(one.result.profile) for one in every), default=0)
        named = [one for one in every if one.result.profile == PROFILES[best]]
    if not named:
        raise UsageError("nothing to draw: no job has a result yet")
    return Material(lab, tuple(named), jobs)


def scaling(made: Material) -> Picture:
    """The headline against the number of training spectra, one curve a model."""
    name = made.headline
    models: dict[str, dict[int, list[Group]]] = {}
    for group in grouped(made.found):
        n = group.first.n.get("train", 0)
        if n > 0 and group.value(name) is not None:
            models.setdefault(group.first.model_name, {}).setdefault(n, []).append(group)
    if not any(len(sizes) > 1 for sizes in models.values()):
        raise UsageError(
            f"scaling: needs {name} of one model at two training sizes or more "
            f"(there are: {_sizes(models)})"
        )
    curves = []
    for model, sizes in sorted(models.items()):
        best = {n: max(sizes[n], key=lambda g: on_validation(g.first, name)) for n in sorted(sizes)}
        curves.append(_curve(model, list(best), list(best.values()), name))
    panel = Panel(
        "training spectra", value_label(name), tuple(curves), lines=made.levels(name), log_x=True
    )
    return Picture(f"Scaling{made.title_mark}", (panel,))


def ablation(made: Material) -> Picture:
    """The headline of each run, best first."""
    name = made.headline
    groups = [group for group in grouped(made.found) if group.value(name) is not None]
    if len(groups) < 2:
        raise UsageError(f"ablation: needs {name} of two runs or more (there are: {len(groups)})")
    groups.sort(key=lambda g: g.value(name) or 0.0, reverse=not smaller_is_better(name))
    models = len({group.first.model_name for group in groups}) > 1
    names = tuple(_named(group, models) for group in groups)
    curve = _curve("", list(range(len(groups))), groups, name, joined=False)
    panel = Panel("", value_label(name), (curve,), lines=made.levels(name), names=names)
    title = "Models" if models else "Ablation"
    return Picture(f"{title}{made.title_mark}", (panel,))


def training(made: Material) -> Picture:
    """The headline on validation against the steps taken, and the loss where it was validated."""
    live = live_name(made.headline)
    panels = []
    for name in (live, "val/loss"):
        curves = []
        for one in made.found:
            points = made.lab.progress(one.job.paths).points
            kept = [(p.step, y) for p in points if (y := p.values.get(name)) is not None]
            if kept:
                label = one.result.run if len(made.found) > 1 else one.result.model_name
                xs, ys = zip(*kept, strict=True)
                curves.append(Curve(label, tuple(map(float, xs)), ys))
        lines = made.levels(name)
        if curves:
            panels.append(Panel("step", value_label(name), tuple(curves), lines=lines))
    if not panels:
        raise UsageError(f"training: no job has said a {live} while it ran")
    return Picture(f"Training{made.title_mark}", tuple(panels))


def value_label(name: str) -> str:
    """`test/r2/log_g` -> `test R² of log g`."""
    split, metric, label = [*name.split("/"), "", ""][:3]
    units = {"T_eff": " [K]", "log_g": " [dex]", "M_H": " [dex]"}
    unit = units.get(label, "") if metric in ("mae", "rmse", "bias", "scatter") else ""
    symbol = metric_symbol(f"{split}/{metric}/log_g")
    return f"{split} {symbol}" + (f" of {label}{unit}" if label else "")


def _curve(
    name: str, xs: Sequence[float], groups: Sequence[Group], value: str, joined: bool = True
) -> Curve:
    ys = tuple(group.value(value) or 0.0 for group in groups)
    errors = tuple(group.error(value) for group in groups)
    return Curve(name, tuple(map(float, xs)), ys, errors, joined)


def _named(group: Group, model: bool) -> str:
    """The run's name, with its model's before it where that is not said yet."""
    own = group.first.model_name
    name = own if group.name == "main" else group.name
    seeds = f" (n={len(group.members)})" if len(group.members) > 1 else ""
    return (f"{own} {name}" if model and not name.startswith(own) else name) + seeds


def _sizes(models: Mapping[str, Mapping[int, object]]) -> str:
    return "; ".join(f"{m} at {', '.join(map(str, s))}" for m, s in models.items()) or "none"


Maker = Callable[[Material], Picture]
