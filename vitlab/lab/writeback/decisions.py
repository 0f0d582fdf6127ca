"""What was decided of gates and MVPs: by whom and why, and the verdicts that nothing explains.

`.vitlab/decisions.json` is sealed. A verdict is explained by the results, by a decision that a
person took with vitlab, or by having stood there before the first job of its roadmap.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from vitlab.contract.paths import UsageError, real
from vitlab.docs.journal import digest
from vitlab.docs.judge.verdict import STANDING, Verdict
from vitlab.docs.lint.finding import Finding
from vitlab.docs.lint.verdicts import in_words
from vitlab.docs.model.gates.gates import Gate
from vitlab.docs.model.roadmap import Mvp, Roadmap, parse_roadmap
from vitlab.docs.save import FileChange, read_entry, save
from vitlab.docs.text.inline import folded
from vitlab.docs.text.source import Document
from vitlab.docs.write.gate_decisions import find_gate, gate_status
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.after_save import DECISION, PROPOSAL, locked, raw_decisions, write_decisions
from vitlab.lab.earlier import is_settled, read_earlier
from vitlab.lab.lab import Lab
from vitlab.lab.results.decided import (
    BY_RESULTS,
    Decision,
    decided,
    decided_by_person,
    given_by_person,
)
from vitlab.lab.results.job_results import finished, latest, newest_results, of_roadmap
from vitlab.lab.results.launches import full_jobs
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.writeback.written_numbers import read_numbers, rules_text

_SHOWN = 120
"""Characters of a rule."""
UNSUPPORTED = "no result supports it"


def judged_gate(lab: Lab, path: Path, name: str) -> tuple[Gate, Verdict]:
    """A gate of a roadmap, and its verdict by the results there are."""
    roadmap = lab.read_roadmap(path)
    gate, verdicts = find_gate(roadmap, name), verdicts_of(lab, roadmap, newest_results(lab, path))
    return gate, next(one for one in verdicts if one.id == gate.id)


def lacks_support(verdict: Verdict, status: str) -> bool:
    """Whether the results do not say what a gate would be given."""
    return status in STANDING and STANDING[status] != verdict.verdict


def check_reason(
    lab: Lab, path: Path, name: str, word: str, because: str, option: str = ""
) -> None:
    """`UsageError` where a gate would be decided without a result for it, and without a reason.

    `option`: how a reason is given.
    """
    gate, verdict = judged_gate(lab, path, name)
    if because.strip().startswith(BY_RESULTS):
        raise UsageError(f"Gate-{gate.id}: {BY_RESULTS!r} begins what vitlab itself decides")
    if lacks_support(verdict, gate_status(word)) and not because.strip():
        says = f"by the results {verdict.verdict}: {verdict.because}"
        raise UsageError(f"Gate-{gate.id}: {UNSUPPORTED}: give your reason{option}; {says}")


def is_unsupported(lab: Lab, path: Path, mvp: str, status: str) -> bool:
    """Whether an MVP would be done of which no job has a full result, by its bare id."""
    mine = [job for job in of_roadmap(lab, all_jobs(lab.paths), path) if job.spec.mvp == mvp]
    return status == "done" and not finished(full_jobs(mine))


def needs_reason(lab: Lab, path: Path, mvp: str, status: str) -> bool:
    """Whether an MVP, by its bare id, would be done of which no job has a full result.

    Not before the first job of its roadmap: it may be of a plan that is older than its lab.
    """
    if not is_unsupported(lab, path, mvp, status):
        return False
    jobs = of_roadmap(lab, all_jobs(lab.paths), path)
    return read_earlier(lab, path) is not None or any(job.spec.mvp == mvp for job in jobs)


def check_done(
    lab: Lab, path: Path, name: str, status: str, because: str, option: str = ""
) -> None:
    """`UsageError` where an MVP would be done without a full result, and without a reason.

    `option`: how a reason is given.
    """
    mvp = lab.read_roadmap(path).mvp(name).id
    if not because.strip() and needs_reason(lab, path, mvp, status):
        raise UsageError(f"MVP-{mvp}: {UNSUPPORTED}: give your reason{option}")


def give_status(
    lab: Lab,
    path: Path,
    name: str,
    status: str,
    because: str,
    changes: Sequence[FileChange],
    proposal: int = 0,
) -> tuple[FileChange, ...]:
    """Write the status that a person gives an MVP, and keep the reason; what was written.

    A reason is kept although the document says so already: with it numbers of the MVP stand that
    no job here has. `UsageError` as of `check_done`.
    """
    check_done(lab, path, name, status, because)
    mvp, because = lab.read_roadmap(path).mvp(name).id, " ".join(because.split())
    what = f"MVP-{mvp}: status {status}" + f" ({because})" * bool(because)
    if not because:
        note = carried_out(proposal)
        return save(changes, lab.journal, what=what, note=note) if changes else ()
    new = _decision(lab, path, "", status, because, mvp)
    return _save_decided(lab, new, changes, what, proposal)


def decide_gate(
    lab: Lab,
    path: Path,
    name: str,
    word: str,
    because: str,
    changes: Sequence[FileChange],
    proposal: int = 0,
) -> tuple[FileChange, ...]:
    """Write a person's decision of a gate, and keep it with its reason; what was written.

    It is kept although a document says so already. `UsageError` as of `check_reason`.
    """
    check_reason(lab, path, name, word, because)
    gate = find_gate(lab.read_roadmap(path), name)
    because = " ".join(because.split())
    what = f"Gate-{gate.id}" + f": {because}" * bool(because)
    new = _decision(lab, path, gate.id, gate_status(word), because)
    return _save_decided(lab, new, changes, what, proposal)


def keep_verdicts(lab: Lab, mvp: str, written: Iterable[FileChange]) -> None:
    """Keep the verdicts that a write of an MVP's results brought into roadmaps, or took back."""
    known = {real(path) for path in lab.roadmaps()}
    kept = []
    for one in written:
        if real(one.path) in known:
            before, now = (
                {gate.id: gate.status for gate in _parsed(lab, one.path, text).gates}
                for text in (one.old_text or "", one.new_text)
            )
            kept += [
                _decision(
                    lab,
                    one.path,
                    gate,
                    status or "",
                    f"{BY_RESULTS}{mvp}",
                    text=digest(one.new_text),
                )
                for gate, status in now.items()
                if status != (was := before.get(gate))
                and not STANDING.keys().isdisjoint({status, was})
            ]
    _keep(lab, kept)


