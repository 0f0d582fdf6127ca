"""A paper's artefacts as files: with `numbers.tex`, and where each number comes from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from vitlab.contract.paths import NUMBERS
from vitlab.lab.paper.artefacts.folder import Written, write_folder
from vitlab.lab.paper.artefacts.macros import Subject
from vitlab.lab.paper.artefacts.make import Paper
from vitlab.lab.paper.artefacts.quantities import (
    Quantity,
    job_record,
    named,
    numbers_tex,
    record,
)


def write_paper(folder: Path, paper: Paper, roadmap: str, *, draft: bool, force: bool) -> Written:
    """Write what has changed; `UsageError` as `write_folder`. `roadmap`: from the lab's root."""
    numbers = named(one for each in paper.numbers.values() for one in each)
    line = "DRAFT: with trials, whose numbers are not those of a paper" if draft else ""
    files = {**paper.files, NUMBERS: numbers_tex(numbers, line).encode("utf-8", "replace")}
    places = {
        name: [file for file, each in paper.numbers.items() if one.subject in _subjects(each)]
        for name, one in numbers.items()
    }
    jobs = {one.job.name: one for each in paper.jobs.values() for one in each}
    jobs |= {one.job.name: one for each in numbers.values() for one in each.jobs}
    provenance = {
        "draft": draft,
        "roadmap": roadmap,
        "numbers": {name: record(one, places[name]) for name, one in numbers.items()},
        "figures": {name: list(notes) for name, notes in paper.captions.items()},
        "shows": {name: sorted(one.job.name for one in each) for name, each in paper.jobs.items()},
        "jobs": {name: job_record(one) for name, one in sorted(jobs.items())},
        "missing": paper.missing,
        "left_out": paper.told,
    }
    return write_folder(folder, files, provenance, force=force)


def _subjects(quantities: Iterable[Quantity]) -> set[Subject]:
    return {one.subject for one in quantities}
