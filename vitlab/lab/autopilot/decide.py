"""What an autopilot does next: pure, from its file, the jobs and the plan to one action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from vitlab.lab.autopilot.branches import GateFact
from vitlab.lab.autopilot.budget import NOTHING, UNKNOWN, Estimate, Spent, hours_text
from vitlab.lab.autopilot.record import Autopilot, Launch

UNFIT = "budget spent: what is left does not fit it"
FAILURES = 3
"""Launches that failed one after the other, after which a person has to look."""

JobWord = Literal["waiting", "behind", "running", "ok", "failed", "stopped", "held", "lost"]
"""`behind`: it waits for a job that did not end well; `lost`: and its policy does not resume it."""


@dataclass(frozen=True)
class JobFact:
    """One job of the autopilot's."""

    name: str
    launch: int
    """The number of its launch."""
    word: JobWord
    ended: float = 0.0
    """Unix seconds; 0 while it has not."""
    release: bool = False
    """It waits for a release since the machine was restarted."""
    stopping: bool = False
    """It was asked to stop."""

    @property
    def is_active(self) -> bool:
        """Whether it goes on without a person."""
        return self.word in ("waiting", "running")


@dataclass(frozen=True)
class Candidate:
    """An MVP that the plan has waiting, in the plan's order."""

    roadmap: str
    mvp: str
    profile: str = ""
    estimate: Estimate = UNKNOWN
    held: str = ""
    """Why it is not launched, now or at all; empty where it may be."""
    name: str = ""
    jobs: int = 0


