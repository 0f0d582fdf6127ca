"""The command on runs that were started by hand: which there are, and taking one over."""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Iterable
from pathlib import Path

from vitlab.commands.common import Options, add_json, plain, print_json, this_lab
from vitlab.contract.job import bare_id
from vitlab.contract.paths import UsageError
from vitlab.contract.value import NAME
from vitlab.lab.adoption import Candidate, Wanted, adopt, candidates, printed

LISTED = (
    "those that use a GPU, have loaded torch or another training library, or have used a "
    "minute of CPU time; give any other process by --pid"
)
"""Which processes are listed."""


def _options(adopt: argparse.ArgumentParser) -> None:
    adopt.description = f"Without options, list the Python trainings started by hand: {LISTED}."
    adopt.add_argument("--pid", type=int, metavar="P", help="the process to adopt")
    adopt.add_argument("--mvp", metavar="ID", help="the MVP it is a run of")
    adopt.add_argument("--run", metavar="NAME", help="which of its runs (default: by hand)")
    adopt.add_argument(
        "--log", type=Path, metavar="FILE", help="shown as the job's log (default: its output)"
    )
    adopt.add_argument(
        "--metrics",
        metavar="FILE",
        help="its metrics: a file, or a quoted glob below its folder (default: what is found)",
    )
    adopt.add_argument(
        "--name",
        action="append",
        default=[],
        metavar="THEIRS=OURS",
        help="name for a number: val_r2=val/r2/log_g (default: the experiment file's names)",
    )
    adopt.add_argument("--roadmap", metavar="FILE", help="default: the only one that lists the MVP")
    add_json(adopt)
    adopt.set_defaults(handler=adopt_run)


def adopt_run(args: argparse.Namespace) -> int:
    """`vitlab adopt`: list what could be adopted, or watch one process like any other job."""
    lab = this_lab()
    if args.pid is None and args.mvp is None:
        if given := [key for key in ("run", "log", "metrics", "name") if getattr(args, key)]:
            raise UsageError(f"--{given[0]} needs --pid and --mvp")
        _list(candidates(lab), args.json)
        return 0
    if args.pid is None or args.mvp is None:
        raise UsageError(
            "adopt: needs both --pid and --mvp (give neither to list what can be adopted)"
        )
    mvp = bare_id(args.mvp) or args.mvp
    roadmap = lab.roadmap_with(mvp, args.roadmap)
    wanted = Wanted(args.pid, args.run, args.log, args.metrics, _names(args.name))
    adopted = adopt(lab, roadmap, mvp, wanted)
    for note in adopted.notes:
        print(note, file=sys.stderr)
    if args.json:
        print_json({"job": str(adopted.job.folder), "notes": list(adopted.notes)})
    else:
        print(f"adopted {adopted.job.name}")
    return 0


def _list(found: list[Candidate], as_json: bool) -> None:
    if as_json:
        print_json([_record(one) for one in found])
        return
    if not found:
        print(
            f"you have no Python training running outside vitlab (looked for: {LISTED})",
            file=sys.stderr,
        )
        return
    for one in found:
        process = one.training
        began = datetime.datetime.fromtimestamp(process.started).strftime("%m-%d %H:%M")
        values = ", ".join(f"{theirs} = {printed(ours)}" for theirs, ours in one.meanings.items())
        print(f"{process.pid}  {plain(process.command)}")
        print(f"  on {process.device} since {began} in {plain(process.folder)}")
        print(f"  log: {plain(process.log or 'none')}")
        print(f"  metrics: {plain(one.metrics or 'none')}" + (f": {plain(values)}" * bool(values)))
        if one.note:
            print(f"  note: {plain(one.note)}")
        if one.watched_by:
            print(f"  already watched by: {one.watched_by}")
    print("`vitlab adopt --pid P --mvp ID` adopts one", file=sys.stderr)


def _record(one: Candidate) -> dict[str, object]:
    found = one.training
    return {
        "pid": found.pid,
        "argv": list(found.argv),
        "cwd": str(found.folder),
        "started": round(found.started, 3),
        "device": found.device,
        "log": str(found.log) if found.log else None,
        "metrics": one.metrics or None,
        "files": [str(path) for path in found.metrics],
        "names": dict(one.meanings),
        "unit_unknown": {k: v for k, v in one.names.unit.items() if k not in one.meanings},
        "other": list(one.names.other),
        "note": one.note or None,
        "watched_by": one.watched_by or None,
    }


def _names(pairs: Iterable[str]) -> dict[str, str]:
    names = {}
    for pair in pairs:
        theirs, _, ours = pair.partition("=")
        if not theirs or not NAME.fullmatch(ours):
            raise UsageError(f"--name {pair}: must be like val_r2=val/r2/log_g")
        names[theirs] = ours
    return names


OPTIONS: Options = {"adopt": _options}
