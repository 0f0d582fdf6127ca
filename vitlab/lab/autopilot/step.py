"""Carrying an autopilot on: whoever does it reads, decides and acts, one action after the other."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import assert_never

from vitlab.contract.job import base_name
from vitlab.contract.paths import JobPaths, LabPaths, UsageError, cause
from vitlab.contract.reading import read_regular
from vitlab.jobs.environment import as_bytes, this_environment
from vitlab.jobs.files import take_lock
from vitlab.jobs.processes import AUTOPILOT, uptime
from vitlab.jobs.queue import scheduler
from vitlab.jobs.queue.scheduler import autopilot_record
from vitlab.jobs.store import all_jobs, find_job, read_job
from vitlab.lab.autopilot.decide import (
    Action,
    Complete,
    End,
    Facts,
    Release,
    Start,
    Stop,
    Wait,
    decide,
    spent_in,
    waits_for_document,
)
from vitlab.lab.autopilot.facts import Reading
from vitlab.lab.autopilot.page import announce, page_name, write_page
from vitlab.lab.autopilot.record import (
    Autopilot,
    Launch,
    anchored,
    ask_again,
    clock,
    locked,
    read_autopilot,
    write_autopilot,
)
from vitlab.lab.autopilot.report import report_of, to_keep
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.launch import Request, launch, plan_launch
from vitlab.lab.writeback.edits import accept_automatically
from vitlab.lab.writeback.status_sync import sync_status

MOST = 1000
"""Actions after which one process leaves the rest to the next."""
NEVER = 1e15
"""Seconds since the machine's start that never come."""
LATER = 5.0
"""Seconds until a document is looked at again that could not be read."""
SOON = 10.0
"""Seconds at least between two times that supervisors have it carried on."""


def carry_on(lab: Lab) -> bool:
    """Do what the autopilot of a lab has to do now; False where another process is at it.

    It is then asked to look once more, so that nothing is missed between the two.
    """
    again = lab.paths.private.autopilot_again
    ask_again(lab.paths)
    while again.exists():
        with locked(lab.paths, patience=0.0) as free:
            if not free:
                return False
            again.unlink(missing_ok=True)
            _carry_on(lab)
    return True


def _carry_on(lab: Lab) -> None:
    for _ in range(MOST):
        pilot = read_autopilot(lab.paths)
        if pilot is None or not pilot.active:
            return
        if pilot.state == "ended":
            finish(lab, pilot)
            return
        write_back(lab, pilot)
        facts = Reading(lab, pilot).facts()
        action = decide(pilot, facts)
        if isinstance(action, Wait):
            note_due(lab, pilot, facts)
            return
        act(lab, pilot, action)


def carry_on_later(lab: Lab) -> None:
    """Carry it on again while it waits for a document, as no job's end does then.

    One process of a lab does so, until the document is readable, its budget spent, or a person has
    paused or ended it.
    """
    lock = take_lock(lab.paths.private.autopilot_waits, patience=0.0)
    if lock is None:
        return
    try:
        while (
            (pilot := read_autopilot(lab.paths)) is not None
            and pilot.state == "running"
            and waits_for_document(pilot, Reading(lab, pilot).facts())
        ):
            time.sleep(LATER)
            carry_on(lab)
    finally:
        os.close(lock)


def note_due(lab: Lab, pilot: Autopilot, facts: Facts) -> None:
    """Note when its budget may be spent: then it is carried on though nobody looks on."""
    due = uptime() + max(SOON, spent_in(pilot, facts))
    now = anchored(pilot)
    if now != pilot or abs(due - pilot.due) > 1.0:
        write_autopilot(lab.paths, replace(now, due=due))
        scheduler.advance(lab.paths)  # what waited for this


def write_back(lab: Lab, pilot: Autopilot) -> None:
    """Write statuses, and numbers and conclusions where the settings allow, of its roadmaps."""
    for name in pilot.roadmaps:
        for write in (sync_status, accept_automatically):
            try:
                write(lab, lab.paths.inside(name))
            except (UsageError, OSError) as error:  # a document that is being edited: next time
                lab.tell(cause(error))


