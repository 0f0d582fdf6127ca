"""An autopilot as people and programs are told of it; once all is over, as it was at its end."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from vitlab.contract.paths import UsageError, cause
from vitlab.lab.autopilot.branches import GateFact
from vitlab.lab.autopilot.budget import Estimate, Spent, spent
from vitlab.lab.autopilot.decide import (
    UNFIT,
    Candidate,
    Facts,
    JobFact,
    JobWord,
    needs_you,
    unfit,
)
from vitlab.lab.autopilot.facts import Reading
from vitlab.lab.autopilot.record import Autopilot, Launch
from vitlab.lab.lab import Lab
from vitlab.lab.results.job_results import of_roadmap
from vitlab.lab.writeback.sync_ledger import results_to_write
from vitlab.lab.writeback.writeback import end_summary


@dataclass(frozen=True)
class Tried:
    """One launch, as it stands."""

    launch: Launch
    jobs: tuple[JobFact, ...]
    spent: Spent
    found: str
    """One line on what came of it."""

    @property
    def counts(self) -> dict[JobWord, int]:
        """How many of its jobs ended how."""
        return dict(Counter(job.word for job in self.jobs))


@dataclass(frozen=True)
class Report:
    """An autopilot as people and programs are told of it."""

    pilot: Autopilot
    facts: Facts
    tried: tuple[Tried, ...]
    decided: tuple[tuple[str, GateFact], ...]
    """The verdict at the start, and the gate as it stands, of those that changed."""
    waits: tuple[tuple[str, str], ...]
    """What a person has to do, or is not launched, each with why."""
    coming: tuple[str, ...] = ()
    """The MVPs it launches next, or would have launched, in order."""
    unwritten: tuple[str, ...] = ()
    """MVPs whose results wait to be written, as the settings want."""


def report_of(lab: Lab, pilot: Autopilot) -> Report:
    """Where an autopilot stands now; what was at its end, once its jobs have ended too.

    Which results wait to be written is told as it is now.
    """
    reading = Reading(lab, pilot)
    unwritten = tuple(_unwritten(lab, pilot, reading))
    if (kept := _kept_report(pilot)) is not None:
        return replace(kept, unwritten=unwritten)
    facts = reading.facts()
    tried = []
    for launch in pilot.launches:
        jobs = tuple(job for job in facts.jobs if job.launch == launch.number)
        own = [reading.own[job.name][1] for job in jobs]
        tried.append(Tried(launch, jobs, spent(own, facts.now), _found(lab, launch, jobs)))
    decided = [
        (before, gate)
        for gate in facts.gates
        if (before := pilot.verdicts.get(gate.key, gate.standing)) != gate.standing
        and gate.standing in ("pass", "fail")
    ]
    waits, coming = tuple(_waits(pilot, facts, tried)), tuple(_coming(pilot, facts))
    return Report(pilot, facts, tuple(tried), tuple(decided), waits, coming, unwritten)


def to_keep(report: Report) -> dict[str, Any]:
    """A report as the autopilot's file keeps it, for `report_of`; of what changes on, nothing."""
    parts = asdict(report)
    for one, part in zip(report.tried, parts["tried"], strict=True):
        part["launch"] = one.launch.number
    return {name: parts[name] for name in ("facts", "tried", "decided", "waits", "coming")}


def _kept_report(pilot: Autopilot) -> Report | None:
    """What `to_keep` has kept; None where there is nothing, or another version has kept it."""
    launches = {one.number: one for one in pilot.launches}
    try:
        parts = pilot.at_end
        facts = parts["facts"]
        candidates = (
            Candidate(**{**one, "estimate": Estimate(**one["estimate"])})
            for one in facts["candidates"]
        )
        gates = (GateFact(**one) for one in facts["gates"])
        kept = Facts(
            **{
                **facts,
                "jobs": _jobs(facts["jobs"]),
                "candidates": tuple(candidates),
                "gates": tuple(gates),
                "unread": tuple((name, why) for name, why in facts.get("unread", ())),
                "spent": Spent(**facts["spent"]),
            }
        )
        tried = (
            Tried(launches[one["launch"]], _jobs(one["jobs"]), Spent(**one["spent"]), one["found"])
            for one in parts["tried"]
        )
        decided = tuple((before, GateFact(**gate)) for before, gate in parts["decided"])
        waits = tuple((name, why) for name, why in parts["waits"])
        return Report(pilot, kept, tuple(tried), decided, waits, tuple(parts["coming"]))
    except (KeyError, TypeError, ValueError):
        return None


