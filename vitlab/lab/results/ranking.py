"""How jobs differ on the same stars, and which run of a launch is the best."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

from vitlab.contract.checks import CEILING
from vitlab.contract.job import Result
from vitlab.contract.paths import SPEC, LabPaths, UsageError, write_atomic
from vitlab.contract.user_key import own_record, sealed
from vitlab.contract.validation import misfit
from vitlab.contract.value import LOG_SCORE, SCORES, Value, judged_by
from vitlab.contract.world import same_spectra
from vitlab.docs.judge.budget import budget_of, is_unequal
from vitlab.docs.judge.checks import checks_of, control_fails, failed_phrases
from vitlab.docs.judge.comparison import (
    Bound,
    Gap,
    NoEvidence,
    Ranking,
    gap_of,
    same_stars,
    seeds_gap,
)
from vitlab.docs.judge.errors import SeedScatter, expected_maximum
from vitlab.docs.judge.gates import Person, Verdict, judge
from vitlab.docs.judge.phrases import Phrase, phrase
from vitlab.docs.judge.seeds import Score, choose, pooled, score_of, validated
from vitlab.docs.model.gates.conditions import model_key
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.roadmap import Roadmap
from vitlab.jobs.copies import made_again
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import Bounds, ceiling_of, ceilings, with_ceiling
from vitlab.lab.results.decided import decided_by_person
from vitlab.lab.results.job_results import DECIDING, Finished, finished, latest, of_roadmap, run_of
from vitlab.lab.results.repeats import Group, grouped
from vitlab.lab.results.sealed import (
    Opening,
    bearing,
    candidates,
    on_kept_stars,
    openings,
    with_openings,
)
from vitlab.lab.results.sound import faults, faults_of, parted, told

SEED = 42
"""Of the bootstrap: the same two jobs always differ by the same error."""
_KEPT = 5000
"""Differences the cache holds; beyond, it starts again."""

_Key = tuple[str, str, str, bool]


@dataclass(frozen=True)
class Pairs:
    """Differences between jobs by their residuals, for `vitlab.docs.judge.gates.judge`."""

    cache: Path
    """Differences computed before: `.vitlab/pairs.json`, which can be deleted."""
    jobs: dict[_Key, Finished]
    everything: Callable[[], Sequence[Finished]] = list
    """All results of the lab, read where the scatter over seeds is asked for."""
    stated: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Model -> value -> scatter over seeds, of `vitlab.yaml`."""
    kept: LabPaths | None = None
    """The lab whose gates are judged on stars kept for them; None: on the test stars."""
    is_kept: bool = False
    """Whether these are the results on those stars."""
    _known: dict[str, Gap | None] = field(default_factory=dict)
    _scatters: dict[str, SeedScatter | None] = field(default_factory=dict)

    def gap(self, left: Result, right: Result, name: str) -> Gap | None:
        """`name` of `left` minus that of `right` on the stars both were scored on.

        None where the stars differ, or a job kept no residuals.
        """
        ours, theirs = self.jobs.get(run_of(left)), self.jobs.get(run_of(right))
        if ours is None or theirs is None:
            return None
        return self.between(ours, theirs, name)

    def between(self, ours: Finished, theirs: Finished, name: str) -> Gap | None:
        """As `gap`, of any two jobs."""
        value = Value.parse(name)
        tested = value.split == "test" and value.label
        if not tested or not same_stars(ours.result, theirs.result):
            return None
        jobs = ours.job.paths, theirs.job.paths
        paths = [job.sealed_residuals if self.is_kept else job.residuals for job in jobs]
        try:
            stamps = [path.stat().st_mtime_ns for path in paths]
        except OSError:
            return None
        key = json.dumps([ours.job.name, theirs.job.name, name, *stamps])
        if key not in self._known:
            self._known.update(_read(self.cache))
        if key not in self._known:
            scored = ours.result.values, theirs.result.values
            self._known[key] = residuals_gap(paths, scored, value.metric, value.label)
            _write(self.cache, self._known)
        return self._known[key]

    @cached_property
    def bounds(self) -> Bounds:
        """The lab's ceilings."""
        return ceilings(one.job for one in self.everything())

    def same_population(self, left: Result, right: Result) -> bool:
        """Whether both test sets are known to be of one world."""
        ours, theirs = self.jobs.get(run_of(left)), self.jobs.get(run_of(right))
        return ours is not None and theirs is not None and self.alike_jobs(ours, theirs)

    def ceiling(self, result: Result, name: str) -> Bound | None:
        """The Bayes ceiling of a result's value; None where none is known of its world."""
        bound = ceiling_of(result, self.bounds, name)
        return Bound(bound.r2, bound.error) if bound else None

    def configuration(self, result: Result) -> str:
        """The hash of its settings but for the seed."""
        one = self.jobs.get(run_of(result))
        return one.configuration if one else NoEvidence().configuration(result)

    def seed_scatter(self, result: Result, name: str) -> SeedScatter | None:
        """As `vitlab.yaml` states it, else from the lab's repeats of this model and profile.

        Of an ensemble that of its members, which is the larger.
        """
        model = model_key(str(result.model.get("of", result.model_name)))
        stated = {model_key(key): known for key, known in self.stated.items()}.get(model, {})
        if name in stated:
            return SeedScatter(stated[name])
        key = f"{model} {result.profile} {name}"
        if key not in self._scatters:
            alike = [
                one
                for one in self.everything()
                if (model_key(one.result.model_name), one.result.profile) == (model, result.profile)
                and not one.result.data.get("permuted")
            ]
            self._scatters[key] = pooled([group.repeats for group in grouped(latest(alike))], name)
        return self._scatters[key]

    def alike_jobs(self, ours: Finished, theirs: Finished) -> bool:
        """As `alike`, of any two jobs."""
        return same_spectra(ours.result.world, theirs.result.world)


