"""Contradictions in a lab's documents, in one file and across files, and their fixes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vitlab.contract.paths import UsageError, real
from vitlab.docs.lint.across import Neighbours, contradictions
from vitlab.docs.lint.document import fix_all, fix_document, fix_linked, lint, lint_document
from vitlab.docs.lint.finding import Finding
from vitlab.docs.model.hub import Hub, parse_hub
from vitlab.docs.model.roadmap import NoMvpTable, Roadmap, parse_roadmap
from vitlab.docs.model.vocabulary import Vocabulary, default_vocabulary
from vitlab.docs.save import FileChange, between
from vitlab.docs.text.source import Document, read
from vitlab.lab.documents import is_board, is_plan
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import (
    AUTOPILOT_PAGE,
    LinkedFile,
    find_hub,
    linked_files,
    stray_reports,
)
from vitlab.lab.writeback.checks.history import history_findings
from vitlab.lab.writeback.decisions import decision_findings, done_findings, rule_findings
from vitlab.lab.writeback.number_checks import NumberChecks


def lint_file(lab: Lab | None, path: Path) -> list[Finding]:
    """The contradictions and breaks in a roadmap and the files around it, or in another document.

    Of a hub, a board or a report those that stand in it, with what its roadmaps say otherwise.
    """
    document = read(path)
    roadmap = _roadmap(document, lab)
    if roadmap is not None and not (lab and _is_beside(lab, path)):
        own = lint(roadmap, lab.paths.root if lab else None)
        if lab:
            own += [*decision_findings(lab, roadmap), *done_findings(lab, roadmap)]
            own += rule_findings(lab, roadmap)
            own += _experiments(lab, path)
        return [*own, *_across(lab, roadmap)]
    own = lint_document(
        parse_hub(document, _vocabulary(lab, path)), lab.paths.root if lab else None
    )
    here = real(path)
    found = [
        replace(finding, path=None)
        for other in (_roadmaps(lab) if lab else ())
        for finding in _across(lab, other)
        if finding.path is not None and real(finding.path) == here
    ]
    return sorted({*own, *found}, key=lambda one: (one.line, one.kind, one.message))


def _experiments(lab: Lab, roadmap: Path) -> Iterator[Finding]:
    """The experiment files of a roadmap that cannot be launched."""
    if lab.paths.experiment_files():
        from vitlab.jobs.experiment.experiment import unreadable  # it loads YAML

        for text in unreadable(lab.paths, lab.paths.relative(roadmap)):
            place, _, message = text.partition(": ")
            name, _, line = place.rpartition("/")[2].partition(":")
            yield Finding(int(line or 1), "experiment", message, path=lab.paths.experiments / name)


def lint_fixes(lab: Lab | None, path: Path) -> list[FileChange]:
    """The changes that make every safe fix of a document, and of the files that follow it."""
    document = read(path)
    roadmap = _roadmap(document, lab)
    if roadmap is None or (lab and _is_beside(lab, path)):
        return _changed(document, fix_document(parse_hub(document, _vocabulary(lab, path))))
    new = fix_all(roadmap, lab.paths.root if lab else None)
    changes = _changed(document, new)
    files = linked_files(lab, roadmap.reread(Document(new, path))) if lab else ()
    for file in files:
        changes += _changed(file.document.document, fix_linked(file.document))
    return changes


def _changed(document: Document, new: str) -> list[FileChange]:
    if document.path is None or new == document.text:
        return []
    return [between(document.path, document.text, new)]


def _is_beside(lab: Lab, path: Path) -> bool:
    """Whether a file follows a roadmap, and is none itself."""
    return not is_plan(path) and real(path) not in {real(one) for one in lab.roadmaps()}


def _across(lab: Lab | None, roadmap: Roadmap) -> list[Finding]:
    if lab is None:
        return contradictions(roadmap, Neighbours())
    around = neighbours(lab, roadmap)
    found = contradictions(roadmap, around)
    found += history_findings(lab, roadmap, around)
    return [*found, *NumberChecks(lab, roadmap, around).findings()]


def neighbours(lab: Lab, roadmap: Roadmap) -> Neighbours:
    """The files around a roadmap, as they are now."""
    hub = find_hub(lab, roadmap)
    files = linked_files(lab, roadmap)
    others = [one for one in _roadmaps(lab) if not _is_same(one, roadmap)]
    return Neighbours(
        hub=_read_hub(lab, hub) if hub else None,
        linked=[file.document for file in files],
        boards=[_as_hub(lab, file) for file in files if is_board(file.path)],
        reports={
            of: _as_hub(lab, file)
            for file in files
            if (of := file.document.report_of) and not is_board(file.path) and file.path != hub
        },
        strays=[parse_hub(one, lab.vocabulary) for one in stray_reports(lab, roadmap)],
        pages=list(_pages(roadmap)),
        others=others,
    )


def _pages(roadmap: Roadmap) -> Iterator[Document]:
    folder = roadmap.document.path.parent if roadmap.document.path else None
    for path in sorted(folder.glob(f"{AUTOPILOT_PAGE.format('*')}.md")) if folder else ():
        with contextlib.suppress(UsageError, OSError):  # an odd file is no report
            yield read(path)


def _as_hub(lab: Lab, file: LinkedFile) -> Hub:
    return parse_hub(file.document.document, lab.vocabulary_of(file.path))


def _read_hub(lab: Lab, path: Path) -> Hub | None:
    with contextlib.suppress(UsageError):  # what cannot be read is told where it is written
        return parse_hub(read(path), lab.vocabulary_of(path))
    return None


def _roadmaps(lab: Lab) -> Iterator[Roadmap]:
    for path in lab.roadmaps():
        with contextlib.suppress(UsageError, OSError):
            yield lab.cached_roadmap(path)


def _is_same(one: Roadmap, other: Roadmap) -> bool:
    first, second = one.document.path, other.document.path
    return first is not None and second is not None and real(first) == real(second)


def _roadmap(document: Document, lab: Lab | None) -> Roadmap | None:
    try:
        return parse_roadmap(document, _vocabulary(lab, document.path))
    except NoMvpTable:
        return None


def _vocabulary(lab: Lab | None, path: Path | None) -> Vocabulary:
    if lab is None:
        return default_vocabulary()
    return lab.vocabulary_of(path) if path else lab.vocabulary
