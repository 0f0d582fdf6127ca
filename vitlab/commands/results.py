"""Commands that show results: plot and compare, as text, LaTeX, markdown or CSV."""

from __future__ import annotations

import argparse
import csv
import io
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from vitlab.commands.charts import draw_jobs
from vitlab.commands.common import (
    Options,
    add_json,
    add_roadmap,
    check_out,
    named_roadmap,
    print_json,
    print_table,
    results_lab,
    this_lab,
)
from vitlab.contract.contradictions import contradictions
from vitlab.contract.paths import UsageError
from vitlab.contract.terminal import print_drawn, spreadsheet_text
from vitlab.contract.value import Value, rounded
from vitlab.docs.judge.ceiling import Share
from vitlab.jobs.store import all_jobs, find_job, read_job
from vitlab.lab.lab import Lab
from vitlab.lab.paper.artefacts.latex import escaped, with_scripts
from vitlab.lab.results.job_results import Finished, all_moved, all_results, lookup_results
from vitlab.lab.results.rows import (
    compare,
    config_columns,
    query_results,
    results_table,
    setting_name,
    setting_text,
    without_formulas,
    write_frame,
)

Row = Mapping[str, object]

_ERRORS = {
    "stars": "± of a single job: bootstrap over its test stars",
    "seeds": "± of several seeds: standard error of their mean, of stars and seeds",
    "seeds alone": "± of several seeds: standard error of their mean, over seeds alone",
    "draws": "± of a ceiling: Monte Carlo over simulated stars",
    "delta": "± of a difference: over stars and known seeds, at a single look; gates ask for more",
}
"""What the errors of a table are, by `error of`; `delta`: those of differences."""
_FIXED = ("mvp", "run", "profile", "model", "n_train", "params")
_HEADS = {
    "mvp": "MVP",
    "run": "Run",
    "profile": "Profile",
    "model": "Model",
    "n_train": "Train",
    "params": "Params",
    "share": "Of ceiling",
    "delta": "Difference",
    "seed": "Seed",
    "seeds": "Seeds",
}
_MEASURED = re.compile(r"([-+]?\d[\d.]*) ± (\d[\d.]*)")