def pairs_of(
    lab: Lab,
    results: Iterable[Finished],
    everything: Callable[[], Sequence[Finished]] | None = None,
) -> Pairs:
    """The differences between `results`, the newest job of each run.

    `everything`: gives all results of the lab; None reads them when they are asked for.
    """
    return Pairs(
        lab.paths.private.pairs,
        {run_of(one.result): one for one in results},
        cache(everything or (lambda: finished(all_jobs(lab.paths)))),
        lab.settings.seed_scatter,
        lab.paths if lab.settings.gate_stars else None,
    )


def verdicts_of(
    lab: Lab,
    roadmap: Roadmap,
    newest: Sequence[Finished],
    everything: Callable[[], Sequence[Finished]] | None = None,
) -> list[Verdict]:
    """The verdict of each of its gates, by the newest job of each run; the rest as `pairs_of`."""
    return judged_gates(lab, roadmap.gates, roadmap, newest, pairs_of(lab, newest, everything))


def judged_gates(
    lab: Lab,
    gates: Iterable[Gate],
    roadmap: Roadmap,
    newest: Sequence[Finished],
    evidence: Pairs,
) -> list[Verdict]:
    """The verdicts of some of its gates; each result is held against the ceilings known now.

    A gate of an MVP with a full run that cannot be read is open: it may be what fails a check. So
    is one that would pass while a ceiling cannot be read: no result may be above it.
    """
    gates, torn = list(gates), unread_runs(lab, roadmap, newest)
    verdicts = _judged(lab, gates, roadmap, newest, evidence)
    for at, (gate, verdict) in enumerate(zip(gates, verdicts, strict=True)):
        why = next((torn[mvp] for mvp in gate.mvps if mvp in torn), "")
        why = why or (torn.get(CEILING, "") if verdict.verdict == "pass" else "")
        if why and verdict.verdict != "manual":
            open_ = replace(verdict, verdict="open", because=why, because_in_document=why)
            verdicts[at] = replace(open_, rule=None, reopens=False)
    return verdicts


def unread_runs(lab: Lab, roadmap: Roadmap, newest: Sequence[Finished]) -> dict[str, str]:
    """Why a full run of an MVP is not known, by the MVP; not where the run was made again since.

    Its end, result or spec cannot be read. One without a spec is of the MVPs of its folder. By
    `CEILING`: why one is not known.
    """
    path = roadmap.document.path
    jobs = all_jobs(lab.paths) if path else []
    bad = [job for job in jobs if any(name in job.problem for name in DECIDING)]
    if path is None or not bad:
        return {}
    last = {(one.result.mvp, one.result.run): one.job.spec.submitted for one in newest}
    found: dict[str, str] = {}
    full = [one.job for one in newest if one.result.profile == "full"]
    gone = made_again(
        (job.paths for job in bad if SPEC in job.problem), ((x.paths, x.spec) for x in full)
    )
    for job in (one for one in bad if one.paths not in gone):
        of = {one.result.mvp for one in newest if one.job.spec.exp_id == job.spec.exp_id}
        if SPEC not in job.problem:
            spec, own = job.spec, of_roadmap(lab, [job], path)
            is_last = last.get((spec.mvp, spec.run), 0.0) < spec.submitted
            of = {spec.mvp} if own and spec.profile == "full" and is_last else set()
            of |= {CEILING} if spec.recipe == CEILING else set()
        found |= dict.fromkeys(of, f"{job.name}: {job.problem}")
    return found


