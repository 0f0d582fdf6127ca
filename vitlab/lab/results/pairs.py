"""Which jobs were scored on the same stars, and by how much one is better on them."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vitlab.contract.job import Result
from vitlab.contract.paths import UsageError, write_atomic
from vitlab.contract.value import SCORES, Value
from vitlab.docs.judge.comparison import Gap, same_stars
from vitlab.lab.lab import Lab
from vitlab.lab.results.ceilings import population_of
from vitlab.lab.results.job_results import Finished

SEED = 42
"""Of the bootstrap: the same two jobs always differ by the same error."""
_KEPT = 5000
"""Differences the cache holds; beyond, it starts again."""

_Key = tuple[str, str, str]


@dataclass(frozen=True)
class Pairs:
    """Differences between jobs by their residuals, for `vitlab.docs.judge.gates.judge`."""

    cache: Path
    """Differences computed before: `.vitlab/pairs.json`, which can be deleted."""
    jobs: dict[_Key, Finished]
    _known: dict[str, Gap | None] = field(default_factory=dict)

    def gap(self, left: Result, right: Result, name: str) -> Gap | None:
        """`name` of `left` minus that of `right` on the stars both were scored on.

        None where the stars differ, or a job kept no residuals.
        """
        ours, theirs = self.jobs.get(_key(left)), self.jobs.get(_key(right))
        if ours is None or theirs is None:
            return None
        return self.between(ours, theirs, name)

    def between(self, ours: Finished, theirs: Finished, name: str) -> Gap | None:
        """As `gap`, of any two jobs."""
        value = Value.parse(name)
        tested = value.split == "test" and value.label
        if not tested or not same_stars(ours.result, theirs.result):
            return None
        paths = ours.job.paths.residuals, theirs.job.paths.residuals
        try:
            stamps = [path.stat().st_mtime_ns for path in paths]
        except OSError:
            return None
        key = json.dumps([ours.job.name, theirs.job.name, name, *stamps])
        if key not in self._known:
            self._known.update(_read(self.cache))
        if key not in self._known:
            self._known[key] = _computed(*paths, value.metric, value.label)
            _write(self.cache, self._known)
        return self._known[key]

    def same_population(self, left: Result, right: Result) -> bool:
        """Whether both test sets are drawn alike: one grid, range of magnitudes and noise."""
        ours, theirs = self.jobs.get(_key(left)), self.jobs.get(_key(right))
        return ours is not None and theirs is not None and self.alike_jobs(ours, theirs)

    def alike_jobs(self, ours: Finished, theirs: Finished) -> bool:
        """As `alike`, of any two jobs."""
        population = population_of(ours.job.spec.config, "")
        return population is not None and population == population_of(theirs.job.spec.config, "")


def pairs_of(lab: Lab, results: Iterable[Finished]) -> Pairs:
    """The differences between `results`, the newest job of each run."""
    return Pairs(lab.paths.private.pairs, {_key(one.result): one for one in results})


def _key(result: Result) -> _Key:
    return result.mvp, result.run, result.profile


def _computed(left: Path, right: Path, metric: str, label: str) -> Gap | None:
    import numpy as np

    from vitlab.ml.scoring import load_residuals, paired

    try:
        ours, theirs = load_residuals(left), load_residuals(right)
    except UsageError:
        return None
    if metric not in SCORES or label not in ours.labels or label not in theirs.labels:
        return None
    _, i, j = np.intersect1d(ours.star, theirs.star, return_indices=True)
    a, b = ours.labels.index(label), theirs.labels.index(label)
    true = ours.true[i, a]
    if ours.hash != theirs.hash or len(i) < 2 or not np.array_equal(true, theirs.true[j, b]):
        return None
    difference = paired(true, ours.predicted[i, a], theirs.predicted[j, b], metric, SEED)
    if not np.isfinite([difference.value, difference.error]).all():
        return None
    return Gap(difference.value, difference.error, difference.n)


def _read(cache: Path) -> dict[str, Gap | None]:
    try:
        records = json.loads(cache.read_bytes())
        return {key: Gap(**one) if one else None for key, one in records.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _write(cache: Path, known: dict[str, Gap | None]) -> None:
    kept = known if len(known) <= _KEPT else {}
    records = {key: asdict(gap) if gap else None for key, gap in kept.items()}
    with contextlib.suppress(OSError):  # a read-only lab has no cache
        cache.parent.mkdir(exist_ok=True)
        write_atomic(cache, json.dumps(records, indent=0).encode())
