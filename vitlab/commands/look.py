"""Commands that show results: plot and compare."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.commands.charts import draw_jobs
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
    compare.add_argument("--sql", metavar="QUERY", help="ask the table `results`, a row a job")
    compare.add_argument("--out", metavar="FILE", help="keep that table as .parquet or .csv")
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


def compare_results(args: argparse.Namespace) -> int:
    """`vitlab compare`: a row a configuration, repeats over seeds together."""
    from vitlab.records.compare import compare, config_columns
    from vitlab.records.named import found_named
    from vitlab.records.scan import scan

    lab = this_lab()
    if args.sql is not None or args.out is not None:
        return _table(lab, args)
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


def _table(lab: Lab, args: argparse.Namespace) -> int:
    """Every result of every job as one table, or what a query makes of it."""
    from vitlab.records.table import asked, keep, results_table

    if args.jobs or args.to or args.sort or args.each or args.reverse:
        raise UsageError("--sql and --out are of all results (WHERE, ORDER BY say which, and how)")
    frame = results_table(lab) if args.sql is None else asked(lab, args.sql)
    if args.out is not None:
        keep(frame, Path(args.out))
        print(f"{args.out}: {frame.height} rows, {frame.width} columns")
        return 0
    rows = frame.to_dicts()
    if args.json:
        print_json(rows)
    elif args.csv:
        print(frame.write_csv(), end="")
    else:
        cells = [[_said(value) for value in row.values()] for row in rows]
        if args.latex or args.markdown:
            print((as_latex if args.latex else as_markdown)(frame.columns, cells), end="")
        else:
            print_table([name.upper() for name in frame.columns], cells)
    return 0


def _said(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
