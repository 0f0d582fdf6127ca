"""`vitlab auto`: launches what the plan has next, follows what the gates decide, and ends."""

from __future__ import annotations

import argparse
import sys
import time

from vitlab.commands.common import (
    Options,
    add_json,
    plain,
    print_json,
    print_note,
    print_table,
    this_lab,
)
from vitlab.contract.job import PROFILES
from vitlab.contract.paths import UsageError
from vitlab.lab.autopilot.budget import Estimate, hours_of
from vitlab.lab.autopilot.control import (
    NONE,
    Forecast,
    Wanted,
    check_none,
    forecast,
    go_on,
    pause,
    start,
    stop,
)
from vitlab.lab.autopilot.facts import Reading
from vitlab.lab.autopilot.record import read_autopilot
from vitlab.lab.autopilot.report import Report, public_record, report_of
from vitlab.lab.autopilot.text import (
    decided_lines,
    ends_text,
    hours_range,
    plan_summary,
    state_lines,
    tried_rows,
    waiting_lines,
)
from vitlab.lab.lab import Lab
from vitlab.lab.launch import advance_queue

POLL = 1.0
"""Seconds between two looks at one that is followed."""
_ABOUT = """\
Without --budget it shows the autopilot of this lab. With one it shows the plan, starts, and follows
until the end; Ctrl-C stops following alone, `--end` ends it. What its jobs need of it is done by
their supervisors and by whoever looks on, so the terminal may be closed."""


def _auto_options(auto: argparse.ArgumentParser) -> None:
    auto.epilog = _ABOUT
    auto.add_argument("roadmap", nargs="?", metavar="ROADMAP", help="default: all of the lab")
    auto.add_argument("--budget", metavar="TIME", help="hours since the start: 8h, 90m")
    auto.add_argument("--gpu-hours", type=float, metavar="H", help="GPU hours its jobs may take")
    auto.add_argument("--jobs", type=int, default=1, metavar="N",
                      help="launch while fewer of its jobs wait or run (default: 1)")  # fmt: skip
    auto.add_argument("--until", default="", metavar="ID", help="end once Gate-2 or MVP-3.0 has")
    auto.add_argument("--profile", choices=PROFILES, help="default: the lab's setting")
    auto.add_argument("--backend", choices=("local", "slurm"), default="local",
                      help="where its jobs run (default: this machine)")  # fmt: skip
    auto.add_argument("--detach", action="store_true", help="start without following it")
    what = auto.add_mutually_exclusive_group()
    what.add_argument("--dry-run", action="store_true", help="print the plan alone")
    what.add_argument("--pause", action="store_true", help="launch nothing more for now")
    what.add_argument("--resume", action="store_true", help="go on after a pause")
    what.add_argument("--end", action="store_true", help="end it; its jobs that run or wait go on")
    add_json(auto)
    auto.set_defaults(handler=run_auto)


def run_auto(args: argparse.Namespace) -> int:
    """`vitlab auto`: shows, plans, starts, pauses or ends the lab's autopilot."""
    lab = this_lab(looking=not (args.budget or args.dry_run or args.resume or args.end))
    for asked, how in ((args.pause, pause), (args.resume, go_on), (args.end, stop)):
        if asked:
            how(lab)
            return _show(lab, args.json)
    if args.budget is None and not args.dry_run:
        return _show(lab, args.json)
    if args.budget is None:
        raise UsageError("--dry-run: needs --budget, such as --budget 8h")
    if not args.dry_run:
        check_none(lab)
    wanted = Wanted(
        budget=hours_of(args.budget, "--budget"),
        roadmap=lab.roadmap_path(args.roadmap) if args.roadmap is not None else None,
        gpu_hours=args.gpu_hours,
        at_once=args.jobs,
        until=args.until,
        profile=args.profile or "",
        backend=args.backend,
    )
    plan = forecast(lab, wanted)
    profile = wanted.profile or lab.settings.profile
    if plan.pilot.until.startswith("gate") and profile != "full":
        print_note(f"--until {args.until}: {profile} runs decide no gate; only you can end it so")
    if args.dry_run and args.json:
        print_json(_planned(plan))
    elif not args.json:
        _print_plan(plan)
    if args.dry_run:
        return 0
    start(lab, wanted)
    return _show(lab, args.json) if args.detach else _follow(lab, args.json)


def _show(lab: Lab, as_json: bool) -> int:
    advance_queue(lab)
    pilot = read_autopilot(lab.paths)
    if pilot is None:
        raise UsageError(NONE)
    report = report_of(lab, pilot)
    if as_json:
        print_json(public_record(report))
    else:
        _print_report(report)
    return 0


def _print_report(report: Report) -> None:
    for line in state_lines(report):
        print(plain(line))
    if rows := list(tried_rows(report)):
        print_table(("MVP", "PROFILE", "JOBS", "TIME", "FOUND"), rows, wrap=True)
    for line in (*decided_lines(report), *waiting_lines(report)):
        print(plain(line))


def _follow(lab: Lab, as_json: bool) -> int:
    """Carry on and print what happens until it ends, or a person stops following."""
    told: dict[int, str] = {}
    try:
        while (pilot := read_autopilot(lab.paths)) is not None:
            facts = Reading(lab, pilot).job_facts()
            for one in pilot.launches:
                line = one.refused or ends_text(job for job in facts if job.launch == one.number)
                if line and told.get(one.number) != line:
                    told[one.number] = line
                    name = pilot.named(one.roadmap, f"MVP-{one.mvp}")
                    print(plain(f"{name}: {line}"), file=sys.stderr, flush=True)
            if pilot.state == "ended" and pilot.told:
                break
            time.sleep(POLL)
            advance_queue(lab)
    except KeyboardInterrupt:
        print_note("it goes on: `vitlab auto` shows it, `vitlab auto --end` ends it")
        return 130
    return _show(lab, as_json)


def _planned(plan: Forecast) -> dict[str, object]:
    left = [
        {
            "roadmap": one.candidate.roadmap,
            "mvp": one.candidate.mvp,
            "name": one.candidate.name,
            "profile": one.candidate.profile or None,
            "jobs": one.candidate.jobs,
            "starts": one.starts,
            **_numbers(one.candidate.estimate),
            "why": one.why_not or None,
        }
        for one in plan.steps
    ]
    spent = {"hours": 0.0, "job_hours": 0.0, "core_hours": 0.0, "gpu_hours": 0.0}
    budget = {"hours": plan.pilot.budget, "gpu_hours": plan.pilot.gpu_hours}
    return {
        "state": "planned", "why": "", "done": [], "left": left, "spent": spent, "budget": budget
    }  # fmt: skip


def _numbers(estimate: Estimate) -> dict[str, object]:
    return {
        "hours": estimate.hours,
        "low": estimate.low,
        "high": estimate.high,
        "gpu_hours": estimate.gpu_hours,
        "source": estimate.source or None,
    }


def _print_plan(plan: Forecast) -> None:
    rows = [
        (
            plan.pilot.named(one.candidate.roadmap, one.candidate.mvp),
            one.candidate.name,
            one.candidate.jobs or "-",
            hours_range(one.candidate.estimate),
            f"not launched: {one.why_not}" if one.why_not else one.candidate.estimate.source,
        )
        for one in plan.steps
    ]
    print_table(("MVP", "NAME", "JOBS", "TIME", "NOTES"), rows, wrap=True)
    print(f"\n{plan_summary(plan)}")


OPTIONS: Options = {"auto": _auto_options}
