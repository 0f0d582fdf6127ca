"""Which results may stand in a paper: full runs, checked, no controls; the rest is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.contradictions import contradictions
from vitlab.contract.job import PROFILES
from vitlab.docs.judge.checks import control_fails, failed_checks
from vitlab.docs.judge.comparison import value_of
from vitlab.docs.model.roadmap import Roadmap
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import Bounds, ceilings, with_ceiling
from vitlab.lab.results.job_results import Finished, finished, latest, of_roadmap
from vitlab.lab.results.ranking import Pairs, pairs_of
from vitlab.lab.results.repeats import Group, grouped


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
    newest = latest(finished(of_roadmap(lab, jobs, path)))
    newest = [one for one in newest if one.result.recipe != "evaluate"]
    of_mvp: dict[str, list[Finished]] = {}
    for one in newest:
        of_mvp.setdefault(one.result.mvp, []).append(one)
    kept: list[Group] = []
    told: list[str] = []
    trials: dict[str, str] = {}
    invalid: dict[str, str] = {}
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
    left_out = _names(newest) - {one.job.name for group in kept for one in group.members}
    roadmap = lab.read_roadmap(path)
    shown = [one for group in kept for one in group.members]
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
    """The groups that may be shown, and why others are not.

    A configuration falls with any of its seeds: a mean of those that pass would be chosen by their
    numbers. With a control that has learned something everything of its MVP falls.
    """
    controls = [one for one in results if one.result.data.get("permuted")]
    bad = [one.result.run for one in controls if control_fails(one.result)]
    if bad:
        return [], [f"left out: its control {', '.join(bad)} fails"]
    groups, why = [], []
    for group in grouped(one for one in results if one not in controls):
        faults = [fault for one in group.members for fault in _faults(one, bounds)]
        if faults:
            why.append(f"{group.name}: left out: {faults[0]}")
        else:
            groups.append(group)
    return groups, why


def _faults(one: Finished, bounds: Bounds) -> list[str]:
    """Why a result may not be shown."""
    result = one.result
    if result.recipe == "ceiling":
        return []
    faults = failed_checks(with_ceiling(result, bounds))
    faults += contradictions(result.values)
    if value_of(result, result.headline) is None:
        faults.append(f"{result.headline} is not a finite number")
    return faults
