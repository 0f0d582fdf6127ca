"""Which result backs a number of a document, what was written there, or who vouches for it."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from vitlab.contract.job import Done, base_name
from vitlab.contract.paths import real
from vitlab.contract.value import Value
from vitlab.docs.lint.across import Neighbours
from vitlab.docs.lint.numbers import Place, conclusion_lines
from vitlab.docs.lint.stated import Stated, words_of
from vitlab.docs.model.gates.conditions import model_key
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.numbers import Digits, NumberPlace, numbers_of
from vitlab.docs.text.source import Document
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.earlier import ENDED, read_earlier
from vitlab.lab.lab import Lab
from vitlab.lab.progress import Progress
from vitlab.lab.results.decided import given_by_person
from vitlab.lab.results.job_results import all_results, of_roadmap
from vitlab.lab.results.provenance import Provenance, Source
from vitlab.lab.writeback.sync_ledger import unwritten
from vitlab.lab.writeback.written_numbers import WrittenNumber, WrittenNumbers, read_numbers

EPOCH = re.compile(r"ep\d{1,9}")
LABELS = frozenset(("t_eff", "log_g", "m_h"))
SURE = 3
"""Decimals from which on a number without the mark of a trial is known for a trial's, and figures
from which on one is known for what stood elsewhere before: fewer are those of limits too."""


class Backing:
    """What the results of one roadmap, and the record of what was written, say of its numbers."""

    def __init__(self, lab: Lab, roadmap: Roadmap, around: Neighbours) -> None:
        self.lab, self.roadmap, self.around = lab, roadmap, around
        everything = all_results(lab)
        path = roadmap.document.path
        jobs = of_roadmap(lab, [one.job for one in everything], path) if path else []
        mine = {job.name for job in jobs}
        self.own = Provenance(one for one in everything if one.job.name in mine)
        self._jobs: dict[str, list[Job]] = defaultdict(list)
        for job in of_roadmap(lab, all_jobs(lab.paths), path) if path else ():
            self._jobs[job.spec.mvp].append(job)
        self.lab_wide = Provenance(everything)
        self.models = frozenset(model_key(one.result.model_name) for one in everything)
        self.written: WrittenNumbers = read_numbers(lab)
        self._earlier = read_earlier(lab, path)
        self.by_word = given_by_person(lab, roadmap)
        files = documents_of(roadmap, around)
        self.documents = {one.path and real(one.path): one for one in files}
        self._paths: dict[Path, Path] = {}
        self._numbers: dict[Path | None, Mapping[int, Sequence[NumberPlace]]] = {}
        self._sorted: dict[tuple[Path | None, int], Sequence[NumberPlace]] = {}
        """By line, by their values."""
        self._stood: dict[tuple[Path | None, int, float, bool], bool] = {}

    def is_result(self, place: Place) -> bool:
        """Whether any result of the lab has the number of a place, of its profile."""
        digits, sources = digits_of(place), self.lab_wide.everywhere()
        near = (one for one in sources.near(digits) if one.is_stated(place.number))
        return any(
            one.profile in profiles_of(place) and self._is_of_named(one, place.number)
            for one in near
            if digits.is_rounded(one.number)
        )

    def name(self, document: Document) -> str:
        """A file by its path in the lab."""
        return self.lab.paths.relative(document.path) if document.path else ""

    def contradiction(self, document: Document, one: NumberPlace) -> str | None:
        """What was written where a number stands, or its result says now; None: it is the same."""
        was = self.written.at(self.name(document), one)
        if not was:
            return None
        kept = same_text(one.number, was)
        if kept is None:
            last, more = was[-1], self.lab_wide.grown(was[-1].source)
            if more is not None and one.number.is_rounded(more.number, more.error):
                return None  # a person brought it up to date
            return (
                f"{one.number.text} here, and {last.text} was written from {said_of(last.source)}"
            )
        now = self.lab_wide.now(kept.source)
        if now is not None and not one.number.is_rounded(now.number, now.error):
            return f"{one.number.text} here, and {now.shown} is the result now of {said_of(now)}"
        return self._outgrown(document, one)

    def _outgrown(self, document: Document, one: NumberPlace) -> str | None:
        """That a gate's result or a conclusion has the number of fewer seeds than there are now.

        None while these wait to be written.
        """
        if (document.path and real(document.path), one.line) not in self._lasting:
            return None
        line = self._of_line(document.path, one.line)
        for number, was, now in grown(line, self.name(document), self.lab_wide, self.written):
            same = (number.place, number.index) == (one.place, one.index)
            if same and self._waiting.isdisjoint(now.jobs):
                seeds = f"{len(now.jobs)} seeds, it was written of {len(was.jobs)}"
                result = f"{now.shown} is the result now of {said_of(now)} ({seeds})"
                return f"{one.number.text} here, and {result}"
        return None

    @cached_property
    def _waiting(self) -> set[str]:
        """The jobs whose results are still to be written."""
        return {job.name for job in unwritten(self.lab, all_jobs(self.lab.paths))}

    @cached_property
    def _lasting(self) -> set[tuple[Path | None, int]]:
        """The 1-based lines that tell what holds: gates' results, and conclusions."""
        own, rows = self.roadmap.document, self.roadmap.rows
        found = {entry.line for kind in ("gate_progress", "conclusions") for entry in rows(kind)}
        cells = [
            cell for gate in self.roadmap.gates for cell in (gate.status_cell, gate.result_cell)
        ]
        found |= {own.line_of(cell.span.start) for cell in cells if cell}
        lines = {(own.path and real(own.path), line) for line in found}
        for report in self.around.reports.values():
            path = report.document.path
            lines |= {(path and real(path), i + 1) for i in conclusion_lines(report.document)}
        return lines

    def has_run(self, mvp: str) -> bool:
        """Whether an MVP has results here, or jobs that have all ended without one."""
        mine = self._jobs.get(mvp, ())
        failed = bool(mine) and all(isinstance(job.state, Done) for job in mine)
        return failed or bool(self.own.finished(mvp))

    def is_checked(self, mvp: str) -> bool:
        """Whether there is something to hold the numbers of an MVP against.

        Of one without a job here that is what stood before the first job of its roadmap.
        """
        return self.has_run(mvp) or (self._earlier is not None and mvp not in self._jobs)

    def told_by(self, mvp: str, number: Stated) -> str | None:
        """The job that told a number of an epoch as it ran, by its events; None for none."""
        jobs = self._jobs.get(mvp, ()) if any(map(EPOCH.fullmatch, number.words)) else ()
        alike = (job for job in jobs if job.spec.profile == number.profile)
        mine = (job for job in alike if _has_told(job, self.lab.progress(job.paths), number))
        return next((job.name for job in mine), None)

    def is_earlier(self, mvp: str, place: Place) -> bool:
        """Whether a number stood where it stands before the first job of its roadmap.

        Where that was not noted, an MVP that has ended in its document tells: it had its numbers.
        """
        if (known := self._earlier) is not None:
            # Of an MVP without a job also where its line was edited since, or moved.
            texts = frozenset() if mvp in self._jobs else known.texts
            key = self._path_of(place), place.line, place.number.value, bool(texts)
            if key not in self._stood:  # alike are asked for each of them
                stands = self._standing(place)
                moved = (x.number.significant >= SURE and x.number.text in texts for x in stands)
                self._stood[key] = any(map(known.has, stands)) or any(moved)
            return self._stood[key]
        status = next((one.status for one in self.roadmap.mvps if one.id == mvp), None)
        return place.number.profile == "full" and status in ENDED

    def _standing(self, place: Place) -> Sequence[NumberPlace]:
        """The number of a place, as the documents' own reading finds it on its line."""
        key, value = (self._path_of(place), place.line), place.number.value
        if key not in self._sorted:
            self._sorted[key] = sorted(self._of_line(*key), key=_value)
        mine = self._sorted[key]
        first = bisect_left(mine, value - 1e-12, key=_value)
        return mine[first : bisect_right(mine, value + 1e-12, key=_value)]

    def _path_of(self, place: Place) -> Path | None:
        return place.path or self.roadmap.document.path

    def _line(self, place: Place) -> str:
        document = self.documents.get(self._real(self._path_of(place)))
        return document.line_text(place.line - 1) if document else ""

    def _on_line(self, place: Place) -> Sequence[NumberPlace]:
        """The numbers on the line of a place."""
        return self._of_line(self._path_of(place), place.line)

    def _of_line(self, path: Path | None, line: int) -> Sequence[NumberPlace]:
        key = self._real(path)
        if key not in self._numbers:
            document, lines = self.documents.get(key), defaultdict(list)
            for one in numbers_of(document, whole=True) if document else ():
                lines[one.line].append(one)
            self._numbers[key] = lines
        return self._numbers[key].get(line, ())

    def _real(self, path: Path | None) -> Path | None:
        if path is not None and path not in self._paths:
            self._paths[path] = real(path)
        return path and self._paths[path]

    def comparable(self, mvp: str, place: Place) -> list[Source]:
        """The numbers of an MVP's results that a place may state, of every profile.

        Beside the name of one model of the lab only those of that one.
        """
        number = place.number
        return [
            one
            for one in self.own.stated(mvp, number)
            if is_comparable(one, number, place.run) and self._is_of_named(one, number)
        ]

    def _is_of_named(self, source: Source, number: Stated) -> bool:
        """Whether a source is of the model that is named beside a number; of two each may be."""
        named = {model_key(word) for word in number.words} & self.models
        return len(named) != 1 or model_key(source.model) in named

    def _is_on_record(self, mvp: str, place: Place) -> bool:
        """Whether a number of this value, MVP and profile was written into this line's file.

        Or what was computed from results stands there as it was written, as a scaling law does.
        """
        path = place.path or self.roadmap.document.path
        name = self.lab.paths.relative(path) if path else ""
        record = self.written.of_file(name) if path else {}
        for one in self._standing(place) if record else ():
            was = same_text(one.number, self.written.at(name, one))
            if was is not None and not was.source.value:
                return True
        number = place.number
        texts = {
            one.text
            for each in record.values()
            for one in each
            if (one.source.mvp, one.source.profile) == (mvp, number.profile)
            and (one.source.is_stated(number) if one.source.value else number.decimals > 1)
            and (not one.source.value or self._is_of_named(one.source, number))
        }
        written = f"{number.value:.{number.decimals}f}"
        return any(text == written or text.startswith(f"{written} ±") for text in texts)


