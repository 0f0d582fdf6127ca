"""The command on hubs: show one, set a statement's status and evidence, add a row."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from vitlab.commands.common import (
    Options,
    add_json,
    existing,
    lab_around,
    print_json,
    print_table,
    this_lab,
    warn_of_editors,
)
from vitlab.contract.paths import UsageError
from vitlab.contract.terminal import print_exact
from vitlab.docs.model.hub import Hub, Point, parse_hub
from vitlab.docs.model.table_kinds import Entry
from vitlab.docs.save import FileChange, save
from vitlab.docs.text.edit import unified
from vitlab.docs.text.source import read
from vitlab.docs.write.hub_rows import KINDS
from vitlab.lab.lab import Lab
from vitlab.lab.linked_files import find_hub
from vitlab.lab.writeback.edits import journal_of, only_undo
from vitlab.lab.writeback.hub_edits import new_statement, statement_changes

POINTS = ("beliefs", "hypotheses", "gaps", "next_steps")
TABLES = {
    "consensus": ("number", "consensus", "evidence", "decision"),
    "key_numbers": ("indicator", "value", "condition", "source"),
    "answers": ("branch", "answer", "implication"),
    "principles": ("number", "principle", "advice", "evidence"),
    "closed": ("direction", "reason", "lesson"),
    "files": ("type", "path"),
}
"""Tables of a hub by their kind, and the columns of each that are shown."""
_NAMES = {"files": "pointers"}
"""What a kind of table is called here, where it is not the kind's own name."""
_USAGE = """vitlab hub [HUB] [--json]
       vitlab hub set [HUB] ID [--status WORD] [--evidence TEXT] [--dry-run]
       vitlab hub add [HUB] KIND TEXT [--evidence TEXT] [--dry-run]"""
_ABOUT = f"""\
HUB can be omitted if the lab has only one. ID is a hypothesis, question, gap or row
(H1.2, Q1, DG4, K3). KIND is one of {", ".join(KINDS)}."""


def _hub_options(hub: argparse.ArgumentParser) -> None:
    hub.usage = _USAGE
    hub.epilog = _ABOUT
    hub.formatter_class = argparse.RawDescriptionHelpFormatter
    hub.add_argument("words", nargs="*", metavar="WORD", help=argparse.SUPPRESS)
    hub.add_argument(
        "--status", metavar="WORD", help="confirmed, rejected, open, planned, done, ..."
    )
    hub.add_argument(
        "--evidence", metavar="TEXT", default="", help="appended to the existing evidence"
    )
    hub.add_argument("--dry-run", action="store_true", help="print the diff, write nothing")
    add_json(hub)
    hub.set_defaults(handler=hub_command)


def hub_command(args: argparse.Namespace) -> int:
    """`vitlab hub`, `vitlab hub set`, `vitlab hub add`."""
    words = list(args.words)
    if words[:1] == ["set"] and len(words) in (2, 3):
        return _set(args, words[1] if len(words) == 3 else None, words[-1])
    if words[:1] == ["add"] and len(words) in (3, 4):
        return _add(args, words[1] if len(words) == 4 else None, *words[-2:])
    if words[:1] in (["set"], ["add"]) or len(words) > 1:
        raise UsageError("usage: " + " | ".join(line.strip() for line in _USAGE.splitlines()))
    if args.status or args.evidence or args.dry_run:
        raise UsageError("--status, --evidence and --dry-run belong to `hub set` and `hub add`")
    return _show(args, words[0] if words else None)


def _set(args: argparse.Namespace, named: str | None, wanted: str) -> int:
    if args.status is None and not args.evidence.strip():
        raise UsageError("hub set: give --status, --evidence or both")
    lab, path = _where(named)
    changes = statement_changes(lab, path, wanted, args.status, args.evidence.strip())
    _write(lab, [change for change, _ in changes], args.dry_run)
    for change, lost in changes:
        for line in lost:
            print(f"{_name(lab, change.path)}: {only_undo(line)}", file=sys.stderr)
    return 0


def _add(args: argparse.Namespace, named: str | None, kind: str, text: str) -> int:
    known = {each.casefold(): each for each in KINDS}
    if kind.casefold() not in known:
        raise UsageError(f"hub add {kind}: one of {', '.join(KINDS)}")
    if args.status is not None:
        raise UsageError("--status belongs to `hub set`")
    if not text.strip():
        raise UsageError("hub add: no text")
    lab, path = _where(named)
    change = new_statement(lab, path, known[kind.casefold()], text.strip(), args.evidence.strip())
    _write(lab, [change], args.dry_run, exact=True)
    return 0


def _where(named: str | None) -> tuple[Lab | None, Path | None]:
    if named is None:
        return this_lab(), None
    return lab_around(existing(named)), existing(named)


def _write(
    lab: Lab | None, changes: list[FileChange], dry_run: bool, *, exact: bool = False
) -> None:
    for change in changes:
        print_exact(unified(change.old_text, change.new_text, _name(lab, change.path)))
    if changes and not dry_run:
        save(changes, journal_of(lab), what="hub", exact=exact)
        warn_of_editors(change.path for change in changes)


def _name(lab: Lab | None, path: Path) -> str:
    return lab.paths.relative(path) if lab else str(path)


def _show(args: argparse.Namespace, named: str | None) -> int:
    """The contents of the hub, the most wanted first."""
    hub = _hub(named)
    if args.json:
        points = {kind: [vars(point) for point in getattr(hub, kind)] for kind in POINTS}
        tables = {
            _NAMES.get(kind, kind): [_cells(row) for row in hub.rows(kind)] for kind in TABLES
        }
        print_json({"title": hub.title, **points, **tables})
        return 0
    print_table([hub.title], [])
    for kind in POINTS:
        _print_points(kind, getattr(hub, kind))
    for kind, columns in TABLES.items():
        rows = [_cells(row) for row in hub.rows(kind)]
        shown = [name for name in columns if any(row.get(name) for row in rows)]
        if shown:
            print()
            title = _NAMES.get(kind, kind).replace("_", " ").upper()
            print_table(
                [title, *[""] * (len(shown) - 1)],
                [[row.get(name, "") for name in shown] for row in rows],
            )
    return 0


def _hub(named: str | None) -> Hub:
    if named is not None:
        path: Path | None = existing(named)
        lab = lab_around(existing(named))
    else:
        lab = this_lab()
        roadmap = lab.roadmap_path()
        path = find_hub(lab, lab.read_roadmap(roadmap))
        if path is None:
            raise UsageError(f"{roadmap}: names no hub that exists (a file *hub*.md)")
    assert path is not None
    return parse_hub(read(path), lab.vocabulary) if lab else parse_hub(read(path))


def _print_points(kind: str, points: Iterable[Point]) -> None:
    rows = [
        (p.status or "", "" if p.text.startswith(p.id) else p.id, p.text, p.evidence)
        for p in points
    ]
    filled = [n for n in range(4) if n in (0, 2) or any(row[n] for row in rows)]
    if rows:
        print()
        head = [kind.replace("_", " ").upper(), *[""] * (len(filled) - 1)]
        print_table(head, [[row[n] for n in filled] for row in rows])


def _cells(row: Entry) -> dict[str, str]:
    return {name: cell.text for name, cell in row.cells.items()}


OPTIONS: Options = {"hub": _hub_options}
