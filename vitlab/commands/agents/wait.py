"""`vitlab wait`: blocks until a job ends, a gate is judged, or something needs a person."""

from __future__ import annotations

import argparse
import math
import time

from vitlab.commands.common import Options, add_json, plain, print_json, print_note, this_lab
from vitlab.contract.paths import UsageError
from vitlab.contract.value import score_text
from vitlab.lab.live.changes import Change, ChangeLog
from vitlab.tui.watch.pace import Pace

TIMED_OUT = 124
"""Exit status of a wait in which nothing happened, as of timeout(1)."""
_ABOUT = f"""\
Without JOB or MVP it waits for anything in the lab. CURSOR is the one that the last call printed:
what happened since then is told at once, and nothing twice. Exit status: 0 something happened,
{TIMED_OUT} nothing did in the time given, 2 bad usage."""


def _wait_options(wait: argparse.ArgumentParser) -> None:
    wait.epilog = _ABOUT
    wait.add_argument("names", nargs="*", metavar="JOB|MVP", help="default: anything in the lab")
    wait.add_argument("--any", action="store_true", help="wait for the first of them, not for all")
    wait.add_argument("--since", metavar="CURSOR", help="tell what happened since an earlier call")
    wait.add_argument("--timeout", type=float, metavar="S", help="seconds (default: no limit)")
    add_json(wait)
    wait.set_defaults(handler=wait_for_changes)


def wait_for_changes(args: argparse.Namespace) -> int:
    """`vitlab wait`: prints what happened and the next cursor."""
    if args.timeout is not None and not 0 <= args.timeout < math.inf:
        raise UsageError(f"--timeout {args.timeout:g}: seconds, 0 or more")
    log = ChangeLog(this_lab())
    log.look()
    awaited = log.awaited(args.names, args.since, args.any)
    pace = quiet_pace()
    until = time.monotonic() + (math.inf if args.timeout is None else args.timeout)
    while (changes := log.answer(awaited)) is None and (left := until - time.monotonic()) > 0:
        time.sleep(min(pace.rest(), left))
        log.look()
    if args.json:
        print_json({"cursor": log.cursor, "changes": [one.record for one in changes or ()]})
    else:
        for one in changes or ():
            print(plain(_text(one)))
        print_note(f"go on with --since {log.cursor}")
    return TIMED_OUT if changes is None else 0


def quiet_pace() -> Pace:
    """How long to pause between two looks: the longer, the longer it is waited."""
    pace = Pace()
    pace.busy = False
    return pace


def _text(one: Change) -> str:
    """`VIT-.../...: ended: ok, test/r2/log_g 0.711`."""
    values = ", ".join(f"{name} {score_text(name, number)}" for name, number in one.values.items())
    if one.gate:
        return f"Gate-{one.gate}: {one.kind}: {one.state}: {one.why}"
    parts = filter(None, (one.outcome or one.state, one.why, values))
    return f"{one.job}: {one.kind}: {', '.join(parts)}"


OPTIONS: Options = {"wait": _wait_options}
