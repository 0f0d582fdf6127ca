"""Numbers in the documents that no result backs, that were changed by hand, or picked by seed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from vitlab.contract.paths import real
from vitlab.docs.lint.across import are_linked
from vitlab.docs.lint.counts import COUNT
from vitlab.docs.lint.finding import Finding
from vitlab.docs.lint.history import KINDS
from vitlab.docs.lint.named import Named, named_numbers, stray_numbers
from vitlab.docs.lint.numbers import Place, stated_numbers
from vitlab.docs.text.numbers import NumberPlace, numbers_of
from vitlab.docs.text.source import Document
from vitlab.lab.earlier import ENDED
from vitlab.lab.results.repeats import Group
from vitlab.lab.writeback.checks.backing import (
    digits_of,
    lacking_of,
    profiles_of,
    said_of,
    same_text,
)
from vitlab.lab.writeback.checks.counted import Counted
from vitlab.lab.writeback.checks.unbacked import UNBACKED
from vitlab.lab.writeback.picked_seeds import OF_SEEDS, picked_runs

_NEAR = 1
"""Lines before and behind a sentence that may tell the mean of its seeds, or another one."""


class NumberChecks(Counted):
    """What is wrong with the numbers of a roadmap and the files around it."""

    def findings(self) -> Iterator[Finding]:
        """What is wrong with the numbers of the roadmap and the files around it."""
        told: set[tuple[Path | None, int]] = set()
        for document in self.documents.values():
            path = None if document is self.roadmap.document else document.path
            for finding in self._changed(document, path):
                told.add((finding.path, finding.line))
                yield finding
        for page in self.around.pages:
            yield from self._of_page(page)
        wrong = [(place, one) for place, one in (*self._told, *self._faulty) if one is not None]
        for place, unbacked in wrong:
            is_count = place.number.relation == COUNT
            if not is_count and (unbacked.path, unbacked.line) not in told:
                yield unbacked
        told |= {(one.path, one.line) for place, one in wrong if place.number.relation != COUNT}
        for place, uncounted in wrong:  # where nothing else is wrong
            is_count = place.number.relation == COUNT
            if is_count and (uncounted.path, uncounted.line) not in told:
                yield uncounted
        yield from (one for _, one in self._picked)

    def looked_at(self, path: Path, line: int, value: float) -> tuple[bool, Finding | None]:
        """Whether a number is one that results are told by, and what `findings` says of it."""
        found = self._by_line.get((real(path), line), ())
        mine = [unbacked for place, unbacked in found if abs(place.number.value - value) < 1e-12]
        return bool(mine), next(filter(None, mine), None)

    @cached_property
    def _by_line(self) -> Mapping[tuple[Path | None, int], Sequence[tuple[Place, Finding | None]]]:
        own, found = self.roadmap.document.path, defaultdict(list)
        for place, finding in (*self._told, *self._faulty, *self._picked):
            path = place.path or own
            found[path and real(path), place.line].append((place, finding))
        return found

    @cached_property
    def _stated(self) -> Sequence[tuple[str, Place]]:
        mvps = {mvp.id for mvp in self.roadmap.mvps if self.is_checked(mvp.id)}
        around = self.around
        return list(stated_numbers(self.roadmap, around.hub, around.reports, mvps)) if mvps else ()

    @cached_property
    def _named(self) -> Sequence[Named]:
        around = self.around
        return list(named_numbers(self.roadmap, around.hub, around.reports, around.boards))

    @cached_property
    def _told(self) -> Sequence[tuple[Place, Finding | None]]:
        """The numbers that results are told by, each with what is wrong with it."""
        around = self.around
        if not any(self.is_checked(mvp.id) for mvp in self.roadmap.mvps):
            return ()
        found = [(place, self.unbacked(mvp, place)) for mvp, place in self._stated]
        seen = {_key(place) for place, _ in found}
        wrong = {_key(place) for place, finding in found if finding}
        named = [*self._named]
        strays = [one for each in around.strays for one in stray_numbers(self.roadmap, each)]
        # A note of an earlier vitlab knows none of the numbers of such reports.
        is_noted = self._earlier is not None and self._earlier.has_strays
        strays = [one for one in strays if not self.is_earlier("", one.place)]
        named += [one for one in strays if one.mvps or is_noted]
        # Of which model a number is said to be, only what is compared knows.
        more = [x for x in named if _key(x.place) not in seen or x.place.number.of_model]
        scores = [one.place for one in more if one.place.number.relation != COUNT]
        are_ours = self._tells_of_this_lab([p for p, _ in found] + scores)
        for one in more:
            if one.place.number.relation == COUNT:
                found.append((one.place, self.uncounted(one.mvps, one.place)))
            elif (one.mvps or are_ours) and _key(one.place) not in wrong:
                found.append((one.place, self._unbacked_by_any(one.mvps, one.place)))
                wrong |= {_key(one.place)} if found[-1][1] else set()
        return found

    @cached_property
    def _faulty(self) -> Sequence[tuple[Place, Finding]]:
        """Numbers of runs that are no results, as a check of them fails."""
        named = [([mvp], place) for mvp, place in self._stated]
        every = [mvp.id for mvp in self.roadmap.mvps]
        named += [(list(one.mvps) or every, one.place) for one in self._named]
        found = {
            _key(place): (place, fault)
            for mvps, place in named
            if not place.number.relation and (fault := self.of_faulty_run(mvps, place))
        }
        return [one for one in found.values() if not self._is_of_log(one[0])]

    def _unbacked_by_any(self, mvps: Sequence[str], place: Place) -> Finding | None:
        """That none of the MVPs a line names has its number; None also where that is not sure.

        Where it names none that is all of them, and what other roadmaps of the lab have.
        """
        of_all = not mvps
        mvps = mvps or [mvp.id for mvp in self.roadmap.mvps]
        checked = [mvp for mvp in dict.fromkeys(mvps) if self.is_checked(mvp)]
        ended = {mvp.id for mvp in self.roadmap.mvps if mvp.status in ENDED}
        if not ended.isdisjoint(set(mvps) - set(checked)):
            return None
        if of_all and (self.is_earlier("", place) or self._may_be_elsewhere(place)):
            return None
        found = [self.unbacked(mvp, place) for mvp in checked]
        if not found or None in found:
            return None
        if not of_all or place.number.relation:
            return found[0]
        known = [one for mvp in checked for one in self.comparable(mvp, place)]
        profiles = profiles_of(place)
        alike = [one for one in known if one.profile in profiles]
        lacking = self.of_other_model(place) or lacking_of(place, alike, known)
        unmarked = (one for one in found if one and "not marked so" in one.message)
        message = f"{place.number.text}: {lacking}"
        return next(unmarked, Finding(place.line, UNBACKED, message, path=place.path))

    def _tells_of_this_lab(self, places: Sequence[Place]) -> bool:
        """Whether what a hub says of no MVP is of the results here.

        Where it was not noted what stood before the first job, half of its numbers tell.
        """
        hub = self.around.hub and self.around.hub.document.path
        mine = [one for one in places if one.path == hub]
        backed = sum(self.is_result(one) for one in mine)
        return self._earlier is not None or 2 * backed >= len(mine)

    def _may_be_elsewhere(self, place: Place) -> bool:
        """Whether another roadmap may have a number that stands beside no MVP."""
        hub = self.around.hub
        linked = (one for one in self.around.others if hub and are_linked(one, hub))
        others = {mvp.status for one in linked for mvp in one.mvps}
        return not others.isdisjoint(ENDED) or self.is_result(place)

    def _changed(self, document: Document, path: Path | None) -> Iterator[Finding]:
        """The numbers of a file that stand where another one was written."""
        record = self.written.of_file(self.name(document))
        there: dict[tuple[str, int], list[NumberPlace]] = {}
        for one in numbers_of(document, whole=True) if record else ():
            there.setdefault((one.place, one.index), []).append(one)
        for key, alike in there.items():
            texts = [one.text for one in record.get(key, ())]
            # Of an MVP with more rows than were written the others are a person's, as a baseline's.
            rest = len(alike) > len(set(texts)) and texts[-1:]
            for one in alike:
                is_other = rest and any(rest == [x.number.text] for x in alike if x is not one)
                if not is_other and (said := self.contradiction(document, one)) is not None:
                    yield Finding(one.line, "number-changed", said, path=path)

    def _of_page(self, page: Document) -> Iterator[Finding]:
        """What an autopilot's report was written with and has no more, and what was put into it."""
        written = self.written.last_of_file(self.name(page))
        there = list(numbers_of(page, whole=True)) if written else []
        left = {(one.place, one.index) for one in there}
        gone = [one for key, one in written.items() if key not in left]
        if gone:
            said = ", ".join(one.text for one in gone[:3]) + ", ..." * (len(gone) > 3)
            message = f"{said} was written from {said_of(gone[0].source)}, and stands here no more"
            yield Finding(1, "number-changed", message, path=page.path)
        for one in there:
            if not one.is_whole and (one.place, one.index) not in written:
                message = f"{one.number.text} was put into the autopilot's own report"
                yield Finding(one.line, "number-changed", message, path=page.path)

    @cached_property
    def _picked(self) -> Sequence[tuple[Place, Finding]]:
        """Numbers of the best of several runs of one spec, where nothing tells of the others."""
        found, texts, stated = list[tuple[Place, Finding]](), self.documents, self._stated
        groups = {mvp: self.own.launches_of_one_spec(mvp) for mvp in {mvp for mvp, _ in stated}}
        told: dict[Path | None, list[NumberPlace]] = {}
        for mvp, place in stated:
            if place.number.relation:
                continue
            known = (x for x in self.comparable(mvp, place) if x.profile == place.number.profile)
            picked = picked_runs(place, known, groups[mvp])
            if not picked or self._is_on_record(mvp, place):
                continue
            path = place.path or self.roadmap.document.path
            key = path and real(path)
            if key not in told:
                told[key] = list(numbers_of(texts[key])) if key in texts else []
            if not any(one.is_told_by(number) for one in picked for number in told[key]):
                message = f"{place.number.text} of MVP {mvp} is {picked[0].message}"
                found.append((place, Finding(place.line, "picked-seed", message, path=place.path)))
        there = {_key(place) for place, _ in found}
        return [*found, *(one for one in self._picked_in_prose() if _key(one[0]) not in there)]

    def _picked_in_prose(self) -> Iterator[tuple[Place, Finding]]:
        """The same of sentences that name no seed, where none of the lines beside them tells more.

        A model's result is the mean, wherever else in the file that stands.
        """
        ids, groups = [mvp.id for mvp in self.roadmap.mvps], dict[str, list[Group]]()
        for one in self._named:
            place, number = one.place, one.place.number
            if number.relation or OF_SEEDS.search(self._line(place)) or self._is_of_log(place):
                continue
            digits, profiles = digits_of(place), profiles_of(place)
            known = {
                mvp: [x for x in self.comparable(mvp, place) if x.profile in profiles]
                for mvp in one.mvps or ids
            }
            of = [
                mvp for mvp, all_ in known.items() if any(digits.is_rounded(x.number) for x in all_)
            ]
            path = place.path or self.roadmap.document.path
            name = self.lab.paths.relative(path) if path else ""
            was = (same_text(x.number, self.written.at(name, x)) for x in self._standing(place))
            if len(of) != 1 or any(was):
                continue
            groups[of[0]] = groups.get(of[0]) or self.own.launches_of_one_spec(of[0])
            picked = picked_runs(place, known[of[0]], groups[of[0]])
            lines = range(place.line - _NEAR, place.line + _NEAR + 1)
            near = [x for line in lines for x in self._of_line(path, line)]
            if picked and not any(x.is_told_by(y) for x in picked for y in near):
                message = f"{number.text} of MVP {of[0]} is {picked[0].message} beside it"
                yield place, Finding(place.line, "picked-seed", message, path=place.path)

    def _is_of_log(self, place: Place) -> bool:
        """Whether it stands in a row that tells what was on a day."""
        hub, own = self.around.hub, place.path is None
        file = self.roadmap if own else hub if hub and place.path == hub.document.path else None
        views = file.views if file else ()
        return any(
            view.table.first < place.line <= view.table.last for view in views if view.kind in KINDS
        )


def _key(place: Place) -> tuple[Path | None, int, float]:
    return place.path, place.line, place.number.value
