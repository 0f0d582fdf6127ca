"""Which jobs' results are in the documents already: `.vitlab/written.json`.

Losing the file loses nothing: the next plan proposes only what the documents lack.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace

from vitlab.contract.paths import write_atomic
from vitlab.contract.state import Done
from vitlab.jobs.store import Job
from vitlab.records.lab import Lab


@dataclass(frozen=True)
class _Mark:
    """One accepted write."""

    jobs: dict[str, float]
    """Job name -> unix seconds of the end that was written; a resumed job ends anew."""
    texts: list[str]
    """Digests of the texts it left, by which its undo is known."""
    undone: bool = False
    """Taken back, so its jobs count as unwritten; kept for a redo."""


def unwritten(lab: Lab, jobs: Iterable[Job]) -> list[Job]:
    """The ended jobs whose end no accepted write has told yet."""
    marks = [one for one in _read(lab) if not one.undone]
    told = {(name, end) for one in marks for name, end in one.jobs.items()}
    return [
        job
        for job in jobs
        if isinstance(job.state, Done) and (job.paths.name, job.state.ended) not in told
    ]


def mark(lab: Lab, jobs: Sequence[Job], texts: Iterable[str]) -> None:
    """Remember that the ends of `jobs` are written, by a write that left `texts`."""
    ends = {job.paths.name: job.state.ended for job in jobs if isinstance(job.state, Done)}
    _save(lab, [*_read(lab), _Mark(ends, [_digest(text) for text in texts])])


def is_marked(lab: Lab, text: str) -> bool:
    """Whether a write that left `text` stands."""
    return any(_digest(text) in one.texts and not one.undone for one in _read(lab))


def unmark(lab: Lab, texts: Iterable[str]) -> None:
    """The write that left `texts` was undone: it is proposed again."""
    _turn(lab, texts, undone=True)


def remark(lab: Lab, texts: Iterable[str]) -> None:
    """The write that leaves `texts` was made again."""
    _turn(lab, texts, undone=False)


def _turn(lab: Lab, texts: Iterable[str], *, undone: bool) -> None:
    meant = {_digest(text) for text in texts}
    marks = _read(lab)
    turned = [replace(one, undone=undone) if meant & set(one.texts) else one for one in marks]
    if turned != marks:
        _save(lab, turned)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _read(lab: Lab) -> list[_Mark]:
    try:
        records = json.loads((lab.paths.private / "written.json").read_bytes())
        return [
            _Mark(dict(one["jobs"]), list(one["texts"]), one.get("undone") is True)
            for one in records
        ]
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return []


def _save(lab: Lab, marks: Sequence[_Mark]) -> None:
    lab.paths.private.mkdir(exist_ok=True)
    records = [asdict(one) for one in marks]
    write_atomic(lab.paths.private / "written.json", json.dumps(records, indent=0).encode())
