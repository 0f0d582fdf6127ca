"""The page of an autopilot: what was tried, what it cost, was found, was decided, and waits."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from vitlab.contract.paths import UsageError
from vitlab.docs.save import between, create, save
from vitlab.docs.text.inline import cell_text, one_line
from vitlab.docs.text.source import read
from vitlab.jobs.queue import notice
from vitlab.jobs.store import Job, all_jobs
from vitlab.lab.autopilot.budget import Spent, hours_text
from vitlab.lab.autopilot.decide import JobWord
from vitlab.lab.autopilot.record import Autopilot, Launch, write_autopilot
from vitlab.lab.autopilot.report import Report
from vitlab.lab.autopilot.words import WORDS, in_language
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import AUTOPILOT_PAGE
from vitlab.lab.writeback.written_numbers import record_account


def page_name(lab: Lab, pilot: Autopilot, now: float) -> str:
    """`roadmaps/auto_20261129.md`, beside the first of its roadmaps; the first free one."""
    folder = lab.paths.inside(pilot.roadmaps[0]).parent
    stem = AUTOPILOT_PAGE.format(f"{datetime.date.fromtimestamp(now):%Y%m%d}")
    path, number = folder / f"{stem}.md", 1
    while os.path.lexists(path):
        number += 1
        path = folder / f"{stem}_{number}.md"
    return lab.paths.relative(path)


def write_page(lab: Lab, pilot: Autopilot, report: Report) -> Autopilot:
    """Write its report, or bring it up to date where its jobs have gone on, as edits to be undone.

    One that a person has changed or taken away is left as it is. Returns the autopilot as its file
    has it then.
    """
    ends = _digest(str([(job.name, job.word) for job in report.facts.jobs]))
    if pilot.told and ends == pilot.page_jobs:
        return pilot
    path, language = lab.paths.inside(pilot.page), "en"
    try:
        there = read(path).text if os.path.lexists(path) else None
    except UsageError:  # a person has changed it, or put something else in its place
        return pilot
    if there is None and pilot.told:
        return pilot
    if there is not None and _digest(there) not in pilot.page_texts:
        return pilot
    with contextlib.suppress(UsageError, OSError):
        language = lab.read_roadmap(lab.paths.inside(pilot.roadmaps[0])).language
    text = page_text(report, language)
    # Noted first: after a kill it is known as ours.
    texts = (*pilot.page_texts[-1:], _digest(text))
    pilot = replace(pilot, page_texts=texts, page_jobs=ends)
    write_autopilot(lab.paths, pilot)
    changed = create(path, text) if there is None else between(path, there, text)
    for written in save([changed], lab.journal, what="autopilot"):
        record_account(lab, written, _jobs_of_rows(lab, report), WORDS[language]["found"])
    return pilot


def _jobs_of_rows(lab: Lab, report: Report) -> dict[str, list[Job]]:
    """The first cell of each row of what was tried, with the jobs of its launch."""
    jobs = {job.name: job for job in all_jobs(lab.paths)}
    return {
        _name(report, one.launch): [jobs[job.name] for job in one.jobs if job.name in jobs]
        for one in report.tried
    }


def _name(report: Report, launch: Launch) -> str:
    return report.pilot.named(launch.roadmap, f"MVP-{launch.mvp}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def page_text(report: Report, language: str) -> str:
    """The whole report, in `zh` or `en`."""
    words, pilot = WORDS[language], report.pilot
    day = datetime.date.fromtimestamp(pilot.ended)
    lines = [
        f"# {words['title']} {day.isoformat()}",
        "",
        f"> **{words['ended']}:** {one_line(in_language(pilot.why, language))}  ",
        f"> {words['from']} {_time(pilot.started)} {words['to']} {_time(pilot.ended)}  ",
        f"> **{words['budget']}:** {_budget(pilot)}  ",
        *_still_going(report, words),
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


def _still_going(report: Report, words: dict[str, str]) -> Iterator[str]:
    """That jobs of one that a person has ended go on; the page is brought up to date with them."""
    if going := sum(job.is_active for job in report.facts.jobs):
        yield f"> **{words['going']}:** {going}, {_time(report.facts.now)}"


def _tried_table(report: Report, words: dict[str, str]) -> Iterator[str]:
    if not report.tried:
        yield words["nothing"]
        return
    heads = ("mvp", "profile", "jobs", "hours", "cores", "gpus", "found")
    yield _row([words[head] for head in heads])
    yield _row(["---"] * len(heads))
    for one in report.tried:
        name = _name(report, one.launch)
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
        yield _row(
            [name, words.get(before, before), words[gate.standing], _told(report, gate.because)]
        )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell_text(cell) if cell else '-' for cell in cells)} |"


def _counts(counts: Mapping[JobWord, int], words: dict[str, str]) -> str:
    return ", ".join(f"{number} {words[word]}" for word, number in sorted(counts.items()))


def _cost(cost: Spent) -> list[str]:
    every = (cost.wall_hours, cost.core_hours, cost.gpu_hours)
    return [hours_text(hours) if hours else "0" for hours in every]


def _waiting_list(report: Report, language: str) -> list[str]:
    lines = [
        f"- {one_line(name)}: {one_line(in_language(_told(report, why), language))}"
        for name, why in report.waits
    ]
    for what, mvps in (("coming", report.coming), ("unwritten", report.unwritten)):
        if mvps:
            lines.append(f"- {WORDS[language][what]}{', '.join(map(one_line, mvps))}")
    return lines


def _told(report: Report, why: str) -> str:
    """A reason with what is said of a gate in the language of its roadmap."""
    for gate in report.facts.gates:
        if gate.because and gate.because_in_document:
            why = why.replace(gate.because, gate.because_in_document)
    return why


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
