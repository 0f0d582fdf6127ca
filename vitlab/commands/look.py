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
from vitlab.commands.tables import as_csv, as_latex, as_markdown, short
from vitlab.contract.paths import UsageError

if TYPE_CHECKING:
    from vitlab.records.lab import Lab


def add_commands(commands: Commands) -> None:
    plot = commands.add_parser("plot", help="curves of jobs in the terminal")
    plot.add_argument("jobs", nargs="*", metavar="JOB", help="default: the jobs of the last launch")
    plot.add_argument("--value", metavar="NAME", help="default: the headline on validation")
    plot.add_argument("--ascii", action="store_true", help="only ASCII characters")
    plot.set_defaults(handler=plot_jobs)

    compare = commands.add_parser("compare", help="results as one table, in what they differ")
    compare.add_argument("jobs", nargs="*", metavar="JOB|MVP", help="default: every result")
    compare.add_argument("--to", metavar="JOB", help="show differences to this job, with errors")
    compare.add_argument("--sort", metavar="COLUMN", help="default: MVP, profile, best first")
    compare.add_argument("--reverse", action="store_true", help="turn the order round")
    compare.add_argument("--each", action="store_true", help="seeds and reruns one by one")
    form = compare.add_mutually_exclusive_group()
    add_json(form)
    form.add_argument("--csv", action="store_true", help="print CSV, with every column")
    form.add_argument("--latex", action="store_true", help="print a LaTeX tabular (booktabs)")
    form.add_argument("--markdown", action="store_true", help="print a markdown table")
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
    """`vitlab compare`: a row a configuration, repeats over seeds together."""
    from vitlab.records.compare import compare, config_columns
    from vitlab.records.named import found_named
    from vitlab.records.scan import scan

    lab = this_lab()
    found = found_named(lab.paths, args.jobs) if args.jobs else scan(lab)
    to = found_named(lab.paths, [args.to])[0] if args.to else None
    rows = compare(lab, found, to=to, sort=args.sort, reverse=args.reverse, each=args.each)
    if args.json:
        print_json(rows)
        return 0
    if not rows:
        raise UsageError("nothing to compare: no job has a result yet")
    if args.csv:
        print(as_csv(rows), end="")
        return 0
    header, cells = short(rows, config_columns(rows))
    if args.latex:
        print(as_latex(header, cells), end="")
    elif args.markdown:
        print(as_markdown(header, cells), end="")
    else:
        print_table([name.upper() for name in header], cells)
    return 0
