"""What a person does with an autopilot: plan, start, pause, go on and end it."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vitlab.contract.job import bare_id
from vitlab.contract.paths import UsageError
from vitlab.jobs import slurm
from vitlab.jobs.environment import record_environment, this_environment
from vitlab.jobs.processes import boot, uptime
from vitlab.jobs.queue.scheduler import wake_autopilot
from vitlab.lab.autopilot.decide import Candidate, End, Facts, decide, unfit
from vitlab.lab.autopilot.facts import Reading
from vitlab.lab.autopilot.record import (
    BY_YOU,
    Autopilot,
    ask_again,
    here,
    locked,
    read_autopilot,
    write_autopilot,
)
from vitlab.lab.autopilot.step import digest, end
from vitlab.lab.lab import Lab

RUNS = "an autopilot is already {state} in this lab: `vitlab auto` shows it, `--end` ends it"
NONE = "no autopilot in this lab: `vitlab auto --budget 8h` starts one"


@dataclass(frozen=True)
class Wanted:
    """What a person gives a new autopilot."""

    budget: float
    """Hours since its start."""
    roadmap: Path | None = None
    """None: all roadmaps of the lab."""
    gpu_hours: float | None = None
    at_once: int = 1
    until: str = ""
    """As typed: `Gate-2`, `MVP-3.0`, `3.0`; empty: until nothing is left."""
    profile: str = ""
    backend: Literal["local", "slurm"] = "local"


@dataclass(frozen=True)
class Step:
    """One launch that is planned."""

    candidate: Candidate
    starts: float | None
    """Hours after the start, as expected; None where that is not known, or it is not launched."""
    why_not: str
    """Why it is not launched, or does not fit the budget; empty where it does."""


@dataclass(frozen=True)
class Forecast:
    """What an autopilot would do, as far as that is known before any result."""

    pilot: Autopilot
    steps: tuple[Step, ...]

    @property
    def hours(self) -> float:
        """Of what is expected to be launched; what no earlier run tells counts as nothing."""
        going = (one.candidate.estimate.hours for one in self.steps if not one.why_not)
        return math.fsum(hours or 0.0 for hours in going)


def forecast(lab: Lab, wanted: Wanted) -> Forecast:
    """The plan of a new autopilot: order, jobs, hours, and what will not fit the budget."""
    pilot = _new(lab, wanted)
    facts = _facts(lab, pilot)
    for name, why in facts.unread:
        lab.tell(f"{name}: {why}")
    return Forecast(pilot, tuple(_steps(pilot, facts, _last(lab, pilot, facts))))


def _last(lab: Lab, pilot: Autopilot, facts: Facts) -> set[tuple[str, str]]:
    """The roadmap and MVP of all that it runs until; empty where it goes on to the plan's end."""
    kind, _, wanted = pilot.until.partition(" ")
    if kind == "mvp":
        return {(one.roadmap, wanted) for one in facts.candidates if one.mvp == wanted}
    deciding = {
        (name, mvp)
        for name in pilot.roadmaps
        for gate in lab.read_roadmap(lab.paths.inside(name)).gates
        if kind == "gate" and gate.id == wanted
        for mvp in gate.mvps
    }
    return deciding & {(one.roadmap, one.mvp) for one in facts.candidates}


def _facts(lab: Lab, pilot: Autopilot) -> Facts:
    """Those at the start; `UsageError` where what it is to run until can never come."""
    facts = Reading(lab, pilot).facts()
    kind, _, wanted = pilot.until.partition(" ")
    if kind == "mvp" and wanted not in {one.mvp for one in facts.candidates}:
        raise UsageError(f"--until MVP-{wanted}: it does not wait in the plan")
    return facts


def _steps(pilot: Autopilot, facts: Facts, last: set[tuple[str, str]]) -> list[Step]:
    steps: list[Step] = []
    elapsed, gpus = 0.0, 0.0
    for one in facts.candidates:
        then = replace(facts, now=pilot.started + elapsed * 3600)
        left = None if pilot.gpu_hours is None else pilot.gpu_hours - gpus
        why = one.held or unfit(replace(pilot, gpu_hours=left), then, one.estimate)
        steps.append(Step(one, None if why else elapsed, why))
        if not why:
            elapsed += one.estimate.hours or 0.0
            gpus += one.estimate.gpu_hours or 0.0
        if last and last <= {(each.candidate.roadmap, each.candidate.mvp) for each in steps}:
            break
    return steps


