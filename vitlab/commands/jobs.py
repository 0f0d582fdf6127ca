"""Commands on jobs: run, jobs, logs, stop, resume, hold, release, move."""

from __future__ import annotations

import argparse
import datetime
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from vitlab.commands.charts import draw_picture
from vitlab.commands.common import (
    Options,
    add_json,
    cut,
    plain,
    print_json,
    print_table,
    this_lab,
)
from vitlab.contract.job import (
    PROFILES,
    Done,
    Lost,
    Queued,
    Running,
    Spec,
    Unreadable,
    bare_id,
    ended_well,
)
from vitlab.contract.paths import JobPaths, UsageError
from vitlab.contract.terminal import print_drawn
from vitlab.contract.value import MEMORY, MFU, SPEED, WAIT, Value, shown_text
from vitlab.jobs.experiment.experiment import MAX_REPEATS
from vitlab.jobs.logs.tail import LogTail
from vitlab.jobs.queue.scheduler import advance, left_running
from vitlab.jobs.store import find_job, read_job, read_state
from vitlab.lab.figures.auto_figures import launch_figures
from vitlab.lab.lab import Lab
from vitlab.lab.launch import (
    ANEW,
    Request,
    advance_queue,
    begins_anew,
    default_profile,
    hold,
    launch,
    move,
    plan_launch,
    preview,
    release,
    resume,
    stop,
)
from vitlab.lab.live.snapshot import JobView, job_views, views_of
from vitlab.lab.writeback.edits import accept_automatically
from vitlab.lab.writeback.figure_files import launch_figure_files
from vitlab.lab.writeback.status_sync import PROGRESS_INTERVAL, sync_status
from vitlab.lab.writeback.writeback import end_summary, pending

PRINTED = 1 << 28
"""Bytes of a log that are printed: its end, where it is longer."""
POLL = 0.5
"""Seconds between two checks of a followed job."""
WARNED = 5
"""Ended jobs whose warnings are listed: the newest."""
REASON = 70
"""Characters of why a job failed, in the table."""
SANE = 1e9
"""No speed, memory or share of a real program is as large; its digits would fill a screen."""
STOP_PATIENCE = 3.0
"""Seconds in which a stopped job ends as a rule."""
PRINT_INTERVAL = 5.0
"""Seconds between two lines on a job that only makes progress."""


def _run_options(run: argparse.ArgumentParser) -> None:
    run.add_argument("mvp", metavar="MVP")
    run.add_argument("--profile", choices=PROFILES, help="default: the lab's setting")
    run.add_argument("--run", action="append", default=[], metavar="NAME", dest="runs",
                     help="only this run of a sweep; may be repeated")  # fmt: skip
    run.add_argument("--seeds", type=int, metavar="N",
                     help="N more seeds of each run, besides the existing ones")  # fmt: skip
    run.add_argument("--roadmap", metavar="FILE", help="default: the only one that lists the MVP")
    run.add_argument("--gpu", default="auto", metavar="N|auto|cpu", help="default: auto")
    run.add_argument("--backend", choices=("local", "slurm"), default="local")
    run.add_argument("--memory", metavar="SIZE", help="memory for a job's spectra, like 8GiB")
    run.add_argument("--force", action="store_true", help="launch despite failed checks")
    run.add_argument(
        "--wait", action="store_true", help="wait for the end (exit status 1 if a job fails)"
    )
    add_json(run)
    run.set_defaults(handler=run_mvp)


def _jobs_options(jobs: argparse.ArgumentParser) -> None:
    add_json(jobs)
    jobs.set_defaults(handler=list_jobs)


def _logs_options(logs: argparse.ArgumentParser) -> None:
    logs.add_argument("job", metavar="JOB")
    logs.add_argument("-f", "--follow", action="store_true", help="follow until the job ends")
    logs.set_defaults(handler=show_log)


