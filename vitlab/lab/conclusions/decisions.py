"""What a proposal would do to the lab as it is now, and doing it: a person's decision."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vitlab.contract.job import Done, Spec
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.docs.save import FileChange
from vitlab.docs.write.gate_decisions import gate_status
from vitlab.jobs.store import all_jobs
from vitlab.lab.autopilot.budget import estimate, hours_text
from vitlab.lab.conclusions.check import NOTHING, check_because, check_conclusion, doubts_of_reason
from vitlab.lab.lab import Lab
from vitlab.lab.launch import Plan, Request, launch, plan_launch
from vitlab.lab.results.job_results import newest_results, of_roadmap
from vitlab.lab.results.ranking import verdicts_of
from vitlab.lab.tray.proposals import Proposal, Tray
from vitlab.lab.writeback.decisions import UNSUPPORTED as UNSUPPORTED
from vitlab.lab.writeback.decisions import (
    decide_gate,
    give_status,
    is_unsupported,
    judged_gate,
    lacks_support,
)
from vitlab.lab.writeback.edits import plan_update, status_changes, write
from vitlab.lab.writeback.gate_edits import gate_changes


@dataclass(frozen=True)
class Preview:
    """What accepting a proposal would do now."""

    proposal: Proposal
    summary: str
    """One line."""
    changes: tuple[FileChange, ...] = ()
    remarks: tuple[str, ...] = ()
    """What a person should know, a line each."""
    unsupported: bool = False
    """Accepting it needs a person's own reason."""
    problem: str = ""
    """Why it cannot be accepted any more; empty where it can."""


@dataclass(frozen=True)
class Accepted:
    """What was done."""

    files: tuple[Path, ...] = ()
    jobs: tuple[JobPaths, ...] = ()


def based(lab: Lab, proposal: Proposal) -> Proposal:
    """The proposal with what it rests on now; `UsageError` where it cannot be planned."""
    return replace(proposal, basis=_planned(lab, proposal)[1])


def preview(lab: Lab, proposal: Proposal) -> Preview:
    """What accepting it would do now; why not, where that cannot be planned."""
    try:
        shown, basis = _planned(lab, proposal)
    except UsageError as error:
        return Preview(proposal, _title(proposal), problem=str(error))
    return replace(shown, problem="" if basis == proposal.basis else _CHANGED)


def acceptable(lab: Lab, proposal: Proposal, because: str | None) -> Preview:
    """As `preview`; `UsageError` where it cannot be accepted.

    One that no result supports needs a person's reason, unless `because` is None.
    """
    if _launched(lab, proposal):
        return Preview(proposal, f"{_title(proposal)}: was launched already")
    shown = preview(lab, proposal)
    if shown.problem:
        raise UsageError(f"proposal {proposal.number}: {shown.problem}")
    if shown.unsupported and because is not None and not because.strip():
        why = f"{UNSUPPORTED}: give your reason (--because)"
        raise UsageError(f"proposal {proposal.number}: {why}")
    return shown


def waiting(lab: Lab) -> tuple[int, ...]:
    """The numbers of the proposals of this user that wait for a decision."""
    return Tray(lab).waiting()


def previews(lab: Lab) -> tuple[Preview, ...]:
    """What accepting each of those that wait would do now, oldest first."""
    return tuple(preview(lab, one) for one in Tray(lab).proposals())


_CHANGED = "what it rests on has changed since it was proposed; dismiss it"


def accept(lab: Lab, number: int, because: str = "") -> Accepted:
    """Do what a proposal says, on the lab as it is now; journalled as every write.

    `because`: a person's reason, which an edit that no result supports needs. `UsageError`, with
    nothing done, where what it rests on has changed.
    """
    tray = Tray(lab)
    with tray.locked():
        proposal = tray.proposal(number)
        if launched := _launched(lab, proposal):  # and whoever accepted it was killed
            done = Accepted(jobs=launched)
        else:
            shown = acceptable(lab, proposal, because)
            done = _carry_out(lab, proposal, shown, " ".join(because.split()))
        tray.decide(proposal, "accepted")
    return done


def dismiss(lab: Lab, number: int) -> None:
    """Take a proposal out of the tray; the same is not proposed again."""
    tray = Tray(lab)
    with tray.locked():
        tray.decide(tray.proposal(number), "dismissed")


def request_of(lab: Lab, proposal: Proposal) -> Request:
    """The launch that a proposal asks for."""
    roadmap, runs = lab.paths.inside(proposal.roadmap), proposal.runs
    return Request(roadmap, proposal.target, proposal.profile, runs=runs, seeds=proposal.seeds)


def _carry_out(lab: Lab, proposal: Proposal, shown: Preview, because: str) -> Accepted:
    path = lab.paths.inside(proposal.roadmap)
    if proposal.kind == "launch":
        return Accepted(jobs=launch(lab, plan_launch(lab, request_of(lab, proposal))).jobs)
    if proposal.kind == "results":
        given = proposal.target, proposal.text or None
        return Accepted(tuple(write(lab, path, *given, proposal.number)))
    if proposal.kind == "gate":
        why = because or proposal.text
        changes = _gate(lab, path, proposal, why)
        decided = proposal.target, proposal.word, why, changes
        written = decide_gate(lab, path, *decided, proposal.number)
    else:
        set_to = proposal.target, proposal.word, because, shown.changes
        written = give_status(lab, path, *set_to, proposal.number)
    return Accepted(tuple(one.path for one in written))


