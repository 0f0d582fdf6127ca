"""How an autopilot is told of in lines: its plan before it begins, and how it stands."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Iterable, Iterator

from vitlab.lab.autopilot.budget import Estimate, hours_text
from vitlab.lab.autopilot.control import Forecast
from vitlab.lab.autopilot.decide import JobFact
from vitlab.lab.autopilot.record import BY_YOU, Autopilot
from vitlab.lab.autopilot.report import Report


def plan_lines(plan: Forecast) -> Iterator[str]:
    """A line for each MVP in order."""
    for one in plan.steps:
        mvp = plan.pilot.named(one.candidate.roadmap, f"MVP-{one.candidate.mvp}")
        if one.why_not:
            yield f"{mvp}  not launched: {one.why_not}"
            continue
        jobs = f"{one.candidate.jobs} job{'s' * (one.candidate.jobs != 1)}"
        parts = (one.candidate.profile, jobs, hours_range(one.candidate.estimate))
        yield "  ".join(_known(mvp, *parts, one.candidate.estimate.source))


def plan_summary(plan: Forecast) -> str:
    """`8 to launch at demo, expected to take 25 min; budget 8.0 h`."""
    going = [one for one in plan.steps if not one.why_not]
    unknown = sum(one.candidate.estimate.hours is None for one in going)
    budget = hours_text(plan.pilot.budget)
    if plan.pilot.gpu_hours is not None:
        budget += f" and {plan.pilot.gpu_hours:g} GPU hours"
    if not going:
        return f"nothing to launch; budget {budget}"
    profiles = dict.fromkeys(one.candidate.profile for one in going)
    launched = f"{len(going)} to launch at {' and '.join(profiles)}"
    if unknown == len(going):
        return f"{launched}, of unknown length: the budget ends them ({budget})"
    more = f" and {unknown} of unknown length, which the budget ends" if unknown else ""
    return f"{launched}, expected to take {hours_text(plan.hours)}{more}; budget {budget}"


def hours_range(estimate: Estimate) -> str:
    """`25 min (20 min to 31 min)`; `?` where nothing is known."""
    shown = hours_text(estimate.hours)
    if estimate.low is None or estimate.low == estimate.high:
        return shown
    return f"{shown} ({hours_text(estimate.low)} to {hours_text(estimate.high)})"


def state_lines(report: Report) -> Iterator[str]:
    """How it stands, and what it has used of its budget."""
    pilot, spent = report.pilot, report.facts.spent
    used = ((pilot.ended or report.facts.now) - pilot.started) / 3600
    if pilot.state == "ended":
        when = datetime.datetime.fromtimestamp(pilot.ended)
        yield f"{end_line(pilot)}, {when:%Y-%m-%d %H:%M}"
    else:
        yield f"autopilot {pilot.state}" + "".join(
            f"; waits for {name}: {why}" for name, why in report.facts.unread
        )
    gpus = "" if pilot.gpu_hours is None else f" of {pilot.gpu_hours:g}"
    yield (
        f"{hours_text(used)} of {hours_text(pilot.budget)} used; its jobs ran "
        f"{hours_text(spent.wall_hours)}, {spent.gpu_hours:.3g}{gpus} GPU hours"
    )


def end_line(pilot: Autopilot) -> str:
    """`autopilot ended: Gate-2 needs you`; one that a person ended gives no other reason."""
    return f"autopilot {pilot.why}" if pilot.why == BY_YOU else f"autopilot ended: {pilot.why}"


def tried_rows(report: Report) -> Iterator[tuple[str, str, str, str, str]]:
    """Of each launch its MVP, profile, how many jobs ended how, for how long they ran, and what
    was found."""
    for one in report.tried:
        cost = hours_text(one.spent.wall_hours) if one.jobs else ""
        mvp = report.pilot.named(one.launch.roadmap, f"MVP-{one.launch.mvp}")
        yield mvp, one.launch.profile, ends_text(one.jobs), cost, one.found


def tried_lines(report: Report) -> Iterator[str]:
    """A line for each launch, and each gate that was decided."""
    yield from ("  ".join(_known(*row)) for row in tried_rows(report))
    yield from decided_lines(report)


def decided_lines(report: Report) -> Iterator[str]:
    """A line for each gate that was decided."""
    for before, gate in report.decided:
        name = report.pilot.named(gate.roadmap, f"Gate-{gate.id}")
        yield f"{name}: {before} -> {gate.standing}: {gate.because}"


def waiting_lines(report: Report) -> Iterator[str]:
    """What comes next, what waits and why, and where its report is."""
    if report.coming:
        ended = report.pilot.state == "ended"
        yield f"{'not launched' if ended else 'next'}: {', '.join(report.coming)}"
    if report.waits:
        yield "kept from launching, or waits for you:"
        yield from (f"  {name}: {why}" for name, why in report.waits)
    if report.unwritten:
        yield f"results not written yet (`vitlab sync`): {', '.join(report.unwritten)}"
    if report.pilot.page:
        yield f"report: {report.pilot.page}"


def ends_text(jobs: Iterable[JobFact]) -> str:
    """`2 failed, 1 ok`."""
    counts = Counter(job.word for job in jobs)
    return ", ".join(f"{number} {word}" for word, number in sorted(counts.items()))


def _known(*parts: str) -> Iterable[str]:
    return filter(None, parts)
