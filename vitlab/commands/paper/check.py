"""`vitlab paper check`: the numbers of a draft, held against the lab's results."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from vitlab.commands.common import add_json, print_json, print_table, results_lab
from vitlab.contract.terminal import Progress
from vitlab.lab.paper.check import check
from vitlab.lab.paper.draft import read_draft
from vitlab.lab.paper.facts import facts_of
from vitlab.lab.paper.verdicts import WRONG, Checked
from vitlab.lab.results.job_results import all_results

_T = TypeVar("_T")


def check_options(form: argparse.ArgumentParser) -> None:
    """The options of `vitlab paper check`."""
    form.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a draft, .tex or .md")
    form.add_argument("--all", action="store_true", help="show the right numbers too")
    add_json(form)
    form.set_defaults(handler=check_drafts)


def check_drafts(args: argparse.Namespace) -> int:
    """`vitlab paper check FILE...`: exit status 1 where a number is wrong."""
    lab = results_lab()
    drafts = [_with_progress("lines", partial(read_draft, path)) for path in args.files]
    results = all_results(lab)
    facts = facts_of(results).without_faulty()
    found = [
        (draft.path, _with_progress("numbers", partial(check, draft, facts))) for draft in drafts
    ]
    wrong = any(one.verdict in WRONG for _, checked in found for one in checked)
    if args.json:
        print_json([_record(path, one) for path, checked in found for one in checked])
        return int(wrong)
    for path, checked in found:
        shown = [one for one in checked if args.all or one.verdict != "right"]
        if shown:
            heads = ("LINE", "TEXT", "VERDICT", "SHOULD BE", "CERTAINTY", "WHY")
            print_table(heads, map(_cells, shown))
        print(f"{path}: {_summary(checked)}")
    return int(wrong)


def _with_progress(what: str, work: Callable[[Callable[[int, int], None]], _T]) -> _T:
    """What `work` makes, which may take minutes of a draft that is full of numbers."""
    progress = Progress(what)
    done = work(progress.report)
    progress.close()
    return done


def _record(path: Path, one: Checked) -> dict[str, object]:
    return {
        "file": str(path),
        "line": one.line,
        "text": one.text,
        "verdict": one.verdict,
        "value": one.value,
        "job": one.job,
        "why": one.why or None,
        "certainty": one.certainty,
    }


def _cells(one: Checked) -> tuple[object, ...]:
    value = "" if one.value is None else f"{one.value:.4g}"
    certainty = one.certainty if one.verdict in WRONG else ""
    return one.line, one.text, one.verdict, value, certainty, one.why or one.job or ""


def _summary(checked: list[Checked]) -> str:
    counts = Counter(one.verdict for one in checked)
    unread = counts.pop("not read", 0)
    parts = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    text = f"{sum(counts.values())} numbers: {parts}" if counts else "no number that results back"
    return text + (f"; {unread} LaTeX commands not known" if unread else "")
