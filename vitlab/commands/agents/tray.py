"""`vitlab tray`: what assistants propose; a person accepts or dismisses each."""

from __future__ import annotations

import argparse
import sys

from vitlab.commands.common import (
    Options,
    add_json,
    agreed,
    plain,
    print_json,
    print_table,
    this_lab,
    warn_of_editors,
)
from vitlab.contract.terminal import print_exact
from vitlab.docs.text.edit import unified
from vitlab.lab.conclusions.decisions import Preview, accept, acceptable, dismiss, preview
from vitlab.lab.lab import Lab
from vitlab.lab.tray.proposals import Tray, summaries


def _tray_options(tray: argparse.ArgumentParser) -> None:
    tray.usage = "vitlab tray [--json] | vitlab tray accept N [--because TEXT] | tray dismiss N"
    add_json(tray)
    tray.set_defaults(handler=show_tray)


def _accept_options(tray: argparse.ArgumentParser) -> None:
    tray.add_argument("number", type=int, metavar="N")
    tray.add_argument("--because", default="", metavar="TEXT", help="your own reason")
    tray.add_argument("--dry-run", action="store_true", help="print the diff, change nothing")
    tray.add_argument("--yes", action="store_true", help="do not ask (it asks only in a terminal)")
    tray.set_defaults(handler=accept_proposal)


def _dismiss_options(tray: argparse.ArgumentParser) -> None:
    tray.add_argument("number", type=int, metavar="N")
    tray.set_defaults(handler=dismiss_proposal)


def show_tray(args: argparse.Namespace) -> int:
    """`vitlab tray`: what waits for a decision, with the assistant's reason."""
    lab = this_lab()
    waiting = Tray(lab).proposals()
    if args.json:
        print_json(summaries(waiting))
        return 0
    shown = [preview(lab, one) for one in waiting]
    rows: list[tuple[object, str]] = []
    for one in shown:
        first, *more = _lines(one)
        rows += [(one.proposal.number, first), *(("", line) for line in more)]
    if rows:
        print_table(("N", "PROPOSED"), rows, wrap=True)
        print("`vitlab tray accept N` shows the diff and does it, `dismiss N` drops it")
    else:
        print("nothing is proposed")
    return 0


def _lines(one: Preview) -> tuple[str, ...]:
    """What is proposed, why, and what vitlab says of it."""
    remarks = (f"cannot be accepted: {one.problem}",) if one.problem else one.remarks
    return (one.summary, f"reason: {one.proposal.reason}", *remarks)


def accept_proposal(args: argparse.Namespace) -> int:
    """`vitlab tray accept`: the diff on the files as they are now, then the write or launch."""
    lab = this_lab()
    because = None if args.dry_run else args.because
    _print(lab, acceptable(lab, Tray(lab).proposal(args.number), because))
    if args.dry_run or not (args.yes or agreed("do this?")):
        return 0
    done = accept(lab, args.number, args.because)
    for job in done.jobs:
        print(f"submitted {job.name}", flush=True)
    if done.files:
        names = ", ".join(map(lab.paths.relative, done.files))
        print(f"wrote {names}; `vitlab undo` undoes the last write", file=sys.stderr)
    warn_of_editors(done.files)
    return 0


def _print(lab: Lab, shown: Preview) -> None:
    for one in shown.changes:
        print_exact(unified(one.old_text, one.new_text, lab.paths.relative(one.path)))
    for line in _lines(shown):
        print(plain(line), file=sys.stderr)


def dismiss_proposal(args: argparse.Namespace) -> int:
    """`vitlab tray dismiss`: out of the tray; the same is not proposed again."""
    dismiss(this_lab(), args.number)
    print(f"dismissed {args.number}")
    return 0


OPTIONS: Options = {
    "tray": _tray_options,
    "tray accept": _accept_options,
    "tray dismiss": _dismiss_options,
}
