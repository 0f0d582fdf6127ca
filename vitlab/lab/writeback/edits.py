"""Edits a person asks for: statuses, fixes, pending results, undo and redo."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from platformdirs import user_state_path

from vitlab.contract.paths import UsageError, real
from vitlab.docs import save as saved
from vitlab.docs.journal import Journal
from vitlab.docs.lint.finding import Finding
from vitlab.docs.model.roadmap import parse_roadmap
from vitlab.docs.model.status_sites import kept_places
from vitlab.docs.model.vocabulary import Vocabulary, default_vocabulary, status_argument
from vitlab.docs.save import FileChange, Reverted, change, open_elsewhere, save
from vitlab.docs.text.edit import Conflict
from vitlab.docs.text.source import Document, read
from vitlab.docs.write.boards import left_cards
from vitlab.docs.write.status import left_shared, not_restored, set_status
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.after_save import WRITTEN
from vitlab.lab.lab import Lab, passing_over
from vitlab.lab.linked_files import (
    earlier_state,
    find_hub,
    left_alone,
    linked_changes,
    linked_lost,
)
from vitlab.lab.results.job_results import of_roadmap
from vitlab.lab.results.launches import full_jobs, has_ended, last_launch, unread
from vitlab.lab.writeback.checks.outdated import GateUpdate, gate_updates
from vitlab.lab.writeback.contradictions import lint_file
from vitlab.lab.writeback.decisions import carried_out, keep_verdicts
from vitlab.lab.writeback.sync_ledger import (
    as_unwritten,
    ends_of,
    is_refused,
    record_refused,
    record_unwritten,
    record_written,
    superseded,
    unwritten,
    withdraw_refusal,
)
from vitlab.lab.writeback.writeback import MvpUpdate, Pending, pending, plan_mvp
from vitlab.lab.writeback.written_numbers import record_numbers


def status_change(lab: Lab | None, path: Path, mvp_id: str, word: str) -> FileChange | None:
    """The change that sets the status of `mvp_id` to `word`; None when it is that already.

    A status it had before a recent edit is spelled as it was then.
    """
    status = status_argument(word)
    roadmap = parse_roadmap(read(path), _vocabulary(lab, path))
    mvp = roadmap.mvp(mvp_id)
    before = None
    if mvp.status != status:
        before = earlier_state(journal_of(lab), roadmap, mvp.id, status)
    edits = set_status(roadmap, mvp.id, status, before)
    return change(roadmap.document, edits) if edits else None


def status_changes(lab: Lab | None, path: Path, mvp_id: str, word: str) -> list[FileChange]:
    """As `status_change`, with the changes of the files beside the roadmap."""
    first = status_change(lab, path, mvp_id, word)
    if first is None or lab is None:
        return [first] if first else []
    roadmap = lab.read_roadmap(path)
    return [first, *linked_changes(lab, roadmap, roadmap.mvp(mvp_id).id, word)]


def status_notes(lab: Lab | None, change: FileChange, mvp_id: str) -> list[str]:
    """What a status change does besides: MVPs of the same row, and what only undo restores."""
    document = Document(change.old_text or "", change.path)
    roadmap = parse_roadmap(document, _vocabulary(lab, change.path))
    mvp = roadmap.mvp(mvp_id)
    others = ", ".join(f"MVP-{other}" for other in roadmap.sharing(mvp))
    cards = left_cards(roadmap, frozenset((mvp.id, *roadmap.sharing(mvp))))
    shared = [*left_shared(roadmap, mvp_id), *cards, *kept_places(roadmap, mvp.id)]
    shared += [f"line {mvp.line}: {others} set too, the row is shared"] if others else []
    lost = not_restored(roadmap, mvp_id, change.edits)
    return shared + [only_undo(line) for line in lost]


def only_undo(line: str) -> str:
    """What is told of a line whose old words the journal alone keeps: `line 25: | 1.0 | ...`."""
    back = "`vitlab undo` or setting the old status brings them back"
    return f"the undo journal keeps the old words of this line, {back}: {line}"


def linked_notes(lab: Lab, changes: Sequence[FileChange], mvp_id: str, status: str) -> list[str]:
    """What a status change leaves alone in files beside the roadmap, and what only undo restores.

    `changes`: the roadmap's first.
    """
    path = changes[0].path
    roadmap = parse_roadmap(Document(changes[0].old_text or "", path), lab.vocabulary_of(path))
    lines = left_alone(lab, roadmap, roadmap.mvp(mvp_id).id, status)
    for one in changes[1:]:
        lost = linked_lost(lab, roadmap, roadmap.mvp(mvp_id).id, one)
        name = lab.paths.relative(one.path)
        lines += [f"{name}: {only_undo(line)}" for line in lost]
    return lines


def journal_of(lab: Lab | None) -> Journal:
    """The journal of a lab's documents, or of documents outside any lab."""
    if lab is not None:
        return lab.journal
    try:
        folder = user_state_path("vitlab")
    except RuntimeError:  # neither HOME nor a user of that number
        folder = Path()
    if not folder.is_absolute():
        raise UsageError("no home folder to keep the undo journal in: set HOME or XDG_STATE_HOME")
    return Journal(folder / "journal", None)


