"""The artefacts of a paper's check list, made from the results that may be shown."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.contract.value import Value, judged_by
from vitlab.contract.world import read_world
from vitlab.docs.judge.seeds import choose
from vitlab.docs.model.roadmap import Roadmap
from vitlab.lab.figures.auto_figures import MAKERS, models_of
from vitlab.lab.figures.figure_specs import FigureData
from vitlab.lab.figures.star_figures import residuals_of, snr_bins
from vitlab.lab.lab import Lab
from vitlab.lab.paper.artefacts.quantities import Quantity, of_group, subject_of
from vitlab.lab.paper.artefacts.score_table import score_table
from vitlab.lab.paper.artefacts.selection import Chosen, chosen_results
from vitlab.lab.results.ceilings import stars_of
from vitlab.lab.results.job_results import Finished
from vitlab.lab.results.repeats import Group, grouped
from vitlab.plot.figures.paper import pdf
from vitlab.plot.figures.picture import Picture

KINDS = {
    "ablation": re.compile(r"ablat|消融", re.I),
    "snr": re.compile(r"\bs/?n\b|snr|信噪", re.I),
    "scaling": re.compile(r"\bn\b.*\br²?|\br²?\b.*\bn\b|scaling|规模|数据量|样本量", re.I),
    "baselines": re.compile(r"baseline|\bvs\b|基线|对比", re.I),
    "main": re.compile(r"main|results?\b|主结果|主表|结果", re.I),
}
"""What an artefact of the check list is, by its words; the first that matches."""
ORDER = ("main", "baselines", "scaling", "snr", "ablation")


@dataclass
class Paper:
    """What was made."""

    files: dict[str, bytes] = field(default_factory=dict)
    jobs: dict[str, tuple[Finished, ...]] = field(default_factory=dict)
    """Those that each file shows."""
    numbers: dict[str, tuple[Quantity, ...]] = field(default_factory=dict)
    """Those that each file shows."""
    captions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Of figures: what their captions need."""
    missing: list[str] = field(default_factory=list)
    """A line for each artefact that has no results, or not all: with what would help."""
    told: list[str] = field(default_factory=list)
    """What was left out and why."""


def wanted(roadmap: Roadmap) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Artefact -> its MVPs by the roadmap's check list (`()`: not said), and rows not understood.

    Without a check list all that vitlab makes.
    """
    found: dict[str, tuple[str, ...]] = {}
    unknown = []
    for entry in roadmap.rows("checklist"):
        text = entry.text("artifact")
        if not text.strip(" -—"):
            continue
        kind = next((kind for kind, words in KINDS.items() if words.search(text)), None)
        if kind is None:
            unknown.append(f"{roadmap.document.name}:{entry.line}: {text!r} is none of "
                           f"{', '.join(ORDER)}: not made")  # fmt: skip
        else:
            found[kind] = tuple(dict.fromkeys((*found.get(kind, ()), *entry.mvps)))
    if not found and not unknown:
        found = dict.fromkeys(ORDER, ())
    return {kind: found[kind] for kind in ORDER if kind in found}, unknown


def make_paper(lab: Lab, path: Path, *, draft: bool) -> Paper:
    """Every artefact of the roadmap's check list that has results; the rest is told."""
    chosen = chosen_results(lab, path, draft=draft)
    wishes, unknown = wanted(chosen.roadmap)
    paper = Paper(told=[*unknown, *chosen.told])
    maker = _Maker(chosen, paper, draft)
    for kind, mvps in wishes.items():
        try:
            maker.make(kind, mvps)
        except UsageError as error:
            paper.missing.append(f"{kind}: {error}")
    return paper


