"""What commands share: the lab they work on, and how they print JSON and aligned tables."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import operator
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from vitlab.contract.paths import NoLab, UsageError, real
from vitlab.contract.terminal import in_color, painted, print_drawn
from vitlab.contract.validation import FASTEST, HIGHEST_R, LOWEST_R
from vitlab.docs.judge.gates import Verdict, judge
from vitlab.docs.model.roadmap import Roadmap, parse_roadmap
from vitlab.docs.text.source import read
from vitlab.jobs.store import all_jobs
from vitlab.lab.lab import Lab, open_lab
from vitlab.lab.results.job_results import newest_results, unreadable_jobs
from vitlab.lab.results.ranking import verdicts_of

WIDEST = 300
"""Characters of a table's cell."""
NARROWEST = 20
"""Cells of a column that is wrapped."""
_STATUS_HEADS = ("STATUS", "STATE", "OUTCOME", "VERDICT")
_COLORS = {
    "32": ("done", "ok", "pass", "passed"),
    "31": ("failed", "fail", "lost", "unreadable", "killed", "oom", "nan", "stalled"),
    "36": ("running",),
    "33": ("analysing", "partial", "paused", "stopped", "foreign", "held"),
}
"""Colours (parameters of SGR) of statuses, states, outcomes and verdicts."""
NAMED = 5
"""Jobs that are named where some cannot be read."""
Options = Mapping[str, Callable[[argparse.ArgumentParser], None]]
"""Of each command module: what adds a command's options and its handler, by the command's name."""


def add_json(parser: argparse._ActionsContainer) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_observed(parser: argparse.ArgumentParser) -> None:
    """What is known of observed spectra besides their files."""
    parser.add_argument(
        "--velocity", type=float, metavar="KM_S", help="of all; default: the file's, else found"
    )
    parser.add_argument("--resolution", type=float, metavar="R", help="of all; default: the file's")
    parser.add_argument(
        "--corrected",
        action="store_true",
        help="all are corrected for the Earth's absorption: its bands are used",
    )


def check_observed(args: argparse.Namespace) -> None:
    """`UsageError` for a velocity or a resolution that no spectrum here has."""
    if args.velocity is not None and not abs(args.velocity) <= FASTEST:
        raise UsageError(f"--velocity {args.velocity:g}: must be -{FASTEST:g} to {FASTEST:g}")
    if args.resolution is not None and not LOWEST_R <= args.resolution <= HIGHEST_R:
        ends = f"{LOWEST_R:.0f} to {HIGHEST_R:.0f}"
        raise UsageError(f"--resolution {args.resolution:g}: must be {ends}")


def check_out(path: Path, *endings: str, makes_folder: bool = False) -> None:
    """`UsageError` unless `--out` names a new file that can be written: before work begins."""
    if endings and path.suffix not in endings:
        raise UsageError(f"--out {path}: must end in {' or '.join(endings)}")
    if os.path.lexists(path):  # `--out *.fits` names a spectrum
        raise UsageError(f"--out {path}: exists already")
    if makes_folder and not path.parent.exists():
        return
    if not path.parent.is_dir():
        raise UsageError(f"--out {path}: no such folder")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise UsageError(f"--out {path}: its folder: Permission denied")


def print_json(value: object) -> None:
    # In another encoding every character is escaped: a replaced one would be another name.
    ascii_only = (sys.stdout.encoding or "utf-8").lower() not in ("utf-8", "utf8")
    json.dump(_finite(value), sys.stdout, ensure_ascii=ascii_only, indent=1, allow_nan=False)
    print()


def _finite(value: object) -> object:
    """The same; numbers of a file that JSON has no word for are null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def print_table(
    header: Sequence[str], rows: Iterable[Sequence[object]], *, wrap: bool = False
) -> None:
    """Left-aligned columns by display width, so that Chinese and emoji cells line up.

    A long cell is cut, or it would widen its column in every row. `wrap`: the last column goes on
    in further lines, whole, where the terminal is too narrow for it.
    """
    header = [plain(head) for head in header]
    cells = [[plain(cell) for cell in row] for row in rows]
    if wrap:
        cells = _wrapped(header, cells)
    cells = [[*map(cut, row[:-1]), row[-1] if wrap else cut(row[-1])] for row in cells]
    widths = [max(map(_width, column)) for column in zip(header, *cells, strict=True)]
    color, lines = in_color(), []
    for row in [header, *cells]:
        gaps = [" " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True)]
        shown = row
        if color:
            shown = [painted(x, _color(h, x)) for h, x in zip(header, row, strict=True)]
        lines.append("  ".join(map(operator.add, shown, gaps)).rstrip())
    print_drawn("\n".join(lines))


def _wrapped(header: Sequence[str], cells: Sequence[list[str]]) -> list[list[str]]:
    """The rows of a table, and below each the rest of its last column; all of it off a terminal."""
    if not sys.stdout.isatty():
        return list(cells)
    from rich.console import Console  # most commands need none
    from rich.text import Text

    fixed = zip(header[:-1], *(row[:-1] for row in cells), strict=True)
    taken = sum(2 + max(map(_width, column)) for column in fixed)
    room = max(NARROWEST, shutil.get_terminal_size().columns - taken)
    console, found = Console(width=room), []
    for *first, last in cells:
        one, *more = Text(last).wrap(console, room) or [Text()]
        found += [[*first, one.plain.rstrip()]]
        found += [[*("" for _ in first), line.plain.rstrip()] for line in more]
    return found


def _color(head: str, cell: str) -> str:
    """Of a cell below a head: heads are bold, statuses have the colour of their first word."""
    if cell == head:
        return "1"
    word = cell.partition(" ")[0].rstrip(":") if head in _STATUS_HEADS else ""
    if (head, word) == ("STATE", "done"):  # its outcome says whether well
        return ""
    return next((color for color, words in _COLORS.items() if word in words), "")


def cut(cell: str, widest: int = WIDEST) -> str:
    return cell if len(cell) <= widest else f"{cell[: widest - 3]}..."


def number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def plain(cell: object) -> str:
    """One line without control characters: a document's text must not control the terminal."""
    text = "-" if cell is None else str(cell)
    return "".join(c if c.isprintable() else " " for c in text)