def _launched(lab: Lab, proposal: Proposal) -> tuple[JobPaths, ...]:
    """The jobs of its launch, where it was launched since it was proposed."""
    if proposal.kind != "launch":
        return ()
    mine = [
        job
        for job in of_roadmap(lab, all_jobs(lab.paths), lab.paths.inside(proposal.roadmap))
        if (job.spec.mvp, job.spec.profile) == (proposal.target, proposal.profile)
        and job.spec.submitted > proposal.at
    ]
    found = _digest(sorted(_identity(job.spec) for job in mine))
    return tuple(job.paths for job in mine) if mine and found == proposal.basis else ()


def _planned(lab: Lab, proposal: Proposal) -> tuple[Preview, str]:
    """What it would do now, and the digest of what it rests on."""
    path = lab.paths.inside(proposal.roadmap)
    match proposal.kind:
        case "launch":
            return _planned_launch(lab, proposal)
        case "results":
            return _planned_results(lab, path, proposal)
        case "gate":
            return _planned_gate(lab, path, proposal)
        case _:
            return _planned_status(lab, path, proposal)


def _planned_results(lab: Lab, path: Path, proposal: Proposal) -> tuple[Preview, str]:
    update, doubts = plan_update(lab, path, proposal.target), _doubts(lab, path, proposal)
    if proposal.text:
        roadmap = lab.read_roadmap(path)
        verdicts = verdicts_of(lab, roadmap, newest_results(lab, path))
        unread = check_conclusion(lab, update, proposal.text, roadmap.gates, verdicts)
        update, doubts = plan_update(lab, path, proposal.target, proposal.text), unread + doubts
    if not update.conclusion:
        raise UsageError(f"{update.summary}: {NOTHING}")
    ends = [(j.name, j.state.ended) for j in update.jobs if isinstance(j.state, Done)]
    found = Preview(proposal, f"results of {update.summary}", update.changes, doubts)
    return found, _digest(sorted(ends))


def _doubts(lab: Lab, path: Path, proposal: Proposal) -> tuple[str, ...]:
    """What no result of now bears out of its reason."""
    about = lab.read_roadmap(path), proposal.kind, proposal.target, newest_results(lab, path)
    return doubts_of_reason(lab, *about, proposal.reason)


def _planned_launch(lab: Lab, proposal: Proposal) -> tuple[Preview, str]:
    plan = plan_launch(lab, request_of(lab, proposal))
    remarks = [f"{one.status}: {one.text}" for one in plan.findings]
    remarks += _doubts(lab, plan.request.roadmap, proposal)
    found = Preview(proposal, launch_line(lab, plan), plan.changes, tuple(remarks))
    return found, _digest(sorted(map(_identity, plan.specs)))


def launch_line(lab: Lab, plan: Plan) -> str:
    """`launch MVP-1.0 at smoke: 3 jobs (seed=1, ...), about 2 min by 3 runs of ...`."""
    cost, names = estimate(lab, plan), [spec.run for spec in plan.specs]
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    takes = f"about {hours_text(cost.hours)} by {cost.source}" if cost.hours else cost.source
    what = f"launch MVP-{plan.request.mvp} at {plan.request.profile}"
    return f"{what}: {len(names)} job{'s' * (len(names) > 1)} ({shown}), {takes}"


def _planned_status(lab: Lab, path: Path, proposal: Proposal) -> tuple[Preview, str]:
    mvp = lab.read_roadmap(path).mvp(proposal.target)
    changes = status_changes(lab, path, mvp.id, proposal.word)
    if not changes:
        raise UsageError(f"MVP-{mvp.id}: is {proposal.word} already")
    has = {one.job.name for one in newest_results(lab, path) if one.result.mvp == mvp.id}
    lacks = is_unsupported(lab, path, mvp.id, proposal.word)
    remarks = (*([UNSUPPORTED] if lacks else []), *_doubts(lab, path, proposal))
    found = Preview(proposal, _title(proposal), tuple(changes), remarks, lacks)
    return found, _digest([mvp.status, sorted(has)])


def _planned_gate(lab: Lab, path: Path, proposal: Proposal) -> tuple[Preview, str]:
    gate, verdict = judged_gate(lab, path, proposal.target)
    changes = _gate(lab, path, proposal, proposal.text)
    if not changes:
        raise UsageError(f"Gate-{gate.id}: is {proposal.word} already")
    lacks = lacks_support(verdict, gate_status(proposal.word))
    because = f"by the results: {verdict.verdict}: {verdict.because}"
    newest = newest_results(lab, path)
    unread = check_because(lab, gate, verdict, newest, proposal.text)
    remarks = (*([UNSUPPORTED] if lacks else []), because, *unread, *_doubts(lab, path, proposal))
    found = Preview(proposal, _title(proposal), changes, remarks, lacks)
    return found, _digest([gate.status, verdict.verdict, sorted(verdict.values.items())])


def _gate(lab: Lab, path: Path, proposal: Proposal, because: str) -> tuple[FileChange, ...]:
    changes = gate_changes(lab, path, proposal.target, proposal.word, because)
    return tuple(change for change, _ in changes)


def _title(proposal: Proposal) -> str:
    name = "Gate" if proposal.kind == "gate" else "MVP"
    what = {"launch": f"launch at {proposal.profile}", "results": "write the results"}
    return f"{name}-{proposal.target}: {what.get(proposal.kind, proposal.word)}"


def _identity(spec: Spec) -> tuple[str, str]:
    return spec.run, spec.hash


def _digest(parts: Sequence[object]) -> str:
    text = json.dumps(parts, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