def _vocabulary(lab: Lab | None, path: Path | None) -> Vocabulary:
    if lab is None:
        return default_vocabulary()
    return lab.vocabulary_of(path) if path else lab.vocabulary


PAST_WRITES = 50
"""Past writes that are listed."""


@dataclass(frozen=True)
class PastWrite:
    """One write that was made."""

    number: int
    undone: bool
    changes: tuple[FileChange, ...]
    what: str = ""
    """What it is of, as `MVP-1.0`; empty where that was not kept."""
    at: float = 0.0
    """When it was written, in seconds since 1970; 0 where that was not kept."""


@dataclass(frozen=True)
class Problem:
    """A contradiction or break, and its document."""

    path: Path
    finding: Finding

    @property
    def fix(self) -> FileChange | None:
        """The change that fixes it; None where a person must decide."""
        if self.finding.fix is None:
            return None
        return change(read(self.path), self.finding.fix)


@dataclass(frozen=True)
class DocumentState:
    """What can be decided about a roadmap's documents."""

    updates: tuple[MvpUpdate, ...]
    """What waits to be written."""
    refused: tuple[str, ...]
    """MVPs whose results a person refused to have written."""
    past: tuple[PastWrite, ...]
    """The newest first."""
    problems: tuple[Problem, ...]


def document_state(
    lab: Lab, roadmap_path: Path, find: Callable[[Lab, Path], list[Finding]] = lint_file
) -> DocumentState:
    """Everything about one roadmap and its hub; `find` finds what is wrong in a document."""
    roadmap = lab.read_roadmap(roadmap_path)
    ids = list(dict.fromkeys(mvp.id for mvp in roadmap.mvps))
    jobs = of_roadmap(lab, all_jobs(lab.paths), roadmap_path)
    updates, errors = list[MvpUpdate | None](), dict[str, Exception]()
    for mvp_id in ids:
        with passing_over(f"MVP-{mvp_id}: nothing is written of it", errors):
            updates.append(plan_mvp(lab, roadmap_path, mvp_id))
    lab.tell_passed_over(errors, bool(updates))
    hub = find_hub(lab, roadmap)
    documents = [roadmap_path, *([hub] if hub else [])]
    return DocumentState(
        updates=tuple(update for update in updates if update is not None and update.changes),
        refused=tuple(i for i in ids if is_refused(lab, roadmap_path, i, jobs)),
        past=tuple(_past_writes(lab)),
        problems=tuple(_once((path, one) for path in documents for one in find(lab, path))),
    )


def _once(found: Iterable[tuple[Path, Finding]]) -> Iterable[Problem]:
    """What is found in some documents and the files around them, each once."""
    found = [(one.path or path, one) for path, one in found]
    once = {(real(path), one.line, one.kind, one.message): (path, one) for path, one in found}
    return [Problem(path, one) for path, one in once.values()]


def _past_writes(lab: Lab) -> Iterator[PastWrite]:
    for number, state in reversed(lab.journal.entries()[-PAST_WRITES:]):
        entry = saved.read_entry(lab.journal, number, state)
        if entry is not None:
            yield PastWrite(number, state == "undone", entry.changes, entry.what, entry.at)


@dataclass(frozen=True)
class Shown(Pending):
    """What waits to be written as a person sees it."""

    again: tuple[Job, ...] = ()
    """Jobs of which it writes what was written once."""