def unexplained(
    lab: Lab, roadmap: Roadmap, jobs: Iterable[Job]
) -> tuple[dict[str, Verdict], dict[str, Verdict]]:
    """The verdict of each gate, and of those whose own in the document nothing explains.

    What rests on such a one is judged as if that were not decided. `jobs`: those of the roadmap.
    """
    path = roadmap.document.path
    assert path is not None
    mine = list(jobs)
    newest = latest(finished(mine))
    with_jobs, without = {job.spec.mvp for job in mine}, dict[str, Verdict]()
    given, earlier = decided(lab, path), read_earlier(lab, path)
    seen = roadmap
    while True:
        verdicts = {one.id: one for one in verdicts_of(lab, seen, newest)} if seen.gates else {}
        more = {}
        for gate in seen.gates:
            status, key = gate.status or "", folded(gate.id)
            if not lacks_support(verdicts[gate.id], status):
                continue
            last = given[key] if key in given else _last_in_journal(lab, path, gate)
            if last is not None:
                is_known = last == status
            elif earlier is not None:
                is_known = earlier.gates.get(key) == status
            else:  # of a lab whose jobs are older than that note
                is_known = with_jobs.isdisjoint(gate.mvps) and is_settled(roadmap, gate)
            if not is_known:
                more[gate.id] = verdicts[gate.id]
        if not more:
            return verdicts, without
        without |= more
        seen = roadmap.undecided(without)


def rule_findings(lab: Lab, roadmap: Roadmap) -> list[Finding]:
    """Each gate whose rule or MVPs are others than when results that decide it were written.

    A note where it stands by its rule of now, or is open.
    """
    path, found = roadmap.document.path, list[Finding]()
    written, name = read_numbers(lab), lab.paths.relative(path) if path else ""
    by_person = decided_by_person(lab, roadmap)
    for gate in roadmap.gates:
        key, is_settled = folded(gate.id), gate.status not in STANDING or gate.id in by_person
        rules, now = written.rules_of(name, key), rules_text(gate)
        if (was := next((one for one in reversed(rules) if one != now), None)) is not None:
            message = (
                f"Gate-{gate.id}: its rule was {was[:_SHOWN]!r} when results were written, "
                f"and is {now[:_SHOWN]!r} now"
            )
            is_note = is_settled or rules[-1] == now
            found.append(Finding(gate.line, "gate-rule-changed", message, is_note=is_note))
        mvps, own = written.mvps_of(name, key), frozenset(gate.mvps)
        if (were := next((one for one in reversed(mvps) if one != own), None)) is not None:
            message = (
                f"Gate-{gate.id}: it was judged by {_mvps(were)} when results were written, "
                f"and is by {_mvps(own)} now"
            )
            is_note = is_settled or mvps[-1] == own
            found.append(Finding(gate.line, "gate-rule-changed", message, is_note=is_note))
    return found


def _mvps(ids: Iterable[str]) -> str:
    return ", ".join(f"MVP-{one}" for one in sorted(ids))[:_SHOWN] or "no MVP"