def _judged(
    lab: Lab,
    gates: Sequence[Gate],
    roadmap: Roadmap,
    newest: Sequence[Finished],
    evidence: Pairs,
) -> list[Verdict]:
    known = evidence.bounds
    by_person = decided_by_person(lab, roadmap)
    if evidence.kept is None:
        results = [with_ceiling(one.result, known) for one in newest]
        return [
            judge(gate, results, roadmap, evidence, _person(by_person.get(gate.id), gate, newest))
            for gate in gates
        ]
    every, verdicts, doubt = list[Opening](), [], ""
    try:
        every = openings(evidence.kept, roadmap)
    except UsageError as error:
        doubt = str(error)
    for gate in gates:
        opened = [one for one in every if one.gate == gate.id]
        kept = on_kept_stars(newest, opened)
        results = [with_ceiling(one.result, known) for one in kept]
        on_these = replace(
            evidence, is_kept=True, jobs={run_of(one.result): one for one in kept}, _known={}
        )
        person = _person(by_person.get(gate.id), gate, kept, opened)
        verdict = judge(gate, results, roadmap, on_these, person)
        if doubt:
            because = f"{verdict.because}; {doubt}"
            verdicts.append(replace(verdict, because=because, reopens=False))
            continue
        waiting = len({one.job.name for one in candidates(gate, newest)} - _names(kept))
        verdicts.append(with_openings(verdict, roadmap, opened, waiting))
    return verdicts


def _person(
    at: float | None, gate: Gate, newest: Iterable[Finished], opened: Iterable[Opening] = ()
) -> Person:
    """Whether a person decided a gate, `at` which time, and whether results came after that."""
    if at is None:
        return "no"
    ends = [one.ended for one in bearing(gate, newest)] + [one.t for one in opened]
    return "before" if any(end > at for end in ends) else "since"


def _names(results: Iterable[Finished]) -> set[str]:
    return {one.job.name for one in results}


def residuals_gap(
    paths: Sequence[Path], scored: Sequence[Mapping[str, float | None]], metric: str, label: str
) -> Gap | None:
    """One file's score minus another's on the stars of both; None where that cannot be told.

    `scored`: the values of the results whose residuals they are.
    """
    import numpy as np

    from vitlab.ml.residual_file import load_residuals
    from vitlab.ml.scoring import paired, paired_mean

    try:
        ours, theirs = map(load_residuals, paths, scored)
    except UsageError:
        return None
    if metric not in (*SCORES, LOG_SCORE) or label not in ours.labels or label not in theirs.labels:
        return None
    _, i, j = np.intersect1d(ours.star, theirs.star, return_indices=True)
    a, b = ours.labels.index(label), theirs.labels.index(label)
    true = ours.true[i, a]
    if ours.hash != theirs.hash or len(i) < 2 or not np.array_equal(true, theirs.true[j, b]):
        return None
    if metric == LOG_SCORE:
        if ours.density is None or theirs.density is None:
            return None
        difference = paired_mean(ours.density.log_score[i, a], theirs.density.log_score[j, b])
    else:
        difference = paired(true, ours.predicted[i, a], theirs.predicted[j, b], metric, SEED)
    if not np.isfinite([difference.value, difference.error]).all():
        return None
    return Gap(difference.value, difference.error, difference.n)


_GAP = {"value": "float", "error": "float", "stars": "int", "is_one_seed": "bool"}


def _read(cache: Path) -> dict[str, Gap | None]:
    try:
        records = own_record(cache)
        for one in records.values():
            wrong = one and [name for name, kind in _GAP.items() if misfit(one[name], kind)]
            if wrong or (one and one.get("spread") is not None):  # of two single results
                return {}
        return {key: Gap(**one) if one else None for key, one in records.items()}
    except (OSError, TypeError, KeyError, AttributeError):
        return {}


def _write(cache: Path, known: dict[str, Gap | None]) -> None:
    kept = known if len(known) <= _KEPT else {}
    records = {key: asdict(gap) if gap else None for key, gap in kept.items()}
    with contextlib.suppress(OSError, UsageError):  # a read-only lab has no cache
        cache.parent.mkdir(exist_ok=True)
        write_atomic(cache, json.dumps(sealed(records, cache), indent=0).encode())


