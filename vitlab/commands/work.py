"""Commands that start jobs and show them: run, jobs, logs."""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.commands.here import this_lab
from vitlab.commands.output import Commands, add_json, number, print_json, print_table
from vitlab.contract.spec import PROFILES
from vitlab.contract.state import Done, Lost, Queued, Running, state_word

if TYPE_CHECKING:
    from vitlab.contract.paths import JobPaths
    from vitlab.contract.spec import Spec
    from vitlab.records.lab import Lab
    from vitlab.records.view import JobView

POLL = 0.5
"""Seconds between two looks at a followed job."""
SAY = 5.0
"""Seconds between two lines on a job that merely goes on."""


def add_commands(commands: Commands) -> None:
    run = commands.add_parser("run", help="launch an MVP's experiment")
    run.add_argument("mvp", metavar="MVP")
    run.add_argument("--profile", choices=PROFILES, help="default: the lab's setting")
    run.add_argument("--run", action="append", default=[], metavar="NAME", dest="runs",
                     help="this run of a sweep alone; may be said again")  # fmt: skip
    run.add_argument("--roadmap", metavar="FILE", help="default: the first that has the MVP")
    run.add_argument("--gpu", default="auto", metavar="N|auto|cpu", help="default: auto")
    run.add_argument("--backend", choices=("local", "slurm"), default="local")
    run.add_argument("--memory", metavar="SIZE", help="of spectra a job holds: 8GiB")
    run.add_argument("--force", action="store_true", help="launch what was found wanting too")
    run.add_argument("--wait", action="store_true", help="follow to the end; 1 if a job fails")
    add_json(run)
    run.set_defaults(handler=run_mvp)

    jobs = commands.add_parser("jobs", help="all jobs, with their state and progress")
    add_json(jobs)
    jobs.set_defaults(handler=list_jobs)

    logs = commands.add_parser("logs", help="a job's output")
    logs.add_argument("job", metavar="JOB")
    logs.add_argument("-f", "--follow", action="store_true", help="go on until the job ends")
    logs.set_defaults(handler=show_log)


def run_mvp(args: argparse.Namespace) -> int:
    """`vitlab run`: write the launch into the roadmap, queue the jobs, start what fits."""
    from vitlab.docs.ids import bare_id
    from vitlab.records.actions import begin, launch_plan, settle

    lab = this_lab()
    mvp = bare_id(args.mvp) or args.mvp
    roadmap = lab.roadmap_with(mvp, args.roadmap)
    profile = args.profile or lab.settings.profile
    plan = launch_plan(lab, roadmap, mvp, profile, args.gpu, args.backend, args.memory, args.runs)
    for finding in plan.findings:
        if args.force or finding.status != "bad":
            print(f"{finding.status}: {finding.text}", file=sys.stderr)
    jobs = begin(lab, plan, force=args.force)
    if not args.json:
        for job in jobs:
            print(f"submitted {job.name}", flush=True)
    failed = follow(lab, jobs, roadmap) if args.wait else 0
    if args.wait:
        if not args.json:
            _tell_end(lab, roadmap, plan.specs[0])
        settle(lab, roadmap)
    if args.json:
        print_json({"jobs": [str(job.folder) for job in jobs]})
    return 1 if failed else 0


def _tell_end(lab: Lab, roadmap: Path, spec: Spec) -> None:
    """The figure that says most of a launch, its conclusion, and where more is to be had."""
    from vitlab.commands.charts import draw_picture
    from vitlab.records.drawings import drawn
    from vitlab.records.illustrate import pictures
    from vitlab.records.plan import pending

    first = next(pictures(lab, spec), None)
    if first is not None:
        print(f"\n{draw_picture(first[1])}\n")
    plan = pending(lab, roadmap, spec.mvp)
    for line in plan.summary:
        print(line)
    for picture in drawn(roadmap.parent, spec.mvp, spec.profile).values():
        print(f"figure {lab.paths.relative(roadmap.parent / picture)}")
    if plan.changes and lab.settings.write_results != "auto":
        print("`vitlab sync` writes it into roadmap, hub and report")


