"""Which result a number in a document is of: its jobs, the value's name, error, n and profile."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice

from vitlab.contract.job import Result
from vitlab.contract.value import LABEL, Value
from vitlab.docs.lint.stated import Stated, words_of
from vitlab.docs.text.numbers import Digits
from vitlab.lab.results.job_results import Finished, latest
from vitlab.lab.results.repeats import Group, grouped

NAMED = 5
"""Jobs that are named of a number from many."""
MOST_EQUAL = 300
"""Of more results that are a number when they are rounded, only the first are compared."""
MOST_SEEDS = 10
"""Of more seeds not every earlier mean is looked at."""


@dataclass(frozen=True)
class Source:
    """What a number was taken from."""

    value: str
    """The value's name, `test/r2/log_g`; empty for a number computed from several."""
    jobs: tuple[str, ...]
    """Of a mean over seeds all of them."""
    mvp: str
    run: str
    profile: str
    number: float | None = None
    error: float | None = None
    n: Mapping[str, int] = field(default_factory=dict)
    """Spectra per split: train, val, test."""
    model: str = ""
    is_headline: bool = False

    @property
    def shown(self) -> str:
        """The number with its error, in digits enough to tell it from others: `0.7112 ± 0.0041`."""
        if self.number is None:
            return "-"
        digits = 1 if abs(self.number) >= 100 else 4
        error = f" ± {self.error:.{digits}f}" if self.error else ""
        return f"{self.number:.{digits}f}{error}{Value.parse(self.value).mark}"

    @property
    def of_jobs(self) -> str:
        """`a`, of a mean `the mean of a, b`, of a computed number `a, b`, or of no job."""
        if not self.jobs:
            return "vitlab's own account"
        names = ", ".join(self.jobs[:NAMED]) + (", ..." if len(self.jobs) > NAMED else "")
        return f"the mean of {names}" if self.value and len(self.jobs) > 1 else names

    @property
    def metrics(self) -> tuple[str, str]:
        """How documents may name its metric, as `Stated.metric` does: `r2`, `r2_t_eff`."""
        value = Value.parse(self.value)
        metric = value.metric.casefold().removesuffix("_sigma")
        return metric, f"{metric}_{value.label.casefold()}"

    def is_stated(self, stated: Stated) -> bool:
        """Whether it has the metric, and where these are named the split and the label."""
        value = Value.parse(self.value)
        if stated.metric not in self.metrics:
            return False
        # A value that was measured on no split of the data, as a ceiling, is of any.
        return stated.split is None or value.is_ceiling or stated.split == value.split


def sources_of(result: Result, jobs: Sequence[str]) -> Iterator[Source]:
    """Every number of a result of some jobs."""
    for name, number in result.values.items():
        if number is not None:
            yield Source(
                name,
                tuple(jobs),
                result.mvp,
                result.run,
                result.profile,
                number,
                result.errors.get(name),
                result.n,
                result.model_name,
                name == result.headline,
            )


class Sources(list[Source]):
    """Sources in their order: of thousands those near a number are found without a look at all."""

    @cached_property
    def _by_number(self) -> tuple[list[float], list[int]]:
        found = sorted((one.number, at) for at, one in enumerate(self) if one.number is not None)
        return [number for number, _ in found], [at for _, at in found]

    def near(self, number: Digits) -> Iterator[Source]:
        """Those that may be this number when they are rounded, in their order."""
        numbers, places = self._by_number
        reach = 0.5 * 10.0**-number.decimals * (1 + 1e-6) + 1e-12 * abs(number.value)
        first = bisect_left(numbers, number.value - reach)
        last = bisect_right(numbers, number.value + reach)
        return (self[at] for at in sorted(places[first:last]))


