"""How an autopilot is told of in lines: its plan before it begins, and how it stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from vitlab.lab.autopilot.budget import Estimate, hours_text
from vitlab.lab.autopilot.control import Forecast
from vitlab.lab.autopilot.decide import JobFact
from vitlab.lab.autopilot.page import Report


def plan_lines(plan: Forecast) -> Iterator[str]:
    """A line for each MVP in order, and one on all together."""
    for one in plan.steps:
        cost = hours_range(one.candidate.estimate)
        why = one.why_not or one.candidate.estimate.source
        yield f"MVP-{one.candidate.mvp}  {one.candidate.profile}  {cost}  {why}"
    yield plan_summary(plan)


def plan_summary(plan: Forecast) -> str:
    """`8 to launch in about 25 min; budget 8.0 h`."""
    going = [one for one in plan.steps if not one.why_not]
    unknown = sum(one.candidate.estimate.hours is None for one in going)
    about = f" in about {hours_text(plan.hours)}" if unknown < len(going) else ""
    more = f", of {unknown} no earlier run tells" if unknown else ""
    return f"{len(going)} to launch{about}{more}; budget {hours_text(plan.pilot.budget)}"


def hours_range(estimate: Estimate) -> str:
    """`25 min (20 min to 31 min)`; `?` where nothing is known."""
    shown = hours_text(estimate.hours)
    if estimate.low is None or estimate.low == estimate.high:
        return shown
    return f"{shown} ({hours_text(estimate.low)} to {hours_text(estimate.high)})"


def report_lines(report: Report) -> Iterator[str]:
    """An autopilot for people: how it stands, what was tried, decided, and waits."""
    pilot, spent = report.pilot, report.facts.spent
    used = ((pilot.ended or report.facts.now) - pilot.started) / 3600
    yield f"{pilot.state}{': ' if pilot.why else ''}{pilot.why}"
    limit = "" if pilot.gpu_hours is None else f" of {pilot.gpu_hours:g}"
    yield (
        f"{hours_text(used)} of {hours_text(pilot.budget)}; its jobs took "
        f"{spent.core_hours:.3g} core-hours, {spent.gpu_hours:.3g}{limit} GPU hours"
    )
    for one in report.tried:
        ends = ends_text(one.jobs)
        cost = hours_text(one.spent.wall_hours) if one.jobs else ""
        yield "  ".join(_known(f"MVP-{one.launch.mvp}", one.launch.profile, ends, cost, one.found))
    for before, gate in report.decided:
        yield f"Gate-{gate.id}: {before} -> {gate.standing}: {gate.because}"
    if report.waits:
        yield "waits:"
        yield from (f"  {line}" for line in report.waits)
    if report.unwritten:
        yield f"results not written yet (`vitlab sync`): {', '.join(report.unwritten)}"
    if pilot.page:
        yield f"report: {pilot.page}"


def ends_text(jobs: Iterable[JobFact]) -> str:
    """`2 failed, 1 ok`."""
    counts = Counter(job.word for job in jobs)
    return ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))


def _known(*parts: str) -> Iterable[str]:
    return filter(None, parts)