def run_mvp(args: argparse.Namespace) -> int:
    """`vitlab run`: write the launch into the roadmap, queue the jobs, start what fits."""
    lab = this_lab()
    mvp = bare_id(args.mvp) or args.mvp
    roadmap = lab.roadmap_with(mvp, args.roadmap)
    profile = args.profile or default_profile(lab, roadmap, mvp)
    if profile not in (args.profile, lab.settings.profile):
        print(f"profile {profile}: the experiment has no {lab.settings.profile}", file=sys.stderr)
    if args.seeds is not None and not 1 <= args.seeds <= MAX_REPEATS:
        raise UsageError(f"--seeds {args.seeds}: must be from 1 to {MAX_REPEATS}")
    request = Request(
        roadmap, mvp, profile, args.gpu, args.backend, args.memory, args.runs, args.seeds or 0
    )
    plan = plan_launch(lab, request)
    refused = not args.force and any(one.status == "bad" for one in plan.findings)
    for finding in plan.findings:
        if finding.status == "warn" or not refused:  # the refusal itself is one line
            print(f"{finding.status}: {finding.text}", file=sys.stderr)
    launched = launch(lab, plan, force=args.force)
    if notice := launched.notice(lab):
        print(notice, file=sys.stderr)
    jobs = list(launched.jobs)
    if not args.json:
        for job in jobs:
            print(f"submitted {job.name}", flush=True)
    failed = follow(lab, jobs, roadmap) if args.wait else 0
    if args.wait:
        _print_warnings(views_of(lab, jobs))
        if not args.json:
            _print_end(lab, roadmap, plan.specs[0])
        accept_automatically(lab, roadmap)
    if args.json:
        print_json({"jobs": [str(job.folder) for job in jobs]})
    return 1 if failed else 0


def _print_warnings(views: Iterable[JobView]) -> None:
    for view in views:
        for line in view.warnings:
            print(f"{view.paths.name}: warning: {plain(line)}", file=sys.stderr)


def _print_end(lab: Lab, roadmap: Path, spec: Spec) -> None:
    """Print the main figure of a launch, its conclusion, and where to find more."""
    first = next(launch_figures(lab, spec), None)
    if first is not None:
        print_drawn(f"\n{draw_picture(first[1])}\n")
    plan = pending(lab, roadmap, spec.mvp)
    own = end_summary(lab, roadmap, spec.mvp)
    print(own)
    for line in plan.summary:
        if line != own:  # of a full launch before this trial
            print(f"to be written first: {line}")
    for picture in launch_figure_files(lab, roadmap, spec.mvp):
        print(f"figure {lab.paths.relative(picture)}")
    if plan.changes and lab.settings.write_results != "auto":
        print("`vitlab sync` writes it into roadmap, hub and report")


def follow(lab: Lab, jobs: Sequence[JobPaths], roadmap: Path | None = None) -> int:
    """Wait for `jobs`, printing changes to stderr; the number that failed.

    Their progress and ends are written into `roadmap`, if given.
    """
    printed: dict[str, tuple[str, float]] = {}
    names = sorted((paths.name for paths in jobs), key=len, reverse=True)
    synced = time.monotonic()
    while True:
        views = views_of(lab, jobs)
        for view in views:
            line, now = _progress(view), time.monotonic()
            last_line, last_time = printed.get(view.paths.name, ("", 0.0))
            again = _stage(last_line, names) == _stage(line, names)
            due = isinstance(view.state, Running) and now - last_time >= PRINT_INTERVAL
            if line != last_line and (not again or due):
                printed[view.paths.name] = (line, now)
                print(f"{view.paths.name}: {line}", file=sys.stderr, flush=True)
        ended = all(isinstance(view.state, Done | Lost | Unreadable) for view in views)
        if roadmap is not None and (ended or time.monotonic() - synced >= PROGRESS_INTERVAL):
            sync_status(lab, roadmap)
            synced = time.monotonic()
        if ended:
            return sum(not ended_well(v.state) for v in views)
        if not any(isinstance(view.state, Running) for view in views):
            advance(lab.paths)
        time.sleep(POLL)


def _stage(line: str, names: Iterable[str]) -> str:
    """What does not change while a job only makes progress, or waits for one run after another."""
    if not line.startswith("waiting: "):
        return line.partition(" ")[0]
    for name in names:
        line = line.replace(name, "")
    return line


def _progress(view: JobView) -> str:
    match view.state:
        case Queued():
            return f"waiting: {view.why}" if view.why else "waiting"
        case Running():
            score = view.values.get(_live(view))
            parts = [
                f"running {view.step}/{view.of}" if view.of else f"running {view.epochs}".strip()
            ]
            if score is not None:
                parts.append(f"{_live(view)} {score:.3f}")
            if view.eta is not None:
                parts.append(f"{datetime.timedelta(seconds=max(round(view.eta), 0))} left")
            return ", ".join(parts)
        case Done() as done:
            return _ended(done)
        case Lost():
            return "lost: its supervisor died; `vitlab resume` resumes it"
        case Unreadable(why=why):
            return f"unreadable: {why}"


