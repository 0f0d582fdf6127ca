"""The best run of an experiment: its lead, its baseline, its ceiling, and runs that failed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from itertools import product

from vitlab.contract.value import Value, judged_by
from vitlab.docs.judge.comparison import Gap, Ranking, distance_from_best, gap_of, same_stars
from vitlab.jobs.store import Job
from vitlab.lab.results.ceilings import ceiling_of, ceilings
from vitlab.lab.results.job_results import Finished, finished, latest
from vitlab.lab.results.pairs import Pairs
from vitlab.lab.results.repeats import Group, grouped


def rank_runs(jobs: Sequence[Job], everything: Sequence[Finished], pairs: Pairs) -> Ranking:
    """The best of the `jobs` of one launch, compared with all results of the roadmap.

    Best and runner-up are chosen on validation and compared on the test set.
    """
    groups = grouped(latest(finished(jobs)))
    controls = [one for g in groups for one in g.members if g.first.data.get("permuted")]
    groups = [group for group in groups if not group.first.data.get("permuted")]
    name = judged_by(g.first.headline for g in groups if g.value(g.first.headline) is not None)
    ranked = [g for g in groups if g.value(name) is not None]
    known = {one.job.name for one in controls}
    missing = _missing([job for job in jobs if job.name not in known], groups)
    if not ranked:
        return Ranking(missing=missing)
    if len(ranked) > 1 and Value.parse(name).better is None:
        return Ranking(missing=missing)  # which is best is not known
    ranked.sort(key=lambda g: _distance(g, name))
    best = ranked[0]
    second = ranked[1] if len(ranked) > 1 else None
    # In a sweep of several models the runner-up may be the same model at another size.
    alike = second is None or second.first.model_name == best.first.model_name
    baseline = _baseline(best, ranked, everything, name) if alike else None
    ceiling = ceiling_of(best.members[0].job.spec, ceilings(one.job for one in everything), name)
    value = best.value(name) or 0.0
    shared = best.first.data.get("overlap")
    return Ranking(
        best=best.first,
        runs=len(ranked),
        seeds=len(best.members),
        mean=value if len(best.members) > 1 else None,
        scatter=best.scatter(name) or 0.0,
        second=run_label(second) if second else "",
        lead=group_gap(best, second, name, pairs) if second else None,
        baseline=f"{baseline.first.model_name} (MVP-{baseline.first.mvp})" if baseline else "",
        over=group_gap(best, baseline, name, pairs) if baseline else None,
        ceiling=ceiling.r2 if ceiling else None,
        share=value / ceiling.r2 if ceiling and ceiling.r2 > 0 else None,
        leak=ceiling is not None and ceiling.leaks(best.first, name),
        overlap=shared if isinstance(shared, int) else 0,
        missing=missing,
    )


def group_gap(left: Group, right: Group, name: str, pairs: Pairs) -> Gap | None:
    """Mean difference over the seeds; its error is that of stars and seeds together.

    None where the stars are neither the same nor alike.
    """
    same = len(left.members) == len(right.members)
    paired = zip(left.members, right.members, strict=True) if same else None
    couples = list(paired or product(left.members, right.members))
    gaps = [_gap(a, b, name, pairs) for a, b in couples]
    known = [gap for gap in gaps if gap is not None]
    if not known or len(known) < len(gaps):
        return None
    error = statistics.fmean(gap.error for gap in known)
    seeds = len(left.members) if same else max(len(left.members), len(right.members))
    if len(known) > 1:
        scatter = statistics.stdev(gap.value for gap in known)
        error = math.hypot(error, scatter / math.sqrt(seeds))
    return Gap(statistics.fmean(gap.value for gap in known), error, min(gap.stars for gap in known))


def run_label(group: Group) -> str:
    """A run's name in a sentence."""
    name, model = group.name, group.first.model_name
    return model if name in ("main", model) else name


def _gap(one: Finished, other: Finished, name: str, pairs: Pairs) -> Gap | None:
    if one.result.values.get(name) is None or other.result.values.get(name) is None:
        return None
    paired = pairs.between(one, other, name)
    if paired is not None:
        return paired
    if not same_stars(one.result, other.result) and not pairs.alike_jobs(one, other):
        return None
    return gap_of(one.result, other.result, name)


def _distance(group: Group, name: str) -> float:
    return statistics.fmean(distance_from_best(one.result, name) for one in group.members)


def _baseline(
    best: Group, ranked: Sequence[Group], everything: Sequence[Finished], name: str
) -> Group | None:
    """The best of another model at the same profile that was scored on the same stars.

    Of the same launch and as many training spectra, where there is one.
    """
    beside = [g for g in ranked if g.first.n.get("train") == best.first.n.get("train")]
    for groups in (beside, grouped(everything)):
        others = [
            group
            for group in groups
            if group.first.model_name != best.first.model_name
            and group.first.profile == best.first.profile
            and group.value(name) is not None
            and same_stars(group.first, best.first)
            and not group.first.data.get("permuted")
        ]
        if others:
            return min(others, key=lambda g: _distance(g, name))
    return None


def _missing(jobs: Sequence[Job], groups: Sequence[Group]) -> tuple[str, ...]:
    """Names of the launch's runs that ended without a result, with their seeds."""
    good = {one.job.name for group in groups for one in group.members}
    names = [job.spec.run for job in jobs if job.name not in good]
    if not groups:
        return ()  # all failed, which the status shows
    return tuple(dict.fromkeys(names))
