"""Commands that show results: plot and compare."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.commands.here import this_lab
from vitlab.commands.output import Commands, add_json, print_json, print_table
from vitlab.contract.paths import UsageError

if TYPE_CHECKING:
    from vitlab.records.lab import Lab


def add_commands(commands: Commands) -> None:
    plot = commands.add_parser("plot", help="curves of jobs in the terminal")
    plot.add_argument("jobs", nargs="*", metavar="JOB", help="default: the jobs of the last launch")
    plot.add_argument("--value", metavar="NAME", help="default: the headline on validation")
    plot.add_argument("--ascii", action="store_true", help="only ASCII characters")
    plot.set_defaults(handler=plot_jobs)

    compare = commands.add_parser("compare", help="all results as one table")
    add_json(compare)
    compare.set_defaults(handler=compare_results)


def plot_jobs(args: argparse.Namespace) -> int:
    """`vitlab plot`: one curve a job, drawn to the terminal's size."""
    from vitlab.jobs.store import find_job, look

    lab = this_lab()
    jobs = [found for name in args.jobs if (found := look(find_job(lab.paths, name)))]
    picture = draw_jobs(lab, [job.paths.folder for job in jobs], args.value, ascii_=args.ascii)
    if picture is None:
        raise UsageError("nothing to plot: no job has reported a value yet")
    print(picture)
    return 0


def draw_jobs(
    lab: Lab, folders: list[Path], value: str | None = None, *, ascii_: bool = False
) -> str | None:
    """The chart of `folders` (of the last launch when empty); None without a single value."""
    from vitlab.plot.chart import draw
    from vitlab.records.curves import curves

    found = curves(lab, folders, value)
    if not found.series:
        return None
    size = shutil.get_terminal_size((100, 30))
    color = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return draw(
        found.series,
        found.thresholds,
        width=min(size.columns, 120),
        height=min(max(size.lines - 4, 12), 26),
        title=found.value,
        x_label="seconds",
        color=color,
        ascii=ascii_,
    )


def compare_results(args: argparse.Namespace) -> int:
    """`vitlab compare`: every result of every job, best first within an MVP."""
    from vitlab.records.table import results_table

    table = results_table(this_lab())
    if args.json:
        print_json(table.to_dicts())
        return 0
    if table.is_empty():
        raise UsageError("nothing to compare: no job has a result yet")
    header = [name.upper() for name in table.columns]
    rows = [[_cell(value) for value in row] for row in table.iter_rows()]
    print_table(header, rows)
    return 0


def _cell(value: object) -> object:
    return f"{value:.4g}" if isinstance(value, float) else value
