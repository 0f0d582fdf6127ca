"""`vitlab paper`: tables, figures and numbers of a paper, from the results of a roadmap."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vitlab.commands.common import (
    Options,
    add_json,
    lab_around,
    note_unreadable_jobs,
    plain,
    print_json,
    roadmap_of,
)
from vitlab.commands.paper.check import check_options
from vitlab.contract.paths import NoLab, UsageError, check_inside
from vitlab.jobs.files import held_by, take_lock
from vitlab.lab.lab import Lab
from vitlab.lab.paper.artefacts.folder import Written
from vitlab.lab.paper.artefacts.make import Paper, make_paper
from vitlab.lab.paper.artefacts.publish import write_paper

PATIENCE = 60.0
"""Seconds to wait for another writer of the same lab's artefacts."""


def _options(paper: argparse.ArgumentParser) -> None:
    paper.description = (
        "Make the artefacts of the roadmap's paper check list: tables (LaTeX), figures (PDF), "
        "numbers.tex with a macro for each number, provenance.json. `vitlab paper check FILE...` "
        "holds the numbers of a draft against the results."
    )
    paper.add_argument("roadmap", nargs="?", metavar="ROADMAP", help="default: the lab's first")
    paper.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where to")
    paper.add_argument(
        "--draft", action="store_true", help="take trials where there are no full runs, and say so"
    )
    paper.add_argument(
        "--force", action="store_true", help="replace files that vitlab did not write"
    )
    add_json(paper)
    paper.set_defaults(handler=make_artefacts)


def make_artefacts(args: argparse.Namespace) -> int:
    """`vitlab paper`: exit status 1 where an artefact of the check list is missing."""
    path = roadmap_of(args)
    lab = lab_around(path)
    if lab is None:
        raise NoLab(f"{path}: is in no lab, so it has no results")
    note_unreadable_jobs(lab)
    paper = make_paper(lab, path, draft=args.draft)
    if not paper.files:
        raise UsageError(_nothing(paper))
    named = Path(os.path.abspath(args.out))  # noqa: PTH100 - links are not followed
    if named.is_relative_to(lab.paths.root):
        check_inside(lab.paths.root, [named])
    name = lab.paths.relative(path)
    with _alone(lab):
        written = write_paper(args.out, paper, name, draft=args.draft, force=args.force)
    if args.json:
        print_json(_record(args.out, paper, written))
    else:
        _print(args.out, paper, written)
    return int(bool(paper.missing))


@contextmanager
def _alone(lab: Lab) -> Iterator[None]:
    """Hold off another process that writes artefacts: a folder half of each is nobody's.

    A lab that this user cannot write has no lock; its artefacts go elsewhere.
    """
    lock = None
    with suppress(OSError):
        lab.paths.private.make()
        path = lab.paths.private.paper_lock
        if (lock := take_lock(path, PATIENCE)) is None:
            why = f"another `vitlab paper` of this lab is writing{held_by(path)}; try again"
            raise UsageError(why)
    try:
        yield
    finally:
        if lock is not None:
            os.close(lock)


def _nothing(paper: Paper) -> str:
    return "no artefact can be made: " + "; ".join(map(plain, [*paper.missing, *paper.told]))


def _record(folder: Path, paper: Paper, written: Written) -> dict[str, object]:
    kinds = ("made", "changed", "same", "removed")
    files = {kind: list(getattr(written, kind)) for kind in kinds}
    return {"folder": str(folder), **files, "missing": paper.missing, "left_out": paper.told}


def _print(folder: Path, paper: Paper, written: Written) -> None:
    for kind in ("made", "changed", "removed"):
        for name in getattr(written, kind):
            print(f"{kind}: {folder / name}")
    if not (written.made or written.changed or written.removed):
        print(f"{folder}: nothing has changed ({len(written.same)} files)")
    for line in paper.told:
        print(f"left out: {plain(line)}", file=sys.stderr)
    for line in paper.missing:
        print(f"missing: {plain(line)}", file=sys.stderr)


OPTIONS: Options = {"paper": _options, "paper check": check_options}