def pending_results(lab: Lab, roadmap_path: Path, mvp_id: str | None = None) -> Shown:
    """As `pending`, with a line on each MVP whose end cannot be told, or is not in the plan.

    A plan in which an MVP has not ended though its results were written may have come back out of
    git or a backup, or a person plans the MVP anew: so only those of an MVP that is named are
    planned again.
    """
    roadmap = lab.read_roadmap(roadmap_path)
    jobs = of_roadmap(lab, all_jobs(lab.paths), roadmap_path)
    lines, again = list[str](), list[Job]()
    named = None if mvp_id is None else roadmap.mvp(mvp_id).id
    for mvp in {mvp.id: mvp for mvp in roadmap.mvps if named in (None, mvp.id)}.values():
        mine = [job for job in jobs if job.spec.mvp == mvp.id]
        if not mine or is_refused(lab, roadmap_path, mvp.id, jobs):
            continue
        if why := _unread(lab, mine):
            lines.append(f"MVP-{mvp.id}: nothing is written of it: {why}")
            continue
        last = last_launch(mine)
        if has_ended(last) and unwritten(lab, last) and superseded(lab, last):
            if named is None:
                text = "an older launch is not written, as a later one was, whose folder is gone"
                lines.append(f"MVP-{mvp.id}: {text}; `vitlab sync {mvp.id}` writes it")
            again = again if named is None else mine
            continue
        written = has_ended(last) and not unwritten(lab, last)
        if mvp.status not in ("planned", "ready", "running") or not written:
            continue
        if named is not None:
            again = mine
        else:
            lines.append(
                f"MVP-{mvp.id} is {mvp.status}, though its results were written once: "
                f"`vitlab sync {mvp.id}` writes them again"
            )
    with as_unwritten(again):
        plan = pending(lab, roadmap_path, mvp_id)
    return Shown(**{**vars(plan), "left": (*plan.left, *lines)}, again=tuple(again))


def _unread(lab: Lab, mine: Sequence[Job]) -> str:
    """Why what ended of an MVP is not written yet: a file of it cannot be read."""
    launches = (last_launch(full_jobs(mine)), last_launch(mine))
    waiting = (one for one in launches if has_ended(one) and unwritten(lab, one))
    return next(filter(None, (unread(lab, one) for one in waiting)), "")


def accept(lab: Lab, plan: Pending) -> list[Path]:
    """Write what `plan` showed, each MVP as one undoable step; the files written.

    Each MVP is planned again on the files as they are now, so an edit made meanwhile survives;
    where it contradicts this one, `Conflict` names the place and nothing of the MVP is written.
    Nor is it where a run that ended meanwhile concludes otherwise than what was shown. Others are
    written all the same.
    """
    if isinstance(plan, Shown) and plan.again:
        record_unwritten(lab, plan.again)
    written, errors = list[Path](), dict[str, Exception]()
    for mvp_id in plan.mvps:
        with passing_over(f"MVP-{mvp_id}: nothing is written of it", errors):
            written += _accept(lab, plan, mvp_id)
    updates = gate_updates(lab, plan.path) if plan.gates else ()
    gates = [gate for gate in updates if gate.gate in plan.gates]
    for gate in gates:
        with passing_over(f"Gate-{gate.gate}: its result is not written", errors):
            written += _write_gate(lab, gate)
    lab.tell_passed_over(errors, len(errors) < len(plan.mvps) + len(gates))
    return list(dict.fromkeys(written))


def _accept(lab: Lab, plan: Pending, mvp_id: str) -> list[Path]:
    update = plan_mvp(lab, plan.path, mvp_id)
    if update is None:
        return []
    if not any(update.conclusion in line for line in plan.summary):
        why = "other results since this was shown; nothing of it is written, look again"
        raise Conflict(f"MVP-{mvp_id}: {why}")
    return _write(lab, update)


def accept_automatically(lab: Lab, roadmap_path: Path) -> list[Path]:
    """Write the results of what ended, where the lab's settings say `write_results: auto`.

    What was written once, as a report shows, goes over nobody's words where the record is lost.
    """
    if lab.settings.write_results != "auto":
        return []
    plan = pending(lab, roadmap_path)
    for mvp in plan.reported:
        what = f"MVP-{mvp}: its results stand in its report, of which .vitlab knows nothing"
        lab.tell(f"{what}; `vitlab sync {mvp}` shows what would be written over the documents")
    mvps = tuple(mvp for mvp in plan.mvps if mvp not in plan.reported)
    return accept(lab, replace(plan, mvps=mvps))


def plan_update(
    lab: Lab, roadmap_path: Path, mvp_id: str, conclusion: str | None = None
) -> MvpUpdate:
    """What is written of one MVP's results, with a person's own conclusion if given."""
    update = plan_mvp(lab, roadmap_path, mvp_id, own_conclusion=conclusion)
    if update is None:
        raise UsageError(f"MVP {mvp_id}: {_why_nothing(lab, roadmap_path, mvp_id)}")
    return update


