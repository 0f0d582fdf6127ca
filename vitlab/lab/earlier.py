"""What documents said before the first job of their roadmap: numbers and verdicts of a person.

`.vitlab/earlier.json` is written once for each roadmap, when its first job is launched, and sealed.
What stood there then needs no result of this lab. It may be deleted; then statuses tell.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vitlab.contract.paths import UsageError, cause, real
from vitlab.contract.user_key import own_record, write_own
from vitlab.docs.judge.verdict import STANDING
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.roadmap import Roadmap
from vitlab.docs.text.inline import folded
from vitlab.docs.text.numbers import NumberPlace, numbers_of
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import linked_files, stray_reports

VERSION = 1
ENDED = ("done", "partial", "failed", "cancelled", "paused")
"""Statuses of an MVP that has had its results."""
MOST = 100_000
"""Numbers that are noted of a roadmap; of one with more, none."""


@dataclass(frozen=True)
class Earlier:
    """What a roadmap and the files around it said before its first job."""

    numbers: frozenset[tuple[str, int, str]]
    """(place, index, text) of each number."""
    gates: Mapping[str, str]
    """Folded id -> status of each gate that was decided, and whose MVPs had ended."""
    done: frozenset[str] | None = None
    """The MVPs that were done, by their bare ids; None where that was not noted."""
    has_strays: bool = False
    """Whether the reports were noted too that no roadmap leads to."""
    texts: frozenset[str] = field(init=False)
    """The numbers as they were written, wherever."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "texts", frozenset(text for *_, text in self.numbers))

    def has(self, one: NumberPlace) -> bool:
        """Whether a number stood where it stands now."""
        return (one.place, one.index, one.number.text) in self.numbers


def keep_earlier(lab: Lab, path: Path) -> None:
    """Note what a roadmap and its files say, unless that is done, or a job of it is there already.

    Call it with the lock of launches held.
    """
    name, known, file = lab.paths.relative(path), _roadmaps(lab), lab.paths.private.earlier
    if name in known:
        return
    launched = {job.spec.roadmap for job in all_jobs(lab.paths)}
    if any(real(lab.paths.root / one) == real(path) for one in launched):
        return
    try:
        lab.paths.private.make()
        record = {"v": VERSION, "roadmaps": {**known, name: _noted(lab, lab.read_roadmap(path))}}
        write_own(file, record)
    except (OSError, UsageError) as error:  # a launch does not fail for it
        lab.tell(f"{file}: what stood in {name} before is not noted ({cause(error)})")


def is_settled(roadmap: Roadmap, gate: Gate) -> bool:
    """Whether the MVPs that decide a gate have all ended, as the document says."""
    status = {mvp.id: mvp.status for mvp in reversed(roadmap.mvps)}
    return all(status.get(mvp, ENDED[0]) in ENDED for mvp in gate.mvps)


def _noted(lab: Lab, roadmap: Roadmap) -> dict[str, object]:
    documents = [roadmap.document, *(one.document.document for one in linked_files(lab, roadmap))]
    documents += stray_reports(lab, roadmap)
    numbers = {
        (one.place, one.index, one.number.text)
        for document in documents
        for one in numbers_of(document, whole=True)
    }
    if len(numbers) > MOST:
        raise UsageError(f"more than {MOST} numbers")
    gates = {
        folded(gate.id): gate.status
        for gate in roadmap.gates
        if gate.status in STANDING and is_settled(roadmap, gate)
    }
    done = sorted(mvp.id for mvp in roadmap.mvps if mvp.status == "done")
    return {"numbers": sorted(numbers), "gates": gates, "done": done, "has_strays": True}


def read_earlier(lab: Lab, roadmap: Path | None) -> Earlier | None:
    """What was noted of a roadmap; None where its jobs are older than such notes."""
    with contextlib.suppress(UsageError, ValueError, TypeError, KeyError, AttributeError):
        record = _roadmaps(lab)[lab.paths.relative(roadmap)] if roadmap else None
        if record is not None:
            numbers = frozenset((place, index, text) for place, index, text in record["numbers"])
            done = frozenset(map(str, record["done"])) if "done" in record else None
            return Earlier(numbers, dict(record["gates"]), done, bool(record.get("has_strays")))
    return None


def _roadmaps(lab: Lab) -> dict[str, Any]:
    record = own_record(lab.paths.private.earlier)
    found = record.get("roadmaps") if record.get("v") == VERSION else None
    return found if isinstance(found, dict) else {}