def follow(lab: Lab, jobs: Sequence[JobPaths], roadmap: Path | None = None) -> int:
    """Wait for `jobs`, saying on stderr what changes; the number that did not end well.

    A `roadmap` is told meanwhile how far they are, and how they ended.
    """
    from vitlab.jobs.launch import advance
    from vitlab.records.told import EVERY, tell
    from vitlab.records.view import look_at_job

    said: dict[str, tuple[str, float]] = {}
    told = time.monotonic()
    while True:
        views = [look_at_job(lab, job) for job in jobs]
        for view in views:
            line, now = _progress(view), time.monotonic()
            before, when = said.get(view.paths.name, ("", 0.0))
            moving = isinstance(view.state, Running) and _stage(before) == _stage(line)
            if line != before and (not moving or now - when >= SAY):
                said[view.paths.name] = (line, now)
                print(f"{view.paths.name}: {line}", file=sys.stderr, flush=True)
        over = all(isinstance(view.state, Done | Lost) for view in views)
        if roadmap is not None and (over or time.monotonic() - told >= EVERY):
            tell(lab, roadmap)
            told = time.monotonic()
        if over:
            return sum(not (isinstance(v.state, Done) and v.state.outcome == "ok") for v in views)
        if not any(isinstance(view.state, Running) for view in views):
            advance(lab.paths)
        time.sleep(POLL)


def _stage(line: str) -> str:
    """The first word: what does not change while a job merely goes on."""
    return line.partition(" ")[0]


def _progress(view: JobView) -> str:
    match view.state:
        case Queued():
            return f"waiting: {view.why}" if view.why else "waiting"
        case Running():
            score = view.values.get(_live(view))
            parts = [f"running {view.step}/{view.of}" if view.of else "running"]
            if score is not None:
                parts.append(f"{_live(view)} {score:.3f}")
            if view.eta is not None:
                parts.append(f"{datetime.timedelta(seconds=max(round(view.eta), 0))} left")
            return ", ".join(parts)
        case Done(outcome=outcome, detail=detail):
            return f"{outcome}" + (f": {detail}" if detail and outcome != "ok" else "")
        case Lost():
            return "lost: its supervisor is gone; `vitlab resume` goes on with it"


def _live(view: JobView) -> str:
    """The value that moves while the job runs: the headline on the validation set."""
    return view.spec.headline.replace("test/", "val/", 1)


def list_jobs(args: argparse.Namespace) -> int:
    """`vitlab jobs`: every job of the lab, the newest last; the queue goes on by the way."""
    from vitlab.records.queue import tend
    from vitlab.records.view import look_at_jobs

    lab = this_lab()
    tend(lab)
    views = look_at_jobs(lab)
    if args.json:
        print_json([_job_record(view) for view in views])
        return 0
    rows = [
        (
            view.paths.name,
            view.spec.mvp,
            view.spec.run,
            view.spec.profile,
            state_word(view.state),
            view.state.outcome if isinstance(view.state, Done) else view.why,
            f"{view.step}/{view.of}" if view.of else "-",
            number(view.values.get(view.spec.headline, view.values.get(_live(view)))),
        )
        for view in views
    ]
    print_table(("JOB", "MVP", "RUN", "PROFILE", "STATE", "OUTCOME", "STEP", "R2"), rows)
    if left := [view.paths.name for view in views if view.left]:
        names = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
        doing = "`vitlab resume JOB` goes on with it, `vitlab stop JOB` drops it"
        print(f"{len(left)} left behind by a crash or a restart: {names}; {doing}", file=sys.stderr)
    return 0


def _job_record(view: JobView) -> dict[str, object]:
    state = view.state
    return {
        "job": view.paths.name,
        "mvp": view.spec.mvp,
        "run": view.spec.run,
        "profile": view.spec.profile,
        "state": state_word(state),
        "outcome": state.outcome if isinstance(state, Done) else None,
        "health": view.health,
        "device": state.device if isinstance(state, Running) else view.spec.device,
        "step": view.step,
        "of": view.of,
        "values": dict(view.values),
        "why": view.why or None,
        "wandb": view.wandb,
        "started": None if isinstance(state, Queued) else state.started,
        "seconds": round(view.seconds, 3),
    }


def show_log(args: argparse.Namespace) -> int:
    """`vitlab logs`: the output so far, and with `-f` what comes until the job ends."""
    from vitlab.jobs.store import find_job, state
    from vitlab.jobs.tail import LogTail

    job = find_job(this_lab().paths, args.job)
    tail = LogTail(job.log)
    while True:
        ended = isinstance(state(job), Done | Lost)
        lines = tail.poll()
        for line in lines:
            print(line)
        sys.stdout.flush()
        # The state is read before the log, so what was written before the end is printed.
        if not lines and (ended or not args.follow):
            return 0
        if not lines:
            time.sleep(POLL)
