"""The command that says what is believed: vitlab hub."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.commands.here import existing, lab_around, this_lab
from vitlab.commands.output import Commands, add_json, print_json, print_table
from vitlab.contract.paths import UsageError

if TYPE_CHECKING:
    from vitlab.docs.hub import Hub, Point
    from vitlab.docs.views import Entry

POINTS = ("beliefs", "hypotheses", "next_steps")
TABLES = {
    "key_numbers": ("indicator", "value", "condition", "source"),
    "gaps": ("gap", "question", "closes"),
    "closed": ("direction", "reason", "lesson"),
    "pointers": ("type", "path"),
}
"""Tables of a hub, and the columns of each that are shown."""


def add_commands(commands: Commands) -> None:
    hub = commands.add_parser("hub", help="beliefs, hypotheses, key numbers, gaps, next steps")
    hub.add_argument("document", nargs="?", metavar="HUB", help="default: the first roadmap's")
    add_json(hub)
    hub.set_defaults(handler=show_hub)


def show_hub(args: argparse.Namespace) -> int:
    """`vitlab hub`: what the hub says, in the order a reader wants it."""
    hub = _hub(args.document)
    if args.json:
        points = {kind: [vars(point) for point in getattr(hub, kind)] for kind in POINTS}
        tables = {kind: [_cells(row) for row in getattr(hub, kind)] for kind in TABLES}
        print_json({"title": hub.title, **points, **tables})
        return 0
    print_table([hub.title], [])
    for kind in POINTS:
        _print_points(kind, getattr(hub, kind))
    for kind, columns in TABLES.items():
        rows = [_cells(row) for row in getattr(hub, kind)]
        shown = [name for name in columns if any(row.get(name) for row in rows)]
        if shown:
            print()
            header = [kind.replace("_", " ").upper() if i == 0 else "" for i in range(len(shown))]
            print_table(header, [[row.get(name, "") for name in shown] for row in rows])
    return 0


def _hub(named: str | None) -> Hub:
    from vitlab.docs.hub import parse_hub
    from vitlab.docs.source import read
    from vitlab.records.plan import find_hub

    if named is not None:
        path: Path | None = existing(named)
        lab = lab_around(existing(named))
    else:
        lab = this_lab()
        roadmap = lab.roadmap_path()
        path = find_hub(lab, lab.read_roadmap(roadmap))
        if path is None:
            raise UsageError(f"{roadmap}: names no hub that is there (a file *hub*.md)")
    assert path is not None
    return parse_hub(read(path), lab.vocabulary) if lab else parse_hub(read(path))


def _print_points(kind: str, points: Iterable[Point]) -> None:
    rows = [(point.status or "", point.text) for point in points]
    if rows:
        print()
        print_table((kind.replace("_", " ").upper(), ""), rows)


def _cells(row: Entry) -> dict[str, str]:
    return {name: cell.text for name, cell in row.cells.items()}