def short(rows: Sequence[Row], config: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and cells for people: what differs, the score, its share, the difference.

    Each headline has a column of its own: R² and an MAE, or an MAE in dex and one in σ, are not
    one column of scores.
    """
    columns = [name for name in _FIXED if name in ("mvp", "run", "model") or _differs(rows, name)]
    columns += [name for name in config if name.removeprefix("data.train_size")]
    alone = all(row.get("seeds", 1) == 1 for row in rows)
    columns += ["seed"] if alone and _differs(rows, "seed") else []
    columns += ["seeds"] if any(row.get("seeds") != 1 for row in rows) else []
    headlines = list(dict.fromkeys(str(row["headline"]) for row in rows))
    columns += [f"score {name}" for name in headlines]
    columns += ["share"] if any(row.get("share") is not None for row in rows) else []
    columns += ["delta"] if any("delta" in row for row in rows) else []
    heads = [_HEADS.get(name, setting_name(name.removeprefix("score "))) for name in columns]
    return heads, [[_cell(row, name) for name in columns] for row in rows]


def as_csv(rows: Sequence[Row]) -> str:
    """Every column of every row, numbers unrounded."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: spreadsheet_text(cell) for name, cell in row.items()} for row in rows)
    return out.getvalue()


def as_markdown(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A table for a document; pipes inside a cell are escaped."""
    lines = [header, ["---"] * len(header), *cells]
    return "".join(
        "| " + " | ".join(str(cell).replace("|", r"\|") for cell in line) + " |\n" for line in lines
    )


def as_latex(header: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A `tabular` with the rules of booktabs."""
    kinds = ["r" if all(_number(row[i]) for row in cells) else "l" for i in range(len(header))]
    body = [" & ".join(_tex(cell) for cell in line) + r" \\" for line in cells]
    head = " & ".join(_tex(cell) for cell in header) + r" \\"
    lines = [
        rf"\begin{{tabular}}{{{''.join(kinds)}}}",
        r"\toprule",
        head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return with_scripts("\n".join(lines) + "\n")


def _tex(text: str) -> str:
    if measured := _MEASURED.match(text):
        number, error = measured.groups()
        rest = text[measured.end() :]
        return rf"${number} \pm {error}$" + " " * rest.startswith(" ") + escaped(rest)
    return escaped(text)


def _number(text: str) -> bool:
    return not text or text == "-" or text[0].isdigit() or text[0] in "+-"


def _differs(rows: Sequence[Row], name: str) -> bool:
    return len({str(row.get(name)) for row in rows}) > 1


def _cell(row: Row, name: str) -> str:
    if name.startswith("score "):
        headline = name.removeprefix("score ")
        value = row.get("score") if row.get("headline") == headline else None
        warn = " LEAK" if row.get("leak") else ""
        mark = Value.parse(headline).mark
        return "-" if value is None else _measured(value, row.get("error")) + mark + warn
    value = row.get(name)
    if value is None:
        return "-"
    if name == "delta":
        remark = {"reference": "(reference)", "independent": "(independent)"}.get(
            str(row.get("how")), ""
        )
        if row.get("how") == "reference":
            return remark
        noise = "(within 2 errors)" if row.get("noise") else ""
        seed = "(one seed)" if row.get("one seed") else ""
        sign = "+" if isinstance(value, float) and value > 0 else ""
        shown = sign + _measured(value, row.get("delta error"))
        return " ".join(part for part in (shown, noise, seed, remark) if part)
    if name == "share":
        error = row.get("share error")
        return str(Share(float(str(value)), error if isinstance(error, float) else None))
    if "." in name:
        return setting_text(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _measured(value: object, error: object) -> str:
    """With as many decimals as two figures of the error need."""
    if not isinstance(value, float):
        return str(value)
    if not isinstance(error, float) or not error > 0:
        return f"{value:.4g}"
    return " ± ".join(rounded(value, error))


def _plot_options(plot: argparse.ArgumentParser) -> None:
    plot.add_argument("jobs", nargs="*", metavar="JOB", help="default: the jobs of the last launch")
    plot.add_argument("--value", metavar="NAME", help="default: the headline on validation")
    plot.add_argument("--ascii", action="store_true", help="only ASCII characters")
    plot.set_defaults(handler=plot_jobs)


def _compare_options(compare: argparse.ArgumentParser) -> None:
    compare.add_argument("jobs", nargs="*", metavar="JOB|MVP", help="default: every result")
    add_roadmap(compare)
    compare.add_argument("--to", metavar="JOB", help="show differences from this job, with errors")
    compare.add_argument("--sort", metavar="COLUMN", help="default: MVP, profile, best first")
    compare.add_argument("--reverse", action="store_true", help="reverse the order")
    compare.add_argument("--each", action="store_true", help="list each seed and rerun separately")
    compare.add_argument(
        "--sql", metavar="QUERY", help="query the table `results`, one row per job"
    )
    compare.add_argument(
        "--out", metavar="FILE", help="write that table to a .parquet or .csv file"
    )
    form = compare.add_mutually_exclusive_group()
    add_json(form)
    form.add_argument("--csv", action="store_true", help="print CSV, with every column")
    form.add_argument("--latex", action="store_true", help="print a LaTeX tabular (booktabs)")
    form.add_argument("--markdown", action="store_true", help="print a markdown table")
    compare.set_defaults(handler=compare_results)


def plot_jobs(args: argparse.Namespace) -> int:
    """`vitlab plot`: one curve per job, in the size of the terminal."""
    lab = this_lab()
    jobs = [job for name in args.jobs if (job := read_job(find_job(lab.paths, name)))]
    picture = draw_jobs(lab, [job.paths.folder for job in jobs], args.value, ascii_=args.ascii)
    if picture is None:
        raise UsageError("nothing to plot: no job has reported a value yet")
    print_drawn(picture)
    every = [] if jobs else all_jobs(lab.paths)
    if every:
        newest = max(every, key=lambda job: job.spec.submitted).paths.folder.parent
        drawn = sum(job.paths.folder.parent == newest for job in every)
        if drawn < len(every):
            note = f"{drawn} of {len(every)} jobs, of the newest experiment {newest.name}"
            print(f"drawn: {note}; give JOBs to plot others", file=sys.stderr)
    return 0


def compare_results(args: argparse.Namespace) -> int:
    """`vitlab compare`: one row per configuration, its seeds together."""
    lab = results_lab()
    of = named_roadmap(lab, args, args.jobs or args.to)
    if args.sql is not None or args.out is not None:
        return _table(lab, args)
    gone = all_moved(lab) if args.jobs or args.to else ()
    results = lookup_results(lab.paths, args.jobs, of, gone) if args.jobs else all_results(lab)
    to = lookup_results(lab.paths, [args.to], of, gone)[0] if args.to else None
    rows = compare(lab, results, to=to, sort=args.sort, reverse=args.reverse, each=args.each)
    if args.json:
        print_json(rows)
        return 0
    if not rows:
        raise UsageError("nothing to compare: no job has a result yet")
    if args.csv:
        print(as_csv(rows), end="")
        return 0
    _print_contradictions(results)
    header, cells = short(rows, config_columns(rows))
    kinds = dict.fromkeys(str(row["error of"]) for row in rows if row.get("error"))
    kinds |= dict.fromkeys(["delta"] if any(row.get("delta error") for row in rows) else [])
    note = "; ".join(_ERRORS[kind] for kind in kinds)
    if args.latex:
        print(as_latex(header, cells) + f"% {note}\n" * bool(note), end="")
    elif args.markdown:
        print(as_markdown(header, cells) + f"\n{note}\n" * bool(note), end="")
    else:
        print_table([name.upper() for name in header], cells)
        print(f"{note}\n" * bool(note), end="", file=sys.stderr)
    return 0


def _print_contradictions(results: Sequence[Finished]) -> None:
    for one in results:
        for line in contradictions(one.result.values):
            print(f"{one.job.name}: {line}", file=sys.stderr)


def _table(lab: Lab, args: argparse.Namespace) -> int:
    """Every result of every job as one table, or what a query makes of it."""
    if args.jobs or args.to or args.sort or args.each or args.reverse:
        raise UsageError(
            "--sql and --out use all results (choose and sort them by WHERE and ORDER BY)"
        )
    if args.out is not None:
        check_out(Path(args.out), ".parquet", ".csv")
    frame = results_table(lab) if args.sql is None else query_results(lab, args.sql)
    if args.out is not None:
        write_frame(frame, Path(args.out))
        print(f"{args.out}: {frame.height} rows, {frame.width} columns")
        return 0
    rows = frame.to_dicts()
    if args.json:
        print_json([{name: _in_json(value) for name, value in row.items()} for row in rows])
    elif args.csv:
        print(without_formulas(frame).write_csv(), end="")
    else:
        cells = [[_text(value) for value in row.values()] for row in rows]
        if args.latex or args.markdown:
            print((as_latex if args.latex else as_markdown)(frame.columns, cells), end="")
        else:
            print_table([name.upper() for name in frame.columns], cells)
    return 0


def _in_json(value: object) -> object:
    """A date or a list as text, and null for what is not finite."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


OPTIONS: Options = {"plot": _plot_options, "compare": _compare_options}