def _ended(done: Done) -> str:
    """`ok`, `failed: exit code 3`."""
    if done.outcome == "ok" or not done.detail:
        return done.word
    return done.detail if done.detail.startswith(done.word) else f"{done.word}: {done.detail}"


def _live(view: JobView) -> str:
    """The value that changes while the job runs: the headline on the validation set."""
    return str(Value.parse(view.spec.headline).live)


def list_jobs(args: argparse.Namespace) -> int:
    """`vitlab jobs`: every job of the lab, the newest last; advances the queue too."""
    lab = this_lab(looking=True)
    advance_queue(lab)
    views = job_views(lab)
    if args.json:
        print_json([_job_record(view) for view in views])
        return 0
    rows = [
        (
            view.paths.name,
            view.spec.mvp,
            view.spec.run,
            view.spec.profile,
            "held" if view.held and isinstance(view.state, Queued) else view.state_word,
            _outcome(view),
            f"{view.step}/{view.of}" if view.of else view.epochs or "-",
            shown_text(view.spec.headline, view.values, runs=isinstance(view.state, Running))
            or "-",
        )
        for view in views
    ]
    print_table(("JOB", "MVP", "RUN", "PROFILE", "STATE", "OUTCOME", "STEP", "R2"), rows)
    if left := [view.paths.name for view in views if view.left]:
        names = ", ".join(left[:3]) + (", ..." if len(left) > 3 else "")
        hint = "`vitlab resume JOB` resumes it, `vitlab stop JOB` drops it"
        print(f"{len(left)} lost in a crash or restart: {names}; {hint}", file=sys.stderr)
    _print_warnings([view for view in views if isinstance(view.state, Running)])
    _print_warnings([view for view in views if isinstance(view.state, Done)][-WARNED:])
    return 0


def _outcome(view: JobView) -> str:
    """How it ended, why it waits or how it performs, and what of it cannot be read."""
    words = view.why
    if isinstance(view.state, Done):
        word = view.state.word
        words = word if word == "stopped" else cut(_ended(view.state), REASON)
    elif isinstance(view.state, Running):
        words = words or performance(view.values)
    unread = view.problem and f"unreadable: {view.problem}"
    return "; ".join(part for part in (words, unread) if part)


def performance(values: Mapping[str, float | None]) -> str:
    """`21,300/s, 18% of the peak, 31.2 GB, waits 2%`; what is not reported is left out."""
    words = ("{:,.0f}/s", "{:.0%} of the peak", "{:.3g} GB", "waiting for data {:.0%}")
    numbers = [values.get(name) for name in (SPEED, MFU, MEMORY, WAIT)]
    pairs = zip(words, numbers, strict=True)
    return ", ".join(word.format(x) for word, x in pairs if x is not None and abs(x) < SANE)


def _job_record(view: JobView) -> dict[str, object]:
    state = view.state
    return {
        "job": view.paths.name,
        "mvp": view.spec.mvp,
        "run": view.spec.run,
        "profile": view.spec.profile,
        "state": view.state_word,
        "outcome": state.outcome if isinstance(state, Done) else None,
        "health": view.health,
        "device": state.device if isinstance(state, Running) else view.spec.device,
        "step": view.step,
        "of": view.of,
        "values": dict(view.values),
        "why": view.why or (state.detail if isinstance(state, Done) else "") or None,
        "problem": view.problem or None,
        "wandb": view.wandb,
        "metrics": view.metrics,
        "started": None if isinstance(state, Queued | Unreadable) else state.started,
        "seconds": round(view.seconds, 3),
    }


