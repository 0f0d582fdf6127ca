"""The ledger of job ends whose results are written into the documents, or were refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vitlab.contract.job import Done, ended_well
from vitlab.contract.paths import JobPaths, UsageError, is_closed, shared_rights, write_atomic
from vitlab.contract.reading import read_document
from vitlab.contract.validation import misfit
from vitlab.docs.journal import digest
from vitlab.jobs.copies import experiment_of, topic_of
from vitlab.jobs.store import Job
from vitlab.lab.after_save import locked
from vitlab.lab.lab import Lab
from vitlab.lab.results.launches import full_jobs, has_ended, last_launch, unread


@dataclass(frozen=True)
class _Entry:
    """One write of results, or one refusal."""

    jobs: dict[str, float]
    """Job name -> unix seconds of the end it covers; a resumed job ends again."""
    texts: list[str]
    """Digests of the texts it left, by which its undo is known; of a refusal its key's."""
    undone: bool = False
    """Undone, so its jobs count as unwritten; kept for a redo."""


def unwritten(lab: Lab, jobs: Iterable[Job]) -> list[Job]:
    """The ended jobs whose end is neither written nor refused."""
    entries = [entry for entry in _read(lab) if not entry.undone]
    again = _AGAIN.get()
    ends = (end for entry in entries for end in entry.jobs.items() if end[0] not in again)
    covered = set(ends)
    return [
        job
        for job in jobs
        if isinstance(job.state, Done) and (job.paths.name, job.state.ended) not in covered
    ]


@contextmanager
def as_unwritten(jobs: Iterable[Job]) -> Iterator[None]:
    """Within it nothing of `jobs` counts as written: to show what a person may have written."""
    token = _AGAIN.set(frozenset(job.paths.name for job in jobs))
    try:
        yield
    finally:
        _AGAIN.reset(token)


_AGAIN: ContextVar[frozenset[str]] = ContextVar("again", default=frozenset())


def launch_to_write(lab: Lab, jobs: Sequence[Job]) -> list[Job]:
    """The launch of an MVP whose end is to be written next; empty without one.

    `jobs`: all of the MVP. The last full launch goes before a trial made after it, and no trial is
    written while a full one runs, nothing of a launch whose end cannot be told yet.
    """
    full, last = last_launch(full_jobs(jobs)), last_launch(jobs)
    if not has_ended(full):
        return []
    if any(ended_well(job.state) for job in full) and _is_new(lab, full):
        return [] if unread(lab, full) else full
    return last if has_ended(last) and _is_new(lab, last) and not unread(lab, last) else []


def _is_new(lab: Lab, launch: Sequence[Job]) -> bool:
    return bool(unwritten(lab, launch)) and not superseded(lab, launch)


def superseded(lab: Lab, launch: Sequence[Job]) -> bool:
    """Whether a later end of its experiment is written, of a job whose folder is gone.

    What was superseded then is no news now. Not of jobs that are written again. In a plan without
    exp_id each launch has a folder of its own, whose name tells the experiment.
    """
    if any(job.name in _AGAIN.get() for job in launch):
        return False
    places = {job.paths.folder.parent.name for job in launch}
    places |= {experiment_of(job.paths, job.spec) for job in launch}
    ended = max((job.state.ended for job in launch if isinstance(job.state, Done)), default=0.0)
    return any(
        end > ended and places & {place, topic_of(place)} and not job.folder.is_dir()
        for entry in _read(lab)
        if not entry.undone
        for job, end in ((JobPaths(lab.paths.experiments / n), t) for n, t in entry.jobs.items())
        for place in (job.folder.parent.name,)
    )


def results_to_write(lab: Lab, jobs: Iterable[Job], mvps: Iterable[str]) -> dict[str, int]:
    """How many results of each of these MVPs no write has covered; `jobs`: all of the roadmap."""
    of_mvp: dict[str, list[Job]] = {mvp: [] for mvp in mvps}
    for job in jobs:
        of_mvp.get(job.spec.mvp, []).append(job)
    waiting = {m: unwritten(lab, launch_to_write(lab, mine)) for m, mine in of_mvp.items()}
    # An end without a result is counted alone, as its status is written.
    counts = {m: len([j for j in js if ended_well(j.state)] or js) for m, js in waiting.items()}
    return {mvp: count for mvp, count in counts.items() if count}