def _width(text: str) -> int:
    from wcwidth import wcswidth  # the screen draws no table of ours

    return max(wcswidth(text), 0)


def this_lab(looking: bool = False) -> Lab:
    """The lab found from the current folder upwards; `looking` as of `open_lab`."""
    return open_lab(Path.cwd(), print_note, looking)


def results_lab() -> Lab:
    """The same, for a command that reads results."""
    lab = this_lab()
    note_unreadable_jobs(lab)
    return lab


def note_unreadable_jobs(lab: Lab) -> None:
    """Tell which jobs have files that cannot be read or are copies: their numbers are missing."""
    bad = unreadable_jobs(lab)
    for name in list(bad)[:NAMED]:
        print_note(f"{name}: {bad[name]}")
    if len(bad) > NAMED:
        print_note(f"{len(bad) - NAMED} more jobs have such files; `vitlab jobs` names them")


def tell_broken(broken: Sequence[tuple[Path, UsageError]]) -> None:
    """Tell on standard error which documents cannot be used: a line for each kind of fault."""
    kinds: dict[str, list[tuple[Path, str]]] = {}
    for path, error in broken:
        why = str(error).removeprefix(str(path))
        why = why if why != str(error) else f": {why}"
        kinds.setdefault(re.sub(r"0x\w+|\d+", "", why), []).append((path, why))
    for (first, why), *others in kinds.values():
        names = ", ".join(str(path) for path, _ in [(first, why), *others][:3])
        many = f"{len(others) + 1} documents ({names}{', ...' if len(others) > 2 else ''})"
        print(f"vitlab: {many if others else first}{why}", file=sys.stderr)


def add_roadmap(parser: argparse.ArgumentParser) -> None:
    """The option `--roadmap` of commands that look at the results of MVPs."""
    parser.add_argument("--roadmap", metavar="FILE", help="whose MVPs, where several have them")


def named_roadmap(lab: Lab, args: argparse.Namespace, mvps: object) -> str | None:
    """The path in the lab of the roadmap that `--roadmap` names; None where it is not given.

    `UsageError` where no `mvps` are named, so that it would choose nothing.
    """
    if args.roadmap is None:
        return None
    if not mvps:
        raise UsageError("--roadmap: says whose MVP is meant; name one")
    return lab.paths.relative(lab.roadmap_path(args.roadmap))


def note_lost_roadmaps(lab: Lab) -> None:
    """Tell of jobs whose roadmap is gone or renamed, as their results are written nowhere."""
    jobs = Counter(job.spec.roadmap for job in all_jobs(lab.paths) if job.spec.roadmap)
    for name, number in jobs.items():
        if not os.path.lexists(lab.paths.root / name):
            print_note(f"{cut(name)} does not exist, so nothing is written for its jobs ({number})")


def roadmap_of(args: argparse.Namespace) -> Path:
    """The roadmap named, or the lab's first, which is told where there are others."""
    if args.roadmap:
        return existing(args.roadmap)
    lab = this_lab()
    path = lab.roadmap_path()
    if len(others := lab.roadmaps()) > 1:
        print_errors([f"{lab.paths.relative(path)}: the first of {len(others)} roadmaps"])
    return path


def existing(name: str) -> Path:
    """A document named on the command line."""
    path = Path(name)
    if path.is_dir():
        raise UsageError(f"{name}: is a folder")
    if not path.is_file():
        raise UsageError(f"{name}: no such file")
    return path


def lab_around(path: Path, looking: bool = False) -> Lab | None:
    """The lab that holds `path`; None for a document outside any lab.

    A link is in the lab that it stands in, wherever it leads: there undo is looked for.
    """
    named = Path(os.path.abspath(path))  # noqa: PTH100 - links are not followed
    links = [one for one in (*reversed(named.parents), named) if one.is_symlink()]
    for folder in dict.fromkeys(one.parent for one in (*links, real(path))):
        with contextlib.suppress(NoLab):
            return open_lab(folder, print_note, looking)
    return None


def judge_gates(lab: Lab | None, path: Path) -> tuple[Roadmap, list[Verdict]]:
    """The roadmap in `path` and its gates' verdicts by the results the lab has for it."""
    if lab is None:
        roadmap = parse_roadmap(read(path))
        return roadmap, [judge(gate, (), roadmap) for gate in roadmap.gates]
    roadmap = lab.read_roadmap(path)
    return roadmap, verdicts_of(lab, roadmap, newest_results(lab, path))


def print_note(line: str) -> None:
    """Tell on standard error what does not stop a command."""
    print(f"vitlab: note: {plain(line)}", file=sys.stderr)


def print_errors(lines: Iterable[str]) -> None:
    """Print lines on standard error."""
    for line in lines:
        print(line, file=sys.stderr)


def agreed(question: str) -> bool:
    """Whether the person at the terminal agrees; a script agrees by running the command."""
    if not sys.stdin.isatty():
        return True
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")


def warn_of_editors(paths: Iterable[Path]) -> None:
    """Tell which of some documents are open in an editor, whose next save would revert ours."""
    from vitlab.lab.writeback.edits import open_in_editors  # the screen asks it itself

    for line in open_in_editors(paths):
        print_note(line)
