"""Commands on a job that is there: stop, resume, hold, release, move; and adopt makes one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable
from pathlib import Path

from vitlab.commands.here import this_lab
from vitlab.commands.output import Commands
from vitlab.contract.paths import UsageError


def add_commands(commands: Commands) -> None:
    for verb, meaning, said in (
        ("stop", "end a job, or take it out of the queue", "stopping"),
        ("resume", "go on with a stopped or lost job, in its folder", "resumed"),
        ("hold", "put a waiting job aside", "held"),
        ("release", "let a job start that was put aside", "released"),
    ):
        parser = commands.add_parser(verb, help=meaning)
        parser.add_argument("job", metavar="JOB")
        parser.set_defaults(handler=act, verb=verb, said=said)

    move = commands.add_parser("move", help="change a waiting job's place in the queue")
    move.add_argument("job", metavar="JOB")
    where = move.add_mutually_exclusive_group(required=True)
    where.add_argument("--up", type=int, metavar="N", help="places nearer to its start")
    where.add_argument("--down", type=int, metavar="N", help="places further from its start")
    where.add_argument("--first", action="store_true", help="before all others")
    move.set_defaults(handler=move_job)

    adopt = commands.add_parser("adopt", help="take in a run that was started by hand")
    adopt.add_argument("--pid", type=int, required=True, metavar="P")
    adopt.add_argument("--mvp", required=True, metavar="ID")
    adopt.add_argument("--log", type=Path, metavar="FILE", help="its output, shown as the job's")
    adopt.add_argument("--metrics", type=Path, metavar="FILE", help="its numbers: CSV, JSON lines")
    adopt.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="THEIRS=OURS",
        help="what a number is called: val_r2=val/r2/log_g (default: the experiment file's names)",
    )
    adopt.add_argument("--roadmap", metavar="FILE", help="default: the first that has the MVP")
    adopt.set_defaults(handler=adopt_run)


def act(args: argparse.Namespace) -> int:
    """`vitlab stop|resume|hold|release JOB`; the queue goes on by the way."""
    from vitlab.jobs.store import find_job
    from vitlab.records import queue

    acts = {
        "stop": queue.stop,
        "resume": queue.resume,
        "hold": queue.hold,
        "release": queue.release,
    }
    lab = this_lab()
    job = find_job(lab.paths, args.job)
    acts[args.verb](lab, job)
    print(f"{args.said} {job.name}")
    return 0


def move_job(args: argparse.Namespace) -> int:
    """`vitlab move`: up, down, or to the front of the queue."""
    from vitlab.jobs.store import find_job
    from vitlab.records.queue import move

    places = None if args.first else (args.down or 0) - (args.up or 0)
    if places == 0 or (args.up or 1) < 0 or (args.down or 1) < 0:
        raise UsageError("move: --up and --down take a number of places from 1 up")
    lab = this_lab()
    job = find_job(lab.paths, args.job)
    move(lab, job, places)
    print(f"moved {job.name}")
    return 0


def adopt_run(args: argparse.Namespace) -> int:
    """`vitlab adopt`: watch a running process to its end and treat it like any other job."""
    from vitlab.docs.ids import bare_id
    from vitlab.records.actions import adopt

    names = _names(args.name)
    metrics = (_from_its_folder(args.pid, args.metrics), names) if args.metrics else None
    if names and not metrics:
        raise UsageError("--name: says how numbers are called; --metrics FILE says where they are")
    lab = this_lab()
    mvp = bare_id(args.mvp) or args.mvp
    roadmap = lab.roadmap_with(mvp, args.roadmap)
    job = adopt(lab, roadmap, mvp, args.pid, args.log, metrics)
    print(f"adopted {job.name}")
    return 0


def _names(pairs: Iterable[str]) -> dict[str, str]:
    names = {}
    for pair in pairs:
        theirs, _, ours = pair.partition("=")
        if not theirs or not all(ours.split("/")) or "/" not in ours:
            raise UsageError(f"--name {pair}: must be like val_r2=val/r2/log_g")
        names[theirs] = ours
    return names


def _from_its_folder(pid: int, path: Path) -> str:
    """`path` as the program names it: what an experiment file would say."""
    try:
        folder = Path(f"/proc/{pid}/cwd").readlink()
    except OSError as error:
        raise UsageError(f"process {pid}: {error.strerror}") from error
    return os.path.relpath(path.resolve(), folder)
