"""Rows of timelines and change logs that tell verdicts and ends which nothing supports."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence

from vitlab.docs.judge.verdict import STANDING
from vitlab.docs.lint.across import Neighbours, are_linked
from vitlab.docs.lint.finding import Finding
from vitlab.docs.lint.history import Row, rows_of
from vitlab.docs.lint.told_verdicts import statuses_of
from vitlab.docs.lint.verdicts import in_words, says_otherwise
from vitlab.docs.model.hub import Hub
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.inline import folded
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.earlier import ENDED
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import earlier_saves
from vitlab.lab.results.decided import read_decisions
from vitlab.lab.results.job_results import finished, latest, of_roadmap
from vitlab.lab.results.ranking import verdicts_of


def history_findings(lab: Lab, roadmap: Roadmap, around: Neighbours) -> Iterator[Finding]:
    """Each verdict and each end that a row tells, since the first job, though none was.

    What results, a decision of any time, or a write of vitlab's supports was so on its day.
    """
    path = roadmap.document.path
    jobs = of_roadmap(lab, all_jobs(lab.paths), path) if path else []
    if not jobs:
        return
    first = datetime.date.fromtimestamp(min(job.spec.submitted for job in jobs)).isoformat()
    hub = around.hub
    files: list[Roadmap | Hub] = [roadmap]
    if hub and not any(are_linked(one, hub) for one in around.others):
        files.append(hub)
    for file in files:
        rows = [row for row in rows_of(file) if row.date >= first]
        yield from _of_file(lab, roadmap, file, rows, jobs)


def _of_file(
    lab: Lab, roadmap: Roadmap, file: Roadmap | Hub, rows: Sequence[Row], jobs: Sequence[Job]
) -> Iterator[Finding]:
    path = None if file is roadmap else file.document.path
    for row, what in _unsupported(lab, roadmap, rows, jobs):
        if not _was_written(lab, file, row.text):
            kind = "gate-conflict" if what.startswith("Gate") else "done-without-result"
            yield Finding(row.index + 1, kind, what, path=path)


def _unsupported(
    lab: Lab, roadmap: Roadmap, rows: Sequence[Row], jobs: Sequence[Job]
) -> Iterator[tuple[Row, str]]:
    """Of each row what neither results nor the roadmap or a decision say."""
    if not rows:
        return
    stands, results = statuses_of(roadmap), finished(jobs)
    name = lab.paths.relative(roadmap.document.path) if roadmap.document.path else ""
    given = [one for one in read_decisions(lab) if one.roadmap == name]
    decided = {(one.gate, one.status) for one in given}
    by_results = {
        (folded(one.id), status)
        for one in verdicts_of(lab, roadmap, latest(results))
        for status, verdict in STANDING.items()
        if one.verdict == verdict
    }
    ran = {one.result.mvp for one in results} | {one.mvp for one in given if one.status == "done"}
    ran |= {mvp.id for mvp in roadmap.mvps if mvp.status in ENDED}
    for row in rows:
        for gate, says in row.verdicts:
            known = [one for one in stands.get(gate.casefold(), ()) if one[0]]
            if (folded(gate), says) in decided | by_results or not known:
                continue
            if all(says_otherwise(says, status) for status, _ in known):
                now = f"{in_words(known[0][0])} on line {known[0][1]}"
                yield (
                    row,
                    (
                        f"Gate-{gate} is {in_words(says)} here and {now}; neither results nor a "
                        "decision ever said so"
                    ),
                )
        for mvp in row.done:
            if mvp in roadmap.ids.ids and mvp not in ran:
                yield row, f"MVP-{mvp} is done here; no job of it has a result, and nobody set it"


def _was_written(lab: Lab, file: Roadmap | Hub, text: str) -> bool:
    """Whether one of vitlab's last writes brought a line into a file."""
    path = file.document.path
    saves = earlier_saves(lab.journal, path) if path else ()
    return any(text in (new or "") and text not in (old or "") for old, new in saves)