def _value(one: NumberPlace) -> float:
    return one.number.value


def documents_of(roadmap: Roadmap, around: Neighbours) -> list[Document]:
    """A roadmap and the files around it, each once."""
    found = [roadmap.document, *([around.hub.document] if around.hub else [])]
    found += [one.document for one in around.linked]
    found += [one.document for one in (*around.boards, *around.reports.values(), *around.strays)]
    found += around.pages
    return list({one.path and real(one.path): one for one in reversed(found)}.values())[::-1]


def same_text(number: Digits, written: Sequence[WrittenNumber]) -> WrittenNumber | None:
    """What was written that a number still is, the last of several; None where it is another."""
    return next((one for one in reversed(written) if one.text == number.text), None)


def grown(
    numbers: Sequence[NumberPlace], name: str, known: Provenance, written: WrittenNumbers
) -> Iterator[tuple[NumberPlace, Source, Source]]:
    """The numbers of a line that stand as they were written, and have another mean now.

    With the source of each then and now. None where the line tells that mean too.
    """
    for one in numbers:
        was = same_text(one.number, written.at(name, one))
        now = known.grown(was.source) if was else None
        if was is None or now is None or one.number.is_rounded(now.number):
            continue
        if not any(other.number.is_rounded(now.number) for other in numbers):
            yield one, was.source, now


