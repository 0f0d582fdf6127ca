"""What there is to decide of a roadmap: edits that wait, past writes, contradictions.

Blocking calls; each deed plans again on the files as they are now.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.docs import journal
from vitlab.docs.edits import FileChange, change, save
from vitlab.docs.findings import Finding
from vitlab.docs.source import read
from vitlab.records.change import findings
from vitlab.records.lab import Lab
from vitlab.records.plan import Step, find_hub, plan_mvp
from vitlab.records.written import is_marked, mark, unmark

PAST = 50
"""Writes of the past that are listed."""


@dataclass(frozen=True)
class Past:
    """One write that was made."""

    number: int
    undone: bool
    changes: tuple[FileChange, ...]


@dataclass(frozen=True)
class Flaw:
    """A contradiction, and the document it is in."""

    path: Path
    finding: Finding

    @property
    def change(self) -> FileChange | None:
        """What mends it; None where only a person can say what is right."""
        if self.finding.fix is None:
            return None
        return change(read(self.path), self.finding.fix)


@dataclass(frozen=True)
class Papers:
    """All of it, at one moment."""

    waiting: tuple[Step, ...]
    refused: tuple[str, ...]
    """MVPs whose results a person did not want written."""
    past: tuple[Past, ...]
    """The newest first."""
    flaws: tuple[Flaw, ...]


def papers(lab: Lab, roadmap_path: Path) -> Papers:
    """Everything about one roadmap and its hub."""
    roadmap = lab.read_roadmap(roadmap_path)
    ids = list(dict.fromkeys(mvp.id for mvp in roadmap.mvps))
    steps = [plan_mvp(lab, roadmap_path, mvp_id) for mvp_id in ids]
    hub = find_hub(lab, roadmap)
    documents = [roadmap_path, *([hub] if hub else [])]
    return Papers(
        waiting=tuple(step for step in steps if step is not None),
        refused=tuple(mvp_id for mvp_id in ids if is_marked(lab, _refusal(mvp_id))),
        past=tuple(_past(lab)),
        flaws=tuple(Flaw(path, found) for path in documents for found in findings(lab, path)),
    )


def _past(lab: Lab) -> Iterator[Past]:
    for number, state in reversed(journal.states(lab.journal)[-PAST:]):
        entry = journal.entry(lab.journal, number, state)
        if entry is not None:
            yield Past(number, state == "undone", entry.changes)


def write(lab: Lab, roadmap_path: Path, mvp_id: str, sentence: str | None = None) -> list[Path]:
    """Write what one MVP's results say, with a person's own sentence where there is one."""
    step = _step(lab, roadmap_path, mvp_id, sentence)
    written = save(step.changes, lab.journal)
    mark(lab, step.jobs, [one.new_text for one in written if one.new_text is not None])
    return [one.path for one in written]


def planned(lab: Lab, roadmap_path: Path, mvp_id: str, sentence: str) -> Step:
    """The step with a person's own sentence."""
    return _step(lab, roadmap_path, mvp_id, sentence)


def refuse(lab: Lab, roadmap_path: Path, mvp_id: str) -> None:
    """Write nothing of these results, and offer them no more; `offer` takes it back."""
    mark(lab, _step(lab, roadmap_path, mvp_id, None).jobs, [_refusal(mvp_id)])


def offer(lab: Lab, mvp_id: str) -> None:
    """Offer again what was refused."""
    unmark(lab, [_refusal(mvp_id)])


def fix(lab: Lab, flaw: Flaw) -> list[Path]:
    """Mend one contradiction, if it is still there as it was found."""
    same = [
        found
        for found in findings(lab, flaw.path)
        if (found.kind, found.message) == (flaw.finding.kind, flaw.finding.message) and found.fix
    ]
    nearest = min(same, key=lambda found: abs(found.line - flaw.finding.line), default=None)
    if nearest is None or nearest.fix is None:
        raise UsageError(f"{flaw.path.name}:{flaw.finding.line}: nothing to mend here any more")
    return [one.path for one in save([change(read(flaw.path), nearest.fix)], lab.journal)]


def _step(lab: Lab, roadmap_path: Path, mvp_id: str, sentence: str | None) -> Step:
    step = plan_mvp(lab, roadmap_path, mvp_id, sentence=sentence)
    if step is None:
        raise UsageError(f"MVP {mvp_id}: nothing waits to be written any more")
    return step


def _refusal(mvp_id: str) -> str:
    return f"refused {mvp_id}"