class Provenance:
    """The results of a lab by the numbers that stand in its documents."""

    def __init__(self, results: Iterable[Finished]) -> None:
        self._of_mvp: dict[str, list[Finished]] = defaultdict(list)
        for one in results:
            self._of_mvp[one.result.mvp].append(one)
        self._sources: dict[str, Sources] = {}
        self._by_metric: dict[str, dict[str, list[Source]]] = {}
        self._groups: dict[str, dict[str, Group]] = {}

    def __bool__(self) -> bool:
        return bool(self._of_mvp)

    def finished(self, mvp: str) -> Sequence[Finished]:
        """The jobs of an MVP that have a result, oldest first."""
        return self._of_mvp.get(mvp, ())

    @cached_property
    def jobs(self) -> Mapping[str, Finished]:
        """By name."""
        return {one.job.name: one for each in self._of_mvp.values() for one in each}

    def sources(self, mvp: str) -> Sources:
        """Every number of an MVP: first means over seeds and the newest of each run."""
        if mvp not in self._sources:
            self._sources[mvp] = Sources(self._all_sources(self.finished(mvp)))
        return self._sources[mvp]

    def stated(self, mvp: str, stated: Stated) -> Sequence[Source]:
        """Those of an MVP's numbers that have the metric a document names."""
        if mvp not in self._by_metric:
            known = self._by_metric[mvp] = defaultdict(list)
            for one in self.sources(mvp):
                for name in one.metrics:
                    known[name].append(one)
        return self._by_metric[mvp].get(stated.metric, ())

    def everywhere(self) -> Sources:
        """Every number of every MVP."""
        return self._everywhere

    @cached_property
    def _everywhere(self) -> Sources:
        return Sources(one for mvp in self._of_mvp for one in self.sources(mvp))

    def _all_sources(self, results: Sequence[Finished]) -> Iterator[Source]:
        newest = latest(results)
        for group in grouped(newest):
            names = [one.job.name for one in group.members]
            yield from sources_of(group.as_one(), names)
            for one in group.members if len(names) > 1 else ():
                yield from sources_of(one.result, [one.job.name])
        # What a document said when there were fewer seeds, or before a run was launched again.
        for group in grouped(results):
            for count in range(2, min(len(group.members), MOST_SEEDS)):
                members = group.members[:count]
                earlier = replace(group, members=members)
                yield from sources_of(earlier.as_one(), [one.job.name for one in members])
        kept = {one.job.name for one in newest}
        for one in results:
            if one.job.name not in kept:
                yield from sources_of(one.result, [one.job.name])

    def launches_of_one_spec(self, mvp: str) -> list[Group]:
        """The jobs of an MVP that differ in their seed alone, or not at all; two and more."""
        return [group for group in grouped(self.finished(mvp)) if len(group.members) > 1]

    def grown(self, source: Source) -> Source | None:
        """The mean over the seeds that its configuration has now; None where it is of all these."""
        of_mvp, first = self._newest(source.mvp), self.jobs.get((*source.jobs, "")[0])
        group = of_mvp.get(first.job.name) if first and source.value else None
        names = tuple(one.job.name for one in group.members) if group else ()
        if group is None or set(names) == set(source.jobs):
            return None
        number, error = group.value(source.value), group.error(source.value)
        return replace(source, jobs=names, number=number, error=error)

    def _newest(self, mvp: str) -> Mapping[str, Group]:
        """The newest results of an MVP's configurations, by every job that one has."""
        if mvp not in self._groups:
            newest = latest(self.finished(mvp))
            names = {one.job.name for one in newest}
            known = self._groups[mvp] = {}
            for group in grouped(self.finished(mvp)):
                members = tuple(one for one in group.members if one.job.name in names)
                if members:
                    known |= {
                        one.job.name: replace(group, members=members) for one in group.members
                    }
        return self._groups[mvp]

    def now(self, source: Source) -> Source | None:
        """The same as the results of its jobs say it today; None where one of them is gone."""
        members = [self.jobs[name] for name in source.jobs if name in self.jobs]
        if not source.value or len(members) != len(source.jobs):
            return None
        result = Group(source.run, tuple(members)).as_one()
        return replace(
            source, number=result.values.get(source.value), error=result.errors.get(source.value)
        )


def best_source(
    number: Digits, sources: Iterable[Source], stated: Stated | None, beside: str = ""
) -> Source | None:
    """The source that a written number is rounded from; None for none.

    Where a metric is named it has that one. Of several the one that agrees most with what is said
    of it, the first of equals. `beside`: the row or sentence it stands in.
    """
    words = words_of(beside)
    sources = sources if isinstance(sources, Sources) else Sources(sources)
    found = (
        one
        for one in sources.near(number)
        if number.is_rounded(one.number, one.error) and (stated is None or one.is_stated(stated))
    )
    first = islice(found, MOST_EQUAL)
    return max(first, key=lambda one: _agreement(one, words), default=None)


def _agreement(source: Source, words: frozenset[str]) -> int:
    value = Value.parse(source.value)
    points = 4 if value.label.casefold() in words else 2 * (value.label == LABEL)
    points += 3 * bool(words_of(source.run) and words_of(source.run) <= words)
    points += 2 * bool(words_of(source.model) & words)
    return points + 2 * source.is_headline + (value.split == "test")