def digits_of(place: Place) -> Digits:
    """The number of a place as it is rounded; a small integer is one of kelvin alone."""
    text, value = place.number.text, place.number.value
    is_rounded = abs(value) >= 10 or text.endswith("K")
    return Digits(text, value, max(not is_rounded, place.number.decimals))


def profiles_of(place: Place) -> set[str]:
    """The profiles that a number may be of, by its mark and that of its sentence."""
    is_open = place.number.profile == "full" and bool(place.headline)
    return {place.number.profile, *([place.headline] if is_open else [])}


def lacking_of(place: Place, of_profile: Sequence[Source], comparable: Sequence[Source]) -> str:
    """Why no result has a number, in a few words."""
    number = place.number
    if of_profile:
        nearest = min(of_profile, key=lambda one: abs((one.number or 0.0) - number.value))
        return f"no result has it; the nearest is {nearest.shown}, {said_of(nearest)}"
    if comparable:
        profiles = "/".join(dict.fromkeys(one.profile for one in comparable))
        return f"no {number.profile} run has a result; there are results of {profiles}"
    run = f" of {place.run}" if place.run else ""
    return f"no result{run} has such a number"


def _has_told(job: Job, progress: Progress, number: Stated) -> bool:
    """Whether a value of a job's events, of the epoch that a number names, is this number."""
    epochs = [int(word[2:]) for word in number.words if EPOCH.fullmatch(word)]
    digits = Digits(number.text, number.value, number.decimals)
    return any(
        digits.is_rounded(one.value)
        # The next epoch may have begun when it was written.
        and (one.epoch is None or any(abs(one.epoch - epoch) <= 1 for epoch in epochs))
        for name, curve in progress.curves.items()
        if is_comparable(Source(name, (), job.spec.mvp, job.spec.run, job.spec.profile), number)
        for one in curve
    )


def is_comparable(source: Source, stated: Stated, run: str = "") -> bool:
    """Whether a number of a document can be that of a result: metric, split, label and run."""
    if not source.is_stated(stated):
        return False
    label = Value.parse(source.value).label.casefold()
    labels = stated.words & LABELS
    if labels and label not in labels:
        return False
    own = (source.run, base_name(source.run)) if run else ()
    return not run or run in (" ".join(sorted(words_of(name))) for name in own)


def said_of(source: Source) -> str:
    """`test/r2/log_g of VIT-.../a1b2`."""
    return f"{source.value} of {source.of_jobs}" if source.value else source.of_jobs