def _jobs(kept: Sequence[dict[str, Any]]) -> tuple[JobFact, ...]:
    return tuple(JobFact(**one) for one in kept)


def _kept(pilot: Autopilot, facts: Facts, one: Candidate) -> str:
    """Why it is not launched; empty where it is next, or was when the autopilot ended."""
    if pilot.state != "ended":
        return one.held or unfit(pilot, facts, one.estimate)
    then = replace(facts, now=pilot.ended)
    return one.held or (unfit(pilot, then, one.estimate) if pilot.why == UNFIT else "")


def _coming(pilot: Autopilot, facts: Facts) -> Iterator[str]:
    for one in facts.candidates:
        if not _kept(pilot, facts, one):
            yield pilot.named(one.roadmap, f"MVP-{one.mvp}")


def _found(lab: Lab, launch: Launch, jobs: Sequence[JobFact]) -> str:
    if launch.refused or not jobs:
        return launch.refused
    if any(job.is_active for job in jobs):
        return ""
    try:
        line = end_summary(lab, lab.paths.inside(launch.roadmap), launch.mvp)
    except (UsageError, OSError) as error:
        return cause(error)
    return line.removeprefix(f"MVP-{launch.mvp}: ")


def _waits(pilot: Autopilot, facts: Facts, tried: Sequence[Tried]) -> Iterator[tuple[str, str]]:
    yield from facts.unread
    for gate in needs_you(facts):
        yield pilot.named(gate.roadmap, f"Gate-{gate.id}"), gate.because
    for gate in facts.gates:
        name = pilot.named(gate.roadmap, f"Gate-{gate.id}")
        if gate.unsupported:
            yield name, f"decided by hand; {gate.unsupported}"
        if (rules := pilot.rules.get(gate.key, gate.rules)) != gate.rules:
            yield name, f"its rules were changed while it ran; before: {rules}"
    for one in tried:
        for job in one.jobs:
            if job.word in ("lost", "held", "behind"):
                yield job.name, job.word
    for left in facts.candidates:
        if why := _kept(pilot, facts, left):
            yield pilot.named(left.roadmap, f"MVP-{left.mvp}"), why


def _unwritten(lab: Lab, pilot: Autopilot, reading: Reading) -> Iterator[str]:
    for name in pilot.roadmaps:
        with contextlib.suppress(UsageError, OSError):
            jobs = of_roadmap(lab, reading.jobs, lab.paths.inside(name))
            mvps = [launch.mvp for launch in pilot.launches if launch.roadmap == name]
            for mvp in results_to_write(lab, jobs, mvps):
                yield pilot.named(name, f"MVP-{mvp}")


def public_record(report: Report) -> dict[str, object]:
    """What `vitlab auto --json` prints: {state, why, done, left, spent}, and more."""
    pilot, facts = report.pilot, report.facts
    return {
        "state": pilot.state,
        "why": pilot.why,
        "done": [_record(one) for one in report.tried],
        "left": [
            {"roadmap": one.roadmap, "mvp": one.mvp, "profile": one.profile or None,
             "why": one.held or None}
            for one in facts.candidates
        ],
        "spent": {
            "hours": ((pilot.ended or facts.now) - pilot.started) / 3600,
            "job_hours": facts.spent.wall_hours,
            "core_hours": facts.spent.core_hours,
            "gpu_hours": facts.spent.gpu_hours,
        },
        "budget": {"hours": pilot.budget, "gpu_hours": pilot.gpu_hours},
        "decided": [
            {"roadmap": gate.roadmap, "gate": gate.id, "before": before, "now": gate.standing}
            for before, gate in report.decided
        ],
        "waits": [f"{name}: {why}" for name, why in report.waits],
        "unwritten": list(report.unwritten),
        "page": pilot.page or None,
    }  # fmt: skip


def _record(one: Tried) -> dict[str, object]:
    return {
        "roadmap": one.launch.roadmap,
        "mvp": one.launch.mvp,
        "profile": one.launch.profile,
        "jobs": [job.name for job in one.jobs],
        "ends": one.counts,
        "hours": one.spent.wall_hours,
        "core_hours": one.spent.core_hours,
        "gpu_hours": one.spent.gpu_hours,
        "found": one.found or None,
        "refused": one.launch.refused or None,
    }