def _new(lab: Lab, wanted: Wanted) -> Autopilot:
    """An autopilot that has not begun; `UsageError` for what cannot be."""
    if wanted.at_once < 1:
        raise UsageError(f"--jobs {wanted.at_once}: must be 1 or more")
    if wanted.gpu_hours is not None and not 0 < wanted.gpu_hours < 1e6:
        raise UsageError(f"--gpu-hours {wanted.gpu_hours:g}: expected hours, more than 0")
    if wanted.backend == "slurm" and not slurm.is_here():
        raise UsageError("--backend slurm: no sbatch on this machine")
    paths = [wanted.roadmap] if wanted.roadmap is not None else lab.roadmaps(anew=True)
    if not paths:
        raise UsageError(lab.no_roadmap)
    names = []
    for path in paths:
        name = lab.paths.relative(path)
        lab.paths.inside(name)
        names.append(name)
    return Autopilot(
        id=secrets.token_hex(4),
        lab=here(lab.paths),
        roadmaps=tuple(names),
        started=time.time(),
        budget=wanted.budget,
        boot=boot(),
        uptime=uptime(),
        due=uptime() + wanted.budget * 3600,
        gpu_hours=wanted.gpu_hours,
        at_once=wanted.at_once,
        until=_until(lab, names, wanted.until),
        profile=wanted.profile,
        backend=wanted.backend,
    )


def _until(lab: Lab, names: Sequence[str], text: str) -> str:
    """`gate 2`, `mvp 3.0`; `UsageError` where no roadmap has it."""
    if not text:
        return ""
    wanted = bare_id(text)
    known: list[str] = []
    for name in names:
        roadmap = lab.read_roadmap(lab.paths.inside(name))
        gates, mvps = [one.id for one in roadmap.gates], [one.id for one in roadmap.mvps]
        is_gate = text.strip().casefold().startswith("gate")
        if wanted in (gates if is_gate else mvps):
            return f"{'gate' if is_gate else 'mvp'} {wanted}"
        known += [f"Gate-{one}" for one in gates] + [f"MVP-{one}" for one in mvps]
    raise UsageError(f"--until {text}: not in the plan (there are: {', '.join(known) or 'none'})")


def check_none(lab: Lab) -> None:
    """`UsageError` where an autopilot is running or paused."""
    other = read_autopilot(lab.paths)
    if other is not None and other.state != "ended":
        raise UsageError(RUNS.format(state=other.state))


def start(lab: Lab, wanted: Wanted) -> Autopilot:
    """Start an autopilot; `UsageError` where one is running or paused."""
    check_none(lab)
    pilot = _new(lab, wanted)
    facts = _facts(lab, pilot)
    for name, why in facts.unread:
        raise UsageError(f"not started: {name}: {why}")
    if isinstance(action := decide(pilot, facts), End):
        raise UsageError(f"not started: {action.why}; --dry-run shows the plan")
    verdicts = {gate.key: gate.standing for gate in facts.gates}
    rules = {gate.key: gate.rules for gate in facts.gates}
    with locked(lab.paths) as free:
        if not free:
            raise UsageError(RUNS.format(state="running"))
        check_none(lab)
        path = lab.paths.private.autopilot_environment
        record_environment(path, this_environment())
        pilot = replace(pilot, verdicts=verdicts, rules=rules, environment=digest(path))
        write_autopilot(lab.paths, pilot)
    wake_autopilot(lab.paths, pause=0.0)
    return pilot


def pause(lab: Lab) -> Autopilot:
    """Launch nothing more until `go_on`; what runs goes on."""
    return _changed(lab, lambda pilot: replace(pilot, state="paused", why=""))


def go_on(lab: Lab) -> Autopilot:
    """Go on after a pause."""
    return _changed(lab, lambda pilot: replace(pilot, state="running", why=""))


def stop(lab: Lab) -> Autopilot:
    """End it; its jobs that wait or run go on, and its report with them."""
    return _changed(lab, None)


def _changed(lab: Lab, how: Callable[[Autopilot], Autopilot] | None) -> Autopilot:
    with locked(lab.paths) as free:
        if not free:
            raise UsageError("the autopilot is at work; try again")
        pilot = read_autopilot(lab.paths)
        if pilot is None or pilot.state == "ended":
            raise UsageError(NONE)
        if how is None:
            end(lab, pilot, BY_YOU)
        else:
            write_autopilot(lab.paths, how(pilot))
    ask_again(lab.paths)
    wake_autopilot(lab.paths, pause=0.0)
    return read_autopilot(lab.paths) or pilot