def _why_nothing(lab: Lab, roadmap_path: Path, mvp_id: str) -> str:
    """Why nothing of an MVP is to be written, and what can be done."""
    every = of_roadmap(lab, all_jobs(lab.paths), roadmap_path)
    jobs = [job for job in every if job.spec.mvp == mvp_id]
    for launched in (last_launch(full_jobs(jobs)), last_launch(jobs)):
        waited_for = [job.name for job in launched if not has_ended([job])]
        if waited_for:
            more = f" and {len(waited_for) - 1} more" if len(waited_for) > 1 else ""
            return f"waits for {waited_for[0]}{more} to end: `vitlab wait {mvp_id}`, then again"
    if not jobs:
        return f"has not run: `vitlab run {mvp_id}` first"
    if why := _unread(lab, jobs):
        return f"nothing is written of it: {why}"
    if is_refused(lab, roadmap_path, mvp_id, jobs):
        return "nothing is left to write, a person refused to have its results written"
    return (
        "nothing is left to write, all its results are in the documents; after further runs or "
        "seeds it can be concluded anew, after `vitlab undo` in other words"
    )


def write(
    lab: Lab, roadmap_path: Path, mvp_id: str, conclusion: str | None = None, proposal: int = 0
) -> list[Path]:
    """Write `plan_update`; the files written. `proposal`: the number of the one it carries out."""
    return _write(lab, plan_update(lab, roadmap_path, mvp_id, conclusion), proposal)


def _write(lab: Lab, update: MvpUpdate, proposal: int = 0) -> list[Path]:
    what = f"MVP-{update.mvp}: results"
    note = {WRITTEN: ends_of(update.jobs), **carried_out(proposal)}
    written = save(update.changes, lab.journal, what=what, note=note)
    if not written:  # the documents say so already
        record_written(lab, update.jobs, [])
    record_numbers(lab, update.jobs, written, update.conclusion if update.is_own else "")
    if update.jobs[-1].spec.profile == "full":  # a trial decides no gate
        keep_verdicts(lab, update.mvp, written)
    return [file.path for file in written]


def _write_gate(lab: Lab, update: GateUpdate) -> list[Path]:
    """Write a gate's result anew; no job's results are written by it."""
    note = {WRITTEN: dict[str, float]()}
    written = save(update.changes, lab.journal, what=f"Gate-{update.gate}: result", note=note)
    record_numbers(lab, update.jobs, written)
    keep_verdicts(lab, update.jobs[-1].spec.mvp, written)
    return [file.path for file in written]


def refuse(lab: Lab, roadmap_path: Path, mvp_id: str) -> None:
    """Write nothing of an MVP's results and propose them no more, until `propose_again`."""
    jobs = plan_update(lab, roadmap_path, mvp_id).jobs
    record_refused(lab, roadmap_path, mvp_id, jobs)


def propose_again(lab: Lab, roadmap_path: Path, mvp_id: str) -> None:
    """Withdraw the refusal of an MVP's results."""
    jobs = of_roadmap(lab, all_jobs(lab.paths), roadmap_path)
    withdraw_refusal(lab, roadmap_path, mvp_id, jobs)


def fix(lab: Lab, problem: Problem) -> list[Path]:
    """Fix one problem if it is still there; the files written."""
    wanted = problem.finding
    same = [
        finding
        for finding in lint_file(lab, problem.path)
        if (finding.kind, finding.message) == (wanted.kind, wanted.message) and finding.fix
    ]
    nearest = min(same, key=lambda finding: abs(finding.line - wanted.line), default=None)
    if nearest is None or nearest.fix is None:
        raise UsageError(f"{problem.path.name}:{wanted.line}: nothing to fix here any more")
    fixed = save([change(read(problem.path), nearest.fix)], lab.journal, what="fix")
    return [file.path for file in fixed]


def undo(lab: Lab) -> Reverted:
    """Undo the last write to the documents."""
    return saved.undo(lab.journal)


def redo(lab: Lab) -> Reverted:
    """Redo the last undone write."""
    return saved.redo(lab.journal)


def open_in_editors(paths: Iterable[Path]) -> list[str]:
    """One line for each document that is open in an editor, whose next save would revert ours."""
    return [
        f"{path.name} is open in an editor ({sign}): reload it there before saving"
        for path in paths
        if (sign := open_elsewhere(path))
    ]