def rank_runs(jobs: Sequence[Job], everything: Sequence[Finished], pairs: Pairs) -> Ranking:
    """The best of the `jobs` of one launch, compared with all results of the roadmap.

    Best and runner-up are chosen on validation and compared on the test set.
    """
    members = latest(finished(jobs))
    controls = [one for one in members if one.result.data.get("permuted")]
    groups = grouped(one for one in members if one not in controls)
    name = judged_by(g.first.headline for g in groups if g.value(g.first.headline) is not None)
    ranked = [g for g in groups if g.value(name) is not None]
    known = {one.job.name for one in controls}
    missing = _missing([job for job in jobs if job.name not in known], groups)
    if not ranked:
        return Ranking(missing=missing)
    bounds = pairs.bounds
    sound, left = parted(ranked, faults(members, bounds))
    left_out = tuple(told([(run_label(one), why) for one, why in left])) if sound else ()
    ranked = sound or ranked  # of none that is sound the best one's fault is told
    chosen = choose([group.repeats for group in ranked], name)
    if chosen.group is None:
        return Ranking(missing=missing, left_out=left_out)  # which is best is not known
    ranked.sort(key=lambda g: _distance(g, name))
    best = ranked[0]
    score = score_of(chosen, name, pairs.seed_scatter(best.first, name))
    second = ranked[1] if len(ranked) > 1 else None
    # In a sweep of several models the runner-up may be the same model at another size.
    alike = second is None or second.first.model_name == best.first.model_name
    baseline = _baseline(best, ranked, everything, name, bounds) if alike else None
    over, lead = (group_gap(best, g, name, pairs) if g else None for g in (baseline, second))
    rival, ahead = (baseline, over) if alike else (second, lead)
    ceiling = ceiling_of(best.as_one(), bounds, name)
    return Ranking(
        best=best.as_one(),
        runs=len(ranked),
        seeds=len(best.members),
        stars=best.error_of(name) != "seeds alone",
        second=run_label(second) if second else "",
        lead=lead,
        baseline=f"{baseline.first.model_name} (MVP-{baseline.first.mvp})" if baseline else "",
        over=over,
        budgets=tuple(map(_budget, (best, rival))) if rival and ahead else (),
        unequal=bool(rival and ahead and _is_unequal(best, rival, ahead, name)),
        optimism=_optimism(best, score, name),
        ceiling=ceiling,
        share=ceiling.share(best.as_one(), name) if ceiling else None,
        leak=ceiling is not None and any(ceiling.leaks(r, name) for r in best.repeats.members),
        failed=_failed(best, controls),
        missing=missing,
        left_out=left_out,
    )


def _failed(best: Group, controls: Sequence[Finished]) -> tuple[Phrase, ...]:
    """The checks that fail for a seed of the best, the ceiling aside, and controls that fail."""
    checks = [checks_of(one) for one in best.repeats.members]
    failed = [
        failing
        for of_seed in checks
        for failing in failed_phrases({key: x for key, x in of_seed.items() if key != CEILING})
    ]
    runs = [one.result.run for one in controls if control_fails(one.result)]
    return (*dict.fromkeys(failed), *(phrase("control_failed", run) for run in runs))


def group_gap(left: Group, right: Group, name: str, pairs: Pairs) -> Gap | None:
    """Mean difference over the seeds; its error is that of stars and seeds together.

    None where the stars are neither the same nor alike.
    """
    jobs = {id(one.result): one for side in (left, right) for one in side.members}

    def between(one: Result, other: Result) -> Gap | None:
        return _gap(jobs[id(one)], jobs[id(other)], name, pairs)

    return seeds_gap(left.repeats, right.repeats, name, pairs, between)


def _optimism(best: Group, score: Score | None, name: str) -> float:
    """By how much the choice may have raised the best, by the larger of its errors."""
    if score is None:
        return 0.0
    return expected_maximum(score.cells) * max(score.error or 0.0, best.error(name) or 0.0)


def _budget(group: Group) -> Phrase:
    return budget_of(group.repeats.members).phrase(group.first.model_name)


def _is_unequal(best: Group, baseline: Group, over: Gap, name: str) -> bool:
    """Whether the one that is ahead was bought with too much more."""
    better = Value.parse(name).better
    sides = [budget_of(group.repeats.members) for group in (best, baseline)]
    leads = over.value < 0 if better and better.way == "smaller" else over.value > 0
    return is_unequal(*(sides if leads else sides[::-1]))


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
    """From the best possible, on validation; 0 where it is not known which way is better."""
    better = Value.parse(name).better
    return better.distance(validated(group.repeats, name)) if better else 0.0


def _baseline(
    best: Group,
    ranked: Sequence[Group],
    everything: Sequence[Finished],
    name: str,
    known: Bounds,
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
            and not any(faults_of(one, known) for one in group.repeats.members)
        ]
        far = [_distance(group, name) for group in others]
        if len(others) == 1 or (others and max(far) < math.inf):  # else none is chosen
            return others[far.index(min(far))]
    return None


def _missing(jobs: Sequence[Job], groups: Sequence[Group]) -> tuple[str, ...]:
    """Names of the launch's runs that ended without a result, with their seeds."""
    good = {one.job.name for group in groups for one in group.members}
    names = [job.spec.run for job in jobs if job.name not in good]
    if not groups:
        return ()  # all failed, which the status shows
    return tuple(dict.fromkeys(names))