def show_log(args: argparse.Namespace) -> int:
    """`vitlab logs`: the output so far, and with `-f` the rest until the job ends."""
    job = find_job(this_lab(looking=True).paths, args.job)
    tail, live, empty = LogTail(job.log, last_bytes=PRINTED), "", True
    if (over := (job.log.stat().st_size if job.log.is_file() else 0) - PRINTED) > 0:
        where = f"`less {shlex.quote(str(job.log))}` shows them"
        print(f"{job.name}: the first {over / 1e6:,.0f} MB are left out; {where}", file=sys.stderr)
    while True:
        ended = isinstance(read_state(job), Done | Lost | Unreadable)
        lines = tail.poll()
        for line in lines:
            _clear(live)
            print(line)
            live, empty = "", False
        # The state is read before the log, so all that was written before the end is printed.
        idle = not lines and not tail.behind
        if idle and (ended or not args.follow):
            break
        if idle and tail.unfinished != live and sys.stdout.isatty():
            _clear(live)
            print(tail.unfinished, end="")  # a progress bar, as it moves
            live = tail.unfinished
        sys.stdout.flush()
        if idle:
            time.sleep(POLL)
    if tail.unfinished:
        _clear(live)
        print(tail.unfinished)
    elif empty:
        print(f"{job.name}: no output yet", file=sys.stderr)
    return 0


def _clear(live: str) -> None:
    """Move a terminal back to the start of the line `live`, and clear it."""
    if live:
        print_drawn("\r\x1b[K", "")


def _action_options(
    act: Callable[[Lab, JobPaths], None], done: str, parser: argparse.ArgumentParser
) -> None:
    """A command that does one thing to one job."""
    parser.add_argument("job", metavar="JOB")
    if act is resume:
        parser.add_argument(
            "--here",
            action="store_true",
            help="run it here even if it was not submitted here",
        )
        parser.add_argument(
            "--force",
            action="store_true",
            help="go on even if another job has run in its folder since",
        )
    parser.set_defaults(handler=change_job, act=act, done=done, here=False, force=False)


def _move_options(move: argparse.ArgumentParser) -> None:
    move.add_argument("job", metavar="JOB")
    where = move.add_mutually_exclusive_group(required=True)
    where.add_argument("--up", type=int, metavar="N", help="by this many places")
    where.add_argument("--down", type=int, metavar="N", help="by this many places")
    where.add_argument("--first", action="store_true", help="to the front of the queue")
    move.set_defaults(handler=move_job)


def change_job(args: argparse.Namespace) -> int:
    """`vitlab stop|resume|hold|release JOB`; advances the queue too."""
    lab = this_lab(looking=args.act in (stop, hold))
    job = find_job(lab.paths, args.job)
    record = read_job(job)
    act = args.act
    if args.here or args.force:
        act = partial(resume, here=args.here, force=args.force)
    if record is not None and args.act is stop and isinstance(record.state, Done):
        raise UsageError(f"{job.name}: has ended already: {record.state.word}")
    if record is not None and args.act is resume:
        for line in preview(record):
            print(plain(line), file=sys.stderr)
        if begins_anew(record.spec, record.state):
            print(f"{job.name}: {ANEW}", file=sys.stderr)
    pid = left_running(record) if record is not None and args.act is stop else None
    act(lab, job)
    left = f"dropped {job.name}: its process {pid} still runs, `kill {pid}` ends it"
    print(f"{args.done} {job.name}" if pid is None else left, flush=True)
    if record is not None and args.act is stop:
        _await_end(lab, job, record.spec)
    return 0


def _await_end(lab: Lab, job: JobPaths, spec: Spec) -> None:
    """Write into the plan that a job was stopped, if it ends soon."""
    until = time.monotonic() + STOP_PATIENCE
    while isinstance(read_state(job), Running) and time.monotonic() < until:
        time.sleep(POLL / 5)
    try:
        sync_status(lab, lab.paths.inside(spec.roadmap))
    except (UsageError, OSError) as error:  # it is stopped all the same
        lab.tell(f"the status of MVP {spec.mvp} is not written: {error}")


def move_job(args: argparse.Namespace) -> int:
    """`vitlab move`: up, down, or to the front of the queue."""
    places = None if args.first else (args.down or 0) - (args.up or 0)
    if places == 0 or (args.up or 1) < 0 or (args.down or 1) < 0:
        raise UsageError("move: --up and --down take a number of places, at least 1")
    lab = this_lab()
    job = find_job(lab.paths, args.job)
    move(lab, job, places)
    print(f"moved {job.name}")
    return 0


OPTIONS: Options = {
    "run": _run_options,
    "jobs": _jobs_options,
    "logs": _logs_options,
    "stop": partial(_action_options, stop, "stopping"),
    "resume": partial(_action_options, resume, "resumed"),
    "hold": partial(_action_options, hold, "held"),
    "release": partial(_action_options, release, "released"),
    "move": _move_options,
}