@dataclass(frozen=True)
class Facts:
    """All that a decision rests on."""

    now: float
    """Unix seconds."""
    jobs: tuple[JobFact, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    gates: tuple[GateFact, ...] = ()
    spent: Spent = NOTHING
    gpus: int = 0
    """Those that its active jobs have, or want."""
    disk_full: bool = False
    unread: tuple[tuple[str, str], ...] = ()
    """Its roadmaps that cannot be read now, and why: what they have waiting is not known."""


@dataclass(frozen=True)
class Start:
    """Launch this MVP."""

    candidate: Candidate


@dataclass(frozen=True)
class Complete:
    """Make a launch that was decided, or what is missing of it, as its maker was killed."""

    launch: Launch


@dataclass(frozen=True)
class Release:
    """Let jobs wait on that were queued before the machine was restarted."""

    jobs: tuple[str, ...]


@dataclass(frozen=True)
class Stop:
    """Ask jobs to save their state and end."""

    jobs: tuple[str, ...]


@dataclass(frozen=True)
class End:
    """End the autopilot."""

    why: str


@dataclass(frozen=True)
class Wait:
    """Nothing to do until something happens."""


Action = Start | Complete | Release | Stop | End | Wait


def decide(pilot: Autopilot, facts: Facts) -> Action:
    """The next action; it is decided anew after each."""
    if pilot.state == "ended":
        return Wait()
    active = [job for job in facts.jobs if job.is_active]
    if over := _used_up(pilot, facts):
        left = tuple(job.name for job in active if not job.stopping)
        return Stop(left) if left else (Wait() if active else End(over))
    unread = dict(facts.unread)
    for launch in pilot.launches:
        if not launch.made and not launch.refused and launch.roadmap not in unread:
            return Complete(launch)
    if behind := tuple(job.name for job in facts.jobs if job.release):
        return Release(behind)
    if reached := _reached(pilot, facts):
        return Wait() if active else End(reached)
    if pilot.state == "paused":
        return Wait()
    if failed_in_a_row(pilot, facts.jobs) >= FAILURES:
        return Wait() if active else End("three failures in a row")
    if facts.disk_full:
        return Wait() if active else End("disk")
    if len(active) >= pilot.at_once or (active and _last_is_launched(pilot, facts)):
        return Wait()
    for candidate in facts.candidates:
        if not candidate.held and not unfit(pilot, facts, candidate.estimate):
            return Start(candidate)
    return Wait() if active or unread else End(_why_over(pilot, facts))


def _used_up(pilot: Autopilot, facts: Facts) -> str:
    """`budget spent` where it is."""
    hours = (facts.now - pilot.started) / 3600
    gpus = pilot.gpu_hours is not None and facts.spent.gpu_hours >= pilot.gpu_hours
    return "budget spent" if hours >= pilot.budget or gpus else ""


def spent_in(pilot: Autopilot, facts: Facts) -> float:
    """Seconds until the budget may be spent, if what waits for GPUs had them now; 0 or more."""
    left = pilot.budget - (facts.now - pilot.started) / 3600
    if pilot.gpu_hours is not None and facts.gpus:
        left = min(left, (pilot.gpu_hours - facts.spent.gpu_hours) / facts.gpus)
    return max(0.0, left * 3600)


def waits_for_document(pilot: Autopilot, facts: Facts) -> bool:
    """Whether no end of a job will have it carried on, as a roadmap must be readable first."""
    idle = not any(job.is_active for job in facts.jobs)
    return pilot.state == "running" and idle and bool(facts.unread)


def unfit(pilot: Autopilot, facts: Facts, estimate: Estimate) -> str:
    """Why a launch does not fit what is left of the budget; empty where it does.

    What no earlier run tells is tried, and stopped at the end of the budget.
    """
    hours = pilot.budget - (facts.now - pilot.started) / 3600
    if estimate.hours is not None and estimate.hours > hours:
        return f"needs {hours_text(estimate.hours)}, {hours_text(max(hours, 0.0))} are left"
    if pilot.gpu_hours is not None and estimate.gpu_hours is not None:
        # What runs will take more than it has so far.
        running = any(job.is_active for job in facts.jobs)
        promised = sum(one.gpu_hours or 0.0 for one in pilot.launches if one.made and running)
        left = pilot.gpu_hours - max(facts.spent.gpu_hours, promised)
        if estimate.gpu_hours > left:
            return f"needs {estimate.gpu_hours:.2g} GPU hours, {max(left, 0.0):.2g} are left"
    return ""


def _reached(pilot: Autopilot, facts: Facts) -> str:
    """Why what it was to run until has come; empty where it has not."""
    kind, _, wanted = pilot.until.partition(" ")
    if kind == "gate":
        for gate in facts.gates:
            if gate.id == wanted and gate.standing in ("pass", "fail"):
                return pilot.named(gate.roadmap, gate.line)
            if gate.id == wanted and gate.standing in ("open", "manual"):
                return _needs_you(pilot, gate)
    if kind == "mvp":
        numbers = {one.number for one in pilot.launches if one.mvp == wanted and one.made}
        mine = [job for job in facts.jobs if job.launch in numbers]
        if numbers and not any(job.is_active for job in mine):
            return f"MVP-{wanted} has ended"
    return ""


def _last_is_launched(pilot: Autopilot, facts: Facts) -> bool:
    """Whether all that it runs until is launched, so that nothing is begun beside it."""
    kind, _, wanted = pilot.until.partition(" ")
    last = {mvp for one in facts.gates if one.id == wanted for mvp in one.mvps}
    last = {wanted} if kind == "mvp" else last if kind == "gate" else set()
    return bool(last & {one.mvp for one in pilot.launches}) and last.isdisjoint(
        one.mvp for one in facts.candidates
    )


def failed_in_a_row(pilot: Autopilot, jobs: Sequence[JobFact]) -> int:
    """How many of the launches that ended last have failed, one after the other.

    One with a job that ended well, or that a person stopped, has not failed.
    """
    ends: list[tuple[float, bool]] = []
    for launch in pilot.launches:
        mine = [job for job in jobs if job.launch == launch.number]
        if mine and not any(job.is_active or job.word == "held" for job in mine):
            failed = any(job.word in ("failed", "lost") for job in mine)
            failed = failed and not any(job.word in ("ok", "stopped") for job in mine)
            ends.append((max(job.ended for job in mine), failed))
    count = 0
    for _, failed in sorted(ends, reverse=True):
        if not failed:
            break
        count += 1
    return count


def _why_over(pilot: Autopilot, facts: Facts) -> str:
    """Why it ends though its budget is not spent."""
    free = [one for one in facts.candidates if not one.held]
    if free:
        return UNFIT
    for gate in needs_you(facts):
        return _needs_you(pilot, gate)
    return "nothing is left"


def _needs_you(pilot: Autopilot, gate: GateFact) -> str:
    told = f": {gate.unexplained}" if gate.unexplained else ""
    return f"{pilot.named(gate.roadmap, f'Gate-{gate.id}')} needs you{told}"


def needs_you(facts: Facts) -> list[GateFact]:
    """The gates that only a person can bring further: open, or not to be judged by numbers."""
    return [gate for gate in facts.gates if gate.standing in ("open", "manual")]