def decision_findings(lab: Lab, roadmap: Roadmap) -> list[Finding]:
    """Each gate whose verdict nothing explains; in one note those older than the lab's jobs."""
    path = roadmap.document.path
    if path is None or not any(gate.status in STANDING for gate in roadmap.gates):
        return []
    jobs = of_roadmap(lab, all_jobs(lab.paths), path)
    if not jobs:
        return []
    verdicts, without = unexplained(lab, roadmap, jobs)
    found, given = [], decided(lab, path)
    older = [
        gate
        for gate in roadmap.gates
        if gate.id not in without
        and lacks_support(verdicts[gate.id], gate.status or "")
        and folded(gate.id) not in given
    ]
    for gate in roadmap.gates:
        if gate.id in without:
            message = f"Gate-{gate.id} {unexplained_line(lab, path, gate)}"
            found.append(Finding(gate.line, "gate-without-evidence", message))
    if older:
        names = ", ".join(f"Gate-{gate.id}" for gate in older)
        message = f"{names}: decided without a result of this lab, before its jobs or by hand"
        found.append(Finding(older[0].line, "gate-without-evidence", message, is_note=True))
    return found


def done_findings(lab: Lab, roadmap: Roadmap) -> list[Finding]:
    """Each MVP of `done_unsupported`."""
    found = done_unsupported(lab, roadmap)
    return [Finding(mvp.line, "done-without-result", f"MVP-{mvp.id} {why}") for mvp, why in found]


def done_unsupported(lab: Lab, roadmap: Roadmap) -> list[tuple[Mvp, str]]:
    """Each MVP that says done with neither a full result nor a person's reason, and that in words.

    Not those that said so before the first job of their roadmap.
    """
    path = roadmap.document.path
    earlier = read_earlier(lab, path)
    if path is None or earlier is None or earlier.done is None:
        return []
    jobs, given = of_roadmap(lab, all_jobs(lab.paths), path), given_by_person(lab, roadmap)
    full = {job.name for job in full_jobs(jobs)}
    has = {one.result.mvp for one in finished(jobs) if one.job.name in full}
    name = shlex.quote(lab.paths.relative(path))
    return [
        (
            mvp,
            f"says done, {UNSUPPORTED} and no reason is recorded: "
            f"`vitlab set {name} --mvp {mvp.id} --status done --because TEXT` records yours",
        )
        for mvp in roadmap.mvps
        if mvp.status == "done" and mvp.id not in earlier.done | has | given.keys()
    ]


def unexplained_line(lab: Lab, path: Path, gate: Gate) -> str:
    """`says passed, ...`: what is wrong with a verdict, and the command that decides the gate."""
    name, word = shlex.quote(lab.paths.relative(path)), in_words(gate.status)
    decide = f"vitlab set {name} --gate {gate.id} --status {word} --because TEXT"
    return f"says {word}, {UNSUPPORTED} and no decision is recorded: `{decide}` records yours"


def _last_in_journal(lab: Lab, path: Path, gate: Gate) -> str | None:
    """The status that a person gave a gate last with an earlier vitlab, which kept no decisions."""
    for number, state in reversed(lab.journal.entries()):
        entry = read_entry(lab.journal, number, state) if state == "done" else None
        if entry is None or entry.what.partition(":")[0] != f"Gate-{gate.id}":
            continue
        for one in entry.changes:
            if real(one.path) == real(path):
                then = _parsed(lab, path, one.new_text).gates
                return next((other.status or "" for other in then if other.id == gate.id), None)
    return None


def _parsed(lab: Lab, path: Path, text: str) -> Roadmap:
    return parse_roadmap(Document(text, path), lab.vocabulary_of(path))


def _decision(
    lab: Lab, path: Path, gate: str, status: str, because: str, mvp: str = "", text: str = ""
) -> Decision:
    """`text`: the digest of what the document is left with; empty where it is not known yet."""
    now, name = time.time(), lab.paths.relative(path)
    return Decision(name, folded(gate), status, because, now, text, mvp=mvp)


def _save_decided(
    lab: Lab, new: Decision, changes: Sequence[FileChange], what: str, proposal: int
) -> tuple[FileChange, ...]:
    """Write what follows from a decision, which is kept with it: never one without the other."""
    note = {DECISION: asdict(new), **carried_out(proposal)}
    written = save(changes, lab.journal, what=what, note=note) if changes else ()
    if not written:  # the document says so already
        _keep(lab, [new])
    return written


def carried_out(proposal: int) -> dict[str, object]:
    """What is noted with a save that carries out the proposal of this number; 0 is none."""
    return {PROPOSAL: proposal} if proposal else {}


def _keep(lab: Lab, new: Sequence[Decision]) -> None:
    if new:
        with locked(lab.paths):
            every = [*raw_decisions(lab.paths), *map(asdict, new)]
            write_decisions(lab.paths, every)
