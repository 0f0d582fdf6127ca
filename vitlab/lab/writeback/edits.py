"""Edits a person asks for: statuses, lint fixes, pending write-backs, undo and redo."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vitlab.contract.paths import UsageError
from vitlab.docs import save as journal
from vitlab.docs.lint import Finding, lint, lint_document, mend
from vitlab.docs.model.hub import parse_hub
from vitlab.docs.model.roadmap import NoMvpTable, Roadmap, parse_roadmap
from vitlab.docs.model.vocabulary import Vocabulary, default_vocabulary, status_argument
from vitlab.docs.save import FileChange, change, open_elsewhere, save
from vitlab.docs.save import redo as redo_edit
from vitlab.docs.save import undo as undo_edit
from vitlab.docs.text.edit import differences
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.status import set_status
from vitlab.lab.lab import Lab
from vitlab.lab.writeback.writeback import (
    Pending,
    Step,
    find_hub,
    is_marked,
    mark_written,
    pending,
    plan_mvp,
    remark,
    unmark,
)

_LOOKED_AT = 20
"""Saves that are looked at, newest first; what is older is history."""


def remembered(
    journal_folder: Path, roadmap: Roadmap, mvp_id: str, status: str, vocabulary: Vocabulary
) -> Roadmap | None:
    """The newest earlier state of a roadmap in which an MVP had a status; None when there is none.

    Given to `set_status` as `before`, it brings back remarks of wording that the document itself
    no longer shows: `⏳ 待规划`, a card's place among others.
    """
    path = roadmap.document.path
    if path is None or not journal_folder.is_dir():
        return None
    wanted = roadmap.mvp(mvp_id).id
    looked_at = 0
    for number, state in reversed(journal.entry_states(journal_folder)):
        entry = journal.read_entry(journal_folder, number, state)
        for done in entry.changes if entry else ():
            if done.path != path.resolve() or done.old_text is None:
                continue
            looked_at += 1
            try:
                earlier = parse_roadmap(Document(done.old_text, path), vocabulary)
            except NoMvpTable:
                continue
            if any(mvp.id == wanted and mvp.status == status for mvp in earlier.mvps):
                return earlier
        if looked_at >= _LOOKED_AT:
            return None
    return None


def status_change(lab: Lab | None, path: Path, mvp_id: str, word: str) -> FileChange | None:
    """The change that sets `mvp_id` to `word`; None when it stands so already.

    A status it had before this program changed it is spelled as it was then.
    """
    status = status_argument(word)
    roadmap = parse_roadmap(read(path), _words(lab))
    mvp = roadmap.mvp(mvp_id)
    before = None
    if mvp.status != status:
        before = remembered(journal_of(lab), roadmap, mvp.id, status, _words(lab))
    edits = set_status(roadmap, mvp.id, status, before)
    return change(roadmap.document, edits) if edits else None


def journal_of(lab: Lab | None) -> Path:
    """Where edits are journalled: in the lab, or for lone documents in the user's own state."""
    if lab is not None:
        return lab.journal
    from platformdirs import user_state_path

    return user_state_path("vitlab") / "journal"


def findings(lab: Lab | None, path: Path) -> list[Finding]:
    """What contradicts itself or is broken in a roadmap, a hub or a board."""
    document = read(path)
    roadmap = _roadmap(document, lab)
    if roadmap is None:
        return lint_document(parse_hub(document, _words(lab)))
    return lint(roadmap, lab.paths.root if lab else None)


def mended(lab: Lab | None, path: Path) -> FileChange | None:
    """The change that makes every safe fix; None when there is none to make."""
    roadmap = _roadmap(read(path), lab)
    if roadmap is None:
        return None
    old = roadmap.document.text
    new = mend(roadmap, lab.paths.root if lab else None)
    return FileChange(path, old, new, differences(old, new)) if new != old else None


def _roadmap(document: Document, lab: Lab | None) -> Roadmap | None:
    try:
        return parse_roadmap(document, _words(lab))
    except NoMvpTable:
        return None


def _words(lab: Lab | None) -> Vocabulary:
    return lab.vocabulary if lab else default_vocabulary()


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
    for number, state in reversed(journal.entry_states(lab.journal)[-PAST:]):
        entry = journal.read_entry(lab.journal, number, state)
        if entry is not None:
            yield Past(number, state == "undone", entry.changes)


def accept(lab: Lab, plan: Pending) -> list[Path]:
    """Write what `plan` showed, each MVP as one undoable step; the files touched.

    Each step is planned again on the files as they are now, so an edit made elsewhere meanwhile
    survives; where it meets ours, `Conflict` names the place and that step writes nothing.
    """
    touched: list[Path] = []
    for mvp_id in plan.mvps:
        step = plan_mvp(lab, plan.path, mvp_id)
        if step is None:
            continue
        touched += [path for path in _save_step(lab, step) if path not in touched]
    return touched


def _save_step(lab: Lab, step: Step) -> list[Path]:
    written = save(step.changes, lab.journal)
    mark_written(lab, step.jobs, [one.new_text for one in written if one.new_text is not None])
    return [one.path for one in written]


def accept_automatically(lab: Lab, roadmap_path: Path) -> list[Path]:
    """Write the results of what ended, where the lab's settings say `write_results: auto`."""
    if lab.settings.write_results != "auto":
        return []
    return accept(lab, pending(lab, roadmap_path))


def write(lab: Lab, roadmap_path: Path, mvp_id: str, sentence: str | None = None) -> list[Path]:
    """Write what one MVP's results say, with a person's own sentence where there is one."""
    return _save_step(lab, _step(lab, roadmap_path, mvp_id, sentence))


def planned(lab: Lab, roadmap_path: Path, mvp_id: str, sentence: str) -> Step:
    """The step with a person's own sentence."""
    return _step(lab, roadmap_path, mvp_id, sentence)


def refuse(lab: Lab, roadmap_path: Path, mvp_id: str) -> None:
    """Write nothing of these results, and offer them no more; `offer` takes it back."""
    mark_written(lab, _step(lab, roadmap_path, mvp_id, None).jobs, [_refusal(mvp_id)])


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


def undo(lab: Lab) -> list[Path]:
    """Reverse the last write to the documents; the files restored."""
    undone = undo_edit(lab.journal)
    unmark(lab, [one.old_text for one in undone if one.old_text is not None])
    return [one.path for one in undone]


def redo(lab: Lab) -> list[Path]:
    """Make the last undone write again; the files written."""
    made = redo_edit(lab.journal)
    remark(lab, [one.new_text for one in made if one.new_text is not None])
    return [one.path for one in made]


def open_in_editors(paths: Iterable[Path]) -> list[str]:
    """One line for each document an editor has open: its next save would undo ours."""
    return [
        f"{path.name} is open in an editor ({sign}): reload it there before you save"
        for path in paths
        if (sign := open_elsewhere(path))
    ]
