"""The report of an autopilot: what was tried, what it cost, what was found, decided, and waits."""

from __future__ import annotations

import contextlib
import datetime
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from vitlab.contract.paths import UsageError, cause
from vitlab.docs.save import create, save
from vitlab.docs.text.inline import cell_text, one_line
from vitlab.jobs.queue import notice
from vitlab.lab.autopilot.branches import GateFact
from vitlab.lab.autopilot.budget import Spent, hours_text, spent
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
from vitlab.lab.autopilot.words import WORDS, in_language
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import AUTOPILOT_PAGE
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
    """Where an autopilot stands now."""
    reading = Reading(lab, pilot)
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
    waits = tuple(_waits(pilot, facts, tried))
    unwritten = tuple(_unwritten(lab, pilot, reading))
    return Report(
        pilot, facts, tuple(tried), tuple(decided), waits, tuple(_coming(pilot, facts)), unwritten
    )


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


def page_name(lab: Lab, pilot: Autopilot, now: float) -> str:
    """`roadmaps/auto_20261129.md`, beside the first of its roadmaps; the first free one."""
    folder = lab.paths.inside(pilot.roadmaps[0]).parent
    stem = AUTOPILOT_PAGE.format(f"{datetime.date.fromtimestamp(now):%Y%m%d}")
    path, number = folder / f"{stem}.md", 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{stem}_{number}.md"
    return lab.paths.relative(path)


def write_page(lab: Lab, pilot: Autopilot) -> None:
    """Write its report, once, as an edit that can be undone."""
    path = lab.paths.inside(pilot.page)
    if not path.exists():
        language = "en"
        with contextlib.suppress(UsageError, OSError):
            language = lab.read_roadmap(lab.paths.inside(pilot.roadmaps[0])).language
        text = page_text(report_of(lab, pilot), language)
        save([create(path, text)], lab.journal, what="autopilot")


def page_text(report: Report, language: str) -> str:
    """The whole report, in `zh` or `en`."""
    words, pilot = WORDS[language], report.pilot
    day = datetime.date.fromtimestamp(pilot.ended)
    lines = [
        f"# {words['title']} {day.isoformat()}",
        "",
        f"> **{words['ended']}:** {one_line(in_language(pilot.why, language))}  ",
        f"> {words['from']} {_time(pilot.started)} {words['to']} {_time(pilot.ended)}  ",
        f"> **{words['budget']}:** {_budget(pilot)}",
        "",
        f"## {words['tried']}",
        "",
        *_tried_table(report, words),
        "",
        f"## {words['decided']}",
        "",
        *_decided_table(report, words),
        "",
        f"## {words['left']}",
        "",
        *(_waiting_list(report, language) or [words["nothing"]]),
        "",
    ]
    return "\n".join(lines)


def _tried_table(report: Report, words: dict[str, str]) -> Iterator[str]:
    if not report.tried:
        yield words["nothing"]
        return
    heads = ("mvp", "profile", "jobs", "hours", "cores", "gpus", "found")
    yield _row([words[head] for head in heads])
    yield _row(["---"] * len(heads))
    for one in report.tried:
        name = report.pilot.named(one.launch.roadmap, f"MVP-{one.launch.mvp}")
        counts = _counts(one.counts, words)
        yield _row([name, one.launch.profile, counts, *_cost(one.spent), one.found])
    total = Counter(job.word for job in report.facts.jobs)
    cost = _cost(report.facts.spent)
    launches = f"{len(report.tried)} {words['launches']}"
    yield _row([f"**{words['all']}**", launches, _counts(total, words), *cost, ""])


def _decided_table(report: Report, words: dict[str, str]) -> Iterator[str]:
    if not report.decided:
        yield words["nothing"]
        return
    yield _row([words[head] for head in ("gate", "before", "now", "because")])
    yield _row(["---"] * 4)
    for before, gate in report.decided:
        name = report.pilot.named(gate.roadmap, f"Gate-{gate.id}")
        yield _row([name, words.get(before, before), words[gate.standing], gate.because])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell_text(cell) if cell else '-' for cell in cells)} |"


def _counts(counts: Mapping[JobWord, int], words: dict[str, str]) -> str:
    return ", ".join(f"{number} {words[word]}" for word, number in sorted(counts.items()))


def _cost(cost: Spent) -> list[str]:
    every = (cost.wall_hours, cost.core_hours, cost.gpu_hours)
    return ["<0.001" if 0 < hours < 1e-3 else f"{hours:.3g}" for hours in every]


def _waiting_list(report: Report, language: str) -> list[str]:
    lines = [
        f"- {one_line(name)}: {one_line(in_language(why, language))}" for name, why in report.waits
    ]
    for what, mvps in (("coming", report.coming), ("unwritten", report.unwritten)):
        if mvps:
            lines.append(f"- {WORDS[language][what]}{', '.join(map(one_line, mvps))}")
    return lines


def _time(seconds: float) -> str:
    return f"{datetime.datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M}"


def _budget(pilot: Autopilot) -> str:
    gpus = "" if pilot.gpu_hours is None else f", {pilot.gpu_hours:g} GPU h"
    return f"{hours_text(pilot.budget)}{gpus}"


def announce(lab: Lab, pilot: Autopilot) -> None:
    """Tell the lab's webhook that it has ended, once, as of a job's end."""
    webhook = lab.settings.notify.webhook
    if webhook is not None:
        name = lab.paths.root.resolve().name
        text = f"{name}: autopilot ended: {pilot.why}"
        record = lab.paths.private.notices / f"autopilot--{pilot.id}.json"
        what = {"v": 1, "lab": name, "job": "autopilot", "status": pilot.why}
        notice.send(record, webhook, {**what, "text": text, "content": text})


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