def act(lab: Lab, pilot: Autopilot, action: Action) -> None:
    """Carry out one action, with the lock held."""
    match action:
        case Start(candidate):
            wanted = Launch(
                number=1 + max((one.number for one in pilot.launches), default=0),
                roadmap=candidate.roadmap,
                mvp=candidate.mvp,
                profile=candidate.profile,
                at=time.time(),
                gpu_hours=candidate.estimate.gpu_hours,
            )
            # Written down first: whoever comes after a kill completes it.
            pilot = replace(pilot, launches=(*pilot.launches, wanted))
            write_autopilot(lab.paths, pilot)
            _make(lab, pilot, wanted)
        case Complete(wanted):
            _make(lab, pilot, wanted)
        case Release(names):
            for name in names:
                if (job := read_job(find_job(lab.paths, name))) is not None:
                    scheduler.release(job)
            scheduler.advance(lab.paths)
        case Stop(names):
            for name in names:
                scheduler.stop(find_job(lab.paths, name))
        case End(why):
            end(lab, pilot, why)
        case Wait():
            pass
        case _:
            assert_never(action)


def end(lab: Lab, pilot: Autopilot, why: str) -> None:
    """End an autopilot: its file first, then its report and the notice.

    Jobs of it that go on are not held to its budget any more.
    """
    now = clock(pilot)
    page = page_name(lab, pilot, now)
    ended = replace(pilot, state="ended", why=why, ended=now, page=page, due=NEVER)
    write_autopilot(lab.paths, ended)
    finish(lab, ended)


def finish(lab: Lab, pilot: Autopilot) -> None:
    """Announce the end once, and keep its report up to date until its jobs have ended."""
    write_back(lab, pilot)
    report = report_of(lab, pilot)
    try:
        pilot = write_page(lab, pilot, report)
        announce(lab, pilot)
    except (UsageError, OSError) as error:
        lab.tell(cause(error))
    going = any(job.is_active for job in report.facts.jobs)
    now = replace(pilot, told=True, at_end={} if going else to_keep(report))
    if now != read_autopilot(lab.paths):
        write_autopilot(lab.paths, now)


def _make(lab: Lab, pilot: Autopilot, wanted: Launch) -> None:
    """Queue the jobs of a launch that are not there yet; a refusal is noted, and not repeated."""
    mark, refused = pilot.mark(wanted), ""
    there = {
        job.spec.run: job.paths
        for job in all_jobs(lab.paths)
        if job.spec.extra.get(AUTOPILOT) == mark
    }
    try:
        request = Request(
            lab.paths.inside(wanted.roadmap),
            wanted.mvp,
            wanted.profile,
            backend=pilot.backend,
            extra={AUTOPILOT: mark},
        )
        plan = plan_launch(lab, request)
        missing = [spec for spec in plan.specs if spec.run not in there]
        if there:  # its maker was killed between two jobs
            missing = [
                replace(spec, after=(*spec.after, *_members(there, spec.config.get("of"))))
                for spec in missing
            ]
        if missing:
            # Of a launch that was begun the rest is not held to be a second one.
            launch(lab, replace(plan, specs=tuple(missing)), force=bool(there))
    except (UsageError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # it is made when there is room
        if wanted.roadmap in dict(Reading(lab, pilot).facts().unread):
            return  # it is made when that can be read again
        refused = cause(error)
    made = replace(wanted, made=not refused, refused=refused)
    launches = tuple(made if one.number == wanted.number else one for one in pilot.launches)
    write_autopilot(lab.paths, replace(pilot, launches=launches))


def _members(there: dict[str, JobPaths], of: object) -> list[str]:
    """The jobs that an ensemble combines."""
    return [job.name for run, job in there.items() if base_name(run) == of]


def main(arguments: Sequence[str]) -> int:
    """`python -m vitlab.lab.autopilot.step ROOT`: supervisors and those who look on start it."""
    paths = LabPaths(Path(arguments[0]))
    if not autopilot_record(paths).get("active"):
        return 0
    try:
        _take_environment(paths)
        lab = open_lab(paths.root)
        carry_on(lab)
        carry_on_later(lab)
    except (UsageError, OSError) as error:
        print(cause(error), file=sys.stderr)
        return 2
    return 0


def _take_environment(paths: LabPaths) -> None:
    """Go on in the environment the autopilot was started with: its jobs are submitted in it."""
    wanted = autopilot_record(paths).get("environment")
    path = paths.private.autopilot_environment
    if not wanted or digest(path) != wanted:
        return
    # Not as other documents: a value that is not UTF-8 is kept by surrogates.
    record = json.loads(read_regular(path))
    here = this_environment()
    secrets = {name: here[name] for name in record["withheld"] if name in here}
    os.environb.clear()
    os.environb.update(as_bytes({**record["variables"], **secrets}))


def digest(path: Path) -> str:
    """Of a file's bytes; empty where it cannot be read."""
    with contextlib.suppress(OSError):
        return hashlib.sha256(read_regular(path)).hexdigest()
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
