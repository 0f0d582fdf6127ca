"""Which results may stand in a paper: full runs, checked, no controls; the rest is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.contradictions import contradictions
from vitlab.contract.job import PROFILES, Result
from vitlab.docs.judge.comparison import value_of
from vitlab.docs.model.roadmap import Roadmap
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import Bounds, ceilings
from vitlab.lab.results.job_results import Finished, finished, latest, of_roadmap
from vitlab.lab.results.ranking import Pairs, pairs_of, unread_runs
from vitlab.lab.results.repeats import Group, grouped
from vitlab.lab.results.sound import faults, parted


@dataclass(frozen=True)
class Chosen:
    """The results that a paper may show."""

    lab: Lab
    roadmap: Roadmap
    groups: tuple[Group, ...]
    """Each configuration with its seeds, ceilings among them; of an MVP those of one profile."""
    jobs: tuple[Job, ...]
    """Every job of the lab but those of results that may not be shown."""
    bounds: Bounds
    pairs: Pairs
    trials: Mapping[str, str]
    """MVP -> the profile of its results, where it has no full ones."""
    invalid: Mapping[str, str]
    """MVP -> why it has no result that may be shown, though it has some."""
    told: tuple[str, ...]
    """What was left out and why, a line each."""

    @property
    def models(self) -> list[Group]:
        """Those of models."""
        return [one for one in self.groups if one.first.recipe != "ceiling"]

    @property
    def ceilings(self) -> list[Group]:
        return [one for one in self.groups if one.first.recipe == "ceiling"]

    def of_mvps(self, mvps: Sequence[str]) -> list[Group]:
        """The models of these MVPs."""
        return [one for one in self.models if one.first.mvp in mvps]

    def without(self, mvp: str) -> str:
        """Why an MVP has nothing to show, with what would help: one line."""
        if mvp in self.invalid:
            return f"MVP-{mvp}: {self.invalid[mvp]}"
        if mvp in self.trials:
            trial = f"MVP-{mvp} has results of profile {self.trials[mvp]} alone, a trial"
            return f"{trial}: run `vitlab run {mvp} --profile full`, or take --draft"
        return f"MVP-{mvp} has no result: run `vitlab run {mvp} --profile full`"


def chosen_results(lab: Lab, path: Path, *, draft: bool) -> Chosen:
    """The valid newest results of a roadmap: full ones; with `draft` of each MVP the highest."""
    jobs = all_jobs(lab.paths)
    bounds = ceilings(jobs)
    results = finished(of_roadmap(lab, jobs, path))
    results = [one for one in results if one.result.recipe != "evaluate"]
    newest = latest(results)
    of_mvp: dict[str, list[Finished]] = {}
    for one in newest:
        of_mvp.setdefault(one.result.mvp, []).append(one)
    kept: list[Group] = []
    before = [o for o in results if o.before and (draft or o.result.profile == "full")]
    torn = {(one.result.mvp, one.result.run): one.before for one in before}
    told = [f"MVP-{mvp} {run}: left out: {why}" for (mvp, run), why in torn.items()]
    trials: dict[str, str] = {}
    invalid = {mvp: f"its newest result cannot be read ({why})" for (mvp, _), why in torn.items()}
    for mvp, results in of_mvp.items():
        profile = max((one.result.profile for one in results), key=PROFILES.index)
        if profile != "full" and not draft:
            trials[mvp] = profile
            continue
        mine = [one for one in results if one.result.profile == profile]
        groups, why = _valid(mine, bounds)
        told += [f"MVP-{mvp} {line}" for line in why]
        if not groups and why:
            invalid[mvp] = f"no valid result ({why[0]})"
        kept += groups
    shown = [one for group in kept for one in group.members]
    left_out = _names([*newest, *before]) - _names(shown)
    roadmap = lab.read_roadmap(path)
    unread = {mvp: why for mvp, why in unread_runs(lab, roadmap, newest).items() if mvp in of_mvp}
    new = (one for one in unread.items() if one[1] not in torn.values())
    told += [f"MVP-{mvp}: a run is left out: {why}" for mvp, why in new]
    return Chosen(
        lab,
        roadmap,
        tuple(kept),
        tuple(job for job in jobs if job.name not in left_out),
        bounds,
        pairs_of(lab, shown),
        trials,
        invalid,
        tuple(told),
    )


def _names(results: Sequence[Finished]) -> set[str]:
    return {one.job.name for one in results}


def _valid(results: Sequence[Finished], bounds: Bounds) -> tuple[list[Group], list[str]]:
    """The groups that may be shown, and why others are not, a line each."""
    models = grouped(one for one in results if not one.result.data.get("permuted"))
    groups, left = parted(models, faults(results, bounds))
    whole = "control_failed"
    lines = (
        f"{'' if fault.key == whole else f'{group.name}: '}left out: {fault.text('en')}"
        for group, fault in left
    )
    why = list(dict.fromkeys(lines))
    for group in list(groups):
        if doubts := [line for one in group.members for line in _doubts(one.result)]:
            groups.remove(group)
            why.append(f"{group.name}: left out: {doubts[0]}")
    return groups, why


def _doubts(result: Result) -> list[str]:
    """Numbers of a result that cannot all be true, or that it lacks."""
    if result.recipe == "ceiling":
        return []
    lacks = value_of(result, result.headline) is None
    missing = [f"{result.headline} is not a finite number"] if lacks else []
    return [*contradictions(result.values), *missing]