@dataclass(frozen=True)
class _Maker:
    chosen: Chosen
    paper: Paper
    draft: bool

    def make(self, kind: str, mvps: Sequence[str]) -> None:
        """Make one artefact; what it lacks is noted, `UsageError` where it cannot be made."""
        shown = {one.first.mvp for one in self.chosen.groups}
        lost = [mvp for mvp in mvps if mvp not in shown]
        if lost and (len(lost) == len(mvps) and kind != "baselines"):
            raise UsageError("; ".join(map(self.chosen.without, lost)))
        self.paper.missing += [f"{kind}: {self.chosen.without(mvp)}" for mvp in lost]
        steps: Mapping[str, Callable[[Sequence[str]], None]] = {
            "main": self._main, "baselines": self._baselines, "scaling": self._scaling,
            "snr": self._snr, "ablation": self._ablation,
        }  # fmt: skip
        steps[kind](mvps)

    def _models(self, mvps: Sequence[str]) -> list[Group]:
        return self.chosen.of_mvps(mvps) if mvps else self.chosen.models

    def _main(self, mvps: Sequence[str]) -> None:
        groups = self._models(mvps)
        if not groups:
            raise UsageError("no run of a model has a result (`vitlab run MVP --profile full`)")
        self._table("table_main.tex", groups, None)

    def _baselines(self, mvps: Sequence[str]) -> None:
        del mvps  # those of all models are compared: the check list names the baseline's alone
        name = judged_by(group.first.headline for group in self.chosen.models)
        groups = list(self._at_one_size(name))
        groups = Value.parse(name).ranked(groups, lambda group: group.value(name))
        self._table("table_baselines.tex", groups, groups[0])

    def _at_one_size(self, name: str) -> Iterator[Group]:
        """Of each model the best on validation, at the size on the stars that most models have."""
        places: dict[tuple[int, object, str], dict[str, list[Group]]] = {}
        for group in self.chosen.models:
            first, stars = group.first, group.first.data.get("hash")
            if stars and group.value(name) is not None:
                models = places.setdefault((first.n.get("train", 0), stars, first.profile), {})
                models.setdefault(first.model_name, []).append(group)
        most = max(places, key=lambda place: (len(places[place]), place[0]), default=None)
        if most is None or len(places[most]) < 2:
            raise UsageError("no two models have results at one training size on the same test "
                             "stars (`vitlab run MVP --profile full` of a baseline)")  # fmt: skip
        lost = {group.first.model_name for group in self.chosen.models} - set(places[most])
        if lost:
            at = f"no result at N = {most[0]:,} on the same test stars: no row"
            self.paper.told.append(f"baselines: {', '.join(sorted(lost))}: {at}")
        for model, groups in places[most].items():
            repeats = [group.repeats for group in groups]
            best = choose(repeats, name).group
            if best is None:
                which = f"which of {len(groups)} runs is best on validation is not known"
                self.paper.told.append(f"baselines: {model}: {which}: all have rows")
            yield from groups if best is None else [groups[repeats.index(best)]]

    def _scaling(self, mvps: Sequence[str]) -> None:
        groups = self._models(mvps)
        self._figure("fig_scaling.pdf", "scaling", groups)

    def _ablation(self, mvps: Sequence[str]) -> None:
        if not mvps:
            mvps = list(self._several_runs())
        if not mvps:
            raise UsageError("no MVP has several runs of one model at one size")
        for mvp in mvps:
            groups = self.chosen.of_mvps([mvp])
            if not groups:
                continue  # told already
            if len(groups) < 2:
                self.paper.missing.append(f"ablation: MVP-{mvp} has one run alone; it needs two")
                continue
            name = re.sub(r"[^\w.-]+|\.\.+", "_", mvp)
            first = min(groups, key=lambda group: group.members[0].job.spec.submitted)
            self._table(f"table_ablation_{name}.tex", groups, first)
            self._figure(f"fig_ablation_{name}.pdf", "ablation", groups)

    def _several_runs(self) -> Iterator[str]:
        """MVPs that look like an ablation: runs of one model at one size."""
        of_mvp: dict[str, list[Group]] = {}
        for group in self.chosen.models:
            of_mvp.setdefault(group.first.mvp, []).append(group)
        for mvp, groups in of_mvp.items():
            kinds = {(one.first.model_name, one.first.n.get("train")) for one in groups}
            if len(groups) > 1 and len(kinds) == 1:
                yield mvp

    def _snr(self, mvps: Sequence[str]) -> None:
        ceilings = [one for one in self.chosen.ceilings if not mvps or one.first.mvp in mvps]
        if not ceilings:
            raise UsageError("no ceiling at magnitudes (`vitlab run MVP --profile full` of a "
                             "ceiling)")  # fmt: skip
        ceiling = ceilings[-1].members[-1]
        world = read_world(ceiling.result.world)
        models = [one for group in self.chosen.models for one in group.members]
        shown, notes = models_of(models, ceiling.job.spec)
        shown = [one for one in shown if read_world(one.result.world) == world]
        if not shown:
            raise UsageError(f"no model has a result on the spectra of the ceiling of "
                             f"MVP-{ceiling.result.mvp}")  # fmt: skip
        data = replace(self._data([*shown, ceiling]), chosen=notes)
        picture = MAKERS["snr"](data)
        quantities = [*_in_bins(data), *_of_ceiling(ceiling)]
        self._picture("fig_snr.pdf", picture, data, quantities)

    # Files

    def _table(self, name: str, groups: Sequence[Group], reference: Group | None) -> None:
        value = judged_by(group.first.headline for group in groups)
        for group in groups:
            if group.value(value) is None:
                run = f"MVP-{group.first.mvp} {group.name}"
                self.paper.told.append(f"{name}: {run} has no {value}: no row")
        made = score_table(self.chosen, groups, reference, self._draft(groups))
        head = "% Made by `vitlab paper`; needs booktabs and siunitx.\n"
        self.paper.files[name] = (head + made.text).encode()
        self.paper.numbers[name] = made.quantities
        self.paper.jobs[name] = tuple(one for group in groups for one in group.members)

    def _figure(self, name: str, figure: str, groups: Sequence[Group]) -> None:
        data = self._data([one for group in groups for one in group.members])
        if not data.results:
            raise UsageError(f"{figure}: no run has a result")
        quantities = [of_group(group, data.headline) for group in groups]
        picture = MAKERS[figure](data)
        self._picture(name, picture, data, [one for one in quantities if one])

    def _picture(
        self, name: str, picture: Picture, data: FigureData, numbers: Sequence[Quantity]
    ) -> None:
        mark = self._draft(grouped(data.results))
        if mark:
            picture = replace(picture, keys=(mark.partition(":")[0], *picture.keys))
        self.paper.files[name] = pdf(picture)
        self.paper.numbers[name] = tuple(numbers)
        self.paper.jobs[name] = data.results
        self.paper.captions[name] = picture.notes

    def _data(self, results: Sequence[Finished]) -> FigureData:
        return FigureData(self.chosen.lab, tuple(results), self.chosen.jobs)

    def _draft(self, groups: Sequence[Group]) -> str:
        """The line that marks an artefact of a draft; empty for a paper's."""
        trials = sorted({group.first.profile for group in groups} - {"full"})
        of = f": profile {' and '.join(trials)}, trials" if trials else ""
        return f"DRAFT{of}" if self.draft else ""


def _in_bins(data: FigureData) -> Iterator[Quantity]:
    """The scores of models in the bins of S/N that the figure shows."""
    name = data.headline
    value = Value.parse(name)
    for one, stars in residuals_of(data, "snr", needed=False):
        (group,) = grouped([one])
        for number, part in enumerate(snr_bins(stars), 1):
            score = part.scores.values.get(value.anywhere, math.nan)
            if math.isfinite(score):  # all stars of a bin may have one label
                yield Quantity(
                    subject_of(group, value, slice_=f"SnrBin {number}"),
                    name,
                    score,
                    part.scores.errors[value.anywhere],
                    part.n,
                    1,
                    (one,),
                    f"S/N {part.low:.3g} to {part.high:.3g}",
                )


def _of_ceiling(one: Finished) -> Iterator[Quantity]:
    """The Bayes ceilings, of all stars and at magnitudes."""
    (group,) = grouped([one])
    for name in one.result.values:
        value, quantity = Value.parse(name), of_group(group, name)
        if quantity and value.metric == "r2_bayes":
            stars = stars_of(one, whole=value.split == "ceiling")
            yield replace(quantity, stars=stars or None)
