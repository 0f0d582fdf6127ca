"""Tools that propose, and the one that launches: nothing is written but what a person accepts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from vitlab.commands.agents.server.answers import Answer, shortened
from vitlab.commands.agents.server.reading import budget
from vitlab.commands.agents.server.session import Arguments, Session, Tool, roadmap_of
from vitlab.contract.job import PROFILES, STATUSES, bare_id
from vitlab.contract.paths import UsageError
from vitlab.docs.write.gate_decisions import find_gate
from vitlab.lab.conclusions.check import (
    NOTHING,
)
from vitlab.lab.conclusions.decisions import based, launch_line, preview
from vitlab.lab.lab import Lab
from vitlab.lab.launch import Plan, Request, default_profile, plan_launch
from vitlab.lab.live.changes import ChangeLog
from vitlab.lab.results.job_results import newest_results
from vitlab.lab.tray.proposals import Kind, Proposal, Tray, short_text
from vitlab.lab.tray.refusals import check_repeat

_RUNS = {"type": "array", "items": {"type": "string"}, "maxItems": 50}
_SEEDS = {"type": "integer", "minimum": 0, "maximum": 20, "description": "further seeds"}
_TEXT = {"type": "string"}
_REASON = {"type": "string", "description": "for the person who decides"}
_LAUNCH: dict[str, Mapping[str, object]] = {
    "mvp": {"type": "string"},
    "roadmap": _TEXT,
    "profile": {"enum": list(PROFILES)},
    "runs": {**_RUNS, "description": "of a sweep; default: all"},
}


def _plan(lab: Lab, arguments: Arguments) -> Plan:
    mvp = bare_id(arguments["mvp"])
    roadmap = lab.roadmap_with(mvp, roadmap_of(lab, arguments))
    profile = arguments.get("profile") or default_profile(lab, roadmap, mvp)
    runs, seeds = tuple(arguments.get("runs", ())), arguments.get("seeds", 0)
    return plan_launch(lab, Request(roadmap, mvp, profile, runs=runs, seeds=seeds))


def _preview(session: Session, arguments: Arguments) -> Answer:
    lab = session.lab()
    plan = _plan(lab, arguments)
    data = {
        "launch": launch_line(lab, plan),
        "findings": [f"{one.status}: {one.text}" for one in plan.findings],
        "writes": [lab.paths.relative(change.path) for change in plan.changes],
    }
    try:
        check_repeat(lab, plan.specs)
        if session.role == "act":
            data["budget"] = session.account(lab).check(plan)
    except UsageError as error:
        data["refused"] = str(error)
    return Answer(shortened({name: value for name, value in data.items() if value}))


def _propose_launch(session: Session, arguments: Arguments) -> Answer:
    lab = session.lab()
    plan = _plan(lab, arguments)
    check_repeat(lab, plan.specs)
    proposal = _proposal(lab, "launch", plan.request.roadmap, plan.request.mvp, arguments)
    profile, runs, seeds = plan.request.profile, tuple(plan.request.runs), plan.request.seeds
    return _put(lab, replace(proposal, profile=profile, runs=runs, seeds=seeds))


def _propose_status(session: Session, arguments: Arguments) -> Answer:
    lab = session.lab()
    mvp = bare_id(arguments["mvp"])
    roadmap = lab.roadmap_with(mvp, roadmap_of(lab, arguments))
    proposal = _proposal(lab, "status", roadmap, mvp, arguments)
    return _put(lab, replace(proposal, word=arguments["status"]))


def _propose_results(session: Session, arguments: Arguments) -> Answer:
    lab = session.lab()
    mvp = bare_id(arguments["mvp"])
    roadmap = lab.roadmap_with(mvp, roadmap_of(lab, arguments))
    text = short_text("conclusion", arguments.get("conclusion", ""))
    if not any(one.result.mvp == mvp for one in newest_results(lab, roadmap)):
        raise UsageError(f"MVP-{mvp}: {NOTHING}")
    return _put(lab, replace(_proposal(lab, "results", roadmap, mvp, arguments), text=text))


def _propose_gate(session: Session, arguments: Arguments) -> Answer:
    lab = session.lab()
    roadmap = roadmap_of(lab, arguments) or _with_gate(lab, arguments["gate"])
    gate = find_gate(lab.read_roadmap(roadmap), arguments["gate"])
    proposal = _proposal(lab, "gate", roadmap, gate.id, arguments)
    text = short_text("because", arguments.get("because", ""))
    return _put(lab, replace(proposal, word=arguments["status"], text=text))


def _with_gate(lab: Lab, name: str) -> Path:
    """The only roadmap that has a gate."""
    found: list[Path] = []
    problem = UsageError(lab.no_roadmap)
    for path in lab.roadmaps():
        try:
            find_gate(lab.read_roadmap(path), name)
        except UsageError as error:
            problem = error
        else:
            found.append(path)
    if not found:
        raise problem
    if len(found) > 1:
        names = ", ".join(map(lab.paths.relative, found))
        raise UsageError(f"gate {name!r} is in several roadmaps ({names}): name one")
    return found[0]


def _proposal(lab: Lab, kind: Kind, roadmap: Path, target: str, arguments: Arguments) -> Proposal:
    reason = short_text("reason", arguments["reason"], needed=True)
    return Proposal(kind, lab.paths.relative(roadmap), target, reason)


def _put(lab: Lab, proposal: Proposal) -> Answer:
    """Put a proposal into the tray, once it is known what it would do."""
    put = Tray(lab).add(based(lab, proposal))
    shown = preview(lab, put)
    files = [lab.paths.relative(change.path) for change in shown.changes]
    data = {"summary": shown.summary, "remarks": list(shown.remarks), "writes": files}
    kept = {name: value for name, value in data.items() if value}
    own = {"proposal": put.number, "next": "a person accepts or dismisses it; `tray` tells"}
    return Answer(shortened(kept), own)


def _launch(session: Session, arguments: Arguments) -> Answer:
    lab = session.lab()
    short_text("reason", arguments["reason"], needed=True)
    log = ChangeLog(lab)
    log.look()  # so that the cursor is before whatever the launch brings
    launched = session.account(lab).launch(_plan(lab, arguments))
    names = [job.name for job in launched.jobs]
    notice = launched.notice(lab)
    own = {"cursor": log.cursor, "budget": budget(session, lab)}
    return Answer({"jobs": names, **({"notice": notice} if notice else {})}, own)


TOOLS = (
    Tool(
        "preview",
        "What a launch would run, write and take, and why it would be refused; launches nothing.",
        _preview,
        {**_LAUNCH, "seeds": _SEEDS},
        ("mvp",),
    ),
    Tool(
        "propose_launch",
        "Propose a launch, also further seeds of what has run.",
        _propose_launch,
        {**_LAUNCH, "seeds": _SEEDS, "reason": _REASON},
        ("mvp", "reason"),
        "propose",
    ),
    Tool(
        "propose_results",
        "Propose to write an MVP's numbers and conclusion into the documents. Without `conclusion` "
        "vitlab draws one; in yours every number must be one of the results.",
        _propose_results,
        {"mvp": _TEXT, "roadmap": _TEXT, "conclusion": _TEXT, "reason": _REASON},
        ("mvp", "reason"),
        "propose",
    ),
    Tool(
        "propose_status",
        "Propose a status of an MVP.",
        _propose_status,
        {"mvp": _TEXT, "roadmap": _TEXT, "status": {"enum": list(STATUSES)}, "reason": _REASON},
        ("mvp", "status", "reason"),
        "propose",
    ),
    Tool(
        "propose_gate",
        "Propose that a gate has passed or failed, or is open again. Where the results do not say "
        "so the tray tells that, and a person has to give a reason.",
        _propose_gate,
        {
            "gate": _TEXT,
            "roadmap": _TEXT,
            "status": {"enum": ["passed", "failed", "open"]},
            "because": {"type": "string", "description": "as it would stand in the document"},
            "reason": _REASON,
        },
        ("gate", "status", "reason"),
        "propose",
    ),
    Tool(
        "launch",
        "Launch an MVP within the budget. The same seed is never run twice; what is over the "
        "budget can be proposed. `cursor` is for wait.",
        _launch,
        {**_LAUNCH, "reason": _REASON},
        ("mvp", "reason"),
        "act",
    ),
)
