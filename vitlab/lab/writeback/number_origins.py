"""Where a number in the documents comes from, at every place it stands."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

from vitlab.contract.paths import UsageError, real
from vitlab.docs.lint.across import Neighbours
from vitlab.docs.lint.finding import Finding
from vitlab.docs.lint.numbers import Place, stated_numbers
from vitlab.docs.lint.stated import stated_at
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.numbers import Digits, NumberPlace, numbers_of
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import all_results
from vitlab.lab.results.provenance import Provenance, Source, Sources, best_source
from vitlab.lab.writeback.checks.backing import same_text
from vitlab.lab.writeback.contradictions import neighbours
from vitlab.lab.writeback.number_checks import NumberChecks
from vitlab.lab.writeback.written_numbers import SURE

RESULT, COMPUTED, NONE, NOT_CHECKED = "result", "computed", "no result has it", "not checked"
DIFFERS = "differs: result says "
FOUND = "lint finds it"
_MVP = re.compile(r"(?<![A-Za-z])MVP[-_ ]?([A-Za-z0-9]+(?:[.-][A-Za-z0-9]+)*)")


@dataclass(frozen=True)
class Origin:
    """Where one number stands, and what it comes from."""

    path: Path
    line: int
    """1-based."""
    text: str
    """The number as written."""
    verdict: str
    """`RESULT`, `COMPUTED` (by vitlab, from several numbers), `NONE`, `NOT_CHECKED`, `FOUND` (a
    result has it, but lint says otherwise), or `DIFFERS` with the number that it should be."""
    source: Source | None = None
    why: str = ""
    """Why it is not checked, what lint says of it, or that its job is gone."""

    @property
    def is_wrong(self) -> bool:
        """Whether it has no result, or another one."""
        return self.verdict in (NONE, FOUND) or self.verdict.startswith(DIFFERS)


def origins(lab: Lab, wanted: Callable[[Path, NumberPlace], bool]) -> list[Origin]:
    """The origin of every number that is wanted, in roadmaps, hubs, reports and boards.

    A file beside several roadmaps is held against the results of each.
    """
    found: dict[tuple[Path, int, str, int], Origin] = {}
    for path in lab.roadmaps():
        try:
            roadmap = lab.read_roadmap(path)
        except UsageError as error:  # a broken one hides no other
            lab.tell(str(error))
            continue
        for key, origin in _Judge(lab, roadmap).origins(wanted):
            old = found.get(key)
            if old is None or _rank(origin) < _rank(old):
                found[key] = origin
    return sorted(found.values(), key=lambda one: (str(one.path), one.line))


def results_with(lab: Lab, asked: Digits) -> list[Source]:
    """The numbers of results that are the one asked for, whether a document has it or not."""
    known: Iterable[Source] = Provenance(all_results(lab)).everywhere()
    if asked.error is not None:
        known = (one for one in known if one.error is not None)
    return [one for one in known if asked.is_rounded(one.number, one.error)]


@lru_cache(maxsize=32)  # it is asked again for each number of a line
def _mvps_in(text: str) -> frozenset[str]:
    return frozenset(_MVP.findall(text))


def _rank(origin: Origin) -> int:
    order = (RESULT, COMPUTED, FOUND, DIFFERS, NONE, NOT_CHECKED)
    return next(n for n, word in enumerate(order) if origin.verdict.startswith(word))


class _Judge:
    def __init__(self, lab: Lab, roadmap: Roadmap) -> None:
        self._lab, self._roadmap = lab, roadmap
        self._around: Neighbours = neighbours(lab, roadmap)
        self._checks = NumberChecks(lab, roadmap, self._around)

    def origins(
        self, wanted: Callable[[Path, NumberPlace], bool]
    ) -> Iterator[tuple[tuple[Path, int, str, int], Origin]]:
        for document in self._checks.documents.values():
            if (path := document.path) is None:
                continue
            where, name = real(path), self._checks.name(document)
            for one in numbers_of(document, whole=True):
                if wanted(path, one):
                    verdict, source, why = self._judged(name, where, one)
                    key = where, one.line, one.place, one.index
                    yield key, Origin(path, one.line, one.number.text, verdict, source, why)

    def _judged(self, name: str, where: Path, one: NumberPlace) -> tuple[str, Source | None, str]:
        if was := self._checks.written.at(name, one):
            kept = same_text(one.number, was)
            if kept is None:
                return f"{DIFFERS}{was[-1].text}", was[-1].source, ""
            return self._as_recorded(one, kept.source)
        if one.is_limit:
            return NOT_CHECKED, None, "a limit"
        return self._by_value(where, one)

    def _as_recorded(self, one: NumberPlace, source: Source) -> tuple[str, Source | None, str]:
        if not source.value:
            return COMPUTED, source, ""
        now = self._checks.lab_wide.now(source)
        if now is None:
            return RESULT, source, "not all of its jobs are there any more"
        if not one.number.is_rounded(now.number, now.error):
            return f"{DIFFERS}{now.shown}", now, ""
        fault = self._checks.fault_of(now)
        return (FOUND if fault else RESULT), source, fault

    def _by_value(self, where: Path, one: NumberPlace) -> tuple[str, Source | None, str]:
        mvp, place = self._place_of(where, one)
        is_told, wrong = self._checks.looked_at(where, one.line, one.number.value)
        if wrong is not None:
            return self._wrong(mvp, place, one, wrong)
        stated = place.number if place else None
        if stated is None:
            stated = stated_at(one.head, one.first, one.text, one.number.value)
        if stated is None and (one.is_whole or one.number.significant < SURE):
            return NOT_CHECKED, None, "no metric is named, and too few digits"
        known, beside = self._checks.lab_wide, one.row or one.text
        own = self._checks.own.sources(mvp) if mvp else Sources()
        source = best_source(one.number, own, stated, beside)
        source = source or best_source(one.number, known.everywhere(), stated, beside)
        if source is not None:
            return RESULT, source, ""
        if mvp and stated and (job := self._checks.told_by(mvp, stated)):
            return NOT_CHECKED, None, f"told by {job} as it ran"
        if not known and not (mvp and self._checks.is_checked(mvp)):
            return NOT_CHECKED, None, "no job of the lab has a result"
        if mvp and not self._checks.is_checked(mvp):
            return NOT_CHECKED, None, f"no job of MVP {mvp} has a result"
        if mvp and place:
            return self._unbacked(mvp, place, one)
        if not is_told:
            return NOT_CHECKED, None, "no result has it, and it is not told as one"
        bare = replace(one.number, error=None)
        if source := best_source(bare, known.everywhere(), stated, beside):  # its error is another
            return f"{DIFFERS}{source.shown}", source, ""
        return NONE, None, ""

    def _unbacked(self, mvp: str, place: Place, one: NumberPlace) -> tuple[str, Source | None, str]:
        """Of a number in a place of results: as lint has it."""
        wrong = self._checks.unbacked(mvp, place)
        if wrong is None:
            if why := self._checks.by_word.get(mvp):
                return NOT_CHECKED, None, f"by a person's word: {why}"
            if self._checks.is_earlier(mvp, place):
                return NOT_CHECKED, None, "older than the jobs of its roadmap"
            return NOT_CHECKED, None, f"of another model, size or part than the runs of MVP {mvp}"
        return self._wrong(mvp, place, one, wrong)

    def _wrong(
        self, mvp: str, place: Place | None, one: NumberPlace, finding: Finding
    ) -> tuple[str, Source | None, str]:
        """Of a number that lint finds: what it should be, where its row has one result.

        And in lint's words what is wrong, where no other number is.
        """
        named = self._checks.comparable(mvp, place) if mvp and place and place.run else []
        headline = {one.value: one for one in reversed(named)}
        if len(headline) == 1:
            (source,) = headline.values()
            return f"{DIFFERS}{source.shown}", source, ""
        known, beside = self._checks.lab_wide.everywhere(), one.row or one.text
        has = best_source(one.number, known, place.number if place else None, beside)
        return (FOUND if has else NONE), has, finding.message

    def _place_of(self, key: Path, one: NumberPlace) -> tuple[str, Place | None]:
        """The MVP that a number is of, empty where that is not known, and what is said of it."""
        for mvp, place in self._stated.get((key, one.line), ()):
            if abs(place.number.value - one.number.value) < 1e-12:
                return mvp, place
        if known := self._rows.get((key, one.line)):
            return known, None
        named = _mvps_in(one.row or one.text) & self._ids
        if len(named) == 1:
            return next(iter(named)), None
        return self._reports.get(key, ""), None

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(self._roadmap.ids.ids)

    @cached_property
    def _stated(self) -> Mapping[tuple[Path | None, int], Sequence[tuple[str, Place]]]:
        found: dict[tuple[Path | None, int], list[tuple[str, Place]]] = defaultdict(list)
        mvps = {mvp.id for mvp in self._roadmap.mvps}
        own = self._roadmap.document.path
        around = self._around
        for mvp, place in stated_numbers(self._roadmap, around.hub, around.reports, mvps):
            path = place.path or own
            found[path and real(path), place.line].append((mvp, place))
        return found

    @cached_property
    def _rows(self) -> Mapping[tuple[Path | None, int], str]:
        """The MVP of each row of the roadmap that is of one alone."""
        own = self._roadmap.document.path
        entries = (entry for view in self._roadmap.views for entry in view.entries)
        rows = {(own and real(own), e.line): e.mvps[0] for e in entries if len(e.mvps) == 1}
        for spec in self._roadmap.specs:
            rows |= {(own and real(own), e.line): spec.mvp for e in (*spec.facts, *spec.runs)}
        return rows

    @cached_property
    def _reports(self) -> Mapping[Path | None, str]:
        reports = self._around.reports.items()
        return {one.document.path and real(one.document.path): mvp for mvp, one in reports}