def record_written(lab: Lab, jobs: Sequence[Job], texts: Iterable[str]) -> None:
    """Record that the ends of `jobs` are written, by a write that left `texts`."""
    new = _Entry(ends_of(jobs), [digest(text) for text in texts])
    with locked(lab.paths):
        _save(lab, [*_read(lab), new])


def ends_of(jobs: Iterable[Job]) -> dict[str, float]:
    """The end (Unix seconds) of each job that has ended, by its name."""
    return {job.paths.name: job.state.ended for job in jobs if isinstance(job.state, Done)}


def record_refused(lab: Lab, roadmap: Path, mvp_id: str, jobs: Sequence[Job]) -> None:
    """Record that a person wants nothing written of `jobs`, an MVP's last launch."""
    record_written(lab, jobs, [_refusal(lab, roadmap, mvp_id)])


def is_refused(lab: Lab, roadmap: Path, mvp_id: str, jobs: Iterable[Job]) -> bool:
    """Whether a refusal of the MVP's results is in force; `jobs`: those of the roadmap."""
    return any(not entry.undone for entry in _refusals(lab, roadmap, mvp_id, jobs))


def withdraw_refusal(lab: Lab, roadmap: Path, mvp_id: str, jobs: Iterable[Job]) -> None:
    """Record that the MVP's results may be written after all."""
    with locked(lab.paths):
        refusals = _refusals(lab, roadmap, mvp_id, jobs)
        _save(lab, [replace(e, undone=True) if e in refusals else e for e in _read(lab)])


def record_unwritten(lab: Lab, jobs: Iterable[Job]) -> None:
    """Record that the documents have nothing of `jobs` any more."""
    names = {job.paths.name for job in jobs}
    with locked(lab.paths):
        _save(
            lab,
            [
                replace(entry, jobs={n: t for n, t in entry.jobs.items() if n not in names})
                for entry in _read(lab)
            ],
        )


def _refusals(lab: Lab, roadmap: Path, mvp_id: str, jobs: Iterable[Job]) -> list[_Entry]:
    names = {job.paths.name for job in jobs}
    key, old_key = digest(_refusal(lab, roadmap, mvp_id)), digest(f"refused {mvp_id}")
    # Refusals were once recorded by MVP alone; whose they are shows in their jobs.
    return [
        entry
        for entry in _read(lab)
        if key in entry.texts or (old_key in entry.texts and names & entry.jobs.keys())
    ]


def _refusal(lab: Lab, roadmap: Path, mvp_id: str) -> str:
    return f"refused {lab.paths.relative(roadmap)} {mvp_id}"


def undone_texts(lab: Lab) -> set[str]:
    """The digests of texts that an undone write left, and none that stands."""
    entries = _read(lab)
    standing = {text for entry in entries if not entry.undone for text in entry.texts}
    return {text for entry in entries if entry.undone for text in entry.texts} - standing


def _read(lab: Lab) -> list[_Entry]:
    """The entries, read again where the file has changed: one look asks for each MVP."""
    path = lab.paths.private.sync_ledger
    try:
        found = path.lstat()
    except OSError:
        return _read_file(lab, path)  # there is none, or it says why
    stamp = path, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
    kept = _READ.get("last")
    if kept is None or kept[0] != stamp:
        kept = _READ["last"] = stamp, _read_file(lab, path)
    return kept[1]


_READ: dict[str, tuple[object, list[_Entry]]] = {}
"""The ledger that was read last, with its file's stamp."""


def _read_file(lab: Lab, path: Path) -> list[_Entry]:
    try:
        records = read_document(path)
        for one in records:
            wrong = misfit(one["jobs"], "Mapping[str, float]") or misfit(
                one["texts"], "tuple[str, ...]"
            )
            if wrong:
                raise ValueError(wrong)
        return [
            _Entry(dict(one["jobs"]), list(one["texts"]), one.get("undone") is True)
            for one in records
        ]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        lab.set_aside(path, error)
        return []


def _save(lab: Lab, entries: Sequence[_Entry]) -> None:
    records, path = [asdict(entry) for entry in entries], lab.paths.private.sync_ledger
    if is_closed(path):
        raise UsageError(f"{path}: cannot be read: Permission denied; nothing is recorded in it")
    write_atomic(path, json.dumps(records, indent=0).encode(), shared_rights(path))
